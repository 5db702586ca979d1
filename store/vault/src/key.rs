//! Keys that wipe themselves.
//!
//! A [`Key`] lives in one place on the heap, cannot be cloned, prints as `Key(..)` and is overwritten when it is
//! dropped. [`Keys`] is what an unlocked vault hands out.

use std::fmt;

use zeroize::Zeroize;

/// Length of every key in bytes: AES-256 and HMAC-SHA-256.
pub const KEY_BYTES: usize = 32;

/// A 256-bit key.
///
/// It cannot be copied by accident:
/// ```compile_fail
/// fn copy(key: &keepwell_vault::Key) -> keepwell_vault::Key {
///     key.clone()
/// }
/// ```
pub struct Key(Box<[u8; KEY_BYTES]>);

impl Key {
    /// A fresh key from the random generator of the operating system.
    #[must_use]
    pub fn generate() -> Self {
        let mut key = Self(Box::new([0; KEY_BYTES]));
        crate::crypto::fill_random(key.0.as_mut_slice());
        key
    }

    /// Takes over 32 bytes and wipes the place they came from.
    #[must_use]
    pub fn take(bytes: &mut [u8; KEY_BYTES]) -> Self {
        let key = Self::copied(bytes);
        bytes.zeroize();
        key
    }

    /// The bytes, for a cipher or a connection. Do not keep a copy.
    #[must_use]
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// A key filled in place by `fill`, so that its bytes never lie elsewhere.
    pub(crate) fn filled<E>(fill: impl FnOnce(&mut [u8; KEY_BYTES]) -> Result<(), E>) -> Result<Self, E> {
        let mut key = Self(Box::new([0; KEY_BYTES]));
        fill(&mut key.0)?;
        Ok(key)
    }

    /// A second copy: a decision of this crate, never of its callers.
    pub(crate) fn duplicate(&self) -> Self {
        Self::copied(&self.0)
    }

    /// Copies straight into the heap: `Box::new(*bytes)` would leave a copy on the stack.
    fn copied(bytes: &[u8; KEY_BYTES]) -> Self {
        let mut key = Self(Box::new([0; KEY_BYTES]));
        key.0.copy_from_slice(bytes);
        key
    }

    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::copied)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// The keys of an open store, one for each purpose. Drop it to forget them.
#[derive(Debug)]
pub struct Keys {
    /// Raw key of the SQLCipher database.
    pub database: Key,
    /// The other database key while a rotation is under way: a crash may have left the file under either.
    pub pending_database: Option<Key>,
    /// Root of the keys of single blobs ([`crate::blob`]).
    pub blob: Key,
    /// MAC key of the audit chain.
    pub audit: Key,
    /// MAC key of the rollback state.
    pub anchor: Key,
    /// Protects what waits for, and came from, the sync server.
    pub sync: Key,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_print_nothing_and_are_unique() {
        assert_eq!(format!("{:?}", Key::generate()), "Key(..)");
        let keys: std::collections::HashSet<_> = (0..10_000).map(|_| *Key::generate().expose()).collect();
        assert_eq!(keys.len(), 10_000);
    }

    #[test]
    fn taking_bytes_wipes_their_origin() {
        let mut bytes = [7; KEY_BYTES];
        assert_eq!(Key::take(&mut bytes).expose(), &[7; KEY_BYTES]);
        assert_eq!(bytes, [0; KEY_BYTES]);
    }
}
