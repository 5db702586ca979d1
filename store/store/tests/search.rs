//! Searching a store: what is found, in which order, and how pages hold together while writers go on.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Home, body, patient};
use keepwell_store::fhir::ResourceType;
use keepwell_store::fhir::bundle_writer::SearchMode;
use keepwell_store::{Error, Precondition, SearchError, SearchPage, Session};

fn kind(name: &str) -> ResourceType {
    ResourceType::parse(name).unwrap()
}

fn put(session: &Session, json: &str) {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    let (name, id) = (value["resourceType"].as_str().unwrap(), value["id"].as_str().unwrap());
    session.update(kind(name), id, json.as_bytes(), Precondition::None).unwrap();
}

fn ids(page: &SearchPage) -> String {
    let ids: Vec<_> = page.matches().map(|entry| entry.id.as_str()).collect();
    ids.join(" ")
}

fn found(session: &Session, url: &str) -> String {
    ids(&session.search(url).unwrap())
}

fn people(session: &Session) {
    for (id, family, given, gender, born) in [
        ("a", "Chalmers", "Peter", "male", "1974-12-25"),
        ("b", "Windsor", "Élodie", "female", "1980"),
        ("c", "Smith", "Jane", "female", "1990-01-01"),
        ("d", "Smithers", "Bob", "male", "1990-01-01"),
    ] {
        put(
            session,
            &format!(
                r#"{{"resourceType":"Patient","id":"{id}","gender":"{gender}","birthDate":"{born}",
                "name":[{{"family":"{family}","given":["{given}"]}}],
                "identifier":[{{"system":"urn:x","value":"{id}1"}}]}}"#
            ),
        );
    }
    for (id, subject, code, value) in [
        ("o1", "a", "hr", "60"),
        ("o2", "b", "hr", "70"),
        ("o3", "b", "temp", "37"),
        ("o4", "zz", "hr", "80"),
    ] {
        put(
            session,
            &format!(
                r#"{{"resourceType":"Observation","id":"{id}","status":"final","subject":{{"reference":"Patient/{subject}"}},
                "code":{{"coding":[{{"system":"urn:codes","code":"{code}"}}]}},
                "valueQuantity":{{"value":{value},"unit":"x"}}}}"#
            ),
        );
    }
}

#[test]
fn every_kind_of_parameter_finds_what_has_it() {
    let home = Home::new();
    let session = home.session();
    people(&session);
    for (url, expected) in [
        ("Patient", "d c b a"),
        ("Patient?name=smith", "d c"),
        ("Patient?given=elodie", "b"),
        ("Patient?family:exact=Smith", "c"),
        ("Patient?identifier=urn:x|c1", "c"),
        ("Patient?identifier=c1,d1", "d c"),
        ("Patient?gender=male&birthdate=gt1980", "d"),
        ("Patient?gender:not=male", "c b"),
        ("Patient?birthdate=1990", "d c"),
        ("Patient?_id=a,b", "b a"),
        ("Patient/?_sort=family", "a c d b"),
        ("Patient?_sort=-birthdate,family", "c d b a"),
        ("Observation?subject=Patient/b", "o3 o2"),
        ("Observation?subject:Patient.name=windsor", "o3 o2"),
        ("Observation?patient.gender=male", "o1"),
        ("Observation?value-quantity=gt65", "o4 o2"),
        ("Patient?_has:Observation:patient:code=hr", "b a"),
        ("Patient?_has:Observation:patient:code=temp&gender=female", "b"),
        ("Patient/b/Observation", "o3 o2"),
        ("?_type=Patient,Observation&_id=a,o1", "o1 a"),
        ("Patient?name=nobody", ""),
        ("Patient?email:missing=true&gender=male", "d a"),
        ("Patient?_lastUpdated=lt2000", ""),
        ("Patient?_content=chalmers", "a"),
    ] {
        assert_eq!(found(&session, url), expected, "{url}");
    }
}

