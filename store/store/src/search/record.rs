//! From a change to the version of a resource that it made.
//!
//! A search deals in changes: the place of a version in the change log is its number in the index.

use keepwell_fhir::{Instant, ResourceType};
use rusqlite::{Connection, OptionalExtension};

use crate::attachment::Attachments;
use crate::body::Decoder;
use crate::change_feed::resource_type;
use crate::error::{Error, Result};
use crate::head::{Head, version_content};
use crate::history::version_body;
use crate::id_key::IdKey;

const IDENTITY: &str = "
    -- Record::identity
    SELECT c.type, r.id FROM change_log c JOIN resource r ON r.key = c.resource WHERE c.sequence = ?1";
const RECORD: &str = "
    -- Record::find
    SELECT c.type, r.id, c.version, r.key, r.version, r.last_updated, r.change, r.patient, r.slot, r.body
    FROM change_log c JOIN resource r ON r.key = c.resource WHERE c.sequence = ?1";
/// The first change from a place on whose time is still known: that of a purged version is not.
const TIME: &str = "
    -- record::time_from
    SELECT c.sequence, coalesce(v.last_updated, r.last_updated)
    FROM change_log c JOIN resource r ON r.key = c.resource
    LEFT JOIN resource_version v ON v.resource = c.resource AND v.version = c.version
    WHERE c.sequence >= ?1 AND (v.version IS NOT NULL OR r.version = c.version)
    ORDER BY c.sequence LIMIT 1";

/// A version of a resource, found by its change.
pub(crate) struct Record {
    pub(crate) resource_type: ResourceType,
    pub(crate) id: IdKey,
    pub(crate) version: u64,
    head: Head,
}

impl Record {
    /// Whose version a change made.
    pub(crate) fn identity(connection: &Connection, doc: u32) -> Result<(ResourceType, IdKey)> {
        let mut statement = connection.prepare_cached(IDENTITY)?;
        let found: Option<(i64, IdKey)> =
            statement.query_row([doc], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let (code, id) = found.ok_or(Error::Corrupt)?;
        Ok((resource_type(code)?, id))
    }

    /// The version that a change made.
    pub(crate) fn find(connection: &Connection, doc: u32) -> Result<Self> {
        let mut statement = connection.prepare_cached(RECORD)?;
        let found = statement
            .query_row([doc], |row| {
                let head = Head::from_columns(row, 3)?;
                Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get::<_, i64>(2)?.unsigned_abs(), head))
            })
            .optional()?;
        let (code, id, version, head) = found.ok_or(Error::Corrupt)?;
        Ok(Self { resource_type: resource_type(code)?, id, version, head })
    }

    /// When the version was made.
    pub(crate) fn last_updated(&self, connection: &Connection) -> Result<Instant> {
        if self.version == self.head.version {
            return Ok(self.head.last_updated);
        }
        let mut statement = connection.prepare_cached(
            "-- Record::last_updated
             SELECT last_updated FROM resource_version WHERE resource = ?1 AND version = ?2",
        )?;
        let made = statement.query_row([self.head.key, self.version.cast_signed()], |row| row.get(0))?;
        Ok(Instant::from_ms(made))
    }

    /// The body as it is stored, attachments left out.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a version that has none: the index never names one.
    pub(crate) fn content(&self, connection: &Connection, decoder: &mut Decoder) -> Result<Vec<u8>> {
        version_content(connection, decoder, &self.head, self.version)?.ok_or(Error::Corrupt)
    }

    /// The body as a client reads it.
    pub(crate) fn body(
        &self,
        connection: &Connection,
        decoder: &mut Decoder,
        attachments: &Attachments,
    ) -> Result<(Vec<u8>, Instant)> {
        version_body(connection, decoder, attachments, &self.head, self.version)?.ok_or(Error::Corrupt)
    }
}

/// The first change that was made at `time` or later, `as_of + 1` when there is none up to `as_of`.
///
/// Times never run backwards along the change log, so that its order is also the order by time.
pub(crate) fn first_change_at(connection: &Connection, as_of: u32, time: Instant) -> Result<u32> {
    let mut statement = connection.prepare_cached(TIME)?;
    let (mut low, mut high) = (1, as_of.saturating_add(1));
    while low < high {
        let middle = low + (high - low) / 2;
        let found: Option<(i64, i64)> =
            statement.query_row([middle], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        match found {
            Some((_, made)) if made >= time.ms() => high = middle,
            Some((sequence, _)) => low = u32::try_from(sequence).unwrap_or(u32::MAX).saturating_add(1),
            None => high = middle,
        }
    }
    Ok(low.min(as_of.saturating_add(1)))
}
