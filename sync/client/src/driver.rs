//! The driver: gives the engine what happens, in a transaction each, and does what it asks for.
//!
//! Invariant: an effect is followed only after the transaction that decided it is on disk.

use std::collections::VecDeque;
use std::sync::Arc;

use keepwell_engine::{Answer, Effect, Engine, Event, Now, Policy, Report, Request, Settings, Stop};
use keepwell_fhir::Instant;
use keepwell_protocol::WipeOrder;
use keepwell_protocol::limits::CHUNK_BYTES_MAX;
use keepwell_store::audit::Action;
use keepwell_store::vault::Clock;
use keepwell_store::{CHANGES_PAGE_MAX, Session};
use keepwell_tls::{Offer, PrivateKey};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::control::{Cancel, Progress};
use crate::enrolment::DeviceRecord;
use crate::error::{Error, Result};
use crate::replica::StoreReplica;
use crate::status::LeaseState;
use crate::tables::{ADOPTED, DEVICE, KEY, LEASE, LIFE, MET, Tables};
use crate::transport::Transport;
use crate::upkeep::Upkeep;
use crate::wipe;

/// What the audit trail says of a store that its lease, or its server, has locked, and of a lease that came.
const LOCKED: &str = r#"{"sync":"locked until the server is met"}"#;
const LEASED: &str = r#"{"sync":"lease"}"#;

/// The engine at work on one store.
pub(crate) struct Driver {
    session: Session,
    engine: Engine,
    clock: Arc<dyn Clock>,
    record: DeviceRecord,
    key: Arc<PrivateKey>,
    transport: Box<dyn Transport>,
    /// What the transport rests on, if it was not brought by the host.
    upkeep: Option<Upkeep>,
    policy: Policy,
    /// What the engine asks for, to be done in the next round.
    effects: VecDeque<Effect>,
    is_locked: bool,
}

impl Driver {
    /// Whether somebody waits for what it does ([`Session::set_attended`]).
    pub(crate) fn set_attended(&mut self, attended: bool) {
        self.session.set_attended(attended);
    }

    /// A driver for the device that `session`'s store is enrolled as.
    ///
    /// # Errors
    /// [`Error::NotEnrolled`], and those of the store.
    pub(crate) fn open(
        session: Session,
        clock: Arc<dyn Clock>,
        policy: Policy,
        brought: Option<Box<dyn Transport>>,
    ) -> Result<Self> {
        let (record, key) = identity(&session)?;
        let key = Arc::new(key);
        let (transport, upkeep) = match brought {
            Some(transport) => (transport, None),
            None => {
                let upkeep = Upkeep::open(&session, &record, key.clone(), now_of(clock.as_ref()))?;
                (Box::new(upkeep.transport()?) as Box<dyn Transport>, Some(upkeep))
            }
        };
        let engine = engine(&session, &record, key.clone())?;
        let mut driver = Self {
            session,
            engine,
            clock,
            record,
            key,
            transport,
            upkeep,
            policy,
            effects: VecDeque::new(),
            is_locked: false,
        };
        adopt(&driver.session)?;
        driver.handle(Event::Policy(policy))?;
        driver.notice_another_life()?;
        Ok(driver)
    }

    pub(crate) fn report(&self) -> &Report {
        self.engine.report()
    }

    pub(crate) fn transport(&mut self) -> &mut dyn Transport {
        self.transport.as_mut()
    }

    /// Milliseconds until the engine wants to come back; none: only when something happens.
    pub(crate) fn wakes_in_ms(&self) -> Option<u64> {
        self.engine.wake_at_ms().map(|at_ms| at_ms.saturating_sub(self.now().ms))
    }

