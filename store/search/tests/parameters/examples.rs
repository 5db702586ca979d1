//! Every official example goes through.

use keepwell_fhir::{ResourceType, Walker};
use keepwell_search::{Extractor, ParameterNumber, Parameters};

use serde_json::{Value, json};

use crate::shared;

#[test]
fn every_type_of_the_examples_has_values() {
    let Some(folder) = shared::folder("data/examples") else { return };
    let parameters = Parameters::r4();
    let mut extractor = Extractor::new(parameters.clone());
    let (mut resources, mut entries) = (0, 0);
    for path in shared::files(&folder) {
        for line in shared::lines(&shared::read(&path)) {
            let extracted = extractor.extract(line).expect("the examples are JSON");
            let resource_type = extracted.walk.resource_type;
            for entry in extracted.values.entries() {
                let is_compartment = (ParameterNumber::COMPARTMENT_PATIENT
                    ..=ParameterNumber::COMPARTMENT_DEVICE)
                    .contains(&entry.number);
                let known = parameters.of(resource_type).any(|parameter| parameter.number == entry.number);
                assert!(known || is_compartment, "{resource_type}: {entry:?}");
                let parts = extracted.values.tuple(entry).count();
                let components =
                    parameters.number(entry.number).map_or(0, |parameter| parameter.components.len());
                assert_eq!(parts, components, "{resource_type}: {entry:?}");
                entries += 1;
            }
            resources += 1;
        }
    }
    assert_eq!((resources, entries > 100_000), (5299, true), "{entries} entries");
}

#[test]
fn hostile_documents_are_read_as_the_walker_reads_them() {
    let Some(folder) = shared::folder("data/json") else { return };
    let mut extractor = Extractor::new(Parameters::r4());
    let mut walker = Walker::new();
    let mut counts = [0, 0];
    for part in ["fhir-nasty", "JSONTestSuite/test_parsing", "JSONTestSuite/test_transform"] {
        for path in shared::files(&folder.join(part)) {
            let json = shared::read(&path);
            let found = extractor.extract(&json).map(|extracted| extracted.walk.issues.len());
            assert_eq!(found, walker.walk(&json).map(|walk| walk.issues.len()), "{}", path.display());
            counts[usize::from(found.is_ok())] += 1;
        }
    }
    assert!(counts[0] > 300 && counts[1] > 50, "{counts:?}");
}

#[test]
fn elements_that_are_no_fhir_give_no_values_and_no_panic() {
    let mut extractor = Extractor::new(Parameters::r4());
    // Every element of some resources becomes every other sort of JSON.
    let samples = [
        r#"{"resourceType":"Patient","id":"1","name":[{"given":["A"]}],"telecom":[{"system":"phone","value":"1"}],
            "birthDate":"2020","deceasedBoolean":false,"identifier":[{"system":"s","value":"v"}],
            "link":[{"other":{"reference":"Patient/2"}}]}"#,
        r#"{"resourceType":"Observation","code":{"coding":[{"system":"s","code":"c"}]},"subject":{"reference":"x"},
            "component":[{"code":{"text":"t"},"valueQuantity":{"value":1,"unit":"u"}}],"effectivePeriod":{"start":"2020"}}"#,
        r#"{"resourceType":"Bundle","type":"document","entry":[{"resource":{"resourceType":"Composition","id":"c"}}]}"#,
        r#"{"resourceType":"MolecularSequence","variant":[{"start":1}],"referenceSeq":{"chromosome":{"text":"t"}}}"#,
    ];
    for sample in samples {
        let sample: Value = serde_json::from_str(sample).expect("JSON");
        for other in
            [json!(null), json!(7), json!(true), json!("text"), json!([]), json!({}), json!([[{"a": "b"}]])]
        {
            let mut changed = Vec::new();
            change(&sample, &other, &mut |value| changed.push(value));
            for value in changed {
                let _ = extractor.extract(value.to_string().as_bytes());
            }
        }
    }
}

/// Calls with every version of the value in which one part is another value.
fn change(value: &Value, other: &Value, each: &mut dyn FnMut(Value)) {
    match value {
        Value::Object(members) => {
            for (key, member) in members.iter().filter(|(key, _)| *key != "resourceType") {
                let mut put = |part: Value| {
                    let mut changed = members.clone();
                    changed.insert(key.clone(), part);
                    each(Value::Object(changed));
                };
                put(other.clone());
                change(member, other, &mut put);
            }
        }
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                let mut put = |part: Value| {
                    let mut changed = items.clone();
                    changed[place] = part;
                    each(Value::Array(changed));
                };
                put(other.clone());
                change(item, other, &mut put);
            }
        }
        _ => {}
    }
}

#[test]
fn numbers_are_unique_and_stable() {
    let parameters = Parameters::r4();
    let mut numbers: Vec<u16> = parameters.all().map(|parameter| parameter.number.0).collect();
    numbers.sort_unstable();
    let count = numbers.len();
    numbers.dedup();
    assert_eq!((numbers.len(), count), (1716, 1716));
    let number = |name: &str, code: &str| {
        let resource_type = ResourceType::parse(name).expect("an R4 type");
        parameters.get(resource_type, code).map(|parameter| parameter.number.0)
    };
    // These stand on disks: a change needs a new index, not a new expectation.
    for (name, code, expected) in [
        ("Patient", "_id", 1),
        ("Observation", "_source", 6),
        ("Account", "identifier", 64),
        ("Patient", "birthdate", 1263),
        ("VisionPrescription", "status", 1760),
        ("Device", "din", 1761),
    ] {
        assert_eq!(number(name, code), Some(expected), "{name} {code}");
    }
}
