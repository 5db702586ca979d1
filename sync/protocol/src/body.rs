//! Resources inside messages: their exact bytes.
//!
//! Promise: the bytes that come out are those that went in. Nothing here parses a body into values.
//!
//! In a line, a body is the JSON object itself. A body whose bytes hold a line feed, or that has blanks around its
//! braces, would break the framing or lose them: it travels as a JSON string of its text.

use std::borrow::Cow;
use std::fmt;

use keepwell_fhir::ResourceType;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::error::{Error, Limit, Result};
use crate::hash::Hash;
use crate::id::Id;
use crate::limits::LINE_BYTES_MAX;

/// The type and the id of a resource.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ResourceKey {
    /// Its type.
    pub kind: ResourceType,
    /// Its logical id.
    pub id: Id,
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.id)
    }
}

impl ResourceKey {
    /// From the two texts of a line.
    pub(crate) fn from_texts(kind: &str, id: &str) -> Result<Self> {
        Ok(Self { kind: ResourceType::parse(kind).ok_or(Error::MALFORMED)?, id: id.parse()? })
    }
}

/// The JSON text of one resource, without `meta.versionId` and `meta.lastUpdated`, which the envelope has.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Body(Box<str>);

#[derive(Deserialize)]
struct Names<'a> {
    #[serde(rename = "resourceType", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
}

impl Body {
    /// Takes the bytes of a JSON object.
    ///
    /// # Errors
    /// [`Error::Malformed`] for anything else; [`Error::TooLarge`] above [`LINE_BYTES_MAX`].
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self> {
        Self::from_text(String::from_utf8(bytes.into()).map_err(|_| Error::MALFORMED)?)
    }

    /// Takes back what was a body before, from storage: it is not looked at again.
    #[must_use]
    pub fn stored(text: String) -> Self {
        Self(text.into())
    }

    fn from_text(text: String) -> Result<Self> {
        if text.len() > LINE_BYTES_MAX {
            return Err(Error::TooLarge(Limit::Resource));
        }
        let object = serde_json::from_str::<&RawValue>(&text).is_ok_and(|raw| raw.get().starts_with('{'));
        if object { Ok(Self(text.into())) } else { Err(Error::MALFORMED) }
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The bytes, to keep.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_string().into_bytes()
    }

    /// The hash of the bytes.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::of(self.as_bytes())
    }

    /// The type and the id that the body itself states.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it lacks one, has one twice, or has one that R4 does not know.
    pub fn key(&self) -> Result<ResourceKey> {
        let names: Names<'_> = serde_json::from_str(&self.0).map_err(|_| Error::MALFORMED)?;
        ResourceKey::from_texts(&names.kind, &names.id)
    }

    /// Appends the body as it stands in a line.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        if self.stands_in_a_line() {
            out.extend_from_slice(self.as_bytes());
        } else {
            serde_json::to_writer(out, &*self.0).expect("a text is JSON and memory takes all bytes");
        }
    }

    fn stands_in_a_line(&self) -> bool {
        self.0.starts_with('{') && self.0.ends_with('}') && !self.0.contains('\n')
    }
}

/// Says how long it is, not what it holds.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.0.len())
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.stands_in_a_line() {
            return serializer.serialize_str(&self.0);
        }
        let raw: &RawValue = serde_json::from_str(&self.0).expect("it was JSON when it was made");
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let body = match raw.get().as_bytes().first() {
            Some(b'{') => Ok(Self(raw.into())),
            _ => serde_json::from_str(raw.get()).map_err(|_| Error::MALFORMED).and_then(Self::from_text),
        };
        body.map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_body_with_line_feeds_travels_as_a_string() {
        for (text, travels) in [
            (r#"{"a": 1.10}"#, r#"{"a": 1.10}"#),
            (" {}", r#"" {}""#),
            ("{\n \"a\":1e3\n}", r#""{\n \"a\":1e3\n}""#),
            ("{\"a\":\"\u{2028}\"}\r\n", "\"{\\\"a\\\":\\\"\u{2028}\\\"}\\r\\n\""),
        ] {
            let body = Body::new(text).unwrap();
            assert_eq!(serde_json::to_string(&body).unwrap(), travels);
            assert_eq!(serde_json::from_str::<Body>(travels).unwrap().as_bytes(), text.as_bytes());
        }
    }

    #[test]
    fn only_an_object_is_a_body() {
        for text in ["", "[]", "1", "null", "\"{}\"", "{", "{}{}", "{\"a\":}", "nul"] {
            assert_eq!(Body::new(text), Err(Error::MALFORMED), "{text}");
        }
        for line in ["[]", "\"[]\"", "\"\"", "\"\\\"{}\\\"\"", "null", "12"] {
            assert!(serde_json::from_str::<Body>(line).is_err(), "{line}");
        }
        assert_eq!(Body::new(vec![b' '; LINE_BYTES_MAX + 1]).unwrap_err(), Error::TooLarge(Limit::Resource));
    }

    #[test]
    fn depth_does_not_reach_the_stack() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        let body = Body::new(deep.clone()).unwrap();
        assert_eq!(body.key(), Err(Error::MALFORMED));
        assert_eq!(serde_json::from_str::<Body>(&deep).unwrap(), body);
    }

    #[test]
    fn a_body_names_its_resource_once() {
        let key = |text: &str| Body::new(text).unwrap().key().map(|key| key.to_string());
        assert_eq!(key(r#"{"id":"7","x":[{"id":"8"}],"resourceType":"Patient"}"#).unwrap(), "Patient/7");
        for text in [
            r#"{"resourceType":"Patient"}"#,
            r#"{"resourceType":"Patient","id":"7","id":"8"}"#,
            r#"{"resourceType":"Patience","id":"7"}"#,
            r#"{"resourceType":"Patient","id":"a/b"}"#,
            r#"{"resourceType":"Patient","id":7}"#,
        ] {
            assert_eq!(key(text), Err(Error::MALFORMED), "{text}");
        }
    }

    proptest! {
        #[test]
        fn bodies_round_trip(before in "[ \n\r\t]{0,3}", text in "\\PC{0,40}", after in "[ \n\r\t]{0,3}") {
            let json = format!("{before}{{{after}\"text\":{}}}{after}", serde_json::to_string(&text).unwrap());
            let body = Body::new(json.clone()).unwrap();
            let line = serde_json::to_string(&body).unwrap();
            prop_assert!(!line.contains('\n'));
            let back = serde_json::from_str::<Body>(&line).unwrap();
            prop_assert_eq!(back.as_bytes(), json.as_bytes());
        }
    }
}
