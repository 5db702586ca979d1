//! One store: a directory with an encrypted database, its keys, its attachments and its audit trail.
//!
//! A store is locked or open. While it is locked nothing of it can be read, not even by this process.

use std::path::Path;
use std::sync::Arc;

use keepwell_sqlcipher::Options;
use keepwell_vault::{
    BackupGuard, Clock, Config, Erasure, Keychain, Keys, Passcode, Policy, State, Suspicion, SystemClock,
    Vault,
};

use crate::audit::{Action, Actor, Outcome};
use crate::change_feed::{self, Change, ChangeFeed};
use crate::error::Result;
use crate::extension::Extension;
use crate::housekeeping::Housekeeper;
use crate::inner::{Inner, plain_event};
use crate::schema;
use crate::session::Session;

/// How a store is opened. `app` and `device` say where events of the audit trail come from.
#[derive(Clone)]
pub struct StoreOptions {
    /// The app that uses the store, as audit events name it.
    pub app: String,
    /// The device, as audit events name it.
    pub device: String,
    /// Where the secret half of the key lives; `None` for a store that only its passcode opens.
    pub keychain: Option<Arc<dyn Keychain>>,
    /// Time: the system's, or a test's.
    pub clock: Arc<dyn Clock>,
    /// When the store locks itself, and what failed attempts lead to.
    pub policy: Policy,
    /// Memory for decrypted pages of each connection, in KiB: one writes, and as many read as there are threads reading.
    pub cache_kib: u32,
    /// Wipe page contents when memory is freed (docs/threat-model.md); costs up to a third of write speed.
    pub memory_security: bool,
    /// Write the audit record of a read before its result is returned, instead of within a second.
    pub strict_audit: bool,
    /// Who keeps tables of their own in the database, and hears of every version: sync, for one.
    pub extensions: Vec<Arc<dyn Extension>>,
    /// Of these, those take part that the store was made with: for a tool that opens whatever store there is.
    pub known_extensions: Vec<Arc<dyn Extension>>,
    /// Excludes the directory from backups where only the host can (iOS, Android, Windows); asked at every open.
    pub backup_guard: Option<Arc<dyn BackupGuard>>,
    /// A name for this place that outlives the path, where paths change: iOS gives an app a new one with each
    /// installation. By default the path of the directory.
    pub place: Option<String>,
}

impl StoreOptions {
    /// Options for an app on a device, with the defaults for a phone.
    #[must_use]
    pub fn new(app: &str, device: &str, keychain: Option<Arc<dyn Keychain>>) -> Self {
        Self {
            app: app.to_owned(),
            device: device.to_owned(),
            keychain,
            clock: Arc::new(SystemClock::new()),
            policy: Policy::default(),
            cache_kib: 8 * 1024,
            memory_security: true,
            strict_audit: false,
            extensions: Vec::new(),
            known_extensions: Vec::new(),
            backup_guard: None,
            place: None,
        }
    }

    pub(crate) fn vault_config(&self) -> Config {
        let mut config = self.keychain.clone().map_or_else(Config::passphrase_only, Config::new);
        config.clock = self.clock.clone();
        config.policy = self.policy.clone();
        config.backup_guard = self.backup_guard.clone();
        config.place = self.place.clone();
        config
    }

    pub(crate) fn connection(&self, read_only: bool) -> Options {
        Options {
            cache_kib: self.cache_kib,
            memory_security: self.memory_security,
            read_only,
            ..Options::default()
        }
    }
}

/// A store on this device. Clones share it; the last one to go closes it.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
    /// Dropped with the last clone, before `inner`.
    _housekeeper: Arc<Housekeeper>,
}

impl Store {
    /// Makes a new store in `directory`, which must not hold one, and leaves it unlocked.
    ///
    /// # Errors
    /// [`keepwell_vault::Error`] when there is something already, or no keychain; nothing is left behind then.
    pub fn create(directory: &Path, options: StoreOptions, passcode: Option<&Passcode>) -> Result<Self> {
        let (vault, keys) = Vault::create(directory, options.vault_config(), passcode)?;
        let inner = Inner::new(directory, vault, options);
        if let Err(error) = Self::fill(&inner, keys) {
            // There was nothing before, and nothing of it has been used: what cannot be removed now is erased later.
            let _ = inner.vault().erase();
            return Err(error);
        }
        Ok(Self::with_housekeeper(inner))
    }

    fn fill(inner: &Inner, keys: Keys) -> Result<()> {
        let options = inner.options.connection(false);
        let mut connection =
            keepwell_sqlcipher::create(&inner.database_path(), keys.database.expose(), &options)?;
        schema::migrate(&mut connection, &inner.options)?;
        schema::initialise(&connection, &inner.vault().store_id())?;
        inner.start(connection, keys, Action::Initialised, false)
    }

    /// Takes hold of the store in `directory`; it stays locked until [`Self::unlock`].
    ///
    /// # Errors
    /// [`keepwell_vault::Error`] when there is none, when another process has it, or when it is in quarantine.
    pub fn open(directory: &Path, options: StoreOptions) -> Result<Self> {
        let vault = Vault::open(directory, options.vault_config())?;
        Ok(Self::with_housekeeper(Inner::new(directory, vault, options)))
    }

