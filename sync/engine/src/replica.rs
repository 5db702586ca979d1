//! What the engine asks of a device's storage.
//!
//! A [`Replica`] is tables: each method reads or writes rows and decides nothing. All calls of one
//! [`Engine::handle`](crate::Engine::handle) stand in one transaction, which the caller opens before and commits
//! after it with a full sync, and only then follows the effects. A replica that is read after a crash is as of some
//! such commit.
//!
//! | table | a row is | key |
//! |---|---|---|
//! | content | a resource as readers see it | resource |
//! | known | what the server has of it, as far as this device has heard | resource |
//! | base | the server's content of an edited resource, copied at its first edit | resource |
//! | mutation | an edit that is frozen | number |
//! | scope | a scope that is held | scope |
//! | member | a resource that a scope holds | scope, resource |
//! | held | the newest row of a resource with a mutation in flight | resource |
//! | stage | a row that waits for the next checkpoint | place |
//! | conflict | an edit that lost | its id |
//! | blob | an attachment on its way, up or down | hash |
//! | state | the engine's own values | |

use std::collections::BTreeSet;

use keepwell_fhir::Instant;
use keepwell_protocol::{
    Blob, Body, Decision, Digest, Frozen, Generation, Hash, Id, Member, Merge, ParkKind, Position,
    ResourceKey, Row, Scope, Sequence, Version,
};

/// What the server has of a resource: the state that the content here, or its base, descends from. A resource that
/// was never on the server has no such row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Known {
    /// The version there.
    pub version: Version,
    /// The hash of the body in that version; none of a tombstone.
    pub hash: Option<Hash>,
    /// An own write made this version at that position, and the row that says which scopes it is in has not been
    /// read. Until then the resource needs no member.
    pub unplaced: Option<Position>,
    /// Whether this device made that version.
    pub own: bool,
    /// The version is of another history than the server's: it is not compared with versions of this one.
    pub doubtful: bool,
}

/// What the server had when a resource was first edited here. A resource is dirty if and only if it has one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Base {
    /// The body; none if the resource was deleted or is not on the server.
    pub content: Option<Body>,
    /// Rises with the first edits.
    pub order: u64,
    /// Edits with the same number are sent and applied all or none.
    pub group: Option<u64>,
    /// How the waiting content was merged, if it was.
    pub merge: Option<Merge>,
}

/// A resource with a base.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dirty {
    /// Which one.
    pub key: ResourceKey,
    /// As in [`Base`].
    pub order: u64,
    /// As in [`Base`].
    pub group: Option<u64>,
}

/// A scope that is held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldScope {
    /// Which one.
    pub scope: Scope,
    /// In which generation it was granted.
    pub generation: Generation,
    /// Rises with each hydration: a member that still has a lower one when it ends is gone.
    pub round: u64,
    /// How far it has been read, if that is not the cursor.
    pub position: Option<Position>,
    /// Whether a hydration has come to its end. Rows of complete scopes become visible at checkpoints only.
    pub is_complete: bool,
    /// Checkpoints in a row at which the digest was another one than the server's.
    pub mismatches: u32,
}

/// Where a conflict stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ConflictState {
    /// A person has to look at it.
    Open,
    /// A person decided, or nobody has to.
    Closed,
}

/// An edit of this device that did not become what the server has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConflictRecord {
    /// Its id, drawn here.
    pub cid: Id,
    /// Why it lost.
    pub kind: ParkKind,
    /// The resource.
    pub key: ResourceKey,
    /// The version that was edited.
    pub base_version: Version,
    /// The version that won, if there is one.
    pub theirs_version: Option<Version>,
    /// The content that was edited.
    pub base: Option<Body>,
    /// The content that lost; none if a delete did.
    pub mine: Option<Body>,
    /// The content that won; none if a delete did.
    pub theirs: Option<Body>,
    /// The elements in conflict, as FHIRPath.
    pub paths: Vec<String>,
    /// Why a person has to decide, as words of `keepwell_merge::Reason`; of a parked edit why the server did not take it,
    /// as [`ParkReason::code`](keepwell_protocol::ParkReason::code).
    pub reasons: Vec<String>,
    /// The server's OperationOutcome, if it found the edit invalid.
    pub outcome: Option<Body>,
    /// When it lost, by the device's clock.
    pub at: Instant,
    /// Whether a person has to look at it.
    pub state: ConflictState,
    /// How it was dealt with, if it was: the server is told by the next park.
    pub decision: Option<Decision>,
    /// Whether the server holds the losing content, so that it survives the device, and knows the decision if there is one.
    pub is_archived: bool,
}

