//! The index as of a change: postings without what was superseded by then.

use keepwell_index::{Direction, Scan, Snapshot, TermRange};
use roaring::RoaringBitmap;
use rusqlite::Connection;

use super::State;
use super::tables::Tables;
use crate::error::Result;
use crate::search::SearchError;

/// One state of the index as of a change, read through one connection.
#[derive(Clone)]
pub(crate) struct View<'c> {
    snapshot: Snapshot,
    live: keepwell_index::View,
    tables: Tables<'c>,
}

impl<'c> View<'c> {
    /// A state as of a change; as of the newest with `None`.
    ///
    /// # Errors
    /// [`SearchError::LinkExpired`] when the index no longer knows that time.
    pub(crate) fn new(state: &State, connection: &'c Connection, as_of: Option<u32>) -> Result<Self> {
        let as_of = as_of.unwrap_or(state.covered);
        if as_of < state.horizon {
            return Err(SearchError::LinkExpired.into());
        }
        Self::of(&state.snapshot, connection, as_of)
    }

    /// A snapshot as of a change.
    pub(crate) fn of(snapshot: &Snapshot, connection: &'c Connection, as_of: u32) -> Result<Self> {
        let live = snapshot.view(as_of).map_err(|_| SearchError::LinkExpired)?;
        Ok(Self { snapshot: snapshot.clone(), live, tables: Tables::search(connection) })
    }

    pub(crate) fn as_of(&self) -> u32 {
        self.live.as_of()
    }

    /// The versions with a term, superseded ones included.
    pub(crate) fn postings(&self, term: &[u8]) -> Result<RoaringBitmap> {
        Ok(self.snapshot.postings(&self.tables, term)?)
    }

    /// Those of some versions that have a term, superseded ones included.
    pub(crate) fn postings_among(&self, term: &[u8], among: &RoaringBitmap) -> Result<RoaringBitmap> {
        Ok(self.snapshot.postings_among(&self.tables, term, among)?)
    }

    /// The versions with any of these terms, which rise; superseded ones included.
    pub(crate) fn postings_of_any(&self, terms: &[Vec<u8>]) -> Result<RoaringBitmap> {
        Ok(self.snapshot.postings_of_any(&self.tables, terms)?)
    }

    /// The versions with a term of a range, superseded ones included.
    pub(crate) fn postings_in(&self, range: &TermRange) -> Result<RoaringBitmap> {
        Ok(self.snapshot.postings_in(&self.tables, range)?)
    }

    /// The versions with a term of a range that passes a test, superseded ones included.
    pub(crate) fn postings_where(
        &self,
        range: TermRange,
        test: impl Fn(&[u8]) -> bool,
    ) -> Result<RoaringBitmap> {
        let mut scan = self.scan(range, Direction::Rising)?;
        let mut found = RoaringBitmap::new();
        let mut docs = Vec::new();
        while scan.advance()? {
            if test(scan.term()) {
                scan.read_docs(&mut docs)?;
                found.extend(docs.iter().copied());
            }
        }
        Ok(found)
    }

    /// The terms of a range in order.
    pub(crate) fn scan(&self, range: TermRange, direction: Direction) -> Result<Scan<'_, Tables<'c>>> {
        Ok(self.snapshot.scan(&self.tables, range, direction)?)
    }

    /// The newest version with a term, if it is current.
    pub(crate) fn newest(&self, term: &[u8]) -> Result<Option<u32>> {
        let newest = self.snapshot.newest(&self.tables, term, self.as_of())?;
        Ok(newest.filter(|doc| self.live.is_live(*doc)))
    }

    /// About how many versions have a term.
    pub(crate) fn count(&self, term: &[u8]) -> Result<u64> {
        Ok(self.snapshot.count(&self.tables, term)?)
    }

    /// About how many terms and postings a range has.
    pub(crate) fn estimate(&self, range: &TermRange) -> keepwell_index::Estimate {
        self.snapshot.estimate(range)
    }

    /// Takes out what is not current.
    pub(crate) fn keep_live(&self, docs: &mut RoaringBitmap) {
        self.live.retain(docs);
    }
}
