//! The formats of the primitive types (R4 datatypes.html#primitive).
//!
//! Each check means the regular expression of the official StructureDefinition plus what its text demands:
//! days that exist, integers of 32 bits, strings of at most 1 MiB that are not just white space.

use crate::date::{DateTime, Precision, time};
use crate::definitions::PRIMITIVES;
use crate::id::is_id;
use crate::narrative::Narrative;
use crate::word::{below, find};

/// The longest string in bytes (R4 datatypes.html#string).
pub const MAX_STRING_BYTES: usize = 1024 * 1024;

macro_rules! primitives {
    ($($name:ident)*) => {
        /// A primitive type; the order is that of [`PRIMITIVES`].
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Primitive { $($name,)* }

        const ALL: [Primitive; PRIMITIVES.len()] = [$(Primitive::$name,)*];
    };
}

primitives! {
    Boolean Integer PositiveInt UnsignedInt Decimal String Code Id Oid Uuid Uri Url Canonical Markdown
    Base64Binary Instant Date DateTime Time Xhtml
}

impl Primitive {
    pub(crate) fn from_kind(kind: u16) -> Option<Self> {
        ALL.get(usize::from(kind)).copied()
    }

    pub(crate) const fn name(self) -> &'static str {
        PRIMITIVES[self as usize]
    }

    /// Whether JSON writes values of this type as strings.
    pub(crate) const fn is_text(self) -> bool {
        !matches!(self, Self::Boolean | Self::Integer | Self::PositiveInt | Self::UnsignedInt | Self::Decimal)
    }

    /// Whether a value may name an entry of the same Bundle (R4 http.html#trules; canonical is not among them).
    pub(crate) const fn is_link(self) -> bool {
        matches!(self, Self::Uri | Self::Url | Self::Oid | Self::Uuid)
    }

    /// Whether a JSON number is a value of this type.
    pub(crate) fn accepts_number(self, text: &[u8]) -> bool {
        match self {
            Self::Decimal => true,
            Self::Integer => in_range(text, i64::from(i32::MIN)),
            Self::PositiveInt => in_range(text, 1),
            Self::UnsignedInt => text[0] != b'-' && in_range(text, 0),
            _ => false,
        }
    }

    /// What is wrong with a string, if anything. The text is decoded; `plain` says that it had no escapes.
    pub(crate) fn problem(self, text: &[u8], plain: bool, narrative: &mut Narrative) -> Option<&'static str> {
        if text.is_empty() {
            return Some("a string may not be empty");
        }
        let valid = match self {
            Self::String | Self::Markdown => return string_problem(text, plain),
            Self::Xhtml => return narrative.problem(text),
            Self::Code => is_code(text),
            Self::Uri | Self::Url | Self::Canonical => is_unspaced(text),
            Self::Id => is_id(text),
            Self::Oid => is_oid(text),
            Self::Uuid => is_uuid(text),
            Self::Base64Binary => is_base64(text),
            Self::Date => DateTime::from_bytes(text).is_some_and(|date| date.precision() <= Precision::Day),
            Self::DateTime => DateTime::from_bytes(text).is_some(),
            Self::Instant => DateTime::from_bytes(text).is_some_and(|date| date.precision() > Precision::Day),
            Self::Time => time(text).is_some_and(|(_, _, rest)| rest.is_empty()),
            _ => return Some("the value may not be a string"),
        };
        (!valid).then(|| self.format_problem())
    }

    const fn format_problem(self) -> &'static str {
        match self {
            Self::Code => "the value is not a code: white space at an end or twice in a row",
            Self::Uri => "the value is not a uri: it contains white space",
            Self::Url => "the value is not a url: it contains white space",
            Self::Canonical => "the value is not a canonical url: it contains white space",
            Self::Id => "the value is not an id: 1 to 64 letters, digits, dashes and dots",
            Self::Oid => "the value is not an oid such as urn:oid:1.2.3",
            Self::Uuid => "the value is not a uuid such as urn:uuid: and 32 lower-case hexadecimal digits",
            Self::Base64Binary => "the value is not base64",
            Self::Date => "the value is not a date: YYYY, YYYY-MM or YYYY-MM-DD",
            Self::DateTime => {
                "the value is not a dateTime: a date, or a date, a time with seconds and a zone"
            }
            Self::Instant => "the value is not an instant: a date, a time with seconds and a zone",
            Self::Time => "the value is not a time: hh:mm:ss",
            _ => "the value is not in the format of its type",
        }
    }
}

/// White space as the regular expressions of the specification mean it.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn string_problem(text: &[u8], plain: bool) -> Option<&'static str> {
    if text.len() > MAX_STRING_BYTES {
        return Some("a string may not be longer than 1 MiB");
    }
    if !text.iter().any(|&b| b > b' ') {
        return Some("a string may not consist of white space alone");
    }
    // Without escapes there are no control characters: JSON does not allow them.
    (!plain && has_control_character(text))
        .then_some("a string may not contain control characters other than tab, line feed and return")
}

/// Whether there is one other than tab, line feed and return.
fn has_control_character(text: &[u8]) -> bool {
    let mut at = 0;
    loop {
        at = find(text, at, |word| below(word, b' '));
        match text.get(at) {
            None => return false,
            Some(b'\t' | b'\n' | b'\r') => at += 1,
            Some(_) => return true,
        }
    }
}

/// An integer from `low` to the largest of 32 bits.
fn in_range(text: &[u8], low: i64) -> bool {
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1, digits),
        digits => (1, digits),
    };
    if digits.len() > 10 || !digits.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let value = sign * digits.iter().fold(0, |value, b| value * 10 + i64::from(b - b'0'));
    (low..=i64::from(i32::MAX)).contains(&value)
}

