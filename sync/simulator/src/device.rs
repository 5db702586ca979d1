//! A simulated device: the real engine over a replica in memory.

use std::collections::{BTreeMap, BTreeSet};

use keepwell_engine::{
    Answer, Edited, Effect, Engine, Event, Known, MemoryReplica, Now, Replica as _, Settings, edited,
};
use keepwell_fhir::Instant;
use keepwell_protocol::{
    Blob, Body, Digest, Hash, Id, ParkKind, PullItem, ResourceKey, Scope, Sequence, Version,
};

use crate::content::{file, values};
use crate::home::{End, Image};
use crate::observer::scope_of;
use crate::random::Random;
use crate::stored::Stored;
use crate::violation::{Step, Violation};
use crate::watched::{Touched, Watched};

/// A value that was saved in a resource.
pub(crate) type Edit = (ResourceKey, String);

/// A copy of a device's database, and which save was the last in it.
#[derive(Clone)]
pub(crate) struct Backup {
    replica: MemoryReplica,
    image: Option<Image>,
    saves: u64,
}

impl Backup {
    pub(crate) fn saves(&self) -> u64 {
        self.saves
    }
}

pub(crate) struct Device {
    pub(crate) id: Id,
    pub(crate) user: Id,
    /// What its database says.
    pub(crate) replica: MemoryReplica,
    /// The database as it really is, in a run with real stores.
    stored: Option<Stored>,
    pub(crate) engine: Engine,
    /// Which process it is: answers to an earlier one are lost.
    pub(crate) life: u64,
    pub(crate) wall_ms: i64,
    order: u64,
    pub(crate) is_wiped: bool,
    /// Until it meets the server nobody works with it.
    pub(crate) is_locked: bool,
    /// Nothing new has room until then.
    pub(crate) full_until_ms: u64,
    is_full: bool,
    /// There was no room for something since it was last asked.
    was_full: bool,
    pub(crate) backup: Option<Backup>,
    /// The versions that readers have seen.
    pub(crate) seen: BTreeMap<ResourceKey, Version>,
    /// What the last event made it forget.
    pub(crate) forgotten: Vec<ResourceKey>,
    random: Random,
}

impl Device {
    pub(crate) fn new(id: Id, user: Id, seed: u64, is_stored: bool) -> Self {
        let random = Random::new(seed, id.as_str());
        Self {
            id,
            user,
            replica: MemoryReplica::new(),
            stored: is_stored.then(Stored::new),
            engine: Engine::new(Settings::default()),
            life: 0,
            wall_ms: 0,
            order: 0,
            is_wiped: false,
            is_locked: false,
            full_until_ms: 0,
            is_full: false,
            was_full: false,
            backup: None,
            seen: BTreeMap::new(),
            forgotten: Vec::new(),
            random,
        }
    }

    /// Another device with a copy of the database.
    pub(crate) fn cloned(&self, seed: u64) -> Self {
        let mut copy = Self::new(self.id.clone(), self.user.clone(), seed, false);
        (copy.order, copy.life) = (self.order, self.life + 1_000);
        copy.replace(self.copy(0));
        copy
    }

    fn copy(&self, saves: u64) -> Backup {
        Backup { replica: self.replica.clone(), image: self.stored.as_ref().map(Stored::image), saves }
    }

    pub(crate) fn back_up(&mut self, saves: u64) {
        self.backup = Some(self.copy(saves));
    }

    /// The process begins anew.
    pub(crate) fn restart(&mut self) {
        self.life += 1;
        self.is_locked = false;
        self.engine = Engine::new(Settings::default());
    }

    /// The database is another one.
    pub(crate) fn replace(&mut self, backup: Backup) {
        let Backup { replica, image, .. } = backup;
        let certain = replica.all_known().filter(|(_, known)| !known.doubtful);
        self.seen = certain.map(|(key, known)| (key.clone(), known.version)).collect();
        self.replica = replica;
        self.stored = image.as_ref().map(Stored::of);
        self.stored.iter().for_each(|stored| stored.set_full(self.is_full));
        self.restart();
    }

    /// Nothing is left.
    pub(crate) fn forget(&mut self) {
        (self.replica, self.stored) = (MemoryReplica::new(), None);
        self.seen.clear();
        self.restart();
    }

