//! Tests on the bytes of terms, for what their order does not tell.

use std::sync::Arc;

use crate::number::Number;
use crate::query::{Prefix, UnitMatch};
use crate::term::{
    HEAD_BYTES, UnitKey, is_cut, read_date, read_degrees, read_late, read_unit, successor, write_text,
};
use crate::ucum::{Canonical, canonical_unit};
use crate::value::UCUM;

use super::Plan;

/// Which terms of a range count.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Test {
    /// Dates whose end is not before `from` and not behind `to`, in ticks of 100 ns since 1970.
    Ends {
        /// The least end.
        from: i64,
        /// The largest end.
        to: i64,
    },
    /// Long dates, sorted by their end, that begin before a tick.
    Begins {
        /// The tick.
        before: i64,
    },
    /// Texts that were not cut and contain this one.
    Contains(Box<[u8]>),
    /// Texts that were not cut and end with this one.
    EndsWith(Box<[u8]>),
    /// Texts that were cut, which the other tests cannot tell about.
    IsCut,
    /// Numbers and ranges of numbers.
    Number {
        /// Where in the term they begin.
        at: usize,
        /// What they are converted from, to its base units, before; none if they are compared as they are.
        unit: Option<Arc<Canonical>>,
        /// With what they are compared.
        comparison: Comparison,
    },
    /// Places not farther from one than this.
    Near {
        /// Degrees north.
        latitude: f64,
        /// Degrees east.
        longitude: f64,
        /// Metres.
        distance_m: f64,
    },
}

/// A number and how others are compared with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Comparison {
    /// How.
    pub prefix: Prefix,
    /// The number.
    pub value: Number,
    /// The range that it stands for; the end does not belong to it.
    pub range: (Number, Number),
}

impl Test {
    /// Whether the term, which is of the facet that the test was made for, counts.
    #[must_use]
    pub fn accepts(&self, term: &[u8]) -> bool {
        let Some(value) = term.get(HEAD_BYTES..) else { return false };
        match self {
            Self::Ends { from, to } => {
                read_date(value).is_some_and(|range| (*from..=*to).contains(&range.high))
            }
            Self::Begins { before } => read_late(value).is_some_and(|low| low < *before),
            Self::Contains(text) => !is_cut(value) && memchr::memmem::find(value, text).is_some(),
            Self::EndsWith(text) => !is_cut(value) && value.ends_with(text),
            Self::IsCut => is_cut(value),
            Self::Number { at, unit, comparison } => {
                let convert = |number| unit.as_ref().map_or(number, |unit| unit.convert(number));
                read_numbers(term, *at)
                    .is_some_and(|(low, high)| comparison.accepts(convert(low), convert(high)))
            }
            Self::Near { latitude, longitude, distance_m } => {
                let place = read_degrees(value).zip(value.get(4..).and_then(read_degrees));
                place.is_some_and(|place| {
                    crate::near::distance_m(place, (*latitude, *longitude)) <= *distance_m
                })
            }
        }
    }
}

/// One number, or two, up to the end of the term.
fn read_numbers(term: &[u8], at: usize) -> Option<(Number, Number)> {
    let (low, rest) = Number::decode(term.get(at..)?)?;
    if rest.is_empty() {
        return Some((low, low));
    }
    Some((low, Number::decode(rest)?.0))
}

impl Comparison {
    /// Whether a range of numbers, both ends included, satisfies the comparison.
    fn accepts(&self, low: Number, high: Number) -> bool {
        let within = self.range.0 <= low && high < self.range.1;
        match self.prefix {
            Prefix::Eq => within,
            Prefix::Ne => !within,
            Prefix::Gt => high > self.value,
            Prefix::Lt => low < self.value,
            Prefix::Ge => high >= self.value,
            Prefix::Le => low <= self.value,
            Prefix::Sa => low > self.value,
            Prefix::Eb => high < self.value,
            Prefix::Ap => low < self.range.1 && self.range.0 <= high,
        }
    }

    /// The least and the largest number that can satisfy the comparison; none where there is no end.
    const fn hull(&self) -> (Option<Number>, Option<Number>) {
        match self.prefix {
            Prefix::Eq | Prefix::Ap => (Some(self.range.0), Some(self.range.1)),
            Prefix::Ne => (None, None),
            Prefix::Gt | Prefix::Sa | Prefix::Ge => (Some(self.value), None),
            Prefix::Lt | Prefix::Eb | Prefix::Le => (None, Some(self.value)),
        }
    }

