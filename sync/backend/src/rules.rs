//! Everything that is kept somewhere is a backend: each call is one transaction over the rules.

use std::collections::BTreeSet;
use std::sync::Arc;

use keepwell_fhir::{Instant, Walker};
use keepwell_protocol::limits::{CHUNK_BYTES_MAX, RANGES_MAX};
use keepwell_protocol::{
    Blob, Body, ChunkError, DigestReply, DigestRequest, Document as _, Epoch, Frozen, Hash, Horizon, Id,
    Lease, Member, NewUpload, ParkHead, ParkRecord, ParkReply, Part, Position, PullReply, PullRequest,
    PushHead, Range, RangeAnswer, Refusal, ResourceKey, Scope, Upload, Version, WipeReceipt, check_version,
};

use crate::access::{Access, Held, NEWS_POSITIONS_MAX, News};
use crate::archive::{ARCHIVE_PAGE_MAX, Archived, Closed};
use crate::backend::{Backend, Observer, Pushed, Redeem, Retention};
use crate::defect::Defect;
use crate::device::{Device, DeviceState, Enrolled, LeasePolicy, SEEN_MS};
use crate::error::{Error, Result};
use crate::feed;
use crate::tenant::{Act, Disclosure, Source, Storage, Tenant, UploadRow};
use crate::{pull, push};

/// Uploads of a device that are not finished.
pub const UPLOADS_MAX: usize = 64;

/// How long an upload may rest, in milliseconds: a week.
pub const UPLOAD_AGE_MS: i64 = 7 * 24 * 60 * 60 * 1000;

impl<S: Storage> Backend for S {
    fn tenant(&self) -> &Id {
        Storage::tenant(self)
    }

    fn horizon(&self) -> Result<Horizon> {
        self.read(None, Act::Administer, |tenant| tenant.horizon())
    }

    fn admit(&self, device: &Id) -> Result<Device> {
        self.read(Some(device), Act::Lease, |tenant| admit(tenant, device))
    }

    fn push(&self, device: &Id, head: &PushHead, mutations: &[Frozen], at: Instant) -> Result<Pushed> {
        let pushed = self.write(Some(device), Act::Push, |tenant| {
            let known = admit(tenant, device)?;
            speaks(head.v)?;
            push::push(tenant, &known, head, mutations, at)
        })?;
        Ok(pushed?)
    }

    fn pull(
        &self,
        device: &Id,
        request: &PullRequest,
        at: Instant,
        page: &mut dyn FnMut(Part<PullReply>),
    ) -> Result<()> {
        let known = self.read(Some(device), Act::Pull, |tenant| {
            let known = admit(tenant, device)?;
            speaks(request.v)?;
            pull::pull(tenant, &known, request, page)?;
            Ok(known)
        })?;
        if at.ms() - known.seen.ms() < SEEN_MS {
            return Ok(());
        }
        // What the device had read when it asked, since this answer may not arrive.
        let cursor = request.cursor.map_or(Position::ZERO, |cursor| cursor.position());
        let read = request.hydrating.iter().map(|hydration| hydration.2).fold(cursor, Position::min);
        self.write(Some(device), Act::Pull, |tenant| see(tenant, device, at, Some(read)))
    }

    fn park(&self, device: &Id, head: &ParkHead, records: &[ParkRecord], at: Instant) -> Result<ParkReply> {
        self.write(Some(device), Act::Park, |tenant| {
            let known = admit(tenant, device)?;
            speaks(head.v)?;
            for record in records {
                let ParkRecord { cid, kind, key, base, theirs, at: made, paths, mine, done } = record.clone();
                tenant.archive(Archived {
                    number: 0,
                    device: device.clone(),
                    user: known.user.clone(),
                    cid: cid.to_string(),
                    kind,
                    key,
                    base,
                    theirs,
                    at: made,
                    received: at,
                    paths,
                    mine,
                    closed: None,
                })?;
                if let Some(decision) = done {
                    let closed = Closed { decision, by: known.user.clone(), at };
                    tenant.close_archived(device, record.cid.as_str(), &closed)?;
                }
            }
            Ok(ParkReply { stored: records.iter().map(|record| record.cid.clone()).collect() })
        })
    }

