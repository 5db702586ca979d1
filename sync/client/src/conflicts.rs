//! Edits that lost, and what a person decides about them.
//!
//! What everybody sees is the server's; the losing edit is kept here, and in the server's archive as soon as it has
//! been met. A decision is an ordinary edit, on what is seen now: it is sent like any other and may meet a conflict
//! itself.

use keepwell_engine::{ConflictRecord, ConflictState};
use keepwell_fhir::{Instant, ResourceType};
use keepwell_protocol::{Body, Decision, Id, ParkKind, ParkReason, ResourceKey};
use keepwell_store::Session;
use keepwell_store::audit::Action;

use crate::error::{Error, Result};
use crate::tables::{Tables, name_of};

/// An edit of this device that lost.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Conflict {
    /// Names it.
    pub id: Id,
    /// Why it lost.
    pub kind: ParkKind,
    /// The type of the resource.
    pub resource_type: ResourceType,
    /// The id of the resource.
    pub resource_id: Id,
    /// The content that was edited; none if there was none, or it may no longer be here.
    pub base: Option<Body>,
    /// The content that lost; none if a delete did, or if it may no longer be here ([`Conflict::is_blank`]).
    pub mine: Option<Body>,
    /// The content that won; none if a delete did.
    pub theirs: Option<Body>,
    /// The elements in conflict, as FHIRPath; none means the whole resource.
    pub paths: Vec<String>,
    /// Why a person has to decide, in words of the merge; of a parked edit why the server did not take it: `no-grant`,
    /// `read-only`, `group` or `other`.
    pub reasons: Vec<String>,
    /// The server's OperationOutcome, if it found the edit invalid.
    pub outcome: Option<Body>,
    /// When it lost, by this device's clock.
    pub at: Instant,
    /// Whether the server holds the losing content too.
    pub is_archived: bool,
    /// The version of the resource here when this was read; none if there is nothing to be seen.
    pub version: Option<u64>,
}

impl Conflict {
    /// Whether the edit may no longer be on this device, as access to its resource was lost: the server's archive has it,
    /// and nobody can take it from here.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        // An edit makes something, or has something to change.
        self.base.is_none() && self.mine.is_none()
    }

    /// What a person can do about it, in a sentence.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        let is_parked_for = |reason: ParkReason| self.reasons.iter().any(|own| own == reason.code());
        match self.kind {
            _ if self.is_blank() => {
                "Access was lost, and the edit is in the server's archive only: ask whoever runs the server for access or \
                 for the edit, and keep theirs to close this."
            }
            ParkKind::Conflict => {
                "Both sides changed the same: compare them, then keep theirs, take mine, or write another content."
            }
            ParkKind::Gone => {
                "The server shows no such resource: take mine to make it anew, or keep theirs to give the edit up."
            }
            ParkKind::Deleted => {
                "It was deleted meanwhile: keep theirs to leave it deleted, or take mine to make it anew."
            }
            ParkKind::ScopeLost => {
                "Access was lost before the edit went: it goes to the server's archive. Ask whoever runs the server for \
                 access or for the edit."
            }
            ParkKind::Rejected if self.outcome.is_some() => {
                "The server found it invalid: read its outcome, then write a repaired content, or keep theirs."
            }
            ParkKind::Rejected => {
                "It cannot be sent, as it is too large or its attachment is missing: write another content, or keep theirs."
            }
            ParkKind::Parked if is_parked_for(ParkReason::ReadOnly) => {
                "This user may read it, not write it: ask whoever runs the server for the right to write, then take mine; \
                 or keep theirs."
            }
            ParkKind::Parked if is_parked_for(ParkReason::NoGrant) => {
                "This user may not write it, or not for that patient: ask whoever runs the server for access, then take \
                 mine; or keep theirs."
            }
            ParkKind::Parked if is_parked_for(ParkReason::Group) => {
                "It was saved as one with an edit that the server did not take: settle that one first, then take mine; or \
                 keep theirs."
            }
            _ => {
                "The server did not take it and keeps it in its archive: ask whoever runs the server, or keep theirs."
            }
        }
    }
}

