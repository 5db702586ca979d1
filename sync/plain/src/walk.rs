//! Walks: a search, page by page, to its end.
//!
//! Invariants: the cursor moves in the transaction of the last page; what a walk misses is found by the overlap of the
//! next one, or by comparing all ids; only a walk over everything that came to its end says that something is missing.

use keepwell_fhir::Instant;

use keepwell_engine::Replica as _;
use keepwell_protocol::ResourceKey;

use crate::bundle::{Page, Row};
use crate::defect::Defect;
use crate::engine::Asked;
use crate::exchange::{Reply, Request};
use crate::replica::{Remote, Replica, Standing};
use crate::state::Walk;
use crate::turn::Turn;

/// Pages of a walk: more are pages that lead in a circle.
const PAGES_MAX: u64 = 100_000;

/// So often a page is asked for before the walk begins anew.
const PAGE_FAILURES_MAX: u32 = 3;

/// So often in a row a whole list has to miss a resource before readers do.
const MISSES_MAX: u32 = 2;

/// The number of no search: of what was made here, until a search finds it.
pub(crate) const MADE_HERE: u32 = u32::MAX;

/// Members that are looked at in one go.
const ROWS: usize = 500;

/// `Date` has no parts of a second.
const SECOND_MS: i64 = 1_000;

