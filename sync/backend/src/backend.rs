//! What a sync server needs of storage.
//!
//! A [`Backend`] is one tenant. Each call is one transaction, or one snapshot, and blocks until it is done; a server
//! calls it from threads that may wait. A call that changes something returns after it is on disk for good.
//!
//! Invariants: what one call does is seen by others as a whole or not at all; the rules are those of
//! docs/sync-protocol.md, the same for every backend.

use std::sync::Arc;

use keepwell_fhir::Instant;
use keepwell_protocol::{
    Body, DigestReply, DigestRequest, Epoch, Frozen, Hash, Horizon, Id, Lease, NewUpload, ParkHead,
    ParkRecord, ParkReply, Part, Position, PullReply, PullRequest, PushHead, PushReplyHead, ResourceKey,
    Scope, Settlement, Upload, Version, WipeReceipt,
};

use crate::access::{Access, Held, News};
use crate::archive::Archived;
use crate::device::{Device, DeviceState, Enrolled, LeasePolicy, Redeemed};
use crate::error::Result;

/// The answer to a push.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pushed {
    /// Its first line.
    pub head: PushReplyHead,
    /// Its items.
    pub settlements: Vec<Settlement>,
}

/// Which tombstones may go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retention {
    /// Those made before this time...
    pub made_before: Instant,
    /// ...which all active devices that were here since this time have read.
    pub seen_since: Instant,
}

/// Uses an invitation: is given the record that was kept, says what it comes to.
pub type Redeem<'r> = dyn FnMut(&[u8]) -> Result<Redeemed> + 'r;

/// Is called after each commit that may be news to someone. It must not block, nor call the backend.
pub type Observer = dyn Fn() + Send + Sync;

/// The storage of one tenant.
///
/// Calls with a `device` are by that device: one that is not active is refused with
/// [`Refusal::UnknownDevice`](keepwell_protocol::Refusal::UnknownDevice), `Revoked` or `Wipe` before anything else is
/// looked at. `at` is the server's time.
///
/// # Errors
/// Every call gives [`Error::Refused`](crate::Error::Refused) for what the device is to be told, and
/// [`Error::Storage`](crate::Error::Storage) when the storage fails; nothing was done then.
pub trait Backend: Send + Sync {
    /// Which tenant.
    fn tenant(&self) -> &Id;

    /// What its history reaches over.
    fn horizon(&self) -> Result<Horizon>;

    /// Whether this device may sync at all.
    fn admit(&self, device: &Id) -> Result<Device>;

    /// Decides mutations. After `seq_gap` and `seq_reused` those before the number in question have been decided.
    fn push(&self, device: &Id, head: &PushHead, mutations: &[Frozen], at: Instant) -> Result<Pushed>;

    /// Gives a page, part by part; of a refusal, none. It does not wait: `wait_ms` is the server's business.
    fn pull(
        &self,
        device: &Id,
        request: &PullRequest,
        at: Instant,
        page: &mut dyn FnMut(Part<PullReply>),
    ) -> Result<()>;

    /// Puts losing edits into the archive, and notes how those were dealt with that are sent again.
    fn park(&self, device: &Id, head: &ParkHead, records: &[ParkRecord], at: Instant) -> Result<ParkReply>;

    /// Compares what a device holds of a scope.
    fn digest(&self, device: &Id, request: &DigestRequest) -> Result<DigestReply>;

    /// Calls `observer` after each commit from now on.
    fn observe(&self, observer: Arc<Observer>);

    /// What is new since a position, and since grants had changed so often.
    fn news(&self, after: Position, grants: u64) -> Result<News>;

    /// The size of a blob that the device may read.
    fn blob_size(&self, device: &Id, blob: &Hash) -> Result<u64>;

    /// Bytes of a blob that the device may read, from `offset` on and at most `length`.
    fn blob(&self, device: &Id, blob: &Hash, offset: u64, length: usize) -> Result<Vec<u8>>;

    /// Begins an upload, or finds the one that was begun.
    fn begin_upload(&self, device: &Id, upload: &NewUpload, at: Instant) -> Result<Upload>;

    /// Adds a chunk to an upload.
    fn append(&self, device: &Id, upload: &Id, offset: u64, chunk: &[u8], at: Instant) -> Result<Upload>;

    /// Gives the device another lease.
    fn lease(&self, device: &Id, policy: &LeasePolicy, at: Instant) -> Result<Lease>;

    /// Notes what the device has said in its upkeep: the pin set that it has, and that it was given the certificate of
    /// this serial number.
    fn keep_up(&self, device: &Id, pins: u64, serial: Option<&str>, at: Instant) -> Result<()>;

    /// Keeps an invitation under the digest of its code; what it says is not looked at. Keeps it anew if it is there.
    fn keep_invitation(&self, code: &Hash, record: &[u8]) -> Result<()>;

    /// All invitations: digest and record.
    fn invitations(&self) -> Result<Vec<(Hash, Vec<u8>)>>;

    /// Keeps those invitations anew for which `update`, given a record, has another one; how many. All or none of them.
    fn update_invitations(&self, update: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>) -> Result<usize>;

    /// Uses an invitation and enrols the device, both or neither. The first device of a user gives the user their own
    /// scope to write, `dir/main` and `lib/main` to read.
    fn enrol(&self, code: &Hash, redeem: &mut Redeem<'_>, at: Instant) -> Result<Enrolled>;

    /// All devices.
    fn devices(&self) -> Result<Vec<Device>>;

    /// Locks a device out, orders it to be wiped, or lets it in again.
    fn set_device_state(&self, device: &Id, state: &DeviceState) -> Result<()>;

    /// Takes the receipt of a device that followed its order; `key` is its public key, an uncompressed point.
    fn wiped(&self, device: &Id, receipt: &WipeReceipt, key: &[u8]) -> Result<()>;

    /// The scopes that a user holds, by name.
    fn grants(&self, user: &Id) -> Result<Vec<Held>>;

    /// Gives a scope by hand; again, to change the access.
    fn grant(&self, user: &Id, scope: &Scope, access: Access) -> Result<()>;

    /// Takes back what was given by hand or at the enrolment. What a care team or a group gives stays.
    fn revoke(&self, user: &Id, scope: &Scope) -> Result<()>;

    /// Writes a resource by the server's own hand: an import, another system. Its version, also if it was that already.
    fn put(&self, body: &Body, at: Instant) -> Result<Version>;

    /// Deletes a resource by the server's own hand. The tombstone's version; none if there never was such a resource.
    fn delete(&self, key: &ResourceKey, at: Instant) -> Result<Option<Version>>;

    /// Records of the archive behind `after`, by number, at most [`crate::ARCHIVE_PAGE_MAX`].
    fn archived(&self, after: u64) -> Result<Vec<Archived>>;

    /// Removes tombstones, and uploads that nobody goes on with. The floor that this makes.
    fn collect(&self, retention: &Retention, at: Instant) -> Result<Position>;

    /// Begins another history: the one before may have run backwards. Every cursor is void.
    fn new_epoch(&self, epoch: Epoch) -> Result<()>;
}
