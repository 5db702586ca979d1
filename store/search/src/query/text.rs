//! The text of a search taken apart: pairs, percent-encoding, lists and escapes.
//!
//! In values `\,` `\|` `\$` and `\\` stand for the characters themselves (R4 search.html#escaping); a backslash before
//! anything else is one.

use std::borrow::Cow;

/// The pairs of a query string, decoded: names and values, in order. A name without `=` has an empty value.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

/// Undoes percent-encoding. What is no encoding stands for itself; what is no UTF-8, and NUL, becomes U+FFFD.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+', '\0']) {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let byte = (first == b'%').then(|| hex_byte(behind)).flatten();
        rest = if byte.is_some() { &behind[2..] } else { behind };
        bytes.push(byte.unwrap_or(if first == b'+' { b' ' } else { first }));
    }
    let text = String::from_utf8_lossy(&bytes);
    Cow::Owned(text.replace('\0', "\u{fffd}"))
}

fn hex_byte(text: &[u8]) -> Option<u8> {
    let digit = |b: &u8| char::from(*b).to_digit(16);
    u8::try_from(digit(text.first()?)? << 4 | digit(text.get(1)?)?).ok()
}

/// The parts between separators that are not escaped; escapes stay.
pub(super) fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_escaped = false;
    text.split(move |c: char| {
        let splits = c == separator && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        splits
    })
}

/// The text with its escapes undone.
pub(super) fn unescaped(text: &str) -> Box<str> {
    if !text.contains('\\') {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped =
            (c == '\\').then(|| chars.next_if(|next| [',', '|', '$', '\\'].contains(next))).flatten();
        out.push(escaped.unwrap_or(c));
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded() {
        let found: Vec<_> = pairs("a=b%20c+d&&e=%C3%BC%zz%&f&g=h=i%00%ff").collect();
        let found: Vec<_> = found.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(found, [("a", "b c d"), ("e", "ü%zz%"), ("f", ""), ("g", "h=i\u{fffd}\u{fffd}")]);
    }

    #[test]
    fn escaped_separators_do_not_separate() {
        let parts = |text, separator| split(text, separator).map(unescaped).collect::<Vec<_>>();
        assert_eq!(parts(r"a,b\,c,\\,d", ','), ["a", "b,c", r"\", "d"].map(Box::from));
        assert_eq!(parts(r"a\|b|c\x\$\", '|'), ["a|b", r"c\x$\"].map(Box::from));
        assert_eq!(parts("", ','), [Box::from("")]);
    }
}
