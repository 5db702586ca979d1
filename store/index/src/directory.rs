//! The directory of a segment: which terms each block holds. It stays in memory.
//!
//! Each block has a fence: the shortest byte string that is greater than every term of the block before and not
//! greater than any of its own. A block that begins in the middle of a list is fenced by that list's term.
//!
//! Invariant: fences rise, and only blocks that continue a list may have the fence of the block before.

use crate::Doc;
use crate::bytes::{Input, len32, len64, put_slice, put_varint, shared_prefix};
use crate::commit::TERM_BYTES_MAX;
use crate::error::Corrupt;
use crate::range::TermRange;

/// How many terms and postings a range of terms holds, more or less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Different terms; those of each segment count by themselves.
    pub terms: u64,
    /// Pairs of term and document.
    pub postings: u64,
}

/// Fences and totals of the blocks of a segment.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    /// Fences, one after the other, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<u32>,
    /// Terms and postings of a block and all before it, no further than `u32::MAX`.
    terms: Vec<u32>,
    postings: Vec<u32>,
    /// The blocks that begin in the middle of a list, rising, and from which document on.
    continued: Vec<(u32, Doc)>,
    last_term: Vec<u8>,
}

impl Directory {
    /// Adds a block with its fence, the document from which on it continues a list if it does, and how much it
    /// holds.
    pub(crate) fn push(&mut self, fence: &[u8], continued: Option<Doc>, terms: u32, postings: u32) {
        self.continued.extend(continued.map(|doc| (self.len(), doc)));
        self.bytes.extend_from_slice(fence);
        self.ends.push(len32(&self.bytes));
        let total =
            |before: &[u32], more: u32| before.last().copied().unwrap_or_default().saturating_add(more);
        self.terms.push(total(&self.terms, terms));
        self.postings.push(total(&self.postings, postings));
    }

    /// Ends it with the last term of the last block.
    pub(crate) fn finish(&mut self, last_term: &[u8]) {
        self.last_term = last_term.to_vec();
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.terms.shrink_to_fit();
        self.postings.shrink_to_fit();
    }

    /// How many blocks there are.
    pub(crate) fn len(&self) -> u32 {
        len32(&self.ends)
    }

    pub(crate) fn fence(&self, block: u32) -> &[u8] {
        let at = block as usize;
        let from = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[from as usize..self.ends[at] as usize]
    }

    /// Whether the block is nothing but the middle of a list.
    pub(crate) fn is_inner(&self, block: u32) -> bool {
        block + 1 < self.len()
            && self.is_continued(block)
            && self.is_continued(block + 1)
            && self.fence(block) == self.fence(block + 1)
    }

    fn is_continued(&self, block: u32) -> bool {
        self.continued_from(block).is_some()
    }

    /// The document from which on the block continues a list.
    fn continued_from(&self, block: u32) -> Option<Doc> {
        let at = self.continued.binary_search_by_key(&block, |(block, _)| *block).ok()?;
        Some(self.continued[at].1)
    }

    /// The blocks after this one that continue the list of the term, each with its first document and the first
    /// of the next one.
    pub(crate) fn continuations(
        &self,
        block: u32,
        term: &[u8],
    ) -> impl Iterator<Item = (u32, Doc, Option<Doc>)> {
        let from = self.continued.partition_point(|(other, _)| *other <= block);
        let list = self.continued[from..].iter().take_while(move |(block, _)| self.fence(*block) == term);
        let mut next = list.clone().skip(1).map(|(_, doc)| *doc);
        list.map(move |(block, doc)| (*block, *doc, next.next()))
    }

    /// Whether any term of the range can be here.
    pub(crate) fn may_overlap(&self, range: &TermRange) -> bool {
        self.len() > 0
            && &self.last_term[..] >= range.from()
            && range.to().is_none_or(|to| self.fence(0) < to)
    }

    /// The block in which the list of the term begins, or would; `None` when no block can have it.
    pub(crate) fn find(&self, term: &[u8]) -> Option<u32> {
        if self.len() == 0 || term < self.fence(0) || term > &self.last_term[..] {
            None
        } else {
            Some(self.seek(term))
        }
    }

    /// The block in which the first term not less than this one lies, or the one before that.
    pub(crate) fn seek(&self, term: &[u8]) -> u32 {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = u32::midpoint(low, high);
            if self.fence(middle) < term {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        // `low` has the first fence that is not less: its own first term, unless it continues a list from before.
        if low < self.len() && self.fence(low) == term && !self.is_continued(low) {
            low
        } else {
            low.saturating_sub(1)
        }
    }

    /// How much a range holds: whole blocks are counted, and half of what lies at its edges.
    pub(crate) fn estimate(&self, range: &TermRange) -> Estimate {
        if !self.may_overlap(range) {
            return Estimate::default();
        }
        let first = self.seek(range.from());
        let last = range.to().map_or(self.len() - 1, |to| self.seek(to));
        let between = |totals: &[u32]| {
            let before = |block: u32| match block {
                0 => 0,
                block => u64::from(totals[block as usize - 1]),
            };
            let (inner_from, inner_to) = (before(first + 1), before(last));
            let all = before(last + 1) - before(first);
            let inner = inner_to.saturating_sub(inner_from);
            inner + (all - inner).div_ceil(2)
        };
        Estimate { terms: between(&self.terms), postings: between(&self.postings) }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.len());
        put_slice(out, &self.last_term);
        let mut last: &[u8] = &[];
        let (mut terms, mut postings) = (0, 0);
        for block in 0..self.len() {
            let (fence, at) = (self.fence(block), block as usize);
            let shared = shared_prefix(last, fence);
            let continued = self.continued_from(block);
            put_varint(out, (shared as u64) << 1 | u64::from(continued.is_some()));
            continued.into_iter().for_each(|doc| put_varint(out, doc));
            put_slice(out, &fence[shared..]);
            put_varint(out, self.terms[at] - terms);
            put_varint(out, self.postings[at] - postings);
            (last, terms, postings) = (fence, self.terms[at], self.postings[at]);
        }
        debug_assert_eq!(len64(&self.ends), u64::from(self.len()), "every block has its fence");
    }

    pub(crate) fn decode(input: &mut Input<'_>) -> Result<Self, Corrupt> {
        let blocks = input.count()?;
        let last_term = input.slice()?;
        let mut directory = Self::default();
        let mut fence = Vec::new();
        for block in 0..blocks {
            let head = input.varint()?;
            let continued = if head & 1 == 1 { Some(input.number()?) } else { None };
            let shared = usize::try_from(head >> 1).map_err(|_| FENCES)?;
            let rest = input.slice()?;
            if shared > fence.len() || shared + rest.len() > TERM_BYTES_MAX {
                return Err(FENCES);
            }
            fence.truncate(shared);
            fence.extend_from_slice(rest);
            let order = match block {
                0 => std::cmp::Ordering::Greater,
                _ => fence[..].cmp(directory.fence(directory.len() - 1)),
            };
            if order.is_lt() || order.is_eq() && continued.is_none() || block == 0 && continued.is_some() {
                return Err(FENCES);
            }
            directory.push(&fence, continued, input.number()?, input.number()?);
        }
        if &fence[..] > last_term {
            return Err(FENCES);
        }
        directory.finish(last_term);
        Ok(directory)
    }
}

const FENCES: Corrupt = Corrupt("the fences of a directory do not rise");
