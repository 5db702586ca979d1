//! The state machine of a device.

use std::collections::BTreeSet;

use keepwell_fhir::ResourceType;
use keepwell_merge::Merger;
use keepwell_protocol::{
    Epoch, Error, Id, Incarnation, LeaseRequest, Outcome, ParkHead, ParkRecord, Position, PullRequest,
    Refusal, RequestId, ResyncReason, Sequence, Settlement, VERSION_MAX, limits, negotiate,
};

use crate::blobs::Blobs;
use crate::defect::Defect;
use crate::effect::{Effect, Request, Ticket};
use crate::error::Stop;
use crate::event::{Answer, Event, Failure, Now};
use crate::pause::Pause;
use crate::policy::Policy;
use crate::pull::Page;
use crate::replica::Replica;
use crate::report::{Progress, Report};
use crate::scopes::Scopes;
use crate::state::{HeldLease, State};
use crate::turn::Turn;

/// A request without an answer for so long is given up, beyond what the server was allowed to wait, in milliseconds.
const WATCHDOG_MS: u64 = 60_000;

/// Hints reach all devices of a scope at once: where these may be many, each waits a little, at random, in milliseconds.
const HINT_MS_MAX: u64 = 250;

/// A hint that tells of nothing but this device's own writes can wait: nobody waits for where they were placed, and
/// those of a while are read together. In milliseconds.
const OWN_MS: u64 = 1_000;

/// Rows of a page on a network that costs money: less is lost when it is cut off.
const METERED_ROWS: u32 = 500;

/// When to ask again if the server does not say, in milliseconds.
const NEXT_MS: u32 = 30_000;

/// What does not change while an engine lives.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settings {
    /// Types that never leave the device.
    pub local: BTreeSet<ResourceType>,
    /// The address of the server, without the slash at its end: absolute references to it are the same as relative ones.
    pub server: Option<String>,
}

/// A request under way.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Flight<T> {
    pub(crate) ticket: Ticket,
    deadline_ms: u64,
    pub(crate) asked: T,
}

/// The requests under way, at most one of a kind.
#[derive(Debug, Default)]
struct Flights {
    hello: Option<Flight<()>>,
    push: Option<Flight<(Incarnation, usize)>>,
    pull: Option<Flight<PullRequest>>,
    /// With the records whose decision it tells.
    park: Option<Flight<BTreeSet<Id>>>,
    lease: Option<Flight<()>>,
}

