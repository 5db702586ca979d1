//! Creating and opening: what is refused, and that a refusal changes nothing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use common::*;
use keepwell_sqlcipher::{OpenError, StorageError, check_engine, create, open, vacuum};
use rusqlite::Connection;
use tempfile::tempdir;

/// Every file of a directory with its bytes.
fn snapshot(directory: &Path) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap_or_default()))
        .collect();
    files.sort();
    files
}

/// Opening with `key` fails with `expected`, for writing and for reading, and leaves every byte alone.
#[track_caller]
fn check_refused(path: &Path, key: &[u8; 32], expected: OpenError) {
    let before = snapshot(path.parent().unwrap());
    for options in [OPTIONS, READ_ONLY] {
        assert_eq!(open(path, key, &options).unwrap_err(), expected);
        assert_eq!(snapshot(path.parent().unwrap()), before);
    }
}

#[test]
fn linked_engine_is_sqlcipher() {
    let engine = check_engine().unwrap();
    assert!(engine.cipher_version.starts_with("4."));
}

#[test]
fn created_database_opens_with_its_key() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    drop(notebook(&path, 10));
    assert_eq!(count_notes(&open(&path, &KEY, &OPTIONS).unwrap()), 10);
    assert_eq!(count_notes(&open(&path, &KEY, &READ_ONLY).unwrap()), 10);
}

#[test]
fn file_never_starts_with_the_clear_header() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    let is_clear = || fs::read(&path).unwrap().starts_with(b"SQLite format 3");
    let mut connection = create(&path, &KEY, &OPTIONS).unwrap();
    assert!(!is_clear());
    write_into_new_table(&mut connection);
    vacuum(&mut connection).unwrap();
    assert!(!is_clear());
    drop(connection);
    assert!(!is_clear());
}

fn write_into_new_table(connection: &mut Connection) {
    keepwell_sqlcipher::migrate(connection, &MIGRATIONS).unwrap();
    write_notes(connection, 0..100).unwrap();
}

#[test]
fn raw_key_is_what_sqlcipher_itself_calls_a_raw_key() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    drop(notebook(&path, 3));
    assert_eq!(count_notes(&unguarded(&path)), 3);
}

#[test]
fn only_the_owner_can_read_the_files() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    let _connection = notebook(&path, 10);
    for suffix in ["", "-wal", "-shm"] {
        let mode = fs::metadata(beside(&path, suffix)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{suffix}");
    }
}

#[test]
fn create_refuses_an_existing_file() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    drop(notebook(&path, 10));
    let before = snapshot(directory.path());
    assert_eq!(create(&path, &OTHER_KEY, &OPTIONS).unwrap_err(), OpenError::AlreadyExists);
    assert_eq!(snapshot(directory.path()), before);
}

#[test]
fn create_refuses_a_link_that_points_nowhere() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    std::os::unix::fs::symlink(directory.path().join("elsewhere.db"), &path).unwrap();
    assert_eq!(create(&path, &KEY, &OPTIONS).unwrap_err(), OpenError::AlreadyExists);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn create_refuses_the_log_of_a_lost_database() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    for suffix in ["-wal", "-journal"] {
        fs::write(beside(&path, suffix), b"acknowledged writes").unwrap();
        assert_eq!(create(&path, &KEY, &OPTIONS).unwrap_err(), OpenError::AlreadyExists);
        assert_eq!(fs::read(beside(&path, suffix)).unwrap(), b"acknowledged writes");
        fs::remove_file(beside(&path, suffix)).unwrap();
    }
    assert!(!path.exists());
}

#[test]
fn open_creates_nothing() {
    let directory = tempdir().unwrap();
    check_refused(&directory.path().join("store.db"), &KEY, OpenError::NotFound);
}

#[test]
fn wrong_key_is_refused_and_changes_nothing() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    drop(notebook(&path, 10));
    check_refused(&path, &OTHER_KEY, OpenError::NotADatabase);
    assert_eq!(count_notes(&open(&path, &KEY, &OPTIONS).unwrap()), 10);
}

#[test]
fn wrong_key_loses_nothing_of_the_log() {
    let directory = tempdir().unwrap();
    let crashed = directory.path().join("crashed");
    fs::create_dir(&crashed).unwrap();
    let path = directory.path().join("store.db");
    let connection = notebook(&path, 200);
    copy_files(&path, &crashed.join("store.db"));
    drop(connection);

    let path = crashed.join("store.db");
    assert!(fs::metadata(beside(&path, "-wal")).unwrap().len() > 0);
    check_refused_keeping_the_log(&path);
    assert_eq!(count_notes(&open(&path, &KEY, &OPTIONS).unwrap()), 200);
}

/// As `check_refused`, but SQLite may leave its index of the log, which holds page numbers only.
fn check_refused_keeping_the_log(path: &Path) {
    let files = || ["", "-wal"].map(|suffix| fs::read(beside(path, suffix)).unwrap());
    let before = files();
    for options in [OPTIONS, READ_ONLY] {
        assert_eq!(open(path, &OTHER_KEY, &options).unwrap_err(), OpenError::NotADatabase);
        assert!(files() == before);
    }
}

#[test]
fn file_that_is_not_encrypted_is_refused() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE clear (text)").unwrap();
    check_refused(&path, &KEY, OpenError::NotEncrypted);
}

#[test]
fn files_that_hold_no_database_are_refused() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    for (bytes, expected) in [
        (vec![], OpenError::Empty),
        (vec![0x42], OpenError::NotADatabase),
        (vec![0x42; 4096], OpenError::NotADatabase),
        (vec![0; 100_000], OpenError::NotADatabase),
    ] {
        fs::write(&path, bytes).unwrap();
        check_refused(&path, &KEY, expected);
    }
}

#[test]
fn links_and_directories_are_refused() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    drop(notebook(&path, 1));
    let link = directory.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    check_refused(&link, &KEY, OpenError::NotAFile);
    assert_eq!(open(directory.path(), &KEY, &OPTIONS).unwrap_err(), OpenError::NotAFile);
    assert_eq!(open(Path::new("/"), &KEY, &OPTIONS).unwrap_err(), OpenError::NotAFile);
}

#[test]
fn directory_may_be_reached_through_a_link() {
    let directory = tempdir().unwrap();
    let real = directory.path().join("real");
    fs::create_dir(&real).unwrap();
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    drop(create(&link.join("store.db"), &KEY, &OPTIONS).unwrap());
    open(&real.join("store.db"), &KEY, &OPTIONS).unwrap();
}

#[test]
fn missing_directory_is_not_found() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("missing").join("store.db");
    assert_eq!(create(&path, &KEY, &OPTIONS).unwrap_err(), OpenError::NotFound);
    assert_eq!(open(&path, &KEY, &OPTIONS).unwrap_err(), OpenError::NotFound);
}

#[test]
fn read_only_connection_does_not_write() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    drop(notebook(&path, 10));
    let connection = open(&path, &KEY, &READ_ONLY).unwrap();
    let error = write_notes(&connection, 10..11).unwrap_err();
    assert_eq!(StorageError::from(error), StorageError::ReadOnly);
    assert_eq!(count_notes(&connection), 10);
}
