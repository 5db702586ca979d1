//! The XHTML of narratives (R4 narrative.html).
//!
//! Promise: what passes is one well-formed `div` in the XHTML namespace without anything active: no scripts, no
//! event attributes, no forms, no declarations. Styles and links are not looked into.

use std::ops::Range;

use memchr::memmem;

use crate::word::{equal_to, find};

const NAMESPACE: &[u8] = b"http://www.w3.org/1999/xhtml";

/// The deepest nesting of elements in a narrative.
const MAX_NARRATIVE_DEPTH: usize = 256;

/// Checks narratives; keeps its memory between them.
#[derive(Default)]
pub(crate) struct Narrative {
    /// The names of the open elements.
    open: Vec<Range<usize>>,
}

/// The longest text between `&` and `;`.
const MAX_ENTITY_BYTES: usize = 12;

type Checked<T> = Result<T, &'static str>;

const MALFORMED: &str = "the narrative is not well-formed xhtml";

impl Narrative {
    /// What is wrong with the decoded text, if anything.
    pub(crate) fn problem(&mut self, text: &[u8]) -> Option<&'static str> {
        self.check(text).err()
    }

    fn check(&mut self, text: &[u8]) -> Checked<()> {
        self.open.clear();
        let mut at = text.iter().take_while(|b| b.is_ascii_whitespace()).count();
        if !text[at..].starts_with(b"<div") {
            return Err("the narrative is not a div element");
        }
        loop {
            at = self.markup(text, at)?;
            if self.open.is_empty() {
                let rest = text[at..].trim_ascii();
                return if rest.is_empty() { Ok(()) } else { Err(MALFORMED) };
            }
            at = character_data(text, at, b'<')?;
        }
    }

    /// One tag or comment, from its `<`; returns the position behind it.
    fn markup(&mut self, text: &[u8], at: usize) -> Checked<usize> {
        match text.get(at + 1) {
            Some(b'/') => self.end_tag(text, at + 2),
            Some(b'!') => comment(text, at),
            _ => self.start_tag(text, at + 1),
        }
    }

    fn end_tag(&mut self, text: &[u8], start: usize) -> Checked<usize> {
        // What follows the name is looked at next: a longer name does not pass either.
        let open = self.open.pop().ok_or(MALFORMED)?;
        if !text[start..].starts_with(&text[open.clone()]) {
            return Err(MALFORMED);
        }
        close(text, skip_space(text, start + open.len()))
    }

    fn start_tag(&mut self, text: &[u8], start: usize) -> Checked<usize> {
        let end = name_end(text, start);
        if !is_allowed(&text[start..end]) {
            return Err("the narrative has an element that is not allowed in it");
        }
        let mut has_namespace = !self.open.is_empty();
        let mut at = end;
        loop {
            let next = skip_space(text, at);
            match text.get(next).ok_or(MALFORMED)? {
                b'>' | b'/' if !has_namespace => return Err("the narrative is not in the xhtml namespace"),
                b'>' => {
                    if self.open.len() == MAX_NARRATIVE_DEPTH {
                        return Err("the narrative is nested too deeply");
                    }
                    self.open.push(start..end);
                    return Ok(next + 1);
                }
                b'/' => return close(text, next + 1),
                _ if next == at => return Err(MALFORMED),
                _ => at = attribute(text, next, &mut has_namespace)?,
            }
        }
    }
}

/// One attribute; returns the position behind its closing quote.
fn attribute(text: &[u8], start: usize, has_namespace: &mut bool) -> Checked<usize> {
    let end = name_end(text, start);
    let name = &text[start..end];
    if name.is_empty() {
        return Err(MALFORMED);
    }
    if name.len() > 2 && name[..2].eq_ignore_ascii_case(b"on") {
        return Err("the narrative has an event attribute");
    }
    let equals = skip_space(text, end);
    if text.get(equals) != Some(&b'=') {
        return Err(MALFORMED);
    }
    let open = skip_space(text, equals + 1);
    let quote = *text.get(open).filter(|b| matches!(b, b'"' | b'\'')).ok_or(MALFORMED)?;
    let end = character_data(text, open + 1, quote)?;
    let value = &text[open + 1..end];
    if name == b"xmlns" {
        if value != NAMESPACE {
            return Err("the narrative is not in the xhtml namespace");
        }
        *has_namespace = true;
    }
    Ok(end + 1)
}

/// Moves over character data, with its entities, to the byte that ends it; `<` may not be within it.
#[inline(always)]
fn character_data(text: &[u8], mut at: usize, end: u8) -> Checked<usize> {
    loop {
        at = find(text, at, |word| equal_to(word, end) | equal_to(word, b'<') | equal_to(word, b'&'));
        match text.get(at) {
            Some(&byte) if byte == end => return Ok(at),
            Some(b'&') => at = entity(text, at)?,
            _ => return Err(MALFORMED),
        }
    }
}

