//! What one transaction changes in the index.

use std::sync::Arc;

use keepwell_fhir::ResourceType;
use keepwell_index::{Choice, Commit, Merge, Snapshot};
use keepwell_search::TermList;
use roaring::RoaringBitmap;
use rusqlite::Connection;

use super::merging::{Pace, Step, merge_some};
use super::tables::Tables;
use super::{Identities, Index, Known, State, doc};
use crate::error::{Error, Result};
use crate::head::Head;
use crate::id_key::IdKey;
use crate::search::{LINK_AGE_MAX_MS, custom, first_change_at};

const CHANGES_OF: &str = "
    -- IndexTransaction::erase
    SELECT change FROM resource_version WHERE resource = ?1";

/// What becomes of a search parameter: by its URL, or its definition.
enum ParameterChange {
    Withdraw(String),
    Add(Vec<u8>),
}

/// The merges under way.
#[derive(Default)]
pub(crate) struct Merges {
    pub(crate) search: Option<Merge>,
    pub(crate) identity: Option<Merge>,
}

/// The index as a transaction in progress sees and changes it.
pub(crate) struct IndexTransaction {
    base: Arc<State>,
    snapshot: Snapshot,
    identities: Identities,
    commit: Commit,
    documents: u32,
    /// Versions of which nothing may be left in the index.
    erased: RoaringBitmap,
    /// Whether the index keeps up with the changes. While it is being built, the builder comes to them in its turn.
    is_complete: bool,
    has_new_parameters: bool,
    /// What becomes of search parameters when the transaction commits.
    parameters: Vec<ParameterChange>,
}

impl IndexTransaction {
    /// Begins, in a transaction that is open on `connection`, when `last_change` is the newest change.
    pub(crate) fn begin(index: &Index, connection: &Connection, last_change: i64) -> Result<Self> {
        let base = index.state(connection)?;
        index.remove_remains(&base, connection)?;
        Ok(Self {
            snapshot: base.snapshot.clone(),
            identities: base.identities.clone(),
            commit: Commit::default(),
            documents: 0,
            erased: RoaringBitmap::new(),
            is_complete: base.is_complete(last_change),
            has_new_parameters: false,
            parameters: Vec::new(),
            base,
        })
    }

    /// Whether the index has every change.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// The state that the transaction began with.
    pub(crate) fn base(&self) -> &State {
        &self.base
    }

    /// The rows of all resources, those that the transaction has made included.
    pub(crate) fn identities(&self) -> &Identities {
        &self.identities
    }

    /// Adds the row of a resource.
    pub(crate) fn identify(&mut self, resource_type: ResourceType, id: &IdKey, key: i64) {
        self.identities.add(resource_type, id, key);
    }

    /// Adds the version that a change made.
    pub(crate) fn add(
        &mut self,
        change: i64,
        superseded: Option<i64>,
        terms: Option<&TermList>,
    ) -> Result<()> {
        if !self.is_complete {
            return Ok(());
        }
        let superseded = superseded.map(doc).transpose()?;
        let terms = terms.into_iter().flat_map(TermList::iter);
        self.documents += 1;
        self.commit
            .add(doc(change)?, superseded, terms)
            .map_err(|_| Error::Argument("the transaction has more terms than an index takes at once"))
    }

    /// Makes sure that nothing of any version of a resource is left in the index when the transaction commits.
    pub(crate) fn erase(&mut self, connection: &Connection, head: &Head) -> Result<()> {
        let mut statement = connection.prepare_cached(CHANGES_OF)?;
        let mut rows = statement.query([head.key])?;
        while let Some(row) = rows.next()? {
            self.erased.insert(doc(row.get(0)?)?);
        }
        self.erased.insert(doc(head.change)?);
        Ok(())
    }

    /// The table of search parameters was changed.
    pub(crate) fn change_parameters(&mut self) {
        self.has_new_parameters = true;
    }