impl<R: Replica> Turn<'_, R> {
    /// The next page: of the walk under way, of a search that is due, or of all ids.
    pub(crate) fn plan_page(&mut self) -> Option<(Asked, Request)> {
        if self.state.walk.is_none() {
            let walk = match self.memory.due.first() {
                Some(&search) => self.changes(search),
                None => {
                    let search = self
                        .wanted_searches()
                        .into_iter()
                        .find(|search| self.is_to_be_reconciled(*search))?;
                    self.ids(search)
                }
            };
            self.state.walk = Some(walk?);
        }
        let walk = self.state.walk.as_ref()?;
        Some((Asked::Page, Request::get(walk.target.clone())))
    }

    fn changes(&mut self, search: u32) -> Option<Walk> {
        let overlap_ms = match Defect::NoOverlap.is_on() || Defect::AsksForLater.is_on() {
            true => 0,
            false => self.settings.overlap_ms,
        };
        let held = self.state.searches.get(search as usize)?;
        let since = held.cursor_ms.map(|cursor_ms| Instant::from_ms(cursor_ms.saturating_sub(overlap_ms)));
        let mut target = held.search.changes(since, self.settings.page);
        if Defect::AsksForLater.is_on() {
            target = target.replace("_lastUpdated=ge", "_lastUpdated=gt");
        }
        let is_whole = since.is_none();
        Some(self.walk(search, target, is_whole, false))
    }

    fn ids(&mut self, search: u32) -> Option<Walk> {
        let target = self.state.searches.get(search as usize)?.search.ids(self.settings.page);
        Some(self.walk(search, target, true, true))
    }

    fn walk(&mut self, search: u32, target: String, is_whole: bool, reconciles: bool) -> Walk {
        self.state.rounds += 1;
        self.memory.page_failures = 0;
        Walk {
            search,
            reconciles,
            is_whole,
            target,
            round: self.state.rounds,
            high_ms: None,
            is_sorted: true,
            rows: 0,
            pages: 0,
            total: None,
        }
    }

    /// All ids are compared from time to time, and soon after something went wrong.
    fn is_to_be_reconciled(&self, search: u32) -> bool {
        if Defect::NoOverlap.is_on() || Defect::AsksForLater.is_on() {
            return false;
        }
        let Some(held) = self.state.searches.get(search as usize) else { return false };
        let Some(last_ms) = held.reconciled_ms else { return true };
        let wait_ms = if held.is_suspect { self.settings.overlap_ms } else { self.settings.reconcile_ms };
        // A clock that was set back says nothing.
        let passed_ms = self.now.wall.ms().saturating_sub(last_ms);
        passed_ms < 0 || passed_ms >= wait_ms
    }

    pub(crate) fn page_failed(&mut self) {
        self.memory.page_failures += 1;
        if self.memory.page_failures >= PAGE_FAILURES_MAX {
            self.give_up();
        }
    }

    /// The walk cannot go on. What is behind it in order of time need not be read again.
    fn give_up(&mut self) {
        let Some(walk) = self.state.walk.take() else { return };
        let wall_ms = self.now.wall.ms();
        let Some(held) = self.state.searches.get_mut(walk.search as usize) else { return };
        held.is_suspect = true;
        if walk.reconciles {
            held.reconciled_ms = Some(wall_ms);
        } else if walk.is_sorted && walk.high_ms > held.cursor_ms {
            held.cursor_ms = walk.high_ms;
        }
        // Later; others are not to wait for it.
        self.memory.due.remove(&walk.search);
    }

    pub(crate) fn on_page(&mut self, reply: &Reply) -> Result<(), R::Error> {
        let Some(mut walk) = self.state.walk.take() else { return Ok(()) };
        if reply.status != 200 {
            // A link that has run out, or a search that the server does not know.
            self.problem(crate::error::Problem::Server);
            self.state.walk = Some(walk);
            self.give_up();
            return Ok(());
        }
        let address = self.settings.address.clone();
        let page = match Page::read(&reply.body, &address) {
            Ok(page) => page,
            Err(problem) => {
                self.problem(problem);
                self.state.walk = Some(walk);
                self.page_failed();
                return Ok(());
            }
        };
        self.memory.page_failures = 0;
        walk.pages += 1;
        walk.total = walk.total.or(page.total);
        for row in &page.rows {
            self.on_row(&mut walk, row)?;
        }
        // A clock that is ahead must not hide what comes after it was set right.
        let now_ms = reply.date.map(|date| date.ms().saturating_add(SECOND_MS));
        walk.high_ms = walk.high_ms.map(|high_ms| now_ms.map_or(high_ms, |now_ms| high_ms.min(now_ms)));
        match page.next {
            None => self.end(&walk),
            Some(next) if next == walk.target || walk.pages >= PAGES_MAX => {
                self.state.walk = Some(walk);
                self.give_up();
                Ok(())
            }
            Some(next) => {
                walk.target = next;
                self.state.walk = Some(walk);
                Ok(())
            }
        }
    }

    fn on_row(&mut self, walk: &mut Walk, row: &Row<'_>) -> Result<(), R::Error> {
        self.memory.report.rows += 1;
        if !row.is_included {
            walk.rows += 1;
            let at_ms = row.at.map(Instant::ms);
            walk.is_sorted &= at_ms >= walk.high_ms;
            walk.high_ms = walk.high_ms.max(at_ms);
        }
        if !walk.reconciles && self.recognise(row)? {
            return Ok(());
        }
        let Some(key) = self.local_key(&row.key)? else { return Ok(()) };
        self.replica.add_member(walk.search, &key, walk.round)?;
        if walk.reconciles { self.compare(&key, row) } else { self.observe_row(&key, row) }
    }

    /// An id and its version, without the content.
    fn compare(&mut self, key: &ResourceKey, row: &Row<'_>) -> Result<(), R::Error> {
        let is_known = self.replica.remote(key)?.is_some_and(|remote| {
            remote.standing == Standing::Here && remote.version.is_some() && remote.version == row.version
        });
        if is_known { Ok(()) } else { self.want(key) }
    }

    fn end(&mut self, walk: &Walk) -> Result<(), R::Error> {
        let wall_ms = self.now.wall.ms();
        let is_complete = walk.total.is_none_or(|total| walk.rows >= total);
        let Some(held) = self.state.searches.get_mut(walk.search as usize) else { return Ok(()) };
        if walk.reconciles || walk.is_whole {
            (held.reconciled_ms, held.is_suspect) = (Some(wall_ms), !is_complete);
        }
        if !walk.reconciles {
            held.cursor_ms = held.cursor_ms.max(walk.high_ms);
            self.memory.due.remove(&walk.search);
        }
        self.memory.report.checkpoints += 1;
        if !walk.reconciles || !is_complete {
            return Ok(());
        }
        self.sweep(walk)?;
        self.look_after_own(walk.round)
    }

    /// What was made here and is found by no search is read, or nobody would hear of its end.
    fn look_after_own(&mut self, round: u64) -> Result<(), R::Error> {
        loop {
            let own = self.replica.members_below(MADE_HERE, round, ROWS)?;
            if own.is_empty() {
                return Ok(());
            }
            for key in own {
                let is_found = self.replica.remove_member(MADE_HERE, &key)?;
                let remote = self.replica.remote(&key)?;
                if let Some(remote) = remote.filter(|remote| !is_found && remote.standing == Standing::Here) {
                    self.replica.add_member(MADE_HERE, &key, round)?;
                    self.replica.set_remote(&key, &Remote { is_wanted: true, ..remote })?;
                }
            }
        }
    }

    /// What a whole list does not name is looked at, and hidden if the next one does not name it either.
    fn sweep(&mut self, walk: &Walk) -> Result<(), R::Error> {
        loop {
            let missing = self.replica.members_below(walk.search, walk.round, ROWS)?;
            if missing.is_empty() {
                return Ok(());
            }
            for key in missing {
                let misses = self.replica.miss_member(walk.search, &key, walk.round)?;
                self.miss(walk.search, &key, misses)?;
            }
        }
    }

    fn miss(&mut self, search: u32, key: &ResourceKey, misses: u32) -> Result<(), R::Error> {
        let Some(remote) = self.replica.remote(key)? else { return Ok(()) };
        if remote.standing != Standing::Here {
            self.replica.remove_member(search, key)?;
            return Ok(());
        }
        // An edit finds out by itself.
        let is_busy = self.replica.flight(key)?.is_some() || self.replica.tables().base(key)?.is_some();
        if misses < MISSES_MAX && !Defect::HidesAtOnce.is_on() {
            return self.replica.set_remote(key, &Remote { is_wanted: true, ..remote });
        }
        if is_busy || self.replica.remove_member(search, key)? {
            return Ok(());
        }
        self.lose_sight(key)
    }
}
