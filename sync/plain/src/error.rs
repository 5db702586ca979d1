//! What stands in the way of sync with a plain server.

/// What stands in the way. Everything that waits still waits. [`Problem::code`] is stable across releases.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The server does not accept the token, or wants one.
    #[error("the server does not accept the token")]
    Token,
    /// The app that gives the tokens gave none, or what is none.
    #[error("the app gave no token")]
    NoToken,
    /// What the server says is not FHIR R4, or breaks off.
    #[error("the answer is not fhir r4")]
    NotFhir,
    /// The server does not refuse writes on old versions, and nobody has consented to write all the same.
    #[error("the server does not guard against overwriting")]
    Unguarded,
    /// A page of the server's leads to another server.
    #[error("a page leads to another server")]
    Elsewhere,
    /// The server failed in another way.
    #[error("the server failed")]
    Server,
    /// An attachment of an edit is neither on this device nor, as it was, on the server.
    #[error("an attachment of an edit is not here")]
    Attachment,
}

impl Problem {
    /// The stable number of this problem (docs/error-codes.md).
    #[must_use]
    pub const fn code(&self) -> u16 {
        match self {
            Self::Token => 425,
            Self::NotFhir => 426,
            Self::Unguarded => 427,
            Self::Elsewhere => 428,
            Self::Server => 429,
            Self::Attachment => 447,
            Self::NoToken => 448,
        }
    }
}

/// The text is no search that can be kept up to date.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[error("not a search that can be kept up to date")]
pub struct SearchError;
