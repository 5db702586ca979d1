//! What is behind a [`crate::Store`]: the state that its clones and sessions share.
//!
//! Invariants: while the store is locked no connection and no key exists in this process; every interaction goes
//! through [`Inner::enter`], which locks the store first when its time is up; a lock waits for interactions in
//! progress, after interrupting them.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use keepwell_sqlcipher::{Connection, InterruptHandle, OpenError};
use keepwell_vault::{Anchor, BLOB_DIRECTORY, DATABASE_FILE, Key, Keys, Vault};

use crate::attachment::Attachments;
use crate::audit::{Action, Actor, Event, Outcome};
use crate::body::Decoder;
use crate::change_feed::Observers;
use crate::error::{Error, Result};
use crate::head::Head;
use crate::index::Index;
use crate::schema;
use crate::search::Tools;
use crate::store::StoreOptions;
use crate::unit::Unit;
use crate::writer::{EventHeader, Writer};

/// Reads whose audit records may wait for the next flush.
pub const READS_WAITING_MAX: usize = 100;

/// How old the anchor outside the file may get while the store is in use.
const ANCHOR_AGE_MAX: Duration = Duration::from_secs(60);

/// How long one tick builds the index: a lock waits for it.
const BUILDING_MAX: Duration = Duration::from_millis(400);

/// How long nothing is written before a tick merges: whoever writes now and then does not wait for it.
const REST: Duration = Duration::from_secs(10);

/// Changes after which the write-ahead log is moved when nothing is written: single ones fill less than half of what
/// makes a commit move it ([`keepwell_sqlcipher::WAL_AUTOCHECKPOINT_PAGES`]).
const CHANGES_MOVED: i64 = 256;

/// How deep calls of this crate go: patient data has been found 43 KiB below the top of a stack.
const STACK_BYTES: usize = 128 << 10;

/// The user that events are attributed to before anyone has logged in.
const SYSTEM_USER: &str = "system";

/// What all clones and sessions of a store share.
pub(crate) struct Inner {
    pub(crate) directory: PathBuf,
    vault: Vault,
    pub(crate) options: StoreOptions,
    /// `None` while locked.
    open: RwLock<Option<Open>>,
    /// Interrupts what runs on the connections of `open`, from outside its lock.
    interrupts: Mutex<Vec<InterruptHandle>>,
    pub(crate) observers: Observers,
    generations: AtomicU64,
}

/// What exists only while the store is unlocked.
pub(crate) struct Open {
    writer: Mutex<Writer>,
    /// As many as there ever were threads reading at once.
    idle_readers: Mutex<Vec<Reader>>,
    pub(crate) attachments: Attachments,
    pub(crate) index: Arc<Index>,
    database: Key,
    pub(crate) audit: Key,
    reads: Mutex<Vec<WaitingRead>>,
    pub(crate) system_actor: i64,
    pub(crate) generation: u64,
    /// The audit sequence that the anchor outside the file names, and when it was set.
    anchored: Mutex<(i64, Duration)>,
    rest: Mutex<Rest>,
    log: Mutex<Log>,
}

/// What is in the write-ahead log. Whoever moves it into the database holds the lock of this.
struct Log {
    /// The newest change when it was looked at last.
    seen: i64,
    /// The newest change when it was moved last.
    moved: i64,
}

/// Since when nothing was written.
#[derive(Default)]
struct Rest {
    /// The end of the audit trail when it was looked at last, and since when it is.
    since: (i64, Duration),
    is_settled: bool,
}

/// A read-only connection and its decoder.
pub(crate) struct Reader {
    pub(crate) connection: Connection,
    pub(crate) decoder: Decoder,
    /// What searches take bodies apart with.
    pub(crate) tools: Vec<Tools>,
}

/// The audit record of a read, before it is written.
pub(crate) struct ReadEvent {
    action: Action,
    resource: Option<i64>,
    version: Option<i64>,
    patient: Option<i64>,
    pub(crate) detail: Option<String>,
}

impl ReadEvent {
    pub(crate) fn of(action: Action, head: Option<&Head>, version: Option<u64>) -> Self {
        Self {
            action,
            resource: head.map(|head| head.key),
            version: version.map(u64::cast_signed),
            patient: head.and_then(|head| head.patient),
            detail: None,
        }
    }
}

pub(crate) fn plain_event(actor: i64, action: Action, outcome: Outcome, detail: Option<&str>) -> Event<'_> {
    Event { actor, action, outcome, resource: None, version: None, patient: None, changes: None, detail }
}

