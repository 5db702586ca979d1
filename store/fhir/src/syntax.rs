//! Why bytes are no document.

use std::borrow::Cow;

use crate::outcome::{Issue, IssueType, Severity};

/// The bytes cannot be read as a FHIR resource in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{kind} at byte {offset}")]
pub struct SyntaxError {
    /// Where, in bytes from the start.
    pub offset: usize,
    /// What is wrong there.
    pub kind: SyntaxErrorKind,
}

/// What is wrong with the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyntaxErrorKind {
    /// More than [`crate::MAX_BYTES`] bytes.
    #[error("the document is too large")]
    TooLarge,
    /// Not UTF-8 (RFC 8259, section 8.1).
    #[error("the text is not utf-8")]
    NotUtf8,
    /// The document stops in the middle.
    #[error("the document ends too early")]
    UnexpectedEnd,
    /// A byte that the grammar does not allow here.
    #[error("unexpected character")]
    UnexpectedByte,
    /// A backslash followed by something that is no escape.
    #[error("unknown escape in a string")]
    BadEscape,
    /// An escaped surrogate without its partner: not a character (RFC 8259, section 8.2).
    #[error("half of a surrogate pair in a string")]
    LoneSurrogate,
    /// A control character inside a string that is not escaped.
    #[error("control character in a string")]
    ControlCharacter,
    /// Digits are missing.
    #[error("malformed number")]
    BadNumber,
    /// A number longer than [`crate::MAX_NUMBER_BYTES`].
    #[error("the number is too long")]
    NumberTooLong,
    /// Arrays and objects deeper than [`crate::MAX_DEPTH`], or resources inside resources deeper than
    /// [`crate::MAX_RESOURCE_DEPTH`].
    #[error("nested too deeply")]
    TooDeep,
    /// The same key twice in an object, however it is spelt.
    #[error("duplicate key in an object")]
    DuplicateKey,
    /// More than one document.
    #[error("text behind the end of the document")]
    TrailingData,
    /// A JSON value, but not an object.
    #[error("the document is not an object")]
    NotAnObject,
    /// The object has no `resourceType` of type string.
    #[error("the resource type is missing")]
    NoResourceType,
    /// The `resourceType` is not a concrete type of R4.
    #[error("the resource type is not one of fhir r4")]
    UnknownResourceType,
}

impl From<&SyntaxError> for Issue {
    fn from(error: &SyntaxError) -> Self {
        let code = match error.kind {
            SyntaxErrorKind::TooLarge | SyntaxErrorKind::NumberTooLong => IssueType::TooLong,
            SyntaxErrorKind::TooDeep => IssueType::TooCostly,
            SyntaxErrorKind::NoResourceType => IssueType::Required,
            SyntaxErrorKind::UnknownResourceType => IssueType::NotSupported,
            _ => IssueType::Structure,
        };
        let diagnostics = Cow::Owned(error.to_string());
        Self { severity: Severity::Fatal, code, expression: String::new(), diagnostics }
    }
}
