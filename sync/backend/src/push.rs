//! Push: how mutations are decided.
//!
//! Invariants: a mutation is decided once; a group is decided as one; content that is not applied is in the archive,
//! or comes back to its device to be merged.

use std::collections::BTreeSet;

use keepwell_fhir::{Instant, Issue, Walker, operation_outcome};
use keepwell_protocol::limits::{OUTCOMES_BYTES, SCOPES_MAX};
use keepwell_protocol::{
    Body, Frozen, Generation, Incarnation, Mutation, MutationId, Operation, Outcome, ParkKind, ParkReason,
    Payload, PushHead, PushReplyHead, Refusal, ResourceKey, ResyncReason, Row, RowState, Scope, Sequence,
    Settlement, Version, archive_id,
};

use crate::access::Access;
use crate::archive::Archived;
use crate::backend::Pushed;
use crate::content::Content;
use crate::defect::Defect;
use crate::device::Device;
use crate::error::Result;
use crate::feed::{self, Change, NewContent};
use crate::provenance;
use crate::rules::may_name;
use crate::tenant::{Decided, FeedRow, FeedState, Head, Origin, Source, Tenant};

/// Decides the mutations of a push. A refusal within is told after what was decided before it has been kept.
pub(crate) fn push(
    tenant: &mut dyn Tenant,
    device: &Device,
    head: &PushHead,
    mutations: &[Frozen],
    at: Instant,
) -> Result<Result<Pushed, Refusal>> {
    let epoch = tenant.horizon()?.epoch;
    // Bases of no history that could be named are of another one.
    let has_base = || mutations.iter().any(|frozen| frozen.mutation().base > Version::ZERO);
    if head.epoch.map_or_else(has_base, |of_bases| of_bases != epoch) {
        return Ok(Err(Refusal::Resync(ResyncReason::Epoch)));
    }
    let last = tenant.last_decided(&device.id, head.incarnation)?;
    // A higher one is of a history that this server has lost.
    tenant.forget_decided(&device.id, head.incarnation, head.ack.min(last))?;
    let mut decider =
        Decider { tenant, device, incarnation: head.incarnation, at, last, walker: Walker::new() };
    let mut reply = Vec::new();
    let mut room = OUTCOMES_BYTES;
    let mut refusal = None;
    for run in runs(mutations) {
        let told = match decider.decide(run)? {
            Told::Refused(refused) => {
                refusal = Some(refused);
                break;
            }
            Told::NeedFull(sequence) => {
                reply.push(Settlement { sequence, line: None, outcome: Outcome::NeedFull });
                break;
            }
            Told::NeedBlob(sequence) => {
                reply.push(Settlement { sequence, line: None, outcome: Outcome::NeedBlob });
                break;
            }
            Told::Outcomes(settlements) => settlements,
        };
        for settlement in told {
            let bytes = outcome_bytes(&settlement.outcome);
            if bytes <= room || reply.is_empty() {
                reply.push(settlement);
            }
            room = room.saturating_sub(bytes);
        }
    }
    let last = decider.last;
    tenant.set_last_decided(&device.id, head.incarnation, last)?;
    Ok(match refusal {
        Some(refusal) => Err(refusal),
        None => Ok(Pushed { head: PushReplyHead { epoch, last_seq: last }, settlements: reply }),
    })
}

/// About how long an outcome is in a message.
pub(crate) fn outcome_bytes(outcome: &Outcome) -> usize {
    /// Everything but a body.
    const REST_BYTES: usize = 512;
    let body = match outcome {
        Outcome::Conflict { current } | Outcome::Parked { current, .. } => match current {
            Some(Row { state: RowState::In(body), .. }) => body.as_bytes().len(),
            _ => 0,
        },
        Outcome::Rejected { outcome } => outcome.as_bytes().len(),
        _ => 0,
    };
    REST_BYTES + body
}

/// Groups, and mutations without one by themselves.
fn runs(mutations: &[Frozen]) -> impl Iterator<Item = &[Frozen]> {
    mutations.chunk_by(|one, next| {
        let group = one.mutation().group;
        group.is_some() && group == next.mutation().group
    })
}

