//! What can go wrong in an index: the host's storage, damaged bytes, or a call out of order.
//!
//! No message carries a term: terms are made of patient data.

use crate::Doc;

/// Bytes read back are not what the index wrote. The text names the broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the index is damaged: {0}")]
pub struct Corrupt(pub(crate) &'static str);

/// A commit cannot take this document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// Documents are added in rising order, each once.
    #[error("document {doc} does not come after {last}")]
    OutOfOrder {
        /// The document that was added.
        doc: Doc,
        /// The last one before it.
        last: Doc,
    },
    /// A term is longer than [`TERM_BYTES_MAX`](crate::TERM_BYTES_MAX), or empty.
    #[error("a term has {bytes} bytes")]
    TermLength {
        /// How many bytes it has.
        bytes: usize,
    },
    /// A version can only supersede an earlier one.
    #[error("document {by} cannot supersede {doc}")]
    SupersedesLater {
        /// The version that came later.
        by: Doc,
        /// The version that it was said to supersede.
        doc: Doc,
    },
    /// The terms of the commit together pass [`COMMIT_BYTES_MAX`](crate::COMMIT_BYTES_MAX).
    #[error("the commit is too large for one step")]
    TooLarge,
}

/// A search as of a point that merges have since passed: superseded versions of that time are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the index no longer knows the state as of {as_of}: its horizon is {horizon}")]
pub struct Expired {
    /// The point that was asked for.
    pub as_of: Doc,
    /// The earliest point that can be.
    pub horizon: Doc,
}

/// Why an index operation failed. `E` is the error of the host's storage.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error<E: std::error::Error + 'static> {
    /// The host's storage failed.
    #[error("the storage under the index failed")]
    Storage(#[source] E),
    /// What was read back is damaged.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// A commit does not follow what is indexed.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A merge was finished on a snapshot that does not have its segments.
    #[error("the merge does not belong to this state of the index")]
    MergeOutdated,
}
