//! A replica in memory, for tests and simulations.
//!
//! A copy of it is the device's database at that moment: to go back to one is a crash before a commit, a restore or a
//! clone.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ops::Bound;
use std::sync::Arc;

use keepwell_fhir::Instant;
use keepwell_protocol::{
    Blob, Body, Digest, Frozen, Hash, Id, Member, Position, ResourceKey, Row, Scope, Sequence, Version,
};

use crate::replica::{Base, BlobState, ConflictRecord, Dirty, HeldScope, Known, Replica};
use crate::tokens::tokens;

/// Tables in memory. Nothing here fails, so a transaction is a copy that is taken back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemoryReplica {
    content: BTreeMap<ResourceKey, Body>,
    known: BTreeMap<ResourceKey, Known>,
    unplaced: BTreeSet<(Position, ResourceKey)>,
    bases: BTreeMap<ResourceKey, Base>,
    orders: BTreeMap<u64, ResourceKey>,
    mutations: BTreeMap<Sequence, Frozen>,
    in_flight: BTreeMap<ResourceKey, Sequence>,
    scopes: BTreeMap<Scope, HeldScope>,
    digests: BTreeMap<Scope, Digest>,
    members: BTreeMap<Scope, BTreeMap<ResourceKey, u64>>,
    memberships: BTreeMap<ResourceKey, BTreeSet<Scope>>,
    held: BTreeMap<ResourceKey, Row>,
    stage: BTreeMap<u64, Row>,
    staged: u64,
    conflicts: Vec<ConflictRecord>,
    blobs: BTreeMap<Hash, BlobState>,
    bytes: BTreeMap<Hash, Arc<Vec<u8>>>,
    state: Option<Vec<u8>>,
}

impl MemoryReplica {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Saves a resource as a person does; none to delete it. The caller notes it with [`crate::edited()`].
    pub fn save(&mut self, key: &ResourceKey, body: Option<Body>) {
        match body {
            Some(body) => self.content.insert(key.clone(), body),
            None => self.content.remove(key),
        };
    }

    /// Has the content of an attachment, as if a person had attached it.
    pub fn attach(&mut self, content: &[u8]) {
        self.bytes.insert(Hash::of(content), Arc::new(content.to_vec()));
    }

    /// What is here of an attachment's content.
    #[must_use]
    pub fn attached(&self, hash: &Hash) -> Option<&[u8]> {
        self.bytes.get(hash).map(|bytes| &bytes[..])
    }

    /// All resources that readers see.
    pub fn contents(&self) -> impl Iterator<Item = (&ResourceKey, &Body)> {
        self.content.iter()
    }

    /// All that is known of the server.
    pub fn all_known(&self) -> impl Iterator<Item = (&ResourceKey, &Known)> {
        self.known.iter()
    }

    /// All bases.
    pub fn bases(&self) -> impl Iterator<Item = (&ResourceKey, &Base)> {
        self.bases.iter()
    }

    /// All mutations that are frozen.
    pub fn frozen(&self) -> impl Iterator<Item = &Frozen> {
        self.mutations.values()
    }

    /// The members of a scope.
    pub fn members_of(&self, scope: &Scope) -> impl Iterator<Item = &ResourceKey> {
        self.members.get(scope).into_iter().flat_map(BTreeMap::keys)
    }

    /// Scopes that have members.
    pub fn scopes_with_members(&self) -> impl Iterator<Item = &Scope> {
        self.members.iter().filter(|(_, members)| !members.is_empty()).map(|(scope, _)| scope)
    }

    /// The rows that are held back.
    pub fn held_rows(&self) -> impl Iterator<Item = &Row> {
        self.held.values()
    }

    /// The rows that wait for a checkpoint.
    pub fn staged_rows(&self) -> impl Iterator<Item = &Row> {
        self.stage.values()
    }

    /// All records of edits that lost.
    pub fn conflicts(&self) -> &[ConflictRecord] {
        &self.conflicts
    }
}

impl Replica for MemoryReplica {
    type Error = Infallible;

