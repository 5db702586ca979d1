//! What the cases are made of: devices of users, mutations, pages.

use keepwell_fhir::{Instant, ResourceType};
use keepwell_protocol::{
    Body, Cursor, Delta, DeltaRow, Frozen, Generation, Grant, Hash, Hydration, Id, Incarnation, Merge,
    Mutation, Operation, Outcome, Part, Payload, Position, PullEnd, PullHead, PullItem, PullRequest,
    PushHead, Refusal, RequestId, ResourceKey, Row, RowState, Scope, ScopeSet, Sequence, Settlement, Version,
};

use crate::access::Access;
use crate::backend::{Backend, Pushed};
use crate::device::Redeemed;
use crate::error::Error;

/// A time at which nothing in particular happens.
pub(super) const NOON: Instant = Instant::from_ms(1_800_000_000_000);

pub(super) const fn later(ms: i64) -> Instant {
    Instant::from_ms(NOON.ms() + ms)
}

pub(super) fn id(text: &str) -> Id {
    text.parse().expect("an id")
}

pub(super) fn scope(text: &str) -> Scope {
    text.parse().expect("a scope")
}

pub(super) fn position(number: u64) -> Position {
    Position::new(number).expect("a small number")
}

pub(super) fn sequence(number: u64) -> Sequence {
    Sequence::new(number).expect("a small number")
}

pub(super) fn version(number: u64) -> Version {
    Version::new(number).expect("a small number")
}

pub(super) fn key(text: &str) -> ResourceKey {
    let (kind, name) = text.split_once('/').expect("a type and an id");
    ResourceKey { kind: ResourceType::parse(kind).expect("a type of R4"), id: id(name) }
}

pub(super) fn body(json: &str) -> Body {
    Body::new(json).expect("a JSON object")
}

/// A Flag about a patient.
pub(super) fn flag(name: &str, patient: &str, text: &str) -> Body {
    body(&format!(
        r#"{{"resourceType":"Flag","id":"{name}","status":"active","code":{{"text":"{text}"}},"subject":{{"reference":"Patient/{patient}"}}}}"#
    ))
}

pub(super) fn patient(name: &str) -> Body {
    body(&format!(r#"{{"resourceType":"Patient","id":"{name}"}}"#))
}

/// A device as the cases drive it.
pub(super) struct Tablet<'b> {
    pub(super) backend: &'b dyn Backend,
    pub(super) device: Id,
    pub(super) user: Id,
    pub(super) incarnation: Incarnation,
    pub(super) next: u64,
}

/// What a pull gave.
#[derive(PartialEq, Debug)]
pub(super) struct Page {
    pub(super) head: PullHead,
    pub(super) outcomes: Vec<Settlement>,
    pub(super) rows: Vec<Row>,
    pub(super) deltas: Vec<DeltaRow>,
    pub(super) end: PullEnd,
}

impl Page {
    /// `<scope> <type>/<id> <version> <state>` of each row.
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |row: &Row| {
            let state = match row.state {
                RowState::In(_) => "in",
                RowState::Own(_) => "own",
                RowState::Left => "left",
                RowState::Deleted => "del",
                _ => "?",
            };
            format!("{} {} {} {state}", row.scope, row.key, row.version.get())
        };
        self.rows.iter().map(line).collect()
    }
}

/// A device of a user, with scopes to write.
pub(super) fn tablet<'b>(backend: &'b dyn Backend, device: &str, user: &str, scopes: &[&str]) -> Tablet<'b> {
    let code = Hash::of(device.as_bytes());
    backend.keep_invitation(&code, b"open").expect("kept");
    backend.enrol(&code, &mut |_| Ok(redeemed(device, user, device)), NOON).expect("enrolled");
    for text in scopes {
        backend.grant(&id(user), &scope(text), Access::Write).expect("granted");
    }
    Tablet { backend, device: id(device), user: id(user), incarnation: Incarnation::new(7), next: 1 }
}