    fn digest(&self, device: &Id, request: &DigestRequest) -> Result<DigestReply> {
        self.read(Some(device), Act::Digest, |tenant| {
            let known = admit(tenant, device)?;
            speaks(request.v)?;
            request.check().map_err(|error| Refusal::from(&error))?;
            let held = tenant.access(&known.user, &request.scope)?.is_some();
            if !held || tenant.generation(&known.user, &request.scope)? != request.generation {
                return Err(Refusal::Forbidden.into());
            }
            let Horizon { epoch, clock, .. } = tenant.horizon()?;
            Ok(DigestReply { epoch, clock, ranges: compare(tenant.members(&request.scope)?, request) })
        })
    }

    fn observe(&self, observer: Arc<Observer>) {
        Storage::observe(self, observer);
    }

    fn news(&self, after: Position, grants: u64) -> Result<News> {
        self.read(None, Act::Administer, |tenant| {
            let clock = tenant.horizon()?.clock;
            let (grants, users) = tenant.changed_grants(grants)?;
            if clock.get().saturating_sub(after.get()) > NEWS_POSITIONS_MAX {
                return Ok(News { clock, scopes: None, grants, users });
            }
            let scopes: BTreeSet<Scope> =
                tenant.rows_between(after, clock)?.into_iter().map(|row| row.scope).collect();
            Ok(News { clock, scopes: Some(scopes.into_iter().collect()), grants, users })
        })
    }

    fn blob_size(&self, device: &Id, blob: &Hash) -> Result<u64> {
        self.read(Some(device), Act::Blob, |tenant| {
            let known = admit(tenant, device)?;
            readable_blob(tenant, &known, blob)
        })
    }

