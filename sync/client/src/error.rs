//! Why sync did not do what was asked, grouped by who can act.
//!
//! Invariant: no text here carries patient data or another library's message.

use keepwell_engine::Stop;
use keepwell_protocol::Refusal;

/// Shorthand for this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why sync did not do what was asked. Whatever it is, edits that wait still wait. [`Error::code`] is stable across
/// releases.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // The store.
    /// The store refused: locked, damaged, out of space.
    #[error(transparent)]
    Store(#[from] keepwell_store::Error),

    // The network, or the server.
    /// There was no connection, or none to the server that is pinned.
    #[error(transparent)]
    Connection(#[from] keepwell_tls::Error),
    /// The server does not do it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What the server said is not of the protocol.
    #[error(transparent)]
    Message(#[from] keepwell_protocol::Error),
    /// Sync stands still until somebody acts.
    #[error(transparent)]
    Stopped(Stop),

    // The person, or the program.
    /// The device has not been enrolled.
    #[error("the device is not enrolled")]
    NotEnrolled,
    /// The device has been enrolled before.
    #[error("the device is enrolled already")]
    AlreadyEnrolled,
    /// The caller cancelled it.
    #[error("sync was cancelled")]
    Cancelled,
    /// Another thread syncs this store at the moment.
    #[error("this store is being synced already")]
    InUse,
    /// There is no conflict with this id, or it has been resolved.
    #[error("there is no such conflict, or it is resolved")]
    NoConflict,
    /// The resource has changed since the conflict was shown: look again.
    #[error("the resource has changed since the conflict was shown")]
    ConflictMoved,
    /// The edit that lost may no longer be on this device: the server's archive has it.
    #[error("the edit is in the server's archive only, as access to its resource was lost")]
    EditNotHere,
    /// The server ordered it, and the store is erased.
    #[error("the store was wiped, as its server ordered")]
    Wiped,
    /// The lease is over, or the device was locked out: the store is locked until the server was met.
    #[error("the store is locked until its server is met and lets this device in")]
    LeaseOver,
}

impl Error {
    /// The stable number of this error (docs/error-codes.md).
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::Store(error) => error.code(),
            Self::Connection(error) => error.code(),
            Self::Refused(refusal) => refusal.code(),
            Self::Message(error) => error.code(),
            Self::Stopped(stop) => stop.code(),
            Self::NotEnrolled => 417,
            Self::AlreadyEnrolled => 418,
            Self::Cancelled => 419,
            Self::InUse => 420,
            Self::NoConflict => 421,
            Self::ConflictMoved => 422,
            Self::Wiped => 423,
            Self::LeaseOver => 424,
            Self::EditNotHere => 449,
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// For what the sync tables hold: only this program writes them.
pub(crate) fn corrupt<E>(_: E) -> Error {
    Error::Store(keepwell_store::Error::Corrupt)
}
