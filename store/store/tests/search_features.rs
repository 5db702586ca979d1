//! Every kind of search, as an app asks for it, over the official examples.
//!
//! A line names what must be found and what must not, as read from the examples themselves.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use common::{Home, shared};
use keepwell_store::fhir::ResourceType;
use keepwell_store::fhir::bundle_writer::SearchMode;
use keepwell_store::query::{Handling, QueryError};
use keepwell_store::{
    Error, ImportOptions, ImportSource, OnError, Precondition, SearchError, SearchPage, Session,
};

const TYPES: &[&str] = &[
    "AllergyIntolerance",
    "CarePlan",
    "Condition",
    "DocumentReference",
    "Encounter",
    "List",
    "Location",
    "Medication",
    "MedicationRequest",
    "Observation",
    "Organization",
    "Patient",
    "Practitioner",
    "Procedure",
    "Provenance",
    "Questionnaire",
    "RiskAssessment",
];

/// The value set and the code system that the searches name.
const TERMINOLOGY: &str = "condition-clinical";

fn documents(path: &Path) -> String {
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text
}

/// A store with the examples of [`TYPES`].
fn examples() -> Option<Home> {
    let folder = shared()?.join("data/examples");
    let mut all = String::new();
    for name in TYPES {
        all += &documents(&folder.join(format!("{name}.ndjson.gz")));
    }
    for name in ["ValueSet", "CodeSystem"] {
        let own = format!("\"resourceType\":\"{name}\",\"id\":\"{TERMINOLOGY}\"");
        let documents = documents(&folder.join(format!("{name}.ndjson.gz")));
        for line in documents.lines().filter(|line| line.contains(&own)) {
            all += line;
            all += "\n";
        }
    }
    let home = Home::new();
    let options = ImportOptions { on_error: OnError::Skip, accept_invalid: true, ..ImportOptions::default() };
    home.session().import(ImportSource::reader("examples", all.as_bytes()), &options, &mut |_| ()).unwrap();
    Some(home)
}

