//! Which elements of an object have occurred.

/// A set of places in a context, one for values and one for extensions.
#[derive(Default)]
pub(crate) struct Seen {
    values: [u64; WORDS],
    extensions: [u64; WORDS],
}

/// Enough for the 211 keys of ElementDefinition, the largest context.
const WORDS: usize = 4;

impl Seen {
    /// Adds a place; `false` if it was there before.
    #[inline(always)]
    pub(crate) const fn insert(&mut self, position: u16, is_extension: bool) -> bool {
        let words = if is_extension { &mut self.extensions } else { &mut self.values };
        let word = &mut words[position as usize / 64 % WORDS];
        let bit = 1 << (position % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// How many of the places from `first` to `last` have a value or an extension.
    #[inline(always)]
    pub(crate) fn count(&self, first: u8, last: u8) -> u32 {
        let (first, last) = (usize::from(first), usize::from(last));
        let mut count = 0;
        for word in first / 64..=last / 64 {
            let from = if word == first / 64 { u64::MAX << (first % 64) } else { u64::MAX };
            let to = if word == last / 64 { u64::MAX >> (63 - last % 64) } else { u64::MAX };
            count += ((self.values[word] | self.extensions[word]) & from & to).count_ones();
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_across_words() {
        let mut seen = Seen::default();
        for position in [0, 63, 64, 200, 255] {
            assert!(seen.insert(position, false));
            assert!(!seen.insert(position, false));
        }
        assert!(seen.insert(64, true) && seen.insert(130, true));
        for (first, last, count) in
            [(0, 255, 6), (1, 62, 0), (63, 64, 2), (64, 64, 1), (65, 199, 1), (200, 255, 2)]
        {
            assert_eq!(seen.count(first, last), count, "{first}..={last}");
        }
    }
}
