//! A device's database as it really is: a store, which must say at any time what the tables in memory say.

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use keepwell_client::{Error, Result, StoreReplica, SyncExtension};
use keepwell_engine::{HeldScope, MemoryReplica, Replica};
use keepwell_protocol::{Body, Position, ResourceKey, Sequence};
use keepwell_store::audit::Action;
use keepwell_store::vault::ManualClock;
use keepwell_store::{
    Actor, CHANGES_PAGE_MAX, Precondition, Session, Store, StoreOptions, Transaction, VerifyOptions,
};

use crate::home::{End, Home, Image};
use crate::violation::{Step, Violation};

/// The code of a disk that is full (docs/error-codes.md).
pub(crate) const DISK_FULL: u16 = 502;

/// More rows than a device of this world has.
const ALL: usize = 100_000;

/// A store with the sync tables, and the session of its person.
pub(crate) struct Stored {
    session: Session,
    /// The last change that was looked at.
    sequence: i64,
    home: Home,
}

impl Stored {
    /// A store that has just been enrolled.
    pub(crate) fn new() -> Self {
        static NEW: OnceLock<Image> = OnceLock::new();
        Self::of(NEW.get_or_init(|| {
            let home = Home::empty();
            let store = Store::create(home.path(), options(&home), None).expect("nothing is there");
            enrol(&session(&store));
            drop(store);
            home.image()
        }))
    }

    /// A store that is a copy.
    pub(crate) fn of(image: &Image) -> Self {
        Self::open(Home::of(image)).expect("the store is there, and its key in its keychain")
    }

    fn open(home: Home) -> Step<Self> {
        let opened = Store::open(home.path(), options(&home)).and_then(|store| {
            store.unlock(None)?;
            Ok(session(&store))
        });
        match opened {
            Ok(session) => Ok(Self { session, sequence: 0, home }),
            Err(error) => Err(Violation::new("disk", format!("a device's store does not open: {error}"))),
        }
    }

    pub(crate) fn image(&self) -> Image {
        self.home.image()
    }

    pub(crate) fn moment(&self) -> usize {
        self.home.moment()
    }

    pub(crate) fn set_full(&self, is_full: bool) {
        self.home.set_full(is_full);
    }

    /// A person saves: what is several is one transaction. The place of the first in the log of changes; none if there is
    /// no room.
    pub(crate) fn save(&mut self, edits: &[(ResourceKey, Option<Body>)]) -> Option<u64> {
        let saved = match edits {
            [(key, Some(body))] => {
                self.session.update(key.kind, key.id.as_str(), body.as_bytes(), Precondition::None).map(drop)
            }
            [(key, None)] => self.session.delete(key.kind, key.id.as_str(), Precondition::None).map(drop),
            edits => self.session.bundle(&bundle(edits)).map(drop),
        };
        match saved {
            Ok(()) => {}
            Err(error) if error.code() == DISK_FULL => return None,
            Err(error) => panic!("what the world saves is valid: {error}"),
        }
        let changes = self.session.store().changes_after(self.sequence, CHANGES_PAGE_MAX);
        let changes = changes.expect("the log can be read");
        self.sequence = changes.last().map_or(self.sequence, |last| last.sequence);
        let first = &changes[changes.len() - edits.len()];
        Some(first.sequence.unsigned_abs())
    }