impl ConflictRecord {
    /// A record of an edit from `base` to `mine` that a person has to look at; what else is known is put in.
    #[must_use]
    pub fn open(
        cid: Id,
        kind: ParkKind,
        key: &ResourceKey,
        base_version: Version,
        (base, mine): (Option<Body>, Option<Body>),
        at: Instant,
    ) -> Self {
        Self {
            cid,
            kind,
            key: key.clone(),
            base_version,
            theirs_version: None,
            base,
            mine,
            theirs: None,
            paths: Vec::new(),
            reasons: Vec::new(),
            outcome: None,
            at,
            state: ConflictState::Open,
            decision: None,
            is_archived: false,
        }
    }
}

/// An attachment on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlobState {
    /// Which one.
    pub blob: Blob,
    /// How many of its bytes have come, from the first on.
    pub have: u64,
    /// How many of its bytes the server has; its size if all.
    pub sent: u64,
    /// The upload that was begun.
    pub upload: Option<Id>,
    /// Somebody asked for it.
    pub is_wanted: bool,
}

impl BlobState {
    /// One that the server has, and of which nothing has come.
    #[must_use]
    pub fn absent(blob: Blob) -> Self {
        Self { blob, have: 0, sent: blob.size, upload: None, is_wanted: false }
    }

    /// One that is here, and of which nothing was sent.
    #[must_use]
    pub fn unsent(blob: Blob) -> Self {
        Self { blob, have: blob.size, sent: 0, upload: None, is_wanted: false }
    }
}

/// What the device's storage offers inside one transaction.
pub trait Replica {
    /// What may fail. The transaction is rolled back then.
    type Error;

    // Content: what readers see.

    /// The body of a resource without `meta.versionId` and `meta.lastUpdated`; none if it is deleted or not there.
    ///
    /// # Errors
    /// Those of the storage; so for all methods.
    fn content(&mut self, key: &ResourceKey) -> Result<Option<Body>, Self::Error>;

    /// Lets readers see this body. With a version it is the server's; without, it is the join of an edit here with
    /// the server's. Neither is an edit: no base is copied.
    ///
    /// # Errors
    /// Those of the storage.
    fn put(
        &mut self,
        key: &ResourceKey,
        body: &Body,
        version: Option<Version>,
        at: Option<Instant>,
    ) -> Result<(), Self::Error>;

    /// Lets readers find that it was deleted, in this version of the server's. Its earlier bodies may stay.
    ///
    /// # Errors
    /// Those of the storage.
    fn delete(&mut self, key: &ResourceKey, version: Version, at: Option<Instant>)
    -> Result<(), Self::Error>;

    /// What readers see is this version of the server's.
    ///
    /// # Errors
    /// Those of the storage.
    fn accepted(&mut self, key: &ResourceKey, version: Version) -> Result<(), Self::Error>;

    /// Leaves no trace of the resource: not of its history, not in an index. Attachments that nothing else refers to
    /// go as well.
    ///
    /// # Errors
    /// Those of the storage.
    fn purge(&mut self, key: &ResourceKey) -> Result<(), Self::Error>;

    // Known: what the server has.

    /// The row, if there is one.
    ///
    /// # Errors
    /// Those of the storage.
    fn known(&mut self, key: &ResourceKey) -> Result<Option<Known>, Self::Error>;

    /// Writes the row, or removes it.
    ///
    /// # Errors
    /// Those of the storage.
    fn set_known(&mut self, key: &ResourceKey, known: Option<&Known>) -> Result<(), Self::Error>;

    /// Marks every row as doubtful, and sets each `unplaced` that there is to zero.
    ///
    /// # Errors
    /// Those of the storage.
    fn doubt(&mut self) -> Result<(), Self::Error>;

    /// The resources whose `unplaced` is at or below `upto`, at most `limit` of them.
    ///
    /// # Errors
    /// Those of the storage.
    fn unplaced(&mut self, upto: Position, limit: usize) -> Result<Vec<ResourceKey>, Self::Error>;