enum Told {
    Outcomes(Vec<Settlement>),
    NeedFull(Sequence),
    NeedBlob(Sequence),
    Refused(Refusal),
}

struct Decider<'t> {
    tenant: &'t mut dyn Tenant,
    device: &'t Device,
    incarnation: Incarnation,
    at: Instant,
    last: Sequence,
    walker: Walker,
}

/// A mutation that is about to be decided.
struct Candidate<'m> {
    frozen: &'m Frozen,
    mutation: &'m Mutation,
    head: Option<Head>,
    rows: Vec<FeedRow>,
    /// The new body and what is to know of it; none of a delete.
    new: Option<(Body, Content)>,
}

#[derive(PartialEq)]
enum Verdict {
    Apply,
    Noop(Version),
    Conflict,
    Parked(ParkReason),
    Rejected(Vec<Issue>),
}

impl Candidate<'_> {
    /// The scopes that the current content is in.
    fn old_scopes(&self) -> impl Iterator<Item = &Scope> {
        self.rows.iter().filter_map(|row| matches!(row.state, FeedState::In { .. }).then_some(&row.scope))
    }

    fn new_scopes(&self) -> &[Scope] {
        self.new.as_ref().map_or(&[], |(_, content)| &content.scopes)
    }

    fn is_live(&self) -> bool {
        self.head.is_some_and(|head| !head.deleted)
    }

    /// Whether the mutation is one of the resource as it is now.
    fn fits(&self) -> bool {
        let version = self.head.map_or(Version::ZERO, |head| head.version);
        let state_fits = match self.mutation.operation {
            Operation::Create => self.head.is_none(),
            Operation::Update | Operation::Delete => self.is_live(),
            Operation::Recreate => self.head.is_some_and(|head| head.deleted),
        };
        state_fits && self.mutation.base == version
    }
}

