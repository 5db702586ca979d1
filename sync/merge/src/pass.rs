//! One merge, as it writes its result.
//!
//! Invariant: whoever rolls back to a [`Mark`] leaves text, conflicts and decisions as they were there; the answer for
//! a conflict is found by its place among the conflicts, so it is the same in each run over the same versions.

use std::collections::{BTreeMap, BTreeSet};

use crate::conflict::{Choice, Conflict, Offer, Part, Reason};
use crate::json::{Json, Member};
use crate::object::Slot;
use crate::outcome::{Action, Decision};
use crate::rules::Rules;
use crate::sides::{Side, Sides};

/// What earlier runs over the same versions have found out.
#[derive(Default)]
pub(crate) struct Plan {
    /// The whole resource is in conflict.
    pub(crate) forced: Option<Reason>,
    /// The paths of lists whose items cannot be told apart.
    pub(crate) contested: BTreeSet<String>,
    /// The ids of contained resources that stay.
    pub(crate) kept: BTreeSet<String>,
}

/// Why an answer cannot be applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BadAnswer {
    NotOffered,
    BadValue,
}

/// What was chosen for a conflict.
pub(crate) enum Chosen<'c> {
    Side(Side),
    Both,
    Value(Json<'c>),
}

/// What the sides changed in the resource that is being merged.
#[derive(Clone, Copy, Default)]
pub(crate) struct Facts {
    /// Anything but what a server sets.
    pub(crate) touched: Sides<bool>,
    /// Anything that a narrative tells, and not as the other side did.
    pub(crate) structured: Sides<bool>,
}

pub(crate) struct Pass<'a, 'c> {
    pub(crate) rules: &'static Rules,
    /// The address of the own server.
    pub(crate) server: Option<&'c str>,
    pub(crate) plan: &'c Plan,
    answers: &'c [Choice<'c>],
    pub(crate) bad_answers: BTreeMap<usize, BadAnswer>,
    pub(crate) out: String,
    pub(crate) conflicts: Vec<Conflict<'a>>,
    pub(crate) decisions: Vec<Decision>,
    pub(crate) shown: Side,
    /// Whether both sides changed the document.
    pub(crate) is_joined: bool,
    /// Whether any list was joined item by item.
    pub(crate) has_joined_list: bool,
    pub(crate) facts: Facts,
    path: String,
}

/// A place to roll back to.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    out: usize,
    conflicts: usize,
    decisions: usize,
}

