//! FHIR data types as JSON values, in the element order of their definitions.

use std::fmt;

use serde_json::{Number, Value, json};

use crate::calendar::Moment;

/// A coded concept: code system, code and the system's own name for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Code {
    pub(crate) system: &'static str,
    pub(crate) code: &'static str,
    pub(crate) display: &'static str,
}

/// A SNOMED CT concept.
pub(crate) const fn snomed(code: &'static str, display: &'static str) -> Code {
    Code { system: "http://snomed.info/sct", code, display }
}

/// A LOINC term.
pub(crate) const fn loinc(code: &'static str, display: &'static str) -> Code {
    Code { system: "http://loinc.org", code, display }
}

/// An RxNorm drug.
pub(crate) const fn rxnorm(code: &'static str, display: &'static str) -> Code {
    Code { system: "http://www.nlm.nih.gov/research/umls/rxnorm", code, display }
}

/// A CVX vaccine.
pub(crate) const fn cvx(code: &'static str, display: &'static str) -> Code {
    Code { system: "http://hl7.org/fhir/sid/cvx", code, display }
}

impl Code {
    /// As a Coding.
    pub(crate) fn coding(&self) -> Value {
        json!({"system": self.system, "code": self.code, "display": self.display})
    }

    /// As a CodeableConcept whose text is the display.
    pub(crate) fn concept(&self) -> Value {
        json!({"coding": [self.coding()], "text": self.display})
    }
}

/// A CodeableConcept of one code without display or text, as codes of status elements are written.
pub(crate) fn bare_concept(system: &str, code: &str) -> Value {
    json!({"coding": [{"system": system, "code": code}]})
}

/// A CodeableConcept of one code of `http://terminology.hl7.org/CodeSystem/{system}`.
pub(crate) fn hl7(system: &str, code: &str) -> Value {
    bare_concept(&format!("http://terminology.hl7.org/CodeSystem/{system}"), code)
}

/// The same with a display.
pub(crate) fn hl7_named(system: &str, code: &str, display: &str) -> Value {
    json!({"coding": [{
        "system": format!("http://terminology.hl7.org/CodeSystem/{system}"), "code": code, "display": display,
    }]})
}

/// A decimal that keeps its digits: `mantissa` times ten to the power of minus `scale`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Decimal {
    pub(crate) mantissa: i64,
    pub(crate) scale: u32,
}

impl Decimal {
    /// As a JSON number with exactly `scale` digits after the point.
    pub(crate) fn json(self) -> Value {
        Value::Number(self.to_string().parse::<Number>().expect("digits and a point are a JSON number"))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scale == 0 {
            return write!(f, "{}", self.mantissa);
        }
        let power = 10_i64.pow(self.scale);
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let digits = self.mantissa.abs();
        write!(f, "{sign}{}.{:0width$}", digits / power, digits % power, width = self.scale as usize)
    }
}

/// A UCUM quantity.
pub(crate) fn quantity(value: Decimal, unit: &str, ucum: &str) -> Value {
    json!({"value": value.json(), "unit": unit, "system": "http://unitsofmeasure.org", "code": ucum})
}

/// US dollars, given in cents.
pub(crate) fn money(cents: i64) -> Value {
    json!({"value": Decimal { mantissa: cents, scale: 2 }.json(), "currency": "USD"})
}

/// A literal reference.
pub(crate) fn reference(target: &str) -> Value {
    json!({"reference": target})
}

/// A literal reference with the name of its target.
pub(crate) fn named_reference(target: &str, display: &str) -> Value {
    json!({"reference": target, "display": display})
}

/// A Period.
pub(crate) fn period(start: Moment, end: Moment) -> Value {
    json!({"start": start.to_string(), "end": end.to_string()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_their_zeros() {
        for (mantissa, scale, text) in [(510, 2, "5.10"), (-5, 1, "-0.5"), (7, 0, "7"), (30, 3, "0.030")] {
            assert_eq!(Decimal { mantissa, scale }.json().to_string(), text);
        }
    }
}
