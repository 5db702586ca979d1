//! Bytes inside JSON.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::Error;
use crate::text::as_text;

/// Bytes that travel as base64 with padding (RFC 4648, section 4).
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Base64(pub Vec<u8>);

impl fmt::Display for Base64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(&self.0))
    }
}

/// Says how many there are, not which.
impl fmt::Debug for Base64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Base64({} bytes)", self.0.len())
    }
}

impl FromStr for Base64 {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        STANDARD.decode(text).map(Self).map_err(|_| Error::MALFORMED)
    }
}

as_text!(Base64);
