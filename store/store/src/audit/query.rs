//! Questions to the audit trail: who, what, when, where, about whom, and how it ended.
//!
//! Every question is answered from an index. Time is one without being one: `recorded` never falls, so an instant
//! is found among the sequences by bisection. A transaction or an import is one record over a range of changes; it
//! is found for a resource or a patient by the changes that those have.

use std::collections::BTreeSet;
use std::fmt;

use keepwell_fhir::{Instant, ResourceType};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{Action, Actor, Outcome};
use crate::id_key::IdKey;

/// The most records on one page.
pub const AUDIT_PAGE_MAX: usize = 1_000;

/// What to look for; what is not set does not matter.
#[derive(Clone, Default)]
pub struct AuditQuery {
    /// Who: the user of the actor.
    pub user: Option<String>,
    /// Through which app.
    pub app: Option<String>,
    /// On which device.
    pub device: Option<String>,
    /// What: a resource, by type and id.
    pub resource: Option<(ResourceType, String)>,
    /// About whom: the id of a Patient.
    pub patient: Option<String>,
    /// Recorded at this instant or later.
    pub from: Option<Instant>,
    /// Recorded before this instant.
    pub to: Option<Instant>,
    /// What was done.
    pub action: Option<Action>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// The oldest first; otherwise the newest.
    pub oldest_first: bool,
    /// Go on after this page: [`AuditPage::next`].
    pub after: Option<i64>,
    /// At most so many records; [`AUDIT_PAGE_MAX`] when not set or above it.
    pub limit: Option<usize>,
}

/// Who and whom is not printed by accident.
impl fmt::Debug for AuditQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditQuery")
            .field("from", &self.from)
            .field("to", &self.to)
            .field("action", &self.action)
            .field("outcome", &self.outcome)
            .field("oldest_first", &self.oldest_first)
            .field("after", &self.after)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// A page of records.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AuditPage {
    /// The records, in the order asked for.
    pub records: Vec<AuditRecord>,
    /// What [`AuditQuery::after`] is to be for the next page; `None` when this was the last.
    pub next: Option<i64>,
}

/// A resource that a record is about.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditedResource {
    /// Its type.
    pub resource_type: ResourceType,
    /// Its id.
    pub id: String,
    /// The version read or written.
    pub version: Option<i64>,
}

/// One record of the trail, with everything that it refers to.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditRecord {
    /// Its place in the trail.
    pub sequence: i64,
    /// When it was made.
    pub recorded: Instant,
    /// By how many ms the wall clock stood behind `recorded`, if it did.
    pub skew_ms: Option<i64>,
    /// Who acted.
    pub actor: Actor,
    /// What was done; `None` for a code that this version does not know.
    pub action: Option<Action>,
    /// How it ended; `None` for a code that is none.
    pub outcome: Option<Outcome>,
    /// The resource, when it was exactly one.
    pub resource: Option<AuditedResource>,
    /// The id of the Patient, when it was exactly one.
    pub patient: Option<String>,
    /// The first and last sequence in the change log of what was written.
    pub changes: Option<(i64, i64)>,
    /// A JSON object: `query`, `request`, `reason` and others.
    pub detail: Option<String>,
}

/// Ids and search strings may tell who is ill with what: they are not printed by accident.
impl fmt::Debug for AuditRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditRecord")
            .field("sequence", &self.sequence)
            .field("action", &self.action)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

const ACTORS: &str = "
    -- audit::query
    SELECT key FROM actor
    WHERE (:user IS NULL OR user = :user) AND (:app IS NULL OR app = :app) AND (:device IS NULL OR device = :device)";
const PATIENT: &str = "
    -- audit::query
    SELECT key FROM patient WHERE id = :id";
const MEMBERS: &str = "
    -- audit::query
    SELECT key FROM resource WHERE patient = :patient";
const OF_RESOURCE: &str = "
    -- audit::query
    SELECT sequence FROM audit WHERE resource = :key AND sequence BETWEEN :low AND :high";
const OF_PATIENT: &str = "
    -- audit::query
    SELECT sequence FROM audit WHERE patient = :key AND sequence BETWEEN :low AND :high";
const CHANGES: &str = "
    -- audit::query
    SELECT change FROM resource WHERE key = :key
    UNION SELECT change FROM resource_version WHERE resource = :key";
/// Whether versions are missing: a purge has taken them away.
const IS_PURGED: &str = "
    -- audit::query
    SELECT version > 1 + (SELECT count(*) FROM resource_version WHERE resource = :key) FROM resource WHERE key = :key";
