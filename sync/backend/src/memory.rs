//! A backend in memory, for tests and simulations.
//!
//! A copy of it ([`MemoryBackend::snapshot`]) is a backup: restored, it is the tenant as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use keepwell_fhir::Instant;
use keepwell_protocol::{
    Blob, BlobToken, Body, Digest, Epoch, Generation, Hash, Horizon, Id, Incarnation, Member, Position,
    ResourceKey, Scope, Sequence, Version,
};

use crate::access::{Access, Held};
use crate::archive::{Archived, Closed};
use crate::backend::Observer;
use crate::defect::Defect;
use crate::device::Device;
use crate::error::Result;
use crate::tenant::{Act, Decided, Disclosure, FeedRow, FeedState, Head, Source, Storage, Tenant, UploadRow};

/// A tenant in memory. The rules refuse before they write, and memory does not fail: so nothing is ever rolled back.
pub struct MemoryBackend {
    tenant: Id,
    state: Mutex<State>,
    observers: Mutex<Vec<Arc<Observer>>>,
}

/// A [`MemoryBackend`] at one moment.
#[derive(Clone)]
pub struct Snapshot(State);

#[derive(Clone)]
struct State {
    horizon: Horizon,
    resources: BTreeMap<ResourceKey, Resource>,
    rows: BTreeMap<ResourceKey, BTreeMap<Scope, FeedRow>>,
    /// The rows by scope and position.
    by_scope: BTreeMap<Scope, BTreeMap<Position, ResourceKey>>,
    by_position: BTreeMap<Position, ResourceKey>,
    digests: BTreeMap<Scope, Digest>,
    streams: BTreeMap<(Id, Incarnation), Stream>,
    archive: Vec<Archived>,
    /// Generation, and access if there is some.
    grants: BTreeMap<Id, BTreeMap<Scope, (Generation, Option<Access>)>>,
    /// Whose grants changed, one after the other.
    changed_grants: Vec<Id>,
    reasons: BTreeMap<(Id, Scope), BTreeMap<Source, Access>>,
    /// The Group that a CareTeam cares for, and its users.
    teams: BTreeMap<Id, (Id, Vec<Id>)>,
    /// The patients of a Group.
    cohorts: BTreeMap<Id, Vec<Id>>,
    devices: BTreeMap<Id, Device>,
    invitations: BTreeMap<Hash, Vec<u8>>,
    blobs: BTreeMap<Hash, Arc<[u8]>>,
    uploaded: BTreeMap<(Id, Hash), Instant>,
    referrers: BTreeMap<Hash, BTreeSet<ResourceKey>>,
    uploads: BTreeMap<Id, (UploadRow, Vec<u8>)>,
    defects: BTreeSet<Defect>,
}

#[derive(Clone)]
struct Resource {
    head: Head,
    /// From version 1 on.
    versions: Vec<Option<Body>>,
}

#[derive(Clone, Default)]
struct Stream {
    last: Sequence,
    decided: BTreeMap<Sequence, Decided>,
}

impl MemoryBackend {
    /// An empty tenant.
    #[must_use]
    pub fn new(tenant: Id, epoch: Epoch) -> Self {
        let state = State {
            horizon: Horizon { epoch, floor: Position::ZERO, clock: Position::ZERO },
            resources: BTreeMap::new(),
            rows: BTreeMap::new(),
            by_scope: BTreeMap::new(),
            by_position: BTreeMap::new(),
            digests: BTreeMap::new(),
            streams: BTreeMap::new(),
            archive: Vec::new(),
            grants: BTreeMap::new(),
            changed_grants: Vec::new(),
            reasons: BTreeMap::new(),
            teams: BTreeMap::new(),
            cohorts: BTreeMap::new(),
            devices: BTreeMap::new(),
            invitations: BTreeMap::new(),
            blobs: BTreeMap::new(),
            uploaded: BTreeMap::new(),
            referrers: BTreeMap::new(),
            uploads: BTreeMap::new(),
            defects: BTreeSet::new(),
        };
        Self { tenant, state: Mutex::new(state), observers: Mutex::default() }
    }

    /// The same with mistakes.
    #[must_use]
    pub fn with_defects(self, defects: impl IntoIterator<Item = Defect>) -> Self {
        self.lock().defects.extend(defects);
        self
    }