#[test]
fn writers_do_not_disturb_pages() {
    let home = Home::new();
    let session = home.session();
    for number in 0..25 {
        put(&session, &String::from_utf8(body(&format!("p{number:02}"), &format!("F{number:02}"))).unwrap());
    }
    for (sort, first, last) in
        [("", "p24", "p00"), ("&_sort=family", "p00", "p24"), ("&_sort=-_id", "p24", "p00")]
    {
        let mut seen = Vec::new();
        let mut url = format!("Patient?_count=7&_total=accurate{sort}");
        let mut round = 0;
        loop {
            let page = session.search(&url).unwrap();
            assert_eq!(page.total, Some(25));
            seen.extend(page.matches().map(|entry| entry.id.clone()));
            let Some(next) = page.next else { break };
            url = next;
            round += 1;
            // What is changed, added and deleted in between does not show.
            let other =
                String::from_utf8(body(&format!("p{:02}", 3 * round), &format!("X{sort}{round}"))).unwrap();
            put(&session, &other);
            put(&session, &String::from_utf8(body(&format!("new{round}"), "A")).unwrap());
            session.delete(patient(), &format!("p{:02}", 20 - round), Precondition::None).unwrap();
        }
        assert_eq!(seen.len(), 25, "{sort}");
        assert_eq!((seen[0].as_str(), seen[24].as_str()), (first, last), "{sort}");
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 25, "{sort}");
        for number in 0..25 {
            put(
                &session,
                &String::from_utf8(body(&format!("p{number:02}"), &format!("F{number:02}"))).unwrap(),
            );
        }
        for round in 1..4 {
            session.delete(patient(), &format!("new{round}"), Precondition::None).unwrap();
        }
        // So that the order of changes is that of the names again.
        for number in 0..25 {
            let id = format!("p{number:02}");
            put(&session, &format!(r#"{{"resourceType":"Patient","id":"{id}","active":true}}"#));
            put(&session, &String::from_utf8(body(&id, &format!("F{number:02}"))).unwrap());
        }
    }
}

#[test]
fn links_survive_a_restart_and_end_in_time() {
    let home = Home::new();
    people(&home.session());
    let next = home.session().search("Patient?_count=1").unwrap().next.unwrap();
    let home = home.reopened();
    assert_eq!(found(&home.session(), &next), "c");
    assert!(!next.contains("count"), "a link tells nothing");
    let elsewhere = Home::new();
    let refused = elsewhere.session().search(&next);
    assert!(matches!(refused, Err(Error::Search(SearchError::LinkInvalid))));
    home.clock.advance(std::time::Duration::from_secs(59 * 60));
    let store = &home.store;
    store.lock().unwrap();
    store.unlock(None).unwrap();
    assert_eq!(found(&home.session(), &next), "c");
    home.clock.advance(std::time::Duration::from_secs(2 * 60));
    assert!(matches!(home.session().search(&next), Err(Error::Search(SearchError::LinkExpired))));
}

#[test]
fn what_failed_is_not_found_and_what_changed_is_found_as_it_is() {
    let home = Home::new();
    let session = home.session();
    people(&session);
    let bundle = br#"{"resourceType":"Bundle","type":"transaction","entry":[
        {"resource":{"resourceType":"Patient","name":[{"family":"Lost"}]},"request":{"method":"POST","url":"Patient"}},
        {"request":{"method":"PUT","url":"Patient/x"},"resource":{"resourceType":"Patient"}}]}"#;
    assert!(session.bundle(bundle).is_err());
    assert_eq!(found(&session, "Patient?family=lost"), "");
    put(&session, std::str::from_utf8(&body("a", "Renamed")).unwrap());
    assert_eq!(found(&session, "Patient?family=chalmers"), "");
    assert_eq!(found(&session, "Patient?family=renamed"), "a");
    session.delete(patient(), "a", Precondition::None).unwrap();
    assert_eq!(found(&session, "Patient?family=renamed"), "");
    drop(session);
    let home = home.reopened();
    assert_eq!(found(&home.session(), "Patient?_sort=family"), "c d b");
}

