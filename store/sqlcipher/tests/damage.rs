//! Which check sees which damage (requirements ).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{collections::BTreeSet, fs, path::Path};

use common::*;
use keepwell_sqlcipher::{Damage, OpenError, PAGE_SIZE_BYTES, StorageError, open, verify};
use tempfile::tempdir;

const PAGE: usize = PAGE_SIZE_BYTES as usize;
const NOTES: u32 = 2_000;

/// A database of some hundred pages, closed, as bytes.
fn notebook_bytes() -> Vec<u8> {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    drop(notebook(&path, NOTES));
    let bytes = fs::read(path).unwrap();
    assert!(bytes.len() > 200 * PAGE);
    bytes
}

/// The kinds of damage that `verify` finds on a fresh connection.
fn find(path: &Path) -> BTreeSet<String> {
    verify(&open(path, &KEY, &OPTIONS).unwrap()).unwrap().iter().map(kind).collect()
}

fn kind(damage: &Damage) -> String {
    match damage {
        Damage::Page { number } => format!("page {number}"),
        Damage::File { .. } => "file".to_owned(),
        Damage::Structure { .. } => "structure".to_owned(),
        Damage::Unreadable { check } => format!("unreadable by {check}"),
        Damage::Reference { table, rowid, parent } => format!("{table} {rowid:?} -> {parent}"),
        other => panic!("new kind {other:?}"),
    }
}

#[track_caller]
fn check(damage: impl FnOnce(&mut Vec<u8>), expected: &[&str]) {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    let mut bytes = notebook_bytes();
    damage(&mut bytes);
    fs::write(&path, bytes).unwrap();
    assert_eq!(find(&path), expected.iter().map(|kind| (*kind).to_owned()).collect());
}

/// After a page that fails its HMAC the connection reads nothing more, so the later checks stop too.
const STOPPED: &[&str] = &["structure", "unreadable by integrity_check", "unreadable by foreign_key_check"];

fn page(bytes: &mut [u8], number: usize) -> &mut [u8] {
    &mut bytes[(number - 1) * PAGE..number * PAGE]
}

#[test]
fn whole_database_has_no_damage() {
    check(|_| {}, &[]);
}

#[test]
fn flipped_bit_is_seen_by_both_checks() {
    check(|bytes| page(bytes, 50)[1000] ^= 0x10, &[&["page 50"], STOPPED].concat());
}

#[test]
fn flipped_bit_of_the_page_hmac_is_seen_by_both_checks() {
    check(|bytes| page(bytes, 50)[PAGE - 1] ^= 1, &[&["page 50"], STOPPED].concat());
}

#[test]
fn swapped_pages_are_seen_by_both_checks() {
    check(
        |bytes| {
            let fifty = page(bytes, 50).to_vec();
            let sixty = page(bytes, 60).to_vec();
            page(bytes, 50).copy_from_slice(&sixty);
            page(bytes, 60).copy_from_slice(&fifty);
        },
        &[&["page 50", "page 60"], STOPPED].concat(),
    );
}

#[test]
fn zeroed_page_is_seen_by_both_checks() {
    check(|bytes| page(bytes, 50).fill(0), &[&["page 50"], STOPPED].concat());
}

#[test]
fn half_a_last_page_is_seen() {
    check(
        |bytes| bytes.truncate(bytes.len() - PAGE / 2),
        &["file", "structure", "unreadable by foreign_key_check"],
    );
}

#[test]
fn damaged_first_page_does_not_open() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    for position in [0, 16, 100, PAGE - 1] {
        let mut bytes = notebook_bytes();
        bytes[position] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_eq!(open(&path, &KEY, &OPTIONS).unwrap_err(), OpenError::NotADatabase, "byte {position}");
    }
}

#[test]
fn missing_last_pages_are_seen_at_open() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    let bytes = notebook_bytes();
    for pages in [1, 3, 100] {
        fs::write(&path, &bytes[..bytes.len() - pages * PAGE]).unwrap();
        assert_eq!(open(&path, &KEY, &OPTIONS).unwrap_err(), OpenError::Storage(StorageError::Corrupt));
    }
}

#[test]
fn reference_to_nothing_is_named() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    drop(notebook(&path, 3));
    let other = unguarded(&path);
    other.execute_batch("PRAGMA foreign_keys = OFF; INSERT INTO tag (note) VALUES (99)").unwrap();
    drop(other);
    assert_eq!(find(&path), BTreeSet::from(["tag Some(1) -> note".to_owned()]));
}

/// What the page HMAC cannot see: it proves that a page was written under this key at this place, not
/// when. The store finds these by its own chain and its anchor (requirement R-10); if one of these tests
/// fails, the engine has learnt something and verify.rs says too little.
mod unseen {
    use super::*;