/// Whether there is neither white space nor a control character.
fn is_unspaced(text: &[u8]) -> bool {
    find(text, 0, |word| below(word, b' ' + 1)) == text.len()
}

fn is_code(text: &[u8]) -> bool {
    if is_unspaced(text) {
        return true;
    }
    let mut after_space = true;
    for &b in text {
        let space = is_space(b);
        if space && after_space {
            return false;
        }
        after_space = space;
    }
    !after_space
}

fn is_oid(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"urn:oid:") else { return false };
    let mut arcs = rest.split(|&b| b == b'.');
    let root = arcs.next().is_some_and(|arc| matches!(arc, b"0" | b"1" | b"2"));
    let arc = |arc: &[u8]| {
        arc == b"0" || (arc.iter().all(u8::is_ascii_digit) && arc.first().is_some_and(|&b| b != b'0'))
    };
    root && rest.len() > 1 && arcs.all(arc)
}

fn is_uuid(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"urn:uuid:") else { return false };
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    let digit =
        |(place, &b): (usize, &u8)| if matches!(place, 8 | 13 | 18 | 23) { b == b'-' } else { hex(b) };
    rest.len() == 36 && rest.iter().enumerate().all(digit)
}

/// Groups of four, with white space anywhere around and within them: some encoders break lines.
fn is_base64(text: &[u8]) -> bool {
    let body = text.trim_ascii_end();
    let pads = body.iter().rev().take_while(|&&b| b == b'=').count();
    let (mut spaces, mut classes) = (0, 0);
    for &b in &body[..body.len() - pads] {
        let class = BASE64_CLASS[usize::from(b)];
        classes |= class;
        spaces += usize::from(class & SPACE);
    }
    let length = body.len() - spaces;
    classes & FOREIGN == 0 && pads <= 2 && length > 0 && length.is_multiple_of(4)
}

const SPACE: u8 = 1;
const FOREIGN: u8 = 2;

/// 0 for the digits of base64, [`SPACE`], or [`FOREIGN`].
static BASE64_CLASS: [u8; 256] = {
    let mut classes = [FOREIGN; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        if byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/' {
            classes[byte as usize] = 0;
        } else if is_space(byte) {
            classes[byte as usize] = SPACE;
        }
        byte += 1;
    }
    classes
};

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Primitive, good: &[&str], bad: &[&str]) {
        let mut narrative = Narrative::default();
        for text in good {
            assert_eq!(
                kind.problem(text.as_bytes(), false, &mut narrative),
                None,
                "{} {text:?}",
                kind.name()
            );
        }
        for text in bad {
            assert!(
                kind.problem(text.as_bytes(), false, &mut narrative).is_some(),
                "{} {text:?}",
                kind.name()
            );
        }
    }

    #[test]
    fn each_format_is_that_of_the_specification() {
        check(Primitive::String, &["a", " a ", "a\tb\r\n", "\u{a0}"], &["", " ", "\t\n", "a\0", "a\u{8}"]);
        check(Primitive::Code, &["a", "a b", "a b c"], &["", " a", "a ", "a  b", "\t", "a\t b"]);
        check(Primitive::Uri, &["http://a.b/c", "urn:x", "ä"], &["", "a b", " a", "a\n"]);
        check(
            Primitive::Oid,
            &["urn:oid:1.2", "urn:oid:0.0.10"],
            &["1.2", "urn:oid:2", "urn:oid:3.1", "urn:oid:1.", "urn:oid:1.01", "urn:oid:"],
        );
        check(
            Primitive::Uuid,
            &["urn:uuid:01234567-89ab-cdef-0123-456789abcdef"],
            &[
                "01234567-89ab-cdef-0123-456789abcdef",
                "urn:uuid:01234567-89AB-cdef-0123-456789abcdef",
                "urn:uuid:0",
            ],
        );
        check(
            Primitive::Base64Binary,
            &["AAAA", "AA==", "AAA=", "AA AA", " AAAA\nAAAA ", "+/+/"],
            &["A", "AAA", "A===", "====", "AA=A", "A-_A", " "],
        );
        check(Primitive::Date, &["2020", "2020-02-29"], &["2020-02-29T00:00:00Z", "2019-02-29", "20200229"]);
        check(Primitive::DateTime, &["2020", "2020-02-29T00:00:00Z"], &["2020-02-29T00:00Z", "2020-02-29 "]);
        check(Primitive::Instant, &["2020-02-29T00:00:00.1+01:00"], &["2020", "2020-02-29"]);
        check(
            Primitive::Time,
            &["23:59:60", "00:00:00.123"],
            &["24:00:00", "10:00", "10:00:00Z", "10-00-00", "10:00:00."],
        );
        check(Primitive::Boolean, &[], &["true"]);
    }

    #[test]
    fn integers_have_32_bits() {
        for (kind, text, valid) in [
            (Primitive::Integer, "-2147483648", true),
            (Primitive::Integer, "2147483647", true),
            (Primitive::Integer, "2147483648", false),
            (Primitive::Integer, "-2147483649", false),
            (Primitive::Integer, "99999999999999999999999", false),
            (Primitive::Integer, "1.0", false),
            (Primitive::Integer, "1e2", false),
            (Primitive::PositiveInt, "0", false),
            (Primitive::PositiveInt, "1", true),
            (Primitive::UnsignedInt, "0", true),
            (Primitive::UnsignedInt, "-0", false),
            (Primitive::UnsignedInt, "-1", false),
            (Primitive::Decimal, "1e2", true),
            (Primitive::String, "1", false),
        ] {
            assert_eq!(kind.accepts_number(text.as_bytes()), valid, "{} {text}", kind.name());
        }
    }
}
