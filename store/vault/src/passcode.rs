//! Words that people remember, stretched into keys.
//!
//! [`Stretching`] holds the cost of Argon2id; it is stored next to the salt, so that the cost can rise later.
//!
//! Invariant: no parameters below [`Stretching::FLOOR`] are ever used, whatever a file says, and none above
//! [`Stretching::CEILING`], so that a damaged file cannot demand all memory of the machine.

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::bytes::Bytes;
use crate::crypto;
use crate::error::Error;
use crate::key::Key;

/// Length of a salt in bytes.
pub const SALT_BYTES: usize = 16;

/// A passcode or passphrase; wiped on drop, printed as `Passcode(..)`.
///
/// The bytes are used as they are: a host that accepts non-ASCII input should bring it into one Unicode form.
pub struct Passcode(Zeroizing<String>);

impl Passcode {
    /// Takes over the text.
    ///
    /// # Errors
    /// [`Error::EmptyPasscode`] if the text is empty.
    pub fn new(text: String) -> Result<Self, Error> {
        let text = Zeroizing::new(text);
        if text.is_empty() { Err(Error::EmptyPasscode) } else { Ok(Self(text)) }
    }

    /// A fresh recovery passphrase with 160 random bits, in eight groups of four letters and digits that
    /// survive handwriting (no `0 1 8 9`, as in RFC 4648 base32).
    ///
    /// ```
    /// let phrase = keepwell_vault::Passcode::generate();
    /// assert_eq!(phrase.expose().len(), 39);
    /// ```
    #[must_use]
    pub fn generate() -> Self {
        const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let random = Zeroizing::new(crypto::random::<32>());
        let mut text = Zeroizing::new(String::with_capacity(39));
        for (index, byte) in random.iter().enumerate() {
            if index > 0 && index % 4 == 0 {
                text.push('-');
            }
            text.push(char::from(LETTERS[usize::from(byte % 32)]));
        }
        Self(text)
    }

    /// The text, to show it once to its owner.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passcode(..)")
    }
}

/// Cost of Argon2id (RFC 9106).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stretching {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Stretching {
    /// The least that is accepted: the OWASP minimum.
    pub const FLOOR: Self = Self { memory_kib: 19 * 1024, passes: 2, lanes: 1 };
    /// The most that is accepted.
    pub const CEILING: Self = Self { memory_kib: 1024 * 1024, passes: 64, lanes: 16 };

    /// Stretches `passcode` into a key.
    ///
    /// # Errors
    /// [`Error::WeakStretching`] outside of floor and ceiling.
    ///
    /// ```
    /// use keepwell_vault::{Passcode, Stretching};
    /// let phrase = Passcode::new("correct horse battery staple".to_owned())?;
    /// let key = Stretching::FLOOR.stretch(&phrase, b"sixteen byte salt")?;
    /// assert_eq!(key.expose().len(), 32);
    /// # Ok::<(), keepwell_vault::Error>(())
    /// ```
    pub fn stretch(&self, passcode: &Passcode, salt: &[u8]) -> Result<Key, Error> {
        if !self.is_accepted() {
            return Err(Error::WeakStretching);
        }
        let params =
            Params::new(self.memory_kib, self.passes, self.lanes, None).map_err(|_| Error::WeakStretching)?;
        let mut blocks = Memory(vec![Block::default(); params.block_count()]);
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        Key::filled(|out| {
            argon.hash_password_into_with_memory(passcode.0.as_bytes(), salt, out, &mut blocks.0)
        })
        .map_err(|_| Error::WeakStretching)
    }

    /// Whether the cost lies between floor and ceiling.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.is_at_least(&Self::FLOOR)
            && Self::CEILING.is_at_least(self)
            // RFC 9106 asks for eight blocks a lane.
            && self.memory_kib >= 8 * self.lanes
    }

    pub(crate) const fn is_at_least(&self, other: &Self) -> bool {
        self.memory_kib >= other.memory_kib && self.passes >= other.passes && self.lanes >= other.lanes
    }
}

impl Default for Stretching {
    /// 64 MiB, three passes, one lane: about a quarter of a second on a phone.
    fn default() -> Self {
        Self { memory_kib: 64 * 1024, passes: 3, lanes: 1 }
    }
}

/// Working memory of Argon2id, wiped after use.
struct Memory(Vec<Block>);

impl Drop for Memory {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(Zeroize::zeroize);
    }
}

/// A stretching with its salt, as it stands in the key file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Salted {
    pub(crate) cost: Stretching,
    salt: Bytes<SALT_BYTES>,
}

impl Salted {
    pub(crate) fn new(cost: Stretching) -> Self {
        Self { cost, salt: Bytes(crypto::random()) }
    }

    pub(crate) fn stretch(&self, passcode: &Passcode) -> Result<Key, Error> {
        self.cost.stretch(passcode, &self.salt.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_outside_of_floor_and_ceiling_are_refused() {
        let floor = Stretching::FLOOR;
        let refused = [
            Stretching { memory_kib: floor.memory_kib - 1, ..floor },
            Stretching { passes: 1, ..floor },
            Stretching { lanes: 0, ..floor },
            Stretching { memory_kib: u32::MAX, ..floor },
            Stretching { passes: u32::MAX, ..floor },
            Stretching { lanes: 17, ..floor },
        ];
        let passcode = Passcode::new("1234".to_owned()).unwrap();
        for cost in refused {
            assert!(
                matches!(cost.stretch(&passcode, &[0; SALT_BYTES]), Err(Error::WeakStretching)),
                "{cost:?}"
            );
        }
        assert!(
            floor.is_accepted() && Stretching::CEILING.is_accepted() && Stretching::default().is_accepted()
        );
    }

    #[test]
    fn empty_passcodes_are_refused_and_nothing_is_printed() {
        assert!(matches!(Passcode::new(String::new()), Err(Error::EmptyPasscode)));
        assert_eq!(format!("{:?}", Passcode::new("secret".to_owned()).unwrap()), "Passcode(..)");
        assert_ne!(Passcode::generate().expose(), Passcode::generate().expose());
    }
}
