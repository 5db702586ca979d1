//! A JSON document as a tree that can be edited and forgets nothing.
//!
//! Scalars and keys stay the slices of text that they were: `1.10`, `1E3`, a number of 400 digits and
//! `"\u00e9"` are written back as they came, and members keep their order. `serde_json::Value` cannot
//! promise that: it rewrites exponents, moves the last member into the gap when one is removed, and takes a
//! member named after its private number type for a number.
//!
//! Invariants: every token is valid JSON; no object has two members of one name; no parsed document is
//! deeper than [`MAX_DEPTH`].

use std::borrow::Cow;

use crate::scanner::{Scanner, Stop};
use crate::syntax::SyntaxErrorKind as Kind;
use crate::{MAX_DEPTH, SyntaxError};

/// Members of one object in a document or a patch. The widest R4 type has fewer than 80 elements, twice
/// that with the `_` members of primitives. The limit keeps lookups by comparison cheap.
const MAX_MEMBERS: usize = 256;

/// A value of a JSON document, borrowed from the text it was read from.
#[derive(Debug, Clone)]
pub(super) enum Node<'a> {
    /// A string (with its quotes), a number or a literal, as spelled.
    Scalar(&'a str),
    /// The items of an array.
    Array(Vec<Self>),
    /// The members of an object, in their order.
    Object(Vec<Member<'a>>),
}

/// A member of an object.
#[derive(Debug, Clone)]
pub(super) struct Member<'a> {
    /// The name as spelled, with its quotes.
    token: Cow<'a, str>,
    /// The value.
    pub(super) value: Node<'a>,
}

impl<'a> Member<'a> {
    /// A member with this name, which is escaped as needed.
    pub(super) fn new(name: &str, value: Node<'a>) -> Self {
        let token = serde_json::to_string(name).expect("a string always serialises");
        Self { token: token.into(), value }
    }

    /// The name, without quotes and escapes.
    pub(super) fn name(&self) -> Cow<'_, str> {
        unescape(&self.token)
    }
}

impl<'a> Node<'a> {
    /// The `null` literal, the place holder in FHIR's arrays of primitives.
    pub(super) const NULL: Self = Self::Scalar("null");

    /// Reads a document.
    ///
    /// # Errors
    /// When the text is not one JSON value, names a member twice, or is too deep or too wide.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, SyntaxError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| SyntaxError { offset: error.valid_up_to(), kind: Kind::NotUtf8 })?;
        let mut reader = Reader { text, scanner: Scanner::new(bytes) };
        let node = reader.value(MAX_DEPTH).and_then(|node| reader.scanner.finish().map(|()| node));
        node.map_err(|stop| reader.scanner.failure(stop))
    }

    /// Appends the text of this value.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Scalar(token) => out.extend_from_slice(token.as_bytes()),
            Self::Array(items) => {
                out.push(b'[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            Self::Object(members) => {
                out.push(b'{');
                for (i, member) in members.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(member.token.as_bytes());
                    out.push(b':');
                    member.value.write(out);
                }
                out.push(b'}');
            }
        }
    }

    /// The number of bytes that [`write`](Self::write) appends, within the separators.
    pub(super) fn len_bytes(&self) -> usize {
        match self {
            Self::Scalar(token) => token.len(),
            Self::Array(items) => 2 + items.iter().map(|item| item.len_bytes() + 1).sum::<usize>(),
            Self::Object(members) => {
                2 + members.iter().map(|m| m.token.len() + 2 + m.value.len_bytes()).sum::<usize>()
            }
        }
    }

    /// Levels of arrays and objects: 0 for a scalar.
    pub(super) fn depth(&self) -> usize {
        match self {
            Self::Scalar(_) => 0,
            Self::Array(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Self::Object(members) => 1 + members.iter().map(|m| m.value.depth()).max().unwrap_or(0),
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Scalar("null"))
    }

    /// The text of a string, without quotes and escapes.
    pub(super) fn as_str(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Scalar(token) if token.starts_with('"') => Some(unescape(token)),
            _ => None,
        }
    }

    /// A scalar as spelled.
    pub(super) fn as_token(&self) -> Option<&'a str> {
        match self {
            Self::Scalar(token) => Some(token),
            _ => None,
        }
    }

    pub(super) fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn as_array_mut(&mut self) -> Option<&mut Vec<Self>> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn as_object(&self) -> Option<&[Member<'a>]> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    pub(super) fn as_object_mut(&mut self) -> Option<&mut Vec<Member<'a>>> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The value of a member; `None` when there is none or this is not an object.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        self.as_object()?.iter().find(|member| member.name() == name).map(|member| &member.value)
    }

    /// [`get`](Self::get), to be changed.
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Self> {
        self.as_object_mut()?.iter_mut().find(|member| member.name() == name).map(|member| &mut member.value)
    }

    /// Sets a member: in its place if it is there, else at the end. Does nothing to other values.
    pub(super) fn set(&mut self, name: &str, value: Self) {
        match self.get_mut(name) {
            Some(old) => *old = value,
            None => self.push(Member::new(name, value)),
        }
    }

    /// Appends a member whose name is new. Does nothing to other values.
    pub(super) fn push(&mut self, member: Member<'a>) {
        if let Self::Object(members) = self {
            members.push(member);
        }
    }

    /// Takes a member out; the others keep their order.
    pub(super) fn remove(&mut self, name: &str) -> Option<Self> {
        let members = self.as_object_mut()?;
        let at = members.iter().position(|member| member.name() == name)?;
        Some(members.remove(at).value)
    }

    /// Whether two values mean the same (RFC 6902 section 4.6): members in any order, numbers by value.
    pub(super) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Scalar(a), Self::Scalar(b)) => same_scalar(a, b),
            (Self::Array(a), Self::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b)),
            (Self::Object(a), Self::Object(b)) => {
                a.len() == b.len()
                    && a.iter().all(|m| other.get(&m.name()).is_some_and(|value| m.value.same(value)))
            }
            _ => false,
        }
    }
}

