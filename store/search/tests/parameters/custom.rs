//! SearchParameters of one's own.

use keepwell_fhir::ResourceType;
use keepwell_search::{Extractor, ParameterNumber, Parameters};
use serde_json::{Value, json};

fn parameter(base: &str, kind: &str, expression: &str) -> Value {
    json!({"resourceType": "SearchParameter", "url": "http://example.org/own", "name": "own", "status": "active",
        "description": "own", "code": "own", "base": [base], "type": kind, "expression": expression})
}

fn add(parameters: &Parameters, parameter: &Value) -> Result<Parameters, Vec<keepwell_fhir::Issue>> {
    let mut next = ParameterNumber::FIRST_CUSTOM.0;
    let number = |_: ResourceType, _: &str| {
        next += 1;
        ParameterNumber(next - 1)
    };
    parameters.with_custom(parameter.to_string().as_bytes(), number)
}

/// How many values the parameter finds.
fn check(kind: &str, expression: &str, resource: &str, expected: usize) {
    let base = resource.split('"').nth(3).expect("the type comes first");
    let parameters = add(&Parameters::r4(), &parameter(base, kind, expression))
        .unwrap_or_else(|issues| panic!("{expression}: {issues:?}"));
    let mut extractor = Extractor::new(parameters);
    let extracted = extractor.extract(resource.as_bytes()).expect("JSON");
    let own = extracted.values.entries().filter(|entry| entry.number == ParameterNumber::FIRST_CUSTOM);
    let found: usize = own.map(|entry| extracted.values.of(entry).len()).sum();
    assert_eq!(found, expected, "{expression}");
}

const PATIENT: &str = r#"{"resourceType":"Patient","active":true,"birthDate":"2020-01-01",
    "_birthDate":{"extension":[{"url":"t","valueDateTime":"2020-01-01T01:00:00Z"}]},
    "extension":[{"url":"a","valueCode":"x"},{"url":"b","extension":[{"url":"c","valueString":"deep"}]}],
    "name":[{"use":"official","family":"One","given":["A","B"]},{"use":"usual","family":"Two","given":["C"]},
    {"family":"Three"}],"contact":[{"gender":"male"},{"gender":"female","name":{"text":"x"}}],
    "multipleBirthInteger":2,"generalPractitioner":[{"reference":"Practitioner/1"},{"reference":"Organization/2"}]}"#;

#[test]
fn extensions_are_found_by_url() {
    check("token", "Patient.extension('a').value", PATIENT, 1);
    check("token", "Patient.extension('a')", PATIENT, 1);
    check("token", "extension('a').value.ofType(code)", PATIENT, 1);
    check("token", "Patient.extension('z').value", PATIENT, 0);
    check("string", "Patient.extension('b').extension('c').value as string", PATIENT, 1);
    check("date", "Patient.birthDate.extension('t').value", PATIENT, 1);
    check("string", "Patient.extension.where(url = 'b').extension.where(url='c').value", PATIENT, 1);
}

#[test]
fn conditions_and_indexes_choose() {
    check("string", "Patient.name.where(use = 'official' or use = 'usual').family", PATIENT, 2);
    check("string", "Patient.name.where(use != 'official').family", PATIENT, 1);
    check("string", "Patient.name.where((use = 'official').not()).family", PATIENT, 1);
    check("string", "Patient.name.where(use.empty()).family", PATIENT, 1);
    check("string", "Patient.name.where(use.exists() and given.exists()).family", PATIENT, 2);
    check("string", "Patient.name.where(given.where($this = 'C').exists()).family", PATIENT, 1);
    check("string", "Patient.name[1].given", PATIENT, 1);
    check("string", "Patient.name.given[1]", PATIENT, 1);
    check("string", "Patient.name.given.first() | Patient.name.last().family", PATIENT, 2);
    check("token", "Patient.contact.where(name.exists()).gender", PATIENT, 1);
    check("token", "Patient.active = true", PATIENT, 1);
    check("token", "Patient.multipleBirth is integer", PATIENT, 1);
    check("token", "Patient.multipleBirth.is(boolean) or Patient.deceased.exists().not()", PATIENT, 1);
    check("number", "Patient.multipleBirth.ofType(integer)", PATIENT, 1);
    check("reference", "Patient.generalPractitioner.where(resolve() is Practitioner)", PATIENT, 1);
    check("reference", "Patient.generalPractitioner.resolve().ofType(Organization)", PATIENT, 1);
    check("reference", "Patient.generalPractitioner[1].where(resolve() is Organization)", PATIENT, 1);
}

