//! The world: devices, a server, a network between them, and time.

use std::collections::{BTreeMap, BTreeSet};

use keepwell_backend::{Access, Backend as _, DeviceState, LeasePolicy, MemoryBackend, Redeemed, Retention};
use keepwell_engine::{Answer, Effect, Event, Request, Stop};
use keepwell_fhir::Instant;
use keepwell_protocol::{
    Base64, Body, Epoch, Hash, Id, Incarnation, Position, ResourceKey, Scope, Sequence, Version, WipeOrder,
};

use crate::content::{Content, values};
use crate::device::{Backup, Device};
use crate::fault::Fault;
use crate::home::End;
use crate::limits::Limits;
use crate::links::Links;
use crate::network::Packet;
use crate::random::{Random, fold};
use crate::run::Plan;
use crate::server::{Server, ServerBackup, Subjects};
use crate::space::Space;
use crate::store_defect::StoreDefect;
use crate::versions::Versions;
use crate::violation::{Step, Violation};

/// Patients of the world, each a scope.
const PATIENTS: usize = 3;
/// Devices at the beginning, each of a user of its own.
pub(crate) const DEVICES: usize = 4;
/// The server's time at the beginning: 2026-01-01.
const EPOCH_MS: u64 = 1_767_225_600_000;
/// Rounds in which everything must be done once nothing goes wrong any more.
const ROUNDS_MAX: usize = 60;

/// A value that was saved on a device.
pub(crate) struct Save {
    pub(crate) device: usize,
    pub(crate) key: ResourceKey,
    pub(crate) field: String,
    pub(crate) value: String,
    pub(crate) number: u64,
    /// The world itself threw it away: with a restored database, a wiped device, a server's lost end.
    pub(crate) is_excused: bool,
}

/// One generator for each concern.
pub(crate) struct Concerns {
    pub(crate) order: Random,
    pub(crate) work: Random,
    pub(crate) network: Random,
    pub(crate) disk: Random,
    pub(crate) clock: Random,
    pub(crate) access: Random,
    pub(crate) power: Random,
    pub(crate) rare: Random,
    pub(crate) limits: Random,
    pub(crate) links: Random,
    pub(crate) versions: Random,
    pub(crate) leases: Random,
    pub(crate) space: Random,
    pub(crate) files: Random,
    pub(crate) kept: Random,
}

/// A mutation, by device, incarnation and number.
type Name = (Id, Incarnation, Sequence);

/// What mutations made.
type Applied = BTreeMap<Name, (ResourceKey, Version)>;

pub(crate) struct World<'p> {
    pub(crate) plan: &'p Plan,
    pub(crate) server: Server,
    pub(crate) devices: Vec<Device>,
    pub(crate) packets: Vec<Packet>,
    pub(crate) random: Concerns,
    pub(crate) now_ms: u64,
    pub(crate) faults: BTreeMap<Fault, u64>,
    pub(crate) applied: Applied,
    pub(crate) trace: u64,
    pub(crate) numbers: u64,
    pub(crate) saves: Vec<Save>,
    pairs: Vec<(ResourceKey, ResourceKey)>,
    /// What the server wrote as one: resources and their versions.
    pub(crate) transactions: Vec<Vec<(ResourceKey, Version)>>,
    /// Resources that were deleted, and not made anew on purpose.
    pub(crate) deleted: BTreeSet<ResourceKey>,
    /// The server's backup, and what had been applied when it was made.
    backup: Option<(ServerBackup, Applied)>,
    epochs: u64,
    pub(crate) limits: Limits,
    pub(crate) links: Links,
    pub(crate) versions: Option<Versions>,
    /// How long devices may work offline, if that is limited.
    pub(crate) lease: Option<LeasePolicy>,
    pub(crate) space: Space,
    /// Whether there are attachments.
    pub(crate) has_files: bool,
    pub(crate) is_calm: bool,
}

