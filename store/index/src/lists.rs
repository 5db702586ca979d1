//! Long lists in memory: what was read whole is kept, so that the next search does not read it again.
//!
//! The list of all resources of a type is asked for by most searches, and fills hundreds of blocks among millions. A
//! segment never changes, so what was read of it stays true while others come and go.
//!
//! Invariant: the lists take [`BYTES_MAX`] at the most; those that were not asked for the longest go first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use roaring::RoaringBitmap;

use crate::storage::SegmentId;

/// Bytes of all lists that are kept: ten of the longest at three million documents.
pub(crate) const BYTES_MAX: usize = 4 << 20;

/// The lists of one index.
#[derive(Debug, Default)]
pub(crate) struct Lists(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    by_segment: HashMap<SegmentId, HashMap<Box<[u8]>, List>>,
    bytes: usize,
    /// How often any list was asked for.
    asked: u64,
}

#[derive(Debug)]
struct List {
    docs: Arc<RoaringBitmap>,
    bytes: usize,
    /// When it was asked for last, in the counting of [`Kept::asked`].
    asked: u64,
}

impl Lists {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The list of a term in a segment, if it is kept.
    pub(crate) fn get(&self, segment: SegmentId, term: &[u8]) -> Option<Arc<RoaringBitmap>> {
        let mut kept = self.kept();
        kept.asked += 1;
        let asked = kept.asked;
        let list = kept.by_segment.get_mut(&segment)?.get_mut(term)?;
        list.asked = asked;
        Some(list.docs.clone())
    }

    /// Keeps the list of a term in a segment.
    pub(crate) fn put(&self, segment: SegmentId, term: &[u8], docs: &Arc<RoaringBitmap>) {
        let bytes = docs.serialized_size() + term.len();
        if bytes > BYTES_MAX {
            return;
        }
        let mut kept = self.kept();
        kept.asked += 1;
        let list = List { docs: docs.clone(), bytes, asked: kept.asked };
        if let Some(before) = kept.by_segment.entry(segment).or_default().insert(term.into(), list) {
            kept.bytes -= before.bytes;
        }
        kept.bytes += bytes;
        while kept.bytes > BYTES_MAX {
            kept.remove_oldest();
        }
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.kept().bytes
    }
}

impl Kept {
    fn remove_oldest(&mut self) {
        let lists = self
            .by_segment
            .iter()
            .flat_map(|(segment, lists)| lists.iter().map(move |(term, list)| (list.asked, *segment, term)));
        let Some((_, segment, term)) = lists.min().map(|(asked, id, term)| (asked, id, term.clone())) else {
            return;
        };
        let Some(lists) = self.by_segment.get_mut(&segment) else { return };
        if let Some(list) = lists.remove(&term) {
            self.bytes -= list.bytes;
        }
        if lists.is_empty() {
            self.by_segment.remove(&segment);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_kept_until_there_are_too_many_that_were_asked_for_later() {
        let lists = Lists::default();
        // Every other document: no encoding takes less than a bit for each.
        let docs: Arc<RoaringBitmap> = Arc::new((0..4_000_000).step_by(2).collect());
        let terms: Vec<Vec<u8>> = (0..12_u8).map(|number| vec![number]).collect();
        let (first, other) = (SegmentId::new(1), SegmentId::new(2));
        for term in &terms {
            lists.put(first, term, &docs);
            assert!(lists.bytes() <= BYTES_MAX);
            assert_eq!(lists.get(first, &terms[0]).as_deref(), Some(&*docs), "it is asked for all the time");
            assert!(lists.get(other, term).is_none());
        }
        assert!(lists.get(first, &terms[1]).is_none() && lists.get(first, &terms[11]).is_some());
        let bytes = lists.bytes();
        lists.put(first, &terms[11], &docs);
        assert_eq!(lists.bytes(), bytes, "a list counts once");
    }
}
