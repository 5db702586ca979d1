//! The change log: dense, in order, and what it says of each resource.

use super::{Defect, DefectKind, Verification};
use crate::change_feed::Operation;
use crate::error::Result;
use crate::inner::Reader;

/// What the change log says last of one resource.
#[derive(Clone, Copy, Default)]
pub(super) struct Latest {
    pub(super) sequence: i64,
    pub(super) version: i64,
    /// The version that was the last purge, 0 when there was none.
    pub(super) purged: i64,
}

/// What the change log says, by `resource.key`.
pub(super) struct LatestChanges {
    by_key: Vec<Latest>,
    /// Whether the log could be read to its end.
    pub(super) is_complete: bool,
}

impl LatestChanges {
    pub(super) fn of(&self, key: i64) -> Latest {
        usize::try_from(key).ok().and_then(|key| self.by_key.get(key)).copied().unwrap_or_default()
    }

    /// The highest key that the log names.
    pub(super) fn last_key(&self) -> i64 {
        self.by_key.len() as i64 - 1
    }
}

struct Row {
    sequence: i64,
    resource: i64,
    version: i64,
    operation: i64,
}

const CHANGES: &str = "
    -- verify::changes
    SELECT sequence, resource, version, operation FROM change_log ORDER BY sequence";
const COUNT: &str = "
    -- verify::changes
    SELECT coalesce(max(sequence), 0), (SELECT coalesce(max(key), 0) FROM resource) FROM change_log";

impl Verification<'_> {
    /// Reads the whole log.
    pub(super) fn changes(&mut self) -> Result<LatestChanges> {
        let mut latest = LatestChanges { by_key: vec![Latest::default()], is_complete: false };
        let counts = self.readable(|reader| {
            Ok(reader
                .connection
                .query_row(COUNT, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?)
        })?;
        let Some((total, last_key)) = counts else {
            self.out_of_place(1);
            return Ok(latest);
        };
        let mut pass = Pass { last_key, latest: &mut latest.by_key, next: 1, out_of_place: Vec::new() };
        self.tell("changes", 0, total.unsigned_abs());
        let done = self.readable(|reader| pass.run(reader))?;
        let (next, gaps) = (pass.next, pass.out_of_place);
        for sequence in gaps {
            self.out_of_place(sequence);
        }
        if done.is_none() {
            self.out_of_place(next);
        }
        latest.is_complete = done.is_some();
        self.report.changes = (next - 1).unsigned_abs();
        self.tell("changes", total.unsigned_abs(), total.unsigned_abs());
        Ok(latest)
    }

    fn out_of_place(&mut self, sequence: i64) {
        let kind = DefectKind::ChangeLog(sequence);
        self.report.add(Defect { resource_type: None, id: None, version: None, kind });
    }
}

struct Pass<'p> {
    last_key: i64,
    latest: &'p mut Vec<Latest>,
    /// The sequence that must come next.
    next: i64,
    out_of_place: Vec<i64>,
}

impl Pass<'_> {
    fn run(&mut self, reader: &mut Reader) -> Result<()> {
        let mut statement = reader.connection.prepare(CHANGES)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            self.change(&Row {
                sequence: row.get(0)?,
                resource: row.get(1)?,
                version: row.get(2)?,
                operation: row.get(3)?,
            });
        }
        Ok(())
    }

    fn change(&mut self, row: &Row) {
        // The versions of a resource follow each other as the sequences do.
        let place =
            usize::try_from(row.resource).ok().filter(|_| (1..=self.last_key).contains(&row.resource));
        let mut is_in_place = row.sequence == self.next && Operation::from_code(row.operation).is_ok();
        match place {
            Some(key) => {
                if key >= self.latest.len() {
                    self.latest.resize(key + 1, Latest::default());
                }
                let latest = &mut self.latest[key];
                is_in_place &= row.version == latest.version + 1;
                let purged =
                    if row.operation == Operation::Purge as i64 { row.version } else { latest.purged };
                *latest = Latest { sequence: row.sequence, version: row.version, purged };
            }
            None => is_in_place = false,
        }
        if !is_in_place {
            self.out_of_place.push(row.sequence.min(self.next));
        }
        self.next = row.sequence + 1;
    }
}
