//! Why bytes are no message of this protocol.
//!
//! Promise: whatever was read before the error was whole and stays valid. A reader that met one is spent, and the
//! outbox of its owner is untouched.
//!
//! Invariant: no text here repeats a byte of the message.

use crate::cursor::CursorError;

/// Shorthand for this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Which limit was passed ([`crate::limits`]).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Limit {
    /// One line.
    Line,
    /// The message as a whole, after decompression.
    Message,
    /// Items of the message: mutations, rows, outcomes, records.
    Items,
    /// An element of a line: scopes, ranges, paths, notes.
    Element,
    /// The window of a compressed message.
    Window,
    /// A resource.
    Resource,
}

impl Limit {
    const fn name(self) -> &'static str {
        match self {
            Self::Line => "a line",
            Self::Message => "the message",
            Self::Items => "the number of items",
            Self::Element => "an element",
            Self::Window => "the compression window",
            Self::Resource => "a resource",
        }
    }
}

/// The bytes are not a message that this version can use. [`Error::code`] is stable across releases.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The message stopped before its end line. What came before is good; ask again from there.
    #[error("the message stopped before its end")]
    Truncated,
    /// A limit was passed, or would be when decompressed.
    #[error("{} is over its limit", .0.name())]
    TooLarge(Limit),
    /// A line is not what stands there by this protocol.
    #[error("line {line} of the message is malformed")]
    Malformed {
        /// From 1; 0 where there are no lines.
        line: u64,
    },
    /// Lines stand in an order that no sender produces, or after the end.
    #[error("line {line} of the message is out of order")]
    Order {
        /// From 1.
        line: u64,
    },
    /// An outcome that this version does not know. Stop, keep the outbox, update the program.
    #[error("the server gave an outcome that this version does not know")]
    UnknownOutcome,
    /// A row in a state that this version does not know. As for [`Error::UnknownOutcome`].
    #[error("the server sent a row in a state that this version does not know")]
    UnknownRowState,
    /// The compressed bytes are damaged, of another dictionary, or more than one frame.
    #[error("the compressed bytes are damaged")]
    Compression,
    /// A content encoding that this version does not know.
    #[error("unknown content encoding")]
    UnknownEncoding,
    /// Compressed with a dictionary that is not at hand.
    #[error("compressed with a dictionary that is not here")]
    UnknownDictionary,
    /// A delta is against other bytes than those at hand, or does not fit them. Ask for the whole.
    #[error("the delta does not fit its base")]
    WrongBase,
    /// The cursor is void.
    #[error(transparent)]
    Cursor(#[from] CursorError),
    /// There is no version of the protocol that both sides speak.
    #[error("no common version of the protocol")]
    NoCommonVersion {
        /// The server's lowest.
        min: u32,
        /// The server's highest.
        max: u32,
    },
    /// A signature does not verify.
    #[error("the signature does not verify")]
    Signature,
    /// A mutation, a record or a document contradicts itself: a delete with a body, a create on a version.
    #[error("the parts of a message contradict each other")]
    Contradiction,
}

impl Error {
    /// The stable number of this error (docs/error-codes.md).
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::Truncated => 401,
            Self::TooLarge(_) => 402,
            Self::Malformed { .. } => 403,
            Self::Order { .. } => 404,
            Self::UnknownOutcome => 405,
            Self::UnknownRowState => 406,
            Self::Compression => 407,
            Self::UnknownEncoding => 408,
            Self::UnknownDictionary => 409,
            Self::WrongBase => 410,
            Self::Cursor(inner) => inner.code(),
            Self::NoCommonVersion { .. } => 414,
            Self::Signature => 415,
            Self::Contradiction => 416,
        }
    }

    /// Says at which line the error is, where that was not known.
    pub(crate) fn at(self, line: u64) -> Self {
        match self {
            Self::Malformed { .. } => Self::Malformed { line },
            other => other,
        }
    }

    pub(crate) const MALFORMED: Self = Self::Malformed { line: 0 };
}
