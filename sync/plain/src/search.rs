//! Searches that say what of a server a device holds.
//!
//! Invariant: a search leaves order, pages and time to the engine. A person's own `_sort` would lose what was not
//! fetched before an interruption, and `_summary` would fetch halves of resources.

use std::fmt;
use std::str::FromStr;

use keepwell_fhir::{Instant, ResourceType, valid_id};
use serde::{Deserialize, Serialize};

use crate::error::SearchError;

/// Parameters that the engine sets, or that make halves of resources.
const OWN: &[&str] = &[
    "_sort",
    "_lastUpdated",
    "_since",
    "_count",
    "_elements",
    "_summary",
    "_contained",
    "_format",
    "_total",
];

/// A search that can be kept up to date: `Patient?active=true`, `Patient/7/Observation?code=8867-4`, `Patient/7/*`,
/// `Patient/7/$everything`, `Patient/$everything`.
///
/// ```
/// use keepwell_plain::Search;
/// let search: Search = "Observation?patient=7".parse()?;
/// assert_eq!(search.to_string(), "Observation?patient=7");
/// assert!("Observation?patient=7&_sort=-date".parse::<Search>().is_err());
/// # Ok::<(), keepwell_plain::SearchError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Search {
    path: String,
    query: String,
}

impl Search {
    /// The first page of everything, or of what changed since an instant.
    pub(crate) fn changes(&self, since: Option<Instant>, page: u32) -> String {
        let mut parameters = vec![format!("_count={page}")];
        match (since, self.is_everything()) {
            (Some(since), true) => parameters.push(format!("_since={since}")),
            (Some(since), false) => parameters.push(format!("_lastUpdated=ge{since}")),
            (None, _) => {}
        }
        // An operation has no order; what it gives is told apart by versions alone.
        if !self.is_everything() {
            parameters.push("_sort=_lastUpdated".to_owned());
        }
        self.with(&parameters)
    }

    /// The first page of the ids and versions of everything.
    pub(crate) fn ids(&self, page: u32) -> String {
        self.with(&["_elements=id,meta".to_owned(), format!("_count={page}")])
    }

    fn is_everything(&self) -> bool {
        self.path.ends_with("$everything")
    }

    fn with(&self, parameters: &[String]) -> String {
        let own = Some(&self.query).filter(|query| !query.is_empty());
        let all: Vec<&str> = own.into_iter().chain(parameters).map(String::as_str).collect();
        format!("{}?{}", self.path, all.join("&"))
    }
}

impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if self.query.is_empty() { Ok(()) } else { write!(f, "?{}", self.query) }
    }
}

impl FromStr for Search {
    type Err = SearchError;

    fn from_str(text: &str) -> Result<Self, SearchError> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let is_type = |name: &str| ResourceType::parse(name).is_some();
        let is_known = match path.split('/').collect::<Vec<_>>()[..] {
            [kind] => is_type(kind),
            [kind, "$everything"] => is_type(kind),
            [kind, id, rest] => {
                is_type(kind) && valid_id(id) && (is_type(rest) || rest == "*" || rest == "$everything")
            }
            _ => false,
        };
        let is_own = |pair: &str| {
            let name = pair.split(['=', ':']).next().unwrap_or_default();
            OWN.contains(&name)
        };
        // It stands in a request as it is.
        let is_printed = query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        if !is_known || !is_printed || query.split('&').any(is_own) {
            return Err(SearchError);
        }
        Ok(Self { path: path.to_owned(), query: query.to_owned() })
    }
}

impl TryFrom<String> for Search {
    type Error = SearchError;

    fn try_from(text: String) -> Result<Self, SearchError> {
        text.parse()
    }
}

impl From<Search> for String {
    fn from(search: Search) -> Self {
        search.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_are_read_and_others_refused() {
        let since = Some(Instant::from_ms(0));
        for (text, expected) in [
            ("Patient", "Patient?_count=9&_lastUpdated=ge1970-01-01T00:00:00.000Z&_sort=_lastUpdated"),
            (
                "Patient/7/Flag?status=a",
                "Patient/7/Flag?status=a&_count=9&_lastUpdated=ge1970-01-01T00:00:00.000Z&_sort=_lastUpdated",
            ),
            ("Patient/7/$everything", "Patient/7/$everything?_count=9&_since=1970-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(text.parse::<Search>().unwrap().changes(since, 9), expected);
        }
        for text in [
            "",
            "Patience",
            "Patient/7",
            "Patient/7/Patience",
            "/Patient",
            "Patient?_sort=name",
            "Patient?name=a&_lastUpdated=gt2020",
            "Patient?_summary:x=true",
            "Patient?name=a b",
            "Patient?name=a#b",
            "Patient/a b/*",
            "https://host/Patient",
        ] {
            assert_eq!(text.parse::<Search>(), Err(SearchError), "{text}");
        }
    }
}
