//! What the tests share: a device, and what a server says to it.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::collections::BTreeSet;

use keepwell_engine::{
    Answer, Edited, Effect, Engine, Event, MemoryReplica, Now, Replica as _, Request, Settings, Ticket,
    Traffic, edited,
};
use keepwell_fhir::Instant;
use keepwell_protocol::{
    Body, Epoch, Generation, Grant, Incarnation, Outcome, Position, PullEnd, PullHead, PullItem, PullRequest,
    PushReplyHead, ResourceKey, Row, RowState, Scope, ScopeDigest, Sequence, Settlement, Version,
};

pub(crate) const EPOCH: Epoch = Epoch::new(7);

/// A device, and what it last asked for.
pub(crate) struct Device {
    pub(crate) replica: MemoryReplica,
    pub(crate) engine: Engine,
    saves: u64,
    randoms: u64,
    ms: u64,
    pub(crate) pull: Option<(Ticket, PullRequest)>,
    pub(crate) push: Option<(Ticket, Option<Epoch>)>,
    /// When pages say that it should ask again.
    pub(crate) next_ms: u32,
}

pub(crate) fn body(id: &str, value: u32) -> Body {
    let text = format!(
        r#"{{"resourceType":"Basic","id":"{id}","subject":{{"reference":"Patient/p"}},"code":{{"text":"{value}"}}}}"#
    );
    Body::new(text).expect("a resource")
}

pub(crate) fn key(id: &str) -> ResourceKey {
    body(id, 0).key().expect("it has a key")
}

pub(crate) fn scope() -> Scope {
    Scope::patient(&"p".parse().expect("an id"))
}

pub(crate) fn position(number: u64) -> Position {
    Position::new(number).expect("a small number")
}

pub(crate) fn version(number: u64) -> Version {
    Version::new(number).expect("a small number")
}

pub(crate) fn sequence(number: u64) -> Sequence {
    Sequence::new(number).expect("a small number")
}

pub(crate) fn row(at: u64, id: &str, of: u64, state: RowState) -> Row {
    Row { position: position(at), scope: scope(), key: key(id), version: version(of), at: None, state }
}

impl Device {
    pub(crate) fn new() -> Self {
        Self {
            replica: MemoryReplica::new(),
            engine: Engine::new(Settings::default()),
            saves: 0,
            randoms: 0,
            ms: 0,
            pull: None,
            push: None,
            next_ms: 1,
        }
    }

    /// A device that holds one scope, read up to position 3.
    pub(crate) fn with_scope(rows: Vec<Row>) -> Self {
        let mut device = Self::new();
        device.tell(Event::SyncNow);
        let grants = vec![Grant(scope(), Generation::ZERO.next().expect("one"))];
        device.page(Some(grants), Vec::new(), 0, 0, true, Vec::new());
        device.page(None, rows, 3, 0, false, Vec::new());
        device
    }

    pub(crate) fn tell(&mut self, event: Event) {
        self.ms += 1_000;
        let now = Now { ms: self.ms, wall: Instant::from_ms(0) };
        let randoms = &mut self.randoms;
        let mut random = || {
            *randoms += 1;
            *randoms
        };
        let Ok(effects) = self.engine.handle(event, now, &mut random, &mut self.replica);
        for effect in effects {
            match effect {
                Effect::Send { ticket, request: Request::Pull(request) } => {
                    self.pull = Some((ticket, request))
                }
                Effect::Send { ticket, request: Request::Push { head, .. } } => {
                    self.push = Some((ticket, head.epoch));
                }
                _ => {}
            }
        }
    }

    /// A person saves.
    pub(crate) fn save(&mut self, id: &str, value: u32) {
        self.save_as_one(&[id], value);
    }

    /// A person saves, all of these in one transaction.
    pub(crate) fn save_as_one(&mut self, ids: &[&str], value: u32) {
        let transaction = (ids.len() > 1).then_some(self.saves + 1);
        for id in ids {
            self.save_body(body(id, value), transaction);
        }
    }

    pub(crate) fn save_body(&mut self, body: Body, transaction: Option<u64>) {
        self.saves += 1;
        let key = body.key().expect("it has a key");
        let Ok(before) = self.replica.content(&key);
        let (before, order) = (before.as_ref(), self.saves);
        let change = Edited { key: &key, before, after: Some(&body), order, transaction };
        let Ok(()) = edited(&mut self.replica, &change, &BTreeSet::new());
        self.replica.save(&key, Some(body));
    }

    pub(crate) fn answer(&mut self, ticket: Ticket, answer: Answer) {
        // No time passes.
        self.ms -= 1_000;
        self.tell(Event::Answer { ticket, answer, traffic: Traffic::default() });
    }

    /// The database is that of an earlier moment, and nothing says so: another process opens it.
    pub(crate) fn go_back(&mut self, replica: MemoryReplica) {
        (self.replica, self.engine) = (replica, Engine::new(Settings::default()));
        (self.pull, self.push) = (None, None);
    }

    /// The incarnation in which it asks now.
    pub(crate) fn incarnation(&mut self) -> Incarnation {
        self.tell(Event::SyncNow);
        self.pull.as_ref().expect("a pull is under way").1.incarnation
    }

    /// What a page tells of a mutation in flight.
    pub(crate) fn told(&mut self, number: u64, outcome: Outcome) -> PullItem {
        let Ok(frozen) = self.replica.mutation(sequence(number));
        let line = frozen.map(|frozen| frozen.hash().into());
        PullItem::Outcome(Settlement { sequence: sequence(number), line, outcome })
    }

    /// What became of the mutation in flight.
    pub(crate) fn outcome(&mut self, number: u64, outcome: Outcome) {
        let (ticket, _) = self.push.take().expect("a push is under way");
        let head = PushReplyHead { epoch: EPOCH, last_seq: sequence(number) };
        let settlements = vec![Settlement { sequence: sequence(number), line: None, outcome }];
        self.answer(ticket, Answer::Push { head, settlements, fault: None });
    }

    pub(crate) fn page(
        &mut self,
        grants: Option<Vec<Grant>>,
        rows: Vec<Row>,
        upto: u64,
        decided: u64,
        more: bool,
        digests: Vec<ScopeDigest>,
    ) {
        let items = rows.into_iter().map(PullItem::Row).collect();
        self.page_of(grants, items, upto, decided, more, digests);
    }

    pub(crate) fn page_of(
        &mut self,
        grants: Option<Vec<Grant>>,
        items: Vec<PullItem>,
        upto: u64,
        decided: u64,
        more: bool,
        digests: Vec<ScopeDigest>,
    ) {
        let (ticket, request) = self.pull.take().expect("a pull is under way");
        let head = PullHead {
            req: request.req,
            epoch: EPOCH,
            clock: position(upto),
            last_seq: sequence(decided),
            grants,
        };
        let end =
            PullEnd { n: items.len() as u64, upto: position(upto), more, digests, next_ms: self.next_ms };
        self.answer(ticket, Answer::Pull { head, items, end: Ok(end) });
    }

    pub(crate) fn content(&mut self, id: &str) -> Option<Body> {
        let Ok(content) = self.replica.content(&key(id));
        content
    }
}
