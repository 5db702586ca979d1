//! The first look at a server: what it says of itself, and whether it keeps to it.
//!
//! A server that ignores `If-Match` says nothing of that. So a resource of type Basic is made, changed, and changed
//! again as if it had not been; then it is removed.

use keepwell_fhir::ResourceType;
use keepwell_protocol::Id;

use crate::bundle::{Row, id_of};
use crate::capability::Capability;
use crate::content::MARK_SYSTEM;
use crate::engine::{Asked, Writes};
use crate::error::Problem;
use crate::exchange::{Method, Reply, Request};
use crate::replica::Replica;
use crate::state::{Probe, Step};
use crate::turn::Turn;

/// The type of the resource that servers are tried with.
const SCRATCH: &str = "Basic";

impl<R: Replica> Turn<'_, R> {
    /// What is asked as long as the server is not known.
    pub(crate) fn plan_probe(&mut self) -> Option<(Asked, Request)> {
        if self.state.capability.is_some() {
            return None;
        }
        let Some(probe) = &self.state.probe else {
            return Some((Asked::Statement, Request::get("metadata".to_owned())));
        };
        Some((Asked::Probe, probe.request()))
    }

    pub(crate) fn on_statement(&mut self, reply: &Reply) {
        let capability = match Capability::read(&reply.body) {
            Ok(capability) if reply.status == 200 => capability,
            _ => return self.stop(Problem::NotFhir),
        };
        if self.settings.writes == Writes::Never || !capability.creates(SCRATCH) {
            self.state.capability = Some(capability);
            return;
        }
        let id = self.draw_id();
        self.state.probe = Some(Probe { capability, step: Step::Make, id, stale: None });
    }

    pub(crate) fn on_probe(&mut self, reply: &Reply) {
        let Some(mut probe) = self.state.probe.take() else { return };
        if probe.follow(reply) {
            self.state.capability = Some(probe.capability);
        } else {
            self.state.probe = Some(probe);
        }
    }
}

impl Probe {
    fn is_named(&self) -> bool {
        self.capability.takes_ids(SCRATCH)
    }

    fn request(&self) -> Request {
        let id = &self.id;
        let target = match self.step {
            Step::Make if !self.is_named() => SCRATCH.to_owned(),
            _ => format!("{SCRATCH}/{id}"),
        };
        let body = format!(
            r#"{{"resourceType":"{SCRATCH}","id":"{id}","identifier":[{{"system":"{MARK_SYSTEM}","value":"{id}"}}],"code":{{"text":"{:?}: made by a device that looks whether versions are guarded, and removed again"}}}}"#,
            self.step
        );
        let request = Request { method: Method::Put, body: Some(body.into_bytes()), ..Request::get(target) };
        match self.step {
            Step::Make if !self.is_named() => Request {
                method: Method::Post,
                if_none_exist: Some(format!("identifier={MARK_SYSTEM}|{id}")),
                ..request
            },
            Step::Make | Step::Change => request,
            Step::Overtake => Request { if_match: self.stale.clone(), ..request },
            Step::MakeAgain => Request { if_none_match: true, ..request },
            Step::Remove => Request { method: Method::Delete, body: None, ..request },
        }
    }

    /// Goes on with an answer; whether that was all.
    fn follow(&mut self, reply: &Reply) -> bool {
        let is_done = matches!(reply.status, 200 | 201 | 204);
        let version = || {
            let of_body = Row::read(&reply.body).and_then(|row| row.version);
            reply.version.clone().or(of_body)
        };
        let is_refused = matches!(reply.status, 409 | 412 | 428);
        self.step = match self.step {
            // It cannot be tried: nothing is known to be guarded.
            Step::Make if !is_done => return true,
            Step::Make => {
                if !self.is_named() {
                    let Some(id) = made_id(reply) else { return true };
                    self.id = id;
                }
                self.stale = version();
                if self.stale.is_none() { Step::Remove } else { Step::Change }
            }
            Step::Change => {
                let is_changed = is_done && version().is_some_and(|new| Some(new) != self.stale);
                if is_changed { Step::Overtake } else { Step::Remove }
            }
            Step::Overtake => {
                self.capability.guards_updates = is_refused;
                if self.is_named() { Step::MakeAgain } else { Step::Remove }
            }
            Step::MakeAgain => {
                self.capability.guards_creates = is_refused;
                Step::Remove
            }
            Step::Remove => return true,
        };
        false
    }
}

/// The id that the server chose for what was posted.
pub(crate) fn made_id(reply: &Reply) -> Option<Id> {
    let kind = ResourceType::parse(SCRATCH)?;
    posted_id(reply, kind)
}

/// The id of a resource that was posted: in the answer's body, or where it says it is.
pub(crate) fn posted_id(reply: &Reply, kind: ResourceType) -> Option<Id> {
    let of_body = Row::read(&reply.body).filter(|row| row.key.kind == kind).map(|row| row.key.id);
    of_body.or_else(|| id_of(reply.location.as_deref()?, kind))
}