    fn blob(&self, device: &Id, blob: &Hash, offset: u64, length: usize) -> Result<Vec<u8>> {
        self.read(Some(device), Act::Blob, |tenant| {
            let known = admit(tenant, device)?;
            let size = readable_blob(tenant, &known, blob)?;
            if offset == 0 {
                tenant.disclose(Disclosure::Blob(*blob))?;
            }
            let left = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX);
            tenant.blob(blob, offset, length.min(left).min(CHUNK_BYTES_MAX))
        })
    }

    fn begin_upload(&self, device: &Id, upload: &NewUpload, at: Instant) -> Result<Upload> {
        self.write(Some(device), Act::Upload, |tenant| {
            let known = admit(tenant, device)?;
            speaks(upload.v)?;
            upload.check().map_err(|error| Refusal::from(&error))?;
            let id = upload_id(device, &upload.sha256);
            // What is here already needs no upload, but only who may read it is told so, and who has sent it.
            let blob = Blob { sha256: upload.sha256, size: upload.size };
            if may_name(tenant, &known, &blob)? {
                return Ok(Upload { id, offset: upload.size });
            }
            let begun = tenant.upload(&id)?.filter(|begun| begun.blob.size == upload.size);
            if let Some(begun) = begun {
                return Ok(Upload { id, offset: begun.offset });
            }
            if tenant.uploads_of(device)?.len() >= UPLOADS_MAX {
                return Err(Refusal::Busy { retry_after_s: None }.into());
            }
            tenant.end_upload(&id, false)?;
            let row = UploadRow { id: id.clone(), device: device.clone(), blob, offset: 0, at };
            tenant.put_upload(&row, &[])?;
            Ok(Upload { id, offset: 0 })
        })
    }

    fn append(&self, device: &Id, upload: &Id, offset: u64, chunk: &[u8], at: Instant) -> Result<Upload> {
        let appended = self.write(Some(device), Act::Upload, |tenant| {
            admit(tenant, device)?;
            let row = tenant.upload(upload)?.filter(|row| row.device == *device).ok_or(Refusal::NotFound)?;
            let state = Upload { id: upload.clone(), offset: row.offset };
            let end = match state.accept(offset, chunk.len(), row.blob.size) {
                Ok(end) => end,
                Err(ChunkError::Offset { expected }) => return Ok(Err(Refusal::UploadOffset { expected })),
                Err(_) => return Ok(Err(Refusal::TooLarge)),
            };
            let row = UploadRow { offset: end, at, ..row };
            tenant.put_upload(&row, chunk)?;
            if end == row.blob.size {
                let is_whole = tenant.upload_hash(upload)? == row.blob.sha256;
                tenant.end_upload(upload, is_whole)?;
                if !is_whole {
                    return Ok(Err(Refusal::HashMismatch));
                }
            }
            Ok(Ok(Upload { id: upload.clone(), offset: end }))
        })?;
        Ok(appended?)
    }

    fn lease(&self, device: &Id, policy: &LeasePolicy, at: Instant) -> Result<Lease> {
        self.write(Some(device), Act::Lease, |tenant| {
            let key = admit(tenant, device)?.lease_key;
            see(tenant, device, at, None)?;
            let later = |ms: i64| Instant::from_ms(at.ms().saturating_add(ms.max(0)));
            let renew = later(policy.renew_ms.min(policy.valid_ms));
            Ok(Lease { issued: at, renew, until: later(policy.valid_ms), key })
        })
    }

    fn keep_up(&self, device: &Id, pins: u64, serial: Option<&str>, at: Instant) -> Result<()> {
        self.write(Some(device), Act::Enrol, |tenant| {
            let known = admit(tenant, device)?;
            let serial = serial.map_or(known.serial, str::to_owned);
            tenant.put_device(&Device { serial, pins, seen: known.seen.max(at), ..known })
        })
    }

    fn keep_invitation(&self, code: &Hash, record: &[u8]) -> Result<()> {
        self.write(None, Act::Administer, |tenant| tenant.put_invitation(code, record))
    }

    fn invitations(&self) -> Result<Vec<(Hash, Vec<u8>)>> {
        self.read(None, Act::Administer, |tenant| tenant.invitations())
    }

    fn update_invitations(&self, update: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>) -> Result<usize> {
        self.write(None, Act::Administer, |tenant| {
            let mut updated = 0;
            for (code, record) in tenant.invitations()? {
                if let Some(record) = update(&record) {
                    tenant.put_invitation(&code, &record)?;
                    updated += 1;
                }
            }
            Ok(updated)
        })
    }

    fn enrol(&self, code: &Hash, redeem: &mut Redeem<'_>, at: Instant) -> Result<Enrolled> {
        self.write(None, Act::Enrol, |tenant| {
            let record = tenant.invitation(code)?.ok_or(Refusal::Invitation)?;
            let redeemed = redeem(&record)?;
            let Horizon { epoch, clock, .. } = tenant.horizon()?;
            let known = tenant.device(&redeemed.device)?;
            if known.as_ref().is_some_and(|known| known.key != redeemed.key || known.user != redeemed.user) {
                return Err(Refusal::Invitation.into());
            }
            let first = Device {
                id: redeemed.device,
                user: redeemed.user,
                name: redeemed.name,
                key: redeemed.key,
                serial: redeemed.serial.clone(),
                pins: 0,
                lease_key: redeemed.lease_key,
                state: DeviceState::Active,
                enrolled: at,
                seen: at,
                // It has read nothing yet and so needs no tombstone.
                position: clock,
            };
            let device = Device { serial: redeemed.serial, ..known.unwrap_or(first) };
            tenant.put_device(&device)?;
            tenant.put_invitation(code, &redeemed.record)?;
            welcome(tenant, &device.user)?;
            Ok(Enrolled { device, epoch })
        })
    }

    fn devices(&self) -> Result<Vec<Device>> {
        self.read(None, Act::Administer, |tenant| tenant.devices())
    }

    fn set_device_state(&self, device: &Id, state: &DeviceState) -> Result<()> {
        let own = Storage::tenant(self).clone();
        self.write(None, Act::Administer, |tenant| {
            let known = tenant.device(device)?.ok_or(Refusal::NotFound)?;
            if let DeviceState::Wipe(order) = state
                && (order.tenant != own || order.device != *device)
            {
                return Err(Refusal::BadRequest.into());
            }
            tenant.put_device(&Device { state: state.clone(), ..known })
        })
    }

    fn wiped(&self, device: &Id, receipt: &WipeReceipt, key: &[u8]) -> Result<()> {
        let own = Storage::tenant(self).clone();
        self.write(Some(device), Act::Wiped, |tenant| {
            let known = tenant.device(device)?.ok_or(Refusal::UnknownDevice)?;
            let answers = match &known.state {
                DeviceState::Wipe(order) => order.id == receipt.id,
                // Sent again, since the answer was lost.
                DeviceState::Wiped(before) => before == receipt,
                DeviceState::Active | DeviceState::Revoked => false,
            };
            let meant = receipt.tenant == own && receipt.device == *device;
            if !answers || !meant || receipt.verify(key).is_err() {
                return Err(Refusal::Forbidden.into());
            }
            tenant.put_device(&Device { state: DeviceState::Wiped(receipt.clone()), ..known })
        })
    }

    fn grants(&self, user: &Id) -> Result<Vec<Held>> {
        self.read(None, Act::Administer, |tenant| tenant.grants(user))
    }

    fn grant(&self, user: &Id, scope: &Scope, access: Access) -> Result<()> {
        self.write(None, Act::Administer, |tenant| {
            feed::set_reason(tenant, &Source::Hand, user, scope, Some(access))
        })
    }

    fn revoke(&self, user: &Id, scope: &Scope) -> Result<()> {
        self.write(None, Act::Administer, |tenant| feed::set_reason(tenant, &Source::Hand, user, scope, None))
    }

    fn put(&self, body: &Body, at: Instant) -> Result<Version> {
        let key = body.key().map_err(|error| Refusal::from(&error))?;
        self.write(None, Act::Write, |tenant| {
            let head = tenant.head(&key)?;
            if let Some(head) = head.filter(|head| !head.deleted)
                && tenant.body(&key, head.version)?.as_ref() == Some(body)
            {
                return Ok(head.version);
            }
            let before = head.map(|head| head.version);
            let head = tenant.write(&key, Some(body), at)?;
            if Some(head.version) == before {
                return Ok(head.version);
            }
            // Where its large attachments were in it, they are apart now.
            let kept = tenant.body(&key, head.version)?;
            feed::changed_elsewhere(tenant, &mut Walker::new(), &key, head, kept.as_ref())?;
            Ok(head.version)
        })
    }

    fn delete(&self, key: &ResourceKey, at: Instant) -> Result<Option<Version>> {
        self.write(None, Act::Write, |tenant| {
            let Some(head) = tenant.head(key)? else { return Ok(None) };
            if head.deleted {
                return Ok(Some(head.version));
            }
            let head = tenant.write(key, None, at)?;
            feed::changed_elsewhere(tenant, &mut Walker::new(), key, head, None)?;
            Ok(Some(head.version))
        })
    }

    fn archived(&self, after: u64) -> Result<Vec<Archived>> {
        self.read(None, Act::Administer, |tenant| {
            let records = tenant.archived(after, ARCHIVE_PAGE_MAX)?;
            tenant.disclose(Disclosure::Archive { records: records.len() })?;
            Ok(records)
        })
    }

    fn collect(&self, retention: &Retention, at: Instant) -> Result<Position> {
        self.write(None, Act::Administer, |tenant| {
            tenant.drop_uploads(Instant::from_ms(at.ms() - UPLOAD_AGE_MS))?;
            let horizon = tenant.horizon()?;
            let devices = tenant.devices()?;
            let waiting = devices
                .iter()
                .filter(|device| device.state == DeviceState::Active && device.seen >= retention.seen_since);
            let upto = waiting.map(|device| device.position).fold(horizon.clock, Position::min);
            let Some(highest) = tenant.remove_tombstones(upto, retention.made_before)? else {
                return Ok(horizon.floor);
            };
            let floor = highest.max(horizon.floor);
            tenant.set_floor(floor)?;
            Ok(floor)
        })
    }

    fn new_epoch(&self, epoch: Epoch) -> Result<()> {
        self.write(None, Act::Administer, |tenant| tenant.set_epoch(epoch))
    }
}

