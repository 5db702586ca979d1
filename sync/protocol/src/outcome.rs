//! Outcomes: what became of a mutation.

use serde::{Deserialize, Serialize};

use crate::body::Body;
use crate::error::{Error, Result};
use crate::hash::HashStart;
use crate::message::{read, write};
use crate::number::{Position, Sequence, Version};
use crate::row::{self, Row};

/// What a server made of a mutation. It is decided once; asked again, the server repeats it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// It is this version now.
    Applied {
        /// The version.
        version: Version,
        /// Its position.
        position: Position,
    },
    /// The server has the same content already, in this version.
    Noop {
        /// The version.
        version: Version,
    },
    /// Someone was there before. Merge with the row and try again; without one, there is nothing to merge with.
    Conflict {
        /// The resource as it is now.
        current: Option<Row>,
    },
    /// The device may not write this. The server keeps the content for people, the device lets go of it.
    Parked {
        /// Why.
        why: ParkReason,
        /// The resource as it is now, if the device may still read it.
        current: Option<Row>,
    },
    /// It breaks the rules of its type. The server keeps the content, the device shows it for repair.
    Rejected {
        /// An OperationOutcome.
        outcome: Body,
    },
    /// The delta's base is not at hand: send the whole body under the same number. Nothing was decided.
    NeedFull,
    /// It names a blob that this device has not uploaded and may not read: upload it, then send the mutation again.
    /// Nothing was decided.
    NeedBlob,
}

/// Why a server parked a mutation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ParkReason {
    /// The device's user has no access to the scopes of the old or the new content.
    NoGrant,
    /// There is access to read, not to write.
    ReadOnly,
    /// Another mutation of the same group was not applied.
    Group,
    /// It would make a resource that is in no scope. The server keeps nothing of it: it stays on the device.
    NoScope,
    /// A reason of a later version.
    #[serde(other)]
    Other,
}

impl ParkReason {
    /// The reason as a word, as it travels.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoGrant => "no-grant",
            Self::ReadOnly => "read-only",
            Self::Group => "group",
            Self::NoScope => "no-scope",
            Self::Other => "other",
        }
    }
}

/// The outcome of one mutation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settlement {
    /// Which mutation.
    pub sequence: Sequence,
    /// In a page: the begin of the hash of the line that was decided. The answer to a push has none, since the server
    /// compared the lines of the push.
    pub line: Option<HashStart>,
    /// What became of it.
    pub outcome: Outcome,
}

impl Settlement {
    /// Reads what was written with [`Settlement::to_bytes`], as servers keep it.
    ///
    /// # Errors
    /// [`Error::UnknownOutcome`], [`Error::UnknownRowState`], [`Error::Malformed`], [`Error::Contradiction`].
    pub fn from_bytes(line: &[u8]) -> Result<Self> {
        let Line { seq: sequence, h, o, ver, pos, cur, why, issues } = read(line)?;
        let current = cur.map(Row::from_line).transpose()?;
        let outcome = match o.as_str() {
            "applied" => Outcome::Applied {
                version: ver.ok_or(Error::Contradiction)?,
                position: pos.ok_or(Error::Contradiction)?,
            },
            "noop" => Outcome::Noop { version: ver.ok_or(Error::Contradiction)? },
            "conflict" => Outcome::Conflict { current },
            "parked" => Outcome::Parked { why: why.ok_or(Error::Contradiction)?, current },
            "rejected" => Outcome::Rejected { outcome: issues.ok_or(Error::Contradiction)? },
            "need_full" => Outcome::NeedFull,
            "need_blob" => Outcome::NeedBlob,
            _ => return Err(Error::UnknownOutcome),
        };
        Ok(Self { sequence, line: h, outcome })
    }

    /// The line, without a line feed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let (mut ver, mut pos, mut cur, mut why, mut issues) = (None, None, None, None, None);
        let o = match &self.outcome {
            Outcome::Applied { version, position } => {
                (ver, pos) = (Some(*version), Some(*position));
                "applied"
            }
            Outcome::Noop { version } => {
                ver = Some(*version);
                "noop"
            }
            Outcome::Conflict { current } => {
                cur = current.as_ref().map(Row::to_whole_line);
                "conflict"
            }
            Outcome::Parked { why: reason, current } => {
                (why, cur) = (Some(*reason), current.as_ref().map(Row::to_whole_line));
                "parked"
            }
            Outcome::Rejected { outcome } => {
                issues = Some(outcome.clone());
                "rejected"
            }
            Outcome::NeedFull => "need_full",
            Outcome::NeedBlob => "need_blob",
        };
        write(&Line { seq: self.sequence, h: self.line, o: o.to_owned(), ver, pos, why, cur, issues }, out);
    }
}

/// A settlement as it is written.
#[derive(Serialize, Deserialize)]
struct Line {
    seq: Sequence,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    h: Option<HashStart>,
    o: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ver: Option<Version>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pos: Option<Position>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<ParkReason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cur: Option<row::Line>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issues: Option<Body>,
}