#[test]
fn what_is_not_supported_is_refused_by_its_place() {
    for (expression, place, construct) in [
        ("Patient.name.select(family)", 13, "function"),
        ("Patient.nam", 8, "element that is not defined"),
        ("Patient.name.where(family = given)", 26, "comparison"),
        ("Patient.birthDate > @2020", 18, "character or operator"),
        ("Patient.generalPractitioner.resolve().name", 38, "behind a reference"),
        ("Patient.name.family.as(boolean)", 20, "type that the element cannot have"),
        ("Patient.name.where(", 19, "name is missing"),
        ("Patient.name)", 12, "operator"),
        ("Patient.name.family + 'x'", 20, "operator"),
        ("Observation.code", 0, "says nothing about the type"),
        ("'unfinished", 0, "text without its end"),
        ("Patient.where(active = true).name", 0, "condition on the resource itself"),
        ("iif(active, name, name)", 0, "function"),
    ] {
        let refused = add(&Parameters::r4(), &parameter("Patient", "string", expression));
        let issue = &refused.expect_err(expression)[0];
        assert_eq!(issue.expression, "SearchParameter.expression", "{expression}");
        let text = &issue.diagnostics;
        assert!(
            text.starts_with(&format!("at byte {place}: ")) && text.contains(construct),
            "{expression}: {text}"
        );
    }
}

#[test]
fn hostile_expressions_end_in_a_refusal() {
    let deep = format!("Patient.name.where({}active{})", "(".repeat(100_000), ")".repeat(100_000));
    let long = format!("Patient.name{}", ".name".repeat(100_000));
    let many = format!("Patient.name.family{}", " | Patient.name.family".repeat(700));
    for expression in
        [deep.as_str(), &long, "Patient..name", "%%", "`", "\u{0}", "Patient.name[99999999999]", "|"]
    {
        assert!(add(&Parameters::r4(), &parameter("Patient", "string", expression)).is_err());
    }
    assert!(add(&Parameters::r4(), &parameter("Patient", "string", &many)).is_ok());
}

#[test]
fn a_parameter_needs_its_parts_and_a_name_of_its_own() {
    let check = |change: &dyn Fn(&mut Value), place: &str| {
        let mut parameter = parameter("Patient", "string", "Patient.name.family");
        change(&mut parameter);
        let issues = add(&Parameters::r4(), &parameter).expect_err(place);
        assert_eq!(issues[0].expression, place);
    };
    check(&|p| p["code"] = json!("family"), "SearchParameter.code");
    check(&|p| p["code"] = json!("_own"), "SearchParameter.code");
    check(
        &|p| drop(p.as_object_mut().expect("an object").remove("expression")),
        "SearchParameter.expression",
    );
    check(&|p| p["type"] = json!("special"), "SearchParameter.type");
    check(&|p| p["resourceType"] = json!("Patient"), "");
}

#[test]
fn composites_of_ones_own_are_made_of_known_parameters() {
    let composite = |definition: &str| {
        let mut composite = parameter("Patient", "composite", "Patient.contact");
        composite["component"] = json!([
            {"definition": definition, "expression": "gender"},
            {"definition": "http://hl7.org/fhir/SearchParameter/Patient-name", "expression": "name"}]);
        composite
    };
    let parameters =
        add(&Parameters::r4(), &composite("http://hl7.org/fhir/SearchParameter/individual-gender"));
    let mut extractor = Extractor::new(parameters.expect("it is supported"));
    let extracted = extractor.extract(PATIENT.as_bytes()).expect("JSON");
    let own = extracted.values.entries().filter(|entry| entry.number == ParameterNumber::FIRST_CUSTOM);
    assert_eq!(own.map(|entry| extracted.values.tuple(entry).count()).collect::<Vec<_>>(), [2]);
    let issues = add(&Parameters::r4(), &composite("http://example.org/none")).expect_err("it is not known");
    assert_eq!(issues[0].expression, "SearchParameter.component[0].definition");
}

#[test]
fn one_for_all_types_is_one_for_each() {
    let own = parameter("Resource", "uri", "Resource.implicitRules");
    let parameters = add(&Parameters::r4(), &own).expect("it is supported");
    let numbers = ResourceType::all().filter_map(|kind| Some(parameters.get(kind, "own")?.number.0));
    assert_eq!(numbers.collect::<Vec<_>>(), (0x8000..0x8000 + 146).collect::<Vec<_>>());
}
