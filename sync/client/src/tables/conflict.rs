//! Edits that lost.

use keepwell_engine::{ConflictRecord, ConflictState};
use keepwell_fhir::Instant;
use keepwell_protocol::{Body, Decision, Id, ParkKind, ResourceKey, Version};
use keepwell_store::{Error, Result};
use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};

use super::{Tables, key_of, limit, name_of};

const COLUMNS: &str =
    "SELECT cid, name, is_open, is_archived, record, base, mine, theirs, outcome FROM sync_conflict";

/// What is not looked for.
#[derive(Serialize, Deserialize)]
struct Rest {
    kind: ParkKind,
    base_version: Version,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    theirs_version: Option<Version>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    paths: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
    at_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decision: Option<Decision>,
}

impl Tables<'_> {
    /// The record with an id.
    pub(crate) fn conflict(&self, cid: &Id) -> Result<Option<ConflictRecord>> {
        let found = self.conflicts(&format!("{COLUMNS} WHERE cid = ?1"), [cid.as_str()])?;
        Ok(found.into_iter().next())
    }

    /// The records of a resource.
    pub(crate) fn conflicts_of(&self, key: &ResourceKey) -> Result<Vec<ConflictRecord>> {
        self.conflicts(&format!("{COLUMNS} WHERE name = ?1 ORDER BY number"), [name_of(key)])
    }

    /// Records that the server does not hold yet.
    pub(crate) fn unarchived(&self, rows: usize) -> Result<Vec<ConflictRecord>> {
        self.conflicts(&format!("{COLUMNS} WHERE is_archived = 0 ORDER BY number LIMIT ?1"), [limit(rows)])
    }

    /// Records that a person has to look at.
    pub(crate) fn open_conflicts(&self) -> Result<Vec<ConflictRecord>> {
        self.conflicts(&format!("{COLUMNS} WHERE is_open = 1 ORDER BY number"), [])
    }

    /// How many those are.
    pub(crate) fn count_open_conflicts(&self) -> Result<u64> {
        let mut statement = self.connection.prepare_cached(
            "-- Tables::count_open_conflicts\nSELECT count(*) FROM sync_conflict WHERE is_open = 1",
        )?;
        Ok(statement.query_row([], |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    /// Writes a record.
    pub(crate) fn set_conflict(&self, record: &ConflictRecord) -> Result<()> {
        let rest = Rest {
            kind: record.kind,
            base_version: record.base_version,
            theirs_version: record.theirs_version,
            paths: record.paths.clone(),
            reasons: record.reasons.clone(),
            at_ms: record.at.ms(),
            decision: record.decision,
        };
        let bytes = |body: &Option<Body>| body.as_ref().map(|body| body.as_bytes().to_vec());
        self.connection
            .prepare_cached(
                "-- Tables::set_conflict
                 INSERT INTO sync_conflict (cid, name, is_open, is_archived, record, base, mine, theirs, outcome)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                 ON CONFLICT (cid) DO UPDATE SET
                     is_open = ?3, is_archived = ?4, record = ?5, base = ?6, mine = ?7, theirs = ?8, outcome = ?9",
            )?
            .execute(params![
                record.cid.as_str(),
                name_of(&record.key),
                record.state == ConflictState::Open,
                record.is_archived,
                serde_json::to_string(&rest).expect("texts and numbers"),
                bytes(&record.base),
                bytes(&record.mine),
                bytes(&record.theirs),
                bytes(&record.outcome)
            ])?;
        Ok(())
    }

    fn conflicts(&self, sql: &str, params: impl rusqlite::Params) -> Result<Vec<ConflictRecord>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        let mut records = Vec::new();
        while let Some(row) = rows.next()? {
            records.push(read(row)?);
        }
        Ok(records)
    }
}

fn read(row: &Row<'_>) -> Result<ConflictRecord> {
    let (cid, name, rest): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(4)?);
    let rest: Rest = serde_json::from_str(&rest).map_err(|_| Error::Corrupt)?;
    let body = |place| -> Result<Option<Body>> {
        let bytes: Option<Vec<u8>> = row.get(place)?;
        bytes.map(|bytes| Body::new(bytes).map_err(|_| Error::Corrupt)).transpose()
    };
    Ok(ConflictRecord {
        cid: cid.parse().map_err(|_| Error::Corrupt)?,
        kind: rest.kind,
        key: key_of(&name)?,
        base_version: rest.base_version,
        theirs_version: rest.theirs_version,
        base: body(5)?,
        mine: body(6)?,
        theirs: body(7)?,
        paths: rest.paths,
        reasons: rest.reasons,
        outcome: body(8)?,
        at: Instant::from_ms(rest.at_ms),
        state: if row.get(2)? { ConflictState::Open } else { ConflictState::Closed },
        decision: rest.decision,
        is_archived: row.get(3)?,
    })
}