impl Decider<'_> {
    fn decide(&mut self, run: &[Frozen]) -> Result<Told> {
        let dedup = !self.tenant.has(Defect::NoDeduplication);
        let known =
            if dedup { run.partition_point(|frozen| frozen.mutation().sequence <= self.last) } else { 0 };
        let (known, new) = run.split_at(known);
        let mut told = Vec::new();
        for frozen in known {
            match self.repeat(frozen)? {
                Ok(settlement) => told.extend(settlement),
                Err(refusal) => return Ok(Told::Refused(refusal)),
            }
        }
        let mut expected = self.last;
        for frozen in new {
            expected = expected.next().unwrap_or(expected);
            if dedup && frozen.mutation().sequence != expected {
                let expected = self.last.next().unwrap_or(self.last);
                return Ok(Told::Refused(Refusal::SequenceGap { expected }));
            }
        }
        let mut candidates = Vec::with_capacity(new.len());
        for frozen in new {
            let sequence = frozen.mutation().sequence;
            let Some(candidate) = self.candidate(frozen)? else { return Ok(Told::NeedFull(sequence)) };
            candidates.push(candidate);
        }
        if let Some(sequence) = self.needs_blob(&candidates)? {
            return Ok(Told::NeedBlob(sequence));
        }
        if self.tenant.has(Defect::NoGroups) {
            for candidate in candidates {
                told.extend(self.decide_group(&[candidate])?);
            }
        } else if !candidates.is_empty() {
            told.extend(self.decide_group(&candidates)?);
        }
        Ok(Told::Outcomes(told))
    }

    /// The first mutation that names an attachment which its device would have to send. What is not to become a version
    /// needs none: its device may no longer have what it once read.
    fn needs_blob(&mut self, group: &[Candidate<'_>]) -> Result<Option<Sequence>> {
        let made = self.patients_made(group)?;
        for candidate in group {
            let Some((_, content)) = &candidate.new else { continue };
            let is_valid = content.issues.is_empty();
            if !is_valid || !candidate.fits() || self.barrier(candidate, &made)?.is_some() {
                continue;
            }
            for blob in &content.blobs {
                if !may_name(self.tenant, self.device, blob)? {
                    return Ok(Some(candidate.mutation.sequence));
                }
            }
        }
        Ok(None)
    }

    /// The outcome of a mutation that was decided before; none if it has been forgotten.
    fn repeat(&mut self, frozen: &Frozen) -> Result<Result<Option<Settlement>, Refusal>> {
        let sequence = frozen.mutation().sequence;
        let before = Sequence::new(sequence.get() - 1).expect("sequences begin at 1");
        let decided = self.tenant.decided(&self.device.id, self.incarnation, before, 1)?;
        let Some(decided) = decided.into_iter().find(|decided| decided.sequence == sequence) else {
            return Ok(Ok(None));
        };
        if decided.line != frozen.hash() && !self.tenant.has(Defect::NoLineHash) {
            return Ok(Err(Refusal::SequenceReused));
        }
        tell(self.tenant, self.device, &decided).map(|settlement| Ok(Some(settlement)))
    }

    /// What there is to know of a mutation; none if its delta cannot be read.
    fn candidate<'m>(&mut self, frozen: &'m Frozen) -> Result<Option<Candidate<'m>>> {
        let mutation = frozen.mutation();
        let body = match &mutation.payload {
            Payload::Nothing => None,
            Payload::Body(body) => Some(body.clone()),
            Payload::Delta(delta) => {
                let base = self.tenant.body(&mutation.key, mutation.base)?;
                match base.and_then(|base| delta.apply(base.as_bytes()).ok()) {
                    Some(body) => Some(body),
                    None => return Ok(None),
                }
            }
        };
        let new = body.map(|body| {
            let content = Content::of(&mut self.walker, &mutation.key, &body);
            (body, content)
        });
        let head = self.tenant.head(&mutation.key)?;
        let rows = if head.is_some() { self.tenant.rows_of(&mutation.key)? } else { Vec::new() };
        Ok(Some(Candidate { frozen, mutation, head, rows, new }))
    }

    /// Decides a group, or a single mutation.
    fn decide_group(&mut self, group: &[Candidate<'_>]) -> Result<Vec<Settlement>> {
        let made = self.patients_made(group)?;
        let mut verdicts = Vec::with_capacity(group.len());
        for candidate in group {
            verdicts.push(self.verdict(candidate, &made)?);
        }
        let resources: BTreeSet<_> = group.iter().map(|candidate| &candidate.mutation.key).collect();
        // What no server has is no part of what it does all or none of.
        let stays = |verdict: &Verdict| matches!(verdict, Verdict::Parked(ParkReason::NoScope));
        let lost = |verdict: &Verdict| {
            matches!(verdict, Verdict::Parked(_) | Verdict::Rejected(_)) && !stays(verdict)
        };
        if verdicts.iter().any(lost) {
            for verdict in verdicts.iter_mut().filter(|verdict| !lost(verdict) && !stays(verdict)) {
                *verdict = Verdict::Parked(ParkReason::Group);
            }
        } else if verdicts.contains(&Verdict::Conflict) || resources.len() < group.len() {
            for verdict in verdicts.iter_mut().filter(|verdict| !stays(verdict)) {
                *verdict = Verdict::Conflict;
            }
        } else {
            for patient in made {
                feed::set_reason(
                    self.tenant,
                    &Source::Hand,
                    &self.device.user,
                    &patient,
                    Some(Access::Write),
                )?;
            }
        }
        let mut told = Vec::with_capacity(group.len());
        for (candidate, verdict) in group.iter().zip(verdicts) {
            let outcome = self.carry_out(candidate, verdict)?;
            told.push(self.keep(candidate, outcome)?);
        }
        Ok(told)
    }

    /// The scopes of the patients that the group makes and nobody has heard of before: the user holds them from now on.
    fn patients_made(&mut self, group: &[Candidate<'_>]) -> Result<BTreeSet<Scope>> {
        let mut made = BTreeSet::new();
        for candidate in group {
            let creates = candidate.mutation.operation == Operation::Create && candidate.head.is_none();
            if creates && candidate.mutation.key.kind.name() == "Patient" {
                let scope = Scope::patient(&candidate.mutation.key.id);
                let is_empty = self.tenant.digest(&scope)?.count() == 0;
                let is_new = self.tenant.generation(&self.device.user, &scope)? == Generation::ZERO;
                let has_room = self.tenant.grants(&self.device.user)?.len() < SCOPES_MAX;
                if is_empty && is_new && has_room {
                    made.insert(scope);
                }
            }
        }
        Ok(made)
    }

    fn verdict(&mut self, candidate: &Candidate<'_>, made: &BTreeSet<Scope>) -> Result<Verdict> {
        if let Some(reason) = self.barrier(candidate, made)? {
            return Ok(Verdict::Parked(reason));
        }
        let unchecked = self.tenant.has(Defect::NoVersionCheck) && candidate.is_live();
        if !candidate.fits() && !unchecked {
            return Ok(Verdict::Conflict);
        }
        if let Some((body, content)) = &candidate.new {
            if !content.issues.is_empty() {
                return Ok(Verdict::Rejected(content.issues.clone()));
            }
            if let Some(head) = candidate.head.filter(|head| !head.deleted) {
                let known = candidate.rows.iter().find_map(FeedRow::member).map(|member| member.hash);
                if known == Some(body.hash()) {
                    return Ok(Verdict::Noop(head.version));
                }
            }
        }
        Ok(Verdict::Apply)
    }

    /// Why the user may not write this, if so: the scopes of the old and of the new content count.
    fn barrier(&mut self, candidate: &Candidate<'_>, made: &BTreeSet<Scope>) -> Result<Option<ParkReason>> {
        if self.tenant.has(Defect::NoAccessCheck) {
            return Ok(None);
        }
        // What breaks the rules of its type says nothing reliable about its scopes, and is not written anyway.
        let is_valid = candidate.new.as_ref().is_some_and(|(_, content)| content.issues.is_empty());
        let stays_here = candidate.is_live() && candidate.old_scopes().next().is_none();
        let goes_nowhere = is_valid && candidate.new_scopes().is_empty();
        if goes_nowhere && candidate.head.is_none() && candidate.mutation.operation == Operation::Create {
            return Ok(Some(ParkReason::NoScope));
        }
        if stays_here || goes_nowhere {
            return Ok(Some(ParkReason::NoGrant));
        }
        let mut worst = None;
        for scope in candidate.old_scopes().chain(candidate.new_scopes()) {
            match self.tenant.access(&self.device.user, scope)? {
                Some(Access::Write) => {}
                _ if made.contains(scope) => {}
                Some(Access::Read) => worst = worst.or(Some(ParkReason::ReadOnly)),
                None => worst = Some(ParkReason::NoGrant),
            }
        }
        Ok(worst)
    }

    fn carry_out(&mut self, candidate: &Candidate<'_>, verdict: Verdict) -> Result<Outcome> {
        Ok(match verdict {
            Verdict::Apply => self.apply(candidate)?,
            Verdict::Noop(version) => Outcome::Noop { version },
            Verdict::Conflict => Outcome::Conflict { current: None },
            Verdict::Parked(why @ ParkReason::NoScope) => Outcome::Parked { why, current: None },
            Verdict::Parked(why) => {
                self.archive(candidate, ParkKind::Parked)?;
                Outcome::Parked { why, current: None }
            }
            Verdict::Rejected(issues) => {
                self.archive(candidate, ParkKind::Rejected)?;
                let outcome = Body::new(operation_outcome(&issues)).expect("it is a JSON object");
                Outcome::Rejected { outcome }
            }
        })
    }

    fn apply(&mut self, candidate: &Candidate<'_>) -> Result<Outcome> {
        let Mutation { key, sequence, .. } = candidate.mutation;
        let body = candidate.new.as_ref().map(|(body, _)| body);
        let head = self.tenant.write(key, body, self.at)?;
        let content = candidate.new.as_ref().map(|(body, content)| NewContent {
            bytes: body.as_bytes(),
            hash: body.hash(),
            scopes: &content.scopes,
            blobs: &content.blobs,
        });
        let origin = Some(Origin {
            device: self.device.id.clone(),
            incarnation: self.incarnation,
            sequence: *sequence,
        });
        feed::changed(self.tenant, &Change { key, head, content, origin })?;
        let name = self.name(candidate);
        provenance::record(self.tenant, &mut self.walker, self.device, candidate.mutation, &name, &head)?;
        Ok(Outcome::Applied { version: head.version, position: head.position })
    }

    fn name(&self, candidate: &Candidate<'_>) -> MutationId {
        let sequence = candidate.mutation.sequence;
        MutationId { device: self.device.id.clone(), incarnation: self.incarnation, sequence }
    }

    fn archive(&mut self, candidate: &Candidate<'_>, kind: ParkKind) -> Result<()> {
        if self.tenant.has(Defect::NoArchive) {
            return Ok(());
        }
        let Mutation { key, base, at, merge, .. } = candidate.mutation;
        self.tenant.archive(Archived {
            number: 0,
            device: self.device.id.clone(),
            user: self.device.user.clone(),
            cid: archive_id(self.incarnation, candidate.mutation.sequence).to_string(),
            kind,
            key: key.clone(),
            base: *base,
            theirs: candidate.head.map(|head| head.version),
            at: *at,
            received: self.at,
            paths: merge.as_ref().map_or_else(Vec::new, |merge| merge.paths.clone()),
            mine: candidate.new.as_ref().map(|(body, _)| body.clone()),
            closed: None,
        })
    }

    /// Remembers what was decided, and tells it.
    fn keep(&mut self, candidate: &Candidate<'_>, outcome: Outcome) -> Result<Settlement> {
        let sequence = candidate.mutation.sequence;
        let decided = Decided {
            sequence,
            line: candidate.frozen.hash(),
            key: candidate.mutation.key.clone(),
            settlement: Settlement { sequence, line: None, outcome }.to_bytes(),
        };
        let told = tell(self.tenant, self.device, &decided)?;
        self.tenant.keep_decided(&self.device.id, self.incarnation, decided)?;
        self.last = self.last.max(sequence);
        Ok(told)
    }
}

/// The outcome of a mutation, with the row of its resource as it is now, if the user may read it.
pub(crate) fn tell(tenant: &mut dyn Tenant, device: &Device, decided: &Decided) -> Result<Settlement> {
    let mut settlement = Settlement::from_bytes(&decided.settlement).map_err(|error| damaged(&error))?;
    let (current, left_out) = match &mut settlement.outcome {
        Outcome::Conflict { current } => (current, Defect::ConflictWithoutRow),
        Outcome::Parked { current, .. } => (current, Defect::ParkedWithoutRow),
        _ => return Ok(settlement),
    };
    if !tenant.has(left_out) {
        *current = current_row(tenant, device, &decided.key)?;
    }
    Ok(settlement)
}

/// The resource as it is now: its body to those who hold one of its scopes, its tombstone to everybody.
fn current_row(tenant: &mut dyn Tenant, device: &Device, key: &ResourceKey) -> Result<Option<Row>> {
    let Some(head) = tenant.head(key)? else { return Ok(None) };
    let rows = tenant.rows_of(key)?;
    let mut held = None;
    for row in rows {
        if tenant.access(&device.user, &row.scope)?.is_some() || tenant.has(Defect::NoReadCheck) {
            let better = matches!(row.state, FeedState::In { .. }) || held.is_none();
            held = if better { Some(row) } else { held };
        }
    }
    if head.deleted {
        let scope = held.map_or_else(|| Scope::user(&device.user), |row| row.scope);
        let Head { position, version, at, .. } = head;
        let state = RowState::Deleted;
        return Ok(Some(Row { position, scope, key: key.clone(), version, at: Some(at), state }));
    }
    let Some(row) = held.filter(|row| matches!(row.state, FeedState::In { .. })) else { return Ok(None) };
    let Some(body) = tenant.body(key, row.version)? else { return Ok(None) };
    let FeedRow { position, scope, key, version, at, .. } = row;
    Ok(Some(Row { position, scope, key, version, at: Some(at), state: RowState::In(body) }))
}

/// Bytes that this server wrote and can no longer read.
pub(crate) fn damaged(error: &keepwell_protocol::Error) -> crate::Error {
    crate::Error::Storage { code: error.code(), source: Box::new(error.clone()) }
}
