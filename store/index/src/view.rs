//! Views: which documents are the current versions as of a point.

use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::Doc;

/// A snapshot as of a document: later ones are not there yet, and those that were superseded by then are gone.
#[derive(Clone, Debug)]
pub struct View {
    pub(crate) as_of: Doc,
    /// Superseded by documents of segments.
    pub(crate) dead: Arc<RoaringBitmap>,
    /// Of these the ones that were superseded after `as_of`.
    pub(crate) alive: RoaringBitmap,
    /// Superseded by pending documents, rising.
    pub(crate) pending: Vec<Doc>,
}

impl View {
    /// The point.
    pub const fn as_of(&self) -> Doc {
        self.as_of
    }

    /// Whether the document was there and not superseded.
    pub fn is_live(&self, doc: Doc) -> bool {
        doc <= self.as_of
            && (!self.dead.contains(doc) || self.alive.contains(doc))
            && self.pending.binary_search(&doc).is_err()
    }

    /// Takes everything that is not live out of `docs`.
    pub fn retain(&self, docs: &mut RoaringBitmap) {
        if self.as_of < Doc::MAX {
            docs.remove_range(self.as_of + 1..);
        }
        if self.alive.is_empty() {
            *docs -= &*self.dead;
        } else {
            *docs -= &*self.dead - &self.alive;
        }
        for doc in &self.pending {
            docs.remove(*doc);
        }
    }

    /// All documents up to the point that were superseded by then.
    pub fn superseded(&self) -> RoaringBitmap {
        let mut superseded = &*self.dead - &self.alive;
        superseded.extend(self.pending.iter().copied());
        superseded
    }
}
