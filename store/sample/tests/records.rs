//! What every generated record promises.

use std::collections::HashSet;

use keepwell_fhir::Walker;
use keepwell_sample::Sample;
use serde_json::Value;

const TODAY: (u16, u8, u8) = (2026, 11, 22);
const PATIENTS: u64 = 30;

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("generated JSON parses")
}

fn all(sample: &Sample) -> Vec<Value> {
    sample.resources(PATIENTS).map(|text| parsed(&text)).collect()
}

fn reference_to(resource: &Value) -> String {
    format!(
        "{}/{}",
        resource["resourceType"].as_str().expect("a type"),
        resource["id"].as_str().expect("an id")
    )
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("reference").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn same_seed_gives_same_bytes() {
    let (one, other) = (Sample::new(1, TODAY), Sample::new(1, TODAY));
    assert_eq!(one.providers(), other.providers());
    assert!(one.patients(3).eq(other.patients(3)));
}

#[test]
fn another_seed_or_number_gives_another_patient() {
    let (one, other) = (Sample::new(1, TODAY), Sample::new(2, TODAY));
    assert_ne!(one.patients(1).next(), other.patients(1).next());
    let both: HashSet<_> = one.patients(2).collect();
    assert_eq!(both.len(), 2);
}

#[test]
fn longer_run_begins_with_the_shorter_one() {
    let sample = Sample::new(3, TODAY);
    assert!(sample.patients(2).eq(sample.patients(5).take(2)));
}

#[test]
fn ids_are_valid_and_unique() {
    let mut seen = HashSet::new();
    for resource in all(&Sample::new(4, TODAY)) {
        let id = resource["id"].as_str().expect("an id").to_owned();
        assert!(
            id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
        );
        assert!(seen.insert(id));
    }
}

#[test]
fn every_reference_resolves() {
    let resources = all(&Sample::new(5, TODAY));
    let known: HashSet<_> = resources.iter().map(reference_to).collect();
    for resource in &resources {
        let mut found = Vec::new();
        references(resource, &mut found);
        for reference in found {
            let contained = reference.strip_prefix('#').is_some_and(|id| {
                resource["contained"]
                    .as_array()
                    .is_some_and(|items| items.iter().any(|item| item["id"] == *id))
            });
            assert!(contained || known.contains(&reference), "{reference} in {}", reference_to(resource));
        }
    }
}

#[test]
fn bundle_entries_put_each_resource_at_its_id() {
    let sample = Sample::new(6, TODAY);
    for text in [sample.providers()].into_iter().chain(sample.patients(3)) {
        let bundle = parsed(&text);
        assert_eq!(bundle["type"], "transaction");
        for entry in bundle["entry"].as_array().expect("entries") {
            assert_eq!(entry["request"]["method"], "PUT");
            assert_eq!(entry["request"]["url"], *reference_to(&entry["resource"]));
            assert_eq!(
                entry["fullUrl"],
                format!("urn:uuid:{}", entry["resource"]["id"].as_str().expect("an id"))
            );
        }
    }
}

#[test]
fn nothing_happens_after_today() {
    for resource in all(&Sample::new(7, TODAY)) {
        for name in ["recordedDate", "authoredOn", "effectiveDateTime", "occurrenceDateTime", "birthDate"] {
            let date = resource[name].as_str().unwrap_or_default();
            assert!(
                date.get(..10).unwrap_or_default() <= "2026-11-22",
                "{name} of {}",
                reference_to(&resource)
            );
        }
    }
}

#[test]
fn records_are_many_and_varied() {
    let resources = all(&Sample::new(8, TODAY));
    let types: HashSet<_> =
        resources.iter().filter_map(|resource| resource["resourceType"].as_str()).collect();
    assert!(types.len() >= 24, "{types:?}");
    assert!(resources.len() as u64 > PATIENTS * 150);
    assert!(resources.iter().any(|resource| !resource["name"].to_string().is_ascii()));
}

#[test]
fn every_record_is_valid() {
    let mut walker = Walker::new();
    for text in Sample::new(9, TODAY).resources(60) {
        let walk = walker.walk(text.as_bytes()).expect("a FHIR resource");
        assert!(walk.issues.is_empty(), "{:?} in {text}", walk.issues);
    }
}
