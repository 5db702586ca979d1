//! What a power cut could leave of a database.
//!
//! A kill of the process leaves every write in the system's cache; a power cut leaves what was synced, and
//! of later writes any sectors in any mixture. [`install`] slips under SQLite for the rest of the process
//! and records writes and syncs of each directory. [`cut`] then makes, for any moment and seed, the files as the
//! disk could hold them after a cut at that moment; [`kill`] makes them as the death of the process leaves them.
//!
//! A disk without room ([`set_full`]) takes what fits into the files as they are, and nothing more.
//!
//! Not modelled: a file whose creation or removal is itself lost.
//!
//! Invariant: SQLite works as before; only what it writes is also remembered.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ffi::{CStr, OsStr, OsString, c_char, c_int, c_void},
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    slice,
    sync::{LazyLock, Mutex, MutexGuard, OnceLock},
};

use rusqlite::ffi::{
    self, SQLITE_FULL, SQLITE_OK, sqlite3_file, sqlite3_filename, sqlite3_int64, sqlite3_io_methods,
    sqlite3_vfs,
};

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

#[derive(Default)]
struct Recording {
    /// By directory, with the name of the file.
    steps: HashMap<PathBuf, Vec<(OsString, Step)>>,
    /// Directories without room.
    full: HashSet<PathBuf>,
    /// Open files by the address of SQLite's handle.
    open: HashMap<usize, (PathBuf, &'static sqlite3_io_methods)>,
}

enum Step {
    /// The file was opened and held this.
    Found(Vec<u8>),
    Write {
        offset: usize,
        bytes: Vec<u8>,
    },
    Truncate(usize),
    Sync,
    Remove,
}

impl Recording {
    fn add(&mut self, path: &Path, step: Step) {
        // SQLite opens whole paths only.
        if let (Some(directory), Some(name)) = (path.parent(), path.file_name()) {
            match self.steps.get_mut(directory) {
                Some(steps) => steps.push((name.to_owned(), step)),
                None => drop(self.steps.insert(directory.to_owned(), vec![(name.to_owned(), step)])),
            }
        }
    }

    fn steps(&self, directory: &Path) -> &[(OsString, Step)] {
        self.steps.get(directory).map_or(&[], Vec::as_slice)
    }
}

static RECORDING: LazyLock<Mutex<Recording>> = LazyLock::new(Mutex::default);

fn recording() -> MutexGuard<'static, Recording> {
    RECORDING.lock().expect("no recorder panics while it holds the lock")
}

/// Records from now on what every connection of this process does to its files.
pub fn install() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let system = system_vfs();
        // SAFETY: SQLite's default VFS lives as long as the process, and the struct is plain data. The
        // copy differs in name and in two functions. The system's other functions take it as their own,
        // as they look at no field that differs.
        let recorder = Box::leak(Box::new(unsafe { *system }));
        recorder.pNext = std::ptr::null_mut();
        recorder.zName = c"keepwell-power-loss".as_ptr();
        recorder.xOpen = Some(open);
        recorder.xDelete = Some(remove);
        // SAFETY: the struct was leaked above, so it outlives its registration.
        let code = unsafe { ffi::sqlite3_vfs_register(recorder, 1) };
        assert_eq!(code, SQLITE_OK, "SQLite takes another VFS");
    });
}

/// The number of steps recorded so far in a directory: the moment now, for [`cut`].
#[must_use]
pub fn moment(directory: &Path) -> usize {
    recording().steps(directory).len()
}

/// From now on there is no room in a directory, so that no file in it grows; or there is room again.
pub fn set_full(directory: &Path, is_full: bool) {
    let mut recording = recording();
    if is_full {
        recording.full.insert(directory.to_owned());
    } else {
        recording.full.remove(directory);
    }
}

/// Forgets what was recorded in a directory that is of no use any more.
pub fn forget(directory: &Path) {
    let mut recording = recording();
    recording.steps.remove(directory);
    recording.full.remove(directory);
}

/// Writes into `target` the files of `source` as a power cut at `moment` could have left them. The same seed
/// gives the same files.
///
/// # Errors
/// Of writing into `target`.
pub fn cut(source: &Path, target: &Path, moment: usize, seed: u64) -> io::Result<()> {
    cut_unsynced(source, target, moment, seed, None)
}

