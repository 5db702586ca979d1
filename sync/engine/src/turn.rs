//! One turn of the engine: an event and all that it changes, in the caller's transaction.

use keepwell_merge::Merger;
use keepwell_protocol::{
    Body, Epoch, Hash, Id, Incarnation, ParkKind, Position, ResourceKey, Scope, Sequence, Settlement, Version,
};

use crate::defect::Defect;
use crate::edited::{Waiting, waiting};
use crate::event::Now;
use crate::replica::{ConflictRecord, ConflictState, HeldScope, Known, Replica};
use crate::report::Report;
use crate::scopes::Scopes;
use crate::state::State;

/// Members that are read at once.
pub(crate) const MEMBERS_MAX: usize = 500;

/// What a turn works with.
pub(crate) struct Turn<'a, R: Replica> {
    pub(crate) replica: &'a mut R,
    pub(crate) state: State,
    pub(crate) scopes: Scopes,
    pub(crate) merger: &'a mut Merger,
    pub(crate) report: &'a mut Report,
    pub(crate) random: &'a mut dyn FnMut() -> u64,
    pub(crate) now: Now,
    /// A hydration was begun: ask for it.
    pub(crate) wants_pull: bool,
}

impl<R: Replica> Turn<'_, R> {
    /// Whether this is the history that versions here are of: the first one that is heard of, until a resync.
    ///
    /// A device may push before it has ever pulled; from the first outcome on it has versions, and so an epoch.
    pub(crate) fn hears_of(&mut self, epoch: Epoch) -> bool {
        *self.state.epoch.get_or_insert(epoch) == epoch
    }

    pub(crate) fn next_round(&mut self) -> u64 {
        self.state.round += 1;
        self.state.round
    }

    pub(crate) fn is_in_flight(&mut self, key: &ResourceKey) -> Result<bool, R::Error> {
        Ok(self.replica.mutation_of(key)?.is_some())
    }

    /// A resource lost a membership, or what kept it without one: if there is none left, it goes.
    pub(crate) fn recheck(&mut self, key: &ResourceKey) -> Result<(), R::Error> {
        if self.is_in_flight(key)? || !self.replica.memberships(key)?.is_empty() {
            return Ok(());
        }
        match self.replica.known(key)? {
            // It never was on the server, or where it is has not been read yet.
            None | Some(Known { unplaced: Some(_), .. }) => Ok(()),
            Some(_) if Defect::KeepsLostScopes.is_on() => Ok(()),
            Some(_) => self.lose(key, ParkKind::ScopeLost),
        }
    }

    /// Gives up a resource: an edit that waits is parked, and nothing of it stays.
    pub(crate) fn lose(&mut self, key: &ResourceKey, kind: ParkKind) -> Result<(), R::Error> {
        let known = self.replica.known(key)?;
        let content = self.replica.content(key)?;
        if let Some(base) = self.replica.base(key)? {
            let version = known.as_ref().map_or(Version::ZERO, |known| known.version);
            if let Waiting::Send(..) = waiting(base.content.as_ref(), version, content.as_ref()) {
                let record = self.record(kind, key, version, base.content, content);
                self.keep_losing(record)?;
            }
            self.replica.set_base(key, None)?;
        } else if let Some(known) = known.as_ref().filter(|known| known.doubtful && known.own) {
            self.keep_lost_by_server(key, known, content)?;
        }
        self.forget(key)
    }

    /// The server lost its end, and with it a version that this device made: it goes to the archive.
    pub(crate) fn keep_lost_by_server(
        &mut self,
        key: &ResourceKey,
        known: &Known,
        content: Option<Body>,
    ) -> Result<(), R::Error> {
        if content.is_none() {
            return Ok(());
        }
        let mut record = self.record(ParkKind::Gone, key, known.version, None, content);
        // It was saved and acknowledged long ago; there is nothing that the person at this device could decide.
        record.state = ConflictState::Closed;
        self.keep_losing(record)
    }

    /// Leaves no trace of a resource.
    pub(crate) fn forget(&mut self, key: &ResourceKey) -> Result<(), R::Error> {
        if !Defect::KeepsMembershipsOfGone.is_on() {
            for scope in self.replica.memberships(key)? {
                self.leave(&scope, key)?;
            }
        }
        self.replica.set_base(key, None)?;
        self.replica.set_held(key, None)?;
        self.set_known(key, None)?;
        self.replica.purge(key)?;
        self.report.purged += 1;
        self.blank(key)
    }

    /// Removes the contents from records of a resource that may no longer be here, once the server has them.
    pub(crate) fn blank(&mut self, key: &ResourceKey) -> Result<(), R::Error> {
        for mut record in self.replica.conflicts_of(key)? {
            if record.is_archived
                && (record.mine.is_some() || record.base.is_some() || record.theirs.is_some())
            {
                (record.base, record.mine, record.theirs, record.outcome) = (None, None, None, None);
                self.replica.set_conflict(&record)?;
            }
        }
        Ok(())
    }

    /// A record of an edit that lost.
    pub(crate) fn record(
        &mut self,
        kind: ParkKind,
        key: &ResourceKey,
        base_version: Version,
        base: Option<Body>,
        mine: Option<Body>,
    ) -> ConflictRecord {
        ConflictRecord::open(self.draw_id(), kind, key, base_version, (base, mine), self.now.wall)
    }

    pub(crate) fn keep_losing(&mut self, record: ConflictRecord) -> Result<(), R::Error> {
        self.report.lost += 1;
        if Defect::ForgetsLosing.is_on() {
            return Ok(());
        }
        self.replica.set_conflict(&record)
    }

    fn draw_id(&mut self) -> Id {
        let (high, low) = ((self.random)(), (self.random)());
        format!("{high:016x}{low:016x}").parse().expect("hexadecimal digits are an id")
    }

    /// Begins another life of the database: numbers start anew, and what was frozen waits again.
    pub(crate) fn begin_incarnation(&mut self) -> Result<(), R::Error> {
        self.report.incarnations += 1;
        self.state.incarnation = Incarnation::new((self.random)());
        self.state.next = Sequence::ZERO.next().expect("one is a small number");
        let mut waiting_again = Vec::new();
        loop {
            let mutations = self.replica.mutations(Sequence::ZERO, MEMBERS_MAX)?;
            if mutations.is_empty() {
                break;
            }
            for frozen in mutations {
                self.replica.remove_mutation(frozen.mutation().sequence)?;
                waiting_again.push(frozen.into_mutation().key);
            }
        }
        for key in self.replica.all_held()? {
            if Defect::ForgetsHeld.is_on() {
                self.replica.set_held(&key, None)?;
            } else {
                self.release(&key)?;
            }
        }
        // Its scopes may have been lost while it was in flight.
        waiting_again.iter().try_for_each(|key| self.recheck(key))
    }

    /// Whether the server has decided a number that was not given here: by another life of this database, which was restored
    /// and not told so.
    pub(crate) fn is_overtaken(&self, decided: Sequence) -> bool {
        decided >= self.state.next && !Defect::KeepsIncarnation.is_on()
    }

    /// Whether the server has decided the first of what it was sent and does not tell how in its answer to that push: it has
    /// forgotten it, since another life of this database had read it. What an answer has no room for comes behind the first.
    pub(crate) fn is_forgotten(&mut self, decided: Sequence, told: &[Settlement]) -> Result<bool, R::Error> {
        let lowest = self.replica.mutations(Sequence::ZERO, 1)?;
        let Some(lowest) = lowest.first().map(|frozen| frozen.mutation().sequence) else { return Ok(false) };
        let is_told = told.first().is_some_and(|told| told.sequence <= lowest);
        Ok(lowest <= decided && !is_told && !Defect::KeepsIncarnation.is_on())
    }

    /// Everything is fetched anew. With `is_other_history`, nothing that is known is comparable any more.
    pub(crate) fn resync(&mut self, is_other_history: bool) -> Result<(), R::Error> {
        self.report.resyncs += 1;
        self.replica.clear_stage(None)?;
        if is_other_history && !Defect::IgnoresEpochs.is_on() {
            for key in self.replica.all_held()? {
                self.replica.set_held(&key, None)?;
            }
            self.replica.doubt()?;
            self.begin_incarnation()?;
            self.state.is_doubtful = true;
        }
        if is_other_history {
            self.state.epoch = None;
            self.state.clock = Position::ZERO;
        }
        self.state.is_stale = true;
        self.restart_scopes()
    }

    /// All scopes are read from the start, together.
    pub(crate) fn restart_scopes(&mut self) -> Result<(), R::Error> {
        self.state.position = None;
        self.wants_pull = true;
        let round = self.next_round();
        for held in self.scopes.iter().cloned().collect::<Vec<_>>() {
            let held = HeldScope { position: None, is_complete: false, round, ..held };
            self.scopes.set(self.replica, held)?;
        }
        Ok(())
    }

    /// One scope is read from the start, beside the others.
    pub(crate) fn rehydrate(&mut self, scope: &Scope) -> Result<(), R::Error> {
        let round = self.next_round();
        let is_started = self.state.position.is_some();
        let Some(held) = self.scopes.get(scope).cloned() else { return Ok(()) };
        let position = is_started.then_some(Position::ZERO);
        self.scopes.set(self.replica, HeldScope { is_complete: false, round, position, ..held })?;
        self.replica.clear_stage(Some(scope))?;
        self.wants_pull = true;
        Ok(())
    }

    /// Access to a scope was lost, or given anew: what it held has to go, or to come again.
    pub(crate) fn drop_scope(&mut self, scope: &Scope) -> Result<(), R::Error> {
        self.scopes.forget(scope);
        self.replica.clear_stage(Some(scope))?;
        loop {
            let members = self.replica.members_below(scope, u64::MAX, MEMBERS_MAX)?;
            if members.is_empty() {
                return self.replica.remove_scope(scope);
            }
            for key in members {
                self.leave(scope, &key)?;
                self.recheck(&key)?;
            }
        }
    }
}

/// The hash of a body, if there is one.
pub(crate) fn hash(body: Option<&Body>) -> Option<Hash> {
    body.map(Body::hash)
}
