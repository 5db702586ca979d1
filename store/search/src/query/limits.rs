//! How large a search may be. What is larger is refused with [`QueryError::TooLarge`].

use super::QueryError;

/// The longest search string, in bytes.
pub const MAX_QUERY_BYTES: usize = 1 << 20;

/// How many values a search may name, all parameters together.
pub const MAX_VALUES: usize = 20_000;

/// How many conditions a search may come to, once chains without types are spread over all types they may mean.
pub const MAX_CLAUSES: usize = 2_000;

/// How many references a chain or `_has` may follow.
pub const MAX_CHAIN_DEPTH: usize = 8;

/// How many `_include` and `_revinclude` there may be.
pub const MAX_INCLUDES: usize = 50;

/// How many keys `_sort` may have.
pub const MAX_SORT_KEYS: usize = 8;

/// How deep parentheses of `_filter` may lie inside each other.
pub const MAX_FILTER_DEPTH: usize = 32;

/// What is left of the limits while a search is read.
pub(super) struct Budget {
    values: usize,
    clauses: usize,
}

impl Budget {
    pub(super) const fn new() -> Self {
        Self { values: MAX_VALUES, clauses: MAX_CLAUSES }
    }

    pub(super) fn take_value(&mut self) -> Result<(), QueryError> {
        take(&mut self.values, "values", MAX_VALUES)
    }

    pub(super) fn take_clause(&mut self) -> Result<(), QueryError> {
        take(&mut self.clauses, "conditions", MAX_CLAUSES)
    }
}

fn take(left: &mut usize, what: &'static str, limit: usize) -> Result<(), QueryError> {
    *left = left.checked_sub(1).ok_or(QueryError::TooLarge { what, limit })?;
    Ok(())
}
