//! A new key for the whole database, and what a kill in the middle leaves (requirement R-15).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use common::*;
use keepwell_sqlcipher::{OpenError, StorageError, open, rekey, verify};
use tempfile::tempdir;

const NOTES: u32 = 2_000;

#[test]
fn only_the_new_key_opens() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    let connection = notebook(&path, 100);
    let old_file = fs::read(&path).unwrap();
    let connection = rekey(connection, &path, &OTHER_KEY, &OPTIONS).unwrap();
    write_notes(&connection, 100..200).unwrap();
    assert_eq!(verify(&connection).unwrap(), []);
    drop(connection);
    assert_eq!(open(&path, &KEY, &OPTIONS).unwrap_err(), OpenError::NotADatabase);
    assert_eq!(count_notes(&open(&path, &OTHER_KEY, &OPTIONS).unwrap()), 200);

    let new_file = fs::read(&path).unwrap();
    let same = old_file.chunks(4096).zip(new_file.chunks(4096)).filter(|(old, new)| old == new).count();
    assert_eq!(same, 0, "no page of the old key is left in the file");
}

#[test]
fn busy_database_keeps_its_key() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    let connection = notebook(&path, 100);
    let reader = open(&path, &KEY, &READ_ONLY).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM note").unwrap();
    write_notes(&connection, 100..101).unwrap();
    let error = rekey(connection, &path, &OTHER_KEY, &OPTIONS).unwrap_err();
    assert_eq!(error, OpenError::Storage(StorageError::Busy));
    drop(reader);
    assert_eq!(count_notes(&open(&path, &KEY, &OPTIONS).unwrap()), 101);
}

#[test]
fn rekey_without_room_keeps_the_key() {
    const TEST: &str = "rekey_without_room_keeps_the_key";
    if let Some(directory) = child_directory() {
        let path = directory.join("store.db");
        let error = rekey(open(&path, &KEY, &OPTIONS).unwrap(), &path, &OTHER_KEY, &OPTIONS).unwrap_err();
        assert!(matches!(error, OpenError::Storage(StorageError::Io { .. })), "{error:?}");
        return;
    }
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    drop(notebook(&path, NOTES));
    let bytes = fs::metadata(&path).unwrap().len();
    // The log of a whole new file is a little longer than the file: it fails early, and in the commit.
    for limit in [bytes / 2, bytes] {
        let mut limited = child_with_file_limit(limit);
        as_child(&mut limited, TEST, directory.path());
        assert!(limited.status().unwrap().success());
        let connection = open(&path, &KEY, &OPTIONS).unwrap();
        assert_eq!((count_notes(&connection), verify(&connection).unwrap()), (NOTES, vec![]));
    }
}

/// A child is killed at a hundred points spread over the time that a rekey takes. Whatever is left must
/// open with exactly one of the two keys and hold everything.
#[test]
fn killed_rekey_leaves_exactly_one_key() {
    const TEST: &str = "killed_rekey_leaves_exactly_one_key";
    const KILLS: u32 = 100;
    if let Some(directory) = child_directory() {
        let path = directory.join("store.db");
        let new_key: [u8; 32] = fs::read(directory.join("new key")).unwrap().try_into().unwrap();
        let old_key = if new_key == KEY { OTHER_KEY } else { KEY };
        let connection = open(&path, &old_key, &OPTIONS).unwrap();
        println!("ready");
        drop(rekey(connection, &path, &new_key, &OPTIONS).unwrap());
        return;
    }
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    let started = Instant::now();
    drop(rekey(notebook(&path, NOTES), &path, &OTHER_KEY, &OPTIONS).unwrap());
    // Also counts the writing of the notes, so the last kills come after the end of the rekey.
    let span = started.elapsed();

    let (mut current, mut other) = (OTHER_KEY, KEY);
    let (mut kept, mut changed) = (0, 0);
    for kill in 0..KILLS {
        fs::write(directory.path().join("new key"), other).unwrap();
        kill_after(TEST, directory.path(), span * kill / KILLS);
        match open_with_exactly_one(&path, &current, &other) {
            0 => kept += 1,
            _ => {
                changed += 1;
                std::mem::swap(&mut current, &mut other);
            }
        }
    }
    assert!(kept > 0 && changed > 0, "kills came before and after the commit: {kept} and {changed}");
}

fn kill_after(test: &str, directory: &Path, delay: Duration) {
    let mut child = child(test, directory).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("ready")), "the child begins");
    std::thread::sleep(delay);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Which of the keys opens the database, after looking at everything in it.
fn open_with_exactly_one(path: &Path, first: &[u8; 32], second: &[u8; 32]) -> usize {
    let opened: Vec<_> = [first, second].map(|key| open(path, key, &OPTIONS)).into_iter().collect();
    let works: Vec<_> = opened.iter().map(Result::is_ok).collect();
    let winner = works.iter().position(|works| *works).expect("one of the keys opens the database");
    assert_eq!(*opened[1 - winner].as_ref().unwrap_err(), OpenError::NotADatabase);
    let connection = opened[winner].as_ref().unwrap();
    assert_eq!((count_notes(connection), verify(connection).unwrap()), (NOTES, vec![]));
    winner
}
