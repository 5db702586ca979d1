//! Search parameters of one's own: added, replaced and withdrawn (R4 searchparameter.html).

use keepwell_fhir::ResourceType;
use keepwell_search::ParameterNumber;
use rusqlite::{Connection, OptionalExtension, params};

use super::error::SearchError;
use crate::audit::Action;
use crate::error::{Error, Result};
use crate::index::{IndexProgress, Known};
use crate::session::Session;

const WITHDRAW: &str = "
    -- custom::withdraw
    UPDATE search_parameter SET active = 0 WHERE url = ?1 AND active";
const ADD: &str = "
    -- custom::add
    INSERT INTO search_parameter (number, url, definition, type, code, since, covered, active)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 1)";
const NEXT_NUMBER: &str = "
    -- custom::next_number
    SELECT max(number) + 1 FROM search_parameter";

impl Session {
    /// Adds a search parameter, given as a SearchParameter resource; one with the same URL is replaced. Searches by it
    /// are refused until it knows all resources: [`Session::reindex`]. It is no resource of the store, and adding it
    /// changes none.
    ///
    /// # Errors
    /// [`SearchError::Parameter`] with the part that is wrong or not supported.
    pub fn add_search_parameter(&self, definition: &[u8]) -> Result<IndexProgress> {
        self.change_parameters(|connection, last_change| add(connection, definition, last_change))
    }

    /// Withdraws the search parameter with a canonical URL; `false` when there is none.
    ///
    /// # Errors
    /// [`keepwell_vault::Error::Locked`] and those of the database.
    pub fn remove_search_parameter(&self, url: &str) -> Result<bool> {
        let mut withdrawn = 0;
        self.change_parameters(|connection, _| {
            withdrawn = connection.prepare_cached(WITHDRAW)?.execute([url])?;
            Ok(())
        })?;
        Ok(withdrawn > 0)
    }

    fn change_parameters(
        &self,
        change: impl FnOnce(&Connection, i64) -> Result<()>,
    ) -> Result<IndexProgress> {
        self.write(Action::Configured, None, |work| {
            change(work.unit.connection, work.unit.position.last_change)?;
            work.unit.index.change_parameters();
            Ok(())
        })?;
        let open = self.enter()?;
        open.index.build_again();
        open.writer().index_progress()
    }
}

fn add(connection: &Connection, definition: &[u8], last_change: i64) -> Result<()> {
    let url = serde_json::from_slice::<serde_json::Value>(definition)
        .ok()
        .and_then(|value| value["url"].as_str().map(str::to_owned))
        .unwrap_or_default();
    connection.prepare_cached(WITHDRAW)?.execute([&url])?;
    let next: Option<u16> =
        connection.prepare_cached(NEXT_NUMBER)?.query_row([], |row| row.get(0)).optional()?.flatten();
    let mut next = next.unwrap_or(ParameterNumber::FIRST_CUSTOM.0);
    let mut added: Vec<(u16, ResourceType, String)> = Vec::new();
    let known = Known::load(connection)?;
    known
        .parameters
        .with_custom(definition, |kind, code| {
            let number = next;
            next = next.saturating_add(1);
            added.push((number, kind, code.to_owned()));
            ParameterNumber(number)
        })
        .map_err(SearchError::Parameter)?;
    if next == u16::MAX {
        return Err(Error::Argument("a store has room for 32,767 search parameters of its own"));
    }
    for (number, kind, code) in added {
        let row = params![number, url, definition, kind.code(), code, last_change];
        connection.prepare_cached(ADD)?.execute(row)?;
    }
    Ok(())
}
