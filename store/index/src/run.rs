//! Runs: sorted terms with their documents, in memory, for what no segment holds yet.
//!
//! Each commit makes one run and one pending row. Runs are merged as they are in a log-structured tree, so that
//! a thousand commits of one document leave about ten of them.
//!
//! Invariant: terms rise, documents rise within a term, and both are never empty.

use std::cmp::Ordering;

use crate::Doc;
use crate::bytes::{Input, len32, len64, put_slice, put_varint, shared_prefix};
use crate::commit::TERM_BYTES_MAX;
use crate::error::Corrupt;
use crate::postings::Bounds;
use crate::range::TermRange;

/// The first byte of a pending row.
const FORMAT: u8 = 1;

/// Sorted postings of the documents `first..=last`.
#[derive(Debug, Default)]
pub(crate) struct Run {
    first: Doc,
    last: Doc,
    documents: u32,
    /// Terms, one after the other, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<u32>,
    /// Documents, term after term, and where those of each term end.
    docs: Vec<Doc>,
    doc_ends: Vec<u32>,
    /// (by, superseded), rising by the first.
    superseded: Vec<(Doc, Doc)>,
}

impl Run {
    pub(crate) fn new(first: Doc, last: Doc, documents: u32, superseded: Vec<(Doc, Doc)>) -> Self {
        Self { first, last, documents, superseded, ..Self::default() }
    }

    /// Begins a term that comes after all others.
    pub(crate) fn begin(&mut self, term: &[u8]) {
        self.bytes.extend_from_slice(term);
        self.ends.push(len32(&self.bytes));
        self.doc_ends.push(len32(&self.docs));
    }

    /// Adds a document to the term that was begun last.
    pub(crate) fn post(&mut self, doc: Doc) {
        self.docs.push(doc);
        *self.doc_ends.last_mut().expect("a term was begun") += 1;
    }

    /// Adds documents to the term that was begun last.
    pub(crate) fn post_all(&mut self, docs: &[Doc]) {
        self.docs.extend_from_slice(docs);
        *self.doc_ends.last_mut().expect("a term was begun") += len32(docs);
    }

    /// The documents that it covers.
    pub(crate) const fn bounds(&self) -> Bounds {
        Bounds { first: self.first, last: self.last }
    }

    pub(crate) const fn first(&self) -> Doc {
        self.first
    }

    pub(crate) const fn last(&self) -> Doc {
        self.last
    }

    pub(crate) const fn documents(&self) -> u32 {
        self.documents
    }

    /// How many terms there are.
    pub(crate) const fn len(&self) -> usize {
        self.ends.len()
    }

    /// How many pairs of term and document there are.
    pub(crate) const fn postings(&self) -> usize {
        self.docs.len()
    }

    pub(crate) fn superseded(&self) -> &[(Doc, Doc)] {
        &self.superseded
    }

    /// The term at a place.
    pub(crate) fn term(&self, at: usize) -> &[u8] {
        &self.bytes[bounds(&self.ends, at)]
    }

    /// The documents of the term at a place.
    pub(crate) fn docs(&self, at: usize) -> &[Doc] {
        &self.docs[bounds(&self.doc_ends, at)]
    }

