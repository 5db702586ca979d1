//! Value sets and hierarchies from resources of a store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::json::{items, member, text};

use super::code_system::CodeSystem;
use super::{CodeSet, Terminology};

/// How deep value sets may include each other.
const MAX_VALUE_SET_DEPTH: usize = 16;

/// How deep the contents of an expansion may lie inside each other.
const MAX_EXPANSION_DEPTH: usize = 64;

/// Where the ValueSet and CodeSystem resources are.
pub trait Library {
    /// The ValueSet with this `url`, and this `version` if one is given.
    fn value_set(&self, url: &str, version: Option<&str>) -> Option<Vec<u8>>;

    /// The ValueSet with this id.
    fn value_set_with_id(&self, id: &str) -> Option<Vec<u8>>;

    /// The CodeSystem with this `url`.
    fn code_system(&self, url: &str) -> Option<Vec<u8>>;
}

/// Expands value sets and reads hierarchies, and remembers them: make a new one when the resources may have changed.
///
/// An expansion that a ValueSet carries is used as it is. Otherwise its definition is followed: listed codes, whole
/// systems, other value sets, and the filters `is-a`, `descendent-of`, `is-not-a`, `generalizes`, `=`, `in`, `not-in` and
/// `exists` over the concepts of local CodeSystems. What cannot be followed makes the value set unknown. A whole system
/// without a complete local CodeSystem stands for all its codes.
pub struct LocalTerminology<L> {
    library: L,
    sets: Mutex<HashMap<Box<str>, Option<Arc<CodeSet>>>>,
    systems: Mutex<HashMap<Box<str>, Option<Arc<CodeSystem>>>>,
}

impl<L: Library> LocalTerminology<L> {
    /// Reads from a library.
    pub fn new(library: L) -> Self {
        Self { library, sets: Mutex::default(), systems: Mutex::default() }
    }

    fn system(&self, url: &str) -> Option<Arc<CodeSystem>> {
        let mut systems = self.systems.lock().unwrap_or_else(PoisonError::into_inner);
        let read = || self.library.code_system(url).map(|json| Arc::new(CodeSystem::read(&json)));
        systems.entry(url.into()).or_insert_with(read).clone()
    }

    fn expand(&self, url: &str, depth: usize) -> Option<Arc<CodeSet>> {
        if let Some(known) = self.sets.lock().unwrap_or_else(PoisonError::into_inner).get(url) {
            return known.clone();
        }
        if depth > MAX_VALUE_SET_DEPTH {
            return None;
        }
        let json = match (url.strip_prefix("ValueSet/"), url.split_once('|')) {
            (Some(id), _) => self.library.value_set_with_id(id)?,
            (None, Some((url, version))) => self.library.value_set(url, Some(version))?,
            (None, None) => self.library.value_set(url, None)?,
        };
        let set = self.value_set_codes(&json, depth).map(Arc::new);
        self.sets.lock().unwrap_or_else(PoisonError::into_inner).insert(url.into(), set.clone());
        set
    }

    fn value_set_codes(&self, json: &[u8], depth: usize) -> Option<CodeSet> {
        if let Some(expansion) =
            member(json, "expansion").filter(|expansion| member(expansion, "contains").is_some())
        {
            let mut set = CodeSet::default();
            contents(expansion, &mut set, 0);
            return Some(set);
        }
        let compose = member(json, "compose")?;
        let mut set = CodeSet::default();
        for include in member(compose, "include").into_iter().flat_map(items) {
            set.extend(&self.included(include, depth)?);
        }
        for exclude in member(compose, "exclude").into_iter().flat_map(items) {
            set.subtract(&self.included(exclude, depth)?);
        }
        Some(set)
    }

    /// The codes of a system that are in all value sets, if some are named.
    fn included(&self, include: &[u8], depth: usize) -> Option<CodeSet> {
        let mut set = match member(include, "system").and_then(text) {
            Some(system) => Some(self.of_system(&system, include)?),
            None => None,
        };
        for url in member(include, "valueSet").into_iter().flat_map(items).filter_map(text) {
            let other = self.expand(&url, depth + 1)?;
            set = Some(set.map_or_else(|| CodeSet::clone(&other), |set| set.intersection(&other)));
        }
        set
    }