/// A device that may sync.
fn admit(tenant: &mut dyn Tenant, device: &Id) -> Result<Device> {
    let known = tenant.device(device)?.ok_or(Refusal::UnknownDevice)?;
    match &known.state {
        DeviceState::Active => Ok(known),
        DeviceState::Wipe(order) => Err(Refusal::Wipe(order.clone()).into()),
        DeviceState::Revoked | DeviceState::Wiped(_) => Err(Refusal::Revoked.into()),
    }
}

fn speaks(version: u32) -> Result<()> {
    check_version(version).map_err(|error| Refusal::from(&error).into())
}

/// Notes that a device is here.
fn see(tenant: &mut dyn Tenant, device: &Id, at: Instant, read: Option<Position>) -> Result<()> {
    let Some(known) = tenant.device(device)? else { return Ok(()) };
    let position = read.unwrap_or(known.position);
    tenant.put_device(&Device { seen: known.seen.max(at), position, ..known })
}

/// Gives a user what every user has: their own scope, the directory and the library.
fn welcome(tenant: &mut dyn Tenant, user: &Id) -> Result<()> {
    let main: Id = "main".parse().expect("an id");
    for (scope, access) in [
        (Scope::user(user), Access::Write),
        (Scope::directory(&main), Access::Read),
        (Scope::library(&main), Access::Read),
    ] {
        // What an administrator has taken back stays taken back.
        if tenant.generation(user, &scope)?.get() == 0 {
            feed::set_reason(tenant, &Source::Hand, user, &scope, Some(access))?;
        }
    }
    Ok(())
}

