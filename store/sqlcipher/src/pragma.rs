//! How a keyed connection behaves.

use rusqlite::{Connection, config::DbConfig};

use crate::{OpenError, Options, StorageError, engine::answer};

/// Pages in the write-ahead log after which a commit copies them into the database.
///
/// Large enough that a page changed by many transactions of an import is copied once, small enough
/// that the log stays near 40 MB.
pub const WAL_AUTOCHECKPOINT_PAGES: u32 = 10_000;

/// Every connection.
const COMMON: &str = "
    -- A function or virtual table named in a tampered schema does not run.
    PRAGMA trusted_schema = OFF;
    -- References between our tables hold, whatever the build's default is.
    PRAGMA foreign_keys = ON;
    -- A damaged b-tree page is found when it is read, before it is acted upon.
    PRAGMA cell_size_check = ON;
    -- Sorts and temporary tables never reach a disk. The build forces this too; see engine.rs.
    PRAGMA temp_store = MEMORY;
    -- Deleted content is overwritten: a key that leaks later does not bring it back.
    PRAGMA secure_delete = ON;
";

/// Connections that write.
const WRITING: &str = "
    -- A commit has reached the disk when it returns; `set_durability` relaxes it for downloads.
    PRAGMA synchronous = FULL;
    -- On Apple systems fsync leaves data in the drive's cache; this asks for F_FULLFSYNC.
    PRAGMA fullfsync = ON;
    PRAGMA checkpoint_fullfsync = ON;
    -- After a large import the log gives its space back.
    PRAGMA journal_size_limit = 67108864;
";

/// Statements that a connection keeps ready: all that a store and its extensions have for one resource.
const STATEMENTS_MAX: usize = 128;

/// Before the first read, and before the key: what concerns the whole process.
pub(crate) fn prepare(connection: &Connection, options: &Options) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(options.busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // With a wrong key nothing may be written: closing must not move the log into the file either.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Refuses what could damage the file from SQL: writable_schema, shadow tables, journal_mode OFF.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // A statement is planned once. Otherwise one with a LIMIT that is bound is planned anew each time it is bound.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    if options.memory_security {
        // Wipes page contents when they are freed. One switch for the process; it cannot be undone.
        connection.execute_batch("PRAGMA cipher_memory_security = ON")?;
    }
    Ok(())
}

/// After the key has proven right.
pub(crate) fn configure(connection: &Connection, options: &Options) -> Result<(), OpenError> {
    connection.execute_batch(COMMON)?;
    // A negative size is in KiB and so independent of the page size.
    connection.execute_batch(&format!("PRAGMA cache_size = -{}", options.cache_kib))?;
    if options.read_only {
        connection.execute_batch("PRAGMA query_only = ON")?;
    } else {
        // Readers go on while one writes, and a commit appends to one file.
        if answer(connection, "journal_mode = WAL")? != "wal" {
            return Err(OpenError::EngineSetting { setting: "journal_mode" });
        }
        connection.execute_batch(WRITING)?;
        set_autocheckpoint(connection, WAL_AUTOCHECKPOINT_PAGES)?;
    }
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    for (setting, expected) in [("secure_delete", "1"), ("trusted_schema", "0"), ("foreign_keys", "1")] {
        if answer(connection, setting)? != expected {
            return Err(OpenError::EngineSetting { setting });
        }
    }
    Ok(())
}

/// What a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The disk has it: for what a user was told is saved. The default.
    Full,
    /// The next checkpoint will bring it to the disk. A power cut can take the last transactions, never
    /// half of one: for what can be fetched again.
    Normal,
}

/// Sets what the following commits of this connection wait for.
///
/// # Errors
/// [`StorageError::Internal`] inside a transaction, where SQLite does not allow the change.
pub fn set_durability(connection: &Connection, durability: Durability) -> Result<(), StorageError> {
    let statement = match durability {
        Durability::Full => "PRAGMA synchronous = FULL",
        Durability::Normal => "PRAGMA synchronous = NORMAL",
    };
    Ok(connection.execute_batch(statement)?)
}

/// Sets after how many pages in the write-ahead log a commit copies them into the database.
///
/// # Errors
/// [`StorageError::Internal`] if the engine refuses.
pub fn set_autocheckpoint(connection: &Connection, pages: u32) -> Result<(), StorageError> {
    Ok(connection.execute_batch(&format!("PRAGMA wal_autocheckpoint = {pages}"))?)
}
