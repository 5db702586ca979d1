//! Segments: the sorted terms of a range of documents with their lists, in blocks that never change.
//!
//! Invariant: a segment's blocks are numbered from 0 without gaps, and its directory lies in memory.

use std::fmt;
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::Doc;
use crate::block::{Block, BlockBuilder, skip_term};
use crate::bytes::{Input, len32, put_varint, shared_prefix};
use crate::directory::Directory;
use crate::error::{Corrupt, Error};
use crate::filter::Filter;
use crate::gather::Gather;
use crate::lists::Lists;
use crate::postings::{self, Bounds, Part, Sink};
use crate::storage::{BlockStorage, IndexStorage, SegmentId};
use crate::superseded::Superseded;

/// The first byte of a description.
const FORMAT: u8 = 1;

/// What is known of a segment without reading its blocks.
pub(crate) struct Segment {
    pub(crate) id: SegmentId,
    /// The documents that it covers.
    pub(crate) bounds: Bounds,
    /// Whether it holds further terms of documents that other segments cover.
    pub(crate) amends: bool,
    /// Postings of documents superseded at or before this one may be missing.
    pub(crate) horizon: Doc,
    pub(crate) directory: Directory,
    pub(crate) filter: Filter,
    pub(crate) superseded: Superseded,
}

impl fmt::Debug for Segment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bounds { first, last } = self.bounds;
        write!(formatter, "{} of documents {first} to {last} in {} blocks", self.id, self.directory.len())
    }
}