/// Overwrites what earlier calls have left on the stack of this thread: freed memory is wiped, frames that were left
/// are not.
#[inline(never)]
pub(crate) fn overwrite_stack() {
    std::hint::black_box(&mut [0_u8; STACK_BYTES]);
}

impl Inner {
    pub(crate) fn new(directory: &Path, vault: Vault, options: StoreOptions) -> Self {
        Self {
            directory: directory.to_owned(),
            vault,
            options,
            open: RwLock::new(None),
            interrupts: Mutex::default(),
            observers: Observers::default(),
            generations: AtomicU64::new(1),
        }
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.vault
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.options.clock.wall_ms()
    }

    pub(crate) fn database_path(&self) -> PathBuf {
        self.directory.join(DATABASE_FILE)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.read_open().is_some()
    }

    fn read_open(&self) -> RwLockReadGuard<'_, Option<Open>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the database with its key, or with the other one where a rotation was interrupted: that one is
    /// `keys.database` from then on.
    pub(crate) fn open_database(&self, keys: &mut Keys) -> Result<Connection> {
        let (path, options) = (self.database_path(), self.options.connection(false));
        let opened = keepwell_sqlcipher::open(&path, keys.database.expose(), &options);
        let mut connection = match (opened, keys.pending_database.take()) {
            (Ok(connection), None) => connection,
            (Ok(connection), Some(_)) => {
                self.vault.finish_database_rotation(false)?;
                connection
            }
            (Err(OpenError::NotADatabase), Some(pending)) => {
                let connection = keepwell_sqlcipher::open(&path, pending.expose(), &options)?;
                self.vault.finish_database_rotation(true)?;
                keys.database = pending;
                connection
            }
            (Err(error), _) => return Err(error.into()),
        };
        schema::migrate(&mut connection, &self.options)?;
        schema::check_identity(&connection, &self.vault.store_id())?;
        Ok(connection)
    }

    /// Makes an opened database the state of this store.
    ///
    /// `adopt`: an older state than the anchor names is accepted, as a new epoch.
    ///
    /// # Errors
    /// [`keepwell_vault::Error::RollbackSuspected`]; nothing is changed then.
    pub(crate) fn start(&self, connection: Connection, keys: Keys, first: Action, adopt: bool) -> Result<()> {
        let now = self.now_ms();
        let index = Arc::new(Index::default());
        let extensions = schema::extensions(&connection, &self.options)?;
        let mut writer = Writer::new(connection, keys.audit.expose(), index.clone(), extensions)?;
        let attachments = Attachments::new(
            self.directory.join(BLOB_DIRECTORY),
            keys.blob,
            self.vault.store_id(),
            writer.connection(),
        )?;
        let system = Actor::new(SYSTEM_USER, &self.options.app, &self.options.device)?;
        let system_actor = writer.actor(&system)?;
        match self.compare_anchor(&writer) {
            Err(Error::Vault(keepwell_vault::Error::RollbackSuspected)) if adopt => {
                schema::next_epoch(writer.connection())?;
                writer.record(
                    now,
                    [plain_event(system_actor, Action::RollbackAccepted, Outcome::Success, None)],
                )?;
            }
            compared => compared?,
        }
        writer.record(now, [plain_event(system_actor, first, Outcome::Success, None)])?;
        let (head, last_change) = (writer.chain().head().sequence, writer.last_change());
        self.watch(writer.connection());
        let open = Open {
            writer: Mutex::new(writer),
            idle_readers: Mutex::default(),
            attachments,
            index,
            database: keys.database,
            audit: keys.audit,
            reads: Mutex::default(),
            system_actor,
            generation: self.generations.fetch_add(1, Ordering::Relaxed),
            anchored: Mutex::new((head, self.options.clock.monotonic())),
            rest: Mutex::default(),
            log: Mutex::new(Log { seen: last_change, moved: last_change }),
        };
        self.set_anchor(&open)?;
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = Some(open);
        Ok(())
    }