fn search(session: &Session, url: &str) -> SearchPage {
    session.search(url).unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// Where all matches of all pages are.
fn found(session: &Session, url: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut next = Some(url.to_owned());
    while let Some(url) = next {
        let page = search(session, &url);
        for entry in page.matches() {
            assert!(all.insert(entry.place()), "{} twice: {url}", entry.place());
        }
        next = page.next;
    }
    all
}

/// Each line: a search, ids that it finds, and ids of the same type that it does not find.
fn check(session: &Session, lines: &[(&str, &str, &str)]) {
    for (url, present, absent) in lines {
        let all = found(session, url);
        let is_there = |id: &str| {
            if id.contains('/') {
                all.contains(id)
            } else {
                all.iter().any(|place| place.split_once('/').is_some_and(|(_, other)| other == id))
            }
        };
        for id in present.split(' ').filter(|id| !id.is_empty()) {
            assert!(is_there(id), "{url} does not find {id}: {all:?}");
        }
        for id in absent.split(' ').filter(|id| !id.is_empty()) {
            assert!(!is_there(id), "{url} finds {id}: {all:?}");
        }
    }
}

fn ids(page: &SearchPage) -> Vec<String> {
    let place = |entry: &keepwell_store::SearchEntry| match entry.mode {
        SearchMode::Include => format!("+{}", entry.place()),
        _ => entry.place(),
    };
    page.entries.iter().map(place).collect()
}

#[test]
fn every_type_of_parameter_prefix_and_modifier_finds_examples() {
    let Some(home) = examples() else { return };
    let session = home.session();
    check(
        &session,
        &[
            // Strings: beginnings, whatever case and accents; :exact and :contains.
            ("Patient?family=chal", "example", "f001"),
            ("Patient?family:exact=Chalmers", "example", "f001"),
            ("Patient?family:exact=chalmers", "", "example"),
            ("Patient?name:contains=INDSO", "example", "f001"),
            ("Patient?family=LÉVIN", "glossy", "example"),
            ("Patient?family=levin,bor", "glossy f201", "example"),
            ("Patient?given=peter&given=james", "example", "f001"),
            (r"Patient?family=levin\,bor", "", "glossy f201"),
            // Tokens.
            ("Observation?code=http://loinc.org|29463-7", "example", "body-height"),
            ("Observation?code=29463-7", "example", "body-height"),
            ("Observation?code=http://acme.org|29463-7", "", "example"),
            ("Observation?code=|29463-7", "", "example"),
            ("Observation?code=http://acme.org/devices/clinical-codes|", "example", "body-height"),
            ("Observation?code:not=29463-7&subject=Patient/example", "body-height", "example"),
            ("Observation?code:text=body weight", "example", "body-height"),
            ("Patient?gender=male&active=true", "example", "genetics-example1"),
            (
                "Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|12345",
                "example",
                "glossy",
            ),
            (
                "Condition?clinical-status:in=http://hl7.org/fhir/ValueSet/condition-clinical",
                "example f201 f204",
                "",
            ),
            (
                "Condition?clinical-status:not-in=http://hl7.org/fhir/ValueSet/condition-clinical",
                "",
                "example f201",
            ),
            (
                "Condition?clinical-status:below=http://terminology.hl7.org/CodeSystem/condition-clinical|inactive",
                "f201 f204",
                "example",
            ),
            (
                "Condition?clinical-status:above=http://terminology.hl7.org/CodeSystem/condition-clinical|resolved",
                "f201 f204",
                "example",
            ),
            // References.
            ("Observation?subject=Patient/f001", "f001 f002", "example"),
            ("Observation?subject:Patient=f001", "f001 f002", "example"),
            ("Observation?patient=f001", "f001 f002", "example"),
            // Dates: what is meant by a precision, and prefixes against a period.
            ("Patient?birthdate=1974-12", "example ch-example", "f001"),
            ("Patient?birthdate=ne1974-12-25", "f001", "example"),
            ("Patient?birthdate=lt1950&birthdate=ge1940", "f001", "example glossy"),
            ("Patient?birthdate=sa1974", "animal", "example f001"),
            ("Patient?birthdate=eb1974", "f001 genetics-example1", "example"),
            ("Observation?date=2013-04", "f002", "f001 example"),
            ("Observation?date=2013-04-03", "", "f002"),
            ("Observation?date=ap2013-04-03", "f002 f001", ""),
            ("Observation?date=gt2013-04-03", "f002 f001", "body-height"),
            ("Observation?date=sa2013-04-03", "f005", "f002 f001"),
            ("Observation?date=lt2013-04-03", "f002 f001 body-height", "f005"),
            ("Observation?date=eb2013-04-06", "f002 f005 body-height", "f001 example"),
            ("Observation?date=le1999-07-02", "body-height", "example"),
            // Numbers and quantities, with units of UCUM converted.
            ("RiskAssessment?probability=gt0.01", "cardiac", "genetic"),
            ("RiskAssessment?probability=0.02", "cardiac", "genetic"),
            ("RiskAssessment?probability=le0.000168", "genetic", "riskexample cardiac"),
            ("RiskAssessment?probability=3.68e-4", "genetic riskexample", "cardiac"),
            ("Observation?value-quantity=185|http://unitsofmeasure.org|[lb_av]", "example", "body-height"),
            ("Observation?value-quantity=83.9|http://unitsofmeasure.org|kg", "example", "body-height"),
            ("Observation?value-quantity=gt80|http://unitsofmeasure.org|kg", "example", "bmi"),
            ("Observation?value-quantity=lt80|http://unitsofmeasure.org|kg", "", "example"),
            ("Observation?value-quantity=6.3||mmol/L", "f001", "f002"),
            ("Observation?value-quantity=12.6", "f002", "f001"),
            ("Observation?value-quantity=6", "f001", "f002"),
            ("Observation?value-quantity=6.0", "", "f001"),
            // URIs.
            ("CodeSystem?url=http://terminology.hl7.org/CodeSystem/condition-clinical", TERMINOLOGY, ""),
            ("ValueSet?url:below=http://hl7.org/fhir/ValueSet", TERMINOLOGY, ""),
            ("ValueSet?url:above=http://hl7.org/fhir/ValueSet/condition-clinical/x", TERMINOLOGY, ""),
            ("ValueSet?url=http://hl7.org/fhir/ValueSet", "", TERMINOLOGY),
            // Composites, and near.
            ("Observation?code-value-quantity=http://loinc.org|29463-7$gt180", "example", "body-height"),
            ("Observation?code-value-quantity=http://loinc.org|29463-7$gt190", "", "example"),
            (
                "Observation?component-code-value-quantity=http://loinc.org|8480-6$107",
                "blood-pressure",
                "example",
            ),
            ("Observation?component-code-value-quantity=http://loinc.org|8480-6$60", "", "blood-pressure"),
            ("Location?near=42.2565|-83.69471|2|km", "1", "amb"),
            ("Location?near=42.2565|-83.69471|100|m", "", "1"),
            // Missing.
            ("Patient?birthdate:missing=true", "dicom", "example"),
            ("Patient?birthdate:missing=false", "example", "dicom"),
            // Parameters of all types.
            ("Patient?_id=example,f001", "example f001", "f201"),
            (
                "Observation?_profile=http://hl7.org/fhir/StructureDefinition/vitalsigns",
                "body-height",
                "f001",
            ),
            (
                "?_type=Patient,Observation&_id=example",
                "Patient/example Observation/example",
                "Encounter/example",
            ),
            ("?_id=f001&_type=Condition", "Condition/f001", "Patient/f001"),
            ("Patient?_lastUpdated=gt2000", "example", ""),
            ("Patient?_lastUpdated=lt2000", "", "example"),
            // Full text.
            ("Observation?_text=weight", "example", "f001"),
            ("Observation?_content=\"body weight\"", "example", "f001"),
            ("Patient?_content=windsor chalm*", "example", "f001"),
            // Filters.
            ("Patient?_filter=family co \"halm\" and birthdate le 1980", "example", "f001"),
            ("Patient?_filter=not (gender eq male)", "animal", "example"),
            (
                "Patient?_filter=gender eq female or gender eq male and birthdate lt 1950",
                "f001",
                "example animal",
            ),
            (
                "Patient?_filter=gender eq female or (gender eq male and birthdate lt 1950)",
                "f001 animal",
                "example",
            ),
            ("Observation?_filter=subject:Patient[gender eq male].family sw chalm", "example", "f001"),
            ("Observation?_filter=subject:Patient[gender eq female].family sw chalm", "", "example f001"),
        ],
    );
    let problem = session.search("Patient?birthdate=xx1974");
    assert!(matches!(problem, Err(Error::Search(SearchError::Query(QueryError::UnknownPrefix { .. })))));
}

#[test]
fn references_are_followed_either_way() {
    let Some(home) = examples() else { return };
    let session = home.session();
    check(
        &session,
        &[
            ("Observation?subject:Patient.family=chalmers", "example", "f001"),
            ("Observation?patient.name=van de heuvel", "f001", "example"),
            ("Observation?subject:Patient.organization.name=burgers", "f001", "example"),
            ("Observation?patient.organization:Organization.name=burgers,gastro", "f001 example", "f202"),
            ("Patient?_has:Observation:patient:code=29463-7", "example", "f001"),
            ("Patient?_has:Observation:patient:code=29463-7&gender=female", "", "example"),
            ("Patient?_has:Observation:patient:encounter.status=in-progress", "example", "f001"),
            (
                "Organization?_has:Patient:organization:_has:Observation:patient:code=15074-8",
                "f001",
                "1 f201",
            ),
            ("Encounter?subject._has:Observation:patient:code=15074-8", "f001 f002", "example"),
            ("Patient/f001/Observation?code=15074-8", "f001", "f002 example"),
            (
                "Patient/f001/*?_type=Observation,Condition",
                "Condition/f001 Observation/f001",
                "Condition/f201",
            ),
            ("Condition?_list=example", "example", "f001"),
            ("AllergyIntolerance?_list=current-allergies", "example medication", "nka"),
            ("AllergyIntolerance?_list=$current-drug-allergies", "medication", "example nka"),
            ("AllergyIntolerance?patient=example&_list=$current-allergies", "example medication nkla", ""),
            ("Condition?_list=$current-problems", "example f001", "f201 f204"),
            ("Condition?_list=$current-problems,$current-allergies&patient=f201", "f203", "f201 example"),
        ],
    );
    let page = |url: &str| ids(&search(&session, url));
    assert_eq!(
        page("Observation?_id=example&_include=Observation:patient"),
        ["Observation/example", "+Patient/example"]
    );
    assert_eq!(
        page("Observation?_id=example&_include=Observation:patient&_include:iterate=Patient:organization"),
        ["Observation/example", "+Patient/example", "+Organization/1"]
    );
    let all = page("Observation?_id=example&_include=*");
    assert!(all.contains(&"+Patient/example".to_owned()) && all.contains(&"+Encounter/example".to_owned()));
    let back = page("Patient?_id=f001&_revinclude=Observation:subject&_revinclude=Condition:patient");
    assert!(back.contains(&"+Observation/f001".to_owned()) && back.contains(&"+Condition/f003".to_owned()));
    assert!(!back.iter().any(|place| place.contains("example")));
    let everything = found(&session, "Patient/f001/$everything?_count=5");
    assert!(everything.contains("Patient/f001") && everything.contains("Observation/f005"));
    assert!(!everything.iter().any(|place| place == "Observation/example"));
    let observations = found(&session, "Patient/f001/$everything?_type=Observation");
    assert!(observations.iter().all(|place| place.starts_with("Observation/")) && observations.len() >= 5);
    let nobody = found(&session, "Patient/f001/$everything?_since=2100-01-01");
    assert!(nobody.is_empty(), "{nobody:?}");
    let of_all = found(&session, "Patient/$everything?_count=100");
    assert!(everything.is_subset(&of_all) && of_all.contains("Observation/example"));
    assert!(!of_all.iter().any(|place| place.starts_with("Organization/")), "it is nobody's");
    let last = page("Observation/$lastn?patient=example&code=85354-9,29463-7&max=1");
    assert!(last.contains(&"Observation/example".to_owned()) && last.len() == 2, "{last:?}");
}

#[test]
fn contained_resources_are_searched_where_that_is_asked_for() {
    let Some(home) = examples() else { return };
    let session = home.session();
    let snomed = "http://snomed.info/sct|430127000";
    check(
        &session,
        &[
            // A chain goes into what is contained.
            ("MedicationRequest?medication.code=430127000", "medrx0301", "medrx0302"),
            ("MedicationRequest?medication:Medication.code=430127000&status=completed", "", "medrx0302"),
            ("MedicationRequest?medication.code:not=430127000", "medrx0302", "medrx0301"),
            // By itself nothing does.
            (
                "Medication?_contained=true",
                "MedicationRequest/medrx0301 MedicationRequest/medrx0302",
                "Medication/med0310",
            ),
            ("Medication?_contained=false", "Medication/med0310", "MedicationRequest/medrx0301"),
            ("Medication?_contained=both", "Medication/med0310 MedicationRequest/medrx0301", ""),
        ],
    );
    let find = |query: &str| found(&session, &format!("Medication?code={snomed}{query}"));
    let places = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<BTreeSet<_>>();
    assert!(!find("").iter().any(|place| place.contains("medrx")));
    assert_eq!(
        find("&_contained=true"),
        places(&["MedicationRequest/medrx0301", "MedicationRequest/medrx0333"])
    );
    let contained = find("&_contained=true&_containedType=contained");
    let inside = ["MedicationRequest/medrx0301#med0310", "MedicationRequest/medrx0333#med0310"];
    assert_eq!(contained, places(&inside));
    let page =
        search(&session, &format!("Medication?code={snomed}&_contained=true&_containedType=contained"));
    let entry = page.matches().next().unwrap();
    let body: serde_json::Value = serde_json::from_slice(&entry.body).unwrap();
    assert_eq!((body["resourceType"].as_str(), body["id"].as_str()), (Some("Medication"), Some("med0310")));
    let bundle: serde_json::Value = serde_json::from_slice(&page.to_bundle()).unwrap();
    assert!(inside.contains(&bundle["entry"][0]["fullUrl"].as_str().unwrap()));
    // Both conditions have to hold for one and the same contained resource.
    for (id, first, second) in [("split", "a", "b"), ("same", "a", "c")] {
        let body = serde_json::json!({
            "resourceType": "MedicationRequest", "id": id, "status": "active", "intent": "order",
            "subject": { "reference": "Patient/example" }, "medicationReference": { "reference": "#m1" },
            "contained": [
                { "resourceType": "Medication", "id": "m1", "status": "active",
                  "code": { "coding": [{ "system": "urn:codes", "code": first }] } },
                { "resourceType": "Medication", "id": "m2", "status": if id == "same" { "active" } else { "inactive" },
                  "code": { "coding": [{ "system": "urn:codes", "code": second }] } }
            ]
        });
        let kind = ResourceType::parse("MedicationRequest").unwrap();
        session.update(kind, id, body.to_string().as_bytes(), Precondition::None).unwrap();
    }
    check(
        &session,
        &[
            ("Medication?_contained=true&code=urn:codes|a&status=active", "split same", ""),
            ("Medication?_contained=true&code=urn:codes|b&status=active", "", "split same"),
            ("Medication?_contained=true&code=urn:codes|b,urn:codes|c&status=inactive", "split", "same"),
            ("MedicationRequest?medication.code=urn:codes|b", "", "split same"),
            ("MedicationRequest?medication.code=urn:codes|a", "split same", ""),
        ],
    );
    // A page may end between two contained resources of one container.
    let each = "Medication?_contained=true&_containedType=contained&code=urn:codes|a,urn:codes|b,urn:codes|c";
    let all = found(&session, &format!("{each}&_count=1"));
    assert_eq!(all.len(), 4, "{all:?}");
    let page = search(&session, &format!("{each}&_count=3&_total=accurate"));
    assert_eq!((page.entries.len(), page.total), (3, Some(4)));
    assert!(
        session
            .delete_if(ResourceType::parse("Medication").unwrap(), "_contained=true&code=urn:codes|a")
            .is_err()
    );
    assert!(
        session
            .verify(keepwell_store::VerifyOptions { index: true, ..Default::default() }, &mut |_| ())
            .unwrap()
            .is_sound()
    );
}

#[test]
fn order_totals_and_parts_are_as_asked_for() {
    let Some(home) = examples() else { return };
    let session = home.session();
    let list = |url: &str| -> Vec<String> {
        search(&session, url).matches().map(|entry| entry.id.clone()).collect()
    };
    let four = "Patient?_id=example,f001,f201,dicom,animal";
    assert_eq!(list(&format!("{four}&_sort=birthdate")), ["f001", "f201", "example", "animal", "dicom"]);
    assert_eq!(list(&format!("{four}&_sort=-birthdate")), ["animal", "example", "f201", "f001", "dicom"]);
    assert_eq!(
        list(&format!("{four}&_sort=gender,-birthdate")),
        ["animal", "example", "f201", "f001", "dicom"]
    );
    // All of them came with one commit, so that the next key decides.
    assert_eq!(
        list(&format!("{four}&_sort=_lastUpdated,-_id")),
        ["f201", "f001", "example", "dicom", "animal"]
    );
    assert_eq!(list(&format!("{four}&_sort=-_lastUpdated,_id&_count=2")), ["animal", "dicom"]);
    let first = search(&session, &format!("{four}&_sort=-_lastUpdated,_id&_count=2"));
    assert_eq!(list(&first.next.unwrap()), ["example", "f001"]);
    let counted = search(&session, "Observation?_summary=count");
    let exact = search(&session, "Observation?_total=accurate&_count=1").total;
    assert!(counted.entries.is_empty() && counted.total == exact);
    assert_eq!(exact, Some(found(&session, "Observation").len() as u64));
    let about =
        search(&session, "Observation?code-value-quantity=29463-7$gt180&_total=estimate").total.unwrap();
    assert!((1..10).contains(&about));
    let body = |url: &str| -> serde_json::Value {
        serde_json::from_slice(&search(&session, url).entries[0].body).unwrap()
    };
    let subset = body("Patient?_id=example&_elements=gender");
    assert!(subset["gender"] == "male" && subset["name"].is_null());
    assert_eq!(subset["meta"]["tag"][0]["code"], "SUBSETTED");
    assert!(body("Patient?_id=example&_summary=text")["name"].is_null());
    assert!(body("Patient?_id=example&_summary=data")["text"].is_null());
    assert!(body("Patient?_id=example&_summary=true")["contact"].is_null());
    let lenient =
        session.search_with("Patient?_id=example&family=chal&shoe-size=44", Handling::Lenient).unwrap();
    assert_eq!((ids(&lenient), lenient.issues.len()), (vec!["Patient/example".to_owned()], 1));
    let bundle = String::from_utf8(lenient.to_bundle()).unwrap();
    assert!(bundle.contains("OperationOutcome") && bundle.contains("shoe-size"));
    assert!(session.search("Patient?family=chal&shoe-size=44").is_err());
}

#[test]
fn tags_labels_sources_and_logical_references_are_searched_by() {
    let home = Home::new();
    let session = home.session();
    let observation = ResourceType::parse("Observation").unwrap();
    let put = |id: &str, meta: &str, subject: &str| {
        let body = format!(
            r#"{{"resourceType":"Observation","id":"{id}","meta":{{{meta}}},"status":"final",
            "code":{{"text":"weight"}},"subject":{subject}}}"#
        );
        session.update(observation, id, body.as_bytes(), Precondition::None).unwrap();
    };
    put(
        "tagged",
        r#""tag":[{"system":"urn:tags","code":"Ward-3"},{"code":"plain"}],"source":"http://lab.example/feed/7#run""#,
        r#"{"identifier":{"system":"urn:mrn","value":"A1"}}"#,
    );
    put(
        "labelled",
        r#""security":[{"system":"urn:labels","code":"R","display":"restricted"}],"source":"http://lab.example/feed""#,
        r#"{"reference":"Patient/p1","identifier":{"value":"A1"}}"#,
    );
    put("plain", r#""profile":["urn:profile"]"#, r#"{"reference":"Patient/A1"}"#);
    check(
        &session,
        &[
            ("Observation?_tag=urn:tags|Ward-3", "tagged", "labelled plain"),
            ("Observation?_tag=ward-3", "tagged", "labelled plain"),
            ("Observation?_tag=|plain", "tagged", "labelled plain"),
            ("Observation?_tag=|Ward-3", "", "tagged"),
            ("Observation?_tag:not=Ward-3", "labelled plain", "tagged"),
            ("Observation?_tag:missing=true", "labelled plain", "tagged"),
            ("?_type=Observation&_tag=plain", "Observation/tagged", "Observation/plain"),
            ("Observation?_security=urn:labels|R", "labelled", "tagged plain"),
            ("Observation?_security=urn:labels|", "labelled", "tagged plain"),
            ("Observation?_security=urn:other|R", "", "labelled"),
            ("Observation?_security:text=restr", "labelled", "tagged plain"),
            ("Observation?_source=http://lab.example/feed", "labelled", "tagged plain"),
            ("Observation?_source=http://lab.example/feed/7#run", "tagged", "labelled plain"),
            ("Observation?_source:below=http://lab.example/feed", "tagged labelled", "plain"),
            ("Observation?_source:missing=true", "plain", "tagged labelled"),
            ("Observation?subject:identifier=urn:mrn|A1", "tagged", "labelled plain"),
            ("Observation?subject:identifier=A1", "tagged labelled", "plain"),
            ("Observation?subject:identifier=|A1", "labelled", "tagged plain"),
            ("Observation?subject:identifier=urn:mrn|", "tagged", "labelled plain"),
            ("Observation?subject=A1", "plain", "tagged labelled"),
            (
                "Observation?_tag=Ward-3&subject:identifier=urn:mrn|A1&_source:below=http://lab.example",
                "tagged",
                "",
            ),
        ],
    );
}