/// As [`cut`], had this file never been synced: so that a test can show that it would notice.
///
/// # Errors
/// Of writing into `target`.
pub fn cut_unsynced(
    source: &Path,
    target: &Path,
    moment: usize,
    seed: u64,
    unsynced: Option<&OsStr>,
) -> io::Result<()> {
    let mut coin = Coin(seed);
    // Some cuts lose everything, some nothing, the others half of the sectors.
    let mut write = |name: &OsStr, disk: Disk<'_>| {
        let kept_of_four = [0, 2, 2, 4][coin.below(4)];
        fs::write(target.join(name), disk.bytes(|| coin.below(4) < kept_of_four))
    };
    let recording = recording();
    let disks = disks(&recording, source, moment, unsynced);
    disks.into_iter().try_for_each(|(name, disk)| write(name, disk))
}

/// Writes into `target` the files of `source` as the death of the process at `moment` left them: with every write.
///
/// # Errors
/// Of writing into `target`.
pub fn kill(source: &Path, target: &Path, moment: usize) -> io::Result<()> {
    let recording = recording();
    let disks = disks(&recording, source, moment, None);
    disks.into_iter().try_for_each(|(name, disk)| fs::write(target.join(name), disk.bytes(|| true)))
}

fn disks<'r>(
    recording: &'r Recording,
    source: &Path,
    moment: usize,
    unsynced: Option<&OsStr>,
) -> BTreeMap<&'r OsStr, Disk<'r>> {
    let mut disks: BTreeMap<&OsStr, Disk<'_>> = BTreeMap::new();
    for (name, step) in &recording.steps(source)[..moment] {
        match step {
            Step::Remove => drop(disks.remove(name.as_os_str())),
            Step::Sync if unsynced == Some(name) => {}
            step => disks.entry(name).or_default().take(step),
        }
    }
    disks
}

/// A file: what is safe, and what came after the last sync.
#[derive(Default)]
struct Disk<'r> {
    synced: Vec<u8>,
    pending: Vec<&'r Step>,
}

impl<'r> Disk<'r> {
    fn take(&mut self, step: &'r Step) {
        match step {
            Step::Found(bytes) if self.synced.is_empty() && self.pending.is_empty() => {
                self.synced.clone_from(bytes);
            }
            Step::Sync => {
                for step in std::mem::take(&mut self.pending) {
                    apply(step, &mut self.synced, || true);
                }
            }
            step => self.pending.push(step),
        }
    }

    /// What is there, with those sectors of what was not synced that `keep` says.
    fn bytes(self, mut keep: impl FnMut() -> bool) -> Vec<u8> {
        let mut bytes = self.synced;
        for step in self.pending {
            apply(step, &mut bytes, &mut keep);
        }
        bytes
    }
}

/// Brings a step to the disk, as far as `keep` says for each sector of it.
fn apply(step: &Step, disk: &mut Vec<u8>, mut keep: impl FnMut() -> bool) {
    match step {
        Step::Truncate(length) if keep() => disk.truncate(*length),
        Step::Write { offset, bytes } => {
            let mut start = 0;
            while start < bytes.len() {
                let at = offset + start;
                let end = (start + SECTOR_BYTES - at % SECTOR_BYTES).min(bytes.len());
                if keep() {
                    let needed = disk.len().max(offset + end);
                    disk.resize(needed, 0);
                    disk[at..offset + end].copy_from_slice(&bytes[start..end]);
                }
                start = end;
            }
        }
        _ => {}
    }
}

/// A repeatable coin: SplitMix64.
struct Coin(u64);

impl Coin {
    fn below(&mut self, limit: u64) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit).expect("limits here are small")
    }
}

fn system_vfs() -> *mut sqlite3_vfs {
    static SYSTEM: OnceLock<usize> = OnceLock::new();
    // SAFETY: without a name SQLite answers with its default VFS, which is there on every system that it
    // supports. The first call comes before `install` registers another default.
    let address = *SYSTEM.get_or_init(|| unsafe { ffi::sqlite3_vfs_find(std::ptr::null()) } as usize);
    address as *mut sqlite3_vfs
}

