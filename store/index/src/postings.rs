//! Posting lists as bytes: a list is one piece or several, each in the encoding that is smallest for it.
//!
//! ```text
//! header   varint: kind (2 bits), part (2 bits), then the number of documents (inline) or of payload bytes
//! totals   of a head only: documents of the whole list, its last document
//! payload  inline  up to 7 documents: the first, then gaps less one
//!          deltas  count, the first, then gaps less one
//!          bits    count, the first byte of a bitmap over the documents, then its bytes
//!          runs    count, then pairs of gap and length less one
//! ```
//! Documents are written relative to the first document of their segment.
//!
//! Invariant: documents rise within a piece and from piece to piece, and lie within the segment.

use std::ops::RangeInclusive;

use roaring::RoaringBitmap;

use crate::Doc;
use crate::bytes::{Input, len32, len64, put_varint};
use crate::error::Corrupt;

/// Documents of a list that needs neither a count nor a length of its own.
const INLINE_DOCS_MAX: usize = 7;
/// Documents of a piece that is looked at to choose an encoding, and the most that deltas may hold: with five
/// bytes each they leave room for the longest term in a block.
const PIECE_DOCS_MAX: usize = 512;
/// Documents that the bitmap of a piece spans.
const BITS_SPAN_MAX: u32 = 4_096;
/// Runs in a piece.
const RUNS_MAX: usize = 128;

/// The documents that a segment covers, as a half of what decoding needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) first: Doc,
    pub(crate) last: Doc,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Inline,
    Deltas,
    Bits,
    Runs,
}

/// Where a piece stands in its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The list is this piece.
    Whole,
    /// The first piece of several: how many documents they have together, and the last one.
    Head { total: u32, last: Doc },
    /// A further piece.
    Continuation,
}

/// Receives documents in rising order.
pub(crate) trait Sink {
    fn docs(&mut self, docs: &[Doc]) -> Result<(), Corrupt>;
    fn range(&mut self, docs: RangeInclusive<Doc>) -> Result<(), Corrupt>;
    /// `first` is a multiple of 8.
    fn bits(&mut self, first: Doc, bytes: &[u8]) -> Result<(), Corrupt>;
}

const UNSORTED: Corrupt = Corrupt("the documents of a list do not rise");
const OUTSIDE: Corrupt = Corrupt("a document lies outside its segment");

impl Sink for Vec<Doc> {
    fn docs(&mut self, docs: &[Doc]) -> Result<(), Corrupt> {
        if self.last().is_some_and(|last| docs.first().is_some_and(|first| first <= last)) {
            return Err(UNSORTED);
        }
        self.extend_from_slice(docs);
        Ok(())
    }

    fn range(&mut self, docs: RangeInclusive<Doc>) -> Result<(), Corrupt> {
        if self.last().is_some_and(|last| docs.start() <= last) {
            return Err(UNSORTED);
        }
        self.extend(docs);
        Ok(())
    }

    fn bits(&mut self, first: Doc, bytes: &[u8]) -> Result<(), Corrupt> {
        let before = self.last().copied();
        let begin = self.len();
        for (byte, from) in bytes.iter().zip((first..).step_by(8)) {
            let mut left = *byte;
            while left != 0 {
                self.push(from + left.trailing_zeros());
                left &= left - 1;
            }
        }
        match (before, self.get(begin)) {
            (Some(before), Some(next)) if *next <= before => Err(UNSORTED),
            _ => Ok(()),
        }
    }
}

impl Sink for RoaringBitmap {
    fn docs(&mut self, docs: &[Doc]) -> Result<(), Corrupt> {
        self.append(docs.iter().copied()).map(drop).map_err(|_| UNSORTED)
    }

    fn range(&mut self, docs: RangeInclusive<Doc>) -> Result<(), Corrupt> {
        if self.max().is_some_and(|last| *docs.start() <= last) {
            return Err(UNSORTED);
        }
        self.insert_range(docs);
        Ok(())
    }

    fn bits(&mut self, first: Doc, bytes: &[u8]) -> Result<(), Corrupt> {
        let docs = Self::from_lsb0_bytes(first, bytes);
        if docs.min() <= self.max() && docs.min().is_some() {
            return Err(UNSORTED);
        }
        *self |= docs;
        Ok(())
    }
}