impl<'p> World<'p> {
    pub(crate) fn new(plan: &'p Plan) -> Step<Self> {
        let random = |concern| Random::new(plan.seed, concern);
        let epoch = Epoch::new(1 + plan.seed * 1_000);
        let memory = MemoryBackend::new(id("clinic"), epoch).with_defects(plan.server_defect);
        let now_ms = 1_000;
        let mut world = Self {
            plan,
            server: Server::new(memory, epoch, plan.stores.then(|| time(now_ms))),
            devices: Vec::new(),
            packets: Vec::new(),
            random: Concerns {
                order: random("order"),
                work: random("work"),
                network: random("network"),
                disk: random("disk"),
                clock: random("clock"),
                access: random("access"),
                power: random("power"),
                rare: random("rare"),
                limits: random("limits"),
                links: random("links"),
                versions: random("versions"),
                leases: random("leases"),
                space: random("space"),
                files: random("files"),
                kept: random("kept"),
            },
            now_ms,
            faults: BTreeMap::new(),
            applied: BTreeMap::new(),
            trace: 0xcbf2_9ce4_8422_2325,
            numbers: 0,
            saves: Vec::new(),
            pairs: Vec::new(),
            transactions: Vec::new(),
            deleted: BTreeSet::new(),
            backup: None,
            epochs: 1,
            limits: Limits::default(),
            links: Links::default(),
            versions: None,
            lease: None,
            space: Space::default(),
            has_files: false,
            is_calm: false,
        };
        world.draw_limits();
        world.draw_versions();
        world.draw_lease();
        world.draw_files();
        world.enrol_all()?;
        Ok(world)
    }

    fn enrol_all(&mut self) -> Step {
        for number in 0..DEVICES {
            let (device, user) = (id(&format!("d{number}")), id(&format!("u{number}")));
            let code = Hash::of(device.as_str().as_bytes());
            let redeemed = Redeemed {
                record: b"used".to_vec(),
                device: device.clone(),
                user: user.clone(),
                name: "tablet".to_owned(),
                key: code,
                serial: "1".to_owned(),
                lease_key: None,
            };
            self.server.enrol(&code, &redeemed, self.at());
            for patient in 0..PATIENTS {
                if self.random.access.per_mille(600) || patient == number % PATIENTS {
                    self.server.grant(&user, &scope(patient), Access::Write);
                }
            }
            self.devices.push(Device::new(device, user, self.plan.seed, self.plan.stores));
            self.give_lease(number)?;
        }
        Ok(())
    }

    /// The server's time.
    pub(crate) fn at(&self) -> Instant {
        time(self.now_ms)
    }

    /// Whether this goes wrong now: never any more once it is calm.
    pub(crate) fn happens(&mut self, fault: Fault, is_hit: bool) -> bool {
        let happens = is_hit && !self.is_calm && !self.plan.without.contains(&fault);
        if happens {
            *self.faults.entry(fault).or_default() += 1;
        }
        happens
    }

    pub(crate) fn note(&mut self, what: &str, number: u64) {
        self.trace = fold(fold(self.trace, what.as_bytes()), &number.to_be_bytes());
    }

    /// One step: somebody does something, or a message arrives, or something breaks.
    pub(crate) fn step(&mut self) -> Step {
        self.now_ms += self.random.clock.next() % 3_000;
        let which = self.random.order.below(1_000);
        let device = self.random.order.below(self.devices.len());
        self.note("step", (which * 16 + device) as u64);
        match which {
            0..280 => self.save(device)?,
            280..480 => self.poke(device)?,
            480..860 => self.deliver_one()?,
            860..900 => self.change_access(),
            900..925 => self.edit_elsewhere()?,
            925..935 => self.collect(),
            935..945 => self.back_up(device),
            945..952 => self.restore(device)?,
            952..954 => self.clone_device(device)?,
            954..957 => self.back_up_server(),
            957..960 => self.restore_server(),
            960..962 => self.begin_epoch(),
            962..970 => self.set_clock(device),
            970..972 => self.wipe(device),
            _ => self.crash(device),
        }
        self.seldom()?;
        self.stay_here()?;
        self.swizzle();
        self.update_programs();
        self.fill_disks();
        self.note("clock", self.server.horizon().clock.get());
        Ok(())
    }

