//! The issues of one walk, up to a limit.

use std::borrow::Cow;

use crate::outcome::{Issue, IssueType, Severity};

/// How many issues a walk reports; further ones are not worth their cost.
pub const MAX_ISSUES: usize = 64;

#[derive(Default)]
pub(crate) struct Issues(Vec<Issue>);

impl Issues {
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn list(&self) -> &[Issue] {
        &self.0
    }

    /// Adds an issue; where it is is only worked out if there is room for it.
    pub(crate) fn push(
        &mut self,
        severity: Severity,
        code: IssueType,
        diagnostics: &'static str,
        expression: impl FnOnce() -> String,
    ) {
        if self.0.len() < MAX_ISSUES {
            let diagnostics = Cow::Borrowed(diagnostics);
            self.0.push(Issue { severity, code, expression: expression(), diagnostics });
        }
    }
}
