//! Digests: whether two sides hold the same members, however they came by them.
//!
//! A digest is a count and four wrapping sums, one for each 64 bits of the members' hashes. Sums do not care for order
//! and members can be taken out again, so both sides keep digests up to date as they write.
//!
//! Invariant: the digest of a set is the same in any order; adding and removing a member leaves it as it was.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::body::ResourceKey;
use crate::error::Error;
use crate::hash::Hash;
use crate::number::Version;
use crate::text::as_text;

/// A member of a scope, or of a range of one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Member {
    /// Which resource.
    pub key: ResourceKey,
    /// Its version.
    pub version: Version,
    /// The hash of its body in that version.
    pub hash: Hash,
}

impl Member {
    /// The SHA-256 of the line `<type>/<id> <version> <hash>`.
    fn digest(&self) -> Hash {
        Hash::of(format!("{} {} {}", self.key, self.version.get(), self.hash).as_bytes())
    }
}

/// A count and the four sums. On the wire the sums are 43 characters of base64url, big endian.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Digest {
    count: u64,
    sums: Sums,
}

impl Digest {
    /// The digest of these members.
    pub fn of<'a>(members: impl IntoIterator<Item = &'a Member>) -> Self {
        let mut digest = Self::default();
        members.into_iter().for_each(|member| digest.add(member));
        digest
    }

    /// From what was stored or sent.
    #[must_use]
    pub const fn from_parts(count: u64, sums: Sums) -> Self {
        Self { count, sums }
    }

    /// How many members there are.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The sums.
    #[must_use]
    pub const fn sums(&self) -> Sums {
        self.sums
    }

    /// A member came.
    pub fn add(&mut self, member: &Member) {
        self.merge(&Self { count: 1, sums: Sums::of(&member.digest()) });
    }

    /// A member went, which must have been there.
    pub fn remove(&mut self, member: &Member) {
        self.count = self.count.wrapping_sub(1);
        self.sums.combine(&Sums::of(&member.digest()), u64::wrapping_sub);
    }

    /// Adds the members of a set that has none in common with this one.
    pub fn merge(&mut self, other: &Self) {
        self.count = self.count.wrapping_add(other.count);
        self.sums.combine(&other.sums, u64::wrapping_add);
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.sums, self.count)
    }
}

/// Four wrapping sums of 64 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Sums([u64; 4]);

impl Sums {
    fn of(hash: &Hash) -> Self {
        let mut sums = [0; 4];
        for (sum, bytes) in sums.iter_mut().zip(hash.as_bytes().chunks_exact(8)) {
            *sum = bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        }
        Self(sums)
    }

    fn combine(&mut self, other: &Self, operation: impl Fn(u64, u64) -> u64) {
        for (sum, other) in self.0.iter_mut().zip(other.0) {
            *sum = operation(*sum, other);
        }
    }

    /// The sums as 32 bytes, big endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (bytes, sum) in bytes.chunks_exact_mut(8).zip(self.0) {
            bytes.copy_from_slice(&sum.to_be_bytes());
        }
        bytes
    }

    /// The sums that were stored as these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self::of(&Hash::from_bytes(bytes))
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.to_bytes()))
    }
}

impl fmt::Debug for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Sums {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.parse::<Hash>().map(|hash| Self::of(&hash))
    }
}

as_text!(Sums);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member(number: u64) -> Member {
        Member {
            key: ResourceKey::from_texts("Observation", &format!("o{}", number / 3)).unwrap(),
            version: Version::new(number % 3 + 1).unwrap(),
            hash: Hash::of(&number.to_be_bytes()),
        }
    }

    #[test]
    fn the_digest_of_known_members_stays_the_same() {
        let digest = Digest::of(&[member(1), member(2)]);
        assert_eq!(digest.count(), 2);
        assert_eq!(digest.sums().to_string(), EXPECTED);
        assert_eq!(digest.sums().to_string().parse(), Ok(digest.sums()));
        assert_eq!(Sums::from_bytes(digest.sums().to_bytes()), digest.sums());
    }

    /// Computed once with Python's hashlib from the description in docs/sync-protocol.md.
    const EXPECTED: &str = "HJqBzkhqlT6bW3XuF55o98nPsWTvm-nWLt9vEmQmfn8";

    proptest! {
        #[test]
        fn digests_do_not_depend_on_order(
            numbers in prop::collection::btree_set(0_u64..500, 0..40).prop_map(Vec::from_iter).prop_shuffle(),
            cut in 0_usize..40,
        ) {
            let members: Vec<_> = numbers.iter().copied().map(member).collect();
            let mut sorted: Vec<_> = numbers.clone();
            sorted.sort_unstable();
            let sorted: Vec<_> = sorted.into_iter().map(member).collect();
            let digest = Digest::of(&members);
            prop_assert_eq!(digest, Digest::of(&sorted));
            let (first, second) = members.split_at(cut.min(members.len()));
            let mut merged = Digest::of(first);
            merged.merge(&Digest::of(second));
            prop_assert_eq!(merged, digest);
            for member in second {
                merged.remove(member);
            }
            prop_assert_eq!(merged, Digest::of(first));
        }

        #[test]
        fn one_other_member_is_another_digest(number in 0_u64..500, other in 0_u64..500) {
            prop_assert_eq!(number == other, Digest::of(&[member(number)]) == Digest::of(&[member(other)]));
        }
    }
}
