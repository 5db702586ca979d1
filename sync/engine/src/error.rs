//! Why sync stands still.

use keepwell_protocol::{Error, Refusal};

/// Sync stands still, with everything kept, until somebody acts. A new [`Engine`](crate::Engine) tries again.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Stop {
    /// The server does not speak a version of the protocol that this program does, or said something that decides
    /// what becomes of data and that this program does not know.
    #[error("this program is too old for the server, or the server for it")]
    Upgrade,
    /// The server does not know this device.
    #[error("the server does not know this device")]
    UnknownDevice,
    /// The device was locked out.
    #[error("the device has been revoked")]
    Revoked,
    /// The server ordered a wipe.
    #[error("the server orders the store to be wiped")]
    Wipe,
    /// The server does not understand what this program sends.
    #[error("the server does not understand the request")]
    Refused(Refusal),
    /// The server's messages are not of the protocol, again and again.
    #[error("the server does not keep to the protocol")]
    Protocol(#[source] Error),
    /// The replica holds something that this program did not write.
    #[error("the sync tables are damaged")]
    Corrupt,
}

impl Stop {
    /// The stable number of this error (docs/error-codes.md).
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::Upgrade => 444,
            Self::UnknownDevice => 431,
            Self::Revoked => 432,
            Self::Wipe => 433,
            Self::Refused(refusal) => refusal.code(),
            Self::Protocol(error) => error.code(),
            Self::Corrupt => 520,
        }
    }
}
