//! Scopes: the units of access and of replication, with the generation in which access was given.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::hash::Hash;
use crate::id::Id;
use crate::number::{Generation, Position};
use crate::text::as_text;

/// The longest kind of scope, in bytes.
const KIND_BYTES_MAX: usize = 32;

/// A unit of access: `Patient/<id>`, `dir/<name>`, `lib/<name>` or `user/<id>`. A device need not know what a kind
/// means, so servers may have more of them.
///
/// ```
/// use keepwell_protocol::Scope;
/// let scope: Scope = "Patient/123".parse()?;
/// assert_eq!((scope.kind(), scope.name()), ("Patient", "123"));
/// # Ok::<(), keepwell_protocol::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(Box<str>);

impl Scope {
    /// The compartment of a patient.
    #[must_use]
    pub fn patient(id: &Id) -> Self {
        Self(format!("Patient/{id}").into())
    }

    /// Organisations, practitioners, locations.
    #[must_use]
    pub fn directory(name: &Id) -> Self {
        Self(format!("dir/{name}").into())
    }

    /// Terminology, questionnaires.
    #[must_use]
    pub fn library(name: &Id) -> Self {
        Self(format!("lib/{name}").into())
    }

    /// A user's own tasks.
    #[must_use]
    pub fn user(id: &Id) -> Self {
        Self(format!("user/{id}").into())
    }

    /// The part before the slash.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    /// The part behind it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split('/').nth(1).unwrap_or_default()
    }

    /// Both.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Scope {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (kind, name) = text.split_once('/').ok_or(Error::MALFORMED)?;
        let kind_fits =
            (1..=KIND_BYTES_MAX).contains(&kind.len()) && kind.bytes().all(|byte| byte.is_ascii_alphabetic());
        if kind_fits && keepwell_fhir::valid_id(name) { Ok(Self(text.into())) } else { Err(Error::MALFORMED) }
    }
}

as_text!(Scope);

/// Access to a scope, as `["Patient/123",4]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Grant(pub Scope, pub Generation);

/// A scope that is being fetched from the start, as `["Patient/123",4,0]`: granted in that generation, read up to
/// that position.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Hydration(pub Scope, pub Generation, pub Position);

/// A set of grants, as `[2,"<digest>"]`: how many they are, and the SHA-256 of the lines
/// `<scope> <generation>\n`, sorted by their bytes. A server compares it with its own.
///
/// ```
/// use keepwell_protocol::{Generation, Grant, ScopeSet};
/// let grant = |scope: &str| Grant(scope.parse().expect("a scope"), Generation::ZERO);
/// let (a, b) = (grant("Patient/1"), grant("Patient/2"));
/// assert_eq!(ScopeSet::of([&a, &b]), ScopeSet::of([&b, &a]));
/// assert_ne!(ScopeSet::of([&a]), ScopeSet::of([&b]));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ScopeSet(u32, Hash);

impl ScopeSet {
    /// The set of these grants, in any order.
    pub fn of<'a>(grants: impl IntoIterator<Item = &'a Grant>) -> Self {
        let mut lines: Vec<String> = grants
            .into_iter()
            .map(|Grant(scope, generation)| format!("{scope} {}\n", generation.get()))
            .collect();
        lines.sort_unstable();
        let n = u32::try_from(lines.len()).unwrap_or(u32::MAX);
        Self(n, Hash::of(lines.concat().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_a_kind_and_an_id() {
        let id: Id = "a-1.B".parse().unwrap();
        for scope in [Scope::patient(&id), Scope::directory(&id), Scope::library(&id), Scope::user(&id)] {
            assert_eq!(scope.as_str().parse(), Ok(scope.clone()));
            assert_eq!(scope.name(), "a-1.B");
        }
        for text in ["", "/", "Patient", "Patient/", "/1", "Patient/1/2", "Patient/a b", "pa-tient/1"] {
            assert_eq!(text.parse::<Scope>(), Err(Error::MALFORMED), "{text}");
        }
    }

    #[test]
    fn a_new_generation_is_another_set() {
        let grant = |generation| Grant("Patient/1".parse().unwrap(), Generation::new(generation).unwrap());
        assert_ne!(ScopeSet::of([&grant(1)]), ScopeSet::of([&grant(2)]));
    }
}
