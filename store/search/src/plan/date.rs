//! Plans for dates (R4 search.html#prefix).
//!
//! A date is found by its beginning in one facet. Only dates longer than [`SHORT_TICKS`] are found by their end in
//! another one: of all others the beginning tells the end but for that much.

use crate::date_range::{DateRange, MAX, MIN};
use crate::parameter::ParameterNumber;
use crate::query::Prefix;
use crate::term::{Facet, SHORT_TICKS, Term, successor, write_instant};

use super::Plan;
use super::scan::Test;

pub(super) fn plan(number: ParameterNumber, prefix: Prefix, range: DateRange) -> Plan {
    let terms = Terms { number };
    let DateRange { low, high } = range;
    match prefix {
        Prefix::Eq => terms.within(range),
        Prefix::Ne => Plan::or([
            terms.begins(None, Some(low)),
            terms.begins(Some(high), None),
            terms.ends(low, high, high + 1, MAX),
        ]),
        Prefix::Gt => terms.ends_after(high),
        Prefix::Lt => terms.begins(None, Some(low)),
        Prefix::Ge => Plan::or([terms.ends_after(high), terms.within(range)]),
        Prefix::Le => Plan::or([terms.begins(None, Some(low)), terms.within(range)]),
        Prefix::Sa => terms.begins(Some(high), None),
        Prefix::Eb => terms.ends(MIN, low, MIN, low),
        Prefix::Ap => Plan::or([
            terms.begins(Some(low), Some(high)),
            terms.ends(low.saturating_sub(SHORT_TICKS).max(MIN), low, low + 1, MAX),
            terms.late(low, Some(high)),
        ]),
    }
}

/// The time of the last change is an instant.
pub(super) fn last_updated(prefix: Prefix, range: DateRange) -> Plan {
    let DateRange { low, high } = range;
    let between = |from, to| Plan::LastUpdated { from, to };
    match prefix {
        Prefix::Eq | Prefix::Ap => between(low, high),
        Prefix::Ne => Plan::or([between(MIN, low), between(high, MAX)]),
        Prefix::Gt | Prefix::Sa => between(high, MAX),
        Prefix::Lt | Prefix::Eb => between(MIN, low),
        Prefix::Ge => between(low, MAX),
        Prefix::Le => between(MIN, high),
    }
}

struct Terms {
    number: ParameterNumber,
}

impl Terms {
    /// The terms of a facet from one tick to before another.
    fn bounds(&self, facet: Facet, from: Option<i64>, to: Option<i64>) -> (Vec<u8>, Vec<u8>) {
        let head = Term::head(self.number, facet);
        let at = |tick| {
            let mut term = head.clone();
            write_instant(tick, term.buffer());
            term.into_bytes()
        };
        let end = || successor(head.bytes()).unwrap_or_default();
        (from.map_or_else(|| head.bytes().to_vec(), at), to.map_or_else(end, at))
    }

    /// Dates that begin at `from` or later, and before `to`.
    fn begins(&self, from: Option<i64>, to: Option<i64>) -> Plan {
        let (from, to) = self.bounds(Facet::Date, from, to);
        Plan::Range { from, to }
    }

    /// Those of them that end from `first` to `last`.
    fn ends(&self, from: i64, to: i64, first: i64, last: i64) -> Plan {
        let (from, to) = self.bounds(Facet::Date, Some(from), Some(to));
        Plan::Scan { from, to, test: Test::Ends { from: first, to: last } }
    }

    fn within(&self, range: DateRange) -> Plan {
        self.ends(range.low, range.high, MIN, range.high)
    }

    fn ends_after(&self, tick: i64) -> Plan {
        Plan::or([
            self.begins(Some(tick), None),
            self.ends(tick.saturating_sub(SHORT_TICKS).max(MIN), tick, tick + 1, MAX),
            self.late(tick, None),
        ])
    }

    /// Long dates that end after a tick, and begin before another.
    fn late(&self, after: i64, before: Option<i64>) -> Plan {
        let (mut from, to) = self.bounds(Facet::Late, Some(after), None);
        // Behind those that end at the tick itself: a zero byte follows their end.
        from.push(1);
        match before {
            None => Plan::Range { from, to },
            Some(tick) => Plan::Scan { from, to, test: Test::Begins { before: tick } },
        }
    }
}
