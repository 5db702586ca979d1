//! Resources as rows: what people want to see of an element, in a few words.
//!
//! Columns are element paths (`code`, `subject.display`); a choice element goes by its name without type, as in the
//! specification (`value` finds `valueQuantity`). Data types are told by their members, so every resource type works.

use serde_json::{Map, Value};

/// Elements that tell most about a resource, the most telling first.
const TELLING: [&str; 22] = [
    "name",
    "title",
    "code",
    "vaccineCode",
    "medication",
    "class",
    "type",
    "category",
    "value",
    "gender",
    "birthDate",
    "clinicalStatus",
    "status",
    "effective",
    "performed",
    "onset",
    "occurrence",
    "authoredOn",
    "period",
    "date",
    "subject",
    "patient",
];

/// Columns chosen for a table at the most.
const COLUMNS_MAX: usize = 5;

/// Items of a list that are shown.
const ITEMS_MAX: usize = 3;

/// The telling elements that these resources have.
pub(crate) fn telling(resources: &[Value]) -> Vec<String> {
    let is_there = |name: &&str| resources.iter().any(|resource| find(resource, name).is_some());
    TELLING.iter().copied().filter(is_there).take(COLUMNS_MAX).map(str::to_owned).collect()
}

/// What stands at a path, empty when nothing does.
pub(crate) fn cell(resource: &Value, path: &str) -> String {
    let mut values = vec![resource];
    for name in path.split('.') {
        values = values
            .into_iter()
            .filter_map(|value| find(value, name))
            .flat_map(|value| value.as_array().map_or_else(|| vec![value], |items| items.iter().collect()))
            .collect();
    }
    listed(values.into_iter().map(short))
}

/// The member of that name, or the choice element that it begins.
fn find<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let members = value.as_object()?;
    members.get(name).or_else(|| {
        members
            .iter()
            .find(|(key, _)| {
                key.strip_prefix(name).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
            })
            .map(|(_, value)| value)
    })
}

fn listed(texts: impl Iterator<Item = String>) -> String {
    let mut texts: Vec<_> = texts.filter(|text| !text.is_empty()).collect();
    if texts.len() > ITEMS_MAX {
        texts.truncate(ITEMS_MAX);
        texts.push("…".to_owned());
    }
    texts.join("; ")
}

fn short(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => listed(items.iter().map(short)),
        Value::Object(members) => object(members),
        plain => plain.to_string(),
    }
}

/// The data types, told apart by the members that only they have.
fn object(members: &Map<String, Value>) -> String {
    let text = |name: &str| members.get(name).map(short).unwrap_or_default();
    let joined = |names: [&str; 2], between: &str| {
        let texts = names.map(text);
        if texts.iter().any(String::is_empty) { texts.concat() } else { texts.join(between) }
    };
    let has = |name: &str| members.contains_key(name);
    if has("text") {
        text("text")
    } else if has("family") || has("given") {
        let given = members
            .get("given")
            .and_then(Value::as_array)
            .map(|given| given.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "));
        [given.unwrap_or_default(), text("family")].join(" ").trim().to_owned()
    } else if has("coding") {
        text("coding")
    } else if has("display") {
        text("display")
    } else if has("reference") {
        text("reference")
    } else if has("unit") || has("value") && has("code") {
        joined(["value", if has("unit") { "unit" } else { "code" }], " ")
    } else if has("value") {
        joined(["value", "currency"], " ")
    } else if has("code") {
        text("code")
    } else if has("start") || has("end") {
        [text("start"), text("end")].join(" – ").trim().to_owned()
    } else if has("low") || has("high") {
        joined(["low", "high"], " – ")
    } else if has("numerator") {
        joined(["numerator", "denominator"], " / ")
    } else {
        members.values().find(|value| value.is_string()).map(short).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_types_are_told_in_a_few_words() {
        let resource: Value = serde_json::from_str(
            r#"{"name":[{"given":["Ann","B"],"family":"Lee"},{"text":"Annie"}],
                "code":{"coding":[{"system":"s","code":"8480-6","display":"Systolic"}]},
                "valueQuantity":{"value":1.50,"unit":"mg","code":"mg"},
                "period":{"start":"2020-01-01"},"subject":{"reference":"Patient/1"},
                "range":{"low":{"value":1,"unit":"g"},"high":{"value":2,"unit":"g"}},
                "cost":{"value":5,"currency":"EUR"},"flag":true,
                "component":[{"code":{"text":"a"}},{"code":{"text":"b"}},{"code":{"text":"c"}},{"code":{"text":"d"}}]}"#,
        )
        .unwrap();
        for (path, expected) in [
            ("name", "Ann B Lee; Annie"),
            ("code", "Systolic"),
            ("code.coding.code", "8480-6"),
            ("value", "1.50 mg"),
            ("period", "2020-01-01 –"),
            ("subject", "Patient/1"),
            ("range", "1 g – 2 g"),
            ("cost", "5 EUR"),
            ("flag", "true"),
            ("component.code", "a; b; c; …"),
            ("absent", ""),
            ("code.absent", ""),
        ] {
            assert_eq!(cell(&resource, path), expected, "{path}");
        }
        assert_eq!(telling(std::slice::from_ref(&resource)), ["name", "code", "value", "period", "subject"]);
    }
}
