//! A store as a backend: which of its sessions acts, and what the audit trail says.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keepwell_backend::{Act, Disclosure, Observer, Result, Storage, Tenant};
use keepwell_protocol::{Epoch, Id};
use keepwell_store::audit::Action;
use keepwell_store::vault::{Passcode, State};
use keepwell_store::{Actor, Session, Store, StoreOptions};
use rusqlite::params;

use crate::convert::{Passing, broken, failed, first};
use crate::extension::ServerExtension;
use crate::tenant::{Reach, SqlTenant};

/// The user of what no device does.
const SERVER_USER: &str = "server";

/// The user of a device that is not enrolled.
const UNKNOWN_USER: &str = "unknown";

/// Sessions that are remembered; each is some hundred bytes, and a row of its actor for ever.
const SESSIONS_MAX: usize = 100_000;

/// One tenant in one store. Clones of the store may write as they like: what they do reaches the devices.
pub struct SqlcipherBackend {
    tenant: Id,
    store: Store,
    app: String,
    sessions: Mutex<HashMap<Option<Id>, Arc<Session>>>,
    observers: Arc<Mutex<Vec<Arc<Observer>>>>,
}

impl SqlcipherBackend {
    /// Makes the store of a new tenant, and leaves it unlocked. `epoch` is random.
    ///
    /// # Errors
    /// As [`Store::create`].
    pub fn create(
        directory: &Path,
        tenant: Id,
        epoch: Epoch,
        options: StoreOptions,
        passcode: Option<&Passcode>,
    ) -> keepwell_store::Result<Self> {
        let options = with_extension(options);
        let app = options.app.clone();
        let store = Store::create(directory, options, passcode)?;
        let backend = Self::around(tenant, store, app);
        let session = backend.store.session(actor(SERVER_USER, &backend.app, backend.tenant.as_str())?)?;
        session.transaction(Action::Configured, None, |transaction| -> keepwell_store::Result<()> {
            let life = life_of(transaction.view().life()?);
            transaction.connection().execute(
                "-- create\nINSERT INTO server_state (key, epoch, floor, life) VALUES (1, ?1, 0, ?2)",
                params![epoch.bits().cast_signed(), life],
            )?;
            Ok(())
        })?;
        Ok(backend)
    }

    /// Takes hold of the store of a tenant, and unlocks it. One that was restored from an archive, or whose older state
    /// was adopted, goes on in another epoch: devices have read what is no more.
    ///
    /// # Errors
    /// As [`Store::open`] and [`Store::unlock`].
    pub fn open(
        directory: &Path,
        tenant: Id,
        options: StoreOptions,
        passcode: Option<&Passcode>,
    ) -> keepwell_store::Result<Self> {
        let options = with_extension(options);
        let app = options.app.clone();
        let store = Store::open(directory, options)?;
        store.unlock(passcode)?;
        let backend = Self::around(tenant, store, app);
        backend.notice_another_life()?;
        Ok(backend)
    }

    fn notice_another_life(&self) -> keepwell_store::Result<()> {
        let session = self.store.session(actor(SERVER_USER, &self.app, self.tenant.as_str())?)?;
        session.transaction_if_changed(Action::Configured, None, |transaction| {
            let life = life_of(transaction.view().life()?);
            // A tenant of before lives were written down keeps its epoch once more.
            transaction.connection().execute(
                "-- notice_another_life
                 UPDATE server_state SET life = ?1, epoch = iif(life IS NULL, epoch, random())
                 WHERE life IS NOT ?1",
                [life],
            )?;
            Ok(())
        })
    }

    /// The store, for ordinary interactions.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    fn around(tenant: Id, store: Store, app: String) -> Self {
        let observers: Arc<Mutex<Vec<Arc<Observer>>>> = Arc::default();
        Self { tenant, store, app, sessions: Mutex::default(), observers }
    }

    /// The session in which a device acts, or the server itself. A lock ends all sessions: whoever unlocked the store
    /// since, they begin anew; if nobody did (the machine slept), it is unlocked with its keychain.
    fn session(&self, device: Option<&Id>) -> Result<Arc<Session>> {
        let known = self.sessions().get(&device.cloned()).cloned();
        if let Some(session) = known {
            if !session.is_over() {
                return Ok(session);
            }
            self.sessions().clear();
        }
        if self.store.state() == State::Locked {
            self.store.unlock(None).map_err(broken)?;
        }
        let actor = match device {
            None => actor(SERVER_USER, &self.app, self.tenant.as_str()),
            // A device that nobody knows acts as nobody: it is refused, and that is on record.
            Some(device) => {
                let user = self.user_of(device)?;
                actor(user.as_deref().unwrap_or(UNKNOWN_USER), &self.app, device.as_str())
            }
        };
        let session = Arc::new(actor.and_then(|actor| self.store.session(actor)).map_err(broken)?);
        let mut sessions = self.sessions();
        if sessions.len() >= SESSIONS_MAX {
            sessions.clear();
        }
        sessions.insert(device.cloned(), session.clone());
        Ok(session)
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<Option<Id>, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn user_of(&self, device: &Id) -> Result<Option<String>> {
        let found = self.session(None)?.view_noting(Action::SyncSend, |view| {
            let sql = "-- user_of\nSELECT user FROM server_device WHERE id = ?1";
            let user = first(view.connection(), sql, [device.as_str()], |row| row.get(0).map_err(failed));
            user.map(|user| (user, None)).map_err(Passing)
        });
        found.map_err(|Passing(error)| error)
    }

    fn announce(&self) {
        let observers = self.observers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        observers.iter().for_each(|observer| observer());
    }
}

