//! One turn of the engine: what is learnt of a resource, in the caller's transaction.

use keepwell_engine::{Base, ConflictRecord, Joined, Now, Replica as _, Waiting, join, waiting};
use keepwell_fhir::Instant;
use keepwell_protocol::{BlobToken, Body, Id, ParkKind, ResourceKey, Version};

use crate::bundle::Row;
use crate::content::{MARK_SYSTEM, to_local};
use crate::defect::Defect;
use crate::engine::{Memory, Settings};
use crate::replica::{Flight, Intent, Remote, Replica, Standing};
use crate::state::State;
use crate::walk::MADE_HERE;

/// What a turn works with.
pub(crate) struct Turn<'a, R: Replica> {
    pub(crate) replica: &'a mut R,
    pub(crate) state: State,
    pub(crate) settings: &'a Settings,
    pub(crate) memory: &'a mut Memory,
    pub(crate) random: &'a mut dyn FnMut() -> u64,
    pub(crate) now: Now,
}

/// A version of the server's, in the terms of this device.
#[derive(Clone, Debug)]
pub(crate) struct Theirs {
    pub(crate) version: Option<String>,
    pub(crate) at: Option<Instant>,
    /// None if it is deleted.
    pub(crate) content: Option<Body>,
}

/// How a row compares with what is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Age {
    Same,
    Older,
    Newer,
    Unknown,
}

