//! What can go wrong, without a word of SQL or data.
//!
//! SQLite's messages quote statements and sometimes values, so no error here keeps one. What is left
//! is a kind that a caller can act on and, for the rest, SQLite's numeric result code.
//!
//! Invariant: `Display` and `Debug` of every error in this crate are free of content.

use std::io;

use rusqlite::ErrorCode;

/// Why a statement or a step on an open database failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// Another connection holds the lock and the busy timeout has passed. Trying again is safe.
    #[error("the database is busy")]
    Busy,
    /// The disk, the quota or the page limit is exhausted. The transaction was rolled back.
    #[error("the disk is full")]
    DiskFull,
    /// The file, its directory or this connection does not allow writing.
    #[error("the database is read-only")]
    ReadOnly,
    /// A page failed its HMAC, or the structure is damaged. The connection must be dropped: SQLCipher
    /// refuses all further reads on it.
    #[error("the database is damaged")]
    Corrupt,
    /// The first page cannot be decrypted: another key, or a damaged header.
    #[error("the file is not a database of this key")]
    NotADatabase,
    /// The operating system refused a read, a write or a sync.
    #[error("input or output failed (code {code})")]
    Io {
        /// SQLite's extended result code, <https://sqlite.org/rescode.html>.
        code: i32,
    },
    /// The statement was interrupted on request.
    #[error("the statement was interrupted")]
    Interrupted,
    /// The authorizer refused the statement.
    #[error("the statement is not allowed")]
    Denied,
    /// A constraint of the schema refused the row.
    #[error("a constraint of the schema was violated")]
    Constraint,
    /// Anything else: a mistake in this program, or no memory left.
    #[error("the storage engine failed (code {code})")]
    Internal {
        /// SQLite's extended result code, or 0 where rusqlite itself refused.
        code: i32,
    },
}

impl StorageError {
    /// The stable number of this error: docs/error-codes.md says who can act on it.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::Busy => 501,
            Self::DiskFull => 502,
            Self::ReadOnly => 503,
            Self::Corrupt => 504,
            Self::NotADatabase => 505,
            Self::Io { .. } => 506,
            Self::Interrupted => 507,
            Self::Internal { .. } => 900,
            Self::Denied => 901,
            Self::Constraint => 902,
        }
    }
}

/// Sorts an error of rusqlite into a kind, and drops its text.
#[must_use]
pub fn classify(error: &rusqlite::Error) -> StorageError {
    let sqlite = match error {
        // A denied function, unlike any other denial, has no code of its own.
        rusqlite::Error::SqlInputError { msg, .. } if msg.starts_with("not authorized") => {
            return StorageError::Denied;
        }
        rusqlite::Error::SqlInputError { error, .. } | rusqlite::Error::SqliteFailure(error, _) => error,
        _ => return StorageError::Internal { code: 0 },
    };
    let code = sqlite.extended_code;
    match sqlite.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
            StorageError::Busy
        }
        ErrorCode::DiskFull => StorageError::DiskFull,
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => StorageError::ReadOnly,
        ErrorCode::DatabaseCorrupt => StorageError::Corrupt,
        ErrorCode::NotADatabase => StorageError::NotADatabase,
        ErrorCode::SystemIoFailure | ErrorCode::CannotOpen => StorageError::Io { code },
        ErrorCode::OperationInterrupted => StorageError::Interrupted,
        ErrorCode::AuthorizationForStatementDenied => StorageError::Denied,
        ErrorCode::ConstraintViolation => StorageError::Constraint,
        _ => StorageError::Internal { code },
    }
}

impl From<&rusqlite::Error> for StorageError {
    fn from(error: &rusqlite::Error) -> Self {
        classify(error)
    }
}

impl From<rusqlite::Error> for StorageError {
    fn from(error: rusqlite::Error) -> Self {
        classify(&error)
    }
}

/// Why a database could not be created or opened.
///
/// An own type, since each case needs another screen than a failed statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// `create` met a file, or the write-ahead log of one, at the path. Nothing was changed.
    #[error("a database already exists")]
    AlreadyExists,
    /// `open` met no file at the path. Nothing was created.
    #[error("the database does not exist")]
    NotFound,
    /// The file has no bytes: a `create` that was cut off, or a truncated database.
    #[error("the database file is empty")]
    Empty,
    /// The file is an unencrypted SQLite database. It was not touched.
    #[error("the file is not encrypted")]
    NotEncrypted,
    /// The path is a symbolic link or names no regular file.
    #[error("the path is not a regular file")]
    NotAFile,
    /// The first page cannot be decrypted: another key, or a damaged header. Nothing was written.
    #[error("the file is not a database of this key")]
    NotADatabase,
    /// The linked engine is not SQLCipher, or it does not encrypt this connection.
    #[error("the storage engine does not encrypt")]
    EngineNotEncrypted,
    /// The engine was compiled without an option that keeps content out of temporary files.
    #[error("the storage engine lacks the compile option {option}")]
    EngineOption {
        /// The option as `PRAGMA compile_options` spells it.
        option: &'static str,
    },
    /// The engine did not take a cipher setting or a pragma.
    #[error("the storage engine refused the setting {setting}")]
    EngineSetting {
        /// The name of the pragma.
        setting: &'static str,
    },
    /// The file system refused.
    #[error("the file system refused ({0})")]
    Io(io::ErrorKind),
    /// The database was reached and failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl OpenError {
    /// The stable number of this error: docs/error-codes.md says who can act on it.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::AlreadyExists => 510,
            Self::NotFound => 511,
            Self::Empty => 512,
            Self::NotEncrypted => 513,
            Self::NotAFile => 514,
            Self::EngineNotEncrypted => 515,
            Self::EngineOption { .. } => 516,
            Self::EngineSetting { .. } => 517,
            Self::NotADatabase => 505,
            Self::Io(_) => 506,
            Self::Storage(error) => error.code(),
        }
    }
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        match classify(&error) {
            StorageError::NotADatabase => Self::NotADatabase,
            other => Self::Storage(other),
        }
    }
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            io::ErrorKind::AlreadyExists => Self::AlreadyExists,
            kind => Self::Io(kind),
        }
    }
}
