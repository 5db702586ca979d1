//! Rows: what a server tells of a resource in a scope.

use keepwell_fhir::Instant;
use serde::{Deserialize, Serialize};

use crate::body::{Body, ResourceKey};
use crate::error::{Error, Result};
use crate::message::{read, write};
use crate::number::{Position, Sequence, Version};
use crate::scope::Scope;

/// A resource in a scope, at its newest position there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Where in the tenant's history.
    pub position: Position,
    /// In which scope.
    pub scope: Scope,
    /// Which resource.
    pub key: ResourceKey,
    /// Its version.
    pub version: Version,
    /// When that version was made, by the server's clock: `meta.lastUpdated`.
    pub at: Option<Instant>,
    /// What there is to know.
    pub state: RowState,
}

/// What a row says of its resource.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RowState {
    /// It is in the scope, with this body.
    In(Body),
    /// It is in the scope, with the body that this device sent as this mutation.
    Own(Sequence),
    /// It is no longer in this scope; elsewhere it may be.
    Left,
    /// It was deleted.
    Deleted,
}

impl Row {
    /// Reads what was written with [`Row::to_bytes`], as devices keep it until the next checkpoint.
    ///
    /// # Errors
    /// [`Error::UnknownRowState`], [`Error::Malformed`], [`Error::Contradiction`].
    pub fn from_bytes(line: &[u8]) -> Result<Self> {
        Self::from_line(read(line)?)
    }

    /// The line, without a line feed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write(&self.to_line(), out);
    }

    pub(crate) fn from_line(line: Line) -> Result<Self> {
        let state = match (line.st.as_deref().unwrap_or(IN), line.r, line.own) {
            (IN, Some(body), None) => RowState::In(body),
            (IN, None, Some(sequence)) => RowState::Own(sequence),
            (LEFT, None, None) => RowState::Left,
            (DELETED, None, None) => RowState::Deleted,
            (IN | LEFT | DELETED, ..) => return Err(Error::Contradiction),
            _ => return Err(Error::UnknownRowState),
        };
        let key = match &state {
            RowState::In(body) => body.key()?,
            _ => ResourceKey::from_texts(
                line.t.as_deref().ok_or(Error::MALFORMED)?,
                line.i.as_deref().ok_or(Error::MALFORMED)?,
            )?,
        };
        Ok(Self { position: line.p, scope: line.s, key, version: line.v, at: line.at, state })
    }

    pub(crate) fn to_line(&self) -> Line {
        let (st, own, r) = match &self.state {
            RowState::In(body) => (None, None, Some(body.clone())),
            RowState::Own(sequence) => (None, Some(*sequence), None),
            RowState::Left => (Some(LEFT), None, None),
            RowState::Deleted => (Some(DELETED), None, None),
        };
        let named = r.is_none();
        Line {
            p: self.position,
            s: self.scope.clone(),
            t: named.then(|| self.key.kind.name().to_owned()),
            i: named.then(|| self.key.id.to_string()),
            v: self.version,
            at: self.at,
            st: st.map(str::to_owned),
            own,
            r,
        }
    }
}

const IN: &str = "in";
const LEFT: &str = "left";
const DELETED: &str = "del";

/// A row as it is written. Type and id stand in the body if there is one, `st` is `in` when it is absent: a page of
/// a thousand bodies is mostly ids, and each of them once is enough.
#[derive(Serialize, Deserialize)]
pub(crate) struct Line {
    p: Position,
    s: Scope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    t: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    i: Option<String>,
    v: Version,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::instant::optional")]
    at: Option<Instant>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    st: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    own: Option<Sequence>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    r: Option<Body>,
}
