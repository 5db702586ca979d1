//! The sync tables of a store, and the outbox: what own saves leave in them.
//!
//! A save is sent because its resource has a base: the content that was there at the first edit. The first edit notes
//! which version of this store has that content, so that nothing is copied; later edits change nothing. What is to be
//! sent follows from base and content ([`keepwell_engine::waiting`]).
//!
//! Invariants: the note commits with the save, or neither does; what sync itself writes is never noted; before the
//! device is enrolled nothing is, since enrolling notes everything that is there.

use std::sync::Arc;

use keepwell_protocol::limits::MUTATIONS_MAX;
use keepwell_store::{Changed, Connection, Extension, Migration, Operation, Result};

use crate::signal::{EDITED, Signal};
use crate::tables::Tables;

const MIGRATIONS: &[Migration] = &[
    Migration { number: 1, name: "sync", sql: include_str!("../migrations/0001_sync.sql") },
    Migration { number: 2, name: "digests", sql: include_str!("../migrations/0002_digests.sql") },
    Migration { number: 3, name: "blobs", sql: include_str!("../migrations/0003_blobs.sql") },
    Migration { number: 4, name: "fhir", sql: include_str!("../migrations/0004_fhir.sql") },
];

/// Keeps the sync tables in a store. Every store that syncs is opened with one
/// ([`keepwell_store::StoreOptions::extensions`]), and its [`crate::Client`] gets a clone.
#[derive(Clone, Default)]
pub struct SyncExtension {
    signal: Arc<Signal>,
}

impl SyncExtension {
    /// One for a store that is about to be opened.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }
}

impl Extension for SyncExtension {
    fn name(&self) -> &'static str {
        "sync"
    }

    fn migrations(&self) -> &'static [Migration] {
        MIGRATIONS
    }

    fn changed(&self, connection: &Connection, changed: &Changed<'_>) -> Result<()> {
        if changed.is_foreign {
            return Ok(());
        }
        let tables = Tables::new(connection);
        if !tables.is_enrolled()? || tables.is_local(changed.resource_type)? {
            return Ok(());
        }
        let name = format!("{}/{}", changed.resource_type, changed.id());
        if changed.operation == Operation::Purge {
            // What was asked to be gone is not sent, nor kept here for anything else.
            return tables.forget_edit(&name);
        }
        let base = (changed.operation != Operation::Create).then(|| changed.version - 1);
        tables.note_edit(&name, changed.sequence, base)?;
        let place = changed.sequence - changed.first_sequence;
        if place > 0 {
            // A transaction too large for a push is sent edit by edit.
            let fits = usize::try_from(place).is_ok_and(|place| place < MUTATIONS_MAX);
            tables.group_edits(&name, changed.first_sequence, fits)?;
        }
        // The driver reads when this transaction is over: it waits for the writer.
        self.signal.raise(EDITED);
        Ok(())
    }

    fn unsynced(&self, connection: &Connection) -> Result<Option<u64>> {
        let tables = Tables::new(connection);
        Ok(if tables.is_enrolled()? { Some(tables.count_edits()?) } else { None })
    }
}
