//! The functional tests of UCUM, as far as canonical units are asked for.

use keepwell_search::{Number, canonical_unit};

use crate::shared;

/// Units of UCUM that no linear scale leads to: they are valid, but have no canonical form.
const NOT_LINEAR: &[&str] = &["dB[10.nV]"];

#[test]
fn functional_tests_agree() {
    let Some(folder) = shared::folder("data/cases/ucum") else { return };
    let cases = shared::read(&folder.join("functional-tests.json"));
    let cases: serde_json::Value = serde_json::from_slice(&cases).expect("the cases are JSON");
    let (mut valid, mut converted, mut failures) = (0, 0, Vec::new());
    for case in cases["cases"].as_array().expect("cases") {
        let text = |key: &str| case[key].as_str().expect("a text");
        match text("kind") {
            "validation" => {
                let unit = text("unit");
                let expected = text("valid") == "true" && !NOT_LINEAR.contains(&unit);
                if canonical_unit(unit).is_some() == expected {
                    valid += 1;
                } else {
                    failures.push(format!("{unit}: valid is not {expected}"));
                }
            }
            "conversion" => {
                let (from, to) = (text("srcUnit"), text("dstUnit"));
                let units =
                    canonical_unit(from).zip(canonical_unit(to)).filter(|(from, to)| from.unit == to.unit);
                let (low, high) = Number::implicit_range(text("outcome")).expect("a number");
                let value = Number::parse(text("value")).expect("a number");
                let is_right = units.is_some_and(|(from, to)| {
                    let found = from.convert(value);
                    to.convert(low) <= found && found <= to.convert(high)
                });
                if is_right {
                    converted += 1;
                } else {
                    failures.push(format!("{} {from} is not {} {to}", text("value"), text("outcome")));
                }
            }
            // Names for people and arithmetic of units are not needed.
            _ => {}
        }
    }
    println!("{valid} validations and {converted} conversions agree");
    assert!(failures.is_empty(), "{} cases:\n{}", failures.len(), failures.join("\n"));
}
