//! Resources: whether a machine may join them at all.

use std::collections::{BTreeMap, BTreeSet};

use keepwell_fhir::ResourceType;
use keepwell_fhir::schema::Context;

use crate::align::{Item, same};
use crate::conflict::{Offer, Reason};
use crate::json::{Json, Shape};
use crate::list::side_items;
use crate::narrative::is_generated;
use crate::object::{Object, Slot};
use crate::pass::{Chosen, Facts, Pass, parts};
use crate::rules::{Class, ListKind, Rule, Rules};
use crate::sides::{Change, Side, Sides};

/// The code of a status that says that all of the resource was a mistake.
const ENTERED_IN_ERROR: &str = "entered-in-error";

/// Top-level elements that a narrative does not tell.
const UNTOLD: [&str; 6] = ["id", "meta", "implicitRules", "language", "text", "resourceType"];

/// A conflict of a whole resource, and the side to show meanwhile.
struct Whole {
    reason: Reason,
    shown: Side,
}

impl Whole {
    const fn because(reason: Reason) -> Self {
        Self { reason, shown: Side::Theirs }
    }
}

impl<'a> Pass<'a, '_> {
    /// Joins what is at the root: resources, or none where one is deleted or not created yet.
    pub(crate) fn document(&mut self, versions: Sides<Option<&Json<'a>>>) {
        let kind = [versions.theirs, versions.mine, versions.base].into_iter().flatten().find_map(kind);
        let name = kind.map_or("", ResourceType::name);
        self.below(name, None, |pass| pass.root(versions, kind));
    }

    fn root(&mut self, versions: Sides<Option<&Json<'a>>>, kind: Option<ResourceType>) {
        // What only the server's own parts of a version tell apart is the same to someone who deletes it.
        let same_content = |one: Option<&Json<'a>>, two: Option<&Json<'a>>| match (one, two) {
            (Some(one), Some(two)) => !is_touched(self.rules, kind, one, two),
            (one, two) => same(one, two),
        };
        let has_all = versions.base.is_some() && versions.mine.is_some() && versions.theirs.is_some();
        let change = if has_all { versions.change(same) } else { versions.change(same_content) };
        let taken = match (change, versions.base) {
            (Change::Both, Some(_)) if has_all => return self.resource(versions, self.plan.forced),
            (Change::Both, base) => {
                let reason = if base.is_some() { Reason::DeletedAndChanged } else { Reason::CreatedTwice };
                let chosen = self.contest_value(reason, versions, Offer::Any);
                self.chosen_value(&chosen, versions);
                return;
            }
            (Change::Mine, _) => versions.mine,
            // Only the spelling changed, and only by mine.
            (Change::None, Some(base)) if versions.theirs.is_some_and(|theirs| theirs.raw == base.raw) => {
                versions.mine
            }
            _ => versions.theirs,
        };
        self.out.push_str(taken.map_or("", |taken| taken.raw));
    }

    /// Joins a resource that both sides changed, at the root or contained.
    pub(crate) fn resource(&mut self, versions: Sides<Option<&Json<'a>>>, forced: Option<Reason>) {
        let (Some(base), Some(mine), Some(theirs)) = (versions.base, versions.mine, versions.theirs) else {
            return;
        };
        let kinds = Sides { base: kind(base), mine: kind(mine), theirs: kind(theirs) };
        let context = kinds.theirs.map(Context::of);
        let object = Object::new(self.rules, context, versions);
        let outer = std::mem::replace(&mut self.facts, facts(self.rules, &object));
        let touched = self.facts.touched;
        self.is_joined |= touched.mine && touched.theirs;
        let whole = match forced {
            Some(reason) => Some(Whole::because(reason)),
            None if kinds.mine != kinds.theirs || kinds.base != kinds.theirs => {
                Some(Whole::because(Reason::BothChanged))
            }
            None => self.whole(kinds.theirs, &object, (base, mine, theirs)),
        };
        match whole {
            Some(whole) => self.contest_resource(&whole, kinds.theirs, &object, versions),
            None if !touched.mine => self.out.push_str(theirs.raw),
            None => self.slots(&object),
        }
        self.facts = outer;
    }

    fn contest_resource(
        &mut self,
        whole: &Whole,
        kind: Option<ResourceType>,
        object: &Object<'_, 'a>,
        versions: Sides<Option<&Json<'a>>>,
    ) {
        let is_fixed = kind.is_some_and(|kind| self.rules.of_type(kind).class == Class::Immutable);
        let offer = if is_fixed { Offer::Theirs } else { Offer::Any };
        if self.conflicts.is_empty() && self.out.is_empty() {
            self.shown = whole.shown;
        }
        let slots: Vec<&Slot<'_, 'a>> = object.slots.iter().collect();
        let chosen: Chosen<'_> = self.contest("", whole.reason, parts(&slots), whole.shown, offer);
        self.chosen_value(&chosen, versions);
    }

    /// Why nothing of the resource may be joined, if so.
    fn whole(
        &self,
        kind: Option<ResourceType>,
        object: &Object<'_, 'a>,
        (base, mine, theirs): (&Json<'a>, &Json<'a>, &Json<'a>),
    ) -> Option<Whole> {
        let Facts { touched, .. } = self.facts;
        if !touched.mine
            || !touched.theirs
            || !object.slots.iter().any(|slot| touches(self.rules, slot, Change::differs))
        {
            return None;
        }
        let Some(kind) = kind else { return Some(Whole::because(Reason::NeverJoined)) };
        let rule = self.rules.of_type(kind);
        if rule.class == Class::Immutable {
            return Some(Whole::because(Reason::Immutable));
        }
        if let Some(shown) = self.error_by(base, mine, theirs) {
            return Some(Whole { reason: Reason::EnteredInError, shown });
        }
        let is_in_conflict = |slot: &Slot<'_, '_>| slot.rule == Rule::Frame && slot.change == Change::Both;
        if object.slots.iter().any(is_in_conflict) {
            return Some(Whole::because(Reason::Frame));
        }
        if object.slots.iter().any(|slot| self.is_other_subject(slot)) {
            return Some(Whole::because(Reason::Subject));
        }
        let marks = Sides { base, mine, theirs }.map(|version| Marks::of(self.rules, version));
        let added_by_mine = marks.mine.modifiers.difference(&marks.base.modifiers);
        let added_by_them = marks.theirs.modifiers.difference(&marks.base.modifiers);
        if object.has_changed_modifier() || !added_by_mine.eq(added_by_them) {
            return Some(Whole::because(Reason::Modifier));
        }
        let is_signed = marks.base.is_signed || marks.mine.is_signed || marks.theirs.is_signed;
        let is_open = [base, mine, theirs].iter().all(|version| rule.is_open(text(version, "status")));
        let reason = match rule.class {
            _ if is_signed => Reason::Signed,
            Class::Never | Class::Immutable => Reason::NeverJoined,
            Class::Element | Class::Final if is_open => return None,
            Class::Element | Class::Final => Reason::Final,
        };
        let with_identifiers = rule.class == Class::Final && !is_signed;
        let adds = |from, to, may_drop| self.only_adds(kind, from, to, with_identifiers, may_drop);
        // A side may also have taken over all of the other and added to it: it has been merged before, which may have
        // dropped the narrative.
        let is_harmless = adds(base, mine, false)
            || adds(base, theirs, false)
            || adds(mine, theirs, true)
            || adds(theirs, mine, true);
        (!is_harmless).then(|| Whole::because(reason))
    }

    /// The side to show if one of them says that the resource was an error: that side.
    fn error_by(&self, base: &Json<'_>, mine: &Json<'_>, theirs: &Json<'_>) -> Option<Side> {
        let says = |version: &Json<'_>| {
            self.rules.errors.iter().any(|name| has_code(version, name, ENTERED_IN_ERROR))
        };
        match (says(base), says(mine), says(theirs)) {
            (false, true, false) => Some(Side::Mine),
            (false, _, true) => Some(Side::Theirs),
            _ => None,
        }
    }

    /// Whether one side changed what the resource is about, and the other did not in the same way.
    fn is_other_subject(&self, slot: &Slot<'_, 'a>) -> bool {
        let is_same = |side| slot.rule == Rule::Reference && self.same_target(slot, Side::Base, side);
        self.rules.anchors.contains(&slot.name)
            && match slot.change {
                Change::None | Change::Same => false,
                Change::Mine => !is_same(Side::Mine),
                Change::Theirs => !is_same(Side::Theirs),
                Change::Both => !is_same(Side::Mine) || !is_same(Side::Theirs),
            }
    }

    /// Whether the second version is the first one with more notes or other tags, and also with more identifiers or
    /// without a generated narrative if these count.
    fn only_adds(
        &self,
        kind: ResourceType,
        from: &Json<'a>,
        to: &Json<'a>,
        with_identifiers: bool,
        may_drop_text: bool,
    ) -> bool {
        let object = Object::new(self.rules, Some(Context::of(kind)), between(from, to));
        object.slots.iter().filter(|slot| slot.is_changed()).all(|slot| match slot.name {
            "meta" => self.changes_only_tags(slot),
            "note" => adds_items(slot),
            "text" => may_drop_text && slot.members.mine.is_empty() && is_generated(slot, Side::Theirs),
            "identifier" => with_identifiers && adds_items(slot),
            _ => false,
        })
    }

    fn changes_only_tags(&self, slot: &Slot<'_, 'a>) -> bool {
        let Rule::Meta(context) = slot.rule else { return false };
        let meta = Object::new(self.rules, Some(context), slot.values());
        let mut slots = meta.slots.iter();
        slots.all(|slot| !slot.is_changed() || slot.name == "tag" || slot.rule == Rule::Theirs)
    }
}

