//! A tenant's storage inside one transaction, or one snapshot: what the rules read and write.
//!
//! The rules are the same for every backend; a backend offers a [`Tenant`] to them and keeps what they put there. A
//! call that follows a write sees it.
//!
//! Invariants that the rules keep: a resource has at most one row in a scope, at its newest position there; the
//! digest of a scope is that of its rows that are `In`; a generation never falls.

use std::sync::Arc;

use keepwell_fhir::Instant;
use keepwell_protocol::{
    Blob, Body, Digest, Epoch, Generation, Hash, Horizon, Id, Incarnation, Member, Position, ResourceKey,
    Scope, Sequence, Version,
};

use crate::access::{Access, Held};
use crate::archive::{Archived, Closed};
use crate::backend::Observer;
use crate::defect::Defect;
use crate::device::Device;
use crate::error::Result;

/// The newest version of a resource, which may be a tombstone. It is kept for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Its version.
    pub version: Version,
    /// Where it was made.
    pub position: Position,
    /// When it was made: `meta.lastUpdated`.
    pub at: Instant,
    /// Whether it is a tombstone.
    pub deleted: bool,
}

/// The mutation that a version was made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The device.
    pub device: Id,
    /// The life of its database.
    pub incarnation: Incarnation,
    /// The number therein.
    pub sequence: Sequence,
}

/// What a scope knows of a resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FeedState {
    /// It is in the scope.
    In {
        /// The hash of its body.
        hash: Hash,
        /// The mutation that this version was made of, if a device made it.
        origin: Option<Origin>,
    },
    /// It is elsewhere.
    Left,
    /// It was deleted.
    Deleted,
}

/// A resource in a scope, at its newest position there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FeedRow {
    /// The scope.
    pub scope: Scope,
    /// The resource.
    pub key: ResourceKey,
    /// Where this was so first.
    pub position: Position,
    /// The version that made it so.
    pub version: Version,
    /// When that was made.
    pub at: Instant,
    /// What there is to know.
    pub state: FeedState,
    /// What the scope told before, if the resource was in it then and is in it now.
    pub before: Option<Before>,
}

/// A version that a scope has told: whoever has read the scope up to there has its body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Before {
    /// Where.
    pub position: Position,
    /// Which version.
    pub version: Version,
}

impl FeedRow {
    /// The row as a member of its scope, if it is one.
    #[must_use]
    pub fn member(&self) -> Option<Member> {
        match self.state {
            FeedState::In { hash, .. } => Some(Member { key: self.key.clone(), version: self.version, hash }),
            FeedState::Left | FeedState::Deleted => None,
        }
    }
}

/// A mutation that has been decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decided {
    /// Its number.
    pub sequence: Sequence,
    /// The hash of its line.
    pub line: Hash,
    /// The resource.
    pub key: ResourceKey,
    /// The outcome without the current row, as a settlement's bytes: the row is that of the time when it is told.
    pub settlement: Vec<u8>,
}

/// An upload in progress.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UploadRow {
    /// Its name.
    pub id: Id,
    /// By whom.
    pub device: Id,
    /// Of what.
    pub blob: Blob,
    /// How many bytes are here.
    pub offset: u64,
    /// When the last ones came.
    pub at: Instant,
}

/// Why a user holds a scope.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Source {
    /// By hand, at the enrolment, or because the user made the patient.
    Hand,
    /// Because of this CareTeam or Group.
    Resource(ResourceKey),
}

/// What a device was shown, for the audit trail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Disclosure {
    /// A page with rows.
    Page {
        /// Of how many scopes.
        scopes: usize,
        /// How many rows.
        rows: u64,
        /// From which position.
        from: Position,
        /// To which.
        upto: Position,
    },
    /// A blob.
    Blob(Hash),
    /// Records of the archive.
    Archive {
        /// How many.
        records: usize,
    },
}

/// What a transaction is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Act {
    /// A push.
    Push,
    /// A pull.
    Pull,
    /// A park.
    Park,
    /// Comparing digests.
    Digest,
    /// Reading a blob.
    Blob,
    /// Uploading a blob.
    Upload,
    /// A lease.
    Lease,
    /// An enrolment.
    Enrol,
    /// A receipt of a wipe.
    Wiped,
    /// An administrator: grants, devices, invitations, epochs, the archive.
    Administer,
    /// The server's own hand on resources.
    Write,
}

/// Where a tenant is kept. Everything that implements it is a [`Backend`](crate::Backend).
pub trait Storage: Send + Sync {
    /// Which tenant.
    fn tenant(&self) -> &Id;

