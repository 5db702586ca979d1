//! The search index: it has every current version and no other, and finds it by what its body says.

use roaring::RoaringBitmap;
use rusqlite::{Connection, OptionalExtension};

use super::{Defect, DefectKind, Verification, VerifyOptions};
use crate::change_feed::resource_type;
use crate::error::Result;
use crate::id_key::IdKey;
use crate::index::{View, doc};
use crate::search::{Documents, Executor, Scope};

/// Of so many resources one is taken apart, where not all of them are.
const SAMPLE: i64 = 50;

const CURRENT: &str = "
    -- verify::index
    SELECT key, change FROM resource WHERE body IS NOT NULL ORDER BY key";
const NAME: &str = "
    -- verify::index
    SELECT r.type, r.id, c.version FROM change_log c JOIN resource r ON r.key = c.resource WHERE c.sequence = ?1";

impl Verification<'_> {
    pub(super) fn index(&mut self, options: VerifyOptions) -> Result<()> {
        let open = self.open;
        let defects = self.readable(|reader| {
            let (transaction, state) = open.index.read(&reader.connection)?;
            let last: i64 = transaction.query_row(
                "-- verify::index\nSELECT coalesce(max(sequence), 0) FROM change_log",
                [],
                |row| row.get(0),
            )?;
            if !state.is_complete(last) {
                // It is being made: searches say so.
                return Ok(Vec::new());
            }
            let view = View::new(&state, &transaction, None)?;
            let documents = Documents::new(&transaction, &open.attachments, &state.known, Vec::new());
            let executor = Executor { view, documents };
            let (current, sample) = current(&transaction, options.index)?;
            let mut wrong = executor.all(&Scope::Types(Vec::new()))? ^ &current;
            for change in sample {
                // A body that cannot be read is another defect.
                let Ok(terms) = executor.documents.terms_and_words(change) else { continue };
                let this: RoaringBitmap = std::iter::once(change).collect();
                for term in terms.iter().filter(|term| !state.known.is_unfinished(term)) {
                    if executor.view.postings_among(term, &this)?.is_empty() {
                        wrong.insert(change);
                    }
                }
            }
            wrong.iter().map(|change| defect(&transaction, change)).collect()
        })?;
        let unreadable =
            || vec![Defect { resource_type: None, id: None, version: None, kind: DefectKind::Index }];
        for defect in defects.unwrap_or_else(unreadable) {
            // Where the resource itself is damaged, the index has nothing to be compared with.
            let is_named = |known: &Defect| {
                known.id.is_some() && (known.resource_type, &known.id) == (defect.resource_type, &defect.id)
            };
            if !self.report.defects.iter().any(is_named) {
                self.report.add(defect);
            }
        }
        Ok(())
    }
}

/// The changes of all current versions, and those of them that are taken apart.
fn current(connection: &Connection, all: bool) -> Result<(RoaringBitmap, RoaringBitmap)> {
    let mut statement = connection.prepare(CURRENT)?;
    let mut rows = statement.query([])?;
    let (mut current, mut sample) = (RoaringBitmap::new(), RoaringBitmap::new());
    while let Some(row) = rows.next()? {
        let change = doc(row.get(1)?)?;
        current.insert(change);
        if all || row.get::<_, i64>(0)? % SAMPLE == 1 {
            sample.insert(change);
        }
    }
    Ok((current, sample))
}

fn defect(connection: &Connection, change: u32) -> Result<Defect> {
    let named: Option<(i64, IdKey, i64)> = connection
        .prepare_cached(NAME)?
        .query_row([change], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let (kind, id, version) = match named {
        Some((kind, id, version)) => {
            (resource_type(kind).ok(), Some(id.to_string()), Some(version.unsigned_abs()))
        }
        None => (None, None, None),
    };
    Ok(Defect { resource_type: kind, id, version, kind: DefectKind::Index })
}