/// The meaning of a string token.
fn unescape(token: &str) -> Cow<'_, str> {
    if token.contains('\\') {
        Cow::Owned(serde_json::from_str(token).expect("the scanner has accepted the string"))
    } else {
        Cow::Borrowed(&token[1..token.len() - 1])
    }
}

fn same_scalar(a: &str, b: &str) -> bool {
    let is_number = |token: &str| token.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    match (a.starts_with('"'), b.starts_with('"')) {
        (true, true) => unescape(a) == unescape(b),
        (false, false) if is_number(a) && is_number(b) => same_number(a, b),
        _ => a == b,
    }
}

/// Whether two numbers are the same number: `1.10`, `1.1` and `11e-1` are.
fn same_number(a: &str, b: &str) -> bool {
    match (scientific(a), scientific(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// The sign, the digits from the first to the last that is not 0, and the power of ten that makes them a
/// whole number. `None` for an exponent beyond 64 bits, whose number equals its own spelling only.
fn scientific(token: &str) -> Option<(bool, String, i64)> {
    let (mantissa, exponent) = token.split_once(['e', 'E']).unwrap_or((token, "0"));
    let digits = mantissa.trim_start_matches('-').replace('.', "");
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some((false, String::new(), 0));
    }
    let significant = digits.trim_end_matches('0');
    let decimals = mantissa.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let exponent = exponent.parse::<i64>().ok()?;
    let exponent = exponent.checked_sub(i64::try_from(decimals).ok()?)?;
    let exponent = exponent.checked_add(i64::try_from(digits.len() - significant.len()).ok()?)?;
    Some((token.starts_with('-'), significant.to_owned(), exponent))
}

/// Builds a tree from tokens.
struct Reader<'a> {
    text: &'a str,
    scanner: Scanner<'a>,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth_left: usize) -> Result<Node<'a>, Stop> {
        let first = self.scanner.peek();
        if matches!(first, b'[' | b'{') {
            let Some(depth_left) = depth_left.checked_sub(1) else {
                return Err(self.scanner.stop(self.scanner.at, Kind::TooDeep));
            };
            self.scanner.at += 1;
            return if first == b'[' { self.items(depth_left) } else { self.members(depth_left) };
        }
        let start = self.scanner.at;
        match first {
            b'"' => drop(self.scanner.string()?),
            b'-' | b'0'..=b'9' => drop(self.scanner.number()?),
            b't' => self.scanner.literal(b"true")?,
            b'f' => self.scanner.literal(b"false")?,
            b'n' => self.scanner.literal(b"null")?,
            _ => return Err(self.scanner.unexpected()),
        }
        Ok(Node::Scalar(&self.text[start..self.scanner.at]))
    }

    fn items(&mut self, depth_left: usize) -> Result<Node<'a>, Stop> {
        let mut items = Vec::new();
        while self.another(items.is_empty(), b']')? {
            items.push(self.value(depth_left)?);
        }
        Ok(Node::Array(items))
    }

    fn members(&mut self, depth_left: usize) -> Result<Node<'a>, Stop> {
        let mut members: Vec<Member<'a>> = Vec::new();
        while self.another(members.is_empty(), b'}')? {
            if self.scanner.peek() != b'"' {
                return Err(self.scanner.unexpected());
            }
            let start = self.scanner.at;
            self.scanner.string()?;
            let token = Cow::Borrowed(&self.text[start..self.scanner.at]);
            let name = unescape(&token);
            if members.iter().any(|other| other.name() == name) {
                return Err(self.scanner.stop(start, Kind::DuplicateKey));
            }
            if members.len() == MAX_MEMBERS {
                return Err(self.scanner.stop(start, Kind::TooLarge));
            }
            self.scanner.expect(b':')?;
            members.push(Member { value: self.value(depth_left)?, token });
        }
        Ok(Node::Object(members))
    }

    /// Consumes the comma before another item, or the end of the array or object.
    fn another(&mut self, first: bool, end: u8) -> Result<bool, Stop> {
        if self.scanner.peek() == end {
            self.scanner.at += 1;
            return Ok(false);
        }
        if !first {
            self.scanner.expect(b',')?;
        }
        Ok(true)
    }
}
