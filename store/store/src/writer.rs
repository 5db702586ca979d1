//! The one writer of a store: every change goes through [`Writer::run`].
//!
//! A unit of work is one SQLCipher transaction that holds the version rows, the change log and the audit event.
//!
//! Invariants: change sequences are dense and rise by commit order; `last_updated` never runs backwards; a unit
//! that fails leaves nothing but the audit record of the failure.

use std::collections::HashMap;

use keepwell_fhir::{Instant, ResourceType, Slot};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use crate::attachment::Staged;
use crate::audit::{self, Action, Actor, Chain, ChangeDigest, Event, Outcome, PurgeError, Purged, actor_key};
use crate::body::{Decoder, Encoder, needs_successor};
use crate::change_feed::Change;
use crate::error::{Error, Result};
use crate::id_key::IdKey;
use crate::prepare::{ContentHash, Prepared, Preparer, content_hash};

/// A version whose number is a multiple of this is stored on its own, so that reading an old one stays cheap.
const KEYFRAME: u64 = 16;

/// Patients whose keys the writer remembers: an import meets the same one hundreds of times in a row.
const PATIENTS_REMEMBERED_MAX: usize = 1024;

/// What a change did. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// The first version, or the first after a deletion.
    Create = 1,
    /// A further version.
    Update = 2,
    /// A version that is a tombstone.
    Delete = 3,
    /// Content and history were removed for good.
    Purge = 4,
}

impl Operation {
    pub(crate) fn from_code(code: i64) -> Result<Self> {
        Ok(match code {
            1 => Self::Create,
            2 => Self::Update,
            3 => Self::Delete,
            4 => Self::Purge,
            _ => return Err(Error::Corrupt),
        })
    }
}

/// The current version of a resource, as its row says.
pub(crate) struct Head {
    pub(crate) key: i64,
    pub(crate) version: u64,
    pub(crate) last_updated: Instant,
    pub(crate) change: i64,
    pub(crate) patient: Option<i64>,
    pub(crate) slot: Slot,
    /// As stored; `None` for a deleted resource.
    pub(crate) body: Option<Vec<u8>>,
}

impl Head {
    const SELECT: &str = "
        -- Head::find
        SELECT key, version, last_updated, change, patient, slot, body FROM resource WHERE type = ?1 AND id = ?2";

    /// The row of a resource, deleted or not.
    pub(crate) fn find(
        connection: &Connection,
        resource_type: ResourceType,
        id: &IdKey,
    ) -> Result<Option<Self>> {
        let mut statement = connection.prepare_cached(Self::SELECT)?;
        Ok(statement.query_row(params![resource_type.code(), id], Self::from_row).optional()?)
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key: row.get(0)?,
            version: row.get::<_, i64>(1)?.unsigned_abs(),
            last_updated: Instant::from_ms(row.get(2)?),
            change: row.get(3)?,
            patient: row.get(4)?,
            slot: Slot::from_u32(row.get(5)?),
            body: row.get(6)?,
        })
    }
}

/// What an event of the audit trail says beside its changes.
pub(crate) struct EventHeader<'a> {
    pub(crate) actor: i64,
    pub(crate) action: Action,
    pub(crate) detail: Option<&'a str>,
}

/// What the last version of a written resource is.
#[derive(Clone)]
pub(crate) struct Outcomes {
    pub(crate) version: u64,
    pub(crate) last_updated: Instant,
    pub(crate) operation: Option<Operation>,
}

/// The writing connection and all state that lives with it.
pub(crate) struct Writer {
    connection: Connection,
    chain: Chain,
    position: Position,
    patients: HashMap<IdKey, i64>,
    pub(crate) preparer: Preparer,
    decoder: Decoder,
}

/// What a unit that fails must put back.
#[derive(Clone, Copy)]
struct Position {
    last_change: i64,
    last_resource: i64,
    last_updated: i64,
}