    /// Runs `work` as one transaction: all of it is on disk for good when this returns, or, if `work` fails, none.
    ///
    /// # Errors
    /// What `work` gives; [`Error::Storage`](crate::Error::Storage).
    fn write<T>(
        &self,
        device: Option<&Id>,
        act: Act,
        work: impl FnOnce(&mut dyn Tenant) -> Result<T>,
    ) -> Result<T>;

    /// Runs `work` on one snapshot. It calls nothing that changes the tenant.
    ///
    /// # Errors
    /// What `work` gives; [`Error::Storage`](crate::Error::Storage).
    fn read<T>(
        &self,
        device: Option<&Id>,
        act: Act,
        work: impl FnOnce(&mut dyn Tenant) -> Result<T>,
    ) -> Result<T>;

    /// Calls `observer` after each commit from now on.
    fn observe(&self, observer: Arc<Observer>);
}

/// A tenant inside one transaction or one snapshot.
///
/// # Errors
/// Every call gives [`Error::Storage`](crate::Error::Storage) when the storage fails.
pub trait Tenant {
    /// What its history reaches over.
    fn horizon(&mut self) -> Result<Horizon>;
    /// Another history.
    fn set_epoch(&mut self, epoch: Epoch) -> Result<()>;
    /// Tombstones up to here are gone.
    fn set_floor(&mut self, floor: Position) -> Result<()>;

    /// The newest version of a resource; none if there never was one.
    fn head(&mut self, key: &ResourceKey) -> Result<Option<Head>>;
    /// A version's body; none of a tombstone, nor of a version that is no longer kept.
    fn body(&mut self, key: &ResourceKey, version: Version) -> Result<Option<Body>>;
    /// Makes the next version, at the next position: this body, or a tombstone.
    fn write(&mut self, key: &ResourceKey, body: Option<&Body>, at: Instant) -> Result<Head>;

    /// The rows of a resource, in every scope.
    fn rows_of(&mut self, key: &ResourceKey) -> Result<Vec<FeedRow>>;
    /// The rows of a scope with `after < position <= upto`, by position, at most `limit`.
    fn rows_in(
        &mut self,
        scope: &Scope,
        after: Position,
        upto: Position,
        limit: usize,
    ) -> Result<Vec<FeedRow>>;
    /// The rows of all scopes with `after < position <= upto`, by position and scope.
    fn rows_between(&mut self, after: Position, upto: Position) -> Result<Vec<FeedRow>>;
    /// Puts a row in the place of the one of the same scope and resource.
    fn put_row(&mut self, row: FeedRow) -> Result<()>;
    /// Removes rows that are `Left` or `Deleted` up to a position and made before a time; the highest position among
    /// them.
    fn remove_tombstones(&mut self, upto: Position, made_before: Instant) -> Result<Option<Position>>;
    /// The digest of a scope; of one that nothing is in, the empty one.
    fn digest(&mut self, scope: &Scope) -> Result<Digest>;
    /// Keeps the digest of a scope.
    fn set_digest(&mut self, scope: &Scope, digest: Digest) -> Result<()>;
    /// The members of a scope.
    fn members(&mut self, scope: &Scope) -> Result<Vec<Member>>;

