//! What a page holds.

use keepwell_protocol::{
    Body, Cursor, Digest, DigestRequest, Epoch, Generation, Member, Outcome, Position, PullRequest, Range,
    RangeClaim, Refusal, ResyncReason, RowState, Sequence, Settlement, Verdict,
};

use super::cases;
use super::kit::*;
use crate::Retention;
use crate::backend::Backend;

cases![
    a_first_pull_has_every_resource_once_at_its_newest_position,
    a_later_pull_has_what_is_new,
    who_has_read_a_version_is_told_what_has_changed,
    what_a_device_did_not_read_in_its_scope_comes_whole,
    an_own_mutation_comes_without_its_body,
    a_resource_that_is_moved_leaves_its_scope,
    a_deleted_resource_is_told_in_every_scope,
    a_resource_of_two_patients_is_in_both_scopes,
    a_page_is_cut_between_positions_and_goes_on_there,
    a_page_is_cut_by_bytes_but_never_empty,
    pages_of_many_scopes_are_in_order,
    nothing_new_is_an_empty_page,
    wrong_scopes_are_answered_with_the_grants,
    a_scope_that_is_new_is_read_from_a_position_of_its_own,
    a_generation_that_is_over_is_answered_with_the_grants,
    outcomes_come_with_the_page_until_they_are_acknowledged,
    a_checkpoint_has_the_digests_of_what_had_rows,
    a_digest_is_that_of_the_rows,
    ranges_of_a_scope_are_compared,
    a_cursor_of_another_epoch_is_void,
    a_cursor_from_before_the_floor_is_void,
    a_cursor_ahead_of_the_server_is_void,
    tombstones_stay_until_devices_have_read_them,
    a_hydration_has_tombstones,
];

fn a_first_pull_has_every_resource_once_at_its_newest_position(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    for (name, text) in [("a", "one"), ("b", "one"), ("a", "two")] {
        backend.put(&flag(name, "1", text), NOON).expect("written");
    }
    backend.put(&flag("c", "2", "one"), NOON).expect("written");
    let page = tablet.pull(0);
    assert_eq!(page.lines(), ["Patient/1 Flag/b 1 in", "Patient/1 Flag/a 2 in"]);
    assert_eq!(page.rows[1].state, RowState::In(flag("a", "1", "two")));
    assert_eq!(page.rows.iter().map(|row| row.position.get()).collect::<Vec<_>>(), [2, 3]);
    assert_eq!((page.end.upto, page.end.more, page.head.clock), (position(4), false, position(4)));
    assert!(page.rows.iter().all(|row| row.at.is_some()));
}

fn a_later_pull_has_what_is_new(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    backend.put(&flag("a", "1", "one"), NOON).expect("written");
    backend.put(&flag("b", "1", "one"), NOON).expect("written");
    assert_eq!(tablet.pull(1).lines(), ["Patient/1 Flag/b 1 in"]);
    backend.put(&flag("a", "1", "two"), NOON).expect("written");
    assert_eq!(tablet.pull(2).lines(), ["Patient/1 Flag/a 2 in"]);
    assert_eq!(tablet.pull(3).lines(), [""; 0]);
}

/// A body that is worth a delta.
fn long(patient: &str, text: &str) -> Body {
    flag("a", patient, &format!("{text} {}", "and so on ".repeat(60)))
}

fn who_has_read_a_version_is_told_what_has_changed(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let (one, two) = (long("1", "one"), long("1", "two"));
    backend.put(&one, NOON).expect("written");
    backend.put(&two, NOON).expect("written");
    let asks = |from| PullRequest { whole: false, ..tablet.request(from) };
    let page = tablet.try_pull(&asks(1)).expect("a page");
    assert_eq!((page.rows.len(), page.deltas.len()), (0, 1));
    let row = page.deltas[0].clone().join(&one).expect("the body that was read fits");
    assert_eq!(
        (row.version, row.position, &row.state),
        (version(2), position(2), &RowState::In(two.clone()))
    );
    assert_eq!(tablet.pull(1).rows, [row]);
    // What is short goes whole.
    backend.put(&flag("a", "1", "three"), NOON).expect("written");
    assert_eq!(tablet.try_pull(&asks(2)).expect("a page").deltas, []);
}