/// Whether a device may write a resource that refers to a blob: it has shown that it has the bytes, or may read them.
/// Otherwise a hash would be as good as the content.
pub(crate) fn may_name(tenant: &mut dyn Tenant, device: &Device, blob: &Blob) -> Result<bool> {
    if tenant.has_uploaded(&device.id, blob)? || tenant.has(Defect::NoBlobCheck) {
        return Ok(true);
    }
    match readable_blob(tenant, device, &blob.sha256) {
        Ok(size) => Ok(size == blob.size),
        Err(Error::Refused(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The size of a blob, if a resource that refers to it may be read.
fn readable_blob(tenant: &mut dyn Tenant, device: &Device, blob: &Hash) -> Result<u64> {
    let Some(size) = tenant.blob_size(blob)? else { return Err(Refusal::NotFound.into()) };
    for key in tenant.referrers(blob)? {
        for row in tenant.rows_of(&key)? {
            if row.member().is_some() && tenant.access(&device.user, &row.scope)?.is_some() {
                return Ok(size);
            }
        }
    }
    if tenant.has(Defect::NoReadCheck) { Ok(size) } else { Err(Refusal::NotFound.into()) }
}

/// The name of the upload of a blob by a device.
fn upload_id(device: &Id, blob: &Hash) -> Id {
    let hash = Hash::of(format!("{device} {blob}").as_bytes());
    let digits: String = hash.as_bytes()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    digits.parse().expect("hexadecimal digits are an id")
}

fn compare(members: Vec<Member>, request: &DigestRequest) -> Vec<RangeAnswer> {
    let mut places: Vec<(u64, Member)> =
        members.into_iter().map(|member| (Range::place(&member.key), member)).collect();
    places.sort_unstable_by_key(|(place, _)| *place);
    let answer = |claim: &keepwell_protocol::RangeClaim| {
        let first = places.partition_point(|(place, _)| *place < claim.0.first());
        let end = places.partition_point(|(place, _)| *place <= claim.0.last());
        let within: Vec<Member> = places[first..end].iter().map(|(_, member)| member.clone()).collect();
        RangeAnswer::compare(claim, &within)
    };
    request.ranges.iter().take(RANGES_MAX).map(answer).collect()
}
