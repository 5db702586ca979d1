//! Creating and opening an encrypted database.
//!
//! The order is the promise: the engine is checked, the file is looked at, the log is silenced, the
//! connection is keyed, the settings are read back, one read proves the key, and only then something may
//! be written. With a wrong key not a byte of the files changes.
//!
//! Invariants: `create` never touches an existing file; `open` never makes one; no file starts with
//! SQLite's clear header.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use crate::{
    OpenError, PAGE_SIZE_BYTES, authorizer, cipher, engine, key::RawKey, pragma, wiping::wipe_c_heap,
};

/// The first bytes of a database that is not encrypted.
const CLEAR_HEADER: &[u8; 16] = b"SQLite format 3\0";

/// How a connection behaves. The key is never among the options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Memory for decrypted pages, in KiB.
    pub cache_kib: u32,
    /// Wipe page contents when memory is freed. One switch for the whole process: once a connection has
    /// turned it on, it stays on for all.
    pub memory_security: bool,
    /// Read only. Needs an existing database.
    pub read_only: bool,
    /// How long a statement waits for another connection's lock.
    pub busy_timeout: Duration,
}

impl Default for Options {
    /// A writer: 16 MiB cache, wiping on, five seconds of patience.
    fn default() -> Self {
        Self {
            cache_kib: 16 * 1024,
            memory_security: true,
            read_only: false,
            busy_timeout: Duration::from_secs(5),
        }
    }
}

/// Creates an encrypted database where nothing is, and opens it. On Unix only its owner can read it.
///
/// # Errors
/// [`OpenError::AlreadyExists`] if there is a file, or the write-ahead log or journal of a lost one: that
/// log may hold the only copy of acknowledged writes. After any other error no file is left.
pub fn create(path: &Path, key: &[u8; 32], options: &Options) -> Result<Connection, OpenError> {
    engine::check_engine()?;
    let path = without_links(path)?;
    for companion in ["-wal", "-journal"] {
        if beside(&path, companion).symlink_metadata().is_ok() {
            return Err(OpenError::AlreadyExists);
        }
    }
    create_file(&path)?;
    let created = connect(&path, key, &Options { read_only: false, ..*options });
    if created.is_err() {
        for companion in ["", "-wal", "-shm", "-journal"] {
            // The file was made three lines above and holds nothing; a failure to remove it leaves
            // an empty one, which `open` names.
            let _ = fs::remove_file(beside(&path, companion));
        }
    }
    created
}

/// Opens an encrypted database.
///
/// # Errors
/// [`OpenError::NotADatabase`] for a wrong key or a damaged first page, which cannot be told apart here;
/// [`OpenError::NotFound`], [`OpenError::Empty`], [`OpenError::NotEncrypted`], [`OpenError::NotAFile`] for
/// what is at the path; nothing is created or changed in any of these cases.
pub fn open(path: &Path, key: &[u8; 32], options: &Options) -> Result<Connection, OpenError> {
    engine::check_engine()?;
    let path = without_links(path)?;
    check_file(&path)?;
    connect(&path, key, options)
}

fn connect(path: &Path, key: &[u8; 32], options: &Options) -> Result<Connection, OpenError> {
    let access =
        if options.read_only { OpenFlags::SQLITE_OPEN_READ_ONLY } else { OpenFlags::SQLITE_OPEN_READ_WRITE };
    // No CREATE and no URI: the file is there, and its name is only a name. One connection is used by
    // one thread at a time, which Rust proves, so SQLite needs no mutex of its own.
    let flags = access | OpenFlags::SQLITE_OPEN_NOFOLLOW | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if options.memory_security {
        wipe_c_heap();
    }
    let mut connection = Connection::open_with_flags(path, flags)?;
    engine::silence(&connection)?;
    pragma::prepare(&connection, options)?;
    RawKey(key).apply(&connection)?;
    cipher::apply(&connection)?;
    engine::check_connection(&connection)?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    pragma::configure(&connection, options)?;
    authorizer::install(&mut connection)?;
    Ok(connection)
}

/// The path with the links of its directory resolved, since NOFOLLOW refuses a link anywhere in it and
/// systems link their own directories. The file itself is left as it is.
fn without_links(path: &Path) -> Result<PathBuf, OpenError> {
    let name = path.file_name().ok_or(OpenError::NotAFile)?;
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    Ok(directory.canonicalize()?.join(name))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Fails if anything is at the path, a dangling link included.
fn create_file(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn check_file(path: &Path) -> Result<(), OpenError> {
    let metadata = path.symlink_metadata()?;
    if !metadata.is_file() {
        return Err(OpenError::NotAFile);
    }
    if metadata.len() == 0 {
        return Err(OpenError::Empty);
    }
    let mut header = Vec::with_capacity(CLEAR_HEADER.len());
    fs::File::open(path)?.take(CLEAR_HEADER.len() as u64).read_to_end(&mut header)?;
    if header == CLEAR_HEADER {
        return Err(OpenError::NotEncrypted);
    }
    // SQLite would take a file without a whole page for a new database: it would accept any key, write
    // over the file and throw its write-ahead log away.
    if metadata.len() < u64::from(PAGE_SIZE_BYTES) {
        return Err(OpenError::NotADatabase);
    }
    Ok(())
}
