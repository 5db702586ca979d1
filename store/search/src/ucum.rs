//! Units of measure, brought to a common one (UCUM).
//!
//! Two units are comparable if their [`Canonical::unit`] is the same; a value is then `value * factor + offset` of it.
//! UCUM counts the mole as a mere number; here it is not, or 1 mmol/L would be 6.02e20 cells per litre.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use octofhir_ucum::{UnitExpr, get_canonical_units, parse_expression};

use crate::number::Number;

/// The longest unit that is looked at, in bytes.
pub const MAX_UNIT_BYTES: usize = 128;

/// How many digits of a converted value count.
const CERTAIN_DIGITS: u32 = 15;

/// How many units are remembered.
const MAX_CACHED_UNITS: usize = 4_096;

/// What a unit is in terms of the base units.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Canonical {
    /// The base units with their exponents, and that of the mole.
    pub unit: Box<str>,
    /// How many of them the unit is.
    pub factor: Number,
    /// How many of them its zero is; for temperatures.
    pub offset: Number,
}

impl Canonical {
    /// A value in the unit, in base units. Some factors have no end (a degree Fahrenheit is 5/9 of a kelvin), so the
    /// result has only as many digits as are certain.
    #[must_use]
    pub fn convert(&self, value: Number) -> Number {
        value.times(self.factor).plus(self.offset).to_digits(CERTAIN_DIGITS)
    }
}

/// The units that were asked for, by their code: most stores have some dozens.
static CACHE: LazyLock<RwLock<Units>> = LazyLock::new(RwLock::default);

type Units = HashMap<Box<str>, Option<Arc<Canonical>>>;

/// The canonical form of a UCUM code; none if it is not one, or has no linear scale (such as pH).
///
/// ```
/// let gram = keepwell_search::canonical_unit("g").expect("a unit");
/// let milligram = keepwell_search::canonical_unit("mg").expect("a unit");
/// assert_eq!(gram.unit, milligram.unit);
/// ```
#[must_use]
pub fn canonical_unit(code: &str) -> Option<Arc<Canonical>> {
    if code.len() > MAX_UNIT_BYTES {
        return None;
    }
    if let Some(known) = CACHE.read().unwrap_or_else(PoisonError::into_inner).get(code) {
        return known.clone();
    }
    let canonical = analyse(code).map(Arc::new);
    let mut cache = CACHE.write().unwrap_or_else(PoisonError::into_inner);
    if cache.len() < MAX_CACHED_UNITS {
        cache.insert(code.into(), canonical.clone());
    }
    canonical
}

fn analyse(code: &str) -> Option<Canonical> {
    let canonical = get_canonical_units(code).ok()?;
    let moles = moles(&parse_expression(code).ok()?);
    let unit = if moles == 0 { canonical.unit } else { format!("{}.mol{moles}", canonical.unit) };
    Some(Canonical { unit: unit.into(), factor: number(canonical.factor), offset: number(canonical.offset) })
}

fn number(number: octofhir_ucum::Number) -> Number {
    let (mantissa, exponent) = number.to_integer_and_exponent();
    Number::new(mantissa, i64::from(exponent))
}

/// The exponent of the mole, in whatever unit it is written.
fn moles(unit: &UnitExpr) -> i32 {
    match unit {
        UnitExpr::Symbol(symbol) => {
            i32::from(["mol", "eq", "osm", "kat", "U"].iter().any(|atom| symbol.ends_with(atom)))
        }
        UnitExpr::Power(unit, exponent) => moles(unit).saturating_mul(*exponent),
        UnitExpr::Annotated(unit, _) => moles(unit),
        UnitExpr::Product(units) => units.iter().map(moles).fold(0, i32::saturating_add),
        UnitExpr::Quotient(above, below) => moles(above).saturating_sub(moles(below)),
        UnitExpr::Reciprocal(unit) => moles(unit).saturating_neg(),
        UnitExpr::Numeric(_) | UnitExpr::Annotation(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, from: &str, to: &str, expected: &str) {
        let (source, target) = (canonical_unit(from).expect("a unit"), canonical_unit(to).expect("a unit"));
        assert_eq!(source.unit, target.unit, "{from} {to}");
        let (value, expected) =
            (Number::parse(value).expect("a number"), Number::parse(expected).expect("a number"));
        assert_eq!(source.convert(value), target.convert(expected), "{value:?} {from} {to}");
    }

    #[test]
    fn clinical_units_convert() {
        check("1", "g", "mg", "1000");
        check("5.4", "mmol/L", "umol/mL", "5.4");
        check("185", "[lb_av]", "g", "83914.58845");
        check("98.6", "[degF]", "Cel", "37");
        check("1", "kat/L", "U/L", "60000000");
        check("120", "mm[Hg]", "Pa", "15998.64");
        check("7", "{score}", "1", "7");
    }

    #[test]
    fn moles_are_not_numbers() {
        let unit = |code| canonical_unit(code).expect("a unit").unit.clone();
        assert_ne!(unit("mmol/L"), unit("10*3/L"));
        assert_eq!(unit("mmol/mol"), unit("%"));
        assert_eq!(unit("meq/L"), unit("mmol/L"));
    }

    #[test]
    fn what_is_no_linear_unit_has_no_canonical_form() {
        for code in ["", "nonsense", "[pH]", "mg/dl/", &"m.".repeat(1_000), "mm hg", "é"] {
            assert_eq!(canonical_unit(code), None, "{code}");
        }
    }
}
