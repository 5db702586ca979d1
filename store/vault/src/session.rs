//! How long an unlocked store may stay open.
//!
//! Invariant: activity moves the idle limit only, never the session limit, and never revives what has expired.

use std::time::Duration;

use crate::clock::Moment;
use crate::error::Error;
use crate::policy::Policy;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Session {
    opened: Moment,
    active: Moment,
}

impl Session {
    pub(crate) const fn start(now: Moment) -> Self {
        Self { opened: now, active: now }
    }

    pub(crate) fn check(&self, policy: &Policy, now: Moment) -> Result<(), Error> {
        self.check_with(policy.idle, policy.session, now)
    }

    /// As [`Session::check`], for the time in suspension.
    pub(crate) fn check_suspended(&self, policy: &Policy, now: Moment) -> Result<(), Error> {
        self.check_with(policy.suspended, policy.session, now)
    }

    pub(crate) const fn touch(&mut self, now: Moment) {
        self.active = now;
    }

    fn check_with(&self, idle: Duration, session: Duration, now: Moment) -> Result<(), Error> {
        if self.opened.elapsed(now) >= session {
            Err(Error::SessionExpired)
        } else if self.active.elapsed(now) >= idle {
            Err(Error::IdleTimeout)
        } else {
            Ok(())
        }
    }
}
