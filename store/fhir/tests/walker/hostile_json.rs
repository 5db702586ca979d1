//! JSON that parsers disagree about.

use std::path::{Path, PathBuf};

use keepwell_fhir::{Span, SyntaxErrorKind as Kind, Walker};
use serde_json::Value;

use crate::shared;

/// What becomes of the cases that RFC 8259 leaves open. Texts that are not Unicode are refused, since nothing
/// could be done with them later; numbers of any size are kept, since they stay text; 500 arrays are within
/// `MAX_DEPTH`; a byte order mark is no white space.
const DECIDED: [(&str, Option<Kind>); 26] = [
    ("i_number_double_huge_neg_exp.json", None),
    ("i_number_huge_exp.json", None),
    ("i_number_neg_int_huge_exp.json", None),
    ("i_number_real_neg_overflow.json", None),
    ("i_number_real_pos_overflow.json", None),
    ("i_number_real_underflow.json", None),
    ("i_number_too_big_neg_int.json", None),
    ("i_number_too_big_pos_int.json", None),
    ("i_number_very_big_negative_int.json", None),
    ("i_object_key_lone_2nd_surrogate.json", Some(Kind::LoneSurrogate)),
    ("i_string_1st_surrogate_but_2nd_missing.json", Some(Kind::LoneSurrogate)),
    ("i_string_UTF-16LE_with_BOM.json", Some(Kind::NotUtf8)),
    ("i_string_UTF-8_invalid_sequence.json", Some(Kind::NotUtf8)),
    ("i_string_UTF8_surrogate_U+D800.json", Some(Kind::NotUtf8)),
    ("i_string_incomplete_surrogate_and_escape_valid.json", Some(Kind::LoneSurrogate)),
    ("i_string_incomplete_surrogate_pair.json", Some(Kind::LoneSurrogate)),
    ("i_string_invalid_lonely_surrogate.json", Some(Kind::LoneSurrogate)),
    ("i_string_invalid_surrogate.json", Some(Kind::LoneSurrogate)),
    ("i_string_lone_second_surrogate.json", Some(Kind::LoneSurrogate)),
    ("i_string_lone_utf8_continuation_byte.json", Some(Kind::NotUtf8)),
    ("i_string_overlong_sequence_2_bytes.json", Some(Kind::NotUtf8)),
    ("i_string_overlong_sequence_6_bytes_null.json", Some(Kind::NotUtf8)),
    ("i_string_truncated-utf-8.json", Some(Kind::NotUtf8)),
    ("i_string_utf16LE_no_BOM.json", Some(Kind::NotUtf8)),
    ("i_structure_500_nested_arrays.json", None),
    ("i_structure_UTF-8_BOM_empty_object.json", Some(Kind::UnexpectedByte)),
];

/// Cases of the suite that must parse by the grammar, but have a key twice.
const DUPLICATES: [&str; 2] = ["y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"];

fn suite() -> Option<Vec<PathBuf>> {
    shared::folder("data/json/JSONTestSuite/test_parsing").map(|folder| shared::files(&folder))
}

fn verdict(path: &Path) -> Option<Kind> {
    Walker::new().check_syntax(&shared::read(path)).err().map(|error| error.kind)
}

#[test]
fn grammar_is_that_of_rfc_8259() {
    let Some(files) = suite() else { return };
    let mut decided = 0;
    for path in &files {
        let name = shared::name(path);
        let verdict = verdict(path);
        match name.split('_').next() {
            Some("y") if DUPLICATES.contains(&name) => {
                assert_eq!(verdict, Some(Kind::DuplicateKey), "{name}")
            }
            Some("y") => assert_eq!(verdict, None, "{name}"),
            Some("n") => assert!(verdict.is_some(), "{name}"),
            _ => {
                let known = DECIDED.iter().find(|(case, _)| *case == name).map(|(_, kind)| *kind);
                assert_eq!(known, Some(verdict), "{name}");
                decided += 1;
            }
        }
    }
    assert!(files.len() > 200 && decided == DECIDED.len(), "the suite is complete");
}

