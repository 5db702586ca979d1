//! Verification: is the trail whole, and if not, where was it touched.
//!
//! One pass over the records in order, with constant memory. After a finding the pass goes on: it looks whether
//! records were put in, taken out with the rest renumbered, or swapped, so that one act gives one finding with its
//! place. What cannot be told apart (a lost record leaves its successor without a known predecessor) is accepted
//! with what the file says.
//!
//! A whole trail can still be a short one: give [`verify`] the anchor that is kept outside the file.

use rusqlite::{Connection, OptionalExtension, named_params};

use super::actor::Actor;
use super::chain::{GENESIS, Keys, Mac, StoredRecord, record_columns};
use super::pass::{End, Pass};

/// Findings that a report lists; further ones are only counted.
pub const FINDINGS_MAX: usize = 1_000;

/// What was done to the trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FindingKind {
    /// The record was changed, or made up.
    Edited,
    /// So many records, from this one on, are gone.
    Missing(i64),
    /// So many records, from this one on, were put in.
    Inserted(i64),
    /// The record stood at another place, which is given.
    Reordered(i64),
    /// So many records, from this one on, are gone at the end.
    Truncated(i64),
    /// The record is not the one that a signed checkpoint or the anchor names: another history.
    Forked,
    /// The checkpoint of this sequence was not signed by this store.
    CheckpointForged,
    /// The proof of a purge, up to this sequence, was not made by this store.
    PurgeForged,
    /// The names of the actor whose first record this is were changed.
    ActorEdited,
    /// The changes that the record wrote are not those in the change log.
    ChangesEdited,
    /// Before this record (or, after the last, at the end) there are changes that no record tells of.
    ChangesUnaudited,
}

/// One place where the trail was touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The audit sequence of the place.
    pub sequence: i64,
    /// What was done there.
    pub kind: FindingKind,
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditReport {
    /// Records read.
    pub records: u64,
    /// Checkpoints checked.
    pub checkpoints: u64,
    /// The last sequence that was purged; 0 when nothing was.
    pub purged: i64,
    /// The first findings, by sequence; empty when the trail is whole.
    pub findings: Vec<Finding>,
    /// Findings beyond [`FINDINGS_MAX`].
    pub further_findings: u64,
}

impl AuditReport {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }

    /// The chain ends at `last`, although it reached `reached` once.
    fn truncated(&mut self, last: i64, reached: i64) {
        let known = self.findings.iter_mut().find_map(|finding| match &mut finding.kind {
            FindingKind::Truncated(count) => Some(count),
            _ => None,
        });
        match known {
            Some(count) => *count = (*count).max(reached - last),
            None => self.add(last + 1, FindingKind::Truncated(reached - last)),
        }
    }

    /// Whether a finding names this record already.
    fn names(&self, sequence: i64) -> bool {
        self.findings.iter().any(|finding| finding.sequence == sequence)
    }

    pub(super) fn add(&mut self, sequence: i64, kind: FindingKind) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { sequence, kind });
        } else {
            self.further_findings += 1;
        }
    }
}

/// A head of the chain that is kept outside the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AuditAnchor {
    pub(crate) sequence: i64,
    pub(crate) mac: Mac,
}

const RECORDS: &str = concat!(
    "-- audit::verify\n SELECT ",
    record_columns!(),
    " FROM audit WHERE sequence > :after ORDER BY sequence"
);
const MAC_AT: &str = "
    -- audit::verify
    SELECT mac FROM audit WHERE sequence = :sequence";
const BEFORE: &str = "
    -- audit::verify
    SELECT min(sequence), count(*) FROM audit WHERE sequence <= :purged";
const CHECKPOINTS: &str = "
    -- audit::verify
    SELECT sequence, note FROM audit_checkpoint ORDER BY sequence";
const PURGED: &str = "
    -- audit::verify
    SELECT first_sequence, last_sequence, before_mac, last_mac, digest, mac
    FROM audit_purged ORDER BY last_sequence";
const ACTORS: &str = "
    -- audit::verify
    SELECT key, user, app, device, purpose, mac FROM actor ORDER BY key";
const FIRST_OF_ACTOR: &str = "
    -- audit::verify
    SELECT min(sequence) FROM audit WHERE actor = :actor";
const ACTOR_MISSING: &str = "
    -- audit::verify
    SELECT min(sequence) FROM audit WHERE actor NOT IN (SELECT key FROM actor)";

/// Verifies the trail under the vault's `audit_key`, against the `anchor` outside the file if there is one.
///
/// Run it inside a read transaction, so that records do not arrive meanwhile.
///
/// # Errors
/// Those of the database. Tampering is no error: it is in the report.
pub(crate) fn verify(
    connection: &Connection,
    audit_key: &[u8; 32],
    anchor: Option<AuditAnchor>,
) -> rusqlite::Result<AuditReport> {
    let keys = Keys::derive(audit_key);
    let mut report = AuditReport::default();
    let purged = check_purged(connection, &keys, &mut report)?;
    count_before(connection, purged.sequence, &mut report)?;
    let mut pass = Pass::new(connection, &keys, purged, report)?;
    let mut statement = connection.prepare(RECORDS)?;
    let mut rows = statement.query(named_params! {":after": purged.sequence})?;
    while let Some(row) = rows.next()? {
        pass.record(&StoredRecord::read(row)?)?;
    }
    let (mut report, end) = pass.finish()?;
    check_checkpoints(connection, &keys, purged, &end, &mut report)?;
    if let Some(anchor) = anchor {
        check_head(connection, anchor, purged, &end, &mut report)?;
    }
    check_actors(connection, &keys, &mut report)?;
    report.findings.sort_by_key(|finding| finding.sequence);
    Ok(report)
}

