//! Where the secret of a store lives outside of its directory.
//!
//! A host picks one [`Keychain`]: the one of the platform ([`SystemKeychain`]), a directory named by the
//! operator of a server ([`FileKeychain`]), memory ([`MemoryKeychain`], for demos and tests), or its own
//! implementation of the trait (Android Keystore, a KMS).
//!
//! Invariants: nothing falls back from one keychain to another; a failing keychain is never the reason to make
//! a new key; calls run on a helper thread and end after a timeout (security requirement R-117).

mod file;
mod memory;
mod system;
mod timed;

pub use file::FileKeychain;
pub use memory::{Fault, MemoryKeychain};
pub use system::SystemKeychain;
pub(crate) use timed::TimedKeychain;

use zeroize::Zeroizing;

/// A secret as it comes out of a keychain, wiped on drop.
pub type Secret = Zeroizing<Vec<u8>>;

/// Longest secret that is ever stored, in bytes: far below the 2,560 of Windows, also after text encoding.
pub const SECRET_MAX_BYTES: usize = 256;

/// Small secrets by name.
///
/// Names are at most 80 characters of `a-z 0-9 : -`. Implementations are called from one thread at a time per
/// vault, but from any thread, and may block.
pub trait Keychain: Send + Sync {
    /// The secret with this name, or `None` if there surely is none.
    ///
    /// # Errors
    /// [`KeychainError`]. A keychain that cannot tell whether the item exists must answer
    /// [`KeychainError::Locked`], not `None`.
    fn get(&self, item: &str) -> Result<Option<Secret>, KeychainError>;

    /// Stores a secret, durably and with the strictest class the platform has, replacing the old one.
    ///
    /// # Errors
    /// [`KeychainError`]
    fn set(&self, item: &str, secret: &[u8]) -> Result<(), KeychainError>;

    /// Deletes a secret; it is no failure if there is none.
    ///
    /// # Errors
    /// [`KeychainError`]
    fn delete(&self, item: &str) -> Result<(), KeychainError>;

    /// The names of all secrets of this service.
    ///
    /// # Errors
    /// [`KeychainError`]
    fn items(&self) -> Result<Vec<String>, KeychainError>;

    /// Whether protected data can be read now. Before the first unlock after a start, some platforms answer
    /// "not found" for items that exist; then this must be `false`.
    fn is_available(&self) -> bool {
        true
    }

    /// A short name, recorded in the key file: a store never moves to another kind of keychain by itself.
    fn kind(&self) -> &'static str;
}

/// Why a keychain refused. Carries nothing of what the platform said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeychainError {
    /// There is no keychain service.
    #[error("no keychain service")]
    Unavailable,
    /// The keychain is locked, or its owner did not agree.
    #[error("the keychain is locked")]
    Locked,
    /// The platform destroyed the key for good.
    #[error("the key was invalidated")]
    Invalidated,
    /// Several items have the same name.
    #[error("several items of the same name")]
    Duplicate,
    /// The name or the secret does not fit, or the place is not private enough.
    #[error("the item is not acceptable")]
    Refused,
    /// The keychain did not answer in time.
    #[error("no answer in time")]
    Timeout,
    /// Anything else.
    #[error("keychain failure")]
    Failed,
}

/// Whether a name keeps to the promise of [`Keychain`].
fn is_valid_name(item: &str) -> bool {
    (1..=80).contains(&item.len())
        && item.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b':' | b'-'))
}
