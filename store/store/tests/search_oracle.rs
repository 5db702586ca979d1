//! A store answers as `matches` does when it is asked about each resource (`search_equals_oracle`).
//!
//! Resources and searches are random. What is searched has a past: other versions, deletions, a restart, an index that
//! was merged; the pages of an answer are read to their end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "it says how much was compared")]

mod common;
#[allow(dead_code, reason = "other tests use all of it")]
#[path = "../../search/tests/common/corpus.rs"]
mod corpus;
#[allow(dead_code, reason = "other tests use all of it")]
#[path = "../../search/tests/common/generate.rs"]
mod generate;

use std::time::Duration;

use common::Home;
use corpus::Corpus;
use generate::{Random, compartment, encoded, resources, search};
use keepwell_store::fhir::{Compartment, ResourceType, Walker};
use keepwell_store::query::{Handling, Parameters, Query, QueryError, Scope};
use keepwell_store::vault::Clock as _;
use keepwell_store::{Error, ImportOptions, ImportSource, Precondition, SearchError, Session};

const RESOURCES: usize = 70;
const SEARCHES: usize = 200;

/// How many stores are made; `KEEPWELL_SEARCH_STORES` says otherwise.
fn stores() -> u64 {
    let wanted = std::env::var("KEEPWELL_SEARCH_STORES").ok().and_then(|text| text.parse().ok());
    wanted.unwrap_or(6)
}

fn store(session: &Session, json: &[u8]) {
    let options = ImportOptions { accept_invalid: true, resume: false, ..ImportOptions::default() };
    let report = session.import(ImportSource::reader("oracle", json), &options, &mut |_| ()).unwrap();
    assert_eq!(report.resources(), 1);
}

fn identity(json: &[u8]) -> (ResourceType, String) {
    let mut walker = Walker::new();
    let walk = walker.walk(json).unwrap();
    (walk.resource_type, walk.id.unwrap().text(json).into_owned())
}

/// A store with these resources, each changed a minute after the one before, and with a past.
fn with_past(random: &mut Random, list: &[Vec<u8>]) -> (Home, i64) {
    let home = Home::new();
    let session = home.session();
    for old in resources(random, RESOURCES) {
        store(&session, &old);
        if random.below(4) == 0 || list.contains(&old) {
            let (kind, id) = identity(&old);
            session.delete(kind, &id, Precondition::None).unwrap();
        }
    }
    let known: Vec<_> = list.iter().map(|json| identity(json)).collect();
    for page in ["?_count=1000&_type=Patient,Observation,Encounter,Condition", "?_count=1000"] {
        for entry in session.search(page).unwrap().entries {
            if !known.contains(&(entry.resource_type, entry.id.clone())) {
                session.delete(entry.resource_type, &entry.id, Precondition::None).unwrap();
            }
        }
    }
    let start = home.clock.wall_ms() + 60_000;
    for json in list {
        home.clock.advance(Duration::from_secs(60));
        store(&session, json);
    }
    drop(session);
    (home.reopened(), start)
}

/// All ids that a search finds, page after page.
fn found(session: &Session, url: &str) -> Result<Vec<String>, Error> {
    let mut ids = Vec::new();
    let mut next = Some(url.to_owned());
    while let Some(url) = next {
        let page = session.search(&url)?;
        ids.extend(page.matches().map(|entry| entry.id.clone()));
        next = page.next;
    }
    Ok(ids)
}

#[test]
fn search_equals_oracle() {
    let first = std::env::var("KEEPWELL_SEARCH_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let parameters = Parameters::r4();
    let (mut compared, mut with_matches) = (0, 0);
    for seed in (first..).take(usize::try_from(stores()).unwrap()) {
        let mut random = Random::new(seed);
        let list = resources(&mut random, RESOURCES);
        let (home, start_ms) = with_past(&mut random, &list);
        let session = home.session();
        let corpus = Corpus::new(parameters.clone(), list, start_ms);
        for _ in 0..SEARCHES {
            let (resource_type, text) = search(&mut random, &parameters);
            let within = compartment(&mut random);
            let name = resource_type.map_or("", |resource_type| resource_type.name());
            let path = match (within, name) {
                (Some(id), "") => format!("Patient/{}/*", encoded(id)),
                (Some(id), name) => format!("Patient/{}/{name}", encoded(id)),
                (None, name) => name.to_owned(),
            };
            let count = [1000, 1000, 7, 3][random.below(4)];
            let sort = ["", "", "&_sort=_id", "&_sort=-_id", "&_sort=_lastUpdated"][random.below(5)];
            let url = format!("{path}?{text}&_count={count}{sort}");
            let repeat = || format!("KEEPWELL_SEARCH_STORES=1 KEEPWELL_SEARCH_SEED={seed} {url}");
            let now_ms = home.clock.wall_ms();
            let scope =
                Scope { resource_type, compartment: within.map(|id| (Compartment::Patient, id)), now_ms };
            let answer = found(&session, &url);
            let query = match Query::parse(&parameters, &scope, &text, Handling::Strict) {
                Ok((query, _)) => query,
                Err(error) => {
                    let is_refused =
                        matches!(&answer, Err(Error::Search(SearchError::Query(other))) if *other == error);
                    assert!(is_refused, "{error} {answer:?}: {}", repeat());
                    continue;
                }
            };
            if let Err(Error::Search(
                SearchError::Query(QueryError::TooLarge { .. }) | SearchError::TooCostly(_),
            )) = answer
            {
                continue;
            }
            let mut answer = answer.unwrap_or_else(|error| panic!("{error}: {}", repeat()));
            let mut matching: Vec<String> = corpus.matching(&query).into_iter().map(str::to_owned).collect();
            answer.sort_unstable();
            matching.sort_unstable();
            assert_eq!(answer, matching, "{}\n{query:?}", repeat());
            compared += 1;
            with_matches += usize::from(!matching.is_empty());
        }
    }
    println!("{compared} searches, of which {with_matches} find something");
    assert!(with_matches * 10 > compared, "too few searches find something");
}
