//! The official examples and synthetic patients: real documents, nearly all of them valid.

use std::collections::BTreeMap;

use keepwell_fhir::{Issue, Severity, Walker, operation_outcome};

use crate::shared;

/// The examples that break the rules of R4: which element, how often, and why.
const INVALID: [(&str, &str, usize, &str); 20] = [
    (
        "DeviceMetric/example",
        "DeviceMetric.parent.reference",
        1,
        "a DeviceDefinition; only Device is allowed",
    ),
    ("DeviceUseStatement/example", "DeviceUseStatement.reasonReference.reference", 1, "a Procedure"),
    ("ImplementationGuide/fhir", "ImplementationGuide.name", 1, "missing"),
    ("ImplementationGuide/fhir", "ImplementationGuide.status", 1, "missing"),
    (
        "MedicationRequest/medrx0301",
        "MedicationRequest.dispenseRequest.performer.reference",
        1,
        "a Practitioner; only Organization is allowed",
    ),
    ("Observation/clinical-gender", "Observation.performer.reference", 1, "an Encounter"),
    ("Questionnaire/qs1", "Questionnaire.item.item.item.item.linkId", 11, "missing"),
    ("Questionnaire/qs1", "Questionnaire.item.item.item.linkId", 20, "missing"),
    ("Questionnaire/qs1", "Questionnaire.item.item.linkId", 1, "missing"),
    (LONG_ID, "SearchParameter.id", 1, "67 characters; an id has at most 64"),
    ("SearchParameter/codesystem-extensions-CodeSystem-author", "SearchParameter.base", 1, "missing"),
    ("SearchParameter/codesystem-extensions-CodeSystem-effective", "SearchParameter.base", 1, "missing"),
    ("SearchParameter/codesystem-extensions-CodeSystem-end", "SearchParameter.base", 1, "missing"),
    ("SearchParameter/codesystem-extensions-CodeSystem-keyword", "SearchParameter.base", 1, "missing"),
    ("SearchParameter/codesystem-extensions-CodeSystem-workflow", "SearchParameter.base", 1, "missing"),
    ("SearchParameter/valueset-extensions-ValueSet-author", "SearchParameter.base", 1, "missing"),
    ("SearchParameter/valueset-extensions-ValueSet-effective", "SearchParameter.base", 1, "missing"),
    ("SearchParameter/valueset-extensions-ValueSet-end", "SearchParameter.base", 1, "missing"),
    ("SearchParameter/valueset-extensions-ValueSet-keyword", "SearchParameter.base", 1, "missing"),
    ("SearchParameter/valueset-extensions-ValueSet-workflow", "SearchParameter.base", 1, "missing"),
];

const LONG_ID: &str = "SearchParameter/questionnaireresponse-extensions-QuestionnaireResponse-item-subject";

#[test]
fn official_examples_are_valid_but_for_the_known_ones() {
    let Some(folder) = shared::folder("data/examples") else { return };
    let mut walker = Walker::new();
    let mut found: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut count = 0;
    for path in shared::files(&folder) {
        for line in shared::lines(&shared::read(&path)) {
            count += 1;
            let walk = walker.walk(line).expect("an example is JSON");
            let id = walk.id.map(|id| id.text(line).into_owned()).unwrap_or_default();
            for issue in walk.issues {
                let resource = format!("{}/{id}", walk.resource_type);
                *found.entry((resource, without_indexes(&issue.expression))).or_default() += 1;
            }
        }
    }
    let known = |(resource, path, count, _): &(&str, &str, usize, &str)| {
        (((*resource).to_owned(), (*path).to_owned()), *count)
    };
    assert_eq!(found, INVALID.iter().map(known).collect());
    assert_eq!(count, 5_299);
}

fn without_indexes(expression: &str) -> String {
    let steps = expression.split('.').map(|step| step.split('[').next().unwrap_or(step));
    steps.collect::<Vec<_>>().join(".")
}

