//! Where each resource is: from its type and id to the key of its row.
//!
//! Ids are random, so a B-tree over them has a page of its own to read and to write for nearly every resource that an
//! import brings. This is a log-structured index instead (keepwell-index), whose documents are the keys of rows, with
//! one term each: type and id. Its filters, in memory, tell ids that are new from those that may be here.
//!
//! Invariants: a row is found from the transaction on that makes it, also within it; rows stay for ever, and so do
//! their keys; no two rows have one type and id, which nothing but this index keeps from happening.

use std::collections::HashMap;

use keepwell_fhir::ResourceType;
use keepwell_index::{Commit, Direction, Doc, Merge, Options, Snapshot, TermRange};
use rusqlite::Connection;

use super::merging::{Pace, Step, is_settled, merge_some};
use super::tables::Tables;
use crate::change_feed::resource_type;
use crate::error::{Error, Result};
use crate::id_key::IdKey;

/// Rows that are taken in at once where they were made before there was this index.
const CATCH_UP_ROWS: u32 = 100_000;

const ROWS_AFTER: &str = "
    -- Identities::catch_up
    SELECT key, type, id FROM resource WHERE key > ?1 ORDER BY key LIMIT ?2";

/// The rows of all resources, as one state of a store has them.
#[derive(Clone)]
pub(crate) struct Identities {
    snapshot: Snapshot,
    /// Those that the transaction in progress has made.
    added: HashMap<(ResourceType, IdKey), i64>,
}

impl Identities {
    /// Reads them from the tables.
    pub(super) fn load(connection: &Connection) -> Result<Self> {
        let tables = Tables::identity(connection);
        // Every term is looked up by itself.
        let options = Options { filtered: vec![Vec::new()] };
        let snapshot =
            Snapshot::open(options, tables.segments()?, tables.pending()?).map_err(|_| Error::Corrupt)?;
        Ok(Self { snapshot, added: HashMap::new() })
    }

    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The newest row.
    pub(super) fn last(&self) -> i64 {
        i64::from(self.snapshot.last())
    }

    /// The row of a resource, deleted or not.
    pub(crate) fn find(
        &self,
        connection: &Connection,
        resource_type: ResourceType,
        id: &IdKey,
    ) -> Result<Option<i64>> {
        if let Some(key) = self.added.get(&(resource_type, id.clone())) {
            return Ok(Some(*key));
        }
        let tables = Tables::identity(connection);
        Ok(self.snapshot.newest(&tables, &term(resource_type, id), Doc::MAX)?.map(i64::from))
    }

    /// Gives every row with its type and id to `each`, in no order.
    pub(crate) fn for_each(
        &self,
        connection: &Connection,
        mut each: impl FnMut(i64, ResourceType, &IdKey),
    ) -> Result<()> {
        let tables = Tables::identity(connection);
        let mut scan = self.snapshot.scan(&tables, TermRange::all(), Direction::Rising)?;
        let mut keys = Vec::new();
        while scan.advance()? {
            let (resource_type, id) = read_term(scan.term())?;
            scan.read_docs(&mut keys)?;
            keys.iter().for_each(|key| each(i64::from(*key), resource_type, &id));
        }
        Ok(())
    }

    /// The transaction in progress has made a row.
    pub(super) fn add(&mut self, resource_type: ResourceType, id: &IdKey, key: i64) {
        self.added.insert((resource_type, id.clone()), key);
    }

    /// Whether the transaction in progress has made none.
    pub(super) fn is_unchanged(&self) -> bool {
        self.added.is_empty()
    }

