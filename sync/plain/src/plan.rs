//! What is asked next.

use keepwell_engine::{Replica as _, Waiting, waiting};
use keepwell_protocol::{Body, ResourceKey, Version};

use crate::content::{Outgoing, mark_query, referred, to_server, with_mark};
use crate::defect::Defect;
use crate::engine::{Asked, Writes};
use crate::error::Problem;
use crate::exchange::{Method, Request};
use crate::replica::{Flight, Intent, Remote, Replica, Standing};
use crate::turn::Turn;

/// Rows that are looked at in one go.
const ROWS: usize = 100;

/// What is to be done for an edit.
enum Draft {
    /// Nothing, now or at all.
    Nothing,
    /// What it refers to has to be made first, since the server chooses its id.
    Waits,
    /// It is read before it is written.
    Read,
    Write(Flight),
}

impl<R: Replica> Turn<'_, R> {
    /// The next request, if there is something to be done.
    pub(crate) fn plan(&mut self) -> Result<Option<(Asked, Request)>, R::Error> {
        if let Some(probe) = self.plan_probe() {
            return Ok(Some(probe));
        }
        if let Some(asked) = self.plan_settling()? {
            return Ok(Some(asked));
        }
        for key in self.replica.wanted(ROWS.max(self.memory.passed.len() + 1))? {
            if !self.memory.passed.contains_key(&key) {
                return self.read(key).map(Some);
            }
        }
        if let Some(asked) = self.plan_write()? {
            return Ok(Some(asked));
        }
        Ok(self.plan_page())
    }

    /// Writes whose answer did not come.
    fn plan_settling(&mut self) -> Result<Option<(Asked, Request)>, R::Error> {
        for key in self.replica.flights()? {
            if self.memory.passed.contains_key(&key) {
                continue;
            }
            let Some(flight) = self.replica.flight(&key)? else { continue };
            if self.memory.absent.as_ref() == Some(&key) || Defect::SendsAgain.is_on() {
                match self.request(&key, &flight)? {
                    Outgoing::Ready(request) => return Ok(Some((Asked::Write(key), request))),
                    Outgoing::Absent => self.pass(&key, Problem::Attachment),
                    Outgoing::Unfit => {}
                }
                continue;
            }
            let Some(mark) = flight.mark.filter(|_| flight.intent == Intent::Post) else {
                return self.read(key).map(Some);
            };
            let query = mark_query(key.kind, &mark).replace('|', "%7C");
            let request = Request::get(format!("{}?{query}", key.kind));
            return Ok(Some((Asked::Find(key), request)));
        }
        Ok(None)
    }

    fn read(&mut self, key: ResourceKey) -> Result<(Asked, Request), R::Error> {
        let id = self.server_id(&key)?;
        let request = Request::get(format!("{}/{id}", key.kind));
        Ok((Asked::Read(key), request))
    }

    fn may_write(&self) -> bool {
        let is_guarded = self.state.capability.as_ref().is_some_and(|capability| capability.guards_updates);
        match self.settings.writes {
            Writes::Never => false,
            Writes::Guarded => is_guarded,
            Writes::Consented => true,
        }
    }

    fn plan_write(&mut self) -> Result<Option<(Asked, Request)>, R::Error> {
        if !self.may_write() {
            let is_refused =
                self.settings.writes == Writes::Guarded && !self.replica.tables().dirty(0, 1)?.is_empty();
            if is_refused {
                self.problem(Problem::Unguarded);
            }
            return Ok(None);
        }
        let (mut after, mut again, mut waits) = (0, Vec::new(), Vec::new());
        loop {
            let rows = self.replica.tables().dirty(after, ROWS)?;
            let Some(last) = rows.last() else { break };
            after = last.order;
            for row in rows {
                let key = row.key;
                let is_refused =
                    |refused: &crate::engine::Refused| refused.applied == self.memory.report.applied;
                if self.memory.passed.contains_key(&key) || self.settings.local.contains(&key.kind) {
                    continue;
                }
                if self.memory.refused.get(&key).is_some_and(is_refused) {
                    again.push(key);
                    continue;
                }
                match self.draft(&key, false)? {
                    Draft::Waits => waits.push(key),
                    draft => {
                        if let Some(asked) = self.follow(key, draft)? {
                            return Ok(Some(asked));
                        }
                    }
                }
            }
        }
        // Nothing else is left that could help what was refused, nor those that wait for each other only.
        if !again.is_empty() || !self.memory.passed.is_empty() || !self.replica.flights()?.is_empty() {
            waits.clear();
        }
        for key in again.into_iter().chain(waits) {
            let draft = self.draft(&key, true)?;
            if let Some(asked) = self.follow(key, draft)? {
                return Ok(Some(asked));
            }
        }
        Ok(None)
    }

    fn follow(&mut self, key: ResourceKey, draft: Draft) -> Result<Option<(Asked, Request)>, R::Error> {
        match draft {
            Draft::Nothing | Draft::Waits => Ok(None),
            Draft::Read => self.read(key).map(Some),
            Draft::Write(flight) => {
                let request = match self.request(&key, &flight)? {
                    Outgoing::Ready(request) => request,
                    Outgoing::Absent => return self.fetch_attachments(key),
                    Outgoing::Unfit => {
                        self.quarantine(&key, None)?;
                        return Ok(None);
                    }
                };
                self.memory.report.frozen += 1;
                self.replica.set_flight(&key, Some(&flight))?;
                Ok(Some((Asked::Write(key), request)))
            }
        }
    }

    /// An edit names an attachment that is not here. The server may still have it; if not, the edit waits.
    fn fetch_attachments(&mut self, key: ResourceKey) -> Result<Option<(Asked, Request)>, R::Error> {
        let is_there = self.replica.remote(&key)?.is_some_and(|remote| remote.standing == Standing::Here);
        if is_there && self.memory.fresh.as_ref() != Some(&key) {
            return self.read(key).map(Some);
        }
        self.pass(&key, Problem::Attachment);
        Ok(None)
    }

    fn draft(&mut self, key: &ResourceKey, is_last: bool) -> Result<Draft, R::Error> {
        if self.replica.flight(key)?.is_some() {
            return Ok(Draft::Nothing);
        }
        let Some(base) = self.replica.tables().base(key)? else { return Ok(Draft::Nothing) };
        let remote = self.replica.remote(key)?;
        if remote.as_ref().is_some_and(|remote| remote.is_wanted) {
            return Ok(Draft::Nothing);
        }
        let content = self.replica.tables().content(key)?;
        let standing = remote.as_ref().map(|remote| remote.standing);
        let version = match standing {
            None | Some(Standing::Listed) => Version::ZERO,
            Some(_) => Version::ZERO.next().expect("one is a small number"),
        };
        match waiting(base.content.as_ref(), version, content.as_ref()) {
            Waiting::Nothing => {
                self.replica.tables().set_base(key, None)?;
                Ok(Draft::Nothing)
            }
            Waiting::Vanished => {
                self.replica.tables().set_base(key, None)?;
                self.replica.tables().purge(key)?;
                Ok(Draft::Nothing)
            }
            Waiting::Send(..) => self.draft_write(key, remote, content, is_last),
        }
    }

    fn draft_write(
        &mut self,
        key: &ResourceKey,
        remote: Option<Remote>,
        content: Option<Body>,
        is_last: bool,
    ) -> Result<Draft, R::Error> {
        let capability = self.state.capability.clone().unwrap_or_default();
        let is_here = remote.as_ref().is_some_and(|remote| remote.standing == Standing::Here);
        let intent = match &content {
            None => Intent::Delete,
            Some(_) if is_here => Intent::Update,
            Some(_) if capability.takes_ids(key.kind.name()) => Intent::Create,
            Some(_) => Intent::Post,
        };
        let is_guarded = match intent {
            // It is found by its mark.
            Intent::Post => true,
            Intent::Create => capability.guards_creates,
            Intent::Update => {
                capability.guards_updates && remote.as_ref().is_some_and(|remote| remote.version.is_some())
            }
            // R4 has no If-Match for it.
            Intent::Delete => false,
        };
        let is_fresh = self.memory.fresh.as_ref() == Some(key);
        if !is_guarded && !is_fresh && !Defect::WritesBlindly.is_on() {
            return Ok(Draft::Read);
        }
        if !is_last
            && let Some(content) = &content
            && self.waits_for_an_id(content)?
        {
            return Ok(Draft::Waits);
        }
        let mark = (intent == Intent::Post).then(|| self.draw_id());
        let version = remote.filter(|_| is_here).and_then(|remote| remote.version);
        Ok(Draft::Write(Flight { intent, sent: content, version, mark }))
    }

    /// Whether it refers to something that was made here, and whose id the server has not chosen yet.
    fn waits_for_an_id(&mut self, content: &Body) -> Result<bool, R::Error> {
        let capability = self.state.capability.clone().unwrap_or_default();
        for key in referred(&mut self.memory.walker, content) {
            if capability.takes_ids(key.kind.name()) || self.settings.local.contains(&key.kind) {
                continue;
            }
            let is_made_here = self.replica.tables().base(&key)?.is_some_and(|base| base.content.is_none())
                && self.replica.tables().content(&key)?.is_some();
            let is_unheard =
                self.replica.remote(&key)?.is_none_or(|remote| remote.standing == Standing::Listed);
            // It may be there already, also if it was deleted here since.
            let is_posted = self.replica.flight(&key)?.is_some_and(|flight| flight.intent == Intent::Post);
            if is_posted || (is_made_here && is_unheard) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The request of a write.
    fn request(&mut self, key: &ResourceKey, flight: &Flight) -> Result<Outgoing<Request>, R::Error> {
        let id = self.server_id(key)?;
        let mut body = match &flight.sent {
            None => None,
            Some(sent) => match to_server(&mut self.memory.walker, self.replica, sent, &id)? {
                Outgoing::Ready(bytes) => Some(bytes),
                Outgoing::Absent => return Ok(Outgoing::Absent),
                Outgoing::Unfit => return Ok(Outgoing::Unfit),
            },
        };
        let capability = self.state.capability.clone().unwrap_or_default();
        let request = Request::get(format!("{}/{id}", key.kind));
        let if_match = flight.version.clone().filter(|_| !Defect::WritesBlindly.is_on());
        Ok(Outgoing::Ready(match flight.intent {
            Intent::Post => {
                let Some(mark) = &flight.mark else { return Ok(Outgoing::Unfit) };
                body = body.and_then(|body| with_mark(key.kind, &body, mark));
                if body.is_none() {
                    return Ok(Outgoing::Unfit);
                }
                let if_none_exist =
                    capability.takes_conditions(key.kind.name()).then(|| mark_query(key.kind, mark));
                let target = key.kind.to_string();
                Request { method: Method::Post, target, if_none_exist, body, ..request }
            }
            Intent::Create => {
                Request { method: Method::Put, if_none_match: capability.guards_creates, body, ..request }
            }
            Intent::Update => Request { method: Method::Put, if_match, body, ..request },
            Intent::Delete => Request { method: Method::Delete, if_match, ..request },
        }))
    }
}
