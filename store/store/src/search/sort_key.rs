//! What a version sorts by: the bytes of its terms, whose order is the order of the values.
//!
//! R4 search.html#sort: of several values the one that comes first in the order counts. Versions without a value come
//! last, whichever way the order goes.

use keepwell_fhir::Instant;
use keepwell_index::{Direction, TermRange};
use keepwell_search::{Facet, HEAD_BYTES, ParameterNumber, Sort, SortKey, Term, Terms, sort_terms};

/// One part of a sort key: a value as its term has it, `None` where there is none.
pub(crate) type Part = Option<Vec<u8>>;

/// The terms that a key sorts by; none for the time of the last change, which is the order of changes.
pub(crate) fn terms_of(key: &SortKey) -> Option<TermRange> {
    match &key.by {
        Sort::Id => Some(TermRange::prefix(Term::head(ParameterNumber::ID, Facet::Reference).bytes())),
        Sort::Parameter(parameter) => {
            sort_terms(parameter).map(|terms| TermRange::new(terms.start, Some(terms.end)))
        }
        Sort::LastUpdated => None,
    }
}

/// The time of a change, in bytes that sort as times do.
pub(crate) fn time(at: Instant) -> Vec<u8> {
    (at.ms() ^ i64::MIN).to_be_bytes().to_vec()
}

/// The value of a term.
pub(crate) fn value(term: &[u8]) -> &[u8] {
    term.get(HEAD_BYTES..).unwrap_or_default()
}

/// What a version with these terms sorts by.
pub(crate) fn part(terms: &Terms, key: &SortKey) -> Part {
    let range = terms_of(key)?;
    let values = terms.iter().filter(|term| range.contains(term)).map(value);
    let first = if key.descending { values.max() } else { values.min() };
    first.map(<[u8]>::to_vec)
}

/// Which of two parts comes first.
pub(crate) fn compare(left: &Part, right: &Part, key: &SortKey) -> std::cmp::Ordering {
    match (left, right) {
        (Some(left), Some(right)) if key.descending => right.cmp(left),
        (Some(left), Some(right)) => left.cmp(right),
        (left, right) => left.is_none().cmp(&right.is_none()),
    }
}

/// Which way a key scans.
pub(crate) const fn direction(key: &SortKey) -> Direction {
    if key.descending { Direction::Falling } else { Direction::Rising }
}
