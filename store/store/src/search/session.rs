//! Searching, as a session does it.

use keepwell_fhir::bundle_writer::SearchMode;
use keepwell_fhir::{Issue, ResourceType, Subset, subset};
use keepwell_search::{Criterion, Handling, Query, SortKey, Summary, Total};
use roaring::RoaringBitmap;
use rusqlite::Connection;

use super::address::{self, Address};
use super::document::Documents;
use super::error::SearchError;
use super::everything::Everything;
use super::executor::{Executor, Scope};
use super::explain::{self, PlanStep};
use super::last;
use super::link::{Link, Links, Place};
use super::oracle::Oracle;
use super::order::{Orderer, Placed};
use super::page::{SearchEntry, SearchPage};
use super::record::Record;
use super::set::Set;
use crate::audit::Action;
use crate::error::{Error, Result};
use crate::index::{IndexProgress, State, View};
use crate::inner::{Open, ReadEvent, Reader};
use crate::session::Session;

/// Matches of a page where `_count` does not say how many.
pub const PAGE_DEFAULT: usize = 50;

/// Matches of a page at the most; a larger `_count` counts as this.
pub const PAGE_MAX: usize = 1_000;

/// Versions whose bodies are looked at for one exact total.
pub const CHECKED_MAX: u64 = 200_000;

/// The parameter that a link to a page is.
const PAGE: &str = "_page=";

impl Session {
    /// Answers a search, written as the URL that a FHIR server would take, relative to its base: `Patient?name=x`,
    /// `?_type=Patient,Observation`, `Patient/1/Observation?code=y`; and the links to further pages.
    ///
    /// # Errors
    /// [`SearchError`].
    ///
    /// ```no_run
    /// # fn all(session: &keepwell_store::Session) -> Result<(), keepwell_store::Error> {
    /// let mut page = session.search("Patient?name=eva&_sort=birthdate&_count=20")?;
    /// while let Some(next) = page.next {
    ///     page = session.search(&next)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn search(&self, url: &str) -> Result<SearchPage> {
        self.search_with(url, Handling::Strict)
    }

    /// As [`Self::search`]; with [`Handling::Lenient`] parameters that are not known are left out, and named in the
    /// issues of the page.
    ///
    /// # Errors
    /// [`SearchError`].
    pub fn search_with(&self, url: &str, handling: Handling) -> Result<SearchPage> {
        let open = self.enter()?;
        let mut reader = self.store.inner.reader(&open)?;
        let request = Request { session: self, open: &open, now_ms: self.store.inner.now_ms() };
        let done = request.answer(&mut reader, url, handling);
        let mut event = ReadEvent::of(Action::Search, None, None);
        let asked = done.as_ref().map_or(url, |page| page.url.as_str());
        event.detail = Some(serde_json::json!({ "query": asked }).to_string());
        self.note(&open, event, &done)?;
        done
    }
}

impl Session {
    /// How a search would be answered.
    ///
    /// # Errors
    /// Those of [`Self::search`].
    pub fn explain_search(&self, url: &str) -> Result<Vec<PlanStep>> {
        let open = self.enter()?;
        let mut reader = self.store.inner.reader(&open)?;
        let reader = &mut *reader;
        let done = (|| {
            let (transaction, state) = open.index.read(&reader.connection)?;
            check_complete(&transaction, &state)?;
            let view = View::new(&state, &transaction, None)?;
            let documents = Documents::new(&transaction, &open.attachments, &state.known, Vec::new());
            let executor = Executor { view, documents };
            let search = Search::parse(&executor, url, Handling::Strict, self.store.inner.now_ms())?;
            let oracle = Oracle::new(&executor);
            let plan = keepwell_search::plan(&search.query, &oracle).map_err(SearchError::Query)?;
            explain::steps(&executor, &plan)
        })();
        let mut event = ReadEvent::of(Action::Search, None, None);
        event.detail = Some(serde_json::json!({ "query": url, "explain": true }).to_string());
        self.note(&open, event, &done)?;
        done
    }

    /// Goes on making the index, where it does not have everything yet: for a store that an older program wrote, or
    /// for a search parameter that was added. The store does so by itself while it is open; this is for a host that
    /// wants it sooner. One call is one short step; call it until [`IndexProgress::is_complete`].
    ///
    /// # Errors
    /// Those of the database. What was done before stays.
    pub fn reindex(&self) -> Result<IndexProgress> {
        let open = self.enter()?;
        let mut writer = open.writer();
        writer.build_index(&open.attachments, self.store.inner.now_ms())?;
        writer.index_progress()
    }

    /// How far the index is.
    ///
    /// # Errors
    /// [`keepwell_vault::Error::Locked`] and those of the database.
    pub fn index_progress(&self) -> Result<IndexProgress> {
        self.enter()?.writer().index_progress()
    }
}

/// One search of a session.
struct Request<'s> {
    session: &'s Session,
    open: &'s Open,
    now_ms: i64,
}

