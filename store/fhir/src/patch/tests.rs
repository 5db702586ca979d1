use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::{Issue, MAX_DEPTH};

mod fhirpath;
mod json;
mod merge;

/// A file of the shared test data; `None`, with a note, where the data is not at hand.
fn shared(file: &str) -> Option<Vec<u8>> {
    let root = std::env::var_os("KEEPWELL_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let bytes = std::fs::read(root.join(file)).ok();
    if bytes.is_none() {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "skipped: ../shared is missing");
    }
    bytes
}

/// The cases of a file under `data/cases/patch`.
fn cases(file: &str) -> Vec<Value> {
    let Some(bytes) = shared(&format!("data/cases/patch/{file}")) else { return Vec::new() };
    let mut file: Value = serde_json::from_slice(&bytes).expect("the file of cases is JSON");
    let cases = file["cases"].take();
    serde_json::from_value(cases).expect("the file has a list of cases")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("a patched resource is UTF-8")
}

/// What a patch makes of a resource, as text.
fn patched(format: PatchFormat, body: &str, patch: &str) -> Result<String, PatchError> {
    format.apply(body.as_bytes(), patch.as_bytes()).map(|bytes| text(&bytes).to_owned())
}

/// Any JSON value, with numbers as they may be spelled.
fn any_json() -> impl Strategy<Value = String> {
    let number = r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?";
    let string = any::<String>().prop_map(|s| serde_json::to_string(&s).expect("a string serialises"));
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just(r#""\u00e9\/""#.to_owned()),
        number,
        string,
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let member = ("[abc~/$]{0,2}", inner.clone());
        let object = proptest::collection::vec(member, 0..5).prop_map(|members| {
            let mut seen = std::collections::HashSet::new();
            let members = members.into_iter().filter(|(name, _)| seen.insert(name.clone()));
            let members: Vec<_> = members.map(|(name, value)| format!("\"{name}\":{value}")).collect();
            format!("{{{}}}", members.join(","))
        });
        let array = proptest::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(",")));
        prop_oneof![object, array]
    })
}

#[test]
fn format_is_found_by_media_type() {
    for (media_type, format) in [
        ("application/json-patch+json", Some(PatchFormat::JsonPatch)),
        ("Application/JSON-Patch+JSON; charset=utf-8", Some(PatchFormat::JsonPatch)),
        ("application/merge-patch+json", Some(PatchFormat::MergePatch)),
        (" application/fhir+json ;fhirVersion=4.0", Some(PatchFormat::FhirPath)),
        ("application/json", None),
        ("", None),
    ] {
        assert_eq!(PatchFormat::from_media_type(media_type), format, "{media_type}");
    }
}

