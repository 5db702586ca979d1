//! Power cuts at random moments of a write, a checkpoint, a creation and a rekey (requirement R-125).
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::{Path, PathBuf};

use common::*;
use keepwell_sqlcipher::{
    Durability, OpenError, StorageError, create, migrate, open,
    power_loss::{cut, install, moment, set_full},
    rekey, set_autocheckpoint, set_durability, verify,
};
use tempfile::{TempDir, tempdir};

const CUTS: u64 = 200;
const BATCH: u32 = 10;

/// The directory of the recorded database, and its path.
fn recorded() -> (TempDir, PathBuf) {
    install();
    let directory = tempdir().unwrap();
    let path = directory.path().canonicalize().unwrap().join("store.db");
    (directory, path)
}

/// Cuts the power [`CUTS`] times, evenly between the two moments, and shows each outcome to `look`.
fn cut_between(path: &Path, from: usize, to: usize, mut look: impl FnMut(&Path, usize)) {
    for seed in 0..CUTS {
        let at = from + (to - from) * usize::try_from(seed).unwrap() / usize::try_from(CUTS).unwrap();
        let outcome = tempdir().unwrap();
        cut(path.parent().unwrap(), outcome.path(), at, seed).unwrap();
        look(&outcome.path().join("store.db"), at);
    }
}

/// Writes 40 batches with many checkpoints, cuts the power, and returns how often acknowledged notes were
/// lost. Whatever was lost, the rest must be whole.
fn acknowledged_notes_lost(durability: Durability) -> usize {
    let (_directory, path) = recorded();
    let connection = notebook(&path, 0);
    set_durability(&connection, durability).unwrap();
    set_autocheckpoint(&connection, 20).unwrap();
    let directory = path.parent().unwrap();
    let mut acknowledged = vec![moment(directory)];
    for batch in 0..40 {
        write_notes(&connection, batch * BATCH..(batch + 1) * BATCH).unwrap();
        acknowledged.push(moment(directory));
    }
    let mut lost = 0;
    cut_between(&path, acknowledged[0], moment(directory), |path, at| {
        let batches = acknowledged.iter().filter(|moment| **moment <= at).count() - 1;
        let connection = open(path, &KEY, &OPTIONS).unwrap();
        let notes = count_notes(&connection);
        assert_eq!(notes % BATCH, 0, "never half a transaction");
        assert_eq!(verify(&connection).unwrap(), []);
        lost += usize::from(notes < u32::try_from(batches).unwrap() * BATCH);
    });
    lost
}

#[test]
fn acknowledged_writes_survive_a_power_cut() {
    assert_eq!(acknowledged_notes_lost(Durability::Full), 0);
}

/// What `Durability::Normal` says it may lose is lost, which also shows that the cuts are real ones.
#[test]
fn normal_durability_loses_last_transactions_only() {
    assert!(acknowledged_notes_lost(Durability::Normal) > 0);
}

#[test]
fn cut_creation_leaves_a_database_or_nothing_to_lose() {
    let (_directory, path) = recorded();
    let before = moment(path.parent().unwrap());
    let mut connection = create(&path, &KEY, &OPTIONS).unwrap();
    let created = moment(path.parent().unwrap());
    migrate(&mut connection, &MIGRATIONS).unwrap();
    cut_between(&path, before, moment(path.parent().unwrap()), |path, at| match open(path, &KEY, &OPTIONS) {
        Ok(connection) => assert_eq!(verify(&connection).unwrap(), []),
        Err(OpenError::Empty | OpenError::NotFound | OpenError::NotADatabase) => {
            assert!(at < created, "what was created stays");
        }
        Err(error) => panic!("{error:?}"),
    });
}

#[test]
fn cut_rekey_leaves_exactly_one_key() {
    let (_directory, path) = recorded();
    let connection = notebook(&path, 500);
    let before = moment(path.parent().unwrap());
    let connection = rekey(connection, &path, &OTHER_KEY, &OPTIONS).unwrap();
    let after = moment(path.parent().unwrap());
    drop(connection);
    let mut opened = [0, 0];
    cut_between(&path, before, after, |path, _| {
        let works = [KEY, OTHER_KEY].map(|key| match open(path, &key, &OPTIONS) {
            Ok(connection) => {
                assert_eq!((count_notes(&connection), verify(&connection).unwrap()), (500, vec![]));
                true
            }
            Err(error) => {
                assert_eq!(error, OpenError::NotADatabase);
                false
            }
        });
        assert_ne!(works[0], works[1], "exactly one key");
        opened[usize::from(works[1])] += 1;
    });
    assert!(opened[0] > 0 && opened[1] > 0, "cuts came before and after the commit: {opened:?}");
}

#[test]
fn disk_without_room_keeps_what_was_acknowledged_and_takes_more_when_there_is_room() {
    let (_directory, path) = recorded();
    let directory = path.parent().unwrap();
    let connection = notebook(&path, 0);
    set_full(directory, true);
    let write = |batch| write_notes(&connection, batch * BATCH..(batch + 1) * BATCH);
    let (refused, error) = (0..1_000).find_map(|batch| Some((batch, write(batch).err()?))).unwrap();
    assert_eq!(StorageError::from(error), StorageError::DiskFull);
    assert_eq!(count_notes(&connection), refused * BATCH);
    set_full(directory, false);
    write(refused).unwrap();
    assert_eq!(count_notes(&connection), (refused + 1) * BATCH);
    assert_eq!(verify(&connection).unwrap(), []);
}