    /// Opens a store whose keychain item or passcode is lost with its recovery passphrase, under a new secret in the
    /// configured keychain and `passcode`, if one is given. Also the way to move a store to another keychain.
    ///
    /// # Errors
    /// [`keepwell_vault::Error::NoRecovery`], [`keepwell_vault::Error::WrongPassphrase`]; otherwise as
    /// [`Self::open`] and [`Self::unlock`].
    pub fn recover(
        directory: &Path,
        options: StoreOptions,
        passphrase: &Passcode,
        passcode: Option<&Passcode>,
    ) -> Result<Self> {
        let (vault, mut keys) = Vault::recover(directory, options.vault_config(), passphrase, passcode)?;
        let inner = Inner::new(directory, vault, options);
        let connection = inner.open_database(&mut keys)?;
        inner.start(connection, keys, Action::Recovered, false)?;
        Ok(Self::with_housekeeper(inner))
    }

    pub(crate) fn with_housekeeper(inner: Inner) -> Self {
        let inner = Arc::new(inner);
        let housekeeper = Housekeeper::start(&inner);
        Self { inner, _housekeeper: Arc::new(housekeeper) }
    }

    /// Unlocks with the keychain, and with the passcode where one is set.
    ///
    /// # Errors
    /// [`keepwell_vault::Error`] names what is missing or suspicious; [`crate::Error::Open`] when the database does
    /// not fit its key. Neither changes or deletes anything.
    pub fn unlock(&self, passcode: Option<&Passcode>) -> Result<()> {
        self.unlock_with(passcode, Suspicion::Refuse)
    }

    /// As [`Self::unlock`], with a decision about a store that is older than this device remembers, or a copy:
    /// [`Suspicion::Adopt`] goes on with it, begins a new epoch and records that.
    ///
    /// # Errors
    /// As [`Self::unlock`].
    pub fn unlock_with(&self, passcode: Option<&Passcode>, suspicion: Suspicion) -> Result<()> {
        let inner = &self.inner;
        if inner.is_open() {
            return Ok(());
        }
        let failures = inner.vault().failed_attempts().unwrap_or(0);
        let keys = inner.vault().unlock_with(passcode, suspicion)?;
        self.start(keys, Action::Unlock, suspicion)?;
        if failures > 0 {
            // They could not be written down while the store was locked.
            let open = inner.enter(None)?;
            let detail = format!("{{\"attempts\":{failures}}}");
            inner.record(
                &open,
                open.system_actor,
                Action::UnlockFailed,
                Outcome::MinorFailure,
                Some(&detail),
            )?;
        }
        Ok(())
    }

    /// Goes on after [`Self::suspend`].
    ///
    /// # Errors
    /// As [`Self::unlock`]; [`keepwell_vault::Error::IdleTimeout`] when it took too long.
    pub fn resume(&self, passcode: Option<&Passcode>) -> Result<()> {
        let keys = self.inner.vault().resume(passcode)?;
        self.start(keys, Action::Resume, Suspicion::Refuse)
    }

    fn start(&self, mut keys: Keys, first: Action, suspicion: Suspicion) -> Result<()> {
        let inner = &self.inner;
        let started = inner
            .open_database(&mut keys)
            .and_then(|connection| inner.start(connection, keys, first, suspicion == Suspicion::Adopt));
        if started.is_err() {
            inner.vault().lock();
        }
        started
    }

    /// Ends every session, closes every connection and forgets the keys. Waits for interactions in progress,
    /// which are interrupted.
    ///
    /// # Errors
    /// Those of the last audit record; the store is locked all the same.
    pub fn lock(&self) -> Result<()> {
        self.inner.lock(Action::Lock, None)
    }

    /// As [`Self::lock`], for an app that goes to the background: no file stays locked, also of a store that was
    /// locked already. Another process may open it meanwhile; [`Self::resume`] and [`Self::unlock`] fail then.
    ///
    /// # Errors
    /// As [`Self::lock`].
    pub fn suspend(&self) -> Result<()> {
        self.inner.lock(Action::Suspend, None)
    }

    /// Destroys the keys, then the files: nothing that was copied before can be opened with anything left here.
    ///
    /// # Errors
    /// [`keepwell_vault::Error::Io`]: call it again, it goes on where it was.
    pub fn erase(self) -> Result<Erasure> {
        // Its last record goes with it; what matters is that every connection is closed.
        let _ = self.inner.lock(Action::Erased, None);
        Ok(self.inner.vault().erase()?)
    }

    /// What the store is ready for.
    #[must_use]
    pub fn state(&self) -> State {
        self.inner.vault().state()
    }

    /// Begins a session: from here on `actor` answers for what is done.
    ///
    /// # Errors
    /// [`keepwell_vault::Error::Locked`].
    pub fn session(&self, actor: Actor) -> Result<Session> {
        let inner = &self.inner;
        let open = inner.enter(None)?;
        let mut writer = open.writer();
        let actor_key = writer.actor(&actor)?;
        writer.record(inner.now_ms(), [plain_event(actor_key, Action::Login, Outcome::Success, None)])?;
        drop(writer);
        let generation = open.generation;
        Ok(Session::new(self.clone(), actor, actor_key, generation))
    }

    /// Everything that commits from now on, in commit order.
    #[must_use]
    pub fn observe(&self) -> ChangeFeed {
        self.inner.observers.subscribe()
    }

    /// The change log after `sequence`, oldest first: ids, versions and operations, no content.
    ///
    /// # Errors
    /// [`keepwell_vault::Error::Locked`].
    pub fn changes_after(&self, sequence: i64, limit: usize) -> Result<Vec<Change>> {
        let open = self.inner.enter(None)?;
        let reader = self.inner.reader(&open)?;
        change_feed::changes_after(&reader.connection, sequence, limit)
    }

    /// The keys, factors and file marks of this store.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        self.inner.vault()
    }

    /// The directory that holds the store.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.inner.directory
    }
}
