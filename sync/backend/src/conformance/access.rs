//! Who may read and write what.

use keepwell_protocol::{Operation, ParkKind, Payload};

use super::cases;
use super::kit::*;
use crate::access::Access;
use crate::backend::Backend;

cases![
    writing_without_access_is_parked_and_archived,
    writing_with_access_to_read_is_parked_with_the_row,
    moving_a_resource_needs_both_scopes,
    deleting_needs_the_scope,
    current_rows_go_only_to_readers,
    what_is_in_no_scope_is_written_by_no_device,
    what_would_be_in_no_scope_stops_no_group,
    who_creates_a_patient_holds_it,
    nobody_takes_a_patient_that_something_is_known_of,
    a_group_of_mutations_may_make_a_patient_and_write_about_it,
    a_scope_that_is_given_again_has_a_new_generation,
    a_changed_access_is_the_same_generation,
    a_care_team_gives_its_patient_to_its_users,
    a_care_team_that_a_device_changes_takes_effect_at_once,
    a_group_gives_its_patients_to_its_manager,
    a_care_team_of_a_group_gives_each_patient,
    access_stays_while_there_is_a_reason,
];

fn writing_without_access_is_parked_and_archived(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &[]);
    backend.put(&flag("a", "1", "one"), NOON).expect("written");
    let mutations = [tablet.update(1, &flag("a", "1", "mine")), tablet.create(&flag("b", "1", "mine"))];
    assert_eq!(briefs(&tablet.push(&mutations)), ["parked NoGrant -", "parked NoGrant -"]);
    tablet.push(&mutations);
    let archived = backend.archived(0).expect("the archive");
    assert_eq!(archived.len(), 2);
    assert_eq!(
        (archived[0].kind, &archived[0].user, archived[0].base),
        (ParkKind::Parked, &id("u1"), version(1))
    );
    assert_eq!(archived[0].mine, Some(flag("a", "1", "mine")));
    assert_eq!(backend.archived(archived[0].number).expect("the archive"), archived[1..]);
}

fn writing_with_access_to_read_is_parked_with_the_row(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &[]);
    backend.grant(&tablet.user, &scope("Patient/1"), Access::Read).expect("granted");
    backend.put(&flag("a", "1", "one"), NOON).expect("written");
    let update = tablet.update(1, &flag("a", "1", "mine"));
    assert_eq!(brief(&tablet.push_one(update)), "parked ReadOnly 1 in");
    let practitioner = body(r#"{"resourceType":"Practitioner","id":"p"}"#);
    let create = tablet.create(&practitioner);
    assert_eq!(brief(&tablet.push_one(create)), "parked ReadOnly -");
}

fn moving_a_resource_needs_both_scopes(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    backend.put(&flag("a", "1", "one"), NOON).expect("written");
    backend.put(&flag("b", "2", "one"), NOON).expect("written");
    let mutations = [tablet.update(1, &flag("a", "2", "mine")), tablet.update(1, &flag("b", "1", "mine"))];
    assert_eq!(briefs(&tablet.push(&mutations)), ["parked NoGrant 1 in", "parked NoGrant -"]);
    backend.grant(&tablet.user, &scope("Patient/2"), Access::Write).expect("granted");
    let update = tablet.update(1, &flag("a", "2", "mine"));
    assert_eq!(brief(&tablet.push_one(update)), "applied 2");
}

fn deleting_needs_the_scope(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    backend.put(&flag("a", "1", "one"), NOON).expect("written");
    backend.put(&flag("b", "2", "one"), NOON).expect("written");
    let mutations = [tablet.delete(1, "Flag/a"), tablet.delete(1, "Flag/b")];
    assert_eq!(briefs(&tablet.push(&mutations)), ["applied 2", "parked NoGrant -"]);
}

fn current_rows_go_only_to_readers(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    backend.put(&flag("a", "2", "one"), NOON).expect("written");
    // Whoever guesses an id learns that it is taken, not by what.
    let create = tablet.create(&flag("a", "1", "mine"));
    assert_eq!(brief(&tablet.push_one(create)), "parked NoGrant -");
    backend.put(&flag("b", "1", "one"), NOON).expect("written");
    backend.put(&flag("b", "2", "one"), NOON).expect("written");
    let update = tablet.update(1, &flag("b", "1", "mine"));
    assert_eq!(brief(&tablet.push_one(update)), "parked NoGrant -");
}

