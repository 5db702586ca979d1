//! Totals over 92,114 resources, as another server counted them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::fs::File;

use common::{Home, shared};
use keepwell_store::{ImportOptions, ImportSource, Session};

/// Follows all pages; how many resources of each type there are, and in all.
fn all_pages(session: &Session, url: &str) -> (u64, BTreeMap<String, u64>) {
    let mut counts = BTreeMap::new();
    let mut next = Some(url.to_owned());
    while let Some(url) = next {
        let page = session.search(&url).unwrap();
        for entry in page.matches() {
            *counts.entry(entry.resource_type.to_string()).or_default() += 1;
        }
        next = page.next;
    }
    (counts.values().sum(), counts)
}

/// The first pages of a search: ids, and whether a total was known.
fn pages(session: &Session, url: &str) -> (Vec<String>, bool) {
    let mut ids = Vec::new();
    let mut next = Some(url.to_owned());
    let mut has_total = true;
    for _ in 0..4 {
        let Some(url) = next else { break };
        let page = session.search(&url).unwrap();
        has_total &= page.total.is_some();
        ids.extend(page.matches().map(|entry| format!("{}/{}", entry.resource_type, entry.id)));
        next = page.next;
    }
    (ids, has_total)
}

/// Where a total is asked for the whole set is made; otherwise the order is walked along until a page is full.
fn pages_are_the_same_without_the_whole_set(session: &Session) {
    let mut walked = 0;
    for query in [
        "Observation?date=ge2012&_sort=-date",
        "Observation?date=lt2014-05&_sort=-date",
        "Observation?date=ge2010&date=lt2016-02-03&_sort=date",
        "Observation?date=ge2012&_sort=-date,_id",
        "Observation?date=ge2012&_sort=_lastUpdated,-date",
        "Observation?patient.gender=female",
        "Observation?patient.gender=male&_sort=date",
        "Observation?patient.gender:not=male&status=final&_sort=-date",
        "Observation?subject:Patient.birthdate=gt1950&category=laboratory",
        "Observation?category=vital-signs&date=gt2005&_sort=-date",
        "Claim?patient.gender=female&created=ge2000&_sort=created",
        "Encounter?date=gt2000&_sort=-date",
        "Encounter?date=gt2000&_sort=date",
        "Procedure?date=lt2018&_sort=-date",
        "Observation?_has:DiagnosticReport:result:status=final",
        "Observation?value-quantity=gt1&_sort=-date",
        "Encounter?_has:Observation:encounter:status=final",
    ] {
        for count in [7, 60] {
            let (some, has_total) = pages(session, &format!("{query}&_count={count}"));
            let (all, _) = pages(session, &format!("{query}&_count={count}&_total=accurate"));
            assert!(!some.is_empty(), "{query}");
            assert_eq!(some, all, "{query}&_count={count}");
            walked += usize::from(!has_total);
        }
        let counted =
            session.search(&format!("{query}&_total=accurate&_count=1")).unwrap().total.unwrap() as f64;
        let estimated =
            session.search(&format!("{query}&_total=estimate&_count=1")).unwrap().total.unwrap() as f64;
        // To how many different ones references lead, the counts do not say.
        let factor = if query.contains("_has") { 16.0 } else { 4.0 };
        assert!(
            estimated > counted / factor && estimated < counted * factor,
            "{query}: {estimated} for {counted}"
        );
    }
    assert!(walked >= 8, "only {walked} pages without the whole set");
}

#[test]
fn totals_are_those_of_another_server() {
    let Some(shared) = shared() else { return };
    let home = Home::new();
    let session = home.session();
    for part in ["00", "01"] {
        let path = shared.join(format!("data/synthea/blaze-2021-{part}.ndjson.zst"));
        let file = File::open(&path).unwrap();
        let options = ImportOptions { rewrite_references: true, ..ImportOptions::default() };
        let source = ImportSource::reader(part, zstd::Decoder::new(file).unwrap());
        session.import(source, &options, &mut |_| ()).unwrap();
    }
    let cases = std::fs::read(shared.join("data/cases/search/blaze-synthea-totals.json")).unwrap();
    let cases: serde_json::Value = serde_json::from_slice(&cases).unwrap();
    let mut wrong = Vec::new();
    let mut compared = 0;
    for case in cases["cases"].as_array().unwrap() {
        let text = |name: &str| case[name].as_str().unwrap_or_default();
        let patient = |search: &str| session.search(search).unwrap().entries[0].id.clone();
        let expected = case["total"].as_u64().unwrap();
        let found = if let Some(search) = case["compartment"].as_str() {
            let url =
                format!("Patient/{}/{}?{}&_summary=count", patient(search), text("type"), text("query"));
            session.search(&url).unwrap().total.unwrap()
        } else if let Some(operation) = case["operation"].as_str() {
            let url = operation.replacen("Patient/", &format!("Patient/{}/", patient(text("patient"))), 1);
            // What is only referred to comes along and is no match here.
            let counts = all_pages(&session, &url).1;
            let expected = case["typeCounts"].as_object().unwrap();
            let is_same = |(name, count): (&String, &serde_json::Value)| {
                name == "Medication" || counts.get(name).copied() == count.as_u64()
            };
            if expected.iter().all(is_same) { case["total"].as_u64().unwrap() } else { counts.values().sum() }
        } else {
            let url = format!("{}?{}&_summary=count", text("type"), text("query"));
            session.search(&url).unwrap().total.unwrap()
        };
        compared += 1;
        if found != expected {
            wrong.push(format!("{} {}: {found}, not {expected}", case["n"], text("query")));
        }
    }
    pages_are_the_same_without_the_whole_set(&session);
    assert!(compared >= 39);
    assert!(wrong.is_empty(), "{wrong:#?}");
}