/// Decides what is sent next and what an answer changes.
///
/// It holds what may be forgotten: which requests are under way, and until when it pauses.
pub struct Engine {
    settings: Settings,
    policy: Policy,
    report: Report,
    merger: Merger,
    /// The scopes as the last turn left them.
    scopes: Option<Scopes>,
    flights: Flights,
    pub(crate) blobs: Blobs,
    pause: Pause,
    tickets: u64,
    /// When to pull at the latest, by the clock that only runs forward.
    pull_at_ms: Option<u64>,
    /// Up to here is nothing that this device has not read or written itself.
    own: Option<(Epoch, Position)>,
    /// Bodies are asked for whole until the next checkpoint: a delta could not be read.
    wants_whole: bool,
    /// Mutations of a push, after the server found one too large.
    push_max: usize,
    last_ms: Option<u64>,
    is_locked: bool,
    wake_at_ms: Option<u64>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("flights", &self.flights)
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine that has just begun.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let merger =
            settings.server.clone().map_or_else(Merger::new, |server| Merger::new().with_server(server));
        Self {
            settings,
            policy: Policy::default(),
            report: Report::default(),
            merger,
            scopes: None,
            flights: Flights::default(),
            blobs: Blobs::default(),
            pause: Pause::default(),
            tickets: 0,
            pull_at_ms: Some(0),
            own: None,
            wants_whole: false,
            push_max: limits::MUTATIONS_MAX,
            last_ms: None,
            is_locked: false,
            wake_at_ms: None,
        }
    }

    /// Takes note of an event, in the caller's transaction, and says what to do after its commit.
    ///
    /// # Errors
    /// Those of the replica: roll back, and go on with a new engine.
    pub fn handle<R: Replica>(
        &mut self,
        event: Event,
        now: Now,
        random: &mut dyn FnMut() -> u64,
        replica: &mut R,
    ) -> Result<Vec<Effect>, R::Error> {
        let mut effects = Vec::new();
        let stored = replica.state()?;
        let state = match stored.as_deref().map(State::read) {
            None => State::new(Incarnation::new(random())),
            Some(Some(state)) => state,
            Some(None) => {
                self.stop(Stop::Corrupt, &mut effects);
                return Ok(effects);
            }
        };
        let scopes = match self.scopes.take() {
            Some(scopes) => scopes,
            None => Scopes::load(replica)?,
        };
        let mut turn = Turn {
            replica,
            state,
            scopes,
            merger: &mut std::mem::take(&mut self.merger),
            report: &mut std::mem::take(&mut self.report),
            random,
            now,
            wants_pull: false,
        };
        let result = self.run(event, &mut turn, &mut effects);
        if turn.wants_pull {
            self.pull_at_ms = Some(0);
        }
        let result = result.and_then(|()| self.plan(&mut turn, &mut effects));
        let (merger, report) = (std::mem::take(turn.merger), std::mem::take(turn.report));
        let state = turn.state.write();
        let written =
            if stored.as_deref() == Some(&state[..]) { Ok(()) } else { turn.replica.set_state(&state) };
        let scopes = turn.scopes;
        (self.merger, self.report) = (merger, report);
        result.and(written)?;
        self.scopes = Some(scopes);
        Ok(effects)
    }

    fn run<R: Replica>(
        &mut self,
        event: Event,
        turn: &mut Turn<'_, R>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), R::Error> {
        self.pass_time(turn, effects);
        match event {
            Event::Tick | Event::Edited => {}
            Event::Fetch(wanted) => self.blobs.want(wanted, turn)?,
            Event::Hint(hint) => {
                let is_behind =
                    turn.state.position < Some(hint.clock) || turn.state.epoch != Some(hint.epoch);
                if is_behind || hint.grants {
                    // Few hold a patient or a user, and they wait for it.
                    let is_for_few = !hint.scopes.is_empty()
                        && hint.scopes.iter().all(|scope| matches!(scope.kind(), "Patient" | "user"));
                    let is_own = self.own.is_some_and(|(of, upto)| of == hint.epoch && upto >= hint.clock);
                    let pause_ms = match (is_own, is_for_few) {
                        _ if hint.grants => 0,
                        (true, _) => OWN_MS,
                        (false, true) => 0,
                        (false, false) => (turn.random)() % HINT_MS_MAX,
                    };
                    let soon = turn.now.ms + pause_ms;
                    self.pull_at_ms = Some(self.pull_at_ms.map_or(soon, |at_ms| at_ms.min(soon)));
                }
            }
            Event::Online => self.pause.shorten(turn.now.ms, turn.random),
            Event::SyncNow => {
                self.pause.end();
                self.blobs.retry();
                self.pull_at_ms = Some(0);
            }
            Event::Policy(policy) => self.policy = policy,
            Event::Lease(lease) => {
                turn.state.lease = Some(HeldLease::new(&lease, turn.now.wall));
                self.pass_time(turn, effects);
            }
            Event::Restored => {
                if !Defect::KeepsIncarnation.is_on() {
                    turn.begin_incarnation()?;
                }
                self.give_up_all(effects);
                self.pull_at_ms = Some(0);
            }
            Event::Answer { ticket, answer, traffic } => {
                turn.report.sent_bytes += traffic.sent;
                turn.report.received_bytes += traffic.received;
                turn.report.head_bytes += traffic.heads;
                if matches!(answer, Answer::Push { .. }) {
                    turn.report.push_bytes += traffic.sent + traffic.received - traffic.heads;
                }
                self.answer(ticket, answer, turn, effects)?;
            }
        }
        Ok(())
    }

    fn answer<R: Replica>(
        &mut self,
        ticket: Ticket,
        answer: Answer,
        turn: &mut Turn<'_, R>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), R::Error> {
        let refusal = match answer {
            Answer::Refused(refusal) => refusal,
            Answer::Failed(failure) => {
                self.failed(ticket, &failure, turn, effects);
                return Ok(());
            }
            answer => {
                turn.report.last_problem = None;
                self.pause.end();
                return self.answered(ticket, answer, turn, effects);
            }
        };
        turn.report.last_problem = Some(refusal.code());
        self.refused(ticket, refusal, turn, effects)
    }

    /// An answer to what was asked.
    fn answered<R: Replica>(
        &mut self,
        ticket: Ticket,
        answer: Answer,
        turn: &mut Turn<'_, R>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), R::Error> {
        match answer {
            Answer::Hello(hello) => {
                self.flights.hello = None;
                turn.state.limits = hello.limits;
                if negotiate(hello.min, hello.max).is_err() {
                    self.stop_in(turn, Stop::Upgrade, effects);
                }
            }
            Answer::Push { head, settlements, fault } => {
                // An outcome is decided once, so one that comes late is as good, if the numbers are still the same.
                let asked = self.flights.push.as_ref().filter(|flight| flight.ticket == ticket);
                let Some(&Flight { asked: (incarnation, _), .. }) = asked else {
                    turn.report.discarded += 1;
                    return Ok(());
                };
                self.flights.push = None;
                let is_own = incarnation == turn.state.incarnation || Defect::KeepsIncarnation.is_on();
                if is_own && turn.hears_of(head.epoch) {
                    if turn.is_overtaken(head.last_seq) {
                        return turn.begin_incarnation();
                    }
                    let is_forgotten = fault.is_none() && turn.is_forgotten(head.last_seq, &settlements)?;
                    self.note_own(head.epoch, turn.state.position, &settlements);
                    settlements.into_iter().try_for_each(|settlement| turn.settle(settlement))?;
                    if is_forgotten {
                        turn.begin_incarnation()?;
                    }
                    self.push_max = (self.push_max * 2).min(limits::MUTATIONS_MAX);
                }
                match fault {
                    Some(Error::UnknownOutcome | Error::UnknownRowState) => {
                        self.stop_in(turn, Stop::Upgrade, effects);
                    }
                    Some(error) => self.failed_with(error.code(), None, turn),
                    None => {}
                }
            }
            Answer::Pull { head, items, end } => {
                let Some(flight) = self.flights.pull.take_if(|flight| flight.ticket == ticket) else {
                    turn.report.discarded += 1;
                    return Ok(());
                };
                let problem = end.as_ref().err().map(Error::code);
                match turn.page(&flight.asked, head, items, end)? {
                    Page::Discarded => {
                        turn.report.discarded += 1;
                        self.pull_at_ms = Some(0);
                    }
                    Page::More => self.pull_at_ms = Some(0),
                    Page::Unreadable if flight.asked.whole => {
                        self.failed_with(Error::Contradiction.code(), None, turn);
                    }
                    Page::Unreadable => {
                        turn.report.discarded += 1;
                        self.wants_whole = true;
                        self.pull_at_ms = Some(0);
                    }
                    Page::Checkpoint(next_ms) => {
                        self.wants_whole = false;
                        let waits = self.policy.wait_ms > 0 && !self.policy.is_background;
                        let next_ms = if waits { 0 } else { u64::from(next_ms.max(1)) };
                        self.pull_at_ms = Some(turn.now.ms + next_ms);
                    }
                    Page::Unknown => self.stop_in(turn, Stop::Upgrade, effects),
                }
                if let Some(code) = problem {
                    self.failed_with(code, None, turn);
                }
            }
            Answer::Park(reply) => {
                let flight = self.flights.park.take_if(|flight| flight.ticket == ticket);
                let told = flight.map(|flight| flight.asked).unwrap_or_default();
                for cid in reply.stored {
                    self.archived(&cid, &told, turn)?;
                }
            }
            Answer::Lease(lease) => {
                self.flights.lease.take_if(|flight| flight.ticket == ticket);
                turn.state.lease = Some(HeldLease::new(&lease, turn.now.wall));
                self.pass_time(turn, effects);
            }
            Answer::Upload(upload) => self.blobs.uploaded(ticket, &upload, turn)?,
            Answer::Chunk(bytes) => self.blobs.downloaded(ticket, &bytes, turn)?,
            Answer::Refused(_) | Answer::Failed(_) => {}
        }
        Ok(())
    }

    /// Takes note of own writes that follow directly on what was read, or on others like them.
    fn note_own(&mut self, epoch: Epoch, read: Option<Position>, settlements: &[Settlement]) {
        let before = self.own.filter(|(of, _)| *of == epoch).map(|(_, upto)| upto);
        let Some(mut upto) = before.max(read) else { return };
        for settlement in settlements {
            if let Outcome::Applied { position, .. } = settlement.outcome
                && upto.next() == Some(position)
            {
                upto = position;
            }
        }
        self.own = Some((epoch, upto));
    }

    /// The server holds a losing edit: the device need not. It was told of the decisions on these.
    fn archived<R: Replica>(
        &mut self,
        cid: &Id,
        told: &BTreeSet<Id>,
        turn: &mut Turn<'_, R>,
    ) -> Result<(), R::Error> {
        let Some(mut record) = turn.replica.conflict(cid)? else { return Ok(()) };
        // It may have been decided while it was on its way.
        if record.decision.is_some() && !told.contains(cid) {
            return Ok(());
        }
        record.is_archived = true;
        turn.replica.set_conflict(&record)?;
        let is_here = turn.replica.known(&record.key)?.is_some() || turn.replica.base(&record.key)?.is_some();
        if is_here { Ok(()) } else { turn.blank(&record.key) }
    }

    /// The server does not do what was asked.
    fn refused<R: Replica>(
        &mut self,
        ticket: Ticket,
        refusal: Refusal,
        turn: &mut Turn<'_, R>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), R::Error> {
        let push = self.flights.push.take_if(|flight| flight.ticket == ticket);
        let pull = self.flights.pull.take_if(|flight| flight.ticket == ticket);
        self.flights.hello.take_if(|flight| flight.ticket == ticket);
        let lease = self.flights.lease.take_if(|flight| flight.ticket == ticket);
        let park = self.flights.park.take_if(|flight| flight.ticket == ticket);
        let is_blob = self.blobs.refused(ticket, &refusal, turn)?;
        let asks = push.is_some() || pull.is_some() || lease.is_some() || park.is_some();
        match refusal {
            Refusal::Wipe(order) => {
                effects.push(Effect::Wipe(order));
                self.stop_in(turn, Stop::Wipe, effects);
            }
            Refusal::Revoked => {
                effects.push(Effect::Lock);
                self.is_locked = true;
                self.stop_in(turn, Stop::Revoked, effects);
            }
            Refusal::UnknownDevice => self.stop_in(turn, Stop::UnknownDevice, effects),
            Refusal::Upgrade { .. } => self.stop_in(turn, Stop::Upgrade, effects),
            _ if is_blob => {}
            Refusal::BadRequest if asks => self.stop_in(turn, Stop::Refused(Refusal::BadRequest), effects),
            Refusal::Resync(reason) if asks => {
                // A late refusal of an old question must not begin everything anew once more.
                let stands = match &pull {
                    Some(flight) => {
                        let now =
                            turn.next_pull(flight.asked.req, flight.asked.rows, flight.asked.wait_ms)?;
                        flight.asked.stands(&now)
                    }
                    None => push.is_some_and(|flight| flight.asked.0 == turn.state.incarnation),
                };
                if stands {
                    turn.resync(reason != ResyncReason::Floor)?;
                }
            }
            Refusal::SequenceGap { expected } if push.is_some() => {
                let mutations = turn.replica.mutations(Sequence::ZERO, 1)?;
                let lowest = mutations.first().map(|frozen| frozen.mutation().sequence);
                // What the server misses was settled long ago: it lost it. The numbers begin anew.
                if lowest.is_none_or(|lowest| lowest > expected) && !Defect::KeepsIncarnation.is_on() {
                    turn.begin_incarnation()?;
                }
            }
            Refusal::SequenceReused if push.is_some() && !Defect::KeepsIncarnation.is_on() => {
                turn.begin_incarnation()?;
            }
            Refusal::TooLarge => self.too_large(push.map(|flight| flight.asked.1), turn)?,
            Refusal::Busy { retry_after_s } => self.failed_with(445, retry_after_s, turn),
            Refusal::Forbidden => {
                self.pull_at_ms = Some(0);
                self.failed_with(435, None, turn);
            }
            other => self.failed_with(other.code(), None, turn),
        }
        Ok(())
    }

    /// Sends less; and what cannot be sent even alone is taken out of the way.
    fn too_large<R: Replica>(
        &mut self,
        pushed: Option<usize>,
        turn: &mut Turn<'_, R>,
    ) -> Result<(), R::Error> {
        match pushed {
            Some(mutations) if mutations > 1 && self.push_max > 1 => self.push_max = (mutations / 2).max(1),
            Some(_) => {
                // Its number is spent, and the server waits for it: the numbers begin anew.
                let unit = turn.first_unit()?;
                if !unit.is_empty() {
                    turn.begin_incarnation()?;
                }
                match &unit[..] {
                    [key] => turn.quarantine_waiting(key)?,
                    _ if Defect::RepeatsTooLarge.is_on() => {}
                    keys => keys.iter().try_for_each(|key| turn.part(key))?,
                }
            }
            None => self.failed_with(441, None, turn),
        }
        Ok(())
    }

    fn failed<R: Replica>(
        &mut self,
        ticket: Ticket,
        failure: &Failure,
        turn: &mut Turn<'_, R>,
        effects: &mut Vec<Effect>,
    ) {
        self.forget_flight(ticket);
        turn.report.failures += 1;
        match failure {
            Failure::Connection { code } => self.failed_with(*code, None, turn),
            Failure::Message(
                Error::UnknownOutcome | Error::UnknownRowState | Error::NoCommonVersion { .. },
            ) => {
                self.stop_in(turn, Stop::Upgrade, effects);
            }
            Failure::Message(error) => self.failed_with(error.code(), None, turn),
        }
    }

    fn failed_with<R: Replica>(&mut self, code: u16, asked_s: Option<u32>, turn: &mut Turn<'_, R>) {
        turn.report.last_problem = Some(code);
        self.pause.lengthen(turn.now.ms, asked_s, self.policy.is_background, turn.random);
    }

    fn forget_flight(&mut self, ticket: Ticket) {
        self.flights.hello.take_if(|flight| flight.ticket == ticket);
        self.flights.push.take_if(|flight| flight.ticket == ticket);
        if self.flights.pull.take_if(|flight| flight.ticket == ticket).is_some() {
            self.pull_at_ms = Some(0);
        }
        self.flights.park.take_if(|flight| flight.ticket == ticket);
        self.flights.lease.take_if(|flight| flight.ticket == ticket);
        self.blobs.forget(ticket);
    }

    fn stop(&mut self, stop: Stop, effects: &mut Vec<Effect>) {
        self.report.stopped = Some(stop.clone());
        effects.push(Effect::Stopped(stop));
        self.wake_at_ms = None;
    }

    fn stop_in<R: Replica>(&mut self, turn: &mut Turn<'_, R>, stop: Stop, effects: &mut Vec<Effect>) {
        self.give_up_all(effects);
        turn.report.stopped = Some(stop.clone());
        effects.push(Effect::Stopped(stop));
    }

    fn give_up_all(&mut self, effects: &mut Vec<Effect>) {
        let Flights { hello, push, pull, park, lease } = std::mem::take(&mut self.flights);
        let tickets = [hello.map(|flight| flight.ticket), push.map(|flight| flight.ticket)];
        let others =
            [pull.map(|flight| flight.ticket), park.map(|flight| flight.ticket), lease.map(|f| f.ticket)];
        let tickets = tickets.into_iter().chain(others).flatten().chain(self.blobs.give_up());
        effects.extend(tickets.map(Effect::GiveUp));
    }

    /// Counts the lease down, and gives up what nobody answers.
    fn pass_time<R: Replica>(&mut self, turn: &mut Turn<'_, R>, effects: &mut Vec<Effect>) {
        let ran_ms = self.last_ms.map(|last_ms| turn.now.ms.saturating_sub(last_ms));
        self.last_ms = Some(turn.now.ms);
        if let Some(lease) = &mut turn.state.lease {
            lease.pass(ran_ms, turn.now.wall);
            if lease.is_over() != self.is_locked && turn.report.stopped.is_none() {
                self.is_locked = lease.is_over();
                effects.push(if self.is_locked { Effect::Lock } else { Effect::Unlock });
            }
        }
        let deadlines = [
            self.flights.hello.as_ref().map(|flight| (flight.deadline_ms, flight.ticket)),
            self.flights.push.as_ref().map(|flight| (flight.deadline_ms, flight.ticket)),
            self.flights.pull.as_ref().map(|flight| (flight.deadline_ms, flight.ticket)),
            self.flights.park.as_ref().map(|flight| (flight.deadline_ms, flight.ticket)),
            self.flights.lease.as_ref().map(|flight| (flight.deadline_ms, flight.ticket)),
            self.blobs.deadline(),
        ];
        for (deadline_ms, ticket) in deadlines.into_iter().flatten() {
            if deadline_ms <= turn.now.ms {
                effects.push(Effect::GiveUp(ticket));
                self.failed(ticket, &Failure::Connection { code: 482 }, turn, effects);
            }
        }
    }

    /// Sends what can be sent now.
    fn plan<R: Replica>(
        &mut self,
        turn: &mut Turn<'_, R>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), R::Error> {
        let now_ms = turn.now.ms;
        let is_quiet = self.policy.is_paused || turn.report.stopped.is_some();
        if !is_quiet && self.pause.is_over(now_ms) {
            self.plan_lease(turn, effects);
            if !self.is_locked || Defect::WorksLocked.is_on() {
                self.plan_pull(turn, effects)?;
                self.plan_push(turn, effects)?;
                self.plan_park(turn, effects)?;
                if self.blobs.is_free()
                    && let Some(request) = self.blobs.next(self.policy, turn)?
                {
                    let ticket = self.send(request, turn, effects);
                    self.blobs.sent(ticket, now_ms + WATCHDOG_MS);
                }
            }
        }
        let lease_ms = turn.state.lease.as_ref().map(|lease| now_ms + lease.left_ms());
        let pull_ms = self.pull_at_ms.filter(|_| self.flights.pull.is_none() && !is_quiet && !self.is_locked);
        let flights = [
            self.flights.hello.as_ref().map(|flight| flight.deadline_ms),
            self.flights.push.as_ref().map(|flight| flight.deadline_ms),
            self.flights.pull.as_ref().map(|flight| flight.deadline_ms),
            self.flights.park.as_ref().map(|flight| flight.deadline_ms),
            self.flights.lease.as_ref().map(|flight| flight.deadline_ms),
            self.blobs.deadline().map(|(deadline_ms, _)| deadline_ms),
        ];
        let next = [lease_ms, pull_ms, self.pause.until_ms().filter(|until_ms| *until_ms > now_ms)];
        // While a pause lasts, nothing that is due before its end counts.
        let least = self.pause.until_ms().unwrap_or(0);
        let pull = next.into_iter().flatten().map(|at_ms| at_ms.max(least));
        self.wake_at_ms = pull.chain(flights.into_iter().flatten()).min().map(|at_ms| at_ms.max(now_ms + 1));
        if is_quiet {
            self.wake_at_ms = lease_ms.map(|at_ms| at_ms.max(now_ms + 1));
        }
        Ok(())
    }

    fn send<R: Replica>(
        &mut self,
        request: Request,
        turn: &mut Turn<'_, R>,
        effects: &mut Vec<Effect>,
    ) -> Ticket {
        self.tickets += 1;
        turn.report.requests += 1;
        let ticket = Ticket(self.tickets);
        effects.push(Effect::Send { ticket, request });
        ticket
    }

    fn fly<R: Replica, T>(
        &mut self,
        request: Request,
        asked: T,
        wait_ms: u32,
        turn: &mut Turn<'_, R>,
        effects: &mut Vec<Effect>,
    ) -> Option<Flight<T>> {
        let ticket = self.send(request, turn, effects);
        Some(Flight { ticket, deadline_ms: turn.now.ms + WATCHDOG_MS + u64::from(wait_ms), asked })
    }

    fn plan_lease<R: Replica>(&mut self, turn: &mut Turn<'_, R>, effects: &mut Vec<Effect>) {
        if turn.state.lease.as_ref().is_some_and(HeldLease::is_due) && self.flights.lease.is_none() {
            let request =
                Request::Lease(LeaseRequest { v: VERSION_MAX, incarnation: turn.state.incarnation });
            self.flights.lease = self.fly(request, (), 0, turn, effects);
        }
        if turn.state.epoch.is_none() && turn.state.position.is_none() && self.tickets == 0 {
            self.flights.hello = self.fly(Request::Hello, (), 0, turn, effects);
        }
    }

    fn plan_pull<R: Replica>(
        &mut self,
        turn: &mut Turn<'_, R>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), R::Error> {
        let is_due = self.pull_at_ms.is_some_and(|at_ms| at_ms <= turn.now.ms);
        if !is_due || self.flights.pull.is_some() {
            return Ok(());
        }
        let rows = if self.policy.is_metered { METERED_ROWS } else { limits::PULL_ROWS };
        let is_reading = turn.scopes.iter().any(|held| !held.is_complete) || turn.state.position.is_none();
        let wait_ms = if is_reading || self.policy.is_background { 0 } else { self.policy.wait_ms };
        let req = RequestId::new((turn.random)());
        let request = PullRequest { whole: self.wants_whole, ..turn.next_pull(req, rows, wait_ms)? };
        self.pull_at_ms = Some(turn.now.ms + u64::from(NEXT_MS));
        self.flights.pull = self.fly(Request::Pull(request.clone()), request, wait_ms, turn, effects);
        Ok(())
    }

    fn plan_push<R: Replica>(
        &mut self,
        turn: &mut Turn<'_, R>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), R::Error> {
        if self.flights.push.is_some() || turn.state.is_doubtful {
            return Ok(());
        }
        let mutations_max = self.push_max.min(turn.state.limits.mutations as usize);
        let mutations = turn.next_push(mutations_max)?;
        if mutations.is_empty() {
            return Ok(());
        }
        let head = turn.push_head()?;
        let asked = (head.incarnation, mutations.len());
        self.flights.push = self.fly(Request::Push { head, mutations }, asked, 0, turn, effects);
        Ok(())
    }

    fn plan_park<R: Replica>(
        &mut self,
        turn: &mut Turn<'_, R>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), R::Error> {
        if self.flights.park.is_some() {
            return Ok(());
        }
        let (mut bytes, mut records, mut told) = (0, Vec::new(), BTreeSet::new());
        for record in turn.replica.unarchived(limits::PARK_RECORDS_MAX)? {
            bytes += record.mine.as_ref().map_or(0, |mine| mine.as_bytes().len()) + 4_096;
            if !records.is_empty() && bytes > limits::LINE_BYTES_MAX {
                break;
            }
            told.extend(record.decision.map(|_| record.cid.clone()));
            records.push(ParkRecord {
                cid: record.cid,
                kind: record.kind,
                key: record.key,
                base: record.base_version,
                theirs: record.theirs_version,
                at: Some(record.at),
                paths: record.paths,
                mine: record.mine,
                done: record.decision,
            });
        }
        if !records.is_empty() {
            let head = ParkHead { v: VERSION_MAX, incarnation: turn.state.incarnation };
            self.flights.park = self.fly(Request::Park { head, records }, told, 0, turn, effects);
        }
        Ok(())
    }

    /// When to come back with a tick at the latest, by the clock that only runs forward.
    #[must_use]
    pub fn wake_at_ms(&self) -> Option<u64> {
        self.wake_at_ms
    }

    /// What was done.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// What it was made with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether the right to work without the server is over.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.is_locked
    }

    /// How far it is.
    ///
    /// # Errors
    /// Those of the replica.
    pub fn progress<R: Replica>(&self, replica: &mut R) -> Result<Progress, R::Error> {
        let state = replica.state()?.as_deref().and_then(State::read);
        let Some(state) = state else { return Ok(Progress::default()) };
        let scopes = replica.scopes()?;
        let hydrating = scopes.iter().filter(|held| !held.is_complete).count();
        let position = state.position.unwrap_or_default();
        let is_sent = replica.dirty(0, 1)?.is_empty() && replica.unarchived(1)?.is_empty();
        Ok(Progress {
            scopes: scopes.len(),
            hydrating,
            position,
            clock: state.clock,
            is_stale: state.is_stale,
            is_idle: is_sent && hydrating == 0 && state.position.is_some() && position >= state.clock,
        })
    }
}
