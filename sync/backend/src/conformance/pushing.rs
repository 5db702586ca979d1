//! How mutations are decided.

use keepwell_protocol::{
    Epoch, MutationId, Operation, Outcome, ParkKind, Payload, Refusal, ResyncReason, RowState,
};

use super::cases;
use super::kit::*;
use crate::access::Access;
use crate::backend::Backend;
use crate::provenance::provenance_of;

cases![
    a_life_of_a_resource_is_a_version_a_mutation,
    equal_content_is_no_version,
    a_mutation_that_comes_again_has_its_outcome_again,
    a_number_that_comes_with_other_bytes_is_refused,
    outcomes_are_forgotten_when_they_were_acknowledged,
    a_gap_is_refused_and_what_was_before_it_is_decided,
    an_acknowledgement_of_the_future_is_harmless,
    incarnations_count_for_themselves,
    an_edit_of_an_old_version_meets_the_current_row,
    an_edit_of_something_deleted_meets_its_tombstone,
    an_edit_of_what_never_was_meets_nothing,
    nothing_deleted_is_created_again_by_accident,
    an_outcome_that_is_told_again_has_the_row_of_now,
    one_mutation_that_is_not_applied_does_not_stop_the_others,
    invalid_content_is_rejected_and_archived,
    a_delta_is_applied_to_its_base,
    a_delta_without_its_base_is_asked_for_whole,
    a_group_is_applied_whole,
    a_group_with_a_conflict_comes_back_whole,
    a_group_with_an_edit_that_is_parked_is_parked_whole,
    a_group_with_an_edit_that_is_rejected_is_parked_whole,
    a_group_with_a_gap_is_not_begun,
    bases_of_another_epoch_are_refused,
    how_edits_were_joined_is_written_down_once_and_for_no_device,
];

fn a_life_of_a_resource_is_a_version_a_mutation(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let steps = [
        tablet.create(&flag("f", "1", "one")),
        tablet.update(1, &flag("f", "1", "two")),
        tablet.delete(2, "Flag/f"),
        tablet.freeze(Operation::Recreate, 3, Payload::Body(flag("f", "1", "two")), "Flag/f"),
    ];
    for (place, mutation) in (1..).zip(steps) {
        assert_eq!(applied(&tablet.push_one(mutation)), (place, place));
    }
    assert_eq!(backend.horizon().expect("a horizon").clock, position(4));
}

fn equal_content_is_no_version(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let outcomes = {
        let create = tablet.create(&flag("f", "1", "one"));
        let update = tablet.update(1, &flag("f", "1", "one"));
        tablet.push(&[create, update])
    };
    assert_eq!(briefs(&outcomes), ["applied 1", "noop 1"]);
    assert_eq!(backend.horizon().expect("a horizon").clock, position(1));
}

fn a_mutation_that_comes_again_has_its_outcome_again(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let mutations = [
        tablet.create(&flag("f", "1", "one")),
        tablet.update(1, &flag("f", "1", "two")),
        tablet.update(1, &flag("f", "1", "three")),
    ];
    let first = tablet.try_push(0, &mutations).expect("decided");
    assert_eq!(tablet.try_push(0, &mutations).expect("decided"), first);
    let (old, new) = (&mutations[1..], tablet.delete(2, "Flag/f"));
    let again = tablet.push(&[old, &[new]].concat());
    assert_eq!(briefs(&again), ["applied 2", "conflict 2 in", "applied 3"]);
    assert_eq!(first.head.last_seq, sequence(3));
}

fn a_number_that_comes_with_other_bytes_is_refused(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let first = tablet.create(&flag("f", "1", "one"));
    tablet.push(std::slice::from_ref(&first));
    tablet.next = 1;
    let other = tablet.create(&flag("g", "1", "one"));
    assert_eq!(refusal(tablet.try_push(0, &[other])), Refusal::SequenceReused);
    assert_eq!(backend.horizon().expect("a horizon").clock, position(1));
    assert_eq!(briefs(&tablet.push(&[first])), ["applied 1"]);
}