    /// The open store, for one interaction of the session with this `generation` (`None`: of the store itself).
    ///
    /// # Errors
    /// [`keepwell_vault::Error`]: locked, idle for too long, or a session from before a lock.
    pub(crate) fn enter(&self, generation: Option<u64>) -> Result<OpenGuard<'_>> {
        let open = self.enter_unattended(generation)?;
        self.vault.touch()?;
        Ok(open)
    }

    /// As [`Self::enter`], for what goes on while nobody is there: it does not put off the idle limit.
    ///
    /// # Errors
    /// As [`Self::enter`].
    pub(crate) fn enter_unattended(&self, generation: Option<u64>) -> Result<OpenGuard<'_>> {
        if let Err(error) = self.vault.check() {
            if self.is_open() {
                self.lock(Action::Lock, Some("{\"reason\":\"time limit\"}"))?;
            }
            return Err(error.into());
        }
        let guard = self.read_open();
        match &*guard {
            Some(open) if generation.is_none_or(|generation| generation == open.generation) => {
                Ok(OpenGuard(guard))
            }
            _ => Err(keepwell_vault::Error::Locked.into()),
        }
    }

    /// Closes everything; the audit trail, the write-ahead log and the anchor are completed first.
    pub(crate) fn lock(&self, action: Action, detail: Option<&str>) -> Result<()> {
        for handle in self.interrupts.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            handle.interrupt();
        }
        let Some(open) = self.open.write().unwrap_or_else(PoisonError::into_inner).take() else {
            if action == Action::Suspend {
                self.vault.release_lock();
            }
            return Ok(());
        };
        let completed = self.complete(&open, action, detail);
        drop(open);
        let suspended = action == Action::Suspend && self.vault.suspend().is_ok();
        if !suspended {
            self.vault.lock();
        }
        if action == Action::Suspend {
            self.vault.release_lock();
        }
        overwrite_stack();
        completed
    }

    fn complete(&self, open: &Open, action: Action, detail: Option<&str>) -> Result<()> {
        self.flush_reads(open)?;
        let mut writer = open.writer();
        writer.record(self.now_ms(), [plain_event(open.system_actor, action, Outcome::Success, detail)])?;
        writer.write_checkpoint()?;
        open.checkpoint(&writer)?;
        drop(writer);
        self.set_anchor(open)
    }

    /// A reader for one interaction.
    pub(crate) fn reader<'o>(&self, open: &'o Open) -> Result<LentReader<'o>> {
        let idle = open.idle_readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let reader = match idle {
            Some(reader) => reader,
            None => self.new_reader(open)?,
        };
        Ok(LentReader { open, reader: Some(reader) })
    }

    pub(crate) fn new_reader(&self, open: &Open) -> Result<Reader> {
        let options = self.options.connection(true);
        let connection = keepwell_sqlcipher::open(&self.database_path(), open.database.expose(), &options)?;
        self.watch(&connection);
        Ok(Reader { connection, decoder: Decoder::new(), tools: Vec::new() })
    }

    /// Lets a lock interrupt what runs on this connection.
    pub(crate) fn watch(&self, connection: &Connection) {
        self.interrupts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(connection.get_interrupt_handle());
    }

    /// Runs one unit of work and tells the observers.
    pub(crate) fn write<T>(
        &self,
        open: &Open,
        header: &EventHeader<'_>,
        work: impl FnOnce(&mut Unit<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut writer = open.writer();
        let (result, changes) = writer.run(self.now_ms(), header, work)?;
        if !changes.is_empty() {
            // The work is committed: a seal that cannot be written must not make it look undone.
            let _ = writer.unsynced().map(|edits| self.vault.set_unsynced(edits));
        }
        // Before the next writer may commit, so that every observer sees the order of the commits.
        self.observers.publish(changes);
        Ok(result)
    }

    /// Removes what a purge has left outside of rows.
    pub(crate) fn forget_purged(&self, open: &Open) -> Result<()> {
        let writer = open.writer();
        open.attachments.collect_garbage(writer.connection())?;
        // Freed pages are wiped when they are freed; the write-ahead log still has what was on them.
        open.checkpoint(&writer)
    }

    /// Records an event that is about no resource.
    pub(crate) fn record(
        &self,
        open: &Open,
        actor: i64,
        action: Action,
        outcome: Outcome,
        detail: Option<&str>,
    ) -> Result<()> {
        open.writer().record(self.now_ms(), [plain_event(actor, action, outcome, detail)])
    }

    /// Queues the record of a read, or writes it at once in strict mode.
    pub(crate) fn note(&self, open: &Open, actor: i64, outcome: Outcome, event: ReadEvent) -> Result<()> {
        let waiting = {
            let mut reads = open.reads.lock().unwrap_or_else(PoisonError::into_inner);
            reads.push(WaitingRead { recorded: self.now_ms(), actor, outcome, event });
            reads.len()
        };
        if self.options.strict_audit || waiting >= READS_WAITING_MAX {
            self.flush_reads(open)
        } else {
            Ok(())
        }
    }

    /// Writes the records of reads that are waiting.
    pub(crate) fn flush_reads(&self, open: &Open) -> Result<()> {
        let reads = std::mem::take(&mut *open.reads.lock().unwrap_or_else(PoisonError::into_inner));
        if reads.is_empty() {
            return Ok(());
        }
        let recorded = reads.first().map_or_else(|| self.now_ms(), |read| read.recorded);
        let written = open.writer().record(recorded, reads.iter().map(WaitingRead::event));
        if written.is_err() {
            open.reads.lock().unwrap_or_else(PoisonError::into_inner).splice(0..0, reads);
        }
        written
    }

    /// Encrypts the database anew: the new key is in the key file before the first page changes, and stays the only
    /// one after the last. Sessions go on; when it fails, with the old key.
    pub(crate) fn rotate_database_key(&self, generation: u64) -> Result<()> {
        drop(self.enter(Some(generation))?);
        let new = self.vault.begin_database_rotation()?;
        let mut guard = self.open.write().unwrap_or_else(PoisonError::into_inner);
        let open = guard.take().ok_or(keepwell_vault::Error::Locked)?;
        drop(open.idle_readers);
        let writer = open.writer.into_inner().unwrap_or_else(PoisonError::into_inner);
        let options = self.options.connection(false);
        let rekeyed = keepwell_sqlcipher::rekey(
            writer.into_connection(),
            &self.database_path(),
            new.expose(),
            &options,
        );
        let (rekeyed, connection, promote) = match rekeyed {
            Ok(connection) => (Ok(()), connection, true),
            Err(error) => {
                let with_old =
                    keepwell_sqlcipher::open(&self.database_path(), open.database.expose(), &options);
                match with_old {
                    Ok(connection) => (Err(error), connection, false),
                    Err(_) => {
                        let with_new =
                            keepwell_sqlcipher::open(&self.database_path(), new.expose(), &options)?;
                        (Err(error), with_new, true)
                    }
                }
            }
        };
        self.vault.finish_database_rotation(promote)?;
        let database = if promote { new } else { open.database };
        let extensions = schema::extensions(&connection, &self.options)?;
        let writer = Writer::new(connection, open.audit.expose(), open.index.clone(), extensions)?;
        self.watch(writer.connection());
        *guard = Some(Open { writer: Mutex::new(writer), idle_readers: Mutex::default(), database, ..open });
        Ok(rekeyed?)
    }

    /// What is due from time to time: records of reads, checkpoints, the anchor, the locks.
    pub(crate) fn tick(&self) -> Result<()> {
        if self.is_open() && self.vault.check().is_err() {
            return self.lock(Action::Lock, Some("{\"reason\":\"time limit\"}"));
        }
        let guard = self.read_open();
        let Some(open) = &*guard else { return Ok(()) };
        self.flush_reads(open)?;
        let mut writer = open.writer();
        if writer.chain().checkpoint_due(self.now_ms()) {
            writer.write_checkpoint()?;
        }
        if open.attachments.has_garbage() {
            open.attachments.collect_garbage(writer.connection())?;
        }
        let (head, last_change) = (writer.chain().head().sequence, writer.last_change());
        drop(writer);
        self.move_log(open, last_change)?;
        self.build_index(open)?;
        self.settle_index(open, head)?;
        let (anchored, at) = *open.anchored.lock().unwrap_or_else(PoisonError::into_inner);
        if head > anchored && self.options.clock.monotonic().saturating_sub(at) >= ANCHOR_AGE_MAX {
            self.set_anchor(open)?;
        }
        Ok(())
    }

    /// Moves the write-ahead log into the database while nothing is written, on a connection of its own: otherwise the
    /// commit that finds it full does, and whoever waits for that commit.
    fn move_log(&self, open: &Open, last_change: i64) -> Result<()> {
        let mut log = open.log();
        let is_at_rest = std::mem::replace(&mut log.seen, last_change) == last_change;
        if is_at_rest && last_change - log.moved >= CHANGES_MOVED {
            let options = self.options.connection(false);
            let connection =
                keepwell_sqlcipher::open(&self.database_path(), open.database.expose(), &options)?;
            keepwell_sqlcipher::checkpoint_in_passing(&connection)?;
            log.moved = last_change;
        }
        Ok(())
    }

    /// Goes on building the index for a moment, if there is something left to build. Writers come in between.
    fn build_index(&self, open: &Open) -> Result<()> {
        let started = self.options.clock.monotonic();
        while open.index.may_need_building() {
            open.writer().build_index(&open.attachments, self.now_ms())?;
            if self.options.clock.monotonic().saturating_sub(started) >= BUILDING_MAX {
                break;
            }
        }
        Ok(())
    }

    /// Merges the index for a moment, once nothing has happened for a while. Writers come in between.
    fn settle_index(&self, open: &Open, head: i64) -> Result<()> {
        let started = self.options.clock.monotonic();
        let mut rest = open.rest.lock().unwrap_or_else(PoisonError::into_inner);
        if rest.since.0 != head {
            *rest = Rest { since: (head, started), is_settled: false };
        }
        if started.saturating_sub(rest.since.1) < REST {
            return Ok(());
        }
        while !rest.is_settled {
            rest.is_settled = !open.writer().settle_index(self.now_ms())?;
            if self.options.clock.monotonic().saturating_sub(started) >= BUILDING_MAX {
                break;
            }
        }
        Ok(())
    }

    /// Tells the keychain how far this store has come, so that an older file is noticed.
    fn set_anchor(&self, open: &Open) -> Result<()> {
        let anchor = position(&open.writer())?;
        self.vault.set_anchor(&anchor)?;
        let now = self.options.clock.monotonic();
        *open.anchored.lock().unwrap_or_else(PoisonError::into_inner) = (anchor.sequence.cast_signed(), now);
        Ok(())
    }

    /// Whether the file is the one that the anchor outside of it was taken from, or a later state of it.
    fn compare_anchor(&self, writer: &Writer) -> Result<()> {
        let Some(seen) = self.vault.anchor()? else { return Ok(()) };
        let found = position(writer)?;
        seen.admits(&found)?;
        let led_here =
            seen.epoch < found.epoch || writer.audit_mac(seen.sequence.cast_signed())? == Some(seen.head);
        if led_here { Ok(()) } else { Err(keepwell_vault::Error::RollbackSuspected.into()) }
    }
}

