use super::*;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// 40 records, a checkpoint after each ten, 100 days between the tens.
fn four_segments() -> Trail {
    let mut trail = Trail::new();
    for _ in 0..4 {
        for number in 0..10 {
            if number % 4 == 0 {
                trail.write(2)
            } else {
                trail.append(&trail.event(Action::Read))
            };
        }
        trail.chain.write_checkpoint(&trail.connection).unwrap();
        trail.now_ms += 100 * DAY_MS;
    }
    trail
}

fn purge_older(trail: &mut Trail, days: i64) -> Option<Purged> {
    purge(&trail.connection, &mut trail.chain, trail.actor, trail.now_ms, days * DAY_MS).unwrap()
}

#[test]
fn the_default_retention_is_six_years() {
    assert_eq!(RETENTION_MS / DAY_MS, 2_192);
    let mut trail = four_segments();
    trail.now_ms += RETENTION_MS;
    let purged = purge(&trail.connection, &mut trail.chain, trail.actor, trail.now_ms, RETENTION_MS).unwrap();
    assert_eq!(purged, Some(Purged { first: 1, last: 40 }));
}

#[test]
fn whole_segments_leave_and_the_rest_verifies() {
    let mut trail = four_segments();
    assert_eq!(purge_older(&mut trail, 1_000), None, "nothing is that old");
    assert_eq!(purge_older(&mut trail, 250), Some(Purged { first: 1, last: 20 }));
    let report = trail.verify(Some(trail.anchor()));
    assert_eq!((findings(&report), report.purged, report.records), (vec![], 20, 21));
    assert_eq!(purge_older(&mut trail, 250), None, "it has been done");
    assert_eq!(purge_older(&mut trail, 150), Some(Purged { first: 21, last: 30 }));
    trail.chain = Chain::load(&trail.connection, &KEY).unwrap();
    trail.append(&trail.event(Action::Read));
    let report = trail.verify(Some(trail.anchor()));
    assert_eq!((findings(&report), report.purged), (vec![], 30));
}

#[test]
fn a_segment_that_no_checkpoint_ends_stays() {
    let mut trail = four_segments();
    for _ in 0..5 {
        trail.append(&trail.event(Action::Read));
    }
    trail.now_ms += 1_000 * DAY_MS;
    assert_eq!(purge_older(&mut trail, 10), Some(Purged { first: 1, last: 40 }));
    let kept: i64 =
        trail.connection.query_row("SELECT min(sequence) FROM audit", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 41);
    assert_eq!(trail.findings(), []);
}

#[test]
fn a_damaged_segment_is_kept_as_evidence() {
    for tamper in [
        "UPDATE audit SET outcome = 8 WHERE sequence = 7",
        "DELETE FROM audit WHERE sequence = 7",
        "DELETE FROM audit WHERE sequence = 10; UPDATE audit SET sequence = 10 WHERE sequence = 9",
    ] {
        let mut trail = four_segments();
        trail.tamper(tamper);
        let refused = purge(&trail.connection, &mut trail.chain, trail.actor, trail.now_ms, 350 * DAY_MS);
        assert!(
            matches!(refused, Err(PurgeError::Damaged { sequence: 7 | 9 | 10 })),
            "{tamper}: {refused:?}"
        );
    }
}

#[test]
fn a_forged_proof_or_a_returned_record_is_found() {
    for (tamper, expected) in [
        ("UPDATE audit_purged SET last_mac = before_mac", (20, FindingKind::PurgeForged)),
        ("UPDATE audit_purged SET digest = x'00'", (20, FindingKind::PurgeForged)),
        (
            "UPDATE audit_purged SET last_sequence = 21; DELETE FROM audit WHERE sequence = 21",
            (21, FindingKind::PurgeForged),
        ),
        ("DELETE FROM audit_purged", (1, FindingKind::Missing(20))),
        ("UPDATE audit SET sequence = 5 WHERE sequence = 41", (5, FindingKind::Inserted(1))),
    ] {
        let mut trail = four_segments();
        purge_older(&mut trail, 250);
        trail.tamper(tamper);
        assert!(trail.findings().contains(&expected), "{tamper}: {:?}", trail.findings());
    }
}