    // Bases: edits that wait.

    /// The row, if there is one.
    ///
    /// # Errors
    /// Those of the storage.
    fn base(&mut self, key: &ResourceKey) -> Result<Option<Base>, Self::Error>;

    /// Writes the row, or removes it.
    ///
    /// # Errors
    /// Those of the storage.
    fn set_base(&mut self, key: &ResourceKey, base: Option<&Base>) -> Result<(), Self::Error>;

    /// Gives every row of group `from` the group `to`.
    ///
    /// # Errors
    /// Those of the storage.
    fn unite(&mut self, from: u64, to: u64) -> Result<(), Self::Error>;

    /// Dirty resources by rising `order`, from behind `after`, at most `limit`.
    ///
    /// # Errors
    /// Those of the storage.
    fn dirty(&mut self, after: u64, limit: usize) -> Result<Vec<Dirty>, Self::Error>;

    /// The dirty resources of a group, by rising `order`.
    ///
    /// # Errors
    /// Those of the storage.
    fn group(&mut self, group: u64) -> Result<Vec<ResourceKey>, Self::Error>;

    // Mutations: what is frozen. At most one of a resource.

    /// From this number on, by number, at most `limit`.
    ///
    /// # Errors
    /// Those of the storage.
    fn mutations(&mut self, from: Sequence, limit: usize) -> Result<Vec<Frozen>, Self::Error>;

    /// The one with this number.
    ///
    /// # Errors
    /// Those of the storage.
    fn mutation(&mut self, sequence: Sequence) -> Result<Option<Frozen>, Self::Error>;

    /// The one of this resource.
    ///
    /// # Errors
    /// Those of the storage.
    fn mutation_of(&mut self, key: &ResourceKey) -> Result<Option<Frozen>, Self::Error>;

    /// Writes one, over one with the same number.
    ///
    /// # Errors
    /// Those of the storage.
    fn set_mutation(&mut self, frozen: &Frozen) -> Result<(), Self::Error>;

    /// Removes one.
    ///
    /// # Errors
    /// Those of the storage.
    fn remove_mutation(&mut self, sequence: Sequence) -> Result<(), Self::Error>;

    // Scopes and their members.

    /// All of them, by scope.
    ///
    /// # Errors
    /// Those of the storage.
    fn scopes(&mut self) -> Result<Vec<HeldScope>, Self::Error>;

    /// Writes one, over that of the same scope, whose digest stays. A new one has the digest of nothing.
    ///
    /// # Errors
    /// Those of the storage.
    fn set_scope(&mut self, scope: &HeldScope) -> Result<(), Self::Error>;

    /// Removes one that has no members.
    ///
    /// # Errors
    /// Those of the storage.
    fn remove_scope(&mut self, scope: &Scope) -> Result<(), Self::Error>;

    /// The digest that was kept for a scope.
    ///
    /// # Errors
    /// Those of the storage.
    fn digest(&mut self, scope: &Scope) -> Result<Digest, Self::Error>;

    /// Keeps the digest of a scope.
    ///
    /// # Errors
    /// Those of the storage.
    fn set_digest(&mut self, scope: &Scope, digest: Digest) -> Result<(), Self::Error>;

    /// The scopes that hold a resource.
    ///
    /// # Errors
    /// Those of the storage.
    fn memberships(&mut self, key: &ResourceKey) -> Result<Vec<Scope>, Self::Error>;

    /// Makes a resource a member in this round; one that is keeps the higher round. Whether it was none before.
    ///
    /// # Errors
    /// Those of the storage.
    fn add_member(&mut self, scope: &Scope, key: &ResourceKey, round: u64) -> Result<bool, Self::Error>;

    /// Takes a resource out; whether it was a member.
    ///
    /// # Errors
    /// Those of the storage.
    fn remove_member(&mut self, scope: &Scope, key: &ResourceKey) -> Result<bool, Self::Error>;

    /// Members with a round below this one, in any order, at most `limit`.
    ///
    /// # Errors
    /// Those of the storage.
    fn members_below(
        &mut self,
        scope: &Scope,
        round: u64,
        limit: usize,
    ) -> Result<Vec<ResourceKey>, Self::Error>;

