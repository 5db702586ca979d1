//! The laws that hold for every three versions of a resource.

use std::collections::{BTreeMap, BTreeSet};

use keepwell_fhir::{Severity, Walker};
use keepwell_merge::{Choice, Conflict, Merged, Merger, Offer, Outcome, Resolution, ResolveError, Side};
use serde_json::Value;

use crate::random::Random;

/// Three versions of a resource, as bytes.
pub(crate) struct Case {
    pub(crate) base: Vec<u8>,
    pub(crate) mine: Vec<u8>,
    pub(crate) theirs: Vec<u8>,
}

/// What went through a law, to see that the cases are worth something.
#[derive(Default, Debug)]
pub(crate) struct Tally {
    pub(crate) merged: usize,
    pub(crate) from_both: usize,
    pub(crate) conflicted: usize,
}

impl Case {
    pub(crate) fn new(base: &Value, mine: &Value, theirs: &Value) -> Self {
        Self { base: bytes(base), mine: bytes(mine), theirs: bytes(theirs) }
    }

    fn show(&self) -> String {
        let [base, mine, theirs] =
            [&self.base, &self.mine, &self.theirs].map(|json| String::from_utf8_lossy(json).into_owned());
        format!("\nbase   {base}\nmine   {mine}\ntheirs {theirs}\n")
    }

    fn swapped(&self) -> Self {
        Self { base: self.base.clone(), mine: self.theirs.clone(), theirs: self.mine.clone() }
    }