#[test]
fn format_is_found_by_shape() {
    for (patch, format) in [
        ("[]", Some(PatchFormat::JsonPatch)),
        (r#" {"resourceType":"Parameters"}"#, Some(PatchFormat::FhirPath)),
        (r#"{"resourceType":"Patient"}"#, Some(PatchFormat::MergePatch)),
        ("{}", Some(PatchFormat::MergePatch)),
        ("7", None),
        ("{", None),
    ] {
        assert_eq!(PatchFormat::from_shape(patch.as_bytes()), format, "{patch}");
    }
}

#[test]
fn no_patch_changes_the_identity() {
    let body = r#"{"resourceType":"Patient","id":"1","active":true}"#;
    let parameters = |operation: &str| {
        format!(
            r#"{{"resourceType":"Parameters","parameter":[{{"name":"operation","part":[{operation}]}}]}}"#
        )
    };
    for (format, patch) in [
        (PatchFormat::JsonPatch, r#"[{"op":"replace","path":"/id","value":"2"}]"#.to_owned()),
        (PatchFormat::JsonPatch, r#"[{"op":"remove","path":"/id"}]"#.to_owned()),
        (PatchFormat::JsonPatch, r#"[{"op":"add","path":"/resourceType","value":"Group"}]"#.to_owned()),
        (PatchFormat::JsonPatch, r#"[{"op":"add","path":"","value":[]}]"#.to_owned()),
        (PatchFormat::MergePatch, r#"{"id":null}"#.to_owned()),
        (PatchFormat::MergePatch, r#"{"resourceType":"Group"}"#.to_owned()),
        (PatchFormat::MergePatch, "7".to_owned()),
        (
            PatchFormat::FhirPath,
            parameters(
                r#"{"name":"type","valueCode":"replace"},{"name":"path","valueString":"Patient.id"},
                {"name":"value","valueId":"2"}"#,
            ),
        ),
    ] {
        assert_eq!(patched(format, body, &patch), Err(PatchError::Identity { operation: 0 }), "{patch}");
    }
    let same = r#"{"resourceType":"Patient","id":"\u0031","active":false}"#;
    assert!(patched(PatchFormat::MergePatch, body, same).is_ok());
    let new_id = patched(PatchFormat::MergePatch, r#"{"resourceType":"Patient"}"#, r#"{"id":"1"}"#);
    assert_eq!(new_id, Err(PatchError::Identity { operation: 0 }));
}

#[test]
fn refusals_name_no_data() {
    let body = r#"{"resourceType":"Patient","id":"canary","active":"canary"}"#;
    for patch in [
        r#"[{"op":"test","path":"/active","value":"canary2"}]"#,
        r#"[{"op":"remove","path":"/canary"}]"#,
        r#"[{"op":"canary","path":"/canary"}]"#,
        r#"{"resourceType":"canary"}"#,
        "canary",
    ] {
        for format in [PatchFormat::JsonPatch, PatchFormat::MergePatch, PatchFormat::FhirPath] {
            let Err(error) = patched(format, body, patch) else { continue };
            let issue = Issue::from(&error);
            assert!(!format!("{error} {error:?} {issue:?}").contains("canary"), "{error:?}");
        }
    }
}

#[test]
fn documents_that_are_not_json_are_refused() {
    let deep = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let wide = |width: usize| {
        let members: Vec<_> = (0..width).map(|i| format!("\"{i}\":0")).collect();
        format!("{{{}}}", members.join(","))
    };
    let accepted = [deep(MAX_DEPTH), wide(256), r#"{"$serde_json::private::Number":"1"}"#.to_owned()];
    for json in accepted {
        assert_eq!(patched(PatchFormat::JsonPatch, &json, "[]").as_deref(), Ok(json.as_str()));
    }
    for json in [
        deep(MAX_DEPTH + 1),
        deep(1_000_000),
        "[".repeat(1_000_000),
        wide(257),
        r#"{"a":1,"\u0061":2}"#.to_owned(),
        r#""\ud800""#.to_owned(),
        "01".to_owned(),
        "[1,]".to_owned(),
        "[,1]".to_owned(),
        "{,}".to_owned(),
        r#"{"a":1,}"#.to_owned(),
        r#"{"a" 1}"#.to_owned(),
        "{} {}".to_owned(),
        String::new(),
    ] {
        let start: String = json.chars().take(40).collect();
        assert!(matches!(patched(PatchFormat::JsonPatch, &json, "[]"), Err(PatchError::Body(_))), "{start}");
        assert!(
            matches!(patched(PatchFormat::MergePatch, "{}", &json), Err(PatchError::Syntax(_))),
            "{start}"
        );
    }
    assert!(matches!(json_patch(b"\"\xff\"", b"[]"), Err(PatchError::Body(_))));
}

#[test]
fn limits_of_a_patch_are_kept() {
    let large = vec![b' '; MAX_PATCH_BYTES + 1];
    assert_eq!(merge_patch(b"{}", &large), Err(PatchError::TooLarge));
    let operations = |count| format!("[{}]", vec![r#"{"op":"test","path":"","value":{}}"#; count].join(","));
    assert!(patched(PatchFormat::JsonPatch, "{}", &operations(MAX_PATCH_OPERATIONS)).is_ok());
    let refused = patched(PatchFormat::JsonPatch, "{}", &operations(MAX_PATCH_OPERATIONS + 1));
    assert!(matches!(refused, Err(PatchError::Limit { .. })));
}

proptest! {
    #[test]
    fn unnamed_parts_keep_their_spelling(json in any_json(), other in any_json()) {
        let body = format!(r#"{{"a":{json},"b":[{other}],"z":0}}"#);
        prop_assert_eq!(patched(PatchFormat::JsonPatch, &body, "[]"), Ok(body.clone()));
        prop_assert_eq!(patched(PatchFormat::MergePatch, &body, "{}"), Ok(body.clone()));
        let removed = patched(PatchFormat::JsonPatch, &body, r#"[{"op":"remove","path":"/a"}]"#);
        prop_assert_eq!(removed, Ok(format!(r#"{{"b":[{other}],"z":0}}"#)));
        let merged = patched(PatchFormat::MergePatch, &body, r#"{"b":null,"c":1}"#);
        prop_assert_eq!(merged, Ok(format!(r#"{{"a":{json},"z":0,"c":1}}"#)));
    }

    #[test]
    fn hostile_bytes_never_panic(body in any_json(), patch in any_json(), noise in any::<Vec<u8>>(), at in any::<usize>()) {
        let mut mixed = patch.clone().into_bytes();
        mixed.splice(at % (mixed.len() + 1)..at % (mixed.len() + 1), noise.iter().copied());
        for format in [PatchFormat::JsonPatch, PatchFormat::MergePatch, PatchFormat::FhirPath] {
            for (body, patch) in
                [(body.as_bytes(), patch.as_bytes()), (&noise, patch.as_bytes()), (body.as_bytes(), &mixed)]
            {
                if let Ok(result) = format.apply(body, patch) {
                    prop_assert!(Node::parse(&result).is_ok());
                }
            }
        }
    }
}