/// Two versions, the first one as base and theirs, so that what differs is changed by mine.
fn between<'t, 'a>(from: &'t Json<'a>, to: &'t Json<'a>) -> Sides<Option<&'t Json<'a>>> {
    Sides { base: Some(from), mine: Some(to), theirs: Some(from) }
}

/// Whether all items of the base are still there as they were.
fn adds_items(slot: &Slot<'_, '_>) -> bool {
    let Rule::List(number) = slot.rule else { return false };
    if Rules::get().list(number).kind != ListKind::Plain {
        return false;
    }
    let items = |side| side_items(slot.name, slot.members.of(side));
    let (Some(base), Some(mine)) = (items(Side::Base), items(Side::Mine)) else { return false };
    let mut left: BTreeMap<u64, Vec<Item<'_, '_>>> = BTreeMap::new();
    let hash = |item: &Item<'_, '_>| item.value.map_or(0, |value| value.hash);
    mine.into_iter().for_each(|item| left.entry(hash(&item)).or_default().push(item));
    base.iter().all(|item| {
        let found = left.get_mut(&hash(item));
        found.is_some_and(|items| items.pop_if(|other| other.same(*item)).is_some())
    })
}

fn facts(rules: &Rules, object: &Object<'_, '_>) -> Facts {
    let touched = |side| object.slots.iter().any(|slot| touches(rules, slot, |change| change.by(side)));
    let structured = |one: Change| {
        let mut told = object.slots.iter().filter(|slot| !UNTOLD.contains(&slot.name));
        told.any(|slot| slot.change == one || slot.change == Change::Both)
    };
    Facts {
        touched: Sides { base: false, mine: touched(Side::Mine), theirs: touched(Side::Theirs) },
        structured: Sides { base: false, mine: structured(Change::Mine), theirs: structured(Change::Theirs) },
    }
}

