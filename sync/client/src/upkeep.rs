//! What the connection to the server rests on: a certificate that ends, pins that are replaced, and the record of servers
//! that were refused.
//!
//! All of it goes with a round that has met the server anyway, in one small request: the first time after the program has
//! started, then once a day, or at once if there is a refusal to report.
//!
//! Invariants: what was refused is forgotten only when a good server has been told; another certificate, or other pins,
//! are on disk before they are used, and the ones before are used until then.

use std::sync::Arc;
use std::time::Duration;

use keepwell_engine::Now;
use keepwell_fhir::Instant;
use keepwell_protocol::{Base64, RefusedServer, UpkeepReply, UpkeepRequest, VERSION_MAX};
use keepwell_store::Session;
use keepwell_store::audit::Action;
use keepwell_tls::{
    Address, CertificateRequest, ClientSettings, Failure, FailureLog, FailureReport, Offer, PrivateKey,
    UnixTime,
};

use crate::enrolment::DeviceRecord;
use crate::error::{Result, corrupt};
use crate::http::HttpTransport;
use crate::tables::{DEVICE, REFUSED, Tables, UPKEEP};
use crate::transport::Transport;

/// How often, in milliseconds: once a day, however often the program is started.
const EVERY_MS: u64 = 24 * 60 * 60 * 1000;
/// When to try again what a server did not answer: after ten minutes.
const AGAIN_MS: u64 = 10 * 60 * 1000;

/// What the audit trail says of it.
const RENEWED: &str = r#"{"sync":"certificate or pins renewed"}"#;
const ASKED: &str = r#"{"sync":"upkeep"}"#;
const REFUSED_SERVERS: &str = r#"{"sync":"refused servers"}"#;

/// The trust that one connection is made with.
pub(crate) struct Upkeep {
    settings: ClientSettings,
    address: Address,
    /// What is on disk of the servers that were refused.
    kept: FailureReport,
    /// When to ask next.
    due_ms: u64,
    /// Not before this, whatever there is to say.
    rests_until_ms: u64,
}

impl Upkeep {
    /// With what is on disk.
    pub(crate) fn open(
        session: &Session,
        record: &DeviceRecord,
        key: Arc<PrivateKey>,
        now: Now,
    ) -> Result<Self> {
        let (mut settings, address) = record.settings(key)?;
        let (kept, last) = session.view(Action::SyncSend, None, |view| -> Result<_> {
            let tables = Tables::new(view.connection());
            Ok((tables.setting(REFUSED)?, tables.setting(UPKEEP)?))
        })?;
        let kept: FailureReport = kept.map_or_else(
            || Ok(FailureReport::default()),
            |kept| serde_json::from_slice(&kept).map_err(corrupt),
        )?;
        // Without a last time, or with one in the future, it is due at once.
        let last = last.and_then(|bytes| bytes.try_into().ok()).map(i64::from_le_bytes);
        let ago_ms = last.and_then(|last| u64::try_from(now.wall.ms().saturating_sub(last)).ok());
        let left_ms = ago_ms.map_or(0, |ago_ms| EVERY_MS.saturating_sub(ago_ms));
        settings.failures = Arc::new(FailureLog::restore(kept.clone()));
        Ok(Self { settings, address, kept, due_ms: now.ms.saturating_add(left_ms), rests_until_ms: 0 })
    }

    /// A way to the server. Its connections are its own, so that none outlives a change of the pins.
    pub(crate) fn transport(&self) -> Result<HttpTransport> {
        HttpTransport::new(self.settings.clone(), self.address.clone())
    }

    /// Keeps what was refused, if that is not what is on disk.
    pub(crate) fn note(&mut self, session: &Session) -> Result<()> {
        let report = self.settings.failures.report();
        if report == self.kept {
            return Ok(());
        }
        let bytes = serde_json::to_vec(&report).expect("texts and numbers are JSON");
        session.transaction(Action::SyncAccess, Some(REFUSED_SERVERS), |transaction| -> Result<()> {
            Ok(Tables::new(transaction.connection()).set_setting(REFUSED, &bytes)?)
        })?;
        self.kept = report;
        Ok(())
    }

