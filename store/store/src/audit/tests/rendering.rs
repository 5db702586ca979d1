use keepwell_fhir::{ResourceType, Walker};
use serde_json::{Value, json};

use super::*;

/// The events of everything in the trail, oldest first.
fn events(trail: &Trail) -> Vec<Value> {
    let mut out = Vec::new();
    let question = AuditQuery { oldest_first: true, ..AuditQuery::default() };
    let count = export(&trail.connection, &question, None, &mut out).unwrap();
    let events: Vec<Value> = out
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(events.len() as u64, count);
    events
}

/// A patient with one resource, and `event` about it.
fn event_of(event: Event<'_>) -> Value {
    let mut trail = Trail::new();
    trail.connection.execute("INSERT INTO patient VALUES (1, 'p1')", []).unwrap();
    trail.add_resource(1, 1);
    trail.append(&Event { actor: trail.actor, ..event });
    events(&trail).pop().unwrap()
}

fn about_the_resource(action: Action) -> Event<'static> {
    Event { resource: Some(1), version: Some(1), patient: Some(1), ..Event::new(0, action, Outcome::Success) }
}

#[test]
fn a_read_has_the_shape_of_balp() {
    let event =
        event_of(Event { detail: Some(r#"{"request":"req-9"}"#), ..about_the_resource(Action::Read) });
    let type_name = ResourceType::from_code(1).unwrap().name();
    let device = json!({ "address": "tablet-3", "type": "1" });
    assert_eq!(
        event,
        json!({
            "resourceType": "AuditEvent",
            "id": "1",
            "meta": { "profile": ["https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PatientRead"] },
            "type": {
                "system": "http://terminology.hl7.org/CodeSystem/audit-event-type",
                "code": "rest",
                "display": "RESTful Operation"
            },
            "subtype": [{ "system": "http://hl7.org/fhir/restful-interaction", "code": "read", "display": "read" }],
            "action": "R",
            "recorded": "2025-06-15T15:06:41.000Z",
            "outcome": "0",
            "agent": [
                {
                    "type": { "coding": [{
                        "system": "http://dicom.nema.org/resources/ontology/DCM",
                        "code": "110152",
                        "display": "Destination Role ID"
                    }] },
                    "who": { "display": "ward-app" },
                    "requestor": false,
                    "network": device
                },
                {
                    "type": { "coding": [{
                        "system": "http://dicom.nema.org/resources/ontology/DCM",
                        "code": "110153",
                        "display": "Source Role ID"
                    }] },
                    "who": { "display": "Keepwell store" },
                    "requestor": false,
                    "network": device
                },
                {
                    "type": { "coding": [{
                        "system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType",
                        "code": "IRCP",
                        "display": "information recipient"
                    }] },
                    "who": { "identifier": { "value": "dr.jones" } },
                    "requestor": true,
                    "purposeOfUse": [{ "coding": [{
                        "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason",
                        "code": "TREAT"
                    }] }]
                }
            ],
            "source": {
                "observer": { "display": "tablet-3" },
                "type": [{
                    "system": "http://terminology.hl7.org/CodeSystem/security-source-type",
                    "code": "1",
                    "display": "User Device"
                }]
            },
            "entity": [
                {
                    "what": { "reference": format!("{type_name}/r1/_history/1") },
                    "type": {
                        "system": "http://terminology.hl7.org/CodeSystem/audit-entity-type",
                        "code": "2",
                        "display": "System Object"
                    },
                    "role": {
                        "system": "http://terminology.hl7.org/CodeSystem/object-role",
                        "code": "4",
                        "display": "Domain Resource"
                    }
                },
                {
                    "what": { "reference": "Patient/p1" },
                    "type": {
                        "system": "http://terminology.hl7.org/CodeSystem/audit-entity-type",
                        "code": "1",
                        "display": "Person"
                    },
                    "role": {
                        "system": "http://terminology.hl7.org/CodeSystem/object-role",
                        "code": "1",
                        "display": "Patient"
                    }
                },
                {
                    "what": { "identifier": { "value": "req-9" } },
                    "type": {
                        "system": "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType",
                        "code": "XrequestId"
                    }
                }
            ]
        })
    );
}

/// The agents' codes (client, store, person) and the profile.
#[test]
fn each_interaction_has_the_codes_of_balp() {
    for (action, client, server, user, letter, profile) in [
        (Action::Create, "110153", "110152", "AUT", "C", Some("PatientCreate")),
        (Action::Read, "110152", "110153", "IRCP", "R", Some("PatientRead")),
        (Action::Vread, "110152", "110153", "IRCP", "R", Some("PatientRead")),
        (Action::Update, "110153", "110152", "AUT", "U", Some("PatientUpdate")),
        (Action::Patch, "110153", "110152", "AUT", "U", Some("PatientUpdate")),
        (Action::Delete, "110150", "custodian", "AUT", "D", Some("PatientDelete")),
        (Action::Search, "110153", "110152", "IRCP", "E", None),
        (Action::Purge, "110150", "custodian", "AUT", "D", None),
    ] {
        let event = event_of(about_the_resource(action));
        let code = |agent: usize| event["agent"][agent]["type"]["coding"][0]["code"].as_str().unwrap();
        assert_eq!((code(0), code(1), code(2)), (client, server, user), "{action:?}");
        assert_eq!(event["action"], letter);
        let claimed = event["meta"]["profile"][0].as_str().map(|url| url.rsplit('.').next().unwrap());
        assert_eq!(claimed, profile, "{action:?}");
    }
}

#[test]
fn only_what_conforms_claims_a_profile() {
    let claims = |event: Event<'_>| event_of(event)["meta"]["profile"][0].as_str().map(str::to_owned);
    let search = Event {
        detail: Some(r#"{"query":"Patient?name=x"}"#),
        ..Event::new(0, Action::Search, Outcome::Success)
    };
    assert!(claims(search).unwrap().ends_with("IHE.BasicAudit.Query"));
    assert!(claims(Event { patient: Some(1), ..search }).unwrap().ends_with("IHE.BasicAudit.PatientQuery"));
    assert!(
        claims(Event { patient: None, ..about_the_resource(Action::Read) })
            .unwrap()
            .ends_with("IHE.BasicAudit.Read")
    );
    assert_eq!(claims(Event { detail: None, ..search }), None);
    assert_eq!(claims(Event { outcome: Outcome::MinorFailure, ..about_the_resource(Action::Read) }), None);
    assert_eq!(claims(Event { resource: None, ..about_the_resource(Action::Read) }), None);
}

#[test]
fn a_search_keeps_its_query_and_a_failure_its_reason() {
    let event = event_of(Event {
        outcome: Outcome::SeriousFailure,
        detail: Some(r#"{"query":"Patient?name=Ä","reason":"disk full","error":507}"#),
        ..Event::new(0, Action::Search, Outcome::Success)
    });
    assert_eq!(event["outcome"], "8");
    assert_eq!(event["outcomeDesc"], "disk full");
    assert_eq!(event["entity"][0]["query"], "UGF0aWVudD9uYW1lPcOE");
    assert_eq!(event["entity"][1]["detail"], json!([{ "type": "error", "valueString": "507" }]));
}

#[test]
fn breaking_the_glass_is_the_purpose_of_use() {
    let trail = Trail::new();
    let actor = Actor::new("u", "a", "d").unwrap().with_purpose(PURPOSE_BREAK_GLASS).unwrap();
    let actor = actor_key(&trail.connection, &trail.chain, &actor).unwrap();
    let mut trail = trail;
    trail.append(&Event::new(actor, Action::BreakGlass, Outcome::Success));
    let event = &events(&trail)[0];
    assert_eq!(event["agent"][2]["purposeOfUse"][0]["coding"][0]["code"], "BTG");
    assert_eq!(event["subtype"][0]["code"], "110127");
}

#[test]
fn a_transaction_renders_an_event_for_each_change() {
    let mut trail = Trail::new();
    trail.append(&trail.event(Action::Opened));
    trail.write(3);
    let events = events(&trail);
    let ids: Vec<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["1", "2", "2.1", "2.2", "2.3"]);
    assert_eq!(events[1]["subtype"][0]["code"], "transaction");
    for event in &events[2..] {
        assert_eq!(event["subtype"][0]["code"], "create");
        assert_eq!(event["entity"][1]["what"]["identifier"]["value"], "2", "they share the record");
    }
    assert!(events[4]["entity"][0]["what"]["reference"].as_str().unwrap().ends_with("/r3/_history/1"));
}

#[test]
fn every_action_and_outcome_renders_a_valid_audit_event() {
    let mut trail = Trail::new();
    trail.connection.execute("INSERT INTO patient VALUES (1, 'p1')", []).unwrap();
    trail.write(2);
    for action in Action::ALL {
        for outcome in Outcome::ALL {
            let plain = Event { outcome, ..trail.event(*action) };
            trail.append(&plain);
            trail.append(&Event { resource: Some(1), version: Some(1), patient: Some(1), ..plain });
            let detail = r#"{"query":"a=b&c","request":"r","reason":"x","n":3,"empty":"","list":[1,"y"]}"#;
            trail.append(&Event { patient: Some(1), detail: Some(detail), ..plain });
        }
    }
    trail.now_ms -= 10_000_000;
    trail.append(&trail.event(Action::Read));
    trail.tamper("UPDATE audit SET action = 999, outcome = 3, detail = 'x', actor = 77 WHERE sequence = 5");
    let mut walker = Walker::new();
    let events = events(&trail);
    assert_eq!(events.len(), 1 + 2 + Action::ALL.len() * 4 * 3 + 1);
    for event in &events {
        let bytes = serde_json::to_vec(event).unwrap();
        let walk = walker.walk(&bytes).expect("it is JSON");
        assert!(walk.issues.is_empty(), "{:?}\n{event}", walk.issues);
        assert_eq!(walk.resource_type.name(), "AuditEvent");
    }
    let mut broken = events[0].clone();
    broken["outcome"] = "5".into();
    let bytes = serde_json::to_vec(&broken).unwrap();
    assert_eq!(walker.walk(&bytes).expect("it is JSON").issues.len(), 1, "the walker does look");
}