/// Appends the next piece of a list and returns how many documents it took. `before` says whether a piece of the
/// same list was written already.
pub(crate) fn encode(docs: &[Doc], before: bool, bounds: Bounds, out: &mut Vec<u8>) -> usize {
    let (kind, taken) = choose(docs);
    let whole = taken == docs.len();
    let part = match (before, whole, docs.last()) {
        (true, ..) => Part::Continuation,
        (false, false, Some(last)) => Part::Head { total: len32(docs), last: *last },
        _ => Part::Whole,
    };
    let piece = &docs[..taken];
    if kind == Kind::Inline {
        put_header(out, kind, part, bounds, len64(piece));
        put_deltas(out, piece, bounds.first);
        return taken;
    }
    let mut payload = Vec::with_capacity(PIECE_DOCS_MAX * 2);
    put_varint(&mut payload, len64(piece));
    match kind {
        Kind::Bits => put_bits(&mut payload, piece, bounds.first),
        Kind::Runs => put_runs(&mut payload, piece, bounds.first),
        _ => put_deltas(&mut payload, piece, bounds.first),
    }
    put_header(out, kind, part, bounds, len64(&payload));
    out.extend_from_slice(&payload);
    taken
}

fn put_header(out: &mut Vec<u8>, kind: Kind, part: Part, bounds: Bounds, number: u64) {
    let part_bits = match part {
        Part::Whole => 0,
        Part::Head { .. } => 1,
        Part::Continuation => 2,
    };
    put_varint(out, kind as u64 | part_bits << 2 | number << 4);
    if let Part::Head { total, last } = part {
        put_varint(out, total);
        put_varint(out, last - bounds.first);
    }
}

fn put_deltas(out: &mut Vec<u8>, docs: &[Doc], base: Doc) {
    let mut next = base;
    for doc in docs {
        put_varint(out, doc - next);
        next = doc.wrapping_add(1);
    }
}

fn put_bits(out: &mut Vec<u8>, docs: &[Doc], base: Doc) {
    let from = docs[0] >> 3;
    put_varint(out, from - (base >> 3));
    let begin = out.len();
    for doc in docs {
        let at = begin + ((doc >> 3) - from) as usize;
        if at >= out.len() {
            out.resize(at + 1, 0);
        }
        out[at] |= 1 << (doc & 7);
    }
}

fn put_runs(out: &mut Vec<u8>, docs: &[Doc], base: Doc) {
    let mut next = base;
    for run in docs.chunk_by(|left, right| right - left == 1) {
        put_varint(out, run[0] - next);
        put_varint(out, len64(run) - 1);
        next = run[run.len() - 1].wrapping_add(1);
    }
}

/// The encoding of the next piece, and how many documents go into it.
fn choose(docs: &[Doc]) -> (Kind, usize) {
    if docs.len() <= INLINE_DOCS_MAX {
        return (Kind::Inline, docs.len());
    }
    let window = &docs[..docs.len().min(PIECE_DOCS_MAX)];
    let (mut deltas, mut runs) = (0, 2);
    for pair in window.windows(2) {
        let gap = pair[1] - pair[0];
        let bytes = varint_bytes(gap);
        deltas += bytes;
        runs += if gap > 1 { bytes + 1 } else { 0 };
    }
    let span = window[window.len() - 1] - window[0];
    let bits = span / 8 + 1;
    if runs < deltas.min(bits) {
        let runs = docs.chunk_by(|left, right| right - left == 1);
        (Kind::Runs, runs.take(RUNS_MAX).map(<[Doc]>::len).sum())
    } else if bits < deltas && span < BITS_SPAN_MAX {
        let end = docs[0].saturating_add(BITS_SPAN_MAX);
        (Kind::Bits, docs.partition_point(|doc| *doc < end))
    } else {
        (Kind::Deltas, window.len())
    }
}

const fn varint_bytes(value: u32) -> u32 {
    // 7 bits a byte, and one byte for zero.
    (38 - (value | 1).leading_zeros()) / 7
}