    /// Writes what the transaction has made, and merges a little; `merge` is the one under way.
    pub(super) fn write(self, connection: &Connection, merge: &mut Option<Merge>) -> Result<Self> {
        let Self { mut snapshot, added } = self;
        let mut rows: Vec<(i64, Vec<u8>)> =
            added.into_iter().map(|((resource_type, id), key)| (key, term(resource_type, &id))).collect();
        rows.sort_unstable();
        let mut tables = Tables::identity(connection);
        let mut commit = Commit::default();
        for (key, term) in rows {
            commit.add(doc(key)?, None, [term]).map_err(|_| Error::Corrupt)?;
        }
        let step = Step::after(commit.documents(), Pace::IDENTITY);
        snapshot = snapshot.append(commit, &mut tables)?;
        snapshot = merge_some(snapshot, &mut tables, merge, step, |_| Ok(0))?;
        Ok(Self { snapshot, added: HashMap::new() })
    }

    /// Merges on while nothing is written; none when nothing is left to do.
    pub(super) fn settle(&self, connection: &Connection, merge: &mut Option<Merge>) -> Result<Option<Self>> {
        if is_settled(&self.snapshot, merge.as_ref()) {
            return Ok(None);
        }
        let mut tables = Tables::identity(connection);
        let snapshot = merge_some(self.snapshot.clone(), &mut tables, merge, Step::settling(), |_| Ok(0))?;
        Ok(Some(Self { snapshot, added: HashMap::new() }))
    }

    /// Takes in the next rows that were made before there was this index; none when all are in.
    pub(super) fn catch_up(
        &self,
        connection: &Connection,
        merge: &mut Option<Merge>,
    ) -> Result<Option<Self>> {
        let mut next = self.clone();
        let mut statement = connection.prepare_cached(ROWS_AFTER)?;
        let mut rows = statement.query((self.last(), CATCH_UP_ROWS))?;
        while let Some(row) = rows.next()? {
            next.add(resource_type(row.get(1)?)?, &row.get(2)?, row.get(0)?);
        }
        if next.is_unchanged() {
            return Ok(None);
        }
        next.write(connection, merge).map(Some)
    }
}

fn doc(key: i64) -> Result<Doc> {
    Doc::try_from(key).map_err(|_| Error::Argument("a store has at most 2^32 resources"))
}

/// What the bytes of an id are.
const UUID: u8 = 0;
const TEXT: u8 = 1;

/// The type, then a UUID as its bytes or any other id as text.
fn term(resource_type: ResourceType, id: &IdKey) -> Vec<u8> {
    let (form, bytes) = match id {
        IdKey::Uuid(bytes) => (UUID, &bytes[..]),
        IdKey::Text(text) => (TEXT, text.as_bytes()),
    };
    [&[resource_type.code(), form], bytes].concat()
}

fn read_term(term: &[u8]) -> Result<(ResourceType, IdKey)> {
    let [code, form, id @ ..] = term else { return Err(Error::Corrupt) };
    let id = match *form {
        UUID => IdKey::Uuid(id.try_into().map_err(|_| Error::Corrupt)?),
        TEXT => IdKey::Text(std::str::from_utf8(id).map_err(|_| Error::Corrupt)?.into()),
        _ => return Err(Error::Corrupt),
    };
    Ok((resource_type(i64::from(*code))?, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_tell_every_type_and_id_apart() {
        let ids =
            ["0190163d-8694-739b-aea5-966c26f8ad91", "0190163D-8694-739B-AEA5-966C26F8AD91", "1", "a-b.C"];
        let types = ["Patient", "Observation"].map(|name| ResourceType::parse(name).unwrap());
        let mut terms = Vec::new();
        for resource_type in types {
            for id in ids {
                let key = IdKey::new(id);
                let term = term(resource_type, &key);
                assert_eq!(read_term(&term).unwrap(), (resource_type, key));
                terms.push(term);
            }
        }
        terms.sort();
        terms.dedup();
        assert_eq!(terms.len(), ids.len() * types.len());
        for damaged in [&b""[..], &[1], &[1, UUID, 2], &[1, 2, b'a'], &[1, TEXT, 0xff]] {
            assert!(read_term(damaged).is_err());
        }
    }
}
