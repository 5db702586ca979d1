//! What a plain FHIR server has of each resource, and the writes to it that are not settled.

use keepwell_fhir::{Instant, ResourceType};
use keepwell_plain::{Flight, Remote, Standing};
use keepwell_protocol::{Body, Hash, Id, ResourceKey};
use keepwell_store::{Error, Result};
use rusqlite::{OptionalExtension, params};
use serde_json::{from_value, to_value};

use super::{Tables, key_of, limit, name_of};

/// How each standing is stored.
const STANDINGS: [Standing; 4] = [Standing::Listed, Standing::Here, Standing::Deleted, Standing::Unavailable];

/// A content as it was when it was written, whatever its size.
fn stored(content: Vec<u8>) -> Result<Body> {
    String::from_utf8(content).map(Body::stored).map_err(|_| Error::Corrupt)
}

impl Tables<'_> {
    /// What the server has of a resource.
    pub(crate) fn fhir_remote(&self, key: &ResourceKey) -> Result<Option<Remote>> {
        let mut statement = self.connection.prepare_cached(
            "-- Tables::fhir_remote
             SELECT server_name, standing, version, at_ms, hash, is_wanted FROM sync_fhir_resource WHERE name = ?1",
        )?;
        let found = statement
            .query_row([name_of(key)], |row| {
                let server_name: Option<String> = row.get(0)?;
                let standing: i64 = row.get(1)?;
                let at_ms: Option<i64> = row.get(3)?;
                let hash: Option<[u8; 32]> = row.get(4)?;
                Ok((server_name, standing, row.get(2)?, at_ms, hash, row.get(5)?))
            })
            .optional()?;
        let Some((server_name, standing, version, at_ms, hash, is_wanted)) = found else { return Ok(None) };
        let standing = usize::try_from(standing).ok().and_then(|place| STANDINGS.get(place).copied());
        Ok(Some(Remote {
            server_id: server_name.map(|name| key_of(&name)).transpose()?.map(|key| key.id),
            standing: standing.ok_or(Error::Corrupt)?,
            version,
            at: at_ms.map(Instant::from_ms),
            hash: hash.map(Hash::from_bytes),
            is_wanted,
        }))
    }

    /// Writes it.
    pub(crate) fn set_fhir_remote(&self, key: &ResourceKey, remote: &Remote) -> Result<()> {
        let server_name = remote.server_id.as_ref().map(|id| format!("{}/{id}", key.kind));
        let standing = STANDINGS.iter().position(|standing| *standing == remote.standing);
        self.connection
            .prepare_cached(
                "-- Tables::set_fhir_remote
                 INSERT OR REPLACE INTO sync_fhir_resource
                     (name, server_name, standing, version, at_ms, hash, is_wanted)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                name_of(key),
                server_name,
                standing.map(limit),
                remote.version,
                remote.at.map(Instant::ms),
                remote.hash.as_ref().map(Hash::as_bytes),
                remote.is_wanted
            ])?;
        Ok(())
    }

    /// The id here of what has this id there, if it is another one.
    pub(crate) fn fhir_local_id(&self, kind: ResourceType, server_id: &Id) -> Result<Option<Id>> {
        let mut statement = self.connection.prepare_cached(
            "-- Tables::fhir_local_id\nSELECT name FROM sync_fhir_resource WHERE server_name = ?1",
        )?;
        let name: Option<String> =
            statement.query_row([format!("{kind}/{server_id}")], |row| row.get(0)).optional()?;
        Ok(name.map(|name| key_of(&name)).transpose()?.map(|key| key.id))
    }

    /// Whether anything has another id there.
    pub(crate) fn has_fhir_server_ids(&self) -> Result<bool> {
        let mut statement = self.connection.prepare_cached(
            "-- Tables::has_fhir_server_ids
             SELECT EXISTS (SELECT 1 FROM sync_fhir_resource WHERE server_name IS NOT NULL)",
        )?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }

    /// What has to be read.
    pub(crate) fn fhir_wanted(&self, rows: usize) -> Result<Vec<ResourceKey>> {
        self.fhir_names(
            "-- Tables::fhir_wanted\nSELECT name FROM sync_fhir_resource WHERE is_wanted = 1 LIMIT ?1",
            [limit(rows)],
        )
    }

    /// How many resources have disappeared from the server.
    pub(crate) fn count_fhir_unavailable(&self) -> Result<u64> {
        let mut statement = self.connection.prepare_cached(
            "-- Tables::count_fhir_unavailable\nSELECT count(*) FROM sync_fhir_resource WHERE standing = 3",
        )?;
        Ok(statement.query_row([], |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    /// The write of a resource that is under way.
    pub(crate) fn fhir_flight(&self, key: &ResourceKey) -> Result<Option<Flight>> {
        let mut statement = self.connection.prepare_cached(
            "-- Tables::fhir_flight\nSELECT intent, version, mark, sent FROM sync_fhir_flight WHERE name = ?1",
        )?;
        let found = statement
            .query_row([name_of(key)], |row| {
                let (intent, mark): (String, Option<String>) = (row.get(0)?, row.get(2)?);
                let sent: Option<Vec<u8>> = row.get(3)?;
                Ok((intent, row.get(1)?, mark, sent))
            })
            .optional()?;
        let Some((intent, version, mark, sent)) = found else { return Ok(None) };
        Ok(Some(Flight {
            intent: from_value(intent.into()).map_err(|_| Error::Corrupt)?,
            sent: sent.map(stored).transpose()?,
            version,
            mark: mark.map(|mark| mark.parse().map_err(|_| Error::Corrupt)).transpose()?,
        }))
    }

    /// Writes it, or removes it.
    pub(crate) fn set_fhir_flight(&self, key: &ResourceKey, flight: Option<&Flight>) -> Result<()> {
        let Some(flight) = flight else {
            self.connection
                .prepare_cached(
                    "-- Tables::set_fhir_flight none\nDELETE FROM sync_fhir_flight WHERE name = ?1",
                )?
                .execute([name_of(key)])?;
            return Ok(());
        };
        let intent = to_value(flight.intent).expect("a word is JSON");
        self.connection
            .prepare_cached(
                "-- Tables::set_fhir_flight
                 INSERT OR REPLACE INTO sync_fhir_flight (name, intent, version, mark, sent)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                name_of(key),
                intent.as_str(),
                flight.version,
                flight.mark.as_ref().map(Id::as_str),
                flight.sent.as_ref().map(Body::as_bytes)
            ])?;
        Ok(())
    }

    /// The resources with a write under way.
    pub(crate) fn fhir_flights(&self) -> Result<Vec<ResourceKey>> {
        self.fhir_names("-- Tables::fhir_flights\nSELECT name FROM sync_fhir_flight ORDER BY name", [])
    }

    /// Notes that a search found a resource.
    pub(crate) fn add_fhir_member(&self, search: u32, key: &ResourceKey, round: u64) -> Result<()> {
        self.connection
            .prepare_cached(
                "-- Tables::add_fhir_member
                 INSERT INTO sync_fhir_member (search, name, round, misses) VALUES (?1, ?2, ?3, 0)
                 ON CONFLICT (search, name) DO UPDATE SET round = ?3, misses = 0",
            )?
            .execute((search, name_of(key), round.cast_signed()))?;
        Ok(())
    }

    /// What a search found last before a round.
    pub(crate) fn fhir_members_below(
        &self,
        search: u32,
        round: u64,
        rows: usize,
    ) -> Result<Vec<ResourceKey>> {
        self.fhir_names(
            "-- Tables::fhir_members_below
             SELECT name FROM sync_fhir_member WHERE search = ?1 AND round < ?2 LIMIT ?3",
            (search, round.cast_signed(), limit(rows)),
        )
    }

    /// Notes that a whole list missed it; how often in a row.
    pub(crate) fn miss_fhir_member(&self, search: u32, key: &ResourceKey, round: u64) -> Result<u32> {
        let mut statement = self.connection.prepare_cached(
            "-- Tables::miss_fhir_member
             UPDATE sync_fhir_member SET round = ?3, misses = misses + 1 WHERE search = ?1 AND name = ?2
             RETURNING misses",
        )?;
        Ok(statement.query_row((search, name_of(key), round.cast_signed()), |row| row.get(0))?)
    }

    /// Takes a member out; whether another search has it.
    pub(crate) fn remove_fhir_member(&self, search: u32, key: &ResourceKey) -> Result<bool> {
        let name = name_of(key);
        self.connection
            .prepare_cached(
                "-- Tables::remove_fhir_member\nDELETE FROM sync_fhir_member WHERE search = ?1 AND name = ?2",
            )?
            .execute((search, &name))?;
        let mut statement = self.connection.prepare_cached(
            "-- Tables::remove_fhir_member others
             SELECT EXISTS (SELECT 1 FROM sync_fhir_member WHERE name = ?1)",
        )?;
        Ok(statement.query_row([name], |row| row.get(0))?)
    }

    fn fhir_names(&self, sql: &str, params: impl rusqlite::Params) -> Result<Vec<ResourceKey>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let names: Vec<String> =
            statement.query_map(params, |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        names.iter().map(|name| key_of(name)).collect()
    }
}
