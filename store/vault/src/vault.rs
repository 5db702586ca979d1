//! One store directory and the keys to it.
//!
//! Invariants: keys exist in the process only in the state [`State::Open`]; a failure never deletes anything; a
//! key is never made where a database or a key file exists.

mod recovery;
mod remember;
mod rotation;
mod unlock;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::anchor::Anchor;
use crate::attempts::{Attempts, Throttle};
use crate::backup::{self, BackupGuard, Report};
use crate::boot;
use crate::chain::Chain;
use crate::clock::{Clock, Moment};
use crate::crypto::Kek;
use crate::disk;
use crate::erase::{self, Erasure};
use crate::error::{Error, Part};
use crate::key::{Key, Keys};
use crate::key_file::{Factors, Header, KeyFile, PasscodeFactor};
use crate::layout::{self, BLOB_DIRECTORY, BOOT_FILE, ERASED_FILE, KEY_FILE, STATUS_FILE};
use crate::lock;
use crate::passcode::{Passcode, Salted};
use crate::policy::{Config, Policy};
use crate::quarantine::{self, Quarantine, Reason};
use crate::session::Session;
use crate::status::{StatusWriter, Unsynced};
use crate::store_id::StoreId;

/// Where a store is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// There is no store.
    Uninitialised,
    /// There is a store, and its keys are not in this process.
    Locked,
    /// The keys are in this process.
    Open,
    /// Locked for a short while: the session goes on with `resume`.
    Suspended,
    /// The key is lost or in doubt; nothing has been deleted.
    Quarantined,
    /// The store is destroyed, or its destruction has begun.
    Erased,
}

/// What to do if the store seems to be a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Suspicion {
    /// Refuse with [`Error::CloneSuspected`].
    #[default]
    Refuse,
    /// Open it to look at it; the suspicion stays. The caller should open the database read-only.
    Inspect,
    /// Go on with this copy: from now on the other one is under suspicion.
    Adopt,
}

/// What is known about the keys of a store without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyStatus {
    /// The store.
    pub store: StoreId,
    /// The kind of keychain in use; `None` if a passphrase is the only factor.
    pub keychain: Option<&'static str>,
    /// How often the key-encryption key has changed, from 1.
    pub generation: u64,
    /// When the store was made, in milliseconds since 1970 UTC.
    pub created_ms: i64,
    /// When the key-encryption key was last changed, in milliseconds since 1970 UTC.
    pub kek_since_ms: i64,
    /// When the database key was made, in milliseconds since 1970 UTC.
    pub database_key_since_ms: i64,
    /// Whether the key-encryption key is older than the policy wants.
    pub kek_is_old: bool,
    /// Whether the database key is older than the policy wants.
    pub database_key_is_old: bool,
    /// Whether a passcode is set.
    pub has_passcode: bool,
    /// Whether a recovery passphrase is set.
    pub has_recovery: bool,
    /// Whether a rotation of the database key is under way.
    pub rotation_pending: bool,
}

/// One store directory; holds its lock while it lives.
///
/// ```text
/// Uninitialised --create--> Open --lock, limits--> Locked --unlock--> Open
///                           Open --suspend--> Suspended --resume--> Open
/// any --quarantine, lost or doubtful key--> Quarantined      any --erase--> Erased
/// ```
pub struct Vault {
    directory: PathBuf,
    chain: Chain,
    clock: Arc<dyn Clock>,
    policy: Policy,
    backup_guard: Option<Arc<dyn BackupGuard>>,
    backup: Report,
    /// Held for moments only, so that `touch` never waits for a keychain.
    front: Mutex<Front>,
    /// Held while the keychain and the key file are at work.
    work: Mutex<Work>,
    status: Mutex<Option<StatusWriter>>,
}

struct Front {
    state: State,
    session: Option<Session>,
}

struct Work {
    file: KeyFile,
    opened: Option<Opened>,
    throttle: Option<Throttle>,
    /// The lock of the directory; none where it was given back.
    lock: Option<File>,
}

impl Work {
    /// Has the lock of the directory; gives whether it had to be taken for that.
    fn hold(&mut self, directory: &Path) -> Result<bool, Error> {
        let is_new = self.lock.is_none();
        if is_new {
            self.lock = Some(lock::take(directory)?);
        }
        Ok(is_new)
    }

