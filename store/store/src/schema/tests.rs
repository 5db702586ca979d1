//! Databases of older programs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use keepwell_fhir::ResourceType;
use keepwell_sqlcipher::{Options, schema_version};
use keepwell_vault::MemoryKeychain;
use rusqlite::types::Value;
use tempfile::TempDir;

use super::*;
use crate::{Actor, Precondition, Session, Store, StoreOptions, VerifyOptions};

/// A database as the program with so many migrations made it.
fn database(path: &Path, key: &[u8; 32], steps: usize) -> Connection {
    let options = Options { memory_security: false, ..Options::default() };
    let mut connection = keepwell_sqlcipher::create(path, key, &options).unwrap();
    keepwell_sqlcipher::migrate(&mut connection, &MIGRATIONS[..steps]).unwrap();
    connection
}

fn lines(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}

#[test]
fn every_older_schema_becomes_that_of_a_new_database() {
    let directory = TempDir::new().unwrap();
    let whole =
        "SELECT type || ' ' || name || ' of ' || tbl_name || ': ' || coalesce(sql, '') FROM sqlite_schema
                 ORDER BY type, name";
    let fresh = database(&directory.path().join("fresh.db"), &[7; 32], MIGRATIONS.len());
    for steps in 0..MIGRATIONS.len() {
        let mut old = database(&directory.path().join(format!("{steps}.db")), &[7; 32], steps);
        assert_eq!(schema_version(&old).unwrap() as usize, steps);
        migrate(&mut old, &StoreOptions::new("test", "this device", None)).unwrap();
        assert_eq!(lines(&old, whole), lines(&fresh, whole), "from {steps}");
        assert_eq!(schema_version(&old).unwrap(), schema_version(&fresh).unwrap());
    }
}

fn columns(connection: &Connection, table: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("PRAGMA table_info({table})")).unwrap();
    let rows = statement.query_map([], |row| row.get("name")).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}

/// Copies the rows of every table that both have, in the order in which the tables were made.
fn copy(from: &Connection, to: &mut Connection) {
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid";
    let present = lines(from, tables);
    let transaction = to.transaction().unwrap();
    for table in lines(&transaction, tables).iter().filter(|table| present.contains(table)) {
        let columns = columns(&transaction, table);
        let places = vec!["?"; columns.len()].join(", ");
        let columns = columns.join(", ");
        let insert = format!("INSERT OR REPLACE INTO {table} ({columns}) VALUES ({places})");
        let mut insert = transaction.prepare(&insert).unwrap();
        let mut rows = from.prepare(&format!("SELECT {columns} FROM {table}")).unwrap();
        let mut rows = rows.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let count = row.as_ref().column_count();
            let values: Vec<Value> = (0..count).map(|column| row.get(column).unwrap()).collect();
            insert.execute(rusqlite::params_from_iter(values)).unwrap();
        }
    }
    transaction.commit().unwrap();
}

fn patient() -> ResourceType {
    ResourceType::parse("Patient").unwrap()
}

fn put(session: &Session, id: &str, family: &str) {
    let body = format!(r#"{{"resourceType":"Patient","id":"{id}","name":[{{"family":"{family}"}}]}}"#);
    session.update(patient(), id, body.as_bytes(), Precondition::None).unwrap();
}

fn found(session: &Session, url: &str) -> Vec<String> {
    session.search(url).unwrap().matches().map(|entry| entry.id.clone()).collect()
}

#[test]
fn store_of_every_older_schema_is_read_searched_and_written() {
    for steps in 1..MIGRATIONS.len() {
        let directory = TempDir::new().unwrap();
        let home = directory.path().join("store");
        let mut options = StoreOptions::new("tests", "bench 1", Some(Arc::new(MemoryKeychain::new())));
        options.memory_security = false;
        let session =
            |store: &Store| store.session(Actor::new("dr.jones", "tests", "bench 1").unwrap()).unwrap();

        let store = Store::create(&home, options.clone(), None).unwrap();
        let writing = session(&store);
        put(&writing, "ada", "Old");
        put(&writing, "ada", "New");
        put(&writing, "bea", "New");
        put(&writing, "cleo", "New");
        writing.delete(patient(), "cleo", Precondition::None).unwrap();
        drop(writing);
        let key = *store.inner.enter(None).unwrap().database().expose();
        let path = store.inner.database_path();
        drop(store);
        // The same rows in a database that an older program made.
        let newer = directory.path().join("newer.db");
        std::fs::rename(&path, &newer).unwrap();
        let plain = Options { memory_security: false, ..Options::default() };
        copy(&keepwell_sqlcipher::open(&newer, &key, &plain).unwrap(), &mut database(&path, &key, steps));

        let store = Store::open(&home, options).unwrap();
        store.unlock(None).unwrap();
        let session = session(&store);
        while !session.reindex().unwrap().is_complete() {}
        assert_eq!(found(&session, "Patient?family=new"), ["bea", "ada"], "from {steps}");
        assert!(found(&session, "Patient?family=old").is_empty());
        put(&session, "ada", "Newest");
        put(&session, "dora", "Newest");
        assert_eq!(found(&session, "Patient?family=newest"), ["dora", "ada"]);
        assert!(session.read(patient(), "cleo").is_err());
        assert_eq!(session.stats().unwrap().superseded, 3);
        let options = VerifyOptions { references: true, index: true };
        let report = session.verify(options, &mut |_| {}).unwrap();
        assert!(report.is_sound(), "from {steps}: {report:?}");
    }
}
