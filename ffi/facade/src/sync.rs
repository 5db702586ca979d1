//! Sync of a store with its server.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keepwell_client::{Background, Cancel, Client, ClientOptions, Policy, SyncExtension};
use keepwell_store::Actor;

use crate::boundary::{Result, call, wait};
use crate::conflict::Conflict;
use crate::progress::{Come, ProgressListener, Teller};
use crate::records::{count, kind};

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct SyncReport {
    /// Edits that became versions on the server.
    pub sent: i64,
    /// Resources that came and were written.
    pub received: i64,
    /// Edits that were joined with the server's.
    pub merged: i64,
    /// Edits that lost, and wait for a person or were archived.
    pub lost: i64,
    /// Resources purged here, since they are in no scope of this device any more.
    pub purged: i64,
    /// Requests sent.
    pub requests: i64,
    /// Bytes up.
    pub sent_bytes: i64,
    /// Bytes down.
    pub received_bytes: i64,
    /// The code of what the round stopped at, if it did not come to its end (docs/error-codes.md).
    pub problem: Option<i32>,
}

impl From<keepwell_client::Report> for SyncReport {
    fn from(report: keepwell_client::Report) -> Self {
        Self {
            sent: count(report.applied),
            received: count(report.stored),
            merged: count(report.merged),
            lost: count(report.lost),
            purged: count(report.purged),
            requests: count(report.requests),
            sent_bytes: count(report.sent_bytes),
            received_bytes: count(report.received_bytes),
            problem: report.last_problem.map(i32::from),
        }
    }
}

/// How it stands.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct SyncStatus {
    /// The device's id; none before it is enrolled.
    pub device: Option<String>,
    /// The tenant that it belongs to.
    pub tenant: Option<String>,
    /// Resources with an edit that the server does not have yet.
    pub pending: i64,
    /// Edits that lost and that a person has to look at.
    pub conflicts: i64,
    /// Scopes that are held.
    pub scopes: i64,
    /// Those of them that are still being fetched.
    pub hydrating: i64,
    /// When the server was last met, in milliseconds since 1970-01-01T00:00Z.
    pub met_ms: Option<i64>,
    /// Until when the device may work without its server, likewise.
    pub lease_until_ms: Option<i64>,
    /// Sync goes on by itself at the moment.
    pub is_running: bool,
    /// The code of what stands in its way until somebody acts (docs/error-codes.md).
    pub problem: Option<i32>,
}

/// Sync of a store with its server.
#[derive(uniffi::Object)]
pub struct Sync {
    client: Client,
    cancel: Mutex<Cancel>,
    background: Mutex<Option<Background>>,
    policy: Mutex<Policy>,
}

impl Sync {
    pub(crate) fn new(store: keepwell_store::Store, extension: SyncExtension, actor: Actor) -> Self {
        Self {
            client: Client::new(store, extension, ClientOptions::new(actor)),
            cancel: Mutex::default(),
            background: Mutex::default(),
            policy: Mutex::default(),
        }
    }
}

#[uniffi::export]
impl Sync {
    /// Uses an invitation of the server's operator: from now on what is saved is sent, and what is in the store
    /// already. `name` is what the device is called in the operator's list. Gives the device's id.
    ///
    /// # Errors
    /// 418; 470 for a mistyped invitation, 434 for one that the server does not accept; 461 to 468 about the
    /// connection: try again with the same invitation.
    pub async fn enrol(&self, invitation: String, name: String) -> Result<String> {
        let client = self.client.clone();
        wait(move || {
            let invitation = invitation.parse().map_err(keepwell_client::Error::Connection)?;
            Ok::<_, keepwell_client::Error>(client.enrol(&invitation, &name)?.device.to_string())
        })
        .await
    }

