//! Merges: neighbouring segments become one, in steps that each fit a transaction of the host.
//!
//! A merge drops the postings of documents that were superseded at or before its horizon. What it has not
//! finished belongs to no snapshot: after a step that failed or was rolled back, the host drops the merge and
//! removes the blocks of [`Merge::segment`].

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::Doc;
use crate::error::Error;
use crate::merged::Merged;
use crate::postings::Bounds;
use crate::range::{Direction, TermRange};
use crate::segment::{Segment, SegmentBuilder};
use crate::snapshot::Snapshot;
use crate::storage::{IndexStorage, SegmentId};
use crate::superseded::Superseded;

/// So many neighbours of about one size are merged: few segments to read, for more writing.
pub const FAN_OUT: u32 = 4;
/// The fan-out for as long as much more is coming: a third less writing, for twice the segments.
pub const BULK_FAN_OUT: u32 = 8;
/// Which segments to merge.
#[derive(Clone, Copy, Debug)]
pub enum Choice<'a> {
    /// Neighbours of about one size, once there are so many of them: [`FAN_OUT`] or [`BULK_FAN_OUT`].
    Tiered(u32),
    /// All from the first on that has not twice as much as everything after it: for a host that is at rest, and reads
    /// the fewer segments the faster.
    Settled,
    /// One that still has postings of these documents, which were superseded: what a purge needs. Pending
    /// documents are in no segment; see [`Snapshot::flush`].
    Purging(&'a RoaringBitmap),
}

/// A merge that is under way.
pub struct Merge {
    inputs: Vec<Arc<Segment>>,
    terms: Option<Merged>,
    builder: SegmentBuilder,
    horizon: Doc,
    /// Superseded at or before the horizon.
    dead: RoaringBitmap,
    dropped: Vec<Vec<u8>>,
    docs: Vec<Doc>,
    done: bool,
}

impl fmt::Debug for Merge {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} merged into {}", self.inputs, self.segment())
    }
}

impl Snapshot {
    /// The next merge to do, if there is one. Only one is under way at a time.
    ///
    /// Searches as of a point before the horizon will not be possible any more.
    pub fn merge(&self, choice: Choice<'_>, horizon: Doc) -> Option<Merge> {
        let horizon = horizon.max(self.horizon()).min(self.last());
        let lists = [&self.state.segments, &self.state.amendments];
        let inputs = lists.into_iter().find_map(|segments| match choice {
            Choice::Tiered(fan_out) => tier(segments, fan_out),
            Choice::Settled => unsettled(segments),
            Choice::Purging(docs) => segments
                .iter()
                .position(|segment| segment.horizon < horizon && covers_any(segment.bounds, docs))
                .map(|at| &segments[at..=at]),
        })?;
        Some(self.merge_of(inputs, horizon))
    }

    fn merge_of(&self, inputs: &[Arc<Segment>], horizon: Doc) -> Merge {
        let first = inputs.iter().map(|segment| segment.bounds.first).min().unwrap_or_default();
        let last = inputs.iter().map(|segment| segment.bounds.last).max().unwrap_or_default();
        let filtered = inputs.iter().map(|segment| segment.filter.terms()).sum();
        let mut dead = self.state.view(horizon).superseded();
        dead.remove_range(..first);
        dead.remove_range((last.saturating_add(1))..);
        let id = self.state.new_segment();
        Merge {
            inputs: inputs.to_vec(),
            terms: None,
            builder: SegmentBuilder::new(id, Bounds { first, last }, self.state.new_filter(filtered)),
            horizon,
            dead,
            dropped: Vec::new(),
            docs: Vec::new(),
            done: false,
        }
    }
}

