//! Random input: nothing panics, and syntax means what it means elsewhere.

use keepwell_fhir::{SyntaxErrorKind as Kind, Walker};
use proptest::prelude::*;
use proptest::sample::Index;

/// Documents that reach most of the walker.
const SEEDS: [&str; 4] = [
    r##"{"resourceType":"Patient","id":"a","meta":{"versionId":"1","lastUpdated":"2020-01-01T00:00:00Z"},"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p class='x'>&amp;\u00e4</p></div>"},"name":[{"given":["x",null],"_given":[null,{"extension":[{"url":"u","valueCode":"y"}]}]}],"birthDate":"1970-01-01","gender":"male","link":[{"other":{"reference":"Patient/2"},"type":"seealso"}]}"##,
    r#"{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"urn:a","code":"b"}]},"valueQuantity":{"value":-1.50e+3,"unit":"\ud83d\ude00"},"component":[{"code":{"text":"x"},"valueInteger":7},{"code":{"text":"y"},"valueBoolean":true}]}"#,
    r#"{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"urn:uuid:1","resource":{"active":true,"resourceType":"Practitioner"},"request":{"method":"POST","url":"Practitioner"}}]}"#,
    r#"{"resourceType":"Condition","subject":{"reference":"Patient/1"},"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}]},"contained":[{"resourceType":"Binary","contentType":"a/b","data":"AAAA"}],"zz":[{},[],1,"",null]}"#,
];

/// The verdict of serde_json, which keeps numbers as text as well.
fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(bytes).is_ok()
}

fn check(bytes: &[u8]) {
    let mut walker = Walker::new();
    let syntax = walker.check_syntax(bytes).err().map(|error| error.kind);
    match syntax {
        None => assert!(is_json(bytes)),
        // These are well-formed for others.
        Some(Kind::DuplicateKey | Kind::TooDeep | Kind::NumberTooLong) => {}
        Some(_) => assert!(!is_json(bytes), "{syntax:?} {}", String::from_utf8_lossy(bytes)),
    }
    let verdict = walker.walk(bytes).map(|walk| {
        let spans = walk.references.iter().map(|reference| reference.span);
        let spans =
            spans.chain(walk.id).chain(walk.patient).chain(walk.meta.meta).chain(walk.meta.version_id);
        spans.for_each(|span| assert!(span.text(bytes).len() <= bytes.len()));
        walk.issues.len()
    });
    // Both ways through a document agree about its syntax.
    match verdict.map_err(|error| error.kind) {
        Err(Kind::NotAnObject | Kind::NoResourceType | Kind::UnknownResourceType) | Ok(_) => {
            assert_eq!(syntax, None);
        }
        Err(kind) => assert!(syntax.is_some(), "{kind:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn damaged_documents_never_panic(
        seed in 0..SEEDS.len(),
        damage in proptest::collection::vec((any::<Index>(), any::<u8>(), 0_u8..5), 1..4),
    ) {
        let mut bytes = SEEDS[seed].as_bytes().to_vec();
        for (place, byte, kind) in damage {
            let at = place.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes[at] ^= 1 << (byte % 8),
                2 => drop(bytes.remove(at)),
                3 => bytes.insert(at, b"\"\\{}[],:0en"[usize::from(byte) % 11]),
                _ => bytes.truncate(at.max(1)),
            }
            if bytes.is_empty() {
                break;
            }
        }
        check(&bytes);
    }

    #[test]
    fn random_text_never_panics(text in "[\\[\\]{}\",:\\\\u0-9a-f.eE+ntrl-]{0,60}") {
        check(text.as_bytes());
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes);
    }
}

#[test]
fn every_truncation_is_a_syntax_error() {
    for seed in SEEDS {
        check(seed.as_bytes());
        for length in 0..seed.len() {
            check(&seed.as_bytes()[..length]);
            assert!(Walker::new().check_syntax(&seed.as_bytes()[..length]).is_err());
        }
    }
}
