//! Pauses after failures: decorrelated jitter, so that devices that failed together do not come back together.

/// The shortest pause, in milliseconds.
const PAUSE_MS_MIN: u64 = 1_000;
/// The longest while somebody looks.
const PAUSE_MS_MAX: u64 = 5 * 60 * 1_000;
/// The longest in the background.
const BACKGROUND_PAUSE_MS_MAX: u64 = 60 * 60 * 1_000;
/// When the network comes back, all devices of a building come back at once.
const ONLINE_MS_MAX: u64 = 3_000;

/// Until when nothing is sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pause {
    last_ms: u64,
    until_ms: Option<u64>,
}

impl Pause {
    /// When it is over, by the clock that only runs forward; none if there is none.
    #[must_use]
    pub fn until_ms(&self) -> Option<u64> {
        self.until_ms
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self, now_ms: u64) -> bool {
        self.until_ms.is_none_or(|until_ms| until_ms <= now_ms)
    }

    /// Something failed. What the server asked for is the least.
    pub fn lengthen(
        &mut self,
        now_ms: u64,
        asked_s: Option<u32>,
        is_background: bool,
        random: &mut dyn FnMut() -> u64,
    ) {
        let most = if is_background { BACKGROUND_PAUSE_MS_MAX } else { PAUSE_MS_MAX };
        let upper = self.last_ms.saturating_mul(3).clamp(PAUSE_MS_MIN + 1, most);
        self.last_ms = PAUSE_MS_MIN + random() % (upper - PAUSE_MS_MIN);
        let asked_ms = asked_s.map_or(0, |seconds| u64::from(seconds) * 1_000);
        self.until_ms = Some(now_ms + self.last_ms.max(asked_ms));
    }

    /// The network is back: one try soon.
    pub fn shorten(&mut self, now_ms: u64, random: &mut dyn FnMut() -> u64) {
        let soon = now_ms + random() % ONLINE_MS_MAX;
        self.until_ms = self.until_ms.map(|until_ms| until_ms.min(soon));
    }

    /// It works, or somebody wants to know now.
    pub fn end(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_the_server_has_the_last_word() {
        let mut pause = Pause::default();
        let mut highest = || u64::MAX - 1;
        let mut lengths = Vec::new();
        for _ in 0..12 {
            pause.lengthen(0, None, false, &mut highest);
            lengths.push(pause.until_ms().unwrap());
        }
        assert!(lengths.iter().all(|ms| (PAUSE_MS_MIN..=PAUSE_MS_MAX).contains(ms)), "{lengths:?}");
        pause.lengthen(0, Some(7_200), false, &mut highest);
        assert_eq!(pause.until_ms(), Some(7_200_000));
        pause.shorten(0, &mut highest);
        assert!(pause.until_ms().unwrap() < ONLINE_MS_MAX);
        pause.end();
        assert!(pause.is_over(0));
    }
}
