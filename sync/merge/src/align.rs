//! Which items of two or three lists are the same item.
//!
//! Equal items first, then those with the same `Element.id`, then those with the same key; an id or a key counts only
//! if it occurs once on each side among what is left. What is left in the end was removed or added.
//!
//! Time is that of sorting.

use std::collections::{BTreeMap, BTreeSet};

use crate::json::Json;
use crate::key::Key;
use crate::rules::ListRule;
use crate::sides::Sides;

/// One place of an array, with that of the array of extensions beside it if the values are primitive.
#[derive(Clone, Copy)]
pub(crate) struct Item<'t, 'a> {
    pub(crate) value: Option<&'t Json<'a>>,
    pub(crate) twin: Option<&'t Json<'a>>,
}

impl Item<'_, '_> {
    pub(crate) fn same(self, other: Self) -> bool {
        same(self.value, other.value) && same(self.twin, other.twin)
    }

    pub(crate) fn hash(self) -> u64 {
        let hash = |value: Option<&Json<'_>>| value.map_or(0, |value| value.hash);
        hash(self.value).wrapping_add(hash(self.twin).rotate_left(1))
    }

    fn key(self, key: &Key, server: Option<&str>) -> Option<Vec<u8>> {
        key.of(self.value?, server)
    }
}

/// Whether two values that may be absent are the same.
pub(crate) fn same(one: Option<&Json<'_>>, two: Option<&Json<'_>>) -> bool {
    match (one, two) {
        (Some(one), Some(two)) => one.same(two),
        (None, None) => true,
        _ => false,
    }
}

/// An item in its versions: the places where it stands.
pub(crate) type Places = Sides<Option<usize>>;

/// The items of three lists. `None` if some cannot be told apart: several have the same key and none is unchanged.
pub(crate) fn align(
    items: &Sides<Vec<Item<'_, '_>>>,
    rule: &ListRule,
    server: Option<&str>,
) -> Option<Vec<Places>> {
    let Sides { base, mine, theirs } = items;
    let (mut to_mine, mut to_theirs) = (Pairs::new(base, mine), Pairs::new(base, theirs));
    to_mine.join_equal();
    to_theirs.join_equal();
    // What both sides changed or added alike is one item. Which item of the base it was is found before the others, so
    // that merging a result again finds the same.
    let mut agreed = Pairs { lefts: to_mine.rights, rights: to_theirs.rights, ..Pairs::new(mine, theirs) };
    agreed.join_equal();
    let gone: Vec<usize> =
        to_mine.lefts.iter().copied().filter(|place| to_theirs.lefts.binary_search(place).is_ok()).collect();
    let of_mine = agreed.joined.iter().map(|(place, _)| *place).collect();
    let mut origins = Pairs { lefts: gone, rights: of_mine, ..Pairs::new(base, mine) };
    origins.join_by_keys(&rule.identities, &rule.edits, server);
    let other: BTreeMap<usize, usize> = agreed.joined.drain(..).collect();
    let mut places: Vec<Places> = Vec::with_capacity(base.len());
    for place in origins.rights {
        places.push(Sides { base: None, mine: Some(place), theirs: other.get(&place).copied() });
    }
    to_mine.rights = agreed.lefts;
    to_theirs.rights = agreed.rights;
    for (origin, place) in origins.joined {
        to_mine.take(origin, place);
        if let Some(other) = other.get(&place) {
            to_theirs.take(origin, *other);
        }
    }
    for pairs in [&mut to_mine, &mut to_theirs] {
        pairs.join_by_keys(&rule.identities, &rule.edits, server);
        pairs.check(rule, server)?;
    }
    let mut added = Pairs { lefts: to_mine.rights, rights: to_theirs.rights, ..Pairs::new(mine, theirs) };
    added.join_by_keys(&rule.identities, &[], server);
    added.check(rule, server)?;
    let (mine, theirs): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (to_mine.joined.into_iter().collect(), to_theirs.joined.into_iter().collect());
    places.extend((0..base.len()).map(|place| {
        let (mine, theirs) = (mine.get(&place).copied(), theirs.get(&place).copied());
        Sides { base: Some(place), mine, theirs }
    }));
    let by_both = added.joined.into_iter().map(|(mine, theirs)| (Some(mine), Some(theirs)));
    let by_mine = added.lefts.into_iter().map(|mine| (Some(mine), None));
    let by_them = added.rights.into_iter().map(|theirs| (None, Some(theirs)));
    places.extend(by_both.chain(by_mine).chain(by_them).map(|(mine, theirs)| Sides {
        base: None,
        mine,
        theirs,
    }));
    Some(places)
}

