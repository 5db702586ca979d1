//! The check of the change log against the records that tell of its rows.

use rusqlite::{Connection, Statement, named_params};

use super::chain::{Fields, StoredRecord};
use super::change_digest::{ChangeDigest, Changes};
use super::verify::{AuditReport, FindingKind};

const CHANGES: &str = "
    -- audit::change_check
    SELECT sequence, resource, type, version, operation, hash FROM change_log
    WHERE sequence BETWEEN :first AND :last ORDER BY sequence";
const ANY_CHANGE: &str = "
    -- audit::change_check
    SELECT EXISTS (SELECT 1 FROM change_log WHERE sequence BETWEEN :first AND :last)";

/// Recomputes the digest of each record's changes, and sees to it that records cover the change log without gaps.
pub(super) struct ChangeCheck<'a> {
    changes: Statement<'a>,
    any: Statement<'a>,
    /// The change that comes next; `None` when the records before are gone.
    next: Option<i64>,
}

impl<'a> ChangeCheck<'a> {
    pub(super) fn new(connection: &'a Connection, from_the_start: bool) -> rusqlite::Result<Self> {
        Ok(Self {
            changes: connection.prepare(CHANGES)?,
            any: connection.prepare(ANY_CHANGE)?,
            next: from_the_start.then_some(1),
        })
    }

    /// Compares the changes of a record that is itself sound with the change log.
    pub(super) fn check(
        &mut self,
        record: &StoredRecord<'_>,
        report: &mut AuditReport,
    ) -> rusqlite::Result<()> {
        let Fields { first_change, last_change, digest, .. } = record.fields;
        let (Some(first), Some(last), Some(digest)) = (first_change, last_change, digest) else {
            return Ok(());
        };
        if let Some(next) = self.next
            && next < first
            && self.any_between(next, first - 1)?
        {
            report.add(record.sequence, FindingKind::ChangesUnaudited);
        }
        self.next = Some(last.saturating_add(1));
        let found = self.digest(first, last)?;
        if found.is_none_or(|found| (found.first, found.last) != (first, last) || found.digest != digest) {
            report.add(record.sequence, FindingKind::ChangesEdited);
        }
        Ok(())
    }

    /// The records before the next one cannot be relied upon.
    pub(super) fn lose_track(&mut self) {
        self.next = None;
    }

    /// Changes after those of the last record; `end` is the sequence after it.
    pub(super) fn finish(mut self, end: i64, report: &mut AuditReport) -> rusqlite::Result<()> {
        if let Some(next) = self.next
            && self.any_between(next, i64::MAX)?
        {
            report.add(end, FindingKind::ChangesUnaudited);
        }
        Ok(())
    }

    fn any_between(&mut self, first: i64, last: i64) -> rusqlite::Result<bool> {
        self.any.query_row(named_params! {":first": first, ":last": last}, |row| row.get(0))
    }

    /// What the change log holds now; `None` when there is nothing, or no digest can be made of it.
    fn digest(&mut self, first: i64, last: i64) -> rusqlite::Result<Option<Changes>> {
        let mut digest = ChangeDigest::new();
        let mut rows = self.changes.query(named_params! {":first": first, ":last": last})?;
        while let Some(row) = rows.next()? {
            let Ok(hash) = row.get_ref(5)?.as_blob()?.try_into() else { return Ok(None) };
            digest.add(row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, hash);
        }
        Ok(digest.finish())
    }
}
