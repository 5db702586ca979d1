//! Ids: of resources, devices, tenants, records and uploads.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::text::as_text;

/// A name by the rules of FHIR ids: 1 to 64 of `A-Z a-z 0-9 - .` (R4 datatypes.html#id).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(Box<str>);

impl Id {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Id {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if keepwell_fhir::valid_id(text) { Ok(Self(text.into())) } else { Err(Error::MALFORMED) }
    }
}

as_text!(Id);
