//! One transaction in progress: how versions, tombstones and purges become rows.
//!
//! Invariants: each version has one row, in `resource` or in `resource_version`, and one in the change log; what the
//! change log is told, the index, the digest of the audit event and the extensions are told too.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use keepwell_fhir::{Instant, ResourceType};
use rusqlite::{Connection, OptionalExtension, params};

use crate::attachment::Staged;
use crate::audit::ChangeDigest;
use crate::body::{Decoder, Encoder};
use crate::change_feed::{Change, Operation};
use crate::error::{Error, Result};
use crate::extension::{After, Changed, Extension};
use crate::head::Head;
use crate::id_key::IdKey;
use crate::index::IndexTransaction;
use crate::prepare::{ContentHash, Prepared, Preparer, content_hash};

/// A version whose number is a multiple of this is stored on its own, so that reading an old one stays cheap.
const KEYFRAME: u64 = 16;

/// Patients whose keys the writer remembers: an import meets the same one hundreds of times in a row.
const PATIENTS_REMEMBERED_MAX: usize = 1024;

/// What the last version of a written resource is.
#[derive(Clone)]
pub(crate) struct Outcomes {
    pub(crate) version: u64,
    pub(crate) last_updated: Instant,
    pub(crate) operation: Option<Operation>,
}

/// What a unit that fails must put back.
#[derive(Clone, Copy)]
pub(crate) struct Position {
    pub(crate) last_change: i64,
    pub(crate) last_resource: i64,
    pub(crate) last_updated: i64,
}

/// The single resource that an event is about.
#[derive(Clone, Copy)]
pub(crate) struct Subject {
    pub(crate) resource: i64,
    pub(crate) version: i64,
    pub(crate) patient: Option<i64>,
}

/// One transaction in progress.
pub(crate) struct Unit<'w> {
    pub(crate) connection: &'w Connection,
    pub(crate) position: &'w mut Position,
    pub(crate) patients: &'w mut HashMap<IdKey, i64>,
    pub(crate) preparer: &'w mut Preparer,
    pub(crate) decoder: &'w mut Decoder,
    pub(crate) index: IndexTransaction,
    pub(crate) extensions: &'w [Arc<dyn Extension>],
    /// Whether what is written comes from another store.
    pub(crate) is_foreign: bool,
    pub(crate) subject: Option<Subject>,
    pub(crate) digest: ChangeDigest,
    pub(crate) changes: Vec<Change>,
}

impl Unit<'_> {
    pub(crate) fn find(&self, resource_type: ResourceType, id: &IdKey) -> Result<Option<Head>> {
        Head::find(self.connection, self.index.identities(), resource_type, id)
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
        self.index_version(sequence, Some(head.change), prepared)?;
        self.note_parameter(old.as_deref(), prepared)?;
        self.refer_to_attachments(head.key, version, &prepared.attachments)?;
        self.tell(head.key, &prepared.id, old.as_deref(), After::Prepared(prepared))?;
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
        self.index.identify(prepared.resource_type, &prepared.id, key);
        self.log(key, prepared.resource_type, &prepared.id, 1, Operation::Create, &prepared.hash, patient)?;
        self.index_version(sequence, None, prepared)?;
        self.note_parameter(None, prepared)?;
        self.refer_to_attachments(key, 1, &prepared.attachments)?;
        self.tell(key, &prepared.id, None, After::Prepared(prepared))?;
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
        if is_parameter(resource_type) {
            self.index.note_parameter(Some(&old), None);
        }
        let outcomes = self.bury(resource_type, id, head, Operation::Delete)?;
        self.tell(head.key, id, Some(&old), After::Nothing)?;
        Ok(outcomes)
    }

    /// Removes content and history for good; what stays says only that there was something.
    pub(crate) fn purge(&mut self, resource_type: ResourceType, id: &IdKey, head: &Head) -> Result<Outcomes> {
        self.index.erase(self.connection, head)?;
        if let Some(body) = head.body.as_ref().filter(|_| is_parameter(resource_type)) {
            let old = self.decoder.decode(body)?;
            self.index.note_parameter(Some(&old), None);
        }
        self.connection
            .prepare_cached("-- Unit::purge versions\nDELETE FROM resource_version WHERE resource = ?1")?
            .execute([head.key])?;
        self.connection
            .prepare_cached("-- Unit::purge attachments\nDELETE FROM blob_reference WHERE resource = ?1")?
            .execute([head.key])?;
        let outcomes = self.bury(resource_type, id, head, Operation::Purge)?;
        self.tell(head.key, id, None, After::Nothing)?;
        Ok(outcomes)
    }

    /// Whether the newest version of a resource is its purge.
    pub(crate) fn is_purged(&self, head: &Head) -> Result<bool> {
        let operation = self
            .connection
            .prepare_cached("-- Unit::is_purged\nSELECT operation FROM change_log WHERE sequence = ?1")?
            .query_row([head.change], |row| row.get(0))?;
        Ok(Operation::from_code(operation)? == Operation::Purge)
    }

    /// Tells the extensions of the version that was written last.
    fn tell(&mut self, key: i64, id: &IdKey, before: Option<&[u8]>, after: After<'_>) -> Result<()> {
        let (Some(change), false) = (self.changes.last(), self.extensions.is_empty()) else { return Ok(()) };
        let changed = Changed {
            key,
            resource_type: change.resource_type,
            version: change.version,
            last_updated: change.last_updated,
            operation: change.operation,
            sequence: change.sequence,
            first_sequence: self.changes.first().map_or(change.sequence, |first| first.sequence),
            is_foreign: self.is_foreign,
            id,
            before,
            after,
            identities: self.index.identities(),
            connection: self.connection,
            decoder: RefCell::new(self.decoder),
        };
        for extension in self.extensions {
            extension.changed(self.connection, &changed)?;
        }
        Ok(())
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
        self.index.add(sequence, Some(head.change), None)?;
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

    fn index_version(&mut self, change: i64, superseded: Option<i64>, prepared: &Prepared) -> Result<()> {
        if prepared.edition == self.preparer.edition() {
            return self.index.add(change, superseded, Some(&prepared.terms));
        }
        // A search parameter was added while an import had this version at hand.
        let content = self.decoder.decode(&prepared.body)?;
        let terms = self.preparer.take_apart(&prepared.id, &content)?;
        self.index.add(change, superseded, Some(&terms))
    }

    /// What is searched by changes with the SearchParameters that are stored.
    fn note_parameter(&mut self, old: Option<&[u8]>, prepared: &Prepared) -> Result<()> {
        if is_parameter(prepared.resource_type) {
            let new = self.decoder.decode(&prepared.body)?;
            self.index.note_parameter(old, Some(&new));
        }
        Ok(())
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

    fn refer_to_attachments(&self, key: i64, version: u64, attachments: &[Staged]) -> Result<()> {
        for staged in attachments {
            self.connection
                .prepare_cached(
                    "-- Unit::refer_to_attachments
                     INSERT INTO blob (hash, file, size, is_absent) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (hash) DO UPDATE SET file = excluded.file, is_absent = 0
                     WHERE is_absent = 1 AND excluded.is_absent = 0",
                )?
                .execute(params![staged.hash, staged.file, staged.size.cast_signed(), staged.is_absent])?;
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

fn is_parameter(resource_type: ResourceType) -> bool {
    resource_type.name() == "SearchParameter"
}