    /// An event reaches a device, whose process may die over it.
    pub(crate) fn tell(&mut self, device: usize, event: Event) -> Step {
        if self.devices[device].is_wiped {
            return Ok(());
        }
        let dies = self.random.disk.below(1_000);
        let dies = self.happens(Fault::Crash, dies < 15).then_some(dies);
        let commits = dies.is_none_or(|dies| dies >= 8);
        let end = if commits { self.end(Fault::PowerLoss, 25) } else { None };
        let own = &self.devices[device];
        let from = own.moment();
        let before = (!commits || end.is_some()).then(|| (own.replica.clone(), own.seen.clone()));
        let now_ms = self.now_ms;
        let read = checkpoint(&event);
        let settled = self.devices[device].settled_by(&event);
        let (mut effects, missing) = self.devices[device].handle(event, now_ms, commits)?;
        self.check_missing(device, missing)?;
        let mut forgotten = std::mem::take(&mut self.devices[device].forgotten);
        forgotten.retain(|key| settled.contains(key));
        read.map_or(Ok(()), |read| self.check_forgotten(device, read, &forgotten))?;
        let body =
            |key: &ResourceKey, version| self.server.memory.inspect(|tenant| tenant.body(key, version));
        self.devices[device].check_transactions(&self.transactions, |key, known| {
            let body = body(key, known.version).expect("memory does not fail");
            body.map(|body| body.hash()) == known.hash
        })?;
        self.check_divergence(device)?;
        let is_lost = match (&end, &before) {
            (Some((dice, end)), Some((before, _))) => !self.devices[device].end(from, *dice, *end, before)?,
            _ => !commits,
        };
        if let Some(before) = before.filter(|_| is_lost) {
            // The commit did not reach the disk, and nothing was sent.
            (self.devices[device].replica, self.devices[device].seen) = before;
            effects.clear();
        } else if dies.is_some() || end.is_some() {
            effects.truncate(self.random.disk.below(effects.len() + 1));
        }
        self.note("effects", effects.len() as u64);
        self.follow(device, effects)?;
        if dies.is_some() || end.is_some() {
            self.devices[device].restart();
        }
        Ok(())
    }

    /// Whether a process with a real store ends in the middle of what it does, in so many of 1,000 cases: when, and how.
    pub(crate) fn end(&mut self, fault: Fault, share: usize) -> Option<(usize, End)> {
        if !self.plan.stores {
            return None;
        }
        let (is_hit, dice) = (self.random.power.per_mille(share), self.random.power.below(1 << 20));
        let seed = self.random.power.next();
        let is_unsynced = self.plan.store_defect == Some(StoreDefect::LosesSyncs);
        let end = if seed.is_multiple_of(3) { End::Killed } else { End::PowerLost { seed, is_unsynced } };
        self.happens(fault, is_hit).then_some((dice, end))
    }

    /// A person saves, and is told that it is saved unless the power fails. Whether it is there.
    pub(crate) fn keep(&mut self, device: usize, edits: &[(ResourceKey, Option<Body>)]) -> Step<bool> {
        let end = self.end(Fault::PowerLoss, 25);
        let own = &mut self.devices[device];
        if own.is_locked {
            return Ok(false);
        }
        let from = own.moment();
        let before = end.map(|_| (own.replica.clone(), own.seen.clone()));
        let is_saved = own.save(edits)?;
        let (Some((dice, end)), Some(before)) = (end, before) else { return Ok(is_saved) };
        let is_there = own.end(from, dice, end, &before.0)?;
        if !is_there {
            (own.replica, own.seen) = before;
        }
        own.restart();
        Ok(is_saved && is_there || self.plan.store_defect == Some(StoreDefect::SavesEarly))
    }

    pub(crate) fn follow(&mut self, device: usize, effects: Vec<Effect>) -> Step {
        for effect in effects {
            match effect {
                Effect::Send { ticket, request } => {
                    let own = &self.devices[device];
                    if own.is_locked && !matches!(request, Request::Lease(_) | Request::Hello) {
                        return Err(Violation::new("lock", format!("{} works though it is locked", own.id)));
                    }
                    let life = own.life;
                    self.packets.push(Packet::new(device, life, ticket, request));
                }
                Effect::Wipe(_) => self.forget_device(device),
                Effect::Lock => {
                    self.devices[device].is_locked = true;
                    self.happens(Fault::Lease, true);
                }
                Effect::Unlock => self.devices[device].is_locked = false,
                Effect::GiveUp(_) | Effect::Stopped(_) => {}
            }
        }
        Ok(())
    }

