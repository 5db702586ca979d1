//! Bloom filters: whether a segment can hold a term, without reading a block.
//!
//! Invariant: a term that was added is always found; another one is found about once in a hundred times.

use crate::bytes::{Input, len64, put_slice, put_varint};
use crate::error::Corrupt;

/// Bits for each term that is added.
const BITS_A_TERM: usize = 10;
/// Bits that each term sets: ln 2 times [`BITS_A_TERM`].
const PROBES: u32 = 7;

/// Bytes of one filter at most: beyond some three million terms it lets more and more through that are not there.
const BYTES_MAX: usize = 4 << 20;

/// A filter over the terms that begin with one of some prefixes.
#[derive(Debug)]
pub(crate) struct Filter {
    prefixes: Vec<Vec<u8>>,
    words: Vec<u64>,
}

impl Filter {
    /// An empty filter for at most so many terms with these prefixes.
    pub(crate) fn new(prefixes: &[Vec<u8>], terms: usize) -> Self {
        let words = (terms * BITS_A_TERM).div_ceil(64).min(BYTES_MAX / 8);
        Self { prefixes: prefixes.to_vec(), words: vec![0; words] }
    }

    /// For how many terms it has room without letting more through.
    pub(crate) const fn terms(&self) -> usize {
        (self.words.len() * 64).div_ceil(BITS_A_TERM)
    }

    fn covers(&self, term: &[u8]) -> bool {
        self.prefixes.iter().any(|prefix| term.starts_with(prefix))
    }

    /// Adds a term, if it has one of the prefixes.
    pub(crate) fn add(&mut self, term: &[u8]) {
        if self.covers(term) {
            for bit in probes(term, self.words.len()) {
                self.words[bit / 64] |= 1 << (bit % 64);
            }
        }
    }

    /// Whether the term may be there. Always so for a term with none of the prefixes.
    pub(crate) fn may_contain(&self, term: &[u8]) -> bool {
        !self.covers(term)
            || !self.words.is_empty()
                && probes(term, self.words.len()).all(|bit| self.words[bit / 64] & 1 << (bit % 64) != 0)
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, len64(&self.prefixes));
        for prefix in &self.prefixes {
            put_slice(out, prefix);
        }
        put_varint(out, len64(&self.words) * 8);
        out.extend(self.words.iter().flat_map(|word| word.to_le_bytes()));
    }

    pub(crate) fn decode(input: &mut Input<'_>) -> Result<Self, Corrupt> {
        let prefixes = (0..input.count()?).map(|_| Ok(input.slice()?.to_vec())).collect::<Result<_, _>>()?;
        let (words, rest) = input.slice()?.as_chunks();
        if !rest.is_empty() {
            return Err(Corrupt("a filter ends in the middle of a word"));
        }
        Ok(Self { prefixes, words: words.iter().map(|word| u64::from_le_bytes(*word)).collect() })
    }
}

/// The bits of a term in a filter of so many words.
fn probes(term: &[u8], words: usize) -> impl Iterator<Item = usize> {
    let hash = hash(term);
    let (first, step) = (hash >> 32, hash & 0xffff_ffff | 1);
    let bits = words as u64 * 64;
    // A sum of 32-bit numbers, scaled to the filter; the remainder is below its length.
    (0..PROBES).map(move |nth| {
        let spread = first.wrapping_add(step.wrapping_mul(u64::from(nth) + 1));
        usize::try_from(mix(spread) % bits).expect("a filter is addressable")
    })
}

/// FNV-1a with the finish of MurmurHash3: stable, since filters are kept.
fn hash(term: &[u8]) -> u64 {
    let fnv = term.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mix(fnv)
}

const fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(number: u32) -> Vec<u8> {
        [&b"id"[..], &number.to_be_bytes()].concat()
    }

    #[test]
    fn added_terms_are_found_and_others_seldom() {
        let mut filter = Filter::new(&[b"id".to_vec()], 10_000);
        (0..10_000).for_each(|number| filter.add(&term(number)));
        let mut bytes = Vec::new();
        filter.encode(&mut bytes);
        let mut input = Input::new(&bytes);
        let filter = Filter::decode(&mut input).expect("what was encoded");
        assert!((0..10_000).all(|number| filter.may_contain(&term(number))));
        let wrong = (10_000..110_000).filter(|number| filter.may_contain(&term(*number))).count();
        assert!(wrong < 2_000, "{wrong} of 100,000");
        assert!(filter.may_contain(b"other"), "terms without the prefix are not filtered");
        assert!(!Filter::new(&[b"id".to_vec()], 0).may_contain(b"id1"));
    }

    #[test]
    fn a_filter_that_may_not_grow_lets_more_through() {
        let terms = 6_000_000;
        let mut filter = Filter::new(&[b"id".to_vec()], terms as usize);
        assert_eq!(filter.words.len() * 8, BYTES_MAX);
        (0..terms).for_each(|number| filter.add(&term(number)));
        assert!((0..terms).step_by(1_000).all(|number| filter.may_contain(&term(number))));
        let wrong = (terms..terms + 10_000).filter(|number| filter.may_contain(&term(*number))).count();
        assert!((200..2_500).contains(&wrong), "{wrong} of 10,000");
    }
}
