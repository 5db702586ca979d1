//! Transactions and batches, as R4 http.html#transaction has them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Home, body, patient, shared};
use keepwell_store::fhir::ResourceType;
use keepwell_store::{Error, HistoryQuery, Precondition};
use serde_json::{Value, json};

fn bundle(kind: &str, entries: Value) -> Vec<u8> {
    json!({ "resourceType": "Bundle", "type": kind, "entry": entries }).to_string().into_bytes()
}

fn response(body: &[u8]) -> Vec<(String, Option<String>)> {
    let value: Value = serde_json::from_slice(body).unwrap();
    let entries = value["entry"].as_array().cloned().unwrap_or_default();
    entries
        .iter()
        .map(|entry| {
            let response = &entry["response"];
            (
                response["status"].as_str().unwrap().to_owned(),
                response["location"].as_str().map(str::to_owned),
            )
        })
        .collect()
}

fn observation(subject: &str) -> Value {
    json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" },
            "subject": { "reference": subject } })
}

#[test]
fn links_between_entries_become_links_between_resources() {
    let home = Home::new();
    let session = home.session();
    let answer = session
        .bundle(&bundle(
            "transaction",
            json!([
                { "fullUrl": "urn:uuid:1b4c4b36-5a71-4bdc-8ee6-5d2b4c4f5a01",
                  "resource": observation("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"),
                  "request": { "method": "POST", "url": "Observation" } },
                { "fullUrl": "http://example.org/fhir/Observation/7",
                  "resource": observation("Patient/9"),
                  "request": { "method": "POST", "url": "Observation" } },
                { "fullUrl": "http://example.org/fhir/Patient/9",
                  "resource": { "resourceType": "Patient", "active": true },
                  "request": { "method": "POST", "url": "Patient" } },
                { "fullUrl": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",
                  "resource": { "resourceType": "Patient", "active": false },
                  "request": { "method": "POST", "url": "Patient" } }
            ]),
        ))
        .unwrap();
    let places: Vec<_> = response(&answer)
        .into_iter()
        .map(|(status, place)| {
            assert_eq!(status, "201 Created");
            place.unwrap()
        })
        .collect();
    let subject = |place: &str| -> String {
        let mut parts = place.split('/');
        let (kind, id) = (parts.next().unwrap(), parts.next().unwrap());
        let read = session.read(ResourceType::parse(kind).unwrap(), id).unwrap();
        let value: Value = serde_json::from_slice(&read.body).unwrap();
        value["subject"]["reference"].as_str().unwrap().to_owned()
    };
    assert!(places[3].starts_with(&format!("{}/", subject(&places[0]))));
    assert!(places[2].starts_with(&format!("{}/", subject(&places[1]))));
}

#[test]
fn uris_and_narratives_follow_the_entries_that_they_name() {
    let home = Home::new();
    let session = home.session();
    let urn = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0";
    let linked = json!({
        "resourceType": "Observation", "status": "final", "code": { "text": urn },
        "extension": [{ "url": "http://example.org/about", "valueUri": urn }],
        "identifier": [{ "system": "urn:ietf:rfc:3986", "value": urn }],
        "text": { "status": "generated", "div":
            format!("<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"{urn}\">{urn}</a></div>") }
    });
    let answer = session
        .bundle(&bundle(
            "transaction",
            json!([
                { "fullUrl": urn, "resource": { "resourceType": "Patient" },
                  "request": { "method": "POST", "url": "Patient" } },
                { "resource": linked, "request": { "method": "POST", "url": "Observation" } }
            ]),
        ))
        .unwrap();
    let places = response(&answer);
    let place = |index: usize| places[index].1.clone().unwrap().replace("/_history/1", "");
    let (new, id) = (place(0), place(1).replace("Observation/", ""));
    let read = session.read(ResourceType::parse("Observation").unwrap(), &id).unwrap();
    let value: Value = serde_json::from_slice(&read.body).unwrap();
    assert_eq!(value["extension"][0]["valueUri"], new);
    assert!(value["text"]["div"].as_str().unwrap().contains(&format!("<a href=\"{new}\">{urn}</a>")));
    assert_eq!(
        (value["identifier"][0]["value"].as_str(), value["code"]["text"].as_str()),
        (Some(urn), Some(urn))
    );
}