    /// The tenant as it is now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.lock().clone())
    }

    /// Makes it the tenant that it was, which whoever does this announces with
    /// [`new_epoch`](crate::Backend::new_epoch), or forgets to.
    pub fn restore(&self, snapshot: Snapshot) {
        *self.lock() = snapshot.0;
        self.announce();
    }

    /// Looks at the state, for those who check it from outside.
    pub fn inspect<T>(&self, look: impl FnOnce(&mut dyn Tenant) -> T) -> T {
        look(&mut *self.lock())
    }

    /// All resources that ever were, with their heads and the bodies of their versions from 1 on; a tombstone has none.
    #[must_use]
    pub fn resources(&self) -> Vec<(ResourceKey, Head, Vec<Option<Body>>)> {
        let state = self.lock();
        let resources = state.resources.iter();
        resources.map(|(key, resource)| (key.clone(), resource.head, resource.versions.clone())).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self) {
        let observers = self.observers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        observers.iter().for_each(|observer| observer());
    }
}

impl Storage for MemoryBackend {
    fn tenant(&self) -> &Id {
        &self.tenant
    }

    fn write<T>(&self, _: Option<&Id>, _: Act, work: impl FnOnce(&mut dyn Tenant) -> Result<T>) -> Result<T> {
        let done = work(&mut *self.lock());
        self.announce();
        done
    }

    fn read<T>(&self, _: Option<&Id>, _: Act, work: impl FnOnce(&mut dyn Tenant) -> Result<T>) -> Result<T> {
        work(&mut *self.lock())
    }

    fn observe(&self, observer: Arc<Observer>) {
        self.observers.lock().unwrap_or_else(PoisonError::into_inner).push(observer);
    }
}

impl State {
    fn put_in_order(&mut self, row: &FeedRow) {
        self.by_scope.entry(row.scope.clone()).or_default().insert(row.position, row.key.clone());
        self.by_position.insert(row.position, row.key.clone());
    }

    fn take_out_of_order(&mut self, row: &FeedRow) {
        if let Some(positions) = self.by_scope.get_mut(&row.scope) {
            positions.remove(&row.position);
        }
        let others = self.rows.get(&row.key).into_iter().flat_map(BTreeMap::values);
        if others.into_iter().all(|other| other.position != row.position) {
            self.by_position.remove(&row.position);
        }
    }

    fn row(&self, scope: &Scope, key: &ResourceKey) -> Option<&FeedRow> {
        self.rows.get(key)?.get(scope)
    }
}

impl Tenant for State {
    fn horizon(&mut self) -> Result<Horizon> {
        Ok(self.horizon)
    }

    fn set_epoch(&mut self, epoch: Epoch) -> Result<()> {
        self.horizon.epoch = epoch;
        Ok(())
    }

    fn set_floor(&mut self, floor: Position) -> Result<()> {
        self.horizon.floor = floor;
        Ok(())
    }

    fn head(&mut self, key: &ResourceKey) -> Result<Option<Head>> {
        Ok(self.resources.get(key).map(|resource| resource.head))
    }

    fn body(&mut self, key: &ResourceKey, version: Version) -> Result<Option<Body>> {
        let place = usize::try_from(version.get()).unwrap_or(usize::MAX).checked_sub(1);
        let versions = self.resources.get(key).map(|resource| &resource.versions);
        Ok(versions.zip(place).and_then(|(versions, place)| versions.get(place)?.clone()))
    }

    fn write(&mut self, key: &ResourceKey, body: Option<&Body>, at: Instant) -> Result<Head> {
        let position = self.horizon.clock.next().expect("fewer than 2^53 versions");
        self.horizon.clock = position;
        let known = self.resources.entry(key.clone()).or_insert_with(|| {
            let head = Head { version: Version::ZERO, position, at, deleted: true };
            Resource { head, versions: Vec::new() }
        });
        let version = known.head.version.next().expect("fewer than 2^53 versions");
        known.head = Head { version, position, at, deleted: body.is_none() };
        known.versions.push(body.cloned());
        Ok(known.head)
    }

    fn rows_of(&mut self, key: &ResourceKey) -> Result<Vec<FeedRow>> {
        Ok(self.rows.get(key).into_iter().flat_map(BTreeMap::values).cloned().collect())
    }

