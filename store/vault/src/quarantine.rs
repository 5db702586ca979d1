//! Stores whose key is lost or in doubt.
//!
//! Nothing is deleted: the directory is marked, or moved aside as a whole, and says how many changes in it the
//! server has never seen.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::disk;
use crate::error::{Error, Part};
use crate::layout::{self, QUARANTINE_FILE};
use crate::lock;
use crate::status;

/// Longest mark that is read, in bytes.
const MAX_BYTES: u64 = 4096;

/// Why a store is in quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reason {
    /// The keychain has no key, or another one, or the platform destroyed it.
    KeyLost,
    /// The store is older than the device remembers.
    Rollback,
    /// Another copy has been open since.
    Clone,
    /// The store, or its key file, is damaged.
    Damage,
    /// Somebody decided so.
    Decision,
}

/// A store in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quarantine {
    /// Why.
    pub reason: Reason,
    /// Since when, in milliseconds since 1970 UTC.
    pub since_ms: i64,
    /// Changes that the server has never seen, if they could be counted.
    pub unsynced: Option<u64>,
}

/// The mark of a directory; `None` if it is not in quarantine.
///
/// # Errors
/// [`Error::Corrupt`] if the mark is damaged, [`Error::Io`] if it cannot be read.
pub fn find(directory: impl AsRef<Path>) -> Result<Option<Quarantine>, Error> {
    let path = directory.as_ref().join(QUARANTINE_FILE);
    let mark = disk::read(&path, MAX_BYTES).map_err(Error::io("reading the quarantine mark"))?;
    mark.map(|mark| serde_json::from_slice(&mark).map_err(|_| Error::Corrupt(Part::Marker))).transpose()
}

/// Marks a directory, whether or not its vault can be opened.
///
/// # Errors
/// [`Error::Uninitialised`] if there is no store, [`Error::AlreadyOpen`], [`Error::Io`].
pub fn mark(directory: impl AsRef<Path>, reason: Reason, now_ms: i64) -> Result<Quarantine, Error> {
    let directory = directory.as_ref();
    require_store(directory)?;
    let _lock = lock::take(directory)?;
    write(directory, reason, now_ms)
}

/// Marks a directory whose lock the caller has. The first reason stays.
pub(crate) fn write(directory: &Path, reason: Reason, now_ms: i64) -> Result<Quarantine, Error> {
    if let Ok(Some(found)) = find(directory) {
        return Ok(found);
    }
    let unsynced = status::unsynced(directory).ok().flatten().map(|unsynced| unsynced.count);
    let quarantine = Quarantine { reason, since_ms: now_ms, unsynced };
    let mark = serde_json::to_vec(&quarantine).expect("plain fields serialise");
    disk::replace(&directory.join(QUARANTINE_FILE), &mark)
        .map_err(Error::io("writing the quarantine mark"))?;
    Ok(quarantine)
}

/// Ends a quarantine: the store can be opened again, if its key is back.
///
/// # Errors
/// [`Error::AlreadyOpen`], [`Error::Io`].
pub fn lift(directory: impl AsRef<Path>) -> Result<(), Error> {
    let directory = directory.as_ref();
    require_store(directory)?;
    let _lock = lock::take(directory)?;
    remove_mark(directory)
}

pub(crate) fn remove_mark(directory: &Path) -> Result<(), Error> {
    disk::remove(&directory.join(QUARANTINE_FILE)).map_err(Error::io("removing the quarantine mark"))
}

/// Moves a directory with all that is in it to a new name beside it, to make room for a new store, and says
/// where it is now. Its keychain items stay.
///
/// # Errors
/// [`Error::Uninitialised`] if there is no store, [`Error::AlreadyOpen`], [`Error::Io`].
pub fn move_aside(directory: impl AsRef<Path>, now_ms: i64) -> Result<PathBuf, Error> {
    let directory = directory.as_ref();
    require_store(directory)?;
    let lock = lock::take(directory)?;
    if find(directory)?.is_none() {
        write(directory, Reason::Decision, now_ms)?;
    }
    let mut name = directory.file_name().map(ToOwned::to_owned).ok_or(Error::WrongState)?;
    name.push(format!(".quarantine-{now_ms}"));
    let target = directory.with_file_name(name);
    if target.exists() {
        return Err(Error::AlreadyExists);
    }
    // An open handle keeps a directory from moving on Windows; nobody else can want it between these lines
    // but a second caller of this function, which then finds no store.
    drop(lock);
    fs::rename(directory, &target).map_err(Error::io("moving the store aside"))?;
    target.parent().map_or(Ok(()), disk::sync_directory).map_err(Error::io("moving the store aside"))?;
    Ok(target)
}

fn require_store(directory: &Path) -> Result<(), Error> {
    if layout::has_key_file(directory) || layout::has_data(directory) {
        Ok(())
    } else {
        Err(Error::Uninitialised)
    }
}
