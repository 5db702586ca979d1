//! What the server answers to reads and writes of one resource.

use keepwell_engine::Replica as _;
use keepwell_protocol::{Body, ResourceKey};

use crate::bundle::{Page, Row};
use crate::content::says_the_same;
use crate::engine::Refused;
use crate::error::Problem;
use crate::exchange::Reply;
use crate::probe::posted_id;
use crate::replica::{Flight, Intent, Remote, Replica, Standing};
use crate::turn::{Theirs, Turn, listed};
use crate::walk::MADE_HERE;

/// So often a write is refused before a person has to repair it: what it needs may come in between.
const REFUSALS_MAX: u32 = 2;

impl<R: Replica> Turn<'_, R> {
    /// A resource was read. This is what the server has: nothing is older than it.
    pub(crate) fn on_read(&mut self, key: &ResourceKey, reply: &Reply) -> Result<(), R::Error> {
        let flight = self.replica.flight(key)?;
        match reply.status {
            200 => {
                let Some(row) = Row::read(&reply.body).filter(|row| row.key.kind == key.kind) else {
                    return self.unreadable(key);
                };
                // A list named it by the server's id before it was known that it is one that was posted from here.
                let is_another = self.local_key(&row.key)?.as_ref() != Some(key);
                if flight.is_none() && (is_another || self.recognise(&row)?) {
                    return self.forget_listed(key);
                }
                let row = Row { version: row.version.clone().or_else(|| reply.version.clone()), ..row };
                let Some(theirs) = self.theirs(key, &row)? else { return self.unreadable(key) };
                match flight {
                    Some(flight) => self.settle(key, &flight, theirs),
                    None => self.known_anew(key, theirs),
                }
            }
            410 => {
                let theirs = Theirs { version: reply.version.clone(), at: None, content: None };
                match flight {
                    Some(flight) if flight.intent == Intent::Delete => self.agree(key, &flight, None),
                    Some(_) => {
                        self.replica.set_flight(key, None)?;
                        self.take(key, theirs)
                    }
                    None => self.known_anew(key, theirs),
                }
            }
            // Restricted or not there: R4 lets a server say the same to both.
            403 | 404 => {
                match flight {
                    Some(flight) if flight.intent == Intent::Delete => {
                        return self.agree(key, &flight, None);
                    }
                    Some(_) => self.replica.set_flight(key, None)?,
                    None => {}
                }
                self.memory.disputed.remove(key);
                self.memory.fresh = Some(key.clone());
                self.lose_sight(key)
            }
            _ => self.unreadable(key),
        }
    }

    /// The answer cannot be used, now or by this program.
    fn unreadable(&mut self, key: &ResourceKey) -> Result<(), R::Error> {
        self.pass(key, Problem::NotFhir);
        Ok(())
    }

    fn forget_listed(&mut self, key: &ResourceKey) -> Result<(), R::Error> {
        if let Some(remote) = self.replica.remote(key)? {
            self.replica.set_remote(key, &Remote { is_wanted: false, ..remote })?;
        }
        Ok(())
    }

    /// Nothing is under way: it is as known, or something new is learnt.
    fn known_anew(&mut self, key: &ResourceKey, theirs: Theirs) -> Result<(), R::Error> {
        let before = self.replica.remote(key)?;
        let hash = theirs.content.as_ref().map(Body::hash);
        let is_known = before.as_ref().is_some_and(|before| {
            before.standing != Standing::Listed
                && before.hash == hash
                && (before.version == theirs.version || hash.is_none())
        });
        let disputed = self.memory.disputed.remove(key);
        if before.is_none_or(|before| before.standing == Standing::Listed) && hash.is_some() {
            self.replica.add_member(MADE_HERE, key, 0)?;
        }
        self.take(key, theirs)?;
        if is_known {
            self.memory.fresh = Some(key.clone());
            if let Some(outcome) = disputed {
                // Nothing changed, and yet it was refused: it is not about versions.
                return self.refuse(key, outcome);
            }
        }
        Ok(())
    }

    /// The answer to a write did not come, and this is what the server has now.
    fn settle(&mut self, key: &ResourceKey, flight: &Flight, theirs: Theirs) -> Result<(), R::Error> {
        let is_sent = match (&flight.sent, &theirs.content) {
            (Some(sent), Some(content)) => says_the_same(sent.as_bytes(), content.as_bytes()),
            _ => false,
        };
        if is_sent {
            return self.agree(key, flight, Some(theirs));
        }
        // It was not carried out; or it was, and somebody went on from there, which the merge makes the best of.
        self.replica.set_flight(key, None)?;
        self.known_anew(key, theirs)
    }

    /// What was posted was looked for.
    pub(crate) fn on_found(&mut self, key: ResourceKey, reply: &Reply) -> Result<(), R::Error> {
        let Some(flight) = self.replica.flight(&key)? else { return Ok(()) };
        let page = match Page::read(&reply.body, &self.settings.address) {
            Ok(page) if reply.status == 200 => page,
            _ => return self.unreadable(&key),
        };
        let mut rows: Vec<Row<'_>> = page.rows.into_iter().filter(|row| row.key.kind == key.kind).collect();
        // Of several, whoever looks takes the same.
        rows.sort_by(|one, two| (one.at, &one.key).cmp(&(two.at, &two.key)));
        match rows.first() {
            Some(row) => self.adopt(&key, &flight, row),
            None => {
                self.memory.absent = Some(key);
                Ok(())
            }
        }
    }

    /// The answer to a write.
    pub(crate) fn on_written(&mut self, key: &ResourceKey, reply: &Reply) -> Result<(), R::Error> {
        let Some(flight) = self.replica.flight(key)? else { return Ok(()) };
        match reply.status {
            200 | 201 | 204 => self.on_done(key, &flight, reply),
            404 | 410 if flight.intent == Intent::Delete => self.agree(key, &flight, None),
            // Somebody was there before, or it is not about versions: what the server has will tell.
            409 | 412 | 428 if flight.intent != Intent::Post => {
                self.memory.report.conflicted += 1;
                self.dispute(key, reply)
            }
            404 | 410 if flight.intent == Intent::Update => self.dispute(key, reply),
            // It may be there more than once: it is looked for by its mark.
            409 | 412 | 428 if !self.memory.refused.contains_key(key) => self.refuse(key, outcome(reply)),
            _ => {
                self.replica.set_flight(key, None)?;
                // A later edit may be the repair: it is tried.
                let is_repaired = self.replica.tables().content(key)? != flight.sent;
                if is_repaired { Ok(()) } else { self.refuse(key, outcome(reply)) }
            }
        }
    }

    fn on_done(&mut self, key: &ResourceKey, flight: &Flight, reply: &Reply) -> Result<(), R::Error> {
        if flight.sent.is_none() {
            let version = reply.version.clone();
            return self.agree(key, flight, Some(Theirs { version, at: None, content: None }));
        }
        let row = Row::read(&reply.body).filter(|row| row.key.kind == key.kind);
        if flight.intent == Intent::Post {
            if let Some(row) = &row {
                return self.adopt(key, flight, row);
            }
            // Without an id it is looked for by its mark, in the next round.
            let Some(id) = posted_id(reply, key.kind) else { return self.unreadable(key) };
            let server_id = (id != key.id).then_some(id);
            self.replica.set_remote(key, &Remote { server_id, ..listed() })?;
            return self.agree(key, flight, None);
        }
        let theirs = match row {
            Some(row) => {
                let version = row.version.clone().or_else(|| reply.version.clone());
                self.theirs(key, &Row { version, ..row })?
            }
            None => None,
        };
        self.agree(key, flight, theirs)
    }

    fn dispute(&mut self, key: &ResourceKey, reply: &Reply) -> Result<(), R::Error> {
        self.replica.set_flight(key, None)?;
        self.memory.disputed.insert(key.clone(), outcome(reply));
        self.want(key)
    }

    /// The server does not take it: again when others have been taken, and then no more.
    fn refuse(&mut self, key: &ResourceKey, outcome: Option<Body>) -> Result<(), R::Error> {
        let applied = self.memory.report.applied;
        let refused = self.memory.refused.entry(key.clone()).or_insert(Refused { applied, times: 0 });
        (refused.applied, refused.times) = (applied, refused.times + 1);
        if refused.times < REFUSALS_MAX {
            return Ok(());
        }
        self.quarantine(key, outcome)
    }
}

/// The OperationOutcome of an answer.
fn outcome(reply: &Reply) -> Option<Body> {
    let body = Body::new(reply.body.clone()).ok()?;
    let value: serde_json::Value = serde_json::from_slice(body.as_bytes()).ok()?;
    (value["resourceType"] == "OperationOutcome").then_some(body)
}
