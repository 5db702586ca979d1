use keepwell_fhir::{Instant, ResourceType};
use proptest::prelude::*;
use rusqlite::OptionalExtension;

use super::*;

const PATIENT: u8 = 1;

/// A hospital's day: three people on two devices, five resources of two patients, in a seeded order.
fn day(seed: u64, length: u64) -> (Trail, Vec<Naive>) {
    let mut trail = Trail::new();
    for (key, id) in [(1, "p1"), (2, "p2")] {
        trail.connection.execute("INSERT INTO patient VALUES (?1, ?2)", (key, id)).unwrap();
    }
    let mut hospital = Hospital { state: seed, resources: Vec::new(), naive: Vec::new() };
    for _ in 0..length {
        hospital.step(&mut trail);
    }
    (trail, hospital.naive)
}

/// What a filter over all records would look at.
#[derive(Debug, Clone)]
struct Naive {
    sequence: i64,
    recorded: i64,
    user: &'static str,
    device: &'static str,
    action: Action,
    outcome: Outcome,
    resources: Vec<String>,
    patients: Vec<&'static str>,
}

struct Hospital {
    state: u64,
    /// Version and patient of each resource, by key from 1.
    resources: Vec<(i64, usize)>,
    naive: Vec<Naive>,
}

const PATIENTS: [&str; 2] = ["p1", "p2"];

impl Hospital {
    fn random(&mut self, below: usize) -> usize {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.state >> 33).unwrap() % below
    }

    fn step(&mut self, trail: &mut Trail) {
        let user = ["jones", "smith", "wu"][self.random(3)];
        let device = ["tablet", "desk"][self.random(2)];
        let actor = Actor::new(user, "app", device).unwrap();
        let actor = actor_key(&trail.connection, &trail.chain, &actor).unwrap();
        let outcome = if self.random(5) == 0 { Outcome::MinorFailure } else { Outcome::Success };
        let (mut resources, mut patients) = (Vec::new(), Vec::new());
        let mut event = Event::new(actor, Action::Search, outcome);
        match self.random(4) {
            0 if !self.resources.is_empty() => {
                let index = self.random(self.resources.len());
                let (version, patient) = self.resources[index];
                let key = i64::try_from(index + 1).unwrap();
                let (action, patient_key) = (Action::Read, i64::try_from(patient + 1).unwrap());
                event = Event {
                    action,
                    resource: Some(key),
                    version: Some(version),
                    patient: Some(patient_key),
                    ..event
                };
                resources.push(format!("r{key}"));
                patients.push(PATIENTS[patient]);
            }
            1 | 2 => {
                event = Event { action: Action::Transaction, outcome: Outcome::Success, ..event };
                let mut digest = ChangeDigest::new();
                for _ in 0..1 + self.random(3) {
                    let index = self.random(6);
                    let (key, patient) = self.write(trail, index, &mut digest);
                    resources.push(format!("r{key}"));
                    patients.push(PATIENTS[patient]);
                }
                event.changes = digest.finish();
            }
            _ => event.detail = Some("{}"),
        }
        let (action, outcome) = (event.action, event.outcome);
        let sequence = trail.append(&event);
        self.naive.push(Naive {
            sequence,
            recorded: trail.now_ms,
            user,
            device,
            action,
            outcome,
            resources,
            patients,
        });
    }

    /// Creates resource `index`, or a further one if there are fewer; or gives it a new version.
    fn write(&mut self, trail: &mut Trail, index: usize, digest: &mut ChangeDigest) -> (i64, usize) {
        trail.changes += 1;
        let change = trail.changes;
        let index = index.min(self.resources.len());
        let key = i64::try_from(index + 1).unwrap();
        if index == self.resources.len() {
            let patient = self.random(2);
            self.resources.push((1, patient));
            trail.add_resource(key, change);
            let patient_key = i64::try_from(patient + 1).unwrap();
            trail
                .connection
                .execute("UPDATE resource SET patient = ?2 WHERE key = ?1", (key, patient_key))
                .unwrap();
        } else {
            self.resources[index].0 += 1;
            trail
                .connection
                .execute(
                    "INSERT INTO resource_version SELECT key, version, last_updated, change, slot, NULL
                     FROM resource WHERE key = ?1",
                    [key],
                )
                .unwrap();
            trail
                .connection
                .execute(
                    "UPDATE resource SET version = version + 1, change = ?2 WHERE key = ?1",
                    (key, change),
                )
                .unwrap();
        }
        let (version, patient) = self.resources[index];
        trail.add_change(change, key, version);
        digest.add(change, key, 1, version, 1, &[9; 16]);
        (key, patient)
    }
}

