//! Why a search string cannot be searched for.

use keepwell_fhir::{Issue, IssueType, Severity};

/// Why a search string cannot be searched for. No text has a value of it: values are about patients. Each names the
/// parameter, at most [`MAX_NAME_CHARS`] characters of it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The types have no such parameter.
    #[error("the search parameter {parameter:?} is not known here")]
    UnknownParameter {
        /// Its name as written, with modifier and chain.
        parameter: String,
    },
    /// The parameter does not take the modifier.
    #[error("the search parameter {parameter:?} does not take this modifier")]
    UnknownModifier {
        /// Its name as written, with modifier and chain.
        parameter: String,
    },
    /// The parameter does not take the prefix.
    #[error("the search parameter {parameter:?} does not take the prefix of alternative {position}")]
    UnknownPrefix {
        /// Its name as written, with modifier and chain.
        parameter: String,
        /// Which of the values between commas, from 1.
        position: usize,
    },
    /// The value is not in the format of the parameter.
    #[error("the search parameter {parameter:?} has a malformed value: alternative {position}: {reason}")]
    Malformed {
        /// Its name as written, with modifier and chain.
        parameter: String,
        /// Which of the values between commas, from 1.
        position: usize,
        /// What was expected.
        reason: &'static str,
    },
    /// The parameter has no value.
    #[error("the search parameter {parameter:?} has no value")]
    Empty {
        /// Its name as written, with modifier and chain.
        parameter: String,
    },
    /// The parameter may be given only once.
    #[error("the search parameter {parameter:?} may be given only once")]
    Repeated {
        /// Its name as written.
        parameter: String,
    },
    /// A limit of this crate.
    #[error("the search has too much of one thing: {what}, at most {limit}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        limit: usize,
    },
    /// Something of R4 that is not supported.
    #[error("the search parameter {parameter:?} is not supported: {reason}")]
    Unsupported {
        /// Its name as written.
        parameter: String,
        /// What is not supported.
        reason: &'static str,
    },
    /// A value set is not in the store, or cannot be expanded from what is there.
    #[error("the value set of the search parameter {parameter:?} cannot be expanded here")]
    UnknownValueSet {
        /// Its name as written.
        parameter: String,
    },
    /// A code system with a hierarchy is not in the store.
    #[error("the code system of the search parameter {parameter:?} is not known here")]
    UnknownCodeSystem {
        /// Its name as written.
        parameter: String,
    },
}

/// How much of a parameter's name errors repeat.
pub const MAX_NAME_CHARS: usize = 100;

impl QueryError {
    /// The stable code, in the band of search.
    #[must_use]
    pub const fn code(&self) -> u16 {
        match self {
            Self::UnknownParameter { .. } => 301,
            Self::UnknownModifier { .. } => 302,
            Self::UnknownPrefix { .. } => 303,
            Self::Malformed { .. } => 304,
            Self::Empty { .. } => 305,
            Self::Repeated { .. } => 306,
            Self::TooLarge { .. } => 307,
            Self::Unsupported { .. } => 308,
            Self::UnknownValueSet { .. } => 309,
            Self::UnknownCodeSystem { .. } => 310,
        }
    }

    /// The problem as an issue of an OperationOutcome.
    #[must_use]
    pub fn issue(&self, severity: Severity) -> Issue {
        let code = match self {
            Self::UnknownParameter { .. } | Self::UnknownModifier { .. } | Self::Unsupported { .. } => {
                IssueType::NotSupported
            }
            Self::TooLarge { .. } => IssueType::TooCostly,
            Self::UnknownValueSet { .. } | Self::UnknownCodeSystem { .. } => IssueType::NotFound,
            _ => IssueType::Value,
        };
        Issue { severity, code, expression: String::new(), diagnostics: self.to_string().into() }
    }

    /// Whether lenient handling may leave the parameter out (R4 search.html#errors): it is not known, as opposed to
    /// being asked for wrongly. A named query is never left out (R4 search.html#query).
    pub(crate) fn is_unknown(&self) -> bool {
        match self {
            Self::UnknownParameter { .. } | Self::UnknownModifier { .. } | Self::Empty { .. } => true,
            Self::Unsupported { parameter, .. } => parameter != "_query",
            _ => false,
        }
    }
}
