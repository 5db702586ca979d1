//! Pull: a device asks for what is new, a page at a time.

use serde::{Deserialize, Serialize};

use crate::cursor::Cursor;
use crate::digest::{Digest, Sums};
use crate::document::Document;
use crate::error::{Error, Limit, Result};
use crate::hex64::{Epoch, Incarnation, RequestId};
use crate::limits::{
    HYDRATING_MAX, OUTCOMES_MAX, PAGE_BYTES_MAX, PULL_BYTES, PULL_BYTES_MAX, PULL_REQUEST_BYTES_MAX,
    PULL_ROWS, PULL_ROWS_MAX, SCOPES_MAX, WAIT_MS_MAX,
};
use crate::message::{Message, sealed};
use crate::number::{Position, Sequence};
use crate::outcome::Settlement;
use crate::row::{DeltaRow, Row, Told};
use crate::scope::{Grant, Hydration, Scope, ScopeSet};

/// `POST /sync/v1/pull`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PullRequest {
    /// The version of the protocol.
    pub v: u32,
    /// The life of the device's database.
    #[serde(rename = "inc")]
    pub incarnation: Incarnation,
    /// Names this request; the answer repeats it.
    pub req: RequestId,
    /// How far the scopes of `scopes` have been read; absent at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// The scopes that have been read up to the cursor, whether they are complete or on their first way.
    pub scopes: ScopeSet,
    /// The scopes that have been read up to other positions: granted since, and being fetched from the start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hydrating: Vec<Hydration>,
    /// Rows in the page, at most.
    #[serde(default = "rows", skip_serializing_if = "is_rows")]
    pub rows: u32,
    /// Bytes of the rows, about.
    #[serde(default = "bytes", skip_serializing_if = "is_bytes")]
    pub bytes: u32,
    /// How long the server may wait when there is nothing new, in milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub wait_ms: u32,
    /// Every outcome up to here has been settled.
    pub ack: Sequence,
    /// Bodies come whole, none as a delta.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
}

fn rows() -> u32 {
    PULL_ROWS
}

fn bytes() -> u32 {
    PULL_BYTES
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_rows(rows: &u32) -> bool {
    *rows == PULL_ROWS
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_bytes(bytes: &u32) -> bool {
    *bytes == PULL_BYTES
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl PullRequest {
    /// Whether an answer to `self` can still be used by a device that would now ask `now`: cursor, scopes and
    /// generations are those that were asked about. Otherwise the answer is discarded, whole.
    #[must_use]
    pub fn stands(&self, now: &Self) -> bool {
        self.incarnation == now.incarnation
            && self.cursor == now.cursor
            && self.scopes == now.scopes
            && self.hydrating == now.hydrating
    }
}

impl Document for PullRequest {
    const BYTES_MAX: usize = PULL_REQUEST_BYTES_MAX;

    fn check(&self) -> Result<()> {
        let fits = self.hydrating.len() <= HYDRATING_MAX
            && (1..=PULL_ROWS_MAX).contains(&self.rows)
            && (1..=PULL_BYTES_MAX).contains(&self.bytes)
            && self.wait_ms <= WAIT_MS_MAX;
        if fits { Ok(()) } else { Err(Error::TooLarge(Limit::Element)) }
    }
}

/// Answer to a pull: [`PullHead`], a line for each unacknowledged [`Settlement`], a line for each [`Row`] by rising
/// position, [`PullEnd`]. All of it is one snapshot of the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PullReply;

/// The first line of a page.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PullHead {
    /// The request that is answered.
    pub req: RequestId,
    /// The server's history.
    pub epoch: Epoch,
    /// Its newest position.
    pub clock: Position,
    /// The highest mutation of this incarnation that has been decided, as of the same snapshot as the rows.
    pub last_seq: Sequence,
    /// All grants of the subject, when they are not those that the request named. Then there are no rows.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "grants")]
    pub grants: Option<Vec<Grant>>,
}

/// Bounds the grants while they are read.
fn grants<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Grant>>, D::Error> {
    let grants = Option::<Vec<Grant>>::deserialize(deserializer)?;
    if grants.as_ref().is_some_and(|grants| grants.len() > SCOPES_MAX) {
        return Err(serde::de::Error::custom("too many grants"));
    }
    Ok(grants)
}

/// A line of a page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PullItem {
    /// What became of a mutation of this device. Settled before the rows are looked at.
    Outcome(Settlement),
    /// What a scope holds.
    Row(Row),
    /// The same, for who has been told the version before.
    Delta(DeltaRow),
}

/// The last line of a page.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PullEnd {
    /// How many items there were.
    pub n: u64,
    /// All rows up to here have been sent, of all scopes that were asked for.
    pub upto: Position,
    /// Whether there are more. If not, this is a checkpoint.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// At a checkpoint: what the scopes hold that had rows since the last one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<ScopeDigest>,
    /// When to ask again if no hint comes, in milliseconds.
    pub next_ms: u32,
}

/// What a scope holds, as `["Patient/123",312,"<sums>"]`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ScopeDigest(pub Scope, pub u64, pub Sums);

impl ScopeDigest {
    /// The digest of a scope.
    #[must_use]
    pub fn new(scope: Scope, digest: Digest) -> Self {
        Self(scope, digest.count(), digest.sums())
    }

    /// Its digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::from_parts(self.1, self.2)
    }
}

/// What the line of an outcome begins with.
const SETTLEMENT: &[u8] = b"{\"seq\":";

impl sealed::Sealed for PullReply {}

impl Message for PullReply {
    type Head = PullHead;
    type Item = PullItem;
    type End = PullEnd;
    type Mark = Mark;

    const BYTES_MAX: usize = PAGE_BYTES_MAX;
    const ITEMS_MAX: usize = OUTCOMES_MAX + PULL_ROWS_MAX as usize;

    fn read_item(line: &[u8]) -> Result<PullItem> {
        if line.starts_with(SETTLEMENT) {
            Settlement::from_bytes(line).map(PullItem::Outcome)
        } else {
            Ok(match Told::from_bytes(line)? {
                Told::Row(row) => PullItem::Row(row),
                Told::Delta(row) => PullItem::Delta(row),
            })
        }
    }

    fn write_item(item: &PullItem, out: &mut Vec<u8>) {
        match item {
            PullItem::Outcome(settlement) => settlement.write(out),
            PullItem::Row(row) => row.write(out),
            PullItem::Delta(row) => row.write(out),
        }
    }

    fn follow(before: Option<Mark>, item: &PullItem) -> Option<Mark> {
        let mark = match item {
            PullItem::Outcome(settlement) => Mark::Outcome(settlement.sequence),
            PullItem::Row(Row { position, .. }) | PullItem::Delta(DeltaRow { position, .. }) => {
                Mark::Row(*position)
            }
        };
        let follows = match (before, mark) {
            (Some(Mark::Outcome(before)), Mark::Outcome(sequence)) => sequence > before,
            (Some(Mark::Row(_)), Mark::Outcome(_)) => false,
            // One position may have a row in each of several scopes.
            (Some(Mark::Row(before)), Mark::Row(position)) => position >= before,
            (None, _) | (Some(Mark::Outcome(_)), Mark::Row(_)) => true,
        };
        follows.then_some(mark)
    }

    fn count(end: &PullEnd) -> u64 {
        end.n
    }
}

/// The item before: outcomes come first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// An outcome of this mutation.
    Outcome(Sequence),
    /// A row at this position.
    Row(Position),
}
