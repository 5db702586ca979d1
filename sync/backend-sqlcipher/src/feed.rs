//! The tables `server_scope` and `server_feed`.

use keepwell_backend::{Before, FeedRow, FeedState, Origin, Result};
use keepwell_protocol::{Digest, Id, Incarnation, Position, ResourceKey, Scope, Sums};
use rusqlite::{Row, params};

use crate::convert::{
    collect, corrupt, failed, first, hash, id, instant, number, position, run, scope, sequence, stored_key,
    version,
};
use crate::tenant::{KnownScope, SqlTenant};

const IN: i64 = 1;
const LEFT: i64 = 2;
const DELETED: i64 = 3;

const OF_RESOURCE: &str = "
    -- feed_rows_of
    SELECT server_scope.name, server_feed.position, server_feed.version, server_feed.at, server_feed.state,
           server_feed.hash, server_stream.device, server_stream.incarnation, server_feed.sequence, resource.type,
           resource.id, server_feed.before_position, server_feed.before_version
    FROM resource
    JOIN server_feed ON server_feed.resource = resource.key
    JOIN server_scope ON server_scope.key = server_feed.scope
    LEFT JOIN server_stream ON server_stream.key = server_feed.stream
    WHERE resource.key = ?1
    ORDER BY server_scope.name";

const IN_SCOPE: &str = "
    -- feed_rows_in
    SELECT NULL, server_feed.position, server_feed.version, server_feed.at, server_feed.state, server_feed.hash,
           server_stream.device, server_stream.incarnation, server_feed.sequence, resource.type, resource.id,
           server_feed.before_position, server_feed.before_version
    FROM server_feed
    JOIN resource ON resource.key = server_feed.resource
    LEFT JOIN server_stream ON server_stream.key = server_feed.stream
    WHERE server_feed.scope = ?1 AND server_feed.position > ?2 AND server_feed.position <= ?3
    ORDER BY server_feed.position
    LIMIT ?4";

const BETWEEN: &str = "
    -- feed_rows_between
    SELECT server_scope.name, server_feed.position, server_feed.version, server_feed.at, server_feed.state,
           server_feed.hash, server_stream.device, server_stream.incarnation, server_feed.sequence, resource.type,
           resource.id, server_feed.before_position, server_feed.before_version
    FROM change_log
    JOIN server_feed ON server_feed.resource = change_log.resource AND server_feed.position = change_log.sequence
    JOIN server_scope ON server_scope.key = server_feed.scope
    JOIN resource ON resource.key = server_feed.resource
    LEFT JOIN server_stream ON server_stream.key = server_feed.stream
    WHERE change_log.sequence > ?1 AND change_log.sequence <= ?2
    ORDER BY change_log.sequence, server_scope.name";

