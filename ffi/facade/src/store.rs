//! A store on this device.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keepwell_client::SyncExtension;
use keepwell_store::vault::State;
use keepwell_store::{Actor, CHANGES_PAGE_MAX, Error};

use crate::boundary::{Result, call, wait};
use crate::feed::{Change, ChangeFeed, ChangeListener, Subscription};
use crate::options::{StoreOptions, needed, passcode};
use crate::session::Session;
use crate::sync::Sync;
use crate::vault::Vault;

/// The version of the library, as "0.1.0".
#[uniffi::export]
#[must_use]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// Where a store is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum StoreState {
    /// There is none.
    Uninitialised,
    /// It has to be unlocked.
    Locked,
    /// It can be used.
    Open,
    /// It was put aside, and resumes.
    Suspended,
    /// It was put under quarantine.
    Quarantined,
    /// It is gone.
    Erased,
}

/// A store on this device. It closes when it, its sessions and its feeds are gone.
#[derive(uniffi::Object)]
pub struct Store {
    pub(crate) store: keepwell_store::Store,
    sync: SyncExtension,
    app: String,
    device: String,
}

impl Store {
    pub(crate) fn actor(&self, user: &str) -> Result<Actor, Error> {
        Ok(Actor::new(user, &self.app, &self.device)?)
    }
}

/// Makes an object of what `open` opens with the options.
fn opened(
    options: &StoreOptions,
    open: impl FnOnce(&Path, keepwell_store::StoreOptions) -> Result<keepwell_store::Store, Error>,
) -> Result<Arc<Store>> {
    let sync = SyncExtension::new();
    let store = open(&PathBuf::from(&options.directory), options.to_options(&sync)?)?;
    Ok(Arc::new(Store { store, sync, app: options.app.clone(), device: options.device.clone() }))
}

#[uniffi::export]
impl Store {
    /// Makes a new store in a directory that holds none, and leaves it unlocked.
    ///
    /// # Errors
    /// 220 when there is something already, 214 without a keychain; nothing is left behind then.
    #[uniffi::constructor(default(passcode = None))]
    pub async fn create(options: StoreOptions, passcode: Option<String>) -> Result<Arc<Self>> {
        wait(move || {
            let given = self::passcode(passcode)?;
            opened(&options, |path, options| keepwell_store::Store::create(path, options, given.as_ref()))
        })
        .await
    }

    /// Takes hold of the store in a directory; it stays locked until it is unlocked through its [`Vault`].
    ///
    /// # Errors
    /// 219 when there is none, 218 when another process has it, 224 in quarantine.
    #[uniffi::constructor]
    pub async fn open(options: StoreOptions) -> Result<Arc<Self>> {
        wait(move || opened(&options, keepwell_store::Store::open)).await
    }

    /// Opens a store whose keychain item or passcode is lost with its recovery passphrase, under a new secret in the
    /// keychain and `passcode`, if one is given.
    ///
    /// # Errors
    /// 209 and 210; otherwise as [`Self::open`].
    #[uniffi::constructor(default(passcode = None))]
    pub async fn recover(
        options: StoreOptions,
        passphrase: String,
        passcode: Option<String>,
    ) -> Result<Arc<Self>> {
        wait(move || {
            let (phrase, given) = (needed(passphrase)?, self::passcode(passcode)?);
            opened(&options, |path, options| {
                keepwell_store::Store::recover(path, options, &phrase, given.as_ref())
            })
        })
        .await
    }

    /// Makes a store in an empty directory from the archive in a file, under new keys, and leaves it unlocked.
    ///
    /// # Errors
    /// 118 says what is wrong with the archive or its passphrase; otherwise as [`Self::create`].
    #[uniffi::constructor(default(passcode = None))]
    pub async fn restore(
        options: StoreOptions,
        archive: String,
        passphrase: String,
        passcode: Option<String>,
    ) -> Result<Arc<Self>> {
        wait(move || {
            let (phrase, given) = (needed(passphrase)?, self::passcode(passcode)?);
            opened(&options, |path, options| {
                let mut file = File::open(&archive)
                    .map_err(|error| Error::Io { step: "opening the archive", kind: error.kind() })?;
                keepwell_store::Store::restore(&mut file, &phrase, path, options, given.as_ref())
            })
        })
        .await
    }

    /// What the store is ready for.
    #[must_use]
    pub fn state(&self) -> StoreState {
        match self.store.state() {
            State::Uninitialised => StoreState::Uninitialised,
            State::Locked => StoreState::Locked,
            State::Open => StoreState::Open,
            State::Suspended => StoreState::Suspended,
            State::Quarantined => StoreState::Quarantined,
            State::Erased => StoreState::Erased,
        }
    }

    /// The directory that holds the store.
    #[must_use]
    pub fn directory(&self) -> String {
        self.store.directory().to_string_lossy().into_owned()
    }

    /// Its keys and factors: lock, unlock, suspend, erase.
    #[must_use]
    pub fn vault(&self) -> Arc<Vault> {
        Arc::new(Vault::new(self.store.clone()))
    }

    /// Begins a session: from here on `user` answers for what is done.
    ///
    /// # Errors
    /// 201 when it is locked, 117 for a name that is none.
    pub fn session(&self, user: String) -> Result<Arc<Session>> {
        call(|| Ok::<_, Error>(Arc::new(Session::new(self.store.session(self.actor(&user)?)?))))
    }

    /// Sync of this store in the name of `user`.
    ///
    /// # Errors
    /// 117 for a name that is none.
    pub fn sync(&self, user: String) -> Result<Arc<Sync>> {
        call(|| {
            let actor = self.actor(&user)?;
            Ok::<_, Error>(Arc::new(Sync::new(self.store.clone(), self.sync.clone(), actor)))
        })
    }

    /// Follows everything that commits from now on.
    #[must_use]
    pub fn changes(&self) -> Arc<ChangeFeed> {
        Arc::new(ChangeFeed::new(self.store.observe()))
    }

    /// Tells `listener` everything that commits from now on, until the subscription ends or is gone.
    ///
    /// # Errors
    /// 521 when no thread can be had.
    pub fn listen(&self, listener: Arc<dyn ChangeListener>) -> Result<Arc<Subscription>> {
        call(|| Subscription::start(self.store.observe(), listener).map(Arc::new))
    }

    /// The change log after a sequence, oldest first: ids, versions and operations. At most `limit`, or a thousand.
    ///
    /// # Errors
    /// 201 when it is locked.
    pub fn changes_after(&self, sequence: i64, limit: i32) -> Result<Vec<Change>> {
        call(|| {
            let limit = usize::try_from(limit).unwrap_or(CHANGES_PAGE_MAX);
            let changes = self.store.changes_after(sequence, limit)?;
            Ok::<_, Error>(changes.iter().map(Change::from).collect())
        })
    }
}
