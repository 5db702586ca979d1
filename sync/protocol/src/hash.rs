//! Hashes: SHA-256, written as 43 characters of base64url.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{Context, SHA256, digest};

use crate::error::Error;
use crate::text::as_text;

/// The SHA-256 of some bytes: a resource's body, a frozen mutation, an attachment, a dictionary.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The hash of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
        Self(hash)
    }

    /// The hash of bytes that come in pieces.
    ///
    /// # Errors
    /// The first error among the pieces.
    pub fn of_pieces<E>(pieces: impl IntoIterator<Item = Result<Vec<u8>, E>>) -> Result<Self, E> {
        let mut context = Context::new(&SHA256);
        for piece in pieces {
            context.update(&piece?);
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        Ok(Self(hash))
    }

    /// A hash that was computed elsewhere.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut hash = [0; 32];
        if text.len() != 43 {
            return Err(Error::MALFORMED);
        }
        match URL_SAFE_NO_PAD.decode_slice(text, &mut hash) {
            Ok(32) => Ok(Self(hash)),
            _ => Err(Error::MALFORMED),
        }
    }
}

as_text!(Hash);

/// The first 64 bits of a hash, as 11 characters: tells the body that a delta was made against, or the line that was
/// decided, from any that may be at hand, in a third of the bytes. What comes of a delta has a checksum of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct HashStart([u8; 8]);

impl HashStart {
    /// Of the hash of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Hash::of(bytes).into()
    }
}

impl From<Hash> for HashStart {
    fn from(hash: Hash) -> Self {
        let mut start = [0; 8];
        start.copy_from_slice(&hash.0[..8]);
        Self(start)
    }
}

impl fmt::Display for HashStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl FromStr for HashStart {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut start = [0; 8];
        if text.len() != 11 {
            return Err(Error::MALFORMED);
        }
        match URL_SAFE_NO_PAD.decode_slice(text, &mut start) {
            Ok(8) => Ok(Self(start)),
            _ => Err(Error::MALFORMED),
        }
    }
}

as_text!(HashStart);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_has_one_spelling() {
        let hash = Hash::of(b"abc");
        assert_eq!(Hash::of_pieces([Ok::<_, ()>(b"ab".to_vec()), Ok(b"c".to_vec())]), Ok(hash));
        let text = hash.to_string();
        assert_eq!(text, "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
        assert_eq!(text.parse(), Ok(hash));
        // The last character carries two bits that are not part of the hash.
        for other in ["ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa1", &text[1..], "", &format!("{text}=")] {
            assert!(other.parse::<Hash>().is_err());
        }
        let start = HashStart::of(b"abc").to_string();
        assert_eq!(start, "ungWv48Bz-o");
        assert_eq!(start.parse::<HashStart>(), Ok(HashStart::of(b"abc")));
        for other in ["ungWv48Bz-p", &start[1..], "", &text] {
            assert!(other.parse::<HashStart>().is_err());
        }
    }
}