    /// Gives the engine an event and goes on until there is nothing more to be done at the moment.
    ///
    /// # Errors
    /// [`Error::Cancelled`], [`Error::Wiped`], [`Error::LeaseOver`], [`Error::Stopped`], those of the store. That the
    /// server cannot be reached is none: the report says so.
    pub(crate) fn round(
        &mut self,
        first: Event,
        cancel: &Cancel,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<()> {
        let (mut stopped, mut is_met) = (None, false);
        self.handle(first)?;
        while let Some(effect) = self.effects.pop_front() {
            match effect {
                Effect::Send { ticket, request } => {
                    if cancel.is_cancelled() {
                        // What was asked for is forgotten; everything that was decided is on disk.
                        self.renew()?;
                        return Err(Error::Cancelled);
                    }
                    let payload = self.payload(&request)?;
                    let exchange = self.transport.exchange(&request, &payload, cancel);
                    let (answer, traffic) = (exchange.answer, exchange.traffic);
                    is_met |= !matches!(answer, Answer::Failed(_));
                    self.handle(Event::Answer { ticket, answer, traffic })?;
                    progress(&progress_of(self.engine.report()));
                }
                Effect::GiveUp(given_up) => self
                    .effects
                    .retain(|effect| !matches!(effect, Effect::Send { ticket, .. } if *ticket == given_up)),
                Effect::Wipe(order) => self.wipe(&order)?,
                Effect::Lock => self.is_locked = true,
                Effect::Unlock => self.is_locked = false,
                Effect::Stopped(stop) => stopped = Some(stop),
            }
        }
        if let Some(upkeep) = &mut self.upkeep {
            upkeep.note(&self.session)?;
        }
        if self.is_locked {
            // Whoever reads the trail later sees why.
            self.session.transaction(Action::SyncAccess, Some(LOCKED), |_| Ok::<_, Error>(()))?;
            self.session.store().lock()?;
            return Err(Error::LeaseOver);
        }
        match stopped {
            Some(stop) => Err(Error::Stopped(stop)),
            None if is_met => self.look_after_trust(),
            None => Ok(()),
        }
    }

    /// Renews what the connection rests on when it is time to, and tells a good server of bad ones.
    fn look_after_trust(&mut self) -> Result<()> {
        let now = self.now();
        let Some(upkeep) = &mut self.upkeep else { return Ok(()) };
        let transport = self.transport.as_mut();
        if upkeep.look_after(&self.session, transport, &mut self.record, &self.key, now)? {
            self.transport = Box::new(upkeep.transport()?);
        }
        Ok(())
    }

    /// Takes newer pins that came another way than from the server.
    pub(crate) fn install_pins(&mut self, document: String) -> Result<Offer> {
        let upkeep = self.upkeep.as_mut().ok_or(Error::NotEnrolled)?;
        let offer = upkeep.install(&self.session, &mut self.record, document)?;
        self.transport = Box::new(upkeep.transport()?);
        Ok(offer)
    }

    /// Begins anew after the engine has stopped: somebody asks for it again.
    pub(crate) fn restart(&mut self) -> Result<()> {
        if self.engine.report().stopped.as_ref().is_some_and(|stop| *stop != Stop::Corrupt) {
            self.renew()?;
        }
        Ok(())
    }

    /// Another engine in place of this one.
    fn renew(&mut self) -> Result<()> {
        self.engine = engine(&self.session, &self.record, self.key.clone())?;
        self.effects.clear();
        self.handle(Event::Policy(self.policy))
    }

    /// Takes note of an event in one transaction. A hint, for one, changes nothing, and nobody waits for the disk then.
    pub(crate) fn handle(&mut self, event: Event) -> Result<()> {
        if let Event::Policy(policy) = event {
            self.policy = policy;
        }
        let now = self.now();
        let (action, detail) = audited(&event);
        let lease = match &event {
            Event::Lease(lease) | Event::Answer { answer: Answer::Lease(lease), .. } => {
                Some(LeaseState::of(lease).to_bytes())
            }
            _ => None,
        };
        let is_met = matches!(&event, Event::Answer { answer, .. } if !matches!(answer, Answer::Failed(_)));
        let engine = &mut self.engine;
        let handled =
            self.session.transaction_if_changed(action, detail.as_deref(), |transaction| -> Result<_> {
                let mut replica = StoreReplica::new(transaction)?;
                let effects = engine.handle(event, now, &mut random, &mut replica)?;
                replica.finish()?;
                let tables = Tables::new(transaction.connection());
                if let Some(lease) = lease {
                    tables.set_setting(LEASE, &lease)?;
                }
                if is_met {
                    tables.set_setting(MET, &now.wall.ms().to_le_bytes())?;
                }
                Ok(effects)
            });
        match handled {
            Ok(effects) => self.effects.extend(effects),
            Err(error) => {
                self.engine = Engine::new(self.engine.settings().clone());
                self.effects.clear();
                return Err(error);
            }
        }
        Ok(())
    }

    /// A store that was restored or cloned takes a new incarnation, before anything is sent.
    fn notice_another_life(&mut self) -> Result<()> {
        let (life, known) = self.session.view(Action::SyncSend, None, |view| -> Result<_> {
            let known = Tables::new(view.connection()).setting(LIFE)?;
            Ok((life_of(view.life()?), known))
        })?;
        if known.as_deref() == Some(&life[..]) {
            return Ok(());
        }
        if known.is_some() {
            self.handle(Event::Restored)?;
        }
        self.session.transaction(Action::SyncSend, None, |transaction| -> Result<()> {
            Ok(Tables::new(transaction.connection()).set_setting(LIFE, &life)?)
        })
    }

    /// The bytes of a chunk.
    fn payload(&self, request: &Request) -> Result<Vec<u8>> {
        let Request::UploadChunk { blob, offset, length, .. } = request else { return Ok(Vec::new()) };
        let length = usize::try_from(*length).unwrap_or(CHUNK_BYTES_MAX).min(CHUNK_BYTES_MAX);
        self.session.view(Action::SyncSend, None, |view| {
            Ok(view.attachment_bytes(blob.sha256.as_bytes(), *offset, length)?)
        })
    }

    /// Follows a genuine order: the receipt is made while there is a key, the store goes, and then the server hears.
    fn wipe(&mut self, order: &WipeOrder) -> Result<()> {
        order.verify(&self.record.tenant, &self.record.device, &self.record.wipe_keys)?;
        let receipt = wipe::receipt(order, self.now().wall, self.key.as_ref())?;
        self.session.store().clone().erase()?;
        // There is nothing left to try it again with; the operator sees that no receipt came.
        let _ = self.transport.send_receipt(&receipt);
        Err(Error::Wiped)
    }

    fn now(&self) -> Now {
        now_of(self.clock.as_ref())
    }
}

fn now_of(clock: &dyn Clock) -> Now {
    let ms = u64::try_from(clock.monotonic().as_millis()).unwrap_or(u64::MAX);
    Now { ms, wall: Instant::from_ms(clock.wall_ms()) }
}

/// Who this device is, and its key.
pub(crate) fn identity(session: &Session) -> Result<(DeviceRecord, PrivateKey)> {
    session.view(Action::SyncSend, None, |view| -> Result<_> {
        let tables = Tables::new(view.connection());
        let record = DeviceRecord::read(&tables.setting(DEVICE)?.ok_or(Error::NotEnrolled)?)?;
        let key = Zeroizing::new(tables.setting(KEY)?.ok_or(Error::NotEnrolled)?);
        Ok((record, PrivateKey::from_pkcs8(key)?))
    })
}

fn engine(session: &Session, record: &DeviceRecord, key: Arc<PrivateKey>) -> Result<Engine> {
    let local = session.view(Action::SyncSend, None, |view| -> Result<_> {
        Ok(Tables::new(view.connection()).local_types()?)
    })?;
    let server = match record.server {
        Some(_) => Some(format!("https://{}/fhir", record.settings(key)?.1)),
        None => None,
    };
    Ok(Engine::new(Settings { local: local.into_iter().collect(), server }))
}

/// Notes what was there before the device was enrolled, some of it at a time.
pub(crate) fn adopt(session: &Session) -> Result<()> {
    loop {
        let from = session.view(Action::SyncSend, None, |view| -> Result<_> {
            let kept = Tables::new(view.connection()).setting(ADOPTED)?;
            Ok(kept.and_then(|bytes| bytes.try_into().ok()).map_or(0, i64::from_le_bytes))
        })?;
        if from == i64::MAX {
            return Ok(());
        }
        let changes = session.store().changes_after(from, CHANGES_PAGE_MAX)?;
        let next = changes.last().map_or(i64::MAX, |change| change.sequence);
        session.transaction(Action::SyncSend, None, |transaction| -> Result<()> {
            for change in &changes {
                let (kind, id) = (change.resource_type, change.id());
                let name = format!("{kind}/{id}");
                let tables = Tables::new(transaction.connection());
                if tables.is_local(kind)? || tables.entry(&name)?.is_some() {
                    continue;
                }
                let current = transaction.view().current(kind, &id)?;
                if let Some(current) = current.filter(|current| current.content.is_some()) {
                    Tables::new(transaction.connection()).note_edit(&name, current.sequence, None)?;
                }
            }
            Ok(Tables::new(transaction.connection()).set_setting(ADOPTED, &next.to_le_bytes())?)
        })?;
    }
}

pub(crate) fn life_of((store, epoch): ([u8; 16], u64)) -> Vec<u8> {
    [&store[..], &epoch.to_le_bytes()].concat()
}

/// 64 random bits.
pub(crate) fn random() -> u64 {
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).expect("the operating system gives random bytes");
    u64::from_le_bytes(bytes)
}

pub(crate) fn progress_of(report: &Report) -> Progress {
    Progress {
        rows: report.rows,
        applied: report.applied,
        requests: report.requests,
        sent_bytes: report.sent_bytes,
        received_bytes: report.received_bytes,
    }
}

/// What the audit trail says of an event.
fn audited(event: &Event) -> (Action, Option<String>) {
    match event {
        Event::Answer { answer: Answer::Pull { items, .. }, .. } => {
            (Action::SyncReceive, Some(format!("{{\"rows\":{}}}", items.len())))
        }
        Event::Lease(_) | Event::Answer { answer: Answer::Lease(_), .. } => {
            (Action::SyncAccess, Some(LEASED.to_owned()))
        }
        Event::Answer { .. } => (Action::SyncReceive, None),
        _ => (Action::SyncSend, None),
    }
}