#[test]
fn what_is_referred_to_comes_along() {
    let home = Home::new();
    let session = home.session();
    people(&session);
    let all = |url: &str| {
        let page = session.search(url).unwrap();
        let entries = page.entries.iter().map(|entry| match entry.mode {
            SearchMode::Include => format!("+{}", entry.id),
            _ => entry.id.clone(),
        });
        entries.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(all("Observation?code=hr&_include=Observation:subject"), "o4 o2 o1 +b +a");
    assert_eq!(all("Patient?_id=b&_revinclude=Observation:patient"), "b +o2 +o3");
    assert_eq!(all("Observation?_id=o2&_include=*&_revinclude:iterate=Observation:subject"), "o2 +b +o3");
    let page = session.search("Patient?_id=b&_elements=gender").unwrap();
    let value: serde_json::Value = serde_json::from_slice(&page.entries[0].body).unwrap();
    assert_eq!(value["meta"]["tag"][0]["code"], "SUBSETTED");
    assert!(value["name"].is_null());
    let count = session.search("Patient?_summary=count").unwrap();
    assert_eq!((count.total, count.entries.len()), (Some(4), 0));
}

#[test]
fn conditions_are_searches_and_see_their_own_transaction() {
    let home = Home::new();
    let session = home.session();
    people(&session);
    let created = session
        .create_if_none_exist(patient(), b"{\"resourceType\":\"Patient\"}", "family=smith&given=bob")
        .unwrap();
    assert_eq!((created.id.as_str(), created.operation), ("d", None));
    assert!(matches!(session.delete_if(patient(), "family=smith"), Err(Error::MultipleMatches(_))));
    assert!(matches!(session.delete_if(patient(), ""), Err(Error::UnsupportedCondition)));
    assert!(matches!(session.delete_if(patient(), "nothing=1"), Err(Error::Search(SearchError::Query(_)))));
    session.delete_if(patient(), "birthdate=1980").unwrap().unwrap();
    assert_eq!(found(&session, "Patient?family=windsor"), "");
    let bundle = br#"{"resourceType":"Bundle","type":"transaction","entry":[
        {"resource":{"resourceType":"Patient","identifier":[{"system":"urn:n","value":"1"}]},"request":{"method":"POST","url":"Patient"}},
        {"resource":{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient?identifier=urn:n|1"}},
         "request":{"method":"POST","url":"Observation"}}]}"#;
    session.bundle(bundle).unwrap();
    assert_eq!(session.search("Observation?subject.identifier=urn:n|1").unwrap().entries.len(), 1);
}

#[test]
fn a_purged_resource_leaves_nothing_in_the_index() {
    let home = Home::new();
    let session = home.session();
    people(&session);
    put(&session, std::str::from_utf8(&body("a", "Secretname")).unwrap());
    session.elevate(None).unwrap().purge(patient(), "a", "asked for").unwrap();
    assert_eq!(found(&session, "Patient?family=secretname"), "");
    assert_eq!(found(&session, "Patient"), "d c b");
    assert!(
        session
            .verify(keepwell_store::VerifyOptions { index: true, ..Default::default() }, &mut |_| ())
            .unwrap()
            .is_sound()
    );
    drop(session);
    assert_eq!(found(&home.reopened().session(), "Patient?_sort=_id"), "b c d");
}

#[test]
fn a_search_is_in_the_audit_trail() {
    let home = Home::new();
    let session = home.session();
    session.search("Patient?name=eva").unwrap();
    assert!(session.search("Patient?nothing=1").is_err());
    let page = session.audit_page(&keepwell_store::audit::AuditQuery::default()).unwrap();
    let searches: Vec<_> = page
        .records
        .iter()
        .filter(|record| record.action == Some(keepwell_store::audit::Action::Search))
        .collect();
    assert_eq!(searches.len(), 2);
}

#[test]
fn a_parameter_of_ones_own_answers_once_it_knows_everything() {
    let home = Home::new();
    let session = home.session();
    for (id, eyes) in [("a", "blue"), ("b", "brown"), ("c", "blue")] {
        put(
            &session,
            &format!(
                r#"{{"resourceType":"Patient","id":"{id}","extension":[{{"url":"urn:eyes","valueCode":"{eyes}"}}]}}"#
            ),
        );
    }
    let eyes = br#"{"resourceType":"SearchParameter","url":"urn:sp","name":"eyes","status":"active","description":"x",
        "code":"eyes","base":["Patient"],"type":"token","expression":"Patient.extension('urn:eyes').value"}"#;
    assert!(matches!(session.search("Patient?eyes=blue"), Err(Error::Search(SearchError::Query(_)))));
    session.add_search_parameter(eyes).unwrap();
    match session.search("Patient?eyes=blue") {
        Err(Error::Search(SearchError::ParameterNotReady { done: 0, total: 3 })) => {}
        // The housekeeper was there first.
        other => assert_eq!(ids(&other.unwrap()), "c a"),
    }
    put(
        &session,
        r#"{"resourceType":"Patient","id":"d","extension":[{"url":"urn:eyes","valueCode":"blue"}]}"#,
    );
    while !session.reindex().unwrap().is_complete() {}
    assert_eq!(found(&session, "Patient?eyes=blue"), "d c a");
    assert_eq!(home.store.changes_after(0, 10).unwrap().len(), 4);
    drop(session);
    let home = home.reopened();
    let session = home.session();
    assert_eq!(found(&session, "Patient?eyes:not=blue"), "b");
    assert!(session.remove_search_parameter("urn:sp").unwrap());
    assert!(matches!(session.search("Patient?eyes=blue"), Err(Error::Search(SearchError::Query(_)))));
    let wrong =
        session.add_search_parameter(br#"{"resourceType":"SearchParameter","url":"urn:sp","code":"x"}"#);
    assert!(matches!(wrong, Err(Error::Search(SearchError::Parameter(issues))) if !issues.is_empty()));
}