    fn forget_device(&mut self, device: usize) {
        let gone = &mut self.devices[device];
        gone.is_wiped = true;
        gone.forget();
        for save in self.saves.iter_mut().filter(|save| save.device == device) {
            save.is_excused = true;
        }
    }

    /// I11: what a person saved does not disappear without a record, unless it became a version before.
    fn check_missing(&self, device: usize, missing: Vec<(ResourceKey, String)>) -> Step {
        if missing.is_empty() {
            return Ok(());
        }
        let kept = self.kept_values();
        match missing.into_iter().find(|edit| !kept.contains(edit)) {
            Some((key, value)) => {
                let detail =
                    format!("{} {value} in {key} disappeared without a record", self.devices[device].id);
                Err(Violation::new("I11", detail))
            }
            None => Ok(()),
        }
    }

    /// I6: a digest that differs means that something was lost or kept on the way.
    fn check_divergence(&self, device: usize) -> Step {
        let device = &self.devices[device];
        if device.engine.report().diverged == 0 {
            return Ok(());
        }
        let known: BTreeMap<_, _> = device.replica.all_known().collect();
        let mut differences = Vec::new();
        for held in self.server.grants(&device.user) {
            let theirs = self.server.memory.inspect(|tenant| tenant.members(&held.scope));
            let theirs = theirs.expect("memory does not fail");
            let theirs: BTreeMap<_, _> =
                theirs.into_iter().map(|member| (member.key, Some(member.version))).collect();
            let live = |key: &&ResourceKey| known.get(key).is_some_and(|known| known.hash.is_some());
            let mine: BTreeMap<_, _> = device
                .replica
                .members_of(&held.scope)
                .filter(live)
                .map(|key| (key.clone(), known.get(key).map(|known| known.version)))
                .collect();
            for key in mine.keys().chain(theirs.keys()).filter(|key| mine.get(*key) != theirs.get(*key)) {
                let (mine, theirs) = (mine.get(key).copied().flatten(), theirs.get(key).copied().flatten());
                differences.push(format!("{} {key}: {mine:?} here, {theirs:?} there", held.scope));
            }
        }
        Err(Violation::new("I6", format!("{} differs: {}", device.id, differences.join("; "))))
    }

    fn poke(&mut self, device: usize) -> Step {
        let horizon = self.server.horizon();
        let event = match self.random.work.below(10) {
            0..4 => Event::Tick,
            4..6 => Event::Edited,
            6 => Event::Online,
            7..9 => Event::SyncNow,
            _ => Event::Hint(keepwell_protocol::Hint {
                epoch: horizon.epoch,
                clock: horizon.clock,
                scopes: Vec::new(),
                grants: false,
            }),
        };
        self.tell(device, event)
    }

    /// A person saves, one resource or two as one.
    fn save(&mut self, device: usize) -> Step {
        if self.devices[device].is_wiped {
            return Ok(());
        }
        let which = self.random.work.below(1_000);
        let is_group = self.random.work.per_mille(150);
        if self.happens(Fault::Group, is_group) {
            self.save_pair(device)?;
        } else {
            self.save_one(device, which)?;
        }
        if self.random.work.per_mille(300) { self.tell(device, Event::Edited) } else { Ok(()) }
    }

    /// A patient whom the device holds, or any.
    fn patient(&mut self, device: usize) -> Option<String> {
        let is_foreign = self.random.work.per_mille(30);
        if self.happens(Fault::Foreign, is_foreign) {
            return Some(format!("p{}", self.random.work.below(PATIENTS)));
        }
        let held = self.patients_of(device);
        self.random.work.pick(&held).cloned()
    }

    /// The patients whom a device holds.
    pub(crate) fn patients_of(&mut self, device: usize) -> Vec<String> {
        let Ok(scopes) = keepwell_engine::Replica::scopes(&mut self.devices[device].replica);
        let held = scopes.iter().filter(|held| held.scope.kind() == "Patient");
        held.map(|held| held.scope.name().to_owned()).collect()
    }

