//! Blocks: sorted entries of term and piece of its list, terms without what they share with the one before.
//!
//! ```text
//! entry    bytes shared with the term before, length of the rest, the rest, the piece
//! ...
//! restarts u16 (little end first) for every 16th entry: where it begins; such an entry shares nothing
//! count    u16: how many restarts
//! ```
//! Invariant: terms rise; only the pieces of one list stand under the same term.

use std::cmp::Ordering;

use crate::bytes::{Input, put_slice, put_varint, shared_prefix};
use crate::commit::TERM_BYTES_MAX;
use crate::error::Corrupt;
use crate::postings::{Bounds, Piece};
use crate::storage::BLOCK_BYTES_MAX;

/// Entries from one restart to the next.
const RESTART_ENTRIES: u32 = 16;

/// A block in the making.
#[derive(Debug, Default)]
pub(crate) struct BlockBuilder {
    bytes: Vec<u8>,
    restarts: Vec<u16>,
    entries: u32,
    last_term: Vec<u8>,
}

impl BlockBuilder {
    pub(crate) const fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Takes an entry if there is room for it; an empty block has room for any.
    pub(crate) fn push(&mut self, term: &[u8], piece: &[u8]) -> bool {
        let restart = self.entries.is_multiple_of(RESTART_ENTRIES);
        let shared = if restart { 0 } else { shared_prefix(&self.last_term, term) };
        // Two varints of at most two bytes, this restart, and the count of restarts.
        let bytes = self.bytes.len() + 4 + term.len() - shared + piece.len();
        if bytes + 2 * (self.restarts.len() + 2) > BLOCK_BYTES_MAX && !self.is_empty() {
            return false;
        }
        if restart {
            self.restarts.push(u16::try_from(self.bytes.len()).expect("a block is shorter than 64 KiB"));
        }
        put_varint(&mut self.bytes, shared as u64);
        put_slice(&mut self.bytes, &term[shared..]);
        self.bytes.extend_from_slice(piece);
        self.last_term.clear();
        self.last_term.extend_from_slice(term);
        self.entries += 1;
        true
    }

    /// The bytes of the block; the builder is empty again.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.bytes);
        for restart in &self.restarts {
            bytes.extend_from_slice(&restart.to_le_bytes());
        }
        let restarts = u16::try_from(self.restarts.len()).expect("each takes two bytes of the block");
        bytes.extend_from_slice(&restarts.to_le_bytes());
        debug_assert!(bytes.len() <= BLOCK_BYTES_MAX, "a block fits a page");
        self.restarts.clear();
        self.entries = 0;
        bytes
    }

    /// The term of the last entry that was taken, of this block or the one before.
    pub(crate) fn last_term(&self) -> &[u8] {
        &self.last_term
    }
}

/// A block that was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block<'a> {
    entries: &'a [u8],
    restarts: &'a [[u8; 2]],
}

const RESTARTS: Corrupt = Corrupt("the restarts of a block do not fit it");

impl<'a> Block<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, Corrupt> {
        let (rest, count) = bytes.split_last_chunk().ok_or(RESTARTS)?;
        let count = usize::from(u16::from_le_bytes(*count));
        let end = rest.len().checked_sub(2 * count).ok_or(RESTARTS)?;
        let (entries, restarts) = rest.split_at(end);
        if count == 0 || entries.is_empty() {
            return Err(RESTARTS);
        }
        Ok(Self { entries, restarts: restarts.as_chunks().0 })
    }

    /// All entries.
    pub(crate) const fn entries(&self) -> Entries<'a> {
        Entries { block: self.entries.len(), input: Input::new(self.entries), term: Vec::new(), piece_at: 0 }
    }

    /// What begins at a place that [`Entries::piece_at`] told.
    pub(crate) fn input_at(&self, offset: usize) -> Result<Input<'a>, Corrupt> {
        Ok(Input::new(self.entries.get(offset..).ok_or(RESTARTS)?))
    }

    fn restart(&self, nth: usize) -> usize {
        usize::from(u16::from_le_bytes(self.restarts[nth]))
    }

    /// The first piece under a term, and where it begins.
    pub(crate) fn find(&self, term: &[u8], bounds: Bounds) -> Result<Option<(Piece<'a>, usize)>, Corrupt> {
        // The last restart before the term: pieces of one list may stand on both sides of a restart.
        let (mut low, mut high) = (0, self.restarts.len());
        while high - low > 1 {
            let middle = usize::midpoint(low, high);
            let mut input = self.input_at(self.restart(middle))?;
            if input.number()? != 0 {
                return Err(RESTARTS);
            }
            if input.slice()? < term { low = middle } else { high = middle }
        }
        // An equal restart is met by going on from the one before it.
        let mut entries = self.entries();
        entries.input = self.input_at(self.restart(low))?;
        while let Some(piece) = entries.next(bounds)? {
            match entries.term().cmp(term) {
                Ordering::Less => {}
                Ordering::Equal => return Ok(Some((piece, entries.piece_at()))),
                Ordering::Greater => return Ok(None),
            }
        }
        Ok(None)
    }
}

/// Passes over the term of an entry: for the further pieces of a list.
pub(crate) fn skip_term(input: &mut Input<'_>) -> Result<(), Corrupt> {
    input.varint()?;
    input.slice()?;
    Ok(())
}

/// Entries of a block, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Entries<'a> {
    block: usize,
    input: Input<'a>,
    term: Vec<u8>,
    piece_at: usize,
}

impl<'a> Entries<'a> {
    /// The next piece; [`Self::term`] then tells whose it is.
    pub(crate) fn next(&mut self, bounds: Bounds) -> Result<Option<Piece<'a>>, Corrupt> {
        if self.input.is_empty() {
            return Ok(None);
        }
        let shared = usize::try_from(self.input.varint()?).unwrap_or(usize::MAX);
        let rest = self.input.slice()?;
        if shared > self.term.len() || shared + rest.len() > TERM_BYTES_MAX {
            return Err(Corrupt("a term shares more than there is"));
        }
        self.term.truncate(shared);
        self.term.extend_from_slice(rest);
        self.piece_at = self.block - self.input.len();
        Piece::read(&mut self.input, bounds).map(Some)
    }

    /// The term of the piece that was read last.
    pub(crate) fn term(&self) -> &[u8] {
        &self.term
    }

    /// Where the piece that was read last begins in the block.
    pub(crate) const fn piece_at(&self) -> usize {
        self.piece_at
    }
}