    /// The terms behind `head` whose single numbers satisfy the comparison.
    pub(super) fn points(&self, head: &[u8]) -> Plan {
        let at = |number: Number| {
            let mut bytes = head.to_vec();
            number.encode(&mut bytes);
            bytes
        };
        let behind = |number| successor(&at(number)).unwrap_or_default();
        let (first, last) = (|| head.to_vec(), || successor(head).unwrap_or_default());
        let (low, high) = self.range;
        let range = |from, to| Plan::Range { from, to };
        match self.prefix {
            Prefix::Eq | Prefix::Ap => range(at(low), at(high)),
            Prefix::Ne => Plan::or([range(first(), at(low)), range(at(high), last())]),
            Prefix::Gt | Prefix::Sa => range(behind(self.value), last()),
            Prefix::Lt | Prefix::Eb => range(first(), at(self.value)),
            Prefix::Ge => range(at(self.value), last()),
            Prefix::Le => range(first(), behind(self.value)),
        }
    }
}

/// Quantities, whose terms lie together by unit.
///
/// There are few units to a parameter, so all of them are visited: go to the first term from [`Self::head`] on, let
/// [`Self::group`] tell what all terms of its unit begin with, evaluate [`Self::plan`] for that, go on at its
/// [`crate::successor`], and so on to the last term that begins with the head.
#[derive(Clone, PartialEq, Debug)]
pub struct UnitScan {
    pub(super) head: Vec<u8>,
    pub(super) unit: UnitMatch,
    pub(super) comparison: Comparison,
    pub(super) is_span: bool,
}

impl UnitScan {
    /// What all terms begin with.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The beginning that the term shares with all others of its unit.
    #[must_use]
    pub fn group<'t>(&self, term: &'t [u8]) -> Option<&'t [u8]> {
        let (_, length) = read_unit(term.strip_prefix(self.head.as_slice())?)?;
        Some(&term[..self.head.len() + length])
    }

    /// Which terms of a unit count.
    #[must_use]
    pub fn plan(&self, group: &[u8]) -> Plan {
        let unit = group.strip_prefix(self.head.as_slice()).and_then(read_unit);
        match unit.and_then(|(unit, _)| self.conversion(unit)) {
            None => Plan::None,
            Some(None) => self.same_unit(group),
            Some(Some((from, to))) => self.other_unit(group, from, &to),
        }
    }

    /// Whether the unit counts at all, and if it does, from what to what its numbers are converted before they are
    /// compared.
    #[expect(clippy::option_option, reason = "no, as it is, and converted are three answers")]
    fn conversion(&self, unit: UnitKey<'_>) -> Option<Option<(Arc<Canonical>, Arc<Canonical>)>> {
        let same = |a: Option<&[u8]>, b: &str| {
            let mut text = Vec::new();
            write_text(b.as_bytes(), &mut text);
            a == Some(text.as_slice())
        };
        match &self.unit {
            UnitMatch::Any => Some(None),
            UnitMatch::System(system) => same(unit.system, system).then_some(None),
            UnitMatch::Code(code) => (same(unit.code, code) || same(unit.text, code)).then_some(None),
            UnitMatch::Exact { system, code } if !same(unit.system, system) => {
                let _ = code;
                None
            }
            UnitMatch::Exact { code, .. } if same(unit.code, code) => Some(None),
            UnitMatch::Exact { system, code } if &**system == UCUM => {
                let from = canonical_unit(std::str::from_utf8(unit.code?).ok()?)?;
                let to = canonical_unit(code)?;
                (from.unit == to.unit).then_some(Some((from, to)))
            }
            UnitMatch::Exact { .. } => None,
        }
    }

    fn same_unit(&self, group: &[u8]) -> Plan {
        if !self.is_span {
            return self.comparison.points(group);
        }
        let test = Test::Number { at: group.len(), unit: None, comparison: self.comparison };
        super::scan(group.to_vec(), test)
    }

    /// The numbers of the unit, and those of the comparison, in base units.
    fn other_unit(&self, group: &[u8], from: Arc<Canonical>, to: &Canonical) -> Plan {
        let (low, high) = self.comparison.range;
        let comparison = Comparison {
            prefix: self.comparison.prefix,
            value: to.convert(self.comparison.value),
            range: (to.convert(low), to.convert(high)),
        };
        // Of a range of values one end may be anywhere.
        let (first, last) = if self.is_span { (None, None) } else { comparison.hull() };
        let at = |number, direction| {
            let mut bytes = group.to_vec();
            outward(&from, number, direction).encode(&mut bytes);
            bytes
        };
        Plan::Scan {
            from: first.map_or_else(|| group.to_vec(), |number| at(number, -1)),
            to: last.map(|number| at(number, 1)).or_else(|| successor(group)).unwrap_or_default(),
            test: Test::Number { at: group.len(), unit: Some(from.clone()), comparison },
        }
    }
}

/// A number of base units in another unit, moved in a direction by more than conversions are inexact.
fn outward(unit: &Canonical, number: Number, direction: i128) -> Number {
    let converted = number.plus(unit.offset.negated()).divided_by(unit.factor);
    let size = converted.magnitude().plus(unit.offset.divided_by(unit.factor).magnitude());
    converted.plus(size.times(Number::new(direction, -10)))
}