    /// One round: sends what waits and fetches what is new. What it stopped at, if it did, is in the report.
    ///
    /// # Errors
    /// 417; 420 while sync goes on by itself; 419 when it was cancelled; 424, and the store is locked; 423, and it is
    /// gone.
    #[uniffi::method(default(progress = None))]
    pub async fn round(&self, progress: Option<Arc<dyn ProgressListener>>) -> Result<SyncReport> {
        let (client, cancel) = (self.client.clone(), Cancel::default());
        *lock(&self.cancel) = cancel.clone();
        wait(move || {
            let teller = Teller::new(progress);
            let report = client.sync(&cancel, &mut |come| {
                let bytes = count(come.sent_bytes + come.received_bytes);
                teller.tell(Come { done: count(come.rows), bytes, total_bytes: None });
            })?;
            Ok::<_, keepwell_client::Error>(report.into())
        })
        .await
    }

    /// Ends the round that is under way; what was done stays done.
    pub fn cancel(&self) {
        lock(&self.cancel).cancel();
    }

    /// Syncs by itself from now on: when something is saved, when the server has something, and from time to time.
    ///
    /// # Errors
    /// 417, 420
    pub fn start(&self) -> Result<()> {
        call(|| {
            let mut background = lock(&self.background);
            if background.as_ref().is_none_or(Background::is_over) {
                // The thread of the one before is gone before another begins.
                drop(background.take());
                let started = self.client.start()?;
                started.set_policy(*lock(&self.policy));
                *background = Some(started);
            }
            Ok::<_, keepwell_client::Error>(())
        })
    }

    /// Ends what [`Self::start`] began; what is under way is given up. It is no mistake if there is nothing.
    ///
    /// # Errors
    /// What had ended it before: 423, 424, or the store's.
    pub async fn stop(&self) -> Result<()> {
        let background = lock(&self.background).take();
        wait(move || background.map_or(Ok(()), Background::stop)).await
    }

    /// Asks for a round of what goes on by itself, also after a failure: the app comes to the front, the network is
    /// back.
    pub fn nudge(&self) {
        if let Some(background) = &*lock(&self.background) {
            background.online();
            background.sync_now();
        }
    }

    /// What may be used by what goes on by itself: nothing while `paused`; no attachments while `metered`; few requests
    /// in the `background`.
    #[uniffi::method(default(paused = false, metered = false, background = false))]
    pub fn set_policy(&self, paused: bool, metered: bool, background: bool) {
        let policy =
            Policy { is_paused: paused, is_metered: metered, is_background: background, ..Policy::default() };
        *lock(&self.policy) = policy;
        if let Some(running) = &*lock(&self.background) {
            running.set_policy(policy);
        }
    }

    /// How it stands.
    ///
    /// # Errors
    /// 201
    pub fn status(&self) -> Result<SyncStatus> {
        call(|| {
            let status = self.client.status()?;
            let background = lock(&self.background);
            let running = background.as_ref().filter(|background| !background.is_over());
            Ok::<_, keepwell_client::Error>(SyncStatus {
                device: status.device.map(|id| id.to_string()),
                tenant: status.tenant.map(|id| id.to_string()),
                pending: count(status.pending),
                conflicts: count(status.conflicts),
                scopes: count(status.scopes as u64),
                hydrating: count(status.hydrating as u64),
                met_ms: status.met.map(|met| met.ms()),
                lease_until_ms: status.lease.map(|lease| lease.until.ms()),
                is_running: running.is_some(),
                problem: running.and_then(Background::problem).map(i32::from),
            })
        })
    }

    /// The edits that lost and that a person has to look at, oldest first.
    ///
    /// # Errors
    /// 201
    pub fn conflicts(&self) -> Result<Vec<Arc<Conflict>>> {
        call(|| {
            let found = self.client.conflicts()?;
            let one = |conflict| Arc::new(Conflict::new(self.client.clone(), conflict));
            Ok::<_, keepwell_client::Error>(found.into_iter().map(one).collect())
        })
    }

    /// Sets the types that never leave the device. It holds for edits from now on.
    ///
    /// # Errors
    /// 117 for a type that is none.
    pub fn set_local_types(&self, resource_types: Vec<String>) -> Result<()> {
        call(|| {
            let kinds: Result<Vec<_>, _> = resource_types.iter().map(|name| kind(name)).collect();
            self.client.set_local_types(&kinds?)
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
