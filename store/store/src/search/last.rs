//! `Observation/$lastn` (R4 operation-observation-lastn): the newest observations of each code.

use std::collections::HashMap;

use keepwell_fhir::ResourceType;
use keepwell_search::{Facet, Sort, SortKey, Term, Terms};

use super::error::SearchError;
use super::executor::Executor;
use super::order::Placed;
use crate::error::Result;

/// Observations that one `$lastn` looks at.
pub const LASTN_MAX: u64 = 100_000;

/// Takes `max` out of a query: how many of each code, one where it is not given.
pub(super) fn parse(query: &str) -> Result<(usize, String), SearchError> {
    let mut max = 1;
    let mut rest = Vec::new();
    for part in query.split('&') {
        match part.strip_prefix("max=") {
            Some(number) => max = number.parse().map_err(|_| SearchError::Address)?,
            None => rest.push(part),
        }
    }
    Ok((max, rest.join("&")))
}

/// Newest first, by when they happened.
pub(super) fn newest_first(executor: &Executor<'_>) -> Vec<SortKey> {
    let date =
        ResourceType::parse("Observation").and_then(|kind| executor.documents.parameters.get(kind, "date"));
    date.map(|date| SortKey { by: Sort::Parameter(date.clone()), descending: true }).into_iter().collect()
}

/// The first `max` of each code. Observations that share one coding are of the same code.
pub(super) fn of_each_code(executor: &Executor<'_>, found: Vec<Placed>, max: usize) -> Result<Vec<Placed>> {
    let Some(code) =
        ResourceType::parse("Observation").and_then(|kind| executor.documents.parameters.get(kind, "code"))
    else {
        return Ok(Vec::new());
    };
    let heads = [Term::head(code.number, Facet::Token), Term::head(code.number, Facet::Display)];
    let mut groups: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut counts: Vec<usize> = Vec::new();
    let mut kept = Vec::new();
    for placed in found {
        let terms = executor.documents.terms(placed.doc)?;
        let names = names(&terms, &heads);
        let known = names.iter().find_map(|name| groups.get(name).copied());
        let group = known.unwrap_or_else(|| {
            counts.push(0);
            counts.len() - 1
        });
        groups.extend(names.into_iter().map(|name| (name, group)));
        counts[group] += 1;
        if counts[group] <= max {
            kept.push(placed);
        }
    }
    Ok(kept)
}

/// What a code is called: its codings, and its text where it has none.
fn names(terms: &Terms, heads: &[Term; 2]) -> Vec<Vec<u8>> {
    for head in heads {
        let names: Vec<_> =
            terms.iter().filter(|term| term.starts_with(head.bytes())).map(<[u8]>::to_vec).collect();
        if !names.is_empty() {
            return names;
        }
    }
    vec![Vec::new()]
}
