//! Plans over an index find what `matches` says, for random resources and random searches.

use keepwell_fhir::Compartment;
use keepwell_search::{Handling, Parameters, Query, QueryError, Scope};

use crate::corpus::Corpus;
use crate::generate::{Random, compartment, encoded, resources, search};

/// How many resources a corpus has.
const RESOURCES: usize = 70;

/// How many searches are made in each corpus.
const SEARCHES: usize = 200;

/// The start of the times at which resources were changed: 2020-02-29T12:00:00Z.
const START_MS: i64 = 1_582_977_600_000;

/// How many searches are made in all; `KEEPWELL_SEARCH_CASES` says otherwise.
fn cases() -> usize {
    let wanted = std::env::var("KEEPWELL_SEARCH_CASES").ok().and_then(|text| text.parse().ok());
    wanted.unwrap_or(100_000)
}

#[test]
fn search_equals_oracle() {
    let first = std::env::var("KEEPWELL_SEARCH_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let corpora = cases().div_ceil(SEARCHES);
    let parameters = Parameters::r4();
    let (mut with_matches, mut refused) = (0, 0);
    for seed in (first..).take(corpora) {
        let mut random = Random::new(seed);
        let corpus = Corpus::new(parameters.clone(), resources(&mut random, RESOURCES), START_MS);
        for _ in 0..SEARCHES {
            let (resource_type, text) = search(&mut random, &parameters);
            let compartment = compartment(&mut random).map(|id| (Compartment::Patient, id));
            let scope = Scope { resource_type, compartment, now_ms: START_MS };
            let name = resource_type.map_or("", |resource_type| resource_type.name());
            let repeat = || format!("KEEPWELL_SEARCH_SEED={seed} {name}?{text} in {compartment:?}");
            let query = match Query::parse(&parameters, &scope, &text, Handling::Strict) {
                Ok((query, _)) => query,
                // Some chains lead nowhere, and some fan out too far.
                Err(
                    QueryError::UnknownParameter { .. }
                    | QueryError::UnknownModifier { .. }
                    | QueryError::TooLarge { .. }
                    | QueryError::Unsupported { .. },
                ) => {
                    refused += 1;
                    continue;
                }
                Err(error) => panic!("{error}: {}", repeat()),
            };
            let planned = corpus.planned(&query).unwrap_or_else(|error| panic!("{error}: {}", repeat()));
            let matching = corpus.matching(&query);
            assert_eq!(planned, matching, "{}\n{query:?}", repeat());
            with_matches += usize::from(!matching.is_empty());
        }
    }
    println!(
        "{} searches, of which {with_matches} find something and {refused} are refused",
        corpora * SEARCHES
    );
    assert!(with_matches * 8 > corpora * SEARCHES, "too few searches find something");
    assert!(refused * 8 < corpora * SEARCHES, "too many searches are refused");
}

#[test]
fn escapes_survive_the_way_through_a_url() {
    assert_eq!(encoded("a,b &=ü"), "a%2Cb+%26%3D%C3%BC");
}