    fn of_system(&self, system: &str, include: &[u8]) -> Option<CodeSet> {
        let mut set = CodeSet::default();
        if let Some(concepts) = member(include, "concept") {
            for code in items(concepts).filter_map(|concept| text(member(concept, "code")?)) {
                set.insert(system, &code);
            }
            return Some(set);
        }
        let Some(filters) = member(include, "filter") else {
            match self.system(system).filter(|concepts| concepts.is_complete) {
                Some(concepts) => concepts.codes().for_each(|code| set.insert(system, code)),
                None => set.insert_system(system),
            }
            return Some(set);
        };
        // A filter over a part of the system would leave codes out.
        let concepts = self.system(system).filter(|concepts| concepts.is_complete)?;
        let mut left: Option<Vec<Box<str>>> = None;
        for filter in items(filters) {
            let part = |key| member(filter, key).and_then(text);
            let passed = concepts.filtered(&part("property")?, &part("op")?, &part("value")?)?;
            left = Some(match left {
                None => passed,
                Some(left) => left.into_iter().filter(|code| passed.contains(code)).collect(),
            });
        }
        left.unwrap_or_default().iter().for_each(|code| set.insert(system, code));
        Some(set)
    }
}

/// The codes of an expansion that can be chosen.
fn contents(json: &[u8], set: &mut CodeSet, depth: usize) {
    for entry in member(json, "contains").into_iter().flat_map(items) {
        let coded = member(entry, "system").and_then(text).zip(member(entry, "code").and_then(text));
        if let Some((system, code)) = coded.filter(|_| member(entry, "abstract") != Some(b"true")) {
            set.insert(&system, &code);
        }
        if depth < MAX_EXPANSION_DEPTH {
            contents(entry, set, depth + 1);
        }
    }
}

impl<L: Library> Terminology for LocalTerminology<L> {
    fn value_set(&self, url: &str) -> Option<Arc<CodeSet>> {
        self.expand(url, 0)
    }

    fn below(&self, system: &str, code: &str) -> Option<Vec<Box<str>>> {
        Some(self.system(system)?.below(code))
    }

