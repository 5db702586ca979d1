use super::*;
use proptest::prelude::*;

fn refused(json: &str) -> BundleError {
    Bundle::parse(json.as_bytes()).expect_err("a Bundle that must be refused")
}

fn transaction(entries: &str) -> String {
    format!(r#"{{"resourceType":"Bundle","type":"transaction","entry":[{entries}]}}"#)
}

#[test]
fn every_part_of_a_request_is_read() {
    let json = transaction(
        r#"{"id":"x","fullUrl":"urn:uuid:\u0031","link":[],"resource" : {"a": 1.10 },"request":{"method":"PUT",
        "url":"Patient?a=b","ifNoneMatch":"W/\"1\"","ifModifiedSince":"2026-01-01T00:00:00Z","ifMatch":"W/\"2\"",
        "ifNoneExist":"a=b"}}"#,
    );
    let bundle = Bundle::parse(json.as_bytes()).expect("a Bundle");
    let entry = &bundle.entries[0];
    assert_eq!(entry.full_url.as_deref(), Some("urn:uuid:1"));
    assert_eq!(entry.resource, Some(&br#"{"a": 1.10 }"#[..]));
    let request = entry.request.as_ref().expect("the request");
    assert_eq!((request.method, &*request.url), (HttpMethod::Put, "Patient?a=b"));
    assert_eq!(request.if_none_match.as_deref(), Some("W/\"1\""));
    assert_eq!(request.if_modified_since.as_deref(), Some("2026-01-01T00:00:00Z"));
    assert_eq!(request.if_match.as_deref(), Some("W/\"2\""));
    assert_eq!(request.if_none_exist.as_deref(), Some("a=b"));
}

#[test]
fn plain_text_and_resources_are_borrowed() {
    let json = transaction(
        r#"{"fullUrl":"u","resource":{},"request":{"method":"POST","url":"Patient","ifNoneExist":"a=b"}}"#,
    );
    let bundle = Bundle::parse(json.as_bytes()).expect("a Bundle");
    let entry = &bundle.entries[0];
    let range = json.as_bytes().as_ptr_range();
    assert!(entry.resource.is_some_and(|resource| range.contains(&resource.as_ptr())));
    assert!(matches!(entry.full_url, Some(Cow::Borrowed(_))));
    let request = entry.request.as_ref().expect("the request");
    assert!(matches!((&request.url, &request.if_none_exist), (Cow::Borrowed(_), Some(Cow::Borrowed(_)))));
}

#[test]
fn collection_needs_no_requests() {
    let json = r#"{"entry":[{"resource":{}},{}],"type":"collection","resourceType":"Bundle"}"#;
    let bundle = Bundle::parse(json.as_bytes()).expect("a Bundle");
    assert_eq!((bundle.kind, bundle.entries.len()), (BundleType::Collection, 2));
    assert!(bundle.processing_order().is_empty());
}

#[test]
fn what_is_no_bundle_is_refused() {
    for json in [
        "",
        "[]",
        "null",
        "{}",
        r#"{"resourceType":"Bundle"}"#,
        r#"{"resourceType":"Patient","type":"batch"}"#,
        r#"{"resourceType":"Bundle","type":"nonsense"}"#,
        r#"{"resourceType":"Bundle","type":"batch","type":"batch"}"#,
        r#"{"resourceType":"Bundle","type":"batch","entry":{}}"#,
        r#"{"resourceType":"Bundle","type":"batch"} x"#,
    ] {
        assert!(matches!(refused(json), BundleError::NotABundle { .. }), "{json}");
    }
}

#[test]
fn malformed_entry_is_named_by_its_number() {
    let good = r#"{"request":{"method":"GET","url":"Patient/1"}}"#;
    for bad in [
        "7",
        "null",
        "{}",
        r#"{"fullUrl":7,"request":{"method":"GET","url":"Patient/1"}}"#,
        r#"{"request":{"method":"get","url":"Patient/1"}}"#,
        r#"{"request":{"method":"GET"}}"#,
        r#"{"request":{"method":"POST","url":"Patient"}}"#,
        r#"{"request":{"method":"PUT","url":"Patient/1"}}"#,
        r#"{"resource":[],"request":{"method":"PUT","url":"Patient/1"}}"#,
    ] {
        let error = refused(&transaction(&format!("{good},{bad}")));
        assert!(matches!(error, BundleError::Entry { entry: 1, .. }), "{bad}");
    }
}

#[test]
fn entries_beyond_the_limit_are_refused() {
    let limit = transaction(&vec![r#"{"request":{"method":"GET","url":"a"}}"#; MAX_BUNDLE_ENTRIES].join(","));
    assert!(Bundle::parse(limit.as_bytes()).is_ok());
    let over = transaction(&vec!["0"; MAX_BUNDLE_ENTRIES + 1].join(","));
    assert_eq!(refused(&over), BundleError::Limit { reason: "entries" });
}

#[test]
fn transaction_is_carried_out_by_method() {
    let entry = |method: &str, url: &str| {
        format!(r#"{{"resource":{{}},"request":{{"method":"{method}","url":"{url}"}}}}"#)
    };
    let methods = ["GET", "PATCH", "POST", "HEAD", "DELETE", "PUT", "POST", "DELETE"];
    let entries: Vec<_> = methods.iter().map(|method| entry(method, "Patient/1")).collect();
    let json = transaction(&entries.join(","));
    let bundle = Bundle::parse(json.as_bytes()).expect("a Bundle");
    assert_eq!(bundle.processing_order(), [4, 7, 2, 6, 1, 5, 0, 3]);
}

#[test]
fn one_resource_is_written_once() {
    let check = |entries: &[(&str, &str)], expected| {
        let entries = entries.iter().enumerate().map(|(i, (method, url))| {
            format!(
                r#"{{"fullUrl":"urn:{i}","resource":{{}},"request":{{"method":"{method}","url":"{url}"}}}}"#
            )
        });
        let json = transaction(&entries.collect::<Vec<_>>().join(","));
        assert_eq!(Bundle::parse(json.as_bytes()).expect("a Bundle").check_identities(), expected);
    };
    let same = |first, second| Err(BundleError::SameIdentity { first, second });
    check(&[("PUT", "Patient/1"), ("PUT", "Patient/2"), ("DELETE", "Observation/1")], Ok(()));
    check(&[("PUT", "Patient/1"), ("GET", "Patient/1"), ("POST", "Patient")], Ok(()));
    check(&[("POST", "Patient"), ("POST", "Patient")], Ok(()));
    check(&[("PUT", "Patient?a=b"), ("PUT", "Patient?a=b")], Ok(()));
    check(&[("PUT", "Patient/2"), ("PUT", "Patient/1"), ("DELETE", "Patient/1")], same(1, 2));
    check(&[("PATCH", "Patient/1"), ("PUT", "/Patient/1")], same(0, 1));

    let json = transaction(
        r#"{"fullUrl":"u","request":{"method":"GET","url":"a"}},{"fullUrl":"u","request":{"method":"GET","url":"b"}}"#,
    );
    let bundle = Bundle::parse(json.as_bytes()).expect("a Bundle");
    assert_eq!(bundle.check_identities(), Err(BundleError::SameFullUrl { first: 0, second: 1 }));
}

#[test]
fn codes_go_there_and_back() {
    for (code, kind) in BundleType::CODES {
        assert_eq!((BundleType::parse(code), kind.code()), (Some(kind), code));
    }
    for (code, method) in HttpMethod::CODES {
        assert_eq!((HttpMethod::parse(code), method.code()), (Some(method), code));
    }
}

#[test]
fn nesting_without_end_does_not_overflow_the_stack() {
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let json =
        format!(r#"{{"resourceType":"Bundle","type":"collection","entry":[{{"resource":{{"a":{deep}}}}}]}}"#);
    assert!(Bundle::parse(json.as_bytes()).is_ok_and(|bundle| bundle.entries.len() == 1));
    assert!(Bundle::parse(&json.as_bytes()[..900_000]).is_err());
}

proptest! {
    #[test]
    fn damaged_bundles_are_refused_or_read_but_never_panic(at in 0_usize..400, byte in any::<u8>()) {
        let mut json = transaction(
            r#"{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Patient","a":[1,true,null,"\u00e9"]},
            "request":{"method":"POST","url":"Patient","ifNoneExist":"identifier=a|b"}},
            {"request":{"method":"DELETE","url":"Patient/1","ifMatch":"W/\"7\""}}"#,
        )
        .into_bytes();
        let at = at % json.len();
        json[at] = byte;
        if let Ok(bundle) = Bundle::parse(&json) {
            prop_assert!(bundle.processing_order().len() <= bundle.entries.len());
            let _ = bundle.check_identities();
        }
        prop_assert!(Bundle::parse(&json[..at]).is_err());
    }
}
