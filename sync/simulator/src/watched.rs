//! The replica of a device, watched: which resources a turn writes to, which edits waited there before, and whether
//! the store, if there is one, gives the same answers as the tables in memory.
//!
//! So that after a turn only what it wrote to needs a look.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use keepwell_engine::{Base, BlobState, ConflictRecord, Dirty, HeldScope, Known, MemoryReplica, Replica};
use keepwell_fhir::Instant;
use keepwell_protocol::{
    Blob, Body, Digest, Frozen, Hash, Id, Member, Position, ResourceKey, Row, Scope, Sequence, Version,
};

/// What was saved here and the server did not have when its resource was first written to.
pub(crate) struct Waited {
    pub(crate) content: Body,
    pub(crate) base: Option<Body>,
}

/// The resources that were written to, and the edits that waited there.
pub(crate) type Touched = BTreeMap<ResourceKey, Option<Waited>>;

/// Passes everything on, and notes what is written to.
pub(crate) struct Watched<'r, S: Replica = MemoryReplica> {
    memory: &'r mut MemoryReplica,
    store: Option<&'r mut S>,
    touched: &'r mut Touched,
}

impl<'r, S: Replica> Watched<'r, S> {
    pub(crate) fn new(
        memory: &'r mut MemoryReplica,
        store: Option<&'r mut S>,
        touched: &'r mut Touched,
    ) -> Self {
        Self { memory, store, touched }
    }

    fn touch(&mut self, key: &ResourceKey) {
        if self.touched.contains_key(key) {
            return;
        }
        let (Ok(base), Ok(content)) = (self.memory.base(key), self.memory.content(key));
        let Ok(known) = self.memory.known(key);
        // What the server never had is here alone.
        let content = content.filter(|_| base.is_some() || known.is_none());
        let waited = content.map(|content| Waited { content, base: base.and_then(|base| base.content) });
        self.touched.insert(key.clone(), waited);
    }
}

/// Both answers, which must be the same.
macro_rules! both {
    ($self:ident.$name:ident($($argument:expr),*) $(, $order:ident)?) => {{
        let Ok(answer) = $self.memory.$name($($argument),*);
        $(let answer = $order(answer);)?
        if let Some(store) = &mut $self.store {
            let other = store.$name($($argument),*)?;
            $(let other = $order(other);)?
            same(stringify!($name), &other, &answer);
        }
        Ok(answer)
    }};
}

/// Methods that only read, or write to no resource.
macro_rules! pass {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty $(, $order:ident)?;)*) => {
        $(fn $name(&mut self, $($argument: $kind),*) -> Result<$answer, S::Error> {
            both!(self.$name($($argument),*) $(, $order)?)
        })*
    };
}

/// Methods that write to the resource that they name first.
macro_rules! note {
    ($($name:ident($key:ident $(, $argument:ident: $kind:ty)*);)*) => {
        $(fn $name(&mut self, $key: &ResourceKey $(, $argument: $kind)*) -> Result<(), S::Error> {
            self.touch($key);
            both!(self.$name($key $(, $argument)*))
        })*
    };
}

impl<S: Replica> Replica for Watched<'_, S> {
    type Error = S::Error;

    pass! {
        content(key: &ResourceKey) -> Option<Body>;
        known(key: &ResourceKey) -> Option<Known>;
        unplaced(upto: Position, limit: usize) -> Vec<ResourceKey>, sorted;
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
        memberships(key: &ResourceKey) -> Vec<Scope>, sorted;
        members_below(scope: &Scope, round: u64, limit: usize) -> Vec<ResourceKey>, sorted;
        held(key: &ResourceKey) -> Option<Row>;
        all_held() -> Vec<ResourceKey>, sorted;
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

    fn doubt(&mut self) -> Result<(), S::Error> {
        let keys: Vec<ResourceKey> = self.memory.all_known().map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| self.touch(key));
        both!(self.doubt())
    }

    fn set_mutation(&mut self, frozen: &Frozen) -> Result<(), S::Error> {
        self.touch(&frozen.mutation().key);
        both!(self.set_mutation(frozen))
    }

    fn remove_mutation(&mut self, sequence: Sequence) -> Result<(), S::Error> {
        let Ok(frozen) = self.memory.mutation(sequence);
        if let Some(frozen) = frozen {
            self.touch(&frozen.mutation().key);
        }
        both!(self.remove_mutation(sequence))
    }

    fn add_member(&mut self, scope: &Scope, key: &ResourceKey, round: u64) -> Result<bool, S::Error> {
        self.touch(key);
        both!(self.add_member(scope, key, round))
    }

    fn remove_member(&mut self, scope: &Scope, key: &ResourceKey) -> Result<bool, S::Error> {
        self.touch(key);
        both!(self.remove_member(scope, key))
    }

    fn members(&mut self, scope: &Scope, each: &mut dyn FnMut(&Member)) -> Result<(), S::Error> {
        let mut members = Vec::new();
        let Ok(()) = self.memory.members(scope, &mut |member| members.push(member.clone()));
        if let Some(store) = &mut self.store {
            let mut others = Vec::new();
            store.members(scope, &mut |member| others.push(member.clone()))?;
            others.sort_by(|one, other| one.key.cmp(&other.key));
            same("members", &others, &members);
        }
        members.iter().for_each(each);
        Ok(())
    }
}

/// A store may give these in any order.
fn sorted<T: Ord>(mut answer: Vec<T>) -> Vec<T> {
    answer.sort();
    answer
}

fn same<T: PartialEq + Debug>(name: &str, found: &T, expected: &T) {
    assert!(found == expected, "the store says of {name} {found:?}, not {expected:?}");
}
