use super::*;

#[test]
fn hl7_suite_passes() {
    for case in cases("fhirpath-patch.json") {
        let name = &case["name"];
        let result = patched(PatchFormat::FhirPath, &case["input"].to_string(), &case["diff"].to_string());
        match case.get("output") {
            Some(output) => {
                let json = result.unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(serde_json::from_str::<Value>(&json).expect("a resource"), *output, "{name}");
            }
            None => assert!(result.is_err(), "{name}"),
        }
    }
}

/// An operation; `parts` are its parts after type and path, without the outer braces.
fn operation(kind: &str, path: &str, parts: &[&str]) -> String {
    let path = serde_json::to_string(path).expect("a string serialises");
    let mut all = format!(r#"{{"name":"type","valueCode":"{kind}"}},{{"name":"path","valueString":{path}}}"#);
    for part in parts {
        all += &format!(",{{{part}}}");
    }
    format!(r#"{{"name":"operation","part":[{all}]}}"#)
}

fn parameters(operations: &[String]) -> String {
    format!(r#"{{"resourceType":"Parameters","parameter":[{}]}}"#, operations.join(","))
}

fn apply(body: &str, kind: &str, path: &str, parts: &[&str]) -> Result<String, PatchError> {
    patched(PatchFormat::FhirPath, body, &parameters(&[operation(kind, path, parts)]))
}

fn check(body: &str, kind: &str, path: &str, parts: &[&str], expected: &str) {
    assert_eq!(apply(body, kind, path, parts).as_deref(), Ok(expected), "{kind} {path}");
}

fn refused(body: &str, kind: &str, path: &str, parts: &[&str]) -> PatchError {
    apply(body, kind, path, parts).expect_err("an operation that must be refused")
}

const OBSERVATION: &str = concat!(
    r#"{"resourceType":"Observation","status":"final","valueQuantity":{"value":1.10,"unit":"mg"},"#,
    r#""component":[{"code":{"text":"a"},"valueString":"x"},{"code":{"text":"b"},"valueInteger":7}],"#,
    r#""unknown":1E3}"#
);

const PATIENT: &str = concat!(
    r#"{"resourceType":"Patient","name":[{"use":"official","given":["A","B","C"],"#,
    r#""_given":[null,{"id":"b"},null]},{"use":"usual"}],"birthDate":"1970-01-01","#,
    r#""_birthDate":{"extension":[{"url":"http://x/1","valueString":"one"},{"url":"http://x/2","valueDecimal":2.0}]}}"#
);

#[test]
fn choice_changes_its_type_in_place() {
    let value = r#""name":"value","valueString":"high""#;
    let expected =
        OBSERVATION.replace(r#""valueQuantity":{"value":1.10,"unit":"mg"}"#, r#""valueString":"high""#);
    check(OBSERVATION, "replace", "Observation.value", &[value], &expected);
    check(OBSERVATION, "replace", "Observation.value.ofType(Quantity)", &[value], &expected);
    check(OBSERVATION, "replace", "value.as(FHIR.Quantity)", &[value], &expected);
    assert!(matches!(
        refused(OBSERVATION, "replace", "Observation.value.ofType(string)", &[value]),
        PatchError::Target { .. }
    ));
    // R4 does not allow every type everywhere.
    let date = r#""name":"value","valueDate":"2026-01-01""#;
    assert!(matches!(
        refused(OBSERVATION, "replace", "Observation.value", &[date]),
        PatchError::Value { .. }
    ));
}

#[test]
fn choice_is_added_once() {
    let name = r#""name":"name","valueString":"value""#;
    let value = r#""name":"value","valueString":"high""#;
    assert!(matches!(refused(OBSERVATION, "add", "Observation", &[name, value]), PatchError::Target { .. }));
    let body = r#"{"resourceType":"Observation"}"#;
    let expected = r#"{"resourceType":"Observation","valueString":"high"}"#;
    check(body, "add", "Observation", &[name, value], expected);
    let typed_name = r#""name":"name","valueString":"valueString""#;
    assert!(matches!(refused(body, "add", "Observation", &[typed_name, value]), PatchError::Value { .. }));
}

#[test]
fn element_within_an_item_of_a_list_is_found_by_content() {
    let expected = OBSERVATION.replace(r#""valueInteger":7"#, r#""valueInteger":8"#);
    let value = r#""name":"value","valueInteger":8"#;
    for path in [
        "Observation.component[1].value",
        "Observation.component.where(code.text = 'b').value",
        "Observation.component.last().value",
        "Observation.component.where(value = 7.0).value",
        "Observation.component.value.ofType(integer)",
    ] {
        check(OBSERVATION, "replace", path, &[value], &expected);
    }
    for path in
        ["Observation.component.where(code.text = 'c').value", "Observation.component.value", "Patient.value"]
    {
        assert!(
            matches!(refused(OBSERVATION, "replace", path, &[value]), PatchError::Target { .. }),
            "{path}"
        );
    }
}

#[test]
fn deleting_leaves_no_empty_object_and_no_gap() {
    check(
        PATIENT,
        "delete",
        "Patient.name.given[1]",
        &[],
        &PATIENT.replace(r#""A","B","C"],"_given":[null,{"id":"b"},null]"#, r#""A","C"]"#),
    );
    check(PATIENT, "delete", "Patient.name[1].use", &[], &PATIENT.replace(r#",{"use":"usual"}"#, ""));
    check(
        PATIENT,
        "delete",
        "Patient.name.given[1].id",
        &[],
        &PATIENT.replace(r#","_given":[null,{"id":"b"},null]"#, ""),
    );
    check(
        PATIENT,
        "delete",
        "Patient.birthDate.extension('http://x/1')",
        &[],
        &PATIENT.replace(r#"{"url":"http://x/1","valueString":"one"},"#, ""),
    );
    let (start, _) = PATIENT.split_once(r#","birthDate""#).expect("the birth date");
    check(PATIENT, "delete", "Patient.birthDate", &[], &format!("{start}}}"));

    let body = r#"{"resourceType":"Patient","contact":[{"name":{"text":"a"}}],"active":true}"#;
    check(body, "delete", "Patient.contact.name.text", &[], r#"{"resourceType":"Patient","active":true}"#);
    let only_twin = r#"{"resourceType":"Patient","_birthDate":{"id":"x"}}"#;
    check(only_twin, "delete", "Patient.birthDate.id", &[], r#"{"resourceType":"Patient"}"#);
    let twin_of_item =
        r#"{"resourceType":"Patient","name":[{"given":["A",null],"_given":[null,{"id":"x"}]}]}"#;
    check(
        twin_of_item,
        "delete",
        "Patient.name.given[1].id",
        &[],
        r#"{"resourceType":"Patient","name":[{"given":["A"]}]}"#,
    );
}

#[test]
fn deleting_nothing_is_fine_but_two_or_all_are_not() {
    check(PATIENT, "delete", "Patient.gender", &[], PATIENT);
    check(PATIENT, "delete", "Patient.name[7].family", &[], PATIENT);
    for path in ["Patient.name", "Patient.name.use", "Patient", "Patient.nonsense", "Group.name"] {
        assert!(matches!(refused(PATIENT, "delete", path, &[]), PatchError::Target { .. }), "{path}");
    }
}

#[test]
fn extension_of_a_primitive_is_added_and_replaced() {
    let extension = r#""name":"value","valueExtension":{"url":"http://x/3"}"#;
    // R4 does not allow an Extension as a value: it is made of parts.
    let name = r#""name":"name","valueString":"extension""#;
    assert!(matches!(
        refused(PATIENT, "add", "Patient.birthDate", &[name, extension]),
        PatchError::Value { .. }
    ));
    let parts = r#""name":"value","part":[{"name":"url","valueUri":"http://x/3"},{"name":"value","valueDecimal":3.00}]"#;
    let made = r#"{"url":"http://x/3","valueDecimal":3.00}"#;
    let expected = PATIENT.replace(r#""valueDecimal":2.0}]"#, &format!(r#""valueDecimal":2.0}},{made}]"#));
    check(PATIENT, "add", "Patient.birthDate", &[name, parts], &expected);
    check(
        PATIENT,
        "add",
        "Patient.name[0].given[2]",
        &[name, parts],
        &PATIENT.replace(r#"{"id":"b"},null]"#, &format!(r#"{{"id":"b"}},{{"extension":[{made}]}}]"#)),
    );
    let plain = r#"{"resourceType":"Patient","active":true,"name":[{"given":["A","B"]}]}"#;
    check(
        plain,
        "add",
        "Patient.active",
        &[name, parts],
        &plain.replace("]}]}", &format!(r#"]}}],"_active":{{"extension":[{made}]}}}}"#)),
    );
    check(
        plain,
        "add",
        "Patient.name.given.last()",
        &[name, parts],
        &plain.replace(r#""B"]"#, &format!(r#""B"],"_given":[null,{{"extension":[{made}]}}]"#)),
    );
    check(
        PATIENT,
        "replace",
        "Patient.birthDate.extension('http://x/2').value",
        &[r#""name":"value","valueCode":"c""#],
        &PATIENT.replace(r#""valueDecimal":2.0"#, r#""valueCode":"c""#),
    );
}

#[test]
fn replaced_primitive_brings_its_own_extensions() {
    let (start, _) = PATIENT.split_once(r#""birthDate""#).expect("the birth date");
    check(
        PATIENT,
        "replace",
        "Patient.birthDate",
        &[r#""name":"value","valueDate":"1980","_valueDate":{"id":"n"}"#],
        &format!(r#"{start}"birthDate":"1980","_birthDate":{{"id":"n"}}}}"#),
    );
    check(
        PATIENT,
        "replace",
        "Patient.name[0].given[1]",
        &[r#""name":"value","valueString":"N""#],
        &PATIENT.replace(r#""A","B","C"],"_given":[null,{"id":"b"},null]"#, r#""A","N","C"]"#),
    );
    check(
        PATIENT,
        "replace",
        "Patient.name[0].given[0]",
        &[r#""name":"value","_valueString":{"id":"a"}"#],
        &PATIENT.replace(r#"["A","B","C"],"_given":[null,"#, r#"[null,"B","C"],"_given":[{"id":"a"},"#),
    );
}

#[test]
fn lists_stay_aligned_with_their_twins() {
    let value = r#""name":"value","valueString":"N""#;
    check(
        PATIENT,
        "insert",
        "Patient.name[0].given",
        &[r#""name":"index","valueInteger":1"#, value],
        &PATIENT
            .replace(r#""A","B""#, r#""A","N","B""#)
            .replace(r#"[null,{"id":"b"}"#, r#"[null,null,{"id":"b"}"#),
    );
    check(
        PATIENT,
        "move",
        "Patient.name[0].given",
        &[r#""name":"source","valueInteger":1"#, r#""name":"destination","valueInteger":0"#],
        &PATIENT
            .replace(r#""A","B","C""#, r#""B","A","C""#)
            .replace(r#"[null,{"id":"b"},null]"#, r#"[{"id":"b"},null,null]"#),
    );
    let name = r#""name":"name","valueString":"given""#;
    check(
        PATIENT,
        "add",
        "Patient.name[0]",
        &[name, r#""name":"value","valueString":"D","_valueString":{"id":"d"}"#],
        &PATIENT
            .replace(r#""C"]"#, r#""C","D"]"#)
            .replace(r#"{"id":"b"},null]"#, r#"{"id":"b"},null,{"id":"d"}]"#),
    );
}

#[test]
fn lists_have_their_bounds() {
    let value = r#""name":"value","valueString":"N""#;
    let index = |at: &str| format!(r#""name":"index","valueInteger":{at}"#);
    let end =
        PATIENT.replace(r#""C"]"#, r#""C","N"]"#).replace(r#"{"id":"b"},null]"#, r#"{"id":"b"},null,null]"#);
    check(PATIENT, "insert", "Patient.name[0].given", &[&index("3"), value], &end);
    let target = |error| assert!(matches!(error, PatchError::Target { .. }), "{error:?}");
    target(refused(PATIENT, "insert", "Patient.name[0].given", &[&index("4"), value]));
    target(refused(PATIENT, "insert", "Patient.name[1].given", &[&index("0"), value]));
    target(refused(PATIENT, "insert", "Patient.birthDate", &[&index("0"), value]));
    let two = PATIENT.replace(r#""usual""#, r#""usual","given":["X"]"#);
    target(refused(&two, "insert", "Patient.name.given", &[&index("0"), value]));
    target(refused(
        PATIENT,
        "move",
        "Patient.name",
        &[r#""name":"source","valueInteger":0"#, r#""name":"destination","valueInteger":2"#],
    ));
    let malformed = |error| assert!(matches!(error, PatchError::Malformed { .. }), "{error:?}");
    malformed(refused(PATIENT, "insert", "Patient.name[0].given[0]", &[&index("0"), value]));
    malformed(refused(PATIENT, "insert", "Patient.name[0].given", &[&index("-1"), value]));
    malformed(refused(PATIENT, "insert", "Patient.name[0].given", &[value]));
    malformed(refused(PATIENT, "move", "Patient.name", &[r#""name":"source","valueInteger":0"#]));
}

#[test]
fn elements_without_a_type_name_are_made_of_parts() {
    let name = r#""name":"name","valueString":"component""#;
    let value = concat!(
        r#""name":"value","part":[{"name":"code","valueCodeableConcept":{"text":"c"}},"#,
        r#"{"name":"value","valueQuantity":{"value":1.50}},"#,
        r#"{"name":"interpretation","valueCodeableConcept":{"text":"i"}},"#,
        r#"{"name":"interpretation","valueCodeableConcept":{"text":"j"}},"#,
        r#"{"name":"referenceRange","part":[{"name":"low","valueQuantity":{"value":0.10}},{"name":"text","valueString":"t"}]}]"#
    );
    let made = concat!(
        r#"{"code":{"text":"c"},"valueQuantity":{"value":1.50},"interpretation":[{"text":"i"},{"text":"j"}],"#,
        r#""referenceRange":[{"low":{"value":0.10},"text":"t"}]}"#
    );
    check(
        OBSERVATION,
        "add",
        "Observation",
        &[name, value],
        &OBSERVATION.replace(r#"7}]"#, &format!("7}},{made}]")),
    );

    let bad = |part: &str| {
        let value = format!(r#""name":"value","part":[{part}]"#);
        let error = refused(OBSERVATION, "add", "Observation", &[name, &value]);
        assert!(matches!(error, PatchError::Value { .. }), "{part}: {error:?}");
    };
    bad(r#"{"name":"nonsense","valueString":"x"}"#);
    bad(r#"{"name":"code","valueString":"x"}"#);
    bad(
        r#"{"name":"code","valueCodeableConcept":{"text":"a"}},{"name":"code","valueCodeableConcept":{"text":"b"}}"#,
    );
    bad(r#"{"name":"value","valueString":"a"},{"name":"value","valueInteger":1}"#);
    bad(r#"{"name":"code"}"#);
    bad(r#"{"name":"code","valueString":"x","valueCodeableConcept":{"text":"a"}}"#);
    bad("7");
}

#[test]
fn contained_resources_are_added_and_patched() {
    let body = r#"{"resourceType":"Observation"}"#;
    let name = r#""name":"name","valueString":"contained""#;
    let resource = r#"{"resourceType":"Patient","id":"p","active":true}"#;
    let value = format!(r#""name":"value","resource":{resource}"#);
    let with = format!(r#"{{"resourceType":"Observation","contained":[{resource}]}}"#);
    check(body, "add", "Observation", &[name, &value], &with);
    check(
        &with,
        "replace",
        "Observation.contained.where(id = 'p').active",
        &[r#""name":"value","valueBoolean":false"#],
        &with.replace("true", "false"),
    );
    check(&with, "delete", "Observation.contained.ofType(Patient)", &[], body);
    check(&with, "delete", "Observation.contained.ofType(Group)", &[], &with);
    assert!(matches!(
        refused(&with, "delete", "Observation.contained.resourceType", &[]),
        PatchError::Target { .. }
    ));
}

#[test]
fn value_must_be_of_the_element_type() {
    let replace =
        |path: &str, value: &str| apply(PATIENT, "replace", path, &[&format!(r#""name":"value",{value}"#)]);
    for value in [r#""valueString":"1980""#, r#""valueCode":"1980""#, r#""valueDate":"1980""#] {
        assert!(replace("Patient.birthDate", value).is_ok(), "{value}");
    }
    for value in [
        r#""valueBoolean":true"#,
        r#""valueInteger":1980"#,
        r#""valueHumanName":{"text":"x"}"#,
        r#""valueNonsense":"1980""#,
        r#""value":"1980""#,
        r#""id":"x""#,
        r#""part":[]"#,
        r#""resource":{}"#,
    ] {
        assert!(matches!(replace("Patient.birthDate", value), Err(PatchError::Value { .. })), "{value}");
    }
    assert!(replace("Patient.name[0]", r#""valueHumanName":{"text":"x"}"#).is_ok());
    let identifier = replace("Patient.name[0]", r#""valueIdentifier":{"value":"x"}"#);
    assert!(matches!(identifier, Err(PatchError::Value { .. })));
}

#[test]
fn malformed_operations_are_refused() {
    let body = r#"{"resourceType":"Patient"}"#;
    let good = operation("delete", "Patient.gender", &[]);
    for bad in [
        "7",
        "{}",
        r#"{"name":"operation"}"#,
        r#"{"name":"nonsense","part":[]}"#,
        r#"{"name":"operation","part":[{"name":"type","valueCode":"delete"}]}"#,
        r#"{"name":"operation","part":[{"name":"path","valueString":"Patient.gender"}]}"#,
        &operation("nonsense", "Patient", &[]),
        &operation("delete", "Patient.", &[]),
        &operation("delete", "Patient.gender", &[r#""name":"nonsense","valueString":"x""#]),
        &operation("delete", "Patient.gender", &[r#""name":"type","valueCode":"delete""#]),
        &operation("add", "Patient", &[r#""name":"value","valueString":"x""#]),
        &operation("add", "Patient", &[r#""name":"name","valueString":"gender""#]),
        &operation("add", "Patient", &[r#""name":"name","valueBoolean":true"#]),
    ] {
        let result = patched(PatchFormat::FhirPath, body, &parameters(&[good.clone(), bad.to_owned()]));
        assert!(matches!(result, Err(PatchError::Malformed { operation: 1, .. })), "{bad}: {result:?}");
    }
    let unsupported = apply(body, "delete", "Patient.link.resolve()", &[]);
    assert!(matches!(unsupported, Err(PatchError::Unsupported { operation: 0, .. })));
    for bad in ["[]", "{}", r#"{"resourceType":"Patient"}"#, r#"{"resourceType":"Parameters","parameter":7}"#]
    {
        assert!(
            matches!(patched(PatchFormat::FhirPath, body, bad), Err(PatchError::Document { .. })),
            "{bad}"
        );
    }
    assert!(matches!(apply("{}", "delete", "Patient.gender", &[]), Err(PatchError::Target { .. })));
}

#[test]
fn nesting_stops_at_the_limit() {
    let name = r#""name":"name","valueString":"item""#;
    let value = r#""name":"value","part":[{"name":"linkId","valueString":"1"}]"#;
    let add = |depth: usize, value: &str| {
        operation("add", &format!("Questionnaire{}", ".item".repeat(depth)), &[name, value])
    };
    let mut operations: Vec<_> = (0..10).map(|depth| add(depth, value)).collect();
    let body = r#"{"resourceType":"Questionnaire"}"#;
    assert!(patched(PatchFormat::FhirPath, body, &parameters(&operations)).is_ok());
    // Almost as deep as a patch document may be, and ten items further down.
    let nested = (0..MAX_DEPTH / 2 - 8)
        .fold(String::new(), |inner, _| format!(r#"{{"name":"item","part":[{inner}]}}"#));
    let value = format!(r#""name":"value","part":[{nested}]"#);
    assert!(patched(PatchFormat::FhirPath, body, &parameters(&[add(0, &value)])).is_ok());
    operations.push(add(10, &value));
    let result = patched(PatchFormat::FhirPath, body, &parameters(&operations));
    assert!(matches!(result, Err(PatchError::Limit { .. })), "{result:?}");
}

proptest! {
    #[test]
    fn any_path_gives_a_result_or_an_error(
        kind in proptest::sample::select(vec!["add", "insert", "delete", "replace", "move"]),
        path in r"(Patient|name|given|birthDate|extension|\.|\[[0-9]\]|where|\(|\)|use|=|'[a-z\\]*'| |first|ofType|string|\PC){0,12}",
    ) {
        let parts = [
            r#""name":"name","valueString":"extension""#,
            r#""name":"value","valueString":"x""#,
            r#""name":"index","valueInteger":0"#,
            r#""name":"source","valueInteger":0"#,
            r#""name":"destination","valueInteger":1"#,
        ];
        if let Ok(json) = apply(PATIENT, kind, &path, &parts) {
            prop_assert!(serde_json::from_str::<Value>(&json).is_ok());
        }
    }
}
