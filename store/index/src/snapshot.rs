//! Snapshots: one state of an index, which never changes.
//!
//! What writes returns the next snapshot and leaves this one as it is, so a transaction that is rolled back only
//! has to drop what it got. Clones share everything.
//!
//! Invariants: segments cover disjoint, rising ranges of documents and the runs follow them; blocks of a segment
//! stay in the storage as long as any snapshot with that segment lives.

use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::Doc;
use crate::commit::Commit;
use crate::directory::Estimate;
use crate::error::{CommitError, Corrupt, Error, Expired};
use crate::merged::Merged;
use crate::range::{Direction, TermRange};
use crate::run::Run;
use crate::scan::Scan;
use crate::segment::Segment;
use crate::state::State;
use crate::storage::{BlockStorage, IndexStorage, SegmentId};
use crate::union;
use crate::view::View;

/// How an index is kept.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Terms that begin with one of these go into a filter, so that looking one up reads a block only where it
    /// is. For terms that few documents have, and that are looked up one by one.
    pub filtered: Vec<Vec<u8>>,
}

/// One state of an index. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(crate) state: Arc<State>,
}

impl Snapshot {
    /// An index without documents.
    pub fn empty(options: Options) -> Self {
        State::empty(options).into_snapshot()
    }

    /// The index that a storage holds: the descriptions of its segments, and its pending rows in rising order.
    ///
    /// The host then removes the blocks of all segments that [`Self::segments`] does not name: a merge that was
    /// interrupted left them, and their numbers will be used again.
    ///
    /// # Errors
    /// When a description or a row is damaged, or they do not fit together.
    pub fn open<D: AsRef<[u8]>, R: AsRef<[u8]>>(
        options: Options,
        segments: impl IntoIterator<Item = (SegmentId, D)>,
        pending: impl IntoIterator<Item = R>,
    ) -> Result<Self, Corrupt> {
        let mut state = State::empty(options);
        for (id, description) in segments {
            state.open_segment(Segment::decode(id, description.as_ref())?);
        }
        state.check_segments()?;
        for row in pending {
            let run = Run::decode(row.as_ref())?;
            if run.first() <= state.last {
                return Err(Corrupt("pending rows overlap"));
            }
            state.push_run(run);
        }
        if state.amendments.iter().any(|segment| segment.bounds.last > state.last) {
            return Err(Corrupt("documents are amended that are not there"));
        }
        Ok(state.into_snapshot())
    }

    /// Adds the documents of a commit, which must come after all others.
    ///
    /// # Errors
    /// When the commit does not follow, or the storage fails.
    pub fn append<W: IndexStorage>(&self, commit: Commit, storage: &mut W) -> Result<Self, Error<W::Error>> {
        if commit.is_empty() {
            return Ok(self.clone());
        }
        if commit.first() <= self.state.last {
            return Err(CommitError::OutOfOrder { doc: commit.first(), last: self.state.last }.into());
        }
        let mut next = self.state.next();
        next.push_commit(commit, storage)?;
        Ok(next.into_snapshot())
    }

    /// Adds terms to documents that are there already: what a new search parameter finds in them. They must not
    /// have these terms yet, and the commit supersedes nothing.
    ///
    /// # Errors
    /// When a document is not there yet, or the storage fails.
    pub fn amend<W: IndexStorage>(&self, commit: Commit, storage: &mut W) -> Result<Self, Error<W::Error>> {
        if commit.is_empty() {
            return Ok(self.clone());
        }
        let last = commit.bounds().last;
        if last > self.state.last {
            return Err(CommitError::OutOfOrder { doc: last, last: self.state.last }.into());
        }
        let mut next = self.state.next();
        let segment = next.build_from(commit, true, storage)?;
        next.amendments.push(Arc::new(segment));
        Ok(next.into_snapshot())
    }