    fn release(&mut self) {
        if let Some(file) = self.lock.take() {
            // The end of the file would end the lock as well, but for a process that was just forked.
            let _ = file.unlock();
        }
    }
}

/// What stays in memory while the store is open, to wrap keys anew.
struct Opened {
    kek: Kek,
    passcode: Option<PasscodeFactor>,
    anchor: Key,
}

impl Opened {
    fn new(header: &Header, kek: Kek, passcode: Option<PasscodeFactor>) -> Result<Self, Error> {
        let anchor = header.current.anchor_key(&kek)?;
        Ok(Self { kek, passcode, anchor })
    }
}

impl Vault {
    /// Makes a store: a key for each purpose, wrapped in a new key file, and the secret in the keychain. The
    /// database itself is left to the caller.
    ///
    /// Items of a store that was in the same place before, and is gone, are purged from the keychain: a host
    /// that keeps stores on a removable disk makes sure that the disk is there.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] or [`Error::Corrupt`] where a key file or a database is, [`Error::NoKeychain`]
    /// (then nothing has been made), [`Error::PasscodeNeeded`] if there is neither keychain nor passcode.
    pub fn create(
        directory: impl AsRef<Path>,
        config: Config,
        passcode: Option<&Passcode>,
    ) -> Result<(Self, Keys), Error> {
        Self::create_in(directory.as_ref(), config, passcode, None)
    }

    /// As [`Vault::create`], for a store that is restored from elsewhere: its audit trail goes on under the key it
    /// was begun with. All other keys are new.
    ///
    /// # Errors
    /// As [`Vault::create`].
    pub fn create_with_audit_key(
        directory: impl AsRef<Path>,
        config: Config,
        passcode: Option<&Passcode>,
        audit: Key,
    ) -> Result<(Self, Keys), Error> {
        Self::create_in(directory.as_ref(), config, passcode, Some(audit))
    }

    fn create_in(
        directory: &Path,
        config: Config,
        passcode: Option<&Passcode>,
        audit: Option<Key>,
    ) -> Result<(Self, Keys), Error> {
        config.policy.check()?;
        if config.keychain.is_none() && passcode.is_none() {
            return Err(Error::PasscodeNeeded);
        }
        refuse_existing(directory)?;
        let chain = Chain::new(directory, &config);
        // A missing keychain shows here, before there is any file.
        chain.names()?;
        if !chain.is_available()? {
            return Err(Error::Locked);
        }
        disk::create_private_directory(directory).map_err(Error::io("making the store directory"))?;
        let lock = lock::take(directory)?;
        refuse_existing(directory)?;
        let (store, undoing) = (StoreId::generate(), Chain::new(directory, &config));
        Self::begin(directory, config, chain, store, passcode, audit, lock).inspect_err(|_| {
            // The store never came to be; a later create purges items that stay now.
            let _ = undoing.purge(store);
            unmake(directory);
        })
    }

    /// The part of a creation that must be undone if it fails.
    fn begin(
        directory: &Path,
        config: Config,
        chain: Chain,
        store: StoreId,
        passcode: Option<&Passcode>,
        audit: Option<Key>,
        lock: File,
    ) -> Result<(Self, Keys), Error> {
        let (file, opened) = make(directory, &chain, store, &config, passcode, audit)?;
        let keys = file.header.keys(&opened.kek)?;
        let vault = Self::assemble(directory, config, chain, file, lock)?;
        vault.enter(&mut vault.work(), opened, None)?;
        Ok((vault, keys))
    }

