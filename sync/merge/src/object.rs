//! Objects, element by element.
//!
//! A [`Slot`] is what changes together by nature: a primitive value with the extensions beside it (`birthDate` and
//! `_birthDate`), and all types of a choice (`deceasedBoolean` and `deceasedDateTime`).

use std::collections::BTreeMap;

use keepwell_fhir::schema::Context;
use smallvec::SmallVec;

use crate::align::interleave;
use crate::conflict::{Offer, Reason};
use crate::json::{Json, Member};
use crate::key::{By, Component, Key};
use crate::list::side_items;
use crate::outcome::Action;
use crate::pass::{Chosen, Pass};
use crate::rules::{GroupNumber, ListKind, ListNumber, Rule, Rules};
use crate::sides::{Change, Side, Sides};

/// An element of an object in its versions.
pub(crate) struct Slot<'t, 'a> {
    /// The name in FHIRPath.
    pub(crate) name: &'t str,
    pub(crate) rule: Rule,
    group: Option<GroupNumber>,
    is_head: bool,
    pub(crate) members: Sides<Members<'t, 'a>>,
    pub(crate) change: Change,
}

/// The members of a slot in one version: a value and the extensions beside it.
type Members<'t, 'a> = SmallVec<[&'t Member<'a>; 2]>;

impl<'t, 'a> Slot<'t, 'a> {
    pub(crate) fn is_changed(&self) -> bool {
        self.change != Change::None
    }

    /// Whether a member with this key is known to belong here.
    fn has(&self, key: &str) -> bool {
        let Sides { base, mine, theirs } = &self.members;
        theirs.iter().chain(mine).chain(base).any(|member| member.key == key)
    }

    /// The first value of each side.
    pub(crate) fn values(&self) -> Sides<Option<&'t Json<'a>>> {
        let value = |members: &Members<'t, 'a>| members.first().map(|member| &member.value);
        let Sides { base, mine, theirs } = &self.members;
        Sides { base: value(base), mine: value(mine), theirs: value(theirs) }
    }

    /// The value of each side, if it is one object or nothing.
    fn objects(&self) -> Option<Sides<Option<&'t Json<'a>>>> {
        let mut objects = Sides::default();
        for side in [Side::Base, Side::Mine, Side::Theirs] {
            *objects.of_mut(side) = match &self.members.of(side)[..] {
                [] => None,
                [one] if one.value.is_object() && one.key == self.name => Some(&one.value),
                _ => return None,
            };
        }
        Some(objects)
    }
}

/// The elements of an object in its versions.
pub(crate) struct Object<'t, 'a> {
    context: Option<Context>,
    /// In the order of the result.
    pub(crate) slots: Vec<Slot<'t, 'a>>,
}

impl<'t, 'a> Object<'t, 'a> {
    /// A version that is not there counts as an empty object.
    pub(crate) fn new(
        rules: &Rules,
        context: Option<Context>,
        versions: Sides<Option<&'t Json<'a>>>,
    ) -> Self {
        let mut slots: Vec<Slot<'t, 'a>> = Vec::new();
        let (mut in_theirs, mut mine) = (0, Vec::new());
        for side in [Side::Theirs, Side::Mine, Side::Base] {
            // Versions of one object mostly have the same members in the same order.
            let mut likely = 0;
            for member in versions.of(side).map_or(&[][..], |version| version.members()) {
                let is_next = slots.get(likely).is_some_and(|slot| slot.has(&member.key));
                let number = if is_next { likely } else { slot_of(rules, context, &mut slots, &member.key) };
                let members = slots[number].members.of_mut(side);
                if side == Side::Mine && members.is_empty() {
                    mine.push(number);
                }
                members.push(member);
                likely = number + 1;
            }
            if side == Side::Theirs {
                in_theirs = slots.len();
            }
        }
        if mine.iter().any(|number| *number >= in_theirs) {
            let theirs: Vec<usize> = (0..in_theirs).collect();
            let order = interleave(slots.len(), &theirs, &mine);
            let mut left: Vec<Option<Slot<'t, 'a>>> = slots.into_iter().map(Some).collect();
            slots = order.into_iter().filter_map(|number| left[number].take()).collect();
            slots.extend(left.into_iter().flatten());
        }
        for slot in &mut slots {
            let members = &slot.members;
            let sides =
                Sides { base: &members.base[..], mine: &members.mine[..], theirs: &members.theirs[..] };
            let is_list = matches!(slot.rule, Rule::List(_));
            slot.change = sides
                .change(|one, two| same_members(one, two) || (is_list && same_items(slot.name, one, two)));
        }
        Self { context, slots }
    }

