//! Searching text eight bytes at a time.
//!
//! A *hit* is a set high bit in the byte that is looked for. Hits above the lowest one may be false (a borrow
//! runs upwards), the lowest one never is, and only that one is used.

const ONES: u64 = u64::MAX / 255;
const HIGHS: u64 = ONES << 7;

/// Hits where the word has this byte.
#[inline(always)]
pub(crate) const fn equal_to(word: u64, byte: u8) -> u64 {
    let zeros = word ^ (ONES * byte as u64);
    zeros.wrapping_sub(ONES) & !zeros & HIGHS
}

/// Hits where the word has a byte below this one, which is at most 128.
#[inline(always)]
pub(crate) const fn below(word: u64, byte: u8) -> u64 {
    word.wrapping_sub(ONES * byte as u64) & !word & HIGHS
}

/// The first place from `from` on where `hits` has one, or the end of the text.
#[inline(always)]
pub(crate) fn find(text: &[u8], from: usize, hits: impl Fn(u64) -> u64) -> usize {
    let mut at = from;
    while let Some(chunk) = text.get(at..at + 8) {
        let found = hits(u64::from_le_bytes(chunk.try_into().unwrap_or_default()));
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while at < text.len() && hits(ONES * u64::from(text[at])) == 0 {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_search_finds_what_a_loop_finds(text in proptest::collection::vec(any::<u8>(), 0..40), from in 0_usize..8) {
            let from = from.min(text.len());
            let expected = |is_hit: fn(u8) -> bool| {
                text[from..].iter().position(|&b| is_hit(b)).map_or(text.len(), |place| from + place)
            };
            prop_assert_eq!(find(&text, from, |word| equal_to(word, b'<')), expected(|b| b == b'<'));
            prop_assert_eq!(find(&text, from, |word| below(word, 0x20)), expected(|b| b < 0x20));
            let either = |word| equal_to(word, 0x81) | below(word, 0x20);
            prop_assert_eq!(find(&text, from, either), expected(|b| b < 0x20 || b == 0x81));
        }
    }
}
