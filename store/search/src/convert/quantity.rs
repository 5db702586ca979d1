//! Numbers and quantities, also as ranges (R4 search.html#number, #quantity).

use super::text_at;
use crate::data_type::DataType;
use crate::json::{member, text};
use crate::number::Number;
use crate::value::{CURRENCIES, Unit, Value};
use crate::values::Values;

pub(super) fn convert_number(data_type: DataType, json: &[u8], out: &mut Values) {
    let numbers = match data_type {
        DataType::Range => range(json),
        _ => number(json).map(|number| (number, number)),
    };
    out.extend(numbers.map(|(low, high)| Value::Number { low, high }));
}

pub(super) fn convert(data_type: DataType, json: &[u8], out: &mut Values) {
    let (numbers, unit) = match data_type {
        DataType::Range => {
            let end = member(json, "low").or_else(|| member(json, "high"));
            (range(json), end.map(unit))
        }
        DataType::Money => {
            let code = text_at(json, "currency");
            let system = code.is_some().then(|| CURRENCIES.into());
            (exactly(json), Some(Unit { system, code, text: None }))
        }
        DataType::SampledData => (samples(json), member(json, "origin").map(unit)),
        _ => (compared(json), Some(unit(json))),
    };
    out.extend(numbers.zip(unit).map(|((low, high), unit)| Value::Quantity { low, high, unit }));
}

fn number(json: &[u8]) -> Option<Number> {
    Number::parse(std::str::from_utf8(json).ok()?)
}

fn number_at(json: &[u8], key: &str) -> Option<Number> {
    number(member(json, key)?)
}

fn unit(json: &[u8]) -> Unit {
    let code = text_at(json, "code");
    let text = text_at(json, "unit").filter(|text| Some(text) != code.as_ref());
    Unit { system: text_at(json, "system"), code, text }
}

fn exactly(json: &[u8]) -> Option<(Number, Number)> {
    number_at(json, "value").map(|number| (number, number))
}

/// A value with a comparator is known to one side only.
fn compared(json: &[u8]) -> Option<(Number, Number)> {
    let value = number_at(json, "value")?;
    match member(json, "comparator").and_then(text).as_deref() {
        Some("<" | "<=") => Some((Number::FAR.negated(), value)),
        Some(">" | ">=") => Some((value, Number::FAR)),
        _ => Some((value, value)),
    }
}

fn range(json: &[u8]) -> Option<(Number, Number)> {
    let end = |key| member(json, key).and_then(|end| number_at(end, "value"));
    match (end("low"), end("high")) {
        (None, None) => None,
        (low, high) => Some((low.unwrap_or(Number::FAR.negated()), high.unwrap_or(Number::FAR))),
    }
}

/// The least and the largest sample. `E` is no sample; `L` and `U` are below and above what the device can tell.
fn samples(json: &[u8]) -> Option<(Number, Number)> {
    let origin = number_at(member(json, "origin")?, "value").unwrap_or(Number::ZERO);
    let factor = number_at(json, "factor").unwrap_or(Number::ONE);
    let data = text(member(json, "data")?)?;
    let sample = |word: &str| match word {
        "L" => number_at(json, "lowerLimit"),
        "U" => number_at(json, "upperLimit"),
        word => Number::parse(word),
    };
    let values =
        data.split_ascii_whitespace().filter_map(sample).map(|value| value.times(factor).plus(origin));
    values.map(|value| (value, value)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}