/// A piece as it lies in a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) part: Part,
    kind: Kind,
    count: u32,
    payload: Input<'a>,
}

impl<'a> Piece<'a> {
    /// Reads the piece that the input begins with, and moves the input behind it.
    pub(crate) fn read(input: &mut Input<'a>, bounds: Bounds) -> Result<Self, Corrupt> {
        let header = input.varint()?;
        let kind = match header & 3 {
            0 => Kind::Inline,
            1 => Kind::Deltas,
            2 => Kind::Bits,
            _ => Kind::Runs,
        };
        let part = match header >> 2 & 3 {
            0 => Part::Whole,
            1 => {
                let total = input.number()?;
                let last = bounds.first.checked_add(input.number()?).ok_or(OUTSIDE)?;
                if last > bounds.last {
                    return Err(OUTSIDE);
                }
                Part::Head { total, last }
            }
            2 => Part::Continuation,
            _ => return Err(Corrupt("a piece of a list has no known part")),
        };
        let number = usize::try_from(header >> 4).map_err(|_| OUTSIDE)?;
        let (count, payload) = if kind == Kind::Inline {
            let begin = *input;
            let count = u32::try_from(number).map_err(|_| OUTSIDE)?;
            if number > INLINE_DOCS_MAX {
                return Err(Corrupt("a short list is too long"));
            }
            for _ in 0..number {
                input.varint()?;
            }
            (count, begin)
        } else {
            let mut payload = Input::new(input.take(number)?);
            (payload.number()?, payload)
        };
        // Documents are dense, so a list cannot have more than the segment.
        if count == 0 || count - 1 > bounds.last - bounds.first {
            return Err(Corrupt("a list has an impossible length"));
        }
        Ok(Self { part, kind, count, payload })
    }

    /// How many documents the whole list has, as its first piece says.
    pub(crate) const fn total(&self) -> u32 {
        match self.part {
            Part::Head { total, .. } => total,
            _ => self.count,
        }
    }

    /// How many documents it has itself.
    pub(crate) const fn count(&self) -> u32 {
        self.count
    }

    /// Gives its documents to `sink`.
    pub(crate) fn decode(&self, bounds: Bounds, sink: &mut impl Sink) -> Result<(), Corrupt> {
        match self.kind {
            Kind::Inline | Kind::Deltas => self.decode_deltas(bounds, sink),
            Kind::Bits => self.decode_bits(bounds, sink),
            Kind::Runs => self.decode_runs(bounds, sink),
        }
    }

    fn decode_deltas(&self, bounds: Bounds, sink: &mut impl Sink) -> Result<(), Corrupt> {
        // Most lists are short: they do not pay for the array of a long one.
        let (mut short, mut long);
        let docs: &mut [Doc] = if self.count as usize <= INLINE_DOCS_MAX {
            short = [0; INLINE_DOCS_MAX];
            &mut short
        } else {
            long = [0; PIECE_DOCS_MAX];
            &mut long
        };
        let docs = docs.get_mut(..self.count as usize).ok_or(Corrupt("a piece is too long"))?;
        let mut input = self.payload;
        let mut next = u64::from(bounds.first);
        for doc in &mut *docs {
            let value = next + u64::from(input.number()?);
            *doc = u32::try_from(value).map_err(|_| OUTSIDE)?;
            next = value + 1;
        }
        if next > u64::from(bounds.last) + 1 {
            return Err(OUTSIDE);
        }
        sink.docs(docs)
    }

