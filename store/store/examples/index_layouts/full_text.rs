//! Layout (b): SQLite's FTS5 for what is compared for equality or by its beginning, a B-tree for ranges.
//!
//! Each term is one token: letters and digits stand for themselves, other bytes for characters that the `ascii`
//! tokenizer takes as letters too. Values that are only compared for equality are 64-bit hashes.

use std::path::Path;

use keepwell_sqlcipher::Connection;
use rusqlite::params;

use crate::layout::{Batch, Layout, Outcome, Question, database, hashed, is_ordered, is_text, split};

/// `pgsz` is the size of its blocks: this one fits a page of SQLCipher's, as its default does not.
const SCHEMA: &str = "
    CREATE VIRTUAL TABLE term USING fts5(
        token, content = '', contentless_delete = 1, detail = none, tokenize = ascii
    );
    INSERT INTO term (term, rank) VALUES ('pgsz', 3960);
    CREATE TABLE ordered (
        parameter INTEGER NOT NULL, value BLOB NOT NULL, doc INTEGER NOT NULL,
        PRIMARY KEY (parameter, value, doc)
    ) STRICT, WITHOUT ROWID;";

pub(crate) struct FullText {
    connection: Connection,
}

impl FullText {
    pub(crate) fn create(path: &Path, cache_kib: u32) -> Outcome<Self> {
        Ok(Self { connection: database(path, cache_kib, SCHEMA)? })
    }

    fn read(&self, query: &str) -> Outcome<u64> {
        let mut statement = self.connection.prepare_cached("SELECT rowid FROM term WHERE term MATCH ?1")?;
        let mut rows = statement.query([query])?;
        let mut found = 0;
        while let Some(row) = rows.next()? {
            std::hint::black_box(row.get::<_, i64>(0)?);
            found += 1;
        }
        Ok(found)
    }
}

/// A term as a token, with digits that cannot be mistaken for an operator of the query.
fn token(term: &[u8], out: &mut String) {
    let (parameter, value) = split(term);
    out.push_str(&format!("p{parameter:06x}"));
    if is_text(term) {
        for byte in value {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' => out.push(char::from(*byte)),
                other => out.push(char::from_u32(0x100 + u32::from(*other)).expect("Latin Extended-A")),
            }
        }
    } else {
        out.push_str(&format!("{:016x}", hashed(value)));
    }
}

fn quoted(term: &[u8]) -> String {
    let mut out = String::from("\"");
    token(term, &mut out);
    out.push('"');
    out
}

impl Layout for FullText {
    fn commit(&mut self, batch: &Batch) -> Outcome<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut ordered = Vec::new();
            let mut insert = transaction.prepare_cached("INSERT INTO term (rowid, token) VALUES (?1, ?2)")?;
            let mut text = String::new();
            for (doc, terms) in batch.documents() {
                text.clear();
                for term in terms {
                    if is_ordered(term) {
                        let (parameter, value) = split(term);
                        ordered.push((parameter, value, doc));
                    } else {
                        token(term, &mut text);
                        text.push(' ');
                    }
                }
                insert.execute(params![doc, text])?;
            }
            ordered.sort_unstable();
            let mut insert =
                transaction.prepare_cached("INSERT OR IGNORE INTO ordered VALUES (?1, ?2, ?3)")?;
            ordered.iter().try_for_each(|row| insert.execute(params![row.0, row.1, row.2]).map(drop))?;
        }
        Ok(transaction.commit()?)
    }

    fn ask(&mut self, question: &Question) -> Outcome<u64> {
        match question {
            Question::Exact(term) => self.read(&quoted(term)),
            Question::Prefix(prefix) => self.read(&format!("{} *", quoted(prefix))),
            Question::First20(from) => {
                let (parameter, from) = split(from);
                let sql = "SELECT doc FROM ordered WHERE parameter = ?1 AND value >= ?2 ORDER BY value, doc LIMIT 20";
                let mut statement = self.connection.prepare_cached(sql)?;
                let found = statement.query_map(params![parameter, from], |row| row.get::<_, i64>(0))?;
                Ok(found.collect::<Result<Vec<_>, _>>()?.len() as u64)
            }
            Question::Both(one, other) => self.read(&format!("{} AND {}", quoted(one), quoted(other))),
            Question::CountBoth(one, other) => {
                let query = format!("{} AND {}", quoted(one), quoted(other));
                let sql = "SELECT count(*) FROM term WHERE term MATCH ?1";
                Ok(self
                    .connection
                    .prepare_cached(sql)?
                    .query_row([query], |row| row.get::<_, i64>(0))?
                    .cast_unsigned())
            }
        }
    }

    fn connection(&self) -> &Connection {
        &self.connection
    }
}
