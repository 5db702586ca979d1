//! Search parameters of one's own: added, replaced and withdrawn (R4 searchparameter.html), by themselves or by storing
//! SearchParameters.

use std::sync::Arc;

use keepwell_fhir::{Issue, ResourceType};
use keepwell_search::{ParameterNumber, Parameters};
use rusqlite::{Connection, OptionalExtension, params};

use super::error::SearchError;
use crate::audit::Action;
use crate::error::{Error, Result};
use crate::index::{IndexProgress, Known};
use crate::session::Session;

const WITHDRAW: &str = "
    -- custom::withdraw
    UPDATE search_parameter SET active = 0 WHERE url = ?1 AND active";
const KNOWN: &str = "
    -- custom::known
    SELECT definition FROM search_parameter WHERE url = ?1 AND active";
const ADD: &str = "
    -- custom::add
    INSERT INTO search_parameter (number, url, definition, type, code, since, covered, active)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 1)";
const NEXT_NUMBER: &str = "
    -- custom::next_number
    SELECT max(number) + 1 FROM search_parameter";

impl Session {
    /// Adds a search parameter, given as a SearchParameter resource; one with the same URL is replaced. Searches by it
    /// are refused until it knows all resources: [`Session::reindex`]. It does not become a resource of the store, and
    /// adding it changes none; a SearchParameter that is stored and active is added in the same way by itself.
    ///
    /// # Errors
    /// [`SearchError::Parameter`] with the part that is wrong or not supported.
    pub fn add_search_parameter(&self, definition: &[u8]) -> Result<IndexProgress> {
        self.change_parameters(|connection, last_change| add(connection, definition, last_change))
    }

    /// All that can be searched by, of R4 and of this store's own.
    ///
    /// # Errors
    /// [`keepwell_vault::Error::Locked`] and those of the database.
    pub fn parameters(&self) -> Result<Parameters> {
        Ok(self.known()?.parameters.clone())
    }

    fn known(&self) -> Result<Arc<Known>> {
        let open = self.enter()?;
        let reader = self.store.inner.reader(&open)?;
        let (_transaction, state) = open.index.read(&reader.connection)?;
        Ok(state.known.clone())
    }

    /// The search parameters of this store's own, and those stored SearchParameters that cannot be used, with what is
    /// wrong with them.
    ///
    /// # Errors
    /// [`keepwell_vault::Error::Locked`] and those of the database.
    pub fn search_parameters(&self) -> Result<Vec<OwnParameter>> {
        let known = self.known()?;
        let mut all: Vec<OwnParameter> = Vec::new();
        for custom in &known.custom {
            let url = custom.url();
            let progress = IndexProgress { done: u64::from(custom.covered), total: u64::from(custom.since) };
            match all.iter_mut().find(|own| own.url == url) {
                Some(own) => own.types.push(custom.resource_type),
                None => all.push(OwnParameter {
                    url,
                    code: custom.code.clone(),
                    types: vec![custom.resource_type],
                    progress,
                    issues: Vec::new(),
                }),
            }
        }
        let mut next = Some("SearchParameter?status=active&_count=500".to_owned());
        while let Some(url) = next {
            let page = self.search(&url)?;
            for entry in &page.entries {
                let Some(url) = in_use(&entry.body) else { continue };
                let is_of_r4 = known.parameters.all().any(|parameter| parameter.url == url);
                if is_of_r4 || all.iter().any(|own| own.url == url) {
                    continue;
                }
                let tried = known.parameters.with_custom(&entry.body, |_, _| ParameterNumber::FIRST_CUSTOM);
                all.push(OwnParameter {
                    code: text(&entry.body, "code").unwrap_or_default(),
                    url,
                    types: Vec::new(),
                    progress: IndexProgress::default(),
                    issues: tried.err().unwrap_or_default(),
                });
            }
            next = page.next;
        }
        Ok(all)
    }

    /// Withdraws the search parameter with a canonical URL; `false` when there is none.
    ///
    /// # Errors
    /// [`keepwell_vault::Error::Locked`] and those of the database.
    pub fn remove_search_parameter(&self, url: &str) -> Result<bool> {
        let mut withdrawn = false;
        self.change_parameters(|connection, _| {
            withdrawn = withdraw(connection, url)?;
            Ok(())
        })?;
        Ok(withdrawn)
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

/// A search parameter that this store has beside those of R4, or would have.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OwnParameter {
    /// SearchParameter.url.
    pub url: String,
    /// SearchParameter.code: its name in searches.
    pub code: String,
    /// The types that can be searched by it; none where it cannot be used.
    pub types: Vec<ResourceType>,
    /// How much of the store it knows: searches by it are answered when that is all.
    pub progress: IndexProgress,
    /// Why it cannot be used; empty where it can.
    pub issues: Vec<Issue>,
}

/// The URL of a SearchParameter that is in use.
pub(crate) fn in_use(definition: &[u8]) -> Option<String> {
    text(definition, "url").filter(|_| text(definition, "status").as_deref() == Some("active"))
}

fn text(definition: &[u8], key: &str) -> Option<String> {
    let definition: serde_json::Value = serde_json::from_slice(definition).ok()?;
    definition[key].as_str().map(str::to_owned)
}

/// Withdraws a parameter; whether there was one.
pub(crate) fn withdraw(connection: &Connection, url: &str) -> Result<bool> {
    Ok(connection.prepare_cached(WITHDRAW)?.execute([url])? > 0)
}

/// Adds the parameter of a SearchParameter that was stored; whether something changed. One that cannot be used is left
/// out, and what had its URL before is withdrawn.
pub(crate) fn register(connection: &Connection, definition: &[u8], last_change: i64) -> Result<bool> {
    let url = text(definition, "url").unwrap_or_default();
    let mut known = connection.prepare_cached(KNOWN)?;
    let rows = known.query_map([&url], |row| row.get::<_, Vec<u8>>(0))?;
    let before = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    if before.iter().any(|known| known == definition) {
        return Ok(false);
    }
    match add(connection, definition, last_change) {
        Ok(()) => Ok(true),
        Err(Error::Search(SearchError::Parameter(_)) | Error::Argument(_)) => Ok(!before.is_empty()),
        Err(error) => Err(error),
    }
}

fn add(connection: &Connection, definition: &[u8], last_change: i64) -> Result<()> {
    let url = text(definition, "url").unwrap_or_default();
    withdraw(connection, &url)?;
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