    /// The highest mutation that was decided; zero if none was.
    fn last_decided(&mut self, device: &Id, incarnation: Incarnation) -> Result<Sequence>;
    /// Keeps that.
    fn set_last_decided(&mut self, device: &Id, incarnation: Incarnation, last: Sequence) -> Result<()>;
    /// What was decided of mutations behind `after`, by number, at most `limit`.
    fn decided(
        &mut self,
        device: &Id,
        incarnation: Incarnation,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Decided>>;
    /// Keeps what was decided.
    fn keep_decided(&mut self, device: &Id, incarnation: Incarnation, decided: Decided) -> Result<()>;
    /// Forgets what was decided up to a mutation.
    fn forget_decided(&mut self, device: &Id, incarnation: Incarnation, upto: Sequence) -> Result<()>;

    /// Puts a record into the archive, unless one with its device and `cid` is there. Its number is given here.
    fn archive(&mut self, record: Archived) -> Result<()>;
    /// Notes how an edit in the archive was dealt with, unless that is known.
    fn close_archived(&mut self, device: &Id, cid: &str, closed: &Closed) -> Result<()>;
    /// Records behind `after`, by number, at most `limit`.
    fn archived(&mut self, after: u64, limit: usize) -> Result<Vec<Archived>>;

    /// The scopes that a user holds, by name.
    fn grants(&mut self, user: &Id) -> Result<Vec<Held>>;
    /// What a user may do in a scope.
    fn access(&mut self, user: &Id, scope: &Scope) -> Result<Option<Access>>;
    /// How often the user was given the scope, also if it was taken back; zero if never.
    fn generation(&mut self, user: &Id, scope: &Scope) -> Result<Generation>;
    /// Keeps what a user may do in a scope, and how often that was given.
    fn set_access(
        &mut self,
        user: &Id,
        scope: &Scope,
        generation: Generation,
        access: Option<Access>,
    ) -> Result<()>;
    /// How often [`Self::set_access`] was called in all, and for which users since it had been called `after` times, in
    /// order.
    fn changed_grants(&mut self, after: u64) -> Result<(u64, Vec<Id>)>;
    /// The reasons that a user has for a scope, with what each gives.
    fn reasons(&mut self, user: &Id, scope: &Scope) -> Result<Vec<(Source, Access)>>;
    /// Keeps a reason, or takes it away.
    fn set_reason(&mut self, source: &Source, user: &Id, scope: &Scope, access: Option<Access>)
    -> Result<()>;
    /// What a CareTeam or a Group gives to whom.
    fn given_by(&mut self, resource: &ResourceKey) -> Result<Vec<(Id, Scope)>>;
    /// Notes for which Group a CareTeam cares, and its users; for none, it is forgotten.
    fn set_team(&mut self, team: &Id, group: Option<&Id>, users: &[Id]) -> Result<()>;
    /// The CareTeams that care for a Group, with their users.
    fn teams_of(&mut self, group: &Id) -> Result<Vec<(Id, Vec<Id>)>>;
    /// Notes the patients of a Group.
    fn set_patients_of(&mut self, group: &Id, patients: &[Id]) -> Result<()>;
    /// The patients of a Group.
    fn patients_of(&mut self, group: &Id) -> Result<Vec<Id>>;

    /// A device.
    fn device(&mut self, id: &Id) -> Result<Option<Device>>;
    /// All devices, by id.
    fn devices(&mut self) -> Result<Vec<Device>>;
    /// Keeps a device.
    fn put_device(&mut self, device: &Device) -> Result<()>;
    /// An invitation.
    fn invitation(&mut self, code: &Hash) -> Result<Option<Vec<u8>>>;
    /// All invitations.
    fn invitations(&mut self) -> Result<Vec<(Hash, Vec<u8>)>>;
    /// Keeps an invitation.
    fn put_invitation(&mut self, code: &Hash, record: &[u8]) -> Result<()>;

    /// Notes the blobs that the current version of a resource refers to.
    fn set_blobs(&mut self, key: &ResourceKey, blobs: &[Blob]) -> Result<()>;
    /// The resources that refer to a blob.
    fn referrers(&mut self, blob: &Hash) -> Result<Vec<ResourceKey>>;
    /// The size of a blob that is here as a whole.
    fn blob_size(&mut self, blob: &Hash) -> Result<Option<u64>>;
    /// Bytes of a blob.
    fn blob(&mut self, blob: &Hash, offset: u64, length: usize) -> Result<Vec<u8>>;
    /// An upload.
    fn upload(&mut self, id: &Id) -> Result<Option<UploadRow>>;
    /// The uploads of a device.
    fn uploads_of(&mut self, device: &Id) -> Result<Vec<UploadRow>>;
    /// Begins an upload, or notes how far one is and adds the bytes that make it so.
    fn put_upload(&mut self, upload: &UploadRow, chunk: &[u8]) -> Result<()>;
    /// The hash of what an upload has.
    fn upload_hash(&mut self, id: &Id) -> Result<Hash>;
    /// Makes a blob of an upload, and notes that its device has uploaded it; or drops it.
    fn end_upload(&mut self, id: &Id, keep: bool) -> Result<()>;
    /// Whether a device has uploaded a blob, not long ago.
    fn has_uploaded(&mut self, device: &Id, blob: &Blob) -> Result<bool>;
    /// Drops uploads that have not gone on since a time, and what was uploaded before it and nothing refers to, be it a
    /// resource or the archive.
    fn drop_uploads(&mut self, since: Instant) -> Result<()>;

    /// Notes what is being shown, for the audit trail.
    fn disclose(&mut self, disclosure: Disclosure) -> Result<()>;

    /// Whether a mistake is to be made on purpose.
    fn has(&self, _: Defect) -> bool {
        false
    }
}
