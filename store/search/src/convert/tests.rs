use super::*;
use crate::date_range::DateRange;
use crate::number::Number;
use crate::value::{System, Unit};
use keepwell_fhir::ResourceType;

fn values(kind: ParameterKind, data_type: DataType, json: &str) -> Vec<Value> {
    let mut out = Values::default();
    convert(kind, data_type, json.as_bytes(), &mut out);
    out.all().to_vec()
}

fn token(system: &str, code: &str) -> Value {
    Value::Token { system: System::Uri(system.into()), code: code.into() }
}

fn bare(code: &str) -> Value {
    Value::Token { system: System::None, code: code.into() }
}

fn implicit(code: &str) -> Value {
    Value::Token { system: System::Implicit, code: code.into() }
}

fn string(text: &str) -> Value {
    Value::String(text.into())
}

fn date(text: &str) -> Value {
    Value::Date(DateRange::parse(text).expect("a date"))
}

fn number(text: &str) -> Number {
    Number::parse(text).expect("a number")
}

fn quantity(low: &str, high: &str, system: Option<&str>, code: Option<&str>, text: Option<&str>) -> Value {
    let unit = Unit { system: system.map(Box::from), code: code.map(Box::from), text: text.map(Box::from) };
    Value::Quantity { low: number(low), high: number(high), unit }
}