#[test]
fn a_named_query_that_is_not_known_is_refused() {
    let home = Home::new();
    for handling in [Handling::Strict, Handling::Lenient] {
        let refused = home.session().search_with("Patient?_query=current-high-risk&family=a", handling);
        assert!(matches!(refused, Err(Error::Search(SearchError::Query(QueryError::Unsupported { .. })))));
    }
}

/// Resources of which a third, a fortieth and none are found by a reverse chain.
#[test]
fn an_estimate_is_near_the_number() {
    let home = Home::new();
    let session = home.session();
    let mut lines = String::new();
    for number in 0..6_000 {
        lines += &format!("{{\"resourceType\":\"Patient\",\"id\":\"p{number}\"}}\n");
        for (code, every, of_each) in [("often", 3, 4), ("seldom", 40, 1)] {
            for _ in 0..if number % every == 0 { of_each } else { 0 } {
                lines += &format!(
                    "{{\"resourceType\":\"Observation\",\"status\":\"final\",\"code\":{{\"coding\":[{{\"code\":\"{code}\"}}]}},\"subject\":{{\"reference\":\"Patient/p{number}\"}}}}\n"
                );
            }
        }
    }
    let options = ImportOptions { accept_invalid: true, ..ImportOptions::default() };
    session.import(ImportSource::reader("lines", lines.as_bytes()), &options, &mut |_| ()).unwrap();
    for (code, number) in [("often", 2_000), ("seldom", 150), ("never", 0)] {
        let url = format!("Patient?_has:Observation:patient:code={code}&_count=5");
        assert_eq!(search(&session, &format!("{url}&_total=accurate")).total, Some(number));
        let estimate = search(&session, &format!("{url}&_total=estimate")).total.unwrap();
        assert!((number / 2..=number * 2).contains(&estimate), "{code}: {estimate} of {number}");
    }
}

