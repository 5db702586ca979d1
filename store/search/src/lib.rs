#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod convert;
mod custom;
mod data_type;
mod date_range;
mod draft;
mod extract;
mod fold;
mod json;
mod matches;
mod near;
mod number;
mod parameter;
mod parameters;
mod path;
mod plan;
mod query;
#[rustfmt::skip]
mod r4;
#[doc(hidden)]
pub mod table;
mod term;
mod terminology;
mod terms;
mod trie;
mod ucum;
mod value;
mod values;
mod words;

pub use convert::convert;
pub use data_type::DataType;
pub use date_range::{DateRange, TICKS_PER_DAY, TICKS_PER_SECOND};
pub use extract::{Contained, Extracted, Extractor};
pub use fold::{fold, folded};
pub use matches::{Context, Resource, Visit, fulfils, matches, matching_contained};
pub use number::{MAX_DIGITS, Number};
pub use parameter::{Base, Component, Parameter, ParameterKind, ParameterNumber};
pub use parameters::Parameters;
pub use plan::{Comparison, MAX_TERMS, Plan, Test, UnitScan, plan, sort_terms};
pub use query::{
    Chain, Clause, ContainedSearch, ContainedType, Criterion, Direction, Handling, Has, Include,
    MAX_CHAIN_DEPTH, MAX_CLAUSES, MAX_FILTER_DEPTH, MAX_INCLUDES, MAX_NAME_CHARS, MAX_QUERY_BYTES,
    MAX_SORT_KEYS, MAX_VALUES, Matching, Prefix, Query, QueryError, Scope, SearchValue, Sort, SortKey,
    StringMatch, Summary, SystemMatch, Total, UnitMatch, UriMatch,
};
pub use term::{Facet, HEAD_BYTES, MAX_TEXT_BYTES, Term, read_reference, successor};
pub use terminology::{CodeSet, Library, LocalTerminology, NoTerminology, Terminology};
pub use terms::{TermList, Terms, terms};
pub use ucum::{Canonical, MAX_UNIT_BYTES, canonical_unit};
pub use value::{System, Unit, Value};
pub use values::{Entry, ValueRange, Values};
pub use words::{MAX_WORD_BYTES, MAX_WORDS, add_words};
