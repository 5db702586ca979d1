//! Scopes that are held, and what is in them.

use keepwell_engine::HeldScope;
use keepwell_protocol::{Digest, Hash, Member, ResourceKey, Scope, Sums, Version};
use keepwell_store::{Error, Result};
use rusqlite::{OptionalExtension, params};

use super::{Tables, column, key_of, limit, number};

impl Tables<'_> {
    /// All scopes by name.
    pub(crate) fn scopes(&self) -> Result<Vec<HeldScope>> {
        let mut statement = self.connection.prepare_cached(
            "-- Tables::scopes
             SELECT scope, generation, round, position, is_complete, mismatches FROM sync_scope ORDER BY scope",
        )?;
        let mut rows = statement.query([])?;
        let mut scopes = Vec::new();
        while let Some(row) = rows.next()? {
            let (scope, position): (String, Option<i64>) = (row.get(0)?, row.get(3)?);
            scopes.push(HeldScope {
                scope: scope.parse().map_err(|_| Error::Corrupt)?,
                generation: number(row.get(1)?)?,
                round: row.get::<_, i64>(2)?.unsigned_abs(),
                position: position.map(number).transpose()?,
                is_complete: row.get(4)?,
                mismatches: row.get(5)?,
            });
        }
        Ok(scopes)
    }

    /// The key of a scope, and its digest.
    pub(crate) fn scope(&self, scope: &Scope) -> Result<Option<(i64, Digest)>> {
        let mut statement = self
            .connection
            .prepare_cached("-- Tables::scope\nSELECT key, count, sums FROM sync_scope WHERE scope = ?1")?;
        let found = statement.query_row([scope.as_str()], |row| {
            let (count, sums): (i64, [u8; 32]) = (row.get(1)?, row.get(2)?);
            Ok((row.get(0)?, Digest::from_parts(count.cast_unsigned(), Sums::from_bytes(sums))))
        });
        Ok(found.optional()?)
    }

    /// Keeps the digest of a scope.
    pub(crate) fn set_digest(&self, scope: i64, digest: Digest) -> Result<()> {
        self.connection
            .prepare_cached(
                "-- Tables::set_digest\nUPDATE sync_scope SET count = ?2, sums = ?3 WHERE key = ?1",
            )?
            .execute((scope, digest.count().cast_signed(), digest.sums().to_bytes()))?;
        Ok(())
    }

    /// Writes one.
    pub(crate) fn set_scope(&self, scope: &HeldScope) -> Result<()> {
        let mut statement = self.connection.prepare_cached(
            "-- Tables::set_scope
             INSERT INTO sync_scope (scope, generation, round, position, is_complete, mismatches)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (scope) DO UPDATE SET
                 generation = ?2, round = ?3, position = ?4, is_complete = ?5, mismatches = ?6",
        )?;
        let row = params![
            scope.scope.as_str(),
            column(scope.generation),
            column(scope.round),
            scope.position.map(column),
            scope.is_complete,
            scope.mismatches
        ];
        statement.execute(row)?;
        Ok(())
    }

    /// Removes one.
    pub(crate) fn remove_scope(&self, scope: i64) -> Result<()> {
        self.connection
            .prepare_cached("-- Tables::remove_scope\nDELETE FROM sync_scope WHERE key = ?1")?
            .execute([scope])?;
        Ok(())
    }

    /// The scopes that hold a resource.
    pub(crate) fn memberships(&self, resource: i64) -> Result<Vec<Scope>> {
        let mut statement = self.connection.prepare_cached(
            "-- Tables::memberships
             SELECT sync_scope.scope FROM sync_member JOIN sync_scope ON key = sync_member.scope
             WHERE resource = ?1 ORDER BY sync_scope.scope",
        )?;
        let names: Vec<String> =
            statement.query_map([resource], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        names.iter().map(|name| name.parse().map_err(|_| Error::Corrupt)).collect()
    }

    /// Makes a resource a member, in this round at least.
    pub(crate) fn add_member(&self, scope: i64, resource: i64, round: u64) -> Result<()> {
        self.connection
            .prepare_cached(
                "-- Tables::add_member
                 INSERT INTO sync_member (scope, resource, round) VALUES (?1, ?2, ?3)
                 ON CONFLICT (scope, resource) DO UPDATE SET round = max(round, ?3)",
            )?
            .execute((scope, resource, round.cast_signed()))?;
        Ok(())
    }

    /// Takes a resource out; whether it was in.
    pub(crate) fn remove_member(&self, scope: i64, resource: i64) -> Result<bool> {
        let removed = self
            .connection
            .prepare_cached(
                "-- Tables::remove_member\nDELETE FROM sync_member WHERE scope = ?1 AND resource = ?2",
            )?
            .execute((scope, resource))?;
        Ok(removed > 0)
    }

    /// Members that were not met since `round`.
    pub(crate) fn members_below(&self, scope: i64, round: u64, rows: usize) -> Result<Vec<ResourceKey>> {
        let mut statement = self.connection.prepare_cached(
            "-- Tables::members_below
             SELECT name FROM sync_member JOIN sync_resource ON key = resource
             WHERE scope = ?1 AND round < ?2 LIMIT ?3",
        )?;
        let names: Vec<String> = statement
            .query_map((scope, round.cast_signed(), limit(rows)), |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        names.iter().map(|name| key_of(name)).collect()
    }

    /// Calls `each` with every member that is not deleted.
    pub(crate) fn members(&self, scope: i64, each: &mut dyn FnMut(&Member)) -> Result<()> {
        let mut statement = self.connection.prepare_cached(
            "-- Tables::members
             SELECT name, server_version, server_hash FROM sync_member JOIN sync_resource ON key = resource
             WHERE scope = ?1 AND server_hash IS NOT NULL",
        )?;
        let mut rows = statement.query([scope])?;
        while let Some(row) = rows.next()? {
            let name = row.get_ref(0)?.as_str().map_err(|_| Error::Corrupt)?;
            let (version, hash): (i64, [u8; 32]) = (row.get(1)?, row.get(2)?);
            let member = Member {
                key: key_of(name)?,
                version: number::<Version>(version)?,
                hash: Hash::from_bytes(hash),
            };
            each(&member);
        }
        Ok(())
    }
}