impl Segment {
    /// What [`Self::decode`] reads.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        for number in [self.bounds.first, self.bounds.last - self.bounds.first, self.horizon] {
            put_varint(&mut out, number);
        }
        out.push(u8::from(self.amends));
        self.directory.encode(&mut out);
        self.filter.encode(&mut out);
        self.superseded.encode(&mut out);
        out
    }

    pub(crate) fn decode(id: SegmentId, description: &[u8]) -> Result<Self, Corrupt> {
        let mut input = Input::new(description);
        if input.take(1)? != [FORMAT] {
            return Err(Corrupt("the description of a segment has another format"));
        }
        let first = input.number()?;
        let last =
            first.checked_add(input.number()?).ok_or(Corrupt("a segment covers too many documents"))?;
        if first == 0 {
            return Err(Corrupt("a segment begins before the first document"));
        }
        let bounds = Bounds { first, last };
        let segment = Self {
            id,
            bounds,
            horizon: input.number()?,
            amends: match input.take(1)? {
                [0] => false,
                [1] => true,
                _ => return Err(Corrupt("a segment is of no known kind")),
            },
            directory: Directory::decode(&mut input)?,
            filter: Filter::decode(&mut input)?,
            superseded: Superseded::decode(&mut input, bounds)?,
        };
        input.end()?;
        Ok(segment)
    }

    pub(crate) fn read<S: BlockStorage>(
        &self,
        storage: &S,
        number: u32,
    ) -> Result<Arc<[u8]>, Error<S::Error>> {
        let block = storage.read(self.id.block(number)).map_err(Error::Storage)?;
        Ok(block.ok_or(Corrupt("a block is missing"))?)
    }

    /// The block that may have the term.
    pub(crate) fn locate(&self, term: &[u8]) -> Option<u32> {
        self.directory.find(term).filter(|_| self.filter.may_contain(term))
    }

    /// Adds the documents of a term to `found`. A list of several blocks is kept in `lists`.
    pub(crate) fn postings<S: BlockStorage>(
        &self,
        storage: &S,
        lists: &Lists,
        term: &[u8],
        found: &mut RoaringBitmap,
    ) -> Result<(), Error<S::Error>> {
        let Some(number) = self.locate(term) else { return Ok(()) };
        let is_long = self.is_long(number, term);
        if let Some(kept) = is_long.then(|| lists.get(self.id, term)).flatten() {
            *found |= &*kept;
            return Ok(());
        }
        let bytes = self.read(storage, number)?;
        let block = Block::new(&bytes)?;
        let mut docs = Gather::new(self.bounds.first, self.bounds.last);
        if let Some((_, at)) = block.find(term, self.bounds)? {
            self.collect(storage, number, block, at, &mut docs)?;
        }
        let docs = Arc::new(docs.finish());
        if is_long {
            lists.put(self.id, term, &docs);
        }
        *found |= &*docs;
        Ok(())
    }

    /// Whether the list of a term that begins in a block goes on in the next.
    fn is_long(&self, number: u32, term: &[u8]) -> bool {
        self.directory.continuations(number, term).next().is_some()
    }

    /// Adds those documents of a term to `found` that are among some, and reads only blocks that can have them.
    pub(crate) fn postings_among<S: BlockStorage>(
        &self,
        storage: &S,
        lists: &Lists,
        term: &[u8],
        among: &RoaringBitmap,
        found: &mut RoaringBitmap,
    ) -> Result<(), Error<S::Error>> {
        let Bounds { first, last } = self.bounds;
        if among.range(first..=last).next().is_none() {
            return Ok(());
        }
        let Some(number) = self.locate(term) else { return Ok(()) };
        if let Some(kept) = self.is_long(number, term).then(|| lists.get(self.id, term)).flatten() {
            *found |= &*kept & among;
            return Ok(());
        }
        let bytes = self.read(storage, number)?;
        let block = Block::new(&bytes)?;
        let Some((piece, at)) = block.find(term, self.bounds)? else { return Ok(()) };
        let mut docs = Gather::new(self.bounds.first, self.bounds.last);
        piece.decode(self.bounds, &mut docs)?;
        let mut input = block.input_at(at)?;
        postings::Piece::read(&mut input, self.bounds)?;
        self.collect_continuations(input, &mut docs)?;
        for (number, first, next) in self.directory.continuations(number, term) {
            if among.range(first..next.unwrap_or(Doc::MAX)).next().is_some() {
                let bytes = self.read(storage, number)?;
                self.collect_continuations(Block::new(&bytes)?.input_at(0)?, &mut docs)?;
            }
        }
        *found |= docs.finish() & among;
        Ok(())
    }

    /// Gives the further pieces of a list that stand here to `sink`, up to the next list.
    fn collect_continuations(&self, mut input: Input<'_>, sink: &mut impl Sink) -> Result<(), Corrupt> {
        while !input.is_empty() {
            skip_term(&mut input)?;
            let piece = postings::Piece::read(&mut input, self.bounds)?;
            if piece.part != Part::Continuation {
                break;
            }
            piece.decode(self.bounds, sink)?;
        }
        Ok(())
    }

    /// How many documents a term has.
    pub(crate) fn count<S: BlockStorage>(&self, storage: &S, term: &[u8]) -> Result<u32, Error<S::Error>> {
        let Some(number) = self.locate(term) else { return Ok(0) };
        let bytes = self.read(storage, number)?;
        Ok(Block::new(&bytes)?.find(term, self.bounds)?.map_or(0, |(piece, _)| piece.total()))
    }

    /// The last document of a term that is not after `as_of`.
    pub(crate) fn newest<S: BlockStorage>(
        &self,
        storage: &S,
        term: &[u8],
        as_of: Doc,
    ) -> Result<Option<Doc>, Error<S::Error>> {
        let Some(number) = self.locate(term) else { return Ok(None) };
        let bytes = self.read(storage, number)?;
        let block = Block::new(&bytes)?;
        match block.find(term, self.bounds)? {
            None => Ok(None),
            Some((piece, _))
                if let Part::Head { last, .. } = piece.part
                    && last <= as_of =>
            {
                Ok(Some(last))
            }
            Some((_, at)) => {
                let mut docs: Vec<Doc> = Vec::new();
                self.collect(storage, number, block, at, &mut docs)?;
                Ok(docs.into_iter().rev().find(|doc| *doc <= as_of))
            }
        }
    }

    /// Gives the documents of the list to `sink` whose first piece begins at a place of this block.
    pub(crate) fn collect<S: BlockStorage>(
        &self,
        storage: &S,
        mut number: u32,
        block: Block<'_>,
        at: usize,
        sink: &mut impl Sink,
    ) -> Result<(), Error<S::Error>> {
        let mut input = block.input_at(at)?;
        let first = postings::Piece::read(&mut input, self.bounds)?;
        first.decode(self.bounds, sink)?;
        let left = first.total().checked_sub(first.count()).ok_or(TOTAL)?;
        let mut left = self.collect_further(input, left, sink)?;
        while left > 0 {
            number += 1;
            if number >= self.directory.len() {
                return Err(TOTAL.into());
            }
            let bytes = self.read(storage, number)?;
            left = self.collect_further(Block::new(&bytes)?.input_at(0)?, left, sink)?;
        }
        Ok(())
    }

    /// Gives the further pieces of a list to `sink` and returns how many documents are still missing.
    fn collect_further(
        &self,
        mut input: Input<'_>,
        mut left: u32,
        sink: &mut impl Sink,
    ) -> Result<u32, Corrupt> {
        while left > 0 && !input.is_empty() {
            skip_term(&mut input)?;
            let piece = postings::Piece::read(&mut input, self.bounds)?;
            if piece.part != Part::Continuation {
                return Err(TOTAL);
            }
            piece.decode(self.bounds, sink)?;
            left = left.checked_sub(piece.count()).ok_or(TOTAL)?;
        }
        Ok(left)
    }
}

