//! History of an instance, a type or the whole store, newest first (R4 http.html#history).
//!
//! Pages go by change sequence, so an entry is neither seen twice nor missed while writers go on.

use keepwell_fhir::bundle::{BundleType, HttpMethod};
use keepwell_fhir::bundle_writer::{BundleHead, BundleWriter, EntryParts, Response};
use keepwell_fhir::{Instant, ResourceType, Slot};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use crate::attachment::Attachments;
use crate::body::Decoder;
use crate::change_feed::{Operation, resource_type};
use crate::error::{Error, Result};
use crate::head::{Head, version_content};
use crate::id_key::IdKey;
use crate::index::Identities;

/// Entries of one page at the most.
pub const HISTORY_PAGE_MAX: usize = 1_000;

/// Which part of history is wanted.
#[derive(Clone, Debug, Default)]
pub struct HistoryQuery {
    /// `_count`: entries a page, at most [`HISTORY_PAGE_MAX`], 100 when not given.
    pub count: Option<usize>,
    /// `_since`: versions made at this instant or later.
    pub since: Option<Instant>,
    /// `_at`: versions that were current at some time from the first instant until before the second.
    pub at: Option<(Instant, Instant)>,
    /// Goes on where a page ended: its [`HistoryPage::next`].
    pub before: Option<i64>,
}

/// One version in a history.
#[derive(Clone)]
#[non_exhaustive]
pub struct HistoryEntry {
    /// The type of the resource.
    pub resource_type: ResourceType,
    /// Its id.
    pub id: String,
    /// meta.versionId.
    pub version: u64,
    /// meta.lastUpdated.
    pub last_updated: Instant,
    /// What made this version.
    pub operation: Operation,
    /// The resource as it was; `None` for a deletion.
    pub body: Option<Vec<u8>>,
}

/// The body is a person's data: it is not printed by accident.
impl std::fmt::Debug for HistoryEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { resource_type, version, operation, .. } = self;
        write!(f, "HistoryEntry({resource_type} version {version}, {operation:?})")
    }
}

/// A page of history.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct HistoryPage {
    /// Newest first.
    pub entries: Vec<HistoryEntry>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<i64>,
}

impl HistoryPage {
    /// The page as a FHIR Bundle of type history.
    #[must_use]
    pub fn to_bundle(&self) -> Vec<u8> {
        let mut bundle = BundleWriter::new(&BundleHead::new(BundleType::History));
        for entry in &self.entries {
            let (method, status) = match (entry.operation, entry.version) {
                (Operation::Delete | Operation::Purge, _) => (HttpMethod::Delete, "204 No Content"),
                (Operation::Create, 1) => (HttpMethod::Post, "201 Created"),
                (Operation::Create, _) => (HttpMethod::Put, "201 Created"),
                (Operation::Update, _) => (HttpMethod::Put, "200 OK"),
            };
            let place = format!("{}/{}", entry.resource_type, entry.id);
            let url = if method == HttpMethod::Post { entry.resource_type.name() } else { &place };
            let etag = format!("W/\"{}\"", entry.version);
            bundle.entry(&EntryParts {
                full_url: Some(&place),
                resource: entry.body.as_deref(),
                request: Some((method, url)),
                response: Some(Response {
                    status,
                    etag: Some(&etag),
                    last_modified: Some(entry.last_updated),
                    ..Response::default()
                }),
                ..EntryParts::default()
            });
        }
        bundle.finish()
    }
}

/// Whose history.
#[derive(Clone, Copy)]
pub(crate) enum Level<'a> {
    Instance(ResourceType, &'a IdKey),
    Type(ResourceType),
    System,
}

struct VersionRow {
    sequence: i64,
    key: i64,
    resource_type: i64,
    id: IdKey,
    version: i64,
    operation: i64,
    last_updated: i64,
    /// When the next version was made; `None` for the current one.
    replaced: Option<i64>,
}

impl VersionRow {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            sequence: row.get(0)?,
            key: row.get(1)?,
            resource_type: row.get(2)?,
            id: row.get(3)?,
            version: row.get(4)?,
            operation: row.get(5)?,
            last_updated: row.get(6)?,
            replaced: row.get(7)?,
        })
    }
}

