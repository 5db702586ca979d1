//! Park: losing edits go to the server, so that they survive the device.

use keepwell_fhir::Instant;
use serde::{Deserialize, Serialize};

use crate::body::{Body, ResourceKey};
use crate::document::Document;
use crate::error::{Error, Result};
use crate::hex64::Incarnation;
use crate::id::Id;
use crate::limits::{PARK_BYTES_MAX, PARK_RECORDS_MAX};
use crate::message::{Message, read, sealed, write};
use crate::mutation::check_notes;
use crate::number::{Sequence, Version};
use crate::push::PushEnd;

/// `POST /sync/v1/park`: [`ParkHead`], a line for each [`ParkRecord`], [`PushEnd`]. Idempotent by `cid`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParkRequest;

/// The first line of a park.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ParkHead {
    /// The version of the protocol.
    pub v: u32,
    /// The life of the device's database.
    #[serde(rename = "inc")]
    pub incarnation: Incarnation,
}

/// Why an edit lost.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ParkKind {
    /// Both sides changed the same.
    Conflict,
    /// The resource is not on the server.
    Gone,
    /// The resource was deleted meanwhile.
    Deleted,
    /// Access was lost before the edit was sent.
    ScopeLost,
    /// An edit behind one that the server parked.
    Parked,
    /// The server found it invalid, and the person gave it up.
    Rejected,
    /// A kind of a later version.
    #[serde(other)]
    Other,
}

/// How an edit that lost was dealt with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Decision {
    /// What had won stays.
    Theirs,
    /// The edit took its place.
    Mine,
    /// Another content took its place.
    Edited,
    /// The resource was deleted.
    Deleted,
    /// Nobody had to decide: what the server has since holds the edit.
    Included,
    /// A decision of a later version.
    #[serde(other)]
    Other,
}

/// Names the edit that a server itself put into the archive, when it parked or rejected a mutation.
#[must_use]
pub fn archive_id(incarnation: Incarnation, sequence: Sequence) -> Id {
    format!("{incarnation}-{}", sequence.get()).parse().expect("digits and a dash are an id")
}

/// An edit that lost, whole. It is sent again when it has been dealt with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParkRecord {
    /// Its id, which the device drew.
    pub cid: Id,
    /// Why it lost.
    pub kind: ParkKind,
    /// The resource.
    pub key: ResourceKey,
    /// The version that was edited.
    pub base: Version,
    /// The version that won, if there is one.
    pub theirs: Option<Version>,
    /// When the edit was made, by the device's clock.
    pub at: Option<Instant>,
    /// The elements in conflict, as FHIRPath.
    pub paths: Vec<String>,
    /// The content that lost; none for a delete.
    pub mine: Option<Body>,
    /// How it was dealt with; none while a person has to look at it.
    pub done: Option<Decision>,
}

/// Answer to a park.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ParkReply {
    /// The records that the server holds now, of those that were sent.
    pub stored: Vec<Id>,
}

impl Document for ParkReply {}

impl sealed::Sealed for ParkRequest {}

impl Message for ParkRequest {
    type Head = ParkHead;
    type Item = ParkRecord;
    type End = PushEnd;
    type Mark = ();

    const BYTES_MAX: usize = PARK_BYTES_MAX;
    const ITEMS_MAX: usize = PARK_RECORDS_MAX;

    fn read_item(line: &[u8]) -> Result<ParkRecord> {
        let line: Line = read(line)?;
        let key = ResourceKey::from_texts(&line.t, &line.i)?;
        if line.mine.as_ref().is_some_and(|mine| mine.key().as_ref() != Ok(&key)) {
            return Err(Error::Contradiction);
        }
        check_notes(line.paths.iter(), line.paths.len())?;
        let Line { cid, kind, base, theirs, at, paths, mine, done, .. } = line;
        Ok(ParkRecord { cid, kind, key, base, theirs, at, paths, mine, done })
    }

    fn write_item(item: &ParkRecord, out: &mut Vec<u8>) {
        let ParkRecord { cid, kind, key, base, theirs, at, paths, mine, done } = item.clone();
        let (t, i) = (key.kind.name().to_owned(), key.id.to_string());
        write(&Line { cid, kind, t, i, base, theirs, at, paths, mine, done }, out);
    }

    fn follow(_: Option<()>, _: &ParkRecord) -> Option<()> {
        Some(())
    }

    fn count(end: &PushEnd) -> u64 {
        end.n
    }
}

/// A record as it is written.
#[derive(Serialize, Deserialize)]
struct Line {
    cid: Id,
    kind: ParkKind,
    t: String,
    i: String,
    base: Version,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    theirs: Option<Version>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::instant::optional")]
    at: Option<Instant>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    paths: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mine: Option<Body>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    done: Option<Decision>,
}
