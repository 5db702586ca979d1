//! The rules of merging as facts: what is joined, what waits for a person, and what that person may choose.

mod conflicts;
mod elements;
mod lists;
mod resolutions;
mod whole;

use keepwell_merge::{Conflicted, Merged, Merger, Outcome, Reason};
use serde_json::Value;

/// JSON with `'` for `"`, to be readable in here.
fn json(text: &str) -> String {
    text.replace('\'', "\"")
}

fn outcome(base: &str, mine: &str, theirs: &str, check: impl FnOnce(Outcome<'_>)) {
    let [base, mine, theirs] = [base, mine, theirs].map(json);
    let versions = [&base, &mine, &theirs].map(|version| Some(version.as_bytes()));
    check(Merger::new().merge(versions[0], versions[1], versions[2]).expect("versions of one resource"));
}

/// The versions are joined to this, byte for byte, whoever is mine; `expected` is in the order of theirs.
fn joins(base: &str, mine: &str, theirs: &str, expected: &str) {
    let mut results = Vec::new();
    for (mine, theirs) in [(mine, theirs), (theirs, mine)] {
        outcome(base, mine, theirs, |outcome| {
            let Outcome::Merged(Merged { bytes, .. }) = outcome else { panic!("a conflict: {outcome:#?}") };
            results.push(String::from_utf8(bytes.expect("a resource").into_owned()).expect("UTF-8"));
        });
    }
    assert_eq!(results[0], json(expected));
    assert_eq!(sorted(&results[1]), sorted(&results[0]), "the other way round");
}

/// The versions are in conflict, whoever is mine: once, for this reason, at this path.
fn conflicts(base: &str, mine: &str, theirs: &str, reason: Reason, path: &str) {
    for (mine, theirs) in [(mine, theirs), (theirs, mine)] {
        outcome(base, mine, theirs, |outcome| {
            let Outcome::Conflicted(Conflicted { conflicts, .. }) = outcome else {
                panic!("joined: {outcome:#?}")
            };
            let found: Vec<_> =
                conflicts.iter().map(|conflict| (conflict.reason, &conflict.path[..])).collect();
            assert_eq!(found, [(reason, path)]);
        });
    }
}

/// Without order, and without what is always taken from the server.
fn sorted(text: &str) -> Value {
    fn sort(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.shift_remove("versionId");
                members.sort_keys();
                members.values_mut().for_each(sort);
            }
            Value::Array(items) => {
                items.iter_mut().for_each(sort);
                items.sort_by_key(Value::to_string);
            }
            _ => {}
        }
    }
    let mut value = serde_json::from_str(text).expect("JSON");
    sort(&mut value);
    value
}

/// A patient with these members, and something that only this side changed, so that both sides have.
fn patient(members: &str) -> String {
    format!("{{'resourceType':'Patient',{members}}}")
}
