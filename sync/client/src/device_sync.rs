//! Sync of a store, whoever is at the other end, and what goes on by itself.

use std::sync::{Mutex, MutexGuard, PoisonError};

use keepwell_engine::{Policy, Report};
use keepwell_fhir::ResourceType;
use keepwell_store::Store;

use crate::background::Background;
use crate::client::{Client, ClientOptions};
use crate::control::{Cancel, Progress};
use crate::error::{Error, Result};
use crate::extension::SyncExtension;
use crate::fhir::FhirClient;

/// Sync of one store with whom it is enrolled: a server of Keepwell, or a plain FHIR server. For programs that hold one
/// thing for both: what is only for one of them, or the same for both, is asked of [`Self::client`] and [`Self::fhir`].
pub struct DeviceSync {
    client: Client,
    fhir: FhirClient,
    /// Ends the round that is under way, if one is.
    cancel: Mutex<Option<Cancel>>,
    background: Mutex<Option<Background>>,
    policy: Mutex<Policy>,
}

/// A round that is under way, until this goes.
struct UnderWay<'a>(&'a Mutex<Option<Cancel>>);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        *lock(self.0) = None;
    }
}

impl DeviceSync {
    /// Sync of a store that was opened with this extension.
    #[must_use]
    pub fn new(store: Store, extension: SyncExtension, options: ClientOptions) -> Self {
        Self {
            policy: Mutex::new(options.policy),
            client: Client::new(store.clone(), extension.clone(), options.clone()),
            fhir: FhirClient::new(store, extension, options),
            cancel: Mutex::default(),
            background: Mutex::default(),
        }
    }

    /// With a server of Keepwell: enrolment; and for both: status, conflicts.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// With a plain FHIR server: attaching it, and its tokens.
    #[must_use]
    pub fn fhir(&self) -> &FhirClient {
        &self.fhir
    }

    /// One round, as [`Client::sync`]: what it stopped at is in the report.
    ///
    /// # Errors
    /// As [`Client::sync`].
    pub fn round(&self, progress: &mut dyn FnMut(&Progress, &Cancel)) -> Result<Report> {
        let (cancel, _under_way) = self.begin()?;
        let mut progress = |come: &Progress| progress(come, &cancel);
        if self.fhir.is_attached()? {
            self.fhir.sync(&cancel, &mut progress)
        } else {
            self.client.sync(&cancel, &mut progress)
        }
    }

    /// Ends the round that is under way on another thread; what was done stays done.
    pub fn cancel(&self) {
        if let Some(cancel) = &*lock(&self.cancel) {
            cancel.cancel();
        }
    }

    /// Syncs on a thread of its own from now on, as [`Client::start`]. It is no mistake if it does already.
    ///
    /// # Errors
    /// As [`Client::sync`].
    pub fn start(&self) -> Result<()> {
        let mut background = lock(&self.background);
        if background.as_ref().is_none_or(Background::is_over) {
            // The thread of the one before is gone before another begins.
            drop(background.take());
            let policy = *lock(&self.policy);
            let is_plain = self.fhir.is_attached()?;
            *background = Some(if is_plain {
                self.fhir.start_with(policy)?
            } else {
                self.client.start_with(policy)?
            });
        }
        Ok(())
    }

    /// Ends what [`Self::start`] began; what is under way is given up. It is no mistake if there is nothing.
    ///
    /// # Errors
    /// What had ended it before, as [`Background::stop`].
    pub fn stop(&self) -> Result<()> {
        let background = lock(&self.background).take();
        background.map_or(Ok(()), Background::stop)
    }

    /// Asks for a round of what goes on by itself, also after a failure.
    pub fn nudge(&self) {
        if let Some(background) = &*lock(&self.background) {
            background.online();
            background.sync_now();
        }
    }

    /// What may be used by what goes on by itself, now and later.
    pub fn set_policy(&self, policy: Policy) {
        *lock(&self.policy) = policy;
        if let Some(background) = &*lock(&self.background) {
            background.set_policy(policy);
        }
    }

    /// Whether sync goes on by itself at the moment.
    #[must_use]
    pub fn is_running(&self) -> bool {
        lock(&self.background).as_ref().is_some_and(|background| !background.is_over())
    }

    /// The code of what stands in the way of what goes on by itself until somebody acts, if something does.
    #[must_use]
    pub fn problem(&self) -> Option<u16> {
        lock(&self.background).as_ref().filter(|background| !background.is_over())?.problem()
    }

    /// Sets the types that never leave the device. It holds for edits from now on.
    ///
    /// # Errors
    /// [`Error::InUse`] while sync goes on, also by itself; [`Error::Store`].
    pub fn set_local_types(&self, kinds: &[ResourceType]) -> Result<()> {
        self.fhir.forget()?;
        self.client.set_local_types(kinds)
    }

    fn begin(&self) -> Result<(Cancel, UnderWay<'_>)> {
        let mut place = lock(&self.cancel);
        if place.is_some() {
            return Err(Error::InUse);
        }
        let cancel = Cancel::default();
        *place = Some(cancel.clone());
        Ok((cancel, UnderWay(&self.cancel)))
    }
}

impl std::fmt::Debug for DeviceSync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceSync").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
