//! An edit that lost, and what a person decides about it.

use keepwell_client::{Client, Resolution};
use keepwell_protocol::{Body, ParkKind};

use crate::boundary::{Result, wait};
use crate::records::count;

/// Why an edit lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum ConflictKind {
    /// Both sides changed the same.
    Conflict,
    /// The resource is not on the server.
    Gone,
    /// The resource was deleted meanwhile.
    Deleted,
    /// Access was lost before the edit was sent.
    ScopeLost,
    /// The server did not take it and keeps it in its archive; `reasons` says why.
    Parked,
    /// The server found it invalid.
    Rejected,
    /// A reason that this version does not know.
    Other,
}

/// What is known of a conflict.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct ConflictDetails {
    /// Names it.
    pub id: String,
    /// Why the edit lost.
    pub kind: ConflictKind,
    /// The type of the resource.
    pub resource_type: String,
    /// Its id.
    pub resource_id: String,
    /// The content that was edited.
    pub base: Option<String>,
    /// The content that lost; none if a delete did, or, with `base`, if it may no longer be here.
    pub mine: Option<String>,
    /// The content that won; none if a delete did.
    pub theirs: Option<String>,
    /// The elements in conflict, as FHIRPath; none means the whole resource.
    pub paths: Vec<String>,
    /// Why a person has to decide; of a parked edit why the server did not take it: `no-grant`, `read-only`, `group` or
    /// `other`.
    pub reasons: Vec<String>,
    /// What a person can do about it, in an English sentence.
    pub advice: String,
    /// The server's OperationOutcome, if it found the edit invalid.
    pub outcome: Option<String>,
    /// When it lost, in milliseconds since 1970-01-01T00:00Z.
    pub at_ms: i64,
    /// The version of the resource here when this was read.
    pub version: Option<i64>,
}

/// An edit of this device that lost.
#[derive(uniffi::Object)]
pub struct Conflict {
    client: Client,
    conflict: keepwell_client::Conflict,
}

impl Conflict {
    pub(crate) fn new(client: Client, conflict: keepwell_client::Conflict) -> Self {
        Self { client, conflict }
    }

    async fn resolve(&self, resolution: Resolution) -> Result<()> {
        let (client, conflict) = (self.client.clone(), self.conflict.clone());
        wait(move || client.resolve(&conflict, &resolution)).await
    }
}

#[uniffi::export]
impl Conflict {
    /// What is known of it.
    #[must_use]
    pub fn details(&self) -> ConflictDetails {
        let conflict = &self.conflict;
        ConflictDetails {
            id: conflict.id.to_string(),
            kind: match conflict.kind {
                ParkKind::Conflict => ConflictKind::Conflict,
                ParkKind::Gone => ConflictKind::Gone,
                ParkKind::Deleted => ConflictKind::Deleted,
                ParkKind::ScopeLost => ConflictKind::ScopeLost,
                ParkKind::Parked => ConflictKind::Parked,
                ParkKind::Rejected => ConflictKind::Rejected,
                _ => ConflictKind::Other,
            },
            resource_type: conflict.resource_type.name().to_owned(),
            resource_id: conflict.resource_id.to_string(),
            base: conflict.base.as_ref().map(body),
            mine: conflict.mine.as_ref().map(body),
            theirs: conflict.theirs.as_ref().map(body),
            paths: conflict.paths.clone(),
            reasons: conflict.reasons.clone(),
            advice: conflict.advice().to_owned(),
            outcome: conflict.outcome.as_ref().map(body),
            at_ms: conflict.at.ms(),
            version: conflict.version.map(count),
        }
    }

    /// What is seen stays; the losing edit is given up.
    ///
    /// # Errors
    /// 421; 422 when the resource has changed since: look again.
    pub async fn keep_theirs(&self) -> Result<()> {
        self.resolve(Resolution::KeepTheirs).await
    }

    /// The losing edit takes its place: its content, or its deletion.
    ///
    /// # Errors
    /// As [`Self::keep_theirs`]; 449 when the edit may no longer be here.
    pub async fn take_mine(&self) -> Result<()> {
        self.resolve(Resolution::TakeMine).await
    }

    /// This content takes its place.
    ///
    /// # Errors
    /// As [`Self::keep_theirs`]; 109 when it is not valid.
    pub async fn take_edited(&self, content: String) -> Result<()> {
        self.resolve(Resolution::Edited(content.into_bytes())).await
    }

    /// The resource is deleted, whoever edited it.
    ///
    /// # Errors
    /// As [`Self::keep_theirs`].
    pub async fn delete_resource(&self) -> Result<()> {
        self.resolve(Resolution::Delete).await
    }
}

/// A body is JSON, and JSON is text.
fn body(body: &Body) -> String {
    String::from_utf8_lossy(body.as_bytes()).into_owned()
}