    fn rows_in(
        &mut self,
        scope: &Scope,
        after: Position,
        upto: Position,
        limit: usize,
    ) -> Result<Vec<FeedRow>> {
        let Some(positions) = self.by_scope.get(scope) else { return Ok(Vec::new()) };
        let first = after.next().unwrap_or(after);
        let keys = positions.range(first..=upto.max(first)).filter(|(position, _)| **position <= upto);
        Ok(keys.take(limit).filter_map(|(_, key)| self.row(scope, key).cloned()).collect())
    }

    fn rows_between(&mut self, after: Position, upto: Position) -> Result<Vec<FeedRow>> {
        let first = after.next().unwrap_or(after);
        let positions =
            self.by_position.range(first..=upto.max(first)).filter(|(position, _)| **position <= upto);
        let rows = positions.flat_map(|(position, key)| {
            let of_key = self.rows.get(key).into_iter().flat_map(BTreeMap::values);
            of_key.filter(|row| row.position == *position).cloned()
        });
        Ok(rows.collect())
    }

    fn put_row(&mut self, row: FeedRow) -> Result<()> {
        if let Some(before) = self.rows.get_mut(&row.key).and_then(|rows| rows.remove(&row.scope)) {
            self.take_out_of_order(&before);
        }
        self.put_in_order(&row);
        self.rows.entry(row.key.clone()).or_default().insert(row.scope.clone(), row);
        Ok(())
    }

    fn remove_tombstones(&mut self, upto: Position, made_before: Instant) -> Result<Option<Position>> {
        let goes = |row: &&FeedRow| {
            !matches!(row.state, FeedState::In { .. }) && row.position <= upto && row.at < made_before
        };
        let gone: Vec<FeedRow> =
            self.rows.values().flat_map(BTreeMap::values).filter(goes).cloned().collect();
        for row in &gone {
            if let Some(rows) = self.rows.get_mut(&row.key) {
                rows.remove(&row.scope);
            }
            self.take_out_of_order(row);
        }
        if self.has(Defect::HeadsCollected) {
            let tombstones = gone.iter().filter(|row| row.state == FeedState::Deleted);
            for row in tombstones {
                if self.resources.get(&row.key).is_some_and(|resource| resource.head.deleted) {
                    self.resources.remove(&row.key);
                }
            }
        }
        Ok(gone.iter().map(|row| row.position).max())
    }

    fn digest(&mut self, scope: &Scope) -> Result<Digest> {
        Ok(self.digests.get(scope).copied().unwrap_or_default())
    }

    fn set_digest(&mut self, scope: &Scope, digest: Digest) -> Result<()> {
        self.digests.insert(scope.clone(), digest);
        Ok(())
    }

    fn members(&mut self, scope: &Scope) -> Result<Vec<Member>> {
        let keys = self.by_scope.get(scope).into_iter().flat_map(BTreeMap::values);
        Ok(keys.filter_map(|key| self.row(scope, key)?.member()).collect())
    }

    fn last_decided(&mut self, device: &Id, incarnation: Incarnation) -> Result<Sequence> {
        let stream = self.streams.get(&(device.clone(), incarnation));
        Ok(stream.map_or(Sequence::ZERO, |stream| stream.last))
    }

    fn set_last_decided(&mut self, device: &Id, incarnation: Incarnation, last: Sequence) -> Result<()> {
        self.streams.entry((device.clone(), incarnation)).or_default().last = last;
        Ok(())
    }

