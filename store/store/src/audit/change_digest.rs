//! The digest of the changes that one event wrote, so that the audit trail binds the change log.

use ring::digest;

use super::chain::{Mac, to_mac};

const LABEL: &[u8] = b"keepwell/audit/changes/v1";

/// The changes that an event wrote: `change_log.sequence` `first..=last`, and the digest over those rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) digest: Mac,
}

/// Builds [`Changes`] while rows of `change_log` are written, in the order of their sequence.
#[derive(Clone)]
pub(crate) struct ChangeDigest {
    context: digest::Context,
    range: Option<(i64, i64)>,
}

impl ChangeDigest {
    pub(crate) fn new() -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(LABEL);
        Self { context, range: None }
    }

    /// Adds one row of `change_log`. The hash has a fixed length, so the encoding is unambiguous.
    pub(crate) fn add(
        &mut self,
        sequence: i64,
        resource: i64,
        resource_type: i64,
        version: i64,
        operation: i64,
        hash: &[u8; 16],
    ) {
        let mut row = [0; 56];
        for (slot, value) in
            row.chunks_exact_mut(8).zip([sequence, resource, resource_type, version, operation])
        {
            slot.copy_from_slice(&value.to_be_bytes());
        }
        row[40..].copy_from_slice(hash);
        self.context.update(&row);
        self.range = Some((self.range.map_or(sequence, |(first, _)| first), sequence));
    }

    /// The changes, or `None` when there were none.
    pub(crate) fn finish(self) -> Option<Changes> {
        let (first, last) = self.range?;
        Some(Changes { first, last, digest: to_mac(self.context.finish().as_ref()) })
    }
}
