//! The outbox: which edits are frozen, and which mutations make the next push.

use std::collections::BTreeSet;

use keepwell_protocol::{
    Batch, Body, Delta, Frozen, Mutation, Payload, PushHead, ResourceKey, Sequence, VERSION_MAX, limits,
};

use crate::defect::Defect;
use crate::edited::{Waiting, waiting};
use crate::replica::{Base, BlobState, Dirty, Replica};
use crate::tokens::tokens;
use crate::turn::Turn;

/// Dirty resources that are looked at for one push: those in flight are passed over.
const DIRTY_MAX: usize = 4 * limits::MUTATIONS_MAX;

/// A push that is being put together.
struct Draft {
    batch: Batch,
    mutations: Vec<Frozen>,
    bytes: usize,
    mutations_max: usize,
}

impl Draft {
    /// Whether all of these go with this push; if so, they are part of it.
    fn admits(&mut self, unit: &[Frozen], bytes_max: usize) -> bool {
        let mut batch = self.batch;
        let fits = unit.iter().all(|frozen| batch.admits(frozen.line().len(), frozen.mutation().group));
        let bytes: usize = unit.iter().map(|frozen| frozen.line().len()).sum();
        let within =
            self.mutations.len() + unit.len() <= self.mutations_max && self.bytes + bytes <= bytes_max;
        // The server may take less than the protocol allows, but never less than one mutation or group.
        let fits = fits && (within || self.mutations.is_empty());
        if fits {
            (self.batch, self.bytes) = (batch, self.bytes + bytes);
            self.mutations.extend_from_slice(unit);
        }
        fits
    }
}

