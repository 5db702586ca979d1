//! What is found where: one case for each shape of expression.

use keepwell_search::{Extractor, Parameters, Value};

/// The values of one parameter, as debug text; tuples in brackets.
fn values(extractor: &mut Extractor, json: &str, code: &str) -> Vec<String> {
    let parameters = extractor.parameters().clone();
    let extracted = extractor.extract(json.as_bytes()).expect("JSON");
    let parameter = parameters.get(extracted.walk.resource_type, code).expect("a parameter");
    let mut found = Vec::new();
    for entry in extracted.values.entries().filter(|entry| entry.number == parameter.number) {
        if parameter.components.is_empty() {
            found.extend(extracted.values.of(entry).iter().map(short));
        } else {
            let parts = extracted
                .values
                .tuple(entry)
                .map(|part| part.iter().map(short).collect::<Vec<_>>().join("/"));
            found.push(format!("[{}]", parts.collect::<Vec<_>>().join(" ")));
        }
    }
    found
}

fn short(value: &Value) -> String {
    match value {
        Value::Token { code, .. } => code.to_string(),
        Value::Display(text) => format!("({text})"),
        Value::String(text) => text.to_string(),
        Value::Reference { resource_type, id, .. } => {
            format!("{}/{id}", resource_type.map_or("", |kind| kind.name()))
        }
        Value::Uri { url, .. } | Value::Url { url, .. } => url.to_string(),
        other => format!("{other:?}").split([' ', '(', '{']).next().unwrap_or_default().to_owned(),
    }
}

fn check(json: &str, code: &str, expected: &[&str]) {
    let mut extractor = Extractor::new(Parameters::r4());
    assert_eq!(values(&mut extractor, json, code), expected, "{code} of {json}");
}

#[test]
fn plain_paths_find_every_item() {
    let patient = r#"{"resourceType":"Patient","name":[{"given":["Ada","Eve"]},{"given":[null,"Mae"]}]}"#;
    check(patient, "given", &["Ada", "Eve", "Mae"]);
}

#[test]
fn choices_are_found_by_the_type_that_is_asked_for() {
    let json = r#"{"resourceType":"Condition","onsetAge":{"value":7},"abatementString":"later"}"#;
    check(json, "onset-age", &["Quantity"]);
    check(json, "onset-date", &[]);
    check(json, "abatement-string", &["later"]);
}

#[test]
fn conditions_on_children_hold_whatever_their_order() {
    let json = r#"{"resourceType":"Patient","telecom":[{"system":"phone","value":"1"},
        {"value":"a@b","system":"email"},{"value":"2"}]}"#;
    check(json, "phone", &["1"]);
    check(json, "email", &["a@b"]);
    check(json, "telecom", &["1", "a@b", "2"]);
}

