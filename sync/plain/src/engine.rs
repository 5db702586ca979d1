//! The state machine of a device that syncs with a plain server.

use std::collections::{BTreeMap, BTreeSet};

use keepwell_engine::{Now, Pause, Report};
use keepwell_fhir::{ResourceType, Walker};
use keepwell_merge::Merger;
use keepwell_protocol::{Body, ResourceKey};

use crate::error::Problem;
use crate::exchange::{Answer, Ask, Event, Reply, Ticket};
use crate::replica::Replica;
use crate::search::Search;
use crate::state::State;
use crate::turn::Turn;

/// A request without an answer for so long is given up, in milliseconds.
const WATCHDOG_MS: u64 = 90_000;

/// The code of a request that was given up: that of the driver's own limit of time.
const TIMEOUT: u16 = 482;

/// So many answers in a row that the server fails, and it is left alone for a while.
const FAILURES_MAX: u32 = 3;

/// What is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Writes {
    /// Nothing: the device reads.
    Never,
    /// Edits, if the server was seen to refuse writes on old versions.
    #[default]
    Guarded,
    /// Edits, whatever the server does: it was said that between a look and a write another one's write may be
    /// overwritten.
    Consented,
}

/// What does not change while an engine lives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The address of the server without the slash at its end: `https://host/fhir`.
    pub address: String,
    /// What is held of it.
    pub searches: Vec<Search>,
    /// What is written to it.
    pub writes: Writes,
    /// Types that never leave the device.
    pub local: BTreeSet<ResourceType>,
    /// How far back each look goes behind the newest time that was seen, in milliseconds: 10 minutes. It must exceed
    /// the longest transaction of the server and the difference of the clocks of its nodes.
    pub overlap_ms: i64,
    /// How often all ids are compared, in milliseconds: daily.
    pub reconcile_ms: i64,
    /// How often the server is asked for news by itself, in milliseconds: 30 seconds.
    pub poll_ms: u64,
    /// Resources of a page: 200.
    pub page: u32,
}

impl Settings {
    /// The usual settings.
    #[must_use]
    pub fn new(address: impl Into<String>, searches: Vec<Search>) -> Self {
        Self {
            address: address.into(),
            searches,
            writes: Writes::default(),
            local: BTreeSet::new(),
            overlap_ms: 10 * 60 * 1_000,
            reconcile_ms: 24 * 60 * 60 * 1_000,
            poll_ms: 30_000,
            page: 200,
        }
    }
}

/// What was asked.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Asked {
    Statement,
    Probe,
    Read(ResourceKey),
    Find(ResourceKey),
    Write(ResourceKey),
    Page,
}

struct Flying {
    ticket: Ticket,
    deadline_ms: u64,
    asked: Asked,
}

/// A write that the server refused.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    /// What had been applied then: if others are since, what it needs may be there.
    pub(crate) applied: u64,
    pub(crate) times: u32,
}

/// What may be forgotten.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) merger: Merger,
    pub(crate) walker: Walker,
    pub(crate) report: Report,
    pub(crate) pause: Pause,
    /// Searches that are to be read.
    pub(crate) due: BTreeSet<u32>,
    /// Resources that are left alone until the next round, and the code of what is the matter with each.
    pub(crate) passed: BTreeMap<ResourceKey, u16>,
    pub(crate) refused: BTreeMap<ResourceKey, Refused>,
    /// Writes that met another version, as the server says; what it said.
    pub(crate) disputed: BTreeMap<ResourceKey, Option<Body>>,
    /// It was read last, and is as known: now it may be written without a guard.
    pub(crate) fresh: Option<ResourceKey>,
    /// It was looked for, and is not there: it may be sent again.
    pub(crate) absent: Option<ResourceKey>,
    /// Failures of the page that is being asked for.
    pub(crate) page_failures: u32,
    failures: u32,
    is_stopped: bool,
    is_begun: bool,
    poll_at_ms: Option<u64>,
}

