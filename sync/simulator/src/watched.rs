//! The replica of a device, watched: which resources a turn writes to, and which edits waited there before.
//!
//! So that after a turn only what it wrote to needs a look.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use keepwell_engine::{Base, BlobState, ConflictRecord, Dirty, HeldScope, Known, MemoryReplica, Replica};
use keepwell_fhir::Instant;
use keepwell_protocol::{
    Blob, Body, Digest, Frozen, Hash, Id, Member, Position, ResourceKey, Row, Scope, Sequence, Version,
};

/// An edit that waited when its resource was first written to.
pub(crate) struct Waited {
    pub(crate) content: Body,
    pub(crate) base: Option<Body>,
}

/// The resources that were written to, and the edits that waited there.
pub(crate) type Touched = BTreeMap<ResourceKey, Option<Waited>>;

/// Passes everything on, and notes what is written to.
pub(crate) struct Watched<'r> {
    memory: &'r mut MemoryReplica,
    touched: &'r mut Touched,
}

impl<'r> Watched<'r> {
    pub(crate) fn new(memory: &'r mut MemoryReplica, touched: &'r mut Touched) -> Self {
        Self { memory, touched }
    }

    fn touch(&mut self, key: &ResourceKey) {
        if self.touched.contains_key(key) {
            return;
        }
        let (Ok(base), Ok(content)) = (self.memory.base(key), self.memory.content(key));
        let waited = base.zip(content).map(|(base, content)| Waited { content, base: base.content });
        self.touched.insert(key.clone(), waited);
    }
}

/// Methods that only read, or write to no resource.
macro_rules! pass {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&mut self, $($argument: $kind),*) -> Result<$answer, Infallible> {
            self.memory.$name($($argument),*)
        })*
    };
}

/// Methods that write to the resource that they name first.
macro_rules! note {
    ($($name:ident($key:ident $(, $argument:ident: $kind:ty)*);)*) => {
        $(fn $name(&mut self, $key: &ResourceKey $(, $argument: $kind)*) -> Result<(), Infallible> {
            self.touch($key);
            self.memory.$name($key $(, $argument)*)
        })*
    };
}

impl Replica for Watched<'_> {
    type Error = Infallible;

    pass! {
        content(key: &ResourceKey) -> Option<Body>;
        known(key: &ResourceKey) -> Option<Known>;
        unplaced(upto: Position, limit: usize) -> Vec<ResourceKey>;
        base(key: &ResourceKey) -> Option<Base>;
        unite(from: u64, to: u64) -> ();
        dirty(after: u64, limit: usize) -> Vec<Dirty>;
        group(group: u64) -> Vec<ResourceKey>;
        mutations(from: Sequence, limit: usize) -> Vec<Frozen>;
        mutation(sequence: Sequence) -> Option<Frozen>;
        mutation_of(key: &ResourceKey) -> Option<Frozen>;
        scopes() -> Vec<HeldScope>;
        set_scope(scope: &HeldScope) -> ();
        remove_scope(scope: &Scope) -> ();
        digest(scope: &Scope) -> Digest;
        set_digest(scope: &Scope, digest: Digest) -> ();
        memberships(key: &ResourceKey) -> Vec<Scope>;
        members_below(scope: &Scope, round: u64, limit: usize) -> Vec<ResourceKey>;
        members(scope: &Scope, each: &mut dyn FnMut(&Member)) -> ();
        held(key: &ResourceKey) -> Option<Row>;
        all_held() -> Vec<ResourceKey>;
        stage(row: &Row) -> ();
        unstage(limit: usize) -> Vec<Row>;
        clear_stage(scope: Option<&Scope>) -> ();
        conflict(cid: &Id) -> Option<ConflictRecord>;
        set_conflict(record: &ConflictRecord) -> ();
        conflicts_of(key: &ResourceKey) -> Vec<ConflictRecord>;
        unarchived(limit: usize) -> Vec<ConflictRecord>;
        blob(hash: &Hash) -> Option<BlobState>;
        set_blob(blob: &BlobState) -> ();
        has_blob(blob: &Blob) -> bool;
        blob_to_send(except: &BTreeSet<Hash>) -> Option<BlobState>;
        blob_to_fetch(only_wanted: bool, except: &BTreeSet<Hash>) -> Option<BlobState>;
        append_blob(blob: &Blob, offset: u64, bytes: &[u8], is_last: bool) -> bool;
        state() -> Option<Vec<u8>>;
        set_state(state: &[u8]) -> ();
    }

    note! {
        put(key, body: &Body, version: Option<Version>, at: Option<Instant>);
        delete(key, version: Version, at: Option<Instant>);
        accepted(key, version: Version);
        purge(key);
        set_known(key, known: Option<&Known>);
        set_base(key, base: Option<&Base>);
        set_held(key, row: Option<&Row>);
    }

    fn doubt(&mut self) -> Result<(), Infallible> {
        let keys: Vec<ResourceKey> = self.memory.all_known().map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| self.touch(key));
        self.memory.doubt()
    }

    fn set_mutation(&mut self, frozen: &Frozen) -> Result<(), Infallible> {
        self.touch(&frozen.mutation().key);
        self.memory.set_mutation(frozen)
    }

    fn remove_mutation(&mut self, sequence: Sequence) -> Result<(), Infallible> {
        if let Some(frozen) = self.memory.mutation(sequence)? {
            self.touch(&frozen.mutation().key);
        }
        self.memory.remove_mutation(sequence)
    }

    fn add_member(&mut self, scope: &Scope, key: &ResourceKey, round: u64) -> Result<bool, Infallible> {
        self.touch(key);
        self.memory.add_member(scope, key, round)
    }

    fn remove_member(&mut self, scope: &Scope, key: &ResourceKey) -> Result<bool, Infallible> {
        self.touch(key);
        self.memory.remove_member(scope, key)
    }
}
