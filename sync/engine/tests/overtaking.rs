//! Answers that overtake each other, or that are to another life of the device: what came late, or before anything was
//! pulled, changes nothing that is newer.

mod common;

use common::*;
use keepwell_engine::{Answer, Base, Event, Replica as _};
use keepwell_protocol::{
    Digest, Hint, Member, Merge, Outcome, ParkReason, Position, PushReplyHead, RowState, ScopeDigest,
};

#[test]
fn a_device_that_pushed_before_it_ever_pulled_says_of_which_history_its_bases_are() {
    let mut device = Device::new();
    device.save("a", 1);
    device.tell(Event::Edited);
    assert!(matches!(device.push, Some((_, None))), "it has no bases yet");
    device.outcome(1, Outcome::Applied { version: version(1), position: position(1) });
    device.save("a", 2);
    device.tell(Event::Edited);
    assert!(
        matches!(device.push, Some((_, Some(EPOCH)))),
        "a server that was restored meanwhile must refuse this, since it may have another version 1"
    );
}

#[test]
fn a_decision_goes_with_the_edit_that_it_made_and_with_no_other() {
    let mut device = Device::new();
    let merge = |device: &mut Device, number| {
        let Ok(frozen) = device.replica.mutation(sequence(number));
        frozen.expect("it is in flight").into_mutation().merge
    };
    device.save("a", 1);
    device.tell(Event::Edited);
    // While that is in flight, a person decides a conflict by another edit.
    device.save("a", 2);
    let decision = Merge {
        rule: 1,
        from: None,
        theirs: version(1),
        mine: None,
        paths: Vec::new(),
        cids: vec!["c1".parse().expect("an id")],
    };
    let Ok(base) = device.replica.base(&key("a"));
    let base = Base { merge: Some(decision.clone()), ..base.expect("an edit waits") };
    let Ok(()) = device.replica.set_base(&key("a"), Some(&base));
    assert_eq!(merge(&mut device, 1), None);
    device.outcome(1, Outcome::Applied { version: version(1), position: position(1) });
    device.tell(Event::Edited);
    assert_eq!(merge(&mut device, 2), Some(decision));
    device.save("a", 3);
    device.outcome(2, Outcome::Applied { version: version(2), position: position(2) });
    device.tell(Event::Edited);
    assert_eq!(merge(&mut device, 3), None);
}

#[test]
fn a_hydration_that_a_page_begins_is_not_over_with_that_page() {
    let mut device = Device::with_scope(vec![row(2, "a", 1, RowState::In(body("a", 1)))]);
    device.save("a", 2);
    device.tell(Event::SyncNow);
    // Said to be sent from here, but not here: the scope has to be read again.
    device.page(None, vec![row(5, "b", 1, RowState::Own(sequence(9)))], 5, 0, false, Vec::new());
    assert_eq!(device.content("a"), Some(body("a", 2)), "the edit still waits");
    assert!(device.replica.conflicts().is_empty(), "and is not parked");
    let (_, request) = device.pull.expect("it asks at once");
    assert_eq!(request.hydrating.len(), 1);
    assert_eq!(request.hydrating[0].2, Position::ZERO, "from the start");
}

#[test]
fn a_row_that_was_held_back_brings_no_older_version_back() {
    let mut device = Device::with_scope(vec![row(2, "a", 1, RowState::In(body("a", 1)))]);
    device.save("a", 2);
    device.tell(Event::Edited);
    let current = Some(row(9, "a", 3, RowState::In(body("a", 1))));
    device.outcome(1, Outcome::Conflict { current });
    // The edit goes again, on version 3; a page that was slower tells version 2.
    device.tell(Event::SyncNow);
    device.page(None, vec![row(5, "a", 2, RowState::In(body("a", 5)))], 5, 1, false, Vec::new());
    device.outcome(2, Outcome::Parked { why: ParkReason::NoGrant, current: None });
    assert_eq!(device.content("a"), None, "access was lost: nothing of it stays");
}

#[test]
fn a_page_from_before_an_outcome_is_not_compared_with_what_the_outcome_took_away() {
    let mut device = Device::with_scope(vec![
        row(2, "a", 1, RowState::In(body("a", 1))),
        row(3, "b", 1, RowState::In(body("b", 1))),
    ]);
    device.save("a", 2);
    device.tell(Event::SyncNow);
    device.outcome(1, Outcome::Parked { why: ParkReason::NoGrant, current: None });
    let member = |id: &str| Member { key: key(id), version: version(1), hash: body(id, 1).hash() };
    let digest = ScopeDigest::new(scope(), Digest::of(&[member("a"), member("b")]));
    device.page(None, Vec::new(), 4, 0, false, vec![digest]);
    assert_eq!(device.engine.report().diverged, 0);
    // The next one knows of it.
    device.tell(Event::SyncNow);
    let digest = ScopeDigest::new(scope(), Digest::of(&[member("b")]));
    device.page(None, Vec::new(), 5, 1, false, vec![digest]);
    assert_eq!(device.engine.report().diverged, 0);
    device.tell(Event::SyncNow);
    let digest = ScopeDigest::new(scope(), Digest::of(&[member("a"), member("b")]));
    device.page(None, Vec::new(), 6, 1, false, vec![digest]);
    assert_eq!(device.engine.report().diverged, 1, "and is compared");
}