fn what_a_device_did_not_read_in_its_scope_comes_whole(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    backend.put(&flag("b", "1", "one"), NOON).expect("written");
    let whole = |from: u64, lines: &[&str]| {
        let page = tablet.try_pull(&PullRequest { whole: false, ..tablet.request(from) }).expect("a page");
        assert_eq!(
            (page.lines(), page.deltas.len()),
            (lines.iter().map(|line| (*line).to_owned()).collect(), 0)
        );
    };
    for text in ["one", "two", "three"] {
        backend.put(&long("1", text), NOON).expect("written");
    }
    // It has read nothing of it, or a version before the last but one.
    whole(0, &["Patient/1 Flag/b 1 in", "Patient/1 Flag/a 3 in"]);
    whole(2, &["Patient/1 Flag/a 3 in"]);
    // The version before was in another scope, and then deleted.
    backend.put(&long("2", "four"), NOON).expect("written");
    backend.put(&long("1", "five"), NOON).expect("written");
    whole(5, &["Patient/1 Flag/a 5 in"]);
    backend.delete(&key("Flag/a"), NOON).expect("deleted");
    backend.put(&long("1", "seven"), NOON).expect("written");
    whole(7, &["Patient/1 Flag/a 7 in"]);
}

fn an_own_mutation_comes_without_its_body(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    backend.put(&flag("a", "1", "one"), NOON).expect("written");
    let create = tablet.create(&flag("b", "1", "one"));
    tablet.push(&[create]);
    assert_eq!(tablet.pull(1).lines(), ["Patient/1 Flag/b 1 own"]);
    assert_eq!(tablet.pull(1).rows[0].state, RowState::Own(sequence(1)));
    // Without a cursor, in another life and to another device, it comes whole.
    assert_eq!(tablet.pull(0).lines()[1], "Patient/1 Flag/b 1 in");
    let hydrating = tablet.request_hydrating(1, &[("Patient/1", 1, 1)]);
    assert_eq!(tablet.try_pull(&hydrating).expect("a page").lines(), ["Patient/1 Flag/b 1 in"]);
    tablet.incarnation = keepwell_protocol::Incarnation::new(8);
    assert_eq!(tablet.pull(1).lines(), ["Patient/1 Flag/b 1 in"]);
    let other = super::kit::tablet(backend, "d2", "u1", &[]);
    assert_eq!(other.pull(1).lines(), ["Patient/1 Flag/b 1 in"]);
}

fn a_resource_that_is_moved_leaves_its_scope(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &["Patient/1", "Patient/2"]);
    backend.put(&flag("a", "1", "one"), NOON).expect("written");
    backend.put(&flag("a", "2", "one"), NOON).expect("written");
    assert_eq!(tablet.pull(1).lines(), ["Patient/1 Flag/a 2 left", "Patient/2 Flag/a 2 in"]);
    backend.put(&flag("a", "1", "two"), NOON).expect("written");
    assert_eq!(tablet.pull(2).lines(), ["Patient/1 Flag/a 3 in", "Patient/2 Flag/a 3 left"]);
}

fn a_deleted_resource_is_told_in_every_scope(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &["Patient/1", "Patient/2"]);
    backend.put(&flag("a", "1", "one"), NOON).expect("written");
    backend.put(&flag("a", "2", "one"), NOON).expect("written");
    backend.delete(&key("Flag/a"), NOON).expect("deleted");
    // Also in the one that it had left: a device may not know that yet.
    assert_eq!(tablet.pull(2).lines(), ["Patient/1 Flag/a 3 del", "Patient/2 Flag/a 3 del"]);
    assert_eq!(backend.delete(&key("Flag/a"), NOON).expect("deleted"), Some(version(3)));
    assert_eq!(backend.delete(&key("Flag/z"), NOON).expect("nothing"), None);
}

