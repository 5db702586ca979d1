//! The engine that is really linked, and the proof that it encrypts.
//!
//! A host program can link another SQLite into the same image, or build this one without the flags of
//! `.cargo/config.toml`. Both would put health data on the disk in clear without any error, so the engine
//! is asked at every open (requirements ).
//!
//! Invariant: no byte is written to a file before [`check_engine`] and [`check_connection`] agree.

use std::sync::OnceLock;

use rusqlite::Connection;

use crate::{OpenError, cipher};

/// Options that must be compiled in, each with what its lack would do.
const REQUIRED_OPTIONS: [&str; 5] = [
    // Without the codec nothing is encrypted.
    "HAS_CODEC",
    // Temporary tables and sorts would spill to disk in clear; 3 means that no pragma can change it.
    "TEMP_STORE=3",
    // A loaded extension runs with the keys of the process.
    "OMIT_LOAD_EXTENSION",
    // Deleted content would stay in free pages, readable by anyone who gets the key later.
    "SECURE_DELETE",
    // A misspelt column in double quotes would become a string instead of an error.
    "DQS=0",
];

/// Providers that have been tried; LibTomCrypt, for instance, is for wasm only.
const KNOWN_PROVIDERS: [&str; 2] = ["openssl", "commoncrypto"];

/// What the linked engine says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// SQLCipher's version, `4.19.0 community`.
    pub cipher_version: String,
    /// SQLite's version, `3.53.4`.
    pub sqlite_version: String,
    compile_options: Vec<String>,
}

impl Engine {
    fn ask() -> Result<Self, rusqlite::Error> {
        let memory = Connection::open_in_memory()?;
        silence(&memory)?;
        let mut statement = memory.prepare("PRAGMA compile_options")?;
        let compile_options = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(Self {
            cipher_version: answer(&memory, "cipher_version")?,
            sqlite_version: rusqlite::version().to_owned(),
            compile_options,
        })
    }

    fn check(self) -> Result<Self, OpenError> {
        if self.cipher_version.is_empty() {
            return Err(OpenError::EngineNotEncrypted);
        }
        let missing = REQUIRED_OPTIONS.iter().find(|o| !self.compile_options.iter().any(|c| c == *o));
        missing.map_or(Ok(self), |option| Err(OpenError::EngineOption { option }))
    }
}

/// Asks the engine once in the life of the process, on a database in memory.
///
/// # Errors
/// [`OpenError::EngineNotEncrypted`] or [`OpenError::EngineOption`].
pub fn check_engine() -> Result<&'static Engine, OpenError> {
    static ENGINE: OnceLock<Result<Engine, OpenError>> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::ask()?.check()).as_ref().map_err(|error| *error)
}

/// Checks that this keyed connection is encrypted, by a known provider and with our settings.
pub(crate) fn check_connection(connection: &Connection) -> Result<(), OpenError> {
    let encrypts = answer(connection, "cipher_status")? == "1"
        && KNOWN_PROVIDERS.contains(&answer(connection, "cipher_provider")?.as_str());
    if !encrypts {
        return Err(OpenError::EngineNotEncrypted);
    }
    cipher::check(|pragma| answer(connection, pragma))
}

/// SQLCipher writes warnings to stderr, logcat or os_log by default. The level is one for the
/// process, and any library in it may have raised it, so every open lowers it again.
pub(crate) fn silence(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute_batch("PRAGMA cipher_log_level = NONE")
}

/// The one value of a pragma as text, empty where the engine does not know the pragma.
pub(crate) fn answer(connection: &Connection, pragma: &str) -> Result<String, rusqlite::Error> {
    let mut statement = connection.prepare(&format!("PRAGMA {pragma}"))?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else {
        return Ok(String::new());
    };
    // cipher_* pragmas answer in text, SQLite's own mostly in integers.
    Ok(match row.get_ref(0)? {
        rusqlite::types::ValueRef::Integer(number) => number.to_string(),
        other => other.as_str().unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An engine that is not SQLCipher has no `sqlite3_key` and does not even link, so its answers are
    /// given here by hand.
    fn engine(cipher_version: &str, compile_options: &[&str]) -> Engine {
        Engine {
            cipher_version: cipher_version.to_owned(),
            sqlite_version: "3.53.4".to_owned(),
            compile_options: compile_options.iter().map(|option| (*option).to_owned()).collect(),
        }
    }

    #[test]
    fn engine_with_all_options_is_taken() {
        assert!(engine("4.19.0 community", &REQUIRED_OPTIONS).check().is_ok());
    }

    #[test]
    fn engine_without_a_cipher_is_refused() {
        assert_eq!(engine("", &REQUIRED_OPTIONS).check(), Err(OpenError::EngineNotEncrypted));
    }

    #[test]
    fn missing_compile_option_is_named() {
        for option in REQUIRED_OPTIONS {
            let others: Vec<_> = REQUIRED_OPTIONS.into_iter().filter(|o| *o != option).collect();
            let refused = Err(OpenError::EngineOption { option });
            assert_eq!(engine("4.19.0 community", &others).check(), refused);
        }
    }

    #[test]
    fn compile_option_with_another_value_is_refused() {
        let options = REQUIRED_OPTIONS.map(|o| if o == "TEMP_STORE=3" { "TEMP_STORE=2" } else { o });
        let refused = Err(OpenError::EngineOption { option: "TEMP_STORE=3" });
        assert_eq!(engine("4.19.0 community", &options).check(), refused);
    }

    #[test]
    fn connection_without_a_key_is_refused() {
        let connection = Connection::open_in_memory().expect("memory is there");
        assert_eq!(check_connection(&connection), Err(OpenError::EngineNotEncrypted));
    }
}