fn outcomes_are_forgotten_when_they_were_acknowledged(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let mutations = [tablet.create(&flag("f", "1", "one")), tablet.update(1, &flag("f", "1", "two"))];
    tablet.push(&mutations);
    let after = tablet.try_push(1, &mutations).expect("decided");
    assert_eq!(after.settlements.len(), 1);
    assert_eq!(after.settlements[0].sequence, sequence(2));
    assert_eq!(after.head.last_seq, sequence(2));
}

fn a_gap_is_refused_and_what_was_before_it_is_decided(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let first = tablet.create(&flag("f", "1", "one"));
    let missing = tablet.create(&flag("g", "1", "one"));
    let third = tablet.create(&flag("h", "1", "one"));
    let gap = Refusal::SequenceGap { expected: sequence(2) };
    assert_eq!(refusal(tablet.try_push(0, &[first.clone(), third.clone()])), gap);
    assert_eq!(backend.horizon().expect("a horizon").clock, position(1));
    assert_eq!(tablet.pull(0).head.last_seq, sequence(1));
    let outcomes = tablet.push(&[first, missing, third]);
    assert_eq!(outcomes.iter().map(applied).collect::<Vec<_>>(), [(1, 1), (1, 2), (1, 3)]);
}

fn an_acknowledgement_of_the_future_is_harmless(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let create = tablet.create(&flag("f", "1", "one"));
    let pushed = tablet.try_push(9_000, &[create]).expect("decided");
    assert_eq!(brief(&pushed.settlements[0].outcome), "applied 1");
    let update = tablet.update(1, &flag("f", "1", "two"));
    assert_eq!(briefs(&tablet.push(&[update])), ["applied 2"]);
}

fn incarnations_count_for_themselves(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let create = tablet.create(&flag("f", "1", "one"));
    tablet.push(&[create]);
    tablet.incarnation = keepwell_protocol::Incarnation::new(8);
    tablet.next = 1;
    let again = tablet.create(&flag("f", "1", "one"));
    assert_eq!(briefs(&tablet.push(&[again])), ["conflict 1 in"]);
}

fn an_edit_of_an_old_version_meets_the_current_row(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let current = flag("f", "1", "theirs");
    backend.put(&flag("f", "1", "one"), NOON).expect("written");
    backend.put(&current, NOON).expect("written");
    for mutation in [
        tablet.update(1, &flag("f", "1", "mine")),
        tablet.delete(1, "Flag/f"),
        tablet.create(&flag("f", "1", "mine")),
        tablet.freeze(Operation::Recreate, 2, Payload::Body(flag("f", "1", "mine")), "Flag/f"),
        tablet.update(3, &flag("f", "1", "mine")),
    ] {
        let Outcome::Conflict { current: Some(row) } = tablet.push_one(mutation) else {
            panic!("it is no conflict with a row")
        };
        assert_eq!((row.version, row.position, row.scope), (version(2), position(2), scope("Patient/1")));
        assert_eq!(row.state, RowState::In(current.clone()));
    }
}

fn an_edit_of_something_deleted_meets_its_tombstone(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    backend.put(&flag("f", "1", "one"), NOON).expect("written");
    backend.delete(&key("Flag/f"), NOON).expect("deleted");
    for mutation in [
        tablet.update(1, &flag("f", "1", "mine")),
        tablet.update(2, &flag("f", "1", "mine")),
        tablet.delete(1, "Flag/f"),
        tablet.freeze(Operation::Recreate, 1, Payload::Body(flag("f", "1", "mine")), "Flag/f"),
    ] {
        assert_eq!(brief(&tablet.push_one(mutation)), "conflict 2 del");
    }
}