    /// Takes the lock of a directory and reads its key file; the store is then [`State::Locked`]. Backup marks
    /// are applied and read back ([`Vault::backup`]).
    ///
    /// # Errors
    /// [`Error::Uninitialised`], [`Error::Quarantined`], [`Error::Erased`], [`Error::AlreadyOpen`],
    /// [`Error::OtherKeychain`], [`Error::Corrupt`], [`Error::TooNew`], [`Error::Io`].
    pub fn open(directory: impl AsRef<Path>, config: Config) -> Result<Self, Error> {
        let directory = directory.as_ref();
        config.policy.check()?;
        match Self::state_of(directory)? {
            State::Uninitialised => return Err(Error::Uninitialised),
            State::Quarantined => return Err(Error::Quarantined),
            State::Erased => return Err(Error::Erased),
            State::Locked | State::Open | State::Suspended => {}
        }
        let lock = lock::take(directory)?;
        let file = read_key_file(directory)?;
        let chain = Chain::new(directory, &config);
        if file.header.keychain.as_deref() != chain.kind() {
            return Err(Error::OtherKeychain);
        }
        Self::assemble(directory, config, chain, file, lock)
    }

    fn assemble(
        directory: &Path,
        config: Config,
        chain: Chain,
        file: KeyFile,
        lock: File,
    ) -> Result<Self, Error> {
        let backup = backup::apply(directory, config.backup_guard.as_deref())?;
        Ok(Self {
            directory: directory.to_owned(),
            chain,
            clock: config.clock,
            policy: config.policy,
            backup_guard: config.backup_guard,
            backup,
            front: Mutex::new(Front { state: State::Locked, session: None }),
            work: Mutex::new(Work { file, opened: None, throttle: None, lock: Some(lock) }),
            status: Mutex::new(None),
        })
    }

    /// What a directory holds, without taking its lock.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if a marker is damaged, [`Error::Io`] if the directory cannot be read.
    pub fn state_of(directory: impl AsRef<Path>) -> Result<State, Error> {
        let directory = directory.as_ref();
        if let Some(erasure) = erase::find(directory)?
            && (erasure.finished_ms.is_none() || !layout::has_key_file(directory))
        {
            return Ok(State::Erased);
        }
        if quarantine::find(directory)?.is_some() {
            return Ok(State::Quarantined);
        }
        let holds_store = layout::has_key_file(directory) || layout::has_data(directory);
        Ok(if holds_store { State::Locked } else { State::Uninitialised })
    }

    /// The state of this vault.
    pub fn state(&self) -> State {
        self.front().state
    }

    /// The name of the store.
    pub fn store_id(&self) -> StoreId {
        self.work().file.header.store
    }

    /// The directory of the store.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What became of the backup marks when the directory was opened.
    pub const fn backup(&self) -> &Report {
        &self.backup
    }

    /// Applies the backup marks again, after files were added or replaced (a rotation, a vacuum).
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn apply_backup_marks(&self) -> Result<Report, Error> {
        backup::apply(&self.directory, self.backup_guard.as_deref())
    }

    /// Notes activity: the idle limit starts anew. Call it with every operation on the store.
    ///
    /// # Errors
    /// As [`Vault::check`]: activity does not revive a session that has expired.
    pub fn touch(&self) -> Result<(), Error> {
        self.check_session(|session, now| session.touch(now))
    }

    /// Whether the store may still be used.
    ///
    /// # Errors
    /// [`Error::IdleTimeout`] or [`Error::SessionExpired`]: close the database, then call [`Vault::lock`].
    /// [`Error::Locked`], [`Error::Quarantined`] or [`Error::Erased`] if there are no keys any more.
    pub fn check(&self) -> Result<(), Error> {
        self.check_session(|_, _| ())
    }

    fn check_session(&self, then: impl FnOnce(&mut Session, Moment)) -> Result<(), Error> {
        let now = self.now();
        let mut front = self.front();
        match (front.state, &mut front.session) {
            (State::Open, Some(session)) => {
                session.check(&self.policy, now)?;
                then(session, now);
                Ok(())
            }
            (State::Quarantined, _) => Err(Error::Quarantined),
            (State::Erased, _) => Err(Error::Erased),
            _ => Err(Error::Locked),
        }
    }

    /// Forgets the keys and ends the session. The caller has closed the database and dropped its own [`Keys`].
    pub fn lock(&self) {
        let mut work = self.work();
        self.leave(&mut work, State::Locked);
    }

    /// Forgets the keys, but lets the session go on with [`Vault::resume`] for the time of
    /// [`Policy::suspended`].
    ///
    /// # Errors
    /// As [`Vault::check`]; a session that has expired cannot be suspended.
    pub fn suspend(&self) -> Result<(), Error> {
        self.touch()?;
        let mut work = self.work();
        self.leave(&mut work, State::Suspended);
        Ok(())
    }

