//! FHIR dates with the precision they were written in.
//!
//! `2020`, `2020-02`, `2020-02-29` and `2020-02-29T12:00:00.5+01:00` all parse; [`DateTime::range`] says which
//! stretch of time each of them covers (R4 search.html#date).
//!
//! Invariant: only days that exist parse, in the years 0001 to 9999.

use crate::civil::{days_from_civil, days_in_month};
use crate::instant::Instant;

const MS_PER_MINUTE: i64 = 60_000;
const MS_PER_DAY: i64 = 86_400_000;

/// The last unit that was written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Precision {
    /// `2020`
    Year,
    /// `2020-02`
    Month,
    /// `2020-02-29`
    Day,
    /// `2020-02-29T12:00:00Z`
    Second,
    /// `2020-02-29T12:00:00.5Z`, with this many fraction digits.
    Fraction(u32),
}

/// A FHIR `date`, `dateTime` or `instant`.
///
/// ```
/// use keepwell_fhir::{DateTime, Instant};
/// let month = DateTime::parse("2020-02").expect("a month");
/// let (low, high) = month.range(0);
/// assert_eq!(low.to_string(), "2020-02-01T00:00:00.000Z");
/// assert_eq!(high.to_string(), "2020-03-01T00:00:00.000Z");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DateTime {
    year: i64,
    month: i64,
    day: i64,
    /// Milliseconds of the day, before the zone is applied; a leap second counts as the second after it.
    ms: i64,
    precision: Precision,
    /// The zone in minutes east of UTC; present exactly when there is a time.
    offset_minutes: Option<i64>,
}

impl DateTime {
    /// Reads a FHIR `dateTime`; `date` and `instant` are narrower spellings of the same thing.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::from_bytes(text.as_bytes())
    }

    pub(crate) fn from_bytes(text: &[u8]) -> Option<Self> {
        let year = digits(text.get(..4)?)?;
        let mut date =
            Self { year, month: 1, day: 1, ms: 0, precision: Precision::Year, offset_minutes: None };
        if year == 0 {
            return None;
        }
        let Some(rest) = after(&text[4..], b'-')? else { return Some(date) };
        date.month = digits(rest.get(..2)?)?;
        date.precision = Precision::Month;
        if !(1..=12).contains(&date.month) {
            return None;
        }
        let Some(rest) = after(&rest[2..], b'-')? else { return Some(date) };
        date.day = digits(rest.get(..2)?)?;
        date.precision = Precision::Day;
        if !(1..=days_in_month(year, date.month)).contains(&date.day) {
            return None;
        }
        let Some(rest) = after(&rest[2..], b'T')? else { return Some(date) };
        let (ms, precision, zone) = time(rest)?;
        date.ms = ms;
        date.precision = precision;
        date.offset_minutes = Some(offset(zone)?);
        Some(date)
    }

    /// The last unit that was written.
    #[must_use]
    pub const fn precision(&self) -> Precision {
        self.precision
    }

    /// The first instant this value covers and the first one after it.
    ///
    /// `zone_minutes` (east of UTC) is applied where the value has no zone of its own: to dates.
    #[must_use]
    pub const fn range(&self, zone_minutes: i32) -> (Instant, Instant) {
        let offset = match self.offset_minutes {
            Some(offset) => offset,
            None => zone_minutes as i64,
        };
        let (low, high) = match self.precision {
            Precision::Year => (self.midnight(), days_from_civil(self.year + 1, 1, 1) * MS_PER_DAY),
            Precision::Month => (self.midnight(), self.midnight_after_month()),
            Precision::Day => (self.midnight(), self.midnight() + MS_PER_DAY),
            Precision::Second => (self.midnight() + self.ms, self.midnight() + self.ms + 1_000),
            Precision::Fraction(digits) => {
                let width = match digits {
                    1 => 100,
                    2 => 10,
                    _ => 1,
                };
                (self.midnight() + self.ms, self.midnight() + self.ms + width)
            }
        };
        (Instant::from_ms(low - offset * MS_PER_MINUTE), Instant::from_ms(high - offset * MS_PER_MINUTE))
    }

    /// The instant, if a time was written.
    pub(crate) const fn instant(&self) -> Option<Instant> {
        match self.offset_minutes {
            Some(_) => Some(self.range(0).0),
            None => None,
        }
    }

    const fn midnight(&self) -> i64 {
        days_from_civil(self.year, self.month, self.day) * MS_PER_DAY
    }

    const fn midnight_after_month(&self) -> i64 {
        self.midnight() + days_in_month(self.year, self.month) * MS_PER_DAY
    }
}