/// Whether two versions differ in anything but what a server sets.
pub(crate) fn is_touched(rules: &Rules, kind: Option<ResourceType>, from: &Json<'_>, to: &Json<'_>) -> bool {
    let object = Object::new(rules, kind.map(Context::of), between(from, to));
    object.slots.iter().any(|slot| touches(rules, slot, |change| change != Change::None))
}

/// Whether an element, or a part of it, has changed like this and is not the server's to set.
fn touches(rules: &Rules, slot: &Slot<'_, '_>, like_this: impl Fn(Change) -> bool) -> bool {
    like_this(slot.change)
        && match slot.rule {
            Rule::Theirs => false,
            Rule::Meta(context) => {
                let meta = Object::new(rules, Some(context), slot.values());
                meta.slots.iter().any(|slot| slot.rule != Rule::Theirs && like_this(slot.change))
            }
            _ => true,
        }
}

/// What anywhere in a resource keeps it from being joined.
#[derive(Default)]
struct Marks<'j> {
    /// The urls of modifier extensions.
    modifiers: BTreeSet<&'j str>,
    is_signed: bool,
}

impl<'j> Marks<'j> {
    fn of(rules: &Rules, resource: &'j Json<'_>) -> Self {
        let mut marks = Self::default();
        marks.visit(rules, resource);
        marks
    }

    fn visit(&mut self, rules: &Rules, value: &'j Json<'_>) {
        match &value.shape {
            Shape::Array(items) => items.iter().for_each(|item| self.visit(rules, item)),
            Shape::Object(members) => {
                for member in members {
                    if member.key == "modifierExtension" {
                        let items = member.value.items().unwrap_or_default().iter();
                        self.modifiers.extend(items.filter_map(|item| item.get("url")?.text()));
                    }
                    self.is_signed |= rules.signed.iter().any(|key| member.key == *key);
                    self.visit(rules, &member.value);
                }
            }
            Shape::Text(_) | Shape::Word => {}
        }
    }
}

/// The type that a resource says it has.
pub(crate) fn kind(resource: &Json<'_>) -> Option<ResourceType> {
    ResourceType::parse(text(resource, "resourceType")?)
}

fn text<'j>(resource: &'j Json<'_>, name: &str) -> Option<&'j str> {
    resource.get(name)?.text()
}

/// Whether an element is a code, or a concept with a coding of that code.
fn has_code(resource: &Json<'_>, name: &str, code: &str) -> bool {
    let Some(value) = resource.get(name) else { return false };
    let codings = value.get("coding").and_then(Json::items).unwrap_or_default();
    value.text() == Some(code) || codings.iter().any(|coding| text(coding, "code") == Some(code))
}
