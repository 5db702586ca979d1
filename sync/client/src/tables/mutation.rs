//! Frozen edits, and the rows that wait for them.

use keepwell_protocol::{Frozen, ResourceKey, Row, Sequence};
use keepwell_store::{Error, Result};
use rusqlite::OptionalExtension;

use super::{Tables, column, key_of, limit};

impl Tables<'_> {
    /// The resources with a frozen edit, and those with a row that waits.
    pub(crate) fn busy(&self) -> Result<(Vec<i64>, Vec<i64>)> {
        let rows = |sql| -> Result<Vec<i64>> {
            let mut statement = self.connection.prepare_cached(sql)?;
            Ok(statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
        };
        Ok((
            rows("-- Tables::busy mutations\nSELECT resource FROM sync_mutation")?,
            rows("-- Tables::busy held\nSELECT resource FROM sync_held")?,
        ))
    }

    /// Frozen edits by number.
    pub(crate) fn mutations(&self, from: Sequence, rows: usize) -> Result<Vec<Frozen>> {
        let mut statement = self.connection.prepare_cached(
            "-- Tables::mutations
             SELECT line FROM sync_mutation WHERE sequence >= ?1 ORDER BY sequence LIMIT ?2",
        )?;
        let lines: Vec<Vec<u8>> = statement
            .query_map((column(from), limit(rows)), |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        lines.iter().map(|line| thaw(line)).collect()
    }

    /// The one of a number.
    pub(crate) fn mutation(&self, sequence: Sequence) -> Result<Option<Frozen>> {
        let mut statement = self
            .connection
            .prepare_cached("-- Tables::mutation\nSELECT line FROM sync_mutation WHERE sequence = ?1")?;
        let line: Option<Vec<u8>> = statement.query_row([column(sequence)], |row| row.get(0)).optional()?;
        line.map(|line| thaw(&line)).transpose()
    }

    /// The one of a resource.
    pub(crate) fn mutation_of(&self, resource: i64) -> Result<Option<Frozen>> {
        let mut statement = self
            .connection
            .prepare_cached("-- Tables::mutation_of\nSELECT line FROM sync_mutation WHERE resource = ?1")?;
        let line: Option<Vec<u8>> = statement.query_row([resource], |row| row.get(0)).optional()?;
        line.map(|line| thaw(&line)).transpose()
    }

    /// Writes one.
    pub(crate) fn set_mutation(&self, resource: i64, frozen: &Frozen) -> Result<()> {
        self.connection
            .prepare_cached(
                "-- Tables::set_mutation
                 INSERT OR REPLACE INTO sync_mutation (sequence, resource, line) VALUES (?1, ?2, ?3)",
            )?
            .execute((column(frozen.mutation().sequence), resource, frozen.line()))?;
        Ok(())
    }

    /// Removes one; the resource that it was of.
    pub(crate) fn remove_mutation(&self, sequence: Sequence) -> Result<Option<i64>> {
        let mut statement = self.connection.prepare_cached(
            "-- Tables::remove_mutation\nDELETE FROM sync_mutation WHERE sequence = ?1 RETURNING resource",
        )?;
        Ok(statement.query_row([column(sequence)], |row| row.get(0)).optional()?)
    }

    /// The row that waits for the edit of a resource.
    pub(crate) fn held(&self, resource: i64) -> Result<Option<Row>> {
        let mut statement = self
            .connection
            .prepare_cached("-- Tables::held\nSELECT line FROM sync_held WHERE resource = ?1")?;
        let line: Option<Vec<u8>> = statement.query_row([resource], |row| row.get(0)).optional()?;
        line.map(|line| read_row(&line)).transpose()
    }

    /// Writes it, or removes it.
    pub(crate) fn set_held(&self, resource: i64, row: Option<&Row>) -> Result<()> {
        match row {
            Some(row) => self
                .connection
                .prepare_cached(
                    "-- Tables::set_held\nINSERT OR REPLACE INTO sync_held (resource, line) VALUES (?1, ?2)",
                )?
                .execute((resource, row.to_bytes()))?,
            None => self
                .connection
                .prepare_cached("-- Tables::set_held none\nDELETE FROM sync_held WHERE resource = ?1")?
                .execute([resource])?,
        };
        Ok(())
    }

    /// The resources that have one.
    pub(crate) fn all_held(&self) -> Result<Vec<ResourceKey>> {
        let mut statement = self.connection.prepare_cached(
            "-- Tables::all_held
             SELECT name FROM sync_held CROSS JOIN sync_resource ON key = resource ORDER BY resource",
        )?;
        let names: Vec<String> =
            statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        names.iter().map(|name| key_of(name)).collect()
    }
}

fn thaw(line: &[u8]) -> Result<Frozen> {
    Frozen::thaw(line).map_err(|_| Error::Corrupt)
}

pub(super) fn read_row(line: &[u8]) -> Result<Row> {
    Row::from_bytes(line).map_err(|_| Error::Corrupt)
}
