//! Looking for damage in a whole database.
//!
//! Three checks, since none sees everything (requirement R-09): the HMAC of every page in the file, the
//! structure of every table and index, and the references between rows. Not seen here: an old page or an
//! old file put back whole, and a deleted write-ahead log; those carry valid HMACs. The store finds them
//! by its own chain and anchor.

use rusqlite::Connection;

use crate::{StorageError, maintenance::checkpoint};

/// Findings of one check after which it stops: enough to see the extent, bounded in memory.
pub const DAMAGE_LIMIT: usize = 1000;

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// The HMAC of a page does not fit: the page was changed outside SQLCipher.
    Page {
        /// The number of the page, from 1; it starts at byte `(number - 1) * PAGE_SIZE_BYTES`.
        number: u32,
    },
    /// The file does not end at a page border, or a page could not be read.
    File {
        /// SQLCipher's words; they carry numbers only.
        finding: String,
    },
    /// A table or an index contradicts itself.
    Structure {
        /// SQLite's words; they carry the names of tables and indexes, row numbers and page numbers, no
        /// content.
        finding: String,
    },
    /// A check could not go on because the database cannot be read further.
    Unreadable {
        /// The check that was stopped.
        check: &'static str,
    },
    /// A row refers to one that does not exist.
    Reference {
        /// The table of the row.
        table: String,
        /// The row.
        rowid: Option<i64>,
        /// The table that it refers to.
        parent: String,
    },
}

/// Runs all three checks and returns what is damaged, nothing if all is well.
///
/// Reads every page. Should run while nobody writes, and on a fresh connection: after a damaged page
/// SQLCipher refuses everything further on the connection that met it.
///
/// # Errors
/// [`StorageError`] where a check failed for another reason than damage: busy, interrupted, input/output.
pub fn verify(connection: &Connection) -> Result<Vec<Damage>, StorageError> {
    // The page check reads the file, not the log: the log goes first. A read-only connection cannot, and
    // damage will be named below.
    match checkpoint(connection) {
        Ok(()) | Err(StorageError::ReadOnly | StorageError::Corrupt | StorageError::NotADatabase) => {}
        Err(error) => return Err(error),
    }
    let mut damage = Vec::new();
    collect(connection, "cipher_integrity_check", &mut damage, |row| Ok(Some(page_finding(row.get(0)?))))?;
    collect(connection, "integrity_check", &mut damage, |row| {
        let finding: String = row.get(0)?;
        Ok((finding != "ok").then_some(Damage::Structure { finding }))
    })?;
    collect(connection, "foreign_key_check", &mut damage, |row| {
        Ok(Some(Damage::Reference { table: row.get(0)?, rowid: row.get(1)?, parent: row.get(2)? }))
    })?;
    Ok(damage)
}

fn collect(
    connection: &Connection,
    check: &'static str,
    damage: &mut Vec<Damage>,
    finding: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<Option<Damage>>,
) -> Result<(), StorageError> {
    let mut run = || -> rusqlite::Result<()> {
        let mut statement = connection.prepare(&format!("PRAGMA {check}"))?;
        let mut rows = statement.query([])?;
        let mut left = DAMAGE_LIMIT;
        while left > 0
            && let Some(row) = rows.next()?
        {
            damage.extend(finding(row)?);
            left -= 1;
        }
        Ok(())
    };
    match run().map_err(StorageError::from) {
        Err(StorageError::Corrupt | StorageError::NotADatabase) => damage.push(Damage::Unreadable { check }),
        other => return other,
    }
    Ok(())
}

fn page_finding(finding: String) -> Damage {
    let number = finding.strip_prefix("HMAC verification failed for page ").and_then(|n| n.parse().ok());
    number.map_or(Damage::File { finding }, |number| Damage::Page { number })
}