/// What a person decides.
#[derive(Clone, Debug)]
pub enum Resolution {
    /// What is seen stays; the losing edit is given up.
    KeepTheirs,
    /// The losing edit takes its place: its content, or its deletion.
    TakeMine,
    /// This content takes its place: the resource with its type and id, without `meta.versionId`.
    Edited(Vec<u8>),
    /// The resource is deleted, whoever edited it.
    Delete,
}

/// All that a person has to look at, oldest first.
pub(crate) fn list(session: &Session) -> Result<Vec<Conflict>> {
    session.view(Action::SyncResolve, None, |view| {
        let records = Tables::new(view.connection()).open_conflicts()?;
        let conflicts = records.into_iter().map(|record| {
            let current = view.current(record.key.kind, record.key.id.as_str())?;
            let version = current.filter(|current| current.content.is_some()).map(|current| current.version);
            Ok(conflict(record, version))
        });
        conflicts.collect()
    })
}

/// Does what was decided, in one transaction. The server hears of it with the next round.
pub(crate) fn resolve(session: &Session, seen: &Conflict, resolution: &Resolution) -> Result<()> {
    session.transaction(Action::SyncResolve, None, |transaction| {
        let found = Tables::new(transaction.connection()).conflict(&seen.id)?;
        let mut record =
            found.filter(|record| record.state == ConflictState::Open).ok_or(Error::NoConflict)?;
        let ResourceKey { kind, id } = &record.key;
        let before = transaction.view().current(*kind, id.as_str())?;
        let version = before.as_ref().filter(|before| before.content.is_some()).map(|before| before.version);
        if version != seen.version {
            return Err(Error::ConflictMoved);
        }
        let decision = match (resolution, &record.mine) {
            (Resolution::KeepTheirs, _) => Decision::Theirs,
            // A content that may no longer be here looks like that of a delete, and is none.
            (Resolution::TakeMine, None) if record.base.is_none() => return Err(Error::EditNotHere),
            (Resolution::TakeMine, Some(mine)) => {
                transaction.put(*kind, id.as_str(), mine.as_bytes(), false)?;
                Decision::Mine
            }
            (Resolution::TakeMine, None) => {
                transaction.delete(*kind, id.as_str())?;
                Decision::Mine
            }
            (Resolution::Delete, _) => {
                transaction.delete(*kind, id.as_str())?;
                Decision::Deleted
            }
            (Resolution::Edited(content), _) => {
                transaction.put(*kind, id.as_str(), content, false)?;
                Decision::Edited
            }
        };
        let after = transaction.view().current(*kind, id.as_str())?;
        let sequence = after.map_or(0, |after| after.sequence);
        if sequence != before.map_or(0, |before| before.sequence) {
            // An edit of this device, though it was made here.
            let (tables, name) = (Tables::new(transaction.connection()), name_of(&record.key));
            tables.note_edit(&name, sequence, version)?;
            tables.note_decision(&name, &record)?;
        }
        (record.state, record.decision) = (ConflictState::Closed, Some(decision));
        // What the server was never asked about, as it was too large, cannot be in its archive either.
        record.is_archived &= record.kind == ParkKind::Rejected && record.outcome.is_none();
        Ok(Tables::new(transaction.connection()).set_conflict(&record)?)
    })
}

fn conflict(record: ConflictRecord, version: Option<u64>) -> Conflict {
    Conflict {
        id: record.cid,
        kind: record.kind,
        resource_type: record.key.kind,
        resource_id: record.key.id,
        base: record.base,
        mine: record.mine,
        theirs: record.theirs,
        paths: record.paths,
        reasons: record.reasons,
        outcome: record.outcome,
        at: record.at,
        is_archived: record.is_archived,
        version,
    }
}
