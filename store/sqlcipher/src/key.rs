//! A raw database key on its way into SQLCipher.
//!
//! SQLCipher takes a raw key as the 67 bytes `x'<64 hex digits>'`. Anything else, a 31-byte key for
//! example, it would silently take for a passphrase. So the form is written here and nowhere else, from
//! exactly 32 bytes.
//!
//! Invariant: the written form is wiped when it goes out of scope.

use std::ffi::{c_int, c_void};

use rusqlite::{Connection, ffi};
use zeroize::Zeroizing;

use crate::StorageError;

/// The length of a key in bytes: AES-256.
pub const KEY_BYTES: usize = 32;

/// `x'`, two digits a byte, `'`.
const WRITTEN_BYTES: usize = KEY_BYTES * 2 + 3;

/// A borrowed raw key; the bytes stay where their owner wipes them.
#[derive(Clone, Copy)]
pub(crate) struct RawKey<'a>(pub(crate) &'a [u8; KEY_BYTES]);

impl RawKey<'_> {
    /// Keys a connection that has run no statement on its file yet.
    pub(crate) fn apply(self, connection: &Connection) -> Result<(), StorageError> {
        let written = self.written();
        // SAFETY: the handle is open for as long as `connection` is borrowed, and SQLCipher copies the
        // `WRITTEN_BYTES` bytes behind the pointer before it returns.
        let code = unsafe { ffi::sqlite3_key(connection.handle(), pointer(&written), length(&written)) };
        check(code)
    }

    /// Encrypts every page of the open database again under this key, in one transaction.
    ///
    /// On failure the connection writes with the new key into a file of the old one, and on a failed
    /// commit it even reports success: see [`crate::rekey`], the only caller.
    pub(crate) fn reapply(self, connection: &Connection) -> Result<(), StorageError> {
        let written = self.written();
        // SAFETY: as in `apply`.
        let code = unsafe { ffi::sqlite3_rekey(connection.handle(), pointer(&written), length(&written)) };
        check(code)
    }

    fn written(self) -> Zeroizing<[u8; WRITTEN_BYTES]> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut written = Zeroizing::new([b'\''; WRITTEN_BYTES]);
        written[0] = b'x';
        for (pair, byte) in written[2..].chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 0x0f)];
        }
        written
    }
}

fn pointer(written: &Zeroizing<[u8; WRITTEN_BYTES]>) -> *const c_void {
    written.as_ptr().cast()
}

fn length(written: &Zeroizing<[u8; WRITTEN_BYTES]>) -> c_int {
    c_int::try_from(written.len()).expect("a written key has 67 bytes")
}

fn check(code: c_int) -> Result<(), StorageError> {
    if code == ffi::SQLITE_OK {
        return Ok(());
    }
    Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_written_as_a_67_byte_raw_key() {
        let mut key = [0_u8; KEY_BYTES];
        key[0] = 0x0f;
        key[31] = 0xa0;
        let written = RawKey(&key).written();
        assert_eq!(&written[..], format!("x'0f{}a0'", "00".repeat(30)).as_bytes());
    }

    #[test]
    fn every_byte_becomes_two_hex_digits() {
        for byte in 0..=u8::MAX {
            let written = RawKey(&[byte; KEY_BYTES]).written();
            assert_eq!(&written[..], format!("x'{}'", format!("{byte:02x}").repeat(32)).as_bytes());
        }
    }
}
