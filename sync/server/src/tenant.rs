//! The tenant's store, open for as long as the server runs.
//!
//! A store locks itself when nobody was there for half an hour. Here somebody is always there, so it is kept busy; and
//! a store that was locked after all (the machine slept) is unlocked with its keychain when the next request comes.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keepwell_backend_sqlcipher::SqlcipherBackend;
use keepwell_protocol::Epoch;
use keepwell_store::vault::{Error as VaultError, IDLE_MAX, Keychain, Policy};
use keepwell_store::{Actor, Error as StoreError, Session, Store, StoreOptions};
use ring::rand::{SecureRandom, SystemRandom};

use crate::config::Config;
use crate::error::{Error, Result};

/// The app, as audit events name it.
const APP: &str = "keepwell-server";
/// The place of the store in the data directory.
const FOLDER: &str = "tenant";
/// How often an idle store is visited.
pub(crate) const VISIT: Duration = Duration::from_secs(5 * 60);
/// A server's store is not locked by time alone.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// One tenant: its store, and a session for each user who is at work.
pub(crate) struct Tenant {
    store: Store,
    host: String,
    sessions: Mutex<HashMap<String, Arc<Session>>>,
}

impl Tenant {
    /// Whether there is a store in the data directory.
    pub(crate) fn exists(data: &Path) -> bool {
        data.join(FOLDER).exists()
    }

    /// Makes the store.
    pub(crate) fn create(config: &Config, keychain: Arc<dyn Keychain>) -> Result<()> {
        let mut random = [0; 8];
        SystemRandom::new().fill(&mut random).map_err(|_| Error::Identity)?;
        let epoch = Epoch::new(u64::from_be_bytes(random));
        let options = options(config.address.host(), keychain);
        let backend =
            SqlcipherBackend::create(&config.data.join(FOLDER), config.tenant_id(), epoch, options, None)?;
        Ok(backend.store().lock()?)
    }

    /// Opens the store, for ordinary interactions and for sync.
    pub(crate) fn open(
        config: &Config,
        keychain: Arc<dyn Keychain>,
    ) -> Result<(Self, Arc<SqlcipherBackend>)> {
        let host = config.address.host();
        let folder = config.data.join(FOLDER);
        let backend = SqlcipherBackend::open(&folder, config.tenant_id(), options(host, keychain), None)?;
        let store = backend.store().clone();
        Ok((Self { store, host: host.to_owned(), sessions: Mutex::default() }, Arc::new(backend)))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Does `work` as `user`; once more if the store had been locked, since then nothing was done.
    pub(crate) fn with<T>(
        &self,
        user: &str,
        work: impl Fn(&Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.session(user).and_then(|session| work(&session)) {
            Err(StoreError::Vault(
                VaultError::Locked | VaultError::IdleTimeout | VaultError::SessionExpired,
            )) => {
                self.sessions().clear();
                self.store.unlock(None)?;
                work(&*self.session(user)?)
            }
            done => done,
        }
    }

    /// Keeps the store from locking itself, and tells whether it answers.
    pub(crate) fn visit(&self) -> Result<(), StoreError> {
        self.with(APP, |session| session.store().changes_after(i64::MAX, 1).map(|_| ()))
    }

    /// Ends every session and locks the store.
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        self.sessions().clear();
        self.store.lock()
    }

    fn session(&self, user: &str) -> Result<Arc<Session>, StoreError> {
        let mut sessions = self.sessions();
        if let Some(session) = sessions.get(user) {
            return Ok(session.clone());
        }
        let actor =
            Actor::new(user, APP, &self.host).map_err(|_| StoreError::Argument("not the name of a user"))?;
        let session = Arc::new(self.store.session(actor)?);
        sessions.insert(user.to_owned(), session.clone());
        Ok(session)
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn options(host: &str, keychain: Arc<dyn Keychain>) -> StoreOptions {
    let mut options = StoreOptions::new(APP, host, Some(keychain));
    options.policy = Policy { idle: IDLE_MAX, session: FOREVER, ..Policy::default() };
    options
}
