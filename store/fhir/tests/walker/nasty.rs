//! Files made to break FHIR parsers, each with its verdict.

use keepwell_fhir::{Severity, SyntaxErrorKind as Kind, Walker};
use serde_json::Value;

use crate::shared;

#[test]
fn every_nasty_file_gets_its_verdict() {
    let Some(folder) = shared::folder("data/json/fhir-nasty") else { return };
    let manifest: Value = serde_json::from_slice(&shared::read(&folder.join("manifest.json"))).expect("JSON");
    let cases = manifest["files"].as_array().expect("a list of files");
    let mut walker = Walker::new();
    for case in cases {
        let name = case["file"].as_str().expect("a name");
        let fhir = case["fhir"].as_str().expect("a verdict");
        let bytes = shared::read(&folder.join(name));
        let syntax = walker.check_syntax(&bytes).err().map(|error| error.kind);
        let errors = match walker.walk(&bytes) {
            Ok(walk) => walk.issues.iter().filter(|issue| issue.severity <= Severity::Error).count(),
            Err(_) => 1,
        };
        match case["json"].as_bool() {
            Some(true) if fhir == "reject" => assert_eq!(syntax, Some(Kind::DuplicateKey), "{name}"),
            Some(true) => assert!(matches!(syntax, None | Some(Kind::LoneSurrogate)), "{name} {syntax:?}"),
            Some(false) => assert!(syntax.is_some(), "{name}"),
            // Depth and byte order marks are for each parser to decide; the limits say how.
            None => assert!(matches!(syntax, None | Some(Kind::TooDeep | Kind::UnexpectedByte)), "{name}"),
        }
        match fhir {
            _ if case["json"].is_null() => {}
            "valid"
            | "valid-lexically"
            | "valid shape"
            | "valid by the regex"
            | "valid, differs from abc" => {
                assert_eq!(errors, 0, "{name} is valid");
            }
            "valid JSON, noncharacters" => assert_eq!(errors, 0, "{name}"),
            "invalid" | "reject" => assert_ne!(errors, 0, "{name} is invalid"),
            // Both are refused: escaped control characters, and a null without a value or an extension.
            "questionable" => assert_eq!(errors, 1, "{name}"),
            other => panic!("{name} has an unknown verdict {other}"),
        }
    }
    assert!(cases.len() > 150);
}

#[test]
fn limits_are_exact() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let verdict = |json: &str| Walker::new().check_syntax(json.as_bytes()).err().map(|error| error.kind);
    assert_eq!(verdict(&nested(keepwell_fhir::MAX_DEPTH)), None);
    assert_eq!(verdict(&nested(keepwell_fhir::MAX_DEPTH + 1)), Some(Kind::TooDeep));
    assert_eq!(verdict(&"1".repeat(keepwell_fhir::MAX_NUMBER_BYTES)), None);
    assert_eq!(verdict(&"1".repeat(keepwell_fhir::MAX_NUMBER_BYTES + 1)), Some(Kind::NumberTooLong));

    let bundles = |count: usize| {
        let open = r#"{"type":"collection","entry":[{"resource":"#.repeat(count);
        let patient = r#"{"resourceType":"Patient","active":true}"#;
        format!("{open}{patient}{}", r#"}],"resourceType":"Bundle"}"#.repeat(count))
    };
    let walk = |json: &str| Walker::new().walk(json.as_bytes()).map(|walk| walk.issues.to_vec());
    assert_eq!(walk(&bundles(keepwell_fhir::MAX_RESOURCE_DEPTH)), Ok(vec![]));
    let error = walk(&bundles(keepwell_fhir::MAX_RESOURCE_DEPTH + 1)).expect_err("one resource too deep");
    assert_eq!(error.kind, Kind::TooDeep);
}
