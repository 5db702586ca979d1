//! The SHA-256 of a public key, by which a server is known.
//!
//! A pin is taken of the SubjectPublicKeyInfo, so that a renewed certificate keeps the pin of its key.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use crate::Error;

/// Length of a SHA-256 in bytes.
pub(crate) const HASH_BYTES: usize = 32;
/// Stands before the base64 of a pin, as in RFC 7469 and the tools that follow it.
const PREFIX: &str = "sha256/";

/// The SHA-256 of a SubjectPublicKeyInfo in DER; written as `sha256/` and base64.
///
/// ```
/// use keepwell_tls::Pin;
///
/// let pin = Pin::of_key_info(b"the DER of a public key");
/// assert_eq!(pin.to_string().parse::<Pin>()?, pin);
/// # Ok::<(), keepwell_tls::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Pin([u8; HASH_BYTES]);

impl Pin {
    /// The pin of a public key, given as SubjectPublicKeyInfo in DER.
    #[must_use]
    pub fn of_key_info(key_info: &[u8]) -> Self {
        Self(sha256(key_info))
    }

    /// The pin of the key in a certificate.
    ///
    /// # Errors
    /// [`Error::Key`] if it is no certificate.
    pub fn of_certificate(certificate: &CertificateDer<'_>) -> Result<Self, Error> {
        let parsed = webpki::EndEntityCert::try_from(certificate).map_err(|_| Error::Key)?;
        Ok(Self::of_key_info(&parsed.subject_public_key_info()))
    }

    pub(crate) fn from_bytes(bytes: [u8; HASH_BYTES]) -> Self {
        Self(bytes)
    }

    /// The hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; HASH_BYTES] {
    let mut hash = [0; HASH_BYTES];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

impl fmt::Display for Pin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PREFIX}{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl From<Pin> for String {
    fn from(pin: Pin) -> Self {
        pin.to_string()
    }
}

impl TryFrom<String> for Pin {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl FromStr for Pin {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let hash = text.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok());
        hash.and_then(|hash| hash.try_into().ok()).map(Self).ok_or(Error::PinSet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_written_in_one_way_only() {
        let pin = Pin::of_key_info(b"key");
        let text = pin.to_string();
        assert_eq!(text.len(), PREFIX.len() + 44);
        assert_eq!(text.parse::<Pin>().expect("a pin"), pin);
        for wrong in [&text[7..], &text[..text.len() - 1], "sha256/AAAA", "sha1/AAAA", ""] {
            assert!(wrong.parse::<Pin>().is_err(), "{wrong}");
        }
    }
}