impl Request<'_> {
    fn answer(&self, reader: &mut Reader, url: &str, handling: Handling) -> Result<SearchPage> {
        let links = Links::new(&self.open.audit, self.session.store.inner.vault().store_id());
        let link = url.split_once(PAGE).map(|(_, link)| links.open(link, self.now_ms)).transpose()?;
        let (url, handling) = match &link {
            Some(link) if link.lenient => (link.url.as_str(), Handling::Lenient),
            Some(link) => (link.url.as_str(), Handling::Strict),
            None => (url, handling),
        };
        let (transaction, state) = self.open.index.read(&reader.connection)?;
        check_complete(&transaction, &state)?;
        let view = View::new(&state, &transaction, link.as_ref().map(|link| link.as_of))?;
        let tools = std::mem::take(&mut reader.tools);
        let documents = Documents::new(&transaction, &self.open.attachments, &state.known, tools);
        let executor = Executor { view, documents };
        let search = Search::parse(&executor, url, handling, self.now_ms)?;
        state.known.check_ready(&search.query)?;
        let page = search.page(link.as_ref())?;
        let next = page.next.map(|(after, total)| {
            let as_of = executor.view.as_of();
            let made = link.as_ref().map_or(self.now_ms, |link| link.made);
            let lenient = handling == Handling::Lenient;
            let path = url.split('?').next().unwrap_or_default();
            let link = Link { url: url.to_owned(), lenient, as_of, made, after, total };
            Ok::<_, Error>(format!("{path}?{PAGE}{}", links.seal(&link)?))
        });
        let next = next.transpose()?;
        reader.tools = executor.documents.into_tools();
        Ok(SearchPage {
            entries: page.entries,
            total: page.total,
            issues: page.issues,
            url: url.to_owned(),
            next,
        })
    }
}

/// A store whose index is still being built does not answer, rather than wrongly.
pub(crate) fn check_complete(connection: &Connection, state: &State) -> Result<()> {
    let last: i64 = connection
        .prepare_cached("-- search::check_complete\nSELECT coalesce(max(sequence), 0) FROM change_log")?
        .query_row([], |row| row.get(0))?;
    if state.is_complete(last) {
        return Ok(());
    }
    let (done, total) = (u64::from(state.covered), last.unsigned_abs());
    Err(SearchError::Building { done, total }.into())
}

/// A query and what answers it.
pub(crate) struct Search<'x, 'e> {
    executor: &'x Executor<'e>,
    pub(crate) query: Query,
    issues: Vec<Issue>,
    special: Special,
}

/// What an operation asks beside its parameters.
enum Special {
    None,
    Everything(Everything),
    /// How many of each code.
    LastN(usize),
}

/// A page before its links are sealed.
pub(crate) struct Answer {
    entries: Vec<SearchEntry>,
    total: Option<u64>,
    issues: Vec<Issue>,
    next: Option<(Place, Option<u64>)>,
}

impl<'x, 'e> Search<'x, 'e> {
    pub(crate) fn parse(
        executor: &'x Executor<'e>,
        url: &str,
        handling: Handling,
        now_ms: i64,
    ) -> Result<Self> {
        let Address { place, query } = Address::parse(url)?;
        let mut special = Special::None;
        let mut query = std::borrow::Cow::Borrowed(query);
        let mut scope = keepwell_search::Scope { now_ms, ..Default::default() };
        match &place {
            address::Place::System => {}
            address::Place::Type(resource_type) => scope.resource_type = Some(*resource_type),
            address::Place::Compartment { compartment, id, resource_type } => {
                scope.resource_type = *resource_type;
                scope.compartment = Some((*compartment, id));
            }
            address::Place::Everything { compartment, id } => {
                let (everything, rest) = Everything::parse(*compartment, id.clone(), &query);
                special = Special::Everything(everything);
                query = rest.into();
                scope.compartment = Some((*compartment, id));
            }
            address::Place::LastN => {
                let (max, rest) = last::parse(&query)?;
                special = Special::LastN(max);
                query = rest.into();
                scope.resource_type = ResourceType::parse("Observation");
            }
        }
        let parameters = &executor.documents.parameters;
        let (mut query, issues) =
            Query::parse(parameters, &scope, &query, handling).map_err(SearchError::Query)?;
        if matches!(special, Special::LastN(_)) {
            query.sort = last::newest_first(executor);
        }
        Ok(Self { executor, query, issues, special })
    }

    /// The set that the plan finds.
    pub(crate) fn set(&self) -> Result<Set> {
        if let Special::Everything(everything) = &self.special {
            return Ok(Set::exact(everything.find(self.executor, &self.query)?));
        }
        let oracle = Oracle::new(self.executor);
        let plan = keepwell_search::plan(&self.query, &oracle).map_err(SearchError::Query)?;
        self.executor.evaluate(&plan, &Scope::Types(self.query.types.clone()))
    }

    /// Whether every resource of the type is what the query asks for.
    pub(crate) fn asks_for_nothing(&self) -> bool {
        self.query.criterion == Criterion::All(Vec::new()) && self.query.compartment.is_none()
    }

