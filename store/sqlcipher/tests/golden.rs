//! The format on disk, as a file that was written once.
//!
//! Each build of this crate, with whatever cipher provider, must open it: the settings are not recorded in a
//! file, so a changed constant would lock every user out. `UPDATE_EXPECT=1` writes it anew, which is
//! right only before the first release.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{env, fs, path::Path};

use common::*;
use keepwell_sqlcipher::{Migration, create, migrate, open, verify};
use tempfile::tempdir;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/store.db");
const SCHEMA: Migration =
    Migration { number: 1, name: "word", sql: "CREATE TABLE word (text TEXT NOT NULL) STRICT" };

#[test]
fn file_of_the_first_release_opens() {
    if env::var_os("UPDATE_EXPECT").is_some() {
        write(Path::new(GOLDEN));
    }
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    fs::copy(GOLDEN, &path).unwrap();
    let connection = open(&path, &KEY, &OPTIONS).unwrap();
    let word: String = connection.query_row("SELECT text FROM word", [], |row| row.get(0)).unwrap();
    assert_eq!(word, "golden");
    assert_eq!(verify(&connection).unwrap(), []);
}

fn write(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    if path.exists() {
        fs::remove_file(path).unwrap();
    }
    let mut connection = create(path, &KEY, &OPTIONS).unwrap();
    migrate(&mut connection, &[SCHEMA]).unwrap();
    connection.execute("INSERT INTO word VALUES ('golden')", []).unwrap();
}
