//! Sync of one store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use keepwell_engine::{Event, Policy, Report};
use keepwell_fhir::ResourceType;
use keepwell_protocol::{BlobToken, EnrolRequest, Incarnation, Secret, VERSION_MAX};
use keepwell_store::audit::Action;
use keepwell_store::vault::{Clock, SystemClock};
use keepwell_store::{Actor, Session, Store};
use keepwell_tls::{CertificateRequest, ClientSettings, Invitation, Offer, PrivateKey, PublicKey, UnixTime};
use zeroize::Zeroizing;

use crate::background::{self, Background};
use crate::conflicts::{self, Conflict, Resolution};
use crate::control::{Cancel, Progress};
use crate::driver::{self, Driver, life_of, random};
use crate::enrolment::{DeviceRecord, Enrolled, ServerRecord};
use crate::error::{Error, Result};
use crate::extension::SyncExtension;
use crate::http::HttpTransport;
use crate::signal::EDITED;
use crate::status::Status;
use crate::tables::{DEVICE, KEY, LIFE, Tables};
use crate::transport::Transport;

/// How a client works.
#[derive(Clone)]
pub struct ClientOptions {
    /// Who syncs, for the audit trail.
    pub actor: Actor,
    /// Time: the one that the store was opened with.
    pub clock: Arc<dyn Clock>,
    /// What may be used at first.
    pub policy: Policy,
}

impl ClientOptions {
    /// Options with the clock of the system, and everything allowed.
    #[must_use]
    pub fn new(actor: Actor) -> Self {
        Self { actor, clock: Arc::new(SystemClock::new()), policy: Policy::default() }
    }
}

/// Sync of one store. Clones share it.
#[derive(Clone)]
pub struct Client {
    store: Store,
    extension: SyncExtension,
    options: ClientOptions,
    driver: Arc<Mutex<Option<Driver>>>,
    /// A way to the server that the host brought; otherwise it is the enrolment's.
    transport: Arc<Mutex<Option<Box<dyn Transport>>>>,
}

impl Client {
    /// A client of a store that was opened with this extension.
    #[must_use]
    pub fn new(store: Store, extension: SyncExtension, options: ClientOptions) -> Self {
        Self { store, extension, options, driver: Arc::default(), transport: Arc::default() }
    }

    /// Uses an invitation: the device gets a certificate, and from now on what is saved is sent. What is in the store
    /// already is sent too. `name` is what the device is called in the operator's list.
    ///
    /// A device whose certificate has ended, or that knows no pin of its server any more, uses another invitation of the
    /// same operator: it stays the device that it is, with its data and what waits to be sent.
    ///
    /// # Errors
    /// [`Error::AlreadyEnrolled`] if the invitation is another operator's or another user's; [`Error::InUse`] while a
    /// thread syncs; [`Error::Refused`] with [`keepwell_protocol::Refusal::Invitation`];
    /// [`Error::Connection`], [`Error::Message`], [`Error::Store`]. After one of the network, try again with the same
    /// invitation.
    pub fn enrol(&self, invitation: &Invitation, name: &str) -> Result<Enrolled> {
        let session = self.session()?;
        let before = self.enrolment(&session)?;
        let key = match &before {
            None => Arc::new(self.own_key(&session)?),
            Some((record, _)) if !record.is_of(invitation)? => return Err(Error::AlreadyEnrolled),
            Some((_, key)) => key.clone(),
        };
        let (trust, pinning) = invitation.pinning()?;
        let mut settings = ClientSettings::new(trust, pinning.clone());
        let reply =
            HttpTransport::new(settings.clone(), invitation.address.clone())?.enrol(&EnrolRequest {
                v: VERSION_MAX,
                code: Secret::new(invitation.code.text().to_string()),
                csr: keepwell_protocol::Base64(CertificateRequest::create(key.as_ref())?),
                name: name.to_owned(),
                incarnation: Incarnation::new(random()),
            })?;
        if before.is_some_and(|(known, _)| (&known.device, &known.tenant) != (&reply.device, &reply.tenant)) {
            return Err(Error::AlreadyEnrolled);
        }
        let enrolled =
            Enrolled::new(reply.device, reply.tenant, reply.epoch, reply.wipe_keys, Some(reply.lease));
        let record = |pin_set| -> Result<DeviceRecord> {
            let server = ServerRecord::new(invitation, reply.certificates.clone(), pin_set)?;
            Ok(DeviceRecord::new(&enrolled, Some(server)))
        };
        // The first pins end with the invitation: the operator's own take their place.
        settings.device = record(None)?.settings(key)?.0.device;
        let pins = HttpTransport::new(settings, invitation.address.clone())?.pins()?;
        let (Offer::Installed | Offer::Known) = pinning.offer(&pins, UnixTime::now())?;
        // One that is at work would go on with the certificate before.
        *self.idle()? = None;
        self.keep(&session, &record(Some(pins))?, &enrolled)?;
        Ok(enrolled)
    }

