//! The resources: each version is the one that the change log tells of, and holds what was written.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::changes::{Latest, LatestChanges};
use super::identities::Names;
use super::{Defect, DefectKind, Verification, VerifyOptions};
use crate::attachment;
use crate::body::needs_successor;
use crate::change_feed::{Operation, resource_type};
use crate::error::Result;
use crate::id_key::IdKey;
use crate::index::{Identities, Known};
use crate::inner::Reader;
use crate::prepare::{ContentHash, Preparer, content_hash};

const CURRENT: &str = "
    -- verify::resources
    SELECT type, id, version, change, body FROM resource WHERE key = ?1";
const SUPERSEDED: &str = "
    -- verify::resources
    SELECT version, change, body FROM resource_version WHERE resource = ?1 ORDER BY version DESC";
const LOGGED: &str = "
    -- verify::resources
    SELECT resource, type, version, operation, hash FROM change_log WHERE sequence = ?1";
const LAST_KEY: &str = "
    -- verify::resources
    SELECT coalesce(max(key), 0) FROM resource";
const REFERS: &str = "
    -- verify::resources
    SELECT EXISTS (SELECT 1 FROM blob b JOIN blob_reference r ON r.blob = b.key
                   WHERE b.hash = ?1 AND r.resource = ?2 AND r.version = ?3)";
const PRESENT: &str = "
    -- verify::resources
    SELECT EXISTS (SELECT 1 FROM resource WHERE key = ?1 AND body IS NOT NULL)";

/// One version as stored.
struct Version {
    version: i64,
    change: i64,
    body: Option<Vec<u8>>,
}

impl Version {
    fn from_row(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        Ok(Self { version: row.get(first)?, change: row.get(first + 1)?, body: row.get(first + 2)? })
    }
}

/// What the change log says of one version.
struct Logged {
    resource: i64,
    resource_type: i64,
    version: i64,
    operation: i64,
    hash: ContentHash,
}

/// What was found in one resource: version and kind.
type Found = Vec<(Option<i64>, DefectKind)>;

/// A resource that was looked at.
struct Seen {
    type_code: i64,
    id: IdKey,
    superseded: u64,
    found: Found,
}

impl Verification<'_> {
    pub(super) fn resources(&mut self, latest: &LatestChanges, options: VerifyOptions) -> Result<()> {
        let last_row =
            self.readable(|reader| Ok(reader.connection.query_row(LAST_KEY, [], |row| row.get(0))?))?;
        let last_key = latest.last_key().max(last_row.unwrap_or(0));
        let known = self.readable(|reader| Known::load(&reader.connection))?;
        let mut preparer = Preparer::new(&known.unwrap_or_default());
        let index = &self.open.index;
        let identities = self.readable(|reader| Ok(index.read(&reader.connection)?.1.identities.clone()))?;
        // Rows that cannot be read are named at the end, by the index of ids.
        let (mut names, mut nameless) = (Names::default(), Vec::new());
        for key in 1..=last_key {
            let seen = self.readable(|reader| {
                let (latest, is_logged, identities) =
                    (latest.of(key), latest.is_complete, identities.as_ref());
                Resource { key, latest, is_logged, identities, options }.check(reader, &mut preparer)
            })?;
            match seen {
                None => nameless.push((key, DefectKind::Unreadable)),
                Some(None) => nameless.push((key, DefectKind::NotTheVersionLogged)),
                Some(Some(seen)) => {
                    names.add(key, seen.type_code, &seen.id);
                    self.seen(seen);
                }
            }
            self.report.resources += 1;
            self.tell("resources", self.report.resources, last_key.unsigned_abs());
        }
        self.identities(identities.as_ref(), &names, &nameless, latest)
    }

    fn seen(&mut self, seen: Seen) {
        self.report.superseded += seen.superseded;
        for (version, kind) in seen.found {
            let (resource_type, version) =
                (resource_type(seen.type_code).ok(), version.map(i64::unsigned_abs));
            self.report.add(Defect { resource_type, id: Some(seen.id.to_string()), version, kind });
        }
    }
}

/// One resource and what the change log says of it.
struct Resource<'r> {
    key: i64,
    latest: Latest,
    /// Whether the change log could be read.
    is_logged: bool,
    /// What references are looked up in; `None` when it cannot be read.
    identities: Option<&'r Identities>,
    options: VerifyOptions,
}

