//! The server: a tenant in memory, and perhaps one in a store that must give the same answers.

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use keepwell_backend::{
    Access, Act, Backend, DeviceState, Error, Head, Held, LeasePolicy, MemoryBackend, Pushed, Redeemed,
    Result, Retention, Snapshot, Storage, Tenant,
};
use keepwell_backend_sqlcipher::SqlcipherBackend;
use keepwell_fhir::Instant;
use keepwell_protocol::{
    Body, Epoch, Frozen, Hash, Horizon, Id, Incarnation, Lease, NewUpload, ParkHead, ParkRecord, ParkReply,
    Part, PullReply, PullRequest, PushHead, ResourceKey, Scope, Sequence, Upload,
};
use keepwell_store::vault::ManualClock;

use crate::home::{End, Home, Image};
use crate::stored::{DISK_FULL, defects, session};
use crate::violation::{Step, Violation};
use crate::world::id;

/// A copy of the server's databases.
pub(crate) struct ServerBackup {
    memory: Snapshot,
    image: Option<Image>,
}

/// What a moment may be recognised by.
pub(crate) struct Subjects<'s> {
    pub(crate) users: Vec<&'s Id>,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) streams: Vec<(&'s Id, Incarnation)>,
}

/// One tenant, kept once or twice.
pub(crate) struct Server {
    pub(crate) memory: MemoryBackend,
    stored: Option<StoredTenant>,
    /// There is no room for what devices say.
    pub(crate) is_full: bool,
}

struct StoredTenant {
    backend: SqlcipherBackend,
    clock: Arc<ManualClock>,
    home: Home,
}

impl StoredTenant {
    /// An empty tenant.
    fn new(now: Instant) -> Self {
        static NEW: OnceLock<Image> = OnceLock::new();
        let image = NEW.get_or_init(|| {
            let home = Home::empty();
            let options = home.options(Arc::new(ManualClock::new(0)));
            let backend = SqlcipherBackend::create(home.path(), id("clinic"), Epoch::new(0), options, None);
            drop(backend.expect("nothing is there"));
            home.image()
        });
        Self::of(image, now)
    }

    fn of(image: &Image, now: Instant) -> Self {
        Self::open(Home::of(image), now).expect("the store is there, and its key in its keychain")
    }

    fn open(home: Home, now: Instant) -> Step<Self> {
        let clock = Arc::new(ManualClock::new(now.ms()));
        match SqlcipherBackend::open(home.path(), id("clinic"), home.options(clock.clone()), None) {
            Ok(backend) => Ok(Self { backend, clock, home }),
            Err(error) => Err(Violation::new("disk", format!("the server's store does not open: {error}"))),
        }
    }
}

impl Server {
    pub(crate) fn new(memory: MemoryBackend, epoch: Epoch, stored_at: Option<Instant>) -> Self {
        let server = Self { memory, stored: stored_at.map(StoredTenant::new), is_full: false };
        server.new_epoch(epoch);
        server
    }

    /// Asks both, who must say the same.
    fn ask<T: PartialEq + Debug>(&self, call: impl Fn(&dyn Backend) -> Result<T>) -> Result<T> {
        let answer = call(&self.memory);
        match &self.stored {
            Some(stored) => same(answer, call(&stored.backend)),
            None => answer,
        }
    }

    /// As [`Self::ask`], at this time.
    fn ask_at<T: PartialEq + Debug>(
        &self,
        at: Instant,
        call: impl Fn(&dyn Backend) -> Result<T>,
    ) -> Result<T> {
        if let Some(stored) = &self.stored {
            stored.clock.set_wall(at.ms());
        }
        self.ask(call)
    }

    /// As [`Self::ask_at`], for a device: if there is no room, nothing has happened. What is only in memory takes nothing
    /// that `is_new`.
    fn ask_for_device<T: PartialEq + Debug>(
        &self,
        at: Instant,
        is_new: bool,
        call: impl Fn(&dyn Backend) -> Result<T>,
    ) -> Result<T> {
        let Some(stored) = self.stored.as_ref().filter(|_| self.is_full) else {
            return if self.is_full && is_new { Err(full()) } else { self.ask_at(at, call) };
        };
        stored.clock.set_wall(at.ms());
        stored.home.set_full(true);
        let tried = call(&stored.backend);
        stored.home.set_full(false);
        if matches!(tried, Err(Error::Storage { code: DISK_FULL, .. })) {
            return Err(full());
        }
        same(call(&self.memory), tried)
    }

