//! Rows that nobody sees before the next checkpoint.

use keepwell_protocol::{Row, Scope};
use keepwell_store::Result;

use super::mutation::read_row;
use super::{Tables, limit};

impl Tables<'_> {
    /// Appends a row.
    pub(crate) fn stage(&self, row: &Row) -> Result<()> {
        self.connection
            .prepare_cached("-- Tables::stage\nINSERT INTO sync_stage (scope, line) VALUES (?1, ?2)")?
            .execute((row.scope.as_str(), row.to_bytes()))?;
        Ok(())
    }

    /// Takes the oldest rows out.
    pub(crate) fn unstage(&self, rows: usize) -> Result<Vec<Row>> {
        let mut statement = self.connection.prepare_cached(
            "-- Tables::unstage\nSELECT place, line FROM sync_stage ORDER BY place LIMIT ?1",
        )?;
        let found: Vec<(i64, Vec<u8>)> = statement
            .query_map([limit(rows)], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        if let Some((last, _)) = found.last() {
            self.connection
                .prepare_cached("-- Tables::unstage taken\nDELETE FROM sync_stage WHERE place <= ?1")?
                .execute([last])?;
        }
        found.iter().map(|(_, line)| read_row(line)).collect()
    }

    /// Removes the rows of a scope, or all.
    pub(crate) fn clear_stage(&self, scope: Option<&Scope>) -> Result<()> {
        self.connection
            .prepare_cached("-- Tables::clear_stage\nDELETE FROM sync_stage WHERE ?1 IS NULL OR scope = ?1")?
            .execute([scope.map(Scope::as_str)])?;
        Ok(())
    }
}