    fn save_one(&mut self, device: usize, which: usize) -> Step {
        let paired = self.paired();
        let contents = self.devices[device].replica.contents();
        let live: Vec<_> = contents.filter(|(key, _)| !paired.contains(*key)).collect();
        let chosen = self.random.work.pick(&live).map(|(key, body)| ((*key).clone(), Content::of(body)));
        match chosen {
            Some((key, mut content)) if which >= 250 => {
                if which >= 920 {
                    return self.delete(device, &key);
                }
                let field = format!("f{}", self.random.work.below(4));
                let value = self.next_value();
                content.fields.insert(field.clone(), value.clone());
                self.attach(device, &mut content);
                content.is_invalid = {
                    let is_hit = self.random.work.per_mille(20);
                    self.happens(Fault::Invalid, is_hit)
                };
                if self.keep(device, &[(key.clone(), Some(content.to_body(&key)))])? {
                    self.note_save(device, &key, &field, value);
                }
                Ok(())
            }
            _ => self.create(device),
        }
    }

    fn create(&mut self, device: usize) -> Step {
        let Some(patient) = self.patient(device) else { return Ok(()) };
        // Sometimes one that was deleted, on purpose.
        let tombstones: Vec<ResourceKey> = self.devices[device]
            .replica
            .all_known()
            .filter(|(_, known)| known.hash.is_none())
            .map(|(key, _)| key.clone())
            .collect();
        let again =
            if self.random.work.per_mille(150) { self.random.work.pick(&tombstones).cloned() } else { None };
        let again = again.filter(|key| self.devices[device].replica.contents().all(|(own, _)| own != key));
        let value = self.next_value();
        let key = again.unwrap_or_else(|| {
            let kind = if self.random.work.per_mille(300) { "Flag" } else { "Basic" };
            key(kind, &format!("r{}", self.numbers))
        });
        let mut content = Content {
            patient,
            fields: BTreeMap::from([("f0".to_owned(), value.clone())]),
            is_long: self.random.work.per_mille(150),
            ..Content::default()
        };
        self.attach(device, &mut content);
        if self.keep(device, &[(key.clone(), Some(content.to_body(&key)))])? {
            self.note_save(device, &key, "f0", value);
        }
        Ok(())
    }

    pub(crate) fn delete(&mut self, device: usize, key: &ResourceKey) -> Step {
        if self.keep(device, &[(key.clone(), None)])? {
            self.excuse(device, key);
        }
        Ok(())
    }

    /// A person took back what was saved there.
    pub(crate) fn excuse(&mut self, device: usize, key: &ResourceKey) {
        for save in self.saves.iter_mut().filter(|save| save.device == device && save.key == *key) {
            save.is_excused = true;
        }
    }

    /// Two resources that always say the same, edited as one.
    fn save_pair(&mut self, device: usize) -> Step {
        let here: BTreeSet<ResourceKey> =
            self.devices[device].replica.contents().map(|(key, _)| key.clone()).collect();
        let both = |pair: &&(ResourceKey, ResourceKey)| here.contains(&pair.0) && here.contains(&pair.1);
        let known: Vec<(ResourceKey, ResourceKey)> = self.pairs.iter().filter(both).cloned().collect();
        let chosen =
            if self.random.work.per_mille(700) { self.random.work.pick(&known).cloned() } else { None };
        let value = self.next_value();
        let pair = match chosen {
            Some(pair) => pair,
            None => {
                let kind = if self.random.work.per_mille(500) { "Flag" } else { "Basic" };
                let pair =
                    (key(kind, &format!("a{}", self.numbers)), key("Basic", &format!("b{}", self.numbers)));
                self.pairs.push(pair.clone());
                pair
            }
        };
        let Some(patient) = self.patient(device) else { return Ok(()) };
        let are_long = [self.is_long(), self.is_long()];
        let edit = |key: &ResourceKey, is_long| {
            let body = self.devices[device].replica.contents().find(|(own, _)| *own == key);
            let mut content = body.map(|(_, body)| Content::of(body)).unwrap_or_else(|| Content {
                patient: patient.clone(),
                is_long,
                ..Content::default()
            });
            content.fields.insert("pair".to_owned(), value.clone());
            (key.clone(), Some(content.to_body(key)))
        };
        let edits = [edit(&pair.0, are_long[0]), edit(&pair.1, are_long[1])];
        if self.keep(device, &edits)? {
            edits.iter().for_each(|(key, _)| self.note_save(device, key, "pair", value.clone()));
        }
        Ok(())
    }