    /// Asks a server that was just met, if it is time to. Whether there are another certificate or other pins, on disk:
    /// then the connection is to be made anew. What the server does not answer is asked again later.
    pub(crate) fn look_after(
        &mut self,
        session: &Session,
        transport: &mut dyn Transport,
        record: &mut DeviceRecord,
        key: &Arc<PrivateKey>,
        now: Now,
    ) -> Result<bool> {
        let report = self.settings.failures.report();
        if now.ms < self.rests_until_ms || (now.ms < self.due_ms && report.is_empty()) {
            return Ok(false);
        }
        self.rests_until_ms = now.ms.saturating_add(AGAIN_MS);
        let wall_s = u64::try_from(now.wall.ms() / 1_000).unwrap_or(0);
        let wall = UnixTime::since_unix_epoch(Duration::from_secs(wall_s));
        let is_ageing = record.validity().is_none_or(|validity| validity.is_ageing(wall));
        let csr = if is_ageing { Some(Base64(CertificateRequest::create(key.as_ref())?)) } else { None };
        let request = UpkeepRequest {
            v: VERSION_MAX,
            pins: self.settings.pinning.current().number,
            csr,
            refused: report.failures.iter().map(refused).collect(),
            others: report.uncounted,
        };
        let Ok(reply) = transport.upkeep(&request) else { return Ok(false) };
        self.settings.failures.settle(&report);
        self.note(session)?;
        self.rests_until_ms = 0;
        self.due_ms = now.ms.saturating_add(EVERY_MS);
        let has_changed = self.take(record, key, reply);
        // Of other pins the server is told with the next round, so that its operator knows who has them.
        let asked_ms = if self.due_ms == 0 { 0 } else { now.wall.ms() };
        keep(session, has_changed.then_some(&*record), asked_ms)?;
        if has_changed {
            let (settings, _) = record.settings(key.clone())?;
            self.settings.device = settings.device;
        }
        Ok(has_changed)
    }

    /// Takes a newer document of pins that came another way than from the server, as by file.
    ///
    /// # Errors
    /// Those of [`keepwell_tls::Pinning::offer`].
    pub(crate) fn install(
        &mut self,
        session: &Session,
        record: &mut DeviceRecord,
        document: String,
    ) -> Result<Offer> {
        let offer = self.settings.pinning.offer(&document, self.now())?;
        if let (Offer::Installed, Some(server)) = (offer, &mut record.server) {
            server.pin_set = Some(document);
            keep(session, Some(&*record), 0)?;
            self.due_ms = 0;
        }
        Ok(offer)
    }

    /// Whether there is something new in the answer: it is to be kept before it is used.
    fn take(&mut self, record: &mut DeviceRecord, key: &Arc<PrivateKey>, reply: UpkeepReply) -> bool {
        let mut has_changed = !reply.certificates.is_empty() && record.certify(reply.certificates, key);
        // A document that is older, or that no known root has signed, changes nothing.
        if let (Some(document), Some(server)) = (reply.pins, &mut record.server)
            && self.settings.pinning.offer(&document, self.now()).is_ok_and(|offer| offer == Offer::Installed)
        {
            server.pin_set = Some(document);
            self.due_ms = 0;
            has_changed = true;
        }
        has_changed
    }

    /// By the clock that certificates and pins are judged by.
    fn now(&self) -> UnixTime {
        self.settings.clock.current_time().unwrap_or_else(UnixTime::now)
    }
}

/// Keeps when the server was asked, and what it gave, if that is new.
fn keep(session: &Session, record: Option<&DeviceRecord>, asked_ms: i64) -> Result<()> {
    let detail = if record.is_some() { RENEWED } else { ASKED };
    session.transaction(Action::SyncAccess, Some(detail), |transaction| -> Result<()> {
        let tables = Tables::new(transaction.connection());
        if let Some(record) = record {
            tables.set_setting(DEVICE, &record.write())?;
        }
        Ok(tables.set_setting(UPKEEP, &asked_ms.to_le_bytes())?)
    })
}

fn refused(failure: &Failure) -> RefusedServer {
    let why = serde_json::to_value(failure.refusal).ok();
    let at = |seconds: u64| Instant::from_ms(i64::try_from(seconds).unwrap_or(0).saturating_mul(1_000));
    RefusedServer {
        host: failure.host.clone(),
        why: why.and_then(|why| why.as_str().map(str::to_owned)).unwrap_or_default(),
        key: failure.key.map(|key| key.to_string()),
        pins: failure.pin_set,
        count: failure.count,
        first: at(failure.first_at_s),
        last: at(failure.last_at_s),
    }
}