    pub(crate) fn push(
        &self,
        device: &Id,
        head: &PushHead,
        mutations: &[Frozen],
        at: Instant,
    ) -> Result<Pushed> {
        self.ask_for_device(at, true, |backend| backend.push(device, head, mutations, at))
    }

    pub(crate) fn pull(
        &self,
        device: &Id,
        request: &PullRequest,
        at: Instant,
    ) -> Result<Vec<Part<PullReply>>> {
        self.ask_for_device(at, false, |backend| {
            let mut parts = Vec::new();
            backend.pull(device, request, at, &mut |part| parts.push(part))?;
            Ok(parts)
        })
    }

    pub(crate) fn park(
        &self,
        device: &Id,
        head: &ParkHead,
        records: &[ParkRecord],
        at: Instant,
    ) -> Result<ParkReply> {
        self.ask_for_device(at, true, |backend| backend.park(device, head, records, at))
    }

    pub(crate) fn begin_upload(&self, device: &Id, upload: &NewUpload, at: Instant) -> Result<Upload> {
        self.ask_for_device(at, true, |backend| backend.begin_upload(device, upload, at))
    }

    pub(crate) fn append(
        &self,
        device: &Id,
        upload: &Id,
        offset: u64,
        chunk: &[u8],
        at: Instant,
    ) -> Result<Upload> {
        self.ask_for_device(at, true, |backend| backend.append(device, upload, offset, chunk, at))
    }

    pub(crate) fn blob(&self, device: &Id, blob: &Hash, offset: u64, length: u64) -> Result<Vec<u8>> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.ask(|backend| backend.blob(device, blob, offset, length))
    }

    pub(crate) fn lease(&self, device: &Id, policy: &LeasePolicy, at: Instant) -> Result<Lease> {
        self.ask_at(at, |backend| backend.lease(device, policy, at))
    }

    pub(crate) fn enrol(&self, code: &Hash, redeemed: &Redeemed, at: Instant) {
        self.done(self.ask_at(at, |backend| {
            backend.keep_invitation(code, b"open")?;
            backend.enrol(code, &mut |_| Ok(redeemed.clone()), at)
        }));
    }

    pub(crate) fn put(&self, body: &Body, at: Instant) {
        self.done(self.ask_at(at, |backend| backend.put(body, at)));
    }

    pub(crate) fn delete(&self, key: &ResourceKey, at: Instant) {
        self.done(self.ask_at(at, |backend| backend.delete(key, at)));
    }

    pub(crate) fn collect(&self, retention: &Retention, at: Instant) {
        self.done(self.ask_at(at, |backend| backend.collect(retention, at)));
    }

    pub(crate) fn grant(&self, user: &Id, scope: &Scope, access: Access) {
        self.done(self.ask(|backend| backend.grant(user, scope, access)));
    }

    pub(crate) fn revoke(&self, user: &Id, scope: &Scope) {
        self.done(self.ask(|backend| backend.revoke(user, scope)));
    }

    pub(crate) fn new_epoch(&self, epoch: Epoch) {
        self.done(self.ask(|backend| backend.new_epoch(epoch)));
    }

    pub(crate) fn set_device_state(&self, device: &Id, state: &DeviceState) {
        self.done(self.ask(|backend| backend.set_device_state(device, state)));
    }

    pub(crate) fn horizon(&self) -> Horizon {
        self.done(self.memory.horizon())
    }

    pub(crate) fn grants(&self, user: &Id) -> Vec<Held> {
        self.done(self.ask(|backend| backend.grants(user)))
    }

    /// What an operator does is not refused, and neither memory nor this disk fails.
    fn done<T>(&self, answer: Result<T>) -> T {
        answer.expect("the server does as it is told")
    }

    pub(crate) fn back_up(&self) -> ServerBackup {
        let image = self.stored.as_ref().map(|stored| stored.home.image());
        ServerBackup { memory: self.memory.snapshot(), image }
    }

    pub(crate) fn restore(&mut self, backup: ServerBackup, now: Instant) {
        self.memory.restore(backup.memory);
        self.stored = backup.image.map(|image| StoredTenant::of(&image, now));
    }

    /// How much was written and synced so far.
    pub(crate) fn moment(&self) -> usize {
        self.stored.as_ref().map_or(0, |stored| stored.home.moment())
    }

    /// The process ends at that moment of what was done since `before`, and another one opens what is left: all of it
    /// or nothing, which memory then is, too. Whether it was all.
    pub(crate) fn end(
        &mut self,
        at: usize,
        end: End,
        before: Snapshot,
        subjects: &Subjects<'_>,
        now: Instant,
    ) -> Step<bool> {
        let Some(stored) = self.stored.take() else { return Ok(true) };
        let is_acknowledged = at >= stored.home.moment();
        let left = stored.home.left(at, end);
        drop(stored);
        let stored = StoredTenant::open(left, now)?;
        let keys = self.keys();
        let found = picture(&stored.backend, subjects, &keys);
        self.stored = Some(stored);
        if found == picture(&self.memory, subjects, &keys) {
            return Ok(true);
        }
        self.memory.restore(before);
        let is_before = found == picture(&self.memory, subjects, &keys);
        match (is_before, is_acknowledged) {
            (true, false) => Ok(false),
            (true, true) => Err(Violation::new("I3", "the server lost what it had acknowledged")),
            (false, _) => Err(Violation::new("disk", "the server is in a state that never was")),
        }
    }

    /// Whether the store is whole, and as memory.
    pub(crate) fn check(&self, subjects: &Subjects<'_>) -> Step {
        let Some(stored) = &self.stored else { return Ok(()) };
        let keys = self.keys();
        if picture(&stored.backend, subjects, &keys) != picture(&self.memory, subjects, &keys) {
            return Err(Violation::new("disk", "the server's store is not as its memory"));
        }
        match defects(&session(stored.backend.store())) {
            Some(defects) => Err(Violation::new("disk", defects)),
            None => Ok(()),
        }
    }

    /// What devices and other systems wrote, with heads and versions; what the server says of that itself is left out.
    pub(crate) fn resources(&self) -> Vec<(ResourceKey, Head, Vec<Option<Body>>)> {
        let mut resources = self.memory.resources();
        resources.retain(|(key, ..)| key.kind.name() != "Provenance");
        resources
    }

    fn keys(&self) -> Vec<ResourceKey> {
        self.memory.resources().into_iter().map(|(key, ..)| key).collect()
    }
}

