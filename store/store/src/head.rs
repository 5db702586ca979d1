//! The current version of a resource, and the way from it back to older ones.

use keepwell_fhir::{Instant, ResourceType, Slot};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::body::{Decoder, needs_successor};
use crate::change_feed::resource_type;
use crate::error::{Error, Result};
use crate::id_key::IdKey;
use crate::index::Identities;

/// The current version of a resource, as its row says.
pub(crate) struct Head {
    pub(crate) key: i64,
    pub(crate) version: u64,
    pub(crate) last_updated: Instant,
    pub(crate) change: i64,
    pub(crate) patient: Option<i64>,
    pub(crate) slot: Slot,
    /// As stored; `None` for a deleted resource.
    pub(crate) body: Option<Vec<u8>>,
}

impl Head {
    const SELECT: &str = "
        -- Head::find
        SELECT key, version, last_updated, change, patient, slot, body FROM resource WHERE key = ?1";

    const SELECT_ROW: &str = "
        -- Head::of_row
        SELECT key, version, last_updated, change, patient, slot, body, type, id FROM resource WHERE key = ?1";

    /// The row of a resource, deleted or not.
    pub(crate) fn find(
        connection: &Connection,
        identities: &Identities,
        resource_type: ResourceType,
        id: &IdKey,
    ) -> Result<Option<Self>> {
        let Some(key) = identities.find(connection, resource_type, id)? else { return Ok(None) };
        let mut statement = connection.prepare_cached(Self::SELECT)?;
        let head = statement.query_row([key], |row| Self::from_columns(row, 0)).optional()?;
        head.map(Some).ok_or(Error::Corrupt)
    }

    /// The resource in a row, with its type and id.
    pub(crate) fn of_row(connection: &Connection, key: i64) -> Result<Option<(ResourceType, IdKey, Self)>> {
        let mut statement = connection.prepare_cached(Self::SELECT_ROW)?;
        let found = statement
            .query_row([key], |row| {
                Ok((row.get::<_, i64>(7)?, row.get::<_, IdKey>(8)?, Self::from_columns(row, 0)?))
            })
            .optional()?;
        found.map(|(code, id, head)| Ok((resource_type(code)?, id, head))).transpose()
    }

    /// The seven columns of [`Self::SELECT`], from `first` on.
    pub(crate) fn from_columns(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            key: row.get(first)?,
            version: row.get::<_, i64>(first + 1)?.unsigned_abs(),
            last_updated: Instant::from_ms(row.get(first + 2)?),
            change: row.get(first + 3)?,
            patient: row.get(first + 4)?,
            slot: Slot::from_u32(row.get(first + 5)?),
            body: row.get(first + 6)?,
        })
    }
}

/// The content of one version, current or old, without meta.versionId and meta.lastUpdated.
///
/// `None` for a version that is a deletion. The caller has found that the version exists.
pub(crate) fn version_content(
    connection: &Connection,
    decoder: &mut Decoder,
    head: &Head,
    version: u64,
) -> Result<Option<Vec<u8>>> {
    let stored = |version: u64| -> Result<Option<Vec<u8>>> {
        if version == head.version {
            return Ok(head.body.clone());
        }
        let mut statement = connection.prepare_cached(
            "-- version_content
             SELECT body FROM resource_version WHERE resource = ?1 AND version = ?2",
        )?;
        Ok(statement.query_row([head.key, version.cast_signed()], |row| row.get(0)).optional()?.flatten())
    };
    let Some(body) = stored(version)? else { return Ok(None) };
    let mut chain = vec![body];
    let mut next = version;
    while needs_successor(chain.last().expect("it starts with one")) {
        next += 1;
        chain.push(stored(next)?.ok_or(Error::Corrupt)?);
    }
    let mut content = decoder.decode(&chain.pop().expect("it starts with one"))?;
    while let Some(body) = chain.pop() {
        content = decoder.decode_against(&body, &content)?;
    }
    Ok(Some(content))
}