    /// How much was written and synced so far.
    pub(crate) fn moment(&self) -> usize {
        self.stored.as_ref().map_or(0, Stored::moment)
    }

    /// The process ends in the middle of what was done since `from`, and another one opens what is left: all of that
    /// or nothing, which is as `before`. Whether it was all.
    pub(crate) fn end(&mut self, from: usize, dice: usize, end: End, before: &MemoryReplica) -> Step<bool> {
        let Some(stored) = self.stored.take() else { return Ok(true) };
        let to = stored.moment();
        let at = from + dice % (to - from + 1);
        let stored = self.stored.insert(stored.end(at, end)?);
        stored.set_full(self.is_full);
        let Some(after) = stored.difference(&self.replica) else { return Ok(true) };
        match stored.difference(before) {
            None if at < to => Ok(false),
            None => Err(Violation::new("I3", format!("{} lost what was on disk: {after}", self.id))),
            Some(before) => {
                let detail = format!("{} is in a state that never was: {before}; {after}", self.id);
                Err(Violation::new("disk", detail))
            }
        }
    }

    /// From now on there is no room for what is new, or there is again.
    pub(crate) fn set_full(&mut self, is_full: bool) {
        if self.is_full != is_full {
            self.is_full = is_full;
            self.stored.iter().for_each(|stored| stored.set_full(is_full));
        }
    }

    /// Whether there was no room for something since this was last asked.
    pub(crate) fn was_full(&mut self) -> bool {
        std::mem::take(&mut self.was_full)
    }

    /// A person saves; what is several is one transaction. Whether there was room for it.
    pub(crate) fn save(&mut self, edits: &[(ResourceKey, Option<Body>)]) -> Step<bool> {
        let first = match &mut self.stored {
            Some(stored) => stored.save(edits),
            None => (!self.is_full).then_some(self.order + 1),
        };
        let Some(first) = first else {
            self.was_full = true;
            return Ok(false);
        };
        let transaction = (edits.len() > 1).then_some(first);
        let mut touched = Touched::new();
        for ((key, body), order) in edits.iter().zip(first..) {
            touched.insert(key.clone(), None);
            let Ok(before) = self.replica.content(key);
            let change = Edited { key, before: before.as_ref(), after: body.as_ref(), order, transaction };
            let mut replica = Watched::<MemoryReplica>::new(&mut self.replica, None, &mut touched);
            let Ok(()) = edited(&mut replica, &change, &BTreeSet::new());
            self.replica.save(key, body.clone());
            self.order = order;
        }
        self.check(touched.keys())?;
        Ok(true)
    }

    /// An event, what is to be done, and the edits that are no longer shown though no record says so. A store gives it up
    /// in the end unless it `commits`; the tables in memory are then to be put back. If there is no room for it, nothing
    /// has happened, but another engine begins.
    pub(crate) fn handle(
        &mut self,
        event: Event,
        now_ms: u64,
        commits: bool,
    ) -> Step<(Vec<Effect>, Vec<Edit>)> {
        let is_told = matches!(&event, Event::Answer { answer: Answer::Push { .. }, .. });
        let wall = Instant::from_ms(i64::try_from(now_ms).unwrap_or(i64::MAX) + self.wall_ms);
        let random = &mut || self.random.next();
        let now = Now { ms: now_ms, wall };
        let mut touched = Touched::new();
        self.forgotten.clear();
        let frozen: BTreeSet<Sequence> =
            self.replica.frozen().map(|frozen| frozen.mutation().sequence).collect();
        let before = self.is_full.then(|| self.replica.clone());
        let (engine, memory) = (&mut self.engine, &mut self.replica);
        let effects = match &self.stored {
            None => {
                let mut replica = Watched::<MemoryReplica>::new(memory, None, &mut touched);
                let Ok(effects) = engine.handle(event, now, random, &mut replica);
                before.as_ref().is_none_or(|before| before == memory).then_some(effects)
            }
            Some(stored) => stored.turn(commits, |store| {
                engine.handle(event, now, random, &mut Watched::new(memory, Some(store), &mut touched))
            }),
        };
        let Some(effects) = effects else {
            self.was_full = true;
            self.replica = before.expect("only a full disk refuses");
            self.restart();
            return Ok((Vec::new(), Vec::new()));
        };
        if is_told {
            touched.keys().try_for_each(|key| self.check_told(key))?;
        }
        self.check(touched.keys())?;
        touched.keys().try_for_each(|key| self.check_group(key, &frozen))?;
        Ok((effects, self.missing_edits(&touched)))
    }

