//! Stretches of time, in ticks of 100 ns.
//!
//! A date stands for all instants it may mean: `2020` for a year, `2020-02-29T12:00:05Z` for a second (R4
//! search.html#date). A time with a fraction of a second is one instant, however many digits it has. A date without a
//! zone lies in UTC.
//!
//! Invariants: `low < high`; both lie within [`MIN`]`..=`[`MAX`].

use keepwell_fhir::{DateTime, Precision};

/// Ticks of a second.
pub const TICKS_PER_SECOND: i64 = 10_000_000;
/// Ticks of a day.
pub const TICKS_PER_DAY: i64 = 86_400 * TICKS_PER_SECOND;
const TICKS_PER_MS: i64 = 10_000;

/// The beginning of time, which an open period has: 0001-01-01T00:00:00Z.
pub(crate) const MIN: i64 = -62_135_596_800 * TICKS_PER_SECOND;
/// The end of time, which an open period has: 10000-01-01T00:00:00Z.
pub(crate) const MAX: i64 = 253_402_300_800 * TICKS_PER_SECOND;

/// A half-open stretch of time, in ticks of 100 ns since 1970-01-01T00:00:00Z.
///
/// ```
/// use keepwell_search::DateRange;
/// let month = DateRange::parse("2020-02").expect("a month");
/// assert_eq!(month, DateRange::parse("2020-02-01").expect("a day").to(DateRange::parse("2020-02-29").expect("a day")));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DateRange {
    /// The first tick.
    pub low: i64,
    /// The tick behind the last one.
    pub high: i64,
}

impl DateRange {
    /// From the beginning to the end of time.
    pub const ALL: Self = Self { low: MIN, high: MAX };

    /// Reads a `date`, `dateTime` or `instant`, or what a search may write in their place: also without seconds and
    /// without a zone.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once('T') {
            Some((day, time)) => Self::with_time(day, time),
            None => Self::day_or_longer(text),
        }
    }

    /// From the beginning of this stretch to the end of another; at least one tick.
    #[must_use]
    pub fn to(self, end: Self) -> Self {
        Self { low: self.low, high: end.high.max(self.low + 1) }
    }

    /// Whether the other stretch lies within this one.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.low <= other.low && other.high <= self.high
    }

    /// Whether the two have an instant in common.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.low < other.high && other.low < self.high
    }

    /// Both ends moved outwards by so many ticks.
    #[must_use]
    pub fn widened(self, ticks: i64) -> Self {
        Self { low: self.low.saturating_sub(ticks).max(MIN), high: self.high.saturating_add(ticks).min(MAX) }
    }

    fn day_or_longer(text: &str) -> Option<Self> {
        let date = DateTime::parse(text)?;
        let (low, high) = date.range(0);
        let is_last = matches!(
            (date.precision(), text.as_bytes()),
            (Precision::Year, b"9999") | (Precision::Month, b"9999-12") | (Precision::Day, b"9999-12-31")
        );
        let high = if is_last { MAX } else { high.ms() * TICKS_PER_MS };
        Some(Self { low: low.ms() * TICKS_PER_MS, high })
    }

    /// A day and `hh:mm[:ss[.fff]][zone]`.
    fn with_time(day: &str, time: &str) -> Option<Self> {
        if day.len() != 10 {
            return None;
        }
        let day = Self::day_or_longer(day)?;
        let zone_at = time.find(['Z', '+', '-']).unwrap_or(time.len());
        let (clock, zone) = time.split_at(zone_at);
        let offset = zone_minutes(zone)? * 60 * TICKS_PER_SECOND;
        let (from, width) = clock_ticks(clock)?;
        let low = (day.low + from - offset).clamp(MIN, MAX - 1);
        Some(Self { low, high: (low + width).min(MAX) })
    }
}

