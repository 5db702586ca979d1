//! A tenant inside a transaction of its store, or a snapshot of it.

use std::collections::BTreeMap;

use keepwell_backend::{
    Access, Archived, Closed, Decided, Device, Disclosure, FeedRow, Head, Held, Result, Source, Tenant,
    UploadRow,
};
use keepwell_protocol::{
    Blob, Body, Digest, Epoch, Generation, Hash, Horizon, Id, Incarnation, Member, Position, ResourceKey,
    Scope, Sequence, Version,
};
use keepwell_store::fhir::Instant;
use keepwell_store::{Changed, Connection, Transaction, View};
use rusqlite::params;

use crate::convert::{broken, collect, corrupt, failed, first, instant, number, position, run, version};

/// How the store is reached.
pub(crate) enum Reach<'r, 't, 'w> {
    /// A transaction of ours.
    Writing(&'r mut Transaction<'t, 'w>),
    /// A snapshot.
    Reading(&'r mut View<'w>),
    /// The transaction of an interaction, which has made this version.
    Hearing(&'r Connection, &'r Changed<'w>),
}

/// A tenant as the rules see it.
pub(crate) struct SqlTenant<'r, 't, 'w> {
    pub(crate) reach: Reach<'r, 't, 'w>,
    /// Scopes by name, with their digests; those that were changed are written at the end.
    pub(crate) scopes: BTreeMap<Scope, KnownScope>,
    /// Streams by device and incarnation.
    pub(crate) streams: BTreeMap<(Id, Incarnation), i64>,
    /// The resource whose row was asked for last: several tables name it one after the other.
    last: Option<(ResourceKey, i64)>,
    /// What was shown.
    pub(crate) shown: Vec<Disclosure>,
}

/// A scope as a transaction knows it.
#[derive(Clone, Copy)]
pub(crate) struct KnownScope {
    pub(crate) key: i64,
    pub(crate) digest: Digest,
    pub(crate) is_changed: bool,
}

impl<'r, 't, 'w> SqlTenant<'r, 't, 'w> {
    pub(crate) fn new(reach: Reach<'r, 't, 'w>) -> Self {
        Self { reach, scopes: BTreeMap::new(), streams: BTreeMap::new(), last: None, shown: Vec::new() }
    }

    pub(crate) fn connection(&self) -> &Connection {
        match &self.reach {
            Reach::Writing(transaction) => transaction.connection(),
            Reach::Reading(view) => view.connection(),
            Reach::Hearing(connection, _) => connection,
        }
    }

    /// What is seen of the store's own.
    pub(crate) fn view<T>(
        &mut self,
        look: impl FnOnce(&mut View<'_>) -> keepwell_store::Result<T>,
    ) -> Result<T> {
        let seen = match &mut self.reach {
            Reach::Writing(transaction) => look(&mut transaction.view()),
            Reach::Reading(view) => look(view),
            Reach::Hearing(..) => return Err(corrupt()),
        };
        seen.map_err(broken)
    }

    /// The resource's row in the store.
    pub(crate) fn resource(&mut self, key: &ResourceKey) -> Result<Option<i64>> {
        if let Some((last, row)) = &self.last
            && last == key
        {
            return Ok(Some(*row));
        }
        let (kind, id) = (key.kind, key.id.as_str());
        let row = match &self.reach {
            Reach::Writing(transaction) => transaction.row_of(kind, id),
            Reach::Reading(view) => view.row_of(kind, id),
            Reach::Hearing(_, changed) => changed.row_of(kind, id),
        };
        let row = row.map_err(broken)?;
        self.last = row.map(|row| (key.clone(), row));
        Ok(row)
    }

    /// Writes what was kept back: to be called before the commit.
    pub(crate) fn finish(&mut self) -> Result<()> {
        let changed: Vec<KnownScope> =
            self.scopes.values().filter(|scope| scope.is_changed).copied().collect();
        for scope in changed {
            run(
                self.connection(),
                "-- finish\nUPDATE server_scope SET count = ?2, sums = ?3 WHERE key = ?1",
                params![scope.key, number(scope.digest.count()), scope.digest.sums().to_bytes()],
            )?;
        }
        Ok(())
    }
}

impl Tenant for SqlTenant<'_, '_, '_> {
    fn horizon(&mut self) -> Result<Horizon> {
        first(
            self.connection(),
            "-- horizon
             SELECT epoch, floor, (SELECT coalesce(max(sequence), 0) FROM change_log) FROM server_state",
            [],
            |row| {
                let epoch: i64 = row.get(0).map_err(failed)?;
                Ok(Horizon {
                    epoch: Epoch::new(epoch.cast_unsigned()),
                    floor: position(row.get(1).map_err(failed)?)?,
                    clock: position(row.get(2).map_err(failed)?)?,
                })
            },
        )?
        .ok_or_else(corrupt)
    }

    fn set_epoch(&mut self, epoch: Epoch) -> Result<()> {
        let sql = "-- set_epoch\nUPDATE server_state SET epoch = ?1";
        run(self.connection(), sql, [epoch.bits().cast_signed()]).map(|_| ())
    }

