//! Purging records that are past their retention, in whole checkpointed segments.
//!
//! What leaves is verified first and leaves a proof: the range, the macs before and at its end, a digest over all
//! macs between, bound by a mac of its own. The signed checkpoints stay. So the rest of the chain still verifies,
//! and a purge is told from a deletion. The schema's triggers refuse a deletion without proof, and a proof that
//! does not end at a checkpoint or does not begin where the last one ended.

use ring::digest;
use rusqlite::{Connection, OptionalExtension, named_params};

use super::chain::{Chain, GENESIS, Mac, StoredRecord, record_columns, to_mac};
use super::{Action, Event, Outcome};

/// How long records are kept unless a store is configured otherwise: six years (45 CFR 164.316(b)(2)(i)), in ms.
pub const RETENTION_MS: i64 = 2_192 * 24 * 60 * 60 * 1_000;

/// Why nothing was purged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum PurgeError {
    /// The database failed.
    #[error("while purging the audit trail")]
    Storage(#[from] rusqlite::Error),
    /// A record that was about to leave does not verify: purging would destroy the evidence.
    #[error("audit record {sequence} does not verify")]
    Damaged { sequence: i64 },
}

/// The records that a purge removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Purged {
    pub(crate) first: i64,
    pub(crate) last: i64,
}

const LAST_PROOF: &str = "
    -- audit::purge
    SELECT last_sequence, last_mac FROM audit_purged ORDER BY last_sequence DESC LIMIT 1";
const LAST_EXPIRED: &str = "
    -- audit::purge
    SELECT c.sequence FROM audit_checkpoint c JOIN audit a ON a.sequence = c.sequence
    WHERE a.recorded < :before ORDER BY c.sequence DESC LIMIT 1";
const SEGMENT: &str = concat!(
    "-- audit::purge\n SELECT ",
    record_columns!(),
    " FROM audit WHERE sequence BETWEEN :first AND :last ORDER BY sequence"
);
const NOTE: &str = "
    -- audit::purge
    SELECT note FROM audit_checkpoint WHERE sequence = :sequence";
const PROVE: &str = "
    -- audit::purge
    INSERT INTO audit_purged (first_sequence, last_sequence, before_mac, last_mac, digest, mac)
    VALUES (:first, :last, :before_mac, :last_mac, :digest, :mac)";
const DELETE: &str = "
    -- audit::purge
    DELETE FROM audit WHERE sequence BETWEEN :first AND :last";

/// Removes the segments whose every record is older than `retention_ms` at `now_ms`, in the caller's transaction,
/// and records the act. `None` when no whole segment is that old.
///
/// # Errors
/// [`PurgeError::Damaged`] when a record that would leave does not verify; those of the database. The caller rolls
/// back.
pub(crate) fn purge(
    connection: &Connection,
    chain: &mut Chain,
    actor: i64,
    now_ms: i64,
    retention_ms: i64,
) -> Result<Option<Purged>, PurgeError> {
    let before = now_ms.saturating_sub(retention_ms);
    let last: Option<i64> =
        connection.query_row(LAST_EXPIRED, named_params! {":before": before}, |row| row.get(0)).optional()?;
    let Some(last) = last else { return Ok(None) };
    let proof: Option<(i64, Mac)> =
        connection.query_row(LAST_PROOF, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (purged, before_mac) = proof.unwrap_or((0, GENESIS));
    let first = purged + 1;
    let (last_mac, digest) = digest_segment(connection, chain, first, last, before_mac)?;
    let mac = chain.keys().purged_mac(first, last, &before_mac, &last_mac, &digest);
    connection.execute(
        PROVE,
        named_params! {
            ":first": first, ":last": last, ":before_mac": before_mac, ":last_mac": last_mac,
            ":digest": digest, ":mac": mac,
        },
    )?;
    connection.execute(DELETE, named_params! {":first": first, ":last": last})?;
    let detail = format!(r#"{{"first":{first},"last":{last}}}"#);
    let event = Event { detail: Some(&detail), ..Event::new(actor, Action::AuditPurged, Outcome::Success) };
    chain.append(connection, now_ms, &event)?;
    Ok(Some(Purged { first, last }))
}

/// Verifies the segment; returns the mac of its last record and the digest over all.
fn digest_segment(
    connection: &Connection,
    chain: &Chain,
    first: i64,
    last: i64,
    before_mac: Mac,
) -> Result<(Mac, Mac), PurgeError> {
    let mut statement = connection.prepare(SEGMENT)?;
    let mut rows = statement.query(named_params! {":first": first, ":last": last})?;
    let mut context = digest::Context::new(&digest::SHA256);
    let mut previous = before_mac;
    let mut expected = first;
    while let Some(row) = rows.next()? {
        let record = StoredRecord::read(row)?;
        let mac = chain.keys().record_mac(&previous, expected, &record.fields);
        if record.sequence != expected || record.mac != Some(mac) {
            return Err(PurgeError::Damaged { sequence: expected });
        }
        context.update(&mac);
        previous = mac;
        expected += 1;
    }
    let note: String = connection.query_row(NOTE, named_params! {":sequence": last}, |row| row.get(0))?;
    if expected != last + 1 || chain.keys().signer.open(&note) != Some((last, previous)) {
        return Err(PurgeError::Damaged { sequence: expected.min(last) });
    }
    Ok((previous, to_mac(context.finish().as_ref())))
}
