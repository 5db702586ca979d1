//! Repeatable chance.
//!
//! [`Random`] is splitmix64: one 64-bit state, every seed is good, and the sequence is part of the
//! promise that the same seed gives the same records on every platform. It is no source of secrets.
//!
//! Invariant: only integer arithmetic, so that no platform's floating point can change a record.

/// A repeatable stream of choices.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The stream of one seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// An independent stream for part `index` of the thing that `seed` makes.
    pub(crate) fn derive(seed: u64, index: u64) -> Self {
        let mut outer = Self(seed);
        Self(outer.next() ^ Self(index).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `low..=high`.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = high.abs_diff(low) + 1;
        low.wrapping_add_unsigned(self.next() % width)
    }

    /// A number in `low..=high` that prefers the middle: the mean of three draws.
    pub(crate) fn around(&mut self, low: i64, high: i64) -> i64 {
        (0..3).map(|_| self.between(low, high)).sum::<i64>() / 3
    }

    /// True in `percent` of 100 draws.
    pub(crate) fn chance(&mut self, percent: i64) -> bool {
        self.between(0, 99) < percent
    }

    /// An index below `len`, which must not be 0.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.next() % len as u64).expect("an index below a usize fits a usize")
    }

    /// One of `items`, which must not be empty.
    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    /// `count` decimal digits.
    pub(crate) fn digits(&mut self, count: usize) -> String {
        (0..count).map(|_| char::from(b'0' + u8::try_from(self.next() % 10).expect("a digit"))).collect()
    }

    /// A version 4 UUID (RFC 9562 section 5.4) in its usual lower-case spelling.
    pub(crate) fn uuid(&mut self) -> String {
        let high = self.next() & 0xffff_ffff_ffff_0fff | 0x4000;
        let low = self.next() & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000;
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_gives_same_stream() {
        let draw = |seed| Random::new(seed).uuid();
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn streams_of_neighbours_differ() {
        assert_ne!(Random::derive(1, 0).uuid(), Random::derive(1, 1).uuid());
        assert_ne!(Random::derive(1, 0).uuid(), Random::derive(2, 0).uuid());
    }

    #[test]
    fn draws_stay_in_their_range() {
        let mut random = Random::new(1);
        for _ in 0..1000 {
            assert!((-3..=4).contains(&random.between(-3, 4)));
            assert!((10..=20).contains(&random.around(10, 20)));
            assert!(random.index(3) < 3);
        }
    }

    #[test]
    fn uuid_is_version_4() {
        let uuid = Random::new(3).uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!(&uuid[14..15], "4");
        assert!(matches!(&uuid[19..20], "8" | "9" | "a" | "b"));
    }
}
