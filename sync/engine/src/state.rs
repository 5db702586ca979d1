//! What the engine remembers beyond rows.

use keepwell_fhir::Instant;
use keepwell_protocol::{Cursor, Epoch, Incarnation, Lease, Position, Sequence, ServerLimits};
use serde::{Deserialize, Serialize};

/// Written with the rows that it belongs to, in one transaction.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    /// The life of this database.
    pub(crate) incarnation: Incarnation,
    /// The number that the next mutation gets.
    pub(crate) next: Sequence,
    /// The server's history.
    pub(crate) epoch: Option<Epoch>,
    /// How far has been read; none at the start and after a resync.
    pub(crate) position: Option<Position>,
    /// The server's newest position, as far as is known.
    pub(crate) clock: Position,
    /// The round of the last hydration that was begun.
    pub(crate) round: u64,
    /// Everything is being fetched anew.
    pub(crate) is_stale: bool,
    /// What is known is of another history, so nothing is pushed until everything was fetched anew.
    pub(crate) is_doubtful: bool,
    /// What the server takes.
    pub(crate) limits: ServerLimits,
    /// The right to work without the server.
    pub(crate) lease: Option<HeldLease>,
}

/// A lease, and how much of it is used up.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct HeldLease {
    renew_ms: i64,
    until_ms: i64,
    /// The server's time, as far as this device can tell: from when the lease was given, with all that ran since.
    server_ms: i64,
    /// The time of day when `server_ms` was written.
    wall_ms: i64,
}

impl State {
    pub(crate) fn new(incarnation: Incarnation) -> Self {
        Self {
            incarnation,
            next: Sequence::ZERO.next().expect("one is a small number"),
            epoch: None,
            position: None,
            clock: Position::ZERO,
            round: 0,
            is_stale: false,
            is_doubtful: false,
            limits: ServerLimits::default(),
            lease: None,
        }
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and texts are JSON")
    }

    pub(crate) fn cursor(&self) -> Option<Cursor> {
        Some(Cursor::new(self.epoch?, self.position?))
    }
}

impl HeldLease {
    pub(crate) fn new(lease: &Lease, wall: Instant) -> Self {
        Self {
            renew_ms: lease.renew.ms(),
            until_ms: lease.until.ms(),
            server_ms: lease.issued.ms(),
            wall_ms: wall.ms(),
        }
    }

    /// Time passed: `ran_ms` by the clock that only runs forward; while the program did not run, by the time of day,
    /// as long as that one was not set back.
    pub(crate) fn pass(&mut self, ran_ms: Option<u64>, wall: Instant) {
        let by_wall = wall.ms().saturating_sub(self.wall_ms).max(0);
        let passed = ran_ms.map_or(by_wall, |ran_ms| i64::try_from(ran_ms).unwrap_or(i64::MAX));
        self.server_ms = self.server_ms.saturating_add(passed);
        self.wall_ms = wall.ms();
    }

    pub(crate) fn is_due(&self) -> bool {
        self.server_ms >= self.renew_ms
    }

    pub(crate) fn is_over(&self) -> bool {
        self.server_ms >= self.until_ms
    }

    /// How long until the next of both.
    pub(crate) fn left_ms(&self) -> u64 {
        let next = if self.is_due() { self.until_ms } else { self.renew_ms };
        u64::try_from(next.saturating_sub(self.server_ms)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(ms: i64) -> HeldLease {
        let at = Instant::from_ms;
        let lease = Lease { issued: at(1_000), renew: at(1_500), until: at(2_000), key: None };
        HeldLease::new(&lease, at(ms))
    }

    #[test]
    fn a_lease_runs_by_the_clock_that_nobody_sets() {
        let mut held = lease(50_000);
        // While the program runs, the time of day does not matter.
        held.pass(Some(400), Instant::from_ms(0));
        assert!(!held.is_due());
        held.pass(Some(200), Instant::from_ms(9_000_000));
        assert!(held.is_due() && !held.is_over());
        assert_eq!(held.left_ms(), 400);
        held.pass(Some(400), Instant::from_ms(0));
        assert!(held.is_over());
    }

    #[test]
    fn a_clock_that_was_set_back_gives_no_time_and_one_that_ran_counts() {
        let mut held = lease(50_000);
        held.pass(None, Instant::from_ms(40_000));
        assert!(!held.is_due());
        held.pass(None, Instant::from_ms(41_000));
        assert!(held.is_over());
    }
}
