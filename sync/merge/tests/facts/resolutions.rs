//! What a person chose, applied.

use keepwell_merge::{Choice, Merger, Resolution, ResolveError};

use crate::json;

const BASE: &str = "{'resourceType':'Patient','gender':'male','birthDate':'1970','language':'en',\
    'telecom':[{'system':'phone','use':'home','value':'1'}]}";
const MINE: &str = "{'resourceType':'Patient','gender':'other','birthDate':'1970','language':'en',\
    'telecom':[{'system':'phone','use':'home','value':'2'}],'name':[{'text':'n'}]}";
const THEIRS: &str = "{'resourceType':'Patient','gender':'male','birthDate':'1971','language':'en',\
    'telecom':[{'system':'phone','use':'home','value':'3'}]}";

fn resolve(choices: &[(&str, Choice<'_>)]) -> Result<String, ResolveError> {
    let [base, mine, theirs] = [BASE, MINE, THEIRS].map(json);
    let resolutions: Vec<_> = choices.iter().map(|&(path, choice)| Resolution { path, choice }).collect();
    let versions = [&base, &mine, &theirs].map(|version| Some(version.as_bytes()));
    let merged = Merger::new().resolve(versions[0], versions[1], versions[2], &resolutions)?;
    Ok(String::from_utf8(merged.bytes.expect("a resource").into_owned()).expect("UTF-8"))
}

fn resolved(person: Choice<'_>, phone: Choice<'_>) -> Result<String, ResolveError> {
    resolve(&[("Patient", person), ("Patient.telecom[0]", phone)])
}

#[test]
fn a_person_takes_either_side_both_or_a_value_by_hand_and_the_rest_is_joined() {
    let phone = |value: &str| format!("{{'system':'phone','use':'home','value':'{value}'}}");
    let patient = |gender: &str, birth: &str, phones: &str| {
        json(&format!(
            "{{'resourceType':'Patient','gender':'{gender}','birthDate':'{birth}','language':'en','telecom':[{phones}],'name':[{{'text':'n'}}]}}"
        ))
    };
    let by_hand = json("{'gender':'female','birthDate':'1972'}");
    let new_phone = json(&phone("4"));
    for (person, number, expected) in [
        (Choice::Theirs, Choice::Theirs, patient("male", "1971", &phone("3"))),
        (Choice::Mine, Choice::Theirs, patient("other", "1970", &phone("3"))),
        (Choice::Theirs, Choice::Both, patient("male", "1971", &format!("{},{}", phone("3"), phone("2")))),
        (
            Choice::Value(by_hand.as_bytes()),
            Choice::Value(new_phone.as_bytes()),
            patient("female", "1972", &phone("4")),
        ),
    ] {
        assert_eq!(resolved(person, number), Ok(expected), "{person:?} {number:?}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let others = ResolveError::OtherConflicts;
    assert_eq!(resolve(&[]), Err(others.clone()));
    assert_eq!(resolve(&[("Patient", Choice::Mine)]), Err(others.clone()));
    assert_eq!(resolve(&[("Patient", Choice::Mine), ("Patient.telecom[1]", Choice::Mine)]), Err(others));
    assert_eq!(resolved(Choice::Both, Choice::Mine), Err(ResolveError::NotOffered { position: 0 }));
    let bad = |value: &'static str| resolved(Choice::Value(value.as_bytes()), Choice::Mine);
    for value in ["", "{", "1", r#"{"name":[]}"#, r#"{"gender":"male","other":1}"#] {
        assert_eq!(bad(value), Err(ResolveError::BadValue { position: 0 }), "{value}");
    }
    assert!(matches!(bad(r#"{"gender":"unheard of"}"#), Err(ResolveError::Invalid { .. })));
}

#[test]
fn a_deletion_in_conflict_is_resolved_either_way() {
    let (base, mine) =
        (json("{'resourceType':'Location','name':'a'}"), json("{'resourceType':'Location','name':'b'}"));
    let resolve = |choice| {
        let resolutions = [Resolution { path: "Location", choice }];
        let merged = Merger::new().resolve(Some(base.as_bytes()), Some(mine.as_bytes()), None, &resolutions);
        merged.map(|merged| merged.bytes.map(|bytes| bytes.into_owned()))
    };
    assert_eq!(resolve(Choice::Theirs), Ok(None));
    assert_eq!(resolve(Choice::Mine), Ok(Some(mine.clone().into_bytes())));
}

#[test]
fn what_never_changes_offers_only_theirs() {
    let with =
        |policy: &str| json(&format!("{{'resourceType':'AuditEvent','outcome':'0','recorded':'{policy}'}}"));
    let versions = [with("2020-01-01T00:00:00Z"), with("2021-01-01T00:00:00Z"), with("2022-01-01T00:00:00Z")];
    let [base, mine, theirs] = versions.each_ref().map(|version| Some(version.as_bytes()));
    let resolve = |choice| {
        Merger::new()
            .resolve(base, mine, theirs, &[Resolution { path: "AuditEvent", choice }])
            .map(|merged| merged.bytes)
    };
    assert_eq!(resolve(Choice::Mine), Err(ResolveError::NotOffered { position: 0 }));
    assert_eq!(
        resolve(Choice::Theirs).map(|bytes| bytes.as_deref().map(<[u8]>::to_vec)),
        Ok(theirs.map(<[u8]>::to_vec))
    );
}
