//! The engine's [`Replica`] over a transaction of the store and the sync tables in it.
//!
//! What readers see are the store's own resources, with the store's own dense versions in `meta.versionId`; the
//! server's versions stand in the sync tables. The server's `lastUpdated` is not kept: a device says when a version
//! came to it.
//!
//! Invariant: all of it commits with the transaction, or none.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use keepwell_engine::{Base, BlobState, ConflictRecord, Dirty, HeldScope, Known, Replica};
use keepwell_fhir::Instant;
use keepwell_protocol::{
    Blob, BlobToken, Body, Digest, Frozen, Hash, Id, Member, Position, ResourceKey, Row, Scope, Sequence,
    Version,
};
use keepwell_store::Transaction;

use crate::error::{Error, Result, corrupt};
use crate::tables::{BaseContent, Entry, STATE, Tables, name_of};

/// Errors of the store with a lower code are about one resource; the transaction goes on after them.
const DATA_CODES: u16 = 200;

/// Attachments that are not here and are looked through for one to fetch.
const ABSENT_MAX: usize = 10_000;

/// A device's storage inside one transaction.
pub struct StoreReplica<'r, 't, 'w> {
    transaction: &'r mut Transaction<'t, 'w>,
    /// The resource that was asked about last: the engine asks several things about one in a row.
    last: Option<Last>,
    /// The scopes that were asked about, with their digests; those that were changed are written at the end.
    scopes: BTreeMap<Scope, KnownScope>,
    /// Rows of resources with a frozen edit, and of those with a row that waits for one: few, and asked for often.
    frozen: HashSet<i64>,
    held: HashSet<i64>,
}

/// What is known of a resource within the transaction.
struct Last {
    key: ResourceKey,
    entry: Option<Entry>,
    /// The scopes that hold it, once somebody asked.
    scopes: Option<Vec<Scope>>,
}

/// A scope within the transaction.
#[derive(Clone, Copy)]
struct KnownScope {
    key: i64,
    digest: Digest,
    is_changed: bool,
}

impl<'r, 't, 'w> StoreReplica<'r, 't, 'w> {
    /// The storage as `transaction` sees it.
    ///
    /// # Errors
    /// Those of reading the sync tables; a store without a [`crate::SyncExtension`] has none.
    pub fn new(transaction: &'r mut Transaction<'t, 'w>) -> Result<Self> {
        let (frozen, held) = Tables::new(transaction.connection()).busy()?;
        let (frozen, held) = (frozen.into_iter().collect(), held.into_iter().collect());
        Ok(Self { transaction, last: None, scopes: BTreeMap::new(), frozen, held })
    }

    /// Writes what was kept back: to be called before the commit.
    ///
    /// # Errors
    /// Those of the store.
    pub fn finish(self) -> Result<()> {
        for scope in self.scopes.values().filter(|scope| scope.is_changed) {
            self.tables().set_digest(scope.key, scope.digest)?;
        }
        Ok(())
    }

    pub(crate) fn tables(&self) -> Tables<'_> {
        Tables::new(self.transaction.connection())
    }

    /// The content of an attachment; none if it is not here.
    pub(crate) fn attachment_content(&mut self, blob: &Blob) -> Result<Option<Vec<u8>>> {
        if !self.has_blob(blob)? {
            return Ok(None);
        }
        let length = usize::try_from(blob.size).map_err(corrupt)?;
        Ok(Some(self.transaction.view().attachment_bytes(blob.sha256.as_bytes(), 0, length)?))
    }

    /// Keeps the content of an attachment.
    pub(crate) fn add_attachment(&mut self, blob: &Blob, mut content: &[u8]) -> Result<()> {
        let is_good = self.transaction.add_attachment(blob.sha256.as_bytes(), &mut content)?;
        debug_assert!(is_good, "the hash is that of the content");
        Ok(())
    }

    fn last(&mut self, key: &ResourceKey) -> Result<&mut Last> {
        let last = match self.last.take().filter(|last| last.key == *key) {
            Some(last) => last,
            None => Last { key: key.clone(), entry: self.tables().entry(&name_of(key))?, scopes: None },
        };
        Ok(self.last.insert(last))
    }

    fn entry(&mut self, key: &ResourceKey) -> Result<Option<Entry>> {
        Ok(self.last(key)?.entry.clone())
    }

    /// The row of a resource, made if there is none.
    fn row(&mut self, key: &ResourceKey) -> Result<i64> {
        if let Some(entry) = self.entry(key)? {
            return Ok(entry.row);
        }
        let row = self.tables().add_entry(&name_of(key))?;
        self.made(key, Entry { row, known: None, is_dirty: false });
        Ok(row)
    }

    /// A resource has a row now, and is in no scope yet.
    fn made(&mut self, key: &ResourceKey, entry: Entry) {
        self.last = Some(Last { key: key.clone(), entry: Some(entry), scopes: Some(Vec::new()) });
    }

    /// A row may say nothing any more.
    fn tidy(&mut self, row: i64) -> Result<()> {
        if self.tables().remove_empty_entry(row)? {
            self.last = None;
        }
        Ok(())
    }

    fn scope(&mut self, scope: &Scope) -> Result<Option<KnownScope>> {
        if let Some(known) = self.scopes.get(scope) {
            return Ok(Some(*known));
        }
        let Some((key, digest)) = self.tables().scope(scope)? else { return Ok(None) };
        let known = KnownScope { key, digest, is_changed: false };
        self.scopes.insert(scope.clone(), known);
        Ok(Some(known))
    }

    fn scope_key(&mut self, scope: &Scope) -> Result<Option<i64>> {
        Ok(self.scope(scope)?.map(|known| known.key))
    }
}