impl Storage for SqlcipherBackend {
    fn tenant(&self) -> &Id {
        &self.tenant
    }

    fn write<T>(
        &self,
        device: Option<&Id>,
        act: Act,
        work: impl FnOnce(&mut dyn Tenant) -> Result<T>,
    ) -> Result<T> {
        let session = self.session(device)?;
        let done = session.transaction(action(act), Some(detail(act)), |transaction| {
            let mut tenant = SqlTenant::new(Reach::Writing(transaction));
            let done = work(&mut tenant).map_err(Passing)?;
            tenant.finish().map_err(Passing)?;
            Ok(done)
        });
        let done = done.map_err(|Passing(error)| error)?;
        self.announce();
        Ok(done)
    }

    fn read<T>(
        &self,
        device: Option<&Id>,
        act: Act,
        work: impl FnOnce(&mut dyn Tenant) -> Result<T>,
    ) -> Result<T> {
        let session = self.session(device)?;
        let done = session.view_noting(action(act), |view| {
            let mut tenant = SqlTenant::new(Reach::Reading(view));
            let done = work(&mut tenant).map_err(Passing)?;
            Ok((done, shown(&tenant.shown)))
        });
        done.map_err(|Passing(error)| error)
    }

    fn observe(&self, observer: Arc<Observer>) {
        self.observers.lock().unwrap_or_else(PoisonError::into_inner).push(observer);
    }
}

fn actor(user: &str, app: &str, device: &str) -> keepwell_store::Result<Actor> {
    Actor::new(user, app, device).map_err(|_| keepwell_store::Error::Argument("not the name of an app"))
}

/// One value of [`keepwell_store::View::life`].
fn life_of((store, epoch): ([u8; 16], u64)) -> Vec<u8> {
    [&store[..], &epoch.to_le_bytes()].concat()
}

fn with_extension(mut options: StoreOptions) -> StoreOptions {
    options.extensions.push(Arc::new(ServerExtension));
    options
}

const fn action(act: Act) -> Action {
    match act {
        Act::Push | Act::Park | Act::Upload | Act::Write => Action::SyncReceive,
        Act::Pull | Act::Digest | Act::Blob => Action::SyncSend,
        Act::Lease | Act::Enrol | Act::Wiped | Act::Administer => Action::SyncAccess,
    }
}

const fn detail(act: Act) -> &'static str {
    match act {
        Act::Push => r#"{"sync":"push"}"#,
        Act::Pull => r#"{"sync":"pull"}"#,
        Act::Park => r#"{"sync":"park"}"#,
        Act::Digest => r#"{"sync":"digest"}"#,
        Act::Blob => r#"{"sync":"blob"}"#,
        Act::Upload => r#"{"sync":"upload"}"#,
        Act::Lease => r#"{"sync":"lease"}"#,
        Act::Enrol => r#"{"sync":"enrol"}"#,
        Act::Wiped => r#"{"sync":"wiped"}"#,
        Act::Administer => r#"{"sync":"administer"}"#,
        Act::Write => r#"{"sync":"write"}"#,
    }
}

/// What the audit trail says of what was shown; nothing, if nothing was.
fn shown(disclosures: &[Disclosure]) -> Option<String> {
    let disclosure = disclosures.first()?;
    let detail = match disclosure {
        Disclosure::Page { scopes, rows, from, upto } => serde_json::json!({
            "sync": "pull", "scopes": scopes, "rows": rows, "from": from.get(), "upto": upto.get()
        }),
        Disclosure::Blob(hash) => serde_json::json!({ "sync": "blob", "sha256": hash.to_string() }),
        Disclosure::Archive { records } => serde_json::json!({ "sync": "archive", "records": records }),
    };
    Some(detail.to_string())
}
