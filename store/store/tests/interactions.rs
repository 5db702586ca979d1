//! The interactions of FHIR REST, as a program that uses the store sees them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Home, body, id_of, patient};
use keepwell_store::fhir::patch::PatchFormat;
use keepwell_store::fhir::{Instant, ResourceType};
use keepwell_store::{Error, HistoryQuery, Operation, Precondition};
use serde_json::Value;

fn of_type(name: &str) -> ResourceType {
    ResourceType::parse(name).unwrap()
}

#[test]
fn create_assigns_an_id_and_the_first_version() {
    let home = Home::new();
    let session = home.session();
    let written = session.create(patient(), br#"{ "resourceType":"Patient", "active" : true }"#).unwrap();
    assert_eq!((written.version, written.operation), (1, Some(Operation::Create)));
    let read = session.read(patient(), &written.id).unwrap();
    let text = String::from_utf8(read.body).unwrap();
    let expected = format!(
        r#"{{ "resourceType":"Patient","id":"{}","meta":{{"versionId":"1","lastUpdated":"{}"}}, "active" : true }}"#,
        written.id, written.last_updated
    );
    assert_eq!(text, expected);
}

#[test]
fn update_makes_versions_and_equal_content_makes_none() {
    let home = Home::new();
    let session = home.session();
    let first = session.update(patient(), "p1", &body("p1", "A"), Precondition::None).unwrap();
    assert_eq!((first.version, first.operation), (1, Some(Operation::Create)));
    let second = session.update(patient(), "p1", &body("p1", "B"), Precondition::Match(1)).unwrap();
    assert_eq!((second.version, second.operation), (2, Some(Operation::Update)));
    // What a client read comes back with its meta: still the same content.
    let read = session.read(patient(), "p1").unwrap().body;
    let same = session.update(patient(), "p1", &read, Precondition::None).unwrap();
    assert_eq!((same.version, same.operation), (2, None));
    assert_eq!(id_of(&session.vread(patient(), "p1", 1).unwrap().body), "p1");
    assert!(matches!(session.vread(patient(), "p1", 3), Err(Error::NotFound(_))));
}

#[test]
fn preconditions_are_kept() {
    let home = Home::new();
    let session = home.session();
    session.update(patient(), "p", &body("p", "A"), Precondition::Absent).unwrap();
    let again = session.update(patient(), "p", &body("p", "B"), Precondition::Absent);
    assert!(matches!(again, Err(Error::Exists(_))));
    let stale = session.update(patient(), "p", &body("p", "B"), Precondition::Match(7));
    assert!(matches!(stale, Err(Error::VersionConflict { current: 1, .. })));
    let stale = session.delete(patient(), "p", Precondition::Match(7));
    assert!(matches!(stale, Err(Error::VersionConflict { current: 1, .. })));
    assert_eq!(session.read(patient(), "p").unwrap().version, 1);
}

#[test]
fn a_deleted_resource_is_gone_and_its_history_stays() {
    let home = Home::new();
    let session = home.session();
    session.update(patient(), "p", &body("p", "A"), Precondition::None).unwrap();
    let deleted = session.delete(patient(), "p", Precondition::None).unwrap().unwrap();
    assert_eq!((deleted.version, deleted.operation), (2, Some(Operation::Delete)));
    assert!(matches!(session.read(patient(), "p"), Err(Error::Gone { version: 2, .. })));
    assert!(matches!(session.vread(patient(), "p", 2), Err(Error::Gone { .. })));
    assert_eq!(session.vread(patient(), "p", 1).unwrap().version, 1);
    // Deleting again changes nothing; a resource that never was is no error either.
    assert_eq!(session.delete(patient(), "p", Precondition::None).unwrap().unwrap().operation, None);
    assert!(session.delete(patient(), "never", Precondition::None).unwrap().is_none());
    let back = session.update(patient(), "p", &body("p", "C"), Precondition::None).unwrap();
    assert_eq!((back.version, back.operation), (3, Some(Operation::Create)));
    let operations: Vec<_> = session
        .history(patient(), "p", &HistoryQuery::default())
        .unwrap()
        .entries
        .iter()
        .map(|entry| (entry.version, entry.operation, entry.body.is_some()))
        .collect();
    assert_eq!(
        operations,
        [(3, Operation::Create, true), (2, Operation::Delete, false), (1, Operation::Create, true)]
    );
}

#[test]
fn forty_versions_come_back_as_they_were() {
    let home = Home::new();
    let session = home.session();
    for number in 1..=40 {
        session.update(patient(), "p", &body("p", &format!("Name {number}")), Precondition::None).unwrap();
    }
    for number in 1..=40 {
        let read = session.vread(patient(), "p", number).unwrap();
        let value: Value = serde_json::from_slice(&read.body).unwrap();
        assert_eq!(value["name"][0]["family"], format!("Name {number}"));
        assert_eq!(value["meta"]["versionId"], number.to_string());
    }
}

#[test]
fn conditions_find_by_identifier() {
    let home = Home::new();
    let session = home.session();
    let with = |value: &str, family: &str| {
        format!(
            r#"{{"resourceType":"Patient","identifier":[{{"system":"urn:x","value":"{value}"}}],"name":[{{"family":"{family}"}}]}}"#
        )
    };
    let first =
        session.create_if_none_exist(patient(), with("1", "A").as_bytes(), "identifier=urn:x|1").unwrap();
    assert_eq!(first.operation, Some(Operation::Create));
    let found =
        session.create_if_none_exist(patient(), with("1", "A").as_bytes(), "identifier=urn%3Ax%7C1").unwrap();
    assert_eq!((found.id.as_str(), found.operation), (first.id.as_str(), None));
    let updated = session
        .update_if(patient(), "identifier=1", with("1", "B").as_bytes(), Precondition::Match(1))
        .unwrap();
    assert_eq!((updated.id.as_str(), updated.version), (first.id.as_str(), 2));
    let patched = session
        .patch_if(
            patient(),
            "identifier=1",
            PatchFormat::MergePatch,
            br#"{"active":true}"#,
            Precondition::None,
        )
        .unwrap();
    assert_eq!(patched.version, 3);
    session.create(patient(), with("1", "C").as_bytes()).unwrap();
    let two = session.delete_if(patient(), "identifier=urn:x|1");
    assert!(matches!(two, Err(Error::MultipleMatches(_))));
    assert!(matches!(session.delete_if(patient(), "unknown=A"), Err(Error::Search(_))));
    assert!(matches!(session.delete_if(patient(), ""), Err(Error::UnsupportedCondition)));
    assert!(session.delete_if(patient(), "identifier=urn:x|none").unwrap().is_none());
    // An identifier that an update took away no longer finds anything.
    let moved = with("9", "B").replacen('{', &format!(r#"{{"id":"{}","#, first.id), 1);
    session.update(patient(), &first.id, moved.as_bytes(), Precondition::None).unwrap();
    let only = session.delete_if(patient(), "identifier=urn:x|1").unwrap().unwrap();
    assert_ne!(only.id, first.id);
}

#[test]
fn patches_of_all_kinds_are_applied_and_validated() {
    let home = Home::new();
    let session = home.session();
    session.update(patient(), "p", &body("p", "A"), Precondition::None).unwrap();
    let json = br#"[{"op":"add","path":"/active","value":true}]"#;
    session.patch(patient(), "p", PatchFormat::JsonPatch, json, Precondition::None).unwrap();
    let merge = br#"{"gender":"female"}"#;
    session.patch(patient(), "p", PatchFormat::MergePatch, merge, Precondition::Match(2)).unwrap();
    let fhir_path = br#"{"resourceType":"Parameters","parameter":[{"name":"operation","part":[
        {"name":"type","valueCode":"replace"},{"name":"path","valueString":"Patient.gender"},
        {"name":"value","valueCode":"male"}]}]}"#;
    session.patch(patient(), "p", PatchFormat::FhirPath, fhir_path, Precondition::None).unwrap();
    let value: Value = serde_json::from_slice(&session.read(patient(), "p").unwrap().body).unwrap();
    assert_eq!((&value["active"], value["gender"].as_str()), (&Value::Bool(true), Some("male")));
    let wrong =
        session.patch(patient(), "p", PatchFormat::MergePatch, br#"{"gender":"x"}"#, Precondition::None);
    assert!(matches!(wrong, Err(Error::Invalid(_))));
    let other = session.patch(patient(), "p", PatchFormat::MergePatch, br#"{"id":"q"}"#, Precondition::None);
    assert!(matches!(other, Err(Error::Patch(_))));
    assert_eq!(session.read(patient(), "p").unwrap().version, 4);
}

#[test]
fn bad_input_is_refused_by_name_and_changes_nothing() {
    let home = Home::new();
    let session = home.session();
    let check = |body: &[u8], code: u16| {
        let error = session.create(patient(), body).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(!error.to_string().contains("Canary") && !error.operation_outcome().contains("Canary"));
    };
    check(b"", 108);
    check(br#"{"resourceType":"Patient","name":[{"family":"Canary"}"#, 108);
    check(br#"{"resourceType":"Observation","status":"final","code":{"text":"Canary"}}"#, 110);
    check(br#"{"resourceType":"Patient","Canary":1}"#, 109);
    check(br#"{"resourceType":"Patient","gender":"Canary"}"#, 109);
    assert!(matches!(session.read(patient(), "no such id"), Err(Error::NotFound(_))));
    assert!(matches!(session.delete(patient(), "no such id", Precondition::None), Err(Error::InvalidId)));
    assert!(matches!(session.read(patient(), "x"), Err(Error::NotFound(_))));
    let other = session.update(patient(), "a", &body("b", "A"), Precondition::None);
    assert!(matches!(other, Err(Error::WrongId)));
    assert!(session.history_system(&HistoryQuery::default()).unwrap().entries.is_empty());
}

#[test]
fn history_pages_neither_repeat_nor_miss_while_writers_go_on() {
    let home = Home::new();
    let session = home.session();
    for number in 0..30 {
        session
            .update(
                patient(),
                &format!("p{}", number % 7),
                &body(&format!("p{}", number % 7), &number.to_string()),
                Precondition::None,
            )
            .unwrap();
    }
    let mut seen = Vec::new();
    let mut query = HistoryQuery { count: Some(4), ..HistoryQuery::default() };
    loop {
        let page = session.history_type(patient(), &query).unwrap();
        seen.extend(page.entries.iter().map(|entry| (entry.id.clone(), entry.version)));
        session.create(patient(), br#"{"resourceType":"Patient"}"#).unwrap();
        let Some(next) = page.next else { break };
        query.before = Some(next);
    }
    assert_eq!(seen.len(), 30);
    let mut distinct = seen.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), 30);
    assert!(
        session.history_type(of_type("Observation"), &HistoryQuery::default()).unwrap().entries.is_empty()
    );
}

#[test]
fn history_since_and_at_go_by_time() {
    let home = Home::new();
    let session = home.session();
    let mut times = Vec::new();
    for number in 0..3 {
        home.clock.advance(std::time::Duration::from_secs(10));
        let written =
            session.update(patient(), "p", &body("p", &number.to_string()), Precondition::None).unwrap();
        times.push(written.last_updated);
    }
    let versions = |query: HistoryQuery| -> Vec<u64> {
        let page = session.history(patient(), "p", &query).unwrap();
        page.entries.iter().map(|entry| entry.version).collect()
    };
    assert_eq!(versions(HistoryQuery { since: Some(times[1]), ..HistoryQuery::default() }), [3, 2]);
    let moment = Instant::from_ms(times[1].ms() + 5_000);
    let at = Some((moment, Instant::from_ms(moment.ms() + 1)));
    assert_eq!(versions(HistoryQuery { at, ..HistoryQuery::default() }), [2]);
    let at = Some((Instant::from_ms(times[0].ms() - 5_000), times[0]));
    assert!(versions(HistoryQuery { at, ..HistoryQuery::default() }).is_empty());
}

#[test]
fn time_of_versions_never_runs_backwards() {
    let home = Home::new();
    let session = home.session();
    let first = session.create(patient(), br#"{"resourceType":"Patient"}"#).unwrap();
    home.clock.set_wall(0);
    let second = session.create(patient(), br#"{"resourceType":"Patient"}"#).unwrap();
    assert!(second.last_updated >= first.last_updated);
}

#[test]
fn references_are_checked_on_request() {
    let home = Home::new();
    let mut session = home.session();
    let observation = br#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/none"}}"#;
    session.create(of_type("Observation"), observation).unwrap();
    session.set_check_references(true);
    let refused = session.create(of_type("Observation"), observation);
    assert!(matches!(refused, Err(Error::DanglingReference(_))));
    session.update(patient(), "none", &body("none", "A"), Precondition::None).unwrap();
    session.create(of_type("Observation"), observation).unwrap();
}

#[test]
fn large_attachments_leave_the_row_and_come_back_byte_for_byte() {
    let home = Home::new();
    let session = home.session();
    let data: String = (0..30_000).map(|number| char::from(b'A' + (number * number % 26) as u8)).collect();
    let document = format!(
        r#"{{"resourceType":"DocumentReference","id":"d","status":"current","content":[{{"attachment":{{"contentType":"text/plain","data":"{data}"}}}}]}}"#
    );
    let kind = of_type("DocumentReference");
    session.update(kind, "d", document.as_bytes(), Precondition::None).unwrap();
    let copy = document.replace(r#""id":"d""#, r#""id":"e""#);
    session.update(kind, "e", copy.as_bytes(), Precondition::None).unwrap();
    let read = String::from_utf8(session.read(kind, "d").unwrap().body).unwrap();
    assert!(read.contains(&data));
    let files = std::fs::read_dir(home.directory().join("blobs")).unwrap().count();
    assert_eq!(files, 1, "equal content is kept once");
    let mut content = Vec::new();
    session.read_attachment(kind, "d", 0, &mut content).unwrap();
    assert_eq!(content.len(), 22_500);
    assert!(session.read_attachment(kind, "d", 1, &mut content).is_err());
    let privileged = session.elevate(None).unwrap();
    privileged.purge(kind, "d", "asked for by the patient").unwrap();
    assert_eq!(std::fs::read_dir(home.directory().join("blobs")).unwrap().count(), 1);
    privileged.purge(kind, "e", "asked for by the patient").unwrap();
    assert_eq!(std::fs::read_dir(home.directory().join("blobs")).unwrap().count(), 0);
}

#[test]
fn a_binary_is_streamed_in_and_out() {
    let home = Home::new();
    let session = home.session();
    let content: Vec<u8> = (0..200_000_u32).map(|number| (number % 251) as u8).collect();
    let written = session.create_binary("image/png", &mut content.as_slice()).unwrap();
    let mut out = Vec::new();
    session.read_attachment(of_type("Binary"), &written.id, 0, &mut out).unwrap();
    assert_eq!(out, content);
    let value: Value =
        serde_json::from_slice(&session.read(of_type("Binary"), &written.id).unwrap().body).unwrap();
    assert_eq!(value["contentType"], "image/png");
    assert_eq!(value["data"].as_str().unwrap().len(), 200_000_usize.div_ceil(3) * 4);
}

#[test]
fn a_purge_leaves_no_content_and_keeps_the_trail() {
    let home = Home::new();
    let session = home.session();
    session.update(patient(), "p", &body("p", "Canary"), Precondition::None).unwrap();
    session.update(patient(), "p", &body("p", "Canary two"), Precondition::None).unwrap();
    let of_patient = br#"{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p"}}"#;
    session.update(of_type("Observation"), "o", of_patient, Precondition::None).unwrap();
    let privileged = session.elevate(None).unwrap();
    assert!(matches!(privileged.purge(patient(), "p", " "), Err(Error::Argument(_))));
    assert_eq!(privileged.purge_patient("p", "asked for by the patient").unwrap(), 2);
    assert!(matches!(session.read(patient(), "p"), Err(Error::Gone { .. })));
    assert!(matches!(session.vread(patient(), "p", 1), Err(Error::Gone { .. } | Error::NotFound(_))));
    let history = session.history_system(&HistoryQuery::default()).unwrap();
    assert!(history.entries.iter().all(|entry| entry.body.is_none()));
    assert!(matches!(privileged.purge_patient("p", "again"), Err(Error::NotFound(_))));
}

#[test]
fn observers_see_each_unit_once_and_late_ones_catch_up() {
    let home = Home::new();
    let session = home.session();
    let feed = home.store.observe();
    session.update(patient(), "a", &body("a", "A"), Precondition::None).unwrap();
    session.delete(patient(), "a", Precondition::None).unwrap();
    let wait = std::time::Duration::from_secs(1);
    let first = feed.next(wait).unwrap().unwrap();
    assert_eq!(
        (first[0].id(), first[0].sequence, first[0].operation),
        ("a".to_owned(), 1, Operation::Create)
    );
    assert_eq!(feed.next(wait).unwrap().unwrap()[0].operation, Operation::Delete);
    assert!(feed.next(std::time::Duration::from_millis(1)).unwrap().is_none());
    let late = home.store.changes_after(1, 10).unwrap();
    assert_eq!(late.iter().map(|change| change.sequence).collect::<Vec<_>>(), [2]);
}
