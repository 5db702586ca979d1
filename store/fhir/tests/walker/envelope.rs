//! Bodies: what is stripped comes back, and only that.

use std::borrow::Cow;

use keepwell_fhir::{Instant, Slot, Walker, dress, strip};
use proptest::prelude::*;
use serde_json::Value;

use crate::shared;

const VERSION: u64 = 42;
const LAST_UPDATED: Instant = Instant::from_ms(1_600_000_000_123);

fn stripped(json: &[u8]) -> (Vec<u8>, Slot) {
    let mut walker = Walker::new();
    let walk = walker.walk(json).expect("the document is JSON");
    let mut body = Vec::new();
    let slot = strip(json, &walk, None, &[], &mut body);
    (body, Slot::from_u32(slot.as_u32()))
}

fn dressed(body: &[u8], slot: Slot) -> Vec<u8> {
    let mut out = Vec::new();
    dress(body, slot, VERSION, LAST_UPDATED, &mut out);
    out
}

/// All promises of the envelope about one document.
fn check(json: &[u8]) {
    let (body, slot) = stripped(json);
    let read = dressed(&body, slot);
    let again = stripped(&read);
    let show = String::from_utf8_lossy;
    assert_eq!(show(&again.0), show(&body), "stripping what was dressed gives the body: {}", show(json));
    assert_eq!(again.1, slot);
    let mut original: Value = serde_json::from_slice(json).expect("JSON");
    let mut served: Value = serde_json::from_slice(&read).expect("JSON");
    let meta = &served["meta"];
    assert_eq!(meta["versionId"], VERSION.to_string());
    assert_eq!(meta["lastUpdated"], LAST_UPDATED.to_string());
    without_server_parts(&mut original);
    without_server_parts(&mut served);
    assert_eq!(served, original);
    let keys = |value: &Value| value.as_object().map(|object| object.keys().cloned().collect::<Vec<_>>());
    assert_eq!(keys(&served), keys(&original));
}

fn without_server_parts(resource: &mut Value) {
    let Some(object) = resource.as_object_mut() else { return };
    if let Some(meta) = object.get_mut("meta").and_then(Value::as_object_mut) {
        meta.shift_remove("versionId");
        meta.shift_remove("lastUpdated");
        if meta.is_empty() {
            object.shift_remove("meta");
        }
    }
}

#[test]
fn body_keeps_every_other_byte() {
    for (json, body, read) in [
        (
            r#"{"resourceType":"Basic"}"#,
            r#"{"resourceType":"Basic"}"#,
            r#"{"resourceType":"Basic","meta":{M}}"#,
        ),
        (
            r#"{"resourceType":"Basic","id":"a" , "x":1}"#,
            r#"{"resourceType":"Basic","id":"a" , "x":1}"#,
            r#"{"resourceType":"Basic","id":"a" ,"meta":{M}, "x":1}"#,
        ),
        (
            r#"{"x":1, "id":"a","resourceType":"Basic"}"#,
            r#"{"x":1, "id":"a","resourceType":"Basic"}"#,
            r#"{"x":1, "id":"a","meta":{M},"resourceType":"Basic"}"#,
        ),
        (
            r#"{"resourceType":"Basic", "meta" : { "versionId":"1" } , "x":1}"#,
            r#"{"resourceType":"Basic",   "x":1}"#,
            r#"{"resourceType":"Basic", "meta":{M},  "x":1}"#,
        ),
        (
            "{\n  \"resourceType\": \"Basic\",\n  \"meta\": {\n    \"lastUpdated\": \"x\"\n  }\n}\n",
            "{\n  \"resourceType\": \"Basic\"\n  \n}\n",
            "{\n  \"resourceType\": \"Basic\"\n  ,\"meta\":{M}\n}\n",
        ),
        (
            r#"{"resourceType":"Basic","meta":{"lastUpdated":"x","profile":["p"],"versionId":"1"}}"#,
            r#"{"resourceType":"Basic","meta":{"profile":["p"]}}"#,
            r#"{"resourceType":"Basic","meta":{M,"profile":["p"]}}"#,
        ),
        (
            r#"{"resourceType":"Basic","meta":{"profile":["p"],"lastUpdated":"x","versionId":"1"}}"#,
            r#"{"resourceType":"Basic","meta":{"profile":["p"]}}"#,
            r#"{"resourceType":"Basic","meta":{"profile":["p"],M}}"#,
        ),
        (
            r#"{"resourceType":"Basic","meta":{"profile":["p"]}}"#,
            r#"{"resourceType":"Basic","meta":{"profile":["p"]}}"#,
            r#"{"resourceType":"Basic","meta":{M,"profile":["p"]}}"#,
        ),
        (
            r#"{"meta":{},"resourceType":"Basic"}"#,
            r#"{"resourceType":"Basic"}"#,
            r#"{"meta":{M},"resourceType":"Basic"}"#,
        ),
    ] {
        let (stripped, slot) = stripped(json.as_bytes());
        assert_eq!(String::from_utf8_lossy(&stripped), body, "{json}");
        let members = r#""versionId":"42","lastUpdated":"2020-09-13T12:26:40.123Z""#;
        let expected = read.replacen('M', members, 1);
        assert_eq!(String::from_utf8_lossy(&dressed(&stripped, slot)), expected, "{json}");
        check(json.as_bytes());
    }
}

