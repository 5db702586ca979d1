//! The state behind a snapshot, and how it is changed before others see it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use roaring::RoaringBitmap;

use crate::Doc;
use crate::commit::Commit;
use crate::error::{Corrupt, Error};
use crate::filter::Filter;
use crate::lists::Lists;
use crate::run::Run;
use crate::segment::{Segment, SegmentBuilder};
use crate::snapshot::{Options, Snapshot};
use crate::storage::{IndexStorage, SegmentId};
use crate::superseded::Superseded;
use crate::view::View;

/// Documents that wait in pending rows at most: when a commit brings so many, all become a segment.
pub const PENDING_DOCUMENTS_MAX: u32 = 1_024;
/// Pairs of term and document that wait in pending rows at most.
pub const PENDING_POSTINGS_MAX: usize = 65_536;

/// Whether so much is to be a segment.
const fn is_full(documents: u32, postings: usize) -> bool {
    documents >= PENDING_DOCUMENTS_MAX || postings >= PENDING_POSTINGS_MAX
}

#[derive(Debug)]
pub(crate) struct State {
    options: Arc<Options>,
    /// Shared by all snapshots of an index, so that not even a write that is rolled back gives a number twice.
    next_segment: Arc<AtomicU32>,
    /// Shared likewise.
    pub(crate) lists: Arc<Lists>,
    pub(crate) segments: Vec<Arc<Segment>>,
    /// Further terms of documents that the segments and runs cover, in the order of their making.
    pub(crate) amendments: Vec<Arc<Segment>>,
    pub(crate) runs: Vec<Arc<Run>>,
    /// Everything that documents of segments superseded.
    pub(crate) dead: Arc<RoaringBitmap>,
    retired: Vec<Retired>,
    pub(crate) last: Doc,
    pub(crate) newest: OnceLock<View>,
}

/// A segment that was merged into another, and whose blocks are still there from this number on.
#[derive(Clone, Debug)]
struct Retired {
    id: SegmentId,
    from: u32,
    blocks: u32,
    segment: Weak<Segment>,
}

impl Retired {
    fn is_unread(&self) -> bool {
        self.segment.strong_count() == 0
    }
}

impl State {
    pub(crate) fn empty(options: Options) -> Self {
        Self {
            options: Arc::new(options),
            next_segment: Arc::new(AtomicU32::new(1)),
            lists: Arc::default(),
            segments: Vec::new(),
            amendments: Vec::new(),
            runs: Vec::new(),
            dead: Arc::default(),
            retired: Vec::new(),
            last: 0,
            newest: OnceLock::new(),
        }
    }

    /// A copy to change.
    pub(crate) fn next(&self) -> Self {
        Self {
            options: self.options.clone(),
            next_segment: self.next_segment.clone(),
            lists: self.lists.clone(),
            segments: self.segments.clone(),
            amendments: self.amendments.clone(),
            runs: self.runs.clone(),
            dead: self.dead.clone(),
            retired: self.retired.clone(),
            last: self.last,
            newest: OnceLock::new(),
        }
    }

    pub(crate) fn into_snapshot(self) -> Snapshot {
        Snapshot { state: Arc::new(self) }
    }

    pub(crate) fn all_segments(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.segments.iter().chain(&self.amendments)
    }

    /// Adds a segment that the storage had.
    pub(crate) fn open_segment(&mut self, segment: Segment) {
        self.next_segment.fetch_max(segment.id.get() + 1, Ordering::Relaxed);
        let list = if segment.amends { &mut self.amendments } else { &mut self.segments };
        list.push(Arc::new(segment));
    }

    /// Brings the segments that were opened into order.
    pub(crate) fn check_segments(&mut self) -> Result<(), Corrupt> {
        self.segments.sort_by_key(|segment| segment.bounds.first);
        self.amendments.sort_by_key(|segment| segment.id);
        for segment in &self.segments {
            if segment.bounds.first <= self.last {
                return Err(Corrupt("segments overlap"));
            }
            self.last = segment.bounds.last;
        }
        self.dead = Arc::new(self.superseded_by(&self.segments));
        Ok(())
    }

    fn superseded_by(&self, segments: &[Arc<Segment>]) -> RoaringBitmap {
        let mut dead = (*self.dead).clone();
        segments.iter().for_each(|segment| segment.superseded.add_to(&mut dead));
        dead
    }

    /// Adds a commit: to the pending rows, or with all of them as a segment. A large one becomes a segment by itself,
    /// so that its terms are not copied.
    pub(crate) fn push_commit<W: IndexStorage>(
        &mut self,
        commit: Commit,
        storage: &mut W,
    ) -> Result<(), Error<W::Error>> {
        if is_full(commit.documents(), commit.postings()) {
            self.flush(storage)?;
            self.last = commit.bounds().last;
            let segment = self.build_from(commit, false, storage)?;
            self.push_segment(segment);
            return Ok(());
        }
        let run = commit.into_run();
        let (documents, postings) = self.runs.iter().fold((run.documents(), run.postings()), |sum, run| {
            (sum.0 + run.documents(), sum.1 + run.postings())
        });
        if !is_full(documents, postings) {
            storage.put_pending(run.last(), &run.encode()).map_err(Error::Storage)?;
            self.push_run(run);
            return Ok(());
        }
        self.last = run.last();
        self.runs.push(Arc::new(run));
        self.flush(storage)
    }

