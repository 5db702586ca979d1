//! JSON as a tree of slices of the text it was read from.
//!
//! The text has been walked before, so nothing is checked here; text that is no JSON gives no tree, and no panic.
//!
//! Two values are the same if they say the same: whatever the order of members, the spaces and the escapes. Numbers
//! are the same if they are spelled alike, since `1.0` is not `1.00` in FHIR (R4 datatypes.html#decimal).

use std::borrow::Cow;

use keepwell_fhir::{MAX_DEPTH, Span};
use memchr::memchr2;

/// A value. `raw` is all of its text.
#[derive(Debug)]
pub(crate) struct Json<'a> {
    pub(crate) raw: &'a str,
    pub(crate) shape: Shape<'a>,
    /// Equal for values that are the same.
    pub(crate) hash: u64,
}

#[derive(Debug)]
pub(crate) enum Shape<'a> {
    /// A string, with its text.
    Text(Cow<'a, str>),
    /// A number, a boolean or null.
    Word,
    Array(Vec<Json<'a>>),
    Object(Vec<Member<'a>>),
}

#[derive(Debug)]
pub(crate) struct Member<'a> {
    pub(crate) key: Cow<'a, str>,
    /// The key as it is spelled, with its quotes.
    pub(crate) raw_key: &'a str,
    pub(crate) value: Json<'a>,
}

impl<'a> Json<'a> {
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        let mut reader = Reader { text, at: 0, items: Vec::new(), members: Vec::new() };
        let value = reader.value(0)?;
        reader.space();
        (reader.at == text.len()).then_some(value)
    }

    /// Whether two values say the same.
    pub(crate) fn same(&self, other: &Self) -> bool {
        if self.hash != other.hash {
            return false;
        }
        if self.raw == other.raw {
            return true;
        }
        match (&self.shape, &other.shape) {
            (Shape::Text(one), Shape::Text(two)) => one == two,
            (Shape::Array(one), Shape::Array(two)) => {
                one.len() == two.len() && one.iter().zip(two).all(|(one, two)| one.same(two))
            }
            (Shape::Object(one), Shape::Object(two)) => {
                let (one, two) = (sorted(one), sorted(two));
                let equal = |(one, two): (&&Member<'_>, &&Member<'_>)| {
                    one.key == two.key && one.value.same(&two.value)
                };
                one.len() == two.len() && one.iter().zip(&two).all(equal)
            }
            _ => false,
        }
    }

    pub(crate) fn members(&self) -> &[Member<'a>] {
        match &self.shape {
            Shape::Object(members) => members,
            _ => &[],
        }
    }

    pub(crate) const fn is_object(&self) -> bool {
        matches!(self.shape, Shape::Object(_))
    }

    pub(crate) fn items(&self) -> Option<&[Self]> {
        match &self.shape {
            Shape::Array(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.members().iter().find(|member| member.key == key).map(|member| &member.value)
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.shape {
            Shape::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        self.raw == "null"
    }
}

fn sorted<'m, 'a>(members: &'m [Member<'a>]) -> Vec<&'m Member<'a>> {
    let mut members: Vec<_> = members.iter().collect();
    members.sort_unstable_by(|one, two| one.key.cmp(&two.key));
    members
}

/// Reads text that the walker has checked.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Of all arrays that are open: each takes its own when it ends, in a vector that fits.
    items: Vec<Json<'a>>,
    /// Of all objects that are open.
    members: Vec<Member<'a>>,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Steps over a byte if it is the next one behind spaces.
    fn skip(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Option<Json<'a>> {
        self.space();
        let start = self.at;
        let (shape, hash) = match self.peek()? {
            b'{' => self.object(depth + 1)?,
            b'[' => self.array(depth + 1)?,
            b'"' => {
                let text = self.string()?;
                let hash = hash(b'"', text.as_bytes());
                (Shape::Text(text), hash)
            }
            _ => self.word()?,
        };
        Some(Json { raw: self.text.get(start..self.at)?, shape, hash })
    }

    fn word(&mut self) -> Option<(Shape<'a>, u64)> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
            self.at += 1;
        }
        let word = self.text.get(start..self.at).filter(|word| !word.is_empty())?;
        Some((Shape::Word, hash(b'0', word.as_bytes())))
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        let (mut at, mut has_escape) = (start, false);
        loop {
            at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
            if bytes[at] == b'"' {
                break;
            }
            (at, has_escape) = (at + 2, true);
        }
        self.at = at + 1;
        let raw = self.text.get(start..at)?;
        if !has_escape {
            return Some(Cow::Borrowed(raw));
        }
        let span = Span { start: 0, end: u32::try_from(raw.len()).ok()? };
        Some(span.text(raw.as_bytes()))
    }

    fn array(&mut self, depth: usize) -> Option<(Shape<'a>, u64)> {
        self.at += 1;
        let first = self.items.len();
        let mut sum = hash(b'[', &[]);
        if depth > MAX_DEPTH {
            return None;
        }
        if !self.skip(b']') {
            loop {
                let item = self.value(depth)?;
                sum = mix(sum.rotate_left(5) ^ item.hash);
                self.items.push(item);
                if !self.skip(b',') {
                    break;
                }
            }
            if !self.skip(b']') {
                return None;
            }
        }
        Some((Shape::Array(self.items.drain(first..).collect()), sum))
    }

    fn object(&mut self, depth: usize) -> Option<(Shape<'a>, u64)> {
        self.at += 1;
        let first = self.members.len();
        let mut sum = hash(b'{', &[]);
        if depth > MAX_DEPTH {
            return None;
        }
        if !self.skip(b'}') {
            loop {
                let member = self.member(depth)?;
                // A sum does not depend on the order of members.
                sum = sum
                    .wrapping_add(mix(hash(b':', member.key.as_bytes()) ^ member.value.hash.rotate_left(17)));
                self.members.push(member);
                if !self.skip(b',') {
                    break;
                }
            }
            if !self.skip(b'}') {
                return None;
            }
        }
        Some((Shape::Object(self.members.drain(first..).collect()), mix(sum)))
    }

    fn member(&mut self, depth: usize) -> Option<Member<'a>> {
        self.space();
        let start = self.at;
        if self.peek() != Some(b'"') {
            return None;
        }
        let key = self.string()?;
        let raw_key = self.text.get(start..self.at)?;
        if !self.skip(b':') {
            return None;
        }
        Some(Member { key, raw_key, value: self.value(depth)? })
    }
}

