//! A nonce that changes with each unlock and tells copies apart.
//!
//! The keychain holds the nonce of the last unlock, the directory that one and the one before. Whichever copy
//! of a directory is unlocked first moves the keychain on; the next copy holds neither nonce that it needs.
//!
//! Invariant: the directory is written, and on disk, before the keychain, so that a crash between the two never
//! looks like a copy.

use std::io;
use std::path::Path;

use crate::crypto;
use crate::layout::BOOT_FILE;
use crate::twin::{self, Magic, Twin};

/// Length of a nonce in bytes.
pub(crate) const BOOT_NONCE_BYTES: usize = 16;
const RECORD_BYTES: usize = 2 * BOOT_NONCE_BYTES;
const MAGIC: Magic = *b"kw-boot1";

pub(crate) type BootNonce = [u8; BOOT_NONCE_BYTES];

/// Whether the directory is the one that the keychain saw last. A keychain without a nonce has seen none.
pub(crate) fn is_known(directory: &Path, keychain: Option<&[u8]>) -> io::Result<bool> {
    let Some(expected) = keychain else { return Ok(true) };
    match twin::read::<RECORD_BYTES>(&directory.join(BOOT_FILE), MAGIC) {
        Ok(record) => {
            Ok(record.is_some_and(|record| record.chunks(BOOT_NONCE_BYTES).any(|nonce| nonce == expected)))
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes a new nonce next to the one of the keychain, durably. The caller then tells the keychain.
pub(crate) fn advance(directory: &Path, keychain: Option<&[u8]>) -> io::Result<BootNonce> {
    let next: BootNonce = crypto::random();
    let mut record = [0; RECORD_BYTES];
    let previous = keychain.and_then(|nonce| nonce.get(..BOOT_NONCE_BYTES)).unwrap_or(&next);
    record[..BOOT_NONCE_BYTES].copy_from_slice(previous);
    record[BOOT_NONCE_BYTES..].copy_from_slice(&next);
    let mut twin = Twin::open(&directory.join(BOOT_FILE), MAGIC)?;
    twin.write(&record)?;
    twin.sync()?;
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_between_directory_and_keychain_is_no_copy() {
        let place = tempfile::tempdir().unwrap();
        let first = advance(place.path(), None).unwrap();
        assert!(is_known(place.path(), Some(&first)).unwrap());
        advance(place.path(), Some(&first)).unwrap();
        assert!(is_known(place.path(), Some(&first)).unwrap(), "the keychain was not told");
        let third = advance(place.path(), Some(&first)).unwrap();
        assert!(is_known(place.path(), Some(&third)).unwrap());
    }

    #[test]
    fn a_copy_is_seen_at_its_first_unlock() {
        let (original, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = advance(original.path(), None).unwrap();
        std::fs::copy(original.path().join(BOOT_FILE), copy.path().join(BOOT_FILE)).unwrap();
        let second = advance(original.path(), Some(&first)).unwrap();
        assert!(!is_known(copy.path(), Some(&second)).unwrap());
        assert!(is_known(original.path(), Some(&second)).unwrap());
    }
}