    fn content(&mut self, key: &ResourceKey) -> Result<Option<Body>, Infallible> {
        Ok(self.content.get(key).cloned())
    }

    fn put(
        &mut self,
        key: &ResourceKey,
        body: &Body,
        _: Option<Version>,
        _: Option<Instant>,
    ) -> Result<(), Infallible> {
        self.content.insert(key.clone(), body.clone());
        Ok(())
    }

    fn delete(&mut self, key: &ResourceKey, _: Version, _: Option<Instant>) -> Result<(), Infallible> {
        self.content.remove(key);
        Ok(())
    }

    fn accepted(&mut self, _: &ResourceKey, _: Version) -> Result<(), Infallible> {
        Ok(())
    }

    fn purge(&mut self, key: &ResourceKey) -> Result<(), Infallible> {
        self.content.remove(key);
        Ok(())
    }

    fn known(&mut self, key: &ResourceKey) -> Result<Option<Known>, Infallible> {
        Ok(self.known.get(key).cloned())
    }

    fn set_known(&mut self, key: &ResourceKey, known: Option<&Known>) -> Result<(), Infallible> {
        let before = match known {
            Some(known) => self.known.insert(key.clone(), known.clone()),
            None => self.known.remove(key),
        };
        if let Some(position) = before.and_then(|before| before.unplaced) {
            self.unplaced.remove(&(position, key.clone()));
        }
        if let Some(position) = known.and_then(|known| known.unplaced) {
            self.unplaced.insert((position, key.clone()));
        }
        Ok(())
    }

    fn doubt(&mut self) -> Result<(), Infallible> {
        for known in self.known.values_mut() {
            known.doubtful = true;
            known.unplaced = known.unplaced.map(|_| Position::ZERO);
        }
        let keys = std::mem::take(&mut self.unplaced);
        self.unplaced = keys.into_iter().map(|(_, key)| (Position::ZERO, key)).collect();
        Ok(())
    }

    fn unplaced(&mut self, upto: Position, limit: usize) -> Result<Vec<ResourceKey>, Infallible> {
        let rows = self.unplaced.iter().take_while(|(position, _)| *position <= upto);
        Ok(rows.take(limit).map(|(_, key)| key.clone()).collect())
    }

    fn base(&mut self, key: &ResourceKey) -> Result<Option<Base>, Infallible> {
        Ok(self.bases.get(key).cloned())
    }

    fn set_base(&mut self, key: &ResourceKey, base: Option<&Base>) -> Result<(), Infallible> {
        let before = match base {
            Some(base) => self.bases.insert(key.clone(), base.clone()),
            None => self.bases.remove(key),
        };
        if let Some(before) = before {
            self.orders.remove(&before.order);
        }
        if let Some(base) = base {
            self.orders.insert(base.order, key.clone());
        }
        Ok(())
    }

    fn unite(&mut self, from: u64, to: u64) -> Result<(), Infallible> {
        for base in self.bases.values_mut().filter(|base| base.group == Some(from)) {
            base.group = Some(to);
        }
        Ok(())
    }

    fn dirty(&mut self, after: u64, limit: usize) -> Result<Vec<Dirty>, Infallible> {
        let rows = self.orders.range((Bound::Excluded(after), Bound::Unbounded)).take(limit);
        let dirty = |(order, key): (&u64, &ResourceKey)| Dirty {
            key: key.clone(),
            order: *order,
            group: self.bases.get(key).and_then(|base| base.group),
        };
        Ok(rows.map(dirty).collect())
    }

    fn group(&mut self, group: u64) -> Result<Vec<ResourceKey>, Infallible> {
        let is_in = |key: &&ResourceKey| self.bases.get(*key).is_some_and(|base| base.group == Some(group));
        Ok(self.orders.values().filter(is_in).cloned().collect())
    }

    fn mutations(&mut self, from: Sequence, limit: usize) -> Result<Vec<Frozen>, Infallible> {
        Ok(self.mutations.range(from..).take(limit).map(|(_, frozen)| frozen.clone()).collect())
    }