    /// Whether a modifier extension changed, and not in the same way on both sides.
    pub(crate) fn has_changed_modifier(&self) -> bool {
        self.slots.iter().any(|slot| slot.rule == Rule::Modifier && slot.change.differs())
    }

    /// The co-dependent groups that both sides touched, and not in the same way.
    fn clashes(&self) -> Vec<GroupNumber> {
        let mut groups: Vec<GroupNumber> = self.slots.iter().filter_map(|slot| slot.group).collect();
        groups.sort_unstable();
        groups.dedup();
        groups.retain(|group| self.clash(*group));
        groups
    }

    fn clash(&self, group: GroupNumber) -> bool {
        let members = || self.slots.iter().filter(|slot| slot.group == Some(group));
        let by = |side| members().any(|slot| slot.change.by(side));
        let differs = members().any(|slot| slot.change.differs());
        let has_heads = Rules::get().has_heads(group);
        let is_in_force = !has_heads || members().any(|slot| slot.is_head && slot.is_changed());
        is_in_force && differs && by(Side::Mine) && by(Side::Theirs)
    }

    /// The name of the slot that a key belongs to.
    fn name_of<'k>(&self, rules: &Rules, key: &'k str) -> &'k str {
        rules.element(self.context, plain_key(key)).map_or_else(|| plain_key(key), |element| element.name)
    }
}

impl<'a, 'c> Pass<'a, 'c> {
    /// Joins an object that both sides changed; says whether anything was written.
    pub(crate) fn object(&mut self, context: Context, versions: Sides<Option<&Json<'a>>>) -> bool {
        let object = Object::new(self.rules, Some(context), versions);
        if object.has_changed_modifier() {
            let chosen = self.contest_value(Reason::Modifier, versions, Offer::Any);
            return self.chosen_value(&chosen, versions);
        }
        let start = self.out.len();
        self.slots(&object);
        self.out.len() > start + "{}".len()
    }

    /// Writes what was chosen for a value, if that is anything.
    pub(crate) fn chosen_value(&mut self, chosen: &Chosen<'_>, versions: Sides<Option<&Json<'a>>>) -> bool {
        let raw = match chosen {
            Chosen::Value(value) => Some(value.raw),
            Chosen::Side(side) => versions.of(*side).map(|version| version.raw),
            Chosen::Both => None,
        };
        self.out.push_str(raw.unwrap_or_default());
        raw.is_some()
    }

    /// Writes an object from its elements.
    pub(crate) fn slots(&mut self, object: &Object<'_, 'a>) {
        self.out.push('{');
        let mut clashes: BTreeMap<GroupNumber, Option<Chosen<'c>>> =
            object.clashes().into_iter().map(|group| (group, None)).collect();
        for slot in &object.slots {
            match slot.group.and_then(|group| Some((group, clashes.get_mut(&group)?))) {
                Some((group, chosen)) => {
                    let is_first = chosen.is_none();
                    let chosen = chosen.get_or_insert_with(|| self.contest_group(object, group));
                    match chosen {
                        Chosen::Side(side) => self.members(slot.members.of(*side).iter().copied()),
                        Chosen::Value(value) if is_first => self.members(value.members()),
                        _ => {}
                    }
                }
                None => self.slot(object, slot),
            }
        }
        self.out.push('}');
    }

