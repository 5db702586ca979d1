//! The tables behind the index: numbered blocks, descriptions of segments, pending rows.

use std::ops::RangeInclusive;
use std::sync::Arc;

use keepwell_index::{BlockId, BlockStorage, Doc, IndexStorage, SegmentId};
use rusqlite::{Connection, OptionalExtension, params};

/// The tables of the index, as one connection sees them.
#[derive(Clone, Copy)]
pub(crate) struct Tables<'c>(pub(crate) &'c Connection);

impl Tables<'_> {
    /// The segments with their descriptions.
    pub(crate) fn segments(&self) -> rusqlite::Result<Vec<(SegmentId, Vec<u8>)>> {
        let mut statement = self
            .0
            .prepare_cached("-- Tables::segments\nSELECT id, description FROM search_segment ORDER BY id")?;
        let rows = statement.query_map([], |row| Ok((SegmentId::new(row.get(0)?), row.get(1)?)))?;
        rows.collect()
    }

    /// The pending rows, in order.
    pub(crate) fn pending(&self) -> rusqlite::Result<Vec<Vec<u8>>> {
        let mut statement =
            self.0.prepare_cached("-- Tables::pending\nSELECT data FROM search_pending ORDER BY last")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        rows.collect()
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) -> rusqlite::Result<()> {
        self.0.execute("-- Tables::clear\nDELETE FROM search_segment", [])?;
        self.0.execute("-- Tables::clear\nDELETE FROM search_block", [])?;
        self.0.execute("-- Tables::clear\nDELETE FROM search_pending", [])?;
        Ok(())
    }
}

impl BlockStorage for Tables<'_> {
    type Error = rusqlite::Error;

    fn read(&self, block: BlockId) -> rusqlite::Result<Option<Arc<[u8]>>> {
        self.0
            .prepare_cached("-- Tables::read\nSELECT data FROM search_block WHERE id = ?1")?
            .query_row([block.key()], |row| Ok(row.get_ref(0)?.as_blob()?.into()))
            .optional()
    }
}

impl IndexStorage for Tables<'_> {
    fn put_block(&mut self, block: BlockId, bytes: &[u8]) -> rusqlite::Result<()> {
        self.0
            .prepare_cached("-- Tables::put_block\nINSERT INTO search_block (id, data) VALUES (?1, ?2)")?
            .execute(params![block.key(), bytes])?;
        Ok(())
    }

    fn remove_blocks(&mut self, blocks: RangeInclusive<BlockId>) -> rusqlite::Result<()> {
        self.0
            .prepare_cached("-- Tables::remove_blocks\nDELETE FROM search_block WHERE id BETWEEN ?1 AND ?2")?
            .execute([blocks.start().key(), blocks.end().key()])?;
        Ok(())
    }

    fn put_segment(&mut self, segment: SegmentId, description: &[u8]) -> rusqlite::Result<()> {
        self.0
            .prepare_cached(
                "-- Tables::put_segment\nINSERT OR REPLACE INTO search_segment (id, description) VALUES (?1, ?2)",
            )?
            .execute(params![segment.get(), description])?;
        Ok(())
    }

    fn remove_segment(&mut self, segment: SegmentId) -> rusqlite::Result<()> {
        self.0
            .prepare_cached("-- Tables::remove_segment\nDELETE FROM search_segment WHERE id = ?1")?
            .execute([segment.get()])?;
        Ok(())
    }

    fn put_pending(&mut self, last: Doc, row: &[u8]) -> rusqlite::Result<()> {
        self.0
            .prepare_cached(
                "-- Tables::put_pending\nINSERT INTO search_pending (last, data) VALUES (?1, ?2)",
            )?
            .execute(params![last, row])?;
        Ok(())
    }

    fn clear_pending(&mut self) -> rusqlite::Result<()> {
        self.0.prepare_cached("-- Tables::clear_pending\nDELETE FROM search_pending")?.execute([])?;
        Ok(())
    }
}
