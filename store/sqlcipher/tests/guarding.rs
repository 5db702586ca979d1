//! What a statement may do on an open database (requirements ).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::*;
use keepwell_sqlcipher::{
    Durability, StorageError, checkpoint, migrate, set_autocheckpoint, set_durability, vacuum, verify,
};
use tempfile::tempdir;

const DENIED: &[&str] = &[
    "ATTACH 'copy.db' AS copy",
    "ATTACH 'copy.db' AS copy KEY ''",
    "ATTACH '' AS copy",
    "ATTACH ':memory:' AS copy",
    "DETACH main",
    "SELECT sqlcipher_export('main')",
    "SELECT SQLCipher_Export('main')",
    "SELECT fts3_tokenizer('simple')",
    "SELECT * FROM note WHERE sqlcipher_export('main')",
    "VACUUM",
    "VACUUM INTO 'copy.db'",
    "PRAGMA key = 'x'",
    "PRAGMA KEY = 'x'",
    "PRAGMA main.key = 'x'",
    "PRAGMA hexkey = '00'",
    "PRAGMA textkey = 'x'",
    "PRAGMA rekey = 'x'",
    "PRAGMA hexrekey = '00'",
    "PRAGMA textrekey = 'x'",
    "PRAGMA cipher = 'aes-256-cbc'",
    "PRAGMA cipher_use_hmac = OFF",
    "PRAGMA cipher_compatibility = 3",
    "PRAGMA cipher_page_size = 1024",
    "PRAGMA cipher_hmac_algorithm = HMAC_SHA1",
    "PRAGMA cipher_kdf_algorithm = PBKDF2_HMAC_SHA1",
    "PRAGMA cipher_plaintext_header_size = 32",
    "PRAGMA cipher_salt",
    "PRAGMA cipher_settings",
    "PRAGMA cipher_default_settings",
    "PRAGMA cipher_default_page_size = 1024",
    "PRAGMA cipher_default_use_hmac = OFF",
    "PRAGMA cipher_memory_security = OFF",
    "PRAGMA cipher_migrate",
    "PRAGMA cipher_log = 'log.txt'",
    "PRAGMA cipher_log_level = TRACE",
    "PRAGMA cipher_log_source = ANY",
    "PRAGMA cipher_profile = 'profile.txt'",
    "PRAGMA cipher_add_random = 'x'",
    "PRAGMA cipher_store_pass = 1",
    "PRAGMA rekey_cipher = 'aes-128-cbc'",
    "PRAGMA kdf_iter = 1",
    "PRAGMA fast_kdf_iter = 1",
    "PRAGMA temp_store = 1",
    "PRAGMA temp_store_directory = '/tmp'",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA journal_mode = OFF",
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA writable_schema = ON",
    "PRAGMA trusted_schema = ON",
    "PRAGMA foreign_keys = OFF",
    "PRAGMA ignore_check_constraints = ON",
    "PRAGMA secure_delete = OFF",
    "PRAGMA cell_size_check = OFF",
    "PRAGMA synchronous = OFF",
    "PRAGMA synchronous = 0",
    "PRAGMA read_uncommitted = ON",
    "PRAGMA query_only = OFF",
    "PRAGMA mmap_size = 1000000",
    "PRAGMA user_version = 9",
    "PRAGMA schema_version = 9",
    "PRAGMA page_size = 1024",
    "PRAGMA auto_vacuum = FULL",
    "PRAGMA encoding = 'UTF-16'",
    "CREATE TABLE extra (x)",
    "CREATE TEMP TABLE note (x)",
    "CREATE TEMP VIEW note AS SELECT 1",
    "CREATE VIEW extra AS SELECT 1",
    "CREATE INDEX extra ON note (body)",
    "CREATE TRIGGER extra AFTER INSERT ON note BEGIN DELETE FROM tag; END",
    "CREATE TEMP TRIGGER extra AFTER INSERT ON note BEGIN DELETE FROM tag; END",
    "CREATE VIRTUAL TABLE extra USING fts5 (x)",
    "CREATE VIRTUAL TABLE temp.extra USING dbstat",
    "ALTER TABLE note RENAME TO memo",
    "ALTER TABLE note ADD COLUMN extra",
    "DROP TABLE note",
    "REINDEX",
    "ANALYZE",
    "UPDATE sqlite_sequence SET seq = 0",
    "DELETE FROM sqlite_sequence",
];

