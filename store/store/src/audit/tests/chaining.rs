use std::time::Instant;

use super::*;

#[test]
fn records_have_frozen_macs() {
    let mut trail = Trail::new();
    trail.append(&trail.event(Action::Opened));
    assert_eq!(
        hex::encode(trail.chain.head().mac),
        "ca98053872d4a809e9bb1894c7ecc2eb6e416f11ce183d518a2e129e1c1feb86"
    );
    trail.write(2);
    assert_eq!(
        hex::encode(trail.chain.head().mac),
        "df4437ee8c2732c3abdd31d8c38db3c446e7f85149b2681e7e9a36b47f80093a"
    );
    let everything = Event {
        resource: Some(1),
        version: Some(2),
        patient: Some(3),
        detail: Some(r#"{"reason":"näher"}"#),
        outcome: Outcome::MinorFailure,
        ..trail.event(Action::Read)
    };
    trail.append(&everything);
    assert_eq!(
        hex::encode(trail.chain.head().mac),
        "e09b10ad373f6c97ee1f5396f09b91ee1be65d6218ae04a65c6818fc7bd6b55f"
    );
    assert_eq!(
        trail.chain.verifier_key(),
        "keepwell/audit/07eec6daa632bd6f+46503598+AayMVWJDHhoimP5133XoGAHFL4nbwijCIWNJ0RTsLDqG"
    );
}

#[test]
fn actions_have_distinct_rising_codes_and_names() {
    for (position, action) in Action::ALL.iter().enumerate() {
        assert_eq!(Action::from_code(action.code()), Some(*action));
        assert_eq!(Action::parse(action.name()), Some(*action));
        assert!(position == 0 || Action::ALL[position - 1].code() < action.code(), "{action:?}");
    }
    assert_eq!(Action::from_code(0), None);
    for outcome in Outcome::ALL {
        assert_eq!(Outcome::from_code(outcome.code()), Some(outcome));
    }
}

#[test]
fn an_actor_is_never_blank() {
    let long = "x".repeat(ACTOR_TEXT_MAX + 1);
    for (user, app, device, expected) in [
        ("", "a", "d", ActorError::Empty),
        ("u", " ", "d", ActorError::Empty),
        ("u", "a", "\t", ActorError::Empty),
        ("u", "a", "d\n", ActorError::Control),
        (long.as_str(), "a", "d", ActorError::TooLong),
    ] {
        assert_eq!(Actor::new(user, app, device), Err(expected));
    }
    let actor = Actor::new("u", "a", "d").unwrap();
    assert_eq!(actor.purpose(), PURPOSE_DEFAULT);
    for purpose in ["", "btg", "B T", "ABCDEFGHIJKLMNOPQ"] {
        assert_eq!(actor.clone().with_purpose(purpose), Err(ActorError::Purpose));
    }
    assert_eq!(actor.with_purpose(PURPOSE_BREAK_GLASS).unwrap().purpose(), "BTG");
}

#[test]
fn an_actor_is_one_row_for_each_purpose() {
    let trail = Trail::new();
    let actor = Actor::new("u", "a", "d").unwrap();
    let key = |actor: &Actor| actor_key(&trail.connection, &trail.chain, actor).unwrap();
    assert_eq!(key(&actor), key(&actor));
    assert_ne!(key(&actor), key(&actor.clone().with_purpose("BTG").unwrap()));
    assert_eq!(trail.findings(), []);
}

#[test]
fn a_rolled_back_transaction_leaves_the_chain_whole() {
    let mut trail = Trail::of(5);
    let head = trail.chain.head();
    trail.connection.execute_batch("SAVEPOINT s").unwrap();
    trail.append(&trail.event(Action::Create));
    trail.connection.execute_batch("ROLLBACK TO s; RELEASE s").unwrap();
    trail.chain.restore(head);
    assert_eq!(trail.append(&trail.event(Action::Delete)), 6);
    assert_eq!(trail.findings(), []);
}

#[test]
fn a_reloaded_chain_goes_on() {
    let mut trail = Trail::of(5);
    trail.chain.write_checkpoint(&trail.connection).unwrap();
    trail.append(&trail.event(Action::Closed));
    let head = trail.chain.head();
    trail.chain = Chain::load(&trail.connection, &KEY).unwrap();
    assert_eq!(trail.chain.head(), head);
    assert_eq!(trail.append(&trail.event(Action::Opened)), 7);
    assert_eq!(trail.findings(), []);
}

#[test]
fn time_never_goes_back_and_the_skew_is_kept() {
    let mut trail = Trail::of(1);
    let before = trail.now_ms;
    trail.now_ms -= 61_000;
    trail.append(&trail.event(Action::Read));
    let (recorded, skew): (i64, Option<i64>) = trail
        .connection
        .query_row("SELECT recorded, skew FROM audit WHERE sequence = 2", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!((recorded, skew), (before, Some(60_000)));
    assert_eq!(trail.findings(), []);
}

#[test]
fn sql_changes_no_record() {
    let mut trail = Trail::of(4);
    trail.chain.write_checkpoint(&trail.connection).unwrap();
    for statement in [
        "UPDATE audit SET outcome = 0",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE sequence = 4",
        "INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE sequence = 2",
        "UPDATE audit_checkpoint SET note = ''",
        "DELETE FROM audit_checkpoint",
        "UPDATE actor SET user = 'x'",
        "DELETE FROM actor",
        "INSERT INTO audit_purged VALUES (3, 1, x'', x'', x'', x'')",
        "INSERT INTO audit_purged VALUES (4, 2, x'', x'', x'', x'')",
    ] {
        let error = trail.connection.execute(statement, []).expect_err(statement);
        assert!(
            error.to_string().contains("append-only") || error.to_string().contains("segments"),
            "{statement}: {error}"
        );
    }
    assert_eq!(trail.findings(), []);
}

#[test]
fn a_checkpoint_is_due_after_enough_records_or_enough_time() {
    let mut trail = Trail::new();
    assert!(!trail.chain.checkpoint_due(i64::MAX), "nothing to cover");
    trail.append(&trail.event(Action::Opened));
    assert!(!trail.chain.checkpoint_due(trail.now_ms + CHECKPOINT_INTERVAL_MS - 1));
    assert!(trail.chain.checkpoint_due(trail.now_ms + CHECKPOINT_INTERVAL_MS));
    trail.chain.write_checkpoint(&trail.connection).unwrap();
    assert!(!trail.chain.checkpoint_due(i64::MAX));
    trail.now_ms -= CHECKPOINT_RECORDS * 1_000;
    for _ in 0..CHECKPOINT_RECORDS {
        assert!(!trail.chain.checkpoint_due(trail.now_ms));
        trail.append(&trail.event(Action::Read));
    }
    assert!(trail.chain.checkpoint_due(trail.now_ms));
}

#[test]
fn a_checkpoint_is_a_signed_note() {
    let mut trail = Trail::of(3);
    assert_eq!(latest_checkpoint(&trail.connection).unwrap(), None);
    trail.chain.write_checkpoint(&trail.connection).unwrap();
    trail.chain.write_checkpoint(&trail.connection).unwrap();
    let checkpoint = latest_checkpoint(&trail.connection).unwrap().expect("one was written");
    assert_eq!(checkpoint.sequence, 3);
    let key = trail.chain.verifier_key();
    let origin = key.split('+').next().unwrap();
    let lines: Vec<&str> = checkpoint.note.split('\n').collect();
    assert_eq!(lines[..2], [origin, "3"]);
    assert_eq!(lines[3], "");
    assert!(lines[4].starts_with(&format!("— {origin} ")));
    assert_eq!(lines[5..], [""]);
}

#[test]
fn appending_100k_is_fast() {
    let mut trail = Trail::new();
    let event = Event { resource: Some(4), version: Some(2), patient: Some(9), ..trail.event(Action::Read) };
    trail.connection.execute_batch("BEGIN").unwrap();
    let start = Instant::now();
    for _ in 0..100_000 {
        trail.append(&event);
    }
    let appended = start.elapsed();
    trail.connection.execute_batch("COMMIT").unwrap();
    let start = Instant::now();
    assert!(trail.verify(None).is_whole());
    println!(
        "append {:.2} us, verify {:.2} us a record",
        appended.as_secs_f64() * 10.0,
        start.elapsed().as_secs_f64() * 10.0
    );
}
