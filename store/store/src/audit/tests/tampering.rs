use proptest::prelude::*;

use super::FindingKind::*;
use super::*;

/// A trail of twelve records with a checkpoint at the tenth, touched by `sql`.
fn check(sql: &str, expected: &[(i64, FindingKind)]) {
    let mut trail = Trail::of(10);
    trail.chain.write_checkpoint(&trail.connection).unwrap();
    trail.append(&trail.event(Action::Lock));
    trail.append(&trail.event(Action::Unlock));
    assert_eq!(trail.findings(), [], "before the tampering");
    trail.tamper(sql);
    assert_eq!(trail.findings(), expected, "{sql}");
}

#[test]
fn an_edit_of_any_column_is_named() {
    for column in [
        "recorded = recorded + 1",
        "recorded = 0",
        "skew = 1",
        "actor = 2",
        "action = 3",
        "action = 999",
        "outcome = 4",
        "resource = NULL",
        "resource = 5",
        "version = 3",
        "version = NULL",
        "patient = NULL",
        "first_change = 1",
        "last_change = 1",
        "digest = zeroblob(32)",
        "detail = '{}'",
        "detail = ''",
        "mac = zeroblob(32)",
        "mac = x''",
    ] {
        let mut trail = Trail::of(10);
        trail.tamper(&format!("UPDATE audit SET {column} WHERE sequence = 5"));
        let edited: Vec<_> = trail.findings().into_iter().filter(|(_, kind)| *kind != ActorEdited).collect();
        assert_eq!(edited, [(5, Edited)], "{column}");
        trail.append(&trail.event(Action::Read));
        assert!(trail.findings().contains(&(5, Edited)));
    }
}

#[test]
fn the_first_and_the_last_record_are_covered_too() {
    check("UPDATE audit SET outcome = 8 WHERE sequence = 1", &[(1, Edited)]);
    check("UPDATE audit SET outcome = 8 WHERE sequence = 12", &[(12, Edited)]);
    check(
        "UPDATE audit SET outcome = 8 WHERE sequence IN (2, 3, 7)",
        &[(2, Edited), (3, Edited), (7, Edited)],
    );
}

#[test]
fn a_deletion_is_named() {
    check("DELETE FROM audit WHERE sequence = 1", &[(1, Missing(1))]);
    check("DELETE FROM audit WHERE sequence = 5", &[(5, Missing(1))]);
    check("DELETE FROM audit WHERE sequence BETWEEN 4 AND 7", &[(4, Missing(4))]);
    check("DELETE FROM audit WHERE sequence IN (3, 8)", &[(3, Missing(1)), (8, Missing(1))]);
    // The checkpoint tells the mac of the record before the gap's end, so that what follows is still checked.
    check(
        "DELETE FROM audit WHERE sequence = 10; UPDATE audit SET outcome = 4 WHERE sequence = 11",
        &[(10, Missing(1)), (11, Edited)],
    );
}

#[test]
fn a_deletion_hidden_by_renumbering_is_named() {
    let renumber = |deleted: &str, by: i64| {
        format!(
            "DELETE FROM audit WHERE sequence IN ({deleted});
             UPDATE audit SET sequence = -sequence WHERE sequence > 4;
             UPDATE audit SET sequence = -sequence - {by} WHERE sequence < 0"
        )
    };
    check(&renumber("4", 1), &[(4, Missing(1))]);
    check(&renumber("2, 3, 4", 3), &[(2, Missing(3))]);
}

#[test]
fn an_insertion_is_named() {
    let insert = |count: i64| {
        format!(
            "UPDATE audit SET sequence = -sequence WHERE sequence > 4;
             UPDATE audit SET sequence = -sequence + {count} WHERE sequence < 0;
             INSERT INTO audit SELECT sequence + 1, recorded, skew, actor, 6, 0, 1, 1, 1, NULL, NULL, NULL, NULL,
                 randomblob(32) FROM audit WHERE sequence BETWEEN 5 - {count} AND 4
                 ORDER BY sequence"
        )
    };
    check(&insert(1), &[(5, Inserted(1))]);
    check(
        "INSERT INTO audit SELECT 13, recorded, skew, actor, action, outcome, resource, version, patient,
         first_change, last_change, digest, detail, mac FROM audit WHERE sequence = 12",
        &[(13, Edited)],
    );
    check(
        "INSERT INTO audit SELECT 0, recorded, skew, actor, action, outcome, resource, version, patient,
         first_change, last_change, digest, detail, mac FROM audit WHERE sequence = 12",
        &[(0, Inserted(1))],
    );
}

