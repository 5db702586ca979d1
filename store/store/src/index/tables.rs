//! The tables behind an index: numbered blocks, descriptions of segments, pending rows.

use std::ops::RangeInclusive;
use std::sync::Arc;

use keepwell_index::{BlockId, BlockStorage, Doc, IndexStorage, SegmentId, Snapshot};
use rusqlite::{Connection, OptionalExtension, params};

/// The statements over the tables of one index.
struct Statements {
    segments: &'static str,
    pending: &'static str,
    clear: &'static str,
    read: &'static str,
    put_block: &'static str,
    remove_blocks: &'static str,
    remove_between: &'static str,
    put_segment: &'static str,
    remove_segment: &'static str,
    put_pending: &'static str,
    clear_pending: &'static str,
}

macro_rules! statements {
    ($index:literal) => {
        Statements {
            segments: concat!(
                "-- Tables::segments\nSELECT id, description FROM ",
                $index,
                "_segment ORDER BY id"
            ),
            pending: concat!("-- Tables::pending\nSELECT data FROM ", $index, "_pending ORDER BY last"),
            clear: concat!(
                "-- Tables::clear\nDELETE FROM ",
                $index,
                "_segment; DELETE FROM ",
                $index,
                "_block; DELETE FROM ",
                $index,
                "_pending"
            ),
            read: concat!("-- Tables::read\nSELECT data FROM ", $index, "_block WHERE id = ?1"),
            put_block: concat!(
                "-- Tables::put_block\nINSERT INTO ",
                $index,
                "_block (id, data) VALUES (?1, ?2)"
            ),
            remove_blocks: concat!(
                "-- Tables::remove_blocks\nDELETE FROM ",
                $index,
                "_block WHERE id BETWEEN ?1 AND ?2"
            ),
            remove_between: concat!(
                "-- Tables::remove_remains\nDELETE FROM ",
                $index,
                "_block WHERE id > ?1 AND id < ?2"
            ),
            put_segment: concat!(
                "-- Tables::put_segment\nINSERT OR REPLACE INTO ",
                $index,
                "_segment (id, description) VALUES (?1, ?2)"
            ),
            remove_segment: concat!(
                "-- Tables::remove_segment\nDELETE FROM ",
                $index,
                "_segment WHERE id = ?1"
            ),
            put_pending: concat!(
                "-- Tables::put_pending\nINSERT INTO ",
                $index,
                "_pending (last, data) VALUES (?1, ?2)"
            ),
            clear_pending: concat!("-- Tables::clear_pending\nDELETE FROM ", $index, "_pending"),
        }
    };
}

static SEARCH: Statements = statements!("search");
static IDENTITY: Statements = statements!("identity");

/// The tables of one index, as one connection sees them.
#[derive(Clone, Copy)]
pub(crate) struct Tables<'c> {
    connection: &'c Connection,
    sql: &'static Statements,
}

impl<'c> Tables<'c> {
    /// Those of the search index.
    pub(crate) fn search(connection: &'c Connection) -> Self {
        Self { connection, sql: &SEARCH }
    }

    /// Those of the index from types and ids to rows.
    pub(crate) fn identity(connection: &'c Connection) -> Self {
        Self { connection, sql: &IDENTITY }
    }

    /// The segments with their descriptions.
    pub(crate) fn segments(&self) -> rusqlite::Result<Vec<(SegmentId, Vec<u8>)>> {
        let mut statement = self.connection.prepare_cached(self.sql.segments)?;
        let rows = statement.query_map([], |row| Ok((SegmentId::new(row.get(0)?), row.get(1)?)))?;
        rows.collect()
    }

    /// The pending rows, in order.
    pub(crate) fn pending(&self) -> rusqlite::Result<Vec<Vec<u8>>> {
        let mut statement = self.connection.prepare_cached(self.sql.pending)?;
        let rows = statement.query_map([], |row| row.get(0))?;
        rows.collect()
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch(self.sql.clear)
    }

    /// Removes every block that belongs to no segment: what a merge that was given up has left, or what it has
    /// replaced.
    pub(crate) fn remove_remains(&self, snapshot: &Snapshot) -> rusqlite::Result<()> {
        let mut kept: Vec<_> = snapshot.segments().collect();
        kept.sort_unstable();
        let mut statement = self.connection.prepare_cached(self.sql.remove_between)?;
        let mut after = -1;
        for segment in kept {
            let blocks = segment.blocks();
            statement.execute([after, blocks.start().key()])?;
            after = blocks.end().key();
        }
        statement.execute([after, i64::MAX])?;
        Ok(())
    }
}

impl BlockStorage for Tables<'_> {
    type Error = rusqlite::Error;

    fn read(&self, block: BlockId) -> rusqlite::Result<Option<Arc<[u8]>>> {
        self.connection
            .prepare_cached(self.sql.read)?
            .query_row([block.key()], |row| Ok(row.get_ref(0)?.as_blob()?.into()))
            .optional()
    }
}

impl IndexStorage for Tables<'_> {
    fn put_block(&mut self, block: BlockId, bytes: &[u8]) -> rusqlite::Result<()> {
        self.connection.prepare_cached(self.sql.put_block)?.execute(params![block.key(), bytes])?;
        Ok(())
    }

    fn remove_blocks(&mut self, blocks: RangeInclusive<BlockId>) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(self.sql.remove_blocks)?
            .execute([blocks.start().key(), blocks.end().key()])?;
        Ok(())
    }

    fn put_segment(&mut self, segment: SegmentId, description: &[u8]) -> rusqlite::Result<()> {
        self.connection.prepare_cached(self.sql.put_segment)?.execute(params![segment.get(), description])?;
        Ok(())
    }

    fn remove_segment(&mut self, segment: SegmentId) -> rusqlite::Result<()> {
        self.connection.prepare_cached(self.sql.remove_segment)?.execute([segment.get()])?;
        Ok(())
    }

    fn put_pending(&mut self, last: Doc, row: &[u8]) -> rusqlite::Result<()> {
        self.connection.prepare_cached(self.sql.put_pending)?.execute(params![last, row])?;
        Ok(())
    }

    fn clear_pending(&mut self) -> rusqlite::Result<()> {
        self.connection.prepare_cached(self.sql.clear_pending)?.execute([])?;
        Ok(())
    }
}