    /// Gives the lock of the directory back, unless the keys are in memory: an app that is in the background must hold no
    /// lock on a file (iOS: 0xdead10cc). [`Vault::unlock`] and [`Vault::resume`] take it again, and fail with
    /// [`Error::AlreadyOpen`] where another process has the store meanwhile.
    pub fn release_lock(&self) {
        let mut work = self.work();
        if work.opened.is_none() {
            work.release();
        }
    }

    /// Puts the store in quarantine: forgets the keys, keeps every file, and refuses to open it until
    /// [`quarantine::lift`].
    ///
    /// # Errors
    /// [`Error::Erased`], [`Error::Io`]; [`Error::AlreadyOpen`] after [`Vault::release_lock`].
    pub fn quarantine(&self, reason: Reason) -> Result<Quarantine, Error> {
        let mut work = self.work();
        if self.state() == State::Erased {
            return Err(Error::Erased);
        }
        work.hold(&self.directory)?;
        let quarantine = quarantine::write(&self.directory, reason, self.clock.wall_ms());
        self.leave(&mut work, State::Quarantined);
        quarantine
    }

    /// Destroys the store ([`crate::erase()`]). The caller has closed the database.
    ///
    /// # Errors
    /// [`Error::Io`]: call it again; [`Error::AlreadyOpen`] after [`Vault::release_lock`].
    pub fn erase(&self) -> Result<Erasure, Error> {
        let mut work = self.work();
        work.hold(&self.directory)?;
        self.leave(&mut work, State::Erased);
        erase::run(&self.directory, &self.chain, &*self.clock)
    }

    /// The anchor in the keychain, `None` before the first [`Vault::set_anchor`].
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Corrupt`] if it was altered, or a failure of the keychain.
    pub fn anchor(&self) -> Result<Option<Anchor>, Error> {
        let work = self.work();
        let opened = work.opened.as_ref().ok_or(Error::Locked)?;
        let store = work.file.header.store;
        let record = self.chain.anchor(store)?;
        record.map(|record| Anchor::decode(&record, store, &opened.anchor)).transpose()
    }

    /// Moves the anchor on. A keychain write takes tens of milliseconds: once a minute is often enough.
    ///
    /// # Errors
    /// [`Error::RollbackSuspected`] if the anchor in the keychain is ahead; otherwise as [`Vault::anchor`].
    pub fn set_anchor(&self, anchor: &Anchor) -> Result<(), Error> {
        if let Some(seen) = self.anchor()? {
            seen.admits(anchor)?;
        }
        let work = self.work();
        let opened = work.opened.as_ref().ok_or(Error::Locked)?;
        let store = work.file.header.store;
        self.chain.set_anchor(store, &anchor.encode(store, &opened.anchor))
    }

    /// Seals the number of changes that the server has not seen: one small write in place, with every commit.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Io`].
    pub fn set_unsynced(&self, count: u64) -> Result<(), Error> {
        let mut status = self.status();
        status.as_mut().ok_or(Error::Locked)?.write(count, self.clock.wall_ms())
    }

    /// The sealed number, checked with the key. [`crate::unsynced`] reads it without one.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Corrupt`] if it was altered, [`Error::Io`].
    pub fn unsynced(&self) -> Result<Option<Unsynced>, Error> {
        self.status().as_ref().ok_or(Error::Locked)?.verified(&self.directory)
    }

    /// Kinds and ages of the keys; needs no key.
    pub fn key_status(&self) -> KeyStatus {
        let work = self.work();
        let header = &work.file.header;
        let now_ms = self.clock.wall_ms();
        let is_old = |since_ms: i64| {
            let age = u64::try_from(now_ms.saturating_sub(since_ms)).unwrap_or(0);
            u128::from(age) >= self.policy.key_age.as_millis()
        };
        KeyStatus {
            store: header.store,
            keychain: self.chain.kind(),
            generation: header.current.generation,
            created_ms: header.created_ms,
            kek_since_ms: header.current.wrapped_ms,
            database_key_since_ms: header.current.database.created_ms,
            kek_is_old: is_old(header.current.wrapped_ms),
            database_key_is_old: is_old(header.current.database.created_ms),
            has_passcode: header.current.passcode.is_some(),
            has_recovery: header.recovery.is_some(),
            rotation_pending: header.pending.is_some(),
        }
    }

    fn front(&self) -> MutexGuard<'_, Front> {
        self.front.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self) -> MutexGuard<'_, Option<StatusWriter>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Moment {
        Moment::now(&*self.clock)
    }

    /// Keys are in the process from here on. Goes on with `session`, or starts one.
    fn enter(&self, work: &mut Work, opened: Opened, session: Option<Session>) -> Result<(), Error> {
        let store = work.file.header.store;
        *self.status() = Some(StatusWriter::open(&self.directory, store, &opened.anchor)?);
        work.opened = Some(opened);
        let now = self.now();
        let mut session = session.unwrap_or_else(|| Session::start(now));
        session.touch(now);
        *self.front() = Front { state: State::Open, session: Some(session) };
        Ok(())
    }

    /// Keys are out of the process from here on. Erased stays erased.
    fn leave(&self, work: &mut Work, next: State) {
        work.opened = None;
        *self.status() = None;
        let mut front = self.front();
        if next != State::Suspended {
            front.session = None;
        }
        let stays =
            front.state == State::Erased || (front.state == State::Quarantined && next == State::Locked);
        if !stays {
            front.state = next;
        }
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("state", &self.state()).finish_non_exhaustive()
    }
}

