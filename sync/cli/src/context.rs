//! The store that a command works on, and who works on it.
//!
//! Each command opens the store, begins a session, and closes both again.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keepwell_client::SyncExtension;
use keepwell_server::ServerExtension;
use keepwell_store::{Actor, Privileged, Session, Store, StoreOptions};
use keepwell_vault::{
    Config, Error as VaultError, FileKeychain, Keychain, Passcode, Suspicion, SystemKeychain,
};

use crate::args::{Global, KeychainChoice};
use crate::exit::{Failure, Result};
use crate::output::Output;
use crate::secret;

/// The app, as audit events and the items of the system's keychain name it.
pub(crate) const APP: &str = "keepwell";

const PASSCODE: &str = "Passcode: ";
const NEW_PASSCODE: &str = "New passcode: ";

/// What the global options say.
pub(crate) struct Context {
    global: Global,
    pub(crate) out: Output,
    directory: Option<PathBuf>,
    device: String,
    user: String,
    /// Asked for once at the most: a file may be a pipe, and a person should not type twice.
    passcode: OnceCell<Passcode>,
}

/// Longer than any program runs.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

impl Context {
    pub(crate) fn new(global: Global) -> Self {
        let directory = global.store.clone().or_else(default_directory);
        let user = global.user.clone().unwrap_or_else(system_user);
        let out = Output::new(global.json);
        Self { global, out, directory, device: device(), user, passcode: OnceCell::new() }
    }

    /// The directory of the store.
    ///
    /// # Errors
    /// [`Failure::Usage`] when none is named and none can be guessed.
    pub(crate) fn directory(&self) -> Result<&Path> {
        self.directory.as_deref().ok_or(Failure::Usage("name the directory with --store"))
    }

    pub(crate) fn options(&self) -> StoreOptions {
        let mut options = StoreOptions::new(APP, &self.device, self.keychain());
        // A store that syncs, or a server's: what is saved has to be noted.
        options.known_extensions = vec![Arc::new(SyncExtension::new()), Arc::new(ServerExtension)];
        options
    }

    /// For what is done to a directory from outside.
    pub(crate) fn vault_config(&self) -> Config {
        self.keychain().map_or_else(Config::passphrase_only, Config::new)
    }

    fn keychain(&self) -> Option<Arc<dyn Keychain>> {
        match &self.global.keychain {
            KeychainChoice::System => Some(Arc::new(SystemKeychain::new(APP))),
            KeychainChoice::File(directory) => Some(Arc::new(FileKeychain::new(directory))),
            KeychainChoice::None => None,
        }
    }

    pub(crate) fn actor(&self) -> Result<Actor> {
        Actor::new(&self.user, APP, &self.device)
            .map_err(|_| Failure::Usage("--user takes a name of 1 to 256 bytes without control characters"))
    }

    /// The passcode that the store has.
    pub(crate) fn passcode(&self) -> Result<&Passcode> {
        if let Some(passcode) = self.passcode.get() {
            return Ok(passcode);
        }
        let passcode = secret::existing(self.global.passcode_file.as_deref(), PASSCODE)?;
        Ok(self.passcode.get_or_init(|| passcode))
    }

    /// The passcode that a new store gets: when it is asked for, or nothing else opens the store.
    pub(crate) fn first_passcode(&self, wanted: bool) -> Result<Option<Passcode>> {
        let file = self.global.passcode_file.as_deref();
        let needed = wanted || file.is_some() || matches!(self.global.keychain, KeychainChoice::None);
        needed.then(|| secret::new(file, NEW_PASSCODE)).transpose()
    }

    /// A passcode that replaces the one there is, which `--passcode-file` gives.
    pub(crate) fn next_passcode(&self, file: Option<&Path>) -> Result<Passcode> {
        secret::new(file, NEW_PASSCODE)
    }

    /// What this machine is called.
    pub(crate) fn device(&self) -> &str {
        &self.device
    }

    /// Opens and unlocks the store, asking for the passcode where one is needed.
    pub(crate) fn unlocked(&self, suspicion: Suspicion) -> Result<Store> {
        self.open(self.options(), suspicion)
    }

    /// As [`Self::unlocked`], for a store that syncs, or begins to. One that syncs until the program is ended is not locked
    /// by time alone, as long as somebody calls [`keepwell_store::vault::Vault::touch`].
    pub(crate) fn unlocked_to_sync(&self, sync: &SyncExtension, until_ended: bool) -> Result<Store> {
        let mut options = self.options();
        if until_ended {
            options.policy.session = FOREVER;
        }
        options.extensions.push(Arc::new(sync.clone()));
        self.open(options, Suspicion::Refuse)
    }

    fn open(&self, options: StoreOptions, suspicion: Suspicion) -> Result<Store> {
        let store = Store::open(self.directory()?, options)?;
        match store.unlock_with(None, suspicion) {
            Err(keepwell_store::Error::Vault(VaultError::PasscodeNeeded)) => {
                store.unlock_with(Some(self.passcode()?), suspicion)?;
            }
            done => done?,
        }
        Ok(store)
    }

    /// Runs `work` in a session on the store, then closes both.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Session) -> Result<T>) -> Result<T> {
        self.with_checked(false, work)
    }

    /// As [`Self::with`], refusing references that lead nowhere if `check` says so.
    pub(crate) fn with_checked<T>(&self, check: bool, work: impl FnOnce(&Session) -> Result<T>) -> Result<T> {
        let actor = self.actor()?;
        let store = self.unlocked(Suspicion::Refuse)?;
        let mut session = store.session(actor)?;
        session.set_check_references(check);
        let done = work(&session);
        let closed = session.close().and_then(|()| store.lock());
        let done = done?;
        closed?;
        Ok(done)
    }

    /// Runs `work` with a fresh proof of who is there: the passcode, where one is set.
    pub(crate) fn elevated<T>(&self, work: impl FnOnce(&Privileged<'_>) -> Result<T>) -> Result<T> {
        self.with(|session| self.elevate(session, work))
    }

    /// As [`Self::elevated`], in a session that has begun.
    pub(crate) fn elevate<T>(
        &self,
        session: &Session,
        work: impl FnOnce(&Privileged<'_>) -> Result<T>,
    ) -> Result<T> {
        let has_passcode = session.store().vault().key_status().has_passcode;
        let passcode = has_passcode.then(|| self.passcode()).transpose()?;
        work(&session.elevate(passcode)?)
    }
}

/// Where the store is unless somebody says otherwise.
fn default_directory() -> Option<PathBuf> {
    let named = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = if cfg!(windows) {
        named("LOCALAPPDATA")
    } else {
        named("XDG_STATE_HOME").or_else(|| Some(named("HOME")?.join(".local/state")))
    };
    Some(state?.join(APP).join("store"))
}

/// The user of the operating system; only the name that the session says, since the audit trail is about who acts,
/// not about who is allowed to.
fn system_user() -> String {
    ["USER", "LOGNAME", "USERNAME"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|name| !name.trim().is_empty())
        .unwrap_or_else(numbered_user)
}

#[cfg(unix)]
fn numbered_user() -> String {
    format!("uid {}", rustix::process::getuid().as_raw())
}

#[cfg(not(unix))]
fn numbered_user() -> String {
    "unknown user".to_owned()
}

#[cfg(unix)]
fn device() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.trim().is_empty() { "this device".to_owned() } else { name }
}

#[cfg(not(unix))]
fn device() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "this device".to_owned())
}