/// Opens with the system's VFS, then puts a table of methods under the handle in which three are ours.
unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    name: sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let system = system_vfs();
    // SAFETY: SQLite's arguments go on unchanged, except for the VFS, which is the one that owns `xOpen`.
    let code = unsafe { (*system).xOpen.expect("a VFS opens files")(system, name, file, flags, out_flags) };
    if code != SQLITE_OK || name.is_null() {
        return code;
    }
    // SAFETY: after success `file` is initialised, and its method table is a constant of SQLite. The name
    // is a C string.
    let (original, path) = unsafe { (&*(*file).pMethods, path_of(name)) };
    let mut methods = *original;
    methods.xWrite = Some(write);
    methods.xTruncate = Some(truncate);
    methods.xSync = Some(sync);
    // SAFETY: `file` is ours until this returns; the table is leaked and so outlives it.
    unsafe { (*file).pMethods = Box::leak(Box::new(methods)) };
    let found = fs::read(&path).unwrap_or_default();
    let mut recording = recording();
    recording.add(&path, Step::Found(found));
    recording.open.insert(file as usize, (path, original));
    code
}

unsafe extern "C" fn remove(_: *mut sqlite3_vfs, name: *const c_char, sync_directory: c_int) -> c_int {
    let system = system_vfs();
    // SAFETY: as in `open`.
    let code = unsafe { (*system).xDelete.expect("a VFS removes files")(system, name, sync_directory) };
    if code == SQLITE_OK {
        // SAFETY: SQLite hands a C string.
        recording().add(&unsafe { path_of(name) }, Step::Remove);
    }
    code
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    bytes: *const c_void,
    length: c_int,
    offset: sqlite3_int64,
) -> c_int {
    if !has_room(file, offset + sqlite3_int64::from(length)) {
        return SQLITE_FULL;
    }
    record(file, |system| {
        // SAFETY: SQLite's arguments go on to the function of the same name, unchanged.
        let code = unsafe { system.xWrite.expect("a file is written")(file, bytes, length, offset) };
        // SAFETY: SQLite hands `length` readable bytes.
        let bytes = unsafe { slice::from_raw_parts(bytes.cast(), unsigned(length.into())) };
        (code, Step::Write { offset: unsigned(offset), bytes: bytes.to_vec() })
    })
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, length: sqlite3_int64) -> c_int {
    record(file, |system| {
        // SAFETY: as in `write`.
        let code = unsafe { system.xTruncate.expect("a file is truncated")(file, length) };
        (code, Step::Truncate(unsigned(length)))
    })
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    record(file, |system| {
        // SAFETY: as in `write`.
        let code = unsafe { system.xSync.expect("a file is synced")(file, flags) };
        (code, Step::Sync)
    })
}

/// Whether a file may be as long as that.
fn has_room(file: *mut sqlite3_file, end: sqlite3_int64) -> bool {
    let recording = recording();
    let (path, system) = recording.open.get(&(file as usize)).expect("only opened files get our methods");
    if !path.parent().is_some_and(|directory| recording.full.contains(directory)) {
        return true;
    }
    let mut length = 0;
    // SAFETY: SQLite's file goes on to the function of the system that opened it.
    let code = unsafe { system.xFileSize.expect("a file has a length")(file, &raw mut length) };
    code == SQLITE_OK && end <= length
}

/// Does the work with the system's methods and remembers it if it succeeded.
fn record(file: *mut sqlite3_file, work: impl FnOnce(&sqlite3_io_methods) -> (c_int, Step)) -> c_int {
    let mut recording = recording();
    let (path, system) = recording.open.get(&(file as usize)).expect("only opened files get our methods");
    let path = path.clone();
    let (code, step) = work(system);
    if code == SQLITE_OK {
        recording.add(&path, step);
    }
    code
}

fn unsigned(number: sqlite3_int64) -> usize {
    usize::try_from(number).expect("SQLite's offsets and lengths are not negative")
}

/// # Safety
/// `name` must be a C string.
unsafe fn path_of(name: *const c_char) -> PathBuf {
    // SAFETY: promised by the caller.
    let name = unsafe { CStr::from_ptr(name) };
    OsStr::from_bytes(name.to_bytes()).into()
}
