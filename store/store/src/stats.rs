//! How much is in a store.

use std::collections::BTreeMap;
use std::path::Path;

use keepwell_fhir::ResourceType;
use rusqlite::Connection;

use crate::change_feed::resource_type;
use crate::error::{Error, Result};
use crate::index::Identities;
use crate::session::Session;

/// Counts and sizes of one store.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Resources that are not deleted, by type.
    pub types: Vec<(ResourceType, u64)>,
    /// Resources that were deleted or purged.
    pub deleted: u64,
    /// Versions that were superseded and are kept.
    pub superseded: u64,
    /// Patients who own a compartment.
    pub patients: u64,
    /// Attachments that are kept as files.
    pub attachments: u64,
    /// Records of the audit trail.
    pub audit_records: u64,
    /// The sequence of the newest change.
    pub last_change: i64,
    /// Bytes of the database file.
    pub database_bytes: u64,
    /// Bytes of the write-ahead log.
    pub wal_bytes: u64,
    /// Bytes of the attachment files.
    pub attachment_bytes: u64,
}

impl Stats {
    /// Resources that are not deleted.
    #[must_use]
    pub fn resources(&self) -> u64 {
        self.types.iter().map(|(_, count)| count).sum()
    }

    /// Bytes of all files that hold data.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.database_bytes + self.wal_bytes + self.attachment_bytes
    }
}

impl Session {
    /// Counts what is in the store. It reads indexes, no bodies.
    ///
    /// # Errors
    /// [`keepwell_vault::Error::Locked`] and those of the database.
    pub fn stats(&self) -> Result<Stats> {
        let open = self.enter()?;
        let inner = &self.store.inner;
        let reader = inner.reader(&open)?;
        let (snapshot, state) = open.index.read(&reader.connection)?;
        let (types, deleted) = by_type(&snapshot, &state.identities)?;
        let mut stats = Stats { types, deleted, ..Stats::default() };
        let count = |sql: &str| -> Result<u64> {
            Ok(snapshot.query_row(sql, [], |row| row.get::<_, i64>(0))?.unsigned_abs())
        };
        stats.superseded = count("-- stats\nSELECT count(*) FROM resource_version WHERE resource > 0")?;
        stats.patients = count("-- stats\nSELECT count(*) FROM patient")?;
        stats.attachments = count("-- stats\nSELECT count(*) FROM blob")?;
        stats.audit_records = count("-- stats\nSELECT count(*) FROM audit")?;
        stats.last_change =
            count("-- stats\nSELECT coalesce(max(sequence), 0) FROM change_log")?.cast_signed();
        stats.database_bytes = size(&inner.database_path());
        stats.wal_bytes = size(&inner.directory.join(concat!("store.db", "-wal")));
        stats.attachment_bytes = open.attachments.sizes()?;
        Ok(stats)
    }
}

/// The resources of each type whose last change is no deletion, in the order of codes, and how many there are else.
fn by_type(connection: &Connection, identities: &Identities) -> Result<(Vec<(ResourceType, u64)>, u64)> {
    let mut types = BTreeMap::new();
    identities.for_each(connection, |_, kind, _| *types.entry(kind.code()).or_insert(0_u64) += 1)?;
    let mut statement = connection.prepare(
        "-- stats::by_type
         SELECT r.type, count(*) AS number FROM change_log c JOIN resource r ON r.change = c.sequence
         WHERE c.operation IN (3, 4) AND c.resource = r.key GROUP BY r.type",
    )?;
    let mut rows = statement.query([])?;
    let mut deleted = 0;
    while let Some(row) = rows.next()? {
        let number = row.get::<_, i64>(1)?.unsigned_abs();
        let left = types.get_mut(&row.get(0)?).ok_or(Error::Corrupt)?;
        *left = left.saturating_sub(number);
        deleted += number;
    }
    types.retain(|_, number| *number > 0);
    let types = types.into_iter().map(|(code, number)| Ok((resource_type(i64::from(code))?, number)));
    Ok((types.collect::<Result<_>>()?, deleted))
}

fn size(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}
