//! Pull: what is asked for, and what a page changes.

use std::collections::{BTreeMap, BTreeSet};

use keepwell_protocol::{
    DeltaRow, Error, Grant, Position, PullEnd, PullHead, PullItem, PullRequest, RequestId, ResourceKey, Row,
    Scope, ScopeDigest, Sequence, Settlement, VERSION_MAX, limits,
};

use crate::defect::Defect;
use crate::replica::{HeldScope, Known, Replica};
use crate::turn::{MEMBERS_MAX, Turn};

/// Hydrations in a row after which a scope whose digest still differs is left alone, and reported.
const MISMATCHES_MAX: u32 = 3;

/// What became of an answer.
pub(crate) enum Page {
    /// It was for another question.
    Discarded,
    /// There is more to ask for.
    More,
    /// A checkpoint; ask again after this many milliseconds.
    Checkpoint(u32),
    /// It holds something that this program does not know.
    Unknown,
    /// It tells what changed against a body that is not here. Nothing of it was used.
    Unreadable,
}

type RowsAndOutcomes = (Vec<Row>, Vec<Settlement>);

impl<R: Replica> Turn<'_, R> {
    /// What would be asked now.
    pub(crate) fn next_pull(
        &mut self,
        req: RequestId,
        rows: u32,
        wait_ms: u32,
    ) -> Result<PullRequest, R::Error> {
        Ok(PullRequest {
            v: VERSION_MAX,
            incarnation: self.state.incarnation,
            req,
            cursor: self.state.cursor(),
            scopes: self.scopes.read(),
            hydrating: self.scopes.hydrating().collect(),
            rows,
            bytes: limits::PULL_BYTES,
            wait_ms,
            ack: self.ack()?,
            whole: false,
        })
    }

    /// Takes over a page.
    pub(crate) fn page(
        &mut self,
        asked: &PullRequest,
        head: PullHead,
        items: Vec<PullItem>,
        end: Result<PullEnd, Error>,
    ) -> Result<Page, R::Error> {
        let now = self.next_pull(asked.req, asked.rows, asked.wait_ms)?;
        if (head.req != asked.req || !asked.stands(&now)) && !Defect::TakesStaleAnswers.is_on() {
            return Ok(Page::Discarded);
        }
        if !self.hears_of(head.epoch) {
            self.resync(true)?;
            self.state.epoch = Some(head.epoch);
            return Ok(Page::More);
        }
        let Some((rows, outcomes)) = self.read(items)? else { return Ok(Page::Unreadable) };
        if self.is_overtaken(head.last_seq) || !self.are_own(&outcomes)? {
            self.begin_incarnation()?;
            return Ok(Page::Discarded);
        }
        self.state.clock = self.state.clock.max(head.clock);
        let round = self.state.round;
        let is_unknown = matches!(end, Err(Error::UnknownOutcome | Error::UnknownRowState));
        if !Defect::SettlesLate.is_on() {
            outcomes.clone().into_iter().try_for_each(|settlement| self.settle(settlement))?;
        }
        let is_changed = head.grants.is_some();
        if let Some(grants) = head.grants {
            self.take_grants(&grants)?;
        } else {
            let upto = end.as_ref().map_or_else(|_| before_last(&rows), |end| Some(end.upto));
            let is_checkpoint = end.as_ref().is_ok_and(|end| !end.more);
            if is_checkpoint {
                self.publish()?;
            }
            rows.into_iter().try_for_each(|row| self.receive(row, is_checkpoint))?;
            if let Some(upto) = upto {
                self.advance(upto, round)?;
            }
        }
        if Defect::SettlesLate.is_on() {
            outcomes.into_iter().try_for_each(|settlement| self.settle(settlement))?;
        }
        Ok(match end {
            _ if is_unknown => Page::Unknown,
            Ok(end) if !end.more && !is_changed => {
                let digests = if self.is_ahead(head.last_seq)? { &[][..] } else { &end.digests };
                self.checkpoint(asked, end.upto, digests)?;
                if self.wants_pull { Page::More } else { Page::Checkpoint(end.next_ms) }
            }
            _ => Page::More,
        })
    }

    /// The rows of a page, each with its body, and the outcomes; none if a body cannot be made.
    fn read(&mut self, items: Vec<PullItem>) -> Result<Option<RowsAndOutcomes>, R::Error> {
        let (mut rows, mut outcomes) = (Vec::new(), Vec::new());
        for item in items {
            match item {
                PullItem::Outcome(settlement) => outcomes.push(settlement),
                PullItem::Row(row) => rows.push(row),
                PullItem::Delta(delta) => match self.whole(delta)? {
                    Some(row) => rows.push(row),
                    None if Defect::SkipsUnreadableRows.is_on() => {}
                    None => return Ok(None),
                },
            }
        }
        Ok(Some((rows, outcomes)))
    }

    /// Whether these are of lines that were sent from here: not so if the database went back and was not told.
    fn are_own(&mut self, outcomes: &[Settlement]) -> Result<bool, R::Error> {
        for Settlement { sequence, line, .. } in outcomes {
            let frozen = self.replica.mutation(*sequence)?;
            if frozen.is_some_and(|frozen| *line != Some(frozen.hash().into())) {
                return Ok(Defect::TrustsOutcomes.is_on() || Defect::KeepsIncarnation.is_on());
            }
        }
        Ok(true)
    }

    /// A row with its body, which is made of what the server had before.
    fn whole(&mut self, row: DeltaRow) -> Result<Option<Row>, R::Error> {
        let theirs = match self.replica.base(&row.key)? {
            Some(base) => base.content,
            None => self.replica.content(&row.key)?,
        };
        let Some(theirs) = theirs else { return Ok(None) };
        // An outcome may have come with this version.
        let known = self.replica.known(&row.key)?.filter(|known| !known.doubtful);
        if known.is_some_and(|known| known.version == row.version && known.hash == Some(theirs.hash())) {
            return Ok(Some(row.with_body(theirs)));
        }
        Ok(row.join(&theirs).ok())
    }

    /// Drops scopes that are no longer granted in their generation, and begins with those that are new.
    fn take_grants(&mut self, grants: &[Grant]) -> Result<(), R::Error> {
        let granted: BTreeMap<&Scope, _> =
            grants.iter().map(|Grant(scope, generation)| (scope, *generation)).collect();
        let is_over = |held: &HeldScope| match granted.get(&held.scope) {
            None => true,
            Some(generation) => *generation != held.generation && !Defect::IgnoresGenerations.is_on(),
        };
        let over: Vec<Scope> =
            self.scopes.iter().filter(|held| is_over(held)).map(|held| held.scope.clone()).collect();
        for scope in &over {
            self.drop_scope(scope)?;
        }
        let is_started = self.state.position.is_some();
        for (scope, generation) in granted {
            if let Some(held) = self.scopes.get(scope) {
                if held.generation != generation {
                    let held = HeldScope { generation, ..held.clone() };
                    self.scopes.set(self.replica, held)?;
                }
                continue;
            }
            let held = HeldScope {
                scope: scope.clone(),
                generation,
                round: self.next_round(),
                position: is_started.then_some(Position::ZERO),
                is_complete: false,
                mismatches: 0,
            };
            self.scopes.set(self.replica, held)?;
        }
        if self.scopes.iter().filter(|held| held.position.is_some()).count() > limits::HYDRATING_MAX {
            // More than a request can name: then all from the start.
            self.replica.clear_stage(None)?;
            self.restart_scopes()?;
        }
        Ok(())
    }

    /// All that was asked for has been read up to here. Hydrations of rounds behind `round` were begun by this very page,
    /// and nothing of them was asked for.
    fn advance(&mut self, upto: Position, round: u64) -> Result<(), R::Error> {
        let cursor = self.state.position.map_or(upto, |position| position.max(upto));
        self.state.position = Some(cursor);
        let is_begun = |held: &HeldScope| held.round > round && !held.is_complete;
        let moved = self.scopes.iter().filter(|held| is_begun(held) || held.position.is_some());
        for held in moved.cloned().collect::<Vec<_>>() {
            let position = if is_begun(&held) {
                Some(Position::ZERO)
            } else {
                held.position.map(|position| position.max(upto)).filter(|position| *position < cursor)
            };
            self.scopes.set(self.replica, HeldScope { position, ..held })?;
        }
        Ok(())
    }

    /// Everything that is granted has been read up to `upto`.
    fn checkpoint(
        &mut self,
        asked: &PullRequest,
        upto: Position,
        digests: &[ScopeDigest],
    ) -> Result<(), R::Error> {
        self.report.checkpoints += 1;
        let incomplete: Vec<HeldScope> =
            self.scopes.iter().filter(|held| !held.is_complete && held.position.is_none()).cloned().collect();
        for held in incomplete {
            self.sweep(&held)?;
            self.scopes.set(self.replica, HeldScope { is_complete: true, ..held })?;
        }
        self.place(upto)?;
        self.state.is_stale = false;
        self.state.is_doubtful = false;
        if asked.cursor.is_some() || !digests.is_empty() {
            self.compare(digests)?;
        }
        Ok(())
    }

    /// Takes out members that a hydration did not name.
    fn sweep(&mut self, held: &HeldScope) -> Result<(), R::Error> {
        if Defect::DoesNotSweep.is_on() {
            return Ok(());
        }
        loop {
            let gone = self.replica.members_below(&held.scope, held.round, MEMBERS_MAX)?;
            if gone.is_empty() {
                return Ok(());
            }
            for key in gone {
                self.leave(&held.scope, &key)?;
                self.recheck(&key)?;
            }
        }
    }

    /// Own writes up to here have been read with the scopes that they are in: those in none are not for this device.
    fn place(&mut self, upto: Position) -> Result<(), R::Error> {
        loop {
            let placed = self.replica.unplaced(upto, MEMBERS_MAX)?;
            if placed.is_empty() {
                return Ok(());
            }
            for key in placed {
                if let Some(known) = self.replica.known(&key)? {
                    self.set_known(&key, Some(&Known { unplaced: None, ..known }))?;
                }
                self.recheck(&key)?;
            }
        }
    }

    /// Whether a mutation was settled here that was not yet decided in the snapshot of a page: a push that overtook it may
    /// have taken resources away that are still in the page's digests.
    fn is_ahead(&mut self, decided: Sequence) -> Result<bool, R::Error> {
        let numbered = self.state.next.get().saturating_sub(decided.get() + 1);
        let Some(first) = decided.next() else { return Ok(false) };
        let open = self.replica.mutations(first, limits::MUTATIONS_MAX)?;
        Ok((open.len() as u64) < numbered)
    }

    /// Compares what scopes hold here and there. One that differs is fetched anew.
    fn compare(&mut self, digests: &[ScopeDigest]) -> Result<(), R::Error> {
        if digests.is_empty() {
            return Ok(());
        }
        // Writes that were settled since the page was read are not in its digests, nor are rows that were held back.
        let newest = Position::new((1 << 53) - 1).expect("the highest number");
        if !self.replica.unplaced(newest, 1)?.is_empty() {
            return Ok(());
        }
        let held = self.replica.all_held()?;
        let held_back = self.scopes_of(held)?;
        for theirs in digests.iter().filter(|theirs| !held_back.contains(&theirs.0)) {
            let Some(held) = self.scopes.get(&theirs.0).filter(|held| held.is_complete).cloned() else {
                continue;
            };
            let is_same = self.agrees(&theirs.0, theirs.digest())?;
            let mismatches = if is_same { 0 } else { held.mismatches + 1 };
            if mismatches != held.mismatches {
                self.scopes.set(self.replica, HeldScope { mismatches, ..held })?;
            }
            if !is_same {
                self.report.diverged += 1;
                if mismatches <= MISMATCHES_MAX {
                    self.rehydrate(&theirs.0)?;
                }
            }
        }
        Ok(())
    }

    fn scopes_of(&mut self, keys: Vec<ResourceKey>) -> Result<BTreeSet<Scope>, R::Error> {
        let mut scopes = BTreeSet::new();
        for key in keys {
            scopes.extend(self.replica.memberships(&key)?);
        }
        Ok(scopes)
    }
}

/// How far a page reaches that was cut off: its last position may have more rows.
fn before_last(rows: &[Row]) -> Option<Position> {
    rows.last().and_then(|row| Position::new(row.position.get().saturating_sub(1)))
}
