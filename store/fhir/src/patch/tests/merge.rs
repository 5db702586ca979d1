use super::*;

fn check(body: &str, patch: &str, expected: &str) {
    assert_eq!(patched(PatchFormat::MergePatch, body, patch).as_deref(), Ok(expected), "{body} {patch}");
}

/// RFC 7396, appendix A.
#[test]
fn examples_of_the_rfc_pass() {
    for (body, patch, expected) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
        (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
        (r#"{"a":"foo"}"#, "null", "null"),
        (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
        ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
        ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
    ] {
        check(body, patch, expected);
    }
}

#[test]
fn spelling_of_both_sides_is_kept() {
    check(r#"{"a":1.10,"b":1E3,"c":2}"#, r#"{"c":3.00e-7,"\u0062":null}"#, r#"{"a":1.10,"c":3.00e-7}"#);
    check(r#"{"a":{"x":0.0}}"#, r#"{"a":{"\u0079":"\u00e9"}}"#, r#"{"a":{"x":0.0,"\u0079":"\u00e9"}}"#);
}

/// RFC 7396 section 2, word for word, over another representation.
fn model(target: Value, patch: Value) -> Value {
    let Value::Object(patch) = patch else { return patch };
    let Value::Object(mut target) = target else {
        return model(Value::Object(serde_json::Map::new()), Value::Object(patch));
    };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(&name);
        } else {
            let old = target.remove(&name).unwrap_or(Value::Null);
            target.insert(name, model(old, value));
        }
    }
    Value::Object(target)
}

proptest! {
    #[test]
    fn merging_agrees_with_the_model(body in any_json(), patch in any_json()) {
        let value = |json: &str| serde_json::from_str::<Value>(json).expect("generated JSON");
        let merged = patched(PatchFormat::MergePatch, &body, &patch).expect("no identity is at stake");
        prop_assert_eq!(value(&merged), model(value(&body), value(&patch)));
    }

    #[test]
    fn merging_twice_is_merging_once(body in any_json(), patch in any_json()) {
        let once = patched(PatchFormat::MergePatch, &body, &patch).expect("no identity is at stake");
        let twice = patched(PatchFormat::MergePatch, &once, &patch);
        prop_assert_eq!(twice, Ok(once));
    }
}
