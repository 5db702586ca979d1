//! What can go wrong, grouped by who can act.
//!
//! Texts are static: nothing from a keychain, a file or another library is printed. Each variant says how to
//! recover. No failure in here has deleted anything, except where [`Error::Erased`] says so.

use std::io;
use std::time::Duration;

use crate::keychain::KeychainError;

/// A part of a store directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// `store.keys` is missing although there is a database.
    KeyFileMissing,
    /// `store.keys` is damaged or was altered.
    KeyFile,
    /// `store.status` is damaged or was altered.
    Status,
    /// A marker file (`store.quarantine`, `store.erased`) is damaged.
    Marker,
    /// A sealed blob is damaged, cut short, or not the one asked for.
    Blob,
    /// The rollback anchor in the keychain is damaged or was altered.
    Anchor,
}

/// Why a vault refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // The person in front of the device can act.
    /// The store is locked, or the keychain is. Unlock the device or the login keyring, then call `unlock`.
    #[error("the store is locked")]
    Locked,
    /// The person has been away for too long. Close the store, call `lock`, ask for a new `unlock`.
    #[error("locked after a time without activity")]
    IdleTimeout,
    /// The session has reached its absolute limit. As for [`Error::IdleTimeout`].
    #[error("the session has reached its limit")]
    SessionExpired,
    /// A passcode is set and none was given. Ask for it.
    #[error("a passcode is needed")]
    PasscodeNeeded,
    /// The passcode is wrong. Ask again after `retry_after`.
    #[error("wrong passcode")]
    WrongPasscode {
        /// How long further attempts are refused.
        retry_after: Duration,
        /// Attempts until the store erases itself, if the policy says so.
        attempts_left: Option<u32>,
    },
    /// Too many wrong passcodes: the attempt was not looked at. Wait.
    #[error("too many attempts")]
    Throttled {
        /// How long attempts are refused.
        retry_after: Duration,
    },
    /// An empty passcode was given. Ask for another one.
    #[error("the passcode is empty")]
    EmptyPasscode,
    /// A recovery passphrase is shorter than [`crate::RECOVERY_PASSPHRASE_MIN_BYTES`]. Ask for a longer one.
    #[error("the recovery passphrase is too short")]
    ShortPassphrase,
    /// The recovery passphrase is wrong. Ask again.
    #[error("wrong recovery passphrase")]
    WrongPassphrase,
    /// No recovery passphrase was ever set. Restore from an archive or from the server.
    #[error("no recovery passphrase is set")]
    NoRecovery,

    // Whoever looks after the device can act.
    /// The keychain no longer has the key of this store. Restore the keychain, or `recover` with the recovery
    /// passphrase, or quarantine the store and fetch the data from the server again.
    #[error("the keychain has no key for this store")]
    KeyMissing,
    /// The platform destroyed the key for good (new fingerprint, screen lock removed). As for
    /// [`Error::KeyMissing`], but the keychain cannot bring the key back.
    #[error("the platform has invalidated the key of this store")]
    KeyInvalidated,
    /// The keychain holds another key than the one this store was made with. As for [`Error::KeyMissing`].
    #[error("the key in the keychain is not the key of this store")]
    WrongKey,
    /// No keychain can be reached. Start one (Secret Service: a session bus and a keyring daemon), or choose
    /// another keychain on purpose.
    #[error("no keychain can be reached")]
    NoKeychain,
    /// The store was made with another kind of keychain than the one configured. Configure that one; to move a
    /// store on purpose, use `recover`.
    #[error("the store belongs to another kind of keychain")]
    OtherKeychain,
    /// The keychain did not answer in time, perhaps because it shows a prompt. Answer it and try again.
    #[error("the keychain did not answer in time")]
    KeychainTimeout,
    /// The keychain failed in another way. Try again, then look at the platform's own log.
    #[error("the keychain failed")]
    Keychain(#[source] KeychainError),
    /// Another process (or another `Vault` of this one) has the store open. Close that one.
    #[error("the store is open elsewhere")]
    AlreadyOpen,
    /// There is no store in this directory. Create one.
    #[error("there is no store in this directory")]
    Uninitialised,
    /// There is a store, or a piece of one, in this directory. Open it, or choose another directory.
    #[error("there is already a store in this directory")]
    AlreadyExists,
    /// The store was made by a newer version of this program. Update the program.
    #[error("the store was made by a newer version")]
    TooNew,
    /// The file system refused. Free space, make the directory writable, then try again.
    #[error("file system failure while {step}")]
    Io {
        /// What the vault was doing.
        step: &'static str,
        /// The kind of failure.
        kind: io::ErrorKind,
    },

    // Whoever answers for the data must decide.
    /// Part of the store is damaged. Keep the directory, quarantine it, restore from elsewhere.
    #[error("part of the store is damaged")]
    Corrupt(Part),
    /// The store, or its key file, is older than what this device has seen. Quarantine, or open to look at it
    /// with [`crate::Suspicion::Inspect`].
    #[error("the store is older than this device remembers")]
    RollbackSuspected,
    /// A copy of this store has been open since. Quarantine both, or go on with this one with
    /// [`crate::Suspicion::Adopt`].
    #[error("another copy of this store has been opened")]
    CloneSuspected,
    /// The store was put in quarantine. Look at [`crate::quarantine`] for what it holds; lift it on purpose.
    #[error("the store is in quarantine")]
    Quarantined,
    /// The store has been erased, or its erasure has begun and must be finished by calling `erase` again.
    #[error("the store has been erased")]
    Erased,

    // The programmer of the host must act.
    /// The call does not fit the state of the vault.
    #[error("not possible in this state")]
    WrongState,
    /// A limit of the policy lies outside what is allowed.
    #[error("the policy is outside of its limits")]
    Policy,
    /// The cost of Argon2id lies outside of floor and ceiling, or below what the store already uses.
    #[error("the stretching parameters are not accepted")]
    WeakStretching,
}

