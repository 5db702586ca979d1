//! Reading JSON that the walker has accepted.
//!
//! The syntax is known to be right, so nothing is checked again; on other bytes the functions find less, and do not
//! panic. Values are slices without the white space around them.

use std::borrow::Cow;

use keepwell_fhir::Span;

/// The members of an object, in their order; none if the value is no object.
pub(crate) fn members(json: &[u8]) -> impl Iterator<Item = (Cow<'_, [u8]>, &[u8])> {
    let mut reader = Reader::inside(json, b'{');
    std::iter::from_fn(move || {
        let key = reader.next_value()?;
        reader.next_byte(b':')?;
        let value = reader.next_value()?;
        Some((unquoted(key)?, value))
    })
}

/// The items of an array, in their order, or the value itself if it is no array.
pub(crate) fn items(json: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_array = json.first() == Some(&b'[');
    let mut single = (!is_array).then_some(json);
    let mut reader = Reader::inside(json, b'[');
    std::iter::from_fn(move || if is_array { reader.next_value() } else { single.take() })
}

/// The member of an object with a key.
pub(crate) fn member<'a>(json: &'a [u8], key: &str) -> Option<&'a [u8]> {
    members(json).find(|(other, _)| **other == *key.as_bytes()).map(|(_, value)| value)
}

/// The text of a string; none if the value is something else.
pub(crate) fn text(json: &[u8]) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let span = Span { start: 0, end: u32::try_from(inner.len()).ok()? };
    Some(span.text(inner))
}

/// The bytes of a string token, with escapes undone.
fn unquoted(json: &[u8]) -> Option<Cow<'_, [u8]>> {
    let inner = json.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if !inner.contains(&b'\\') {
        return Some(Cow::Borrowed(inner));
    }
    Some(Cow::Owned(text(json)?.into_owned().into_bytes()))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Inside an object or array; at the end of anything else.
    fn inside(bytes: &'a [u8], open: u8) -> Self {
        let at = if bytes.first() == Some(&open) { 1 } else { bytes.len() };
        Self { bytes, at }
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    fn next_byte(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// The next value, behind a comma if there is one; none at the end of the object or array.
    fn next_value(&mut self) -> Option<&'a [u8]> {
        if self.peek()? == b',' {
            self.at += 1;
        }
        let start = match self.peek()? {
            b'}' | b']' | b',' | b':' => return None,
            _ => self.at,
        };
        self.skip_value()?;
        self.bytes.get(start..self.at)
    }

    /// Moves behind the value that starts here, by counting brackets.
    fn skip_value(&mut self) -> Option<()> {
        let mut open = 0_u32;
        loop {
            match *self.bytes.get(self.at)? {
                b'"' => self.skip_string()?,
                b'{' | b'[' => {
                    open += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    open -= 1;
                    self.at += 1;
                }
                _ if open == 0 => return self.skip_word(),
                _ => self.at += 1,
            }
            if open == 0 {
                return Some(());
            }
        }
    }

    /// Moves behind a number or one of the three words.
    fn skip_word(&mut self) -> Option<()> {
        let rest = self.bytes.get(self.at..)?;
        let end =
            rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t'));
        self.at += end.unwrap_or(rest.len());
        Some(())
    }

    fn skip_string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            self.at += memchr::memchr2(b'"', b'\\', self.bytes.get(self.at..)?)?;
            if self.bytes[self.at] == b'"' {
                self.at += 1;
                return Some(());
            }
            self.at += 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_slices_of_the_text() {
        let json = br#"{ "a" : [ 1 , "x\"]" ,{"b":null}, [] ] , "\u0062":true,"c":-1.50 }"#;
        let found: Vec<_> = members(json).map(|(key, value)| (key.into_owned(), value)).collect();
        let keys: Vec<&[u8]> = found.iter().map(|(key, _)| &key[..]).collect();
        assert_eq!(keys, [b"a", b"b", b"c"]);
        let array: Vec<_> = items(found[0].1).collect();
        assert_eq!(array, [&b"1"[..], br#""x\"]""#, br#"{"b":null}"#, b"[]"]);
        assert_eq!(text(array[1]).as_deref(), Some("x\"]"));
        assert_eq!(member(json, "c"), Some(&b"-1.50"[..]));
        assert_eq!(items(b"7").collect::<Vec<_>>(), [b"7"]);
    }

    #[test]
    fn broken_text_ends_early() {
        for json in
            [&b""[..], b"{", b"[", b"{\"a", b"{\"a\"", b"{\"a\":", b"[1,", b"[\"\\", b"]", b"{]", b"[}"]
        {
            assert!(members(json).count() <= 1);
            assert!(items(json).count() <= 1);
        }
    }
}
