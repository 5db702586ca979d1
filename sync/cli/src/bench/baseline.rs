//! What there is to be compared with: bare SQLCipher, which only keeps bodies under a primary key.
//!
//! Same engine, same cipher settings, same durability, same resources in a commit; reading and taking the files
//! apart does not count.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use keepwell_sqlcipher::{Connection, Migration, Options, StorageError, classify, migrate};
use keepwell_store::Error;
use keepwell_vault::Key;

use super::bodies::{self, Body};
use crate::exit::Result;

const FILE: &str = "baseline.db";

const SCHEMA: [Migration; 1] = [Migration {
    number: 1,
    name: "body",
    sql: "CREATE TABLE body (id TEXT PRIMARY KEY, json BLOB NOT NULL) STRICT;",
}];
const INSERT: &str = "INSERT OR REPLACE INTO body (id, json) VALUES (?1, ?2)";

/// What the baseline did.
pub(super) struct Baseline {
    pub(super) resources: u64,
    pub(super) json_bytes: u64,
    pub(super) inserting: Duration,
}

/// Inserts the resources of `files` into a new database in `directory`, which is removed again.
pub(super) fn run(files: &[PathBuf], directory: &Path, batch: usize, options: &Options) -> Result<Baseline> {
    let place = tempfile::tempdir_in(directory).map_err(crate::exit::io("making a folder to measure in"))?;
    let key = Key::generate();
    let mut connection =
        keepwell_sqlcipher::create(&place.path().join(FILE), key.expose(), options).map_err(Error::from)?;
    migrate(&mut connection, &SCHEMA).map_err(Error::from)?;
    let mut baseline = Baseline { resources: 0, json_bytes: 0, inserting: Duration::ZERO };
    for file in files {
        let bodies = bodies::of_file(file)?;
        let started = Instant::now();
        for batch in bodies.chunks(batch) {
            insert(&connection, batch).map_err(Error::from)?;
        }
        baseline.inserting += started.elapsed();
        baseline.resources += bodies.len() as u64;
        baseline.json_bytes += bodies.iter().map(|body| body.json.len() as u64).sum::<u64>();
    }
    Ok(baseline)
}

fn insert(connection: &Connection, bodies: &[Body]) -> Result<(), StorageError> {
    (|| {
        let transaction = connection.unchecked_transaction()?;
        let mut statement = transaction.prepare_cached(INSERT)?;
        for body in bodies {
            statement.execute((&body.key, &body.json))?;
        }
        drop(statement);
        transaction.commit()
    })()
    .map_err(|error| classify(&error))
}
