use super::*;

/// Cases of the suites that this function answers otherwise than written, each with its reason.
const REVIEWED: &[(&str, u64, &str)] = &[];

fn run(file: &str) {
    for case in cases(file) {
        let number = case["n"].as_u64().expect("a case has a number");
        let body = case["doc"].to_string();
        let result = patched(PatchFormat::JsonPatch, &body, &case["patch"].to_string());
        let as_written = match case.get("expected") {
            Some(expected) => result.as_ref().is_ok_and(|json| {
                serde_json::from_str::<Value>(json).expect("a patched document is JSON") == *expected
            }),
            None => result.is_err(),
        };
        let reviewed = REVIEWED.iter().any(|(name, n, _)| *name == file && *n == number);
        assert_eq!(as_written, !reviewed, "{file} case {number}: {case}\n{result:?}");
    }
}

#[test]
fn rfc_6902_suite_passes() {
    run("json-patch-rfc6902.json");
}

#[test]
fn fhir_suite_passes() {
    run("json-patch-fhir.json");
}

fn check(body: &str, patch: &str, expected: &str) {
    assert_eq!(patched(PatchFormat::JsonPatch, body, patch).as_deref(), Ok(expected), "{patch}");
}

fn refused(body: &str, patch: &str) -> PatchError {
    patched(PatchFormat::JsonPatch, body, patch).expect_err("a patch that must be refused")
}