    fn above(&self, system: &str, code: &str) -> Option<Vec<Box<str>>> {
        Some(self.system(system)?.above(code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::System;

    const ANIMALS: &str = r#"{"resourceType":"CodeSystem","url":"a","content":"complete","concept":[
        {"code":"mammal","concept":[{"code":"cat","property":[{"code":"legs","valueInteger":4}]},
            {"code":"Bat","property":[{"code":"legs","valueInteger":2},{"code":"parent","valueCode":"flier"}]}]},
        {"code":"flier","concept":[{"code":"owl"}]}]}"#;

    /// Each value set is its `compose`, by its name.
    struct Shelf(&'static [(&'static str, &'static str)]);

    impl Library for Shelf {
        fn value_set(&self, url: &str, _: Option<&str>) -> Option<Vec<u8>> {
            let found = self.0.iter().find(|(name, _)| *name == url)?.1;
            Some(if found.contains("expansion") {
                found.into()
            } else {
                format!(r#"{{"compose":{found}}}"#).into()
            })
        }

        fn value_set_with_id(&self, id: &str) -> Option<Vec<u8>> {
            self.value_set(id, None)
        }

        fn code_system(&self, url: &str) -> Option<Vec<u8>> {
            (url == "a").then(|| ANIMALS.into())
        }
    }

    fn check(compose: &'static str, expected: &str) {
        let sets: &'static [(&str, &str)] = Box::leak(Box::new([
            ("x", compose),
            (
                "fliers",
                r#"{"include":[{"system":"a","filter":[{"property":"concept","op":"is-a","value":"flier"}]}]}"#,
            ),
            ("round", r#"{"include":[{"valueSet":["round"]}]}"#),
        ]));
        let set = LocalTerminology::new(Shelf(sets)).value_set("x");
        let codes = set.map(|set| set.codes().map(|(_, code)| code).collect::<Vec<_>>().join(" "));
        assert_eq!(codes.as_deref().unwrap_or("unknown"), expected, "{compose}");
    }

    #[test]
    fn definitions_are_followed() {
        check(r#"{"include":[{"system":"b","concept":[{"code":"x"},{"code":"y"}]}]}"#, "x y");
        check(r#"{"include":[{"system":"a"}]}"#, "bat cat flier mammal owl");
        check(r#"{"include":[{"valueSet":["fliers"]}]}"#, "bat flier owl");
        check(
            r#"{"include":[{"system":"a","valueSet":["fliers"],"concept":[{"code":"Bat"},{"code":"cat"}]}]}"#,
            "bat",
        );
        check(r#"{"include":[{"system":"a"}],"exclude":[{"valueSet":["ValueSet/fliers"]}]}"#, "cat mammal");
    }

    #[test]
    fn filters_are_applied() {
        let one = |op: &str, property: &str, value: &str| -> &'static str {
            Box::leak(
                format!(r#"{{"include":[{{"system":"a","filter":[{{"property":"{property}","op":"{op}","value":"{value}"}}]}}]}}"#)
                    .into_boxed_str(),
            )
        };
        check(one("is-a", "concept", "mammal"), "bat cat mammal");
        check(one("descendent-of", "concept", "mammal"), "bat cat");
        check(one("is-not-a", "concept", "mammal"), "flier owl");
        check(one("generalizes", "concept", "bat"), "bat flier mammal");
        check(one("=", "legs", "4"), "cat");
        check(one("in", "legs", "2,3"), "bat");
        check(one("exists", "legs", "false"), "flier mammal owl");
        check(one("regex", "code", "b.*"), "unknown");
    }

    #[test]
    fn what_cannot_be_followed_is_unknown() {
        check(r#"{"include":[{"valueSet":["nowhere"]}]}"#, "unknown");
        check(r#"{"include":[{"valueSet":["round"]}]}"#, "unknown");
        check(
            r#"{"include":[{"system":"c","filter":[{"property":"concept","op":"is-a","value":"x"}]}]}"#,
            "unknown",
        );
        assert!(LocalTerminology::new(Shelf(&[])).value_set("x").is_none());
    }

    #[test]
    fn whole_systems_stand_for_all_their_codes() {
        let sets =
            [("x", r#"{"include":[{"system":"c"}],"exclude":[{"system":"c","concept":[{"code":"no"}]}]}"#)];
        let set = LocalTerminology::new(Shelf(Box::leak(Box::new(sets)))).value_set("x").expect("a set");
        let c = System::Uri("c".into());
        assert!(set.contains(&c, "Yes") && !set.contains(&c, "NO") && !set.contains(&System::None, "yes"));
        assert_eq!(set.systems().collect::<Vec<_>>(), [("c", true)]);
    }

    #[test]
    fn expansions_are_taken_as_they_are() {
        let json = r#"{"expansion":{"contains":[{"system":"s","code":"a","abstract":true,
            "contains":[{"system":"s","code":"b"}]}]},"compose":{"include":[{"valueSet":["nowhere"]}]}}"#;
        let set =
            LocalTerminology::new(Shelf(Box::leak(Box::new([("x", json)])))).value_set("x").expect("a set");
        assert_eq!(set.codes().collect::<Vec<_>>(), [("s", "b")]);
    }

    #[test]
    fn hierarchies_go_up_and_down() {
        let terminology = LocalTerminology::new(Shelf(&[]));
        let sorted = |codes: Option<Vec<Box<str>>>| {
            let mut codes = codes.expect("the system is known");
            codes.sort();
            codes.join(" ")
        };
        assert_eq!(sorted(terminology.below("a", "Mammal")), "bat cat mammal");
        assert_eq!(sorted(terminology.above("a", "bat")), "bat flier mammal");
        assert_eq!(sorted(terminology.below("a", "stranger")), "stranger");
        assert_eq!(terminology.above("b", "x"), None);
    }
}