pub(super) fn redeemed(device: &str, user: &str, key: &str) -> Redeemed {
    Redeemed {
        record: b"used".to_vec(),
        device: id(device),
        user: id(user),
        name: "tablet".to_owned(),
        key: Hash::of(key.as_bytes()),
        serial: "01".to_owned(),
        lease_key: None,
    }
}

impl Tablet<'_> {
    /// The next mutation.
    pub(super) fn freeze(&mut self, operation: Operation, base: u64, payload: Payload, of: &str) -> Frozen {
        self.freeze_in(None, operation, base, payload, of)
    }

    pub(super) fn freeze_in(
        &mut self,
        group: Option<u64>,
        operation: Operation,
        base: u64,
        payload: Payload,
        of: &str,
    ) -> Frozen {
        let mutation = Mutation {
            sequence: sequence(self.next),
            operation,
            key: key(of),
            base: version(base),
            at: Some(NOON),
            why: None,
            group,
            payload,
            merge: None,
        };
        self.next += 1;
        Frozen::freeze(mutation).expect("a sound mutation")
    }

    pub(super) fn create(&mut self, body: &Body) -> Frozen {
        let key = body.key().expect("a key").to_string();
        self.freeze(Operation::Create, 0, Payload::Body(body.clone()), &key)
    }

    pub(super) fn update(&mut self, base: u64, body: &Body) -> Frozen {
        let key = body.key().expect("a key").to_string();
        self.freeze(Operation::Update, base, Payload::Body(body.clone()), &key)
    }

    /// An update that says that it was joined with the version that it goes over.
    pub(super) fn joined(&mut self, base: u64, body: &Body) -> Frozen {
        let merge = Merge {
            rule: 1,
            from: None,
            theirs: version(base),
            mine: Some(Hash::of(b"before it was joined")),
            paths: vec!["Flag.code".to_owned()],
            cids: Vec::new(),
        };
        let update = self.update(base, body).into_mutation();
        Frozen::freeze(Mutation { merge: Some(merge), ..update }).expect("a sound mutation")
    }

    pub(super) fn update_by(&mut self, base: u64, old: &Body, body: &Body) -> Frozen {
        let key = body.key().expect("a key").to_string();
        let delta = Delta::new(old.as_bytes(), body.as_bytes());
        self.freeze(Operation::Update, base, Payload::Delta(delta), &key)
    }

    pub(super) fn delete(&mut self, base: u64, of: &str) -> Frozen {
        self.freeze(Operation::Delete, base, Payload::Nothing, of)
    }

    pub(super) fn head(&self, ack: u64) -> PushHead {
        let epoch = Some(self.backend.horizon().expect("a horizon").epoch);
        PushHead { v: 1, incarnation: self.incarnation, epoch, ack: sequence(ack) }
    }

    pub(super) fn try_push(&self, ack: u64, mutations: &[Frozen]) -> Result<Pushed, Error> {
        self.backend.push(&self.device, &self.head(ack), mutations, NOON)
    }

    pub(super) fn push(&self, mutations: &[Frozen]) -> Vec<Outcome> {
        let pushed = self.try_push(0, mutations).expect("decided");
        pushed.settlements.into_iter().map(|settlement| settlement.outcome).collect()
    }

    /// Pushes one mutation; its outcome.
    pub(super) fn push_one(&self, mutation: Frozen) -> Outcome {
        self.push(&[mutation]).remove(0)
    }

    /// All scopes that the user holds.
    pub(super) fn grants(&self) -> Vec<Grant> {
        let held = self.backend.grants(&self.user).expect("grants");
        held.into_iter().map(|held| Grant(held.scope, held.generation)).collect()
    }

    pub(super) fn cursor(&self, at: u64) -> Cursor {
        Cursor::new(self.backend.horizon().expect("a horizon").epoch, position(at))
    }

    /// A request for all scopes from a position on, with bodies whole; from 0, without a cursor.
    pub(super) fn request(&self, from: u64) -> PullRequest {
        PullRequest {
            v: 1,
            incarnation: self.incarnation,
            req: RequestId::new(1),
            cursor: (from > 0).then(|| self.cursor(from)),
            scopes: ScopeSet::of(&self.grants()),
            hydrating: Vec::new(),
            rows: 5_000,
            bytes: 1 << 20,
            wait_ms: 0,
            ack: Sequence::ZERO,
            whole: true,
        }
    }

    /// A request in which some scopes are read from positions of their own.
    pub(super) fn request_hydrating(&self, from: u64, hydrating: &[(&str, u64, u64)]) -> PullRequest {
        let named = |grant: &Grant| hydrating.iter().any(|(name, ..)| *name == grant.0.as_str());
        let established: Vec<Grant> = self.grants().into_iter().filter(|grant| !named(grant)).collect();
        let hydration = |(name, generation, at): &(&str, u64, u64)| {
            let generation = Generation::new(*generation).expect("a small number");
            Hydration(scope(name), generation, position(*at))
        };
        PullRequest {
            scopes: ScopeSet::of(&established),
            hydrating: hydrating.iter().map(hydration).collect(),
            ..self.request(from)
        }
    }

    pub(super) fn try_pull(&self, request: &PullRequest) -> Result<Page, Error> {
        let (mut head, mut end) = (None, None);
        let (mut outcomes, mut rows, mut deltas) = (Vec::new(), Vec::new(), Vec::new());
        self.backend.pull(&self.device, request, NOON, &mut |part| match part {
            Part::Head(found) => head = Some(found),
            Part::Item(PullItem::Outcome(settlement)) => outcomes.push(settlement),
            Part::Item(PullItem::Row(row)) => rows.push(row),
            Part::Item(PullItem::Delta(row)) => deltas.push(row),
            Part::End(found) => end = Some(found),
        })?;
        let (head, end) = (head.expect("a page has a head"), end.expect("a page has an end"));
        assert_eq!(end.n, (outcomes.len() + rows.len() + deltas.len()) as u64);
        assert!(rows.is_sorted_by_key(|row| row.position));
        assert!(outcomes.is_sorted_by_key(|outcome| outcome.sequence));
        Ok(Page { head, outcomes, rows, deltas, end })
    }

    pub(super) fn pull(&self, from: u64) -> Page {
        self.try_pull(&self.request(from)).expect("a page")
    }
}

