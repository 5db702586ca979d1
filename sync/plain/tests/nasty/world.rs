//! Devices, other clients and the server in virtual time, with faults from a seed; what must hold is looked at all the
//! time.

use std::collections::{BTreeMap, BTreeSet};

use keepwell_engine::{Now, Traffic};
use keepwell_fhir::{Instant, ResourceType};
use keepwell_plain::{
    Answer, Ask, Engine, Event, MemoryReplica, Method, Replica as _, Reply, Request, Settings, Standing,
    Ticket, Writes,
};
use keepwell_protocol::{Body, ResourceKey};
use serde_json::Value;

use crate::content::{Content, KINDS};
use crate::random::Random;
use crate::server::{ADDRESS, Quirks, Server, outcome};

const DEVICES: usize = 2;
const STEPS: usize = 220;
/// Requests of a round that goes well.
const REQUESTS_MAX: usize = 4_000;
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// What a person did.
enum Act {
    Save { key: ResourceKey, field: String, value: String },
    Delete { key: ResourceKey },
}

struct Device {
    engine: Engine,
    replica: MemoryReplica,
    inbox: Option<(Ticket, Answer)>,
    acts: Vec<Act>,
    versions: BTreeMap<ResourceKey, u64>,
    writes: Writes,
}

pub(crate) struct World {
    random: Random,
    server: Server,
    devices: Vec<Device>,
    /// Requests that arrive when nobody waits for them any more.
    late: Vec<(i64, usize, Request)>,
    ms: u64,
    number: u64,
    pub(crate) trace: u64,
    /// Whether to print what is asked and answered.
    pub(crate) is_told: bool,
}