    /// A SearchParameter was stored, changed or deleted. It counts for all that comes after this transaction, and is
    /// built for what was before.
    pub(crate) fn note_parameter(&mut self, old: Option<&[u8]>, new: Option<&[u8]>) {
        let (old, new) = (old.and_then(custom::in_use), new.map(|new| (custom::in_use(new), new)));
        let new = new.and_then(|(url, json)| Some((url?, json)));
        if let Some(url) = old.filter(|old| new.as_ref().is_none_or(|(url, _)| url != old)) {
            self.parameters.push(ParameterChange::Withdraw(url));
        }
        if let Some((_, json)) = new {
            self.parameters.push(ParameterChange::Add(json.to_vec()));
        }
    }

    /// The index with everything that was added so far.
    pub(crate) fn flushed(&mut self, connection: &Connection) -> Result<&Snapshot> {
        if !self.commit.is_empty() {
            let commit = std::mem::take(&mut self.commit);
            self.snapshot = self.snapshot.append(commit, &mut Tables::search(connection))?;
        }
        Ok(&self.snapshot)
    }

    /// Writes what has changed; the state to share once the transaction is committed, if there is a new one.
    ///
    /// The merges under way go on a bounded step.
    pub(crate) fn finish(
        mut self,
        connection: &Connection,
        last_change: i64,
        now_ms: i64,
        merges: &mut Merges,
    ) -> Result<Option<State>> {
        for change in std::mem::take(&mut self.parameters) {
            self.has_new_parameters |= match change {
                ParameterChange::Withdraw(url) => custom::withdraw(connection, &url)?,
                ParameterChange::Add(json) => custom::register(connection, &json, last_change)?,
            };
        }
        if self.is_complete && self.documents == 0 && !self.has_new_parameters {
            return Ok(None);
        }
        let mut next = State::clone(&self.base);
        next.generation += 1;
        if !self.is_complete {
            let is_restarted = !self.erased.is_empty() || self.has_new_parameters;
            if !is_restarted && self.identities.is_unchanged() {
                return Ok(None);
            }
            if is_restarted {
                // What was built so far has something that may not be there, or lacks something: it is built anew.
                merges.search = None;
                Tables::search(connection).clear()?;
                next.restart();
            }
        } else {
            next.covered = doc(last_change)?;
            self.flushed(connection)?;
            if self.erased.is_empty() {
                let step = Step::after(self.documents, Pace::SEARCH);
                self.snapshot = merge_search(self.snapshot, connection, now_ms, &mut merges.search, step)?;
            } else {
                merges.search = None;
                self.purge(connection)?;
            }
            next.snapshot = self.snapshot;
        }
        if !self.identities.is_unchanged() {
            next.identities = self.identities.write(connection, &mut merges.identity)?;
        }
        if self.has_new_parameters {
            next.known = Arc::new(Known::load(connection)?);
        }
        next.save(connection)?;
        Ok(Some(next))
    }

    /// Writes every segment anew that has a term of an erased version.
    fn purge(&mut self, connection: &Connection) -> Result<()> {
        let mut tables = Tables::search(connection);
        self.snapshot = self.snapshot.flush(&mut tables)?;
        let horizon = self.snapshot.last();
        while let Some(merge) = self.snapshot.merge(Choice::Purging(&self.erased), horizon) {
            self.snapshot = merge.finish(&self.snapshot, &mut tables)?;
        }
        Ok(tables.remove_remains(&self.snapshot)?)
    }
}

/// Goes on merging the search index.
pub(super) fn merge_search(
    snapshot: Snapshot,
    connection: &Connection,
    now_ms: i64,
    merge: &mut Option<Merge>,
    step: Step,
) -> Result<Snapshot> {
    merge_some(snapshot, &mut Tables::search(connection), merge, step, |snapshot| {
        // No link to a page can lead to what was superseded before.
        let time = keepwell_fhir::Instant::from_ms(now_ms.saturating_sub(LINK_AGE_MAX_MS));
        Ok(first_change_at(connection, snapshot.last(), time)?.saturating_sub(1))
    })
}
