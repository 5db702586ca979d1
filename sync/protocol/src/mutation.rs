//! Mutations: what a device asks a server to change.

use keepwell_fhir::Instant;
use serde::{Deserialize, Serialize};

use crate::body::{Body, ResourceKey};
use crate::delta::Delta;
use crate::error::{Error, Limit, Result};
use crate::hash::Hash;
use crate::id::Id;
use crate::limits::{NOTE_BYTES_MAX, PATHS_MAX};
use crate::message::{read, write};
use crate::number::{Sequence, Version};

/// What is to be done to a resource.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Make it; it was never on the server.
    Create,
    /// Give it another content.
    Update,
    /// Delete it.
    Delete,
    /// Make it anew, on purpose, behind its tombstone.
    Recreate,
}

/// The new content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Payload {
    /// The whole body.
    Body(Body),
    /// What changed against the base version.
    Delta(Delta),
    /// None: it is deleted.
    Nothing,
}

/// Says that a mutation is the result of a merge, by the rules alone or by a person, so that a mixed fleet can be audited.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Merge {
    /// The version of the rules.
    pub rule: u32,
    /// The version that the device's edit was made on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Version>,
    /// The version that the device's edit was merged with.
    pub theirs: Version,
    /// The hash of the device's own body before the merge; none if it was deleted there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mine: Option<Hash>,
    /// The elements that were taken from the device, as FHIRPath; if a person merged, those in conflict.
    pub paths: Vec<String>,
    /// The conflicts that a person decided with it, by the ids under which they are parked; empty if the rules merged alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cids: Vec<Id>,
}

/// One change of one resource. Who made it is known from the connection and not said here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mutation {
    /// Its number in this incarnation of the device.
    pub sequence: Sequence,
    /// What is to be done.
    pub operation: Operation,
    /// To which resource.
    pub key: ResourceKey,
    /// The version that it changes; 0 for a create, that of the tombstone for a recreate.
    pub base: Version,
    /// When it was made, by the device's clock: for people, not for deciding.
    pub at: Option<Instant>,
    /// What for, in a person's words.
    pub why: Option<String>,
    /// Mutations of the same group are applied all or none.
    pub group: Option<u64>,
    /// The new content.
    pub payload: Payload,
    /// How it was merged.
    pub merge: Option<Merge>,
}

impl Mutation {
    /// Whether its parts agree.
    ///
    /// # Errors
    /// [`Error::Contradiction`], [`Error::TooLarge`]; [`Error::Malformed`] when the body names no resource.
    pub fn check(&self) -> Result<()> {
        let has_base = self.base != Version::ZERO;
        let agrees = match (self.operation, &self.payload) {
            (Operation::Create, Payload::Body(_)) => !has_base,
            (Operation::Recreate, Payload::Body(_)) | (Operation::Delete, Payload::Nothing) => has_base,
            (Operation::Update, Payload::Body(_) | Payload::Delta(_)) => has_base,
            _ => false,
        };
        let names_itself = match &self.payload {
            Payload::Body(body) => body.key()? == self.key,
            _ => true,
        };
        if !agrees || !names_itself || self.sequence == Sequence::ZERO {
            return Err(Error::Contradiction);
        }
        let notes = self.why.iter().chain(self.merge.iter().flat_map(|merge| &merge.paths));
        let count = |merge: &Merge| merge.paths.len().max(merge.cids.len());
        check_notes(notes, self.merge.as_ref().map_or(0, count))
    }

    pub(crate) fn read(line: &[u8]) -> Result<Self> {
        let line: Line = read(line)?;
        let payload = match (line.r, line.d) {
            (Some(body), None) => Payload::Body(body),
            (None, Some(delta)) => Payload::Delta(delta),
            (None, None) => Payload::Nothing,
            (Some(_), Some(_)) => return Err(Error::Contradiction),
        };
        let key = match &payload {
            Payload::Body(body) => body.key()?,
            _ => ResourceKey::from_texts(
                line.t.as_deref().ok_or(Error::MALFORMED)?,
                line.i.as_deref().ok_or(Error::MALFORMED)?,
            )?,
        };
        let mutation = Self {
            sequence: line.seq,
            operation: line.op,
            key,
            base: line.base,
            at: line.at,
            why: line.why,
            group: line.grp,
            payload,
            merge: line.merge,
        };
        mutation.check()?;
        Ok(mutation)
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let (r, d) = match self.payload.clone() {
            Payload::Body(body) => (Some(body), None),
            Payload::Delta(delta) => (None, Some(delta)),
            Payload::Nothing => (None, None),
        };
        let named = r.is_none();
        write(
            &Line {
                seq: self.sequence,
                grp: self.group,
                op: self.operation,
                t: named.then(|| self.key.kind.name().to_owned()),
                i: named.then(|| self.key.id.to_string()),
                base: self.base,
                at: self.at,
                why: self.why.clone(),
                merge: self.merge.clone(),
                d,
                r,
            },
            out,
        );
    }
}

/// Bounds texts that people or merges wrote.
pub(crate) fn check_notes<'a>(mut notes: impl Iterator<Item = &'a String>, paths: usize) -> Result<()> {
    if paths > PATHS_MAX || notes.any(|note| note.len() > NOTE_BYTES_MAX) {
        return Err(Error::TooLarge(Limit::Element));
    }
    Ok(())
}

/// A mutation as it is written; type and id stand in the body if there is one.
#[derive(Serialize, Deserialize)]
struct Line {
    seq: Sequence,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grp: Option<u64>,
    op: Operation,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    t: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    i: Option<String>,
    base: Version,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::instant::optional")]
    at: Option<Instant>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    merge: Option<Merge>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    d: Option<Delta>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    r: Option<Body>,
}
