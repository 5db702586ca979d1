//! A stretched passcode that the keychain keeps for a while, for programs that open and close the store with each
//! command.
//!
//! The record is authenticated with the disk secret, so that its times cannot be moved without the directory.
//!
//! Invariants: it never outlives its idle time or the session limit; a wall clock that runs backwards ends it; it
//! opens nothing without the key file, and nothing after the next rotation.

use std::time::Duration;

use crate::clock::millis;
use crate::crypto::{self, Label, MAC_BYTES};
use crate::key::{KEY_BYTES, Key};
use crate::keychain::Secret;
use crate::store_id::StoreId;

/// since, active, idle time, stretched passcode.
const BODY_BYTES: usize = 3 * 8 + KEY_BYTES;

/// A passcode that need not be given again for now.
#[derive(Debug)]
pub(crate) struct Remembered {
    since_ms: i64,
    active_ms: i64,
    idle_ms: i64,
    pub(crate) stretched: Key,
}

impl Remembered {
    pub(crate) fn new(stretched: Key, idle: Duration, now_ms: i64) -> Self {
        Self { since_ms: now_ms, active_ms: now_ms, idle_ms: millis(idle), stretched }
    }

    /// Whether it still counts at `now_ms`, under an absolute limit of `session`.
    pub(crate) fn holds(&self, session: Duration, now_ms: i64) -> bool {
        let (age_ms, idle_ms) = (now_ms.saturating_sub(self.since_ms), now_ms.saturating_sub(self.active_ms));
        idle_ms >= 0 && idle_ms < self.idle_ms && age_ms < millis(session)
    }

    /// It was used: the idle time starts anew.
    pub(crate) fn touch(&mut self, now_ms: i64) {
        self.active_ms = now_ms;
    }

    pub(crate) fn encode(&self, store: StoreId, key: &[u8]) -> Secret {
        let mut record = Secret::new(Vec::with_capacity(BODY_BYTES + MAC_BYTES));
        for word in [self.since_ms, self.active_ms, self.idle_ms] {
            record.extend_from_slice(&word.to_be_bytes());
        }
        record.extend_from_slice(self.stretched.expose());
        let tag = crypto::mac(Label::Remembered, store, key, &record);
        record.extend_from_slice(&tag);
        record
    }

    /// `None` for a record that is damaged, altered, or of another disk secret.
    pub(crate) fn decode(record: &[u8], store: StoreId, key: &[u8]) -> Option<Self> {
        let (body, tag) = record.split_at_checked(BODY_BYTES)?;
        if !crypto::mac_is_valid(Label::Remembered, store, key, body, tag) {
            return None;
        }
        let (times, stretched) = body.split_at(3 * 8);
        let mut words = times.chunks_exact(8).map(|word| word.try_into().map(i64::from_be_bytes));
        let mut word = || words.next()?.ok();
        Some(Self {
            since_ms: word()?,
            active_ms: word()?,
            idle_ms: word()?,
            stretched: Key::from_slice(stretched)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: StoreId = StoreId::from_bytes([1; 16]);
    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3_600);

    fn remembered() -> Remembered {
        Remembered::new(Key::take(&mut [7; KEY_BYTES]), MINUTE, 1_000_000)
    }

    #[test]
    fn it_ends_with_its_idle_time_with_the_session_and_with_a_clock_set_back() {
        let mut remembered = remembered();
        assert!(remembered.holds(HOUR, 1_000_000) && remembered.holds(HOUR, 1_059_999));
        assert!(!remembered.holds(HOUR, 1_060_000), "idle");
        assert!(!remembered.holds(HOUR, 999_999), "clock set back");
        for minutes in 1..60 {
            remembered.touch(1_000_000 + minutes * 60_000);
        }
        assert!(remembered.holds(HOUR, 4_599_999));
        assert!(!remembered.holds(HOUR, 4_600_000), "session");
    }

    #[test]
    fn a_record_survives_and_an_altered_one_is_none() {
        let record = remembered().encode(STORE, b"key");
        let back = Remembered::decode(&record, STORE, b"key").unwrap();
        assert_eq!(back.stretched.expose(), &[7; KEY_BYTES]);
        assert_eq!((back.since_ms, back.active_ms, back.idle_ms), (1_000_000, 1_000_000, 60_000));
        for bit in 0..record.len() * 8 {
            let mut altered = record.to_vec();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(Remembered::decode(&altered, STORE, b"key").is_none(), "bit {bit}");
        }
        assert!(Remembered::decode(&record, STORE, b"another").is_none());
        assert!(Remembered::decode(&[], STORE, b"key").is_none());
    }
}