    /// Calls `each` with every member that is not deleted: its known version and hash.
    ///
    /// # Errors
    /// Those of the storage.
    fn members(&mut self, scope: &Scope, each: &mut dyn FnMut(&Member)) -> Result<(), Self::Error>;

    // Held: rows for resources with a mutation in flight.

    /// The row of this resource.
    ///
    /// # Errors
    /// Those of the storage.
    fn held(&mut self, key: &ResourceKey) -> Result<Option<Row>, Self::Error>;

    /// Writes the row of this resource, or removes it.
    ///
    /// # Errors
    /// Those of the storage.
    fn set_held(&mut self, key: &ResourceKey, row: Option<&Row>) -> Result<(), Self::Error>;

    /// The resources that have one.
    ///
    /// # Errors
    /// Those of the storage.
    fn all_held(&mut self) -> Result<Vec<ResourceKey>, Self::Error>;

    // Stage: rows of complete scopes that wait for the next checkpoint.

    /// Appends a row.
    ///
    /// # Errors
    /// Those of the storage.
    fn stage(&mut self, row: &Row) -> Result<(), Self::Error>;

    /// Takes the oldest rows out, at most `limit`, in their order.
    ///
    /// # Errors
    /// Those of the storage.
    fn unstage(&mut self, limit: usize) -> Result<Vec<Row>, Self::Error>;

    /// Removes the rows of this scope, or all.
    ///
    /// # Errors
    /// Those of the storage.
    fn clear_stage(&mut self, scope: Option<&Scope>) -> Result<(), Self::Error>;

    // Conflicts.

    /// The record with this id.
    ///
    /// # Errors
    /// Those of the storage.
    fn conflict(&mut self, cid: &Id) -> Result<Option<ConflictRecord>, Self::Error>;

    /// Writes a record, over that of the same id.
    ///
    /// # Errors
    /// Those of the storage.
    fn set_conflict(&mut self, record: &ConflictRecord) -> Result<(), Self::Error>;

    /// The records of this resource.
    ///
    /// # Errors
    /// Those of the storage.
    fn conflicts_of(&mut self, key: &ResourceKey) -> Result<Vec<ConflictRecord>, Self::Error>;

    /// Records that are not archived, in the order in which they were written, at most `limit`.
    ///
    /// # Errors
    /// Those of the storage.
    fn unarchived(&mut self, limit: usize) -> Result<Vec<ConflictRecord>, Self::Error>;

    // Blobs.

    /// The row of this blob.
    ///
    /// # Errors
    /// Those of the storage.
    fn blob(&mut self, hash: &Hash) -> Result<Option<BlobState>, Self::Error>;

    /// Writes a row, over that of the same blob.
    ///
    /// # Errors
    /// Those of the storage.
    fn set_blob(&mut self, blob: &BlobState) -> Result<(), Self::Error>;

    /// Whether the content of a blob is here as a whole.
    ///
    /// # Errors
    /// Those of the storage.
    fn has_blob(&mut self, blob: &Blob) -> Result<bool, Self::Error>;

    /// A row of a blob of which not all has been sent, but for `except`.
    ///
    /// # Errors
    /// Those of the storage.
    fn blob_to_send(&mut self, except: &BTreeSet<Hash>) -> Result<Option<BlobState>, Self::Error>;

    /// A blob that content here refers to and that is not here, but for `except`; with `only_wanted`, one whose row says
    /// that it is wanted.
    ///
    /// # Errors
    /// Those of the storage.
    fn blob_to_fetch(
        &mut self,
        only_wanted: bool,
        except: &BTreeSet<Hash>,
    ) -> Result<Option<BlobState>, Self::Error>;

    /// Keeps bytes of a blob, which has a row, behind those that came; with `is_last`, whether all of them have its hash:
    /// then it is here, else they are thrown away.
    ///
    /// # Errors
    /// Those of the storage.
    fn append_blob(
        &mut self,
        blob: &Blob,
        offset: u64,
        bytes: &[u8],
        is_last: bool,
    ) -> Result<bool, Self::Error>;

    // State.

    /// The engine's own values; none in a new replica.
    ///
    /// # Errors
    /// Those of the storage.
    fn state(&mut self) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Keeps them.
    ///
    /// # Errors
    /// Those of the storage.
    fn set_state(&mut self, state: &[u8]) -> Result<(), Self::Error>;
}