#[test]
fn a_swap_is_named() {
    let swap = |one: i64, other: i64| {
        format!(
            "UPDATE audit SET sequence = -1 WHERE sequence = {one};
             UPDATE audit SET sequence = {one} WHERE sequence = {other};
             UPDATE audit SET sequence = {other} WHERE sequence = -1"
        )
    };
    for (one, other) in [(5, 6), (5, 7), (2, 8), (1, 2), (11, 12), (1, 9)] {
        check(&swap(one, other), &[(one, Reordered(other)), (other, Reordered(one))]);
    }
}

#[test]
fn a_truncation_is_named_by_the_checkpoint_or_the_anchor() {
    // Record 9, which is gone, wrote changes that are still there.
    check("DELETE FROM audit WHERE sequence > 7", &[(8, ChangesUnaudited), (8, Truncated(3))]);
    let trail = Trail::of(10);
    let anchor = trail.anchor();
    trail.tamper("DELETE FROM audit WHERE sequence > 6");
    assert_eq!(findings(&trail.verify(Some(anchor))), [(7, ChangesUnaudited), (7, Truncated(4))]);
    let trail = Trail::of(10);
    let anchor = trail.anchor();
    trail.tamper("DELETE FROM audit");
    assert_eq!(findings(&trail.verify(Some(anchor))), [(1, ChangesUnaudited), (1, Truncated(10))]);
}

#[test]
fn another_history_is_told_by_the_anchor() {
    let trail = Trail::of(9);
    let mut other = Trail::of(8);
    other.append(&other.event(Action::Delete));
    other.append(&other.event(Action::Delete));
    assert_eq!(findings(&other.verify(Some(trail.anchor()))), [(9, Forked)]);
    assert_eq!(findings(&other.verify(Some(Trail::of(8).anchor()))), []);
}

#[test]
fn the_key_of_another_store_finds_everything_forged() {
    let report = verify(&Trail::of(3).connection, &[8; 32], None).unwrap();
    assert!(findings(&report).contains(&(1, Edited)));
}

#[test]
fn a_forged_checkpoint_is_named() {
    for edit in [
        "note = ''",
        "note = replace(note, char(10) || '10' || char(10), char(10) || '9' || char(10))",
        "note = substr(note, 1, length(note) - 9) || 'AAAAAAA' || char(10)",
        "note = 'x' || note",
        "sequence = 9",
    ] {
        let sequence = if edit.starts_with("sequence") { 9 } else { 10 };
        check(&format!("UPDATE audit_checkpoint SET {edit}"), &[(sequence, CheckpointForged)]);
    }
    let mut other = Trail::new();
    other.chain = Chain::load(&other.connection, &[1; 32]).unwrap();
    other.append(&other.event(Action::Read));
    other.chain.write_checkpoint(&other.connection).unwrap();
    let note = latest_checkpoint(&other.connection).unwrap().unwrap().note;
    check(&format!("INSERT INTO audit_checkpoint VALUES (1, '{note}')"), &[(1, CheckpointForged)]);
}

#[test]
fn an_edit_of_an_actor_is_named() {
    for edit in ["user = 'dr.smith'", "app = 'other'", "device = 'other'", "purpose = 'BTG'", "mac = x''"] {
        check(&format!("UPDATE actor SET {edit}"), &[(1, ActorEdited)]);
    }
    check("UPDATE actor SET key = 5", &[(0, ActorEdited), (1, ActorEdited)]);
    check("DELETE FROM actor", &[(1, ActorEdited)]);
}

#[test]
fn an_edit_of_the_change_log_is_named() {
    // Record 3 wrote changes 1..=4, record 6 wrote 5..=7, record 9 wrote 8 and 9.
    for edit in [
        "UPDATE change_log SET resource = 1 WHERE sequence = 6",
        "UPDATE change_log SET type = 2 WHERE sequence = 6",
        "UPDATE change_log SET version = 2 WHERE sequence = 6",
        "UPDATE change_log SET operation = 3 WHERE sequence = 6",
        "UPDATE change_log SET hash = zeroblob(16) WHERE sequence = 6",
        "UPDATE change_log SET hash = x'' WHERE sequence = 6",
        "DELETE FROM change_log WHERE sequence = 6",
        "DELETE FROM change_log WHERE sequence BETWEEN 5 AND 7",
    ] {
        check(edit, &[(6, ChangesEdited)]);
    }
    check("INSERT INTO change_log VALUES (10, 1, 1, 1, 1, zeroblob(16))", &[(13, ChangesUnaudited)]);
    check("DELETE FROM change_log WHERE sequence = 9", &[(9, ChangesEdited)]);
}

