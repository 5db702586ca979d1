//! Deletes, creations, and what a conflict says.

use keepwell_merge::{MergeError, Merger, Offer, Outcome, Reason, Side, Sides};

const BASE: &[u8] = br#"{"resourceType":"Location","id":"1","meta":{"versionId":"1"},"name":"a"}"#;
const SERVED_AGAIN: &[u8] = br#"{"resourceType":"Location","id":"1","meta":{"versionId":"2"},"name":"a"}"#;
const MINE: &[u8] = br#"{"resourceType":"Location","id":"1","meta":{"versionId":"1"},"name":"b"}"#;
const THEIRS: &[u8] = br#"{"resourceType":"Location","id":"1","meta":{"versionId":"2"},"name":"c"}"#;

#[test]
fn deletion_wins_only_over_what_is_unchanged() {
    for (base, mine, theirs, expected) in [
        (Some(BASE), None, None, Ok(None)),
        (Some(BASE), None, Some(BASE), Ok(None)),
        (Some(BASE), None, Some(SERVED_AGAIN), Ok(None)),
        (Some(BASE), Some(BASE), None, Ok(None)),
        (Some(BASE), None, Some(THEIRS), Err((Reason::DeletedAndChanged, Some(THEIRS)))),
        (Some(BASE), Some(MINE), None, Err((Reason::DeletedAndChanged, None))),
        (None, Some(MINE), Some(THEIRS), Err((Reason::CreatedTwice, Some(THEIRS)))),
        (None, Some(MINE), Some(MINE), Ok(Some(MINE))),
        (None, Some(MINE), None, Ok(Some(MINE))),
        (None, None, Some(THEIRS), Ok(Some(THEIRS))),
        (None, None, None, Ok(None)),
    ] {
        let outcome = Merger::new().merge(base, mine, theirs).expect("one resource");
        let found = match &outcome {
            Outcome::Merged(merged) => Ok(merged.bytes.as_deref()),
            Outcome::Conflicted(conflicted) => {
                assert_eq!(conflicted.shown, Side::Theirs);
                Err((conflicted.conflicts[0].reason, conflicted.proposal.as_deref()))
            }
        };
        assert_eq!(found, expected);
    }
}

#[test]
fn a_conflict_shows_the_versions_as_they_were_written() {
    let outcome = Merger::new().merge(Some(BASE), Some(MINE), Some(THEIRS)).expect("one resource");
    let Outcome::Conflicted(conflicted) = outcome else { panic!("joined") };
    let conflict = &conflicted.conflicts[0];
    assert_eq!(
        (&conflict.path[..], conflict.reason, conflict.offer),
        ("Location.name", Reason::BothChanged, Offer::Any)
    );
    assert_eq!(conflict.parts[0].member.as_deref(), Some("name"));
    assert_eq!(
        conflict.parts[0].raw,
        Sides { base: Some("\"a\""), mine: Some("\"b\""), theirs: Some("\"c\"") }
    );
    assert_eq!(conflicted.proposal.as_deref(), Some(THEIRS));
}

#[test]
fn a_conflict_of_a_resource_names_each_element_that_changed() {
    let order = |status: &str, note: &str| {
        format!(
            r#"{{"resourceType":"ServiceRequest","status":"{status}","intent":"order","patientInstruction":"{note}"}}"#
        )
    };
    let (base, mine, theirs) = (order("active", "a"), order("revoked", "a"), order("active", "b"));
    let outcome = Merger::new().merge(Some(base.as_bytes()), Some(mine.as_bytes()), Some(theirs.as_bytes()));
    let Ok(Outcome::Conflicted(conflicted)) = &outcome else { panic!("joined") };
    let members: Vec<_> =
        conflicted.conflicts[0].parts.iter().filter_map(|part| part.member.as_deref()).collect();
    assert_eq!(members, ["status", "patientInstruction"]);
}

#[test]
fn versions_that_are_not_of_one_resource_are_refused_without_repeating_them() {
    let other = br#"{"resourceType":"Location","id":"2"}"#;
    let kind = br#"{"resourceType":"Patient","id":"1"}"#;
    for other in [&other[..], kind] {
        assert_eq!(
            Merger::new().merge(Some(BASE), Some(other), Some(THEIRS)),
            Err(MergeError::OtherResource)
        );
    }
    let broken = br#"{"resourceType":"Patient","name":secret}"#;
    let error = Merger::new().merge(Some(BASE), Some(broken), Some(THEIRS)).expect_err("no JSON");
    assert!(matches!(error, MergeError::Syntax { side: Side::Mine, .. }));
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[test]
fn reasons_have_codes_of_their_own() {
    let codes: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    assert_eq!(codes.len(), Reason::ALL.len());
}