impl Writer {
    pub(crate) fn new(connection: Connection, audit_key: &[u8; 32]) -> Result<Self> {
        let chain = Chain::load(&connection, audit_key)?;
        let position = connection.query_row(
            "-- Writer::new
             SELECT (SELECT coalesce(max(sequence), 0) FROM change_log), (SELECT coalesce(max(key), 0) FROM resource),
                    coalesce((SELECT last_updated FROM change_log JOIN resource ON resource.key = change_log.resource
                              ORDER BY sequence DESC LIMIT 1), 0)",
            [],
            |row| Ok(Position { last_change: row.get(0)?, last_resource: row.get(1)?, last_updated: row.get(2)? }),
        )?;
        let patients = HashMap::new();
        Ok(Self { connection, chain, position, patients, preparer: Preparer::new(), decoder: Decoder::new() })
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn into_connection(self) -> Connection {
        self.connection
    }

    pub(crate) fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The sequence of the newest change, 0 when there is none.
    pub(crate) fn last_change(&self) -> i64 {
        self.position.last_change
    }

    /// The number of an actor, written down if it is new.
    pub(crate) fn actor(&mut self, actor: &Actor) -> Result<i64> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let key = actor_key(&transaction, &self.chain, actor)?;
        transaction.commit()?;
        Ok(key)
    }

    /// Signs the audit chain as it stands.
    pub(crate) fn write_checkpoint(&mut self) -> Result<()> {
        Ok(self.chain.write_checkpoint(&self.connection)?)
    }

    /// The mac of one audit record, `None` when there is no such record.
    pub(crate) fn audit_mac(&self, sequence: i64) -> Result<Option<[u8; 32]>> {
        let mut statement =
            self.connection.prepare("-- Writer::audit_mac\nSELECT mac FROM audit WHERE sequence = ?1")?;
        Ok(statement.query_row([sequence], |row| row.get(0)).optional()?)
    }

    /// Runs `work` as one transaction with its audit event, and returns its result and what it changed.
    ///
    /// # Errors
    /// What `work` returns, after the failure itself was recorded; [`Error::Storage`] when the commit failed.
    pub(crate) fn run<T>(
        &mut self,
        now_ms: i64,
        header: &EventHeader<'_>,
        work: impl FnOnce(&mut Unit<'_>) -> Result<T>,
    ) -> Result<(T, Vec<Change>)> {
        let saved = (self.position, self.chain.head());
        let done = self.attempt(now_ms, header, work);
        if let Err(error) = &done {
            self.position = saved.0;
            self.chain.restore(saved.1);
            self.patients.clear();
            self.record_failure(now_ms, header, error);
        }
        done
    }

    /// Records an event that changes nothing: a login, a lock, reads that were waiting.
    pub(crate) fn record<'e>(
        &mut self,
        now_ms: i64,
        events: impl IntoIterator<Item = Event<'e>>,
    ) -> Result<()> {
        let saved = self.chain.head();
        let done = (|| -> Result<()> {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for event in events {
                self.chain.append(&transaction, now_ms, &event)?;
            }
            Ok(transaction.commit()?)
        })();
        if done.is_err() {
            self.chain.restore(saved);
        }
        done
    }

    /// Removes audit records that are past their retention, and records that.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when one of them does not verify; nothing is removed then.
    pub(crate) fn purge_audit(
        &mut self,
        now_ms: i64,
        actor: i64,
        retention_ms: i64,
    ) -> Result<Option<Purged>> {
        let saved = self.chain.head();
        let done = (|| {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let purged = audit::purge(&transaction, &mut self.chain, actor, now_ms, retention_ms).map_err(
                |error| match error {
                    PurgeError::Storage(error) => error.into(),
                    PurgeError::Damaged { .. } => Error::Corrupt,
                },
            )?;
            transaction.commit()?;
            Ok(purged)
        })();
        if done.is_err() {
            self.chain.restore(saved);
        }
        done
    }

