//! The tables `server_grant`, `server_reason`, `server_team` and `server_cohort`.

use keepwell_backend::{Access, Held, Result, Source};
use keepwell_protocol::{Generation, Id, ResourceKey, Scope};
use keepwell_store::fhir::ResourceType;
use rusqlite::params;

use crate::convert::{collect, corrupt, failed, first, id, ids, ids_json, number, run, scope};
use crate::tenant::SqlTenant;

const READ: i64 = 1;
const WRITE: i64 = 2;

impl SqlTenant<'_, '_, '_> {
    pub(crate) fn grants_of(&mut self, user: &Id) -> Result<Vec<Held>> {
        collect(
            self.connection(),
            "-- grants_of
             SELECT name, generation, access FROM server_grant
             JOIN server_scope ON server_scope.key = server_grant.scope
             WHERE user = ?1 AND access IS NOT NULL ORDER BY name",
            [user.as_str()],
            |row| {
                let name: String = row.get(0).map_err(failed)?;
                Ok(Held {
                    scope: scope(&name)?,
                    generation: generation(row.get(1).map_err(failed)?)?,
                    access: access(row.get(2).map_err(failed)?)?,
                })
            },
        )
    }

    pub(crate) fn grant_of(
        &mut self,
        user: &Id,
        scope: &Scope,
    ) -> Result<Option<(Generation, Option<Access>)>> {
        let Some(known) = self.known_scope(scope)? else { return Ok(None) };
        first(
            self.connection(),
            "-- grant_of\nSELECT generation, access FROM server_grant WHERE user = ?1 AND scope = ?2",
            params![user.as_str(), known.key],
            |row| {
                let code: Option<i64> = row.get(1).map_err(failed)?;
                Ok((generation(row.get(0).map_err(failed)?)?, code.map(access).transpose()?))
            },
        )
    }

    pub(crate) fn put_grant(
        &mut self,
        user: &Id,
        scope: &Scope,
        generation: Generation,
        access: Option<Access>,
    ) -> Result<()> {
        let scope = self.scope_key(scope)?.key;
        run(
            self.connection(),
            "-- put_grant
             INSERT OR REPLACE INTO server_grant (user, scope, generation, access, changed)
             VALUES (?1, ?2, ?3, ?4, (SELECT 1 + coalesce(max(changed), 0) FROM server_grant))",
            params![user.as_str(), scope, number(generation.get()), access.map(code)],
        )
        .map(|_| ())
    }

    pub(crate) fn grants_since(&mut self, after: u64) -> Result<(u64, Vec<Id>)> {
        let changed = "-- grants_changed\nSELECT coalesce(max(changed), 0) FROM server_grant";
        let changed: Vec<i64> = collect(self.connection(), changed, [], |row| row.get(0).map_err(failed))?;
        let users = collect(
            self.connection(),
            "-- grants_since\nSELECT DISTINCT user FROM server_grant WHERE changed > ?1 ORDER BY user",
            [i64::try_from(after).unwrap_or(i64::MAX)],
            |row| id(&row.get::<_, String>(0).map_err(failed)?),
        )?;
        Ok((changed.first().map_or(0, |changed| changed.unsigned_abs()), users))
    }

    pub(crate) fn reasons_of(&mut self, user: &Id, scope: &Scope) -> Result<Vec<(Source, Access)>> {
        let Some(known) = self.known_scope(scope)? else { return Ok(Vec::new()) };
        collect(
            self.connection(),
            "-- reasons_of\nSELECT source, access FROM server_reason WHERE user = ?1 AND scope = ?2",
            params![user.as_str(), known.key],
            |row| {
                let text: String = row.get(0).map_err(failed)?;
                Ok((source(&text)?, access(row.get(1).map_err(failed)?)?))
            },
        )
    }

    pub(crate) fn put_reason(
        &mut self,
        source: &Source,
        user: &Id,
        scope: &Scope,
        access: Option<Access>,
    ) -> Result<()> {
        let scope = self.scope_key(scope)?.key;
        let (user, source) = (user.as_str(), source_text(source));
        match access {
            Some(access) => run(
                self.connection(),
                "-- put_reason
                 INSERT OR REPLACE INTO server_reason (user, scope, source, access) VALUES (?1, ?2, ?3, ?4)",
                params![user, scope, source, code(access)],
            ),
            None => run(
                self.connection(),
                "-- put_reason\nDELETE FROM server_reason WHERE user = ?1 AND scope = ?2 AND source = ?3",
                params![user, scope, source],
            ),
        }
        .map(|_| ())
    }

    pub(crate) fn given(&mut self, resource: &ResourceKey) -> Result<Vec<(Id, Scope)>> {
        collect(
            self.connection(),
            "-- given
             SELECT user, name FROM server_reason JOIN server_scope ON server_scope.key = server_reason.scope
             WHERE source = ?1",
            [resource.to_string()],
            |row| {
                let (user, name): (String, String) =
                    (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
                Ok((id(&user)?, scope(&name)?))
            },
        )
    }

    pub(crate) fn put_team(&mut self, team: &Id, group: Option<&Id>, users: &[Id]) -> Result<()> {
        match group {
            Some(group) => run(
                self.connection(),
                "-- put_team\nINSERT OR REPLACE INTO server_team (team, cohort, users) VALUES (?1, ?2, ?3)",
                params![team.as_str(), group.as_str(), ids_json(users)],
            ),
            None => run(
                self.connection(),
                "-- put_team\nDELETE FROM server_team WHERE team = ?1",
                [team.as_str()],
            ),
        }
        .map(|_| ())
    }

    pub(crate) fn teams(&mut self, group: &Id) -> Result<Vec<(Id, Vec<Id>)>> {
        let sql = "-- teams\nSELECT team, users FROM server_team WHERE cohort = ?1 ORDER BY team";
        collect(self.connection(), sql, [group.as_str()], |row| {
            let (team, users): (String, String) = (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
            Ok((id(&team)?, ids(&users)?))
        })
    }

    pub(crate) fn put_cohort(&mut self, group: &Id, patients: &[Id]) -> Result<()> {
        let sql = "-- put_cohort\nINSERT OR REPLACE INTO server_cohort (cohort, patients) VALUES (?1, ?2)";
        run(self.connection(), sql, params![group.as_str(), ids_json(patients)]).map(|_| ())
    }

    pub(crate) fn cohort(&mut self, group: &Id) -> Result<Vec<Id>> {
        let sql = "-- cohort\nSELECT patients FROM server_cohort WHERE cohort = ?1";
        let patients =
            first(self.connection(), sql, [group.as_str()], |row| row.get::<_, String>(0).map_err(failed))?;
        patients.map_or_else(|| Ok(Vec::new()), |patients| ids(&patients))
    }
}

fn generation(value: i64) -> Result<Generation> {
    Generation::new(value.cast_unsigned()).ok_or_else(corrupt)
}

const fn code(access: Access) -> i64 {
    match access {
        Access::Read => READ,
        Access::Write => WRITE,
    }
}

fn access(code: i64) -> Result<Access> {
    match code {
        READ => Ok(Access::Read),
        WRITE => Ok(Access::Write),
        _ => Err(corrupt()),
    }
}

fn source_text(source: &Source) -> String {
    match source {
        Source::Hand => String::new(),
        Source::Resource(key) => key.to_string(),
    }
}

fn source(text: &str) -> Result<Source> {
    let Some((kind, name)) = text.split_once('/') else { return Ok(Source::Hand) };
    let kind = ResourceType::parse(kind).ok_or_else(corrupt)?;
    Ok(Source::Resource(ResourceKey { kind, id: id(name)? }))
}