#[test]
fn synthetic_patients_are_valid_and_belong_to_a_patient() {
    let Some(folder) = shared::folder("data/synthea") else { return };
    let mut walker = Walker::new();
    let (mut bundles, mut resources, mut in_compartment) = (0, 0, 0);
    for path in shared::files(&folder) {
        if path.extension().is_none_or(|extension| extension != "zst") {
            continue;
        }
        for line in shared::lines(&shared::read(&path)) {
            let walk = walker.walk(line).expect("a resource");
            let first = walk.issues.iter().find(|issue| issue.severity <= Severity::Error);
            assert_eq!(first, None, "{}", path.display());
            bundles += usize::from(walk.resource_type.name() == "Bundle");
            for entry in entries(line) {
                resources += 1;
                let walk = walker.walk(entry).expect("a resource");
                assert_eq!(walk.issues, []);
                in_compartment += usize::from(walk.patient.is_some());
            }
        }
    }
    println!("{bundles} bundles, {resources} entries, {in_compartment} of them about a patient");
    assert!(bundles > 500 && resources > 200_000 && in_compartment > 180_000);
}

/// The resources of a Bundle, as they stand in it.
fn entries(bundle: &[u8]) -> Vec<&[u8]> {
    #[derive(serde::Deserialize)]
    struct Bundle<'a> {
        #[serde(borrow, default)]
        entry: Vec<Entry<'a>>,
    }
    #[derive(serde::Deserialize)]
    struct Entry<'a> {
        #[serde(borrow)]
        resource: &'a serde_json::value::RawValue,
    }
    let bundle: Bundle<'_> = serde_json::from_slice(bundle).expect("a bundle or another resource");
    bundle.entry.into_iter().map(|entry| entry.resource.get().as_bytes()).collect()
}