    /// The resources whose mutations a page settles.
    pub(crate) fn settled_by(&mut self, event: &Event) -> BTreeSet<ResourceKey> {
        let Event::Answer { answer: Answer::Pull { items, .. }, .. } = event else { return BTreeSet::new() };
        let outcomes = items.iter().filter_map(|item| match item {
            PullItem::Outcome(settlement) => Some(settlement.sequence),
            _ => None,
        });
        let mutations = outcomes.filter_map(|sequence| self.replica.mutation(sequence).ok().flatten());
        mutations.map(|frozen| frozen.mutation().key.clone()).collect()
    }

    /// Edits that were shown before and are not any more, without a record.
    fn missing_edits(&mut self, touched: &Touched) -> Vec<Edit> {
        let mut missing = Vec::new();
        for (key, waited) in touched {
            let Some(waited) = waited else { continue };
            let Ok(now) = self.replica.content(key);
            let has_record = || self.replica.conflicts().iter().any(|record| record.key == *key);
            if now.as_ref() == Some(&waited.content) || has_record() {
                continue;
            }
            let shown: BTreeSet<&str> = now.iter().flat_map(values).map(|(_, value)| value).collect();
            let before: BTreeSet<_> = waited.base.iter().flat_map(values).collect();
            // What was saved here, and not in the base.
            let own = values(&waited.content).filter(|field| !before.contains(field));
            let gone = own.filter(|(_, value)| !shown.contains(value));
            missing.extend(gone.map(|(_, value)| (key.clone(), value.to_owned())));
        }
        missing
    }

    /// I4 and I8, of everything; and a store is whole, and as the tables in memory.
    pub(crate) fn check_all(&mut self) -> Step {
        if let Some(problem) = self.stored.as_ref().and_then(|stored| stored.problem(&self.replica)) {
            return Err(Violation::new("disk", format!("{}: {problem}", self.id)));
        }
        let mut keys: BTreeSet<ResourceKey> = self.replica.contents().map(|(key, _)| key.clone()).collect();
        keys.extend(self.replica.all_known().map(|(key, _)| key.clone()));
        keys.extend(self.replica.frozen().map(|frozen| frozen.mutation().key.clone()));
        keys.extend(self.replica.held_rows().map(|row| row.key.clone()));
        if let Some(difference) = self.stored.as_ref().and_then(|stored| stored.difference(&self.replica)) {
            return Err(Violation::new("disk", format!("{} has another state: {difference}", self.id)));
        }
        self.check(keys.iter())
    }