    /// One transaction of the engine, which may be given up in the end; none if there is no room.
    pub(crate) fn turn<T>(
        &self,
        commits: bool,
        work: impl FnOnce(&mut StoreReplica<'_, '_, '_>) -> Result<T>,
    ) -> Option<T> {
        self.transaction(commits, |transaction| {
            let mut replica = StoreReplica::new(transaction)?;
            let done = work(&mut replica)?;
            replica.finish()?;
            Ok(done)
        })
    }

    fn transaction<T>(
        &self,
        commits: bool,
        work: impl FnOnce(&mut Transaction<'_, '_>) -> Result<T>,
    ) -> Option<T> {
        let mut done = None;
        let result = self.session.transaction(Action::SyncSend, None, |transaction| {
            done = Some(work(transaction)?);
            if commits { Ok(()) } else { Err(Error::Cancelled) }
        });
        match (result, done) {
            (Ok(()), Some(done)) => Some(done),
            (Err(Error::Cancelled), Some(done)) if !commits => Some(done),
            (Err(error), _) if error.code() == DISK_FULL => None,
            (result, _) => panic!("the store failed: {result:?}"),
        }
    }

    /// The process ends at that moment, and another one opens what is left.
    ///
    /// # Errors
    /// A violation if it does not open.
    pub(crate) fn end(self, at: usize, end: End) -> Step<Self> {
        let left = self.home.left(at, end);
        drop(self);
        Self::open(left)
    }

    /// What is wrong with the store, which should be as the tables in memory.
    pub(crate) fn problem(&self, memory: &MemoryReplica) -> Option<String> {
        self.difference(memory).or_else(|| defects(&self.session))
    }

    /// What the store says that the tables in memory do not, or the other way round.
    pub(crate) fn difference(&self, memory: &MemoryReplica) -> Option<String> {
        let mut memory = memory.clone();
        let counts = [
            ("resource WHERE body IS NOT NULL", memory.contents().count()),
            ("sync_resource WHERE server_version IS NOT NULL", memory.all_known().count()),
            ("sync_resource WHERE edit_order IS NOT NULL", memory.bases().count()),
            ("sync_mutation", memory.frozen().count()),
            ("sync_held", memory.held_rows().count()),
            ("sync_stage", memory.staged_rows().count()),
            ("sync_conflict", memory.conflicts().len()),
        ];
        self.transaction(false, |transaction| {
            for (rows, expected) in counts {
                let sql = format!("SELECT count(*) FROM {rows}");
                let found: i64 = transaction.connection().query_row(&sql, [], |row| row.get(0))?;
                if usize::try_from(found) != Ok(expected) {
                    return Ok(Some(format!("{found} rows of {rows}, not {expected}")));
                }
            }
            tables_differ(&mut StoreReplica::new(transaction)?, &mut memory)
        })
        .expect("to read takes no room")
    }
}

fn options(home: &Home) -> StoreOptions {
    // The engine is told the time; what the store itself notes may stand still.
    let mut options = home.options(Arc::new(ManualClock::new(0)));
    options.extensions.push(Arc::new(SyncExtension::new()));
    options
}

/// What a check of the whole store finds.
pub(crate) fn defects(session: &Session) -> Option<String> {
    let report = session.verify(VerifyOptions::default(), &mut |_| {}).expect("it can be read");
    (!report.is_sound()).then(|| format!("{report:?}"))
}

pub(crate) fn session(store: &Store) -> Session {
    let actor = Actor::new("person", "simulator", "device").expect("the names are sound");
    store.session(actor).expect("the store is open")
}

/// From now on edits are noted.
fn enrol(session: &Session) {
    let enrolled = session.transaction(Action::SyncSend, None, |transaction| {
        let sql = "INSERT INTO sync_setting (name, value) VALUES ('device', x'00')";
        transaction.connection().execute(sql, []).map_err(keepwell_store::Error::from)
    });
    enrolled.expect("the tables are there");
}

fn bundle(edits: &[(ResourceKey, Option<Body>)]) -> Vec<u8> {
    let entry = |(key, body): &(ResourceKey, Option<Body>)| {
        let body = body.as_ref().expect("nothing is deleted together with others");
        let text = std::str::from_utf8(body.as_bytes()).expect("JSON is text");
        format!(r#"{{"resource":{text},"request":{{"method":"PUT","url":"{key}"}}}}"#)
    };
    let entries: Vec<String> = edits.iter().map(entry).collect();
    format!(r#"{{"resourceType":"Bundle","type":"transaction","entry":[{}]}}"#, entries.join(","))
        .into_bytes()
}

/// The first thing that one of two replicas says and the other one does not. Both are to be thrown away.
fn tables_differ(store: &mut StoreReplica<'_, '_, '_>, memory: &mut MemoryReplica) -> Result<Option<String>> {
    let mut keys: Vec<ResourceKey> = memory.contents().map(|(key, _)| key.clone()).collect();
    keys.extend(memory.all_known().map(|(key, _)| key.clone()));
    keys.extend(memory.bases().map(|(key, _)| key.clone()));
    let mut differences = Differences(None);
    for key in keys {
        differences.note(&key, store.content(&key)?, memory.content(&key));
        differences.note(&key, store.known(&key)?, memory.known(&key));
        differences.note(&key, store.base(&key)?, memory.base(&key));
        differences.note(&key, store.held(&key)?, memory.held(&key));
        let sorted = |mut scopes: Vec<_>| {
            scopes.sort();
            scopes
        };
        differences.note(&key, sorted(store.memberships(&key)?), memory.memberships(&key).map(sorted));
    }
    let Ok(scopes) = memory.scopes();
    for HeldScope { scope, .. } in &scopes {
        differences.note(scope, store.digest(scope)?, memory.digest(scope));
    }
    differences.note(&"scopes", store.scopes()?, Ok(scopes));
    differences.note(&"dirty", store.dirty(0, ALL)?, memory.dirty(0, ALL));
    let all = Sequence::ZERO;
    differences.note(&"mutations", store.mutations(all, ALL)?, memory.mutations(all, ALL));
    differences.note(&"unarchived", store.unarchived(ALL)?, memory.unarchived(ALL));
    let end = Position::new((1 << 53) - 1).unwrap_or_default();
    let unplaced = memory.unplaced(end, ALL).map(|keys| keys.len());
    differences.note(&"unplaced", store.unplaced(end, ALL)?.len(), unplaced);
    differences.note(&"stage", store.unstage(ALL)?, memory.unstage(ALL));
    differences.note(&"state", store.state()?, memory.state());
    Ok(differences.0)
}

struct Differences(Option<String>);

impl Differences {
    fn note<T: PartialEq + Debug>(
        &mut self,
        what: &dyn std::fmt::Display,
        found: T,
        expected: Result<T, std::convert::Infallible>,
    ) {
        let Ok(expected) = expected;
        if found != expected {
            self.0.get_or_insert_with(|| format!("{what}: {found:?}, not {expected:?}"));
        }
    }
}
