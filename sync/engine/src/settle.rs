//! Settling: what an outcome does to the mutation and to the resource.

use keepwell_protocol::{
    Body, Frozen, Id, Mutation, Operation, Outcome, ParkKind, ParkReason, Payload, Position, ResourceKey,
    Row, Settlement, Version, archive_id,
};

use crate::defect::Defect;
use crate::edited::{Waiting, waiting};
use crate::replica::{Base, ConflictRecord, Known, Replica};
use crate::rows::is_tombstone;
use crate::turn::{Turn, hash};

impl<R: Replica> Turn<'_, R> {
    /// Settles a mutation; one that was settled before is left alone.
    pub(crate) fn settle(&mut self, settlement: Settlement) -> Result<(), R::Error> {
        let Some(frozen) = self.replica.mutation(settlement.sequence)? else { return Ok(()) };
        let key = frozen.mutation().key.clone();
        let base = self.replica.base(&key)?;
        let base = base.unwrap_or(Base { content: None, order: 0, group: None, merge: None });
        let sent = sent(&frozen, &base);
        // What a person has decided since is of the edit that waits.
        let base = Base {
            merge: base.merge.filter(|merge| Some(merge) != frozen.mutation().merge.as_ref()),
            ..base
        };
        if matches!(settlement.outcome, Outcome::NeedFull) {
            return self.send_whole(frozen, sent);
        }
        if matches!(settlement.outcome, Outcome::NeedBlob) {
            return self.send_blobs_again(&key);
        }
        self.replica.remove_mutation(settlement.sequence)?;
        match settlement.outcome {
            Outcome::Applied { version, position } => {
                self.report.applied += 1;
                self.agree(&key, base, sent, version, Some(position))?;
            }
            Outcome::Noop { version } => {
                self.report.unchanged += 1;
                self.agree(&key, base, sent, version, None)?;
            }
            Outcome::Conflict { current } => {
                self.report.conflicted += 1;
                let current = self.newest(&key, current)?;
                self.conflict(frozen.mutation(), current)?;
            }
            Outcome::Parked { why: ParkReason::NoScope, .. } => {
                self.report.kept += 1;
                self.keep(&key, sent)?;
            }
            Outcome::Parked { why, current } => {
                self.report.parked += 1;
                let current = self.newest(&key, current)?;
                self.park(frozen.mutation(), base, sent, why, current)?;
            }
            Outcome::Rejected { outcome } => {
                self.report.rejected += 1;
                self.reject(frozen.mutation(), base, sent, outcome)?;
            }
            _ => {}
        }
        self.release(&key)?;
        if Defect::KeepsSettledInLostScope.is_on() { Ok(()) } else { self.recheck(&key) }
    }

    /// The server does not have the base of a delta: the same number goes with the whole body.
    fn send_whole(&mut self, frozen: Frozen, sent: Option<Body>) -> Result<(), R::Error> {
        let (Payload::Delta(_), Some(body)) = (&frozen.mutation().payload, sent) else { return Ok(()) };
        let whole = Mutation { payload: Payload::Body(body), ..frozen.into_mutation() };
        match Frozen::freeze(whole) {
            Ok(frozen) => self.replica.set_mutation(&frozen),
            // It was a line before, so its parts agree; it is too large without the base.
            Err(_) => Ok(()),
        }
    }

    /// The server has what was sent.
    fn agree(
        &mut self,
        key: &ResourceKey,
        base: Base,
        sent: Option<Body>,
        version: Version,
        position: Option<Position>,
    ) -> Result<(), R::Error> {
        let before = self.replica.known(key)?;
        let known = Known {
            version,
            hash: hash(sent.as_ref()),
            unplaced: position.or_else(|| before.as_ref().and_then(|known| known.unplaced)),
            own: position.is_some() || before.as_ref().is_some_and(|known| known.own),
            doubtful: false,
        };
        let held = self.replica.held(key)?;
        if sent.is_some() && is_tombstone(held.as_ref(), before.as_ref()) {
            self.leave_tombstone(key, None)?;
        }
        self.set_known(key, Some(&known))?;
        if self.replica.content(key)? == sent {
            self.replica.set_base(key, None)?;
            self.replica.accepted(key, version)
        } else {
            self.replica.set_base(key, Some(&Base { content: sent, ..base }))
        }
    }

    /// The mutation waits again, is joined with what the server has, or loses.
    fn conflict(&mut self, mutation: &Mutation, current: Option<Row>) -> Result<(), R::Error> {
        let key = &mutation.key;
        let Some(row) = current else {
            // Nothing is in the way of a create but another one of its group.
            let waits = mutation.operation == Operation::Create;
            return if waits { Ok(()) } else { self.lose(key, ParkKind::Gone) };
        };
        let is_held = self.scopes.holds(&row.scope) || Defect::TakesUnheldConflict.is_on();
        if !is_held && self.replica.memberships(key)?.is_empty() {
            return self.lose(key, ParkKind::ScopeLost);
        }
        if row.version == mutation.base {
            return Ok(());
        }
        self.take_current(row)
    }

    /// The server has nothing of the resource and takes nothing: it stays here, and its next edit makes it again.
    fn keep(&mut self, key: &ResourceKey, sent: Option<Body>) -> Result<(), R::Error> {
        if self.replica.content(key)? != sent {
            return Ok(());
        }
        self.replica.set_base(key, None)?;
        if Defect::ForgetsKept.is_on() { self.replica.purge(key) } else { Ok(()) }
    }

    /// The server keeps what was sent for people; the device lets go of it, and of what was edited since.
    fn park(
        &mut self,
        mutation: &Mutation,
        base: Base,
        sent: Option<Body>,
        why: ParkReason,
        current: Option<Row>,
    ) -> Result<(), R::Error> {
        let key = &mutation.key;
        let known = self.replica.known(key)?;
        let version = known.as_ref().map_or(Version::ZERO, |known| known.version);
        let content = self.replica.content(key)?;
        let record = self.record(ParkKind::Parked, key, version, base.content.clone(), sent.clone());
        let cid = archive_id(self.state.incarnation, mutation.sequence);
        let reasons = vec![why.code().to_owned()];
        self.keep_losing(ConflictRecord { cid, reasons: reasons.clone(), is_archived: true, ..record })?;
        if content != sent && waiting(sent.as_ref(), version, content.as_ref()) != Waiting::Vanished {
            let record = self.record(ParkKind::Parked, key, version, sent, content);
            self.keep_losing(ConflictRecord { reasons, ..record })?;
        }
        if Defect::RevertsParked.is_on() {
            return self.show_base(key, &base);
        }
        let Some(row) = current else {
            return if why == ParkReason::Group && known.is_none() {
                // No access was lost: what is in the records may stay.
                self.replica.set_base(key, None)?;
                self.replica.purge(key)
            } else {
                self.forget(key)
            };
        };
        if !self.scopes.holds(&row.scope) && self.replica.memberships(key)?.is_empty() {
            return self.forget(key);
        }
        self.show_current(row)
    }

    /// The edit is shown for repair; the resource is as the server has it.
    fn reject(
        &mut self,
        mutation: &Mutation,
        base: Base,
        sent: Option<Body>,
        outcome: Body,
    ) -> Result<(), R::Error> {
        // A later edit may be the repair: it is tried.
        if self.replica.content(&mutation.key)? != sent {
            return Ok(());
        }
        let cid = archive_id(self.state.incarnation, mutation.sequence);
        self.quarantine(&mutation.key, &base, sent, Some((cid, outcome)))
    }

    /// Takes an edit out of the way that the server does not take, for a person to repair; with the server's word on it
    /// and the name under which it has kept it, if it was asked.
    pub(crate) fn quarantine(
        &mut self,
        key: &ResourceKey,
        base: &Base,
        mine: Option<Body>,
        told: Option<(Id, Body)>,
    ) -> Result<(), R::Error> {
        let version = self.replica.known(key)?.map_or(Version::ZERO, |known| known.version);
        let record = self.record(ParkKind::Rejected, key, version, base.content.clone(), mine);
        // What the server rejected it has kept; what could not be sent it never saw, and cannot be sent to the archive either.
        let (cid, outcome) = told.map_or((record.cid, None), |(cid, outcome)| (cid, Some(outcome)));
        self.keep_losing(ConflictRecord { cid, outcome, is_archived: true, ..record })?;
        self.show_base(key, base)
    }
}

/// The content that a mutation gives the resource.
fn sent(frozen: &Frozen, base: &Base) -> Option<Body> {
    match &frozen.mutation().payload {
        Payload::Body(body) => Some(body.clone()),
        Payload::Delta(delta) => {
            let base = base
                .content
                .as_ref()
                .expect("a delta is made against the base, which stays while it is in flight");
            Some(delta.apply(base.as_bytes()).expect("a delta gives back what it was made of"))
        }
        Payload::Nothing => None,
    }
}
