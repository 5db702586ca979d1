//! Conditions of conditional interactions: any search of one type (R4 http.html#ccreate, #cond-update, #cdelete).
//!
//! Invariant: a condition sees what the same unit of work has written before.

use keepwell_fhir::ResourceType;
use keepwell_search::{ContainedSearch, Handling};

use crate::attachment::Attachments;
use crate::error::{Error, Result};
use crate::id_key::IdKey;
use crate::index::View;
use crate::search::{Documents, Executor, Search, SearchError};
use crate::unit::Unit;

/// The one resource of a type that a condition matches, `None` where there is none.
///
/// # Errors
/// [`Error::UnsupportedCondition`] when the condition asks for nothing, [`Error::MultipleMatches`], [`SearchError`].
pub(crate) fn find(
    unit: &mut Unit<'_>,
    attachments: &Attachments,
    resource_type: ResourceType,
    condition: &str,
) -> Result<Option<IdKey>> {
    let last = crate::index::doc(unit.position.last_change)?;
    let now_ms = unit.now().ms();
    let connection = unit.connection;
    if !unit.index.is_complete() {
        return Err(SearchError::Building {
            done: u64::from(unit.index.base().covered),
            total: u64::from(last),
        }
        .into());
    }
    let known = unit.index.base().known.clone();
    let snapshot = unit.index.flushed(connection)?;
    let view = View::of(snapshot, connection, last)?;
    let documents = Documents::new(connection, attachments, &known, Vec::new());
    let executor = Executor { view, documents };
    let url = format!("{resource_type}?{}", condition.trim_start_matches('?'));
    let search = Search::parse(&executor, &url, Handling::Strict, now_ms)?;
    // What is contained is no resource that could be updated or deleted.
    if search.asks_for_nothing() || search.query.contained != ContainedSearch::Never {
        return Err(Error::UnsupportedCondition);
    }
    known.check_ready(&search.query)?;
    match search.first_two()?[..] {
        [] => Ok(None),
        [doc] => Ok(Some(IdKey::new(&executor.documents.identity(doc)?.1))),
        _ => Err(Error::MultipleMatches(resource_type)),
    }
}
