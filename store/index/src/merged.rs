//! Terms of several runs and segments merged into one order.

use std::cmp::Ordering;
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::Doc;
use crate::cursor::Cursor;
use crate::error::Error;
use crate::postings::Sink;
use crate::range::{Direction, TermRange};
use crate::run::Run;
use crate::segment::Segment;
use crate::storage::BlockStorage;

/// Cursors, and in which order their terms come.
///
/// Invariant: `order` names the cursors that are not at their end, by term and then by number; the first `group`
/// of them stand on the same term.
#[derive(Debug)]
pub(crate) struct Merged {
    cursors: Vec<Cursor>,
    /// The first bytes of the term of each cursor: most comparisons end here.
    heads: Vec<u128>,
    /// How many cursors are over disjoint ranges of documents that rise with the number.
    disjoint: usize,
    order: Vec<usize>,
    group: usize,
    range: TermRange,
    direction: Direction,
}

impl Merged {
    /// Stands before the first term. `amendments` may overlap each other and everything else.
    pub(crate) fn new<S: BlockStorage>(
        storage: &S,
        segments: &[Arc<Segment>],
        runs: &[Arc<Run>],
        amendments: &[Arc<Segment>],
        range: TermRange,
        direction: Direction,
    ) -> Result<Self, Error<S::Error>> {
        let mut cursors = Vec::new();
        for segment in segments {
            cursors.extend(Cursor::in_segment(storage, segment, &range, direction)?);
        }
        cursors.extend(runs.iter().filter_map(|run| Cursor::in_run(run, &range, direction)));
        let disjoint = cursors.len();
        for segment in amendments {
            cursors.extend(Cursor::in_segment(storage, segment, &range, direction)?);
        }
        let heads = vec![0; cursors.len()];
        let mut merged = Self { cursors, heads, disjoint, order: Vec::new(), group: 0, range, direction };
        (0..merged.cursors.len()).for_each(|cursor| merged.insert(cursor));
        Ok(merged)
    }

    fn insert(&mut self, cursor: usize) {
        self.heads[cursor] = head_of(self.cursors[cursor].term());
        let at = self.order.partition_point(|other| self.compare(*other, cursor).is_lt());
        self.order.insert(at, cursor);
    }

    fn compare(&self, left: usize, right: usize) -> Ordering {
        let terms = self.heads[left]
            .cmp(&self.heads[right])
            .then_with(|| self.cursors[left].term().cmp(self.cursors[right].term()));
        let terms = if self.direction == Direction::Rising { terms } else { terms.reverse() };
        terms.then(left.cmp(&right))
    }

    fn is_same_term(&self, left: usize, right: usize) -> bool {
        self.heads[left] == self.heads[right] && self.cursors[left].term() == self.cursors[right].term()
    }

    /// Goes to the next term; false when there is none.
    pub(crate) fn advance<S: BlockStorage>(&mut self, storage: &S) -> Result<bool, Error<S::Error>> {
        // A cursor that is put back stands on a later term, so the rest of the group stays in front.
        for _ in 0..std::mem::take(&mut self.group) {
            let cursor = self.order.remove(0);
            let there = self.cursors[cursor].step(storage, self.direction)?;
            if there && self.range.contains(self.cursors[cursor].term()) {
                self.insert(cursor);
            }
        }
        if let Some(first) = self.order.first() {
            self.group = self.order.iter().take_while(|cursor| self.is_same_term(*first, **cursor)).count();
        }
        Ok(self.group > 0)
    }

    /// The term that it stands on.
    pub(crate) fn term(&self) -> &[u8] {
        self.order.first().filter(|_| self.group > 0).map_or(&[], |first| self.cursors[*first].term())
    }

    fn group(&self) -> impl Iterator<Item = &Cursor> {
        self.order[..self.group].iter().map(|cursor| &self.cursors[*cursor])
    }

    /// How many documents the term has, those of amendments counted by themselves.
    pub(crate) fn count(&self) -> u64 {
        self.group().map(|cursor| u64::from(cursor.count())).sum()
    }

    /// Gives the documents of the term to `sink`.
    pub(crate) fn collect<S: BlockStorage>(
        &self,
        storage: &S,
        sink: &mut impl Sink,
    ) -> Result<(), Error<S::Error>> {
        let amended = self.order[..self.group].iter().any(|cursor| *cursor >= self.disjoint);
        if !amended || self.group == 1 {
            return self.group().try_for_each(|cursor| cursor.collect(storage, sink));
        }
        let mut all = RoaringBitmap::new();
        for cursor in self.group() {
            let mut docs = RoaringBitmap::new();
            cursor.collect(storage, &mut docs)?;
            all |= docs;
        }
        let docs: Vec<Doc> = all.iter().collect();
        Ok(sink.docs(&docs)?)
    }
}

/// The first 16 bytes of a term as a number; what is missing counts as zeros.
pub(crate) fn head_of(term: &[u8]) -> u128 {
    match term.first_chunk() {
        Some(head) => u128::from_be_bytes(*head),
        None => {
            let mut head = [0; 16];
            head[..term.len()].copy_from_slice(term);
            u128::from_be_bytes(head)
        }
    }
}
