//! Searching, as a session does it.

use keepwell_fhir::bundle_writer::SearchMode;
use keepwell_fhir::{Issue, ResourceType, Subset, subset};
use keepwell_search::{
    ContainedSearch, ContainedType, Criterion, Handling, Plan, Query, SortKey, Summary, Total,
};
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
use super::walk::{Asked, expected, is_promising, walk};
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
            search.explain()
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

    /// Merges what many commits have left of the index into few pieces, which are searched faster. The store does so by
    /// itself while it is open and nothing is written for a while; this is for a host that wants it sooner, after an
    /// import. Writers come in between.
    ///
    /// # Errors
    /// Those of the database. What was done before stays.
    pub fn settle(&self) -> Result<()> {
        while self.enter()?.writer().settle_index(self.store.inner.now_ms())? {}
        Ok(())
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
        // All pages are of the time at which the first one was asked for.
        let made = link.as_ref().map_or(self.now_ms, |link| link.made);
        let page = Search::parse(&executor, url, handling, made).and_then(|search| {
            state.known.check_ready(&search.query)?;
            search.page(link.as_ref())
        });
        let as_of = executor.view.as_of();
        reader.tools = executor.documents.into_tools();
        let page = page?;
        let next = page.next.map(|(after, total)| {
            let lenient = handling == Handling::Lenient;
            let path = url.split('?').next().unwrap_or_default();
            let link = Link { url: url.to_owned(), lenient, as_of, made, after, total };
            Ok::<_, Error>(format!("{path}?{PAGE}{}", links.seal(&link)?))
        });
        let next = next.transpose()?;
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

/// What a page shows of the versions that were found, and where the next one goes on.
struct Filled {
    shown: Vec<(u32, SearchEntry)>,
    next: Option<Place>,
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
                scope.compartment = id.as_deref().map(|id| (*compartment, id));
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
        self.executor.evaluate(&self.plan()?, &Scope::of(&self.query))
    }

    fn plan(&self) -> Result<Plan> {
        let oracle = Oracle::new(self.executor);
        Ok(keepwell_search::plan(&self.query, &oracle).map_err(SearchError::Query)?)
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
        let (is_count, count) = (self.is_count(), self.count());
        let oracle = Oracle::new(self.executor);
        if let Some(walked) = self.walked(link, count, &oracle)? {
            return Ok(walked);
        }
        let set = self.set()?;
        let check = |doc| match set.contains(doc) {
            Some(known) => Ok(known),
            None => oracle.matches(&self.query, doc),
        };
        let total = match (link, self.query.total) {
            (Some(link), _) => link.total,
            (None, _) if is_count => Some(self.total(&set, &check)?),
            (None, Some(Total::Accurate)) => Some(self.total(&set, &check)?),
            (None, Some(Total::Estimate)) => Some(set.may().len()),
            (None, Some(Total::None)) => None,
            (None, None) => (set.is_exact() && !self.gives_contained()).then(|| set.may().len()),
        };
        if is_count {
            return Ok(Answer { entries: Vec::new(), total, issues: self.issues.clone(), next: None });
        }
        if let Special::LastN(max) = self.special {
            return self.last_page(&set, max, &check);
        }
        let found = self.order(set.may(), link.map(|link| &link.after), count + 1, &check)?;
        self.answer(found, total, link, count)
    }

    fn is_count(&self) -> bool {
        self.query.summary == Summary::Count || self.query.count == Some(0)
    }

    /// Matches of a page.
    fn count(&self) -> usize {
        self.query.count.map_or(PAGE_DEFAULT, |count| (count as usize).min(PAGE_MAX))
    }

    /// How a page is found, for people.
    fn explain(&self) -> Result<Vec<PlanStep>> {
        let plan = self.plan()?;
        let mut steps = explain::steps(self.executor, &plan)?;
        if let Some(kind) = self.may_walk(false) {
            let asked =
                Asked { plan: &plan, kind, sort: &self.query.sort, after: None, wanted: self.count() + 1 };
            if is_promising(self.executor, &asked)? {
                steps.iter_mut().for_each(|step| step.depth += 1);
                steps.insert(0, explain::walk());
            }
        }
        Ok(steps)
    }

    /// The type whose resources may be gone through in order, without the set of all matches.
    fn may_walk(&self, is_later_page: bool) -> Option<ResourceType> {
        let Query { total, contained, types, .. } = &self.query;
        let is_total_wanted = !is_later_page && *total == Some(Total::Accurate);
        match (&self.special, contained, &types[..]) {
            (Special::None, ContainedSearch::Never, [kind]) if !is_total_wanted && !self.is_count() => {
                Some(*kind)
            }
            _ => None,
        }
    }

    /// A page that needs no set of all matches, where one is to be had.
    fn walked(&self, link: Option<&Link>, count: usize, oracle: &Oracle<'_, '_>) -> Result<Option<Answer>> {
        let Some(kind) = self.may_walk(link.is_some()) else { return Ok(None) };
        let plan = self.plan()?;
        let (sort, after) = (&self.query.sort[..], link.map(|link| &link.after));
        let asked = Asked { plan: &plan, kind, sort, after, wanted: count + 1 };
        let Some(found) = walk(self.executor, &asked, |doc| oracle.matches(&self.query, doc))? else {
            return Ok(None);
        };
        let total = match (link, self.query.total) {
            (Some(link), _) => link.total,
            (None, Some(Total::Estimate)) => {
                Some(expected(self.executor, &plan, kind, |doc| oracle.matches(&self.query, doc))?)
            }
            _ => None,
        };
        self.answer(found, total, link, count).map(Some)
    }

    fn answer(
        &self,
        found: Vec<Placed>,
        total: Option<u64>,
        link: Option<&Link>,
        count: usize,
    ) -> Result<Answer> {
        let Filled { shown, next: after } = self.fill(found, link, count)?;
        let matches: Vec<u32> = shown.iter().map(|(doc, _)| *doc).collect();
        let mut entries: Vec<SearchEntry> = shown.into_iter().map(|(_, entry)| entry).collect();
        let mut included = self.executor.included(&matches, &self.query.includes)?;
        if let Special::Everything(everything) = &self.special {
            included.extend(everything.supporting(self.executor, &matches)?);
        }
        for doc in included {
            entries.push(self.entry(doc, SearchMode::Include)?);
        }
        let next = after.map(|place| (place, total));
        Ok(Answer { entries, total, issues: self.issues.clone(), next })
    }

    /// The entries of the versions that were found, as many as a page has, and where the next page goes on.
    fn fill(&self, found: Vec<Placed>, link: Option<&Link>, count: usize) -> Result<Filled> {
        let mut shown: Vec<(u32, SearchEntry)> = Vec::with_capacity(found.len());
        let mut last: Option<Place> = None;
        // A page may end among the contained resources of one version.
        let cut = link.map(|link| &link.after).filter(|place| place.shown > 0);
        let cut = cut.map(|place| Placed { doc: place.doc, keys: place.keys.clone() });
        let mut skipped = if cut.is_some() { link.map_or(0, |link| link.after.shown) } else { 0 };
        for Placed { doc, keys } in cut.into_iter().chain(found) {
            if shown.len() == count {
                return Ok(Filled { shown, next: last });
            }
            let entries = self.matching(doc)?;
            let (all, before) = (entries.len(), std::mem::take(&mut skipped));
            let room = count - shown.len();
            let rest = entries.into_iter().skip(before as usize).take(room);
            shown.extend(rest.map(|entry| (doc, entry)));
            let until = before as usize + room;
            if until < all {
                let place = Place { keys, doc, shown: u32::try_from(until).unwrap_or(u32::MAX) };
                return Ok(Filled { shown, next: Some(place) });
            }
            last = Some(Place { keys, doc, shown: 0 });
        }
        Ok(Filled { shown, next: None })
    }

    /// What a version that was found gives: itself, or those of its contained resources that were asked for.
    fn matching(&self, doc: u32) -> Result<Vec<SearchEntry>> {
        if !self.gives_contained() {
            return Ok(vec![self.entry(doc, SearchMode::Match)?]);
        }
        let (is_itself, contained) = Oracle::new(self.executor).parts(&self.query, doc)?;
        let container = self.entry(doc, SearchMode::Match)?;
        let mut entries = Vec::with_capacity(contained.len() + 1);
        for (resource_type, id, body) in contained {
            let body = self.part_of(body)?;
            let container_place = Some((container.resource_type, container.id.clone()));
            entries.push(SearchEntry {
                resource_type,
                id,
                container: container_place,
                body,
                ..container.clone()
            });
        }
        if is_itself {
            entries.insert(0, container);
        }
        Ok(entries)
    }

    /// Whether contained resources are returned by themselves.
    fn gives_contained(&self) -> bool {
        self.query.contained != ContainedSearch::Never
            && self.query.contained_type == ContainedType::Contained
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
        let orderer =
            Orderer { executor: self.executor, sort, check, wanted, within: None, found: Vec::new() };
        orderer.run(docs, after)
    }

    fn total(&self, set: &Set, check: &impl Fn(u32) -> Result<bool>) -> Result<u64> {
        let gives_contained = self.gives_contained();
        let mut total = if gives_contained { 0 } else { set.sure().len() };
        if set.is_exact() && !gives_contained {
            return Ok(total);
        }
        let unsure = if gives_contained { set.may().clone() } else { set.may() - set.sure() };
        if unsure.len() > CHECKED_MAX {
            return Err(SearchError::TooCostly("an exact total looks at 200,000 bodies at the most").into());
        }
        for doc in unsure {
            total += if gives_contained { self.matching(doc)?.len() as u64 } else { u64::from(check(doc)?) };
        }
        Ok(total)
    }

    fn entry(&self, doc: u32, mode: SearchMode) -> Result<SearchEntry> {
        let documents = &self.executor.documents;
        let record = Record::find(documents.connection, doc)?;
        let (body, last_updated) = documents.body(&record)?;
        let body = self.part_of(body)?;
        let Record { resource_type, ref id, version, .. } = record;
        let id = id.to_string();
        Ok(SearchEntry { resource_type, id, container: None, version, last_updated, mode, body })
    }

    /// What of a body is wanted.
    fn part_of(&self, body: Vec<u8>) -> Result<Vec<u8>> {
        match self.subset(&mut Vec::new()) {
            None => Ok(body),
            Some(wanted) => subset(&body, wanted).map_err(|_| Error::Corrupt),
        }
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