/// Where the chain of a database stands.
fn position(writer: &Writer) -> Result<Anchor> {
    let head = writer.chain().head();
    let epoch = schema::epoch(writer.connection())?;
    Ok(Anchor { epoch, sequence: head.sequence.unsigned_abs(), head: head.mac })
}

/// The record of a read that is not written yet.
struct WaitingRead {
    recorded: i64,
    actor: i64,
    outcome: Outcome,
    event: ReadEvent,
}

impl WaitingRead {
    fn event(&self) -> Event<'_> {
        let ReadEvent { action, resource, version, patient, detail } = &self.event;
        Event {
            actor: self.actor,
            action: *action,
            outcome: self.outcome,
            resource: *resource,
            version: *version,
            patient: *patient,
            changes: None,
            detail: detail.as_deref(),
        }
    }
}

/// The open store, for as long as an interaction lasts: a lock waits for it.
pub(crate) struct OpenGuard<'s>(RwLockReadGuard<'s, Option<Open>>);

impl Deref for OpenGuard<'_> {
    type Target = Open;

    fn deref(&self) -> &Open {
        self.0.as_ref().expect("made only when there is one, and the lock is still held")
    }
}

impl Open {
    /// The key of the database file.
    pub(crate) fn database(&self) -> &Key {
        &self.database
    }

    pub(crate) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves all of the write-ahead log into the database, and leaves nothing in it.
    pub(crate) fn checkpoint(&self, writer: &Writer) -> Result<()> {
        let _moving = self.log();
        Ok(keepwell_sqlcipher::checkpoint(writer.connection())?)
    }
}

/// A reader on loan; it goes back to the others when dropped.
pub(crate) struct LentReader<'o> {
    open: &'o Open,
    reader: Option<Reader>,
}

impl Deref for LentReader<'_> {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        self.reader.as_ref().expect("taken only by drop")
    }
}

impl DerefMut for LentReader<'_> {
    fn deref_mut(&mut self) -> &mut Reader {
        self.reader.as_mut().expect("taken only by drop")
    }
}

impl Drop for LentReader<'_> {
    fn drop(&mut self) {
        let mut idle = self.open.idle_readers.lock().unwrap_or_else(PoisonError::into_inner);
        idle.extend(self.reader.take());
    }
}