#[test]
fn everything_of_a_patient_comes_in_pages() {
    let home = Home::new();
    let session = home.session();
    people(&session);
    put(
        &session,
        r#"{"resourceType":"Observation","id":"o5","status":"final","subject":{"reference":"Patient/b"},
        "performer":[{"reference":"Organization/org"}],"effectiveDateTime":"2020-05-05","code":{"text":"x"}}"#,
    );
    put(&session, r#"{"resourceType":"Organization","id":"org","name":"x"}"#);
    assert_eq!(found(&session, "Patient/b/$everything"), "o5 o3 o2 b");
    assert_eq!(found(&session, "Patient/b/$everything?_type=Observation"), "o5 o3 o2");
    assert_eq!(found(&session, "Patient/b/$everything?start=2020-01-01&end=2021"), "o5 b");
    let first = session.search("Patient/b/$everything?_count=3").unwrap();
    let included: Vec<_> = first.entries.iter().filter(|entry| entry.mode == SearchMode::Include).collect();
    assert_eq!((ids(&first).as_str(), included[0].id.as_str(), included.len()), ("o5 o3 o2", "org", 1));
    assert_eq!(found(&session, &first.next.unwrap()), "b");
    assert!(matches!(session.search("Patient/none/$everything"), Err(Error::NotFound(_))));
    put(
        &session,
        r#"{"resourceType":"Observation","id":"o6","status":"final","subject":{"reference":"Patient/b"},
        "effectiveDateTime":"2021","code":{"coding":[{"system":"urn:codes","code":"hr"}]}}"#,
    );
    assert_eq!(found(&session, "Observation/$lastn?patient=b"), "o6 o5 o3");
    assert_eq!(found(&session, "Observation/$lastn?patient=b&max=2&code=hr"), "o6 o2");
}

#[test]
fn an_observed_search_tells_what_enters_changes_and_leaves() {
    let home = Home::new();
    let session = home.session();
    people(&session);
    let moment = std::time::Duration::from_millis(1);
    let told = |live: &mut keepwell_store::LiveSearch| {
        let changes = live.next(moment).unwrap();
        let texts = changes.iter().map(|change| format!("{:?} {}", change.kind, change.id));
        texts.collect::<Vec<_>>().join(", ")
    };
    let mut smiths = session.observe_search("Patient?family=smith").unwrap();
    let mut of_smiths = session.observe_search("Observation?subject:Patient.family=smith").unwrap();
    assert_eq!((told(&mut smiths).as_str(), told(&mut of_smiths).as_str()), ("Added c, Added d", ""));
    put(&session, std::str::from_utf8(&body("a", "Smithson")).unwrap());
    assert_eq!(told(&mut smiths), "Added a");
    assert_eq!(told(&mut of_smiths), "Added o1");
    put(&session, std::str::from_utf8(&body("c", "Smithy")).unwrap());
    put(&session, std::str::from_utf8(&body("d", "Jones")).unwrap());
    session.delete(patient(), "a", Precondition::None).unwrap();
    assert_eq!(told(&mut smiths), "Changed c, Removed d, Removed a");
    assert_eq!(told(&mut of_smiths), "Removed o1");
    assert_eq!(told(&mut smiths), "");
    assert!(session.observe_search("Patient?nothing=1").is_err());
}