    fn contest_group(&mut self, object: &Object<'_, 'a>, group: GroupNumber) -> Chosen<'c> {
        let slots: Vec<_> = object.slots.iter().filter(|slot| slot.group == Some(group)).collect();
        let rules = self.rules;
        let owns = |key: &str| {
            let element = rules.element(object.context, plain_key(key));
            element.is_some_and(|element| element.group == Some(group))
        };
        self.contest_members("", Reason::Group, &slots, owns)
    }

    fn slot(&mut self, object: &Object<'_, 'a>, slot: &Slot<'_, 'a>) {
        let Slot { name, rule, change, members, .. } = slot;
        match (*rule, *change) {
            (_, Change::None) => self.members(members.theirs.iter().copied()),
            (Rule::Narrative, _) => self.narrative(object, slot),
            // A label that one side removed may have to stay.
            (Rule::Meta(context), _) => self.child(object, slot, context),
            (Rule::List(list), _) if self.may_keep(list) => self.list(object, slot, list),
            (_, Change::Mine) => self.take(name, Action::TookMine, &members.mine),
            (_, Change::Theirs) | (Rule::Theirs, _) => self.take(name, Action::TookTheirs, &members.theirs),
            (_, Change::Same) => self.take(name, Action::Agreed, &members.theirs),
            (Rule::Reference, Change::Both) if self.only_spells_target(slot) => {
                self.take(name, Action::Agreed, &members.theirs);
            }
            (Rule::Children(context), Change::Both) => self.child(object, slot, context),
            (Rule::List(list), Change::Both) => self.list(object, slot, list),
            (_, Change::Both) => self.contest_slot(object, slot, Reason::BothChanged),
        }
    }

    /// Whether an item that only one side removed may stay in a list.
    fn may_keep(&self, list: ListNumber) -> bool {
        match self.rules.list(list).kind {
            ListKind::Plain => false,
            ListKind::Labels => self.facts.touched.mine && self.facts.touched.theirs,
            ListKind::Contained => !self.plan.kept.is_empty(),
        }
    }

    pub(crate) fn take(&mut self, name: &str, action: Action, members: &[&Member<'a>]) {
        self.decide(name, action);
        self.members(members.iter().copied());
    }

    /// Notes a conflict about one element and writes what was chosen.
    pub(crate) fn contest_slot(&mut self, object: &Object<'_, 'a>, slot: &Slot<'_, 'a>, reason: Reason) {
        let rules = self.rules;
        let owns = |key: &str| object.name_of(rules, key) == slot.name;
        match self.contest_members(slot.name, reason, &[slot], owns) {
            Chosen::Value(value) => self.members(value.members()),
            Chosen::Side(side) => self.members(slot.members.of(side).iter().copied()),
            Chosen::Both => {}
        }
    }

    /// An object inside an object, joined by child.
    fn child(&mut self, object: &Object<'_, 'a>, slot: &Slot<'_, 'a>, context: Context) {
        let is_meta = matches!(slot.rule, Rule::Meta(_));
        let versions = slot.objects().filter(|versions| {
            is_meta || [versions.base, versions.mine, versions.theirs].iter().all(Option::is_some)
        });
        let Some(versions) = versions else {
            return self.contest_slot(object, slot, Reason::BothChanged);
        };
        let start = self.out.len();
        self.begin_member(&format!("\"{}\"", slot.name));
        if !self.below(slot.name, None, |pass| pass.object(context, versions)) {
            self.out.truncate(start);
        }
    }

    /// Whether the two sides of a reference differ only in the spelling of one target.
    fn only_spells_target(&self, slot: &Slot<'_, 'a>) -> bool {
        let Some(Sides { mine: Some(mine), theirs: Some(theirs), .. }) = slot.objects() else { return false };
        let is_in_theirs = |member: &Member<'_>| {
            member.key == "reference"
                || theirs.get(&member.key).is_some_and(|other| other.same(&member.value))
        };
        mine.members().len() == theirs.members().len()
            && mine.members().iter().all(is_in_theirs)
            && self.same_target(slot, Side::Mine, Side::Theirs)
    }

    /// Whether two versions of a reference point at the same.
    pub(crate) fn same_target(&self, slot: &Slot<'_, 'a>, one: Side, two: Side) -> bool {
        let key = Key { components: vec![Component { steps: Vec::new(), by: By::Target }] };
        let Some(versions) = slot.objects() else { return false };
        let target = |side| versions.of(side).and_then(|version| key.of(version, self.server));
        target(one) == target(two)
    }
}

/// The number of the slot that a key belongs to, which is made if there is none.
fn slot_of<'t>(
    rules: &Rules,
    context: Option<Context>,
    slots: &mut Vec<Slot<'t, '_>>,
    key: &'t str,
) -> usize {
    let element = rules.element(context, plain_key(key));
    let name = element.map_or_else(|| plain_key(key), |element| element.name);
    slots.iter().position(|slot| slot.name == name).unwrap_or_else(|| {
        slots.push(Slot {
            name,
            rule: element.map_or(Rule::Whole, |element| element.rule),
            group: element.and_then(|element| element.group),
            is_head: element.is_some_and(|element| element.is_head),
            members: Sides::default(),
            change: Change::None,
        });
        slots.len() - 1
    })
}

/// A key without the `_` of extensions.
fn plain_key(key: &str) -> &str {
    key.strip_prefix('_').unwrap_or(key)
}

/// Whether two versions of a list whose items have an identity hold the same items, in whatever order.
fn same_items(name: &str, one: &[&Member<'_>], two: &[&Member<'_>]) -> bool {
    let (Some(mut one), Some(mut two)) = (side_items(name, one), side_items(name, two)) else { return false };
    one.sort_by_key(|item| item.hash());
    two.sort_by_key(|item| item.hash());
    one.len() == two.len() && one.iter().zip(two).all(|(one, two)| one.same(two))
}

fn same_members(one: &[&Member<'_>], two: &[&Member<'_>]) -> bool {
    let is_in_two = |member: &&Member<'_>| {
        two.iter().any(|other| member.key == other.key && member.value.same(&other.value))
    };
    one.len() == two.len() && one.iter().all(is_in_two)
}