fn sequences(page: &AuditPage) -> Vec<i64> {
    page.records.iter().map(|record| record.sequence).collect()
}

/// The row of the resource that a question is about.
fn row_of(trail: &Trail, question: &AuditQuery) -> Option<i64> {
    let (kind, id) = question.resource.as_ref()?;
    let sql = "SELECT key FROM resource WHERE type = ?1 AND id = ?2";
    trail.connection.query_row(sql, (kind.code(), id), |row| row.get(0)).optional().unwrap()
}

/// All pages of a question.
fn ask(trail: &Trail, question: &AuditQuery) -> Vec<i64> {
    let mut question = question.clone();
    let mut found = Vec::new();
    loop {
        let page = query(&trail.connection, &question, row_of(trail, &question)).unwrap();
        assert!(page.records.len() <= question.limit.unwrap_or(AUDIT_PAGE_MAX));
        found.extend(sequences(&page));
        if page.next.is_none() {
            return found;
        }
        question.after = page.next;
    }
}

fn question() -> impl Strategy<Value = AuditQuery> {
    let instant = || {
        proptest::option::of((0..70i64).prop_map(|at| Instant::from_ms(1_750_000_000_000 + at * 1_000 + 500)))
    };
    let who = (
        proptest::option::of(prop::sample::select(vec!["jones", "smith", "nobody"])),
        proptest::option::of(prop::sample::select(vec!["tablet", "desk"])),
    );
    let what = (
        proptest::option::of(
            (1..8u8).prop_map(|key| (ResourceType::from_code(PATIENT).unwrap(), format!("r{key}"))),
        ),
        proptest::option::of(prop::sample::select(vec!["p1", "p2", "p3"])),
        proptest::option::of(prop::sample::select(vec![Action::Read, Action::Transaction, Action::Search])),
        proptest::option::of(prop::sample::select(vec![Outcome::Success, Outcome::MinorFailure])),
    );
    (who, what, (instant(), instant()), any::<bool>(), proptest::option::of(1..9usize)).prop_map(
        |((user, device), (resource, patient, action, outcome), (from, to), oldest_first, limit)| {
            AuditQuery {
                user: user.map(str::to_owned),
                app: None,
                device: device.map(str::to_owned),
                resource,
                patient: patient.map(str::to_owned),
                from,
                to,
                action,
                outcome,
                oldest_first,
                after: None,
                limit,
            }
        },
    )
}

fn answers(record: &Naive, question: &AuditQuery) -> bool {
    question.user.as_ref().is_none_or(|user| user == record.user)
        && question.device.as_ref().is_none_or(|device| device == record.device)
        && question.resource.as_ref().is_none_or(|(_, id)| record.resources.contains(id))
        && question.patient.as_ref().is_none_or(|patient| record.patients.contains(&patient.as_str()))
        && question.from.is_none_or(|from| record.recorded >= from.ms())
        && question.to.is_none_or(|to| record.recorded < to.ms())
        && question.action.is_none_or(|action| action == record.action)
        && question.outcome.is_none_or(|outcome| outcome == record.outcome)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_query_answers_as_a_filter_would(seed in any::<u64>(), question in question()) {
        let (trail, naive) = day(seed, 60);
        let mut expected: Vec<i64> =
            naive.iter().filter(|record| answers(record, &question)).map(|record| record.sequence).collect();
        if !question.oldest_first {
            expected.reverse();
        }
        prop_assert_eq!(ask(&trail, &question), expected);
    }
}

