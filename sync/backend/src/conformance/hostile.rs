//! Requests that no honest device makes.

use keepwell_protocol::limits::{HYDRATING_MAX, PULL_ROWS_MAX, WAIT_MS_MAX};
use keepwell_protocol::{
    DigestRequest, Frozen, Generation, Hydration, NewUpload, ParkHead, PullRequest, PushHead, Range,
    RangeClaim, Refusal,
};

use super::cases;
use super::kit::*;
use crate::UPLOADS_MAX;
use crate::backend::Backend;

cases![
    unknown_versions_are_told_the_known_ones,
    pages_beyond_the_limits_are_refused,
    a_scope_that_is_named_twice_is_refused,
    scopes_that_are_not_held_give_nothing,
    a_resource_twice_in_a_group_is_not_written,
    deltas_that_do_not_fit_change_nothing,
    ranges_beyond_the_limit_are_refused,
    uploads_are_limited,
    a_type_may_not_be_changed_by_a_delta,
];

fn unknown_versions_are_told_the_known_ones(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let upgrade = Refusal::Upgrade { min: 1, max: 1 };
    for v in [0, 2, u32::MAX] {
        let head = PushHead { v, ..tablet.head(0) };
        assert_eq!(refusal(backend.push(&tablet.device, &head, &[], NOON)), upgrade);
        assert_eq!(refusal(tablet.try_pull(&PullRequest { v, ..tablet.request(0) })), upgrade);
        let head = ParkHead { v, incarnation: tablet.incarnation };
        assert_eq!(refusal(backend.park(&tablet.device, &head, &[], NOON)), upgrade);
    }
}

fn pages_beyond_the_limits_are_refused(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let hydration = Hydration(scope("Patient/1"), Generation::ZERO, position(0));
    for request in [
        PullRequest { rows: 0, ..tablet.request(0) },
        PullRequest { rows: PULL_ROWS_MAX + 1, ..tablet.request(0) },
        PullRequest { bytes: u32::MAX, ..tablet.request(0) },
        PullRequest { wait_ms: WAIT_MS_MAX + 1, ..tablet.request(0) },
        PullRequest { hydrating: vec![hydration; HYDRATING_MAX + 1], ..tablet.request(0) },
    ] {
        assert_eq!(refusal(tablet.try_pull(&request)), Refusal::TooLarge);
    }
}

fn a_scope_that_is_named_twice_is_refused(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let request = tablet.request_hydrating(0, &[("Patient/1", 1, 0), ("Patient/1", 1, 0)]);
    assert_eq!(refusal(tablet.try_pull(&request)), Refusal::BadRequest);
}

fn scopes_that_are_not_held_give_nothing(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    backend.put(&flag("a", "2", "secret"), NOON).expect("written");
    for generation in [0, 1] {
        let request = tablet.request_hydrating(1, &[("Patient/2", generation, 0)]);
        let page = tablet.try_pull(&request).expect("a page");
        assert_eq!((page.rows.len(), page.head.grants), (0, Some(tablet.grants())));
    }
}

fn a_resource_twice_in_a_group_is_not_written(backend: &dyn Backend) {
    use keepwell_protocol::{Operation, Payload};
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let twice: Vec<Frozen> = ["one", "two"]
        .map(|text| {
            let payload = Payload::Body(flag("a", "1", text));
            tablet.freeze_in(Some(1), Operation::Create, 0, payload, "Flag/a")
        })
        .into();
    assert_eq!(briefs(&tablet.push(&twice)), ["conflict -", "conflict -"]);
    assert_eq!(backend.horizon().expect("a horizon").clock, position(0));
}

fn deltas_that_do_not_fit_change_nothing(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    backend.put(&flag("a", "1", "one"), NOON).expect("written");
    for base in [1, 2, 900] {
        tablet.next = 1;
        let delta = tablet.update_by(base, &flag("a", "1", "other"), &flag("a", "1", "two"));
        let pushed = tablet.try_push(0, &[delta]).expect("answered");
        assert_eq!(brief(&pushed.settlements[0].outcome), "need_full");
        assert_eq!(pushed.head.last_seq, sequence(0));
    }
    assert_eq!(backend.horizon().expect("a horizon").clock, position(1));
}

fn ranges_beyond_the_limit_are_refused(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let claim = RangeClaim::new(Range::ALL, keepwell_protocol::Digest::default());
    let generation = Generation::new(1).expect("a small number");
    let ranges = vec![claim; keepwell_protocol::limits::RANGES_MAX + 1];
    let request = DigestRequest { v: 1, scope: scope("Patient/1"), generation, ranges };
    assert_eq!(refusal(backend.digest(&tablet.device, &request)), Refusal::TooLarge);
}

fn uploads_are_limited(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &[]);
    let new = |number: usize| NewUpload {
        v: 1,
        sha256: keepwell_protocol::Hash::of(&number.to_be_bytes()),
        size: 1,
    };
    for number in 0..UPLOADS_MAX {
        backend.begin_upload(&tablet.device, &new(number), NOON).expect("begun");
    }
    let over = backend.begin_upload(&tablet.device, &new(UPLOADS_MAX), NOON);
    assert_eq!(refusal(over), Refusal::Busy { retry_after_s: None });
    backend.begin_upload(&tablet.device, &new(0), NOON).expect("it was begun");
    let huge = NewUpload { size: u64::MAX, ..new(0) };
    assert_eq!(refusal(backend.begin_upload(&tablet.device, &huge, NOON)), Refusal::TooLarge);
}

fn a_type_may_not_be_changed_by_a_delta(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let old = flag("a", "1", "one");
    backend.put(&old, NOON).expect("written");
    let other = body(r#"{"resourceType":"Patient","id":"a"}"#);
    let delta =
        keepwell_protocol::Payload::Delta(keepwell_protocol::Delta::new(old.as_bytes(), other.as_bytes()));
    let update = tablet.freeze(keepwell_protocol::Operation::Update, 1, delta, "Flag/a");
    assert_eq!(brief(&tablet.push_one(update)), "rejected");
    assert_eq!(backend.horizon().expect("a horizon").clock, position(1));
}
