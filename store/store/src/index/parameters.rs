//! The search parameters of a store: those of R4, and those that were added to it.

use keepwell_fhir::ResourceType;
use keepwell_search::{Criterion, ParameterNumber, Parameters, Query, Sort, Term};
use rusqlite::Connection;

use crate::change_feed::resource_type;
use crate::error::{Error, Result};
use crate::search::SearchError;

/// The parameters that bodies are taken apart by.
#[derive(Clone)]
pub(crate) struct Known {
    /// Rises with each change of the table, so that terms made by older parameters are noticed.
    pub(crate) edition: i64,
    pub(crate) parameters: Parameters,
    pub(crate) custom: Vec<Custom>,
}

/// A parameter that was added, for one type.
#[derive(Clone, Debug)]
pub(crate) struct Custom {
    pub(crate) number: ParameterNumber,
    pub(crate) definition: Vec<u8>,
    pub(crate) resource_type: ResourceType,
    pub(crate) code: String,
    /// Later changes were taken apart with it.
    pub(crate) since: u32,
    /// Changes up to this one were taken apart again.
    pub(crate) covered: u32,
}

const CUSTOM: &str = "
    -- Known::load
    SELECT number, definition, type, code, since, covered FROM search_parameter WHERE active ORDER BY number";
/// A row is added, and it is withdrawn: nothing else happens to what counts here.
const EDITION: &str = "
    -- Known::load
    SELECT count(*) + count(*) FILTER (WHERE NOT active) FROM search_parameter";

/// The parameters of R4 alone.
impl Default for Known {
    fn default() -> Self {
        Self { edition: 0, parameters: Parameters::r4(), custom: Vec::new() }
    }
}

impl Known {
    pub(crate) fn load(connection: &Connection) -> Result<Self> {
        let edition = connection.prepare_cached(EDITION)?.query_row([], |row| row.get(0))?;
        let mut statement = connection.prepare_cached(CUSTOM)?;
        let mut rows = statement.query([])?;
        let mut custom = Vec::new();
        while let Some(row) = rows.next()? {
            custom.push(Custom {
                number: ParameterNumber(row.get(0)?),
                definition: row.get(1)?,
                resource_type: resource_type(row.get(2)?)?,
                code: row.get(3)?,
                since: row.get(4)?,
                covered: row.get(5)?,
            });
        }
        let mut parameters = Parameters::r4();
        let mut definitions: Vec<&[u8]> = custom.iter().map(|custom| &*custom.definition).collect();
        definitions.dedup();
        for definition in definitions {
            parameters = parameters
                .with_custom(definition, |kind, code| number_of(&custom, definition, kind, code))
                .map_err(|_| Error::Corrupt)?;
        }
        Ok(Self { edition, parameters, custom })
    }

    /// Whether all parameters know all resources.
    pub(crate) fn is_ready(&self) -> bool {
        self.custom.iter().all(Custom::is_ready)
    }

    /// Whether a term is one of a parameter that does not know all resources yet.
    pub(crate) fn is_unfinished(&self, term: &[u8]) -> bool {
        let is_of = |custom: &Custom| Term::parameter(term) == custom.number;
        self.custom.iter().any(|custom| !custom.is_ready() && is_of(custom))
    }

    /// Whether every parameter that a query names knows all resources.
    ///
    /// # Errors
    /// [`SearchError::ParameterNotReady`].
    pub(crate) fn check_ready(&self, query: &Query) -> Result<()> {
        if self.is_ready() {
            return Ok(());
        }
        let mut numbers = Vec::new();
        in_criterion(&query.criterion, &mut numbers);
        let sorted = query.sort.iter().filter_map(|key| match &key.by {
            Sort::Parameter(parameter) => Some(parameter.number),
            _ => None,
        });
        numbers.extend(sorted);
        // One that names no parameter follows all of them.
        let mut includes = query.includes.iter().map(|include| include.parameter.as_ref());
        let is_wanted = |custom: &&Custom| {
            numbers.contains(&custom.number)
                || includes
                    .any(|parameter| parameter.is_none_or(|parameter| parameter.number == custom.number))
        };
        match self.custom.iter().filter(|custom| !custom.is_ready()).find(is_wanted) {
            None => Ok(()),
            Some(Custom { since, covered, .. }) => {
                let (done, total) = (u64::from(*covered), u64::from(*since));
                Err(SearchError::ParameterNotReady { done, total }.into())
            }
        }
    }
}

/// The parameters that a criterion names.
fn in_criterion(criterion: &Criterion, numbers: &mut Vec<ParameterNumber>) {
    match criterion {
        Criterion::All(criteria) | Criterion::Any(criteria) => {
            criteria.iter().for_each(|criterion| in_criterion(criterion, numbers));
        }
        Criterion::Not(criterion) => in_criterion(criterion, numbers),
        Criterion::Type(_) => {}
        Criterion::Clause(clause) => numbers.push(clause.parameter.number),
        Criterion::Chain(chain) => {
            numbers.push(chain.parameter.number);
            chain.targets.iter().for_each(|(_, criterion)| in_criterion(criterion, numbers));
        }
        Criterion::Has(has) => {
            numbers.push(has.parameter.number);
            in_criterion(&has.criterion, numbers);
        }
    }
}

fn number_of(custom: &[Custom], definition: &[u8], kind: ResourceType, code: &str) -> ParameterNumber {
    custom
        .iter()
        .find(|custom| custom.definition == definition && custom.resource_type == kind && custom.code == code)
        .map_or(ParameterNumber::FIRST_CUSTOM, |custom| custom.number)
}

impl Custom {
    /// SearchParameter.url.
    pub(crate) fn url(&self) -> String {
        let definition = serde_json::from_slice::<serde_json::Value>(&self.definition).unwrap_or_default();
        definition["url"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether searches by it are answered.
    pub(crate) fn is_ready(&self) -> bool {
        self.covered >= self.since
    }
}