/// The neighbours to merge next: at least `fan_out`, of which none has more than the share of two, so that no block
/// is written again for a few new ones. Small ones go first, and many at once.
fn tier(segments: &[Arc<Segment>], fan_out: u32) -> Option<&[Arc<Segment>]> {
    let fan_out = fan_out.max(2);
    let blocks: Vec<u64> = segments.iter().map(|segment| u64::from(segment.directory.len().max(1))).collect();
    let mut best: Option<(u32, Reverse<usize>, usize)> = None;
    for first in 0..blocks.len() {
        let (mut total, mut largest) = (0, 0);
        for (count, blocks) in (1..).zip(&blocks[first..]) {
            total += blocks;
            largest = largest.max(*blocks);
            if count >= fan_out as usize && 2 * total >= u64::from(fan_out) * largest {
                let candidate = (largest.ilog2(), Reverse(count), first);
                best = Some(best.map_or(candidate, |best| best.min(candidate)));
            }
        }
    }
    best.map(|(_, Reverse(count), first)| &segments[first..first + count])
}

/// The newest segments, from the first on that has not twice as much as all after it: what is written again is at most
/// twice what is new.
fn unsettled(segments: &[Arc<Segment>]) -> Option<&[Arc<Segment>]> {
    let (mut first, mut after) = (None, 0);
    for (at, segment) in segments.iter().enumerate().rev() {
        let blocks = u64::from(segment.directory.len().max(1));
        if blocks < 2 * after {
            first = Some(at);
        }
        after += blocks;
    }
    first.map(|at| &segments[at..])
}

fn covers_any(bounds: Bounds, docs: &RoaringBitmap) -> bool {
    docs.range(bounds.first..=bounds.last).next().is_some()
}

impl Merge {
    /// Also drops all terms that begin with one of these: those of a search parameter that is gone.
    #[must_use]
    pub fn without(mut self, prefixes: Vec<Vec<u8>>) -> Self {
        self.dropped = prefixes;
        self
    }

    /// The segment that it makes.
    pub const fn segment(&self) -> SegmentId {
        self.builder.id()
    }

    /// Goes on until so many blocks are written, or one list more; true when only [`Self::finish`] is left.
    ///
    /// # Errors
    /// When the storage fails or is damaged. The merge is then not to be used any more.
    pub fn step<W: IndexStorage>(
        &mut self,
        storage: &mut W,
        blocks_max: u32,
    ) -> Result<bool, Error<W::Error>> {
        let until = self.builder.blocks().saturating_add(blocks_max);
        let mut terms = match self.terms.take() {
            Some(terms) => terms,
            None => self.begin(storage)?,
        };
        while !self.done && self.builder.blocks() < until {
            if !terms.advance(storage)? {
                self.done = true;
            } else if !self.dropped.iter().any(|prefix| terms.term().starts_with(prefix)) {
                self.docs.clear();
                terms.collect(storage, &mut self.docs)?;
                if !self.dead.is_empty() {
                    self.docs.retain(|doc| !self.dead.contains(*doc));
                }
                self.builder.push(storage, terms.term(), &self.docs)?;
            }
        }
        self.terms = Some(terms);
        Ok(self.done)
    }

    fn begin<W: IndexStorage>(&self, storage: &W) -> Result<Merged, Error<W::Error>> {
        let (segments, amendments) =
            if self.amends() { (&[][..], &self.inputs[..]) } else { (&self.inputs[..], &[][..]) };
        Merged::new(storage, segments, &[], amendments, TermRange::all(), Direction::Rising)
    }

    fn amends(&self) -> bool {
        self.inputs.iter().all(|segment| segment.amends)
    }

    /// Puts the new segment into the place of the old ones, in `current`, which may have grown since the merge
    /// began.
    ///
    /// # Errors
    /// When the storage fails, or `current` does not have the old segments.
    pub fn finish<W: IndexStorage>(
        mut self,
        current: &Snapshot,
        storage: &mut W,
    ) -> Result<Snapshot, Error<W::Error>> {
        while !self.step(storage, u32::MAX)? {}
        if self.inputs.iter().any(|input| current.segments().all(|id| id != input.id)) {
            return Err(Error::MergeOutdated);
        }
        let mut superseded = Superseded::default();
        self.inputs.iter().for_each(|segment| superseded.follow(&segment.superseded));
        superseded.pass(self.horizon);
        let mut next = current.state.next();
        let amends = self.amends();
        let merged = self.builder.finish(storage, amends, self.horizon, superseded)?;
        next.replace(&self.inputs, merged, storage)?;
        Ok(next.into_snapshot())
    }
}