/// What the device is told instead of an answer.
pub(super) fn refusal<T>(answer: Result<T, Error>) -> Refusal {
    match answer {
        Err(Error::Refused(refusal)) => refusal,
        Err(error) => panic!("the storage failed: {error}"),
        Ok(_) => panic!("it was not refused"),
    }
}

pub(super) fn applied(outcome: &Outcome) -> (u64, u64) {
    match outcome {
        Outcome::Applied { version, position } => (version.get(), position.get()),
        other => panic!("not applied: {other:?}"),
    }
}

/// `conflict <version> <in or del>`, `conflict -`, `parked <why> ...`, `rejected`, `applied`, `noop`, `need_full`,
/// `need_blob`.
pub(super) fn brief(outcome: &Outcome) -> String {
    let row = |row: &Option<Row>| match row {
        None => "-".to_owned(),
        Some(Row { version, state: RowState::Deleted, .. }) => format!("{} del", version.get()),
        Some(Row { version, .. }) => format!("{} in", version.get()),
    };
    match outcome {
        Outcome::Applied { version, .. } => format!("applied {}", version.get()),
        Outcome::Noop { version } => format!("noop {}", version.get()),
        Outcome::Conflict { current } => format!("conflict {}", row(current)),
        Outcome::Parked { why, current } => format!("parked {why:?} {}", row(current)),
        Outcome::Rejected { .. } => "rejected".to_owned(),
        Outcome::NeedFull => "need_full".to_owned(),
        Outcome::NeedBlob => "need_blob".to_owned(),
        _ => "?".to_owned(),
    }
}

pub(super) fn briefs(outcomes: &[Outcome]) -> Vec<String> {
    outcomes.iter().map(brief).collect()
}
