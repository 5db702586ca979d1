//! The archive: losing edits, for people to look through.

use keepwell_fhir::Instant;
use keepwell_protocol::{Body, Decision, Id, ParkKind, ResourceKey, Version};

/// An edit that lost, as the server keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Archived {
    /// Its number in the archive, from 1.
    pub number: u64,
    /// The device that it comes from.
    pub device: Id,
    /// Whose device that was.
    pub user: Id,
    /// The record's id, drawn by the device; of a mutation that the server itself put here, that of
    /// [`archive_id`](keepwell_protocol::archive_id).
    pub cid: String,
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
    /// When it came here.
    pub received: Instant,
    /// The elements in conflict, as FHIRPath.
    pub paths: Vec<String>,
    /// The content that lost; none for a delete.
    pub mine: Option<Body>,
    /// How it was dealt with; none while a person has to look at it.
    pub closed: Option<Closed>,
}

/// How an edit that lost was dealt with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Closed {
    /// What was decided.
    pub decision: Decision,
    /// By whom: the user of the device, or, if nobody had to decide, whoever's device noticed it.
    pub by: Id,
    /// When the server heard of it.
    pub at: Instant,
}

/// Records of the archive in one answer.
pub const ARCHIVE_PAGE_MAX: usize = 100;