#[test]
fn references_are_told_apart_by_what_they_point_at() {
    let observation = |reference: &str| {
        format!(
            r##"{{"resourceType":"Observation","contained":[{{"resourceType":"Patient","id":"p"}}],"status":"final",
            "subject":{reference}}}"##
        )
    };
    for (reference, patient, subject) in [
        (r#"{"reference":"Patient/1"}"#, 1, 1),
        (r#"{"reference":"Patient/1/_history/2"}"#, 1, 1),
        (r#"{"reference":"http://example.org/fhir/Patient/1"}"#, 1, 1),
        (r#"{"reference":"Group/1"}"#, 0, 1),
        (r##"{"reference":"#p"}"##, 1, 1),
        (r##"{"reference":"#q"}"##, 0, 1),
        (r#"{"reference":"urn:uuid:1","type":"Patient"}"#, 1, 1),
        (r#"{"type":"Patient","identifier":{"value":"7"}}"#, 1, 1),
        (r#"{"display":"someone"}"#, 0, 0),
    ] {
        let mut extractor = Extractor::new(Parameters::r4());
        let json = observation(reference);
        let found = values(&mut extractor, &json, "patient").len();
        assert_eq!(found.min(1), patient, "{reference}");
        let found = values(&mut extractor, &json, "subject").len();
        assert_eq!(found.min(1), subject, "{reference}");
    }
}

#[test]
fn a_patient_is_deceased_or_not() {
    for (member, expected) in [
        ("", "false"),
        (r#","deceasedBoolean":false"#, "false"),
        (r#","deceasedBoolean":true"#, "true"),
        (r#","deceasedDateTime":"2020""#, "true"),
    ] {
        check(&format!(r#"{{"resourceType":"Patient"{member}}}"#), "deceased", &[expected]);
    }
}

#[test]
fn a_document_refers_to_its_composition() {
    let json = r#"{"resourceType":"Bundle","type":"document","entry":[
        {"resource":{"resourceType":"Composition","id":"c"}},{"resource":{"resourceType":"Patient","id":"p"}}]}"#;
    check(json, "composition", &["Composition/c"]);
}

#[test]
fn contained_resources_do_not_count() {
    let json = r#"{"resourceType":"Observation","contained":[{"resourceType":"Patient","id":"p",
        "identifier":[{"value":"inner"}]}],"identifier":[{"value":"outer"}]}"#;
    check(json, "identifier", &["outer"]);
    let mut extractor = Extractor::new(Parameters::r4());
    let extracted = extractor.extract(json.as_bytes()).expect("JSON");
    let inner = extracted.contained[0].span.bytes(json.as_bytes()).to_vec();
    assert_eq!(extracted.contained.len(), 1);
    assert_eq!(values(&mut extractor, std::str::from_utf8(&inner).expect("UTF-8"), "identifier"), ["inner"]);
}

#[test]
fn tuples_come_from_one_element() {
    let json = r#"{"resourceType":"Observation","code":{"coding":[{"code":"bp"}]},"component":[
        {"code":{"coding":[{"code":"sys"},{"code":"s"}]},"valueQuantity":{"value":1}},
        {"valueQuantity":{"value":2},"code":{"coding":[{"code":"dia"}]}},
        {"code":{"coding":[{"code":"none"}]}}]}"#;
    check(json, "component-code-value-quantity", &["[sys/s Quantity]", "[dia Quantity]"]);
    check(json, "combo-code-value-quantity", &["[sys/s Quantity]", "[dia Quantity]"]);
    check(json, "code-value-quantity", &[]);
    let json =
        r#"{"resourceType":"Observation","valueQuantity":{"value":1},"code":{"coding":[{"code":"bp"}]}}"#;
    check(json, "combo-code-value-quantity", &["[bp Quantity]"]);
}

#[test]
fn parts_may_come_from_the_whole_resource() {
    let json = r#"{"resourceType":"MolecularSequence","coordinateSystem":0,"variant":[{"start":1,"end":2}],
        "referenceSeq":{"chromosome":{"coding":[{"code":"1"}]}}}"#;
    check(json, "chromosome-variant-coordinate", &["[1 Number Number]"]);
}

#[test]
fn a_resource_is_in_the_compartments_it_refers_to() {
    use keepwell_fhir::Compartment;
    use keepwell_search::ParameterNumber;
    let compartments = |json: &str| {
        let mut extractor = Extractor::new(Parameters::r4());
        let extracted = extractor.extract(json.as_bytes()).expect("JSON");
        let mut found = Vec::new();
        for compartment in Compartment::ALL {
            let number = ParameterNumber::compartment(compartment);
            for entry in extracted.values.entries().filter(|entry| entry.number == number) {
                found.extend(extracted.values.of(entry).iter().map(short));
            }
        }
        found
    };
    let json = r#"{"resourceType":"Observation","subject":{"reference":"Patient/1"},
        "performer":[{"reference":"Practitioner/2"},{"reference":"Patient/3"}],"encounter":{"reference":"Encounter/4"}}"#;
    assert_eq!(compartments(json), ["Patient/1", "Patient/3", "Encounter/4", "Practitioner/2"]);
    let json = r#"{"resourceType":"Patient","id":"1","link":[{"other":{"reference":"Patient/2"}}]}"#;
    assert_eq!(compartments(json), ["Patient/2", "Patient/1"]);
    assert_eq!(compartments(r#"{"resourceType":"Encounter","id":"7"}"#), ["Encounter/7"]);
}

#[test]
fn large_resources_take_time_by_their_length_alone() {
    let many =
        |count: usize, item: &dyn Fn(usize) -> String| (0..count).map(item).collect::<Vec<_>>().join(",");
    const COUNT: usize = 20_000;
    let contained = many(COUNT, &|n| format!(r#"{{"resourceType":"Patient","id":"p{n}"}}"#));
    let participants =
        many(COUNT, &|n| format!(r##"{{"actor":{{"reference":"#p{n}"}},"status":"accepted"}}"##));
    let appointment = format!(
        r#"{{"resourceType":"Appointment","contained":[{contained}],"participant":[{participants}]}}"#
    );
    assert_eq!(values(&mut Extractor::new(Parameters::r4()), &appointment, "patient").len(), COUNT);

    // An array where there may be one object is an issue of the walk, and goes on.
    let variants = many(COUNT, &|n| format!(r#"{{"start":{n},"end":{n}}}"#));
    let references = many(COUNT, &|n| format!(r#"{{"chromosome":{{"coding":[{{"code":"{n}"}}]}}}}"#));
    let sequence = format!(
        r#"{{"resourceType":"MolecularSequence","variant":[{variants}],"referenceSeq":[{references}]}}"#
    );
    let codes = many(COUNT, &|n| format!(r#"{{"coding":[{{"code":"{n}"}}]}}"#));
    let numbers = many(COUNT, &|n| format!(r#"{{"value":{n}}}"#));
    let observation =
        format!(r#"{{"resourceType":"Observation","code":[{codes}],"valueQuantity":[{numbers}]}}"#);
    for json in [sequence, observation] {
        let mut extractor = Extractor::new(Parameters::r4());
        let extracted = extractor.extract(json.as_bytes()).expect("JSON");
        let tuples =
            extracted.values.entries().filter(|entry| extracted.values.tuple(entry).count() > 0).count();
        assert_eq!(tuples, 100_000);
    }
}
