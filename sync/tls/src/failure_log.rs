//! Servers that were refused, kept until a good server has been told.
//!
//! Someone in between can cut a device off, but not unnoticed: what was refused is counted here, kept by the host
//! over restarts, and sent with the next good connection. Nothing in here ever makes a connection pass.
//!
//! Invariants: bounded; what is not in the list is counted; what was settled is what was reported, not what came
//! meanwhile.

use std::sync::{Mutex, PoisonError};

use rustls::pki_types::UnixTime;
use serde::{Deserialize, Serialize};

use crate::{Pin, Refusal};

/// The most kinds of failure that are told apart; further ones are only counted.
pub const FAILURES_MAX: usize = 32;

/// Refusals of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The host that was asked for.
    pub host: String,
    /// Why its server was refused.
    pub refusal: Refusal,
    /// The key that the server showed, or `None` if its certificate could not be read.
    pub key: Option<Pin>,
    /// The number of the pin set in force.
    pub pin_set: u64,
    /// How often.
    pub count: u64,
    /// The first time, in seconds since 1970 UTC.
    pub first_at_s: u64,
    /// The last time, in seconds since 1970 UTC.
    pub last_at_s: u64,
}

/// What there is to report; as JSON also what the host keeps over restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureReport {
    /// One entry for each kind, oldest first.
    pub failures: Vec<Failure>,
    /// Refusals beyond [`FAILURES_MAX`] kinds.
    pub uncounted: u64,
}

impl FailureReport {
    /// Whether there is nothing to report.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.failures.is_empty() && self.uncounted == 0
    }
}

/// Refusals that no good server has been told of yet.
#[derive(Debug, Default)]
pub struct FailureLog {
    pending: Mutex<FailureReport>,
}

impl FailureLog {
    /// Goes on with what the host kept.
    #[must_use]
    pub fn restore(mut kept: FailureReport) -> Self {
        for surplus in kept.failures.drain(kept.failures.len().min(FAILURES_MAX)..) {
            kept.uncounted = kept.uncounted.saturating_add(surplus.count);
        }
        Self { pending: Mutex::new(kept) }
    }

    /// What is pending: to be kept after a failed connection, and to be sent on the next good one.
    #[must_use]
    pub fn report(&self) -> FailureReport {
        self.with_pending(|pending| pending.clone())
    }

    /// Strikes out what a good server has acknowledged.
    pub fn settle(&self, reported: &FailureReport) {
        self.with_pending(|pending| {
            for told in &reported.failures {
                if let Some(entry) = pending.failures.iter_mut().find(|entry| entry.is_same(told)) {
                    entry.count = entry.count.saturating_sub(told.count);
                }
            }
            pending.failures.retain(|entry| entry.count > 0);
            pending.uncounted = pending.uncounted.saturating_sub(reported.uncounted);
        });
    }

    pub(crate) fn record(
        &self,
        host: String,
        refusal: Refusal,
        key: Option<Pin>,
        pin_set: u64,
        now: UnixTime,
    ) {
        let now = now.as_secs();
        let new = Failure { host, refusal, key, pin_set, count: 1, first_at_s: now, last_at_s: now };
        self.with_pending(|pending| {
            if let Some(entry) = pending.failures.iter_mut().find(|entry| entry.is_same(&new)) {
                entry.count = entry.count.saturating_add(1);
                entry.last_at_s = now;
            } else if pending.failures.len() < FAILURES_MAX {
                pending.failures.push(new);
            } else {
                pending.uncounted = pending.uncounted.saturating_add(1);
            }
        });
    }

    fn with_pending<T>(&self, change: impl FnOnce(&mut FailureReport) -> T) -> T {
        change(&mut self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Failure {
    fn is_same(&self, other: &Self) -> bool {
        (&self.host, self.refusal, self.key, self.pin_set)
            == (&other.host, other.refusal, other.key, other.pin_set)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn what_came_after_the_report_stays_pending() {
        let log = FailureLog::default();
        log.record("host".to_owned(), Refusal::NotPinned, None, 1, at(10));
        let report = log.report();
        log.record("host".to_owned(), Refusal::NotPinned, None, 1, at(20));
        log.record("host".to_owned(), Refusal::Untrusted, None, 1, at(21));
        log.settle(&report);
        let left = log.report().failures;
        assert_eq!(left.iter().map(|entry| entry.count).collect::<Vec<_>>(), [1, 1]);
        log.settle(&log.report());
        assert!(log.report().is_empty());
    }

    #[test]
    fn the_log_is_bounded_and_counts_what_it_does_not_list() {
        let log = FailureLog::default();
        for number in 0..100 {
            log.record("host".to_owned(), Refusal::NotPinned, None, number, at(number));
        }
        let report = log.report();
        assert_eq!((report.failures.len(), report.uncounted), (FAILURES_MAX, 100 - FAILURES_MAX as u64));
        let kept = serde_json::to_vec(&report).expect("a report is JSON");
        let restored = FailureLog::restore(serde_json::from_slice(&kept).expect("as written"));
        assert_eq!(restored.report(), report);
    }
}