#[test]
fn members_keep_their_order_and_numbers_their_spelling() {
    let long = "9".repeat(400);
    let body = format!(r#"{{"a":1.10,"b":1E3,"c":{long},"d":"\u00e9","e":-0,"f":[1.0e-22]}}"#);
    check(&body, r#"[{"op":"remove","path":"/b"}]"#, &body.replace(r#""b":1E3,"#, ""));
    check(&body, r#"[{"op":"replace","path":"/a","value":2.50e+1}]"#, &body.replace("1.10", "2.50e+1"));
    check(&body, r#"[{"op":"add","path":"/e","value":0.0}]"#, &body.replace("-0", "0.0"));
    check(
        &body,
        r#"[{"op":"move","from":"/f/0","path":"/a"}]"#,
        &body.replace("[1.0e-22]", "[]").replace("1.10", "1.0e-22"),
    );
}

#[test]
fn numbers_are_tested_by_value() {
    let test = |body: &str, value: &str| {
        let patch = format!(r#"[{{"op":"test","path":"/a","value":{value}}}]"#);
        patched(PatchFormat::JsonPatch, &format!(r#"{{"a":{body}}}"#), &patch)
    };
    let long = "1".repeat(400);
    for (a, b) in [
        ("1.10", "1.1"),
        ("1e3", "1000"),
        ("1E+3", "10.00e2"),
        ("0.01", "1e-2"),
        ("0", "-0.0e7"),
        ("-1.50", "-15e-1"),
        ("0e99999999999999999999", "0"),
        (&long, &format!("{long}.0")),
        ("[1.0,{\"x\":2}]", "[1,{\"x\":2.0}]"),
        (r#""\u0061""#, r#""a""#),
    ] {
        assert!(test(a, b).is_ok() && test(b, a).is_ok(), "{a} {b}");
    }
    for (a, b) in [
        ("1.1", "1.10000000000000000000000000000001"),
        ("1", "-1"),
        ("1", "10"),
        ("1", "\"1\""),
        ("0", "null"),
        ("0", "false"),
        ("1e99999999999999999999", "1e99999999999999999998"),
        ("[1]", "[1,1]"),
        ("{\"x\":1}", "{\"y\":1}"),
        ("{}", "[]"),
    ] {
        assert_eq!(test(a, b), Err(PatchError::TestFailed { operation: 0 }), "{a} {b}");
    }
}

#[test]
fn pointers_are_read_as_rfc_6901_says() {
    let body = r#"{"":1,"a/b":2,"m~n":3,"~1":4,"é":5,"k\"l":6,"x":[10,11]}"#;
    for (pointer, value) in [
        ("/", "1"),
        ("/a~1b", "2"),
        ("/m~0n", "3"),
        ("/~01", "4"),
        ("/é", "5"),
        (r#"/k\"l"#, "6"),
        ("/x/1", "11"),
    ] {
        check(body, &format!(r#"[{{"op":"test","path":"{pointer}","value":{value}}}]"#), body);
    }
    for pointer in ["x", "/~", "/~2", "/a~", "/~é"] {
        let error = refused(body, &format!(r#"[{{"op":"remove","path":"{pointer}"}}]"#));
        assert!(matches!(error, PatchError::Malformed { operation: 0, .. }), "{pointer}");
    }
    for pointer in
        ["/x/2", "/x/01", "/x/+1", "/x/-", "/x/-1", "/x/1e0", "/x/", "/x/99999999999999999999", "/x/0/0", ""]
    {
        let error = refused(body, &format!(r#"[{{"op":"remove","path":"{pointer}"}}]"#));
        assert!(matches!(error, PatchError::Target { operation: 0, .. }), "{pointer}");
    }
}

#[test]
fn move_into_itself_is_refused_and_onto_itself_is_none() {
    let body = r#"{"a":{"b":1},"ab":2}"#;
    assert!(matches!(
        refused(body, r#"[{"op":"move","from":"/a","path":"/a/b"}]"#),
        PatchError::Malformed { .. }
    ));
    check(body, r#"[{"op":"move","from":"/a","path":"/a"}]"#, body);
    check(body, r#"[{"op":"move","from":"/a","path":"/ab"}]"#, r#"{"ab":{"b":1}}"#);
    assert!(matches!(refused(body, r#"[{"op":"move","from":"/x","path":"/x"}]"#), PatchError::Target { .. }));
}

#[test]
fn short_patch_cannot_fill_the_memory() {
    let double = r#"{"op":"copy","from":"/a","path":"/a/-"}"#;
    let patch = format!("[{}]", vec![double; 100].join(","));
    let body = format!(r#"{{"a":["{}"]}}"#, "x".repeat(1000));
    assert!(matches!(refused(&body, &patch), PatchError::Limit { .. }));

    let nest = r#"{"op":"move","from":"/a","path":"/b/a"},{"op":"move","from":"/b","path":"/a"},
        {"op":"add","path":"/b","value":{}}"#;
    let patch = format!("[{}]", [nest; 10].join(","));
    let deep = format!("{}{}", "[".repeat(MAX_DEPTH - 5), "]".repeat(MAX_DEPTH - 5));
    assert!(matches!(refused(&format!(r#"{{"a":{deep},"b":{{}}}}"#), &patch), PatchError::Limit { .. }));
}

#[test]
fn error_names_the_operation() {
    let patch = r#"[{"op":"add","path":"/b","value":1},{"op":"test","path":"/b","value":2}]"#;
    let error = refused(r#"{"a":1}"#, patch);
    assert_eq!((error, error.operation()), (PatchError::TestFailed { operation: 1 }, Some(1)));
    assert_eq!(refused("{}", "{}").operation(), None);
    assert!(matches!(refused("{}", "[7]"), PatchError::Malformed { operation: 0, .. }));
}

/// Operations on small documents, some of which fail.
fn any_operation() -> impl Strategy<Value = String> {
    let pointer = prop_oneof!["(/[abc]|/[0-2]|/-){0,3}", "/[a-c]", "/[a-c]/[0-1]"];
    let op = proptest::sample::select(vec!["add", "remove", "replace", "move", "copy", "test"]);
    (op, pointer.clone(), pointer, any_json()).prop_map(|(op, path, from, value)| {
        format!(r#"{{"op":"{op}","path":"{path}","from":"{from}","value":{value}}}"#)
    })
}

proptest! {
    /// Applying the operations one by one gives the same as all at once, and the first that fails is named.
    #[test]
    fn patch_is_the_sequence_of_its_operations(
        body in any_json(),
        operations in proptest::collection::vec(any_operation(), 0..6),
    ) {
        let whole = patched(PatchFormat::JsonPatch, &body, &format!("[{}]", operations.join(",")));
        let mut document = body;
        for (number, operation) in operations.iter().enumerate() {
            match patched(PatchFormat::JsonPatch, &document, &format!("[{operation}]")) {
                Ok(next) => document = next,
                Err(_) => {
                    prop_assert_eq!(whole.map_err(|error| error.operation()), Err(Some(number)));
                    return Ok(());
                }
            }
        }
        let unchanged = patched(PatchFormat::JsonPatch, &document, "[]");
        prop_assert_eq!(whole, unchanged);
    }

    #[test]
    fn what_is_added_is_found_and_can_be_taken_away(value in any_json(), name in "[xyz~/\u{e9}]{1,3}") {
        let body = r#"{"a":1.0,"b":[]}"#;
        let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        let add = format!(r#"{{"op":"add","path":"{pointer}","value":{value}}}"#);
        let test = format!(r#"{{"op":"test","path":"{pointer}","value":{value}}}"#);
        let remove = format!(r#"{{"op":"remove","path":"{pointer}"}}"#);
        let added = patched(PatchFormat::JsonPatch, body, &format!("[{add},{test}]"));
        prop_assert_eq!(added, Ok(format!(r#"{{"a":1.0,"b":[],"{name}":{value}}}"#)));
        let removed = patched(PatchFormat::JsonPatch, body, &format!("[{add},{remove}]"));
        prop_assert_eq!(removed.as_deref(), Ok(body));
    }
}
