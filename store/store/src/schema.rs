//! The tables of a store and how a database comes to have them.

use std::sync::Arc;

use keepwell_sqlcipher::{Connection, Migration};
use keepwell_vault::StoreId;
use rusqlite::{OptionalExtension, params};

use crate::error::{Error, Result};
use crate::extension::Extension;
use crate::store::StoreOptions;

/// Every migration, in order. A released file is history: change arrives as the next number.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { number: 1, name: "store", sql: include_str!("../migrations/0001_store.sql") },
    Migration { number: 2, name: "search", sql: include_str!("../migrations/0002_search.sql") },
    Migration { number: 3, name: "extension", sql: include_str!("../migrations/0003_extension.sql") },
    Migration { number: 4, name: "identity", sql: include_str!("../migrations/0004_identity.sql") },
    Migration { number: 5, name: "absent blobs", sql: include_str!("../migrations/0005_absent_blob.sql") },
];

/// Brings a database to the schema of this program and of the extensions that take part in it.
///
/// # Errors
/// [`Error::Migrate`] when the database is newer than this program; as [`extensions`].
pub(crate) fn migrate(connection: &mut Connection, options: &StoreOptions) -> Result<()> {
    keepwell_sqlcipher::migrate(connection, MIGRATIONS)?;
    for extension in extensions(connection, options)? {
        keepwell_sqlcipher::migrate_extension(connection, extension.name(), extension.migrations())?;
    }
    Ok(())
}

/// The extensions that take part in a database: all that are asked for, and those known that it was made with.
///
/// # Errors
/// [`Error::MissingExtension`] when it has tables of one that is neither.
pub(crate) fn extensions(connection: &Connection, options: &StoreOptions) -> Result<Vec<Arc<dyn Extension>>> {
    let mut statement = connection.prepare("-- schema::extensions\nSELECT name FROM extension")?;
    let names = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    let mut found = options.extensions.clone();
    for name in names {
        if found.iter().all(|extension| extension.name() != name) {
            let known = options.known_extensions.iter().find(|extension| extension.name() == name);
            found.push(known.ok_or(Error::MissingExtension)?.clone());
        }
    }
    Ok(found)
}

/// Writes into a new database whose it is.
pub(crate) fn initialise(connection: &Connection, store: &StoreId) -> Result<()> {
    connection.execute(
        "-- schema::initialise
         INSERT INTO setting (name, value) VALUES ('store', ?1)",
        params![store.as_bytes()],
    )?;
    Ok(())
}

/// Writes into a database from elsewhere whose it is now.
pub(crate) fn adopt(connection: &Connection, store: &StoreId) -> Result<()> {
    connection.execute(
        "-- schema::adopt
         UPDATE setting SET value = ?1 WHERE name = 'store'",
        params![store.as_bytes()],
    )?;
    Ok(())
}

/// Refuses a database that belongs to another store.
pub(crate) fn check_identity(connection: &Connection, store: &StoreId) -> Result<()> {
    let found: [u8; 16] = connection.query_row(
        "-- schema::check_identity\nSELECT value FROM setting WHERE name = 'store'",
        [],
        |row| row.get(0),
    )?;
    if found == *store.as_bytes() { Ok(()) } else { Err(Error::Corrupt) }
}

/// Rises each time an older state of the store was accepted on purpose; 0 at first.
pub(crate) fn epoch(connection: &Connection) -> Result<u64> {
    let epoch: Option<i64> = connection
        .query_row("-- schema::epoch\nSELECT value FROM setting WHERE name = 'epoch'", [], |row| row.get(0))
        .optional()?;
    Ok(epoch.unwrap_or(0).unsigned_abs())
}

/// Begins the next epoch.
pub(crate) fn next_epoch(connection: &Connection) -> Result<()> {
    let next = (epoch(connection)? + 1).cast_signed();
    connection.execute(
        "-- schema::next_epoch
         INSERT INTO setting (name, value) VALUES ('epoch', ?1) ON CONFLICT (name) DO UPDATE SET value = ?1",
        [next],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests;
