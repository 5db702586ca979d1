//! What one transaction changes in the index.

use std::sync::Arc;

use keepwell_fhir::ResourceType;
use keepwell_index::{BULK_FAN_OUT, Choice, Commit, FAN_OUT, Merge, Snapshot};
use keepwell_search::TermList;
use roaring::RoaringBitmap;
use rusqlite::Connection;

use super::tables::Tables;
use super::{Identities, Index, Known, State, doc};
use crate::error::{Error, Result};
use crate::head::Head;
use crate::id_key::IdKey;
use crate::search::{LINK_AGE_MAX_MS, custom, first_change_at};

/// Blocks that a commit merges beside what its own documents cause. A thousand single commits make a segment of some 30
/// blocks, which is merged three or four times in its life: this is many times that, and little to wait for.
const MERGED_BLOCKS_MIN: u32 = 2;

/// Documents for which a commit merges one block. Some 25 documents fill a block, which is merged up to six times among
/// millions: all merges keep up with this, and no commit waits long for one.
const DOCUMENTS_A_MERGED_BLOCK: u32 = 4;

/// Who commits so many documents at once is going to write many more, ...
const BULK_DOCUMENTS: u32 = 1_000;

/// ... and merges half as often, evenly: an import is as fast as its slower half, preparing or writing, and one commit
/// with much to merge makes both wait.
const DOCUMENTS_A_MERGED_BLOCK_IN_BULK: u32 = 8;

/// Blocks that are removed at most for each that may be merged, so that removing keeps up.
const SWEPT_FOR_MERGED: u32 = 2;

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
                let step = Step::after(self.documents);
                self.snapshot = merge_some(self.snapshot, connection, now_ms, &mut merges.search, step)?;
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

/// How much a transaction merges.
#[derive(Clone, Copy)]
pub(super) struct Step {
    /// Blocks that are written at most.
    blocks: u32,
    /// So many neighbours become one segment.
    fan_out: u32,
}

impl Step {
    /// After a commit of so many documents.
    fn after(documents: u32) -> Self {
        let is_bulk = documents >= BULK_DOCUMENTS;
        let (documents_a_block, fan_out) = if is_bulk {
            (DOCUMENTS_A_MERGED_BLOCK_IN_BULK, BULK_FAN_OUT)
        } else {
            (DOCUMENTS_A_MERGED_BLOCK, FAN_OUT)
        };
        Self { blocks: MERGED_BLOCKS_MIN + documents / documents_a_block, fan_out }
    }

    /// While an index is built, with nobody waiting.
    pub(super) const fn building(blocks: u32) -> Self {
        Self { blocks, fan_out: BULK_FAN_OUT }
    }
}

/// Goes on with the merge under way, or begins the next one: until it is done, or so many blocks are written.
pub(super) fn merge_some(
    snapshot: Snapshot,
    connection: &Connection,
    now_ms: i64,
    merge: &mut Option<Merge>,
    step: Step,
) -> Result<Snapshot> {
    let Step { blocks, fan_out } = step;
    let mut tables = Tables::search(connection);
    // Blocks of merged segments go once no reader has a state with them.
    let snapshot = match snapshot.garbage_blocks() {
        0 => snapshot,
        _ => snapshot.sweep(&mut tables, blocks.saturating_mul(SWEPT_FOR_MERGED))?,
    };
    let choice = Choice::Tiered(fan_out);
    if merge.is_none() && snapshot.merge(choice, 0).is_some() {
        // Only now is it worth asking which superseded versions no link to a page can lead to any more.
        let time = keepwell_fhir::Instant::from_ms(now_ms.saturating_sub(LINK_AGE_MAX_MS));
        let horizon = first_change_at(connection, snapshot.last(), time)?.saturating_sub(1);
        *merge = snapshot.merge(choice, horizon);
    }
    if let Some(mut under_way) = merge.take() {
        if under_way.step(&mut tables, blocks)? {
            return Ok(under_way.finish(&snapshot, &mut tables)?);
        }
        *merge = Some(under_way);
    }
    Ok(snapshot)
}