/// The pairs of two lists, found step by step.
struct Pairs<'i, 't, 'a> {
    left: &'i [Item<'t, 'a>],
    right: &'i [Item<'t, 'a>],
    joined: Vec<(usize, usize)>,
    /// The items without a partner so far, in order.
    lefts: Vec<usize>,
    rights: Vec<usize>,
}

impl<'i, 't, 'a> Pairs<'i, 't, 'a> {
    fn new(left: &'i [Item<'t, 'a>], right: &'i [Item<'t, 'a>]) -> Self {
        let (lefts, rights) = ((0..left.len()).collect(), (0..right.len()).collect());
        Self { left, right, joined: Vec::new(), lefts, rights }
    }

    /// Joins two items that were found elsewhere; the one on the right is no longer among those without a partner.
    fn take(&mut self, left: usize, right: usize) {
        self.joined.push((left, right));
        if let Ok(place) = self.lefts.binary_search(&left) {
            self.lefts.remove(place);
        }
    }

    fn join_equal(&mut self) {
        let mut by_hash: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for place in self.rights.iter().rev() {
            by_hash.entry(self.right[*place].hash()).or_default().push(*place);
        }
        for place in &self.lefts {
            let item = self.left[*place];
            // Equal hashes of what differs are chance; the item is then found by its key, or counts as another one.
            if let Some(places) = by_hash.get_mut(&item.hash())
                && let Some(found) = places.pop_if(|other| item.same(self.right[*other]))
            {
                self.joined.push((*place, found));
            }
        }
        self.forget_joined();
    }

    fn join_by_keys(&mut self, identities: &[Key], edits: &[Key], server: Option<&str>) {
        self.join_by(|item| Some(item.value?.get("id")?.text()?.as_bytes().to_vec()));
        for key in identities.iter().chain(edits) {
            self.join_by(|item| item.key(key, server));
        }
    }

    fn join_by(&mut self, key: impl Fn(Item<'_, '_>) -> Option<Vec<u8>>) {
        if self.lefts.is_empty() || self.rights.is_empty() {
            return;
        }
        let mut by_key: BTreeMap<Vec<u8>, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
        for place in &self.lefts {
            if let Some(key) = key(self.left[*place]) {
                by_key.entry(key).or_default().0.push(*place);
            }
        }
        for place in &self.rights {
            if let Some(key) = key(self.right[*place]) {
                by_key.entry(key).or_default().1.push(*place);
            }
        }
        for places in by_key.values() {
            if let ([left], [right]) = (&places.0[..], &places.1[..]) {
                self.joined.push((*left, *right));
            }
        }
        self.forget_joined();
    }

    fn forget_joined(&mut self) {
        let lefts: BTreeSet<usize> = self.joined.iter().map(|(left, _)| *left).collect();
        let rights: BTreeSet<usize> = self.joined.iter().map(|(_, right)| *right).collect();
        self.lefts.retain(|place| !lefts.contains(place));
        self.rights.retain(|place| !rights.contains(place));
    }

    /// `None` if an item on the left and one on the right that found no partner have the same identity.
    fn check(&self, rule: &ListRule, server: Option<&str>) -> Option<()> {
        let Some(identity) = rule.identities.first() else { return Some(()) };
        let keys = |items: &[Item<'_, '_>], places: &[usize]| -> BTreeSet<Vec<u8>> {
            places.iter().filter_map(|place| items[*place].key(identity, server)).collect()
        };
        keys(self.left, &self.lefts).is_disjoint(&keys(self.right, &self.rights)).then_some(())
    }
}

/// The order of two sequences of numbers below `count`: that of the first, and each number that only the second has
/// behind the one that it follows there.
pub(crate) fn interleave(count: usize, lead: &[usize], other: &[usize]) -> Vec<usize> {
    let mut leads = vec![false; count];
    lead.iter().for_each(|number| leads[*number] = true);
    let mut front = Vec::new();
    let mut followers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut last = None;
    for number in other {
        match last {
            _ if leads[*number] => last = Some(*number),
            Some(last) => followers.entry(last).or_default().push(*number),
            None => front.push(*number),
        }
    }
    let mut order = front;
    for number in lead {
        order.push(*number);
        order.extend(followers.remove(number).unwrap_or_default());
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_the_second_has_stands_behind_what_it_follows_there() {
        for (lead, other, expected) in [
            (&[0, 1, 2][..], &[0, 3, 1, 2, 4][..], &[0, 3, 1, 2, 4][..]),
            (&[2, 1, 0], &[3, 0, 4, 1], &[3, 2, 1, 0, 4]),
            (&[], &[1, 0], &[1, 0]),
            (&[1], &[], &[1]),
        ] {
            assert_eq!(interleave(5, lead, other), expected, "{lead:?} {other:?}");
        }
    }
}