    fn set_floor(&mut self, floor: Position) -> Result<()> {
        let sql = "-- set_floor\nUPDATE server_state SET floor = ?1";
        run(self.connection(), sql, [number(floor.get())]).map(|_| ())
    }

    fn head(&mut self, key: &ResourceKey) -> Result<Option<Head>> {
        let Some(row) = self.resource(key)? else { return Ok(None) };
        first(
            self.connection(),
            "-- head
             SELECT version, change, last_updated, body IS NULL FROM resource WHERE key = ?1",
            [row],
            |row| {
                Ok(Head {
                    version: version(row.get(0).map_err(failed)?)?,
                    position: position(row.get(1).map_err(failed)?)?,
                    at: instant(row.get(2).map_err(failed)?),
                    deleted: row.get(3).map_err(failed)?,
                })
            },
        )
    }

    fn body(&mut self, key: &ResourceKey, version: Version) -> Result<Option<Body>> {
        let (kind, id, version) = (key.kind, key.id.as_str(), version.get());
        let content = self.view(|view| view.version(kind, id, version))?;
        let Some(content) = content else { return Ok(None) };
        let text = String::from_utf8(content).map_err(|_| corrupt())?;
        Ok(Some(Body::stored(text)))
    }

    fn write(&mut self, key: &ResourceKey, body: Option<&Body>, _: Instant) -> Result<Head> {
        if let Some(body) = body {
            self.hand_over_blobs(body)?;
        }
        let Reach::Writing(transaction) = &mut self.reach else { return Err(corrupt()) };
        let (kind, id) = (key.kind, key.id.as_str());
        let made = match body {
            // The rules have validated it, with its blobs apart.
            Some(body) => Some(transaction.put(kind, id, body.as_bytes(), true).map_err(broken)?),
            None => transaction.delete(kind, id).map_err(broken)?,
        };
        let made = made.and_then(Version::new).ok_or_else(corrupt)?;
        let at = transaction.now();
        let last = transaction.view().last_sequence().map_err(broken)?;
        Ok(Head { version: made, position: position(last)?, at, deleted: body.is_none() })
    }

    fn rows_of(&mut self, key: &ResourceKey) -> Result<Vec<FeedRow>> {
        self.feed_rows_of(key)
    }

    fn rows_in(
        &mut self,
        scope: &Scope,
        after: Position,
        upto: Position,
        limit: usize,
    ) -> Result<Vec<FeedRow>> {
        self.feed_rows_in(scope, after, upto, limit)
    }

    fn rows_between(&mut self, after: Position, upto: Position) -> Result<Vec<FeedRow>> {
        self.feed_rows_between(after, upto)
    }

    fn put_row(&mut self, row: FeedRow) -> Result<()> {
        self.put_feed_row(&row)
    }

    fn remove_tombstones(&mut self, upto: Position, made_before: Instant) -> Result<Option<Position>> {
        let removed = collect(
            self.connection(),
            "-- remove_tombstones
             DELETE FROM server_feed WHERE state <> 1 AND position <= ?1 AND at < ?2 RETURNING position",
            params![number(upto.get()), made_before.ms()],
            |row| position(row.get(0).map_err(failed)?),
        )?;
        Ok(removed.into_iter().max())
    }

    fn digest(&mut self, scope: &Scope) -> Result<Digest> {
        Ok(self.known_scope(scope)?.map_or_else(Digest::default, |known| known.digest))
    }

    fn set_digest(&mut self, scope: &Scope, digest: Digest) -> Result<()> {
        let known = self.scope_key(scope)?;
        self.scopes.insert(scope.clone(), KnownScope { digest, is_changed: true, ..known });
        Ok(())
    }

    fn members(&mut self, scope: &Scope) -> Result<Vec<Member>> {
        let all = Position::new((1 << 53) - 1).expect("the largest");
        let rows = self.feed_rows_in(scope, Position::ZERO, all, usize::MAX)?;
        Ok(rows.iter().filter_map(FeedRow::member).collect())
    }

    fn last_decided(&mut self, device: &Id, incarnation: Incarnation) -> Result<Sequence> {
        self.stream_last(device, incarnation)
    }

    fn set_last_decided(&mut self, device: &Id, incarnation: Incarnation, last: Sequence) -> Result<()> {
        self.set_stream_last(device, incarnation, last)
    }