/// Ticks since midnight, and how many ticks the text stands for.
fn clock_ticks(text: &str) -> Option<(i64, i64)> {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (text, None),
    };
    let mut parts = clock.split(':');
    let hour = two_digits(parts.next()?, 24)?;
    let minute = two_digits(parts.next()?, 60)?;
    // A leap second counts as the second after it.
    let second =
        parts.next().map(|text| two_digits(text, 61)).map_or(Some(None), |second| second.map(Some))?;
    if parts.next().is_some() {
        return None;
    }
    let seconds = (hour * 60 + minute) * 60 + second.unwrap_or(0);
    let ticks = seconds * TICKS_PER_SECOND;
    match (second, fraction) {
        (None, None) => Some((ticks, 60 * TICKS_PER_SECOND)),
        (Some(_), None) => Some((ticks, TICKS_PER_SECOND)),
        (Some(_), Some(fraction)) => Some((ticks + fraction_ticks(fraction)?, 1)),
        (None, Some(_)) => None,
    }
}

fn fraction_ticks(text: &str) -> Option<i64> {
    let valid = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let digit = |place: usize| text.as_bytes().get(place).map_or(0, |b| i64::from(b - b'0'));
    valid.then(|| (0..7).fold(0, |ticks, place| ticks * 10 + digit(place)))
}

fn two_digits(text: &str, limit: i64) -> Option<i64> {
    let valid = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|&value| valid && value < limit)
}

/// Minutes east of UTC.
fn zone_minutes(text: &str) -> Option<i64> {
    let sign = match text.as_bytes().first() {
        None => return Some(0),
        Some(b'Z') => return (text.len() == 1).then_some(0),
        Some(b'+') => 1,
        Some(_) => -1,
    };
    let (hours, minutes) = text[1..].split_once(':')?;
    Some(sign * (two_digits(hours, 15)? * 60 + two_digits(minutes, 60)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> DateRange {
        DateRange::parse(text).expect("the text is a date")
    }

    #[test]
    fn a_date_is_as_long_as_its_last_unit() {
        for (text, ticks) in [
            ("2019", 365 * TICKS_PER_DAY),
            ("2020-02", 29 * TICKS_PER_DAY),
            ("2020-02-29", TICKS_PER_DAY),
            ("2020-02-29T10:30", 60 * TICKS_PER_SECOND),
            ("2020-02-29T10:30Z", 60 * TICKS_PER_SECOND),
            ("2020-02-29T10:30:05+02:00", TICKS_PER_SECOND),
            ("2020-02-29T10:30:05.5Z", 1),
            ("2020-02-29T10:30:05.1234567", 1),
            ("9999", 365 * TICKS_PER_DAY),
        ] {
            let range = range(text);
            assert_eq!(range.high - range.low, ticks, "{text}");
        }
    }

    #[test]
    fn zones_and_fractions_are_resolved() {
        assert_eq!(range("2020-01-01T02:00:00+02:00"), range("2020-01-01T00:00:00"));
        assert_eq!(range("2020-01-01T00:00:00.5Z"), range("2020-01-01T00:00:00.500"));
        assert_eq!(range("1970-01-01T00:00:00.0000001Z"), DateRange { low: 1, high: 2 });
        assert_eq!(range("0001").low, MIN);
        assert_eq!(range("9999-12-31").high, MAX);
        assert_eq!(range("0001-01-01T00:00:00+14:00").low, MIN);
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "T",
            "2020-13",
            "2020-02-30",
            "20",
            "2020-01-01T",
            "2020-01-01T1",
            "2020-01-01T10",
            "2020T10:00",
            "2020-01-01T10:60",
            "2020-01-01T10:00.5",
            "2020-01-01T10:00:00.",
            "2020-01-01T10:00:00+1:00",
            "2020-01-01T10:00:00+15:00",
            "2020-01-01T10:00:00Z0",
            "2020-01-01T10:00:00:00",
            "2020-01-01T+1:00",
            "2020-01-01T10:00:00+é0:00",
            "2020-01-01Té0:00",
            "٢٠٢٠",
            "2020-01-01T10:00:00.é",
        ] {
            assert_eq!(DateRange::parse(text), None, "{text}");
        }
    }
}