#[test]
fn many_edits_are_counted_when_they_cannot_be_listed() {
    let trail = Trail::of(3_000);
    trail.tamper("UPDATE audit SET outcome = 12");
    let report = trail.verify(None);
    assert_eq!(report.findings.len(), FINDINGS_MAX);
    assert_eq!(report.findings.len() as u64 + report.further_findings, 3_000);
}

/// One act of tampering with a trail of at least 20 records; places are taken modulo the length.
#[derive(Debug, Clone)]
enum Act {
    Edit(&'static str, i64),
    Delete(i64, i64),
    DeleteAndRenumber(i64, i64),
    Swap(i64, i64),
    Insert(i64),
    Truncate(i64),
}

fn act() -> impl Strategy<Value = Act> {
    let column = prop::sample::select(vec![
        "recorded = recorded - 1",
        "skew = 77",
        "action = action + 1",
        "outcome = outcome + 4",
        "resource = coalesce(resource, 0) + 1",
        "version = coalesce(version, 0) + 1",
        "patient = coalesce(patient, 0) + 1",
        "detail = coalesce(detail, '') || ' '",
        "mac = randomblob(32)",
        "actor = actor + 1",
    ]);
    let place = 0..1_000i64;
    prop_oneof![
        (column, place.clone()).prop_map(|(column, at)| Act::Edit(column, at)),
        (place.clone(), 1..5i64).prop_map(|(at, count)| Act::Delete(at, count)),
        (place.clone(), 1..5i64).prop_map(|(at, count)| Act::DeleteAndRenumber(at, count)),
        (place.clone(), place.clone()).prop_map(|(one, other)| Act::Swap(one, other)),
        place.clone().prop_map(Act::Insert),
        (1..10i64).prop_map(Act::Truncate),
    ]
}

/// Does the act; returns the first place that it touched, or `None` when it changed nothing.
fn perform(trail: &Trail, act: &Act) -> Option<i64> {
    let last = trail.chain.head().sequence;
    let place = |at: i64| 1 + at % last;
    let move_up = |after: i64, by: i64| {
        format!(
            "UPDATE audit SET sequence = -sequence WHERE sequence > {after};
             UPDATE audit SET sequence = -sequence + ({by}) WHERE sequence < 0;"
        )
    };
    match *act {
        Act::Edit(column, at) => {
            trail.tamper(&format!("UPDATE audit SET {column} WHERE sequence = {}", place(at)));
            Some(place(at))
        }
        Act::Delete(at, count) => {
            trail.tamper(&format!(
                "DELETE FROM audit WHERE sequence >= {0} AND sequence < {0} + {count}",
                place(at)
            ));
            Some(place(at))
        }
        Act::DeleteAndRenumber(at, count) => {
            let count = count.min(last - place(at) + 1);
            let end = place(at) + count - 1;
            trail.tamper(&format!(
                "DELETE FROM audit WHERE sequence BETWEEN {} AND {end}; {}",
                place(at),
                move_up(end, -count)
            ));
            Some(place(at))
        }
        Act::Swap(one, other) => {
            let (one, other) = (place(one).min(place(other)), place(one).max(place(other)));
            trail.tamper(&format!(
                "UPDATE audit SET sequence = -1 WHERE sequence = {one};
                 UPDATE audit SET sequence = {one} WHERE sequence = {other};
                 UPDATE audit SET sequence = {other} WHERE sequence = -1"
            ));
            (one != other).then_some(one)
        }
        Act::Insert(after) => {
            let after = place(after);
            trail.tamper(&format!(
                "{} INSERT INTO audit SELECT sequence + 1, recorded, skew, actor, action, outcome, resource,
                 version, patient, first_change, last_change, digest, detail, mac
                 FROM audit WHERE sequence = {after}",
                move_up(after, 1)
            ));
            Some(after + 1)
        }
        Act::Truncate(count) => {
            trail.tamper(&format!("DELETE FROM audit WHERE sequence > {}", last - count));
            Some(last - count + 1)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever is done to whatever history: the first finding is at the first place touched.
    #[test]
    fn tampering_is_always_found_where_it_was_done(length in 20..60i64, checkpoint in 0..20i64, act in act()) {
        let mut trail = Trail::of(checkpoint);
        trail.chain.write_checkpoint(&trail.connection).unwrap();
        for _ in checkpoint..length {
            trail.append(&trail.event(Action::Read));
        }
        let anchor = trail.anchor();
        prop_assert_eq!(trail.verify(Some(anchor)).findings, vec![]);
        let touched = perform(&trail, &act);
        let report = trail.verify(Some(anchor));
        prop_assert_eq!(report.findings.first().map(|finding| finding.sequence), touched, "{:?}", report.findings);
    }
}