    /// Takes newer pins of the server from a document that its operator has signed, when they cannot come from the server:
    /// its key was changed while this device was away, or the pins have expired.
    ///
    /// # Errors
    /// [`Error::Connection`] with what is wrong with the document; [`Error::NotEnrolled`], [`Error::InUse`],
    /// [`Error::Store`].
    pub fn install_pins(&self, document: &str) -> Result<Offer> {
        self.with_driver(|driver| driver.install_pins(document.to_owned()))
    }

    /// As [`Self::enrol`], for a device that was enrolled by other means, with a way to its server.
    ///
    /// # Errors
    /// [`Error::AlreadyEnrolled`], [`Error::Store`].
    pub fn enrol_with(&self, enrolled: &Enrolled, transport: Box<dyn Transport>) -> Result<()> {
        let session = self.session()?;
        self.own_key(&session)?;
        self.set_transport(transport);
        self.keep(&session, &DeviceRecord::new(enrolled, None), enrolled)
    }

    /// Goes to the server this way from now on.
    pub fn set_transport(&self, transport: Box<dyn Transport>) {
        *lock(&self.transport) = Some(transport);
        *lock(&self.driver) = None;
    }

    /// The public key of this device, an uncompressed point of P-256; made if there is none.
    ///
    /// # Errors
    /// [`Error::AlreadyEnrolled`], [`Error::Store`].
    pub fn public_key(&self) -> Result<PublicKey> {
        Ok(PublicKey::of(&self.own_key(&self.session()?)?))
    }

    /// Sends what waits and fetches what is new, until there is nothing more or the server cannot be reached; the
    /// report's `last_problem` says so then. Blocks.
    ///
    /// # Errors
    /// [`Error::NotEnrolled`], [`Error::InUse`], [`Error::Cancelled`], [`Error::Stopped`], [`Error::Store`];
    /// [`Error::LeaseOver`], and the store is locked; [`Error::Wiped`], and it is gone.
    pub fn sync(&self, cancel: &Cancel, progress: &mut dyn FnMut(&Progress)) -> Result<Report> {
        self.with_driver(|driver| {
            driver.restart()?;
            driver.round(Event::SyncNow, cancel, progress)?;
            Ok(driver.report().clone())
        })
    }