#[test]
fn a_stored_search_parameter_is_searched_by() {
    let home = Home::new();
    let session = home.session();
    let patient = ResourceType::parse("Patient").unwrap();
    let parameter = ResourceType::parse("SearchParameter").unwrap();
    let eyes = |id: &str, colour: &str| {
        format!(
            r#"{{"resourceType":"Patient","id":"{id}","extension":[{{"url":"urn:eyes","valueCode":"{colour}"}}]}}"#
        )
    };
    let definition = |id: &str, url: &str, code: &str, expression: &str, status: &str| {
        format!(
            r#"{{"resourceType":"SearchParameter","id":"{id}","url":"{url}","name":"n","status":"{status}",
            "description":"d","code":"{code}","base":["Patient"],"type":"token","expression":"{expression}"}}"#
        )
    };
    let put = |kind, id: &str, body: &str| {
        session.update(kind, id, body.as_bytes(), Precondition::None).unwrap();
    };
    let ready = || while !session.reindex().unwrap().is_complete() {};
    let expression = "Patient.extension('urn:eyes').value";
    put(patient, "before", &eyes("before", "blue"));
    // In one transaction with what it finds.
    let with = definition("sp", "urn:sp", "eyes", expression, "active");
    let bundle = format!(
        r#"{{"resourceType":"Bundle","type":"transaction","entry":[
        {{"resource":{with},"request":{{"method":"PUT","url":"SearchParameter/sp"}}}},
        {{"resource":{},"request":{{"method":"PUT","url":"Patient/with"}}}}]}}"#,
        eyes("with", "blue")
    );
    session.bundle(bundle.as_bytes()).unwrap();
    put(patient, "after", &eyes("after", "blue"));
    ready();
    let blue = |name: &str| -> Vec<String> {
        let page = search(&session, &format!("Patient?{name}=blue&_sort=_id"));
        page.matches().map(|entry| entry.id.clone()).collect()
    };
    assert_eq!(blue("eyes"), ["after", "before", "with"]);
    // Another name for it.
    put(parameter, "sp", &definition("sp", "urn:sp", "eye-colour", expression, "active"));
    ready();
    assert_eq!(blue("eye-colour"), ["after", "before", "with"]);
    assert!(session.search("Patient?eyes=blue").is_err());
    // What cannot be used is stored all the same, and says why.
    put(parameter, "wrong", &definition("wrong", "urn:wrong", "sum", "Patient.multipleBirth + 1", "active"));
    let all = session.search_parameters().unwrap();
    let states: Vec<_> =
        all.iter().map(|own| (own.code.as_str(), own.types.len(), own.issues.len())).collect();
    assert_eq!(states, [("eye-colour", 1, 0), ("sum", 0, 1)]);
    assert_eq!(all[1].issues[0].expression, "SearchParameter.expression");
    // It goes as it came.
    put(parameter, "sp", &definition("sp", "urn:sp", "eye-colour", expression, "retired"));
    assert!(session.search("Patient?eye-colour=blue").is_err());
    put(parameter, "sp", &definition("sp", "urn:sp", "eyes", expression, "active"));
    ready();
    assert_eq!(blue("eyes").len(), 3);
    session.delete(parameter, "sp", Precondition::None).unwrap();
    assert!(session.search("Patient?eyes=blue").is_err());
    // An import brings one along.
    let lines =
        [definition("im", "urn:im", "iris", expression, "active").replace('\n', " "), eyes("im", "blue")]
            .join("\n");
    let options = ImportOptions::default();
    session.import(ImportSource::reader("lines", lines.as_bytes()), &options, &mut |_| ()).unwrap();
    ready();
    assert_eq!(blue("iris"), ["after", "before", "im", "with"]);
    let sound =
        session.verify(keepwell_store::VerifyOptions { index: true, ..Default::default() }, &mut |_| ());
    assert!(sound.unwrap().is_sound());
    drop(session);
    let home = home.reopened();
    assert_eq!(search(&home.session(), "Patient?iris=blue").total, Some(4));
}
