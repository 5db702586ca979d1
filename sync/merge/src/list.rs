//! Lists whose items have an identity: aligned, and joined item by item.
//!
//! Items that either side added are kept; those that one side removed and the other left alone go; those that one side
//! removed and the other changed wait for a person.

use std::collections::{BTreeMap, BTreeSet};

use crate::align::{Item, Places, align, interleave};
use crate::conflict::{Offer, Reason};
use crate::json::{Json, Member};
use crate::key::Key;
use crate::object::{Object, Slot};
use crate::outcome::Action;
use crate::pass::{Chosen, Pass};
use crate::rules::{ItemRule, ListKind, ListNumber, ListRule};
use crate::sides::{Change, Side, Sides};

/// An item of the result: its JSON and that of its extensions.
struct Written {
    value: Option<String>,
    twin: Option<String>,
}

/// The items of a list in their versions.
type Versions<'t, 'a> = Sides<Option<Item<'t, 'a>>>;

impl<'a> Pass<'a, '_> {
    pub(crate) fn list(&mut self, object: &Object<'_, 'a>, slot: &Slot<'_, 'a>, number: ListNumber) {
        let rule = self.rules.list(number);
        let Some(items) = items(slot) else {
            return self.contest_slot(object, slot, Reason::BothChanged);
        };
        let places = if self.is_contested(slot.name) { None } else { align(&items, rule, self.server) };
        let Some(places) = places else {
            return self.contest_slot(object, slot, Reason::Ambiguous);
        };
        self.has_joined_list = true;
        let mark = self.mark();
        let mut written: Vec<Vec<Written>> = Vec::with_capacity(places.len());
        let mut keys = Vec::new();
        let mut has_both = false;
        for place in &places {
            let versions = item_versions(&items, *place);
            let index = place.theirs.or(place.base).or(place.mine);
            let conflicts = self.conflicts.len();
            let of_item = self.below(slot.name, index, |pass| pass.item(rule, versions));
            has_both |= of_item.len() > 1;
            if self.conflicts.len() == conflicts {
                keys.extend(of_item.iter().filter_map(|item| self.key_of(rule, item)));
            } else {
                // Whatever is chosen, its key must not be there yet.
                let of = |item: Option<Item<'_, '_>>| key(item?, rule.identities.first()?, self.server);
                let either: BTreeSet<_> = of(versions.mine).into_iter().chain(of(versions.theirs)).collect();
                keys.extend(either);
            }
            written.push(of_item);
        }
        let order = order(&places, &items);
        let all = || order.iter().flat_map(|number| &written[*number]);
        // Two items that a person wants side by side may have the same key.
        if !has_both && self.has_new_duplicate(rule, &items, keys) {
            self.roll_back(mark);
            return self.contest_slot(object, slot, Reason::DuplicateKey);
        }
        let has_values = all().any(|item| item.value.is_some());
        let has_twins = all().any(|item| item.twin.is_some());
        if has_values || (all().next().is_some() && !has_twins) {
            self.array(&format!("\"{}\"", slot.name), all().map(|item| item.value.as_deref()));
        }
        if has_twins {
            self.array(&format!("\"_{}\"", slot.name), all().map(|item| item.twin.as_deref()));
        }
    }

    fn array<'w>(&mut self, raw_key: &str, values: impl Iterator<Item = Option<&'w str>>) {
        self.begin_member(raw_key);
        for (place, value) in values.enumerate() {
            self.out.push(if place == 0 { '[' } else { ',' });
            self.out.push_str(value.unwrap_or("null"));
        }
        self.out.push(']');
    }

    /// What becomes of one item: nothing if it goes.
    fn item(&mut self, rule: &ListRule, versions: Versions<'_, 'a>) -> Vec<Written> {
        let change = versions.change(|one, two| match (one, two) {
            (Some(one), Some(two)) => one.same(two),
            (one, two) => one.is_none() && two.is_none(),
        });
        if let Some(kept) = self.keeps(rule, versions, change) {
            return vec![written(kept)];
        }
        let taken = match change {
            Change::None => return versions.theirs.map(written).into_iter().collect(),
            Change::Mine => (Action::TookMine, versions.mine),
            Change::Theirs => (Action::TookTheirs, versions.theirs),
            Change::Same => (Action::Agreed, versions.theirs),
            Change::Both => return self.both_changed(rule, versions),
        };
        self.decide("", taken.0);
        taken.1.map(written).into_iter().collect()
    }

    /// The version of an item that stays although one side removed it.
    fn keeps<'t>(
        &mut self,
        rule: &ListRule,
        versions: Versions<'t, 'a>,
        change: Change,
    ) -> Option<Item<'t, 'a>> {
        let removed_by_one = versions.mine.is_none() != versions.theirs.is_none();
        let base = versions.base.filter(|_| removed_by_one)?;
        let left = versions.mine.or(versions.theirs)?;
        match rule.kind {
            ListKind::Labels if self.facts.touched.mine && self.facts.touched.theirs => {
                self.decide("", Action::KeptLabel);
                Some(left)
            }
            ListKind::Contained if change != Change::Both => {
                let id = base.value?.get("id")?.text()?;
                self.plan.kept.contains(id).then(|| {
                    self.decide("", Action::KeptContained);
                    left
                })
            }
            _ => None,
        }
    }

    fn both_changed(&mut self, rule: &ListRule, versions: Versions<'_, 'a>) -> Vec<Written> {
        let values = versions.map(|item| item?.value);
        let objects = [values.base, values.mine, values.theirs];
        let are_objects = objects.iter().all(|value| value.is_some_and(Json::is_object));
        let start = self.out.len();
        match rule.item {
            ItemRule::Children(context) if are_objects => drop(self.object(context, values)),
            ItemRule::Resource if are_objects => self.resource(values, None),
            _ => return self.contest_item(versions, values),
        }
        let text = self.out.split_off(start);
        // An object without members is as good as none, and may not be.
        if text.is_empty() || text == "{}" {
            Vec::new()
        } else {
            vec![Written { value: Some(text), twin: None }]
        }
    }

    fn contest_item(&mut self, versions: Versions<'_, 'a>, values: Sides<Option<&Json<'a>>>) -> Vec<Written> {
        let (reason, offer) = match (versions.base, versions.mine, versions.theirs) {
            (Some(_), Some(_), Some(_)) => (Reason::BothChanged, Offer::Both),
            (None, ..) => (Reason::AddedTwice, Offer::Both),
            _ => (Reason::RemovedAndChanged, Offer::Any),
        };
        let sides = match self.contest_value(reason, values, offer) {
            Chosen::Value(value) => return vec![Written { value: Some(value.raw.to_owned()), twin: None }],
            Chosen::Side(side) => vec![side],
            Chosen::Both => vec![Side::Theirs, Side::Mine],
        };
        sides.into_iter().filter_map(|side| *versions.of(side)).map(written).collect()
    }

    /// The identity of an item of the result.
    fn key_of(&self, rule: &ListRule, item: &Written) -> Option<Vec<u8>> {
        rule.identities.first()?.of(&Json::read(item.value.as_deref()?)?, self.server)
    }

    /// Whether a key is there more often than in any of the versions.
    fn has_new_duplicate(
        &self,
        rule: &ListRule,
        items: &Sides<Vec<Item<'_, '_>>>,
        keys: Vec<Vec<u8>>,
    ) -> bool {
        let Some(identity) = rule.identities.first() else { return false };
        let found = counts(keys.into_iter());
        if found.values().all(|count| *count < 2) {
            return false;
        }
        let of = |items: &[Item<'_, '_>]| {
            counts(items.iter().filter_map(|item| key(*item, identity, self.server)))
        };
        let (mine, theirs) = (of(&items.mine), of(&items.theirs));
        let count = |counts: &BTreeMap<Vec<u8>, usize>, key| counts.get(key).copied().unwrap_or(0);
        found.iter().any(|(key, found)| *found > 1 && *found > count(&mine, key).max(count(&theirs, key)))
    }
}