const ALLOWED: &[&str] = &[
    "INSERT INTO note (id, word, body) VALUES (1000, 'allowed', x'00')",
    "UPDATE note SET word = 'changed' WHERE id = 1000",
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT sum(i) FROM n",
    "SELECT upper(word), length(body) FROM note ORDER BY word",
    "SAVEPOINT s; DELETE FROM note WHERE id = 1000; ROLLBACK TO s; RELEASE s",
    "BEGIN IMMEDIATE; DELETE FROM note WHERE id = 1000; COMMIT",
    "PRAGMA user_version",
    "PRAGMA table_info(note)",
    "SELECT name FROM pragma_table_info('note')",
    "PRAGMA integrity_check",
    "PRAGMA wal_checkpoint(PASSIVE)",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA Synchronous = Full",
    "PRAGMA cipher_version",
    "PRAGMA cipher_provider_version",
];

fn run(connection: &rusqlite::Connection, sql: &str) -> Result<(), StorageError> {
    Ok(connection.execute_batch(sql)?)
}

#[test]
fn statements_that_reach_out_of_the_database_are_denied() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("store.db");
    let connection = notebook(&path, 10);
    for sql in DENIED {
        assert_eq!(run(&connection, sql), Err(StorageError::Denied), "{sql}");
    }
    assert_eq!(count_notes(&connection), 10);
    assert_eq!(verify(&connection).unwrap(), []);
    let files = directory.path().read_dir().unwrap().count();
    assert_eq!(files, 3, "the database, its log and its index");
}

#[test]
fn engine_itself_refuses_the_rest() {
    let directory = tempdir().unwrap();
    let connection = notebook(&directory.path().join("store.db"), 1);
    for sql in ["SELECT load_extension('x')", "UPDATE sqlite_schema SET sql = ''", "SELECT \"no column\""] {
        assert!(run(&connection, sql).is_err(), "{sql}");
    }
}

#[test]
fn ordinary_statements_are_allowed() {
    let directory = tempdir().unwrap();
    let connection = notebook(&directory.path().join("store.db"), 10);
    for sql in ALLOWED {
        assert_eq!(run(&connection, sql), Ok(()), "{sql}");
    }
}

#[test]
fn guard_returns_after_every_maintenance() {
    let directory = tempdir().unwrap();
    let mut connection = notebook(&directory.path().join("store.db"), 10);
    let mut broken = MIGRATIONS.to_vec();
    broken.push(keepwell_sqlcipher::Migration { number: 2, name: "broken", sql: "NOT SQL" });
    let denied = Err(StorageError::Denied);

    migrate(&mut connection, &broken).unwrap_err();
    assert_eq!(run(&connection, "CREATE TABLE extra (x)"), denied);
    vacuum(&mut connection).unwrap();
    assert_eq!(run(&connection, "CREATE TABLE extra (x)"), denied);
    checkpoint(&connection).unwrap();
    set_durability(&connection, Durability::Normal).unwrap();
    set_autocheckpoint(&connection, 500).unwrap();
    assert_eq!(run(&connection, "ATTACH 'copy.db' AS copy"), denied);
}

#[test]
fn migration_may_not_reach_out_either() {
    let directory = tempdir().unwrap();
    let mut connection = notebook(&directory.path().join("store.db"), 1);
    for sql in ["ATTACH 'copy.db' AS copy KEY ''", "PRAGMA cipher_log_level = TRACE", "PRAGMA temp_store = 1"]
    {
        let mut steps = MIGRATIONS.to_vec();
        steps.push(keepwell_sqlcipher::Migration { number: 2, name: "escape", sql });
        migrate(&mut connection, &steps).unwrap_err();
    }
    assert!(!std::path::Path::new("copy.db").exists());
}

/// SQLite unlinks its temporary files as soon as they are open, so an empty TMPDIR would prove nothing: the
/// open files of the process are looked at while a large sort is under way.
#[cfg(target_os = "linux")]
#[test]
fn large_sort_opens_no_temporary_file() {
    let directory = tempdir().unwrap();
    let connection = notebook(&directory.path().join("store.db"), 20_000);
    let mut sort = connection.prepare("SELECT body, word FROM note ORDER BY body, hex(word)").unwrap();
    let mut rows = sort.query([]).unwrap();
    rows.next().unwrap().expect("12 MB have been sorted when the first row comes");
    let open: Vec<_> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .filter(|target| target.to_string_lossy().contains("etilqs"))
        .collect();
    assert!(open.is_empty(), "{open:?}");
}