/// Decides what is asked next and what an answer changes. One request is under way at a time.
pub struct Engine {
    settings: Settings,
    memory: Memory,
    flying: Option<Flying>,
    tickets: u64,
    wake_at_ms: Option<u64>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("report", &self.memory.report).finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine that has just begun.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let merger = Merger::new().with_server(settings.address.clone());
        let memory = Memory { merger, ..Memory::default() };
        Self { settings, memory, flying: None, tickets: 0, wake_at_ms: None }
    }

    /// Takes note of an event, in the caller's transaction, and says what to ask after its commit.
    ///
    /// # Errors
    /// Those of the replica: roll back, and go on with a new engine.
    pub fn handle<R: Replica>(
        &mut self,
        event: Event,
        now: Now,
        random: &mut dyn FnMut() -> u64,
        replica: &mut R,
    ) -> Result<Option<Ask>, R::Error> {
        // What was just read may be written now, and not later.
        (self.memory.fresh, self.memory.absent) = (None, None);
        let stored = replica.state()?;
        let state = State::read(stored.as_deref(), &self.settings.searches);
        let mut turn =
            Turn { replica, state, settings: &self.settings, memory: &mut self.memory, random, now };
        run(event, &mut self.flying, &mut turn)?;
        let mut ask = None;
        if self.flying.is_none() && turn.is_awake() {
            if let Some((asked, request)) = turn.plan()? {
                self.tickets += 1;
                let ticket = Ticket(self.tickets);
                turn.memory.report.requests += 1;
                self.flying = Some(Flying { ticket, deadline_ms: now.ms + WATCHDOG_MS, asked });
                ask = Some(Ask { ticket, request });
            } else if turn.memory.report.last_problem.is_none() {
                // Others went on; what was left alone is still to be done.
                turn.memory.report.last_problem = turn.memory.passed.values().next().copied();
            }
        }
        let written = turn.state.write();
        if stored.as_deref() != Some(&written[..]) {
            turn.replica.set_state(&written)?;
        }
        self.wake_at_ms = match &self.flying {
            Some(flying) => Some(flying.deadline_ms),
            None => self.memory.wakes_at_ms(now.ms + self.settings.poll_ms),
        };
        Ok(ask)
    }

    /// When to come back with a tick at the latest, by the clock that only runs forward.
    #[must_use]
    pub fn wake_at_ms(&self) -> Option<u64> {
        self.wake_at_ms
    }

    /// What was done.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.memory.report
    }

    /// The code of what it stands still at until somebody asks for a round, if it does.
    #[must_use]
    pub fn stopped_at(&self) -> Option<u16> {
        self.memory.report.last_problem.filter(|_| self.memory.is_stopped)
    }

    /// What it was made with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl Memory {
    /// Everything that is held is to be read, and what was passed over is tried again.
    fn begin_round(&mut self, searches: impl Iterator<Item = u32>) {
        self.due.extend(searches);
        self.passed.clear();
        self.poll_at_ms = None;
        self.is_begun = true;
    }

    fn wakes_at_ms(&mut self, poll_at_ms: u64) -> Option<u64> {
        if self.is_stopped {
            return None;
        }
        let poll_at_ms = *self.poll_at_ms.get_or_insert(poll_at_ms);
        let pause = self.pause.until_ms().filter(|until_ms| *until_ms < poll_at_ms);
        Some(pause.unwrap_or(poll_at_ms))
    }
}

