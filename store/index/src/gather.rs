//! Gathering documents from lists: a few as they come, many as bits.
//!
//! Bits are several times as fast as a set that keeps itself small while it grows.

use std::ops::RangeInclusive;

use roaring::RoaringBitmap;

use crate::Doc;
use crate::error::Corrupt;
use crate::postings::Sink;

/// Documents in the list of a gathering; with more it sets bits instead.
pub(crate) const LISTED_DOCS_MAX: usize = 4_096;

/// Gathers lists, each rising, in any order.
///
/// Invariant: whoever gives documents has checked that they lie in its range.
pub(crate) struct Gather {
    /// In any order, perhaps more than once.
    listed: Vec<Doc>,
    /// A bit for each document from `first` on, once there are many.
    bits: Vec<u8>,
    /// A multiple of 8.
    first: Doc,
    last: Doc,
}

impl Sink for Gather {
    fn docs(&mut self, docs: &[Doc]) -> Result<(), Corrupt> {
        if self.bits.is_empty() {
            self.listed.extend_from_slice(docs);
            if self.listed.len() > LISTED_DOCS_MAX {
                self.set_listed();
            }
        } else {
            docs.iter().for_each(|doc| self.set(*doc));
        }
        Ok(())
    }

    fn range(&mut self, docs: RangeInclusive<Doc>) -> Result<(), Corrupt> {
        self.set_listed();
        let (first, last) = (docs.start() - self.first, docs.end() - self.first);
        let (head, tail) = (0xff << (first % 8), 0xff >> (7 - last % 8));
        let bytes = &mut self.bits[first as usize / 8..=last as usize / 8];
        if let [only] = bytes {
            *only |= head & tail;
        } else if let [one, inner @ .., other] = bytes {
            *one |= head;
            inner.fill(0xff);
            *other |= tail;
        }
        Ok(())
    }

    fn bits(&mut self, first: Doc, bytes: &[u8]) -> Result<(), Corrupt> {
        self.set_listed();
        let to = self.bits[(first - self.first) as usize / 8..].iter_mut();
        to.zip(bytes).for_each(|(to, byte)| *to |= byte);
        Ok(())
    }
}

impl Gather {
    /// For documents of a range.
    pub(crate) const fn new(first: Doc, last: Doc) -> Self {
        Self { listed: Vec::new(), bits: Vec::new(), first: first & !7, last }
    }

    fn set(&mut self, doc: Doc) {
        let at = doc - self.first;
        self.bits[at as usize / 8] |= 1 << (at % 8);
    }

    fn set_listed(&mut self) {
        if self.bits.is_empty() {
            self.bits.resize((self.last - self.first) as usize / 8 + 1, 0);
        }
        for doc in std::mem::take(&mut self.listed) {
            self.set(doc);
        }
    }

    /// All of them.
    pub(crate) fn finish(mut self) -> RoaringBitmap {
        if self.bits.is_empty() {
            self.listed.sort_unstable();
            self.listed.dedup();
            RoaringBitmap::from_sorted_iter(self.listed).expect("they are sorted")
        } else {
            RoaringBitmap::from_lsb0_bytes(self.first, &self.bits)
        }
    }
}
