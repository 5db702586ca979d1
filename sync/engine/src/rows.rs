//! Rows: what the server tells of a resource, and how it is joined with an edit that waits here.

use keepwell_fhir::Instant;
use keepwell_merge::RULES_VERSION;
use keepwell_protocol::{
    Body, Decision, Merge, ParkKind, Position, ResourceKey, Row, RowState, Scope, Version,
};

use crate::defect::Defect;
use crate::join::{Joined, join};
use crate::replica::{Base, ConflictRecord, ConflictState, Known, Replica};
use crate::turn::{Turn, hash};

/// A version of the server's.
struct Theirs {
    version: Version,
    at: Option<Instant>,
    /// None if it was deleted.
    content: Option<Body>,
    /// The scope whose row told it.
    scope: Option<Scope>,
}

/// What waits again of an edit that met another version, with the paths that were taken from it if it was merged; none
/// if it is in theirs, or lost.
type Waits = Option<(Option<Body>, Option<Vec<String>>)>;

impl<R: Replica> Turn<'_, R> {
    /// Notes a row of a page: at once, or for the next checkpoint.
    pub(crate) fn receive(&mut self, row: Row, is_checkpoint: bool) -> Result<(), R::Error> {
        self.report.rows += 1;
        if !self.scopes.holds(&row.scope) && !Defect::TakesUnheldRows.is_on() {
            return Ok(());
        }
        if is_checkpoint || Defect::PublishesEarly.is_on() || !self.is_published(&row)? {
            return self.apply(row);
        }
        self.replica.stage(&row)
    }

    /// Whether readers rely on the resource being whole: then it changes at a checkpoint, with all others.
    fn is_published(&mut self, row: &Row) -> Result<bool, R::Error> {
        let is_complete =
            |turn: &Self, scope: &Scope| turn.scopes.get(scope).is_some_and(|held| held.is_complete);
        if is_complete(self, &row.scope) {
            return Ok(true);
        }
        let memberships = self.replica.memberships(&row.key)?;
        Ok(memberships.iter().any(|scope| is_complete(self, scope)))
    }

    /// Applies the rows that waited for a checkpoint.
    pub(crate) fn publish(&mut self) -> Result<(), R::Error> {
        loop {
            let rows = self.replica.unstage(crate::turn::MEMBERS_MAX)?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in rows {
                self.apply(row)?;
            }
        }
    }

    /// Applies a row now: its membership at once, its content unless a mutation of the resource is in flight.
    fn apply(&mut self, row: Row) -> Result<(), R::Error> {
        let round = match self.scopes.get(&row.scope) {
            Some(held) => held.round,
            None if Defect::TakesUnheldRows.is_on() => 0,
            None => return Ok(()),
        };
        let is_in_flight = self.is_in_flight(&row.key)?;
        let known = self.replica.known(&row.key)?;
        match row.state {
            RowState::Left => {
                if is_in_flight && Defect::HoldsLeft.is_on() {
                    return self.hold(row);
                }
                self.leave(&row.scope, &row.key)?;
                return self.recheck(&row.key);
            }
            // The tombstone of a resource that never was here is of no use.
            RowState::Deleted if known.is_none() && self.replica.base(&row.key)?.is_none() => {
                return self.leave(&row.scope, &row.key);
            }
            // It was sent from here, and is no longer here.
            RowState::Own(_)
                if known.is_none()
                    && self.replica.base(&row.key)?.is_none()
                    && !Defect::EntersGivenUp.is_on() =>
            {
                return self.rehydrate(&row.scope);
            }
            // It was made anew since, elsewhere.
            RowState::Deleted
                if known.is_some_and(|known| {
                    !known.doubtful && known.hash.is_some() && known.version > row.version
                }) =>
            {
                self.leave(&row.scope, &row.key)?;
                return self.recheck(&row.key);
            }
            _ if Defect::EntersNotWhileEditsWait.is_on() && self.replica.base(&row.key)?.is_some() => {}
            _ => self.enter(&row.scope, &row.key, round)?,
        }
        if is_in_flight && !Defect::AppliesOverInFlight.is_on() { self.hold(row) } else { self.take(row) }
    }

    /// Keeps the newest row until the mutation in flight is settled.
    fn hold(&mut self, row: Row) -> Result<(), R::Error> {
        let held = self.replica.held(&row.key)?;
        let known = self.replica.known(&row.key)?;
        if row.state != RowState::Deleted && is_tombstone(held.as_ref(), known.as_ref()) {
            self.leave_tombstone(&row.key, Some(&row.scope))?;
        }
        if held.is_none_or(|held| held.position <= row.position) {
            self.replica.set_held(&row.key, Some(&row))?;
        }
        Ok(())
    }

    /// Takes the row that was held back, now that nothing is in flight.
    pub(crate) fn release(&mut self, key: &ResourceKey) -> Result<(), R::Error> {
        let Some(row) = self.replica.held(key)? else { return Ok(()) };
        self.replica.set_held(key, None)?;
        if row.state == RowState::Left {
            self.leave(&row.scope, key)?;
            return Ok(());
        }
        // All scopes of it may have been lost since, though it waits for a page.
        let is_unplaced = self.replica.known(key)?.is_some_and(|known| known.unplaced.is_some());
        let is_for_here = is_unplaced && self.scopes.holds(&row.scope);
        if self.replica.memberships(key)?.is_empty() && !is_for_here {
            return Ok(());
        }
        if Defect::TakesOldHeld.is_on()
            && let Some(known) = self.replica.known(key)?
        {
            self.set_known(key, Some(&Known { doubtful: true, ..known }))?;
        }
        self.take(row)
    }

    /// Takes over what a row says, unless that is known. No mutation of the resource is in flight.
    pub(crate) fn take(&mut self, row: Row) -> Result<(), R::Error> {
        let known = self.replica.known(&row.key)?;
        if let Some(known) = known.as_ref().filter(|known| !known.doubtful) {
            let is_same = || match &row.state {
                RowState::In(body) => known.hash == Some(body.hash()),
                RowState::Deleted => known.hash.is_none(),
                _ => true,
            };
            // Of the same version and another content: what is here was damaged.
            if row.version < known.version || (row.version == known.version && is_same()) {
                return Ok(());
            }
        }
        let content = match row.state {
            RowState::In(body) => Some(body),
            RowState::Deleted => None,
            // It was sent from here, and is no longer here.
            _ => return self.rehydrate(&row.scope),
        };
        let theirs = Theirs { version: row.version, at: row.at, content, scope: Some(row.scope) };
        match self.replica.base(&row.key)? {
            Some(base) => self.rebase(&row.key, known, base, theirs),
            None => {
                if let Some(known) = known.as_ref().filter(|known| known.doubtful && known.own)
                    && hash(theirs.content.as_ref()) != known.hash
                {
                    let content = self.replica.content(&row.key)?;
                    self.keep_lost_by_server(&row.key, known, content)?;
                }
                if known.is_none() {
                    self.give_way(&row.key, &theirs)?;
                }
                self.show(&row.key, &theirs)?;
                if known.is_some() {
                    self.close_included(&row.key, theirs.content.as_ref())?;
                }
                self.learn(&row.key, known, &theirs)
            }
        }
    }

    /// Closes the conflicts whose losing edit is in what the server has now: there is nothing left to decide.
    fn close_included(&mut self, key: &ResourceKey, content: Option<&Body>) -> Result<(), R::Error> {
        for mut record in self.replica.conflicts_of(key)? {
            let is_open = record.state == ConflictState::Open && record.kind == ParkKind::Conflict;
            // Of a deletion nothing can be in a content, and contents that were blanked say nothing.
            let Some(mine) = record.mine.as_ref().filter(|_| is_open) else { continue };
            let (base, theirs) = (record.base.as_ref(), record.theirs.as_ref());
            // Where this device's own is what is seen, it is the other edit that lost.
            let shows_mine =
                matches!(join(self.merger, base, Some(mine), theirs), Joined::Lost { shows_mine: true, .. });
            if !shows_mine && join(self.merger, base, Some(mine), content) == Joined::Theirs {
                (record.state, record.decision) = (ConflictState::Closed, Some(Decision::Included));
                record.is_archived = false;
                self.replica.set_conflict(&record)?;
            }
        }
        Ok(())
    }

    /// What was on this device only gives way to what the server has under the same id, and waits for a person.
    fn give_way(&mut self, key: &ResourceKey, theirs: &Theirs) -> Result<(), R::Error> {
        let mine = self.replica.content(key)?;
        if mine.is_none() || mine == theirs.content || Defect::OverwritesKept.is_on() {
            return Ok(());
        }
        let record = self.record(ParkKind::Conflict, key, Version::ZERO, None, mine);
        self.keep_losing(ConflictRecord {
            theirs_version: Some(theirs.version),
            theirs: theirs.content.clone(),
            ..record
        })
    }

    /// Lets readers see a version of the server's.
    fn show(&mut self, key: &ResourceKey, theirs: &Theirs) -> Result<(), R::Error> {
        self.report.stored += 1;
        match &theirs.content {
            Some(body) => self.replica.put(key, body, Some(theirs.version), theirs.at),
            None => self.replica.delete(key, theirs.version, theirs.at),
        }
    }

    /// Notes that this is what the server has.
    fn learn(&mut self, key: &ResourceKey, before: Option<Known>, theirs: &Theirs) -> Result<(), R::Error> {
        if theirs.content.is_some() && theirs.scope.is_some() && is_tombstone(None, before.as_ref()) {
            self.leave_tombstone(key, theirs.scope.as_ref())?;
        }
        let known = Known {
            version: theirs.version,
            hash: hash(theirs.content.as_ref()),
            unplaced: before.and_then(|known| known.unplaced),
            own: false,
            doubtful: false,
        };
        self.set_known(key, Some(&known))
    }

    /// A resource that was made anew is in the scopes that are told with that, not in those of its tombstone.
    pub(crate) fn leave_tombstone(
        &mut self,
        key: &ResourceKey,
        told: Option<&Scope>,
    ) -> Result<(), R::Error> {
        for scope in self.replica.memberships(key)?.iter().filter(|scope| Some(*scope) != told) {
            self.leave(scope, key)?;
        }
        Ok(())
    }

    /// Another version came while an edit waits: the edit is joined with it, or loses.
    fn rebase(
        &mut self,
        key: &ResourceKey,
        known: Option<Known>,
        base: Base,
        theirs: Theirs,
    ) -> Result<(), R::Error> {
        let mine = self.replica.content(key)?;
        let base_version = known.as_ref().map_or(Version::ZERO, |known| known.version);
        match self.join(key, base_version, &base, mine.as_ref(), &theirs)? {
            None => {
                self.replica.set_base(key, None)?;
                if mine == theirs.content {
                    self.replica.accepted(key, theirs.version)?;
                } else {
                    self.show(key, &theirs)?;
                }
                self.close_included(key, theirs.content.as_ref())?;
            }
            Some((content, paths)) => {
                let before = base.merge.as_ref();
                let merge = paths.map(|paths| Merge {
                    rule: merge_rule(),
                    from: before.and_then(|merge| merge.from).or(Some(base_version)),
                    theirs: theirs.version,
                    mine: hash(mine.as_ref()),
                    paths,
                    cids: before.map_or_else(Vec::new, |merge| merge.cids.clone()),
                });
                if let Some(content) = content.as_ref().filter(|content| Some(*content) != mine.as_ref()) {
                    self.replica.put(key, content, None, None)?;
                }
                let merge = merge.or(base.merge);
                self.replica.set_base(key, Some(&Base { content: theirs.content.clone(), merge, ..base }))?;
            }
        }
        self.learn(key, known, &theirs)
    }

    /// Joins an edit with theirs; if it lost, it is kept for a person. With the paths if both were merged.
    fn join(
        &mut self,
        key: &ResourceKey,
        base_version: Version,
        base: &Base,
        mine: Option<&Body>,
        theirs: &Theirs,
    ) -> Result<Waits, R::Error> {
        match join(self.merger, base.content.as_ref(), mine, theirs.content.as_ref()) {
            Joined::Theirs => Ok(None),
            Joined::Mine => Ok(Some((mine.cloned(), None))),
            Joined::Merged { content, paths } => {
                self.report.merged += 1;
                Ok(Some((content, Some(paths))))
            }
            Joined::Lost { paths, reasons, shows_mine } => {
                let kind = if theirs.content.is_none() { ParkKind::Deleted } else { ParkKind::Conflict };
                let record = self.record(kind, key, base_version, base.content.clone(), mine.cloned());
                self.keep_losing(ConflictRecord {
                    theirs_version: Some(theirs.version),
                    theirs: theirs.content.clone(),
                    paths,
                    reasons,
                    // If mine is shown it will be sent, and theirs is in the server's history.
                    is_archived: shows_mine,
                    ..record
                })?;
                Ok(shows_mine.then(|| (mine.cloned(), None)))
            }
        }
    }

    /// The newest of two rows: that which an outcome came with, and that which was held back.
    pub(crate) fn newest(
        &mut self,
        key: &ResourceKey,
        current: Option<Row>,
    ) -> Result<Option<Row>, R::Error> {
        let held = self.replica.held(key)?;
        self.replica.set_held(key, None)?;
        let known = self.replica.known(key)?;
        let is_live = |row: &Row| row.state != RowState::Deleted;
        if current.as_ref().is_some_and(is_live) && is_tombstone(held.as_ref(), known.as_ref()) {
            self.leave_tombstone(key, None)?;
        }
        // An own write, or the row of another outcome, may be ahead of what pages told; and what left the device's scopes
        // since is no longer told by them.
        let is_behind =
            |row: &Row| known.as_ref().is_some_and(|known| !known.doubtful && row.version < known.version);
        let is_here = !self.replica.memberships(key)?.is_empty();
        let held = held.filter(|row| {
            matches!(row.state, RowState::In(_) | RowState::Deleted) && is_here && !is_behind(row)
        });
        let position = |row: &Option<Row>| row.as_ref().map_or(Position::ZERO, |row| row.position);
        Ok(if position(&held) > position(&current) { held } else { current })
    }

    /// Takes the row of an outcome: it is what the server has, whatever is known here.
    pub(crate) fn take_current(&mut self, row: Row) -> Result<(), R::Error> {
        if let Some(known) = self.replica.known(&row.key)?.filter(|known| row.version < known.version) {
            self.set_known(&row.key, Some(&Known { doubtful: true, own: false, ..known }))?;
        }
        let (key, position) = (row.key.clone(), row.position);
        self.take(row)?;
        self.wait_for_scopes(&key, position)
    }

    /// In which scopes a row of an outcome is, only pages say: it may be ahead of them, and out again when they come.
    fn wait_for_scopes(&mut self, key: &ResourceKey, position: Position) -> Result<(), R::Error> {
        match self.replica.known(key)? {
            Some(known) => {
                let unplaced = known.unplaced.max(Some(position));
                self.set_known(key, Some(&Known { unplaced, ..known }))
            }
            None => Ok(()),
        }
    }

    /// Lets readers see the row of an outcome, and forgets any edit.
    pub(crate) fn show_current(&mut self, row: Row) -> Result<(), R::Error> {
        let content = match row.state {
            RowState::In(body) => Some(body),
            _ => None,
        };
        let theirs = Theirs { version: row.version, at: row.at, content, scope: None };
        let known = self.replica.known(&row.key)?;
        self.replica.set_base(&row.key, None)?;
        self.show(&row.key, &theirs)?;
        self.learn(&row.key, known, &theirs)?;
        self.wait_for_scopes(&row.key, row.position)
    }

    /// Lets readers see what the server has, as it was when the resource was first edited.
    pub(crate) fn show_base(&mut self, key: &ResourceKey, base: &Base) -> Result<(), R::Error> {
        self.replica.set_base(key, None)?;
        match self.replica.known(key)? {
            Some(known) => self.show(
                key,
                &Theirs { version: known.version, at: None, content: base.content.clone(), scope: None },
            ),
            // The server never had it.
            None => self.replica.purge(key),
        }
    }
}

/// Whether the newest that pages told of a resource is that it was deleted.
pub(crate) fn is_tombstone(held: Option<&Row>, known: Option<&Known>) -> bool {
    match held {
        Some(held) => held.state == RowState::Deleted,
        None => known.is_some_and(|known| known.hash.is_none()),
    }
}

/// The version of the merge rules, as the number that travels.
#[must_use]
pub fn merge_rule() -> u32 {
    RULES_VERSION.trim_start_matches('m').parse().expect("rules are numbered")
}
