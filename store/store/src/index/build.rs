//! Builds the index of a store from its bodies, step by step: for a store from before there was an index, after a
//! change of the rules by which terms are made, and for search parameters that were added.
//!
//! Invariants: each step is a transaction of its own, so a build that is interrupted goes on where it was; it changes
//! no resource, no version and no change log.

use keepwell_index::{Commit, Merge};
use keepwell_search::{ParameterNumber, Term, Terms};
use rusqlite::{Connection, OptionalExtension};

use super::merging::Step;
use super::parameters::Custom;
use super::tables::Tables;
use super::transaction::merge_search;
use super::{Index, State, doc};
use crate::attachment::Attachments;
use crate::error::{Error, Result};
use crate::search::{Documents, Record};

/// Changes that one step takes apart.
const STEP_CHANGES: u32 = 2_000;

const CHANGES: &str = "
    -- build::changes
    SELECT c.sequence, c.resource, c.version, r.change = c.sequence AND r.body IS NOT NULL
    FROM change_log c JOIN resource r ON r.key = c.resource
    WHERE c.sequence BETWEEN ?1 AND ?2 ORDER BY c.sequence";
const BEFORE: &str = "
    -- build::before
    SELECT change FROM resource_version WHERE resource = ?1 AND version = ?2";
const CUSTOM_COVERED: &str = "
    -- build::custom_covered
    UPDATE search_parameter SET covered = ?2 WHERE number = ?1";

/// How far the index is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexProgress {
    /// Changes that are in the index, counted once for each parameter that was added.
    pub done: u64,
    /// All that have to be.
    pub total: u64,
}

impl IndexProgress {
    /// Whether every search is answered.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.done >= self.total
    }
}

impl State {
    /// How far the index is when `last_change` is the newest change.
    pub(crate) fn progress(&self, last_change: i64) -> IndexProgress {
        let custom = self.known.custom.iter().filter(|custom| !custom.is_ready());
        let (done, total) = custom.fold((0, 0), |(done, total), custom| {
            (done + u64::from(custom.covered), total + u64::from(custom.since))
        });
        let main = u64::from(self.covered);
        IndexProgress { done: done + main, total: total + main.max(last_change.unsigned_abs()) }
    }
}

/// Takes the next changes apart; the state to share once the transaction is committed, `None` when all is done.
pub(crate) fn step(
    index: &Index,
    connection: &Connection,
    attachments: &Attachments,
    last_change: i64,
    now_ms: i64,
    merge: &mut Option<Merge>,
) -> Result<Option<State>> {
    let base = index.state(connection)?;
    index.remove_remains(&base, connection)?;
    let documents = Documents::new(connection, attachments, &base.known, Vec::new());
    let mut next = State::clone(&base);
    next.generation += 1;
    if !base.is_complete(last_change) {
        build(&mut next, connection, &documents, doc(last_change)?)?;
    } else if let Some(custom) = base.known.custom.iter().find(|custom| !custom.is_ready()) {
        amend(&mut next, connection, &documents, custom)?;
    } else {
        return Ok(None);
    }
    let step = Step::building(STEP_CHANGES);
    next.snapshot = merge_search(next.snapshot, connection, now_ms, merge, step)?;
    next.save(connection)?;
    Ok(Some(next))
}

fn build(next: &mut State, connection: &Connection, documents: &Documents<'_>, last: u32) -> Result<()> {
    if next.covered == 0 {
        Tables::search(connection).clear()?;
    }
    let (first, until) = (next.covered + 1, next.covered.saturating_add(STEP_CHANGES).min(last));
    let mut commit = Commit::default();
    let mut changes = connection.prepare_cached(CHANGES)?;
    let mut before = connection.prepare_cached(BEFORE)?;
    let mut rows = changes.query([first, until])?;
    while let Some(row) = rows.next()? {
        let change: u32 = row.get(0)?;
        let (resource, version): (i64, i64) = (row.get(1)?, row.get(2)?);
        let superseded: Option<u32> =
            before.query_row([resource, version - 1], |row| row.get(0)).optional()?;
        // A search as of an earlier change is not answered, so what is superseded by now need not be found.
        let terms = if row.get(3)? { documents.terms_and_words(change)? } else { Terms::new() };
        commit
            .add(change, superseded.filter(|superseded| *superseded < change), terms.iter())
            .map_err(|_| Error::Corrupt)?;
    }
    next.snapshot = next.snapshot.append(commit, &mut Tables::search(connection))?;
    next.covered = until;
    next.horizon = last;
    if until == last {
        // A parameter that was added is in what was taken apart just now.
        for custom in &next.known.custom {
            connection.prepare_cached(CUSTOM_COVERED)?.execute((custom.number.0, custom.since))?;
        }
        next.known = std::sync::Arc::new(super::Known::load(connection)?);
    }
    Ok(())
}

/// Adds the terms of a parameter, and of those that were added together with it, to the changes before it.
fn amend(
    next: &mut State,
    connection: &Connection,
    documents: &Documents<'_>,
    custom: &Custom,
) -> Result<()> {
    let known = next.known.clone();
    let is_equal = |other: &&Custom| (other.since, other.covered) == (custom.since, custom.covered);
    let all: Vec<&Custom> = known.custom.iter().filter(is_equal).collect();
    let (first, until) = (custom.covered + 1, custom.covered.saturating_add(STEP_CHANGES).min(custom.since));
    let mut commit = Commit::default();
    let mut changes = connection.prepare_cached(CHANGES)?;
    let mut rows = changes.query([first, until])?;
    while let Some(row) = rows.next()? {
        let change: u32 = row.get(0)?;
        let kind = Record::identity(connection, change)?.0;
        if !row.get::<_, bool>(3)? || all.iter().all(|custom| custom.resource_type != kind) {
            continue;
        }
        let terms = documents.terms(change)?;
        let own = |term: &&[u8]| all.iter().any(|custom| is_of(term, custom.number));
        let own: Vec<&[u8]> = terms.iter().filter(own).collect();
        if !own.is_empty() {
            commit.add(change, None, own).map_err(|_| Error::Corrupt)?;
        }
    }
    next.snapshot = next.snapshot.amend(commit, &mut Tables::search(connection))?;
    for custom in all {
        connection.prepare_cached(CUSTOM_COVERED)?.execute((custom.number.0, until))?;
    }
    next.known = std::sync::Arc::new(super::Known::load(connection)?);
    Ok(())
}

fn is_of(term: &[u8], number: ParameterNumber) -> bool {
    Term::parameter(term) == number
}
