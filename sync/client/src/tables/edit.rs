//! Edits that wait: which resources have a base, and where its content is.

use keepwell_engine::{Base, ConflictRecord, Dirty, merge_rule};
use keepwell_protocol::{Body, Merge, ResourceKey};
use keepwell_store::{Error, Result};
use rusqlite::{OptionalExtension, params};

use super::{Tables, column, key_of, limit};

/// Where the content of a base is.
pub(crate) enum BaseContent {
    /// There is none.
    Nothing,
    /// In this version of the store.
    Version(u64),
    /// Here.
    Bytes(Vec<u8>),
}

impl Tables<'_> {
    /// Notes an edit; `base` is this store's version that was edited, if the resource was there. It is the base only of
    /// what the server has, too: what it never had is made by its edit.
    pub(crate) fn note_edit(&self, name: &str, sequence: i64, base: Option<u64>) -> Result<()> {
        self.connection
            .prepare_cached(
                "-- Tables::note_edit
                 INSERT INTO sync_resource (name, edit_order, edit_last, base_version)
                 VALUES (?1, ?2, ?2, iif(EXISTS (SELECT 1 FROM sync_fhir_resource WHERE name = ?1), ?3, NULL))
                 ON CONFLICT (name) DO UPDATE SET
                     base_version = CASE
                         WHEN edit_order IS NOT NULL THEN base_version
                         WHEN server_version IS NOT NULL THEN ?3
                         WHEN EXISTS (SELECT 1 FROM sync_fhir_resource WHERE name = ?1) THEN ?3
                     END,
                     edit_order = coalesce(edit_order, ?2),
                     edit_last = ?2",
            )?
            .execute(params![name, sequence, base.map(u64::cast_signed)])?;
        Ok(())
    }

    /// Notes that the edit that waits decides a conflict, besides those that it decides already.
    pub(crate) fn note_decision(&self, name: &str, record: &ConflictRecord) -> Result<()> {
        let Some(entry) = self.entry(name)? else { return Ok(()) };
        let Some((base, _)) = self.base(entry.row)? else { return Ok(()) };
        let mut cids = base.merge.as_ref().map_or_else(Vec::new, |merge| merge.cids.clone());
        cids.push(record.cid.clone());
        let merge = Merge {
            rule: merge_rule(),
            from: Some(record.base_version),
            theirs: record.theirs_version.unwrap_or(record.base_version),
            mine: record.mine.as_ref().map(Body::hash),
            paths: record.paths.clone(),
            cids,
        };
        self.set_base(entry.row, &Base { merge: Some(merge), ..base }, None)
    }

    /// Joins the edit of `name` with the one that began its transaction, and all that either was joined with before;
    /// or sends each of the transaction on its own, if they do not fit together.
    pub(crate) fn group_edits(&self, name: &str, first: i64, fits: bool) -> Result<()> {
        if !fits {
            self.connection
                .prepare_cached(
                    "-- Tables::group_edits apart\nUPDATE sync_resource SET edit_group = NULL WHERE edit_group = ?1",
                )?
                .execute([first])?;
            return Ok(());
        }
        let groups: Vec<Option<i64>> = self
            .connection
            .prepare_cached(
                "-- Tables::group_edits
                 SELECT edit_group FROM sync_resource WHERE name = ?1
                 UNION ALL SELECT edit_group FROM sync_resource WHERE edit_last = ?2",
            )?
            .query_map((name, first), |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for group in groups.into_iter().flatten().filter(|group| *group != first) {
            self.unite(group.unsigned_abs(), first.unsigned_abs())?;
        }
        self.connection
            .prepare_cached(
                "-- Tables::group_edits together
                 UPDATE sync_resource SET edit_group = ?2 WHERE name = ?1 OR edit_last = ?2",
            )?
            .execute((name, first))?;
        Ok(())
    }

    /// Gives every edit of one group another one.
    pub(crate) fn unite(&self, from: u64, to: u64) -> Result<()> {
        self.connection
            .prepare_cached(
                "-- Tables::unite\nUPDATE sync_resource SET edit_group = ?2 WHERE edit_group = ?1",
            )?
            .execute((from.cast_signed(), to.cast_signed()))?;
        Ok(())
    }

    /// Forgets what waits of a resource that its user has purged.
    pub(crate) fn forget_edit(&self, name: &str) -> Result<()> {
        self.connection
            .prepare_cached(
                "-- Tables::forget_edit
                 UPDATE sync_resource SET edit_order = NULL, edit_last = NULL, edit_group = NULL, base_version = NULL,
                     base_content = NULL, merge = NULL
                 WHERE name = ?1",
            )?
            .execute([name])?;
        self.connection
            .prepare_cached("-- Tables::forget_edit conflicts\nDELETE FROM sync_conflict WHERE name = ?1")?
            .execute([name])?;
        Ok(())
    }

    /// How many resources wait to be sent.
    pub(crate) fn count_edits(&self) -> Result<u64> {
        let mut statement = self.connection.prepare_cached(
            "-- Tables::count_edits\nSELECT count(*) FROM sync_resource WHERE edit_order IS NOT NULL",
        )?;
        Ok(statement.query_row([], |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    /// The base of a resource that has one, and where its content is.
    pub(crate) fn base(&self, resource: i64) -> Result<Option<(Base, BaseContent)>> {
        let mut statement = self.connection.prepare_cached(
            "-- Tables::base
             SELECT edit_order, edit_group, base_version, base_content, merge FROM sync_resource
             WHERE key = ?1 AND edit_order IS NOT NULL",
        )?;
        let row = statement
            .query_row([resource], |row| {
                let order: i64 = row.get(0)?;
                let group: Option<i64> = row.get(1)?;
                let version: Option<i64> = row.get(2)?;
                let bytes: Option<Vec<u8>> = row.get(3)?;
                Ok((order, group, version, bytes, row.get::<_, Option<String>>(4)?))
            })
            .optional()?;
        let Some((order, group, version, bytes, merge)) = row else { return Ok(None) };
        let merge = merge.map(|json| serde_json::from_str(&json)).transpose().map_err(|_| Error::Corrupt)?;
        let base =
            Base { content: None, order: order.unsigned_abs(), group: group.map(i64::unsigned_abs), merge };
        let content = match (bytes, version) {
            (Some(bytes), _) => BaseContent::Bytes(bytes),
            (None, Some(version)) => BaseContent::Version(version.unsigned_abs()),
            (None, None) => BaseContent::Nothing,
        };
        Ok(Some((base, content)))
    }

    /// Writes a base; where its content is stays as it was if `content` is none.
    pub(crate) fn set_base(&self, resource: i64, base: &Base, content: Option<Option<&Body>>) -> Result<()> {
        let merge = base.merge.as_ref().map(|merge| serde_json::to_string(merge).expect("texts and numbers"));
        self.connection
            .prepare_cached(
                "-- Tables::set_base
                 UPDATE sync_resource SET edit_order = ?2, edit_last = coalesce(edit_last, ?2), edit_group = ?3, merge = ?4
                 WHERE key = ?1",
            )?
            .execute(params![resource, column(base.order), base.group.map(u64::cast_signed), merge])?;
        if let Some(content) = content {
            self.connection
                .prepare_cached(
                    "-- Tables::set_base content
                     UPDATE sync_resource SET base_version = NULL, base_content = ?2 WHERE key = ?1",
                )?
                .execute(params![resource, content.map(Body::as_bytes)])?;
        }
        Ok(())
    }

    /// Removes a base.
    pub(crate) fn remove_base(&self, resource: i64) -> Result<()> {
        self.connection
            .prepare_cached(
                "-- Tables::remove_base
                 UPDATE sync_resource SET edit_order = NULL, edit_last = NULL, edit_group = NULL, base_version = NULL,
                     base_content = NULL, merge = NULL
                 WHERE key = ?1",
            )?
            .execute([resource])?;
        Ok(())
    }

    /// Resources with a base, by the order of their first edit.
    pub(crate) fn dirty(&self, after: u64, rows: usize) -> Result<Vec<Dirty>> {
        let mut statement = self.connection.prepare_cached(
            "-- Tables::dirty
             SELECT name, edit_order, edit_group FROM sync_resource WHERE edit_order > ?1 ORDER BY edit_order LIMIT ?2",
        )?;
        let found: Vec<(String, i64, Option<i64>)> = statement
            .query_map((after.cast_signed(), limit(rows)), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let dirty = found.into_iter().map(|(name, order, group)| {
            let (order, group) = (order.unsigned_abs(), group.map(i64::unsigned_abs));
            Ok(Dirty { key: key_of(&name)?, order, group })
        });
        dirty.collect()
    }

    /// The resources of a group, by the order of their first edit.
    pub(crate) fn group(&self, group: u64) -> Result<Vec<ResourceKey>> {
        let mut statement = self.connection.prepare_cached(
            "-- Tables::group\nSELECT name FROM sync_resource WHERE edit_group = ?1 ORDER BY edit_order",
        )?;
        let names: Vec<String> =
            statement.query_map([group.cast_signed()], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        names.iter().map(|name| key_of(name)).collect()
    }
}
