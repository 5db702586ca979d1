//! The one writer of a store: every change goes through [`Writer::run`].
//!
//! A unit of work is one SQLCipher transaction that holds the version rows, the change log and the audit event.
//!
//! Invariants: change sequences are dense and rise by commit order; `last_updated` never runs backwards; a unit
//! that fails leaves nothing but the audit record of the failure.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::attachment::Attachments;
use crate::audit::{self, Action, Actor, Chain, ChangeDigest, Event, Outcome, PurgeError, Purged, actor_key};
use crate::body::Decoder;
use crate::change_feed::Change;
use crate::error::{Error, Result};
use crate::extension::Extension;
use crate::id_key::IdKey;
use crate::index::{Index, IndexProgress, IndexTransaction, Known, Merges};
use crate::prepare::Preparer;
use crate::unit::{Position, Unit};

/// What an event of the audit trail says beside its changes.
pub(crate) struct EventHeader<'a> {
    pub(crate) actor: i64,
    pub(crate) action: Action,
    pub(crate) detail: Option<&'a str>,
    /// Whether there is an event even if nothing was changed.
    pub(crate) is_always: bool,
}

/// The writing connection and all state that lives with it.
pub(crate) struct Writer {
    connection: Connection,
    chain: Chain,
    position: Position,
    patients: HashMap<IdKey, i64>,
    index: Arc<Index>,
    extensions: Vec<Arc<dyn Extension>>,
    merges: Merges,
    pub(crate) preparer: Preparer,
    decoder: Decoder,
}

impl Writer {
    pub(crate) fn new(
        mut connection: Connection,
        audit_key: &[u8; 32],
        index: Arc<Index>,
        extensions: Vec<Arc<dyn Extension>>,
    ) -> Result<Self> {
        let chain = Chain::load(&connection, audit_key)?;
        let position: Position = connection.query_row(
            "-- Writer::new
             SELECT (SELECT coalesce(max(sequence), 0) FROM change_log), (SELECT coalesce(max(key), 0) FROM resource),
                    coalesce((SELECT last_updated FROM change_log JOIN resource ON resource.key = change_log.resource
                              ORDER BY sequence DESC LIMIT 1), 0)",
            [],
            |row| Ok(Position { last_change: row.get(0)?, last_resource: row.get(1)?, last_updated: row.get(2)? }),
        )?;
        let merges = identify(&mut connection, &index, position.last_resource)?;
        let preparer = Preparer::new(&Known::load(&connection)?);
        let (patients, decoder) = (HashMap::new(), Decoder::new());
        Ok(Self { connection, chain, position, patients, index, extensions, merges, preparer, decoder })
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

    /// The place of the newest version in the change log.
    pub(crate) fn last_change(&self) -> i64 {
        self.position.last_change
    }

    /// How many edits would be lost with this store.
    pub(crate) fn unsynced(&self) -> Result<u64> {
        for extension in &self.extensions {
            if let Some(edits) = extension.unsynced(&self.connection)? {
                return Ok(edits);
            }
        }
        Ok(self.position.last_change.unsigned_abs())
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
            self.merges = Merges::default();
            self.index.give_up();
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

    /// Takes the next changes apart for the index; `false` when it has all.
    pub(crate) fn build_index(&mut self, attachments: &Attachments, now_ms: i64) -> Result<bool> {
        let done = (|| {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let last = self.position.last_change;
            let merge = &mut self.merges.search;
            let Some(next) = self.index.build(&transaction, attachments, last, now_ms, merge)? else {
                return Ok(false);
            };
            transaction.commit()?;
            self.index.publish(next);
            Ok(true)
        })();
        if done.is_err() {
            self.merges = Merges::default();
            self.index.give_up();
        }
        done
    }

    /// Merges on while nothing is written; `false` when few segments are left.
    pub(crate) fn settle_index(&mut self, now_ms: i64) -> Result<bool> {
        let done = (|| {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let Some(next) = self.index.settle(&transaction, now_ms, &mut self.merges)? else {
                return Ok(false);
            };
            transaction.commit()?;
            self.index.publish(next);
            Ok(true)
        })();
        if done.is_err() {
            self.merges = Merges::default();
            self.index.give_up();
        }
        done
    }

    /// How far the index is.
    pub(crate) fn index_progress(&self) -> Result<IndexProgress> {
        Ok(self.index.state(&self.connection)?.progress(self.position.last_change))
    }

    fn attempt<T>(
        &mut self,
        now_ms: i64,
        header: &EventHeader<'_>,
        work: impl FnOnce(&mut Unit<'_>) -> Result<T>,
    ) -> Result<(T, Vec<Change>)> {
        self.position.last_updated = self.position.last_updated.max(now_ms);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let before = transaction.total_changes();
        let index = IndexTransaction::begin(&self.index, &transaction, self.position.last_change)?;
        if index.base().known.edition != self.preparer.edition() {
            self.preparer = Preparer::new(&index.base().known);
        }
        let mut unit = Unit {
            connection: &transaction,
            position: &mut self.position,
            patients: &mut self.patients,
            preparer: &mut self.preparer,
            decoder: &mut self.decoder,
            index,
            extensions: &self.extensions,
            is_foreign: false,
            subject: None,
            digest: ChangeDigest::new(),
            changes: Vec::new(),
        };
        let result = work(&mut unit)?;
        if !header.is_always && transaction.total_changes() == before {
            return Ok((result, Vec::new()));
        }
        let Unit { index, subject, digest, changes, .. } = unit;
        let indexed = index.finish(&transaction, self.position.last_change, now_ms, &mut self.merges)?;
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
        if let Some(state) = indexed {
            self.index.publish(state);
        }
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

/// Takes in rows that an older program made, so that they are found by their ids; what merges are under way then.
fn identify(connection: &mut Connection, index: &Index, last_resource: i64) -> Result<Merges> {
    let mut merges = Merges::default();
    while !index.is_identified(connection, last_resource)? {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let next = index.identify(&transaction, &mut merges.identity)?.ok_or(Error::Corrupt)?;
        transaction.commit()?;
        index.publish(next);
    }
    Ok(merges)
}