    fn attempt<T>(
        &mut self,
        now_ms: i64,
        header: &EventHeader<'_>,
        work: impl FnOnce(&mut Unit<'_>) -> Result<T>,
    ) -> Result<(T, Vec<Change>)> {
        self.position.last_updated = self.position.last_updated.max(now_ms);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut unit = Unit {
            connection: &transaction,
            position: &mut self.position,
            patients: &mut self.patients,
            preparer: &mut self.preparer,
            decoder: &mut self.decoder,
            subject: None,
            digest: ChangeDigest::new(),
            changes: Vec::new(),
        };
        let result = work(&mut unit)?;
        let Unit { subject, digest, changes, .. } = unit;
        let subject = if changes.len() > 1 { None } else { subject };
        self.chain.append(
            &transaction,
            now_ms,
            &Event {
                actor: header.actor,
                action: header.action,
                outcome: Outcome::Success,
                resource: subject.map(|subject| subject.resource),
                version: subject.map(|subject| subject.version),
                patient: subject.and_then(|subject| subject.patient),
                changes: digest.finish(),
                detail: header.detail,
            },
        )?;
        transaction.commit()?;
        Ok((result, changes))
    }

    /// Best effort: when even this record cannot be written, the caller still learns what failed first.
    fn record_failure(&mut self, now_ms: i64, header: &EventHeader<'_>, error: &Error) {
        let outcome = if error.code() < 500 { Outcome::MinorFailure } else { Outcome::SeriousFailure };
        let detail = format!("{{\"error\":{}}}", error.code());
        let event = Event {
            actor: header.actor,
            action: header.action,
            outcome,
            resource: None,
            version: None,
            patient: None,
            changes: None,
            detail: Some(&detail),
        };
        let _ = self.record(now_ms, [event]);
    }
}

/// The single resource that an event is about.
#[derive(Clone, Copy)]
struct Subject {
    resource: i64,
    version: i64,
    patient: Option<i64>,
}

/// One transaction in progress.
pub(crate) struct Unit<'w> {
    pub(crate) connection: &'w Connection,
    position: &'w mut Position,
    patients: &'w mut HashMap<IdKey, i64>,
    pub(crate) preparer: &'w mut Preparer,
    pub(crate) decoder: &'w mut Decoder,
    subject: Option<Subject>,
    digest: ChangeDigest,
    changes: Vec<Change>,
}

