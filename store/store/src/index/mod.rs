//! The search index of a store: which state of it a connection sees, and how it changes with a transaction.
//!
//! The index itself is keepwell-index; here it gets its tables, its documents (the versions of resources, numbered by
//! their changes) and its parameters. The state in memory is shared and never changed; a transaction that commits puts
//! the next one in its place.
//!
//! Beside it is the index from types and ids to rows ([`Identities`]), of the same state.
//!
//! Invariants: a reader's state is the one of its own read transaction; a transaction that is rolled back leaves the
//! state as it was; every change up to `covered` is in the index, with the terms of its body.

mod build;
mod identity;
mod merging;
mod parameters;
mod tables;
mod transaction;
mod view;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keepwell_index::{Merge, Options, Snapshot};
use keepwell_search::{Facet, ParameterNumber, Term};
use rusqlite::{Connection, params};

pub use self::build::IndexProgress;
pub(crate) use self::identity::Identities;
use self::merging::{Step, is_settled};
pub(crate) use self::parameters::Known;
pub(crate) use self::tables::Tables;
use self::transaction::merge_search;
pub(crate) use self::transaction::{IndexTransaction, Merges};
pub(crate) use self::view::View;
use crate::attachment::Attachments;
use crate::error::{Error, Result};

/// The version of the rules by which bodies become terms. Raised by whoever changes what terms a body has: an index
/// that was made by other rules is made anew.
const RULES: i64 = 2;

const STATE: &str = "
    -- index::state
    SELECT generation, covered, horizon, rules FROM search_state";
const SET_STATE: &str = "
    -- index::set_state
    UPDATE search_state SET generation = ?1, covered = ?2, horizon = ?3, rules = ?4, identified = ?5";
const IDENTIFIED: &str = "
    -- index::identified
    SELECT identified FROM search_state";

/// How often a reader looks for the shared state that fits its transaction before it reads one of its own.
const LOOKS: usize = 3;

/// One state of the index.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) generation: i64,
    /// Changes up to this one are in the index.
    pub(crate) covered: u32,
    /// The first change that can be searched as of.
    pub(crate) horizon: u32,
    pub(crate) snapshot: Snapshot,
    pub(crate) known: Arc<Known>,
    pub(crate) identities: Identities,
}

/// The shared state: loaded when it is first needed, so that opening a store does not wait for it.
pub(crate) struct Index {
    current: Mutex<Option<Arc<State>>>,
    /// Whether blocks may be there that no segment has: after a start, and after a merge that was given up.
    has_remains: AtomicBool,
    /// Whether nothing is left to build, as far as is known.
    is_built: AtomicBool,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            current: Mutex::default(),
            has_remains: AtomicBool::new(true),
            is_built: AtomicBool::new(false),
        }
    }
}

impl Index {
    fn current(&self) -> MutexGuard<'_, Option<Arc<State>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state that the transaction which is open on `connection` sees.
    pub(crate) fn state(&self, connection: &Connection) -> Result<Arc<State>> {
        let generation = generation(connection)?;
        if let Some(current) = self.current().as_ref().filter(|current| current.generation == generation) {
            return Ok(current.clone());
        }
        let loaded = Arc::new(State::load(connection)?);
        let mut current = self.current();
        if current.as_ref().is_none_or(|current| current.generation < loaded.generation) {
            *current = Some(loaded.clone());
        }
        Ok(loaded)
    }

    /// Whether the transaction that is open on `connection` sees the state that is shared.
    fn is_current(&self, connection: &Connection) -> Result<bool> {
        let generation = generation(connection)?;
        Ok(self.current().as_ref().is_none_or(|current| current.generation == generation))
    }

