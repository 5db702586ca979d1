//! Checkpoint, compaction and durability on a healthy database.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;

use common::*;
use keepwell_sqlcipher::{
    Connection, Durability, WAL_AUTOCHECKPOINT_PAGES, set_autocheckpoint, set_durability, vacuum, verify,
};
use rusqlite::StatementStatus;
use tempfile::tempdir;

fn number(connection: &Connection, pragma: &str) -> i64 {
    connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn vacuum_gives_free_pages_back() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    let mut connection = notebook(&path, 2_000);
    connection.execute("DELETE FROM note WHERE id >= 100", []).unwrap();
    keepwell_sqlcipher::checkpoint(&connection).unwrap();
    let before = fs::metadata(&path).unwrap().len();
    vacuum(&mut connection).unwrap();
    assert!(fs::metadata(&path).unwrap().len() < before / 5);
    assert_eq!(number(&connection, "freelist_count"), 0);
    assert_eq!(count_notes(&connection), 100);
    assert_eq!(verify(&connection).unwrap(), []);
    drop(connection);
    assert_eq!(count_notes(&keepwell_sqlcipher::open(&path, &KEY, &OPTIONS).unwrap()), 100);
}

#[test]
fn commits_wait_for_the_disk_unless_told_otherwise() {
    const NORMAL: i64 = 1;
    const FULL: i64 = 2;
    let directory = tempdir().unwrap();
    let connection = notebook(&directory.path().join("store.db"), 1);
    assert_eq!(number(&connection, "synchronous"), FULL);
    set_durability(&connection, Durability::Normal).unwrap();
    assert_eq!(number(&connection, "synchronous"), NORMAL);
    set_durability(&connection, Durability::Full).unwrap();
    assert_eq!(number(&connection, "synchronous"), FULL);
}

#[test]
fn log_is_moved_into_the_database_after_the_set_number_of_pages() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    let connection = notebook(&path, 1);
    assert_eq!(number(&connection, "wal_autocheckpoint"), i64::from(WAL_AUTOCHECKPOINT_PAGES));
    let before = fs::metadata(&path).unwrap().len();
    write_notes(&connection, 1..500).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), before);
    set_autocheckpoint(&connection, 10).unwrap();
    write_notes(&connection, 500..501).unwrap();
    assert!(fs::metadata(&path).unwrap().len() > before);
}

#[test]
fn a_checkpoint_in_passing_moves_what_it_can_beside_a_writer() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    let writer = notebook(&path, 1);
    write_notes(&writer, 1..500).unwrap();
    let before = fs::metadata(&path).unwrap().len();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let other = keepwell_sqlcipher::open(&path, &KEY, &OPTIONS).unwrap();
    keepwell_sqlcipher::checkpoint_in_passing(&other).unwrap();
    writer.execute_batch("COMMIT").unwrap();
    assert!(fs::metadata(&path).unwrap().len() > before);
    assert_eq!(count_notes(&writer), 500);
}

#[test]
fn a_statement_is_planned_once_whatever_is_bound_to_its_limit() {
    let directory = tempdir().unwrap();
    let connection = notebook(&directory.path().join("store.db"), 10);
    let mut statement = connection.prepare("SELECT id FROM note WHERE id > ?1 ORDER BY id LIMIT ?2").unwrap();
    for limit in 1..9 {
        let found: Vec<i64> =
            statement.query_map([limit, limit], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert!(!found.is_empty());
    }
    assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
}