impl Error {
    /// The stable number of this error: docs/error-codes.md says who can act on it.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::Locked => 201,
            Self::IdleTimeout => 202,
            Self::SessionExpired => 203,
            Self::PasscodeNeeded => 204,
            Self::WrongPasscode { .. } => 205,
            Self::Throttled { .. } => 206,
            Self::EmptyPasscode => 207,
            Self::ShortPassphrase => 208,
            Self::WrongPassphrase => 209,
            Self::NoRecovery => 210,
            Self::KeyMissing => 211,
            Self::KeyInvalidated => 212,
            Self::WrongKey => 213,
            Self::NoKeychain => 214,
            Self::OtherKeychain => 215,
            Self::KeychainTimeout => 216,
            Self::Keychain(_) => 217,
            Self::AlreadyOpen => 218,
            Self::Uninitialised => 219,
            Self::AlreadyExists => 220,
            Self::Corrupt(_) => 221,
            Self::RollbackSuspected => 222,
            Self::CloneSuspected => 223,
            Self::Quarantined => 224,
            Self::Erased => 225,
            Self::WrongState => 226,
            Self::Policy => 227,
            Self::WeakStretching => 228,
            Self::TooNew => 229,
            Self::Io { .. } => 522,
        }
    }

    /// Wraps a failure of the file system and says what was going on.
    pub(crate) fn io(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { step, kind: error.kind() }
    }
}

impl From<KeychainError> for Error {
    fn from(error: KeychainError) -> Self {
        match error {
            KeychainError::Unavailable => Self::NoKeychain,
            KeychainError::Locked => Self::Locked,
            KeychainError::Invalidated => Self::KeyInvalidated,
            KeychainError::Timeout => Self::KeychainTimeout,
            KeychainError::Duplicate | KeychainError::Refused | KeychainError::Failed => {
                Self::Keychain(error)
            }
        }
    }
}
