//! Sync of one store with a plain FHIR server.

use std::sync::{Arc, Mutex, TryLockError};

use keepwell_engine::Report;
use keepwell_plain::Event;
use keepwell_store::audit::Action;
use keepwell_store::{Session, Store};

use super::driver::FhirDriver;
use super::record::FhirServer;
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
}

impl FhirClient {
    /// A client of a store that was opened with this extension. The policy of the options does not count here.
    #[must_use]
    pub fn new(store: Store, extension: SyncExtension, options: ClientOptions) -> Self {
        Self { store, extension, options, driver: Arc::default() }
    }

    /// Syncs with this server from now on. What is in the store already is sent too. A server that was attached before
    /// may get another token, other searches and other rules; its address stays.
    ///
    /// # Errors
    /// [`Error::AlreadyEnrolled`]: with a server of Keepwell, or with another address. [`Error::Connection`]: the
    /// address or the authorities cannot be used. [`Error::Store`].
    pub fn attach(&self, server: &FhirServer) -> Result<()> {
        server.settings()?;
        self.session()?.transaction(Action::SyncAccess, None, |transaction| -> Result<()> {
            let tables = Tables::new(transaction.connection());
            let known = tables.setting(FHIR)?.map(|record| FhirServer::read(&record)).transpose()?;
            let is_another = known.is_some_and(|known| known.base() != server.base());
            if is_another || tables.setting(DEVICE)?.is_some() {
                return Err(Error::AlreadyEnrolled);
            }
            Ok(tables.set_setting(FHIR, &server.write())?)
        })?;
        self.with_place(|place| {
            *place = None;
            Ok(())
        })
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

    /// Syncs when something is saved, and from time to time, until `cancel` says otherwise. Blocks; a wait ends with
    /// the next save, or with the time that the engine set.
    ///
    /// # Errors
    /// As [`Self::sync`]; that it was cancelled is none.
    pub fn watch(&self, cancel: &Cancel) -> Result<()> {
        let signal = self.extension.signal().clone();
        let done = self.with_driver(|driver| {
            let mut event = Event::SyncNow;
            while !cancel.is_cancelled() {
                driver.round(event, cancel, &mut |_| ())?;
                driver.wait(&signal);
                event = if signal.take() & EDITED == 0 { Event::Tick } else { Event::Edited };
            }
            Ok(())
        });
        match done {
            Err(Error::Cancelled) => Ok(()),
            done => done,
        }
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
        if conflicts::resolve(&self.session()?, seen, resolution)? {
            self.extension.signal().raise(EDITED);
        }
        Ok(())
    }

    fn with_driver<T>(&self, work: impl FnOnce(&mut FhirDriver) -> Result<T>) -> Result<T> {
        self.with_place(|place| {
            let mut driver = match place.take() {
                Some(driver) => driver,
                None => FhirDriver::open(self.session()?, self.options.clock.clone())?,
            };
            let done = work(&mut driver);
            // With the store, its session ends; the next call begins another one.
            if !matches!(done, Err(Error::Store(_))) {
                *place = Some(driver);
            }
            done
        })
    }

    fn with_place<T>(&self, work: impl FnOnce(&mut Option<FhirDriver>) -> Result<T>) -> Result<T> {
        match self.driver.try_lock() {
            Ok(mut place) => work(&mut place),
            Err(TryLockError::Poisoned(poisoned)) => work(&mut poisoned.into_inner()),
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