    /// The place of the first term that is not less than this one.
    pub(crate) fn seek(&self, term: &[u8]) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.term(middle) < term {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// How many terms begin with these bytes.
    pub(crate) fn count_prefix(&self, prefix: &[u8]) -> usize {
        let range = TermRange::prefix(prefix);
        range.to().map_or(self.len(), |to| self.seek(to)) - self.seek(range.from())
    }

    /// The documents of a term.
    pub(crate) fn find(&self, term: &[u8]) -> &[Doc] {
        let at = self.seek(term);
        if at < self.len() && self.term(at) == term { self.docs(at) } else { &[] }
    }

    /// This run and the one that follows it, as one.
    pub(crate) fn merge(&self, later: &Self) -> Self {
        let superseded = [&self.superseded[..], &later.superseded].concat();
        let mut merged = Self::new(self.first, later.last, self.documents + later.documents, superseded);
        merged.bytes.reserve(self.bytes.len() + later.bytes.len());
        merged.docs.reserve(self.docs.len() + later.docs.len());
        let (mut left, mut right) = (0, 0);
        while left < self.len() || right < later.len() {
            let order = match (left < self.len(), right < later.len()) {
                (true, true) => self.term(left).cmp(later.term(right)),
                (true, false) => Ordering::Less,
                _ => Ordering::Greater,
            };
            merged.begin(if order.is_gt() { later.term(right) } else { self.term(left) });
            if order.is_le() {
                merged.post_all(self.docs(left));
                left += 1;
            }
            if order.is_ge() {
                merged.post_all(later.docs(right));
                right += 1;
            }
        }
        merged
    }

    /// As a pending row.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        for number in [self.first, self.last - self.first, self.documents] {
            put_varint(&mut out, number);
        }
        put_varint(&mut out, len64(&self.superseded));
        for (by, doc) in &self.superseded {
            put_varint(&mut out, by - self.first);
            put_varint(&mut out, *doc);
        }
        put_varint(&mut out, len64(&self.ends));
        let mut last: &[u8] = &[];
        for at in 0..self.len() {
            let term = self.term(at);
            let shared = shared_prefix(last, term);
            put_varint(&mut out, shared as u64);
            put_slice(&mut out, &term[shared..]);
            put_varint(&mut out, len64(self.docs(at)));
            let mut before = self.first;
            for doc in self.docs(at) {
                put_varint(&mut out, doc - before);
                before = *doc;
            }
            last = term;
        }
        out
    }

    /// What [`Self::encode`] wrote.
    pub(crate) fn decode(row: &[u8]) -> Result<Self, Corrupt> {
        let mut input = Input::new(row);
        if input.take(1)? != [FORMAT] {
            return Err(Corrupt("a pending row has another format"));
        }
        let first = input.number()?;
        let last = first.checked_add(input.number()?).ok_or(DOCUMENTS)?;
        let documents = input.number()?;
        if first == 0 || documents == 0 || documents - 1 > last - first {
            return Err(DOCUMENTS);
        }
        let mut run = Self::new(first, last, documents, Vec::new());
        for _ in 0..input.count()? {
            let by = first.checked_add(input.number()?).ok_or(DOCUMENTS)?;
            let doc = input.number()?;
            let rises = run.superseded.last().is_none_or(|(last, _)| *last < by);
            if by > last || doc >= by || !rises {
                return Err(DOCUMENTS);
            }
            run.superseded.push((by, doc));
        }
        let mut term = Vec::new();
        for at in 0..input.count()? {
            let shared = usize::try_from(input.varint()?).map_err(|_| TERMS)?;
            let suffix = input.slice()?;
            if shared > term.len() || shared + suffix.len() > TERM_BYTES_MAX {
                return Err(TERMS);
            }
            term.truncate(shared);
            term.extend_from_slice(suffix);
            if term.is_empty() || at > 0 && run.term(at - 1) >= &term[..] {
                return Err(TERMS);
            }
            run.begin(&term);
            let count = input.count()?;
            let mut doc = first;
            for nth in 0..count {
                let gap = input.number()?;
                doc = doc.checked_add(gap).filter(|doc| *doc <= last).ok_or(DOCUMENTS)?;
                if nth > 0 && gap == 0 {
                    return Err(DOCUMENTS);
                }
                run.post(doc);
            }
            if count == 0 {
                return Err(DOCUMENTS);
            }
        }
        input.end()?;
        Ok(run)
    }
}

const TERMS: Corrupt = Corrupt("the terms of a pending row do not rise");
const DOCUMENTS: Corrupt = Corrupt("the documents of a pending row do not rise");

fn bounds(ends: &[u32], at: usize) -> std::ops::Range<usize> {
    let from = at.checked_sub(1).map_or(0, |before| ends[before]);
    from as usize..ends[at] as usize
}