/// An Appointment of two patients.
fn appointment(one: &str, two: &str) -> Body {
    body(&format!(
        r#"{{"resourceType":"Appointment","id":"a","status":"booked","participant":[
            {{"status":"accepted","actor":{{"reference":"Patient/{one}"}}}},
            {{"status":"accepted","actor":{{"reference":"Patient/{two}"}}}}]}}"#
    ))
}

fn a_resource_of_two_patients_is_in_both_scopes(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &["Patient/1", "Patient/2", "Patient/3"]);
    backend.put(&appointment("1", "2"), NOON).expect("written");
    assert_eq!(tablet.pull(0).lines(), ["Patient/1 Appointment/a 1 in", "Patient/2 Appointment/a 1 in"]);
    backend.put(&appointment("3", "2"), NOON).expect("written");
    let expected =
        ["Patient/1 Appointment/a 2 left", "Patient/2 Appointment/a 2 in", "Patient/3 Appointment/a 2 in"];
    assert_eq!(tablet.pull(1).lines(), expected);
    let alone = super::kit::tablet(backend, "d2", "u2", &["Patient/2"]);
    assert_eq!(alone.pull(0).lines(), ["Patient/2 Appointment/a 2 in"]);
}

/// Everything, a page after the other.
fn all_pages(tablet: &Tablet<'_>, rows: u32, bytes: u32) -> (Vec<String>, Vec<u64>) {
    let (mut lines, mut uptos, mut from) = (Vec::new(), Vec::new(), 0);
    loop {
        let page = tablet.try_pull(&PullRequest { rows, bytes, ..tablet.request(from) }).expect("a page");
        lines.extend(page.lines());
        from = page.end.upto.get();
        uptos.push(from);
        if !page.end.more {
            return (lines, uptos);
        }
    }
}

fn a_page_is_cut_between_positions_and_goes_on_there(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &["Patient/1", "Patient/2"]);
    backend.put(&flag("a", "1", "one"), NOON).expect("written");
    backend.put(&appointment("1", "2"), NOON).expect("written");
    for name in ["b", "c", "d", "e"] {
        backend.put(&flag(name, "2", "one"), NOON).expect("written");
    }
    let (all, uptos) = all_pages(&tablet, 5_000, 1 << 20);
    assert_eq!((all.len(), uptos), (7, vec![6]));
    for rows in 1..7 {
        assert_eq!(all_pages(&tablet, rows, 1 << 20).0, all, "{rows} rows");
    }
    // Two rows of one position do not fit a page of two behind another row.
    assert_eq!(all_pages(&tablet, 2, 1 << 20).1, [1, 2, 4, 6]);
}

fn a_page_is_cut_by_bytes_but_never_empty(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    for name in ["a", "b", "c"] {
        backend.put(&flag(name, "1", &"long ".repeat(1_000)), NOON).expect("written");
    }
    let (all, uptos) = all_pages(&tablet, 5_000, 1);
    assert_eq!((all.len(), uptos), (3, vec![1, 2, 3]));
    assert_eq!(all_pages(&tablet, 5_000, 9_000).1, [2, 3]);
}

fn pages_of_many_scopes_are_in_order(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &["Patient/1", "Patient/3"]);
    let mut expected = Vec::new();
    for number in 0..400 {
        let patient = (number % 4).to_string();
        backend.put(&flag(&format!("f{number}"), &patient, "one"), NOON).expect("written");
        if number % 2 == 1 {
            expected.push(format!("Patient/{patient} Flag/f{number} 1 in"));
        }
    }
    for rows in [7, 90, 5_000] {
        assert_eq!(all_pages(&tablet, rows, 1 << 20).0, expected);
    }
    // Near the end all that happened is looked through; far from it each scope is asked. Both say the same.
    for from in [1, 50, 380, 399] {
        let rest: Vec<_> = expected.iter().filter(|line| after(line, from)).cloned().collect();
        assert_eq!(tablet.pull(from).lines(), rest, "behind {from}");
    }
}

/// Whether the flag of a line was written behind a position: the flag of number n is at n + 1.
fn after(line: &str, from: u64) -> bool {
    let number = line.split_once("/f").and_then(|(_, rest)| rest.split(' ').next()?.parse::<u64>().ok());
    number.is_some_and(|number| number + 1 > from)
}

