//! Instants inside messages: FHIR's text form, in UTC, with milliseconds.

use keepwell_fhir::Instant;
use serde::{Deserializer, Serializer};

#[derive(Clone, Copy)]
struct Text(Instant);

impl std::str::FromStr for Text {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Instant::parse(text).map(Self).ok_or(())
    }
}

pub(crate) fn serialize<S: Serializer>(instant: &Instant, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(instant)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Instant, D::Error> {
    crate::text::deserialize(deserializer).map(|Text(instant)| instant)
}

/// For members that may be absent.
pub(crate) mod optional {
    use super::{Deserializer, Instant, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        instant: &Option<Instant>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match instant {
            Some(instant) => serializer.collect_str(instant),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Instant>, D::Error> {
        super::deserialize(deserializer).map(Some)
    }
}