/// `hh:mm:ss` with an optional fraction: milliseconds of the day, precision, and the text that follows.
pub(crate) fn time(text: &[u8]) -> Option<(i64, Precision, &[u8])> {
    let (hour, minute, second) =
        (digits(text.get(..2)?)?, digits(text.get(3..5)?)?, digits(text.get(6..8)?)?);
    let valid = text[2] == b':' && text[5] == b':' && hour < 24 && minute < 60 && second <= 60;
    if !valid {
        return None;
    }
    let ms = (hour * 60 + minute) * MS_PER_MINUTE + second * 1_000;
    let rest = &text[8..];
    let Some(fraction) = rest.strip_prefix(b".") else { return Some((ms, Precision::Second, rest)) };
    let count = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
    let unit =
        |place: usize| fraction.get(place).filter(|_| place < count).map_or(0, |b| i64::from(b - b'0'));
    let ms = ms + unit(0) * 100 + unit(1) * 10 + unit(2);
    let precision = Precision::Fraction(u32::try_from(count).ok()?);
    (count > 0).then_some((ms, precision, &fraction[count..]))
}

/// `Z` or `+hh:mm`, up to 14 hours: minutes east of UTC.
fn offset(zone: &[u8]) -> Option<i64> {
    let sign = match zone.first()? {
        b'Z' => return (zone.len() == 1).then_some(0),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    if zone.len() != 6 || zone[3] != b':' {
        return None;
    }
    let (hours, minutes) = (digits(&zone[1..3])?, digits(&zone[4..6])?);
    let total = hours * 60 + minutes;
    (minutes < 60 && total <= 14 * 60).then_some(sign * total)
}

/// Nothing left: `Some(None)`. The separator: what follows it. Anything else: `None`.
#[expect(clippy::option_option, reason = "the end, the rest and a mistake are three answers")]
fn after(text: &[u8], separator: u8) -> Option<Option<&[u8]>> {
    match text.split_first() {
        None => Some(None),
        Some((&first, rest)) => (first == separator).then_some(Some(rest)),
    }
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |number, b| b.is_ascii_digit().then(|| number * 10 + i64::from(b - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, low: &str, high: &str) {
        let (from, to) = DateTime::parse(text).expect("the text is a date").range(0);
        assert_eq!((from.to_string().as_str(), to.to_string().as_str()), (low, high), "{text}");
    }

    #[test]
    fn range_follows_the_written_precision() {
        check("2020", "2020-01-01T00:00:00.000Z", "2021-01-01T00:00:00.000Z");
        check("2019-12", "2019-12-01T00:00:00.000Z", "2020-01-01T00:00:00.000Z");
        check("2020-02-29", "2020-02-29T00:00:00.000Z", "2020-03-01T00:00:00.000Z");
        check("2020-02-29T10:00:00+01:00", "2020-02-29T09:00:00.000Z", "2020-02-29T09:00:01.000Z");
        check("2020-02-29T10:00:00.5Z", "2020-02-29T10:00:00.500Z", "2020-02-29T10:00:00.600Z");
        check("2020-02-29T10:00:00.12Z", "2020-02-29T10:00:00.120Z", "2020-02-29T10:00:00.130Z");
        check("2020-02-29T10:00:00.123456789Z", "2020-02-29T10:00:00.123Z", "2020-02-29T10:00:00.124Z");
        check("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z", "2017-01-01T00:00:01.000Z");
    }

    #[test]
    fn a_date_lies_in_the_given_zone() {
        let (low, _) = DateTime::parse("2020-01-01").expect("a date").range(120);
        assert_eq!(low.to_string(), "2019-12-31T22:00:00.000Z");
    }

    #[test]
    fn days_that_do_not_exist_are_refused() {
        let bad = [
            "",
            "202",
            "0000",
            "10000",
            "2020-",
            "2020-00",
            "2020-13",
            "2020-1",
            "2020-02-30",
            "2019-02-29",
            "2020-04-31",
            "2020-01-00",
            "2020-01-01T",
            "2020-01-01T24:00:00Z",
            "2020-01-01T10:60:00Z",
            "2020-01-01T10:00:61Z",
            "2020-01-01T10:00:00",
            "2020-01-01T10:00Z",
            "2020-01-01T10:00:00.Z",
            "2020-01-01t10:00:00Z",
            "2020-01-01T10:00:00z",
            "2020-01-01T10:00:00+14:01",
            "2020-01-01 ",
            "2020-01-01T10:00:00+1:00",
            "2020-01-01T10:00:00+01:60",
            "+020-01-01",
            "٢٠٢٠",
        ];
        for text in bad {
            assert_eq!(DateTime::parse(text), None, "{text}");
        }
    }
}
