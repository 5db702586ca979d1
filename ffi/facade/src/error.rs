//! What a failed call says: a stable code, a text without patient data, and who must act.

use std::fmt::Display;

use keepwell_store::vault;

use crate::boundary::{Result, call};
use crate::records::millis;

/// The document that lists every code. It is part of the library, so that an app can look one up.
const CODES: &str = include_str!("../../../docs/error-codes.md");

/// Why a call failed. The variant names who must act; `code` is stable across releases and listed in
/// docs/error-codes.md; `reason` is one line of English without patient data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
pub enum KeepwellError {
    /// The caller: the data, the request or the search (1xx, 3xx).
    #[error("{code}: {reason}")]
    Caller {
        /// The stable code.
        code: i32,
        /// One line of English.
        reason: String,
        /// A FHIR OperationOutcome in JSON: what was wrong, and where.
        outcome: String,
    },
    /// The person at the device: keys, factors, locks (2xx).
    #[error("{code}: {reason}")]
    Person {
        /// The stable code.
        code: i32,
        /// One line of English.
        reason: String,
        /// How long further attempts are refused, in milliseconds.
        retry_after_ms: Option<i64>,
        /// Attempts that are left until the store erases itself.
        attempts_left: Option<i64>,
    },
    /// Whoever keeps the server, the network or the device: 4xx and 5xx.
    #[error("{code}: {reason}")]
    Operator {
        /// The stable code.
        code: i32,
        /// One line of English.
        reason: String,
    },
    /// The developers: a mistake in the use of the library, or in it (9xx).
    #[error("{code}: {reason}")]
    Keepwell {
        /// The stable code.
        code: i32,
        /// One line of English.
        reason: String,
    },
}

/// A row of docs/error-codes.md.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct ErrorCode {
    /// The stable code.
    pub code: i32,
    /// Its name.
    pub name: String,
    /// When it comes.
    pub meaning: String,
    /// What to do about it; empty where there is nothing to be said.
    pub advice: String,
}

/// Every code that there is, in order, with its meaning: for the screens of an app, and for its tests.
#[uniffi::export]
#[must_use]
pub fn error_codes() -> Vec<ErrorCode> {
    CODES.lines().filter_map(row).collect()
}

/// Fails with the code: an app tries its screens with it.
///
/// # Errors
/// An error of the code as the library would give it; 117 when there is no such code.
#[uniffi::export]
pub fn rehearse_error(code: i32) -> Result<()> {
    call(|| {
        let row = error_codes().into_iter().find(|row| row.code == code);
        let row = row.ok_or(keepwell_store::Error::Argument("no error has this code"))?;
        Err::<(), KeepwellError>(KeepwellError::of(row.code, row.meaning, || None))
    })
}

/// `| 101 | `NotFound` | no such resource | |`, with or without advice.
fn row(line: &str) -> Option<ErrorCode> {
    let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
    let code = cells.next()?.parse().ok()?;
    let name = cells.next()?.trim_matches('`').to_owned();
    let mut text = || cells.next().unwrap_or_default().to_owned();
    Some(ErrorCode { code, name, meaning: text(), advice: text() })
}

/// A mistake at the edge itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misuse {
    /// A panic was stopped at the edge.
    Panic,
    /// The session was ended.
    Handle,
    /// A callback that the library waits for called it.
    Reentered,
}

impl Misuse {
    pub(crate) fn code(&self) -> u16 {
        match self {
            Self::Panic => 910,
            Self::Handle => 912,
            Self::Reentered => 917,
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Panic => "the library failed in a way that it does not know",
            Self::Handle => "the session was ended",
            Self::Reentered => "a callback called the library",
        }
    }
}

impl KeepwellError {
    /// The stable code.
    #[must_use]
    pub fn number(&self) -> i32 {
        match self {
            Self::Caller { code, .. }
            | Self::Person { code, .. }
            | Self::Operator { code, .. }
            | Self::Keepwell { code, .. } => *code,
        }
    }

    /// The one place that decides who must act.
    fn of(code: i32, reason: String, outcome: impl FnOnce() -> Option<String>) -> Self {
        match code / 100 {
            1 | 3 => {
                let outcome = outcome().unwrap_or_else(|| keepwell_store::fhir::operation_outcome(&[]));
                Self::Caller { code, reason, outcome }
            }
            2 => Self::Person { code, reason, retry_after_ms: None, attempts_left: None },
            4 | 5 => Self::Operator { code, reason },
            _ => Self::Keepwell { code, reason },
        }
    }

    fn with_limits(mut self, error: &vault::Error) -> Self {
        if let Self::Person { retry_after_ms, attempts_left, .. } = &mut self {
            match error {
                vault::Error::WrongPasscode { retry_after, attempts_left: left } => {
                    *retry_after_ms = Some(millis(*retry_after));
                    *attempts_left = left.map(i64::from);
                }
                vault::Error::Throttled { retry_after } => *retry_after_ms = Some(millis(*retry_after)),
                _ => {}
            }
        }
        self
    }
}

fn plain(code: u16, reason: &impl Display) -> KeepwellError {
    KeepwellError::of(i32::from(code), reason.to_string(), || None)
}

impl From<keepwell_store::Error> for KeepwellError {
    fn from(error: keepwell_store::Error) -> Self {
        let made = Self::of(i32::from(error.code()), error.to_string(), || Some(error.operation_outcome()));
        match &error {
            keepwell_store::Error::Vault(refused) => made.with_limits(refused),
            _ => made,
        }
    }
}

impl From<vault::Error> for KeepwellError {
    fn from(error: vault::Error) -> Self {
        keepwell_store::Error::from(error).into()
    }
}

impl From<keepwell_client::Error> for KeepwellError {
    fn from(error: keepwell_client::Error) -> Self {
        match error {
            keepwell_client::Error::Store(error) => error.into(),
            error => plain(error.code(), &error),
        }
    }
}

impl From<Misuse> for KeepwellError {
    fn from(misuse: Misuse) -> Self {
        plain(misuse.code(), &misuse.reason())
    }
}