#[test]
fn transformations_that_lose_data_do_not_happen() {
    let Some(folder) = shared::folder("data/json/JSONTestSuite/test_transform") else { return };
    for path in shared::files(&folder) {
        let name = shared::name(&path);
        let expected = match name {
            // NFC and NFD spellings are two keys; only equal ones are refused.
            "object_same_key_different_values.json"
            | "object_same_key_same_value.json"
            | "object_same_key_unclear_values.json" => Some(Kind::DuplicateKey),
            _ if name.contains("escaped_invalid_codepoint") => Some(Kind::LoneSurrogate),
            _ if name.contains("invalid_codepoint") => Some(Kind::NotUtf8),
            _ => None,
        };
        assert_eq!(verdict(&path), expected, "{name}");
    }
}

#[test]
fn naughty_strings_are_found_and_read_back() {
    let Some(folder) = shared::folder("data/json") else { return };
    let strings: Vec<String> =
        serde_json::from_slice(&shared::read(&folder.join("blns.json"))).expect("a list of strings");
    let mut walker = Walker::new();
    for text in &strings {
        let json =
            serde_json::json!({"resourceType": "Patient", "identifier": [{"value": text}]}).to_string();
        let walk = walker.walk(json.as_bytes()).expect("the document is JSON");
        let value = walk.identifiers[0].value;
        let is_blank = text.bytes().all(|b| b <= b' ');
        let has_control = text.bytes().any(|b| b < b' ' && !b"\t\n\r".contains(&b));
        if is_blank || has_control {
            assert_eq!(walk.issues[0].expression, "Patient.identifier[0].value");
        } else {
            assert!(walk.issues.is_empty(), "{text:?}");
            assert_eq!(value.map(|span: Span| span.text(json.as_bytes())).as_deref(), Some(text.as_str()));
        }
        for issue in walk.issues {
            assert!(text.len() < 4 || !issue.diagnostics.contains(text), "{text:?}");
        }
    }
    assert!(strings.len() > 500);
}

#[test]
fn keys_are_unique_whatever_their_spelling() {
    for (json, is_refused) in [
        (r#"{"a":1,"b":2}"#, false),
        (r#"{"a":1,"a":2}"#, true),
        (r#"{"a":1,"\u0061":2}"#, true),
        (r#"{"\u0061":1,"\u0061":2}"#, true),
        (r#"{"a/":1,"a\/":2}"#, true),
        (r#"[{"a":1},{"a":2}]"#, false),
        (r#"{"a":{"a":{"a":1}},"b":{"a":1}}"#, false),
        (r#"{"a":{"b":1},"b":{"b":1,"c":1,"b":1}}"#, true),
        (r#"{"":1,"":2}"#, true),
        (r#"{"😀":1,"\ud83d\ude00":2}"#, true),
    ] {
        let verdict = Walker::new().check_syntax(json.as_bytes()).err().map(|error| error.kind);
        assert_eq!(verdict, is_refused.then_some(Kind::DuplicateKey), "{json}");
    }
    for json in [
        r#"{"resourceType":"Patient","active":true,"\u0061ctive":true}"#,
        r#"{"resourceType":"Patient","unknown":1,"unknow\u006e":2}"#,
        r#"{"resourceType":"Patient","_gender":{"id":"a"},"_gender":{"id":"b"}}"#,
        r#"{"resourceType":"Patient","contact":[{"x":{"y":1,"y":1}}]}"#,
    ] {
        let error = Walker::new().walk(json.as_bytes()).map(|_| ()).expect_err("the key is there twice");
        assert_eq!(error.kind, Kind::DuplicateKey, "{json}");
    }
}

#[test]
fn many_unknown_keys_cost_no_more_than_sorting() {
    let mut json = String::from("{\"resourceType\":\"Patient\"");
    for number in 0..200_000 {
        json.push_str(&format!(",\"key{number}\":0"));
    }
    json.push('}');
    let mut walker = Walker::new();
    let walk = walker.walk(json.as_bytes()).expect("all keys differ");
    assert_eq!(walk.issues.len(), keepwell_fhir::MAX_ISSUES);
    let value: Value = serde_json::from_str(&json).expect("the document is JSON");
    assert_eq!(value.as_object().map(serde_json::Map::len), Some(200_001));
}