impl Unit<'_> {
    pub(crate) fn find(&self, resource_type: ResourceType, id: &IdKey) -> Result<Option<Head>> {
        Head::find(self.connection, resource_type, id)
    }

    /// The time that this unit's versions get.
    pub(crate) fn now(&self) -> Instant {
        Instant::from_ms(self.position.last_updated)
    }

    /// Checks that literal references of what this unit wrote lead somewhere in this store.
    ///
    /// # Errors
    /// [`Error::DanglingReference`].
    pub(crate) fn check_references(&mut self) -> Result<()> {
        let written: Vec<_> =
            self.changes.iter().map(|change| (change.resource_type, change.id.clone())).collect();
        for (resource_type, id) in written {
            let body = self.find(resource_type, &id)?.and_then(|head| head.body);
            let Some(body) = body else { continue };
            let content = self.decoder.decode(&body)?;
            for (target, id) in self.preparer.local_references(&content)? {
                let there = self.find(target, &id)?.is_some_and(|head| head.body.is_some());
                if !there {
                    return Err(Error::DanglingReference(target));
                }
            }
        }
        Ok(())
    }

    /// Writes a version: the first, a further one, or nothing where the content is the current one.
    pub(crate) fn put(&mut self, head: Option<&Head>, prepared: &Prepared) -> Result<Outcomes> {
        let Some(head) = head else { return self.insert(prepared) };
        let old = match &head.body {
            Some(body) => Some(self.decoder.decode(body)?),
            None => None,
        };
        if old.as_ref() == Some(&prepared.content) {
            self.subject = Some(Subject {
                resource: head.key,
                version: head.version.cast_signed(),
                patient: head.patient,
            });
            return Ok(Outcomes { version: head.version, last_updated: head.last_updated, operation: None });
        }
        self.supersede(head, old.as_deref(), Some(&prepared.content))?;
        if let Some(old) = &old {
            self.unlist_identifiers(head.key, old, &prepared.identifiers)?;
        }
        let operation = if old.is_some() { Operation::Update } else { Operation::Create };
        let version = head.version + 1;
        let patient = self.patient(prepared.patient.as_ref())?;
        let sequence = self.log(
            head.key,
            prepared.resource_type,
            &prepared.id,
            version,
            operation,
            &prepared.hash,
            patient,
        )?;
        self.connection
            .prepare_cached(
                "-- Unit::put
                 UPDATE resource SET version = ?2, last_updated = ?3, change = ?4, patient = ?5, slot = ?6, body = ?7
                 WHERE key = ?1",
            )?
            .execute(params![
                head.key,
                version.cast_signed(),
                self.position.last_updated,
                sequence,
                patient,
                prepared.slot.as_u32(),
                prepared.body
            ])?;
        self.list_identifiers(head.key, &prepared.identifiers)?;
        self.refer_to_attachments(head.key, version, &prepared.attachments)?;
        Ok(Outcomes { version, last_updated: self.now(), operation: Some(operation) })
    }

    fn insert(&mut self, prepared: &Prepared) -> Result<Outcomes> {
        let patient = self.patient(prepared.patient.as_ref())?;
        self.position.last_resource += 1;
        let key = self.position.last_resource;
        let sequence = self.position.last_change + 1;
        self.connection
            .prepare_cached(
                "-- Unit::insert
                 INSERT INTO resource (key, type, id, version, last_updated, change, patient, slot, body)
                 VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                key,
                prepared.resource_type.code(),
                prepared.id,
                self.position.last_updated,
                sequence,
                patient,
                prepared.slot.as_u32(),
                prepared.body
            ])?;
        self.log(key, prepared.resource_type, &prepared.id, 1, Operation::Create, &prepared.hash, patient)?;
        self.list_identifiers(key, &prepared.identifiers)?;
        self.refer_to_attachments(key, 1, &prepared.attachments)?;
        Ok(Outcomes { version: 1, last_updated: self.now(), operation: Some(Operation::Create) })
    }

    /// Writes the version that is a tombstone; history stays.
    pub(crate) fn delete(
        &mut self,
        resource_type: ResourceType,
        id: &IdKey,
        head: &Head,
    ) -> Result<Outcomes> {
        let old = match &head.body {
            Some(body) => self.decoder.decode(body)?,
            None => {
                return Ok(Outcomes {
                    version: head.version,
                    last_updated: head.last_updated,
                    operation: None,
                });
            }
        };
        self.supersede(head, Some(&old), None)?;
        self.unlist_identifiers(head.key, &old, &[])?;
        self.bury(resource_type, id, head, Operation::Delete)
    }

    /// Removes content and history for good; what stays says only that there was something.
    pub(crate) fn purge(&mut self, resource_type: ResourceType, id: &IdKey, head: &Head) -> Result<Outcomes> {
        if let Some(body) = &head.body {
            let old = self.decoder.decode(body)?;
            self.unlist_identifiers(head.key, &old, &[])?;
        }
        self.connection
            .prepare_cached("-- Unit::purge versions\nDELETE FROM resource_version WHERE resource = ?1")?
            .execute([head.key])?;
        self.connection
            .prepare_cached("-- Unit::purge attachments\nDELETE FROM blob_reference WHERE resource = ?1")?
            .execute([head.key])?;
        self.bury(resource_type, id, head, Operation::Purge)
    }

    fn bury(
        &mut self,
        resource_type: ResourceType,
        id: &IdKey,
        head: &Head,
        operation: Operation,
    ) -> Result<Outcomes> {
        let version = head.version + 1;
        let sequence =
            self.log(head.key, resource_type, id, version, operation, &content_hash(&[]), head.patient)?;
        self.connection
            .prepare_cached(
                "-- Unit::bury
                 UPDATE resource SET version = ?2, last_updated = ?3, change = ?4, body = NULL WHERE key = ?1",
            )?
            .execute(params![head.key, version.cast_signed(), self.position.last_updated, sequence])?;
        Ok(Outcomes { version, last_updated: self.now(), operation: Some(operation) })
    }

    /// Moves the current version into history, compressed against what replaces it.
    fn supersede(&mut self, head: &Head, old: Option<&[u8]>, new: Option<&[u8]>) -> Result<()> {
        let body = match (old, new, &head.body) {
            (Some(old), Some(new), Some(_)) if !head.version.is_multiple_of(KEYFRAME) => {
                Some(Encoder::encode_against(old, new))
            }
            (_, _, body) => body.clone(),
        };
        self.connection
            .prepare_cached(
                "-- Unit::supersede
                 INSERT INTO resource_version (resource, version, last_updated, change, slot, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                head.key,
                head.version.cast_signed(),
                head.last_updated.ms(),
                head.change,
                head.slot.as_u32(),
                body
            ])?;
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the columns of one row, all of different meaning")]
    fn log(
        &mut self,
        key: i64,
        resource_type: ResourceType,
        id: &IdKey,
        version: u64,
        operation: Operation,
        hash: &ContentHash,
        patient: Option<i64>,
    ) -> Result<i64> {
        self.position.last_change += 1;
        let sequence = self.position.last_change;
        let version_column = version.cast_signed();
        self.connection
            .prepare_cached(
                "-- Unit::log
                 INSERT INTO change_log (sequence, resource, type, version, operation, hash)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![sequence, key, resource_type.code(), version_column, operation as i64, hash])?;
        self.digest.add(
            sequence,
            key,
            i64::from(resource_type.code()),
            version_column,
            operation as i64,
            hash,
        );
        self.subject = Some(Subject { resource: key, version: version_column, patient });
        self.changes.push(Change {
            sequence,
            resource_type,
            id: id.clone(),
            version,
            last_updated: self.now(),
            operation,
        });
        Ok(sequence)
    }

    fn patient(&mut self, id: Option<&IdKey>) -> Result<Option<i64>> {
        let Some(id) = id else { return Ok(None) };
        if let Some(&key) = self.patients.get(id) {
            return Ok(Some(key));
        }
        let found: Option<i64> = self
            .connection
            .prepare_cached("-- Unit::patient\nSELECT key FROM patient WHERE id = ?1")?
            .query_row([id], |row| row.get(0))
            .optional()?;
        let key = match found {
            Some(key) => key,
            None => self
                .connection
                .prepare_cached("-- Unit::patient new\nINSERT INTO patient (id) VALUES (?1) RETURNING key")?
                .query_row([id], |row| row.get(0))?,
        };
        if self.patients.len() >= PATIENTS_REMEMBERED_MAX {
            self.patients.clear();
        }
        self.patients.insert(id.clone(), key);
        Ok(Some(key))
    }

    fn list_identifiers(&self, key: i64, hashes: &[i64]) -> Result<()> {
        for hash in hashes {
            self.connection
                .prepare_cached(
                    "-- Unit::list_identifiers
                     INSERT OR IGNORE INTO identifier (hash, resource) VALUES (?1, ?2)",
                )?
                .execute([*hash, key])?;
        }
        Ok(())
    }

    fn unlist_identifiers(&mut self, key: i64, old: &[u8], kept: &[i64]) -> Result<()> {
        for hash in self.preparer.identifiers_of(old)? {
            if !kept.contains(&hash) {
                self.connection
                    .prepare_cached(
                        "-- Unit::unlist_identifiers
                         DELETE FROM identifier WHERE hash = ?1 AND resource = ?2",
                    )?
                    .execute([hash, key])?;
            }
        }
        Ok(())
    }

    fn refer_to_attachments(&self, key: i64, version: u64, attachments: &[Staged]) -> Result<()> {
        for staged in attachments {
            self.connection
                .prepare_cached(
                    "-- Unit::refer_to_attachments
                     INSERT OR IGNORE INTO blob (hash, file, size) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![staged.hash, staged.file, staged.size.cast_signed()])?;
            self.connection
                .prepare_cached(
                    "-- Unit::refer_to_attachments
                     INSERT OR IGNORE INTO blob_reference (blob, resource, version)
                     SELECT key, ?2, ?3 FROM blob WHERE hash = ?1",
                )?
                .execute(params![staged.hash, key, version.cast_signed()])?;
        }
        Ok(())
    }
}

/// The content of one version, current or old, without meta.versionId and meta.lastUpdated.
///
/// `None` for a version that is a deletion. The caller has found that the version exists.
pub(crate) fn version_content(
    connection: &Connection,
    decoder: &mut Decoder,
    head: &Head,
    version: u64,
) -> Result<Option<Vec<u8>>> {
    let stored = |version: u64| -> Result<Option<Vec<u8>>> {
        if version == head.version {
            return Ok(head.body.clone());
        }
        let mut statement = connection.prepare_cached(
            "-- version_content
             SELECT body FROM resource_version WHERE resource = ?1 AND version = ?2",
        )?;
        Ok(statement.query_row([head.key, version.cast_signed()], |row| row.get(0)).optional()?.flatten())
    };
    let Some(body) = stored(version)? else { return Ok(None) };
    let mut chain = vec![body];
    let mut next = version;
    while needs_successor(chain.last().expect("it starts with one")) {
        next += 1;
        chain.push(stored(next)?.ok_or(Error::Corrupt)?);
    }
    let mut content = decoder.decode(&chain.pop().expect("it starts with one"))?;
    while let Some(body) = chain.pop() {
        content = decoder.decode_against(&body, &content)?;
    }
    Ok(Some(content))
}
