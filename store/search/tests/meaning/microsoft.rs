//! The search cases of a public FHIR server, transcribed as data.

use std::collections::BTreeMap;

use keepwell_fhir::ResourceType;
use keepwell_search::{Handling, Parameters, Query, Scope};
use serde_json::Value;

use crate::corpus::Corpus;
use crate::shared;

#[test]
fn cases_agree_with_the_text_of_r4() {
    let Some(folder) = shared::folder("data/cases/search") else { return };
    let json = |name: &str| -> Value {
        serde_json::from_slice(&shared::read(&folder.join(name))).expect("the cases are JSON")
    };
    let (fixtures, cases) = (json("microsoft-fixtures.json"), json("microsoft-search.json"));
    let corpora: BTreeMap<&str, Corpus> = fixtures
        .as_object()
        .expect("fixtures by name")
        .iter()
        .map(|(name, resources)| {
            let resources = resources.as_array().expect("resources").iter();
            let resources = resources.map(|resource| serde_json::to_vec(resource).expect("JSON"));
            (name.as_str(), Corpus::new(Parameters::r4(), resources, 0))
        })
        .collect();
    let mut failures = Vec::new();
    let (mut agreeing, mut explained) = (0, 0);
    for case in cases["cases"].as_array().expect("cases") {
        let text = |key: &str| case[key].as_str().expect("a text");
        let (fixture, query) = (text("fixture"), text("query"));
        let scope = Scope { resource_type: ResourceType::parse(text("type")), ..Scope::default() };
        let corpus = &corpora[fixture];
        let parsed = Query::parse(&corpus.parameters, &scope, query, Handling::Strict);
        if case.get("expectError").is_some() {
            assert!(parsed.is_err(), "{fixture} {query}");
            agreeing += 1;
            continue;
        }
        let by_text = case.get("expectByR4Text").filter(|ids| ids.is_array());
        let listed = by_text.unwrap_or_else(|| &case["expect"]).as_array().expect("ids");
        let mut expected: Vec<&str> = listed.iter().map(|id| id.as_str().expect("an id")).collect();
        if by_text.is_some() {
            println!("{fixture} {query}: equality asks for the whole date to lie within the searched one");
            explained += 1;
        } else {
            agreeing += 1;
        }
        expected.sort_unstable();
        let found = parsed.map(|(query, _)| {
            let mut matching = corpus.matching(&query);
            let mut planned = corpus.planned(&query).expect("a plan");
            matching.sort_unstable();
            planned.sort_unstable();
            assert_eq!(matching, planned, "{fixture} {}", text("query"));
            matching
        });
        if found != Ok(expected.clone()) {
            failures.push(format!("{fixture} {query}\n  found {found:?}\n  expected {expected:?}"));
        }
    }
    println!("{agreeing} cases agree, {explained} differ and are explained by the text of R4");
    assert!(failures.is_empty(), "{} of the cases:\n{}", failures.len(), failures.join("\n"));
}