#[test]
fn issues_name_their_place() {
    for (json, expression, diagnostics) in [
        (r#"{"resourceType":"Patient","x":1}"#, "Patient", "the element is not known here"),
        (
            r#"{"resourceType":"Patient","contact":[{"name":{"given":["a",""]}}]}"#,
            "Patient.contact[0].name.given[1]",
            "a string may not be empty",
        ),
        (
            r#"{"resourceType":"Patient","deceasedBoolean":true,"deceasedDateTime":"2020"}"#,
            "Patient.deceased",
            "only one type of value is allowed",
        ),
        (
            r#"{"resourceType":"Patient","deceasedBoolean":"yes"}"#,
            "Patient.deceased.ofType(boolean)",
            "the value may not be a string",
        ),
        (
            r#"{"resourceType":"Patient","link":[{"type":"seealso"}]}"#,
            "Patient.link[0].other",
            "the required element is missing",
        ),
        (
            r#"{"resourceType":"Patient","gender":"m"}"#,
            "Patient.gender",
            "the code is not in the required value set",
        ),
        (
            r#"{"resourceType":"Patient","managingOrganization":{"reference":"Patient/1"}}"#,
            "Patient.managingOrganization.reference",
            "the reference may not point at a resource of this type",
        ),
        (
            r#"{"resourceType":"Patient","name":[{"given":["a",null]}]}"#,
            "Patient.name[0].given[1]",
            "null needs an extension at the same place",
        ),
        (
            r#"{"resourceType":"Patient","_birthDate":{"extension":[{"valueString":"a"}]}}"#,
            "Patient.birthDate.extension[0].url",
            "the required element is missing",
        ),
        (
            r#"{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Basic"}}]}"#,
            "Bundle.entry[0].resource.code",
            "the required element is missing",
        ),
        (
            r#"{"resourceType":"Patient","contained":[{"resourceType":"Nothing"}]}"#,
            "Patient.contained[0]",
            "the resource has no resourceType of fhir r4",
        ),
        (
            r##"{"resourceType":"Patient","managingOrganization":{"reference":"#p"},"contained":[{"resourceType":"Basic","id":"p","code":{"text":"x"}}]}"##,
            "Patient.managingOrganization.reference",
            "the reference may not point at a resource of this type",
        ),
        (
            r##"{"resourceType":"Patient","contained":[{"resourceType":"Patient","id":"p","link":[{"type":"refer","other":{"reference":"#q"}}]}]}"##,
            "Patient.contained[0].link[0].other.reference",
            "no contained resource has the id of the reference",
        ),
        (
            r##"{"resourceType":"Observation","status":"final","code":{"text":"x"},"hasMember":[{"reference":"#"}],"contained":[{"resourceType":"Basic","id":"a","code":{"text":"x"}},{"resourceType":"Basic","id":"a","code":{"text":"x"}}]}"##,
            "Observation.contained",
            "two contained resources have the same id",
        ),
        (
            r#"{"resourceType":"Condition","subject":{"display":"a"},"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"none"},{"system":"urn:x","code":"active"}]}}"#,
            "Condition.clinicalStatus",
            "no coding is from the required value set",
        ),
    ] {
        let mut walker = Walker::new();
        let walk = walker.walk(json.as_bytes()).expect("the document is JSON");
        let issues: Vec<_> = walk.issues.iter().map(|i| (i.expression.as_str(), &*i.diagnostics)).collect();
        assert_eq!(issues, [(expression, diagnostics)], "{json}");
    }
}

#[test]
fn walk_finds_what_a_store_needs() {
    let json = r##"{
        "id": "o1", "meta": {"profile": ["http://p"], "versionId": "3", "lastUpdated": "2020-01-01T00:00:00Z"},
        "contained": [{"resourceType": "Patient", "id": "c", "identifier": [{"value": "no"}]}],
        "identifier": [{"system": "urn:s", "value": "v\u0031"}, {"use": "old"}],
        "status": "final", "code": {"text": "x"}, "resourceType": "Observation",
        "performer": [{"reference": "#c"}, {"reference": "Practitioner/p"}],
        "subject": {"reference": "Patient\/a-1\/_history\/2"}
    }"##;
    let mut walker = Walker::new();
    let walk = walker.walk(json.as_bytes()).expect("the document is JSON");
    let text = |span: keepwell_fhir::Span| span.text(json.as_bytes()).into_owned();
    assert_eq!(walk.issues, []);
    assert_eq!(walk.resource_type.name(), "Observation");
    assert_eq!(walk.id.map(text).as_deref(), Some("o1"));
    assert_eq!(walk.meta.version_id.map(text).as_deref(), Some(r#""versionId": "3""#));
    assert_eq!(walk.patient.map(text).as_deref(), Some("a-1"));
    let references: Vec<_> = walk.references.iter().map(|reference| text(reference.span)).collect();
    assert_eq!(references, ["#c", "Practitioner/p", "Patient/a-1/_history/2"]);
    let identifiers: Vec<_> =
        walk.identifiers.iter().map(|i| (i.system.map(text), i.value.map(text))).collect();
    assert_eq!(identifiers, [(Some(String::from("urn:s")), Some(String::from("v1"))), (None, None)]);
}

#[test]
fn only_large_attachments_are_listed() {
    let limit = keepwell_fhir::ATTACHMENT_INLINE_BYTES;
    for (length, count) in [(limit, 0), (limit + 4, 1)] {
        let data = "A".repeat(length);
        let json = format!(
            r#"{{"resourceType":"DocumentReference","status":"current","content":[{{"attachment":{{"data":"{data}"}}}}]}}"#
        );
        let mut walker = Walker::new();
        let walk = walker.walk(json.as_bytes()).expect("the document is JSON");
        assert_eq!((walk.issues.len(), walk.attachments.len()), (0, count));
    }
}

#[test]
fn no_issue_repeats_the_data() {
    let canary = "CANARY-7f3a";
    let documents = [
        r##"{"resourceType":"Patient","CANARY-7f3a":1,"id":"CANARY-7f3a_","gender":"CANARY-7f3a","birthDate":"CANARY-7f3a","name":[{"given":["CANARY-7f3a",{"CANARY-7f3a":1},7]}],"managingOrganization":{"reference":"#CANARY-7f3a"},"text":{"status":"generated","div":"<CANARY-7f3a>"},"contained":[{"resourceType":"CANARY-7f3a"}],"_CANARY-7f3a":{}}"##,
        r#"{"resourceType":"CANARY-7f3a"}"#,
        r#"{"resourceType":"Patient","CANARY-7f3a":1,"CANARY-7f3a":2}"#,
        r#"{"resourceType":"Patient","active":CANARY-7f3a}"#,
    ];
    let mut walker = Walker::new();
    for document in documents {
        let outcome = match walker.walk(document.as_bytes()) {
            Ok(walk) => operation_outcome(walk.issues),
            Err(error) => operation_outcome(&[Issue::from(&error)]),
        };
        assert!(!outcome.contains(canary) && outcome.contains("\"severity\""), "{outcome}");
    }
}
