//! Storage of an index, as its host provides it: numbered blocks, a description for each segment, pending rows.
//!
//! The index decides what is written and the host writes it, in its own transaction, so that an index entry is
//! durable exactly when its resource is. [`MemoryStorage`] is a host for tests and examples.
//!
//! Invariant: a block is written once and never changed; a segment's number is not used again while the
//! process lives.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::Doc;

/// Bytes of the largest block: as the only column of a rowid table it fills one SQLCipher page of 4,096 bytes
/// (less 48 for initialization vector and HMAC-SHA-256, SQLite's page header, cell and record headers), and
/// never spills to an overflow page.
pub const BLOCK_BYTES_MAX: usize = 3_960;

/// The number of a segment. Below 2^31.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(u32);

impl SegmentId {
    /// A segment's number as the host kept it.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number to keep.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The place of one of its blocks.
    pub const fn block(self, number: u32) -> BlockId {
        BlockId((self.0 as u64) << 32 | number as u64)
    }

    /// The places that all of its blocks lie in, whether or not so many exist.
    pub const fn blocks(self) -> RangeInclusive<BlockId> {
        self.block(0)..=self.block(u32::MAX)
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "segment {}", self.0)
    }
}

/// The place of a block: 31 bits of segment, 32 bits of number inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(u64);

impl BlockId {
    /// As a key of a rowid table; never negative.
    pub const fn key(self) -> i64 {
        self.0.cast_signed()
    }

    /// The segment that the block belongs to.
    pub fn segment(self) -> SegmentId {
        SegmentId(u32::try_from(self.0 >> 32).expect("32 bits are left"))
    }
}

/// Where blocks are read from. A reader's storage sees one committed state of the database.
pub trait BlockStorage {
    /// What reading may fail with.
    type Error: std::error::Error + 'static;

    /// The bytes of a block, or `None` when there is none.
    fn read(&self, block: BlockId) -> Result<Option<Arc<[u8]>>, Self::Error>;
}

impl<S: BlockStorage + ?Sized> BlockStorage for &S {
    type Error = S::Error;

    fn read(&self, block: BlockId) -> Result<Option<Arc<[u8]>>, Self::Error> {
        (**self).read(block)
    }
}

/// Where an index is written: everything in the transaction that the host has open.
pub trait IndexStorage: BlockStorage {
    /// Keeps a new block of at most [`BLOCK_BYTES_MAX`] bytes.
    fn put_block(&mut self, block: BlockId, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Forgets all blocks in the range; some or all of them may not exist.
    fn remove_blocks(&mut self, blocks: RangeInclusive<BlockId>) -> Result<(), Self::Error>;

    /// Keeps what [`Snapshot::open`](crate::Snapshot::open) needs of a segment whose blocks are all written.
    fn put_segment(&mut self, segment: SegmentId, description: &[u8]) -> Result<(), Self::Error>;

    /// Forgets the description of a segment; its blocks stay until [`Self::remove_blocks`].
    fn remove_segment(&mut self, segment: SegmentId) -> Result<(), Self::Error>;

    /// Keeps a row of documents that are in no segment yet, up to and including `last`.
    fn put_pending(&mut self, last: Doc, row: &[u8]) -> Result<(), Self::Error>;

    /// Forgets all pending rows.
    fn clear_pending(&mut self) -> Result<(), Self::Error>;
}

/// Everything in maps.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage {
    /// Bytes by block.
    pub blocks: BTreeMap<BlockId, Arc<[u8]>>,
    /// Descriptions of the segments.
    pub segments: BTreeMap<SegmentId, Vec<u8>>,
    /// Pending rows by their last document.
    pub pending: BTreeMap<Doc, Vec<u8>>,
}

impl BlockStorage for MemoryStorage {
    type Error = Infallible;

    fn read(&self, block: BlockId) -> Result<Option<Arc<[u8]>>, Infallible> {
        Ok(self.blocks.get(&block).cloned())
    }
}

impl IndexStorage for MemoryStorage {
    fn put_block(&mut self, block: BlockId, bytes: &[u8]) -> Result<(), Infallible> {
        self.blocks.insert(block, bytes.into());
        Ok(())
    }

    fn remove_blocks(&mut self, blocks: RangeInclusive<BlockId>) -> Result<(), Infallible> {
        self.blocks.retain(|block, _| !blocks.contains(block));
        Ok(())
    }

    fn put_segment(&mut self, segment: SegmentId, description: &[u8]) -> Result<(), Infallible> {
        self.segments.insert(segment, description.to_owned());
        Ok(())
    }

    fn remove_segment(&mut self, segment: SegmentId) -> Result<(), Infallible> {
        self.segments.remove(&segment);
        Ok(())
    }

    fn put_pending(&mut self, last: Doc, row: &[u8]) -> Result<(), Infallible> {
        self.pending.insert(last, row.to_owned());
        Ok(())
    }

    fn clear_pending(&mut self) -> Result<(), Infallible> {
        self.pending.clear();
        Ok(())
    }
}
