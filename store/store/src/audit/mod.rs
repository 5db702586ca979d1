//! The audit trail: who did what to which record, when, and how it ended.
//!
//! Every interaction appends one [`Event`] through the [`Chain`], in the transaction of the change that it tells
//! of; if the event cannot be written, neither is the change. Each record carries a mac over itself and the record
//! before it; signed checkpoints and the anchor outside the file bound what a truncation could hide. Records are
//! rendered as FHIR R4 AuditEvent, in the shape of IHE Basic Audit Log Patterns, when they are read.
//!
//! Invariants: nothing updates a record; records leave only in whole checkpointed segments that are past their
//! retention, and leave a proof; an event always names an actor.

mod action;
mod actor;
mod chain;
mod change_check;
mod change_digest;
mod checkpoint;
mod pass;
mod purge;
mod query;
mod render;
mod verify;

#[cfg(test)]
mod tests;

pub use action::Action;
pub(crate) use actor::actor_key;
pub use actor::{ACTOR_TEXT_MAX, Actor, ActorError, PURPOSE_BREAK_GLASS, PURPOSE_DEFAULT};
pub(crate) use chain::Chain;
pub(crate) use change_digest::{ChangeDigest, Changes};
pub(crate) use checkpoint::latest as latest_checkpoint;
pub use checkpoint::{AuditCheckpoint, CHECKPOINT_INTERVAL_MS, CHECKPOINT_RECORDS};
pub use purge::RETENTION_MS;
pub(crate) use purge::{PurgeError, Purged, purge};
pub(crate) use query::query;
pub use query::{AUDIT_PAGE_MAX, AuditPage, AuditQuery, AuditRecord, AuditedResource};
pub(crate) use render::{ExportError, export};
pub(crate) use verify::{AuditAnchor, verify};
pub use verify::{AuditReport, FINDINGS_MAX, Finding, FindingKind};

/// How an event ended: the values of `AuditEvent.outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// It was done.
    Success = 0,
    /// It was refused for a reason that the caller can mend: not found, not valid, a version conflict.
    MinorFailure = 4,
    /// It failed and something needs attention: storage errors, refused access.
    SeriousFailure = 8,
    /// The system could not go on.
    MajorFailure = 12,
}

impl Outcome {
    /// Every outcome, by rising code.
    pub const ALL: [Self; 4] = [Self::Success, Self::MinorFailure, Self::SeriousFailure, Self::MajorFailure];

    /// The stored code, which is FHIR's.
    #[must_use]
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// The outcome with this code.
    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.code() == code)
    }
}

/// One event to be recorded. Keys are row keys of this store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    /// `actor.key`, from [`actor_key`].
    pub(crate) actor: i64,
    pub(crate) action: Action,
    pub(crate) outcome: Outcome,
    /// `resource.key` when the event is about exactly one resource.
    pub(crate) resource: Option<i64>,
    /// The version read or written, with `resource`.
    pub(crate) version: Option<i64>,
    /// `patient.key` when the event is about exactly one patient.
    pub(crate) patient: Option<i64>,
    /// What it wrote.
    pub(crate) changes: Option<Changes>,
    /// A JSON object. `query` is the search as sent, `request` the caller's request id, `reason` why it failed;
    /// other members are shown as they are.
    pub(crate) detail: Option<&'a str>,
}

impl Event<'_> {
    /// An event about no resource in particular.
    pub(crate) fn new(actor: i64, action: Action, outcome: Outcome) -> Self {
        Self {
            actor,
            action,
            outcome,
            resource: None,
            version: None,
            patient: None,
            changes: None,
            detail: None,
        }
    }
}