pub(crate) type Step<T = ()> = Result<T, String>;

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let quirks = Quirks::new(&mut random);
        let now_ms = 1_795_348_800_000;
        let server_random = Random::new(random.next());
        let devices = (0..DEVICES)
            .map(|_| {
                let writes = if random.percent(70) { Writes::Consented } else { Writes::Guarded };
                Device {
                    engine: engine(writes),
                    replica: MemoryReplica::new(),
                    inbox: None,
                    acts: Vec::new(),
                    versions: BTreeMap::new(),
                    writes,
                }
            })
            .collect();
        let server = Server::new(quirks, server_random, now_ms);
        Self { random, server, devices, late: Vec::new(), ms: 0, number: 0, trace: 0, is_told: false }
    }

    pub(crate) fn play(&mut self) -> Step<BTreeMap<&'static str, u64>> {
        for _ in 0..STEPS {
            self.step()?;
        }
        self.drain()?;
        self.judge()?;
        Ok(std::mem::take(&mut self.server.faults))
    }

    fn pass(&mut self, ms: i64) {
        self.ms += ms.unsigned_abs();
        self.server.now_ms += ms;
        let due: Vec<(i64, usize, Request)> =
            self.late.extract_if(.., |late| late.0 <= self.server.now_ms).collect();
        for (_, device, request) in due {
            self.check_delete(device, &request);
            self.server.answer(device, &request);
        }
    }

    fn step(&mut self) -> Step {
        let pause = self.random.below(400) as i64;
        self.pass(pause);
        match self.random.below(100) {
            0..=44 => {
                let device = self.random.below(DEVICES);
                self.deliver(device)?;
            }
            45..=62 => self.save()?,
            63..=74 => self.write_of_another(),
            75..=79 => self.restrict(),
            80..=89 => {
                let device = self.random.below(DEVICES);
                self.handle(device, Event::SyncNow)?;
            }
            90..=92 => self.crash()?,
            93..=96 => self.pass(20_000),
            97..=98 => self.pass(15 * MINUTE_MS),
            _ => self.pass(DAY_MS + MINUTE_MS),
        }
        for device in 0..DEVICES {
            let is_due = self.devices[device].engine.wake_at_ms().is_some_and(|at_ms| at_ms <= self.ms);
            if is_due {
                self.handle(device, Event::Tick)?;
            }
        }
        Ok(())
    }

    /// Gives an engine an event, and the server what it asks; the answer waits.
    fn handle(&mut self, number: usize, event: Event) -> Step {
        let now = Now { ms: self.ms, wall: Instant::from_ms(self.server.now_ms) };
        let Self { devices, random, .. } = self;
        let device = &mut devices[number];
        if self.server.is_nasty && random.percent(2) {
            // It dies before it is on disk.
            let mut lost = device.replica.clone();
            let Ok(_) = device.engine.handle(event, now, &mut || random.next(), &mut lost);
            device.engine = engine(device.writes);
            device.inbox = None;
            self.server.lost(number);
            return Ok(());
        }
        let Ok(ask) = device.engine.handle(event, now, &mut || random.next(), &mut device.replica);
        self.check(number)?;
        if let Some(Ask { ticket, request }) = ask {
            let answer = self.ask(number, &request);
            self.devices[number].inbox = Some((ticket, answer));
        }
        match self.server.broken.take() {
            Some(broken) => Err(broken),
            None => Ok(()),
        }
    }

    fn deliver(&mut self, number: usize) -> Step {
        match self.devices[number].inbox.take() {
            Some((ticket, answer)) => {
                self.handle(number, Event::Answer { ticket, answer, traffic: Traffic::default() })
            }
            None => Ok(()),
        }
    }

    fn crash(&mut self) -> Step {
        let number = self.random.below(DEVICES);
        self.server.lost(number);
        let device = &mut self.devices[number];
        device.engine = engine(device.writes);
        device.inbox = None;
        Ok(())
    }

    fn fault(&mut self, name: &'static str, percent: usize) -> bool {
        let happens = self.server.is_nasty && self.random.percent(percent);
        if happens {
            *self.server.faults.entry(name).or_default() += 1;
        }
        happens
    }

    fn ask(&mut self, device: usize, request: &Request) -> Answer {
        let answer = self.carry(device, request);
        if self.is_told {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let body = request.body.as_deref().map(text).unwrap_or_default();
            let Request { method, target, if_match, .. } = request;
            println!("{} {device} {method:?} {target} {if_match:?} {body}", self.server.now_ms);
            match &answer {
                Answer::Reply(reply) => {
                    println!("  {} {:?} {}", reply.status, reply.version, text(&reply.body))
                }
                Answer::Failed { code } => println!("  failed: {code}"),
            }
        }
        answer
    }

    fn carry(&mut self, device: usize, request: &Request) -> Answer {
        self.trace = self.trace.wrapping_mul(31).wrapping_add(request.target.len() as u64);
        let lost = Answer::Failed { code: 468 };
        if self.fault("lost request", 3) {
            return lost;
        }
        // Only a server that guards itself can be protected from a request that comes when nobody expects it.
        let quirks = &self.server.quirks;
        let is_guarded = match request.method {
            Method::Get => false,
            Method::Post => request.if_none_exist.is_some() && quirks.takes_conditions,
            Method::Put => quirks.guards_updates && (request.if_match.is_some() || request.if_none_match),
            Method::Delete => quirks.guards_updates && request.if_match.is_some(),
        };
        if is_guarded && self.fault("late request", 3) {
            let at_ms = self.server.now_ms + 1 + self.random.below(900) as i64;
            self.late.push((at_ms, device, request.clone()));
            return lost;
        }
        if self.fault("refused before", 3) {
            let retry_after_s = self.random.percent(30).then_some(2);
            return Answer::Reply(Reply { retry_after_s, ..outcome(503) });
        }
        self.check_delete(device, request);
        let mut reply = self.server.answer(device, request);
        if self.fault("lost reply", 4) {
            self.server.lost(device);
            return lost;
        }
        if self.fault("failed after", 3) {
            self.server.lost(device);
            return Answer::Reply(outcome(500));
        }
        if !reply.body.is_empty() && self.fault("torn body", 3) {
            self.server.lost(device);
            let end = self.random.below(reply.body.len());
            reply.body.truncate(end);
        }
        reply.date = Some(Instant::from_ms(self.server.now_ms));
        Answer::Reply(reply)
    }

    /// A person's save, on what that person sees.
    fn save(&mut self) -> Step {
        let number = self.random.below(DEVICES);
        self.number += 1;
        let value = format!("v{}x", self.number);
        let seen: Vec<(ResourceKey, Content)> = self.devices[number]
            .replica
            .shared()
            .contents()
            .map(|(key, body)| (key.clone(), Content::of(&json(body))))
            .collect();
        let chosen = if self.random.percent(70) { self.random.pick(&seen) } else { None };
        let (key, content) = match chosen {
            Some((key, _)) if self.random.percent(12) => (key, None),
            Some((key, mut content)) => {
                let field = format!("f{}", self.random.below(3));
                content.fields.insert(field.clone(), value.clone());
                self.devices[number].acts.push(Act::Save { key: key.clone(), field, value });
                (key, Some(content))
            }
            None => {
                let kind = KINDS[self.random.below(KINDS.len())];
                let id = format!("d{number}-{}", self.number);
                let key = ResourceKey { kind: ResourceType::parse(kind).unwrap(), id: id.parse().unwrap() };
                let patients: Vec<String> = seen
                    .iter()
                    .filter(|(key, _)| key.kind.name() == "Patient")
                    .map(|(key, _)| key.to_string())
                    .collect();
                let subject = (kind == "Flag").then(|| self.random.pick(&patients)).flatten();
                let fields =
                    [("origin".to_owned(), format!("o{}x", self.number)), ("f0".to_owned(), value.clone())];
                self.devices[number].acts.push(Act::Save { key: key.clone(), field: "f0".to_owned(), value });
                (
                    key,
                    Some(Content { kind: kind.to_owned(), subject, fields: fields.into(), identifier: None }),
                )
            }
        };
        let body = content.map(|content| Body::new(content.to_json(key.id.as_str()).to_string()).unwrap());
        if body.is_none() {
            self.devices[number].acts.push(Act::Delete { key: key.clone() });
        }
        self.devices[number].replica.save(&key, body);
        self.handle(number, Event::Edited)
    }

    fn write_of_another(&mut self) {
        self.number += 1;
        let value = format!("w{}x", self.number);
        let visible: Vec<((String, String), Content)> = self.server.visible().into_iter().collect();
        let chosen = if self.random.percent(60) { self.random.pick(&visible) } else { None };
        match chosen {
            Some((key, _)) if self.random.percent(15) => self.server.write_of_another(&key, None),
            Some((key, mut content)) => {
                content.fields.insert(format!("f{}", self.random.below(3)), value);
                self.server.write_of_another(&key, Some(&content));
            }
            None => {
                let kind = KINDS[self.random.below(KINDS.len())].to_owned();
                let fields = [("origin".to_owned(), format!("p{}x", self.number)), ("f1".to_owned(), value)];
                let content =
                    Content { kind: kind.clone(), subject: None, fields: fields.into(), identifier: None };
                let id = self.server.make_id();
                self.server.write_of_another(&(kind, id), Some(&content));
            }
        }
    }

    fn restrict(&mut self) {
        if self.random.percent(50) {
            self.server.restricted.pop_first();
            return;
        }
        let visible: Vec<(String, String)> = self.server.visible().into_keys().collect();
        if let Some(key) = self.random.pick(&visible) {
            *self.server.faults.entry("restricted").or_default() += 1;
            self.server.once_restricted.insert(key.clone());
            self.server.restricted.insert(key);
        }
    }

    /// Only a person deletes.
    fn check_delete(&mut self, number: usize, request: &Request) {
        let Some((kind, id)) = request.target.split_once('/') else { return };
        if request.method != Method::Delete || kind == "Basic" {
            return;
        }
        let device = &self.devices[number];
        let is_it = |key: &ResourceKey| {
            let mut replica = device.replica.clone();
            let Ok(remote) = replica.remote(key);
            let server_id = remote.and_then(|remote| remote.server_id).unwrap_or_else(|| key.id.clone());
            key.kind.name() == kind && server_id.as_str() == id
        };
        let is_meant = device.acts.iter().any(|act| matches!(act, Act::Delete { key } if is_it(key)));
        if !is_meant {
            self.server.broken = Some(format!("device {number} deleted {kind}/{id}, and nobody had"));
        }
    }

    /// What holds after every event.
    fn check(&mut self, number: usize) -> Step {
        let is_opaque = self.server.quirks_are_opaque();
        let device = &mut self.devices[number];
        for (key, remote) in device.replica.remotes() {
            let name = (key.kind.name().to_owned(), remote.server_id.as_ref().unwrap_or(&key.id).to_string());
            let told = self.server.withheld.get(&(number, name.clone())).copied().unwrap_or_default();
            let is_hidden = remote.standing == Standing::Unavailable && told < 2;
            if is_hidden && self.server.visible().contains_key(&name) {
                return Err(format!("device {number} hides {key}, and it is there"));
            }
            let Some(version) =
                remote.version.as_ref().filter(|_| !is_opaque && remote.standing == Standing::Here)
            else {
                continue;
            };
            let version: u64 = version.parse().unwrap();
            let last = device.versions.entry(key.clone()).or_default();
            if version < *last {
                return Err(format!("device {number} goes back to version {version} of {key} from {last}"));
            }
            *last = version;
        }
        Ok(())
    }

    /// Nothing goes wrong any more: a few rounds over two days, and all is settled.
    fn drain(&mut self) -> Step {
        self.server.is_nasty = false;
        while self.server.restricted.len() > 1 {
            self.server.restricted.pop_first();
        }
        for pause in
            [1_000, 15 * MINUTE_MS, 15 * MINUTE_MS, DAY_MS + MINUTE_MS, DAY_MS + MINUTE_MS, MINUTE_MS]
        {
            self.pass(pause);
            for device in 0..DEVICES {
                self.handle(device, Event::SyncNow)?;
                let mut requests = 0;
                while self.devices[device].inbox.is_some() {
                    self.pass(5);
                    self.deliver(device)?;
                    requests += 1;
                    if requests > REQUESTS_MAX {
                        return Err(format!("device {device} does not come to an end"));
                    }
                }
            }
        }
        Ok(())
    }

    fn judge(&mut self) -> Step {
        let mut origins = BTreeMap::new();
        for (key, content) in self.server.visible() {
            if let Some(origin) = content.fields.get("origin")
                && let Some(other) = origins.insert(origin.clone(), key.clone())
                // Nobody can find what is hidden, unless the server looks itself.
                && (self.server.quirks.takes_conditions
                    || ![&key, &other].into_iter().any(|key| self.server.once_restricted.contains(key)))
            {
                return Err(format!("{origin} is there twice: {key:?} and {other:?}"));
            }
        }
        for number in 0..DEVICES {
            self.judge_edits(number)?;
            self.judge_state(number)?;
        }
        Ok(())
    }

    /// Each edit is a version on the server, or in a conflict, or was overtaken by a later one of the same person.
    fn judge_edits(&mut self, number: usize) -> Step {
        let device = &self.devices[number];
        let conflicts: Vec<String> = device
            .replica
            .shared()
            .conflicts()
            .iter()
            .filter_map(|record| Some(text(record.mine.as_ref()?)))
            .collect();
        let waiting: BTreeSet<ResourceKey> =
            device.replica.shared().bases().map(|(key, _)| key.clone()).collect();
        let may_write = self.may_write(number);
        for (place, act) in device.acts.iter().enumerate() {
            let Act::Save { key, field, value } = act else { continue };
            let is_overtaken = device.acts[place + 1..].iter().any(|later| match later {
                Act::Save { key: other, field: at, .. } => other == key && at == field,
                Act::Delete { key: other } => other == key,
            });
            let is_kept = self.server.values.contains(value)
                || conflicts.iter().any(|conflict| conflict.contains(value.as_str()))
                || (!may_write && waiting.contains(key));
            if !is_overtaken && !is_kept {
                return Err(format!("device {number} lost {value} of {key}"));
            }
        }
        Ok(())
    }

    fn may_write(&self, number: usize) -> bool {
        self.devices[number].writes == Writes::Consented || self.server.quirks.guards_updates
    }

    fn judge_state(&mut self, number: usize) -> Step {
        let visible = self.server.visible();
        let may_write = self.may_write(number);
        let device = &mut self.devices[number];
        let waiting: Vec<ResourceKey> = device.replica.shared().bases().map(|(key, _)| key.clone()).collect();
        if may_write && !waiting.is_empty() {
            return Err(format!("device {number} has not sent {waiting:?}"));
        }
        if !may_write && !waiting.is_empty() && device.engine.report().last_problem != Some(427) {
            return Err(format!("device {number} does not say why {waiting:?} waits"));
        }
        let Ok(flights) = device.replica.flights();
        if !flights.is_empty() {
            return Err(format!("device {number} has not settled {flights:?}"));
        }
        let mut here = BTreeMap::new();
        let mut replica = device.replica.clone();
        for (key, body) in device.replica.shared().contents() {
            let Ok(remote) = replica.remote(key);
            let id = remote.and_then(|remote| remote.server_id).unwrap_or_else(|| key.id.clone());
            let mut content = Content::of(&json(body));
            if let Some(subject) = content.subject.as_mut()
                && let Some((kind, id)) = subject.split_once('/')
            {
                let key = ResourceKey { kind: ResourceType::parse(kind).unwrap(), id: id.parse().unwrap() };
                let Ok(remote) = replica.remote(&key);
                if let Some(id) = remote.and_then(|remote| remote.server_id) {
                    *subject = format!("{kind}/{id}");
                }
            }
            if may_write || !waiting.contains(key) {
                here.insert((key.kind.name().to_owned(), id.to_string()), content);
            }
        }
        for (key, content) in &visible {
            let is_waiting = waiting.iter().any(|own| own.id.as_str() == key.1);
            if !is_waiting && here.get(key) != Some(content) {
                return Err(format!(
                    "device {number} has {key:?} as {:?}, there it is {content:?}",
                    here.get(key)
                ));
            }
        }
        match here.keys().find(|key| !visible.contains_key(*key)) {
            Some(key) => Err(format!("device {number} shows {key:?}, which is not there")),
            None => Ok(()),
        }
    }
}

fn engine(writes: Writes) -> Engine {
    let searches = KINDS.map(|kind| kind.parse().unwrap()).into();
    Engine::new(Settings { writes, page: 5, ..Settings::new(ADDRESS, searches) })
}

fn json(body: &Body) -> Value {
    serde_json::from_slice(body.as_bytes()).unwrap()
}

fn text(body: &Body) -> String {
    String::from_utf8(body.as_bytes().to_vec()).unwrap()
}
