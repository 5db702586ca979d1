//! What can go wrong with a server as a whole, by who can act. What goes wrong with a request is answered to its client.
//!
//! Invariant: no text here carries patient data, a secret or another library's message.

use keepwell_store::vault::KeychainError;

use crate::config::Unsafe;
use crate::rotation::RotationFault;

/// Shorthand for this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a server does not start or an act of the operator did not happen. [`Error::code`] is stable across releases.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration is not TOML, or names a setting that there is none of.
    #[error("line {line} of the configuration cannot be read")]
    Config {
        /// From 1.
        line: usize,
    },
    /// The configuration is not safe to run.
    #[error("the configuration is refused: {0}")]
    Unsafe(#[from] Unsafe),
    /// The keys of the server are not in the keychain, or are not those of its certificates.
    #[error("the keys of the server are not those of its certificates")]
    Identity,
    /// The key of the server is not changed.
    #[error("the key is not changed: {0}")]
    Rotation(#[from] RotationFault),
    /// The keychain refused.
    #[error("the keychain: {0}")]
    Keychain(#[from] KeychainError),
    /// There is a tenant's store but no identity, or the other way round: half of the data is missing.
    #[error("the data directory is incomplete")]
    Incomplete,
    /// No such token, or not the name of a user.
    #[error("no such token or user")]
    Token,
    /// No server runs on this data directory, or one without TLS.
    #[error("no server runs here")]
    NotRunning,
    /// The server does not do what the console asked for.
    #[error("the server did not do it: {message}")]
    Answered {
        /// The status of HTTP.
        status: u16,
        /// The server's own number for it.
        code: Option<u16>,
        /// What the server says of it: one of its static texts.
        message: String,
    },
    /// The device has destroyed its store and said so: there is nothing that could be let in or locked out, and its
    /// receipt stays.
    #[error("the device has wiped itself, and its receipt stays")]
    Wiped,
    /// The address cannot be listened on.
    #[error("cannot listen on the address: {0}")]
    Listen(std::io::ErrorKind),
    /// A file of the server cannot be read or written.
    #[error("{step}: {kind}")]
    Io {
        /// What was being done.
        step: &'static str,
        /// How it failed.
        kind: std::io::ErrorKind,
    },
    /// The tenant's store refused.
    #[error(transparent)]
    Store(#[from] keepwell_store::Error),
    /// The backend of sync refused.
    #[error(transparent)]
    Backend(#[from] keepwell_backend::Error),
    /// Keys, certificates or invitations.
    #[error(transparent)]
    Tls(#[from] keepwell_tls::Error),
}

impl Error {
    /// The stable number of this error: docs/error-codes.md says who can act on it.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::Config { .. } => 484,
            Self::Unsafe(error) => error.code(),
            Self::Rotation(_) => 494,
            Self::NotRunning => 469,
            Self::Wiped => 423,
            Self::Answered { code, .. } => code.unwrap_or(446),
            Self::Identity => 495,
            Self::Incomplete => 496,
            Self::Token => 497,
            Self::Listen(_) => 498,
            Self::Keychain(_) => 499,
            Self::Io { .. } => 523,
            Self::Store(error) => error.code(),
            Self::Backend(error) => error.code(),
            Self::Tls(error) => error.code(),
        }
    }

    /// For `map_err`: a file operation that failed while doing `step`.
    pub(crate) fn io(step: &'static str) -> impl Fn(std::io::Error) -> Self {
        move |error| Self::Io { step, kind: error.kind() }
    }
}
