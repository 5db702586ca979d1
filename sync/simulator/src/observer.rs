//! An observer beside the server, who knows who may read and write what, and sees all that it says.

use std::collections::{BTreeMap, BTreeSet};

use keepwell_backend::{Access, FeedState, Head, provenance_of};
use keepwell_engine::Replica as _;
use keepwell_protocol::limits::OUTCOMES_MAX;
use keepwell_protocol::{
    Blob, Body, Epoch, Error, Frozen, Incarnation, Mutation, MutationId, Operation, Outcome, ParkReason,
    Position, PullEnd, PullHead, PullItem, PullRequest, ResourceKey, Row, RowState, Scope, Settlement,
    Version,
};

use crate::content::{Content, file};
use crate::violation::{Step, Violation};
use crate::world::{World, id};

/// More rows than a scope of this world has.
const ROWS_MAX: usize = 100_000;

impl World<'_> {
    /// I10 and I12: a group is applied as a whole or not at all, and what is told may be read.
    pub(crate) fn check_outcomes(
        &self,
        device: usize,
        mutations: &[Frozen],
        settlements: &[Settlement],
    ) -> Step {
        let mut done: BTreeMap<u64, bool> = BTreeMap::new();
        for settlement in settlements {
            self.check_told(device, &settlement.outcome)?;
            let sent = mutations.iter().map(Frozen::mutation);
            let mutation = sent.into_iter().find(|mutation| mutation.sequence == settlement.sequence);
            let Some((mutation, group)) = mutation.and_then(|mutation| Some((mutation, mutation.group?)))
            else {
                continue;
            };
            let is_done = match settlement.outcome {
                Outcome::Applied { .. } | Outcome::Noop { .. } => true,
                // What stays on the device is no part of what the server does as one.
                Outcome::Parked { why: ParkReason::NoScope, .. } => continue,
                Outcome::Conflict { .. } | Outcome::Parked { .. } | Outcome::Rejected { .. } => false,
                _ => continue,
            };
            if *done.entry(group).or_insert(is_done) != is_done {
                return Err(Violation::new("I10", format!("a part of {}'s group was applied", mutation.key)));
            }
        }
        Ok(())
    }

    /// I12: rows are of scopes that the device holds, and say what is so now.
    pub(crate) fn check_page(&self, device: usize, items: &[PullItem]) -> Step {
        for item in items {
            match item {
                PullItem::Outcome(settlement) => self.check_told(device, &settlement.outcome)?,
                PullItem::Row(row) => self.check_row(device, row)?,
                PullItem::Delta(row) => {
                    let body = self.server_body(&row.key, row.version).expect("what is told is there");
                    self.check_row(device, &row.clone().with_body(body))?;
                }
            }
        }
        Ok(())
    }

    /// I1 and I7: a page tells what became of the mutations that were decided, and leaves no row out up to where it ends.
    pub(crate) fn check_whole(
        &self,
        device: usize,
        request: &PullRequest,
        head: &PullHead,
        items: &[PullItem],
        end: &Result<PullEnd, Error>,
    ) -> Step {
        let (own, incarnation) = (&self.devices[device], request.incarnation);
        let decided = self.server.memory.inspect(|tenant| -> keepwell_backend::Result<_> {
            let decided = tenant.decided(&own.id, incarnation, request.ack, OUTCOMES_MAX)?;
            Ok((decided, tenant.last_decided(&own.id, incarnation)?))
        });
        let (decided, last) = decided.expect("memory does not fail");
        let outcomes = items.iter().filter(|item| matches!(item, PullItem::Outcome(_))).count();
        if outcomes != decided.len() || head.last_seq != last {
            let detail = format!("a page does not tell {} what became of its mutations", own.id);
            return Err(Violation::new("I7", detail));
        }
        let Ok(PullEnd { upto, .. }) = end else { return Ok(()) };
        if head.grants.is_some() {
            return Ok(());
        }
        let told: BTreeSet<_> = items
            .iter()
            .filter_map(|item| match item {
                PullItem::Row(row) => Some((&row.scope, &row.key)),
                PullItem::Delta(row) => Some((&row.scope, &row.key)),
                PullItem::Outcome(_) => None,
            })
            .collect();
        for held in self.server.grants(&own.user) {
            let hydrating = request.hydrating.iter().find(|hydration| hydration.0 == held.scope);
            let cursor = request.cursor.map_or(Position::ZERO, |cursor| cursor.position());
            let from = hydrating.map_or(cursor, |hydration| hydration.2);
            let rows =
                self.server.memory.inspect(|tenant| tenant.rows_in(&held.scope, from, *upto, ROWS_MAX));
            let rows = rows.expect("memory does not fail");
            if let Some(row) = rows.iter().find(|row| !told.contains(&(&row.scope, &row.key))) {
                return Err(Violation::new("I1", format!("a page does not tell {} of {}", own.id, row.key)));
            }
        }
        Ok(())
    }

    /// I1: a device does not forget what it wrote, and a scope that it holds tells of: nor that it was deleted since.
    pub(crate) fn check_forgotten(
        &mut self,
        device: usize,
        (epoch, upto): (Epoch, Position),
        forgotten: &[ResourceKey],
    ) -> Step {
        if forgotten.is_empty() || self.server.horizon().epoch != epoch {
            return Ok(());
        }
        let own = &mut self.devices[device];
        let Ok(mut scopes) = own.replica.scopes();
        let Ok(progress) = own.engine.progress(&mut own.replica);
        let grants = self.server.grants(&own.user);
        scopes.retain(|held| {
            let is_read = held.is_complete && held.position.is_none();
            let granted = grants.iter().find(|granted| granted.scope == held.scope);
            is_read && granted.is_some_and(|granted| granted.generation == held.generation)
        });
        let own = &mut self.devices[device];
        for key in forgotten.iter().filter(|key| matches!(own.replica.known(key), Ok(None))) {
            let rows = self.server.memory.inspect(|tenant| tenant.rows_of(key));
            let rows = rows.expect("memory does not fail");
            let newest = rows.iter().map(|row| row.version).max();
            // What was deleted may have been made anew elsewhere.
            let is_told = rows.iter().any(|row| {
                row.state != FeedState::Left
                    && Some(row.version) == newest
                    && row.position <= upto.min(progress.position)
                    && scopes.iter().any(|held| held.scope == row.scope)
            });
            if is_told {
                let detail = format!("{} forgot {key}, of which it is told", own.id);
                return Err(Violation::new("I1", detail));
            }
        }
        Ok(())
    }

    fn check_row(&self, device: usize, row: &Row) -> Step {
        let head = self.server.memory.inspect(|tenant| tenant.head(&row.key)).expect("memory does not fail");
        let problem = match &row.state {
            RowState::In(body) if scope_of(body).as_ref() != Some(&row.scope) => {
                "is told of a scope that it is not in"
            }
            RowState::In(_) | RowState::Own(_) if head.is_none_or(|head| head.version != row.version) => {
                "is told in a version that is not the newest"
            }
            _ if self.access(device, &row.scope).is_none() => "is told to one who may not read it",
            _ => return Ok(()),
        };
        Err(Violation::new("I12", format!("{} {problem}: {}", row.key, self.devices[device].id)))
    }

    fn check_told(&self, device: usize, outcome: &Outcome) -> Step {
        let (Outcome::Conflict { current: Some(row) } | Outcome::Parked { current: Some(row), .. }) = outcome
        else {
            return Ok(());
        };
        let RowState::In(body) = &row.state else { return Ok(()) };
        if self.access_to(device, body).is_some() {
            return Ok(());
        }
        let detail = format!("{} is told to {}, who may not read it", row.key, self.devices[device].id);
        Err(Violation::new("I12", detail))
    }

    /// I12: who writes may write what there was and what there is now.
    pub(crate) fn check_writer(&self, device: usize, mutation: &Mutation, made: Version) -> Step {
        let old = (mutation.operation != Operation::Create).then_some(mutation.base);
        for version in old.into_iter().chain([made]) {
            let Some(body) = self.server_body(&mutation.key, version) else { continue };
            if self.access_to(device, &body) != Some(Access::Write) {
                let detail = format!("{} wrote {} without access", self.devices[device].id, mutation.key);
                return Err(Violation::new("I12", detail));
            }
        }
        Ok(())
    }

    /// how a version was joined is written down, and by whom; of one that was not joined nothing is.
    pub(crate) fn check_provenance(
        &self,
        device: usize,
        incarnation: Incarnation,
        mutation: &Mutation,
        made: Version,
    ) -> Step {
        let own = &self.devices[device];
        let name = MutationId { device: own.id.clone(), incarnation, sequence: mutation.sequence };
        let first = Version::ZERO.next().expect("there is a first version");
        let found = self.server_body(&provenance_of(&name), first);
        let is_right = match (&mutation.merge, found) {
            (None, None) => true,
            (Some(merge), Some(found)) => {
                let text = String::from_utf8_lossy(found.as_bytes()).into_owned();
                let version = |version: Version| format!("\"{}/_history/{}\"", mutation.key, version.get());
                let user = format!("\"Practitioner/{}\"", own.user);
                let mine = merge.mine.map(|mine| mine.to_string()).unwrap_or_default();
                let expected = [version(made), version(mutation.base), mine, user];
                expected.iter().all(|part| text.contains(part))
            }
            _ => false,
        };
        if is_right {
            return Ok(());
        }
        let detail = format!("{} {made:?} of {} has the wrong Provenance, or none", mutation.key, own.id);
        Err(Violation::new("R-99", detail))
    }

    /// every Provenance is of a mutation that was applied, and was written once.
    pub(crate) fn check_provenances(&self) -> Step {
        let applied: BTreeSet<ResourceKey> = self
            .applied
            .keys()
            .map(|(device, incarnation, sequence)| {
                let (device, incarnation, sequence) = (device.clone(), *incarnation, *sequence);
                provenance_of(&MutationId { device, incarnation, sequence })
            })
            .collect();
        let resources = self.server.memory.resources().into_iter();
        let mut own = resources.filter(|(key, ..)| key.kind.name() == "Provenance");
        match own.find(|(key, _, versions)| versions.len() > 1 || !applied.contains(key)) {
            Some((key, ..)) => Err(Violation::new("R-99", format!("{key} is of nothing that was applied"))),
            None => Ok(()),
        }
    }

    /// No reader finds a resource whose attachment is missing.
    pub(crate) fn check_attached(&self, key: &ResourceKey, version: Version) -> Step {
        let Some(blob) = self.server_body(key, version).as_ref().and_then(file) else { return Ok(()) };
        let size = self.server.memory.inspect(|tenant| tenant.blob_size(&blob.sha256));
        if size.expect("memory does not fail") == Some(blob.size) {
            return Ok(());
        }
        Err(Violation::new("I3", format!("the server has {key}, and not what is attached to it")))
    }

    /// I12: who reads an attachment may read a resource that names it.
    pub(crate) fn check_reader(&self, device: usize, blob: &Blob) -> Step {
        let names = |(_, head, versions): &(ResourceKey, Head, Vec<Option<Body>>)| {
            let body = versions.last().and_then(Option::as_ref).filter(|_| !head.deleted);
            body.is_some_and(|body| file(body) == Some(*blob) && self.access_to(device, body).is_some())
        };
        if self.server.resources().iter().any(names) {
            return Ok(());
        }
        let name = &self.devices[device].id;
        Err(Violation::new("I12", format!("{name} reads what is attached to nothing that it may read")))
    }

    fn access_to(&self, device: usize, body: &Body) -> Option<Access> {
        self.access(device, &scope_of(body)?)
    }

    fn access(&self, device: usize, scope: &Scope) -> Option<Access> {
        let user = &self.devices[device].user;
        self.server.memory.inspect(|tenant| tenant.access(user, scope)).expect("memory does not fail")
    }
}

/// The scope that the content of a resource says, if any.
pub(crate) fn scope_of(body: &Body) -> Option<Scope> {
    let patient = Content::of(body).patient;
    (!patient.is_empty()).then(|| Scope::patient(&id(&patient)))
}
