//! The hierarchy of a CodeSystem resource.
//!
//! A concept is below the ones it lies in, and below those that its property `parent` or `subsumedBy` names, or whose
//! property `child` names it.

use std::collections::{BTreeMap, BTreeSet};

use crate::json::{items, member, members, text};

/// How deep concepts may lie inside each other; deeper ones are left out.
const MAX_CONCEPT_DEPTH: usize = 64;

/// The concepts of a code system by their codes in lower case, and how they hang together.
#[derive(Debug, Default)]
pub(super) struct CodeSystem {
    concepts: BTreeMap<Box<str>, Concept>,
    /// Whether all concepts of the system are there.
    pub(super) is_complete: bool,
}

#[derive(Debug, Default)]
struct Concept {
    parents: BTreeSet<Box<str>>,
    children: BTreeSet<Box<str>>,
    /// Names and values of properties, values as text.
    properties: Vec<(Box<str>, Box<str>)>,
}

impl CodeSystem {
    /// Reads a CodeSystem resource.
    pub(super) fn read(json: &[u8]) -> Self {
        let content = member(json, "content").and_then(text);
        let mut system = Self { is_complete: content.as_deref() == Some("complete"), ..Self::default() };
        for concept in member(json, "concept").into_iter().flat_map(items) {
            system.add(concept, None, 0);
        }
        system.link();
        system
    }

    fn add(&mut self, json: &[u8], parent: Option<&str>, depth: usize) {
        let Some(code) = member(json, "code").and_then(text).map(|code| code.to_lowercase()) else { return };
        let concept = self.concepts.entry(code.as_str().into()).or_default();
        concept.parents.extend(parent.map(Box::from));
        for property in member(json, "property").into_iter().flat_map(items) {
            let name = member(property, "code").and_then(text);
            let value = members(property)
                .find(|(key, _)| key.starts_with(b"value"))
                .and_then(|(_, value)| plain(value));
            concept.properties.extend(name.map(|name| name.into()).zip(value));
        }
        if depth < MAX_CONCEPT_DEPTH {
            for child in member(json, "concept").into_iter().flat_map(items) {
                self.add(child, Some(&code), depth + 1);
            }
        }
    }

    /// Makes each edge known at both of its ends.
    fn link(&mut self) {
        let mut edges = Vec::new();
        for (code, concept) in &self.concepts {
            edges.extend(concept.parents.iter().map(|parent| (parent.clone(), code.clone())));
            for (name, value) in &concept.properties {
                let value: Box<str> = value.to_lowercase().into();
                match &**name {
                    "parent" | "subsumedBy" => edges.push((value, code.clone())),
                    "child" => edges.push((code.clone(), value)),
                    _ => {}
                }
            }
        }
        for (parent, child) in edges {
            if self.concepts.contains_key(&parent) && self.concepts.contains_key(&child) {
                self.concepts.entry(parent.clone()).or_default().children.insert(child.clone());
                self.concepts.entry(child).or_default().parents.insert(parent);
            }
        }
    }

    /// All codes.
    pub(super) fn codes(&self) -> impl Iterator<Item = &str> {
        self.concepts.keys().map(|code| &**code)
    }

    /// The code and all below it.
    pub(super) fn below(&self, code: &str) -> Vec<Box<str>> {
        self.closure(code, |concept| &concept.children)
    }

    /// The code and all above it.
    pub(super) fn above(&self, code: &str) -> Vec<Box<str>> {
        self.closure(code, |concept| &concept.parents)
    }

    /// Hierarchies may have cycles, if they are wrong: each concept is visited once.
    fn closure(&self, code: &str, next: impl Fn(&Concept) -> &BTreeSet<Box<str>>) -> Vec<Box<str>> {
        let mut found = vec![Box::from(code.to_lowercase())];
        let mut seen: BTreeSet<Box<str>> = found.iter().cloned().collect();
        let mut at = 0;
        while let Some(code) = found.get(at) {
            at += 1;
            let more = self.concepts.get(code).map(&next).into_iter().flatten();
            let more: Vec<_> = more.filter(|code| seen.insert((*code).clone())).cloned().collect();
            found.extend(more);
        }
        found
    }

    /// The codes that pass a filter of a value set; none if the filter is not supported.
    pub(super) fn filtered(&self, property: &str, operator: &str, value: &str) -> Option<Vec<Box<str>>> {
        let is_concept = matches!(property, "concept" | "code");
        let all = || self.concepts.keys().cloned();
        let among = |codes: &[Box<str>]| all().filter(|code| codes.contains(code)).collect();
        let has = |code: &str, wanted: &dyn Fn(&str) -> bool| {
            let concept = self.concepts.get(code);
            concept.is_some_and(|concept| {
                concept.properties.iter().any(|(name, value)| &**name == property && wanted(value))
            })
        };
        let listed = |wanted: &str| value.split(',').any(|value| value.trim() == wanted);
        let listed_code = |code: &str| value.split(',').any(|value| value.trim().to_lowercase() == *code);
        Some(match (operator, is_concept) {
            ("is-a", true) => among(&self.below(value)),
            ("descendent-of", true) => {
                let mut below = self.below(value);
                below.remove(0);
                among(&below)
            }
            ("is-not-a", true) => {
                let below = self.below(value);
                all().filter(|code| !below.contains(code)).collect()
            }
            ("generalizes", true) => among(&self.above(value)),
            ("=" | "in", true) => all().filter(|code| listed_code(code)).collect(),
            ("not-in", true) => all().filter(|code| !listed_code(code)).collect(),
            ("=", false) => all().filter(|code| has(code, &|found| found == value)).collect(),
            ("in", false) => all().filter(|code| has(code, &listed)).collect(),
            ("not-in", false) => all().filter(|code| !has(code, &listed)).collect(),
            ("exists", false) => {
                let wanted = value == "true";
                all().filter(|code| has(code, &|_| true) == wanted).collect()
            }
            _ => return None,
        })
    }
}

/// A string, number or boolean as text; of a Coding the code.
fn plain(json: &[u8]) -> Option<Box<str>> {
    match json.first()? {
        b'"' => text(json).map(Box::from),
        b'{' => member(json, "code").and_then(text).map(Box::from),
        _ => std::str::from_utf8(json).ok().map(Box::from),
    }
}
