//! The compiler of search expressions.
//!
//! It takes the FHIRPath of SearchParameters apart: paths of plain steps become ways through the definitions, which
//! the walk follows by itself; what is left (conditions, indexes, extensions by their URL) becomes a [`Program`] over
//! the few elements that such a way ends at. All 1,372 expressions of R4 compile, and with them what custom parameters
//! may use: `extension(url)`, `exists`, `empty`, `and`, `or`, `not`, `=`, `!=`, indexers, `first`, `last`, `ofType`,
//! `as`, `is`, `where` and `resolve() is`. The rest is refused, with the place and the construct.

pub(crate) mod evaluate;
pub(crate) mod expression;
mod parser;
mod resolve;
mod token;

use std::borrow::Cow;

use keepwell_fhir::{Issue, IssueType, Severity};

pub(crate) use resolve::{Program, Scope, Way, compile, compile_component, compile_group};

/// What the compiler does not support, and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    /// The place in the expression, in bytes from 0.
    pub(crate) at: usize,
    /// The construct.
    pub(crate) what: &'static str,
}

impl Refusal {
    /// The refusal for an OperationOutcome; `place` is the element that holds the expression.
    pub(crate) fn issue(self, place: &str) -> Issue {
        Issue {
            severity: Severity::Error,
            code: IssueType::NotSupported,
            expression: place.to_owned(),
            diagnostics: Cow::Owned(format!("at byte {}: {}", self.at, self.what)),
        }
    }
}
