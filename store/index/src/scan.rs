//! Scans: the terms of a range in order, each with its documents, read as far as they are asked for.

use roaring::RoaringBitmap;

use crate::Doc;
use crate::error::Error;
use crate::merged::Merged;
use crate::storage::BlockStorage;

/// A scan over a snapshot; see [`Snapshot::scan`](crate::Snapshot::scan).
///
/// It stands before the first term. Documents are decoded only where they are asked for, so passing over a term
/// is cheap.
#[derive(Debug)]
pub struct Scan<'s, S> {
    pub(crate) storage: &'s S,
    pub(crate) merged: Merged,
}

impl<S: BlockStorage> Scan<'_, S> {
    /// Goes to the next term; false when there is none.
    ///
    /// # Errors
    /// When the storage fails or is damaged.
    pub fn advance(&mut self) -> Result<bool, Error<S::Error>> {
        self.merged.advance(self.storage)
    }

    /// The term that it stands on; empty before the first and after the last.
    pub fn term(&self) -> &[u8] {
        self.merged.term()
    }

    /// How many documents the term has, superseded ones included.
    pub fn count(&self) -> u64 {
        self.merged.count()
    }

    /// The documents of the term, rising, superseded ones included; `docs` is cleared before.
    ///
    /// # Errors
    /// When the storage fails or is damaged.
    pub fn read_docs(&self, docs: &mut Vec<Doc>) -> Result<(), Error<S::Error>> {
        docs.clear();
        self.merged.collect(self.storage, docs)
    }

    /// The documents of the term as a set, superseded ones included.
    ///
    /// # Errors
    /// When the storage fails or is damaged.
    pub fn docs(&self) -> Result<RoaringBitmap, Error<S::Error>> {
        let mut docs = RoaringBitmap::new();
        self.merged.collect(self.storage, &mut docs)?;
        Ok(docs)
    }
}
