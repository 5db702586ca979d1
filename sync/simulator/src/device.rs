//! A simulated device: the real engine over a replica in memory.

use std::collections::{BTreeMap, BTreeSet};

use keepwell_engine::{Edited, Effect, Engine, Event, MemoryReplica, Now, Replica as _, Settings, edited};
use keepwell_fhir::Instant;
use keepwell_protocol::{Body, Digest, Id, ResourceKey, Version};

use crate::content::Content;
use crate::random::Random;
use crate::violation::{Step, Violation};

/// A value that was saved in a resource.
pub(crate) type Edit = (ResourceKey, String);

/// A copy of a device's database, and which save was the last in it.
#[derive(Clone)]
pub(crate) struct Backup {
    pub(crate) replica: MemoryReplica,
    pub(crate) saves: u64,
}

pub(crate) struct Device {
    pub(crate) id: Id,
    pub(crate) user: Id,
    pub(crate) replica: MemoryReplica,
    pub(crate) engine: Engine,
    /// Which process it is: answers to an earlier one are lost.
    pub(crate) life: u64,
    pub(crate) wall_ms: i64,
    pub(crate) order: u64,
    pub(crate) is_wiped: bool,
    pub(crate) backup: Option<Backup>,
    /// The versions that readers have seen.
    pub(crate) seen: BTreeMap<ResourceKey, Version>,
    random: Random,
}

impl Device {
    pub(crate) fn new(id: Id, user: Id, seed: u64) -> Self {
        let random = Random::new(seed, id.as_str());
        Self {
            id,
            user,
            replica: MemoryReplica::new(),
            engine: Engine::new(Settings::default()),
            life: 0,
            wall_ms: 0,
            order: 0,
            is_wiped: false,
            backup: None,
            seen: BTreeMap::new(),
            random,
        }
    }

    /// Another device with a copy of the database.
    pub(crate) fn cloned(&self, seed: u64) -> Self {
        let mut copy = Self::new(self.id.clone(), self.user.clone(), seed);
        (copy.replica, copy.order, copy.life) = (self.replica.clone(), self.order, self.life + 1_000);
        copy
    }

    /// The process begins anew.
    pub(crate) fn restart(&mut self) {
        self.life += 1;
        self.engine = Engine::new(Settings::default());
    }

    /// The database is another one.
    pub(crate) fn replace(&mut self, replica: MemoryReplica) {
        self.replica = replica;
        self.seen.clear();
        self.restart();
    }

    /// A person saves.
    pub(crate) fn save(&mut self, key: &ResourceKey, body: Option<Body>, transaction: Option<u64>) {
        self.order += 1;
        let Ok(before) = self.replica.content(key);
        let change =
            Edited { key, before: before.as_ref(), after: body.as_ref(), order: self.order, transaction };
        let Ok(()) = edited(&mut self.replica, &change, &BTreeSet::new());
        self.replica.save(key, body);
    }

    /// An event, what is to be done, and the edits that are no longer shown though no record says so.
    pub(crate) fn handle(&mut self, event: Event, now_ms: u64) -> Step<(Vec<Effect>, Vec<Edit>)> {
        let wall = Instant::from_ms(i64::try_from(now_ms).unwrap_or(i64::MAX) + self.wall_ms);
        let mine = self.edits();
        let random = &mut self.random;
        let now = Now { ms: now_ms, wall };
        let Ok(effects) = self.engine.handle(event, now, &mut || random.next(), &mut self.replica);
        self.check()?;
        Ok((effects, self.missing_edits(&mine)))
    }

    /// The edits that wait: content, and which of its values were saved here.
    fn edits(&self) -> BTreeMap<ResourceKey, (Body, BTreeSet<String>)> {
        let own = |base: Option<&Body>, content: &Body| -> BTreeSet<String> {
            let before = base.map(Content::of).map(|content| content.fields).unwrap_or_default();
            let fields = Content::of(content).fields;
            fields
                .into_iter()
                .filter(|(name, value)| before.get(name) != Some(value))
                .map(|(_, value)| value)
                .collect()
        };
        let contents: BTreeMap<_, _> = self.replica.contents().collect();
        let bases = self.replica.bases();
        bases
            .filter_map(|(key, base)| {
                let content = contents.get(key)?;
                Some((key.clone(), ((*content).clone(), own(base.content.as_ref(), content))))
            })
            .collect()
    }

