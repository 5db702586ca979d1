//! The tenant's store, open for as long as the server runs.
//!
//! A store locks itself when nobody was there for half an hour. Here somebody is always there, so it is kept busy; and
//! a store that was locked after all (the machine slept) is unlocked with its keychain when the next request comes.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keepwell_store::vault::{Error as VaultError, IDLE_MAX, Keychain, Policy};
use keepwell_store::{Actor, Error, Session, Store, StoreOptions};

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
    pub(crate) fn create(data: &Path, host: &str, keychain: Arc<dyn Keychain>) -> Result<(), Error> {
        Store::create(&data.join(FOLDER), options(host, keychain), None)?.lock()
    }

    /// Opens the store.
    pub(crate) fn open(data: &Path, host: &str, keychain: Arc<dyn Keychain>) -> Result<Self, Error> {
        let store = Store::open(&data.join(FOLDER), options(host, keychain))?;
        store.unlock(None)?;
        Ok(Self { store, host: host.to_owned(), sessions: Mutex::default() })
    }

    /// Does `work` as `user`; once more if the store had been locked, since then nothing was done.
    pub(crate) fn with<T>(
        &self,
        user: &str,
        work: impl Fn(&Session) -> Result<T, Error>,
    ) -> Result<T, Error> {
        match self.session(user).and_then(|session| work(&session)) {
            Err(Error::Vault(VaultError::Locked | VaultError::IdleTimeout | VaultError::SessionExpired)) => {
                self.sessions().clear();
                self.store.unlock(None)?;
                work(&*self.session(user)?)
            }
            done => done,
        }
    }

    /// Keeps the store from locking itself, and tells whether it answers.
    pub(crate) fn visit(&self) -> Result<(), Error> {
        self.with(APP, |session| session.store().changes_after(i64::MAX, 1).map(|_| ()))
    }

    /// Ends every session and locks the store.
    pub(crate) fn close(&self) -> Result<(), Error> {
        self.sessions().clear();
        self.store.lock()
    }

    fn session(&self, user: &str) -> Result<Arc<Session>, Error> {
        let mut sessions = self.sessions();
        if let Some(session) = sessions.get(user) {
            return Ok(session.clone());
        }
        let actor =
            Actor::new(user, APP, &self.host).map_err(|_| Error::Argument("not the name of a user"))?;
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