    /// Makes a segment of what is pending, however little it is.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn flush<W: IndexStorage>(&self, storage: &mut W) -> Result<Self, Error<W::Error>> {
        let mut next = self.state.next();
        next.flush(storage)?;
        Ok(next.into_snapshot())
    }

    /// How many blocks are left over from merges and can be read by no snapshot any more.
    pub fn garbage_blocks(&self) -> u64 {
        self.state.garbage_blocks()
    }

    /// Takes at most so many of these blocks out of the storage.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn sweep<W: IndexStorage>(&self, storage: &mut W, blocks_max: u32) -> Result<Self, Error<W::Error>> {
        let mut next = self.state.next();
        next.sweep(storage, blocks_max)?;
        Ok(next.into_snapshot())
    }

    /// The last document; 0 when there is none.
    pub fn last(&self) -> Doc {
        self.state.last
    }

    /// The earliest point that can be searched as of: merges dropped what was superseded before.
    pub fn horizon(&self) -> Doc {
        self.state.all_segments().map(|segment| segment.horizon).max().unwrap_or_default()
    }

    /// The segments whose blocks belong to this state.
    pub fn segments(&self) -> impl Iterator<Item = SegmentId> {
        self.state.all_segments().map(|segment| segment.id)
    }

    /// Which documents are current as of a point; with [`Self::last`] the newest.
    ///
    /// # Errors
    /// When the point lies before the horizon.
    pub fn view(&self, as_of: Doc) -> Result<View, Expired> {
        let horizon = self.horizon();
        if as_of < horizon {
            Err(Expired { as_of, horizon })
        } else if as_of >= self.state.last {
            Ok(self.state.newest.get_or_init(|| self.state.view(self.state.last)).clone())
        } else {
            Ok(self.state.view(as_of))
        }
    }

    /// The documents of a term, superseded ones included.
    ///
    /// # Errors
    /// When the storage fails or is damaged.
    pub fn postings<S: BlockStorage>(
        &self,
        storage: &S,
        term: &[u8],
    ) -> Result<RoaringBitmap, Error<S::Error>> {
        let mut docs = RoaringBitmap::new();
        for segment in self.state.all_segments() {
            segment.postings(storage, &self.state.lists, term, &mut docs)?;
        }
        for run in &self.state.runs {
            docs.extend(run.find(term));
        }
        Ok(docs)
    }

    /// Those documents of a term that are among some, superseded ones included. Where these are few or lie close
    /// together, only a few blocks of a long list are read.
    ///
    /// # Errors
    /// When the storage fails or is damaged.
    pub fn postings_among<S: BlockStorage>(
        &self,
        storage: &S,
        term: &[u8],
        among: &RoaringBitmap,
    ) -> Result<RoaringBitmap, Error<S::Error>> {
        let mut found = RoaringBitmap::new();
        for segment in self.state.all_segments() {
            segment.postings_among(storage, &self.state.lists, term, among, &mut found)?;
        }
        for run in &self.state.runs {
            found.extend(run.find(term).iter().filter(|doc| among.contains(**doc)));
        }
        Ok(found)
    }

    /// How many documents a term has, superseded ones included: one block a segment is read.
    ///
    /// # Errors
    /// When the storage fails or is damaged.
    pub fn count<S: BlockStorage>(&self, storage: &S, term: &[u8]) -> Result<u64, Error<S::Error>> {
        let mut count = 0;
        for segment in self.state.all_segments() {
            count += u64::from(segment.count(storage, term)?);
        }
        Ok(count + self.state.runs.iter().map(|run| run.find(term).len() as u64).sum::<u64>())
    }

    /// The last document of a term that is not after `as_of`, superseded ones included.
    ///
    /// # Errors
    /// When the storage fails or is damaged.
    pub fn newest<S: BlockStorage>(
        &self,
        storage: &S,
        term: &[u8],
        as_of: Doc,
    ) -> Result<Option<Doc>, Error<S::Error>> {
        let mut newest = None;
        for segment in &self.state.amendments {
            newest = newest.max(segment.newest(storage, term, as_of)?);
        }
        for run in self.state.runs.iter().rev() {
            if let Some(doc) = run.find(term).iter().rev().find(|doc| **doc <= as_of) {
                return Ok(newest.max(Some(*doc)));
            }
        }
        for segment in self.state.segments.iter().rev().filter(|segment| segment.bounds.first <= as_of) {
            if let Some(doc) = segment.newest(storage, term, as_of)? {
                return Ok(newest.max(Some(doc)));
            }
        }
        Ok(newest)
    }

    /// The terms of a range in order, with their documents.
    ///
    /// # Errors
    /// When the storage fails or is damaged.
    pub fn scan<'s, S: BlockStorage>(
        &self,
        storage: &'s S,
        range: TermRange,
        direction: Direction,
    ) -> Result<Scan<'s, S>, Error<S::Error>> {
        let State { segments, runs, amendments, .. } = &*self.state;
        let merged = Merged::new(storage, segments, runs, amendments, range, direction)?;
        Ok(Scan { storage, merged })
    }

    /// The documents that have any term of a range, superseded ones included.
    ///
    /// # Errors
    /// When the storage fails or is damaged.
    pub fn postings_in<S: BlockStorage>(
        &self,
        storage: &S,
        range: &TermRange,
    ) -> Result<RoaringBitmap, Error<S::Error>> {
        union::of_range(&self.state, storage, range)
    }

    /// The documents that have any of some terms, which come in rising order, superseded ones included.
    ///
    /// # Errors
    /// When the storage fails or is damaged.
    pub fn postings_of_any<S: BlockStorage, T: AsRef<[u8]>>(
        &self,
        storage: &S,
        terms: &[T],
    ) -> Result<RoaringBitmap, Error<S::Error>> {
        union::of_terms(&self.state, storage, terms)
    }

    /// How much a range of terms holds, from memory alone: exact for pending documents, and for segments up to
    /// what lies in the blocks at both ends.
    pub fn estimate(&self, range: &TermRange) -> Estimate {
        let mut sum = Estimate::default();
        for segment in self.state.all_segments() {
            let part = segment.directory.estimate(range);
            sum = Estimate { terms: sum.terms + part.terms, postings: sum.postings + part.postings };
        }
        for run in &self.state.runs {
            let to = range.to().map_or(run.len(), |to| run.seek(to));
            let terms = run.seek(range.from())..to;
            sum.terms += terms.len() as u64;
            sum.postings += terms.map(|at| run.docs(at).len() as u64).sum::<u64>();
        }
        sum
    }
}
