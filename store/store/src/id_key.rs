//! Resource ids as they are stored.
//!
//! A lower-case UUID, which most ids are, takes 16 bytes; any other id stays text.
//!
//! Invariant: the id that comes out is the id that went in, and two ids are equal exactly when their keys are.

use std::fmt;

use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, Value, ValueRef};

/// A resource id in its stored form, for statements of extensions that name `resource.id`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IdKey {
    /// A lower-case UUID.
    Uuid([u8; 16]),
    /// Any other id.
    Text(Box<str>),
}

impl IdKey {
    /// The stored form of an id.
    #[must_use]
    pub fn new(id: &str) -> Self {
        parse_uuid(id.as_bytes()).map_or_else(|| Self::Text(id.into()), Self::Uuid)
    }

    /// The id that stands for a digest: a version 8 UUID (RFC 9562) of its first bytes.
    pub(crate) fn from_digest(digest: &[u8]) -> Self {
        let mut bytes: [u8; 16] = digest[..16].try_into().expect("a digest has 16 bytes and more");
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self::Uuid(bytes)
    }

    /// An id that has not been used before: a version 7 UUID (RFC 9562), so that new ids sort by time.
    pub(crate) fn generate(now_ms: i64, random: [u8; 10]) -> Self {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&now_ms.max(0).to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&random);
        bytes[6] = bytes[6] & 0x0f | 0x70;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self::Uuid(bytes)
    }
}

impl fmt::Display for IdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Uuid(bytes) => {
                let mut text = [b'-'; 36];
                for (group, place) in UUID_GROUPS {
                    hex::encode_to_slice(&bytes[group.0..group.1], &mut text[place.0..place.1])
                        .expect("each group is half as long as its place");
                }
                f.write_str(std::str::from_utf8(&text).expect("hexadecimal digits are ASCII"))
            }
        }
    }
}

/// An id may be a person's number: it is not printed by accident.
impl fmt::Debug for IdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdKey(..)")
    }
}

impl ToSql for IdKey {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Uuid(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

impl FromSql for IdKey {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Blob(bytes) => bytes.try_into().map(Self::Uuid).map_err(|_| FromSqlError::InvalidType),
            ValueRef::Text(_) => Ok(Self::Text(value.as_str()?.into())),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

impl From<IdKey> for Value {
    fn from(key: IdKey) -> Self {
        match key {
            IdKey::Uuid(bytes) => Self::Blob(bytes.to_vec()),
            IdKey::Text(text) => Self::Text(text.into()),
        }
    }
}

/// Where each group of bytes stands in the 36 characters of a UUID.
const UUID_GROUPS: [((usize, usize), (usize, usize)); 5] =
    [((0, 4), (0, 8)), ((4, 6), (9, 13)), ((6, 8), (14, 18)), ((8, 10), (19, 23)), ((10, 16), (24, 36))];

fn parse_uuid(text: &[u8]) -> Option<[u8; 16]> {
    if text.len() != 36 || text.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    if [8, 13, 18, 23].iter().any(|&dash| text[dash] != b'-') {
        return None;
    }
    let mut bytes = [0; 16];
    for (group, place) in UUID_GROUPS {
        hex::decode_to_slice(&text[place.0..place.1], &mut bytes[group.0..group.1]).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_comes_out_as_it_went_in() {
        for (id, is_uuid) in [
            ("0190163d-8694-739b-aea5-966c26f8ad91", true),
            ("0190163D-8694-739b-aea5-966c26f8ad91", false),
            ("0190163d-8694-739b-aea5-966c26f8ad9g", false),
            ("0190163d86943739b3aea53966c26f8ad911", false),
            ("example", false),
            ("1", false),
        ] {
            let key = IdKey::new(id);
            assert_eq!(key.to_string(), id);
            assert_eq!(matches!(key, IdKey::Uuid(_)), is_uuid, "{id}");
        }
    }

    #[test]
    fn generated_ids_are_version_7_and_sort_by_time() {
        let early = IdKey::generate(1_700_000_000_000, [0xff; 10]);
        let late = IdKey::generate(1_700_000_000_001, [0; 10]);
        assert!(early < late);
        assert_eq!(early.to_string(), "018bcfe5-6800-7fff-bfff-ffffffffffff");
        assert_eq!(IdKey::new(&early.to_string()), early);
    }
}