impl Replica for StoreReplica<'_, '_, '_> {
    type Error = Error;

    fn content(&mut self, key: &ResourceKey) -> Result<Option<Body>> {
        let current = self.transaction.view().current(key.kind, key.id.as_str())?;
        current.and_then(|current| current.content).map(stored).transpose()
    }

    fn put(
        &mut self,
        key: &ResourceKey,
        body: &Body,
        _version: Option<Version>,
        _at: Option<Instant>,
    ) -> Result<()> {
        match self.transaction.put(key.kind, key.id.as_str(), body.as_bytes(), true) {
            Ok(_) => Ok(()),
            // A program that is older than the server may not be able to keep what that one sends. Everything else
            // must not stand still for it: the resource stays as it was, and its digest says that it differs.
            Err(error) if error.code() < DATA_CODES => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn delete(&mut self, key: &ResourceKey, _version: Version, _at: Option<Instant>) -> Result<()> {
        self.transaction.delete(key.kind, key.id.as_str())?;
        Ok(())
    }

    fn accepted(&mut self, _key: &ResourceKey, _version: Version) -> Result<()> {
        Ok(())
    }

    fn purge(&mut self, key: &ResourceKey) -> Result<()> {
        let content = self.content(key)?;
        let tokens = content.and_then(|body| BlobToken::all(body.as_bytes())).unwrap_or_default();
        for (_, token) in tokens {
            self.tables().forget_blob(&token.blob.sha256)?;
        }
        Ok(self.transaction.purge(key.kind, key.id.as_str())?)
    }

    fn known(&mut self, key: &ResourceKey) -> Result<Option<Known>> {
        Ok(self.entry(key)?.and_then(|entry| entry.known))
    }

    fn set_known(&mut self, key: &ResourceKey, known: Option<&Known>) -> Result<()> {
        match (self.entry(key)?, known) {
            (None, None) => {}
            (None, Some(known)) => {
                let row = self.tables().add_known(&name_of(key), known)?;
                self.made(key, Entry { row, known: Some(known.clone()), is_dirty: false });
            }
            (Some(entry), known) => {
                self.tables().set_known(entry.row, known)?;
                self.last(key)?.entry = Some(Entry { known: known.cloned(), ..entry });
                if known.is_none() {
                    self.tidy(entry.row)?;
                }
            }
        }
        Ok(())
    }

    fn doubt(&mut self) -> Result<()> {
        self.last = None;
        Ok(self.tables().doubt()?)
    }

    fn unplaced(&mut self, upto: Position, limit: usize) -> Result<Vec<ResourceKey>> {
        Ok(self.tables().unplaced(upto, limit)?)
    }

    fn base(&mut self, key: &ResourceKey) -> Result<Option<Base>> {
        let Some(Entry { row, is_dirty: true, .. }) = self.entry(key)? else { return Ok(None) };
        let Some((mut base, content)) = self.tables().base(row)? else { return Ok(None) };
        let bytes = match content {
            BaseContent::Nothing => return Ok(Some(base)),
            BaseContent::Bytes(bytes) => bytes,
            BaseContent::Version(version) => {
                let found = self.transaction.view().version(key.kind, key.id.as_str(), version)?;
                found.ok_or(Error::Store(keepwell_store::Error::Corrupt))?
            }
        };
        base.content = Some(stored(bytes)?);
        Ok(Some(base))
    }

    fn set_base(&mut self, key: &ResourceKey, base: Option<&Base>) -> Result<()> {
        let Some(base) = base else {
            if let Some(entry) = self.entry(key)?
                && entry.is_dirty
            {
                self.tables().remove_base(entry.row)?;
                let row = entry.row;
                self.last(key)?.entry = Some(Entry { is_dirty: false, ..entry });
                self.tidy(row)?;
            }
            return Ok(());
        };
        let old = self.base(key)?;
        let row = self.row(key)?;
        // The content stays where it is, in a version of the store perhaps, unless it is another one.
        let is_same = old.is_some_and(|old| old.content == base.content);
        let content = (!is_same).then_some(base.content.as_ref());
        self.tables().set_base(row, base, content)?;
        self.last = None;
        Ok(())
    }

    fn unite(&mut self, from: u64, to: u64) -> Result<()> {
        Ok(self.tables().unite(from, to)?)
    }

    fn dirty(&mut self, after: u64, limit: usize) -> Result<Vec<Dirty>> {
        Ok(self.tables().dirty(after, limit)?)
    }

    fn group(&mut self, group: u64) -> Result<Vec<ResourceKey>> {
        Ok(self.tables().group(group)?)
    }

    fn mutations(&mut self, from: Sequence, limit: usize) -> Result<Vec<Frozen>> {
        Ok(self.tables().mutations(from, limit)?)
    }

    fn mutation(&mut self, sequence: Sequence) -> Result<Option<Frozen>> {
        Ok(self.tables().mutation(sequence)?)
    }

    fn mutation_of(&mut self, key: &ResourceKey) -> Result<Option<Frozen>> {
        let Some(entry) = self.entry(key)?.filter(|entry| self.frozen.contains(&entry.row)) else {
            return Ok(None);
        };
        Ok(self.tables().mutation_of(entry.row)?)
    }

    fn set_mutation(&mut self, frozen: &Frozen) -> Result<()> {
        let row = self.row(&frozen.mutation().key)?;
        self.tables().set_mutation(row, frozen)?;
        self.frozen.insert(row);
        Ok(())
    }

    fn remove_mutation(&mut self, sequence: Sequence) -> Result<()> {
        if let Some(row) = self.tables().remove_mutation(sequence)? {
            self.frozen.remove(&row);
            self.tidy(row)?;
        }
        Ok(())
    }

    fn scopes(&mut self) -> Result<Vec<HeldScope>> {
        Ok(self.tables().scopes()?)
    }

    fn set_scope(&mut self, scope: &HeldScope) -> Result<()> {
        Ok(self.tables().set_scope(scope)?)
    }

    fn remove_scope(&mut self, scope: &Scope) -> Result<()> {
        if let Some(key) = self.scope_key(scope)? {
            self.tables().remove_scope(key)?;
        }
        self.scopes.remove(scope);
        Ok(())
    }

    fn digest(&mut self, scope: &Scope) -> Result<Digest> {
        Ok(self.scope(scope)?.map_or_else(Digest::default, |known| known.digest))
    }

    fn set_digest(&mut self, scope: &Scope, digest: Digest) -> Result<()> {
        if let Some(known) = self.scope(scope)? {
            self.scopes.insert(scope.clone(), KnownScope { digest, is_changed: true, ..known });
        }
        Ok(())
    }

    fn memberships(&mut self, key: &ResourceKey) -> Result<Vec<Scope>> {
        let last = self.last(key)?;
        if let Some(scopes) = &last.scopes {
            return Ok(scopes.clone());
        }
        let Some(row) = last.entry.as_ref().map(|entry| entry.row) else { return Ok(Vec::new()) };
        let scopes = self.tables().memberships(row)?;
        self.last(key)?.scopes = Some(scopes.clone());
        Ok(scopes)
    }

    fn add_member(&mut self, scope: &Scope, key: &ResourceKey, round: u64) -> Result<bool> {
        let scope_key = self.scope_key(scope)?.ok_or(Error::Store(keepwell_store::Error::Corrupt))?;
        let row = self.row(key)?;
        let mut scopes = self.memberships(key)?;
        self.tables().add_member(scope_key, row, round)?;
        let Err(place) = scopes.binary_search(scope) else { return Ok(false) };
        scopes.insert(place, scope.clone());
        self.last(key)?.scopes = Some(scopes);
        Ok(true)
    }

    fn remove_member(&mut self, scope: &Scope, key: &ResourceKey) -> Result<bool> {
        let (Some(scope), Some(entry)) = (self.scope_key(scope)?, self.entry(key)?) else {
            return Ok(false);
        };
        let was_in = self.tables().remove_member(scope, entry.row)?;
        self.last(key)?.scopes = None;
        self.tidy(entry.row)?;
        Ok(was_in)
    }

    fn members_below(&mut self, scope: &Scope, round: u64, limit: usize) -> Result<Vec<ResourceKey>> {
        let round = round.min(i64::MAX.unsigned_abs());
        match self.scope_key(scope)? {
            Some(scope) => Ok(self.tables().members_below(scope, round, limit)?),
            None => Ok(Vec::new()),
        }
    }

    fn members(&mut self, scope: &Scope, each: &mut dyn FnMut(&Member)) -> Result<()> {
        match self.scope_key(scope)? {
            Some(scope) => Ok(self.tables().members(scope, each)?),
            None => Ok(()),
        }
    }

    fn held(&mut self, key: &ResourceKey) -> Result<Option<Row>> {
        let Some(entry) = self.entry(key)?.filter(|entry| self.held.contains(&entry.row)) else {
            return Ok(None);
        };
        Ok(self.tables().held(entry.row)?)
    }

    fn set_held(&mut self, key: &ResourceKey, row: Option<&Row>) -> Result<()> {
        if row.is_none() {
            if let Some(entry) = self.entry(key)?
                && self.held.remove(&entry.row)
            {
                self.tables().set_held(entry.row, None)?;
                self.tidy(entry.row)?;
            }
            return Ok(());
        }
        let resource = self.row(key)?;
        self.held.insert(resource);
        Ok(self.tables().set_held(resource, row)?)
    }

    fn all_held(&mut self) -> Result<Vec<ResourceKey>> {
        Ok(self.tables().all_held()?)
    }

    fn stage(&mut self, row: &Row) -> Result<()> {
        Ok(self.tables().stage(row)?)
    }

    fn unstage(&mut self, limit: usize) -> Result<Vec<Row>> {
        Ok(self.tables().unstage(limit)?)
    }

    fn clear_stage(&mut self, scope: Option<&Scope>) -> Result<()> {
        Ok(self.tables().clear_stage(scope)?)
    }

    fn conflict(&mut self, cid: &Id) -> Result<Option<ConflictRecord>> {
        Ok(self.tables().conflict(cid)?)
    }

    fn set_conflict(&mut self, record: &ConflictRecord) -> Result<()> {
        Ok(self.tables().set_conflict(record)?)
    }

    fn conflicts_of(&mut self, key: &ResourceKey) -> Result<Vec<ConflictRecord>> {
        Ok(self.tables().conflicts_of(key)?)
    }

    fn unarchived(&mut self, limit: usize) -> Result<Vec<ConflictRecord>> {
        Ok(self.tables().unarchived(limit)?)
    }

    fn blob(&mut self, hash: &Hash) -> Result<Option<BlobState>> {
        Ok(self.tables().blob(hash)?)
    }

    fn set_blob(&mut self, blob: &BlobState) -> Result<()> {
        Ok(self.tables().set_blob(blob)?)
    }

    fn has_blob(&mut self, blob: &Blob) -> Result<bool> {
        let known = self.transaction.view().attachment(blob.sha256.as_bytes())?;
        Ok(known.is_some_and(|known| known.is_here && known.size == blob.size))
    }

    fn blob_to_send(&mut self, except: &BTreeSet<Hash>) -> Result<Option<BlobState>> {
        let states = self.tables().blobs_to_send()?;
        Ok(states.into_iter().find(|state| !except.contains(&state.blob.sha256)))
    }

    fn blob_to_fetch(&mut self, only_wanted: bool, except: &BTreeSet<Hash>) -> Result<Option<BlobState>> {
        for (hash, size) in self.transaction.view().absent_attachments(ABSENT_MAX)? {
            let blob = Blob { sha256: Hash::from_bytes(hash), size };
            let state = self.tables().blob(&blob.sha256)?.unwrap_or_else(|| BlobState::absent(blob));
            if (state.is_wanted || !only_wanted) && !except.contains(&blob.sha256) {
                // It was here once, and went.
                let have = if state.have < size { state.have } else { 0 };
                return Ok(Some(BlobState { have, ..state }));
            }
        }
        Ok(None)
    }

    fn append_blob(&mut self, blob: &Blob, offset: u64, bytes: &[u8], is_last: bool) -> Result<bool> {
        let tables = self.tables();
        tables.add_blob_part(&blob.sha256, offset, bytes)?;
        if !is_last {
            return Ok(true);
        }
        let mut parts = tables.blob_parts(&blob.sha256);
        let is_good = self.transaction.add_attachment(blob.sha256.as_bytes(), &mut parts)?;
        tables.clear_blob_parts(&blob.sha256)?;
        Ok(is_good)
    }

    fn state(&mut self) -> Result<Option<Vec<u8>>> {
        Ok(self.tables().setting(STATE)?)
    }

    fn set_state(&mut self, state: &[u8]) -> Result<()> {
        Ok(self.tables().set_setting(STATE, state)?)
    }
}

/// A body that this store has: it may be too large to travel, which the engine finds.
fn stored(content: Vec<u8>) -> Result<Body> {
    String::from_utf8(content).map(Body::stored).map_err(corrupt)
}