    /// Begins a read transaction and finds the state that it sees.
    ///
    /// A commit is on the disk a moment before its state is shared, so a reader that comes in between looks again.
    pub(crate) fn read<'c>(
        &self,
        connection: &'c Connection,
    ) -> Result<(rusqlite::Transaction<'c>, Arc<State>)> {
        for _ in 0..LOOKS {
            let transaction = connection.unchecked_transaction()?;
            if self.is_current(&transaction)? {
                let state = self.state(&transaction)?;
                return Ok((transaction, state));
            }
            drop(transaction);
            std::thread::yield_now();
        }
        let transaction = connection.unchecked_transaction()?;
        let state = self.state(&transaction)?;
        Ok((transaction, state))
    }

    /// Shares the state that a transaction has committed.
    pub(crate) fn publish(&self, state: State) {
        if !state.known.is_ready() {
            self.build_again();
        }
        *self.current() = Some(Arc::new(state));
        self.has_remains.store(false, Ordering::Relaxed);
    }

    /// A transaction failed: what it had merged is to be removed.
    pub(crate) fn give_up(&self) {
        self.has_remains.store(true, Ordering::Relaxed);
    }

    /// Whether the builder may have something to do.
    pub(crate) fn may_need_building(&self) -> bool {
        !self.is_built.load(Ordering::Relaxed)
    }

    /// Takes the next changes apart, in a transaction that is open on `connection`; the state to share once it is
    /// committed, `None` when all is done.
    pub(crate) fn build(
        &self,
        connection: &Connection,
        attachments: &Attachments,
        last_change: i64,
        now_ms: i64,
        merge: &mut Option<Merge>,
    ) -> Result<Option<State>> {
        let next = build::step(self, connection, attachments, last_change, now_ms, merge)?;
        self.is_built.store(next.is_none(), Ordering::Relaxed);
        Ok(next)
    }

    /// Whether rows up to this one are found by their ids: not those that an older program made.
    pub(crate) fn is_identified(&self, connection: &Connection, last_resource: i64) -> Result<bool> {
        let identified: i64 = connection.prepare_cached(IDENTIFIED)?.query_row([], |row| row.get(0))?;
        Ok(identified >= last_resource)
    }

    /// Takes in the next rows that are not, in a transaction that is open on `connection`; the state to share once it
    /// is committed, `None` when there are no more.
    pub(crate) fn identify(
        &self,
        connection: &Connection,
        merge: &mut Option<Merge>,
    ) -> Result<Option<State>> {
        let base = self.state(connection)?;
        self.remove_remains(&base, connection)?;
        let Some(identities) = base.identities.catch_up(connection, merge)? else { return Ok(None) };
        let next = State { generation: base.generation + 1, identities, ..State::clone(&base) };
        next.save(connection)?;
        Ok(Some(next))
    }

    /// Merges on while nothing is written, in a transaction that is open on `connection`; the state to share once it is
    /// committed, `None` when few segments are left.
    pub(crate) fn settle(
        &self,
        connection: &Connection,
        now_ms: i64,
        merges: &mut Merges,
    ) -> Result<Option<State>> {
        let base = self.state(connection)?;
        self.remove_remains(&base, connection)?;
        let mut next = State::clone(&base);
        let identities = base.identities.settle(connection, &mut merges.identity)?;
        if identities.is_none() && is_settled(&base.snapshot, merges.search.as_ref()) {
            return Ok(None);
        }
        next.identities = identities.unwrap_or(next.identities);
        let step = Step::settling();
        next.snapshot = merge_search(next.snapshot, connection, now_ms, &mut merges.search, step)?;
        next.generation += 1;
        next.save(connection)?;
        Ok(Some(next))
    }

    /// There is something to build again.
    pub(crate) fn build_again(&self) {
        self.is_built.store(false, Ordering::Relaxed);
    }

    /// Removes what merges may have left that were given up, if it is not known that nothing is.
    fn remove_remains(&self, state: &State, connection: &Connection) -> Result<()> {
        if self.has_remains.load(Ordering::Relaxed) {
            Tables::search(connection).remove_remains(&state.snapshot)?;
            Tables::identity(connection).remove_remains(state.identities.snapshot())?;
        }
        Ok(())
    }
}

impl State {
    /// Reads a state from the tables.
    fn load(connection: &Connection) -> Result<Self> {
        let (generation, covered, horizon, rules): (i64, u32, u32, i64) =
            connection
                .prepare_cached(STATE)?
                .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        let known = Arc::new(Known::load(connection)?);
        let identities = Identities::load(connection)?;
        if rules != RULES {
            // What is there was made by other rules: it counts as nothing, and building it anew removes it.
            let snapshot = Snapshot::empty(options());
            return Ok(Self { generation, covered: 0, horizon: 0, snapshot, known, identities });
        }
        let tables = Tables::search(connection);
        let snapshot =
            Snapshot::open(options(), tables.segments()?, tables.pending()?).map_err(|_| Error::Corrupt)?;
        Ok(Self { generation, covered, horizon, snapshot, known, identities })
    }

    /// Whether every change up to `last_change` is in the index.
    pub(crate) fn is_complete(&self, last_change: i64) -> bool {
        i64::from(self.covered) >= last_change
    }

    /// Forgets everything that is in the index: it is built from the first change on.
    fn restart(&mut self) {
        self.covered = 0;
        self.horizon = 0;
        self.snapshot = Snapshot::empty(options());
    }

    fn save(&self, connection: &Connection) -> Result<()> {
        let values = params![self.generation, self.covered, self.horizon, RULES, self.identities.last()];
        connection.prepare_cached(SET_STATE)?.execute(values)?;
        Ok(())
    }
}

/// Ids, and what refers to resources, are looked up one by one.
fn options() -> Options {
    Options { filtered: vec![Term::head(ParameterNumber::ID, Facet::Reference).into_bytes()] }
}

fn generation(connection: &Connection) -> Result<i64> {
    let mut statement =
        connection.prepare_cached("-- index::generation\nSELECT generation FROM search_state")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// The number of a change as the index keeps it.
pub(crate) fn doc(sequence: i64) -> Result<u32> {
    u32::try_from(sequence).map_err(|_| Error::Argument("a store has at most 2^32 changes"))
}

impl From<keepwell_index::Error<rusqlite::Error>> for Error {
    fn from(error: keepwell_index::Error<rusqlite::Error>) -> Self {
        match error {
            keepwell_index::Error::Storage(error) => error.into(),
            _ => Self::Corrupt,
        }
    }
}

#[cfg(test)]
mod tests;