impl<'a, 'c> Pass<'a, 'c> {
    pub(crate) fn new(server: Option<&'c str>, plan: &'c Plan, answers: &'c [Choice<'c>]) -> Self {
        Self {
            rules: Rules::get(),
            server,
            plan,
            answers,
            bad_answers: BTreeMap::new(),
            out: String::new(),
            conflicts: Vec::new(),
            decisions: Vec::new(),
            shown: Side::Theirs,
            is_joined: false,
            has_joined_list: false,
            facts: Facts::default(),
            path: String::new(),
        }
    }

    pub(crate) const fn mark(&self) -> Mark {
        Mark { out: self.out.len(), conflicts: self.conflicts.len(), decisions: self.decisions.len() }
    }

    pub(crate) fn roll_back(&mut self, mark: Mark) {
        self.out.truncate(mark.out);
        self.conflicts.truncate(mark.conflicts);
        self.decisions.truncate(mark.decisions);
        self.bad_answers.split_off(&mark.conflicts);
    }

    /// Does something one element further down.
    pub(crate) fn below<T>(
        &mut self,
        step: &str,
        index: Option<usize>,
        inner: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let length = self.path.len();
        if length > 0 && !step.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(step);
        if let Some(index) = index {
            self.path.push_str(&format!("[{index}]"));
        }
        let result = inner(self);
        self.path.truncate(length);
        result
    }

    /// Whether a list turned out to have items that cannot be told apart.
    pub(crate) fn is_contested(&mut self, name: &str) -> bool {
        !self.plan.contested.is_empty()
            && self.below(name, None, |pass| pass.plan.contested.contains(&pass.path))
    }

    pub(crate) fn decide(&mut self, name: &str, action: Action) {
        let path = self.below(name, None, |pass| pass.path.clone());
        self.decisions.push(Decision { path, action });
    }

    /// Begins a member of the current object.
    pub(crate) fn begin_member(&mut self, raw_key: &str) {
        if !self.out.ends_with('{') {
            self.out.push(',');
        }
        self.out.push_str(raw_key);
        self.out.push(':');
    }

    pub(crate) fn members<'m>(&mut self, members: impl IntoIterator<Item = &'m Member<'m>>) {
        for member in members {
            self.begin_member(member.raw_key);
            self.out.push_str(member.value.raw);
        }
    }

    /// Notes a conflict; says what was chosen, or what is proposed.
    pub(crate) fn contest(
        &mut self,
        name: &str,
        reason: Reason,
        parts: Vec<Part<'a>>,
        proposal: Side,
        offer: Offer,
    ) -> Chosen<'c> {
        let position = self.conflicts.len();
        let path = self.below(name, None, |pass| pass.path.clone());
        self.conflicts.push(Conflict { path, reason, parts, proposal, offer });
        let bad = match (self.answers.get(position), offer) {
            (None, _) => return Chosen::Side(proposal),
            (Some(Choice::Theirs), _) => return Chosen::Side(Side::Theirs),
            (Some(Choice::Mine), Offer::Any | Offer::Both) => return Chosen::Side(Side::Mine),
            (Some(Choice::Both), Offer::Both) => return Chosen::Both,
            (Some(Choice::Value(bytes)), Offer::Any | Offer::Both) => {
                match std::str::from_utf8(bytes).ok().and_then(Json::read) {
                    Some(value) => return Chosen::Value(value),
                    None => BadAnswer::BadValue,
                }
            }
            _ => BadAnswer::NotOffered,
        };
        self.bad_answers.insert(position, bad);
        Chosen::Side(proposal)
    }

    /// Notes a conflict about a value: an item, an object, a resource.
    pub(crate) fn contest_value(
        &mut self,
        reason: Reason,
        versions: Sides<Option<&Json<'a>>>,
        offer: Offer,
    ) -> Chosen<'c> {
        let raw = versions.map(|version| version.map(|version| version.raw));
        self.contest("", reason, vec![Part { member: None, raw }], Side::Theirs, offer)
    }

    /// Notes a conflict about elements of the current object. `owns` tells which keys may be in an answer.
    pub(crate) fn contest_members(
        &mut self,
        name: &str,
        reason: Reason,
        slots: &[&Slot<'_, 'a>],
        owns: impl Fn(&str) -> bool,
    ) -> Chosen<'c> {
        let position = self.conflicts.len();
        let chosen = self.contest(name, reason, parts(slots), Side::Theirs, Offer::Any);
        match chosen {
            Chosen::Value(value)
                if !value.is_object() || !value.members().iter().all(|member| owns(&member.key)) =>
            {
                self.bad_answers.insert(position, BadAnswer::BadValue);
                Chosen::Side(Side::Theirs)
            }
            chosen => chosen,
        }
    }
}

/// The members of what changed, in their versions.
pub(crate) fn parts<'a>(slots: &[&Slot<'_, 'a>]) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    for slot in slots.iter().filter(|slot| slot.is_changed()) {
        let Sides { base, mine, theirs } = &slot.members;
        let keys: BTreeSet<&str> = theirs.iter().chain(mine).chain(base).map(|member| &*member.key).collect();
        for key in keys {
            let raw = |side: Side| {
                let mut members = slot.members.of(side).iter();
                members.find(|member| member.key == key).map(|member| member.value.raw)
            };
            let raw = Sides { base: raw(Side::Base), mine: raw(Side::Mine), theirs: raw(Side::Theirs) };
            parts.push(Part { member: Some(key.to_owned()), raw });
        }
    }
    parts
}
