//! What an index can say of a set of versions: which surely belong to it, and which may.

use roaring::RoaringBitmap;

/// A set of versions by their changes.
///
/// Invariant: what surely belongs to the set also may.
#[derive(Clone, Debug, Default)]
pub(crate) struct Set {
    may: RoaringBitmap,
    /// `None` where all that may belong to the set surely do.
    sure: Option<RoaringBitmap>,
}

impl Set {
    /// Exactly these.
    pub(crate) fn exact(docs: RoaringBitmap) -> Self {
        Self { may: docs, sure: None }
    }

    /// Those that may belong to it, and those of them that surely do.
    pub(crate) fn new(may: RoaringBitmap, sure: RoaringBitmap) -> Self {
        let is_exact = may.len() == sure.len();
        Self { may, sure: (!is_exact).then_some(sure) }
    }

    /// Some of these, nobody knows which.
    pub(crate) fn candidates(self) -> Self {
        Self::new(self.may, RoaringBitmap::new())
    }

    /// Which may belong to the set.
    pub(crate) fn may(&self) -> &RoaringBitmap {
        &self.may
    }

    /// Which surely do.
    pub(crate) fn sure(&self) -> &RoaringBitmap {
        self.sure.as_ref().unwrap_or(&self.may)
    }

    /// Whether nothing is left to check.
    pub(crate) fn is_exact(&self) -> bool {
        self.sure.is_none()
    }

    /// Whether this one belongs to the set; `None` when only the resource itself can tell.
    pub(crate) fn contains(&self, doc: u32) -> Option<bool> {
        if !self.may.contains(doc) {
            Some(false)
        } else {
            (self.sure.is_none() || self.sure().contains(doc)).then_some(true)
        }
    }

    /// What belongs to both.
    pub(crate) fn and(&mut self, other: &Self) {
        if self.sure.is_some() || other.sure.is_some() {
            *self = Self::new(&self.may & &other.may, self.sure() & other.sure());
        } else {
            self.may &= &other.may;
        }
    }

    /// What belongs to either.
    pub(crate) fn or(&mut self, other: &Self) {
        if self.sure.is_some() || other.sure.is_some() {
            *self = Self::new(&self.may | &other.may, self.sure() | other.sure());
        } else {
            self.may |= &other.may;
        }
    }

    /// What of `all` does not belong to the set.
    pub(crate) fn not(self, all: &RoaringBitmap) -> Self {
        let may = all - self.sure();
        Self { sure: self.sure.is_some().then(|| all - &self.may), may }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(may: &[u32], sure: &[u32]) -> Set {
        Set { may: may.iter().collect(), sure: Some(sure.iter().collect()) }
    }

    #[test]
    fn what_is_sure_stays_sure_through_every_operation() {
        let all: RoaringBitmap = (0..6).collect();
        let not = set(&[1, 2], &[1]).not(&all);
        assert_eq!(not.may().iter().collect::<Vec<_>>(), [0, 2, 3, 4, 5]);
        assert_eq!(not.sure().iter().collect::<Vec<_>>(), [0, 3, 4, 5]);
        let mut and = set(&[1, 2, 3], &[1, 3]);
        and.and(&Set::exact([1, 2].into_iter().collect()));
        assert_eq!([and.contains(1), and.contains(2), and.contains(3)], [Some(true), None, Some(false)]);
        let mut or = Set::exact([5].into_iter().collect());
        or.or(&set(&[1], &[]));
        assert_eq!([or.contains(5), or.contains(1), or.contains(0)], [Some(true), None, Some(false)]);
        assert!(Set::exact(all.clone()).not(&all).may().is_empty());
    }
}