    fn mutation(&mut self, sequence: Sequence) -> Result<Option<Frozen>, Infallible> {
        Ok(self.mutations.get(&sequence).cloned())
    }

    fn mutation_of(&mut self, key: &ResourceKey) -> Result<Option<Frozen>, Infallible> {
        Ok(self.in_flight.get(key).and_then(|sequence| self.mutations.get(sequence)).cloned())
    }

    fn set_mutation(&mut self, frozen: &Frozen) -> Result<(), Infallible> {
        let mutation = frozen.mutation();
        let before = self.in_flight.insert(mutation.key.clone(), mutation.sequence);
        assert!(
            before.is_none_or(|before| before == mutation.sequence),
            "two mutations of a resource are in flight"
        );
        self.mutations.insert(mutation.sequence, frozen.clone());
        Ok(())
    }

    fn remove_mutation(&mut self, sequence: Sequence) -> Result<(), Infallible> {
        if let Some(frozen) = self.mutations.remove(&sequence) {
            self.in_flight.remove(&frozen.mutation().key);
        }
        Ok(())
    }

    fn scopes(&mut self) -> Result<Vec<HeldScope>, Infallible> {
        Ok(self.scopes.values().cloned().collect())
    }

    fn set_scope(&mut self, scope: &HeldScope) -> Result<(), Infallible> {
        self.scopes.insert(scope.scope.clone(), scope.clone());
        Ok(())
    }

    fn remove_scope(&mut self, scope: &Scope) -> Result<(), Infallible> {
        self.scopes.remove(scope);
        self.digests.remove(scope);
        Ok(())
    }

    fn digest(&mut self, scope: &Scope) -> Result<Digest, Infallible> {
        Ok(self.digests.get(scope).copied().unwrap_or_default())
    }

    fn set_digest(&mut self, scope: &Scope, digest: Digest) -> Result<(), Infallible> {
        self.digests.insert(scope.clone(), digest);
        Ok(())
    }

    fn memberships(&mut self, key: &ResourceKey) -> Result<Vec<Scope>, Infallible> {
        Ok(self.memberships.get(key).into_iter().flatten().cloned().collect())
    }

    fn add_member(&mut self, scope: &Scope, key: &ResourceKey, round: u64) -> Result<bool, Infallible> {
        let rounds = self.members.entry(scope.clone()).or_default().entry(key.clone()).or_default();
        *rounds = round.max(*rounds);
        Ok(self.memberships.entry(key.clone()).or_default().insert(scope.clone()))
    }

    fn remove_member(&mut self, scope: &Scope, key: &ResourceKey) -> Result<bool, Infallible> {
        let was_in = self.members.get_mut(scope).is_some_and(|members| members.remove(key).is_some());
        if let Some(scopes) = self.memberships.get_mut(key) {
            scopes.remove(scope);
            if scopes.is_empty() {
                self.memberships.remove(key);
            }
        }
        Ok(was_in)
    }

    fn members_below(
        &mut self,
        scope: &Scope,
        round: u64,
        limit: usize,
    ) -> Result<Vec<ResourceKey>, Infallible> {
        let members = self.members.get(scope).into_iter().flatten();
        let below = members.filter(|(_, own)| **own < round).take(limit);
        Ok(below.map(|(key, _)| key.clone()).collect())
    }

    fn members(&mut self, scope: &Scope, each: &mut dyn FnMut(&Member)) -> Result<(), Infallible> {
        for key in self.members_of(scope) {
            let Some(known) = self.known.get(key) else { continue };
            let Some(hash) = known.hash else { continue };
            each(&Member { key: key.clone(), version: known.version, hash });
        }
        Ok(())
    }

    fn held(&mut self, key: &ResourceKey) -> Result<Option<Row>, Infallible> {
        Ok(self.held.get(key).cloned())
    }

    fn set_held(&mut self, key: &ResourceKey, row: Option<&Row>) -> Result<(), Infallible> {
        match row {
            Some(row) => self.held.insert(key.clone(), row.clone()),
            None => self.held.remove(key),
        };
        Ok(())
    }