#[test]
fn a_transaction_happens_whole_or_not_at_all() {
    let home = Home::new();
    let session = home.session();
    session.update(patient(), "old", &body("old", "A"), Precondition::None).unwrap();
    let refused = session.bundle(&bundle(
        "transaction",
        json!([
            { "request": { "method": "DELETE", "url": "Patient/old" } },
            { "resource": { "resourceType": "Patient" }, "request": { "method": "POST", "url": "Patient" } },
            { "resource": { "resourceType": "Patient", "gender": "x" },
              "request": { "method": "POST", "url": "Patient" } }
        ]),
    ));
    let Err(Error::Entry { entry: 2, source }) = refused else { panic!("entry 2 is invalid") };
    assert!(matches!(*source, Error::Invalid(_)));
    assert_eq!(session.read(patient(), "old").unwrap().version, 1);
    assert_eq!(session.history_system(&HistoryQuery::default()).unwrap().entries.len(), 1);
}

#[test]
fn interactions_run_in_the_order_of_the_specification() {
    let home = Home::new();
    let session = home.session();
    session.update(patient(), "a", &body("a", "A"), Precondition::None).unwrap();
    session.update(patient(), "b", &body("b", "B"), Precondition::None).unwrap();
    let answer = session
        .bundle(&bundle(
            "transaction",
            json!([
                { "request": { "method": "GET", "url": "Patient/a" } },
                { "resource": { "resourceType": "Patient", "id": "a", "active": true },
                  "request": { "method": "PUT", "url": "Patient/a", "ifMatch": "W/\"1\"" } },
                { "request": { "method": "DELETE", "url": "Patient/b" } }
            ]),
        ))
        .unwrap();
    let value: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(value["entry"][0]["resource"]["meta"]["versionId"], "2", "the read sees the update");
    assert_eq!(value["entry"][2]["response"]["status"], "204 No Content");
}

#[test]
fn conditions_in_a_transaction_find_create_and_refuse() {
    let home = Home::new();
    let session = home.session();
    let known = json!({ "resourceType": "Patient", "identifier": [{ "system": "urn:x", "value": "1" }] });
    let first = session.create(patient(), known.to_string().as_bytes()).unwrap();
    let answer = session
        .bundle(&bundle(
            "transaction",
            json!([
                { "fullUrl": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "resource": known,
                  "request": { "method": "POST", "url": "Patient", "ifNoneExist": "identifier=urn:x|1" } },
                { "resource": observation("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"),
                  "request": { "method": "POST", "url": "Observation" } },
                { "resource": observation("Patient?identifier=urn:x|1"),
                  "request": { "method": "POST", "url": "Observation" } },
                { "resource": { "resourceType": "Patient", "identifier": [{ "system": "urn:x", "value": "2" }] },
                  "request": { "method": "PUT", "url": "Patient?identifier=urn:x|2" } }
            ]),
        ))
        .unwrap();
    let answers = response(&answer);
    assert_eq!(answers[0].0, "200 OK");
    assert!(answers[0].1.as_ref().unwrap().contains(&first.id));
    let observation_type = ResourceType::parse("Observation").unwrap();
    for entry in session.history_type(observation_type, &HistoryQuery::default()).unwrap().entries {
        let value: Value = serde_json::from_slice(&entry.body.unwrap()).unwrap();
        assert_eq!(value["subject"]["reference"], format!("Patient/{}", first.id));
    }
    let nobody = session.bundle(&bundle(
        "transaction",
        json!([{ "resource": observation("Patient?identifier=urn:x|none"),
                 "request": { "method": "POST", "url": "Observation" } }]),
    ));
    assert!(matches!(nobody, Err(Error::Entry { entry: 0, .. })));
}

#[test]
fn entries_of_a_batch_stand_alone() {
    let home = Home::new();
    let session = home.session();
    let answer = session
        .bundle(&bundle(
            "batch",
            json!([
                { "resource": { "resourceType": "Patient", "gender": "x" },
                  "request": { "method": "POST", "url": "Patient" } },
                { "resource": { "resourceType": "Patient" }, "request": { "method": "POST", "url": "Patient" } },
                { "request": { "method": "GET", "url": "Patient/none" } }
            ]),
        ))
        .unwrap();
    let statuses: Vec<_> = response(&answer).into_iter().map(|(status, _)| status).collect();
    assert_eq!(statuses, ["422 Unprocessable Entity", "201 Created", "404 Not Found"]);
}

#[test]
fn twenty_five_thousand_entries_are_one_transaction() {
    let Some(shared) = shared() else { return };
    let packed = std::fs::read(shared.join("data/synthea/big-transaction.json.zst")).unwrap();
    let body = zstd::decode_all(packed.as_slice()).unwrap();
    let home = Home::new();
    let session = home.session();
    let answer = session.bundle(&body).unwrap();
    assert_eq!(response(&answer).len(), 25_000);
    let last = home.store.changes_after(24_999, 10).unwrap();
    assert_eq!(last.len(), 1);
}