fn nothing_new_is_an_empty_page(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    backend.put(&flag("a", "1", "one"), NOON).expect("written");
    let page = tablet.pull(1);
    assert_eq!(
        (page.end.n, page.end.upto, page.end.more, page.end.digests.len()),
        (0, position(1), false, 0)
    );
    assert_eq!((page.head.grants, page.head.last_seq), (None, Sequence::ZERO));
}

fn wrong_scopes_are_answered_with_the_grants(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    backend.put(&flag("a", "1", "one"), NOON).expect("written");
    let create = tablet.create(&flag("b", "1", "one"));
    tablet.push(&[create]);
    let stale = tablet.request(1);
    backend.grant(&tablet.user, &scope("Patient/2"), crate::Access::Read).expect("granted");
    let page = tablet.try_pull(&stale).expect("a page");
    assert_eq!(page.head.grants, Some(tablet.grants()));
    assert_eq!((page.rows.len(), page.outcomes.len()), (0, 1));
    assert_eq!((page.end.upto, page.end.more, page.head.clock), (position(1), true, position(2)));
    backend.revoke(&tablet.user, &scope("Patient/2")).expect("revoked");
    assert_eq!(tablet.try_pull(&stale).expect("a page").head.grants, None);
}

fn a_scope_that_is_new_is_read_from_a_position_of_its_own(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    for (name, patient) in [("a", "1"), ("b", "2"), ("c", "1"), ("d", "2")] {
        backend.put(&flag(name, patient, "one"), NOON).expect("written");
    }
    backend.grant(&tablet.user, &scope("Patient/2"), crate::Access::Read).expect("granted");
    let request = tablet.request_hydrating(2, &[("Patient/2", 1, 0)]);
    let page = tablet.try_pull(&request).expect("a page");
    assert_eq!(page.head.grants, None);
    assert_eq!(page.lines(), ["Patient/2 Flag/b 1 in", "Patient/1 Flag/c 1 in", "Patient/2 Flag/d 1 in"]);
    let request = tablet.request_hydrating(4, &[("Patient/2", 1, 2)]);
    assert_eq!(tablet.try_pull(&request).expect("a page").lines(), ["Patient/2 Flag/d 1 in"]);
}

fn a_generation_that_is_over_is_answered_with_the_grants(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    backend.put(&flag("a", "1", "one"), NOON).expect("written");
    let (stale, hydrating) = (tablet.request(1), tablet.request_hydrating(1, &[("Patient/1", 1, 1)]));
    backend.revoke(&tablet.user, &scope("Patient/1")).expect("revoked");
    backend.grant(&tablet.user, &scope("Patient/1"), crate::Access::Write).expect("granted");
    for request in [stale, hydrating] {
        let page = tablet.try_pull(&request).expect("a page");
        let given: Vec<_> =
            page.head.grants.expect("the grants").into_iter().map(|grant| grant.1.get()).collect();
        assert_eq!((given, page.rows.len()), (vec![2, 1, 1, 1], 0));
    }
}

fn outcomes_come_with_the_page_until_they_are_acknowledged(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let mutations = [tablet.create(&flag("a", "1", "one")), tablet.update(7, &flag("a", "1", "two"))];
    let told = tablet.try_push(0, &mutations).expect("decided");
    let page = tablet.pull(0);
    // With the lines that were decided: the device may be another life of its database.
    let lines = mutations.iter().map(|frozen| Some(frozen.hash().into()));
    let of_lines = |(settlement, line)| Settlement { line, ..settlement };
    let told: Vec<_> = told.settlements.into_iter().zip(lines).map(of_lines).collect();
    assert_eq!((page.outcomes, page.head.last_seq), (told, sequence(2)));
    let page = tablet.try_pull(&PullRequest { ack: sequence(1), ..tablet.request(0) }).expect("a page");
    assert_eq!((page.outcomes.len(), page.outcomes[0].sequence), (1, sequence(2)));
    assert!(matches!(page.outcomes[0].outcome, Outcome::Conflict { current: Some(_) }));
    let page = tablet.try_pull(&PullRequest { ack: sequence(2), ..tablet.request(0) }).expect("a page");
    assert_eq!((page.outcomes.len(), page.head.last_seq), (0, sequence(2)));
}

