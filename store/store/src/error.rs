//! What can go wrong, grouped by who can act.
//!
//! Invariant: no text here carries patient data, SQL or another library's message.

use keepwell_fhir::{Issue, IssueType, ResourceType, Severity, SyntaxError};
use keepwell_sqlcipher::StorageError;

use crate::archive::ArchiveError;
use crate::audit::ActorError;
use crate::search::SearchError;

/// Shorthand for this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation of the store did not happen. [`Error::code`] is stable across releases.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // 1xx: the caller's data
    /// There is no such resource or version (HTTP 404).
    #[error("{0} not found")]
    NotFound(ResourceType),
    /// The resource was deleted; its history is still there (HTTP 410).
    #[error("{resource_type} was deleted in version {version}")]
    Gone {
        /// What was asked for.
        resource_type: ResourceType,
        /// The version that is the deletion.
        version: u64,
    },
    /// If-Match names another version than the current one (HTTP 412): read again, then decide.
    #[error("the current version of this {resource_type} is {current}")]
    VersionConflict {
        /// What was to be changed.
        resource_type: ResourceType,
        /// The version that is current.
        current: u64,
    },
    /// If-None-Match: * and the resource exists (HTTP 412).
    #[error("this {0} exists already")]
    Exists(ResourceType),
    /// A condition matches several resources (HTTP 412).
    #[error("the condition matches more than one {0}")]
    MultipleMatches(ResourceType),
    /// A conditional reference or operation matches nothing that it could act on.
    #[error("the condition matches no {0}")]
    NoMatch(ResourceType),
    /// The condition asks for nothing, so that it would be about any resource of the type.
    #[error("a condition names a search parameter at least")]
    UnsupportedCondition,
    /// The bytes are not JSON that can be stored.
    #[error("not a FHIR resource: {0}")]
    Syntax(#[from] SyntaxError),
    /// The resource breaks the rules of its type; the issues say where.
    #[error("not a valid resource: {} issue(s)", .0.len())]
    Invalid(Vec<Issue>),
    /// The body is of another type than the interaction.
    #[error("expected {expected}, found {found}")]
    WrongType {
        /// The type that the interaction names.
        expected: ResourceType,
        /// The type of the body.
        found: ResourceType,
    },
    /// The body has no id, or another id than the interaction.
    #[error("the id of the body is not the id of the interaction")]
    WrongId,
    /// Not an id by R4: 1 to 64 of A-Z a-z 0-9 - .
    #[error("not a resource id")]
    InvalidId,
    /// The patch was not applied.
    #[error("the patch was not applied: {0}")]
    Patch(#[from] keepwell_fhir::patch::PatchError),
    /// The Bundle cannot be worked on.
    #[error("the Bundle was refused: {0}")]
    Bundle(#[from] keepwell_fhir::bundle::BundleError),
    /// An entry of a transaction failed, and so nothing of it happened.
    #[error("entry {entry} of the transaction failed: {source}")]
    Entry {
        /// Place in Bundle.entry, from 0.
        entry: usize,
        /// What failed there.
        source: Box<Self>,
    },
    /// A reference leads nowhere, and the caller asked for that to be checked.
    #[error("a reference to {0} leads nowhere")]
    DanglingReference(ResourceType),
    /// The interaction is not one that this store offers.
    #[error("{0} is not supported here")]
    Unsupported(&'static str),
    /// An argument is out of its range; the text names it.
    #[error("{0}")]
    Argument(&'static str),
    /// The content of an attachment has not come to this store yet.
    #[error("the attachment is not on this device yet")]
    AttachmentAbsent,
    /// An import met a record that cannot be stored; everything before it is.
    #[error("record {record} of the import was refused: {source}")]
    Record {
        /// Line or entry, from 1.
        record: u64,
        /// What was wrong with it.
        source: Box<Self>,
    },
    /// The archive is damaged, of another format, or its passphrase is another.
    #[error("the archive cannot be restored: {0}")]
    Archive(#[from] ArchiveError),
    /// The caller ended it; what was committed before stays.
    #[error("the caller ended it")]
    Cancelled,

    // 2xx: keys and locks
    /// The vault refused: locked, key missing, wrong passcode and so on.
    #[error(transparent)]
    Vault(#[from] keepwell_vault::Error),
    /// The act needs a fresh authentication ([`crate::Session::elevate`]).
    #[error("this needs a fresh authentication")]
    NotElevated,

    // 3xx: search
    /// The search was not answered.
    #[error(transparent)]
    Search(#[from] SearchError),

    // 5xx: storage
    /// SQLCipher or the file system refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] keepwell_sqlcipher::OpenError),
    /// The database could not be brought to this program's schema, or is newer than this program.
    #[error(transparent)]
    Migrate(#[from] keepwell_sqlcipher::MigrateError),
    /// The database has tables that another part of the program looks after, and that part is not there: a write
    /// would pass it by ([`crate::StoreOptions::extensions`]).
    #[error("the store was made with an extension that this program opens it without")]
    MissingExtension,
    /// Stored bytes are not what this store writes: `verify` names them.
    #[error("stored data is damaged")]
    Corrupt,
    /// Reading or writing a file outside the database failed.
    #[error("{step}: {kind}")]
    Io {
        /// What was being done.
        step: &'static str,
        /// How it failed.
        kind: std::io::ErrorKind,
    },
}

impl Error {
    /// The stable number of this error: docs/error-codes.md says who can act on it.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::NotFound(_) => 101,
            Self::Gone { .. } => 102,
            Self::VersionConflict { .. } => 103,
            Self::Exists(_) => 104,
            Self::MultipleMatches(_) => 105,
            Self::NoMatch(_) => 106,
            Self::UnsupportedCondition => 107,
            Self::Syntax(_) => 108,
            Self::Invalid(_) => 109,
            Self::WrongType { .. } => 110,
            Self::WrongId => 111,
            Self::InvalidId => 112,
            Self::Patch(_) => 113,
            Self::Bundle(_) => 114,
            Self::DanglingReference(_) => 115,
            Self::Unsupported(_) => 116,
            Self::Argument(_) => 117,
            Self::Archive(_) => 118,
            Self::Cancelled => 119,
            Self::AttachmentAbsent => 120,
            Self::Entry { source, .. } | Self::Record { source, .. } => source.code(),
            Self::Vault(error) => error.code(),
            Self::NotElevated => 230,
            Self::Search(error) => error.code(),
            Self::Storage(error) => error.code(),
            Self::Open(error) => error.code(),
            Self::Migrate(error) => error.code(),
            Self::MissingExtension => 519,
            Self::Corrupt => 520,
            Self::Io { .. } => 521,
        }
    }

    /// The HTTP status that a FHIR server answers in the same case.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        match self {
            Self::NotFound(_) => 404,
            Self::Gone { .. } => 410,
            Self::VersionConflict { .. } | Self::Exists(_) | Self::MultipleMatches(_) => 412,
            Self::Invalid(_) | Self::DanglingReference(_) | Self::Patch(_) => 422,
            Self::Entry { source, .. } | Self::Record { source, .. } => source.http_status(),
            Self::Vault(_) | Self::NotElevated => 403,
            Self::Search(error) => error.http_status(),
            Self::Storage(_)
            | Self::Open(_)
            | Self::Migrate(_)
            | Self::MissingExtension
            | Self::Corrupt
            | Self::Io { .. } => 500,
            _ => 400,
        }
    }

    /// The issues of an OperationOutcome for this error.
    #[must_use]
    pub fn issues(&self) -> Vec<Issue> {
        match self {
            Self::Invalid(issues) | Self::Search(SearchError::Parameter(issues)) => issues.clone(),
            Self::Search(SearchError::Query(error)) => vec![error.issue(Severity::Error)],
            Self::Syntax(error) => vec![Issue::from(error)],
            Self::Record { source, .. } => source.issues(),
            Self::Entry { entry, source } => {
                let mut issues = source.issues();
                for issue in &mut issues {
                    let inner = std::mem::take(&mut issue.expression);
                    let outer = format!("Bundle.entry[{entry}]");
                    issue.expression = match inner.split_once('.') {
                        Some((_, path)) => format!("{outer}.resource.{path}"),
                        None => outer,
                    };
                }
                issues
            }
            other => vec![Issue {
                severity: Severity::Error,
                code: other.issue_type(),
                expression: String::new(),
                diagnostics: other.to_string().into(),
            }],
        }
    }

    /// This error as a FHIR OperationOutcome, in JSON.
    #[must_use]
    pub fn operation_outcome(&self) -> String {
        keepwell_fhir::operation_outcome(&self.issues())
    }

    fn issue_type(&self) -> IssueType {
        match self {
            Self::NotFound(_) => IssueType::NotFound,
            Self::Gone { .. } => IssueType::Deleted,
            Self::VersionConflict { .. } | Self::Exists(_) => IssueType::Conflict,
            Self::MultipleMatches(_) => IssueType::MultipleMatches,
            Self::UnsupportedCondition | Self::Unsupported(_) => IssueType::NotSupported,
            Self::Vault(_) | Self::NotElevated => IssueType::Security,
            Self::Search(error) => error.issue_type(),
            Self::Storage(_)
            | Self::Open(_)
            | Self::Migrate(_)
            | Self::MissingExtension
            | Self::Corrupt
            | Self::Io { .. } => IssueType::Exception,
            _ => IssueType::Invalid,
        }
    }

    /// For `map_err`: a file operation that failed while doing `step`.
    pub(crate) fn io(step: &'static str) -> impl Fn(std::io::Error) -> Self {
        move |error| Self::Io { step, kind: error.kind() }
    }
}

impl From<ActorError> for Error {
    fn from(_: ActorError) -> Self {
        Self::Argument("user, app and device are names of 1 to 256 bytes without control characters")
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(keepwell_sqlcipher::classify(&error))
    }
}
