//! The directory of a store with the keychain that belongs to it: what is copied as one, and what a power cut leaves.
//!
//! Invariant: what is copied is whole, since a simulated process writes only while it is asked something.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use keepwell_sqlcipher::power_loss::{cut_unsynced, forget, install, kill, moment, set_full};
use keepwell_store::StoreOptions;
use keepwell_store::vault::{DATABASE_FILE, Keychain as _, LOCK_FILE, ManualClock, MemoryKeychain, Secret};
use tempfile::TempDir;

/// A file system in memory, where there is one: what is on disk for good is what was synced, by our own record.
const MEMORY: &str = "/dev/shm";

/// A copy of a home in memory.
#[derive(Clone)]
pub(crate) struct Image {
    files: BTreeMap<PathBuf, Vec<u8>>,
    items: Vec<(String, Secret)>,
}

/// How a process ends.
#[derive(Clone, Copy)]
pub(crate) enum End {
    /// It is killed: every write is there.
    Killed,
    /// The power fails: of what was not synced anything may be there, by this seed; with a log that `is_unsynced`, of
    /// all that is not in the database yet.
    PowerLost { seed: u64, is_unsynced: bool },
}

/// The directory of a store, and its keychain. To be dropped after the store.
pub(crate) struct Home {
    _directory: TempDir,
    path: PathBuf,
    keychain: Arc<MemoryKeychain>,
}

impl Home {
    /// One without a store.
    pub(crate) fn empty() -> Self {
        install();
        let above = Path::new(MEMORY);
        let directory = if above.is_dir() { tempfile::tempdir_in(above) } else { tempfile::tempdir() };
        let directory = directory.expect("a directory can be made");
        let path = directory.path().canonicalize().expect("it is there").join("store");
        Self { _directory: directory, path, keychain: Arc::new(MemoryKeychain::new()) }
    }

    pub(crate) fn of(image: &Image) -> Self {
        let home = Self::empty();
        for (name, bytes) in &image.files {
            let path = home.path.join(name);
            fs::create_dir_all(path.parent().expect("it is in the directory")).expect("it can be made");
            fs::write(path, bytes).expect("there is room");
        }
        for (name, secret) in &image.items {
            home.keychain.set(name, secret).expect("memory does not fail");
        }
        home
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Options of the store that lives here. The clock is the world's: nothing is ever due by itself.
    pub(crate) fn options(&self, clock: Arc<ManualClock>) -> StoreOptions {
        let mut options = StoreOptions::new("simulator", "simulator", Some(self.keychain.clone()));
        (options.memory_security, options.strict_audit) = (false, true);
        options.cache_kib = 1_024;
        options.clock = clock;
        options
    }

    /// All of it; but for what a process that begins anew makes itself.
    pub(crate) fn image(&self) -> Image {
        let mut files = BTreeMap::new();
        collect(&self.path, Path::new(""), &mut files).expect("its files can be read");
        let items = self.keychain.names().into_iter().filter_map(|name| {
            let secret = self.keychain.get(&name).expect("memory does not fail")?;
            Some((name, secret))
        });
        Image { files, items: items.collect() }
    }

    /// From now on nothing here has room to grow, or it has again.
    pub(crate) fn set_full(&self, is_full: bool) {
        set_full(&self.path, is_full);
    }

    /// How much was written and synced here so far.
    pub(crate) fn moment(&self) -> usize {
        moment(&self.path)
    }

    /// What is left if the process ended at that moment, in another place.
    pub(crate) fn left(&self, at: usize, end: End) -> Self {
        let mut image = self.image();
        image.files.retain(|name, _| !name.to_string_lossy().starts_with(DATABASE_FILE));
        let left = Self::of(&image);
        match end {
            End::Killed => kill(&self.path, &left.path, at),
            End::PowerLost { seed, is_unsynced } => {
                let log = is_unsynced.then(|| format!("{DATABASE_FILE}-wal"));
                cut_unsynced(&self.path, &left.path, at, seed, log.as_deref().map(OsStr::new))
            }
        }
        .expect("there is room");
        left
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        forget(&self.path);
    }
}

fn collect(root: &Path, below: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let name = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            collect(root, &name, files)?;
        } else if name != Path::new(LOCK_FILE) && !name.to_string_lossy().ends_with("-shm") {
            files.insert(name, fs::read(entry.path())?);
        }
    }
    Ok(())
}