#[test]
fn tokens_have_their_system_and_texts() {
    let check = |data_type, json, expected: &[Value]| {
        assert_eq!(values(ParameterKind::Token, data_type, json), expected, "{json}");
    };
    check(
        DataType::Coding,
        r#"{"system":"s","code":"c","display":"D"}"#,
        &[Value::Display("D".into()), token("s", "c")],
    );
    check(DataType::Coding, r#"{"code":"c"}"#, &[bare("c")]);
    check(DataType::Coding, r#"{"system":"s"}"#, &[token("s", "")]);
    check(DataType::Coding, r#"{"version":"1"}"#, &[]);
    check(
        DataType::CodeableConcept,
        r#"{"coding":[{"system":"s","code":"a"},{"code":"b"}],"text":"T"}"#,
        &[token("s", "a"), bare("b"), Value::Display("T".into())],
    );
    check(
        DataType::Identifier,
        r#"{"type":{"coding":[{"system":"t","code":"MR"}],"text":"Record"},"system":"s","value":"7"}"#,
        &[
            Value::TypedIdentifier { system: "t".into(), code: "MR".into(), value: "7".into() },
            Value::Display("Record".into()),
            token("s", "7"),
        ],
    );
    check(DataType::ContactPoint, r#"{"system":"phone","value":"(555) 1"}"#, &[implicit("(555) 1")]);
    check(DataType::Code, r#""final""#, &[implicit("final")]);
    check(DataType::Boolean, "true", &[implicit("true")]);
    check(DataType::Code, r#"[null,"a\u0000\"b"]"#, &[implicit("a\u{fffd}\"b")]);
    check(DataType::Uri, r#""urn:x""#, &[implicit("urn:x")]);
}

#[test]
fn names_and_addresses_give_all_their_parts() {
    let name =
        r#"{"use":"official","family":"Smith","given":["Anna","Bea"],"prefix":["Dr"],"text":"Dr Smith"}"#;
    assert_eq!(
        values(ParameterKind::String, DataType::HumanName, name),
        ["Smith", "Anna", "Bea", "Dr", "Dr Smith"].map(string)
    );
    let address = r#"{"line":["1 A St"],"city":"B","state":"C","postalCode":"D","country":"E","period":{}}"#;
    assert_eq!(
        values(ParameterKind::String, DataType::Address, address),
        ["1 A St", "B", "C", "D", "E"].map(string)
    );
    assert_eq!(values(ParameterKind::String, DataType::String, r#"["a","b"]"#), ["a", "b"].map(string));
    assert_eq!(values(ParameterKind::String, DataType::Markdown, "7"), []);
}

#[test]
fn references_are_taken_apart() {
    let patient = ResourceType::parse("Patient");
    let check = |data_type, json, expected: &[Value]| {
        assert_eq!(values(ParameterKind::Reference, data_type, json), expected, "{json}");
    };
    let here = |resource_type, id: &str, version: Option<&str>| Value::Reference {
        resource_type,
        id: id.into(),
        version: version.map(Box::from),
    };
    let url =
        |url: &str, version: Option<&str>| Value::Url { url: url.into(), version: version.map(Box::from) };
    check(DataType::Reference, r#"{"reference":"Patient/7"}"#, &[here(patient, "7", None)]);
    check(DataType::Reference, r#"{"reference":"Patient/7/_history/2"}"#, &[here(patient, "7", Some("2"))]);
    check(DataType::Reference, r#"{"reference":"7"}"#, &[here(None, "7", None)]);
    check(DataType::Reference, r##"{"reference":"#x"}"##, &[Value::Contained("x".into())]);
    check(DataType::Reference, r#"{"reference":"urn:uuid:1"}"#, &[url("urn:uuid:1", None)]);
    check(DataType::Reference, r#"{"reference":"http://h/Patient/7"}"#, &[url("http://h/Patient/7", None)]);
    check(
        DataType::Reference,
        r#"{"reference":"http://h/Patient/7/_history/2"}"#,
        &[url("http://h/Patient/7", Some("2"))],
    );
    check(
        DataType::Reference,
        r#"{"identifier":{"system":"s","value":"v"},"display":"D"}"#,
        &[Value::Logical { system: System::Uri("s".into()), code: "v".into() }],
    );
    check(DataType::Reference, r#"{"display":"D"}"#, &[]);
    check(DataType::Canonical, r#""http://h/Q|1.0""#, &[url("http://h/Q", Some("1.0"))]);
    check(DataType::Attachment, r#"{"url":"http://h/a"}"#, &[url("http://h/a", None)]);
}

#[test]
fn dates_cover_what_they_may_mean() {
    let check = |data_type, json, expected: &[Value]| {
        assert_eq!(values(ParameterKind::Date, data_type, json), expected, "{json}");
    };
    check(DataType::Date, r#""2020""#, &[date("2020")]);
    check(DataType::Instant, r#""2020-01-01T00:00:00.5Z""#, &[date("2020-01-01T00:00:00.5Z")]);
    check(DataType::DateTime, r#""yesterday""#, &[]);
    let range = |low: &str, high: &str| {
        let parse = |text| DateRange::parse(text).expect("a date");
        Value::Date(parse(low).to(parse(high)))
    };
    check(DataType::Period, r#"{"start":"2020-01","end":"2020-02"}"#, &[range("2020-01", "2020-02")]);
    check(DataType::Period, r#"{"start":"2020-01"}"#, &[range("2020-01", "9999")]);
    check(DataType::Period, r#"{"end":"2020-01"}"#, &[range("0001", "2020-01")]);
    check(DataType::Period, "{}", &[]);
    check(
        DataType::Timing,
        r#"{"event":["2020-03","2020-01"],"repeat":{"boundsPeriod":{"end":"2020-02"}}}"#,
        &[range("0001", "2020-03")],
    );
    check(DataType::Timing, r#"{"repeat":{"frequency":1}}"#, &[]);
    check(DataType::Age, r#"{"value":7}"#, &[]);
}

#[test]
fn quantities_keep_their_unit() {
    let check = |data_type, json, expected: &[Value]| {
        assert_eq!(values(ParameterKind::Quantity, data_type, json), expected, "{json}");
    };
    check(
        DataType::Quantity,
        r#"{"value":1.10,"unit":"mg","system":"s","code":"mg"}"#,
        &[quantity("1.1", "1.1", Some("s"), Some("mg"), None)],
    );
    check(
        DataType::Age,
        r#"{"value":40,"unit":"years"}"#,
        &[quantity("40", "40", None, None, Some("years"))],
    );
    check(
        DataType::Quantity,
        r#"{"comparator":"<","value":5}"#,
        &[quantity("-1e29999", "5", None, None, None)],
    );
    check(DataType::Quantity, r#"{"unit":"mg"}"#, &[]);
    check(
        DataType::Money,
        r#"{"value":9.99,"currency":"EUR"}"#,
        &[quantity("9.99", "9.99", Some("urn:iso:std:iso:4217"), Some("EUR"), None)],
    );
    check(
        DataType::Range,
        r#"{"low":{"value":1,"code":"a"},"high":{"value":2,"code":"a"}}"#,
        &[quantity("1", "2", None, Some("a"), None)],
    );
    check(
        DataType::SampledData,
        r#"{"origin":{"value":100,"code":"mV"},"factor":2,"upperLimit":50,"data":"1 -3 E U"}"#,
        &[quantity("94", "200", None, Some("mV"), None)],
    );
    assert_eq!(
        values(ParameterKind::Number, DataType::Range, r#"{"low":{"value":1}}"#),
        [Value::Number { low: number("1"), high: Number::FAR }]
    );
    assert_eq!(
        values(ParameterKind::Number, DataType::Decimal, "0.50"),
        [Value::Number { low: number("0.5"), high: number("0.5") }]
    );
}

#[test]
fn canonical_uris_and_places_are_taken_apart() {
    let uri =
        |url: &str, version: Option<&str>| Value::Uri { url: url.into(), version: version.map(Box::from) };
    assert_eq!(
        values(ParameterKind::Uri, DataType::Canonical, r#""http://h/V|2""#),
        [uri("http://h/V", Some("2"))]
    );
    assert_eq!(values(ParameterKind::Uri, DataType::Uri, r#""urn:x""#), [uri("urn:x", None)]);
    let place = r#"{"longitude":-83.5,"latitude":42.25,"altitude":0}"#;
    assert_eq!(
        values(ParameterKind::Special, DataType::Position, place),
        [Value::Position { latitude: 42.25, longitude: -83.5 }]
    );
    assert_eq!(values(ParameterKind::Special, DataType::Position, r#"{"latitude":91,"longitude":0}"#), []);
}
