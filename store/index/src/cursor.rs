//! Cursors: the terms of one run or segment in order, either way, each with its list.

use std::sync::Arc;

use crate::block::Block;
use crate::bytes::len32;
use crate::error::Error;
use crate::postings::{Part, Sink};
use crate::range::{Direction, TermRange};
use crate::run::Run;
use crate::segment::Segment;
use crate::storage::BlockStorage;

/// A place in a run or a segment.
#[derive(Debug)]
pub(crate) enum Cursor {
    Run { run: Arc<Run>, at: usize },
    Segment(SegmentCursor),
}

impl Cursor {
    /// A cursor on the first term of the range in this direction, if there is one.
    pub(crate) fn in_run(run: &Arc<Run>, range: &TermRange, direction: Direction) -> Option<Self> {
        let at = match direction {
            Direction::Rising => run.seek(range.from()),
            Direction::Falling => range.to().map_or(run.len(), |to| run.seek(to)).checked_sub(1)?,
        };
        let cursor = Self::Run { run: run.clone(), at };
        (at < run.len() && range.contains(cursor.term())).then_some(cursor)
    }

    /// A cursor on the first term of the range in this direction, if there is one.
    pub(crate) fn in_segment<S: BlockStorage>(
        storage: &S,
        segment: &Arc<Segment>,
        range: &TermRange,
        direction: Direction,
    ) -> Result<Option<Self>, Error<S::Error>> {
        if !segment.directory.may_overlap(range) {
            return Ok(None);
        }
        let mut cursor = SegmentCursor::new(segment);
        let found = match direction {
            Direction::Rising => cursor.seek(storage, range.from())?,
            Direction::Falling => match range.to() {
                Some(to) => {
                    cursor.seek(storage, to)?;
                    cursor.retreat(storage)?
                }
                None => {
                    cursor.at = 0;
                    cursor.number = segment.directory.len();
                    cursor.retreat(storage)?
                }
            },
        };
        Ok((found && range.contains(cursor.term())).then_some(Self::Segment(cursor)))
    }

    /// Goes to the next term in this direction; false when there is none.
    pub(crate) fn step<S: BlockStorage>(
        &mut self,
        storage: &S,
        direction: Direction,
    ) -> Result<bool, Error<S::Error>> {
        match (self, direction) {
            (Self::Run { run, at }, Direction::Rising) => {
                *at += 1;
                Ok(*at < run.len())
            }
            (Self::Run { at, .. }, Direction::Falling) => match at.checked_sub(1) {
                Some(before) => {
                    *at = before;
                    Ok(true)
                }
                None => Ok(false),
            },
            (Self::Segment(cursor), Direction::Rising) => cursor.advance(storage),
            (Self::Segment(cursor), Direction::Falling) => cursor.retreat(storage),
        }
    }

    pub(crate) fn term(&self) -> &[u8] {
        match self {
            Self::Run { run, at } => run.term(*at),
            Self::Segment(cursor) => cursor.term(),
        }
    }

    /// How many documents the term has.
    pub(crate) fn count(&self) -> u32 {
        match self {
            Self::Run { run, at } => len32(run.docs(*at)),
            Self::Segment(cursor) => cursor.entries[cursor.at].total,
        }
    }

    /// Gives the documents of the term to `sink`.
    pub(crate) fn collect<S: BlockStorage>(
        &self,
        storage: &S,
        sink: &mut impl Sink,
    ) -> Result<(), Error<S::Error>> {
        match self {
            Self::Run { run, at } => Ok(sink.docs(run.docs(*at))?),
            Self::Segment(cursor) => cursor.collect(storage, sink),
        }
    }
}

/// A place in a segment: a block, taken apart, and a term in it.
///
/// Invariant: a cursor that was not told to be at the end stands on the first piece of a list.
#[derive(Debug)]
pub(crate) struct SegmentCursor {
    segment: Arc<Segment>,
    number: u32,
    bytes: Arc<[u8]>,
    terms: Vec<u8>,
    entries: Vec<Entry>,
    at: usize,
}

#[derive(Debug)]
struct Entry {
    term_end: u32,
    piece_at: u32,
    total: u32,
}

impl SegmentCursor {
    fn new(segment: &Arc<Segment>) -> Self {
        let (terms, entries) = Default::default();
        Self { segment: segment.clone(), number: 0, bytes: Arc::default(), terms, entries, at: 0 }
    }

    fn load<S: BlockStorage>(&mut self, storage: &S, number: u32) -> Result<(), Error<S::Error>> {
        self.bytes = self.segment.read(storage, number)?;
        self.number = number;
        self.terms.clear();
        self.entries.clear();
        let mut entries = Block::new(&self.bytes)?.entries();
        while let Some(piece) = entries.next(self.segment.bounds)? {
            if piece.part != Part::Continuation {
                self.terms.extend_from_slice(entries.term());
                let piece_at = u32::try_from(entries.piece_at()).expect("a block is shorter than 64 KiB");
                let entry = Entry { term_end: len32(&self.terms), piece_at, total: piece.total() };
                self.entries.push(entry);
            }
        }
        Ok(())
    }

    /// Goes to the first term that is not less.
    fn seek<S: BlockStorage>(&mut self, storage: &S, term: &[u8]) -> Result<bool, Error<S::Error>> {
        self.load(storage, self.segment.directory.seek(term))?;
        let (mut low, mut high) = (0, self.entries.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.term_at(middle) < term { low = middle + 1 } else { high = middle }
        }
        self.at = low;
        self.settle(storage)
    }

    fn advance<S: BlockStorage>(&mut self, storage: &S) -> Result<bool, Error<S::Error>> {
        self.at += 1;
        self.settle(storage)
    }

    /// Goes on to further blocks until one has a term at this place.
    fn settle<S: BlockStorage>(&mut self, storage: &S) -> Result<bool, Error<S::Error>> {
        while self.at >= self.entries.len() {
            let Some(next) = (self.number + 1..self.segment.directory.len())
                .find(|number| !self.segment.directory.is_inner(*number))
            else {
                return Ok(false);
            };
            self.load(storage, next)?;
            self.at = 0;
        }
        Ok(true)
    }

    fn retreat<S: BlockStorage>(&mut self, storage: &S) -> Result<bool, Error<S::Error>> {
        while self.at == 0 {
            let Some(before) =
                (0..self.number).rev().find(|number| !self.segment.directory.is_inner(*number))
            else {
                return Ok(false);
            };
            self.load(storage, before)?;
            self.at = self.entries.len();
        }
        self.at -= 1;
        Ok(true)
    }

    fn term(&self) -> &[u8] {
        self.term_at(self.at)
    }

    fn term_at(&self, at: usize) -> &[u8] {
        let from = at.checked_sub(1).map_or(0, |before| self.entries[before].term_end);
        &self.terms[from as usize..self.entries[at].term_end as usize]
    }

    fn collect<S: BlockStorage>(&self, storage: &S, sink: &mut impl Sink) -> Result<(), Error<S::Error>> {
        let at = self.entries[self.at].piece_at as usize;
        self.segment.collect(storage, self.number, Block::new(&self.bytes)?, at, sink)
    }
}