impl<R: Replica> Turn<'_, R> {
    pub(crate) fn draw_id(&mut self) -> Id {
        let (high, low) = ((self.random)(), (self.random)());
        format!("{high:016x}{low:016x}").parse().expect("hexadecimal digits are an id")
    }

    /// The numbers of the searches that are wanted now.
    pub(crate) fn wanted_searches(&self) -> Vec<u32> {
        let held = self.state.searches.iter().zip(0..);
        held.filter(|(held, _)| self.settings.searches.contains(&held.search))
            .map(|(_, number)| number)
            .collect()
    }

    /// The id of a resource there.
    pub(crate) fn server_id(&mut self, key: &ResourceKey) -> Result<Id, R::Error> {
        let remote = self.replica.remote(key)?;
        Ok(remote.and_then(|remote| remote.server_id).unwrap_or_else(|| key.id.clone()))
    }

    /// The resource here that the server means; none if another one has that id here.
    pub(crate) fn local_key(&mut self, theirs: &ResourceKey) -> Result<Option<ResourceKey>, R::Error> {
        if let Some(id) = self.replica.local_id(theirs.kind, &theirs.id)? {
            return Ok(Some(ResourceKey { kind: theirs.kind, id }));
        }
        let is_another = self.replica.remote(theirs)?.is_some_and(|remote| remote.server_id.is_some());
        Ok((!is_another).then(|| theirs.clone()))
    }

    /// A resource came that was posted from here, and nobody had heard where to: now it is known.
    pub(crate) fn recognise(&mut self, row: &Row<'_>) -> Result<bool, R::Error> {
        let text = std::str::from_utf8(row.bytes).unwrap_or_default();
        if !text.contains(MARK_SYSTEM) {
            return Ok(false);
        }
        for key in self.replica.flights()? {
            let Some(flight) = self.replica.flight(&key)?.filter(|_| key.kind == row.key.kind) else {
                continue;
            };
            if flight.mark.as_ref().is_some_and(|mark| text.contains(mark.as_str())) {
                self.adopt(&key, &flight, row)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What was posted is this row.
    pub(crate) fn adopt(
        &mut self,
        key: &ResourceKey,
        flight: &Flight,
        row: &Row<'_>,
    ) -> Result<(), R::Error> {
        let server_id = (row.key.id != key.id).then(|| row.key.id.clone());
        // References to itself are rewritten too, so the id is noted before.
        self.replica.set_remote(key, &Remote { server_id, ..listed() })?;
        let theirs = self.theirs(key, row)?;
        self.agree(key, flight, theirs)
    }

    /// A row in the terms of this device; none if it cannot be read, or is only a part.
    pub(crate) fn theirs(&mut self, key: &ResourceKey, row: &Row<'_>) -> Result<Option<Theirs>, R::Error> {
        if row.is_subset {
            return Ok(None);
        }
        let content = to_local(&mut self.memory.walker, self.replica, row.bytes, &key.id)?;
        let theirs = |content| Theirs { version: row.version.clone(), at: row.at, content: Some(content) };
        Ok(content.map(theirs))
    }

    /// It has to be read.
    pub(crate) fn want(&mut self, key: &ResourceKey) -> Result<(), R::Error> {
        let remote = self.replica.remote(key)?.unwrap_or_else(listed);
        self.replica.set_remote(key, &Remote { is_wanted: true, ..remote })
    }

    /// A row of a list: lists may be older than what is known, and so may be what they hold.
    pub(crate) fn observe_row(&mut self, key: &ResourceKey, row: &Row<'_>) -> Result<(), R::Error> {
        if self.replica.flight(key)?.is_some() {
            return self.want(key);
        }
        let remote = self.replica.remote(key)?;
        let age = match &remote {
            None => Age::Newer,
            Some(remote) => age(remote, row.version.as_deref(), row.at),
        };
        match age {
            Age::Same => Ok(()),
            Age::Older if !Defect::TakesStaleRows.is_on() => Ok(()),
            Age::Unknown => self.want(key),
            Age::Older | Age::Newer => match self.theirs(key, row)? {
                Some(theirs) => self.take(key, theirs),
                None if row.is_subset => self.want(key),
                // What this program cannot read stays there.
                None => Ok(()),
            },
        }
    }

    /// This is what the server has. No write of the resource is under way.
    pub(crate) fn take(&mut self, key: &ResourceKey, theirs: Theirs) -> Result<(), R::Error> {
        let before = self.replica.remote(key)?;
        let mine = self.replica.tables().content(key)?;
        match self.replica.tables().base(key)? {
            Some(base) if !Defect::TakesTheirs.is_on() => {
                self.rebase(key, before.as_ref(), base, mine, &theirs)?;
            }
            base => {
                if base.is_some() {
                    self.replica.tables().set_base(key, None)?;
                }
                if mine != theirs.content {
                    self.show(key, &theirs)?;
                }
            }
        }
        let standing = if theirs.content.is_some() { Standing::Here } else { Standing::Deleted };
        let remote = Remote {
            server_id: before.and_then(|before| before.server_id),
            standing,
            version: theirs.version,
            at: theirs.at,
            hash: theirs.content.as_ref().map(Body::hash),
            is_wanted: false,
        };
        self.replica.set_remote(key, &remote)
    }

    /// Another version came while an edit waits: the edit is joined with it, or loses.
    fn rebase(
        &mut self,
        key: &ResourceKey,
        before: Option<&Remote>,
        base: Base,
        mine: Option<Body>,
        theirs: &Theirs,
    ) -> Result<(), R::Error> {
        let content = theirs.content.clone();
        let waits =
            match join(&mut self.memory.merger, base.content.as_ref(), mine.as_ref(), content.as_ref()) {
                Joined::Theirs => false,
                Joined::Mine => true,
                Joined::Merged { content: merged, .. } => {
                    self.memory.report.merged += 1;
                    if let Some(merged) = merged.filter(|merged| Some(merged) != mine.as_ref()) {
                        self.replica.tables().put(key, &merged, None, None)?;
                    }
                    true
                }
                Joined::Lost { paths, reasons, shows_mine } => {
                    let kind = if content.is_none() { ParkKind::Deleted } else { ParkKind::Conflict };
                    let version = before.and_then(|before| before.version.as_deref());
                    let record = self.record(kind, key, version, base.content.clone(), mine.clone());
                    self.lose(ConflictRecord {
                        theirs_version: Some(number(theirs.version.as_deref())),
                        theirs: content.clone(),
                        paths,
                        reasons,
                        ..record
                    })?;
                    shows_mine
                }
            };
        if waits {
            return self.replica.tables().set_base(key, Some(&Base { content, merge: None, ..base }));
        }
        self.replica.tables().set_base(key, None)?;
        if mine == content { Ok(()) } else { self.show(key, theirs) }
    }

    fn show(&mut self, key: &ResourceKey, theirs: &Theirs) -> Result<(), R::Error> {
        self.memory.report.stored += 1;
        let version = number(theirs.version.as_deref());
        match &theirs.content {
            Some(body) => self.replica.tables().put(key, body, Some(version), theirs.at),
            None => self.replica.tables().delete(key, version, theirs.at),
        }
    }

    /// The server has what was sent; `theirs` is how it has it, if it said so.
    pub(crate) fn agree(
        &mut self,
        key: &ResourceKey,
        flight: &Flight,
        theirs: Option<Theirs>,
    ) -> Result<(), R::Error> {
        self.memory.report.applied += 1;
        self.replica.set_flight(key, None)?;
        self.memory.refused.remove(key);
        if matches!(flight.intent, Intent::Create | Intent::Post) {
            self.replica.add_member(MADE_HERE, key, 0)?;
        }
        let base = self.replica.tables().base(key)?;
        if let Some(base) = base.clone() {
            let base = Base { content: flight.sent.clone(), merge: None, ..base };
            self.replica.tables().set_base(key, Some(&base))?;
        }
        let before = self.replica.remote(key)?.unwrap_or_else(listed);
        match theirs {
            // Who purged it here meanwhile does not get it back.
            Some(theirs) if base.is_none() => {
                let hash = theirs.content.as_ref().map(Body::hash);
                let Theirs { version, at, .. } = theirs;
                let remote =
                    Remote { standing: Standing::Here, version, at, hash, is_wanted: false, ..before };
                self.replica.set_remote(key, &remote)
            }
            Some(theirs) => self.take(key, theirs),
            None if flight.sent.is_none() => {
                let theirs = Theirs { version: None, at: None, content: None };
                self.take(key, theirs)
            }
            // How the server has it is to be seen.
            None => {
                let (standing, version) = (Standing::Here, None);
                self.replica.set_remote(key, &Remote { standing, version, is_wanted: true, ..before })
            }
        }
    }

    /// The server does not show it, and does not say that it was deleted: readers here do not see it any more, and
    /// nothing else follows.
    pub(crate) fn lose_sight(&mut self, key: &ResourceKey) -> Result<(), R::Error> {
        let Some(remote) = self.replica.remote(key)? else { return Ok(()) };
        if remote.standing == Standing::Deleted {
            return self.replica.set_remote(key, &Remote { is_wanted: false, ..remote });
        }
        if remote.standing == Standing::Unavailable {
            return self.replica.set_remote(key, &Remote { is_wanted: false, ..remote });
        }
        let content = self.replica.tables().content(key)?;
        if let Some(base) = self.replica.tables().base(key)? {
            if remote.standing == Standing::Listed {
                // It was made here, and something else with its id was seen there for a moment.
                return self.replica.set_remote(key, &Remote { is_wanted: false, ..remote });
            }
            let known = Version::ZERO.next().expect("one is a small number");
            let is_edit =
                matches!(waiting(base.content.as_ref(), known, content.as_ref()), Waiting::Send(..));
            if is_edit && content.is_some() {
                let version = remote.version.as_deref();
                let record = self.record(ParkKind::Gone, key, version, base.content.clone(), content.clone());
                self.lose(record)?;
            }
            self.replica.tables().set_base(key, None)?;
        }
        if content.is_some() {
            self.memory.report.purged += 1;
            self.replica.tables().delete(key, number(remote.version.as_deref()), None)?;
        }
        let remote = Remote { standing: Standing::Unavailable, is_wanted: false, ..remote };
        self.replica.set_remote(key, &remote)?;
        if Defect::DeletesUnavailable.is_on() {
            let base =
                Base { content: remote.hash.and(content), order: u64::MAX >> 12, group: None, merge: None };
            self.replica.tables().set_base(key, Some(&base))?;
            self.replica.set_remote(key, &Remote { standing: Standing::Here, ..remote })?;
        }
        Ok(())
    }

    /// The server does not take an edit: a person has to repair it. The resource is as the server has it.
    pub(crate) fn quarantine(&mut self, key: &ResourceKey, outcome: Option<Body>) -> Result<(), R::Error> {
        self.memory.refused.remove(key);
        let Some(base) = self.replica.tables().base(key)? else { return Ok(()) };
        let mine = self.replica.tables().content(key)?;
        let remote = self.replica.remote(key)?;
        let version = remote.as_ref().and_then(|remote| remote.version.as_deref());
        self.memory.report.rejected += 1;
        let record = self.record(ParkKind::Rejected, key, version, base.content.clone(), mine);
        self.lose(ConflictRecord { outcome, ..record })?;
        self.replica.tables().set_base(key, None)?;
        match (remote, base.content) {
            (None, _) => self.replica.tables().purge(key),
            (Some(remote), content) => {
                let is_whole = match &content {
                    Some(content) => self.has_attachments(content)?,
                    None => true,
                };
                let theirs = Theirs { version: remote.version, at: remote.at, content };
                self.show(key, &theirs)?;
                if is_whole { Ok(()) } else { self.want(key) }
            }
        }
    }

    /// Whether the attachments of a content are here: those of a base may never have been.
    fn has_attachments(&mut self, content: &Body) -> Result<bool, R::Error> {
        for (_, token) in BlobToken::all(content.as_bytes()).unwrap_or_default() {
            if !self.replica.tables().has_blob(&token.blob)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn record(
        &mut self,
        kind: ParkKind,
        key: &ResourceKey,
        base_version: Option<&str>,
        base: Option<Body>,
        mine: Option<Body>,
    ) -> ConflictRecord {
        // The mark of being archived stays off: such a server has no place for it.
        ConflictRecord::open(self.draw_id(), kind, key, number(base_version), (base, mine), self.now.wall)
    }

    fn lose(&mut self, record: ConflictRecord) -> Result<(), R::Error> {
        self.memory.report.lost += 1;
        self.replica.tables().set_conflict(&record)
    }
}

/// What is known of a resource that was named and not read.
pub(crate) fn listed() -> Remote {
    Remote {
        server_id: None,
        standing: Standing::Listed,
        version: None,
        at: None,
        hash: None,
        is_wanted: false,
    }
}

/// A version as a number, for the record of a conflict; zero where the server counts otherwise.
fn number(version: Option<&str>) -> Version {
    version.and_then(|version| Version::new(version.parse().ok()?)).unwrap_or_default()
}

/// How a row compares with what is known.
fn age(known: &Remote, version: Option<&str>, at: Option<Instant>) -> Age {
    if known.standing == Standing::Listed {
        return Age::Newer;
    }
    let (Some(old), Some(new)) = (known.version.as_deref(), version) else { return Age::Unknown };
    if old == new {
        // What had disappeared, or was deleted, is read.
        return if known.standing == Standing::Here && !known.is_wanted { Age::Same } else { Age::Unknown };
    }
    let order = match (old.parse::<u64>(), new.parse::<u64>()) {
        (Ok(old), Ok(new)) => Some(new.cmp(&old)),
        _ => match (known.at, at) {
            (Some(old), Some(new)) => Some(new.cmp(&old)),
            _ => None,
        },
    };
    match order {
        Some(std::cmp::Ordering::Less) => Age::Older,
        Some(std::cmp::Ordering::Greater) if known.standing == Standing::Here => Age::Newer,
        _ => Age::Unknown,
    }
}
