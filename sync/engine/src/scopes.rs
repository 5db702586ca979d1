//! The scopes that are held, as the table has them.
//!
//! Invariant: while an engine lives, nobody else writes that table, so it is read once; whatever fails after a change
//! here makes the caller begin with a new engine.

use std::collections::BTreeMap;

use keepwell_protocol::{Grant, Hydration, Scope, ScopeSet};

use crate::replica::{HeldScope, Replica};

/// The rows of the table, and what every request says of them.
#[derive(Debug, Default)]
pub(crate) struct Scopes {
    rows: BTreeMap<Scope, HeldScope>,
    /// The set of those that have been read up to the cursor, until a row changes.
    read: Option<ScopeSet>,
}

impl Scopes {
    pub(crate) fn load<R: Replica>(replica: &mut R) -> Result<Self, R::Error> {
        let rows = replica.scopes()?.into_iter().map(|held| (held.scope.clone(), held)).collect();
        Ok(Self { rows, read: None })
    }

    pub(crate) fn get(&self, scope: &Scope) -> Option<&HeldScope> {
        self.rows.get(scope)
    }

    pub(crate) fn holds(&self, scope: &Scope) -> bool {
        self.rows.contains_key(scope)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &HeldScope> {
        self.rows.values()
    }

    /// Writes a row, here and there.
    pub(crate) fn set<R: Replica>(&mut self, replica: &mut R, held: HeldScope) -> Result<(), R::Error> {
        replica.set_scope(&held)?;
        self.read = None;
        self.rows.insert(held.scope.clone(), held);
        Ok(())
    }

    /// Forgets a row here; there it goes when it has no members any more.
    pub(crate) fn forget(&mut self, scope: &Scope) {
        self.read = None;
        self.rows.remove(scope);
    }

    /// The set of the scopes that have been read up to the cursor.
    pub(crate) fn read(&mut self) -> ScopeSet {
        let rows = &self.rows;
        let set = || {
            let read = rows.values().filter(|held| held.position.is_none());
            let grants: Vec<Grant> = read.map(|held| Grant(held.scope.clone(), held.generation)).collect();
            ScopeSet::of(&grants)
        };
        *self.read.get_or_insert_with(set)
    }

    /// Those that have been read up to another position.
    pub(crate) fn hydrating(&self) -> impl Iterator<Item = Hydration> {
        self.iter().filter_map(|held| Some(Hydration(held.scope.clone(), held.generation, held.position?)))
    }
}
