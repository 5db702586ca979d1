//! What the tests of this crate share: a small database, and a test that runs itself as a child process.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use keepwell_sqlcipher::{Connection, Migration, Options, PAGE_SIZE_BYTES, create, migrate};

pub(crate) const KEY: [u8; 32] = [0x5a; 32];
pub(crate) const OTHER_KEY: [u8; 32] = [0xa5; 32];

pub(crate) const MIGRATIONS: [Migration; 1] = [Migration {
    number: 1,
    name: "note",
    sql: "CREATE TABLE note (id INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE, body BLOB NOT NULL) STRICT;
          CREATE TABLE tag (
              id INTEGER PRIMARY KEY AUTOINCREMENT, note INTEGER NOT NULL REFERENCES note (id)
          ) STRICT;",
}];

/// Small caches and short waits: a test shall not hide behind either.
pub(crate) const OPTIONS: Options = Options {
    cache_kib: 64,
    memory_security: false,
    read_only: false,
    busy_timeout: Duration::from_millis(50),
};

pub(crate) const READ_ONLY: Options = Options { read_only: true, ..OPTIONS };

/// A migrated database with `rows` notes of about 600 bytes.
pub(crate) fn notebook(path: &Path, rows: u32) -> Connection {
    let mut connection = create(path, &KEY, &OPTIONS).expect("the directory is new");
    migrate(&mut connection, &MIGRATIONS).expect("the schema fits an empty database");
    write_notes(&connection, 0..rows).expect("there is room");
    connection
}

/// A connection without any guard, keyed as SQLCipher's manual says: what somebody else with the key has.
pub(crate) fn unguarded(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("the file is there");
    connection
        .execute_batch(&format!(
            "PRAGMA key = \"x'{}'\";
             PRAGMA cipher_page_size = {PAGE_SIZE_BYTES};
             PRAGMA cipher_hmac_algorithm = HMAC_SHA256;",
            "5a".repeat(32)
        ))
        .expect("SQLCipher takes its own settings");
    connection
}

pub(crate) fn write_notes(connection: &Connection, ids: std::ops::Range<u32>) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    for id in ids {
        transaction.execute(
            "INSERT INTO note (id, word, body) VALUES (?1, ?2, zeroblob(600))",
            (id, format!("word {}", id.wrapping_mul(2_654_435_761))),
        )?;
    }
    transaction.commit()
}

pub(crate) fn count_notes(connection: &Connection) -> u32 {
    connection.query_row("SELECT count(*) FROM note", [], |row| row.get(0)).expect("the table can be read")
}

/// The path with something appended to its name: the write-ahead log and its like.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The database and, where there is one, its log, copied as they are now: what a crash would leave.
pub(crate) fn copy_files(from: &Path, to: &Path) {
    for suffix in ["", "-wal"] {
        match fs::copy(beside(from, suffix), beside(to, suffix)) {
            Err(error) if suffix.is_empty() => panic!("the database can be copied: {error}"),
            _ => {}
        }
    }
}

const CHILD_DIRECTORY: &str = "KEEPWELL_TEST_CHILD_DIRECTORY";

/// Where the child part of a test works; `None` in the parent.
pub(crate) fn child_directory() -> Option<PathBuf> {
    env::var_os(CHILD_DIRECTORY).map(PathBuf::from)
}

/// Runs the test of this name once more, as a child that finds itself in `child_directory`.
pub(crate) fn child(test: &str, directory: &Path) -> Command {
    let mut command = Command::new(env::current_exe().expect("a test knows its program"));
    as_child(&mut command, test, directory);
    command
}

/// A shell that becomes this test program, with files that cannot grow beyond `bytes`: what a full disk does,
/// below SQLite. Ignored, the signal becomes an error of the write.
pub(crate) fn child_with_file_limit(bytes: u64) -> Command {
    const BLOCK_BYTES: u64 = 512;
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", bytes / BLOCK_BYTES)])
        .arg(env::current_exe().expect("a test knows its program"));
    shell
}

/// Gives any command that ends in the test program the arguments of a child.
pub(crate) fn as_child(command: &mut Command, test: &str, directory: &Path) {
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(CHILD_DIRECTORY, directory);
}