/// What memory answers, if the store answers the same.
fn same<T: PartialEq + Debug>(answer: Result<T>, other: Result<T>) -> Result<T> {
    match (&answer, other) {
        (Ok(answer), Ok(other)) => assert_eq!(other, *answer, "the tenant in the store"),
        (Err(Error::Refused(refusal)), Err(Error::Refused(other))) => {
            assert_eq!(other, *refusal, "the tenant in the store");
        }
        (answer, other) => panic!("the tenant in the store says {other:?}, not {answer:?}"),
    }
    answer
}

/// The disk is full.
fn full() -> Error {
    let source = Box::new(std::io::Error::from(std::io::ErrorKind::StorageFull));
    Error::Storage { code: DISK_FULL, source }
}

/// All that devices can find out of a tenant.
fn picture(storage: &impl Storage, subjects: &Subjects<'_>, keys: &[ResourceKey]) -> Vec<String> {
    let picture = storage.read(None, Act::Administer, |tenant: &mut dyn Tenant| {
        let mut lines = vec![format!("{:?}", tenant.horizon()?)];
        for key in keys {
            let head = tenant.head(key)?;
            let body = head.map(|head| tenant.body(key, head.version)).transpose()?.flatten();
            let hash = body.map(|body| body.hash());
            lines.push(format!("{key} {head:?} {hash:?} {:?}", tenant.rows_of(key)?));
        }
        for scope in &subjects.scopes {
            let mut members = tenant.members(scope)?;
            members.sort_by(|one, other| one.key.cmp(&other.key));
            lines.push(format!("{scope} {:?} {members:?}", tenant.digest(scope)?));
        }
        for user in &subjects.users {
            lines.push(format!("{user} {:?}", tenant.grants(user)?));
        }
        for (device, incarnation) in &subjects.streams {
            let last = tenant.last_decided(device, *incarnation)?;
            let decided = tenant.decided(device, *incarnation, Sequence::ZERO, usize::from(u16::MAX))?;
            lines.push(format!("{device} {incarnation} {last:?} {decided:?}"));
        }
        let archived = tenant.archived(0, usize::from(u16::MAX))?.into_iter();
        lines.extend(archived.map(|record| format!("{} {} {:?}", record.number, record.cid, record.key)));
        Ok(lines)
    });
    picture.expect("it can be read")
}