    /// The members of pairs.
    pub(crate) fn paired(&self) -> BTreeSet<&ResourceKey> {
        self.pairs.iter().flat_map(|(one, two)| [one, two]).collect()
    }

    pub(crate) fn next_value(&mut self) -> String {
        self.numbers += 1;
        format!("v{}", self.numbers)
    }

    pub(crate) fn note_save(&mut self, device: usize, key: &ResourceKey, field: &str, value: String) {
        // A later save of the same field on the same device replaces it.
        for save in self.saves.iter_mut() {
            if save.device == device && save.key == *key && save.field == field {
                save.is_excused = true;
            }
        }
        self.saves.push(Save {
            device,
            key: key.clone(),
            field: field.to_owned(),
            value,
            number: self.numbers,
            is_excused: false,
        });
    }

    fn change_access(&mut self) {
        let device = self.random.access.below(DEVICES);
        let patient = self.random.access.below(PATIENTS);
        let what = self.random.access.below(4);
        if !self.happens(Fault::Access, true) {
            return;
        }
        let (user, scope) = (self.devices[device].user.clone(), scope(patient));
        match what {
            0 => self.server.grant(&user, &scope, Access::Write),
            1 => self.server.revoke(&user, &scope),
            2 => {
                self.server.revoke(&user, &scope);
                self.server.grant(&user, &scope, Access::Write);
            }
            _ => self.server.grant(&user, &scope, Access::Read),
        }
    }

    /// Another system edits, moves or deletes.
    fn edit_elsewhere(&mut self) -> Step {
        let paired = self.paired();
        let resources = self.server.resources();
        let live: Vec<_> = resources
            .iter()
            .filter(|(key, head, _)| !head.deleted && !paired.contains(key))
            .filter_map(|(key, _, versions)| Some((key, versions.last()?.as_ref()?)))
            .collect();
        let chosen = self.random.work.pick(&live);
        let Some((key, mut content)) = chosen.map(|(key, body)| ((*key).clone(), Content::of(body))) else {
            return Ok(());
        };
        let what = self.random.work.below(10);
        let patient = format!("p{}", self.random.work.below(PATIENTS));
        if !self.happens(Fault::ServerEdit, true) {
            return Ok(());
        }
        let at = self.at();
        match what {
            0 => {
                self.server.delete(&key, at);
                self.deleted.insert(key);
            }
            _ => {
                if self.happens(Fault::Move, what < 4) {
                    content.patient = patient;
                }
                content.fields.insert("g".to_owned(), self.next_value());
                self.server.put(&content.to_body(&key), at);
            }
        }
        Ok(())
    }

    /// A device went back to a backup.
    pub(crate) fn excuse_since(&mut self, device: usize, backup: &Backup) {
        for save in &mut self.saves {
            save.is_excused |= save.device == device && save.number > backup.saves();
        }
    }

    fn collect(&mut self) {
        if self.happens(Fault::Collect, true) {
            let later = Instant::from_ms(self.at().ms() + 1);
            let retention = Retention { made_before: later, seen_since: Instant::MAX };
            let at = self.rest_of_uploads(later);
            self.server.collect(&retention, at);
        }
    }

    fn back_up(&mut self, device: usize) {
        let device = &mut self.devices[device];
        device.back_up(self.numbers);
    }

    fn restore(&mut self, device: usize) -> Step {
        let Some(backup) = self.devices[device].backup.clone() else { return Ok(()) };
        if self.devices[device].is_wiped || !self.happens(Fault::Restore, true) {
            return Ok(());
        }
        self.excuse_since(device, &backup);
        self.devices[device].replace(backup);
        self.tell_restored(device)
    }

    /// The key store says on opening that this is not the database that it knows.
    fn tell_restored(&mut self, device: usize) -> Step {
        let now_ms = self.now_ms;
        let (effects, missing) = self.devices[device].handle(Event::Restored, now_ms, true)?;
        self.check_missing(device, missing)?;
        self.follow(device, effects)
    }

