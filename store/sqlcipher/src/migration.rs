//! The numbered steps from an empty database to the schema of this program.
//!
//! Each step runs in a transaction of its own that also moves `user_version`, so a crash leaves the
//! database between two steps, never inside one. A released step is history and never changes.
//!
//! Invariant: `user_version`, or for an extension its row in `extension`, is the number of the last step that was
//! committed.

use rusqlite::{Connection, TransactionBehavior, params};

use crate::{StorageError, authorizer::Lifted};

/// One step. Numbers start at 1 and have no gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// Its place, and the version after it.
    pub number: u32,
    /// What it brings, for messages.
    pub name: &'static str,
    /// Its statements, without `BEGIN` and `COMMIT`.
    pub sql: &'static str,
}

/// Why a database could not be brought to the schema of this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// A newer program wrote the database. Nothing was changed.
    #[error("the database has schema version {found}, this program knows {known}")]
    TooNew {
        /// The version of the database.
        found: u32,
        /// The last version that this program knows.
        known: u32,
    },
    /// A step failed and was rolled back; the steps before it stay.
    #[error("while applying migration {number} ({name})")]
    Step {
        /// The number of the step.
        number: u32,
        /// The name of the step.
        name: &'static str,
        /// What failed.
        source: StorageError,
    },
    /// The version could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl MigrateError {
    /// The stable number of this error: docs/error-codes.md says who can act on it.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::TooNew { .. } => 518,
            Self::Step { source, .. } | Self::Storage(source) => source.code(),
        }
    }
}

/// Applies the steps that the database does not have yet, and returns its version.
///
/// Two processes may call it at once: each step takes the write lock first and then looks whether the
/// other has been faster.
///
/// # Errors
/// [`MigrateError::TooNew`] before anything is changed; [`MigrateError::Step`] naming the step.
///
/// # Panics
/// If the numbers of `migrations` are not 1, 2, 3, ...
pub fn migrate(connection: &mut Connection, migrations: &[Migration]) -> Result<u32, MigrateError> {
    bring(connection, Part::Schema, migrations)
}

/// As [`migrate`], for the tables that an extension adds to a schema.
///
/// Its version is in the row `name` of a table `extension (name TEXT PRIMARY KEY, version INTEGER)`, which the schema
/// has.
///
/// # Errors
/// As [`migrate`].
///
/// # Panics
/// As [`migrate`].
pub fn migrate_extension(
    connection: &mut Connection,
    name: &str,
    migrations: &[Migration],
) -> Result<u32, MigrateError> {
    bring(connection, Part::Extension(name), migrations)
}

/// What a version is of.
#[derive(Clone, Copy)]
enum Part<'a> {
    Schema,
    Extension(&'a str),
}

impl Part<'_> {
    fn version(self, connection: &Connection) -> Result<u32, StorageError> {
        match self {
            Self::Schema => schema_version(connection),
            Self::Extension(name) => Ok(connection.query_row(
                "SELECT coalesce(max(version), 0) FROM extension WHERE name = ?1",
                [name],
                |row| row.get(0),
            )?),
        }
    }

    fn set_version(self, connection: &Connection, version: u32) -> Result<(), StorageError> {
        match self {
            Self::Schema => connection.execute_batch(&format!("PRAGMA user_version = {version}"))?,
            Self::Extension(name) => {
                connection.execute(
                    "INSERT INTO extension (name, version) VALUES (?1, ?2)
                     ON CONFLICT (name) DO UPDATE SET version = ?2",
                    params![name, version],
                )?;
            }
        }
        Ok(())
    }
}

fn bring(connection: &mut Connection, part: Part<'_>, migrations: &[Migration]) -> Result<u32, MigrateError> {
    assert!((1..).zip(migrations).all(|(n, m)| m.number == n), "migrations are numbered 1, 2, 3, ...");
    let known = migrations.last().map_or(0, |last| last.number);
    let found = part.version(connection)?;
    if found > known {
        return Err(MigrateError::TooNew { found, known });
    }
    if found == known {
        return Ok(known);
    }
    let mut lifted = Lifted::new(connection).map_err(StorageError::from)?;
    for migration in &migrations[found as usize..] {
        apply(lifted.connection(), part, migration).map_err(|source| MigrateError::Step {
            number: migration.number,
            name: migration.name,
            source,
        })?;
    }
    Ok(known)
}

/// The number of the last migration that a database has seen, 0 for a new one.
///
/// # Errors
/// [`StorageError`] of the read.
pub fn schema_version(connection: &Connection) -> Result<u32, StorageError> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

fn apply(connection: &mut Connection, part: Part<'_>, migration: &Migration) -> Result<(), StorageError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if part.version(&transaction)? >= migration.number {
        return Ok(());
    }
    transaction.execute_batch(migration.sql)?;
    part.set_version(&transaction, migration.number)?;
    Ok(transaction.commit()?)
}
