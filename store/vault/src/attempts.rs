//! Wrong passcodes, counted outside of the process.
//!
//! The record lives in the keychain and is authenticated with the disk secret, so that it needs no passcode.
//!
//! Invariants: an attempt is counted before it is looked at, so that killing the process gains nothing; setting
//! the clock back starts the delay again instead of ending it; a missing or altered record counts as the last
//! step of the table, which costs the rightful owner nothing.
//!
//! Limit: a wall clock that is set forward between two runs of the process ends a delay; within one run the
//! monotonic clock prevents that.

use std::time::Duration;

use crate::clock::{Moment, millis};
use crate::crypto::{self, Label, MAC_BYTES};
use crate::store_id::StoreId;

/// Delay after the n-th wrong passcode in a row, in seconds; the last one holds for all that follow.
pub const ATTEMPT_DELAYS_S: [u64; 8] = [0, 0, 0, 30, 60, 5 * 60, 15 * 60, 60 * 60];

/// failures, time of the last failure.
const BODY_BYTES: usize = 4 + 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attempts {
    pub(crate) failures: u32,
    /// When the last failure was noted, in milliseconds since 1970.
    noted_ms: i64,
}

impl Attempts {
    pub(crate) const fn none(now_ms: i64) -> Self {
        Self { failures: 0, noted_ms: now_ms }
    }

    /// Stands in for a record that is gone or altered.
    fn suspicious() -> Self {
        let failures = u32::try_from(ATTEMPT_DELAYS_S.len() - 1).unwrap_or(u32::MAX);
        Self { failures, noted_ms: i64::MIN }
    }

    pub(crate) const fn failed(self, now_ms: i64) -> Self {
        Self { failures: self.failures.saturating_add(1), noted_ms: now_ms }
    }

    /// How long attempts are refused after this many failures.
    pub(crate) fn delay(self) -> Duration {
        let step = usize::try_from(self.failures).unwrap_or(usize::MAX).min(ATTEMPT_DELAYS_S.len());
        Duration::from_secs(step.checked_sub(1).map_or(0, |step| ATTEMPT_DELAYS_S[step]))
    }

    /// How long attempts are refused from now on. The clock of the wall runs through restarts.
    pub(crate) fn remaining(self, now_ms: i64) -> Duration {
        let until_ms = self.noted_ms.saturating_add(millis(self.delay()));
        Duration::from_millis(u64::try_from(until_ms.saturating_sub(now_ms)).unwrap_or(0))
    }

    /// The same failures noted now, if the clock was set back behind the last one.
    pub(crate) fn noted_again(self, now_ms: i64) -> Option<Self> {
        (now_ms < self.noted_ms && self.failures > 0).then_some(Self { noted_ms: now_ms, ..self })
    }

    pub(crate) fn encode(self, store: StoreId, key: &[u8]) -> [u8; BODY_BYTES + MAC_BYTES] {
        let mut bytes = [0; BODY_BYTES + MAC_BYTES];
        bytes[..4].copy_from_slice(&self.failures.to_be_bytes());
        bytes[4..BODY_BYTES].copy_from_slice(&self.noted_ms.to_be_bytes());
        let tag = crypto::mac(Label::Attempts, store, key, &bytes[..BODY_BYTES]);
        bytes[BODY_BYTES..].copy_from_slice(&tag);
        bytes
    }

    pub(crate) fn decode(record: Option<&[u8]>, store: StoreId, key: &[u8]) -> Self {
        let read = |bytes: &[u8]| {
            let (body, tag) = bytes.split_at_checked(BODY_BYTES)?;
            let (failures, noted_ms) = body.split_first_chunk::<4>()?;
            crypto::mac_is_valid(Label::Attempts, store, key, body, tag).then_some(Self {
                failures: u32::from_be_bytes(*failures),
                noted_ms: i64::from_be_bytes(noted_ms.try_into().ok()?),
            })
        };
        record.and_then(read).unwrap_or_else(Self::suspicious)
    }
}

/// Delay that this process has seen begin: holds whatever happens to the wall clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Throttle {
    begun: Moment,
    delay: Duration,
}

impl Throttle {
    pub(crate) const fn new(begun: Moment, delay: Duration) -> Self {
        Self { begun, delay }
    }

    pub(crate) fn remaining(&self, now: Moment) -> Duration {
        self.delay.saturating_sub(now.monotonic.saturating_sub(self.begun.monotonic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: StoreId = StoreId::from_bytes([1; 16]);

    #[test]
    fn delays_follow_the_table_and_stay_at_its_end() {
        let mut attempts = Attempts::none(0);
        assert_eq!(attempts.delay(), Duration::ZERO);
        for expected in [0, 0, 0, 30, 60, 300, 900, 3600, 3600, 3600] {
            attempts = attempts.failed(0);
            assert_eq!(attempts.delay(), Duration::from_secs(expected));
        }
    }

    #[test]
    fn a_record_survives_and_an_altered_one_is_suspicious() {
        let attempts = Attempts::none(5).failed(7);
        let record = attempts.encode(STORE, b"key");
        assert_eq!(Attempts::decode(Some(&record), STORE, b"key"), attempts);
        for bit in 0..record.len() * 8 {
            let mut altered = record;
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Attempts::decode(Some(&altered), STORE, b"key"), Attempts::suspicious());
        }
        assert_eq!(Attempts::decode(None, STORE, b"key"), Attempts::suspicious());
        assert_eq!(Attempts::decode(Some(&[]), STORE, b"key"), Attempts::suspicious());
        assert_eq!(Attempts::suspicious().remaining(0), Duration::ZERO, "the owner is not kept out");
        assert_eq!(Attempts::suspicious().failed(0).delay(), Duration::from_secs(3600));
    }

    #[test]
    fn a_clock_set_back_starts_the_delay_again() {
        let attempts = (0..4).fold(Attempts::none(0), |attempts, _| attempts.failed(1_000_000));
        assert_eq!(attempts.remaining(1_010_000), Duration::from_secs(20));
        let again = attempts.noted_again(500_000).expect("the clock was set back");
        assert_eq!(again.remaining(500_000), Duration::from_secs(30));
        assert_eq!(attempts.noted_again(1_000_001), None);
    }
}