/// Looks through the whole log of the type, so it is asked for what was purged only.
const PURGED_CHANGES: &str = "
    -- audit::query
    SELECT sequence FROM change_log
    WHERE type = (SELECT type FROM resource WHERE key = :key) AND resource = :key";
const WRITER_OF: &str = "
    -- audit::query
    SELECT sequence, last_change FROM audit WHERE first_change <= :change ORDER BY first_change DESC LIMIT 1";
const NEXT_KIND: &str = "
    -- audit::query
    SELECT actor, action, outcome FROM audit WHERE (actor, action, outcome) >= (:actor, :action, :outcome)
    ORDER BY actor, action, outcome LIMIT 1";
const OF_KIND_OLDEST: &str = "
    -- audit::query
    SELECT sequence FROM audit
    WHERE actor = :actor AND action = :action AND outcome = :outcome AND sequence BETWEEN :low AND :high
    ORDER BY sequence LIMIT :limit";
const OF_KIND_NEWEST: &str = "
    -- audit::query
    SELECT sequence FROM audit
    WHERE actor = :actor AND action = :action AND outcome = :outcome AND sequence BETWEEN :low AND :high
    ORDER BY sequence DESC LIMIT :limit";
const ALL_OLDEST: &str = "
    -- audit::query
    SELECT sequence FROM audit WHERE sequence BETWEEN :low AND :high ORDER BY sequence LIMIT :limit";
const ALL_NEWEST: &str = "
    -- audit::query
    SELECT sequence FROM audit WHERE sequence BETWEEN :low AND :high ORDER BY sequence DESC LIMIT :limit";
const KIND: &str = "
    -- audit::query
    SELECT actor, action, outcome FROM audit WHERE sequence = :sequence";
const ENDS: &str = "
    -- audit::query
    SELECT coalesce((SELECT min(sequence) FROM audit), 1), coalesce((SELECT max(sequence) FROM audit), 0)";
const RECORDED_FROM: &str = "
    -- audit::query
    SELECT sequence, recorded FROM audit WHERE sequence >= :sequence ORDER BY sequence LIMIT 1";
const RECORD: &str = "
    -- audit::query
    SELECT a.sequence, a.recorded, a.skew, a.action, a.outcome, a.version, a.first_change, a.last_change, a.detail,
           u.user, u.app, u.device, u.purpose, r.type, r.id, p.id
    FROM audit a
    LEFT JOIN actor u ON u.key = a.actor
    LEFT JOIN resource r ON r.key = a.resource
    LEFT JOIN patient p ON p.key = a.patient
    WHERE a.sequence = :sequence";

/// Every statement, for the test that none of them scans the trail.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 18] = [
    ACTORS,
    PATIENT,
    MEMBERS,
    OF_RESOURCE,
    OF_PATIENT,
    CHANGES,
    IS_PURGED,
    PURGED_CHANGES,
    WRITER_OF,
    NEXT_KIND,
    OF_KIND_OLDEST,
    OF_KIND_NEWEST,
    ALL_OLDEST,
    ALL_NEWEST,
    KIND,
    ENDS,
    RECORDED_FROM,
    RECORD,
];

/// The page that answers `query`; `row` is that of the resource that it asks for, if there ever was one.
///
/// # Errors
/// Those of the database.
pub(crate) fn query(
    connection: &Connection,
    query: &AuditQuery,
    row: Option<i64>,
) -> rusqlite::Result<AuditPage> {
    let limit = query.limit.unwrap_or(AUDIT_PAGE_MAX).clamp(1, AUDIT_PAGE_MAX);
    let search = Search::new(connection, query, limit + 1)?;
    let mut sequences = if query.resource.is_some() || query.patient.is_some() {
        search.by_subject(query, row)?
    } else if search.kind.is_any() {
        search.all()?
    } else {
        search.by_kind()?
    };
    let has_more = sequences.len() > limit;
    sequences.truncate(limit);
    let mut statement = connection.prepare_cached(RECORD)?;
    let records = sequences
        .iter()
        .map(|sequence| statement.query_row(named_params! {":sequence": sequence}, read_record))
        .collect::<rusqlite::Result<_>>()?;
    Ok(AuditPage { records, next: sequences.last().copied().filter(|_| has_more) })
}

/// The actors, action and outcome asked for.
struct Kind {
    actors: Option<BTreeSet<i64>>,
    action: Option<i64>,
    outcome: Option<i64>,
}

impl Kind {
    fn new(connection: &Connection, query: &AuditQuery) -> rusqlite::Result<Self> {
        let actors = if query.user.is_some() || query.app.is_some() || query.device.is_some() {
            let params = named_params! {":user": query.user, ":app": query.app, ":device": query.device};
            Some(
                connection
                    .prepare_cached(ACTORS)?
                    .query_map(params, |row| row.get(0))?
                    .collect::<Result<_, _>>()?,
            )
        } else {
            None
        };
        Ok(Self { actors, action: query.action.map(Action::code), outcome: query.outcome.map(Outcome::code) })
    }