    pub(crate) fn merge(&self) -> Outcome<'_> {
        merge(&self.base, &self.mine, &self.theirs)
    }

    /// Checks M1 to M8 and M11.
    pub(crate) fn check(&self, tally: &mut Tally) {
        self.one_side_alone_is_taken();
        let outcome = self.merge();
        self.both_orders_agree(&outcome);
        match &outcome {
            Outcome::Merged(merged) => {
                tally.merged += 1;
                let result = merged.bytes.as_deref().expect("nothing was deleted");
                tally.from_both += usize::from(result != self.mine && result != self.theirs);
                self.merging_again_changes_nothing(result);
                self.nothing_is_invented_or_lost(result, &[]);
                self.no_key_is_there_twice(result);
                self.stays_valid(result);
            }
            Outcome::Conflicted(conflicted) => {
                tally.conflicted += 1;
                assert!(!conflicted.conflicts.is_empty());
                let proposal = conflicted.proposal.as_deref().expect("nothing was deleted");
                self.nothing_is_invented_or_lost(proposal, &conflicted.conflicts);
                self.no_key_is_there_twice(proposal);
                self.stays_valid(proposal);
                self.a_person_can_resolve(&conflicted.conflicts, proposal);
            }
        }
    }

    /// M1, M2, M3: byte for byte.
    fn one_side_alone_is_taken(&self) {
        let Self { base, mine, theirs } = self;
        for (one, two, expected) in [(mine, base, mine), (base, theirs, theirs), (mine, mine, mine)] {
            let Outcome::Merged(merged) = merge(base, one, two) else {
                panic!("a conflict with one side alone")
            };
            assert_eq!(merged.bytes.as_deref(), Some(&expected[..]));
        }
    }

    /// M4 and M5.
    fn both_orders_agree(&self, outcome: &Outcome<'_>) {
        let swapped = self.swapped();
        match (outcome, &swapped.merge()) {
            (Outcome::Merged(one), Outcome::Merged(two)) => {
                assert_eq!(canonical(result(one)), canonical(result(two)), "M4 {}", self.show());
            }
            (Outcome::Conflicted(one), Outcome::Conflicted(two)) => {
                let swap = |text: String| text;
                let one: BTreeSet<String> =
                    one.conflicts.iter().map(|conflict| describe(conflict, false)).map(swap).collect();
                let two: BTreeSet<String> =
                    two.conflicts.iter().map(|conflict| describe(conflict, true)).collect();
                assert_eq!(one, two, "M5 {}", self.show());
            }
            (one, two) => {
                panic!("M5: only one order is in conflict: {} {} {}", show(one), show(two), self.show())
            }
        }
    }

    /// M6, from both sides.
    fn merging_again_changes_nothing(&self, result: &[u8]) {
        for (mine, theirs) in [(result, &self.theirs[..]), (&self.mine[..], result)] {
            let outcome = merge(&self.base, mine, theirs);
            let Outcome::Merged(again) = &outcome else { panic!("M6: {} {}", show(&outcome), self.show()) };
            assert_eq!(
                canonical(again.bytes.as_deref().expect("a resource")),
                canonical(result),
                "M6 {}",
                self.show()
            );
        }
    }

    /// M7.
    fn nothing_is_invented_or_lost(&self, result: &[u8], conflicts: &[Conflict<'_>]) {
        let [base, mine, theirs, result] =
            [&self.base, &self.mine, &self.theirs, &result.to_vec()].map(|json| leaves(json));
        let invented: Vec<_> =
            result.keys().filter(|leaf| !mine.contains_key(leaf) && !theirs.contains_key(leaf)).collect();
        assert!(invented.is_empty(), "M7: invented {invented:?} {}", self.show());
        let contested: BTreeSet<String> = conflicts
            .iter()
            .flat_map(|conflict| &conflict.parts)
            .flat_map(|part| [part.raw.base, part.raw.mine, part.raw.theirs])
            .flatten()
            .flat_map(|raw| leaves(raw.as_bytes()))
            .map(|((_, value), _)| value)
            .collect();
        for (side, raw, one, other) in
            [("mine", &self.mine, &mine, &theirs), ("theirs", &self.theirs, &theirs, &mine)]
        {
            for (leaf, count) in one.iter() {
                let of = |leaves: &Leaves| leaves.get(leaf).copied().unwrap_or(0);
                let removed = of(&base).saturating_sub(of(other));
                // The same value may have gone here and come there.
                if of(&result) > 0 || removed >= *count {
                    continue;
                }
                // A narrative that can be made again from the data.
                let status = parse(raw)["text"]["status"].clone();
                let dropped = leaf.0.starts_with(".text.") && status == "generated";
                let is_servers =
                    ["versionId", "lastUpdated", "lastModified"].iter().any(|name| leaf.0.ends_with(name));
                assert!(
                    dropped || is_servers || contested.contains(&leaf.1),
                    "M7: lost of {side}: {leaf:?} {}",
                    self.show()
                );
            }
        }
    }

    /// M8, unless a side has the key as often.
    fn no_key_is_there_twice(&self, result: &[u8]) {
        for (list, members) in [
            ("telecom", &["system", "use", "value"][..]),
            ("identifier", &["system", "value"]),
            ("entry", &["item"]),
        ] {
            let of = |json: &[u8]| {
                let json: Value = parse(json);
                let items = json[list].as_array().cloned().unwrap_or_default();
                items.iter().map(|item| members.iter().map(|key| item[key].to_string()).collect()).collect()
            };
            let [mine, theirs, found]: [Vec<Vec<String>>; 3] = [of(&self.mine), of(&self.theirs), of(result)];
            for key in &found {
                let count = |keys: &[Vec<String>]| keys.iter().filter(|other| *other == key).count();
                let most = count(&mine).max(count(&theirs)).max(1);
                assert!(count(&found) <= most, "M8: {list} {key:?}");
            }
        }
    }

    /// M11.
    fn stays_valid(&self, result: &[u8]) {
        if is_valid(&self.mine) && is_valid(&self.theirs) {
            assert!(is_valid(result), "M11");
        }
    }

    /// The proposals give the proposal; every other choice gives a resource or says why not.
    fn a_person_can_resolve(&self, conflicts: &[Conflict<'_>], proposal: &[u8]) {
        let with = |choice: fn(&Conflict<'_>) -> Choice<'static>| {
            let resolutions: Vec<_> = conflicts
                .iter()
                .map(|conflict| Resolution { path: &conflict.path, choice: choice(conflict) })
                .collect();
            let versions = (Some(&self.base[..]), Some(&self.mine[..]), Some(&self.theirs[..]));
            Merger::new().resolve(versions.0, versions.1, versions.2, &resolutions)
        };
        let proposed = with(|conflict| match conflict.proposal {
            Side::Mine => Choice::Mine,
            _ => Choice::Theirs,
        });
        match proposed {
            Ok(merged) => assert_eq!(merged.bytes.as_deref(), Some(proposal)),
            Err(error) => assert!(matches!(error, ResolveError::Invalid { .. }), "{error:?}"),
        }
        let is_fixed = conflicts.iter().any(|conflict| conflict.offer == Offer::Theirs);
        match with(|_| Choice::Mine) {
            Err(ResolveError::NotOffered { .. }) => assert!(is_fixed),
            Ok(_) | Err(ResolveError::Invalid { .. }) => assert!(!is_fixed),
            Err(error) => panic!("{error:?}"),
        }
        let others = [Resolution { path: "Nothing", choice: Choice::Theirs }];
        let versions = (Some(&self.base[..]), Some(&self.mine[..]), Some(&self.theirs[..]));
        let refused = Merger::new().resolve(versions.0, versions.1, versions.2, &others);
        assert_eq!(refused, Err(ResolveError::OtherConflicts));
    }

    /// M9 for the members of objects, and for the lists with these names at the top.
    pub(crate) fn order_does_not_matter(&self, random: &mut Random, lists: &[&str]) {
        let mut shuffled = |json: &[u8]| {
            let mut value = parse(json);
            shuffle_members(random, &mut value);
            for list in lists {
                if let Some(Value::Array(items)) = value.get_mut(*list) {
                    random.shuffle(items);
                }
            }
            bytes(&value)
        };
        let other =
            Self { base: shuffled(&self.base), mine: shuffled(&self.mine), theirs: shuffled(&self.theirs) };
        match (&self.merge(), &other.merge()) {
            (Outcome::Merged(one), Outcome::Merged(two)) => {
                assert_eq!(canonical(result(one)), canonical(result(two)), "M9");
            }
            (Outcome::Conflicted(one), Outcome::Conflicted(two)) => {
                let of = |conflicts: &[Conflict<'_>]| -> BTreeSet<String> {
                    conflicts.iter().map(|conflict| describe(conflict, false)).collect()
                };
                assert_eq!(of(&one.conflicts), of(&two.conflicts), "M9");
            }
            (one, two) => {
                panic!("M9: only one order: {} {} {} {}", show(one), show(two), self.show(), other.show())
            }
        }
    }
}

fn merge<'a>(base: &'a [u8], mine: &'a [u8], theirs: &'a [u8]) -> Outcome<'a> {
    Merger::new().merge(Some(base), Some(mine), Some(theirs)).expect("versions of one resource")
}