    fn all_held(&mut self) -> Result<Vec<ResourceKey>, Infallible> {
        Ok(self.held.keys().cloned().collect())
    }

    fn stage(&mut self, row: &Row) -> Result<(), Infallible> {
        self.staged += 1;
        self.stage.insert(self.staged, row.clone());
        Ok(())
    }

    fn unstage(&mut self, limit: usize) -> Result<Vec<Row>, Infallible> {
        Ok(std::iter::from_fn(|| self.stage.pop_first()).take(limit).map(|(_, row)| row).collect())
    }

    fn clear_stage(&mut self, scope: Option<&Scope>) -> Result<(), Infallible> {
        self.stage.retain(|_, row| scope.is_some_and(|scope| row.scope != *scope));
        Ok(())
    }

    fn conflict(&mut self, cid: &Id) -> Result<Option<ConflictRecord>, Infallible> {
        Ok(self.conflicts.iter().find(|record| record.cid == *cid).cloned())
    }

    fn set_conflict(&mut self, record: &ConflictRecord) -> Result<(), Infallible> {
        match self.conflicts.iter_mut().find(|own| own.cid == record.cid) {
            Some(own) => own.clone_from(record),
            None => self.conflicts.push(record.clone()),
        }
        Ok(())
    }

    fn conflicts_of(&mut self, key: &ResourceKey) -> Result<Vec<ConflictRecord>, Infallible> {
        Ok(self.conflicts.iter().filter(|record| record.key == *key).cloned().collect())
    }

    fn unarchived(&mut self, limit: usize) -> Result<Vec<ConflictRecord>, Infallible> {
        Ok(self.conflicts.iter().filter(|record| !record.is_archived).take(limit).cloned().collect())
    }

    fn blob(&mut self, hash: &Hash) -> Result<Option<BlobState>, Infallible> {
        Ok(self.blobs.get(hash).cloned())
    }

    fn set_blob(&mut self, blob: &BlobState) -> Result<(), Infallible> {
        self.blobs.insert(blob.blob.sha256, blob.clone());
        Ok(())
    }

    fn has_blob(&mut self, blob: &Blob) -> Result<bool, Infallible> {
        Ok(self.bytes.get(&blob.sha256).is_some_and(|bytes| bytes.len() as u64 == blob.size))
    }

    fn blob_to_send(&mut self, except: &BTreeSet<Hash>) -> Result<Option<BlobState>, Infallible> {
        let is_due = |own: &&BlobState| own.sent < own.blob.size && !except.contains(&own.blob.sha256);
        Ok(self.blobs.values().find(is_due).cloned())
    }

    fn blob_to_fetch(
        &mut self,
        only_wanted: bool,
        except: &BTreeSet<Hash>,
    ) -> Result<Option<BlobState>, Infallible> {
        let named: Vec<Blob> = self.content.values().flat_map(tokens).collect();
        for blob in named {
            let state = self.blobs.get(&blob.sha256).cloned().unwrap_or_else(|| BlobState::absent(blob));
            let is_due = (state.is_wanted || !only_wanted) && !except.contains(&blob.sha256);
            if is_due && !self.has_blob(&blob)? {
                return Ok(Some(state));
            }
        }
        Ok(None)
    }

    fn append_blob(
        &mut self,
        blob: &Blob,
        offset: u64,
        bytes: &[u8],
        is_last: bool,
    ) -> Result<bool, Infallible> {
        let own = Arc::make_mut(self.bytes.entry(blob.sha256).or_default());
        own.truncate(usize::try_from(offset).unwrap_or(usize::MAX));
        own.extend_from_slice(bytes);
        let is_good = !is_last || Hash::of(own) == blob.sha256;
        if !is_good {
            own.clear();
        }
        Ok(is_good)
    }

    fn state(&mut self) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.state.clone())
    }

    fn set_state(&mut self, state: &[u8]) -> Result<(), Infallible> {
        self.state = Some(state.to_vec());
        Ok(())
    }
}
