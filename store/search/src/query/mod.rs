//! What a search asks, taken apart.
//!
//! A [`Query`] is the string of a search (R4 search.html) after everything about it is known: which parameters it
//! names, what their values mean, what is to be returned and in which order. It holds no text that still has to be
//! parsed, so that whoever answers it cannot read it differently.

mod build;
mod criterion;
mod error;
mod filter;
mod limits;
mod modifier;
mod page;
mod parse;
mod text;
mod value;

pub use criterion::{
    Chain, Clause, Criterion, Has, Matching, Prefix, SearchValue, StringMatch, SystemMatch, UnitMatch,
    UriMatch,
};
pub use error::{MAX_NAME_CHARS, QueryError};
pub use limits::{
    MAX_CHAIN_DEPTH, MAX_CLAUSES, MAX_FILTER_DEPTH, MAX_INCLUDES, MAX_QUERY_BYTES, MAX_SORT_KEYS, MAX_VALUES,
};
pub use page::{ContainedSearch, ContainedType, Direction, Include, Sort, SortKey, Summary, Total};

use keepwell_fhir::{Compartment, ResourceType};

/// Where a search looks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scope<'a> {
    /// The type in the path: `[base]/Patient`. None for a search of the whole system.
    pub resource_type: Option<ResourceType>,
    /// The compartment in the path: `[base]/Patient/7/Observation`.
    pub compartment: Option<(Compartment, &'a str)>,
    /// The time of the search in ms since 1970, which the prefix `ap` of dates measures from.
    pub now_ms: i64,
}

/// What to do about parameters that are not known (R4 search.html#errors).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Handling {
    /// They are errors.
    #[default]
    Strict,
    /// They are left out and named in issues.
    Lenient,
}

/// A search.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Query {
    /// The types that are searched; empty for all.
    pub types: Vec<ResourceType>,
    /// The compartment that is searched.
    pub compartment: Option<(Compartment, Box<str>)>,
    /// What a resource must be like, besides type and compartment.
    pub criterion: Criterion,
    /// The order of the matches: the first key decides first. Empty: the newest first.
    pub sort: Vec<SortKey>,
    /// `_contained`
    pub contained: ContainedSearch,
    /// `_containedType`
    pub contained_type: ContainedType,
    /// `_count`: how many matches a page has.
    pub count: Option<u32>,
    /// `_total`
    pub total: Option<Total>,
    /// `_summary`
    pub summary: Summary,
    /// `_elements`: the names of top-level elements; empty for all.
    pub elements: Vec<Box<str>>,
    /// `_include` and `_revinclude`, in order.
    pub includes: Vec<Include>,
}
