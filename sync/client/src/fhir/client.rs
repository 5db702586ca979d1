//! Sync of one store with a plain FHIR server.

use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use keepwell_engine::{Policy, Report};
use keepwell_plain::Event;
use keepwell_store::audit::Action;
use keepwell_store::{Session, Store};

use super::driver::FhirDriver;
use super::record::FhirServer;
use super::tokens::{TokenProvider, Tokens};
use crate::background::Background;
use crate::client::ClientOptions;
use crate::conflicts::{self, Conflict, Resolution};
use crate::control::{Cancel, Progress};
use crate::error::{Error, Result};
use crate::extension::SyncExtension;
use crate::signal::EDITED;
use crate::status::Status;
use crate::tables::{DEVICE, FHIR, Tables};

/// Sync of one store with a plain FHIR server. Clones share it.
#[derive(Clone)]
pub struct FhirClient {
    store: Store,
    extension: SyncExtension,
    options: ClientOptions,
    driver: Arc<Mutex<Option<FhirDriver>>>,
    tokens: Tokens,
}

impl FhirClient {
    /// A client of a store that was opened with this extension.
    #[must_use]
    pub fn new(store: Store, extension: SyncExtension, options: ClientOptions) -> Self {
        Self { store, extension, options, driver: Arc::default(), tokens: Tokens::default() }
    }

    /// Syncs with this server from now on. What is in the store already is sent too. A server that was attached before
    /// may get another token, other searches and other rules; its address stays.
    ///
    /// # Errors
    /// [`Error::AlreadyEnrolled`]: with a server of Keepwell, or with another address. [`Error::Connection`]: the
    /// address or the authorities cannot be used. [`Error::InUse`], [`Error::Store`].
    pub fn attach(&self, server: &FhirServer) -> Result<()> {
        server.settings()?;
        let mut place = self.idle()?;
        self.session()?.transaction(Action::SyncAccess, None, |transaction| -> Result<()> {
            let tables = Tables::new(transaction.connection());
            let known = tables.setting(FHIR)?.map(|record| FhirServer::read(&record)).transpose()?;
            let is_another = known.is_some_and(|known| known.base() != server.base());
            if is_another || tables.setting(DEVICE)?.is_some() {
                return Err(Error::AlreadyEnrolled);
            }
            Ok(tables.set_setting(FHIR, &server.write())?)
        })?;
        *place = None;
        Ok(())
    }

    /// Whether a server was attached.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn is_attached(&self) -> Result<bool> {
        self.session()?
            .view(Action::SyncSend, None, |view| Ok(Tables::new(view.connection()).setting(FHIR)?.is_some()))
    }

    /// Asks `provider` for tokens from now on: when there is none yet, and when the server refused the last one. It goes
    /// before the token that is kept with the server, which counts again when there is no provider. It is not kept: an
    /// app sets it each time it starts.
    pub fn set_token_provider(&self, provider: Option<Arc<dyn TokenProvider>>) {
        self.tokens.provide(provider);
    }

    /// Sends what waits and fetches what is new, until there is nothing more or the server cannot be reached; the
    /// report's `last_problem` says so then. Blocks.
    ///
    /// # Errors
    /// [`Error::NotEnrolled`], [`Error::InUse`], [`Error::Cancelled`], [`Error::Store`].
    pub fn sync(&self, cancel: &Cancel, progress: &mut dyn FnMut(&Progress)) -> Result<Report> {
        self.with_driver(|driver| {
            driver.round(Event::SyncNow, cancel, progress)?;
            Ok(driver.report().clone())
        })
    }

    /// Syncs on a thread of its own from now on: when something is saved, and from time to time. It is no activity
    /// ([`crate::Client::start`]). Nothing is metered here: attachments are inside of resources.
    ///
    /// # Errors
    /// As [`Self::sync`].
    pub fn start(&self) -> Result<Background> {
        self.start_with(self.options.policy)
    }

    pub(crate) fn start_with(&self, policy: Policy) -> Result<Background> {
        self.with_driver(|_| Ok(()))?;
        let (client, signal) = (self.clone(), self.extension.signal().clone());
        Background::start(signal, policy, move |watched| {
            client.with_driver(|driver| {
                driver.set_attended(false);
                let done = driver.follow(watched);
                driver.set_attended(true);
                done
            })
        })
    }

    /// Whoever syncs next reads again what is kept of the server.
    pub(crate) fn forget(&self) -> Result<()> {
        *self.idle()? = None;
        Ok(())
    }

    /// How it stands.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn status(&self) -> Result<Status> {
        self.session()?.view(Action::SyncSend, None, |view| Status::read(view))
    }

    /// The edits that lost and that a person has to look at, as [`crate::Client::conflicts`].
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn conflicts(&self) -> Result<Vec<Conflict>> {
        conflicts::list(&self.session()?)
    }

    /// Does what a person decided about a conflict as they saw it.
    ///
    /// # Errors
    /// As [`crate::Client::resolve`].
    pub fn resolve(&self, seen: &Conflict, resolution: &Resolution) -> Result<()> {
        conflicts::resolve(&self.session()?, seen, resolution)?;
        self.extension.signal().raise(EDITED);
        Ok(())
    }

    fn with_driver<T>(&self, work: impl FnOnce(&mut FhirDriver) -> Result<T>) -> Result<T> {
        let mut place = self.idle()?;
        let mut driver = match place.take() {
            Some(driver) => driver,
            None => FhirDriver::open(self.session()?, self.options.clock.clone(), self.tokens.clone())?,
        };
        let done = work(&mut driver);
        // With the store, its session ends; the next call begins another one.
        if !matches!(done, Err(Error::Store(_))) {
            *place = Some(driver);
        }
        done
    }

    /// The driver's place, while nobody is at work with it.
    fn idle(&self) -> Result<MutexGuard<'_, Option<FhirDriver>>> {
        match self.driver.try_lock() {
            Ok(place) => Ok(place),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(Error::InUse),
        }
    }

    fn session(&self) -> Result<Session> {
        Ok(self.store.session(self.options.actor.clone())?)
    }
}

impl std::fmt::Debug for FhirClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FhirClient").finish_non_exhaustive()
    }
}