fn an_edit_of_what_never_was_meets_nothing(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let mutations = [tablet.update(1, &flag("f", "1", "mine")), tablet.delete(1, "Flag/f")];
    assert_eq!(briefs(&tablet.push(&mutations)), ["conflict -", "conflict -"]);
}

fn nothing_deleted_is_created_again_by_accident(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    backend.put(&flag("f", "1", "one"), NOON).expect("written");
    backend.delete(&key("Flag/f"), NOON).expect("deleted");
    let create = tablet.create(&flag("f", "1", "mine"));
    assert_eq!(brief(&tablet.push_one(create)), "conflict 2 del");
    let retention = crate::Retention { made_before: later(1_000_000), seen_since: later(1_000_000) };
    assert_eq!(backend.collect(&retention, later(1_000)).expect("collected"), position(2));
    let create = tablet.create(&flag("f", "1", "mine"));
    assert_eq!(brief(&tablet.push_one(create)), "conflict 2 del");
    let again = tablet.freeze(Operation::Recreate, 2, Payload::Body(flag("f", "1", "mine")), "Flag/f");
    assert_eq!(brief(&tablet.push_one(again)), "applied 3");
}

fn an_outcome_that_is_told_again_has_the_row_of_now(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    backend.put(&flag("f", "1", "one"), NOON).expect("written");
    let mutation = tablet.update(9, &flag("f", "1", "mine"));
    assert_eq!(brief(&tablet.push_one(mutation.clone())), "conflict 1 in");
    backend.put(&flag("f", "1", "two"), NOON).expect("written");
    assert_eq!(brief(&tablet.push_one(mutation.clone())), "conflict 2 in");
    backend.revoke(&tablet.user, &scope("Patient/1")).expect("revoked");
    assert_eq!(brief(&tablet.push_one(mutation)), "conflict -");
    assert_eq!(brief(&tablet.pull(0).outcomes[0].outcome), "conflict -");
}