    /// I4 and I8, of these resources.
    fn check<'k>(&mut self, keys: impl Iterator<Item = &'k ResourceKey>) -> Step {
        let Ok(scopes) = self.replica.scopes();
        let is_held = |scope: &Scope| scopes.iter().any(|held| held.scope == *scope);
        if let Some(scope) = self.replica.scopes_with_members().find(|scope| !is_held(scope)) {
            let detail = format!("{} has members of {scope}, which it does not hold", self.id);
            return Err(Violation::new("I8", detail));
        }
        let mut keys = keys.peekable();
        if keys.peek().is_some() {
            for held in &scopes {
                self.check_digest(&held.scope)?;
            }
        }
        keys.try_for_each(|key| self.check_one(key))
    }

    fn check_digest(&mut self, scope: &Scope) -> Step {
        let mut counted = Digest::default();
        let Ok(()) = self.replica.members(scope, &mut |member| counted.add(member));
        let Ok(kept) = self.replica.digest(scope);
        if kept == counted {
            return Ok(());
        }
        let detail = format!("{} keeps a digest of {scope} that is not that of its members", self.id);
        Err(Violation::new("I8", detail))
    }

    fn check_one(&mut self, key: &ResourceKey) -> Step {
        let replica = &mut self.replica;
        let (Ok(known), Ok(base), Ok(content)) =
            (replica.known(key), replica.base(key), replica.content(key));
        let (Ok(mutation), Ok(held), Ok(scopes)) =
            (replica.mutation_of(key), replica.held(key), replica.memberships(key));
        let is_kept = |known: &Known| base.is_some() || !scopes.is_empty() || known.unplaced.is_some();
        let problem = match &known {
            _ if mutation.is_some() && base.is_none() => "is in flight and has no base",
            _ if held.is_some() && mutation.is_none() => "is held back and not in flight",
            Some(known) if !is_kept(known) => "is in no scope that it holds",
            None if base.is_none() && content.as_ref().and_then(scope_of).is_some() => {
                "is neither edited nor known, and not for here alone"
            }
            None if !scopes.is_empty() && base.is_none() => "is in a scope and not known",
            Some(known) if base.is_none() && known.hash.is_some() != content.is_some() => {
                "is not as it is known"
            }
            _ => return self.check_version(key, known.as_ref()),
        };
        Err(Violation::new("I8", format!("{} {key} {problem}", self.id)))
    }

    /// I10: what a person saved as one is sent as one. `before` was frozen when the turn began.
    fn check_group(&mut self, key: &ResourceKey, before: &BTreeSet<Sequence>) -> Step {
        let replica = &mut self.replica;
        let (Ok(mutation), Ok(base)) = (replica.mutation_of(key), replica.base(key));
        let mutation = mutation.filter(|frozen| !before.contains(&frozen.mutation().sequence));
        let Some((frozen, group)) = mutation.zip(base.and_then(|base| base.group)) else { return Ok(()) };
        let Ok(others) = replica.group(group);
        for other in others.iter().filter(|other| *other != key) {
            let Ok(other) = replica.mutation_of(other);
            let group = frozen.mutation().group;
            if other.is_some_and(|other| group.is_none() || other.mutation().group != group) {
                return Err(Violation::new("I10", format!("{} sends a part of {key}'s group", self.id)));
            }
        }
        Ok(())
    }

    /// I12: what an answer to a push just told of a resource is of a scope that is held, unless the resource is in one.
    fn check_told(&mut self, key: &ResourceKey) -> Step {
        let replica = &mut self.replica;
        let (Ok(known), Ok(base), Ok(memberships)) =
            (replica.known(key), replica.base(key), replica.memberships(key));
        let before = self.seen.get(key).copied().unwrap_or_default();
        let is_told = known.is_some_and(|known| !known.own && known.version > before);
        if !is_told || base.is_some() || !memberships.is_empty() {
            return Ok(());
        }
        let (Ok(content), Ok(scopes)) = (replica.content(key), replica.scopes());
        let scope = content.as_ref().and_then(scope_of);
        if scope.is_none_or(|scope| scopes.iter().any(|held| held.scope == scope)) {
            return Ok(());
        }
        Err(Violation::new("I12", format!("{} shows {key}, which is in no scope that it holds", self.id)))
    }

    fn check_version(&mut self, key: &ResourceKey, known: Option<&Known>) -> Step {
        let before = self.seen.get(key).copied().unwrap_or_default();
        match known.filter(|known| !known.doubtful) {
            Some(known) if known.version < before => {
                let detail = format!("{} {key} went back from {before:?} to {:?}", self.id, known.version);
                return Err(Violation::new("I4", detail));
            }
            Some(known) => self.seen.insert(key.clone(), known.version),
            None => {
                let before = self.seen.remove(key);
                self.forgotten.extend(before.filter(|_| known.is_none()).map(|_| key.clone()));
                None
            }
        };
        Ok(())
    }

    /// I10: what the server wrote as one is seen as one. A device may not have heard yet that the server was restored, and
    /// know versions that are not of its history.
    pub(crate) fn check_transactions(
        &mut self,
        transactions: &[Vec<(ResourceKey, Version)>],
        is_of_history: impl Fn(&ResourceKey, &Known) -> bool,
    ) -> Step {
        let replica = &mut self.replica;
        let Ok(scopes) = replica.scopes();
        let complete: BTreeSet<_> =
            scopes.iter().filter(|held| held.is_complete).map(|held| &held.scope).collect();
        for transaction in transactions {
            let mut seen = Vec::new();
            for (key, version) in transaction {
                let (Ok(known), Ok(base), Ok(memberships)) =
                    (replica.known(key), replica.base(key), replica.memberships(key));
                let is_whole = base.is_none()
                    && !memberships.is_empty()
                    && memberships.iter().all(|scope| complete.contains(scope));
                // An outcome's row is shown at once, ahead of the checkpoint that its transaction belongs to.
                let known = known.filter(|known| is_whole && !known.doubtful && known.unplaced.is_none());
                seen.extend(known.map(|known| (key, known, *version)));
            }
            let is_part = |seen: &[(&ResourceKey, Known, Version)]| {
                let there = seen.iter().filter(|(_, known, written)| known.version >= *written).count();
                there > 0 && there < seen.len()
            };
            if is_part(&seen) {
                seen.retain(|(key, known, _)| is_of_history(key, known));
            }
            if is_part(&seen) {
                let detail = format!("{} sees a part of what was written as one: {seen:?}", self.id);
                return Err(Violation::new("I10", detail));
            }
        }
        Ok(())
    }

    /// Whether an edit with this value waits for a person, since it can never be sent: or waited, until the device lost
    /// the resource.
    pub(crate) fn has_unsendable(&self, key: &ResourceKey, value: &str) -> bool {
        let mut records = self.replica.conflicts().iter();
        records.any(|record| {
            let is_own = record.key == *key && record.kind == ParkKind::Rejected && record.outcome.is_none();
            let is_blank = record.base.is_none() && record.mine.is_none();
            is_own && (is_blank || record.mine.iter().flat_map(values).any(|(_, own)| own == value))
        })
    }

    /// Whether a value is in what is on this device alone, since it is in no scope.
    pub(crate) fn keeps(&mut self, key: &ResourceKey, value: &str) -> bool {
        let (Ok(known), Ok(content)) = (self.replica.known(key), self.replica.content(key));
        let content = content.filter(|body| known.is_none() && scope_of(body).is_none());
        content.is_some_and(|body| values(&body).any(|(_, own)| own == value))
    }

    /// The resources that are on this device alone, since they are in no scope.
    pub(crate) fn kept(&self) -> impl Iterator<Item = (&ResourceKey, &Body)> {
        let known: BTreeSet<_> = self.replica.all_known().map(|(key, _)| key).collect();
        self.replica.contents().filter(move |(key, body)| !known.contains(key) && scope_of(body).is_none())
    }

    /// The bytes of an attachment; none if they are not here.
    pub(crate) fn bytes(&self, blob: &Blob) -> Option<&[u8]> {
        self.replica.attached(&blob.sha256).filter(|bytes| bytes.len() as u64 == blob.size)
    }

    /// Attachments that are seen, and of which.
    fn files(&self) -> impl Iterator<Item = (&ResourceKey, Blob)> {
        self.replica.contents().filter_map(|(key, body)| Some((key, file(body)?)))
    }

    /// I1: what is attached to what readers see is here, byte for byte.
    pub(crate) fn check_files(&self) -> Step {
        let is_here = |blob: &Blob| self.bytes(blob).is_some_and(|bytes| Hash::of(bytes) == blob.sha256);
        match self.files().find(|(_, blob)| !is_here(blob)) {
            Some((key, _)) => {
                Err(Violation::new("I1", format!("{} misses what is attached to {key}", self.id)))
            }
            None => Ok(()),
        }
    }

    /// What keeps it from being done.
    pub(crate) fn open_work(&mut self, server: keepwell_protocol::Horizon) -> Option<String> {
        let Ok(progress) = self.engine.progress(&mut self.replica);
        let Ok(unarchived) = self.replica.unarchived(1);
        let counts = [
            ("edits", self.replica.bases().count()),
            ("mutations", self.replica.frozen().count()),
            ("held rows", self.replica.held_rows().count()),
            ("staged rows", self.replica.staged_rows().count()),
            ("records", unarchived.len()),
            ("hydrations", progress.hydrating),
            ("attachments", self.files().filter(|(_, blob)| self.bytes(blob).is_none()).count()),
        ];
        let is_behind = progress.position != server.clock || progress.is_stale;
        let open: Vec<String> = counts
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(what, count)| format!("{count} {what}"))
            .collect();
        if let Some(stop) = &self.engine.report().stopped {
            return Some(format!("stopped: {stop}"));
        }
        if open.is_empty() && !is_behind {
            return None;
        }
        Some(format!("{} at {:?} of {:?}", open.join(", "), progress.position, server.clock))
    }
}