    fn clone_device(&mut self, device: usize) -> Step {
        let is_possible = !self.devices[device].is_wiped && self.devices.len() < DEVICES + 2;
        if !is_possible || !self.happens(Fault::Clone, true) {
            return Ok(());
        }
        let copy = self.devices[device].cloned(self.plan.seed + self.devices.len() as u64);
        self.devices.push(copy);
        self.tell_restored(self.devices.len() - 1)
    }

    fn back_up_server(&mut self) {
        self.backup = Some((self.server.back_up(), self.applied.clone()));
    }

    fn restore_server(&mut self) {
        let Some((backup, applied)) = self.backup.take() else { return };
        if !self.happens(Fault::ServerRestore, true) {
            return;
        }
        let before = self.kept_values();
        self.server.restore(backup, self.at());
        let after = self.kept_values();
        for save in &mut self.saves {
            let name = (save.key.clone(), save.value.clone());
            save.is_excused |= before.contains(&name) && !after.contains(&name);
        }
        self.applied = applied;
        self.transactions.clear();
        let resources = self.server.resources().into_iter();
        self.deleted = resources.filter(|(_, head, _)| head.deleted).map(|(key, ..)| key).collect();
        self.next_epoch();
    }

    fn begin_epoch(&mut self) {
        if self.happens(Fault::NewEpoch, true) {
            self.next_epoch();
        }
    }

    fn next_epoch(&mut self) {
        self.epochs += 1;
        let epoch = Epoch::new(1 + self.plan.seed * 1_000 + self.epochs);
        self.server.new_epoch(epoch);
    }

    fn set_clock(&mut self, device: usize) {
        let hours = self.random.clock.below(52);
        if self.happens(Fault::Clock, true) {
            self.devices[device].wall_ms = (i64::try_from(hours).unwrap_or(0) - 26) * 3_600_000;
        }
    }

    fn wipe(&mut self, device: usize) {
        let is_one_left = self.devices.iter().filter(|device| !device.is_wiped).count() > DEVICES - 1;
        if !is_one_left || !self.happens(Fault::Wipe, true) {
            return;
        }
        let name = self.devices[device].id.clone();
        let order = WipeOrder {
            id: id("w1"),
            tenant: id("clinic"),
            device: name.clone(),
            at: self.at(),
            sig: Base64::default(),
        };
        self.server.set_device_state(&name, &DeviceState::Wipe(order));
    }

    fn crash(&mut self, device: usize) {
        if self.happens(Fault::Crash, true) {
            self.devices[device].restart();
        }
    }

    /// Every value that a version or the archive holds.
    fn kept_values(&self) -> BTreeSet<(ResourceKey, String)> {
        let mut kept = BTreeSet::new();
        let mut keep = |key: &ResourceKey, body: &Body| {
            kept.extend(values(body).map(|(_, value)| (key.clone(), value.to_owned())));
        };
        for (key, _, versions) in self.server.resources() {
            versions.iter().flatten().for_each(|body| keep(&key, body));
        }
        let mut after = 0;
        loop {
            let page = self.server.memory.archived(after).expect("memory does not fail");
            let Some(last) = page.last() else { return kept };
            after = last.number;
            for record in &page {
                record.mine.iter().for_each(|body| keep(&record.key, body));
            }
        }
    }

    /// Nothing goes wrong any more: everything must come to an end, and all must agree.
    pub(crate) fn drain(&mut self) -> Step {
        self.is_calm = true;
        self.packets.clear();
        self.links = Links::default();
        self.free_disks();
        // Every program is of today now, and is begun anew.
        for device in &mut self.devices {
            if device.engine.report().stopped == Some(Stop::Upgrade) {
                device.restart();
            }
        }
        for round in 0..ROUNDS_MAX {
            // Longer than any request is waited for.
            self.now_ms += 100_000;
            self.note("round", round as u64);
            for device in 0..self.devices.len() {
                self.tell(device, Event::SyncNow)?;
                self.deliver_all()?;
                self.tell(device, Event::SyncNow)?;
                self.deliver_all()?;
            }
            if self.open_work().is_empty() {
                return self.check_end();
            }
        }
        Err(Violation::new("I7", self.open_work().join("; ")))
    }

