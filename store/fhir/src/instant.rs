//! Points in time, to the millisecond.
//!
//! An [`Instant`] is what `meta.lastUpdated` and the change log need: it sorts, and it has one spelling.

use std::fmt;

use crate::civil::civil_from_days;
use crate::date::DateTime;

const MS_PER_DAY: i64 = 86_400_000;

/// Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// ```
/// use keepwell_fhir::Instant;
/// let instant = Instant::parse("2026-11-22T14:00:00.123+02:00").expect("an instant");
/// assert_eq!(instant.to_string(), "2026-11-22T12:00:00.123Z");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Instant(i64);

impl Instant {
    /// The earliest instant FHIR can write: 0001-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_135_596_800_000);
    /// The latest instant FHIR can write: 9999-12-31T23:59:59.999Z.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// From milliseconds since 1970; clamped to what FHIR can write.
    #[must_use]
    pub const fn from_ms(ms: i64) -> Self {
        if ms < Self::MIN.0 {
            Self::MIN
        } else if ms > Self::MAX.0 {
            Self::MAX
        } else {
            Self(ms)
        }
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn ms(self) -> i64 {
        self.0
    }

    /// Reads a FHIR `instant`, or a `dateTime` that has a time and a zone. Digits beyond milliseconds are
    /// cut off.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        DateTime::parse(text)?.instant()
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0.div_euclid(MS_PER_DAY));
        let ms = self.0.rem_euclid(MS_PER_DAY);
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for ms in [Instant::MIN.0, -1, 0, 1, 951_782_399_999, 1_795_348_800_123, Instant::MAX.0] {
            let instant = Instant::from_ms(ms);
            assert_eq!(Instant::parse(&instant.to_string()), Some(instant));
        }
        assert_eq!(Instant::MIN.to_string(), "0001-01-01T00:00:00.000Z");
        assert_eq!(Instant::MAX.to_string(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn zones_are_resolved_and_needed() {
        let utc = Instant::parse("2020-02-29T23:30:00Z");
        assert_eq!(Instant::parse("2020-03-01T13:30:00+14:00"), utc);
        assert_eq!(Instant::parse("2020-02-29T23:30:00-00:00"), utc);
        for bad in ["2020-02-29T23:30:00", "2020-02-29", "2020-02-30T23:30:00Z", "2020-02-29T23:30Z", ""] {
            assert_eq!(Instant::parse(bad), None);
        }
    }
}
