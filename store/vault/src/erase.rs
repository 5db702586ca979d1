//! Destroying a store so that nothing can bring it back.
//!
//! Every byte of data is encrypted under keys that need both the keychain secret and the key file. Destroying
//! those two is the erasure (NIST SP 800-88r2, cryptographic erase); removing the files is tidiness.
//!
//! Invariants: the order is mark, keychain, key file, data, record; each step can be repeated, so an erasure
//! that was cut short is finished by calling [`erase`] again; once it has begun the store can never be opened.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::chain::Chain;
use crate::clock::Clock;
use crate::disk;
use crate::error::{Error, Part};
use crate::key_file::KeyFile;
use crate::layout::{self, ERASED_FILE, KEY_FILE};
use crate::lock;
use crate::policy::Config;
use crate::status;
use crate::store_id::StoreId;

/// Longest record that is read, in bytes.
const MAX_BYTES: u64 = 4096;

/// What was destroyed. Stays in the directory as `store.erased`, for the server and for the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Erasure {
    /// The store, if its key file could still be read.
    pub store: Option<StoreId>,
    /// When it began, in milliseconds since 1970 UTC.
    pub begun_ms: i64,
    /// When it was done; `None` while it is not.
    pub finished_ms: Option<i64>,
    /// Whether the keychain could be asked. If not, the overwritten key file carries the erasure alone.
    pub keychain_reached: bool,
    /// Items deleted from the keychain.
    pub keychain_items: u64,
    /// Whether a key file was overwritten and removed.
    pub key_file_destroyed: bool,
    /// Files removed, the key file not counted.
    pub files: u64,
    /// Their length in bytes.
    pub bytes: u64,
    /// Changes that the server had never seen, if they could be counted.
    pub unsynced: Option<u64>,
}

/// Erases the store in a directory; needs no passcode. Finishes an erasure that was cut short, and returns the
/// record of one that is complete.
///
/// # Errors
/// [`Error::Uninitialised`] if there is nothing, [`Error::AlreadyOpen`], [`Error::Io`] (call again).
pub fn erase(directory: impl AsRef<Path>, config: &Config) -> Result<Erasure, Error> {
    let directory = directory.as_ref();
    let begun = find(directory)?;
    if begun.is_none() && !layout::has_key_file(directory) && !layout::has_data(directory) {
        return Err(Error::Uninitialised);
    }
    let _lock = lock::take(directory)?;
    run(directory, &Chain::new(directory, config), &*config.clock)
}

/// The record of a directory; `None` if nothing was erased there.
///
/// # Errors
/// [`Error::Corrupt`] if the record is damaged, [`Error::Io`] if it cannot be read.
pub fn find(directory: impl AsRef<Path>) -> Result<Option<Erasure>, Error> {
    let path = directory.as_ref().join(ERASED_FILE);
    let record = disk::read(&path, MAX_BYTES).map_err(Error::io("reading the erasure record"))?;
    record.map(|record| serde_json::from_slice(&record).map_err(|_| Error::Corrupt(Part::Marker))).transpose()
}

/// Erases a directory whose lock the caller has.
pub(crate) fn run(directory: &Path, chain: &Chain, clock: &dyn Clock) -> Result<Erasure, Error> {
    let mut erasure = match find(directory)? {
        Some(done) if done.finished_ms.is_some() => return Ok(done),
        Some(begun) => begun,
        None => begin(directory, clock)?,
    };
    destroy_items(&mut erasure, chain);
    // The record keeps what was done if this process ends here; a full disk keeps nothing from being destroyed.
    let _ = write(directory, &erasure);
    let destroyed = disk::shred(&directory.join(KEY_FILE)).map_err(Error::io("destroying the key file"))?;
    disk::remove(&disk::temporary_of(&directory.join(KEY_FILE)))
        .map_err(Error::io("destroying the key file"))?;
    erasure.key_file_destroyed |= destroyed;
    let _ = write(directory, &erasure);
    for name in layout::DATA {
        remove(&directory.join(name), &mut erasure).map_err(Error::io("removing the data"))?;
    }
    erasure.finished_ms = Some(clock.wall_ms());
    write(directory, &erasure)?;
    Ok(erasure)
}

fn begin(directory: &Path, clock: &dyn Clock) -> Result<Erasure, Error> {
    // A damaged key file, or a count that cannot be read, is no reason to keep the store.
    let store = KeyFile::read(&directory.join(KEY_FILE)).ok().flatten().map(|file| file.header.store);
    let unsynced = status::unsynced(directory).ok().flatten();
    let mut erasure = Erasure {
        store: store.or_else(|| unsynced.map(|unsynced| unsynced.store)),
        begun_ms: clock.wall_ms(),
        finished_ms: None,
        keychain_reached: false,
        keychain_items: 0,
        key_file_destroyed: false,
        files: 0,
        bytes: 0,
        unsynced: unsynced.map(|unsynced| unsynced.count),
    };
    if write(directory, &erasure).is_err() {
        // The disk may be full. The key file goes first then, which makes room; without it nothing opens either.
        erasure.key_file_destroyed =
            disk::shred(&directory.join(KEY_FILE)).map_err(Error::io("destroying the key file"))?;
        write(directory, &erasure)?;
    }
    Ok(erasure)
}

/// The items of this store, and of any other that was made in the same place.
fn destroy_items(erasure: &mut Erasure, chain: &Chain) {
    let Ok(mut stores) = chain.stores_of_place() else { return };
    stores.extend(erasure.store.filter(|store| !stores.contains(store)));
    let purged: Result<Vec<u64>, Error> = stores.into_iter().map(|store| chain.purge(store)).collect();
    if let Ok(counts) = purged {
        erasure.keychain_reached = true;
        erasure.keychain_items += counts.iter().sum::<u64>();
    }
}

fn write(directory: &Path, erasure: &Erasure) -> Result<(), Error> {
    let record = serde_json::to_vec_pretty(erasure).expect("plain fields serialise");
    disk::replace(&directory.join(ERASED_FILE), &record).map_err(Error::io("writing the erasure record"))
}

fn remove(path: &Path, erasure: &mut Erasure) -> io::Result<()> {
    let found = match path.symlink_metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if found.is_dir() {
        for entry in fs::read_dir(path)? {
            remove(&entry?.path(), erasure)?;
        }
        return fs::remove_dir(path);
    }
    fs::remove_file(path)?;
    erasure.files += 1;
    erasure.bytes += found.len();
    Ok(())
}