    /// Makes a segment of all runs.
    pub(crate) fn flush<W: IndexStorage>(&mut self, storage: &mut W) -> Result<(), Error<W::Error>> {
        let Some(newest) = self.runs.pop() else { return Ok(()) };
        let all = self.runs.drain(..).rev().fold(newest, |later, earlier| Arc::new(earlier.merge(&later)));
        let filter = self.new_filter(self.filtered(|prefix| all.count_prefix(prefix)));
        let mut builder = SegmentBuilder::new(self.new_segment(), all.bounds(), filter);
        for at in 0..all.len() {
            builder.push(storage, all.term(at), all.docs(at))?;
        }
        let superseded = Superseded { since: all.superseded().to_vec(), ..Superseded::default() };
        let segment = builder.finish(storage, false, 0, superseded)?;
        storage.clear_pending().map_err(Error::Storage)?;
        self.push_segment(segment);
        Ok(())
    }

    fn push_segment(&mut self, segment: Segment) {
        let segment = Arc::new(segment);
        self.dead = Arc::new(self.superseded_by(std::slice::from_ref(&segment)));
        self.segments.push(segment);
    }

    /// Adds a run, and merges it with those before it that are not much larger.
    pub(crate) fn push_run(&mut self, mut run: Run) {
        self.last = run.last();
        while let Some(before) = self.runs.pop_if(|before| before.postings() <= 2 * run.postings()) {
            run = before.merge(&run);
        }
        self.runs.push(Arc::new(run));
    }

    pub(crate) fn new_segment(&self) -> SegmentId {
        SegmentId::new(self.next_segment.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn new_filter(&self, terms: usize) -> Filter {
        Filter::new(&self.options.filtered, terms)
    }

    /// How many terms the filter of a segment has to hold, when so many begin with a prefix.
    fn filtered(&self, count: impl Fn(&[u8]) -> usize) -> usize {
        self.options.filtered.iter().map(|prefix| count(prefix)).sum()
    }

    /// Writes a segment of everything in a commit.
    pub(crate) fn build_from<W: IndexStorage>(
        &self,
        mut commit: Commit,
        amends: bool,
        storage: &mut W,
    ) -> Result<Segment, Error<W::Error>> {
        let filter = self.new_filter(self.filtered(|prefix| commit.count_prefix(prefix)));
        let mut builder = SegmentBuilder::new(self.new_segment(), commit.bounds(), filter);
        let superseded = Superseded { since: commit.superseded().to_vec(), ..Superseded::default() };
        commit.for_each(|term, docs| builder.push(storage, term, docs))?;
        builder.finish(storage, amends, 0, superseded)
    }

    /// Puts a merged segment into the place of those that it was made of.
    pub(crate) fn replace<W: IndexStorage>(
        &mut self,
        inputs: &[Arc<Segment>],
        merged: Segment,
        storage: &mut W,
    ) -> Result<(), Error<W::Error>> {
        for segment in inputs {
            storage.remove_segment(segment.id).map_err(Error::Storage)?;
            let (id, blocks) = (segment.id, segment.directory.len());
            self.retired.push(Retired { id, from: 0, blocks, segment: Arc::downgrade(segment) });
        }
        let list = if merged.amends { &mut self.amendments } else { &mut self.segments };
        let place = list.iter().position(|segment| segment.id == inputs[0].id).unwrap_or(list.len());
        list.retain(|segment| inputs.iter().all(|input| input.id != segment.id));
        list.insert(place.min(list.len()), Arc::new(merged));
        Ok(())
    }

    /// How many blocks no snapshot can read any more.
    pub(crate) fn garbage_blocks(&self) -> u64 {
        let unread = self.retired.iter().filter(|retired| retired.is_unread());
        unread.map(|retired| u64::from(retired.blocks - retired.from)).sum()
    }

    /// Takes so many of these blocks out of the storage.
    pub(crate) fn sweep<W: IndexStorage>(
        &mut self,
        storage: &mut W,
        blocks_max: u32,
    ) -> Result<(), Error<W::Error>> {
        let mut left = blocks_max;
        for retired in self.retired.iter_mut().filter(|retired| retired.is_unread()) {
            let until = retired.blocks.min(retired.from.saturating_add(left));
            if until > retired.from {
                let blocks = retired.id.block(retired.from)..=retired.id.block(until - 1);
                storage.remove_blocks(blocks).map_err(Error::Storage)?;
            }
            left -= until - retired.from;
            retired.from = until;
        }
        self.retired.retain(|retired| retired.from < retired.blocks);
        Ok(())
    }

    /// What is superseded as of a point that is not before the horizon.
    pub(crate) fn view(&self, as_of: Doc) -> View {
        let mut alive = RoaringBitmap::new();
        for segment in self.segments.iter().filter(|segment| segment.bounds.last > as_of) {
            let since = &segment.superseded.since;
            let after = since.partition_point(|(by, _)| *by <= as_of);
            alive.extend(since[after..].iter().map(|(_, doc)| *doc));
        }
        let pairs = self.runs.iter().flat_map(|run| run.superseded());
        let mut pending: Vec<Doc> = pairs.filter(|(by, _)| *by <= as_of).map(|(_, doc)| *doc).collect();
        pending.sort_unstable();
        View { as_of, dead: self.dead.clone(), alive, pending }
    }
}
