//! Where the outside world says no: locks, full disks, directories without permission, impatience.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::Command,
    time::Duration,
};

use common::*;
use keepwell_sqlcipher::{OpenError, StorageError, checkpoint, create, open, verify};
use tempfile::tempdir;

#[test]
fn second_writer_is_told_that_the_database_is_busy() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    let first = notebook(&path, 1);
    let second = open(&path, &KEY, &OPTIONS).unwrap();
    first.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(StorageError::from(write_notes(&second, 1..2).unwrap_err()), StorageError::Busy);
    assert_eq!(count_notes(&second), 1, "a reader is not held up");
    first.execute_batch("COMMIT").unwrap();
    write_notes(&second, 1..2).unwrap();
}

#[test]
fn checkpoint_is_busy_while_a_reader_stands_still() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    let writer = notebook(&path, 1);
    let reader = open(&path, &KEY, &READ_ONLY).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM note").unwrap();
    write_notes(&writer, 1..2).unwrap();
    assert_eq!(checkpoint(&writer), Err(StorageError::Busy));
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(checkpoint(&writer), Ok(()));
    assert_eq!(fs::metadata(beside(&path, "-wal")).unwrap().len(), 0);
}

#[test]
fn full_database_keeps_what_was_acknowledged() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    let connection = notebook(&path, 100);
    connection.execute_batch("PRAGMA max_page_count = 60").unwrap();
    let acknowledged = write_until_refused(&connection, StorageError::DiskFull);
    assert_eq!(count_notes(&connection), acknowledged);
    assert_eq!(verify(&connection).unwrap(), []);
}

/// Writes batches of ten after the first hundred until one fails with `expected`; returns the notes that
/// were acknowledged.
fn write_until_refused(connection: &rusqlite::Connection, expected: StorageError) -> u32 {
    for first in (100..1_000_000).step_by(10) {
        if let Err(error) = write_notes(connection, first..first + 10) {
            assert_eq!(StorageError::from(error), expected);
            return first;
        }
    }
    panic!("the limit was never reached");
}

#[test]
fn refused_write_keeps_what_was_acknowledged() {
    const TEST: &str = "refused_write_keeps_what_was_acknowledged";
    if let Some(directory) = child_directory() {
        let connection = open(&directory.join("store.db"), &KEY, &OPTIONS).unwrap();
        let write_failed = StorageError::Io { code: rusqlite::ffi::SQLITE_IOERR_WRITE };
        let acknowledged = write_until_refused(&connection, write_failed);
        fs::write(directory.join("acknowledged"), acknowledged.to_string()).unwrap();
        return;
    }
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    drop(notebook(&path, 100));
    let mut limited = child_with_file_limit(200 * 1024);
    as_child(&mut limited, TEST, directory.path());
    assert!(limited.status().unwrap().success());

    let acknowledged: u32 =
        fs::read_to_string(directory.path().join("acknowledged")).unwrap().parse().unwrap();
    assert!(acknowledged > 100);
    let connection = open(&path, &KEY, &OPTIONS).unwrap();
    assert_eq!(count_notes(&connection), acknowledged);
    assert_eq!(verify(&connection).unwrap(), []);
}

/// Root may write anywhere, so the child gives its rights up.
#[test]
fn missing_permission_is_a_typed_error() {
    const TEST: &str = "missing_permission_is_a_typed_error";
    const NOBODY: u32 = 65_534;
    if let Some(directory) = child_directory() {
        without_permission(&directory);
        return;
    }
    let directory = tempdir().unwrap();
    let program = directory.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    drop(notebook(&directory.path().join("store.db"), 10));
    let set_mode = |name: &str, mode| {
        fs::set_permissions(directory.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    set_mode("store.db", 0o444);
    set_mode("", 0o555);

    let mut command = Command::new(program);
    as_child(&mut command, TEST, directory.path());
    if fs::write(directory.path().join("probe"), "").is_ok() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let succeeded = command.status().unwrap().success();
    set_mode("", 0o755);
    assert!(succeeded);
}

fn without_permission(directory: &Path) {
    let path = directory.join("store.db");
    // SQLite falls back to reading when it may not write; the first write then says so.
    assert_eq!(open(&path, &KEY, &OPTIONS).unwrap_err(), OpenError::Storage(StorageError::ReadOnly));
    let new = directory.join("new.db");
    let denied = OpenError::Io(std::io::ErrorKind::PermissionDenied);
    assert_eq!(create(&new, &KEY, &OPTIONS).unwrap_err(), denied);
    assert!(!new.exists());
}

#[test]
fn interrupted_statement_says_so() {
    let directory = tempdir().unwrap();
    let connection = notebook(&directory.path().join("store.db"), 1);
    let handle = connection.get_interrupt_handle();
    let stop = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        handle.interrupt();
    });
    const ENDLESS: &str =
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let error = connection.query_row(ENDLESS, [], |_| Ok(())).unwrap_err();
    assert_eq!(StorageError::from(error), StorageError::Interrupted);
    stop.join().unwrap();
}

#[test]
fn violated_constraint_says_so_without_the_value() {
    let directory = tempdir().unwrap();
    let connection = notebook(&directory.path().join("store.db"), 1);
    let error = connection.execute("INSERT INTO tag (note) VALUES (77)", []).unwrap_err();
    let error = StorageError::from(error);
    assert_eq!(error, StorageError::Constraint);
    assert!(!format!("{error} {error:?}").contains("77"));
}

#[test]
fn mistaken_statement_is_not_quoted() {
    let directory = tempdir().unwrap();
    let connection = notebook(&directory.path().join("store.db"), 1);
    let error = StorageError::from(connection.prepare("SELECT 'HIV-POSITIVE' FROM missing").unwrap_err());
    assert_eq!(error, StorageError::Internal { code: rusqlite::ffi::SQLITE_ERROR });
    assert!(!format!("{error} {error:?}").contains("HIV"));
}