/// A hash that is the same in each run: results must not depend on chance. It only sorts out what differs, so nothing
/// is lost if someone finds two texts with the same one.
fn hash(kind: u8, bytes: &[u8]) -> u64 {
    let mut sum = u64::from(kind) << 56 ^ bytes.len() as u64;
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("a word has 8 bytes"));
        sum = (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        sum ^= sum >> 32;
    }
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    mix(sum ^ u64::from_le_bytes(last))
}

/// Spreads a change of any bit over all of them (the finaliser of SplitMix64).
const fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(one: &str, two: &str) -> bool {
        let (one, two) = (Json::read(one).unwrap(), Json::read(two).unwrap());
        let same = one.same(&two);
        assert_eq!(same, two.same(&one));
        same
    }

    #[test]
    fn values_are_the_same_if_they_say_the_same() {
        assert!(same(r#"{"a":[1, 2],"b":"ä"}"#, r#"{ "b" : "\u00e4", "\u0061":[1,2] }"#));
        assert!(same("{}", "{ }") && same("[ ]", "[]") && same("null", "null"));
    }

    #[test]
    fn what_is_spelled_otherwise_in_numbers_or_ordered_otherwise_in_arrays_differs() {
        for (one, two) in
            [("1.0", "1.00"), ("[1,2]", "[2,1]"), ("1", "\"1\""), ("[]", "{}"), ("[[1],2]", "[1,[2]]")]
        {
            assert!(!same(one, two), "{one} {two}");
        }
        assert!(!same(r#"{"a":1,"b":2}"#, r#"{"a":2,"b":1}"#) && !same(r#"{"a":{}}"#, r#"{"a":{"b":1}}"#));
    }

    #[test]
    fn what_is_no_json_gives_no_tree() {
        for text in ["", "{", "[1", "[1,]", "{\"a\"}", "{\"a\":}", "\"", "\"\\", "1 2", "{1:2}", "}", "[}"] {
            assert!(Json::read(text).is_none(), "{text}");
        }
    }
}
