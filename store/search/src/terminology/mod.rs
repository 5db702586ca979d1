//! What a store knows about codes: sets of them and their hierarchies.

mod code_system;
mod local;

pub use local::{Library, LocalTerminology};

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::value::System;

/// Answers questions about codes, from the ValueSets and CodeSystems of a store.
pub trait Terminology {
    /// The codes of a value set, named by its URL, with or without `|version`, or as `ValueSet/id`. None if it is not
    /// known or cannot be expanded.
    fn value_set(&self, url: &str) -> Option<Arc<CodeSet>>;

    /// The code and all below it in the hierarchy of its code system. None if the system is not known.
    fn below(&self, system: &str, code: &str) -> Option<Vec<Box<str>>>;

    /// The code and all above it in the hierarchy of its code system. None if the system is not known.
    fn above(&self, system: &str, code: &str) -> Option<Vec<Box<str>>>;
}

/// Knows no value set and no code system.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTerminology;

impl Terminology for NoTerminology {
    fn value_set(&self, _: &str) -> Option<Arc<CodeSet>> {
        None
    }

    fn below(&self, _: &str, _: &str) -> Option<Vec<Box<str>>> {
        None
    }

    fn above(&self, _: &str, _: &str) -> Option<Vec<Box<str>>> {
        None
    }
}

/// Codes with their systems. Case does not count, as in searches for tokens.
///
/// ```
/// use keepwell_search::{CodeSet, System};
/// let mut set = CodeSet::default();
/// set.insert("http://loinc.org", "8480-6");
/// assert!(set.contains(&System::Uri("http://loinc.org".into()), "8480-6"));
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CodeSet {
    codes: BTreeSet<Coded>,
    /// Systems all of whose codes belong to the set.
    systems: BTreeSet<Box<str>>,
    /// Codes of those systems that do not.
    excluded: BTreeSet<Coded>,
}

/// A system and a code in lower case.
type Coded = (Box<str>, Box<str>);

impl CodeSet {
    /// Adds a code.
    pub fn insert(&mut self, system: &str, code: &str) {
        let coded = coded(system, code);
        self.excluded.remove(&coded);
        self.codes.insert(coded);
    }

    /// Adds all codes of a system, also those that nobody lists.
    pub fn insert_system(&mut self, system: &str) {
        self.systems.insert(system.into());
        self.excluded.retain(|(other, _)| **other != *system);
    }

    /// Takes a code out.
    pub fn remove(&mut self, system: &str, code: &str) {
        let coded = coded(system, code);
        self.codes.remove(&coded);
        if self.systems.contains(system) {
            self.excluded.insert(coded);
        }
    }

    /// Takes all codes of a system out.
    pub fn remove_system(&mut self, system: &str) {
        self.systems.remove(system);
        self.codes.retain(|(other, _)| **other != *system);
        self.excluded.retain(|(other, _)| **other != *system);
    }

    /// Adds all codes of another set.
    pub fn extend(&mut self, other: &Self) {
        for system in &other.systems {
            self.insert_system(system);
        }
        for (system, code) in &other.excluded {
            if !self.codes.contains(&(system.clone(), code.clone())) {
                self.excluded.insert((system.clone(), code.clone()));
            }
        }
        for (system, code) in &other.codes {
            self.insert(system, code);
        }
    }

    /// Takes out all codes of another set.
    pub fn subtract(&mut self, other: &Self) {
        for (system, code) in &other.codes {
            self.remove(system, code);
        }
        for system in &other.systems {
            let kept: Vec<_> = other.excluded.iter().filter(|(excluded, _)| excluded == system).collect();
            let kept: Vec<_> = kept.into_iter().filter(|(_, code)| self.has(system, code)).cloned().collect();
            self.remove_system(system);
            self.codes.extend(kept);
        }
    }

    /// Leaves the codes that another set has, too.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut both = Self::default();
        for (system, code) in self.codes.iter().filter(|(system, code)| other.has(system, code)) {
            both.insert(system, code);
        }
        for (system, code) in other.codes.iter().filter(|(system, code)| self.has(system, code)) {
            both.insert(system, code);
        }
        for system in self.systems.intersection(&other.systems) {
            both.systems.insert(system.clone());
        }
        for (system, code) in self.excluded.union(&other.excluded) {
            if both.systems.contains(system) && !both.codes.contains(&(system.clone(), code.clone())) {
                both.excluded.insert((system.clone(), code.clone()));
            }
        }
        both
    }

    /// Whether the code belongs to the set. A code whose system is implicit is looked for by itself.
    #[must_use]
    pub fn contains(&self, system: &System, code: &str) -> bool {
        match system {
            System::Uri(system) => self.has(system, code),
            System::Implicit => {
                let code = code.to_lowercase();
                self.codes.iter().any(|(_, other)| **other == *code)
            }
            System::None => false,
        }
    }

    fn has(&self, system: &str, code: &str) -> bool {
        let coded = coded(system, code);
        self.codes.contains(&coded) || (self.systems.contains(system) && !self.excluded.contains(&coded))
    }

    /// The codes that are listed: system and code in lower case.
    pub fn codes(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.codes.iter().map(|(system, code)| (&**system, &**code))
    }

    /// The systems whose codes all belong to the set, but for those that are excluded.
    pub fn systems(&self) -> impl Iterator<Item = (&str, bool)> {
        self.systems
            .iter()
            .map(|system| (&**system, self.excluded.iter().any(|(excluded, _)| excluded == system)))
    }
}

fn coded(system: &str, code: &str) -> Coded {
    (system.into(), code.to_lowercase().into())
}
