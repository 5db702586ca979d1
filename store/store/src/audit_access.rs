//! The audit trail for those who look at it.
//!
//! Invariant: whoever reads, exports, verifies or thins out the trail is in it.

use std::io::Write;
use std::time::Duration;

use rusqlite::Connection;

use crate::audit::{
    self, Action, AuditAnchor, AuditCheckpoint, AuditPage, AuditQuery, AuditReport, ExportError, Outcome,
};
use crate::error::{Error, Result};
use crate::id_key::IdKey;
use crate::index::Identities;
use crate::inner::{Open, Reader, plain_event};
use crate::privileged::Privileged;
use crate::session::Session;

impl Session {
    /// A page of the trail.
    ///
    /// # Errors
    /// [`keepwell_vault::Error::Locked`] and those of the database.
    pub fn audit_page(&self, query: &AuditQuery) -> Result<AuditPage> {
        self.look(
            Action::AuditRead,
            |reader, open| {
                let (snapshot, state) = open.index.read(&reader.connection)?;
                let row = row_of(&snapshot, &state.identities, query)?;
                Ok(audit::query(&snapshot, query, row)?)
            },
            |page| (Outcome::Success, serde_json::json!({ "records": page.records.len() })),
        )
    }

    /// Checks every record, checkpoint and proof of the trail, and its end against the anchor outside the file.
    ///
    /// # Errors
    /// What prevents looking. Tampering is no error: it is in the report.
    pub fn audit_verify(&self) -> Result<AuditReport> {
        self.look(
            Action::AuditVerify,
            |reader, open| {
                let anchor = self.store.inner.vault().anchor()?;
                let anchor = anchor
                    .map(|anchor| AuditAnchor { sequence: anchor.sequence.cast_signed(), mac: anchor.head });
                let snapshot = reader.connection.unchecked_transaction()?;
                Ok(audit::verify(&snapshot, open.audit.expose(), anchor)?)
            },
            |report| {
                let outcome = if report.is_whole() { Outcome::Success } else { Outcome::SeriousFailure };
                let findings = report.findings.len() as u64 + report.further_findings;
                (outcome, serde_json::json!({ "records": report.records, "findings": findings }))
            },
        )
    }

    /// The last signed checkpoint, to be kept elsewhere, and the key that verifies it (a C2SP verifier key line).
    ///
    /// # Errors
    /// [`keepwell_vault::Error::Locked`] and those of the database.
    pub fn audit_checkpoint(&self) -> Result<(Option<AuditCheckpoint>, String)> {
        let open = self.enter()?;
        let writer = open.writer();
        let latest = audit::latest_checkpoint(writer.connection())?;
        Ok((latest, writer.chain().verifier_key()))
    }

    /// Looks at the trail, reads that were waiting included, and records that.
    fn look<T>(
        &self,
        action: Action,
        work: impl FnOnce(&mut Reader, &Open) -> Result<T>,
        tell: impl FnOnce(&T) -> (Outcome, serde_json::Value),
    ) -> Result<T> {
        let inner = &self.store.inner;
        let open = self.enter()?;
        inner.flush_reads(&open)?;
        let done = work(&mut *inner.reader(&open)?, &open);
        let (outcome, detail) = match &done {
            Ok(found) => tell(found),
            Err(error) => (Outcome::SeriousFailure, serde_json::json!({ "error": error.code() })),
        };
        let detail = detail.to_string();
        open.writer()
            .record(inner.now_ms(), [plain_event(self.actor_key, action, outcome, Some(&detail))])?;
        done
    }
}

impl Privileged<'_> {
    /// Writes every record that answers `query` to `out`, as NDJSON of FHIR AuditEvents; returns how many events
    /// that were. Cursor and limit of the query do not count.
    ///
    /// # Errors
    /// [`Error::Io`] when `out` fails, and those of the database.
    pub fn audit_export(&self, query: &AuditQuery, out: &mut dyn Write) -> Result<u64> {
        self.session.look(
            Action::AuditExport,
            |reader, open| {
                let (snapshot, state) = open.index.read(&reader.connection)?;
                let row = row_of(&snapshot, &state.identities, query)?;
                audit::export(&snapshot, query, row, out).map_err(|error| match error {
                    ExportError::Storage(error) => error.into(),
                    ExportError::Output(error) => Error::io("writing audit events")(error),
                })
            },
            |events| (Outcome::Success, serde_json::json!({ "events": events })),
        )
    }

    /// Removes records older than `retention`, in whole checkpointed segments, and keeps the proof of what was
    /// there; returns the first and last sequence removed. [`audit::RETENTION_MS`] is the usual retention.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a record that would leave does not verify: removing it would destroy evidence.
    pub fn audit_purge(&self, retention: Duration) -> Result<Option<(i64, i64)>> {
        let session = self.session;
        let inner = &session.store.inner;
        let open = session.enter()?;
        let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        let purged = open.writer().purge_audit(inner.now_ms(), session.actor_key, retention_ms)?;
        Ok(purged.map(|purged| (purged.first, purged.last)))
    }
}

/// The row of the resource that a query asks for.
fn row_of(connection: &Connection, identities: &Identities, query: &AuditQuery) -> Result<Option<i64>> {
    let Some((resource_type, id)) = &query.resource else { return Ok(None) };
    identities.find(connection, *resource_type, &IdKey::new(id))
}