#[test]
fn an_outcome_in_a_page_settles_the_line_that_it_names() {
    let mut device = Device::with_scope(vec![row(2, "a", 1, RowState::In(body("a", 1)))]);
    device.save("a", 2);
    device.tell(Event::SyncNow);
    let told = device.told(1, Outcome::Applied { version: version(2), position: position(4) });
    device.page_of(None, vec![told], 4, 1, false, Vec::new());
    assert!(device.replica.bases().next().is_none(), "the server has it");
}

#[test]
fn an_outcome_in_a_page_of_another_line_is_of_another_life() {
    let rows = ["a", "b"].map(|id| row(2, id, 1, RowState::In(body(id, 1))));
    let mut device = Device::with_scope(rows.to_vec());
    device.save("a", 2);
    device.tell(Event::Edited);
    let backup = device.replica.clone();
    device.outcome(1, Outcome::Applied { version: version(2), position: position(4) });
    device.save("b", 2);
    device.tell(Event::Edited);
    let told = device.told(2, Outcome::Applied { version: version(2), position: position(5) });
    let first = device.incarnation();
    device.go_back(backup);
    device.tell(Event::SyncNow);
    device.save("b", 3);
    // This number was given in both lives, and to the same edit; the next one was not.
    device.outcome(1, Outcome::Applied { version: version(2), position: position(4) });
    device.page_of(None, vec![told], 5, 2, false, Vec::new());
    assert_ne!(device.incarnation(), first);
    assert!(device.replica.bases().next().is_some(), "the server has not heard of the edit");
    assert_eq!(device.content("b"), Some(body("b", 3)));
}

#[test]
fn numbers_that_were_not_given_here_are_of_another_life() {
    let mut device = Device::with_scope(Vec::new());
    let first = device.incarnation();
    device.page(None, Vec::new(), 4, 2, false, Vec::new());
    assert_ne!(device.incarnation(), first);
}

#[test]
fn an_outcome_that_the_server_has_forgotten_is_not_waited_for() {
    let mut device = Device::new();
    device.save("a", 1);
    device.tell(Event::Edited);
    let first = device.incarnation();
    let (ticket, _) = device.push.take().expect("a push is under way");
    let head = PushReplyHead { epoch: EPOCH, last_seq: sequence(1) };
    device.answer(ticket, Answer::Push { head, settlements: Vec::new(), fault: None });
    assert!(device.push.is_some(), "it goes again");
    // What was asked before is of no use any more.
    device.page(None, Vec::new(), 1, 1, false, Vec::new());
    assert_ne!(device.incarnation(), first);
}

#[test]
fn a_row_that_was_held_back_is_not_shown_if_its_scope_was_lost_meanwhile() {
    let mut device = Device::with_scope(vec![row(2, "a", 1, RowState::In(body("a", 1)))]);
    device.save("a", 2);
    device.tell(Event::SyncNow);
    device.page(None, vec![row(5, "a", 3, RowState::In(body("a", 9)))], 5, 0, true, Vec::new());
    device.page(Some(Vec::new()), Vec::new(), 5, 0, true, Vec::new());
    device.outcome(1, Outcome::Applied { version: version(2), position: position(4) });
    assert_eq!(
        device.content("a"),
        Some(body("a", 2)),
        "an own edit waits for its page, theirs may not be here"
    );
    device.page(None, Vec::new(), 6, 1, false, Vec::new());
    assert_eq!(device.content("a"), None);
}

#[test]
fn an_edit_that_lost_its_scope_in_flight_goes_when_it_is_in_flight_no_more() {
    let mut device = Device::with_scope(vec![row(2, "a", 1, RowState::In(body("a", 1)))]);
    device.save("a", 2);
    device.tell(Event::SyncNow);
    device.page(Some(Vec::new()), Vec::new(), 3, 0, true, Vec::new());
    assert!(device.content("a").is_some(), "its outcome has not been heard");
    device.tell(Event::Restored);
    assert_eq!(device.content("a"), None);
    assert_eq!(device.replica.conflicts().len(), 1, "the edit goes to the archive");
}

#[test]
fn a_hint_of_nothing_but_own_writes_waits_for_others_like_it() {
    let mut device = Device::with_scope(Vec::new());
    device.next_ms = 60_000;
    device.save("a", 1);
    device.tell(Event::Edited);
    device.page(None, Vec::new(), 3, 0, false, Vec::new());
    device.outcome(1, Outcome::Applied { version: version(1), position: position(4) });
    let hint = |clock| {
        Event::Hint(Hint { epoch: EPOCH, clock: position(clock), scopes: vec![scope()], grants: false })
    };
    device.tell(hint(4));
    assert!(device.pull.is_none(), "nobody waits for it");
    device.tell(Event::Tick);
    device.page(None, vec![row(4, "a", 1, RowState::Own(sequence(1)))], 4, 1, false, Vec::new());
    device.tell(hint(5));
    assert!(device.pull.is_some(), "somebody else has written");
}