    fn decode_bits(&self, bounds: Bounds, sink: &mut impl Sink) -> Result<(), Corrupt> {
        let mut input = self.payload;
        let from = u64::from(bounds.first >> 3) + u64::from(input.number()?);
        let bytes = input.take(input.len())?;
        let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return Err(OUTSIDE) };
        let lowest = from * 8 + u64::from(first.trailing_zeros());
        let highest = (from + len64(bytes)) * 8 - 1 - u64::from(last.leading_zeros());
        let ones: u32 = bytes.iter().map(|byte| byte.count_ones()).sum();
        if *first == 0 || *last == 0 || ones != self.count {
            return Err(Corrupt("a bitmap does not hold what it counts"));
        }
        if lowest < u64::from(bounds.first) || highest > u64::from(bounds.last) {
            return Err(OUTSIDE);
        }
        sink.bits(u32::try_from(from * 8).map_err(|_| OUTSIDE)?, bytes)
    }

    fn decode_runs(&self, bounds: Bounds, sink: &mut impl Sink) -> Result<(), Corrupt> {
        let mut input = self.payload;
        let mut next = u64::from(bounds.first);
        let mut count = 0;
        while !input.is_empty() {
            let first = next + u64::from(input.number()?);
            let last = first + u64::from(input.number()?);
            if last > u64::from(bounds.last) {
                return Err(OUTSIDE);
            }
            count += last - first + 1;
            next = last + 1;
            let narrow = |doc| u32::try_from(doc).map_err(|_| OUTSIDE);
            sink.range(narrow(first)?..=narrow(last)?)?;
        }
        if count == u64::from(self.count) { Ok(()) } else { Err(Corrupt("runs do not hold what they count")) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(docs: &[Doc], bounds: Bounds) -> usize {
        let mut bytes = Vec::new();
        let mut taken = 0;
        let mut pieces = 0;
        while taken < docs.len() {
            taken += encode(&docs[taken..], taken > 0, bounds, &mut bytes);
            pieces += 1;
        }
        let mut list = Vec::new();
        let mut bitmap = RoaringBitmap::new();
        let mut input = Input::new(&bytes);
        for nth in 0..pieces {
            let piece = Piece::read(&mut input, bounds).expect("a piece");
            if nth == 0 {
                assert_eq!(piece.total(), len32(docs));
            } else {
                assert_eq!(piece.part, Part::Continuation);
            }
            piece.decode(bounds, &mut list).expect("documents");
            piece.decode(bounds, &mut bitmap).expect("documents");
        }
        assert!(input.is_empty());
        assert_eq!(list, docs);
        assert_eq!(bitmap, docs.iter().copied().collect());
        bytes.len()
    }

    #[test]
    fn each_shape_of_list_takes_few_bytes() {
        let bounds = Bounds { first: 1, last: 1_000_000 };
        let every = |step: usize| (5..100_005).step_by(step).collect::<Vec<Doc>>();
        assert!(round_trip(&every(1), bounds) < 20, "one run");
        assert!(round_trip(&every(2), bounds) < 13_500, "a bit for each document");
        assert!(round_trip(&every(100), bounds) < 1_100, "a byte for each document");
        assert_eq!(round_trip(&[7], bounds), 2);
        let blocks: Vec<Doc> = every(1).into_iter().filter(|doc| doc % 100 < 60).collect();
        assert!(round_trip(&blocks, bounds) < 2_200, "two bytes for each run");
    }

    #[test]
    fn the_last_documents_of_all_are_kept() {
        let bounds = Bounds { first: u32::MAX - 9_000, last: u32::MAX };
        for step in [1, 2, 3, 50] {
            let docs: Vec<Doc> = (bounds.first..=bounds.last).rev().step_by(step).collect();
            round_trip(&docs.into_iter().rev().collect::<Vec<_>>(), bounds);
        }
    }

    proptest! {
        #[test]
        fn any_list_comes_back(
            gaps in proptest::collection::vec(prop_oneof![Just(1_u32), 1..4_u32, 1..3_000_u32], 1..3_000),
            first in 1..100_u32,
        ) {
            let mut docs = Vec::new();
            let mut last = first;
            for gap in gaps {
                last += gap;
                docs.push(last);
            }
            round_trip(&docs, Bounds { first, last });
        }

        #[test]
        fn damaged_pieces_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), first in 1..50_u32) {
            let bounds = Bounds { first, last: first + 10_000 };
            let mut input = Input::new(&bytes);
            while let Ok(piece) = Piece::read(&mut input, bounds) {
                let mut list = Vec::new();
                if piece.decode(bounds, &mut list).is_ok() {
                    prop_assert!(list.iter().all(|doc| (bounds.first..=bounds.last).contains(doc)));
                }
                let _ = piece.decode(bounds, &mut RoaringBitmap::new());
            }
        }
    }
}