/// Purged versions are in the change log and nowhere else: they are not part of history.
const VERSIONS: &str = "
    -- history
    SELECT c.sequence, c.resource, c.type, r.id, c.version, c.operation, coalesce(v.last_updated, r.last_updated),
           CASE WHEN r.version = c.version THEN NULL
                WHEN r.version = c.version + 1 THEN r.last_updated
                ELSE n.last_updated END
    FROM change_log c JOIN resource r ON r.key = c.resource
    LEFT JOIN resource_version v ON v.resource = c.resource AND v.version = c.version
    LEFT JOIN resource_version n ON n.resource = c.resource AND n.version = c.version + 1
    WHERE (v.version IS NOT NULL OR r.version = c.version)";

/// Reads one page.
///
/// # Errors
/// [`Error::NotFound`] when an instance never existed, [`Error::Argument`] for a count beyond the limit.
pub(crate) fn page(
    connection: &Connection,
    identities: &Identities,
    decoder: &mut Decoder,
    attachments: &Attachments,
    level: Level<'_>,
    query: &HistoryQuery,
) -> Result<HistoryPage> {
    let count = query.count.unwrap_or(100);
    if !(1..=HISTORY_PAGE_MAX).contains(&count) {
        return Err(Error::Argument("_count is from 1 to 1000"));
    }
    let mut parameters = vec![Value::from(query.before.unwrap_or(i64::MAX))];
    let filter = match level {
        Level::System => "AND c.sequence < ?1",
        Level::Type(resource_type) => {
            parameters.push(i64::from(resource_type.code()).into());
            "AND c.type = ?2 AND c.sequence < ?1"
        }
        // The versions of one resource are found by their key; the change log has no index on it.
        Level::Instance(resource_type, id) => {
            let key = identities.find(connection, resource_type, id)?;
            parameters.push(key.ok_or(Error::NotFound(resource_type))?.into());
            "AND c.sequence < ?1 AND c.sequence IN (SELECT change FROM resource_version WHERE resource = ?2
             UNION ALL SELECT change FROM resource WHERE key = ?2)"
        }
    };
    let mut statement =
        connection.prepare_cached(&format!("{VERSIONS} {filter} ORDER BY c.sequence DESC"))?;
    let mut rows = statement.query(params_from_iter(parameters))?;
    let mut page = HistoryPage::default();
    let mut last = None;
    while let Some(row) = rows.next()? {
        let row = VersionRow::from_row(row)?;
        // Times rise with the sequence, so everything further on is older still.
        if query.since.is_some_and(|since| row.last_updated < since.ms()) {
            break;
        }
        if let Some((from, until)) = query.at {
            let over = row.replaced.is_some_and(|replaced| replaced <= from.ms());
            if over || row.last_updated >= until.ms() {
                continue;
            }
        }
        if page.entries.len() == count {
            page.next = last;
            break;
        }
        last = Some(row.sequence);
        page.entries.push(entry(connection, decoder, attachments, row)?);
    }
    Ok(page)
}

fn entry(
    connection: &Connection,
    decoder: &mut Decoder,
    attachments: &Attachments,
    row: VersionRow,
) -> Result<HistoryEntry> {
    let resource_type = resource_type(row.resource_type)?;
    let version = row.version.unsigned_abs();
    let (_, _, head) = Head::of_row(connection, row.key)?.ok_or(Error::Corrupt)?;
    let body = version_body(connection, decoder, attachments, &head, version)?;
    Ok(HistoryEntry {
        resource_type,
        id: row.id.to_string(),
        version,
        last_updated: Instant::from_ms(row.last_updated),
        operation: Operation::from_code(row.operation)?,
        body: body.map(|(body, _)| body),
    })
}

/// One version as a client reads it, and when it was made; `None` for a deletion.
///
/// # Errors
/// [`Error::Corrupt`] when the version should be there and is not.
pub(crate) fn version_body(
    connection: &Connection,
    decoder: &mut Decoder,
    attachments: &Attachments,
    head: &Head,
    version: u64,
) -> Result<Option<(Vec<u8>, Instant)>> {
    let Some(content) = version_content(connection, decoder, head, version)? else { return Ok(None) };
    let (slot, last_updated) = if version == head.version {
        (head.slot, head.last_updated)
    } else {
        connection
            .prepare_cached(
                "-- version_body
                 SELECT slot, last_updated FROM resource_version WHERE resource = ?1 AND version = ?2",
            )?
            .query_row([head.key, version.cast_signed()], |row| {
                Ok((Slot::from_u32(row.get(0)?), Instant::from_ms(row.get(1)?)))
            })?
    };
    let mut body = Vec::with_capacity(content.len() + 96);
    keepwell_fhir::dress(&content, slot, version, last_updated, &mut body);
    Ok(Some((attachments.expand(connection, body)?, last_updated)))
}
