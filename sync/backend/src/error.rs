//! Why a backend did not do what was asked.

use keepwell_protocol::Refusal;

/// Shorthand for this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A refusal is for the device; anything else is for whoever keeps the server. [`Error::code`] is stable across
/// releases.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The answer to the device. Nothing is wrong with the server.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The storage failed. The device is told to come later.
    #[error("the storage of the server failed")]
    Storage {
        /// The stable number of `source`.
        code: u16,
        /// What failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// The stable number of this error (docs/error-codes.md).
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::Storage { code, .. } => *code,
        }
    }
}
