//! Work on the database as a whole: checkpoint, compaction, a new key.

use std::path::Path;

use rusqlite::{Connection, TransactionState, ffi};

use crate::{OpenError, Options, StorageError, authorizer::Lifted, key::RawKey, open};

/// Moves the write-ahead log into the database, syncs it and truncates the log to nothing.
///
/// # Errors
/// [`StorageError::Busy`] if a reader or writer holds on to the log for longer than the busy timeout; what
/// could be moved has been.
pub fn checkpoint(connection: &Connection) -> Result<(), StorageError> {
    let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy { Err(StorageError::Busy) } else { Ok(()) }
}

/// Moves what nobody reads or writes at the moment from the write-ahead log into the database, and waits for nobody. Not
/// while another connection does so: that one may say that it is busy.
///
/// # Errors
/// Those of the disk.
pub fn checkpoint_in_passing(connection: &Connection) -> Result<(), StorageError> {
    Ok(connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)
}

/// Rewrites the database without its free pages, under the same key.
///
/// Holds the compacted database in memory for the time, since a temporary file is not allowed: call it
/// when the free pages are worth it (`PRAGMA freelist_count`).
///
/// # Errors
/// [`StorageError::Busy`], [`StorageError::DiskFull`]; the database is unchanged then.
pub fn vacuum(connection: &mut Connection) -> Result<(), StorageError> {
    let mut lifted = Lifted::new(connection)?;
    lifted.connection().execute_batch("VACUUM")?;
    checkpoint(lifted.connection())
}

/// Encrypts the whole database again under a new key, and opens it with that key.
///
/// One transaction in the write-ahead log, so a crash at any point leaves a database that opens with
/// exactly one of the two keys; the caller keeps both until this has returned. Needs free space of about
/// the size of the database, and no other connection: theirs would go on with the old key.
///
/// The connection is taken, because SQLCipher leaves it with the new key for writing even if nothing was
/// rewritten, and does not report a failed commit: a transaction that is still open tells, and opening
/// the file again is the proof.
///
/// # Errors
/// [`OpenError`]; the connection is closed, and the file opens with the old or with the new key.
pub fn rekey(
    connection: Connection,
    path: &Path,
    new_key: &[u8; 32],
    options: &Options,
) -> Result<Connection, OpenError> {
    // Fails here, before anything is keyed, while somebody else reads or writes.
    checkpoint(&connection)?;
    RawKey(new_key).reapply(&connection)?;
    if connection.transaction_state(None::<&str>)? != TransactionState::None {
        return Err(StorageError::Io { code: ffi::SQLITE_IOERR_WRITE }.into());
    }
    // Until this is done the file still holds pages of the old key below the log.
    checkpoint(&connection)?;
    drop(connection);
    open(path, new_key, options)
}
