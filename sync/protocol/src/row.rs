//! Rows: what a server tells of a resource in a scope.

use keepwell_fhir::Instant;
use serde::{Deserialize, Serialize};

use crate::body::{Body, ResourceKey};
use crate::delta::Delta;
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

/// A row whose body is told as what changed against the one that its scope told before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeltaRow {
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
    /// Its body.
    pub delta: Delta,
}

impl DeltaRow {
    /// The row with its body, given that of the version that was told before.
    ///
    /// # Errors
    /// Those of [`Delta::apply`]; [`Error::Contradiction`] when the body is of another resource.
    pub fn join(self, base: &Body) -> Result<Row> {
        let body = self.delta.apply(base.as_bytes())?;
        if body.key()? == self.key { Ok(self.with_body(body)) } else { Err(Error::Contradiction) }
    }

    /// The row with a body that is known to be its own.
    #[must_use]
    pub fn with_body(self, body: Body) -> Row {
        let Self { position, scope, key, version, at, delta: _ } = self;
        Row { position, scope, key, version, at, state: RowState::In(body) }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let line = Line {
            p: self.position,
            s: self.scope.clone(),
            t: Some(self.key.kind.name().to_owned()),
            i: Some(self.key.id.to_string()),
            v: self.version,
            at: self.at,
            st: None,
            own: None,
            d: Some(self.delta.clone()),
            r: None,
        };
        write(&line, out);
    }
}

/// A line of a page that is no outcome.
pub(crate) enum Told {
    Row(Row),
    Delta(DeltaRow),
}

impl Told {
    pub(crate) fn from_bytes(line: &[u8]) -> Result<Self> {
        let line: Line = read(line)?;
        match line {
            Line { d: None, .. } => Row::from_line(line).map(Self::Row),
            Line { st: Some(st), .. } if ![IN, LEFT, DELETED].contains(&&*st) => Err(Error::UnknownRowState),
            Line { p, s, v, at, d: Some(delta), r: None, own: None, st: None, t, i } => {
                let key = named(t, i)?;
                Ok(Self::Delta(DeltaRow { position: p, scope: s, key, version: v, at, delta }))
            }
            _ => Err(Error::Contradiction),
        }
    }
}

/// The resource of a line without a body.
fn named(t: Option<String>, i: Option<String>) -> Result<ResourceKey> {
    ResourceKey::from_texts(&t.ok_or(Error::MALFORMED)?, &i.ok_or(Error::MALFORMED)?)
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
        let RowState::In(body) = &self.state else { return write(&self.to_line(None), out) };
        // The body is the last member: it is put there as it is, since a page is little else.
        write(&self.to_line(None), out);
        out.pop();
        out.extend_from_slice(b",\"r\":");
        body.write(out);
        out.push(b'}');
    }

    /// The whole line.
    pub(crate) fn to_whole_line(&self) -> Line {
        let body = if let RowState::In(body) = &self.state { Some(body.clone()) } else { None };
        self.to_line(body)
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
            _ => named(line.t, line.i)?,
        };
        Ok(Self { position: line.p, scope: line.s, key, version: line.v, at: line.at, state })
    }

    /// The line with this body, which is left out where it is written by itself.
    fn to_line(&self, r: Option<Body>) -> Line {
        let (st, own) = match &self.state {
            RowState::In(_) => (None, None),
            RowState::Own(sequence) => (None, Some(*sequence)),
            RowState::Left => (Some(LEFT), None),
            RowState::Deleted => (Some(DELETED), None),
        };
        let named = !matches!(self.state, RowState::In(_));
        Line {
            p: self.position,
            s: self.scope.clone(),
            t: named.then(|| self.key.kind.name().to_owned()),
            i: named.then(|| self.key.id.to_string()),
            v: self.version,
            at: self.at,
            st: st.map(str::to_owned),
            own,
            d: None,
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
    d: Option<Delta>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    r: Option<Body>,
}
