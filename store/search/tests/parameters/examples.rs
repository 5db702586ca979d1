//! Every official example goes through.

use keepwell_fhir::ResourceType;
use keepwell_search::{Extractor, ParameterNumber, Parameters};

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