impl Resource<'_> {
    /// `None` when there is no row.
    fn check(&self, reader: &mut Reader, preparer: &mut Preparer) -> Result<Option<Seen>> {
        let row: Option<(i64, IdKey, Version)> = reader
            .connection
            .prepare_cached(CURRENT)?
            .query_row([self.key], |row| Ok((row.get(0)?, row.get(1)?, Version::from_row(row, 2)?)))
            .optional()?;
        let Some((type_code, id, current)) = row else { return Ok(None) };
        let mut found = Found::new();
        let is_stale = self.is_logged
            && (current.change, current.version) != (self.latest.sequence, self.latest.version);
        // A resource that the log does not know at all has a first version at least.
        let newest = if is_stale { self.latest.version.max(1) } else { current.version };
        let mut content = None;
        if is_stale {
            found.push((Some(newest), DefectKind::NotTheVersionLogged));
        } else {
            content = self.content(reader, type_code, &current, None, &mut found)?;
        }
        if self.options.references
            && let Some(content) = &content
        {
            self.references(&reader.connection, preparer, content, current.version, &mut found)?;
        }
        // From the newest to the oldest: each may be compressed against the one after it.
        let mut expected = newest - 1;
        let mut superseded = 0;
        for version in self.superseded(&reader.connection)? {
            superseded += 1;
            if version.version != expected {
                found.push((Some(expected), DefectKind::NotTheVersionLogged));
                expected = version.version;
            }
            expected -= 1;
            content = self.content(reader, type_code, &version, content.as_deref(), &mut found)?;
        }
        // A purge takes along what was before it.
        if expected > 0 && expected >= self.latest.purged {
            found.push((Some(expected), DefectKind::NotTheVersionLogged));
        }
        Ok(Some(Seen { type_code, id, superseded, found }))
    }

    fn superseded(&self, connection: &Connection) -> Result<Vec<Version>> {
        let mut statement = connection.prepare_cached(SUPERSEDED)?;
        let versions = statement.query_map([self.key], |row| Version::from_row(row, 0))?;
        Ok(versions.collect::<rusqlite::Result<_>>()?)
    }

    /// The content of a version, if it is what the change log says.
    fn content(
        &self,
        reader: &mut Reader,
        type_code: i64,
        stored: &Version,
        successor: Option<&[u8]>,
        found: &mut Found,
    ) -> Result<Option<Vec<u8>>> {
        let mut defect = |kind| found.push((Some(stored.version), kind));
        let logged = logged(&reader.connection, stored.change)?;
        let logged = logged.filter(|logged| {
            (logged.resource, logged.resource_type, logged.version) == (self.key, type_code, stored.version)
        });
        let Some(logged) = logged else {
            defect(DefectKind::NotTheVersionLogged);
            return Ok(None);
        };
        let is_gone = [Operation::Delete as i64, Operation::Purge as i64].contains(&logged.operation);
        let Some(body) = &stored.body else {
            if !is_gone {
                defect(DefectKind::NotTheVersionLogged);
            }
            return Ok(None);
        };
        let decoded = match (needs_successor(body), successor) {
            (true, Some(successor)) => reader.decoder.decode_against(body, successor).ok(),
            (true, None) => None,
            (false, _) => reader.decoder.decode(body).ok(),
        };
        let Some(content) = decoded else {
            defect(DefectKind::Undecodable);
            return Ok(None);
        };
        if is_gone || content_hash(&content) != logged.hash {
            defect(DefectKind::Altered);
        } else if !self.attachments_are_listed(&reader.connection, &content, stored.version)? {
            defect(DefectKind::Attachment);
        }
        Ok(Some(content))
    }

    fn attachments_are_listed(&self, connection: &Connection, content: &[u8], version: i64) -> Result<bool> {
        let Ok(hashes) = attachment::tokens(content) else { return Ok(false) };
        for hash in hashes {
            let mut statement = connection.prepare_cached(REFERS)?;
            if !statement.query_row(params![hash, self.key, version], |row| row.get(0))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn references(
        &self,
        connection: &Connection,
        preparer: &mut Preparer,
        content: &[u8],
        version: i64,
        found: &mut Found,
    ) -> Result<()> {
        let Ok(targets) = preparer.local_references(content) else { return Ok(()) };
        let Some(identities) = self.identities else { return Ok(()) };
        for (target, id) in targets {
            let mut statement = connection.prepare_cached(PRESENT)?;
            let is_present = match identities.find(connection, target, &id)? {
                Some(key) => statement.query_row([key], |row| row.get(0))?,
                None => false,
            };
            if !is_present {
                found.push((Some(version), DefectKind::DanglingReference(target)));
            }
        }
        Ok(())
    }
}

fn logged(connection: &Connection, sequence: i64) -> Result<Option<Logged>> {
    let mut statement = connection.prepare_cached(LOGGED)?;
    let logged = statement.query_row([sequence], |row| {
        Ok(Logged {
            resource: row.get(0)?,
            resource_type: row.get(1)?,
            version: row.get(2)?,
            operation: row.get(3)?,
            hash: row.get(4)?,
        })
    });
    Ok(logged.optional()?)
}