#[test]
fn ids_and_references_are_replaced() {
    let json = br#"{"resourceType":"Observation","id":"old","subject":{"reference":"urn:uuid:1"},"x":1}"#;
    let mut walker = Walker::new();
    let walk = walker.walk(json).expect("the document is JSON");
    let edits = [(walk.references[0].span, Cow::Borrowed(&b"Patient/7"[..]))];
    let mut out = b"before".to_vec();
    let slot = strip(json, &walk, Some("new"), &edits, &mut out);
    let body = &out[b"before".len()..];
    let expected = r#"{"resourceType":"Observation","id":"new","subject":{"reference":"Patient/7"},"x":1}"#;
    assert_eq!(String::from_utf8_lossy(body), expected);
    let read = dressed(body, slot);
    assert!(
        String::from_utf8_lossy(&read).starts_with(r#"{"resourceType":"Observation","id":"new","meta":{"#)
    );
    assert_eq!(stripped(&read).0, body);

    let json = br#"{"active":true,"resourceType":"Patient"}"#;
    let walk = walker.walk(json).expect("the document is JSON");
    let mut body = Vec::new();
    let slot = strip(json, &walk, Some("7"), &[], &mut body);
    assert_eq!(String::from_utf8_lossy(&body), r#"{"active":true,"resourceType":"Patient","id":"7"}"#);
    let read = dressed(&body, slot);
    let tail = r#""id":"7","meta":{"versionId":"42","lastUpdated":"2020-09-13T12:26:40.123Z"}}"#;
    assert!(String::from_utf8_lossy(&read).ends_with(tail));
}

#[test]
fn official_examples_come_back_as_they_were() {
    let Some(folder) = shared::folder("data/examples") else { return };
    for path in shared::files(&folder) {
        // The definitions are large and all alike; a tenth of them shows as much.
        for (number, line) in shared::lines(&shared::read(&path)).enumerate() {
            if number < 40 || number % 10 == 0 {
                check(line);
            }
        }
    }
}

/// White space where JSON allows it.
fn space() -> impl Strategy<Value = String> {
    "[ \\n\\t]{0,2}"
}

/// Members in any order, with white space around every token.
fn object(members: Vec<(String, String)>) -> impl Strategy<Value = String> {
    let count = members.len();
    let spaces = proptest::collection::vec((space(), space(), space(), space()), count);
    (Just(members).prop_shuffle(), spaces).prop_map(|(members, spaces)| {
        let member =
            |((key, value), (a, b, c, d)): (&(String, String), &(String, String, String, String))| {
                format!("{a}\"{key}\"{b}:{c}{value}{d}")
            };
        let members: Vec<_> = members.iter().zip(&spaces).map(member).collect();
        format!("{{{}}}", members.join(","))
    })
}

fn subset(members: &[(&str, &str)]) -> impl Strategy<Value = Vec<(String, String)>> + use<> {
    let members: Vec<_> =
        members.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    proptest::sample::subsequence(members.clone(), 0..=members.len())
}

fn resource() -> impl Strategy<Value = String> {
    let meta = subset(&[
        ("versionId", "\"1\""),
        ("lastUpdated", "\"2020-01-01T00:00:00Z\""),
        ("_versionId", "{\"id\":\"x\"}"),
        ("profile", "[\"http://p\"]"),
        ("tag", "[{\"code\":\"a,}\"}]"),
    ]);
    let others = subset(&[
        ("id", "\"a\""),
        ("active", "true"),
        ("name", "[{\"family\":\"{,\"}]"),
        ("gender", "\"male\""),
    ]);
    (meta.prop_flat_map(object), any::<bool>(), others, space(), space()).prop_flat_map(
        |(meta, has_meta, mut members, before, after)| {
            members.push((String::from("resourceType"), String::from("\"Patient\"")));
            if has_meta {
                members.push((String::from("meta"), meta));
            }
            object(members).prop_map(move |json| format!("{before}{json}{after}"))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn dressed_bodies_strip_to_themselves(json in resource()) {
        check(json.as_bytes());
    }

    #[test]
    fn a_slot_survives_its_number(number: u32) {
        prop_assert_eq!(Slot::from_u32(number).as_u32(), number);
    }
}