    /// Fetches the attachments of a resource that are not here yet, whatever the network costs, and does what else there
    /// is to do. Blocks. When it could not be done, the report's `last_problem` says why.
    ///
    /// # Errors
    /// As [`Self::sync`].
    pub fn fetch_attachments(
        &self,
        resource_type: ResourceType,
        id: &str,
        cancel: &Cancel,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Report> {
        let wanted = self.session()?.view(Action::SyncSend, None, |view| -> Result<_> {
            let content = view.current(resource_type, id)?.and_then(|current| current.content);
            let tokens = content.and_then(|content| BlobToken::all(&content)).unwrap_or_default();
            Ok(tokens.into_iter().map(|(_, token)| token.blob).collect())
        })?;
        self.with_driver(|driver| {
            driver.restart()?;
            driver.round(Event::Fetch(wanted), cancel, progress)?;
            Ok(driver.report().clone())
        })
    }

    /// Syncs on a thread of its own from now on: when something is saved, when the server says that there is
    /// something, and from time to time. It is no activity: a store that nobody else uses locks when its idle time is
    /// over, and the thread ends.
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
                let done = background::follow(driver, watched);
                driver.set_attended(true);
                done
            })
        })
    }

    /// What was done so far.
    ///
    /// # Errors
    /// As [`Self::sync`].
    pub fn report(&self) -> Result<Report> {
        self.with_driver(|driver| Ok(driver.report().clone()))
    }

    /// How it stands.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn status(&self) -> Result<Status> {
        self.session()?.view(Action::SyncSend, None, |view| Status::read(view))
    }

    /// The edits that lost and that a person has to look at, oldest first: conflicts, what the server found invalid,
    /// and what it no longer lets this device write.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn conflicts(&self) -> Result<Vec<Conflict>> {
        conflicts::list(&self.session()?)
    }

    /// Does what a person decided about a conflict as they saw it.
    ///
    /// # Errors
    /// [`Error::NoConflict`]; [`Error::ConflictMoved`] when the resource has changed since; [`Error::EditNotHere`] when the
    /// edit is to be taken and may no longer be here; [`Error::Store`] when the content is not valid.
    pub fn resolve(&self, seen: &Conflict, resolution: &Resolution) -> Result<()> {
        conflicts::resolve(&self.session()?, seen, resolution)?;
        self.extension.signal().raise(EDITED);
        Ok(())
    }

    /// Sets the types that never leave the device. It holds for edits from now on.
    ///
    /// # Errors
    /// [`Error::InUse`] while sync goes on; [`Error::Store`].
    pub fn set_local_types(&self, kinds: &[ResourceType]) -> Result<()> {
        let mut place = self.idle()?;
        self.session()?.transaction(Action::SyncAccess, None, |transaction| -> Result<()> {
            Ok(Tables::new(transaction.connection()).set_local_types(kinds)?)
        })?;
        *place = None;
        Ok(())
    }

    /// Works with the driver, which is made when there is none.
    pub(crate) fn with_driver<T>(&self, work: impl FnOnce(&mut Driver) -> Result<T>) -> Result<T> {
        let mut place = self.idle()?;
        let mut driver = match place.take() {
            Some(driver) => driver,
            None => self.connect()?,
        };
        let done = work(&mut driver);
        // With the store, its session ends; the next call begins another one.
        if !matches!(done, Err(Error::Store(_) | Error::Wiped | Error::LeaseOver)) {
            *place = Some(driver);
        }
        done
    }

    fn connect(&self) -> Result<Driver> {
        let brought = lock(&self.transport).take();
        let (clock, policy) = (self.options.clock.clone(), self.options.policy);
        Driver::open(self.session()?, clock, policy, brought)
    }

    /// The driver's place, while nobody is at work with it.
    fn idle(&self) -> Result<MutexGuard<'_, Option<Driver>>> {
        match self.driver.try_lock() {
            Ok(place) => Ok(place),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(Error::InUse),
        }
    }

    /// What this device is enrolled as with a server of Keepwell, and its key.
    fn enrolment(&self, session: &Session) -> Result<Option<(DeviceRecord, Arc<PrivateKey>)>> {
        match driver::identity(session) {
            Ok((record, key)) => Ok(Some((record, Arc::new(key)))),
            Err(Error::NotEnrolled) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn session(&self) -> Result<Session> {
        Ok(self.store.session(self.options.actor.clone())?)
    }

    /// The key of this device, kept before it is used.
    fn own_key(&self, session: &Session) -> Result<PrivateKey> {
        session.transaction(Action::SyncAccess, None, |transaction| {
            let tables = Tables::new(transaction.connection());
            // With a server of Keepwell, or with a plain one.
            if tables.is_enrolled()? {
                return Err(Error::AlreadyEnrolled);
            }
            if let Some(kept) = tables.setting(KEY)? {
                return Ok(PrivateKey::from_pkcs8(Zeroizing::new(kept))?);
            }
            let key = PrivateKey::generate()?;
            tables.set_setting(KEY, key.pkcs8())?;
            Ok(key)
        })
    }

    fn keep(&self, session: &Session, record: &DeviceRecord, enrolled: &Enrolled) -> Result<()> {
        session.transaction(Action::SyncAccess, None, |transaction| -> Result<()> {
            let life = life_of(transaction.view().life()?);
            let tables = Tables::new(transaction.connection());
            tables.set_setting(DEVICE, &record.write())?;
            Ok(tables.set_setting(LIFE, &life)?)
        })?;
        match enrolled.lease.clone() {
            Some(lease) => self.with_driver(|driver| driver.handle(Event::Lease(lease))),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