    fn decided(
        &mut self,
        device: &Id,
        incarnation: Incarnation,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Decided>> {
        self.decided_after(device, incarnation, after, limit)
    }

    fn keep_decided(&mut self, device: &Id, incarnation: Incarnation, decided: Decided) -> Result<()> {
        self.put_decided(device, incarnation, &decided)
    }

    fn forget_decided(&mut self, device: &Id, incarnation: Incarnation, upto: Sequence) -> Result<()> {
        self.remove_decided(device, incarnation, upto)
    }

    fn archive(&mut self, record: Archived) -> Result<()> {
        self.put_archived(&record)
    }

    fn close_archived(&mut self, device: &Id, cid: &str, closed: &Closed) -> Result<()> {
        self.note_closed(device, cid, closed)
    }

    fn archived(&mut self, after: u64, limit: usize) -> Result<Vec<Archived>> {
        self.archived_after(after, limit)
    }

    fn grants(&mut self, user: &Id) -> Result<Vec<Held>> {
        self.grants_of(user)
    }

    fn access(&mut self, user: &Id, scope: &Scope) -> Result<Option<Access>> {
        Ok(self.grant_of(user, scope)?.and_then(|(_, access)| access))
    }

    fn generation(&mut self, user: &Id, scope: &Scope) -> Result<Generation> {
        Ok(self.grant_of(user, scope)?.map_or(Generation::ZERO, |(generation, _)| generation))
    }

    fn set_access(
        &mut self,
        user: &Id,
        scope: &Scope,
        generation: Generation,
        access: Option<Access>,
    ) -> Result<()> {
        self.put_grant(user, scope, generation, access)
    }

    fn changed_grants(&mut self, after: u64) -> Result<(u64, Vec<Id>)> {
        self.grants_since(after)
    }

    fn reasons(&mut self, user: &Id, scope: &Scope) -> Result<Vec<(Source, Access)>> {
        self.reasons_of(user, scope)
    }

    fn set_reason(
        &mut self,
        source: &Source,
        user: &Id,
        scope: &Scope,
        access: Option<Access>,
    ) -> Result<()> {
        self.put_reason(source, user, scope, access)
    }

    fn given_by(&mut self, resource: &ResourceKey) -> Result<Vec<(Id, Scope)>> {
        self.given(resource)
    }

    fn set_team(&mut self, team: &Id, group: Option<&Id>, users: &[Id]) -> Result<()> {
        self.put_team(team, group, users)
    }

    fn teams_of(&mut self, group: &Id) -> Result<Vec<(Id, Vec<Id>)>> {
        self.teams(group)
    }

    fn set_patients_of(&mut self, group: &Id, patients: &[Id]) -> Result<()> {
        self.put_cohort(group, patients)
    }

    fn patients_of(&mut self, group: &Id) -> Result<Vec<Id>> {
        self.cohort(group)
    }

    fn device(&mut self, id: &Id) -> Result<Option<Device>> {
        self.find_device(id)
    }

    fn devices(&mut self) -> Result<Vec<Device>> {
        self.all_devices()
    }

    fn put_device(&mut self, device: &Device) -> Result<()> {
        self.keep_device(device)
    }

    fn invitation(&mut self, code: &Hash) -> Result<Option<Vec<u8>>> {
        let sql = "-- invitation\nSELECT record FROM server_invitation WHERE code = ?1";
        first(self.connection(), sql, [code.as_bytes()], |row| row.get(0).map_err(failed))
    }

    fn invitations(&mut self) -> Result<Vec<(Hash, Vec<u8>)>> {
        let sql = "-- invitations\nSELECT code, record FROM server_invitation ORDER BY code";
        collect(self.connection(), sql, [], |row| {
            Ok((Hash::from_bytes(row.get(0).map_err(failed)?), row.get(1).map_err(failed)?))
        })
    }

    fn put_invitation(&mut self, code: &Hash, record: &[u8]) -> Result<()> {
        let sql =
            "-- put_invitation\nINSERT OR REPLACE INTO server_invitation (code, record) VALUES (?1, ?2)";
        run(self.connection(), sql, params![code.as_bytes(), record]).map(|_| ())
    }

    fn set_blobs(&mut self, key: &ResourceKey, blobs: &[Blob]) -> Result<()> {
        self.refer_to_blobs(key, blobs)
    }

    fn referrers(&mut self, blob: &Hash) -> Result<Vec<ResourceKey>> {
        self.blob_referrers(blob)
    }

    fn blob_size(&mut self, blob: &Hash) -> Result<Option<u64>> {
        self.size_of_blob(blob)
    }

    fn blob(&mut self, blob: &Hash, offset: u64, length: usize) -> Result<Vec<u8>> {
        self.bytes_of_blob(blob, offset, length)
    }

    fn upload(&mut self, id: &Id) -> Result<Option<UploadRow>> {
        self.find_upload(id)
    }

    fn uploads_of(&mut self, device: &Id) -> Result<Vec<UploadRow>> {
        self.uploads_by(device)
    }

    fn put_upload(&mut self, upload: &UploadRow, chunk: &[u8]) -> Result<()> {
        self.keep_upload(upload, chunk)
    }

    fn upload_hash(&mut self, id: &Id) -> Result<Hash> {
        self.hash_of_upload(id)
    }

    fn end_upload(&mut self, id: &Id, keep: bool) -> Result<()> {
        self.finish_upload(id, keep)
    }

    fn has_uploaded(&mut self, device: &Id, blob: &Blob) -> Result<bool> {
        self.was_uploaded_by(device, blob)
    }

    fn drop_uploads(&mut self, since: Instant) -> Result<()> {
        self.drop_uploads_before(since)
    }

    fn disclose(&mut self, disclosure: Disclosure) -> Result<()> {
        self.shown.push(disclosure);
        Ok(())
    }
}