impl SqlTenant<'_, '_, '_> {
    /// A scope that has been heard of.
    pub(crate) fn known_scope(&mut self, scope: &Scope) -> Result<Option<KnownScope>> {
        if let Some(known) = self.scopes.get(scope) {
            return Ok(Some(*known));
        }
        let sql = "-- known_scope\nSELECT key, count, sums FROM server_scope WHERE name = ?1";
        let known = first(self.connection(), sql, [scope.as_str()], |row| {
            let count: i64 = row.get(1).map_err(failed)?;
            let sums = Sums::from_bytes(row.get(2).map_err(failed)?);
            let digest = Digest::from_parts(count.cast_unsigned(), sums);
            Ok(KnownScope { key: row.get(0).map_err(failed)?, digest, is_changed: false })
        })?;
        if let Some(known) = known {
            self.scopes.insert(scope.clone(), known);
        }
        Ok(known)
    }

    /// A scope, which is written down if it is new.
    pub(crate) fn scope_key(&mut self, scope: &Scope) -> Result<KnownScope> {
        if let Some(known) = self.known_scope(scope)? {
            return Ok(known);
        }
        let digest = Digest::default();
        let sql =
            "-- scope_key\nINSERT INTO server_scope (name, count, sums) VALUES (?1, 0, ?2) RETURNING key";
        let key = first(self.connection(), sql, params![scope.as_str(), digest.sums().to_bytes()], |row| {
            row.get(0).map_err(failed)
        })?;
        let known = KnownScope { key: key.ok_or_else(corrupt)?, digest, is_changed: false };
        self.scopes.insert(scope.clone(), known);
        Ok(known)
    }

    pub(crate) fn feed_rows_of(&mut self, key: &ResourceKey) -> Result<Vec<FeedRow>> {
        let Some(row) = self.resource(key)? else { return Ok(Vec::new()) };
        collect(self.connection(), OF_RESOURCE, [row], |row| feed_row(row, None))
    }

    pub(crate) fn feed_rows_in(
        &mut self,
        scope: &Scope,
        after: Position,
        upto: Position,
        limit: usize,
    ) -> Result<Vec<FeedRow>> {
        let Some(known) = self.known_scope(scope)? else { return Ok(Vec::new()) };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let params = params![known.key, number(after.get()), number(upto.get()), limit];
        collect(self.connection(), IN_SCOPE, params, |row| feed_row(row, Some(scope)))
    }

    pub(crate) fn feed_rows_between(&mut self, after: Position, upto: Position) -> Result<Vec<FeedRow>> {
        let params = params![number(after.get()), number(upto.get())];
        collect(self.connection(), BETWEEN, params, |row| feed_row(row, None))
    }

    pub(crate) fn put_feed_row(&mut self, row: &FeedRow) -> Result<()> {
        let scope = self.scope_key(&row.scope)?.key;
        let resource = self.resource(&row.key)?.ok_or_else(corrupt)?;
        let (state, hash, origin) = match &row.state {
            FeedState::In { hash, origin } => (IN, Some(hash.as_bytes()), origin.as_ref()),
            FeedState::Left => (LEFT, None, None),
            FeedState::Deleted => (DELETED, None, None),
        };
        let stream = match origin {
            Some(origin) => Some(self.stream(&origin.device, origin.incarnation)?),
            None => None,
        };
        let of = origin.map(|origin| number(origin.sequence.get()));
        let sql = "-- put_feed_row\nDELETE FROM server_feed WHERE resource = ?1 AND scope = ?2";
        run(self.connection(), sql, [resource, scope])?;
        run(
            self.connection(),
            "-- put_feed_row
             INSERT INTO server_feed (scope, position, resource, version, at, state, hash, stream, sequence,
                                      before_position, before_version)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![
                scope,
                number(row.position.get()),
                resource,
                number(row.version.get()),
                row.at.ms(),
                state,
                hash,
                stream,
                of,
                row.before.map(|before| number(before.position.get())),
                row.before.map(|before| number(before.version.get())),
            ],
        )
        .map(|_| ())
    }
}

fn feed_row(row: &Row<'_>, known: Option<&Scope>) -> Result<FeedRow> {
    let scope = match known {
        Some(scope) => scope.clone(),
        None => scope(row.get_ref(0).and_then(|value| Ok(value.as_str()?)).map_err(failed)?)?,
    };
    let state = match row.get(4).map_err(failed)? {
        IN => FeedState::In { hash: hash(row.get(5).map_err(failed)?), origin: origin(row)? },
        LEFT => FeedState::Left,
        DELETED => FeedState::Deleted,
        _ => return Err(corrupt()),
    };
    Ok(FeedRow {
        scope,
        key: stored_key(row, 9)?,
        position: position(row.get(1).map_err(failed)?)?,
        version: version(row.get(2).map_err(failed)?)?,
        at: instant(row.get(3).map_err(failed)?),
        state,
        before: before(row)?,
    })
}

fn before(row: &Row<'_>) -> Result<Option<Before>> {
    let Some(told) = row.get(11).map_err(failed)? else { return Ok(None) };
    Ok(Some(Before { position: position(told)?, version: version(row.get(12).map_err(failed)?)? }))
}

fn origin(row: &Row<'_>) -> Result<Option<Origin>> {
    let device: Option<String> = row.get(6).map_err(failed)?;
    let Some(device) = device else { return Ok(None) };
    let device: Id = id(&device)?;
    let incarnation: i64 = row.get(7).map_err(failed)?;
    let incarnation = Incarnation::new(incarnation.cast_unsigned());
    Ok(Some(Origin { device, incarnation, sequence: sequence(row.get(8).map_err(failed)?)? }))
}
