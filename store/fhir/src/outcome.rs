//! Problems of a document, and how a client is told.
//!
//! An [`Issue`] carries the place and a fixed sentence; no byte of the data ever enters either.

use std::borrow::Cow;
use std::fmt::Write as _;

/// How bad a problem is (R4 valueset-issue-severity).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// Nothing can go on.
    Fatal,
    /// The content is refused.
    Error,
    /// The content is accepted, but doubtful.
    Warning,
    /// Only told.
    Information,
}

impl Severity {
    /// The FHIR code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Information => "information",
        }
    }
}

macro_rules! issue_types {
    ($($name:ident $code:literal $doc:literal;)*) => {
        /// What kind of problem it is (R4 valueset-issue-type).
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum IssueType {
            $(#[doc = $doc] $name,)*
        }

        impl IssueType {
            /// The FHIR code.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// Every type, in the order of the specification.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

issue_types! {
    Invalid "invalid" "Invalid content.";
    Structure "structure" "The structure is wrong, for example an unknown element.";
    Required "required" "A required element is missing.";
    Value "value" "The value is not in its type's format.";
    Invariant "invariant" "A rule of the specification fails.";
    Security "security" "A security problem.";
    Login "login" "The user has to sign in.";
    Unknown "unknown" "The user or system is not known.";
    Expired "expired" "The session has expired.";
    Forbidden "forbidden" "The user may not do this.";
    Suppressed "suppressed" "Something was withheld.";
    Processing "processing" "Processing failed.";
    NotSupported "not-supported" "The interaction or content is not supported.";
    Duplicate "duplicate" "A duplicate was found.";
    MultipleMatches "multiple-matches" "A conditional interaction found several resources.";
    NotFound "not-found" "The content was not found.";
    Deleted "deleted" "The content was deleted.";
    TooLong "too-long" "The content is too long.";
    CodeInvalid "code-invalid" "A code is not in the required value set.";
    Extension "extension" "An extension is not acceptable.";
    TooCostly "too-costly" "The operation would cost too much.";
    BusinessRule "business-rule" "A rule of this system forbids it.";
    Conflict "conflict" "The content conflicts with what is stored.";
    Transient "transient" "A passing problem: try again.";
    LockError "lock-error" "A lock could not be had.";
    NoStore "no-store" "The storage cannot be reached.";
    Exception "exception" "An unexpected internal error.";
    Timeout "timeout" "It took too long.";
    Incomplete "incomplete" "Not all results could be had.";
    Throttled "throttled" "Too many requests.";
    Informational "informational" "Only told, not a problem.";
}

/// One problem of a document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Issue {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of problem it is.
    pub code: IssueType,
    /// Where: a FHIRPath such as `Patient.contact[0].name.given[1]`; empty when the place is not known.
    ///
    /// An unknown key is never repeated: the place is then the object that holds it.
    pub expression: String,
    /// What is wrong, in a fixed sentence.
    pub diagnostics: Cow<'static, str>,
}

/// An `OperationOutcome` as JSON; no issue at all becomes one that says so, since R4 demands at least one.
///
/// ```
/// let outcome = keepwell_fhir::operation_outcome(&[]);
/// assert!(outcome.contains("informational"));
/// ```
#[must_use]
pub fn operation_outcome(issues: &[Issue]) -> String {
    let mut json = String::from(r#"{"resourceType":"OperationOutcome","issue":["#);
    for (number, issue) in issues.iter().enumerate() {
        if number > 0 {
            json.push(',');
        }
        push_issue(&mut json, issue);
    }
    if issues.is_empty() {
        json.push_str(
            r#"{"severity":"information","code":"informational","diagnostics":"no problem was found"}"#,
        );
    }
    json.push_str("]}");
    json
}

fn push_issue(json: &mut String, issue: &Issue) {
    let _ = write!(json, r#"{{"severity":"{}","code":"{}","#, issue.severity.code(), issue.code.code());
    json.push_str(r#""diagnostics":"#);
    push_string(json, &issue.diagnostics);
    if !issue.expression.is_empty() {
        json.push_str(r#","expression":["#);
        push_string(json, &issue.expression);
        json.push(']');
    }
    json.push('}');
}

/// A JSON string, with everything escaped that has to be.
fn push_string(json: &mut String, text: &str) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            c if c < ' ' => {
                let _ = write!(json, "\\u{:04x}", u32::from(c));
            }
            c => json.push(c),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcome_is_a_valid_resource() {
        let issue = Issue {
            severity: Severity::Error,
            code: IssueType::Structure,
            expression: String::from("Patient.name[0]"),
            diagnostics: Cow::Borrowed("a \"quoted\" \\ text\n"),
        };
        let issues = [issue.clone(), issue];
        for count in 0..=2 {
            let json = operation_outcome(&issues[..count]);
            let mut walker = crate::Walker::new();
            let walk = walker.walk(json.as_bytes()).expect("the outcome is JSON");
            assert_eq!(walk.issues, []);
        }
    }
}