fn read_key_file(directory: &Path) -> Result<KeyFile, Error> {
    KeyFile::read(&directory.join(KEY_FILE))?.ok_or(Error::Corrupt(Part::KeyFileMissing))
}

/// A key is never made where a database or a key file exists.
fn refuse_existing(directory: &Path) -> Result<(), Error> {
    if erase::find(directory)?.is_some_and(|erasure| erasure.finished_ms.is_none()) {
        return Err(Error::Erased);
    }
    if layout::has_key_file(directory) {
        return Err(Error::AlreadyExists);
    }
    if layout::has_data(directory) {
        return Err(Error::Corrupt(Part::KeyFileMissing));
    }
    Ok(())
}

/// Fills an empty directory. The key file comes last: without it there is no store.
fn make(
    directory: &Path,
    chain: &Chain,
    store: StoreId,
    config: &Config,
    passcode: Option<&Passcode>,
    audit: Option<Key>,
) -> Result<(KeyFile, Opened), Error> {
    for stale in chain.stores_of_place()? {
        chain.purge(stale)?;
    }
    let nonce = boot::advance(directory, None).map_err(Error::io("writing the boot nonce"))?;
    chain.set_boot(store, &nonce)?;
    let now_ms = config.clock.wall_ms();
    let stretched =
        passcode.map(|passcode| PasscodeFactor::stretch(Salted::new(config.policy.stretching), passcode));
    let factors = Factors { secret: chain.make_secret(store, 1)?, passcode: stretched.transpose()? };
    let (header, kek) = Header::fresh(store, chain.kind(), &factors, audit, now_ms);
    if header.current.passcode.is_some() {
        chain.set_attempts(store, &Attempts::none(now_ms).encode(store, header.current.attempts_key()))?;
    }
    let step = "preparing the store directory";
    disk::create_private_directory(&directory.join(BLOB_DIRECTORY)).map_err(Error::io(step))?;
    disk::remove(&directory.join(ERASED_FILE)).map_err(Error::io(step))?;
    let opened = Opened::new(&header, kek, factors.passcode)?;
    let file = KeyFile::write(&directory.join(KEY_FILE), header, &opened.kek)?;
    Ok((file, opened))
}

/// Empties a directory that [`make`] could not fill. It was looked at before: no store was in it.
fn unmake(directory: &Path) {
    let key_file = directory.join(KEY_FILE);
    for path in
        [disk::temporary_of(&key_file), key_file, directory.join(BOOT_FILE), directory.join(STATUS_FILE)]
    {
        let _ = disk::remove(&path);
    }
    let _ = std::fs::remove_dir(directory.join(BLOB_DIRECTORY));
}