#[test]
fn a_history_of_transactions_is_whole() {
    let (trail, _) = day(5, 200);
    assert_eq!(trail.findings(), []);
}

#[test]
fn a_purged_resource_still_tells_who_wrote_it() {
    let (trail, naive) = day(3, 60);
    trail.connection.execute_batch("DELETE FROM resource_version").unwrap();
    let id = "r1".to_owned();
    let expected: Vec<i64> =
        naive.iter().filter(|record| record.resources.contains(&id)).map(|record| record.sequence).collect();
    let resource = Some((ResourceType::from_code(PATIENT).unwrap(), id));
    assert_eq!(ask(&trail, &AuditQuery { resource, oldest_first: true, ..AuditQuery::default() }), expected);
}

#[test]
fn a_record_tells_all_that_it_refers_to() {
    let mut trail = Trail::new();
    trail.connection.execute("INSERT INTO patient VALUES (1, 'p1')", []).unwrap();
    trail.write(1);
    let event = Event {
        resource: Some(1),
        version: Some(1),
        patient: Some(1),
        detail: Some(r#"{"request":"17"}"#),
        ..trail.event(Action::Vread)
    };
    trail.append(&event);
    let page =
        query(&trail.connection, &AuditQuery { limit: Some(1), ..AuditQuery::default() }, None).unwrap();
    assert_eq!(page.next, Some(2));
    let [record] = page.records.as_slice() else { panic!("one record a page") };
    assert_eq!(record.sequence, 2);
    assert_eq!(record.recorded.ms(), trail.now_ms);
    assert_eq!((record.action, record.outcome), (Some(Action::Vread), Some(Outcome::Success)));
    assert_eq!((record.actor.user(), record.actor.device()), ("dr.jones", "tablet-3"));
    let resource = record.resource.as_ref().unwrap();
    assert_eq!((resource.resource_type.code(), resource.id.as_str(), resource.version), (1, "r1", Some(1)));
    assert_eq!((record.patient.as_deref(), record.changes), (Some("p1"), None));
    assert_eq!(record.detail.as_deref(), Some(r#"{"request":"17"}"#));
    assert!(!format!("{record:?}").contains("p1"), "ids are not printed by accident");
}

#[test]
fn no_question_scans_the_whole_trail() {
    let trail = Trail::of(30);
    let mut statement = trail
        .connection
        .prepare("SELECT sql FROM sqlite_schema WHERE type = 'index' AND sql LIKE '%ON audit %'")
        .unwrap();
    let indexes: Vec<String> =
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(indexes.len(), 4, "{indexes:?}");
    for sql in query::STATEMENTS {
        let mut plan = trail.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps: Vec<String> =
            plan.raw_query().mapped(|row| row.get(3)).collect::<rusqlite::Result<_>>().unwrap();
        for step in steps {
            assert!(
                !step.starts_with("SCAN ") || step.starts_with("SCAN actor ") || step == "SCAN CONSTANT ROW",
                "{sql}: {step}"
            );
            assert!(!sql.contains("ORDER BY") || !step.contains("TEMP B-TREE"), "{sql}: {step}");
        }
    }
}

#[test]
fn a_purged_trail_is_queried_from_where_it_begins() {
    let mut trail = Trail::of(10);
    trail.chain.write_checkpoint(&trail.connection).unwrap();
    trail.now_ms += RETENTION_MS + 1_000;
    trail.append(&trail.event(Action::Read));
    purge(&trail.connection, &mut trail.chain, trail.actor, trail.now_ms, RETENTION_MS).unwrap();
    for from in [None, Some(Instant::from_ms(0)), Some(Instant::from_ms(trail.now_ms))] {
        assert_eq!(ask(&trail, &AuditQuery { from, ..AuditQuery::default() }), [12, 11]);
    }
    assert_eq!(
        ask(&trail, &AuditQuery { to: Some(Instant::from_ms(0)), ..AuditQuery::default() }),
        [0i64; 0]
    );
}
