//! Sync of a store with its server.

use std::sync::Arc;

use keepwell_client::{ClientOptions, DeviceSync, Offer, Policy, SyncExtension};
use keepwell_store::Actor;

use crate::boundary::{Result, call, wait};
use crate::conflict::Conflict;
use crate::error::KeepwellError;
use crate::fhir_server::{FhirServer, OfHost, TokenProvider};
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
    /// Edits that would have made a resource of no scope: it is on this device only.
    pub kept: i64,
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
            kept: count(report.kept),
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
    /// The address of the plain FHIR server that it syncs with, if it does.
    pub fhir_server: Option<String>,
    /// Resources that such a server shows no more: they are hidden, and kept.
    pub unavailable: i64,
    /// Sync goes on by itself at the moment.
    pub is_running: bool,
    /// The code of what stands in its way until somebody acts (docs/error-codes.md).
    pub problem: Option<i32>,
}

/// Sync of a store with its server.
#[derive(uniffi::Object)]
pub struct Sync {
    sync: Arc<DeviceSync>,
}

impl Sync {
    pub(crate) fn new(store: keepwell_store::Store, extension: SyncExtension, actor: Actor) -> Self {
        Self { sync: Arc::new(DeviceSync::new(store, extension, ClientOptions::new(actor))) }
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
        let client = self.sync.client().clone();
        wait(move || {
            let invitation = invitation.parse().map_err(keepwell_client::Error::Connection)?;
            Ok::<_, keepwell_client::Error>(client.enrol(&invitation, &name)?.device.to_string())
        })
        .await
    }

    /// Takes newer pins of the server of Keepwell from a document that its operator has signed, when they cannot come from
    /// the server (464, 465): its key was changed while this device was away, or its pins have expired. Gives whether they
    /// were not known before.
    ///
    /// # Errors
    /// 451 to 456 with what is wrong with the document: the pins stay as they were; 417, 420.
    pub async fn install_pins(&self, document: String) -> Result<bool> {
        let client = self.sync.client().clone();
        wait(move || Ok::<_, keepwell_client::Error>(client.install_pins(&document)? == Offer::Installed))
            .await
    }

    /// Syncs with a plain FHIR server from now on: what is saved is sent, and so is what is in the store already. For a
    /// server that was named before, it sets another token, other searches and other rules; its address stays. Nothing is
    /// asked of the server yet.
    ///
    /// # Errors
    /// 117 for a search that cannot be kept up to date; 418, also with another address; 420; 457 and 459 when its
    /// authorities or its address cannot be used.
    pub fn enrol_fhir(&self, server: FhirServer) -> Result<()> {
        call(|| Ok::<_, KeepwellError>(self.sync.fhir().attach(&server.try_into()?)?))
    }

    /// Asks `provider` for the tokens of a plain FHIR server from now on, or nobody. It is not kept: set it each time the
    /// app starts, before the first round. It goes before the token of [`Self::enrol_fhir`].
    pub fn set_token_provider(&self, provider: Option<Arc<dyn TokenProvider>>) {
        self.sync.fhir().set_token_provider(provider.map(|provider| Arc::new(OfHost(provider)) as _));
    }

    /// One round: sends what waits and fetches what is new. What it stopped at, if it did, is in the report.
    ///
    /// # Errors
    /// 417; 420 while sync goes on by itself; 419 when it was cancelled; 424, and the store is locked; 423, and it is
    /// gone.
    #[uniffi::method(default(progress = None))]
    pub async fn round(&self, progress: Option<Arc<dyn ProgressListener>>) -> Result<SyncReport> {
        let sync = self.sync.clone();
        wait(move || {
            let teller = Teller::new(progress);
            let report = sync.round(&mut |come, _| {
                let bytes = count(come.sent_bytes + come.received_bytes);
                teller.tell(Come { done: count(come.rows), bytes, total_bytes: None });
            })?;
            Ok::<_, keepwell_client::Error>(report.into())
        })
        .await
    }

    /// Ends the round that is under way; what was done stays done.
    pub fn cancel(&self) {
        self.sync.cancel();
    }

    /// Syncs by itself from now on: when something is saved, when the server has something, and from time to time.
    ///
    /// # Errors
    /// 417, 420
    pub fn start(&self) -> Result<()> {
        call(|| self.sync.start())
    }

    /// Ends what [`Self::start`] began; what is under way is given up. It is no mistake if there is nothing.
    ///
    /// # Errors
    /// What had ended it before: 423, 424, or the store's.
    pub async fn stop(&self) -> Result<()> {
        let sync = self.sync.clone();
        wait(move || sync.stop()).await
    }

    /// Asks for a round of what goes on by itself, also after a failure: the app comes to the front, the network is
    /// back.
    pub fn nudge(&self) {
        self.sync.nudge();
    }

    /// What may be used by what goes on by itself: nothing while `paused`; no attachments while `metered`; few requests
    /// in the `background`.
    #[uniffi::method(default(paused = false, metered = false, background = false))]
    pub fn set_policy(&self, paused: bool, metered: bool, background: bool) {
        self.sync.set_policy(Policy {
            is_paused: paused,
            is_metered: metered,
            is_background: background,
            ..Policy::default()
        });
    }

    /// How it stands.
    ///
    /// # Errors
    /// 201
    pub fn status(&self) -> Result<SyncStatus> {
        call(|| {
            let status = self.sync.client().status()?;
            Ok::<_, keepwell_client::Error>(SyncStatus {
                device: status.device.map(|id| id.to_string()),
                tenant: status.tenant.map(|id| id.to_string()),
                pending: count(status.pending),
                conflicts: count(status.conflicts),
                scopes: count(status.scopes as u64),
                hydrating: count(status.hydrating as u64),
                met_ms: status.met.map(|met| met.ms()),
                lease_until_ms: status.lease.map(|lease| lease.until.ms()),
                fhir_server: status.fhir_server,
                unavailable: count(status.unavailable),
                is_running: self.sync.is_running(),
                problem: self.sync.problem().map(i32::from),
            })
        })
    }

    /// The edits that lost and that a person has to look at, oldest first.
    ///
    /// # Errors
    /// 201
    pub fn conflicts(&self) -> Result<Vec<Arc<Conflict>>> {
        call(|| {
            let found = self.sync.client().conflicts()?;
            let one = |conflict| Arc::new(Conflict::new(self.sync.client().clone(), conflict));
            Ok::<_, keepwell_client::Error>(found.into_iter().map(one).collect())
        })
    }

    /// Sets the types that never leave the device. It holds for edits from now on.
    ///
    /// # Errors
    /// 117 for a type that is none; 420 while sync goes on, also by itself.
    pub fn set_local_types(&self, resource_types: Vec<String>) -> Result<()> {
        call(|| {
            let kinds: Result<Vec<_>, _> = resource_types.iter().map(|name| kind(name)).collect();
            self.sync.set_local_types(&kinds?)
        })
    }
}
