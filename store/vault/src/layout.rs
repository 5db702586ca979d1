//! The files of a store directory.
//!
//! One directory holds one store and nothing else, so that it can be excluded from backups, moved aside and
//! erased as a whole.

use std::path::Path;

/// The encrypted database; SQLite adds `-wal` and `-shm`.
pub const DATABASE_FILE: &str = "store.db";
/// The wrapped keys.
pub const KEY_FILE: &str = "store.keys";
/// Locked by the process that has the store open. Empty.
pub const LOCK_FILE: &str = "store.lock";
/// The sealed count of unsynced changes.
pub const STATUS_FILE: &str = "store.status";
/// The nonce that tells copies of a store apart.
pub const BOOT_FILE: &str = "store.boot";
/// Says that the store is in quarantine, and why.
pub const QUARANTINE_FILE: &str = "store.quarantine";
/// What was destroyed, and when.
pub const ERASED_FILE: &str = "store.erased";
/// The sealed attachments.
pub const BLOB_DIRECTORY: &str = "blobs";
/// What otherwise lives in the keychain, for a store whose only factor is a passphrase.
pub const ITEM_DIRECTORY: &str = "items";

/// Everything that can hold data of patients, keys first.
pub(crate) const DATA: &[&str] = &[
    DATABASE_FILE,
    "store.db-wal",
    "store.db-shm",
    "store.db-journal",
    BLOB_DIRECTORY,
    STATUS_FILE,
    BOOT_FILE,
    ITEM_DIRECTORY,
    QUARANTINE_FILE,
];

/// Whether there is data that only a key can open.
pub(crate) fn has_data(directory: &Path) -> bool {
    [DATABASE_FILE, "store.db-wal", BLOB_DIRECTORY].iter().any(|name| exists(&directory.join(name)))
}

pub(crate) fn has_key_file(directory: &Path) -> bool {
    exists(&directory.join(KEY_FILE))
}

/// Whether anything has this name; if that cannot be told, it is taken to exist.
fn exists(path: &Path) -> bool {
    !matches!(path.symlink_metadata(), Err(error) if error.kind() == std::io::ErrorKind::NotFound)
}
