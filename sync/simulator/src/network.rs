//! The network: requests and replies that are lost, doubled, late and cut off.

use std::collections::BTreeMap;

use keepwell_backend::Error as BackendError;
use keepwell_engine::{Answer, Event, Failure, Request, Ticket, Traffic};
use keepwell_protocol::{
    Body, Error, Frozen, Hello, Incarnation, Operation, Outcome, Part, PullEnd, PullItem, PullRequest,
    PushHead, Refusal, RequestId, ResourceKey, Row, RowState, ScopeSet, Sequence, Settlement, Version,
    limits,
};

use crate::fault::Fault;
use crate::links::Way;
use crate::observer::scope_of;
use crate::server::Subjects;
use crate::store_defect::StoreDefect;
use crate::stored::DISK_FULL;
use crate::violation::{Step, Violation};
use crate::world::{World, subjects};

/// More messages than devices that are told to sync need, when nothing goes wrong.
const MESSAGES_MAX: usize = 10_000;

/// What is on its way.
enum Load {
    Request(Request),
    Reply(Answer),
}

/// A message between a process of a device and the server.
pub(crate) struct Packet {
    device: usize,
    life: u64,
    ticket: Ticket,
    load: Load,
}

impl Packet {
    pub(crate) fn new(device: usize, life: u64, ticket: Ticket, request: Request) -> Self {
        Self { device, life, ticket, load: Load::Request(request) }
    }
}

