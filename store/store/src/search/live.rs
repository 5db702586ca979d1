//! Live searches: what enters, changes in and leaves the matches of a search, as it commits.
//!
//! The feed of changes only says when to look; what is told is the difference between two states of the store, so an
//! observer that falls behind misses no difference.
//!
//! Invariant: following is no activity. A store that is only followed locks when its idle time is over.

use std::collections::HashMap;
use std::time::Duration;

use keepwell_fhir::ResourceType;
use keepwell_search::{Criterion, Handling, Matching, SearchValue};
use roaring::RoaringBitmap;

use super::document::Documents;
use super::executor::{Executor, Scope};
use super::oracle::Oracle;
use super::session::{Search, check_complete};
use crate::audit::Action;
use crate::change_feed::ChangeFeed;
use crate::error::Result;
use crate::index::View;
use crate::inner::ReadEvent;
use crate::session::Session;

/// What happened to a resource, as seen from a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LiveKind {
    /// It matches now, and did not before.
    Added,
    /// It matches as before, in another version.
    Changed,
    /// It does not match any more, or is gone.
    Removed,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LiveChange {
    /// What happened.
    pub kind: LiveKind,
    /// The type of the resource.
    pub resource_type: ResourceType,
    /// Its id.
    pub id: String,
}

/// A search that goes on: [`Session::observe_search`].
pub struct LiveSearch {
    session: Session,
    url: String,
    feed: ChangeFeed,
    /// The versions that match as of `as_of`.
    known: RoaringBitmap,
    as_of: u32,
}

impl Session {
    /// Observes a search from now on. What matches now is told first, as added.
    ///
    /// # Errors
    /// Those of [`Session::search`].
    pub fn observe_search(&self, url: &str) -> Result<LiveSearch> {
        let feed = self.store.observe();
        let mut live = LiveSearch {
            session: self.clone(),
            url: url.to_owned(),
            feed,
            known: RoaringBitmap::new(),
            as_of: 0,
        };
        let open = self.enter()?;
        let mut event = ReadEvent::of(Action::Search, None, None);
        event.detail = Some(serde_json::json!({ "query": url, "live": true }).to_string());
        // What is wrong with the search is told now and not at the first change.
        let done = live.look(false).map(|_| ());
        self.note(&open, event, &done)?;
        done.map(|()| live)
    }
}

impl LiveSearch {
    /// The next differences: at once where there are some, otherwise after the next commits; empty when `timeout`
    /// passed without one.
    ///
    /// # Errors
    /// Those of [`Session::search`].
    pub fn next(&mut self, timeout: Duration) -> Result<Vec<LiveChange>> {
        let clock = self.session.store.inner.options.clock.clone();
        let started = clock.monotonic();
        loop {
            let changes = self.look(true)?;
            let left = timeout.saturating_sub(clock.monotonic().saturating_sub(started));
            if !changes.is_empty() || left.is_zero() {
                return Ok(changes);
            }
            match self.feed.next(left) {
                Ok(Some(_)) => {}
                Ok(None) => return self.look(true),
                // It fell behind: it looks at the store itself, and follows the feed anew.
                Err(_) => self.feed = self.session.store.observe(),
            }
        }
    }

    fn look(&mut self, take: bool) -> Result<Vec<LiveChange>> {
        // A list on a screen that nobody looks at must not keep the store open.
        let open = self.session.store.inner.enter_unattended(Some(self.session.generation))?;
        let mut reader = self.session.store.inner.reader(&open)?;
        let reader = &mut *reader;
        let (transaction, state) = open.index.read(&reader.connection)?;
        check_complete(&transaction, &state)?;
        let view = View::new(&state, &transaction, None)?;
        if take && view.as_of() == self.as_of {
            return Ok(Vec::new());
        }
        let documents =
            Documents::new(&transaction, &open.attachments, &state.known, std::mem::take(&mut reader.tools));
        let executor = Executor { view, documents };
        let now_ms = self.session.store.inner.now_ms();
        let search = Search::parse(&executor, &self.url, Handling::Strict, now_ms)?;
        state.known.check_ready(&search.query)?;
        let now = self.matching(&executor, &search)?;
        let changes = difference(&executor, &self.known, &now)?;
        if take {
            self.as_of = executor.view.as_of();
            self.known = now;
        }
        Ok(changes)
    }

    fn matching(&self, executor: &Executor<'_>, search: &Search<'_, '_>) -> Result<RoaringBitmap> {
        let oracle = Oracle::new(executor);
        if self.as_of == 0 || depends_on_others(&search.query.criterion) {
            let set = search.set()?;
            let mut found = set.sure().clone();
            for doc in set.may() - set.sure() {
                if oracle.matches(&search.query, doc)? {
                    found.insert(doc);
                }
            }
            return Ok(found);
        }
        // Only what is new has to be looked at.
        let mut now = self.known.clone();
        executor.view.keep_live(&mut now);
        let mut new = RoaringBitmap::new();
        new.insert_range(self.as_of + 1..=executor.view.as_of());
        let new = executor.all(&Scope::of(&search.query))? & new;
        for doc in new {
            if oracle.matches(&search.query, doc)? {
                now.insert(doc);
            }
        }
        Ok(now)
    }
}

/// Whether a change of one resource can make another one match.
fn depends_on_others(criterion: &Criterion) -> bool {
    match criterion {
        Criterion::All(criteria) | Criterion::Any(criteria) => criteria.iter().any(depends_on_others),
        Criterion::Not(criterion) => depends_on_others(criterion),
        Criterion::Chain(_) | Criterion::Has(_) => true,
        Criterion::Clause(clause) => match &clause.matching {
            Matching::Missing(_) => false,
            Matching::AnyOf(values) => values.iter().any(|value| {
                matches!(
                    value,
                    SearchValue::InValueSet(_) | SearchValue::Below { .. } | SearchValue::Above { .. }
                )
            }),
        },
        Criterion::Type(_) => false,
    }
}

fn difference(
    executor: &Executor<'_>,
    before: &RoaringBitmap,
    now: &RoaringBitmap,
) -> Result<Vec<LiveChange>> {
    let mut gone = HashMap::new();
    for doc in before - now {
        gone.insert(executor.documents.identity(doc)?, doc);
    }
    let mut changes = Vec::new();
    for doc in now - before {
        let (resource_type, id) = executor.documents.identity(doc)?;
        let kind = match gone.remove(&(resource_type, id.clone())) {
            Some(_) => LiveKind::Changed,
            None => LiveKind::Added,
        };
        changes.push(LiveChange { kind, resource_type, id });
    }
    let mut removed: Vec<_> = gone.into_iter().map(|(identity, doc)| (doc, identity)).collect();
    removed.sort_unstable_by_key(|(doc, _)| *doc);
    changes.extend(removed.into_iter().map(|(_, (resource_type, id))| LiveChange {
        kind: LiveKind::Removed,
        resource_type,
        id,
    }));
    Ok(changes)
}
