//! Why a patch was refused.

use thiserror::Error;

use crate::{Issue, IssueType, Severity, SyntaxError};

/// A patch that was not applied; the resource is as it was.
///
/// Neither messages nor fields hold text of the resource or of the patch. Operations count from 0; a merge
/// patch is one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PatchError {
    /// The resource is not JSON that can be patched.
    #[error("the resource is not json that can be patched")]
    Body(#[source] SyntaxError),
    /// The patch is not JSON.
    #[error("the patch is not json")]
    Syntax(#[source] SyntaxError),
    /// The patch is larger than [`MAX_PATCH_BYTES`](super::MAX_PATCH_BYTES).
    #[error("the patch is too large")]
    TooLarge,
    /// The patch is JSON, but no patch document of its format.
    #[error("the patch is not a patch document: {reason}")]
    Document {
        /// What is wrong.
        reason: &'static str,
    },
    /// An operation lacks a part or has one that makes no sense.
    #[error("operation {operation} is malformed: {reason}")]
    Malformed {
        /// Which operation.
        operation: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// An operation uses FHIRPath beyond the subset that patches may use.
    #[error("operation {operation} is not supported: {reason}")]
    Unsupported {
        /// Which operation.
        operation: usize,
        /// What is not supported.
        reason: &'static str,
    },
    /// An operation's path leads to nothing, or to more than it may.
    #[error("operation {operation} has no target: {reason}")]
    Target {
        /// Which operation.
        operation: usize,
        /// What was found there.
        reason: &'static str,
    },
    /// An operation's value does not fit the element that it is meant for.
    #[error("operation {operation} has the wrong value: {reason}")]
    Value {
        /// Which operation.
        operation: usize,
        /// Why it does not fit.
        reason: &'static str,
    },
    /// A `test` operation found another value.
    #[error("operation {operation}: the test failed")]
    TestFailed {
        /// Which operation.
        operation: usize,
    },
    /// An operation changes `resourceType` or `id`, which name the resource.
    #[error("operation {operation} changes the identity of the resource")]
    Identity {
        /// Which operation.
        operation: usize,
    },
    /// A limit of this module was reached.
    #[error("operation {operation} goes beyond a limit: {reason}")]
    Limit {
        /// Which operation.
        operation: usize,
        /// The limit.
        reason: &'static str,
    },
}

impl PatchError {
    /// The operation that failed; `None` when the documents could not be read.
    #[must_use]
    pub const fn operation(&self) -> Option<usize> {
        match *self {
            Self::Body(_) | Self::Syntax(_) | Self::TooLarge | Self::Document { .. } => None,
            Self::Malformed { operation, .. }
            | Self::Unsupported { operation, .. }
            | Self::Target { operation, .. }
            | Self::Value { operation, .. }
            | Self::TestFailed { operation }
            | Self::Identity { operation }
            | Self::Limit { operation, .. } => Some(operation),
        }
    }

    /// The kind of issue that an OperationOutcome names.
    #[must_use]
    pub const fn issue_type(&self) -> IssueType {
        match self {
            Self::Body(_) | Self::Syntax(_) => IssueType::Structure,
            Self::Document { .. } | Self::Malformed { .. } => IssueType::Invalid,
            Self::Unsupported { .. } => IssueType::NotSupported,
            Self::Target { .. } => IssueType::NotFound,
            Self::Value { .. } => IssueType::Value,
            Self::TestFailed { .. } => IssueType::Conflict,
            Self::Identity { .. } => IssueType::BusinessRule,
            Self::TooLarge => IssueType::TooLong,
            Self::Limit { .. } => IssueType::TooCostly,
        }
    }
}

impl From<&PatchError> for Issue {
    fn from(error: &PatchError) -> Self {
        Self {
            severity: Severity::Error,
            code: error.issue_type(),
            expression: String::new(),
            diagnostics: error.to_string().into(),
        }
    }
}

/// Why an operation failed, where its number is not known.
#[derive(Debug, Clone, Copy)]
pub(super) enum Failure {
    Malformed(&'static str),
    Unsupported(&'static str),
    Target(&'static str),
    Value(&'static str),
    Limit(&'static str),
    TestFailed,
}

impl Failure {
    pub(super) const fn at(self, operation: usize) -> PatchError {
        match self {
            Self::Malformed(reason) => PatchError::Malformed { operation, reason },
            Self::Unsupported(reason) => PatchError::Unsupported { operation, reason },
            Self::Target(reason) => PatchError::Target { operation, reason },
            Self::Value(reason) => PatchError::Value { operation, reason },
            Self::Limit(reason) => PatchError::Limit { operation, reason },
            Self::TestFailed => PatchError::TestFailed { operation },
        }
    }
}