fn one_mutation_that_is_not_applied_does_not_stop_the_others(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let mutations = [
        tablet.update(1, &flag("a", "1", "mine")),
        tablet.create(&flag("b", "2", "mine")),
        tablet.create(&body(r#"{"resourceType":"Flag","id":"c","subject":{"reference":"Patient/1"}}"#)),
        tablet.create(&flag("d", "1", "mine")),
    ];
    let outcomes = briefs(&tablet.push(&mutations));
    assert_eq!(outcomes, ["conflict -", "parked NoGrant -", "rejected", "applied 1"]);
}

fn invalid_content_is_rejected_and_archived(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let invalid = body(r#"{"resourceType":"Flag","id":"f","color":1,"subject":{"reference":"Patient/1"}}"#);
    let mutation = tablet.create(&invalid);
    let Outcome::Rejected { outcome } = tablet.push_one(mutation) else { panic!("it is not rejected") };
    assert!(std::str::from_utf8(outcome.as_bytes()).expect("text").contains("\"error\""));
    let archived = backend.archived(0).expect("the archive");
    assert_eq!((archived.len(), archived[0].kind), (1, ParkKind::Rejected));
    assert_eq!(archived[0].mine, Some(invalid));
    assert_eq!(backend.horizon().expect("a horizon").clock, position(0));
}

fn a_delta_is_applied_to_its_base(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let (old, new) = (flag("f", "1", "one"), flag("f", "1", "two"));
    backend.put(&old, NOON).expect("written");
    let delta = tablet.update_by(1, &old, &new);
    assert_eq!(brief(&tablet.push_one(delta)), "applied 2");
    tablet.incarnation = keepwell_protocol::Incarnation::new(8);
    assert_eq!(tablet.pull(1).rows[0].state, RowState::In(new.clone()));
    // One on an old version is still read, to be weighed and, if need be, archived.
    tablet.next = 1;
    let delta = tablet.update_by(1, &old, &flag("f", "1", "three"));
    assert_eq!(brief(&tablet.push_one(delta)), "conflict 2 in");
}

fn a_delta_without_its_base_is_asked_for_whole(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    backend.put(&flag("f", "1", "one"), NOON).expect("written");
    let before = tablet.create(&flag("g", "1", "one"));
    let delta = tablet.update_by(1, &flag("f", "1", "another"), &flag("f", "1", "two"));
    let behind = tablet.create(&flag("h", "1", "one"));
    let pushed = tablet.try_push(0, &[before, delta, behind.clone()]).expect("decided");
    let outcomes: Vec<_> = pushed.settlements.iter().map(|settlement| brief(&settlement.outcome)).collect();
    assert_eq!(
        (outcomes, pushed.head.last_seq),
        (vec!["applied 1".to_owned(), "need_full".to_owned()], sequence(1))
    );
    tablet.next = 2;
    let whole = tablet.update(1, &flag("f", "1", "two"));
    assert_eq!(briefs(&tablet.push(&[whole, behind])), ["applied 2", "applied 1"]);
}

fn a_group_is_applied_whole(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let group = [
        tablet.freeze_in(Some(1), Operation::Create, 0, Payload::Body(flag("f", "1", "one")), "Flag/f"),
        tablet.freeze_in(Some(1), Operation::Create, 0, Payload::Body(flag("g", "1", "one")), "Flag/g"),
        tablet.freeze_in(Some(2), Operation::Create, 0, Payload::Body(flag("h", "1", "one")), "Flag/h"),
    ];
    assert_eq!(briefs(&tablet.push(&group)), ["applied 1"; 3]);
    assert_eq!(briefs(&tablet.push(&group)), ["applied 1"; 3]);
}

fn a_group_with_a_conflict_comes_back_whole(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    for name in ["f", "g"] {
        backend.put(&flag(name, "1", "one"), NOON).expect("written");
    }
    backend.put(&flag("f", "1", "two"), NOON).expect("written");
    let group = [
        tablet.freeze_in(Some(1), Operation::Update, 1, Payload::Body(flag("f", "1", "mine")), "Flag/f"),
        tablet.freeze_in(Some(1), Operation::Update, 1, Payload::Body(flag("g", "1", "mine")), "Flag/g"),
        tablet.freeze_in(Some(1), Operation::Create, 0, Payload::Body(flag("h", "1", "mine")), "Flag/h"),
        tablet.freeze(Operation::Delete, 1, Payload::Nothing, "Flag/g"),
    ];
    let outcomes = briefs(&tablet.push(&group));
    assert_eq!(outcomes, ["conflict 2 in", "conflict 1 in", "conflict -", "applied 2"]);
    assert_eq!(backend.archived(0).expect("the archive"), []);
}

fn a_group_with_an_edit_that_is_parked_is_parked_whole(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    for name in ["f", "g"] {
        backend.put(&flag(name, "1", "one"), NOON).expect("written");
    }
    let group = [
        tablet.freeze_in(Some(1), Operation::Update, 1, Payload::Body(flag("f", "1", "mine")), "Flag/f"),
        tablet.freeze_in(Some(1), Operation::Update, 7, Payload::Body(flag("g", "1", "mine")), "Flag/g"),
        tablet.freeze_in(Some(1), Operation::Create, 0, Payload::Body(flag("h", "2", "mine")), "Flag/h"),
    ];
    let outcomes = briefs(&tablet.push(&group));
    assert_eq!(outcomes, ["parked Group 1 in", "parked Group 1 in", "parked NoGrant -"]);
    assert_eq!(backend.archived(0).expect("the archive").len(), 3);
    assert_eq!(backend.horizon().expect("a horizon").clock, position(2));
}

fn a_group_with_an_edit_that_is_rejected_is_parked_whole(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let invalid = body(r#"{"resourceType":"Flag","id":"g","subject":{"reference":"Patient/1"}}"#);
    let group = [
        tablet.freeze_in(Some(1), Operation::Create, 0, Payload::Body(flag("f", "1", "mine")), "Flag/f"),
        tablet.freeze_in(Some(1), Operation::Create, 0, Payload::Body(invalid), "Flag/g"),
    ];
    assert_eq!(briefs(&tablet.push(&group)), ["parked Group -", "rejected"]);
    assert_eq!(backend.archived(0).expect("the archive").len(), 2);
}

fn a_group_with_a_gap_is_not_begun(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let first =
        tablet.freeze_in(Some(1), Operation::Create, 0, Payload::Body(flag("f", "1", "mine")), "Flag/f");
    tablet.next += 1;
    let third =
        tablet.freeze_in(Some(1), Operation::Create, 0, Payload::Body(flag("h", "1", "mine")), "Flag/h");
    let gap = Refusal::SequenceGap { expected: sequence(1) };
    assert_eq!(refusal(tablet.try_push(0, &[first, third])), gap);
    assert_eq!(backend.horizon().expect("a horizon").clock, position(0));
}

fn bases_of_another_epoch_are_refused(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    backend.grant(&tablet.user, &scope("Patient/1"), Access::Write).expect("granted");
    let create = tablet.create(&flag("f", "1", "one"));
    let mut head = tablet.head(0);
    backend.new_epoch(Epoch::new(99)).expect("another history");
    let refused = backend.push(&tablet.device, &head, std::slice::from_ref(&create), NOON);
    assert_eq!(refusal(refused), Refusal::Resync(ResyncReason::Epoch));
    head.epoch = Some(Epoch::new(99));
    let pushed = backend.push(&tablet.device, &head, &[create], NOON).expect("decided");
    assert_eq!(pushed.head.last_seq, sequence(1));
    // A base of an epoch that is not named may be of any.
    head.epoch = None;
    let update = tablet.update(1, &flag("f", "1", "two"));
    let refused = backend.push(&tablet.device, &head, &[update], NOON);
    assert_eq!(refusal(refused), Refusal::Resync(ResyncReason::Epoch));
}

fn how_edits_were_joined_is_written_down_once_and_for_no_device(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let create = tablet.create(&flag("f", "1", "one"));
    tablet.push_one(create);
    let joined = tablet.joined(1, &flag("f", "1", "two"));
    assert_eq!(applied(&tablet.push_one(joined.clone())), (2, 2));
    let clock = || backend.horizon().expect("a horizon").clock;
    assert_eq!(clock(), position(3), "the version, and how it was made");
    assert_eq!(brief(&tablet.push_one(joined)), "applied 2");
    let same = tablet.joined(2, &flag("f", "1", "two"));
    assert_eq!(brief(&tablet.push_one(same)), "noop 2");
    let late = tablet.joined(1, &flag("f", "1", "three"));
    assert_eq!(brief(&tablet.push_one(late)), "conflict 2 in");
    assert_eq!(clock(), position(3), "a version has one, and what made no version has none");
    assert_eq!(tablet.pull(0).lines(), ["Patient/1 Flag/f 2 in"]);
    assert_eq!(tablet.pull(0).end.upto, position(3));

    let name =
        MutationId { device: tablet.device.clone(), incarnation: tablet.incarnation, sequence: sequence(2) };
    let own = provenance_of(&name);
    let forged = body(&format!(
        r#"{{"resourceType":"Provenance","id":"{}","target":[{{"reference":"Patient/1"}}],"recorded":"2026-01-01T00:00:00Z","agent":[{{"who":{{"reference":"Practitioner/u2"}}}}]}}"#,
        own.id
    ));
    let attempts = [tablet.update(1, &forged), tablet.delete(1, &own.to_string()), tablet.create(&forged)];
    for attempt in attempts {
        assert_eq!(brief(&tablet.push_one(attempt)), "parked NoGrant -");
    }
    assert_eq!(clock(), position(3));
}