fn a_checkpoint_has_the_digests_of_what_had_rows(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &["Patient/1", "Patient/2"]);
    backend.put(&flag("a", "1", "one"), NOON).expect("written");
    backend.put(&flag("b", "2", "one"), NOON).expect("written");
    let names = |page: &Page| page.end.digests.iter().map(|digest| digest.0.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&tablet.pull(0)), ["Patient/1", "Patient/2"]);
    assert_eq!(names(&tablet.pull(1)), ["Patient/2"]);
    let cut = tablet.try_pull(&PullRequest { rows: 1, ..tablet.request(0) }).expect("a page");
    assert_eq!(names(&cut), [""; 0]);
    let hydrating = tablet.try_pull(&tablet.request_hydrating(2, &[("Patient/1", 1, 2)])).expect("a page");
    assert_eq!(names(&hydrating), ["Patient/1"]);
}

/// The digest of the members that a first pull gives of a scope.
fn pulled(tablet: &Tablet<'_>, name: &str) -> (Digest, Vec<Member>) {
    let rows = tablet.pull(0).rows;
    let members: Vec<Member> = rows
        .iter()
        .filter(|row| row.scope == scope(name))
        .filter_map(|row| match &row.state {
            RowState::In(body) => {
                Some(Member { key: row.key.clone(), version: row.version, hash: body.hash() })
            }
            _ => None,
        })
        .collect();
    (Digest::of(&members), members)
}

fn a_digest_is_that_of_the_rows(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1", "Patient/2"]);
    for (name, patient, text) in
        [("a", "1", "one"), ("b", "1", "one"), ("a", "1", "two"), ("b", "2", "one"), ("c", "2", "x")]
    {
        backend.put(&flag(name, patient, text), NOON).expect("written");
    }
    backend.delete(&key("Flag/c"), NOON).expect("deleted");
    let create = tablet.create(&flag("d", "2", "mine"));
    tablet.push(&[create]);
    for digest in tablet.pull(0).end.digests {
        assert_eq!(digest.digest(), pulled(&tablet, digest.0.as_str()).0, "{}", digest.0);
    }
}

fn ranges_of_a_scope_are_compared(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    for number in 0..70 {
        backend.put(&flag(&format!("f{number}"), "1", "one"), NOON).expect("written");
    }
    let (digest, members) = pulled(&tablet, "Patient/1");
    let ask = |ranges: Vec<RangeClaim>, generation: u64| {
        let generation = Generation::new(generation).expect("a small number");
        backend.digest(&tablet.device, &DigestRequest { v: 1, scope: scope("Patient/1"), generation, ranges })
    };
    let same = ask(vec![RangeClaim::new(Range::ALL, digest)], 1).expect("compared");
    assert_eq!(same.ranges[0].verdict, Verdict::Same);
    let other = ask(vec![RangeClaim::new(Range::ALL, Digest::default())], 1).expect("compared");
    let Verdict::Parts(parts) = &other.ranges[0].verdict else { panic!("no parts") };
    assert_eq!(parts.iter().map(Digest::count).sum::<u64>(), 70);
    let part: Range = "a".parse().expect("a range");
    let within: Vec<_> = members.iter().filter(|member| part.contains(Range::place(&member.key))).collect();
    let answer = ask(vec![RangeClaim(part, 1_000, Digest::default().sums())], 1).expect("compared");
    let Verdict::Members(found) = &answer.ranges[0].verdict else { panic!("no members") };
    assert_eq!(found.len(), within.len());
    assert!(within.iter().all(|member| found.contains(member)));
    assert_eq!(refusal(ask(Vec::new(), 2)), Refusal::Forbidden);
    backend.revoke(&tablet.user, &scope("Patient/1")).expect("revoked");
    assert_eq!(refusal(ask(Vec::new(), 1)), Refusal::Forbidden);
}

