//! How a command ends: the failure, as it is printed, and the exit code.
//!
//! Invariant: what is printed here carries no patient data: numbers, fixed texts, FHIRPath places, and the names of
//! files as they were given.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use keepwell_store::Error;

/// Issues of one resource that are printed at the most.
const ISSUES_MAX: usize = 20;

/// The first digit of an error says who can act; the exit code follows it. A search is a request as any other.
const DATA: u8 = 1;
const USAGE: u8 = 2;
const KEY: u8 = 3;
const SERVER: u8 = 4;
const STORAGE: u8 = 5;
/// Also that of a panic.
pub(crate) const BUG: u8 = 70;

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The store, the vault or the file system refused.
    Store(Error),
    /// The command line asks for what cannot be.
    Usage(&'static str),
    /// Whoever reads our output has gone; there is nobody to tell.
    NobodyReads,
    /// The server refused, or was refused.
    Server(keepwell_server::Error),
    /// Sync refused, or was refused.
    Sync(keepwell_client::Error),
    /// The server could not be reached, had no time, or did not take all of it, with the code of why; what waited still
    /// waits.
    Unmet(u16),
    /// A step of the demo did not hold.
    NotHeld(&'static str),
    /// One of these, about a file.
    About(String, Box<Self>),
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<keepwell_client::Error> for Failure {
    fn from(error: keepwell_client::Error) -> Self {
        match error {
            keepwell_client::Error::Store(error) => Self::Store(error),
            error => Self::Sync(error),
        }
    }
}

impl From<keepwell_server::Error> for Failure {
    fn from(error: keepwell_server::Error) -> Self {
        match error {
            keepwell_server::Error::Store(error) => Self::Store(error),
            error => Self::Server(error),
        }
    }
}

impl From<keepwell_vault::Error> for Failure {
    fn from(error: keepwell_vault::Error) -> Self {
        Self::Store(error.into())
    }
}

/// For `map_err`: a file operation that failed while doing `step`.
pub(crate) fn io(step: &'static str) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::Store(Error::Io { step, kind: error.kind() })
}

impl Failure {
    /// This failure, which is about a file that was named.
    pub(crate) fn about(self, path: &Path) -> Self {
        match self {
            // A reader who has gone reads no file name either.
            told @ (Self::About(..) | Self::NobodyReads) => told,
            failure => Self::About(path.display().to_string(), Box::new(failure)),
        }
    }

    /// Tells the person, or with `json` the program, on standard error.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        let (file, failure) = match self {
            Self::About(file, failure) => (Some(file.as_str()), &**failure),
            failure => (None, failure),
        };
        let (code, message) = match failure {
            Self::Store(error) => (Some(error.code()), error.to_string()),
            Self::Server(error) => (Some(error.code()), error.to_string()),
            Self::Sync(error) => (Some(error.code()), error.to_string()),
            Self::Unmet(code) => {
                (Some(*code), "not all of it could be done; what waits will be sent the next time".to_owned())
            }
            Self::Usage(text) => (None, (*text).to_owned()),
            Self::NobodyReads | Self::About(..) => return ExitCode::SUCCESS,
            Self::NotHeld(what) => (Some(900), format!("this did not hold: {what}")),
        };
        let hint = code.and_then(hint);
        let mut out = io::stderr().lock();
        // Nothing can be done for a reader who has closed standard error.
        let _ = if json {
            let outcome = match failure {
                Self::Store(error) => serde_json::from_str(&error.operation_outcome()).ok(),
                _ => None::<serde_json::Value>,
            };
            let told = serde_json::json!({
                "error": code, "message": message, "file": file, "hint": hint, "outcome": outcome,
            });
            writeln!(out, "{told}")
        } else {
            let number = code.map_or_else(String::new, |code| format!(" {code}"));
            let lines = [file.map(|file| format!("in {file}")), hint.map(str::to_owned)];
            writeln!(out, "error{number}: {message}")
                .and_then(|()| lines.iter().flatten().try_for_each(|line| writeln!(out, "  {line}")))
                .and_then(|()| failure.print_details(&mut out))
        };
        ExitCode::from(code.map_or(USAGE, exit_code))
    }

    /// What the store says of a resource that it refused, and when to try again.
    fn print_details(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self::Store(error) = self else { return Ok(()) };
        let issues = error.issues();
        for issue in issues.iter().filter(|issue| !issue.expression.is_empty()).take(ISSUES_MAX) {
            writeln!(out, "  {}: {}", issue.expression, issue.diagnostics)?;
        }
        if issues.len() > ISSUES_MAX {
            writeln!(out, "  and {} more", issues.len() - ISSUES_MAX)?;
        }
        match wait_s(error) {
            Some(seconds) if seconds > 0 => writeln!(out, "  try again in {seconds} s"),
            _ => Ok(()),
        }
    }
}

/// The exit code for an error's number.
fn exit_code(code: u16) -> u8 {
    match code / 100 {
        1 | 3 => DATA,
        2 => KEY,
        4 => SERVER,
        5 => STORAGE,
        _ => BUG,
    }
}

/// What a person at the terminal can do.
fn hint(code: u16) -> Option<&'static str> {
    Some(match code {
        204 => "give it with --passcode-file, or run in a terminal to be asked",
        211..=213 => "name its keychain with --keychain; if the key is lost: `keepwell recover use`",
        214 => "start a keyring, or choose another place for the key with --keychain file:DIR",
        215 => "name its keychain with --keychain, or move the store with `keepwell recover use`",
        218 => "another command or program works with it; wait for that to end",
        219 => "make one with `keepwell init`, or name its directory with --store",
        221 => "keep the directory with `keepwell quarantine move-aside`, then restore an archive",
        222 | 223 => "look into it, then `keepwell unlock --adopt` or `keepwell quarantine mark`",
        224 => "see `keepwell quarantine status`",
        417 => "enrol it with `keepwell enrol`, by an invitation of the operator of its server",
        424 => "let it meet its server with `keepwell sync`; if it stays, ask the operator",
        434 => "ask for another: `keepwell serve invite USER` on the server",
        464 => {
            "if the operator changed the key: `keepwell enrol --pins FILE`, with what `keepwell serve key show` prints"
        }
        467 => "enrol it again with another invitation; it stays the device that it is",
        469 => "start it with `keepwell serve`, or name its configuration with --config",
        486 => "`chmod go-w` the configuration, `chmod go-rwx` the directory",
        487 => "draw one with `openssl rand -base64 32`",
        496 => "restore all of it (docs/operators.md, Backup), or begin anew in an empty directory",
        498 => "end what listens there, or name another address with --listen",
        502 => "make room; to read takes some as well, for the record in the audit trail",
        503 | 522 => "the directory of a store has to be there and writable, to read as well",
        504 | 505 | 520 => "see `keepwell verify`",
        523 => "see that the file is there, and that the user of the server may read it",
        _ => return None,
    })
}

fn wait_s(error: &Error) -> Option<u128> {
    use keepwell_vault::Error::{Throttled, WrongPasscode};
    match error {
        Error::Vault(WrongPasscode { retry_after, .. } | Throttled { retry_after }) => {
            Some(retry_after.as_millis().div_ceil(1_000))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_follow_the_first_digit() {
        for (code, exit) in [
            (101, 1),
            (118, 1),
            (205, 3),
            (230, 3),
            (301, 1),
            (486, 4),
            (502, 5),
            (522, 5),
            (900, 70),
            (600, 70),
        ] {
            assert_eq!(exit_code(code), exit, "{code}");
        }
    }
}