    fn decided(
        &mut self,
        device: &Id,
        incarnation: Incarnation,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Decided>> {
        let Some(stream) = self.streams.get(&(device.clone(), incarnation)) else { return Ok(Vec::new()) };
        let behind = stream.decided.values().filter(|decided| decided.sequence > after);
        Ok(behind.take(limit).cloned().collect())
    }

    fn keep_decided(&mut self, device: &Id, incarnation: Incarnation, decided: Decided) -> Result<()> {
        let stream = self.streams.entry((device.clone(), incarnation)).or_default();
        stream.decided.insert(decided.sequence, decided);
        Ok(())
    }

    fn forget_decided(&mut self, device: &Id, incarnation: Incarnation, upto: Sequence) -> Result<()> {
        if let Some(stream) = self.streams.get_mut(&(device.clone(), incarnation)) {
            stream.decided.retain(|sequence, _| *sequence > upto);
        }
        Ok(())
    }

    fn archive(&mut self, record: Archived) -> Result<()> {
        let known = |other: &Archived| other.device == record.device && other.cid == record.cid;
        if !self.archive.iter().any(known) {
            let number = self.archive.len() as u64 + 1;
            self.archive.push(Archived { number, ..record });
        }
        Ok(())
    }

    fn close_archived(&mut self, device: &Id, cid: &str, closed: &Closed) -> Result<()> {
        let named = |record: &&mut Archived| record.device == *device && record.cid == cid;
        if let Some(record) = self.archive.iter_mut().find(named) {
            record.closed.get_or_insert_with(|| closed.clone());
        }
        Ok(())
    }

    fn archived(&mut self, after: u64, limit: usize) -> Result<Vec<Archived>> {
        let behind = self.archive.iter().filter(|record| record.number > after);
        Ok(behind.take(limit).cloned().collect())
    }

    fn grants(&mut self, user: &Id) -> Result<Vec<Held>> {
        let grants = self.grants.get(user).into_iter().flatten();
        let held = grants.filter_map(|(scope, (generation, access))| {
            Some(Held { scope: scope.clone(), generation: *generation, access: (*access)? })
        });
        Ok(held.collect())
    }

    fn access(&mut self, user: &Id, scope: &Scope) -> Result<Option<Access>> {
        Ok(self.grants.get(user).and_then(|grants| grants.get(scope)?.1))
    }

    fn generation(&mut self, user: &Id, scope: &Scope) -> Result<Generation> {
        let grant = self.grants.get(user).and_then(|grants| grants.get(scope));
        Ok(grant.map_or(Generation::ZERO, |grant| grant.0))
    }

    fn set_access(
        &mut self,
        user: &Id,
        scope: &Scope,
        generation: Generation,
        access: Option<Access>,
    ) -> Result<()> {
        self.grants.entry(user.clone()).or_default().insert(scope.clone(), (generation, access));
        self.changed_grants.push(user.clone());
        Ok(())
    }

    fn changed_grants(&mut self, after: u64) -> Result<(u64, Vec<Id>)> {
        let since =
            self.changed_grants.get(usize::try_from(after).unwrap_or(usize::MAX)..).unwrap_or_default();
        let users: BTreeSet<Id> = since.iter().cloned().collect();
        Ok((self.changed_grants.len() as u64, users.into_iter().collect()))
    }

    fn reasons(&mut self, user: &Id, scope: &Scope) -> Result<Vec<(Source, Access)>> {
        let reasons = self.reasons.get(&(user.clone(), scope.clone())).into_iter().flatten();
        Ok(reasons.map(|(source, access)| (source.clone(), *access)).collect())
    }

    fn set_reason(
        &mut self,
        source: &Source,
        user: &Id,
        scope: &Scope,
        access: Option<Access>,
    ) -> Result<()> {
        let reasons = self.reasons.entry((user.clone(), scope.clone())).or_default();
        match access {
            Some(access) => reasons.insert(source.clone(), access),
            None => reasons.remove(source),
        };
        Ok(())
    }

    fn given_by(&mut self, resource: &ResourceKey) -> Result<Vec<(Id, Scope)>> {
        let source = Source::Resource(resource.clone());
        let given = self.reasons.iter().filter(|(_, reasons)| reasons.contains_key(&source));
        Ok(given.map(|(given, _)| given.clone()).collect())
    }

    fn set_team(&mut self, team: &Id, group: Option<&Id>, users: &[Id]) -> Result<()> {
        match group {
            Some(group) => self.teams.insert(team.clone(), (group.clone(), users.to_vec())),
            None => self.teams.remove(team),
        };
        Ok(())
    }

    fn teams_of(&mut self, group: &Id) -> Result<Vec<(Id, Vec<Id>)>> {
        let teams = self.teams.iter().filter(|(_, (of, _))| of == group);
        Ok(teams.map(|(team, (_, users))| (team.clone(), users.clone())).collect())
    }

    fn set_patients_of(&mut self, group: &Id, patients: &[Id]) -> Result<()> {
        self.cohorts.insert(group.clone(), patients.to_vec());
        Ok(())
    }

    fn patients_of(&mut self, group: &Id) -> Result<Vec<Id>> {
        Ok(self.cohorts.get(group).cloned().unwrap_or_default())
    }

    fn device(&mut self, id: &Id) -> Result<Option<Device>> {
        Ok(self.devices.get(id).cloned())
    }

    fn devices(&mut self) -> Result<Vec<Device>> {
        Ok(self.devices.values().cloned().collect())
    }

    fn put_device(&mut self, device: &Device) -> Result<()> {
        self.devices.insert(device.id.clone(), device.clone());
        Ok(())
    }

    fn invitation(&mut self, code: &Hash) -> Result<Option<Vec<u8>>> {
        Ok(self.invitations.get(code).cloned())
    }

    fn invitations(&mut self) -> Result<Vec<(Hash, Vec<u8>)>> {
        Ok(self.invitations.iter().map(|(code, record)| (*code, record.clone())).collect())
    }

    fn put_invitation(&mut self, code: &Hash, record: &[u8]) -> Result<()> {
        self.invitations.insert(*code, record.to_vec());
        Ok(())
    }

    fn set_blobs(&mut self, key: &ResourceKey, blobs: &[Blob]) -> Result<()> {
        self.referrers.retain(|_, keys| {
            keys.remove(key);
            !keys.is_empty()
        });
        for blob in blobs {
            self.referrers.entry(blob.sha256).or_default().insert(key.clone());
        }
        Ok(())
    }

    fn referrers(&mut self, blob: &Hash) -> Result<Vec<ResourceKey>> {
        Ok(self.referrers.get(blob).into_iter().flatten().cloned().collect())
    }

    fn blob_size(&mut self, blob: &Hash) -> Result<Option<u64>> {
        Ok(self.blobs.get(blob).map(|bytes| bytes.len() as u64))
    }

    fn blob(&mut self, blob: &Hash, offset: u64, length: usize) -> Result<Vec<u8>> {
        let bytes = self.blobs.get(blob).map_or(&[][..], |bytes| bytes);
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        Ok(bytes[start..start.saturating_add(length).min(bytes.len())].to_vec())
    }

    fn upload(&mut self, id: &Id) -> Result<Option<UploadRow>> {
        Ok(self.uploads.get(id).map(|(row, _)| row.clone()))
    }

    fn uploads_of(&mut self, device: &Id) -> Result<Vec<UploadRow>> {
        let rows = self.uploads.values().map(|(row, _)| row);
        Ok(rows.filter(|row| row.device == *device).cloned().collect())
    }

    fn put_upload(&mut self, upload: &UploadRow, chunk: &[u8]) -> Result<()> {
        let entry = self.uploads.entry(upload.id.clone()).or_insert_with(|| (upload.clone(), Vec::new()));
        entry.0 = upload.clone();
        entry.1.extend_from_slice(chunk);
        Ok(())
    }

    fn upload_hash(&mut self, id: &Id) -> Result<Hash> {
        Ok(Hash::of(self.uploads.get(id).map_or(&[], |(_, bytes)| bytes)))
    }

    fn end_upload(&mut self, id: &Id, keep: bool) -> Result<()> {
        if let Some((row, bytes)) = self.uploads.remove(id).filter(|_| keep) {
            self.uploaded.insert((row.device, row.blob.sha256), row.at);
            self.blobs.insert(row.blob.sha256, bytes.into());
        }
        Ok(())
    }

    fn has_uploaded(&mut self, device: &Id, blob: &Blob) -> Result<bool> {
        let is_whole = self.blobs.get(&blob.sha256).is_some_and(|bytes| bytes.len() as u64 == blob.size);
        Ok(is_whole && self.uploaded.contains_key(&(device.clone(), blob.sha256)))
    }

    fn drop_uploads(&mut self, since: Instant) -> Result<()> {
        self.uploads.retain(|_, (row, _)| row.at >= since);
        let Self { blobs, uploaded, referrers, archive, .. } = self;
        let archived = |blob: &Hash| {
            let bodies = archive.iter().filter_map(|record| record.mine.as_ref());
            let tokens = bodies.filter_map(|body| BlobToken::all(body.as_bytes())).flatten();
            tokens.into_iter().any(|(_, token)| token.blob.sha256 == *blob)
        };
        uploaded.retain(|(_, hash), at| *at >= since || archived(hash));
        blobs.retain(|hash, _| referrers.contains_key(hash) || uploaded.keys().any(|(_, own)| own == hash));
        Ok(())
    }

    fn disclose(&mut self, _: Disclosure) -> Result<()> {
        Ok(())
    }

    fn has(&self, defect: Defect) -> bool {
        self.defects.contains(&defect)
    }
}
