//! The driver of sync with a plain server: gives the engine what happens, in a transaction each, and asks for it.
//!
//! Invariant: a request is sent only after the transaction that decided it is on disk.

use std::sync::Arc;
use std::time::Duration;

use keepwell_engine::{Now, Report};
use keepwell_fhir::Instant;
use keepwell_plain::{Answer, Ask, Engine, Event, Settings};
use keepwell_store::Session;
use keepwell_store::audit::Action;
use keepwell_store::vault::Clock;

use super::http::FhirHttp;
use super::record::FhirServer;
use super::tokens::Tokens;
use crate::background::Watched;
use crate::control::{Cancel, Progress};
use crate::driver::{adopt, progress_of, random};
use crate::error::{Error, Result};
use crate::replica::StoreReplica;
use crate::signal::{EDITED, ONLINE, POLICY, SYNC};
use crate::tables::{FHIR, MET, Tables};

/// How long the server is left alone in the background, if nothing is saved: 15 minutes.
const BACKGROUND_WAIT: Duration = Duration::from_secs(15 * 60);

/// The engine at work on one store.
pub(super) struct FhirDriver {
    session: Session,
    engine: Engine,
    clock: Arc<dyn Clock>,
    http: FhirHttp,
    /// What the engine asks for, to be asked in the next round.
    ask: Option<Ask>,
}

impl FhirDriver {
    /// Whether somebody waits for what it does ([`Session::set_attended`]).
    pub(super) fn set_attended(&mut self, attended: bool) {
        self.session.set_attended(attended);
    }

    /// A driver for the server that `session`'s store syncs with.
    ///
    /// # Errors
    /// [`Error::NotEnrolled`], and those of the store.
    pub(super) fn open(session: Session, clock: Arc<dyn Clock>, tokens: Tokens) -> Result<Self> {
        let (server, local) = session.view(Action::SyncSend, None, |view| -> Result<_> {
            let tables = Tables::new(view.connection());
            let record = tables.setting(FHIR)?.ok_or(Error::NotEnrolled)?;
            Ok((FhirServer::read(&record)?, tables.local_types()?))
        })?;
        let settings = Settings {
            writes: server.writes,
            local: local.into_iter().collect(),
            ..Settings::new(server.base(), server.searches.clone())
        };
        let http = FhirHttp::new(&server, tokens)?;
        adopt(&session)?;
        Ok(Self { session, engine: Engine::new(settings), clock, http, ask: None })
    }

    pub(super) fn report(&self) -> &Report {
        self.engine.report()
    }

    /// Gives the engine an event and goes on until there is nothing more to be done at the moment.
    ///
    /// # Errors
    /// [`Error::Cancelled`], those of the store. That the server cannot be reached is none: the report says so.
    pub(super) fn round(
        &mut self,
        first: Event,
        cancel: &Cancel,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<()> {
        self.handle(first)?;
        while let Some(Ask { ticket, request }) = self.ask.take() {
            let (answer, traffic) = self.http.exchange(&request, cancel);
            self.handle(Event::Answer { ticket, answer, traffic })?;
            progress(&progress_of(self.engine.report()));
            if cancel.is_cancelled() {
                // What was asked for is forgotten; everything that was decided is on disk.
                self.engine = Engine::new(self.engine.settings().clone());
                self.ask = None;
                return Err(Error::Cancelled);
            }
        }
        Ok(())
    }

    /// Syncs until it is told to stop: when something is saved, when somebody asks, when the engine wants to come back.
    ///
    /// # Errors
    /// As [`Self::round`].
    pub(super) fn follow(&mut self, watched: &Watched) -> Result<()> {
        let mut wanted = SYNC;
        loop {
            let raised = wanted | watched.signal.take();
            // The signal may be that of a thread before this one, which was stopped while it waited for an answer.
            if watched.cancel.is_cancelled() {
                return Ok(());
            }
            let policy = watched.policy();
            let mut timeout = None;
            if policy.is_paused {
                wanted = raised & !POLICY;
            } else {
                wanted = 0;
                let event = match raised {
                    raised if raised & (SYNC | ONLINE) != 0 => Event::SyncNow,
                    raised if raised & EDITED != 0 => Event::Edited,
                    _ => Event::Tick,
                };
                let done = self.round(event, &watched.cancel, &mut |_| ());
                watched.tell(self.report(), self.engine.stopped_at());
                done?;
                timeout = self.wakes_in();
                if policy.is_background {
                    timeout = timeout.map(|timeout| timeout.max(BACKGROUND_WAIT));
                }
            }
            self.http.wait(timeout, &watched.signal);
        }
    }

    /// When the engine wants to come back by itself.
    fn wakes_in(&self) -> Option<Duration> {
        let now_ms = self.now().ms;
        self.engine.wake_at_ms().map(|at_ms| Duration::from_millis(at_ms.saturating_sub(now_ms)))
    }

    /// Takes note of an event in one transaction.
    fn handle(&mut self, event: Event) -> Result<()> {
        let now = self.now();
        let is_answer = matches!(event, Event::Answer { .. });
        let is_met = matches!(event, Event::Answer { answer: Answer::Reply(_), .. });
        let action = if is_answer { Action::SyncReceive } else { Action::SyncSend };
        let engine = &mut self.engine;
        let handled = self.session.transaction(action, None, |transaction| -> Result<_> {
            let mut replica = StoreReplica::new(transaction)?;
            let ask = engine.handle(event, now, &mut random, &mut replica)?;
            replica.finish()?;
            if is_met {
                Tables::new(transaction.connection()).set_setting(MET, &now.wall.ms().to_le_bytes())?;
            }
            Ok(ask)
        });
        match handled {
            Ok(ask) => self.ask = ask,
            Err(error) => {
                self.engine = Engine::new(self.engine.settings().clone());
                return Err(error);
            }
        }
        Ok(())
    }

    fn now(&self) -> Now {
        let ms = u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX);
        Now { ms, wall: Instant::from_ms(self.clock.wall_ms()) }
    }
}