fn key(item: Item<'_, '_>, identity: &Key, server: Option<&str>) -> Option<Vec<u8>> {
    identity.of(item.value?, server)
}

fn counts(keys: impl Iterator<Item = Vec<u8>>) -> BTreeMap<Vec<u8>, usize> {
    let mut counts = BTreeMap::new();
    keys.for_each(|key| *counts.entry(key).or_default() += 1);
    counts
}

fn written(item: Item<'_, '_>) -> Written {
    let raw = |value: Option<&Json<'_>>| value.map(|value| value.raw.to_owned());
    Written { value: raw(item.value), twin: raw(item.twin) }
}

fn item_versions<'t, 'a>(items: &Sides<Vec<Item<'t, 'a>>>, place: Places) -> Versions<'t, 'a> {
    Sides {
        base: place.base.map(|place| items.base[place]),
        mine: place.mine.map(|place| items.mine[place]),
        theirs: place.theirs.map(|place| items.theirs[place]),
    }
}

/// The order of the result, as places in the list of aligned items.
fn order(places: &[Places], items: &Sides<Vec<Item<'_, '_>>>) -> Vec<usize> {
    let order_of = |side: Side| {
        let mut order = vec![0; items.of(side).len()];
        for (number, place) in places.iter().enumerate() {
            if let Some(place) = place.of(side) {
                order[*place] = number;
            }
        }
        order
    };
    interleave(places.len(), &order_of(Side::Theirs), &order_of(Side::Mine))
}

/// The items of each version; none if a version is no array.
fn items<'t, 'a>(slot: &Slot<'t, 'a>) -> Option<Sides<Vec<Item<'t, 'a>>>> {
    Some(Sides {
        base: side_items(slot.name, &slot.members.base)?,
        mine: side_items(slot.name, &slot.members.mine)?,
        theirs: side_items(slot.name, &slot.members.theirs)?,
    })
}

/// The items of one version: values paired with the extensions at the same place.
pub(crate) fn side_items<'t, 'a>(name: &str, members: &[&'t Member<'a>]) -> Option<Vec<Item<'t, 'a>>> {
    let (mut values, mut twins): (&[Json<'a>], &[Json<'a>]) = (&[], &[]);
    for member in members {
        *(if member.key == name { &mut values } else { &mut twins }) = member.value.items()?;
    }
    let at = |values: &'t [Json<'a>], place| values.get(place).filter(|value: &&Json<'_>| !value.is_null());
    let count = values.len().max(twins.len());
    Some((0..count).map(|place| Item { value: at(values, place), twin: at(twins, place) }).collect())
}
