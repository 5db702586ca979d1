//! Numbered migrations: all or nothing, in order, and never backwards.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::*;
use keepwell_sqlcipher::{MigrateError, Migration, StorageError, create, migrate, open, schema_version};
use tempfile::tempdir;

const STEPS: [Migration; 3] = [
    MIGRATIONS[0],
    Migration { number: 2, name: "colour", sql: "ALTER TABLE note ADD COLUMN colour TEXT;" },
    Migration { number: 3, name: "words", sql: "CREATE VIRTUAL TABLE words USING fts5 (word);" },
];

#[test]
fn each_step_runs_once() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    let mut connection = create(&path, &KEY, &OPTIONS).unwrap();
    assert_eq!(schema_version(&connection), Ok(0));
    assert_eq!(migrate(&mut connection, &STEPS[..2]), Ok(2));
    assert_eq!(migrate(&mut connection, &STEPS), Ok(3));
    assert_eq!(migrate(&mut connection, &STEPS), Ok(3));
    drop(connection);
    assert_eq!(schema_version(&open(&path, &KEY, &READ_ONLY).unwrap()), Ok(3));
}

#[test]
fn failed_step_leaves_the_one_before() {
    let directory = tempdir().unwrap();
    let mut connection = create(&directory.path().join("store.db"), &KEY, &OPTIONS).unwrap();
    let mut steps = STEPS;
    steps[1].sql = "ALTER TABLE note ADD COLUMN colour TEXT; ALTER TABLE missing ADD COLUMN x;";
    let error = migrate(&mut connection, &steps).unwrap_err();
    assert!(matches!(error, MigrateError::Step { number: 2, name: "colour", .. }));
    assert_eq!(schema_version(&connection), Ok(1));
    assert_eq!(migrate(&mut connection, &STEPS), Ok(3), "the half step was rolled back");
}

#[test]
fn newer_database_is_refused_untouched() {
    let directory = tempdir().unwrap();
    let mut connection = create(&directory.path().join("store.db"), &KEY, &OPTIONS).unwrap();
    migrate(&mut connection, &STEPS).unwrap();
    assert_eq!(migrate(&mut connection, &STEPS[..1]), Err(MigrateError::TooNew { found: 3, known: 1 }));
    assert_eq!(schema_version(&connection), Ok(3));
}

#[test]
fn two_processes_may_migrate_at_once() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    drop(create(&path, &KEY, &OPTIONS).unwrap());
    let patient = keepwell_sqlcipher::Options { busy_timeout: std::time::Duration::from_secs(10), ..OPTIONS };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut connection = open(&path, &KEY, &patient).unwrap();
                assert_eq!(migrate(&mut connection, &STEPS), Ok(3));
            });
        }
    });
}

#[test]
fn busy_step_says_so() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    let mut connection = create(&path, &KEY, &OPTIONS).unwrap();
    let other = open(&path, &KEY, &OPTIONS).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let source = StorageError::Busy;
    assert_eq!(migrate(&mut connection, &STEPS), Err(MigrateError::Step { number: 1, name: "note", source }));
}

#[test]
#[should_panic(expected = "numbered 1, 2, 3")]
fn gap_in_the_numbers_is_a_bug() {
    let directory = tempdir().unwrap();
    let mut connection = create(&directory.path().join("store.db"), &KEY, &OPTIONS).unwrap();
    let _ = migrate(&mut connection, &STEPS[1..]);
}