fn result<'m>(merged: &'m Merged<'_>) -> &'m [u8] {
    merged.bytes.as_deref().expect("a resource")
}

fn show(outcome: &Outcome<'_>) -> String {
    match outcome {
        Outcome::Merged(merged) => format!("\nmerged {}", String::from_utf8_lossy(result(merged))),
        Outcome::Conflicted(conflicted) => format!("\nconflicts {:?}", conflicted.conflicts),
    }
}

/// A conflict without the places in lists, which count by side.
fn describe(conflict: &Conflict<'_>, is_swapped: bool) -> String {
    let path: String = conflict.path.chars().filter(|char| !char.is_ascii_digit()).collect();
    let mut parts: Vec<String> = conflict
        .parts
        .iter()
        .map(|part| {
            let of = |raw: Option<&str>| raw.map(|raw| canonical(raw.as_bytes()));
            let (mut mine, mut theirs) = (of(part.raw.mine), of(part.raw.theirs));
            if is_swapped {
                std::mem::swap(&mut mine, &mut theirs);
            }
            format!("{:?} {:?} {mine:?} {theirs:?}", part.member, of(part.raw.base))
        })
        .collect();
    parts.sort();
    format!("{path} {:?} {parts:?}", conflict.reason)
}

pub(crate) fn parse(json: &[u8]) -> Value {
    serde_json::from_slice(json).expect("JSON")
}

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("a value is JSON")
}

pub(crate) fn is_valid(json: &[u8]) -> bool {
    let mut walker = Walker::new();
    let walk = walker.walk(json).expect("a resource");
    walk.issues.iter().all(|issue| !matches!(issue.severity, Severity::Error | Severity::Fatal))
}

/// What a resource says, whatever the order of members and of lists of objects, and without what only servers set.
fn canonical(json: &[u8]) -> Value {
    let mut value = parse(json);
    sort(&mut value);
    value
}

fn sort(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for name in ["versionId", "lastUpdated", "lastModified"] {
                members.shift_remove(name);
            }
            members.retain(|_, member| {
                member
                    .as_object()
                    .is_none_or(|member| member.keys().any(|key| key != "versionId" && key != "lastUpdated"))
            });
            members.sort_keys();
            if let Some(Value::Array(profiles)) = members.get_mut("profile") {
                profiles.sort_by_key(Value::to_string);
            }
            members.values_mut().for_each(sort);
        }
        Value::Array(items) => {
            items.iter_mut().for_each(sort);
            if items.iter().all(Value::is_object) {
                items.sort_by_key(Value::to_string);
            }
        }
        _ => {}
    }
}

/// How often a primitive value stands at a path, without the places in lists.
type Leaves = BTreeMap<(String, String), usize>;

fn leaves(json: &[u8]) -> Leaves {
    let mut leaves = Leaves::new();
    collect(&parse(json), &mut String::new(), &mut leaves);
    leaves
}

fn collect(value: &Value, path: &mut String, leaves: &mut Leaves) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let length = path.len();
                path.push('.');
                path.push_str(key);
                collect(member, path, leaves);
                path.truncate(length);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, path, leaves)),
        leaf => *leaves.entry((path.clone(), leaf.to_string())).or_default() += 1,
    }
}

fn shuffle_members(random: &mut Random, value: &mut Value) {
    match value {
        Value::Object(members) => {
            let mut keys: Vec<Value> = members.keys().map(|key| Value::String(key.clone())).collect();
            random.shuffle(&mut keys);
            for key in keys.iter().filter_map(Value::as_str) {
                if let Some(member) = members.shift_remove(key) {
                    members.insert(key.to_owned(), member);
                }
            }
            members.values_mut().for_each(|member| shuffle_members(random, member));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| shuffle_members(random, item)),
        _ => {}
    }
}