impl World<'_> {
    /// A message arrives: any of those on their way.
    pub(crate) fn deliver_one(&mut self) -> Step {
        if self.packets.is_empty() {
            return Ok(());
        }
        let late = self.random.network.below(self.packets.len());
        let which = if self.happens(Fault::Delay, late > 0) { late } else { 0 };
        let dice = [(); 3].map(|()| self.random.network.below(1_000));
        let packet = self.packets.remove(which);
        self.note("packet", which as u64);
        match packet.load {
            Load::Request(request) => {
                let is_cut = self.links.are_cut(packet.device, Way::Up);
                if self.happens(Fault::LostRequest, dice[0] < 150) || is_cut {
                    return self.fail(packet.device, packet.life, packet.ticket, dice[1]);
                }
                let Some(answer) = self.serve(packet.device, &request)? else {
                    return self.fail(packet.device, packet.life, packet.ticket, dice[1]);
                };
                if self.happens(Fault::Duplicate, dice[1] < 200) {
                    self.packets.push(Packet { load: Load::Request(request), ..packet });
                }
                let is_cut = self.links.are_cut(packet.device, Way::Down);
                if self.happens(Fault::LostReply, dice[2] < 200) || is_cut {
                    return self.fail(packet.device, packet.life, packet.ticket, dice[0]);
                }
                let answer = self.cut(answer);
                if dice[0] < 500 {
                    self.packets.push(Packet { load: Load::Reply(answer), ..packet });
                    return Ok(());
                }
                self.bring(packet.device, packet.life, packet.ticket, answer)
            }
            Load::Reply(_) if self.links.are_cut(packet.device, Way::Down) => {
                self.fail(packet.device, packet.life, packet.ticket, dice[1])
            }
            Load::Reply(answer) => self.bring(packet.device, packet.life, packet.ticket, answer),
        }
    }

    /// All messages arrive, in their order. I7: they come to an end.
    pub(crate) fn deliver_all(&mut self) -> Step {
        for _ in 0..MESSAGES_MAX {
            if self.packets.is_empty() {
                return Ok(());
            }
            let packet = self.packets.remove(0);
            let answer = match packet.load {
                Load::Request(request) => self.answer(packet.device, &request)?,
                Load::Reply(answer) => answer,
            };
            self.bring(packet.device, packet.life, packet.ticket, answer)?;
        }
        Err(Violation::new("I7", "messages without an end"))
    }

    /// The connection breaks: the device finds out, or waits in vain.
    fn fail(&mut self, device: usize, life: u64, ticket: Ticket, dice: usize) -> Step {
        if dice < 500 {
            return Ok(());
        }
        self.bring(device, life, ticket, Answer::Failed(Failure::Connection { code: 468 }))
    }

    fn bring(&mut self, device: usize, life: u64, ticket: Ticket, answer: Answer) -> Step {
        if self.devices[device].life != life {
            return Ok(());
        }
        let traffic = Traffic { sent: 1, received: 1, heads: 0 };
        self.tell(device, Event::Answer { ticket, answer, traffic })
    }

    /// Cuts a message off behind some of its lines.
    fn cut(&mut self, answer: Answer) -> Answer {
        let (is_hit, dice) = (self.random.network.per_mille(50), self.random.network.below(1_000));
        if self.happens(Fault::Cut, is_hit) {
            cut_off(answer, dice, [Error::Truncated, Error::Truncated])
        } else {
            answer
        }
    }

    /// A row of a scope that the device does not hold: a mistake of the server.
    fn stray_row(&mut self, device: usize, end: &Result<PullEnd, Error>) -> Option<PullItem> {
        if !self.random.rare.per_mille(10) {
            return None;
        }
        let Ok(held) = keepwell_engine::Replica::scopes(&mut self.devices[device].replica);
        let resources = self.server.resources();
        let strays: Vec<Row> = resources
            .iter()
            .filter_map(|(key, head, versions)| {
                let body = versions.last()?.clone()?;
                let (scope, state) = (scope_of(&body)?, RowState::In(body));
                let position = end.as_ref().ok()?.upto;
                let row = Row { position, scope, key: key.clone(), version: head.version, at: None, state };
                held.iter().all(|held| held.scope != row.scope).then_some(row)
            })
            .collect();
        let chosen = self.random.rare.pick(&strays).cloned();
        chosen.filter(|_| self.happens(Fault::StrayRow, true)).map(PullItem::Row)
    }

    /// What the server answers; nothing if its process ended over it.
    fn serve(&mut self, device: usize, request: &Request) -> Step<Option<Answer>> {
        let incarnation = match request {
            Request::Push { head, .. } => head.incarnation,
            Request::Park { head, .. } => head.incarnation,
            _ => return self.answer(device, request).map(Some),
        };
        let Some((dice, end)) = self.end(Fault::ServerPowerLoss, 150) else {
            return self.answer(device, request).map(Some);
        };
        let (from, before) = (self.server.moment(), self.server.memory.snapshot());
        let marks = (self.applied.clone(), self.deleted.clone(), self.transactions.len());
        let answer = self.answer(device, request)?;
        let at = from + dice % (self.server.moment() - from + 1);
        let streams = vec![(&self.devices[device].id, incarnation)];
        let subjects = Subjects { streams, ..subjects(&self.devices) };
        let now = self.at();
        if !self.server.end(at, end, before, &subjects, now)? {
            (self.applied, self.deleted) = (marks.0, marks.1);
            self.transactions.truncate(marks.2);
        }
        Ok((self.plan.store_defect == Some(StoreDefect::AnswersEarly)).then_some(answer))
    }

    fn answer(&mut self, device: usize, request: &Request) -> Step<Answer> {
        if let Some(refusal) = self.refuse_version(device, request).or_else(|| self.turn_away(request)) {
            return Ok(Answer::Refused(refusal));
        }
        let (name, at) = (self.devices[device].id.clone(), self.at());
        let answer = match request {
            Request::Hello => {
                let (horizon, (min, max)) = (self.server.horizon(), self.told_versions(device));
                Ok(Answer::Hello(Hello {
                    min,
                    max,
                    tenant: crate::world::id("clinic"),
                    epoch: horizon.epoch,
                    clock: horizon.clock,
                    dicts: Vec::new(),
                    limits: self.limits.told(),
                    time: at,
                }))
            }
            Request::Push { head, mutations } => {
                let bases = self.bases(device, mutations);
                let pushed = self.server.push(&name, head, mutations, at);
                if let Ok(pushed) = &pushed {
                    self.check_outcomes(device, mutations, &pushed.settlements)?;
                    self.check_push(device, head, mutations, &pushed.settlements, &bases)?;
                }
                pushed.map(|pushed| Answer::Push {
                    head: pushed.head,
                    settlements: pushed.settlements,
                    fault: None,
                })
            }
            Request::Pull(request) => {
                let rows =
                    if self.is_calm { limits::PULL_ROWS } else { [1, 3, 50][self.random.network.below(3)] };
                let bytes = self.page_bytes(request.bytes);
                let page = self.pull(&name, &PullRequest { rows, bytes, ..request.clone() });
                match page {
                    Ok(Answer::Pull { head, mut items, end }) => {
                        self.check_page(device, &items)?;
                        self.check_whole(device, request, &head, &items, &end)?;
                        items.extend(self.stray_row(device, &end));
                        Ok(Answer::Pull { head, items, end })
                    }
                    refused => refused,
                }
            }
            Request::Park { head, records } => self.server.park(&name, head, records, at).map(Answer::Park),
            Request::Lease(_) => match &self.lease {
                Some(policy) => self.server.lease(&name, policy, at).map(Answer::Lease),
                None => Err(BackendError::Refused(Refusal::NotFound)),
            },
            Request::NewUpload(upload) => self.server.begin_upload(&name, upload, at).map(Answer::Upload),
            Request::UploadChunk { upload, blob, offset, length } => {
                match self.chunk(device, blob, *offset, *length) {
                    Some(chunk) => self.server.append(&name, upload, *offset, &chunk, at).map(Answer::Upload),
                    None => Ok(Answer::Failed(Failure::Connection { code: 468 })),
                }
            }
            Request::DownloadChunk { blob, offset, length } => {
                let bytes = self.server.blob(&name, &blob.sha256, *offset, *length);
                if bytes.is_ok() {
                    self.check_reader(device, blob)?;
                }
                bytes.map(|bytes| Answer::Chunk(self.damage(bytes)))
            }
        };
        Ok(match answer {
            Ok(answer) => self.in_new_words(device, answer),
            Err(BackendError::Refused(refusal)) => Answer::Refused(refusal),
            // As the server tells it.
            Err(BackendError::Storage { code: DISK_FULL, .. }) => {
                self.happens(Fault::ServerDiskFull, true);
                Answer::Refused(Refusal::Busy { retry_after_s: Some(1) })
            }
            Err(error) => return Err(Violation::new("panic", format!("the server failed: {error}"))),
        })
    }

    fn pull(
        &self,
        device: &keepwell_protocol::Id,
        request: &PullRequest,
    ) -> keepwell_backend::Result<Answer> {
        let (mut head, mut items, mut end): (_, Vec<PullItem>, Option<PullEnd>) = (None, Vec::new(), None);
        for part in self.server.pull(device, request, self.at())? {
            match part {
                Part::Head(own) => head = Some(own),
                Part::Item(item) => items.push(item),
                Part::End(own) => end = Some(own),
            }
        }
        Ok(Answer::Pull { head: head.expect("a page has a head"), items, end: end.ok_or(Error::Truncated) })
    }

    /// All that a device should see, read from the start by one that holds nothing.
    pub(crate) fn fetch_all(&self, device: usize) -> BTreeMap<ResourceKey, Body> {
        let device = &self.devices[device];
        let grants = self.server.grants(&device.user);
        let grants: Vec<_> =
            grants.into_iter().map(|held| keepwell_protocol::Grant(held.scope, held.generation)).collect();
        let request = PullRequest {
            v: 1,
            incarnation: Incarnation::new(0),
            req: RequestId::new(0),
            cursor: None,
            scopes: ScopeSet::of(&grants),
            hydrating: Vec::new(),
            rows: limits::PULL_ROWS_MAX,
            bytes: limits::PULL_BYTES_MAX,
            wait_ms: 0,
            ack: Sequence::ZERO,
            whole: true,
        };
        let Ok(Answer::Pull { items, .. }) = self.pull(&device.id, &request) else { return BTreeMap::new() };
        let body = |item| match item {
            PullItem::Row(row) => match row.state {
                RowState::In(body) => Some((row.key, body)),
                _ => None,
            },
            PullItem::Outcome(_) | PullItem::Delta(_) => None,
        };
        items.into_iter().filter_map(body).collect()
    }

    /// What the sender of mutations believes their bases to be.
    fn bases(&mut self, device: usize, mutations: &[Frozen]) -> Vec<Option<Body>> {
        let replica = &mut self.devices[device].replica;
        let base = |frozen: &Frozen| {
            let Ok(own) = keepwell_engine::Replica::mutation(replica, frozen.mutation().sequence);
            own.filter(|own| own == frozen)?;
            let Ok(base) = keepwell_engine::Replica::base(replica, &frozen.mutation().key);
            base?.content
        };
        mutations.iter().map(base).collect()
    }

    /// I2, I5 and I9: a mutation makes one version, nothing that was deleted comes back unless on purpose, and nothing
    /// is overwritten that its author had not seen.
    fn check_push(
        &mut self,
        device: usize,
        head: &PushHead,
        mutations: &[Frozen],
        settlements: &[Settlement],
        bases: &[Option<Body>],
    ) -> Step {
        let mut written: BTreeMap<u64, Vec<(ResourceKey, Version)>> = BTreeMap::new();
        for settlement in settlements {
            let Outcome::Applied { version, .. } = settlement.outcome else { continue };
            let sent = |(frozen, _): &(&Frozen, _)| frozen.mutation().sequence == settlement.sequence;
            let Some((frozen, base)) = mutations.iter().zip(bases).find(sent) else { continue };
            let mutation = frozen.mutation();
            let name = (self.devices[device].id.clone(), head.incarnation, settlement.sequence);
            let made = (mutation.key.clone(), version);
            if let Some(before) = self.applied.insert(name, made.clone()) {
                if before != made {
                    return Err(Violation::new("I2", format!("{} was applied twice", mutation.key)));
                }
                continue;
            }
            self.check_writer(device, mutation, version)?;
            self.check_provenance(device, head.incarnation, mutation, version)?;
            self.check_attached(&mutation.key, version)?;
            if let Some(group) = mutation.group {
                written.entry(group).or_default().push((mutation.key.clone(), version));
            }
            let key = mutation.key.clone();
            let was_deleted = match mutation.operation {
                Operation::Delete => !self.deleted.insert(key),
                Operation::Recreate => !self.deleted.remove(&key),
                _ => self.deleted.contains(&key),
            };
            if was_deleted {
                return Err(Violation::new("I5", format!("{} came back", mutation.key)));
            }
            if version.get() != mutation.base.get() + 1 {
                let detail = format!("{} {version:?} was made of {:?}", mutation.key, mutation.base);
                return Err(Violation::new("I9", detail));
            }
            let is_update = mutation.operation == Operation::Update;
            let theirs = self.server_body(&mutation.key, mutation.base);
            if is_update && base.is_some() && *base != theirs {
                let detail =
                    format!("{} {:?} has another content than the edit's base", mutation.key, mutation.base);
                return Err(Violation::new("I9", detail));
            }
        }
        self.transactions.extend(written.into_values());
        Ok(())
    }

    pub(crate) fn server_body(&self, key: &ResourceKey, version: Version) -> Option<Body> {
        self.server.memory.inspect(|tenant| tenant.body(key, version)).expect("memory does not fail")
    }
}

/// What there is of an answer that ends at one of its lines, in its outcomes or its rows, for that reason.
pub(crate) fn cut_off(answer: Answer, dice: usize, [outcomes, rows]: [Error; 2]) -> Answer {
    match answer {
        Answer::Push { head, mut settlements, .. } => {
            settlements.truncate(dice * settlements.len() / 1_000);
            Answer::Push { head, settlements, fault: Some(outcomes) }
        }
        Answer::Pull { head, mut items, .. } => {
            items.truncate(dice * items.len() / 1_000);
            Answer::Pull { head, items, end: Err(rows) }
        }
        Answer::Chunk(mut bytes) => {
            bytes.truncate(dice * bytes.len() / 1_000);
            Answer::Chunk(bytes)
        }
        other => other,
    }
}
