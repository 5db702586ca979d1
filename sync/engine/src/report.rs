//! What sync has done: counts, bytes and reasons.

use keepwell_protocol::Position;

use crate::error::Stop;

/// Counts since the engine was made.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Mutations sent for the first time.
    pub frozen: u64,
    /// Mutations that became a version.
    pub applied: u64,
    /// Mutations whose content the server had already.
    pub unchanged: u64,
    /// Mutations that met another version.
    pub conflicted: u64,
    /// Mutations that the server put into its archive.
    pub parked: u64,
    /// Mutations that would have made a resource of no scope: it is on this device only.
    pub kept: u64,
    /// Mutations that the server found invalid.
    pub rejected: u64,
    /// Edits that were joined with the server's by the merge.
    pub merged: u64,
    /// Edits that lost, and wait for a person or were archived.
    pub lost: u64,
    /// Rows received.
    pub rows: u64,
    /// Resources written.
    pub stored: u64,
    /// Resources purged since they are in no held scope.
    pub purged: u64,
    /// Checkpoints reached.
    pub checkpoints: u64,
    /// Answers that came too late or for another question.
    pub discarded: u64,
    /// Times that everything was fetched anew.
    pub resyncs: u64,
    /// Scopes whose digest was not that of the server.
    pub diverged: u64,
    /// New incarnations.
    pub incarnations: u64,
    /// Requests sent.
    pub requests: u64,
    /// Requests without an answer.
    pub failures: u64,
    /// Bytes up.
    pub sent_bytes: u64,
    /// Bytes down.
    pub received_bytes: u64,
    /// How many of both were heads of HTTP.
    pub head_bytes: u64,
    /// How many of both were pushes and what was answered to them, without heads.
    pub push_bytes: u64,
    /// Attachments uploaded.
    pub uploads: u64,
    /// Attachments downloaded.
    pub downloads: u64,
    /// The code of the last refusal or failure (docs/error-codes.md); none after an answer.
    pub last_problem: Option<u16>,
    /// Why sync stands still.
    pub stopped: Option<Stop>,
}

/// How far a device is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Scopes that are held.
    pub scopes: usize,
    /// Those of them that have not been fetched to their end.
    pub hydrating: usize,
    /// How far has been read.
    pub position: Position,
    /// The server's newest position, as far as is known.
    pub clock: Position,
    /// Whether what is there may be older than it seems: everything is being fetched anew.
    pub is_stale: bool,
    /// Whether there is nothing to be sent and nothing known to be fetched.
    pub is_idle: bool,
}
