//! Sync on a thread of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use keepwell_engine::{Event, Policy, Report};

use crate::control::{Cancel, Progress};
use crate::driver::Driver;
use crate::error::{Error, Result};
use crate::signal::{EDITED, NEWS, ONLINE, POLICY, STOP, SYNC, Signal};

/// A thread that syncs. Dropped, it stops.
pub struct Background {
    watched: Watched,
    thread: Option<JoinHandle<Result<()>>>,
}

/// What the thread and its owner share.
#[derive(Clone)]
pub(crate) struct Watched {
    pub(crate) signal: Arc<Signal>,
    /// Ends what is under way.
    pub(crate) cancel: Cancel,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    policy: Policy,
    report: Report,
    /// Why the engine stands still, until somebody asks for a round.
    problem: Option<u16>,
}

impl Watched {
    /// What may be used at the moment.
    pub(crate) fn policy(&self) -> Policy {
        self.shared().policy
    }

    /// What was done, and why it stands still if it does.
    pub(crate) fn tell(&self, report: &Report, problem: Option<u16>) {
        let mut shared = self.shared();
        shared.report = report.clone();
        shared.problem = problem;
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Background {
    /// A thread that does `work` until it is told to stop.
    pub(crate) fn start(
        signal: Arc<Signal>,
        policy: Policy,
        work: impl FnOnce(&Watched) -> Result<()> + Send + 'static,
    ) -> Result<Self> {
        let shared = Arc::new(Mutex::new(Shared { policy, ..Shared::default() }));
        let watched = Watched { signal, cancel: Cancel::default(), shared };
        // The engine may know another one, and nothing is sent against this one.
        watched.signal.raise(POLICY);
        let of_thread = watched.clone();
        let thread = Builder::new().name("keepwell-sync".to_owned()).spawn(move || work(&of_thread));
        let failed = |error: std::io::Error| {
            Error::Store(keepwell_store::Error::Io { step: "starting a thread", kind: error.kind() })
        };
        Ok(Self { watched, thread: Some(thread.map_err(failed)?) })
    }

    /// Asks for a round now, whatever is being waited for; also after something stopped it.
    pub fn sync_now(&self) {
        self.watched.signal.raise(SYNC);
    }

    /// Says that the network is back.
    pub fn online(&self) {
        self.watched.signal.raise(ONLINE);
    }

    /// What may be used from now on: `is_paused` is the way to pause and to resume.
    pub fn set_policy(&self, policy: Policy) {
        self.watched.shared().policy = policy;
        self.watched.signal.raise(POLICY);
    }

    /// What was done since the thread began.
    #[must_use]
    pub fn report(&self) -> Report {
        self.watched.shared().report.clone()
    }

    /// The code of what stands in the way until somebody acts, if something does.
    #[must_use]
    pub fn problem(&self) -> Option<u16> {
        self.watched.shared().problem
    }

    /// Whether the thread has ended by itself: the store was locked or is gone.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends the thread; what is under way is given up.
    ///
    /// # Errors
    /// What had ended it before: [`Error::Wiped`], [`Error::LeaseOver`], [`Error::Store`].
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        self.watched.cancel.cancel();
        self.watched.signal.raise(STOP);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Err(Error::Cancelled))) | None => Ok(()),
            Some(Ok(done)) => done,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = self.end();
        }
    }
}

impl std::fmt::Debug for Background {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Background").finish_non_exhaustive()
    }
}

/// Syncs with a server of Keepwell until it is told to stop.
pub(crate) fn follow(driver: &mut Driver, watched: &Watched) -> Result<()> {
    let Watched { signal, cancel, .. } = watched;
    let (mut hint, mut heard, mut is_begun) = (None, None, false);
    loop {
        let raised = signal.take();
        // The signal may be that of a thread before this one, which was stopped while it waited for an answer.
        if cancel.is_cancelled() {
            return Ok(());
        }
        if raised & SYNC != 0 {
            driver.restart()?;
        }
        let mut events = Vec::new();
        if raised & POLICY != 0 {
            events.push(Event::Policy(watched.policy()));
        }
        if raised & (SYNC | NEWS) != 0 {
            events.push(Event::SyncNow);
        }
        if raised & ONLINE != 0 {
            events.push(Event::Online);
        }
        if raised & EDITED != 0 {
            events.push(Event::Edited);
        }
        events.extend(hint.take().map(Event::Hint));
        // A heartbeat that says nothing new is no reason to write anything.
        if !is_begun || (events.is_empty() && driver.wakes_in_ms() == Some(0)) {
            events.push(Event::Tick);
        }
        is_begun = true;
        for event in events {
            let done = driver.round(event, cancel, &mut |_: &Progress| ());
            let problem = match &done {
                Err(Error::Stopped(stop)) => Some(stop.code()),
                _ => None,
            };
            watched.tell(driver.report(), problem);
            match done {
                Ok(()) | Err(Error::Stopped(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let timeout = driver.wakes_in_ms().map(Duration::from_millis);
        hint = driver.transport().wait(timeout, signal).filter(|hint| heard.as_ref() != Some(hint));
        heard = hint.clone().or(heard);
    }
}