/// Walks the proofs of purges, which follow each other from the first record.
fn check_purged(
    connection: &Connection,
    keys: &Keys,
    report: &mut AuditReport,
) -> rusqlite::Result<AuditAnchor> {
    let mut end = AuditAnchor { sequence: 0, mac: GENESIS };
    let mut statement = connection.prepare(PURGED)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (first, last): (i64, i64) = (row.get(0)?, row.get(1)?);
        let mut macs = [GENESIS; 4];
        let mut is_whole = true;
        for (column, mac) in macs.iter_mut().enumerate() {
            match row.get_ref(column + 2)?.as_blob()?.try_into() {
                Ok(stored) => *mac = stored,
                Err(_) => is_whole = false,
            }
        }
        let [before, last_mac, digest, mac] = macs;
        if is_whole
            && first == end.sequence + 1
            && before == end.mac
            && mac == keys.purged_mac(first, last, &before, &last_mac, &digest)
        {
            end = AuditAnchor { sequence: last, mac: last_mac };
        } else {
            report.add(last, FindingKind::PurgeForged);
        }
    }
    report.purged = end.sequence;
    Ok(end)
}

/// Records that stand where none can: before the first, or among those that were purged.
fn count_before(connection: &Connection, purged: i64, report: &mut AuditReport) -> rusqlite::Result<()> {
    let (first, count): (Option<i64>, i64) =
        connection
            .query_row(BEFORE, named_params! {":purged": purged}, |row| Ok((row.get(0)?, row.get(1)?)))?;
    if let Some(first) = first {
        report.add(first, FindingKind::Inserted(count));
    }
    Ok(())
}

/// Each checkpoint must be signed by this store, and name the record that stands at its sequence.
fn check_checkpoints(
    connection: &Connection,
    keys: &Keys,
    purged: AuditAnchor,
    end: &End,
    report: &mut AuditReport,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(CHECKPOINTS)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        report.checkpoints += 1;
        let sequence: i64 = row.get(0)?;
        match keys.signer.open(&String::from_utf8_lossy(row.get_ref(1)?.as_bytes()?)) {
            Some((signed, mac)) if signed == sequence => {
                check_head(connection, AuditAnchor { sequence, mac }, purged, end, report)?;
            }
            _ => report.add(sequence, FindingKind::CheckpointForged),
        }
    }
    Ok(())
}

/// The chain must reach `head`, and be there what it says.
fn check_head(
    connection: &Connection,
    head: AuditAnchor,
    purged: AuditAnchor,
    end: &End,
    report: &mut AuditReport,
) -> rusqlite::Result<()> {
    if head.sequence > end.last {
        report.truncated(end.last, head.sequence);
        return Ok(());
    }
    let is_same = if head.sequence == purged.sequence {
        head.mac == purged.mac
    } else if head.sequence < purged.sequence || head.sequence >= end.shifted_from {
        // The record is gone with its proof, or stands elsewhere.
        true
    } else {
        let stored: Option<Vec<u8>> = connection
            .prepare_cached(MAC_AT)?
            .query_row(named_params! {":sequence": head.sequence}, |row| row.get(0))
            .optional()?;
        stored.is_none_or(|stored| stored == head.mac)
    };
    if !is_same && !report.names(head.sequence) {
        report.add(head.sequence, FindingKind::Forked);
    }
    Ok(())
}

/// Each actor must be the one that its mac was made for.
fn check_actors(connection: &Connection, keys: &Keys, report: &mut AuditReport) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(ACTORS)?;
    let mut rows = statement.query([])?;
    let mut first_of = connection.prepare(FIRST_OF_ACTOR)?;
    while let Some(row) = rows.next()? {
        let key = row.get(0)?;
        let mut texts = [const { String::new() }; 4];
        for (column, text) in texts.iter_mut().enumerate() {
            *text = String::from_utf8_lossy(row.get_ref(column + 1)?.as_bytes()?).into_owned();
        }
        if row.get_ref(5)?.as_blob()? != keys.actor_mac(key, &Actor::stored(texts)).as_slice() {
            let first: Option<i64> = first_of.query_row(named_params! {":actor": key}, |row| row.get(0))?;
            report.add(first.unwrap_or(0), FindingKind::ActorEdited);
        }
    }
    let missing: Option<i64> =
        connection.query_row(ACTOR_MISSING, [], |row| row.get(0)).optional()?.flatten();
    if let Some(sequence) = missing {
        report.add(sequence, FindingKind::ActorEdited);
    }
    Ok(())
}