impl<R: Replica> Turn<'_, R> {
    /// The head of a push.
    pub(crate) fn push_head(&mut self) -> Result<PushHead, R::Error> {
        Ok(PushHead {
            v: VERSION_MAX,
            incarnation: self.state.incarnation,
            epoch: self.state.epoch,
            ack: self.ack()?,
        })
    }

    /// Every outcome up to here has been settled.
    pub(crate) fn ack(&mut self) -> Result<Sequence, R::Error> {
        let lowest = self.replica.mutations(Sequence::ZERO, 1)?;
        let open = lowest.first().map_or(self.state.next, |frozen| frozen.mutation().sequence);
        Ok(Sequence::new(open.get() - 1).expect("numbers begin with one"))
    }

    /// The mutations of the next push: those that are frozen, and as many that wait as have room.
    pub(crate) fn next_push(&mut self, mutations_max: usize) -> Result<Vec<Frozen>, R::Error> {
        let mut draft = Draft { batch: Batch::default(), mutations: Vec::new(), bytes: 0, mutations_max };
        let bytes_max = self.state.limits.bytes as usize;
        let frozen = self.replica.mutations(Sequence::ZERO, limits::MUTATIONS_MAX)?;
        let is_all = frozen.len() < limits::MUTATIONS_MAX;
        for unit in units(&frozen) {
            if !draft.admits(unit, bytes_max) {
                return Ok(draft.mutations);
            }
        }
        if is_all && !self.state.is_doubtful {
            self.freeze_waiting(&mut draft, bytes_max)?;
        }
        Ok(draft.mutations)
    }

    fn freeze_waiting(&mut self, draft: &mut Draft, bytes_max: usize) -> Result<(), R::Error> {
        let mut seen = BTreeSet::new();
        for Dirty { key, group, .. } in self.replica.dirty(0, DIRTY_MAX)? {
            let group = group.filter(|_| !Defect::BreaksGroups.is_on());
            let keys = match group {
                Some(group) if seen.insert(group) => self.replica.group(group)?,
                Some(_) => continue,
                None => vec![key],
            };
            if !self.freeze_unit(&keys, draft, bytes_max)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Freezes a resource, or a group as one. False if the push is full.
    fn freeze_unit(
        &mut self,
        keys: &[ResourceKey],
        draft: &mut Draft,
        bytes_max: usize,
    ) -> Result<bool, R::Error> {
        for key in keys {
            if self.is_in_flight(key)? {
                return Ok(true);
            }
        }
        for key in keys {
            if !self.are_blobs_sent(key)? {
                return Ok(true);
            }
        }
        let mut mutations = Vec::new();
        for key in keys {
            mutations.extend(self.draft_mutation(key)?);
        }
        let unit = self.freeze(mutations)?;
        if unit.is_empty() || self.admit(&unit, draft, bytes_max)? {
            return Ok(true);
        }
        if !draft.mutations.is_empty() || unit.len() == 1 {
            return Ok(false);
        }
        // A group that no push can hold goes in parts: better than never.
        for frozen in unit {
            let mutation = Mutation { group: None, sequence: self.state.next, ..frozen.into_mutation() };
            let single = self.freeze(vec![mutation])?;
            if !self.admit(&single, draft, bytes_max)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The resources of the first mutation, or group, that is frozen.
    pub(crate) fn first_unit(&mut self) -> Result<Vec<ResourceKey>, R::Error> {
        let frozen = self.replica.mutations(Sequence::ZERO, limits::MUTATIONS_MAX)?;
        let unit = units(&frozen).next().unwrap_or_default();
        Ok(unit.iter().map(|frozen| frozen.mutation().key.clone()).collect())
    }

    /// Takes a resource out of its group, which no push can hold: better than never.
    pub(crate) fn part(&mut self, key: &ResourceKey) -> Result<(), R::Error> {
        match self.replica.base(key)? {
            Some(base) => self.replica.set_base(key, Some(&Base { group: None, ..base })),
            None => Ok(()),
        }
    }

    /// Puts a unit into the push and on disk, if there is room.
    fn admit(&mut self, unit: &[Frozen], draft: &mut Draft, bytes_max: usize) -> Result<bool, R::Error> {
        if !draft.admits(unit, bytes_max) {
            return Ok(false);
        }
        for frozen in unit {
            self.replica.set_mutation(frozen)?;
            self.report.frozen += 1;
            self.state.next = frozen.mutation().sequence.next().expect("2^53 mutations take a while");
        }
        Ok(true)
    }

    /// Gives numbers and bytes, on trial: the state counts on only when they are admitted.
    fn freeze(&mut self, mutations: Vec<Mutation>) -> Result<Vec<Frozen>, R::Error> {
        let mut unit = Vec::new();
        let mut sequence = self.state.next;
        let group = (mutations.len() > 1).then_some(sequence.get());
        for mutation in mutations {
            let key = mutation.key.clone();
            match Frozen::freeze(Mutation { sequence, group, ..mutation }) {
                Ok(frozen) if frozen.line().len() <= self.state.limits.line as usize => {
                    unit.push(frozen);
                    sequence = sequence.next().expect("2^53 mutations take a while");
                }
                // It can never be sent, and what waits behind it must not wait for it.
                _ => self.quarantine_waiting(&key)?,
            }
        }
        Ok(unit)
    }

    /// Whether the server has the attachments of a waiting edit; those that it has not are noted to be sent.
    fn are_blobs_sent(&mut self, key: &ResourceKey) -> Result<bool, R::Error> {
        let wanted = self.replica.content(key)?.as_ref().map(tokens).unwrap_or_default();
        if wanted.is_empty() {
            return Ok(true);
        }
        let base = self.replica.base(key)?.and_then(|base| base.content);
        let there = base.as_ref().map(tokens).unwrap_or_default();
        let mut are_sent = true;
        for blob in wanted {
            let is_sent = match self.replica.blob(&blob.sha256)? {
                Some(state) => state.sent == blob.size,
                None => there.contains(&blob),
            };
            if is_sent {
                continue;
            }
            if !self.replica.has_blob(&blob)? {
                // Neither side has it: a person has to look.
                self.quarantine_waiting(key)?;
                return Ok(false);
            }
            if self.replica.blob(&blob.sha256)?.is_none() {
                self.replica.set_blob(&BlobState::unsent(blob))?;
            }
            are_sent = false;
        }
        Ok(are_sent)
    }

    /// The server has not got the attachments of a mutation: they are sent before it goes again, under a new number. If
    /// they are not here either, a person has to look.
    pub(crate) fn send_blobs_again(&mut self, key: &ResourceKey) -> Result<(), R::Error> {
        let base = self.replica.base(key)?.and_then(|base| base.content);
        let before = base.as_ref().map(tokens).unwrap_or_default();
        let (mut is_sent, mut is_missing) = (false, false);
        for blob in self.replica.content(key)?.as_ref().map(tokens).unwrap_or_default() {
            if self.replica.has_blob(&blob)? {
                let state = self.replica.blob(&blob.sha256)?.unwrap_or_else(|| BlobState::unsent(blob));
                self.replica.set_blob(&BlobState { sent: 0, upload: None, ..state })?;
                is_sent = true;
            } else {
                is_missing |= !before.contains(&blob);
            }
        }
        self.begin_incarnation()?;
        if is_sent && !is_missing { Ok(()) } else { self.quarantine_waiting(key) }
    }

    /// Takes an edit out of the outbox that cannot be sent.
    pub(crate) fn quarantine_waiting(&mut self, key: &ResourceKey) -> Result<(), R::Error> {
        let Some(base) = self.replica.base(key)? else { return Ok(()) };
        let mine = self.replica.content(key)?;
        self.report.rejected += 1;
        self.quarantine(key, &base, mine, None)
    }

    /// What waits for a resource, as a mutation; nothing if nothing does.
    fn draft_mutation(&mut self, key: &ResourceKey) -> Result<Option<Mutation>, R::Error> {
        let Some(base) = self.replica.base(key)? else { return Ok(None) };
        let known = self.replica.known(key)?;
        let version = known.map_or(keepwell_protocol::Version::ZERO, |known| known.version);
        let content = self.replica.content(key)?;
        let (operation, version) = match waiting(base.content.as_ref(), version, content.as_ref()) {
            Waiting::Send(operation, version) => (operation, version),
            Waiting::Nothing => {
                self.replica.set_base(key, None)?;
                return Ok(None);
            }
            Waiting::Vanished => {
                self.replica.set_base(key, None)?;
                self.replica.purge(key)?;
                return Ok(None);
            }
        };
        Ok(Some(Mutation {
            sequence: self.state.next,
            operation,
            key: key.clone(),
            base: version,
            at: None,
            why: None,
            group: None,
            payload: payload(&base, content),
            // What the rules merged is an update; what a person decided may be anything.
            merge: base
                .merge
                .filter(|merge| operation == keepwell_protocol::Operation::Update || !merge.cids.is_empty()),
        }))
    }
}

/// Groups, and mutations without one by themselves.
fn units(frozen: &[Frozen]) -> impl Iterator<Item = &[Frozen]> {
    frozen.chunk_by(|one, two| one.mutation().group.is_some() && one.mutation().group == two.mutation().group)
}

/// The whole body, or what changed against the base if that is clearly less.
fn payload(base: &Base, content: Option<Body>) -> Payload {
    match (&base.content, content) {
        (_, None) => Payload::Nothing,
        (Some(base), Some(content)) => {
            Delta::saving(base, &content).map_or_else(|| Payload::Body(content), Payload::Delta)
        }
        (None, Some(content)) => Payload::Body(content),
    }
}
