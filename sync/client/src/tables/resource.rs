//! What the server has of each resource.

use keepwell_engine::Known;
use keepwell_protocol::{Hash, Position, ResourceKey, Version};
use keepwell_store::Result;
use rusqlite::{OptionalExtension, params};

use super::{Tables, column, key_of, limit, number};

/// The row of a resource, as far as most calls need it.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) row: i64,
    pub(crate) known: Option<Known>,
    pub(crate) is_dirty: bool,
}

impl Tables<'_> {
    /// The row of a resource.
    pub(crate) fn entry(&self, name: &str) -> Result<Option<Entry>> {
        let mut statement = self.connection.prepare_cached(
            "-- Tables::entry
             SELECT key, server_version, server_hash, unplaced, is_own, is_doubtful, edit_order IS NOT NULL
             FROM sync_resource WHERE name = ?1",
        )?;
        let found = statement
            .query_row([name], |row| {
                let version: Option<i64> = row.get(1)?;
                let hash: Option<[u8; 32]> = row.get(2)?;
                let unplaced: Option<i64> = row.get(3)?;
                let (own, doubtful): (bool, bool) = (row.get(4)?, row.get(5)?);
                Ok((row.get(0)?, version, hash, unplaced, own, doubtful, row.get(6)?))
            })
            .optional()?;
        let Some((row, version, hash, unplaced, own, doubtful, is_dirty)) = found else { return Ok(None) };
        let known = match version {
            Some(version) => Some(Known {
                version: number::<Version>(version)?,
                hash: hash.map(Hash::from_bytes),
                unplaced: unplaced.map(number::<Position>).transpose()?,
                own,
                doubtful,
            }),
            None => None,
        };
        Ok(Some(Entry { row, known, is_dirty }))
    }

    /// A row for a resource that has none.
    pub(crate) fn add_entry(&self, name: &str) -> Result<i64> {
        self.connection
            .prepare_cached("-- Tables::add_entry\nINSERT INTO sync_resource (name) VALUES (?1)")?
            .execute([name])?;
        Ok(self.connection.last_insert_rowid())
    }

    /// A row for a resource that has none, with what the server has.
    pub(crate) fn add_known(&self, name: &str, known: &Known) -> Result<i64> {
        self.connection
            .prepare_cached(
                "-- Tables::add_known
                 INSERT INTO sync_resource (name, server_version, server_hash, unplaced, is_own, is_doubtful)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                name,
                column(known.version),
                known.hash.as_ref().map(Hash::as_bytes),
                known.unplaced.map(column),
                known.own,
                known.doubtful
            ])?;
        Ok(self.connection.last_insert_rowid())
    }

    /// Writes what the server has.
    pub(crate) fn set_known(&self, resource: i64, known: Option<&Known>) -> Result<()> {
        self.connection
            .prepare_cached(
                "-- Tables::set_known
                 UPDATE sync_resource
                 SET server_version = ?2, server_hash = ?3, unplaced = ?4, is_own = ?5, is_doubtful = ?6
                 WHERE key = ?1",
            )?
            .execute(params![
                resource,
                known.map(|known| column(known.version)),
                known.and_then(|known| known.hash).as_ref().map(Hash::as_bytes),
                known.and_then(|known| known.unplaced).map(column),
                known.is_some_and(|known| known.own),
                known.is_some_and(|known| known.doubtful)
            ])?;
        Ok(())
    }

    /// Removes the row of a resource that nothing is known of any more.
    pub(crate) fn remove_empty_entry(&self, resource: i64) -> Result<bool> {
        let removed = self
            .connection
            .prepare_cached(
                "-- Tables::remove_empty_entry
                 DELETE FROM sync_resource
                 WHERE key = ?1 AND server_version IS NULL AND edit_order IS NULL
                     AND NOT EXISTS (SELECT 1 FROM sync_member WHERE resource = ?1)
                     AND NOT EXISTS (SELECT 1 FROM sync_mutation WHERE resource = ?1)
                     AND NOT EXISTS (SELECT 1 FROM sync_held WHERE resource = ?1)",
            )?
            .execute([resource])?;
        Ok(removed > 0)
    }

    /// Marks every version as one of another history.
    pub(crate) fn doubt(&self) -> Result<()> {
        self.connection.execute(
            "-- Tables::doubt\nUPDATE sync_resource SET is_doubtful = 1, unplaced = iif(unplaced IS NULL, NULL, 0)
             WHERE server_version IS NOT NULL",
            [],
        )?;
        Ok(())
    }

    /// Resources with an own write whose scopes are not known, up to a position.
    pub(crate) fn unplaced(&self, upto: Position, rows: usize) -> Result<Vec<ResourceKey>> {
        let mut statement = self.connection.prepare_cached(
            "-- Tables::unplaced\nSELECT name FROM sync_resource WHERE unplaced <= ?1 ORDER BY unplaced LIMIT ?2",
        )?;
        let names: Vec<String> = statement
            .query_map((column(upto), limit(rows)), |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        names.iter().map(|name| key_of(name)).collect()
    }
}