fn what_is_in_no_scope_is_written_by_no_device(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let cohort = body(
        r#"{"resourceType":"Group","id":"g","type":"person","actual":true,"managingEntity":{"reference":"Practitioner/u1"},"member":[{"entity":{"reference":"Patient/1"}}]}"#,
    );
    let team = body(
        r#"{"resourceType":"CareTeam","id":"t","status":"active","subject":{"reference":"Group/g"},"participant":[{"member":{"reference":"Practitioner/u1"}}]}"#,
    );
    let basic = body(r#"{"resourceType":"Basic","id":"b","code":{"text":"x"}}"#);
    for body in [&cohort, &team, &basic] {
        let create = tablet.create(body);
        assert_eq!(brief(&tablet.push_one(create)), "parked NoScope -");
    }
    assert_eq!(backend.archived(0).expect("the archive"), [], "the device keeps it");
    backend.put(&cohort, NOON).expect("written");
    let mutations = [tablet.delete(1, "Group/g"), tablet.update(1, &flag_like_group())];
    assert_eq!(briefs(&tablet.push(&mutations)), ["parked NoGrant -", "parked NoGrant -"]);
}

fn what_would_be_in_no_scope_stops_no_group(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let basic = |id: &str| {
        Payload::Body(body(&format!(r#"{{"resourceType":"Basic","id":"{id}","code":{{"text":"x"}}}}"#)))
    };
    let group = [
        tablet.freeze_in(Some(1), Operation::Create, 0, Payload::Body(flag("f", "1", "mine")), "Flag/f"),
        tablet.freeze_in(Some(1), Operation::Create, 0, basic("b"), "Basic/b"),
    ];
    assert_eq!(briefs(&tablet.push(&group)), ["applied 1", "parked NoScope -"]);
    // Nor is it lost with one.
    let group = [
        tablet.freeze_in(Some(2), Operation::Create, 0, Payload::Body(flag("g", "2", "mine")), "Flag/g"),
        tablet.freeze_in(Some(2), Operation::Create, 0, basic("c"), "Basic/c"),
    ];
    assert_eq!(briefs(&tablet.push(&group)), ["parked NoGrant -", "parked NoScope -"]);
    assert_eq!(backend.archived(0).expect("the archive").len(), 1);
}

fn flag_like_group() -> keepwell_protocol::Body {
    body(r#"{"resourceType":"Group","id":"g","type":"person","actual":true}"#)
}

fn who_creates_a_patient_holds_it(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &[]);
    let create = tablet.create(&patient("new"));
    let about = tablet.create(&flag("a", "new", "one"));
    assert_eq!(briefs(&tablet.push(&[create, about])), ["applied 1", "applied 1"]);
    let held = backend.grants(&tablet.user).expect("grants");
    let given = held.iter().find(|held| held.scope == scope("Patient/new")).expect("the scope");
    assert_eq!((given.access, given.generation.get()), (Access::Write, 1));
    let other = super::kit::tablet(backend, "d2", "u2", &[]);
    assert_eq!(other.pull(0).rows.len(), 0);
}

fn nobody_takes_a_patient_that_something_is_known_of(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &[]);
    backend.put(&flag("a", "1", "known"), NOON).expect("written");
    backend.put(&patient("2"), NOON).expect("written");
    backend.delete(&key("Patient/2"), NOON).expect("deleted");
    backend.grant(&tablet.user, &scope("Patient/3"), Access::Write).expect("granted");
    backend.revoke(&tablet.user, &scope("Patient/3")).expect("revoked");
    let mutations = ["1", "2", "3"].map(|name| tablet.create(&patient(name)));
    for outcome in tablet.push(&mutations) {
        assert!(brief(&outcome).starts_with("parked NoGrant"), "{outcome:?}");
    }
    assert_eq!(backend.grants(&tablet.user).expect("grants").len(), 3);
}

fn a_group_of_mutations_may_make_a_patient_and_write_about_it(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &[]);
    let group = [
        tablet.freeze_in(Some(1), Operation::Create, 0, Payload::Body(flag("a", "new", "one")), "Flag/a"),
        tablet.freeze_in(Some(1), Operation::Create, 0, Payload::Body(patient("new")), "Patient/new"),
    ];
    assert_eq!(briefs(&tablet.push(&group)), ["applied 1", "applied 1"]);
}

/// Generation of each scope of patients that the user holds.
fn generations(backend: &dyn Backend, user: &str) -> Vec<String> {
    let held = backend.grants(&id(user)).expect("grants").into_iter();
    held.filter(|held| held.scope.kind() == "Patient")
        .map(|held| format!("{} {} {:?}", held.scope.name(), held.generation.get(), held.access))
        .collect()
}

fn a_scope_that_is_given_again_has_a_new_generation(backend: &dyn Backend) {
    for generation in 1..4 {
        backend.grant(&id("u1"), &scope("Patient/1"), Access::Write).expect("granted");
        backend.grant(&id("u1"), &scope("Patient/1"), Access::Write).expect("granted");
        assert_eq!(generations(backend, "u1"), [format!("1 {generation} Write")]);
        backend.revoke(&id("u1"), &scope("Patient/1")).expect("revoked");
        backend.revoke(&id("u1"), &scope("Patient/1")).expect("revoked");
        assert_eq!(generations(backend, "u1"), [""; 0]);
    }
}

fn a_changed_access_is_the_same_generation(backend: &dyn Backend) {
    backend.grant(&id("u1"), &scope("Patient/1"), Access::Read).expect("granted");
    backend.grant(&id("u1"), &scope("Patient/1"), Access::Write).expect("granted");
    assert_eq!(generations(backend, "u1"), ["1 1 Write"]);
    backend.grant(&id("u1"), &scope("Patient/1"), Access::Read).expect("granted");
    assert_eq!(generations(backend, "u1"), ["1 1 Read"]);
}

fn team(status: &str, subject: &str, users: &[&str]) -> keepwell_protocol::Body {
    let users: Vec<String> =
        users.iter().map(|user| format!(r#"{{"member":{{"reference":"Practitioner/{user}"}}}}"#)).collect();
    body(&format!(
        r#"{{"resourceType":"CareTeam","id":"t","status":"{status}","subject":{{"reference":"{subject}"}},"participant":[{}]}}"#,
        users.join(",")
    ))
}

fn cohort(manager: &str, patients: &[&str]) -> keepwell_protocol::Body {
    let patients: Vec<String> = patients
        .iter()
        .map(|patient| {
            let (name, inactive) = patient.strip_prefix('-').map_or((*patient, false), |name| (name, true));
            format!(r#"{{"entity":{{"reference":"Patient/{name}"}},"inactive":{inactive}}}"#)
        })
        .collect();
    body(&format!(
        r#"{{"resourceType":"Group","id":"g","type":"person","actual":true,"managingEntity":{{"reference":"{manager}"}},"member":[{}]}}"#,
        patients.join(",")
    ))
}

fn a_care_team_gives_its_patient_to_its_users(backend: &dyn Backend) {
    backend.put(&team("active", "Patient/1", &["u1", "u2"]), NOON).expect("written");
    assert_eq!(
        (generations(backend, "u1"), generations(backend, "u2")),
        (vec!["1 1 Write".into()], vec!["1 1 Write".into()])
    );
    backend.put(&team("active", "Patient/2", &["u1"]), NOON).expect("written");
    assert_eq!((generations(backend, "u1"), generations(backend, "u2")), (vec!["2 1 Write".into()], vec![]));
    backend.put(&team("suspended", "Patient/2", &["u1"]), NOON).expect("written");
    assert_eq!(generations(backend, "u1"), [""; 0]);
    backend.put(&team("active", "Patient/2", &["u1"]), NOON).expect("written");
    assert_eq!(generations(backend, "u1"), ["2 2 Write"]);
    backend.delete(&key("CareTeam/t"), NOON).expect("deleted");
    assert_eq!(generations(backend, "u1"), [""; 0]);
}

fn a_care_team_that_a_device_changes_takes_effect_at_once(backend: &dyn Backend) {
    let mut one = tablet(backend, "d1", "u1", &["Patient/1"]);
    let two = tablet(backend, "d2", "u2", &[]);
    backend.put(&flag("a", "1", "one"), NOON).expect("written");
    let stale = two.request(1);
    let create = one.create(&team("active", "Patient/1", &["u2"]));
    assert_eq!(brief(&one.push_one(create)), "applied 1");
    assert!(two.try_pull(&stale).expect("a page").head.grants.is_some());
    assert_eq!(two.pull(0).rows.len(), 2);
}

fn a_group_gives_its_patients_to_its_manager(backend: &dyn Backend) {
    backend.put(&cohort("Practitioner/u1", &["1", "2", "-3"]), NOON).expect("written");
    assert_eq!(generations(backend, "u1"), ["1 1 Write", "2 1 Write"]);
    backend.put(&cohort("Practitioner/u2", &["2", "3"]), NOON).expect("written");
    assert_eq!((generations(backend, "u1").len(), generations(backend, "u2").len()), (0, 2));
    backend.delete(&key("Group/g"), NOON).expect("deleted");
    assert_eq!(generations(backend, "u2"), [""; 0]);
}

fn a_care_team_of_a_group_gives_each_patient(backend: &dyn Backend) {
    backend.put(&team("active", "Group/g", &["u1", "u2"]), NOON).expect("written");
    assert_eq!(generations(backend, "u1"), [""; 0]);
    backend.put(&cohort("Organization/o", &["1", "2"]), NOON).expect("written");
    assert_eq!(generations(backend, "u1"), ["1 1 Write", "2 1 Write"]);
    backend.put(&cohort("Organization/o", &["2", "3"]), NOON).expect("written");
    assert_eq!(generations(backend, "u2"), ["2 1 Write", "3 1 Write"]);
    backend.put(&team("active", "Group/g", &["u2"]), NOON).expect("written");
    assert_eq!((generations(backend, "u1").len(), generations(backend, "u2").len()), (0, 2));
    backend.delete(&key("Group/g"), NOON).expect("deleted");
    assert_eq!(generations(backend, "u2"), [""; 0]);
}

fn access_stays_while_there_is_a_reason(backend: &dyn Backend) {
    backend.put(&team("active", "Patient/1", &["u1"]), NOON).expect("written");
    backend.grant(&id("u1"), &scope("Patient/1"), Access::Read).expect("granted");
    backend.delete(&key("CareTeam/t"), NOON).expect("deleted");
    assert_eq!(generations(backend, "u1"), ["1 1 Read"]);
    backend.put(&cohort("Practitioner/u1", &["1"]), NOON).expect("written");
    backend.revoke(&id("u1"), &scope("Patient/1")).expect("revoked");
    assert_eq!(generations(backend, "u1"), ["1 1 Write"]);
}
