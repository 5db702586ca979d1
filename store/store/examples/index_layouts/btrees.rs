//! Layout (a): clustered B-trees, a table for values that are ranged over and one for those that are not.
//!
//! Parameters are numbers, equal values are 64-bit hashes, and each batch is sorted by key before it is written.

use std::path::Path;

use keepwell_sqlcipher::Connection;
use rusqlite::params;

use crate::layout::{Batch, Layout, Outcome, Question, database, hashed, is_ordered, is_text, split};

const SCHEMA: &str = "
    CREATE TABLE equal (
        parameter INTEGER NOT NULL, value INTEGER NOT NULL, doc INTEGER NOT NULL,
        PRIMARY KEY (parameter, value, doc)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE ordered (
        parameter INTEGER NOT NULL, value BLOB NOT NULL, doc INTEGER NOT NULL,
        PRIMARY KEY (parameter, value, doc)
    ) STRICT, WITHOUT ROWID;";

pub(crate) struct Btrees {
    connection: Connection,
}

impl Btrees {
    pub(crate) fn create(path: &Path, cache_kib: u32) -> Outcome<Self> {
        Ok(Self { connection: database(path, cache_kib, SCHEMA)? })
    }

    /// The documents of a term, or of those that begin with it, or how many those of both are.
    fn read(&self, sql: &str, parameters: impl rusqlite::Params) -> Outcome<u64> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(parameters)?;
        let mut found = 0;
        while let Some(row) = rows.next()? {
            std::hint::black_box(row.get::<_, i64>(0)?);
            found += 1;
        }
        Ok(found)
    }
}

impl Layout for Btrees {
    fn commit(&mut self, batch: &Batch) -> Outcome<()> {
        let (mut equal, mut ordered) = (Vec::new(), Vec::new());
        for (doc, terms) in batch.documents() {
            for term in terms {
                let (parameter, value) = split(term);
                if is_ordered(term) || is_text(term) {
                    ordered.push((parameter, value, doc));
                } else {
                    equal.push((parameter, hashed(value), doc));
                }
            }
        }
        equal.sort_unstable();
        ordered.sort_unstable();
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT OR IGNORE INTO equal VALUES (?1, ?2, ?3)")?;
            equal.iter().try_for_each(|row| insert.execute(params![row.0, row.1, row.2]).map(drop))?;
            let mut insert =
                transaction.prepare_cached("INSERT OR IGNORE INTO ordered VALUES (?1, ?2, ?3)")?;
            ordered.iter().try_for_each(|row| insert.execute(params![row.0, row.1, row.2]).map(drop))?;
        }
        Ok(transaction.commit()?)
    }

    fn ask(&mut self, question: &Question) -> Outcome<u64> {
        match question {
            Question::Exact(term) => {
                let (parameter, value) = split(term);
                self.read(
                    "SELECT doc FROM equal WHERE parameter = ?1 AND value = ?2",
                    params![parameter, hashed(value)],
                )
            }
            Question::Prefix(prefix) => {
                let (parameter, from) = split(prefix);
                let to = [from, &[0xff; 8]].concat();
                let sql =
                    "SELECT DISTINCT doc FROM ordered WHERE parameter = ?1 AND value >= ?2 AND value < ?3";
                self.read(sql, params![parameter, from, to])
            }
            Question::First20(from) => {
                let (parameter, from) = split(from);
                let sql = "SELECT doc FROM ordered WHERE parameter = ?1 AND value >= ?2 ORDER BY value, doc LIMIT 20";
                self.read(sql, params![parameter, from])
            }
            Question::Both(one, other) => {
                let ((one, first), (other, second)) = (split(one), split(other));
                let sql =
                    "SELECT doc FROM equal AS one JOIN equal AS other USING (doc) WHERE one.parameter = ?1
                    AND one.value = ?2 AND other.parameter = ?3 AND other.value = ?4";
                self.read(sql, params![one, hashed(first), other, hashed(second)])
            }
            Question::CountBoth(one, other) => {
                let ((one, first), (other, second)) = (split(one), split(other));
                let sql = "SELECT count(*) FROM equal AS one JOIN equal AS other USING (doc) WHERE one.parameter = ?1
                    AND one.value = ?2 AND other.parameter = ?3 AND other.value = ?4";
                let mut statement = self.connection.prepare_cached(sql)?;
                Ok(statement
                    .query_row(params![one, hashed(first), other, hashed(second)], |row| {
                        row.get::<_, i64>(0)
                    })?
                    .cast_unsigned())
            }
        }
    }

    fn connection(&self) -> &Connection {
        &self.connection
    }
}