    fn open_work(&mut self) -> Vec<String> {
        let horizon = self.server.horizon();
        let devices = self.devices.iter_mut().filter(|device| !device.is_wiped);
        devices
            .filter_map(|device| {
                let work = device.open_work(horizon)?;
                Some(format!("{}: {work}", device.id))
            })
            .collect()
    }

    fn check_end(&mut self) -> Step {
        for device in 0..self.devices.len() {
            if !self.devices[device].is_wiped {
                if self.devices[device].is_locked {
                    return Err(Violation::new("lock", format!("{} stays locked", self.devices[device].id)));
                }
                self.devices[device].check_all()?;
                self.check_view(device)?;
            }
        }
        self.server.check(&subjects(&self.devices))?;
        self.check_provenances()?;
        for (key, head, _) in self.server.resources() {
            self.check_attached(&key, head.version)?;
        }
        let kept = self.kept_values();
        for save in self.saves.iter().filter(|save| !save.is_excused) {
            let is_kept = kept.contains(&(save.key.clone(), save.value.clone()));
            let own = &mut self.devices[save.device];
            let is_here = own.keeps(&save.key, &save.value) || own.has_unsendable(&save.key, &save.value);
            if !is_kept && !is_here {
                let name = &self.devices[save.device].id;
                return Err(Violation::new(
                    "I3",
                    format!("{name} saved {} in {}: lost", save.value, save.key),
                ));
            }
        }
        Ok(())
    }

    /// I1 and I12: a device has what its grants name, and nothing else.
    fn check_view(&mut self, device: usize) -> Step {
        let expected = self.fetch_all(device);
        let device = &self.devices[device];
        let kept: BTreeSet<_> = device.kept().map(|(key, _)| key).collect();
        let found = device.replica.contents().filter(|(key, _)| !kept.contains(key));
        let found: BTreeMap<_, _> = found.map(|(key, body)| (key.clone(), body.clone())).collect();
        if let Some(key) = expected.keys().chain(found.keys()).find(|key| expected.get(key) != found.get(key))
        {
            let (has, should) = (found.get(key), expected.get(key));
            let fields = |body: Option<&Body>| body.map(Content::of);
            let detail = format!("{} {key}: has {:?}, should {:?}", device.id, fields(has), fields(should));
            return Err(Violation::new("I1", detail));
        }
        device.check_files()?;
        for record in device.replica.conflicts() {
            let is_here = expected.contains_key(&record.key);
            let is_own = record.kind == keepwell_protocol::ParkKind::Rejected
                || record.kind == keepwell_protocol::ParkKind::Parked;
            let has_body = record.base.is_some() || record.mine.is_some() || record.theirs.is_some();
            let is_tombstone = device.replica.all_known().any(|(key, _)| *key == record.key);
            if has_body && !is_here && !is_own && !is_tombstone {
                return Err(Violation::new("I12", format!("{} keeps contents of {}", device.id, record.key)));
            }
        }
        Ok(())
    }
}

/// What a server may be recognised by, but for what it told of mutations.
pub(crate) fn subjects(devices: &[Device]) -> Subjects<'_> {
    Subjects {
        users: devices.iter().map(|device| &device.user).collect(),
        scopes: (0..PATIENTS).map(scope).collect(),
        streams: Vec::new(),
    }
}

/// Up to where an event has brought all that is granted, and of which history.
fn checkpoint(event: &Event) -> Option<(Epoch, Position)> {
    let Event::Answer { answer: Answer::Pull { head, end: Ok(end), .. }, .. } = event else { return None };
    (head.grants.is_none() && !end.more).then_some((head.epoch, end.upto))
}

/// The server's time, so long after the beginning.
fn time(now_ms: u64) -> Instant {
    Instant::from_ms(i64::try_from(EPOCH_MS + now_ms).unwrap_or(i64::MAX))
}

pub(crate) fn id(text: &str) -> Id {
    text.parse().expect("an id")
}

pub(crate) fn scope(patient: usize) -> Scope {
    Scope::patient(&id(&format!("p{patient}")))
}

pub(crate) fn key(kind: &str, name: &str) -> ResourceKey {
    ResourceKey { kind: keepwell_fhir::ResourceType::parse(kind).expect("a type of R4"), id: id(name) }
}
