//! Time, as the host tells it.
//!
//! Every limit of the vault (idle lock, session, delays after wrong passcodes) reads an injected [`Clock`], so
//! that tests turn the hands themselves.
//!
//! Invariant: an interval is never shorter than either clock says. The monotonic clock may stand still while
//! the machine sleeps, and the wall clock may be set back; each covers the other's hole.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of both kinds of time.
///
/// ```
/// use keepwell_vault::{Clock, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new(1_700_000_000_000);
/// clock.advance(Duration::from_secs(2));
/// assert_eq!(clock.wall_ms(), 1_700_000_002_000);
/// ```
pub trait Clock: Send + Sync {
    /// Time since a fixed point of this process; never runs backwards, may stop during suspend.
    fn monotonic(&self) -> Duration;
    /// Milliseconds since 1970 UTC; runs on during suspend, may be set by anyone.
    fn wall_ms(&self) -> i64;
}

/// The clocks of the operating system.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Starts the monotonic clock at zero.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn wall_ms(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => millis(since),
            Err(before) => -millis(before.duration()),
        }
    }
}

/// A clock that moves only when told to: for tests and simulations.
#[derive(Debug)]
pub struct ManualClock {
    hands: Mutex<Moment>,
}

impl ManualClock {
    /// A clock whose wall shows `wall_ms` (milliseconds since 1970 UTC).
    #[must_use]
    pub fn new(wall_ms: i64) -> Self {
        Self { hands: Mutex::new(Moment { monotonic: Duration::ZERO, wall_ms }) }
    }

    /// Time passes on both clocks.
    pub fn advance(&self, by: Duration) {
        self.turn(|hands| {
            hands.monotonic += by;
            hands.wall_ms += millis(by);
        });
    }

    /// The machine sleeps: the wall clock runs on, the monotonic clock stands still.
    pub fn sleep(&self, by: Duration) {
        self.turn(|hands| hands.wall_ms += millis(by));
    }

    /// Somebody sets the wall clock.
    pub fn set_wall(&self, wall_ms: i64) {
        self.turn(|hands| hands.wall_ms = wall_ms);
    }

    fn turn<T>(&self, change: impl FnOnce(&mut Moment) -> T) -> T {
        change(&mut self.hands.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Clock for ManualClock {
    fn monotonic(&self) -> Duration {
        self.turn(|hands| hands.monotonic)
    }

    fn wall_ms(&self) -> i64 {
        self.turn(|hands| hands.wall_ms)
    }
}

/// One reading of both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) monotonic: Duration,
    pub(crate) wall_ms: i64,
}

impl Moment {
    pub(crate) fn now(clock: &dyn Clock) -> Self {
        Self { monotonic: clock.monotonic(), wall_ms: clock.wall_ms() }
    }

    /// How long ago `self` was: the longer of what the two clocks say.
    pub(crate) fn elapsed(&self, now: Self) -> Duration {
        let wall = u64::try_from(now.wall_ms.saturating_sub(self.wall_ms)).unwrap_or(0);
        now.monotonic.saturating_sub(self.monotonic).max(Duration::from_millis(wall))
    }
}

/// A duration in whole milliseconds, held within `i64`.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_counts_and_a_clock_set_back_does_not_shorten() {
        let clock = ManualClock::new(1_000_000);
        let start = Moment::now(&clock);
        clock.sleep(Duration::from_secs(60));
        assert_eq!(start.elapsed(Moment::now(&clock)), Duration::from_secs(60));
        clock.advance(Duration::from_secs(5));
        clock.set_wall(0);
        assert_eq!(start.elapsed(Moment::now(&clock)), Duration::from_secs(5));
    }
}