/// One of the five entities of XML or a numbered character, from its `&`. HTML has more, but narratives may not
/// use them: they are XML without a DTD.
fn entity(text: &[u8], at: usize) -> Checked<usize> {
    let length = text[at + 1..].iter().take(MAX_ENTITY_BYTES).position(|&b| b == b';').ok_or(MALFORMED)?;
    let is_valid = match &text[at + 1..][..length] {
        b"amp" | b"lt" | b"gt" | b"quot" | b"apos" => true,
        [b'#', b'x', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit),
        [b'#', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        _ => return Err("the narrative has an entity that xml does not know"),
    };
    if is_valid { Ok(at + length + 2) } else { Err(MALFORMED) }
}

/// `<!-- ... -->`; declarations begin alike and are refused.
fn comment(text: &[u8], at: usize) -> Checked<usize> {
    if !text[at..].starts_with(b"<!--") {
        return Err("the narrative has a declaration");
    }
    let length = memmem::find(&text[at + 4..], b"--").ok_or(MALFORMED)?;
    close(text, at + 4 + length + 2)
}

fn close(text: &[u8], at: usize) -> Checked<usize> {
    if text.get(at) == Some(&b'>') { Ok(at + 1) } else { Err(MALFORMED) }
}

fn name_end(text: &[u8], start: usize) -> usize {
    let mut end = start;
    while text.get(end).is_some_and(|&b| IS_NAME[usize::from(b)]) {
        end += 1;
    }
    end
}

/// The bytes of element and attribute names.
static IS_NAME: [bool; 256] = {
    let mut is_name = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        is_name[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b':' | b'_' | b'.');
        byte += 1;
    }
    is_name
};

fn skip_space(text: &[u8], start: usize) -> usize {
    let mut at = start;
    while text.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

/// The elements of invariant txt-1.
const fn is_allowed(name: &[u8]) -> bool {
    matches!(
        name,
        b"a" | b"abbr"
            | b"acronym"
            | b"b"
            | b"big"
            | b"blockquote"
            | b"br"
            | b"caption"
            | b"cite"
            | b"code"
            | b"col"
            | b"colgroup"
            | b"dd"
            | b"dfn"
            | b"div"
            | b"dl"
            | b"dt"
            | b"em"
            | b"h1"
            | b"h2"
            | b"h3"
            | b"h4"
            | b"h5"
            | b"h6"
            | b"hr"
            | b"i"
            | b"img"
            | b"li"
            | b"ol"
            | b"p"
            | b"pre"
            | b"q"
            | b"samp"
            | b"small"
            | b"span"
            | b"strong"
            | b"sub"
            | b"sup"
            | b"table"
            | b"tbody"
            | b"td"
            | b"tfoot"
            | b"th"
            | b"thead"
            | b"tr"
            | b"tt"
            | b"ul"
            | b"var"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn div(content: &str) -> String {
        format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{content}</div>")
    }

    #[test]
    fn formatted_text_passes() {
        let mut narrative = Narrative::default();
        for content in [
            "text",
            "",
            "<p>a<br/>b</p>",
            "<img src='x' alt=\"y\" />",
            "a &amp; b &#160; &#xa0;",
            "<!-- note --><b class = \"x\" >c</b >",
            "<a href=\"?a=1&amp;b=2\">l</a>",
        ] {
            assert_eq!(narrative.problem(div(content).as_bytes()), None, "{content}");
        }
        let spaced = format!(" \n{} \n", div("x"));
        assert_eq!(narrative.problem(spaced.as_bytes()), None);
        assert_eq!(narrative.problem(b"<div xmlns='http://www.w3.org/1999/xhtml'/>"), None);
    }

    #[test]
    fn active_or_malformed_content_is_refused() {
        let mut narrative = Narrative::default();
        for content in [
            "<script>x</script>",
            "<p onclick=\"x\">y</p>",
            "<form/>",
            "<iframe/>",
            "<p>",
            "</p>",
            "<p></b>",
            "a & b",
            "&;",
            "<p a=b>c</p>",
            "<p a>c</p>",
            "<p a=\"<\">c</p>",
            "<br",
            "<!DOCTYPE x>",
            "<![CDATA[x]]>",
            "<?x?>",
            "<!-- a",
            "<P>a</P>",
            "</div><div>",
            "<p/ >",
            "<p a='1'b='2'/>",
        ] {
            assert!(narrative.problem(div(content).as_bytes()).is_some(), "{content}");
        }
        for text in
            ["text", "<p>x</p>", "<div>x</div>", "<div xmlns=\"x\">y</div>", "<!DOCTYPE a><div/>", "<div"]
        {
            assert!(narrative.problem(text.as_bytes()).is_some(), "{text}");
        }
        let deep = div(&"<b>".repeat(10_000));
        assert!(narrative.problem(deep.as_bytes()).is_some());
    }
}