fn a_cursor_of_another_epoch_is_void(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    backend.put(&flag("a", "1", "one"), NOON).expect("written");
    let stale = tablet.request(1);
    backend.new_epoch(Epoch::new(77)).expect("another history");
    assert_eq!(refusal(tablet.try_pull(&stale)), Refusal::Resync(ResyncReason::Epoch));
    let page = tablet.pull(0);
    assert_eq!((page.head.epoch, page.rows.len()), (Epoch::new(77), 1));
}

/// Everything may go.
const NOW: Retention = Retention { made_before: later(1_000_000_000), seen_since: later(1_000_000_000) };

fn a_cursor_from_before_the_floor_is_void(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    for name in ["a", "b", "c"] {
        backend.put(&flag(name, "1", "one"), NOON).expect("written");
    }
    backend.delete(&key("Flag/b"), NOON).expect("deleted");
    backend.put(&flag("d", "1", "one"), NOON).expect("written");
    assert_eq!(backend.collect(&NOW, NOON).expect("collected"), position(4));
    assert_eq!(refusal(tablet.try_pull(&tablet.request(3))), Refusal::Resync(ResyncReason::Floor));
    assert_eq!(tablet.pull(4).lines(), ["Patient/1 Flag/d 1 in"]);
    let hydrating = |from| tablet.request_hydrating(5, &[("Patient/1", 1, from)]);
    assert_eq!(refusal(tablet.try_pull(&hydrating(3))), Refusal::Resync(ResyncReason::Floor));
    assert_eq!(tablet.try_pull(&hydrating(0)).expect("a page").rows.len(), 3);
    assert_eq!(backend.collect(&NOW, NOON).expect("nothing more"), position(4));
}

fn a_cursor_ahead_of_the_server_is_void(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    backend.put(&flag("a", "1", "one"), NOON).expect("written");
    assert_eq!(refusal(tablet.try_pull(&tablet.request(2))), Refusal::Resync(ResyncReason::Ahead));
    let hydrating = tablet.request_hydrating(1, &[("Patient/1", 1, 2)]);
    assert_eq!(refusal(tablet.try_pull(&hydrating)), Refusal::Resync(ResyncReason::Ahead));
    let largest =
        Cursor::new(backend.horizon().expect("a horizon").epoch, Position::new((1 << 53) - 1).expect("it"));
    let request = PullRequest { cursor: Some(largest), ..tablet.request(0) };
    assert_eq!(refusal(tablet.try_pull(&request)), Refusal::Resync(ResyncReason::Ahead));
}

fn tombstones_stay_until_devices_have_read_them(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    backend.put(&flag("a", "1", "one"), NOON).expect("written");
    backend.delete(&key("Flag/a"), NOON).expect("deleted");
    let careful = Retention { made_before: later(1_000_000_000), seen_since: NOON };
    assert_eq!(backend.collect(&careful, NOON).expect("nothing"), position(0));
    // It asks from behind the tombstone, at a time that is worth noting.
    let much_later = later(2 * crate::SEEN_MS);
    backend.pull(&tablet.device, &tablet.request(2), much_later, &mut |_| ()).expect("a page");
    assert_eq!(backend.collect(&careful, much_later).expect("collected"), position(2));
    let young = Retention { made_before: NOON, ..careful };
    backend.put(&flag("b", "1", "one"), NOON).expect("written");
    backend.delete(&key("Flag/b"), NOON).expect("deleted");
    assert_eq!(
        backend
            .collect(&Retention { made_before: later(-1_000_000_000_000), ..young }, NOON)
            .expect("too young"),
        position(2)
    );
}

fn a_hydration_has_tombstones(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    backend.put(&flag("a", "1", "one"), NOON).expect("written");
    backend.delete(&key("Flag/a"), NOON).expect("deleted");
    let hydrating = tablet.request_hydrating(2, &[("Patient/1", 1, 0)]);
    assert_eq!(tablet.try_pull(&hydrating).expect("a page").lines(), ["Patient/1 Flag/a 2 del"]);
    assert_eq!(tablet.pull(0).lines(), ["Patient/1 Flag/a 2 del"]);
}
