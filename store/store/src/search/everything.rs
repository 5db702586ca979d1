//! `$everything` (R4 operation-patient-everything): all that belongs to a patient, or to an encounter.
//!
//! What is in the compartment are the matches; what they refer to outside of it comes along. With `start` and `end`,
//! resources that have a clinical date must lie in that time, and all others are there.

use std::collections::HashSet;

use keepwell_fhir::{Compartment, ResourceType};
use keepwell_index::TermRange;
use keepwell_search::{Direction, Handling, Include, ParameterNumber, Query, Term};
use roaring::RoaringBitmap;

use super::error::SearchError;
use super::executor::{Executor, Scope};
use super::oracle::Oracle;
use crate::error::{Error, Result};

/// The parameter that says when a resource of many types happened.
const CLINICAL_DATE: &str = "http://hl7.org/fhir/SearchParameter/clinical-date";

/// What is asked beside the parameters of every search.
#[derive(Debug)]
pub(super) struct Everything {
    compartment: Compartment,
    /// None for all of them.
    id: Option<String>,
    dates: String,
}

impl Everything {
    /// Takes the parameters of the operation out of a query; returns what is left as a search of the compartment.
    pub(super) fn parse(compartment: Compartment, id: Option<String>, query: &str) -> (Self, String) {
        let (mut dates, mut rest) = (Vec::new(), Vec::new());
        for part in query.split('&').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some(("start", value)) => dates.push(format!("date=ge{value}")),
                Some(("end", value)) => dates.push(format!("date=le{value}")),
                Some(("_since", value)) => rest.push(format!("_lastUpdated=ge{value}")),
                _ => rest.push(part.to_owned()),
            }
        }
        (Self { compartment, id, dates: dates.join("&") }, rest.join("&"))
    }

    fn owner(&self) -> ResourceType {
        ResourceType::parse(self.compartment.code()).expect("compartments are named after types")
    }

    /// All of the compartment that a query finds, and the resource in its middle.
    ///
    /// # Errors
    /// [`Error::NotFound`] when nothing of it is here.
    pub(super) fn find(&self, executor: &Executor<'_>, query: &Query) -> Result<RoaringBitmap> {
        let owner = self.owner();
        let mut all = evaluate(executor, query, &Scope::of(query))?;
        let Some(id) = &self.id else {
            // The resources in the middle are in their own compartments.
            let number = ParameterNumber::compartment(self.compartment);
            let references = Term::references_to(number, owner);
            all &= executor.view.postings_in(&TermRange::prefix(references.bytes()))?;
            return if self.dates.is_empty() { Ok(all) } else { self.within_dates(executor, all) };
        };
        let middle = executor.find(owner, id)?;
        if middle.is_none() && all.is_empty() {
            return Err(Error::NotFound(owner));
        }
        if let Some(doc) = middle.filter(|_| query.types.is_empty() || query.types.contains(&owner)) {
            let mut query = query.clone();
            query.compartment = None;
            all |= evaluate(executor, &query, &Scope::Within(std::iter::once(doc).collect()))?;
        }
        if self.dates.is_empty() { Ok(all) } else { self.within_dates(executor, all) }
    }

    fn within_dates(&self, executor: &Executor<'_>, mut all: RoaringBitmap) -> Result<RoaringBitmap> {
        let parameters = &executor.documents.parameters;
        for kind in ResourceType::all() {
            if parameters.get(kind, "date").is_none_or(|date| date.url != CLINICAL_DATE) {
                continue;
            }
            let of_type = executor.view.postings_among(Term::of_type(kind).bytes(), &all)?;
            if of_type.is_empty() {
                continue;
            }
            let scope = keepwell_search::Scope { resource_type: Some(kind), ..Default::default() };
            let (query, _) = Query::parse(parameters, &scope, &self.dates, Handling::Strict)
                .map_err(SearchError::Query)?;
            all -= &of_type;
            all |= evaluate(executor, &query, &Scope::Within(of_type))?;
        }
        Ok(all)
    }

    /// What the matches of a page refer to, of the types that belong to no compartment of this kind: an organization,
    /// a medication. A resource of another type that is not in this compartment is in somebody else's.
    pub(super) fn supporting(&self, executor: &Executor<'_>, matches: &[u32]) -> Result<Vec<u32>> {
        let include = Include {
            direction: Direction::Forward,
            source: None,
            parameter: None,
            target: None,
            iterate: false,
        };
        let owner = self.owner();
        let is_wanted = |kind| kind != owner && self.compartment.parameters(kind).is_empty();
        let mut found = executor.include_forward(matches, &include, &is_wanted)?;
        let mut seen = HashSet::new();
        found.retain(|doc| seen.insert(*doc));
        Ok(found)
    }
}

/// What a query finds in a scope, checked to the last.
fn evaluate(executor: &Executor<'_>, query: &Query, scope: &Scope) -> Result<RoaringBitmap> {
    let oracle = Oracle::new(executor);
    let plan = keepwell_search::plan(query, &oracle).map_err(SearchError::Query)?;
    let set = executor.evaluate(&plan, scope)?;
    let mut found = set.sure().clone();
    for doc in set.may() - set.sure() {
        if oracle.matches(query, doc)? {
            found.insert(doc);
        }
    }
    Ok(found)
}