    fn is_any(&self) -> bool {
        self.actors.is_none() && self.action.is_none() && self.outcome.is_none()
    }

    fn matches(&self, (actor, action, outcome): (i64, i64, i64)) -> bool {
        self.actors.as_ref().is_none_or(|actors| actors.contains(&actor))
            && self.action.is_none_or(|wanted| wanted == action)
            && self.outcome.is_none_or(|wanted| wanted == outcome)
    }
}

/// A question on its way to sequences.
struct Search<'a> {
    connection: &'a Connection,
    kind: Kind,
    low: i64,
    high: i64,
    oldest_first: bool,
    /// Sequences wanted at the most.
    count: usize,
}

impl<'a> Search<'a> {
    fn new(connection: &'a Connection, query: &AuditQuery, count: usize) -> rusqlite::Result<Self> {
        let (mut low, mut high) = connection.query_row(ENDS, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if let Some(from) = query.from {
            low = first_since(connection, (low, high), from)?;
        }
        if let Some(to) = query.to {
            high = first_since(connection, (low, high), to)? - 1;
        }
        match query.after {
            Some(after) if query.oldest_first => low = low.max(after.saturating_add(1)),
            Some(after) => high = high.min(after.saturating_sub(1)),
            None => {}
        }
        let kind = Kind::new(connection, query)?;
        Ok(Self { connection, kind, low, high, oldest_first: query.oldest_first, count })
    }

    fn rows(&self) -> i64 {
        i64::try_from(self.count).expect("it is a page at most, and one")
    }

    fn all(&self) -> rusqlite::Result<Vec<i64>> {
        let sql = if self.oldest_first { ALL_OLDEST } else { ALL_NEWEST };
        let params = named_params! {":low": self.low, ":high": self.high, ":limit": self.rows()};
        self.connection.prepare_cached(sql)?.query_map(params, |row| row.get(0))?.collect()
    }

    /// Merges the sequences of each kind of record that matches; each comes in order from the index.
    fn by_kind(&self) -> rusqlite::Result<Vec<i64>> {
        let mut next = self.connection.prepare_cached(NEXT_KIND)?;
        let sql = if self.oldest_first { OF_KIND_OLDEST } else { OF_KIND_NEWEST };
        let mut of_kind = self.connection.prepare_cached(sql)?;
        let mut found = Vec::new();
        let mut at = (i64::MIN, i64::MIN, i64::MIN);
        loop {
            let params = named_params! {":actor": at.0, ":action": at.1, ":outcome": at.2};
            let Some(kind) = next.query_row(params, read_kind).optional()? else { break };
            // A strict comparison of row values would step over every equal entry of the index.
            at = (kind.0, kind.1, kind.2.saturating_add(1));
            if self.kind.matches(kind) {
                let params = named_params! {
                    ":actor": kind.0, ":action": kind.1, ":outcome": kind.2,
                    ":low": self.low, ":high": self.high, ":limit": self.rows(),
                };
                for sequence in of_kind.query_map(params, |row| row.get(0))? {
                    found.push(sequence?);
                }
            }
        }
        found.sort_unstable();
        if !self.oldest_first {
            found.reverse();
        }
        found.truncate(self.count);
        Ok(found)
    }

    fn by_subject(&self, query: &AuditQuery, row: Option<i64>) -> rusqlite::Result<Vec<i64>> {
        let of_resource = query.resource.as_ref().map(|_| self.of_resource(row)).transpose()?;
        let of_patient = query.patient.as_ref().map(|id| self.of_patient(id)).transpose()?;
        let sequences = match (of_resource, of_patient) {
            (Some(one), Some(other)) => &one & &other,
            (one, other) => one.or(other).unwrap_or_default(),
        };
        let ordered: Box<dyn Iterator<Item = i64>> = if self.oldest_first {
            Box::new(sequences.into_iter())
        } else {
            Box::new(sequences.into_iter().rev())
        };
        let mut kind = self.connection.prepare_cached(KIND)?;
        let mut found = Vec::new();
        for sequence in ordered {
            if self.kind.is_any()
                || self.kind.matches(kind.query_row(named_params! {":sequence": sequence}, read_kind)?)
            {
                found.push(sequence);
                if found.len() == self.count {
                    break;
                }
            }
        }
        Ok(found)
    }

    fn of_resource(&self, row: Option<i64>) -> rusqlite::Result<BTreeSet<i64>> {
        let Some(key) = row else { return Ok(BTreeSet::new()) };
        let mut sequences = self.sequences(OF_RESOURCE, key)?;
        self.add_writers(self.changes(key)?, &mut sequences)?;
        Ok(sequences)
    }

    fn of_patient(&self, id: &str) -> rusqlite::Result<BTreeSet<i64>> {
        let params = named_params! {":id": IdKey::new(id)};
        let key: Option<i64> = self.connection.query_row(PATIENT, params, |row| row.get(0)).optional()?;
        let Some(key) = key else { return Ok(BTreeSet::new()) };
        let mut sequences = self.sequences(OF_PATIENT, key)?;
        let mut changes = BTreeSet::new();
        let mut members = self.connection.prepare_cached(MEMBERS)?;
        for member in members.query_map(named_params! {":patient": key}, |row| row.get(0))? {
            changes.append(&mut self.changes(member?)?);
        }
        self.add_writers(changes, &mut sequences)?;
        Ok(sequences)
    }

    fn sequences(&self, sql: &str, key: i64) -> rusqlite::Result<BTreeSet<i64>> {
        let params = named_params! {":key": key, ":low": self.low, ":high": self.high};
        self.connection.prepare_cached(sql)?.query_map(params, |row| row.get(0))?.collect()
    }

    fn changes(&self, resource: i64) -> rusqlite::Result<BTreeSet<i64>> {
        let params = named_params! {":key": resource};
        let ask = |sql| -> rusqlite::Result<BTreeSet<i64>> {
            self.connection.prepare_cached(sql)?.query_map(params, |row| row.get(0))?.collect()
        };
        let mut changes = ask(CHANGES)?;
        if self.connection.prepare_cached(IS_PURGED)?.query_row(params, |row| row.get(0))? {
            changes.append(&mut ask(PURGED_CHANGES)?);
        }
        Ok(changes)
    }

    /// Adds the records that wrote `changes`.
    fn add_writers(&self, changes: BTreeSet<i64>, sequences: &mut BTreeSet<i64>) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(WRITER_OF)?;
        let mut covered = 0;
        for change in changes {
            if change <= covered {
                continue;
            }
            let params = named_params! {":change": change};
            let writer: Option<(i64, i64)> =
                statement.query_row(params, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            let Some((sequence, last)) = writer else { continue };
            covered = last;
            if change <= last && (self.low..=self.high).contains(&sequence) {
                sequences.insert(sequence);
            }
        }
        Ok(())
    }
}

/// The first sequence in `low..=high` that was recorded at `instant` or later; `high + 1` when none was.
fn first_since(
    connection: &Connection,
    (mut low, mut high): (i64, i64),
    instant: Instant,
) -> rusqlite::Result<i64> {
    let mut statement = connection.prepare_cached(RECORDED_FROM)?;
    while low <= high {
        let middle = low + (high - low) / 2;
        let params = named_params! {":sequence": middle};
        let (sequence, recorded): (i64, i64) =
            statement.query_row(params, |row| Ok((row.get(0)?, row.get(1)?)))?;
        if recorded < instant.ms() {
            low = sequence + 1;
        } else {
            high = middle - 1;
        }
    }
    Ok(low)
}

fn read_kind(row: &Row<'_>) -> rusqlite::Result<(i64, i64, i64)> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

fn read_record(row: &Row<'_>) -> rusqlite::Result<AuditRecord> {
    let text = |column| -> rusqlite::Result<Option<String>> {
        let bytes = row.get_ref(column)?.as_bytes_or_null()?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
    };
    let resource_type = row.get::<_, Option<u8>>(13)?.and_then(ResourceType::from_code);
    let id: Option<IdKey> = row.get(14)?;
    let resource = match (resource_type, id) {
        (Some(resource_type), Some(id)) => {
            Some(AuditedResource { resource_type, id: id.to_string(), version: row.get(5)? })
        }
        _ => None,
    };
    let first: Option<i64> = row.get(6)?;
    Ok(AuditRecord {
        sequence: row.get(0)?,
        recorded: Instant::from_ms(row.get(1)?),
        skew_ms: row.get(2)?,
        actor: Actor::stored([
            text(9)?.unwrap_or_default(),
            text(10)?.unwrap_or_default(),
            text(11)?.unwrap_or_default(),
            text(12)?.unwrap_or_default(),
        ]),
        action: Action::from_code(row.get(3)?),
        outcome: Outcome::from_code(row.get(4)?),
        resource,
        patient: row.get::<_, Option<IdKey>>(15)?.map(|id| id.to_string()),
        changes: first.zip(row.get(7)?),
        detail: text(8)?,
    })
}
