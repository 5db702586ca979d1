//! Layout (c): the index of `keepwell-index`, its blocks as rows of one table.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use keepwell_index::{
    BULK_FAN_OUT, BlockId, BlockStorage, Choice, Commit, Direction, Doc, FAN_OUT, IndexStorage, SegmentId,
    Snapshot, TermRange,
};
use keepwell_search::{Facet, ParameterNumber, Term};
use keepwell_sqlcipher::Connection;
use rusqlite::{OptionalExtension, params};

use crate::layout::{Batch, Layout, Outcome, Question, database};

const SCHEMA: &str = "
    CREATE TABLE block (key INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
    CREATE TABLE segment (key INTEGER PRIMARY KEY, description BLOB NOT NULL) STRICT;
    CREATE TABLE pending (last INTEGER PRIMARY KEY, row BLOB NOT NULL) STRICT;";

/// Blocks that a merge writes in one transaction.
const STEP_BLOCKS: u32 = 2_000;

pub(crate) struct Blocks {
    connection: Connection,
    snapshot: Snapshot,
}

struct Rows<'c>(&'c Connection);

impl BlockStorage for Rows<'_> {
    type Error = rusqlite::Error;

    fn read(&self, block: BlockId) -> Result<Option<Arc<[u8]>>, rusqlite::Error> {
        let mut statement = self.0.prepare_cached("SELECT bytes FROM block WHERE key = ?1")?;
        statement.query_row([block.key()], |row| Ok(row.get_ref(0)?.as_blob()?.into())).optional()
    }
}

impl Rows<'_> {
    fn execute(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<(), rusqlite::Error> {
        self.0.prepare_cached(sql)?.execute(parameters).map(drop)
    }
}

impl IndexStorage for Rows<'_> {
    fn put_block(&mut self, block: BlockId, bytes: &[u8]) -> Result<(), rusqlite::Error> {
        self.execute("INSERT INTO block VALUES (?1, ?2)", params![block.key(), bytes])
    }

    fn remove_blocks(&mut self, blocks: RangeInclusive<BlockId>) -> Result<(), rusqlite::Error> {
        let (first, last) = (blocks.start().key(), blocks.end().key());
        self.execute("DELETE FROM block WHERE key BETWEEN ?1 AND ?2", params![first, last])
    }

    fn put_segment(&mut self, segment: SegmentId, description: &[u8]) -> Result<(), rusqlite::Error> {
        self.execute("INSERT INTO segment VALUES (?1, ?2)", params![segment.get(), description])
    }

    fn remove_segment(&mut self, segment: SegmentId) -> Result<(), rusqlite::Error> {
        self.execute("DELETE FROM segment WHERE key = ?1", [segment.get()])
    }

    fn put_pending(&mut self, last: Doc, row: &[u8]) -> Result<(), rusqlite::Error> {
        self.execute("INSERT INTO pending VALUES (?1, ?2)", params![last, row])
    }

    fn clear_pending(&mut self) -> Result<(), rusqlite::Error> {
        self.execute("DELETE FROM pending", [])
    }
}

impl Blocks {
    pub(crate) fn create(path: &Path, cache_kib: u32) -> Outcome<Self> {
        let connection = database(path, cache_kib, SCHEMA)?;
        let filtered = vec![Term::head(ParameterNumber::ID, Facet::Reference).into_bytes()];
        Ok(Self { connection, snapshot: Snapshot::empty(keepwell_index::Options { filtered }) })
    }

    /// Merges what there is to merge and removes what is left over, in transactions of bounded size.
    fn merge(&mut self, fan_out: u32) -> Outcome<()> {
        while let Some(mut merge) = self.snapshot.merge(Choice::Tiered(fan_out), 0) {
            loop {
                let transaction = self.connection.transaction()?;
                let done = merge.step(&mut Rows(&transaction), STEP_BLOCKS)?;
                if done {
                    let next = merge.finish(&self.snapshot, &mut Rows(&transaction))?;
                    transaction.commit()?;
                    self.snapshot = next;
                    break;
                }
                transaction.commit()?;
            }
        }
        while self.snapshot.garbage_blocks() > 0 {
            let transaction = self.connection.transaction()?;
            let next = self.snapshot.sweep(&mut Rows(&transaction), STEP_BLOCKS)?;
            transaction.commit()?;
            self.snapshot = next;
        }
        Ok(())
    }
}

impl Layout for Blocks {
    fn commit(&mut self, batch: &Batch) -> Outcome<()> {
        let mut commit = Commit::default();
        for (doc, terms) in batch.documents() {
            commit.add(doc, None, terms)?;
        }
        let transaction = self.connection.transaction()?;
        let next = self.snapshot.append(commit, &mut Rows(&transaction))?;
        transaction.commit()?;
        self.snapshot = next;
        self.merge(BULK_FAN_OUT)
    }

    fn settle(&mut self) -> Outcome<()> {
        self.merge(FAN_OUT)
    }

    fn ask(&mut self, question: &Question) -> Outcome<u64> {
        let (snapshot, rows) = (&self.snapshot, Rows(&self.connection));
        let transaction = self.connection.unchecked_transaction()?;
        let view = snapshot.view(snapshot.last())?;
        let mut docs = match question {
            Question::Exact(term) => snapshot.postings(&rows, term)?,
            Question::Prefix(prefix) => snapshot.postings_in(&rows, &TermRange::prefix(prefix))?,
            Question::First20(from) => {
                let range = TermRange::new(&from[..], TermRange::prefix(&from[..3]).to().map(<[u8]>::to_vec));
                let mut scan = snapshot.scan(&rows, range, Direction::Rising)?;
                let (mut docs, mut found) = (Vec::new(), 0);
                while found < 20 && scan.advance()? {
                    scan.read_docs(&mut docs)?;
                    found += docs.iter().filter(|doc| view.is_live(**doc)).count();
                }
                return Ok(found.min(20) as u64);
            }
            Question::Both(one, other) | Question::CountBoth(one, other) => {
                // The shorter list first: of the longer one only what can be in both is read.
                let counts = (snapshot.count(&rows, one)?, snapshot.count(&rows, other)?);
                let (short, long) = if counts.0 < counts.1 { (one, other) } else { (other, one) };
                snapshot.postings_among(&rows, long, &snapshot.postings(&rows, short)?)?
            }
        };
        view.retain(&mut docs);
        drop(transaction);
        match question {
            Question::CountBoth(..) => Ok(docs.len()),
            _ => Ok(docs.iter().map(std::hint::black_box).count() as u64),
        }
    }

    fn connection(&self) -> &Connection {
        &self.connection
    }
}
