//! Days and moments of the proleptic Gregorian calendar.
//!
//! A [`Day`] counts days since 1970-01-01, a [`Moment`] is a local wall-clock second with its offset
//! from UTC. Both print as FHIR writes them (R4 datatypes.html#date, #dateTime, #instant).
//!
//! Invariant: plain arithmetic; nothing here knows what day it is.

use std::fmt;

/// Days in a mean Gregorian year, times 10,000.
const YEAR_DAYS_E4: i64 = 3_652_425;
const DAY_S: i64 = 86_400;

/// A day, as a count since 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Day(pub(crate) i64);

impl Day {
    /// The day of a civil date. Months and days out of range run over into their neighbours.
    pub(crate) const fn of(year: i64, month: i64, day: i64) -> Self {
        let (year, month) = (year + (month - 1).div_euclid(12), (month - 1).rem_euclid(12) + 1);
        // The year starts in March, so that a leap day is the last day of its year.
        let shifted = if month <= 2 { year - 1 } else { year };
        let era = shifted.div_euclid(400);
        let year_of_era = shifted - era * 400;
        let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Self(era * 146_097 + day_of_era - 719_468)
    }

    /// Year, month 1-12, day 1-31.
    pub(crate) const fn civil(self) -> (i64, i64, i64) {
        let shifted = self.0 + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted - era * 146_097;
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        (year_of_era + era * 400 + (month <= 2) as i64, month, day)
    }

    /// The day `days` later.
    pub(crate) const fn plus(self, days: i64) -> Self {
        Self(self.0 + days)
    }

    /// Whole mean years from `self` to `later`.
    pub(crate) const fn years_until(self, later: Self) -> i64 {
        (later.0 - self.0) * 10_000 / YEAR_DAYS_E4
    }

    /// The day `years` mean years later.
    pub(crate) const fn plus_years(self, years: i64) -> Self {
        Self(self.0 + years * YEAR_DAYS_E4 / 10_000)
    }

    /// A second of this day, on the clock of a place `offset_minutes` east of UTC.
    pub(crate) const fn at(self, second: i64, offset_minutes: i64) -> Moment {
        Moment { second: self.0 * DAY_S + second, offset_minutes }
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// A second on the clock of one place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Moment {
    second: i64,
    offset_minutes: i64,
}

impl Moment {
    /// The day on that clock.
    pub(crate) const fn day(self) -> Day {
        Day(self.second.div_euclid(DAY_S))
    }

    /// The moment `minutes` later.
    pub(crate) const fn plus_minutes(self, minutes: i64) -> Self {
        Self { second: self.second + minutes * 60, offset_minutes: self.offset_minutes }
    }

    /// The moment `days` later, same time of day.
    pub(crate) const fn plus_days(self, days: i64) -> Self {
        self.plus_minutes(days * 1440)
    }

    /// FHIR instant with milliseconds.
    pub(crate) fn instant(self, milliseconds: i64) -> String {
        let text = self.to_string();
        let (seconds, zone) = text.split_at(19);
        format!("{seconds}.{milliseconds:03}{zone}")
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = self.second.rem_euclid(DAY_S);
        let sign = if self.offset_minutes < 0 { '-' } else { '+' };
        let offset = self.offset_minutes.abs();
        write!(
            f,
            "{}T{:02}:{:02}:{:02}{sign}{:02}:{:02}",
            self.day(),
            second / 3600,
            second / 60 % 60,
            second % 60,
            offset / 60,
            offset % 60
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_print_and_come_back() {
        for (day, text) in
            [(0, "1970-01-01"), (-1, "1969-12-31"), (11_016, "2000-02-29"), (20_779, "2026-11-22")]
        {
            assert_eq!(Day(day).to_string(), text);
            let (year, month, day_of_month) = Day(day).civil();
            assert_eq!(Day::of(year, month, day_of_month), Day(day));
        }
    }

    #[test]
    fn thirteenth_month_is_january() {
        assert_eq!(Day::of(2023, 13, 1), Day::of(2024, 1, 1));
    }

    #[test]
    fn moments_carry_their_offset() {
        let moment = Day::of(2024, 2, 28).at(86_399, -300);
        assert_eq!(moment.to_string(), "2024-02-28T23:59:59-05:00");
        assert_eq!(moment.plus_minutes(1).to_string(), "2024-02-29T00:00:59-05:00");
        assert_eq!(moment.instant(7), "2024-02-28T23:59:59.007-05:00");
    }
}