    /// Edits that were shown before and are not any more, without a record.
    fn missing_edits(&mut self, before: &BTreeMap<ResourceKey, (Body, BTreeSet<String>)>) -> Vec<Edit> {
        let mut missing = Vec::new();
        for (key, (body, values)) in before {
            let Ok(now) = self.replica.content(key);
            if now.as_ref() == Some(body) || self.replica.conflicts().iter().any(|record| record.key == *key)
            {
                continue;
            }
            let shown = now.map(|now| Content::of(&now).fields).unwrap_or_default();
            let gone = values.iter().filter(|value| !shown.values().any(|own| own == *value));
            missing.extend(gone.map(|value| (key.clone(), value.clone())));
        }
        missing
    }

    /// I4 and I8.
    fn check(&mut self) -> Step {
        let fail =
            |invariant, detail: String| Err(Violation::new(invariant, format!("{} {detail}", self.id)));
        let Ok(scopes) = self.replica.scopes();
        let held: BTreeSet<_> = scopes.iter().map(|held| &held.scope).collect();
        if let Some(scope) = self.replica.scopes_with_members().find(|scope| !held.contains(scope)) {
            return fail("I8", format!("has members of {scope}, which it does not hold"));
        }
        let wrong = scopes.iter().find(|held| {
            let mut counted = Digest::default();
            let Ok(()) = self.replica.members(&held.scope, &mut |member| counted.add(member));
            let Ok(kept) = self.replica.digest(&held.scope);
            kept != counted
        });
        if let Some(held) = wrong {
            return fail("I8", format!("keeps a digest of {} that is not that of its members", held.scope));
        }
        let members: BTreeSet<_> = held.iter().flat_map(|scope| self.replica.members_of(scope)).collect();
        let bases: BTreeSet<_> = self.replica.bases().map(|(key, _)| key).collect();
        let known: BTreeMap<_, _> = self.replica.all_known().collect();
        let in_flight: BTreeSet<_> = self.replica.frozen().map(|frozen| &frozen.mutation().key).collect();
        if let Some(key) = in_flight.iter().find(|key| !bases.contains(*key)) {
            return fail("I8", format!("{key} is in flight and has no base"));
        }
        if let Some(row) = self.replica.held_rows().find(|row| !in_flight.contains(&row.key)) {
            return fail("I8", format!("{} is held back and not in flight", row.key));
        }
        for (key, known) in &known {
            let is_kept = bases.contains(key) || members.contains(key) || known.unplaced.is_some();
            if !is_kept {
                return fail("I8", format!("{key} is in no scope that it holds"));
            }
        }
        let contents: BTreeSet<_> = self.replica.contents().map(|(key, _)| key).collect();
        if let Some(key) = contents.iter().find(|key| !bases.contains(*key) && !known.contains_key(*key)) {
            return fail("I8", format!("{key} is neither edited nor known"));
        }
        for (key, known) in &known {
            if !bases.contains(key) && known.hash.is_some() != contents.contains(key) {
                return fail("I8", format!("{key} is not as it is known"));
            }
        }
        let mut now = BTreeMap::new();
        for (key, known) in known {
            let before = self.seen.get(key).copied().unwrap_or_default();
            if known.doubtful {
                continue;
            }
            if known.version < before {
                return fail("I4", format!("{key} went back from {before:?} to {:?}", known.version));
            }
            now.insert(key.clone(), known.version);
        }
        self.seen = now;
        Ok(())
    }

    /// I10: what the server wrote as one is seen as one.
    pub(crate) fn check_transactions(&mut self, transactions: &[Vec<(ResourceKey, Version)>]) -> Step {
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
                seen.extend(known.map(|known| known.version >= *version));
            }
            if seen.contains(&true) && seen.contains(&false) {
                let (id, key) = (&self.id, &transaction[0].0);
                return Err(Violation::new(
                    "I10",
                    format!("{id} sees a part of what was written with {key}"),
                ));
            }
        }
        Ok(())
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