fn run<R: Replica>(
    event: Event,
    flying: &mut Option<Flying>,
    turn: &mut Turn<'_, R>,
) -> Result<(), R::Error> {
    let is_due = turn.memory.poll_at_ms.is_some_and(|at_ms| at_ms <= turn.now.ms);
    if !turn.memory.is_begun || is_due || event == Event::SyncNow {
        let wanted = turn.wanted_searches();
        turn.memory.begin_round(wanted.into_iter());
    }
    match event {
        Event::Tick | Event::Edited => {}
        Event::SyncNow => {
            turn.memory.pause.end();
            turn.memory.is_stopped = false;
        }
        Event::Answer { ticket, answer, traffic } => {
            turn.memory.report.sent_bytes += traffic.sent;
            turn.memory.report.received_bytes += traffic.received;
            // A write may have been carried out whose answer comes too late: it is read back.
            let Some(flight) = flying.take_if(|flying| flying.ticket == ticket) else {
                turn.memory.report.discarded += 1;
                return Ok(());
            };
            return turn.answered(flight.asked, answer);
        }
    }
    if let Some(late) = flying.take_if(|flying| flying.deadline_ms <= turn.now.ms) {
        turn.failed(&late.asked, TIMEOUT, None);
        turn.rest(None);
    }
    Ok(())
}

impl<R: Replica> Turn<'_, R> {
    fn is_awake(&self) -> bool {
        !self.memory.is_stopped && self.memory.pause.is_over(self.now.ms)
    }

    fn answered(&mut self, asked: Asked, answer: Answer) -> Result<(), R::Error> {
        let reply = match answer {
            Answer::Reply(reply) => reply,
            Answer::Failed { code } => {
                self.failed(&asked, code, None);
                self.rest(None);
                return Ok(());
            }
        };
        match reply.status {
            401 => {
                self.problem(Problem::Token);
                self.memory.is_stopped = true;
                Ok(())
            }
            408 | 425 | 429 | 500..=599 => {
                self.failed(&asked, Problem::Server.code(), reply.retry_after_s);
                Ok(())
            }
            _ => {
                self.memory.failures = 0;
                self.memory.pause.end();
                self.memory.report.last_problem = None;
                self.dispatch(asked, reply)
            }
        }
    }

    fn dispatch(&mut self, asked: Asked, reply: Reply) -> Result<(), R::Error> {
        match asked {
            Asked::Statement => {
                self.on_statement(&reply);
                Ok(())
            }
            Asked::Probe => {
                self.on_probe(&reply);
                Ok(())
            }
            Asked::Read(key) => self.on_read(&key, &reply),
            Asked::Find(key) => self.on_found(key, &reply),
            Asked::Write(key) => self.on_written(&key, &reply),
            Asked::Page => self.on_page(&reply),
        }
    }

    /// No answer, or one that the server failed. What failed is left alone in this round, and all of it if that goes on.
    fn failed(&mut self, asked: &Asked, code: u16, retry_after_s: Option<u32>) {
        self.memory.report.failures += 1;
        self.memory.report.last_problem = Some(code);
        self.memory.failures += 1;
        match asked {
            Asked::Read(key) | Asked::Find(key) | Asked::Write(key) => {
                self.memory.passed.insert(key.clone(), code);
            }
            Asked::Page => self.page_failed(),
            Asked::Statement | Asked::Probe => self.rest(retry_after_s),
        }
        if self.memory.failures >= FAILURES_MAX || retry_after_s.is_some() {
            self.rest(retry_after_s);
        }
    }

    /// Leaves the server alone for a while.
    fn rest(&mut self, retry_after_s: Option<u32>) {
        self.memory.pause.lengthen(self.now.ms, retry_after_s, false, self.random);
    }

    /// What stands in the way, until an answer says otherwise.
    pub(crate) fn problem(&mut self, problem: Problem) {
        self.memory.report.last_problem = Some(problem.code());
    }

    /// Leaves a resource alone until the next round: others must not stand still for it.
    pub(crate) fn pass(&mut self, key: &ResourceKey, problem: Problem) {
        self.problem(problem);
        self.memory.passed.insert(key.clone(), problem.code());
    }

    /// Stops until somebody asks for a round.
    pub(crate) fn stop(&mut self, problem: Problem) {
        self.problem(problem);
        self.memory.is_stopped = true;
    }
}