const TOTAL: Corrupt = Corrupt("a list does not have as many documents as it says");

/// A segment in the making: terms come in rising order, and full blocks go to the storage.
#[derive(Debug)]
pub(crate) struct SegmentBuilder {
    id: SegmentId,
    bounds: Bounds,
    block: BlockBuilder,
    /// The fence of the block in the making, and the document from which on it continues a list.
    fence: Vec<u8>,
    continued: Option<Doc>,
    terms: u32,
    postings: u32,
    directory: Directory,
    filter: Filter,
    piece: Vec<u8>,
}

impl SegmentBuilder {
    /// Begins a segment whose filter holds at most so many terms.
    pub(crate) fn new(id: SegmentId, bounds: Bounds, filter: Filter) -> Self {
        Self {
            id,
            bounds,
            block: BlockBuilder::default(),
            fence: Vec::new(),
            continued: None,
            terms: 0,
            postings: 0,
            directory: Directory::default(),
            filter,
            piece: Vec::new(),
        }
    }

    /// How many blocks were written.
    pub(crate) fn blocks(&self) -> u32 {
        self.directory.len()
    }

    pub(crate) const fn id(&self) -> SegmentId {
        self.id
    }

    /// Adds a term that comes after all others, with its documents.
    pub(crate) fn push<W: IndexStorage>(
        &mut self,
        storage: &mut W,
        term: &[u8],
        docs: &[Doc],
    ) -> Result<(), Error<W::Error>> {
        self.filter.add(term);
        let mut taken = 0;
        while taken < docs.len() {
            let mut piece = std::mem::take(&mut self.piece);
            piece.clear();
            let more = postings::encode(&docs[taken..], taken > 0, self.bounds, &mut piece);
            if self.block.is_empty() || !self.block.push(term, &piece) {
                self.write_block(storage)?;
                self.begin_block(term, (taken > 0).then(|| docs[taken]));
                let room = self.block.push(term, &piece);
                debug_assert!(room, "an empty block has room for any piece");
            }
            self.terms += u32::from(taken == 0);
            self.postings += len32(&docs[taken..taken + more]);
            self.piece = piece;
            taken += more;
        }
        Ok(())
    }

    fn begin_block(&mut self, term: &[u8], continued: Option<Doc>) {
        let last = self.block.last_term();
        let needed = if continued.is_some() || self.directory.len() == 0 {
            term.len()
        } else {
            shared_prefix(last, term) + 1
        };
        self.fence.clear();
        self.fence.extend_from_slice(&term[..needed]);
        self.continued = continued;
    }

    fn write_block<W: IndexStorage>(&mut self, storage: &mut W) -> Result<(), Error<W::Error>> {
        if self.block.is_empty() {
            return Ok(());
        }
        let bytes = self.block.finish();
        storage.put_block(self.id.block(self.directory.len()), &bytes).map_err(Error::Storage)?;
        self.directory.push(&self.fence, self.continued, self.terms, self.postings);
        (self.terms, self.postings) = (0, 0);
        Ok(())
    }

    /// Writes what is left, and the description.
    pub(crate) fn finish<W: IndexStorage>(
        mut self,
        storage: &mut W,
        amends: bool,
        horizon: Doc,
        superseded: Superseded,
    ) -> Result<Segment, Error<W::Error>> {
        self.write_block(storage)?;
        self.directory.finish(self.block.last_term());
        let Self { id, bounds, directory, filter, .. } = self;
        let segment = Segment { id, bounds, amends, horizon, directory, filter, superseded };
        storage.put_segment(id, &segment.encode()).map_err(Error::Storage)?;
        Ok(segment)
    }
}
