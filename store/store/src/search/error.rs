//! Why a search was not answered.
//!
//! Invariant: no text carries what was searched for.

use keepwell_fhir::{Issue, IssueType};

/// Why a search was not answered. All are the caller's to mend, or to wait for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// The query is malformed, or asks for what is not known.
    #[error("the search was refused: {0}")]
    Query(#[from] keepwell_search::QueryError),
    /// The path names nothing that can be searched.
    #[error("the path of the search is not one that can be searched")]
    Address,
    /// A link to a page that this store did not make.
    #[error("not a link of this store")]
    LinkInvalid,
    /// The link is too old: the state of the store that it is about is no longer kept.
    #[error("the link has expired: search again")]
    LinkExpired,
    /// The index does not have all resources yet. It is being made; nothing is wrong.
    #[error("the index is being built: {done} of {total} changes")]
    Building {
        /// Changes that are in the index.
        done: u64,
        /// All changes.
        total: u64,
    },
    /// A search parameter was added and does not know all resources yet: go on with [`crate::Session::reindex`].
    #[error("a search parameter of the query is not ready: {done} of {total} changes")]
    ParameterNotReady {
        /// Changes that it knows.
        done: u64,
        /// All that it has to know.
        total: u64,
    },
    /// The search would take more than a named limit allows; the text names it.
    #[error("the search is too costly: {0}")]
    TooCostly(&'static str),
    /// A search parameter that cannot be used; the issues say what of it.
    #[error("not a search parameter that can be used: {} issue(s)", .0.len())]
    Parameter(Vec<Issue>),
}

impl SearchError {
    /// The stable number of this error: docs/error-codes.md says who can act on it.
    #[must_use]
    pub const fn code(&self) -> u16 {
        match self {
            Self::Query(error) => error.code(),
            Self::Address => 320,
            Self::LinkInvalid => 321,
            Self::LinkExpired => 322,
            Self::Building { .. } => 323,
            Self::ParameterNotReady { .. } => 324,
            Self::TooCostly(_) => 325,
            Self::Parameter(_) => 326,
        }
    }

    /// The HTTP status that a FHIR server answers in the same case.
    #[must_use]
    pub const fn http_status(&self) -> u16 {
        match self {
            Self::LinkExpired => 410,
            Self::Building { .. } | Self::ParameterNotReady { .. } => 503,
            Self::Parameter(_) => 422,
            _ => 400,
        }
    }

    pub(crate) const fn issue_type(&self) -> IssueType {
        match self {
            Self::LinkExpired => IssueType::Expired,
            Self::Building { .. } | Self::ParameterNotReady { .. } => IssueType::Transient,
            Self::TooCostly(_) => IssueType::TooCostly,
            _ => IssueType::Invalid,
        }
    }
}