    /// The first two matches, in any order.
    pub(crate) fn first_two(&self) -> Result<Vec<u32>> {
        let set = self.set()?;
        let oracle = Oracle::new(self.executor);
        let mut found = Vec::new();
        for doc in set.may() {
            if set.contains(doc).map_or_else(|| oracle.matches(&self.query, doc), Ok)? {
                found.push(doc);
            }
            if found.len() == 2 {
                break;
            }
        }
        Ok(found)
    }

    fn page(&self, link: Option<&Link>) -> Result<Answer> {
        let set = self.set()?;
        let oracle = Oracle::new(self.executor);
        let check = |doc| match set.contains(doc) {
            Some(known) => Ok(known),
            None => oracle.matches(&self.query, doc),
        };
        let is_count = self.query.summary == Summary::Count || self.query.count == Some(0);
        let total = match (link, self.query.total) {
            (Some(link), _) => link.total,
            (None, _) if is_count => Some(self.total(&set, &check)?),
            (None, Some(Total::Accurate)) => Some(self.total(&set, &check)?),
            (None, Some(Total::Estimate)) => Some(set.may().len()),
            (None, Some(Total::None)) => None,
            (None, None) => set.is_exact().then(|| set.may().len()),
        };
        if is_count {
            return Ok(Answer { entries: Vec::new(), total, issues: self.issues.clone(), next: None });
        }
        let count = self.query.count.map_or(PAGE_DEFAULT, |count| (count as usize).min(PAGE_MAX));
        if let Special::LastN(max) = self.special {
            return self.last_page(&set, max, &check);
        }
        let mut found = self.order(set.may(), link.map(|link| &link.after), count + 1, &check)?;
        let has_more = found.len() > count;
        found.truncate(count);
        let last = found.last().filter(|_| has_more);
        let next = last.map(|Placed { doc, keys }| (Place { keys: keys.clone(), doc: *doc }, total));
        let matches: Vec<u32> = found.into_iter().map(|placed| placed.doc).collect();
        let mut entries = Vec::with_capacity(matches.len());
        for doc in &matches {
            entries.push(self.entry(*doc, SearchMode::Match)?);
        }
        let mut included = self.executor.included(&matches, &self.query.includes)?;
        if let Special::Everything(everything) = &self.special {
            included.extend(everything.supporting(self.executor, &matches)?);
        }
        for doc in included {
            entries.push(self.entry(doc, SearchMode::Include)?);
        }
        Ok(Answer { entries, total, issues: self.issues.clone(), next })
    }

    /// The answer of `$lastn`, which has one page.
    fn last_page(&self, set: &Set, max: usize, check: &impl Fn(u32) -> Result<bool>) -> Result<Answer> {
        if set.may().len() > last::LASTN_MAX {
            return Err(SearchError::TooCostly("$lastn looks at 100,000 observations at the most").into());
        }
        let found = self.order(set.may(), None, usize::MAX, check)?;
        let found = last::of_each_code(self.executor, found, max)?;
        let mut entries = Vec::with_capacity(found.len());
        for placed in &found {
            entries.push(self.entry(placed.doc, SearchMode::Match)?);
        }
        let total = Some(entries.len() as u64);
        Ok(Answer { entries, total, issues: self.issues.clone(), next: None })
    }

    pub(crate) fn order(
        &self,
        docs: &RoaringBitmap,
        after: Option<&Place>,
        wanted: usize,
        check: impl FnMut(u32) -> Result<bool>,
    ) -> Result<Vec<Placed>> {
        let sort: &[SortKey] = &self.query.sort;
        let orderer = Orderer { executor: self.executor, sort, check, wanted, found: Vec::new() };
        orderer.run(docs, after)
    }

    fn total(&self, set: &Set, check: &impl Fn(u32) -> Result<bool>) -> Result<u64> {
        let mut total = set.sure().len();
        if set.is_exact() {
            return Ok(total);
        }
        let unsure = set.may() - set.sure();
        if unsure.len() > CHECKED_MAX {
            return Err(SearchError::TooCostly("an exact total looks at 200,000 bodies at the most").into());
        }
        for doc in unsure {
            total += u64::from(check(doc)?);
        }
        Ok(total)
    }

    fn entry(&self, doc: u32, mode: SearchMode) -> Result<SearchEntry> {
        let documents = &self.executor.documents;
        let record = Record::find(documents.connection, doc)?;
        let (body, last_updated) = documents.body(&record)?;
        let body = match self.subset(&mut Vec::new()) {
            None => body,
            Some(wanted) => subset(&body, wanted).map_err(|_| Error::Corrupt)?,
        };
        let Record { resource_type, ref id, version, .. } = record;
        Ok(SearchEntry { resource_type, id: id.to_string(), version, last_updated, mode, body })
    }

    /// The part of each resource that is wanted, if not all of it.
    fn subset<'s>(&'s self, names: &'s mut Vec<&'s str>) -> Option<Subset<'s>> {
        match self.query.summary {
            Summary::True => Some(Subset::Summary),
            Summary::Text => Some(Subset::Text),
            Summary::Data => Some(Subset::Data),
            Summary::False | Summary::Count if self.query.elements.is_empty() => None,
            Summary::False | Summary::Count => {
                names.extend(self.query.elements.iter().map(|name| &**name));
                Some(Subset::Elements(names))
            }
        }
    }
}
