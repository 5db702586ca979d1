//! The secret of an invitation.
//!
//! 128 random bits and a checksum of 32, as 32 characters in groups of four. With so many bits nobody guesses one, so
//! that attempts need not be counted, and its hash can be kept without stretching. The checksum tells a typing error
//! from a code that is not known.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::device::random;
use crate::pin::sha256;
use crate::{Error, base32};

/// Length of the secret in bytes.
pub(crate) const SECRET_BYTES: usize = 16;
/// Length of a checksum in bytes.
pub(crate) const CHECKSUM_BYTES: usize = 4;
/// Characters in a group.
const GROUP: usize = 4;
/// Keeps the two hashes of a code apart. Frozen: codes are out there.
const CHECKSUM_LABEL: &[u8] = b"keepwell invitation checksum 1";
const DIGEST_LABEL: &[u8] = b"keepwell invitation code 1";

/// The secret of an invitation. It is wiped when it is dropped and prints nothing.
///
/// ```
/// use keepwell_tls::InvitationCode;
///
/// let code = InvitationCode::random()?;
/// let typed = code.text().to_lowercase().replace('-', " ");
/// assert_eq!(typed.parse::<InvitationCode>()?.digest(), code.digest());
/// # Ok::<(), keepwell_tls::Error>(())
/// ```
pub struct InvitationCode(Zeroizing<[u8; SECRET_BYTES]>);

/// What the server keeps of a code: enough to know it again, not to use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CodeDigest([u8; 32]);

impl CodeDigest {
    /// The digest as bytes: a key for the server's table.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl InvitationCode {
    /// A fresh code.
    ///
    /// # Errors
    /// [`Error::Key`] if the generator of the operating system fails.
    pub fn random() -> Result<Self, Error> {
        random().map(|secret| Self(Zeroizing::new(secret)))
    }

    pub(crate) fn from_bytes(secret: &[u8]) -> Option<Self> {
        let mut own = Zeroizing::new([0; SECRET_BYTES]);
        (secret.len() == SECRET_BYTES).then(|| own.copy_from_slice(secret))?;
        Some(Self(own))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }

    /// The code for people: eight groups of four characters.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        let bytes = Zeroizing::new([self.0.as_slice(), &checksum(self.0.as_slice())].concat());
        let plain = base32::encode(&bytes);
        let mut text = Zeroizing::new(String::with_capacity(plain.len() + plain.len() / GROUP));
        for (place, character) in plain.chars().enumerate() {
            if place > 0 && place % GROUP == 0 {
                text.push('-');
            }
            text.push(character);
        }
        text
    }

    /// What the server keeps and looks the code up by.
    #[must_use]
    pub fn digest(&self) -> CodeDigest {
        let bytes = Zeroizing::new([DIGEST_LABEL, self.0.as_slice()].concat());
        CodeDigest(sha256(&bytes))
    }
}

pub(crate) fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let labelled = Zeroizing::new([CHECKSUM_LABEL, bytes].concat());
    let [first, second, third, fourth, ..] = sha256(&labelled);
    [first, second, third, fourth]
}

impl fmt::Debug for InvitationCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("InvitationCode(..)")
    }
}

impl FromStr for InvitationCode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bytes = base32::decode(text.trim()).ok_or(Error::Invitation)?;
        let (secret, check) = bytes.split_at_checked(SECRET_BYTES).ok_or(Error::Invitation)?;
        let code = Self::from_bytes(secret).filter(|_| check == checksum(secret));
        code.ok_or(Error::Invitation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_frozen() {
        let code = InvitationCode::from_bytes(b"sixteen bytes !!").expect("16 bytes");
        assert_eq!(code.text().as_str(), "EDMQ-GX35-CNQ2-0RKS-EHJQ-6811-46N9-MH5X");
        let digest = code.digest().as_bytes()[..4].to_vec();
        assert_eq!(digest, [27, 10, 39, 53]);
    }

    #[test]
    fn a_typing_error_is_noticed() {
        let text = InvitationCode::random().expect("a code").text().replace('-', "");
        for at in 0..text.len() {
            let other = if &text[at..=at] == "7" { "8" } else { "7" };
            let wrong = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert!(matches!(wrong.parse::<InvitationCode>(), Err(Error::Invitation)), "{at}");
        }
        for at in 1..text.len() {
            let swapped =
                format!("{}{}{}{}", &text[..at - 1], &text[at..=at], &text[at - 1..at], &text[at + 1..]);
            assert!(swapped == text || swapped.parse::<InvitationCode>().is_err(), "{at}");
        }
        assert!(text[1..].parse::<InvitationCode>().is_err());
        assert!("".parse::<InvitationCode>().is_err());
    }

    #[test]
    fn a_code_is_not_printed() {
        let code = InvitationCode::random().expect("a code");
        assert_eq!(format!("{code:?}"), "InvitationCode(..)");
    }
}