    /// The same database before and after a change, and the numbers of the pages that differ.
    fn two_ages() -> (Vec<u8>, Vec<u8>, Vec<usize>) {
        let directory = tempdir().unwrap();
        let path = directory.path().join("store.db");
        drop(notebook(&path, NOTES));
        let old = fs::read(&path).unwrap();
        let connection = open(&path, &KEY, &OPTIONS).unwrap();
        connection.execute_batch("UPDATE note SET body = randomblob(600) WHERE id = 1000").unwrap();
        drop(connection);
        let new = fs::read(&path).unwrap();
        assert_eq!(old.len(), new.len());
        let differ = (1..=new.len() / PAGE)
            .filter(|n| old[(n - 1) * PAGE..n * PAGE] != new[(n - 1) * PAGE..n * PAGE])
            .collect();
        (old, new, differ)
    }

    #[test]
    fn old_page_put_back() {
        let (old, mut new, differ) = two_ages();
        let leaf = *differ.last().expect("the change wrote a page");
        assert_ne!(leaf, 1);
        let directory = tempdir().unwrap();
        let path = directory.path().join("store.db");
        new[(leaf - 1) * PAGE..leaf * PAGE].copy_from_slice(&old[(leaf - 1) * PAGE..leaf * PAGE]);
        fs::write(&path, new).unwrap();
        assert_eq!(find(&path), BTreeSet::new());
        let connection = open(&path, &KEY, &OPTIONS).unwrap();
        let stale: bool = connection
            .query_row("SELECT body = zeroblob(600) FROM note WHERE id = 1000", [], |row| row.get(0))
            .unwrap();
        assert!(stale);
    }

    #[test]
    fn old_file_put_back() {
        let (old, _, _) = two_ages();
        let directory = tempdir().unwrap();
        let path = directory.path().join("store.db");
        fs::write(&path, old).unwrap();
        assert_eq!(find(&path), BTreeSet::new());
    }

    /// A database with 100 notes in the file and one more, acknowledged, in the log.
    fn with_log(path: &Path) {
        let directory = tempdir().unwrap();
        let source = directory.path().join("store.db");
        let connection = notebook(&source, 100);
        keepwell_sqlcipher::checkpoint(&connection).unwrap();
        write_notes(&connection, 100..101).unwrap();
        copy_files(&source, path);
    }

    #[test]
    fn log_deleted() {
        let directory = tempdir().unwrap();
        let path = directory.path().join("store.db");
        with_log(&path);
        fs::remove_file(beside(&path, "-wal")).unwrap();
        assert_eq!(find(&path), BTreeSet::new());
        assert_eq!(count_notes(&open(&path, &KEY, &OPTIONS).unwrap()), 100);
    }

    #[test]
    fn log_flipped() {
        let directory = tempdir().unwrap();
        let path = directory.path().join("store.db");
        with_log(&path);
        let mut log = fs::read(beside(&path, "-wal")).unwrap();
        log[100] ^= 1;
        fs::write(beside(&path, "-wal"), log).unwrap();
        assert_eq!(find(&path), BTreeSet::new());
        assert_eq!(count_notes(&open(&path, &KEY, &OPTIONS).unwrap()), 100);
    }

    #[test]
    fn log_left_alone_is_complete() {
        let directory = tempdir().unwrap();
        let path = directory.path().join("store.db");
        with_log(&path);
        assert_eq!(count_notes(&open(&path, &KEY, &OPTIONS).unwrap()), 101);
    }
}

#[test]
fn damaged_page_is_a_typed_error() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    let mut bytes = notebook_bytes();
    page(&mut bytes, 50)[1000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let connection = open(&path, &KEY, &OPTIONS).unwrap();
    let error = connection.query_row("SELECT sum(length(body)) FROM note", [], |_| Ok(())).unwrap_err();
    assert_eq!(StorageError::from(error), StorageError::Corrupt);
}

/// SQLCipher logs to stderr by default, and what it logs there is out of our hands.
#[test]
fn damaged_page_writes_nothing_to_stderr() {
    if let Some(directory) = child_directory() {
        let path = directory.join("store.db");
        let guarded = !directory.join("raw").exists();
        let connection = if guarded { open(&path, &KEY, &OPTIONS).unwrap() } else { unguarded(&path) };
        connection.query_row("SELECT sum(length(body)) FROM note", [], |_| Ok(())).unwrap_err();
        return;
    }
    let directory = tempdir().unwrap();
    let mut bytes = notebook_bytes();
    page(&mut bytes, 50)[1000] ^= 1;
    fs::write(directory.path().join("store.db"), bytes).unwrap();
    let stderr = || {
        let output = child("damaged_page_writes_nothing_to_stderr", directory.path()).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(stderr(), "");
    fs::write(directory.path().join("raw"), "").unwrap();
    assert!(stderr().contains("page 50"), "without our settings the engine would have logged");
}
