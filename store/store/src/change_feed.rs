//! Changes as they commit, for observers in this process, and the change log for those who come later.
//!
//! Invariant: an observer gets every unit of work once, in commit order, or learns that it must catch up from
//! [`crate::Store::changes_after`].

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keepwell_fhir::{Instant, ResourceType};
use rusqlite::{Connection, params};

use crate::error::{Error, Result};
use crate::id_key::IdKey;

/// Units of work that may wait for a slow observer before it is told to catch up.
pub const UNITS_WAITING_MAX: usize = 256;

/// Changes that one call of [`crate::Store::changes_after`] returns at the most.
pub const CHANGES_PAGE_MAX: usize = 10_000;

/// What a change did. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// The first version, or the first after a deletion.
    Create = 1,
    /// A further version.
    Update = 2,
    /// A version that is a tombstone.
    Delete = 3,
    /// Content and history were removed for good.
    Purge = 4,
}

impl Operation {
    pub(crate) fn from_code(code: i64) -> Result<Self> {
        Ok(match code {
            1 => Self::Create,
            2 => Self::Update,
            3 => Self::Delete,
            4 => Self::Purge,
            _ => return Err(Error::Corrupt),
        })
    }
}

/// One version that was made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Change {
    /// Its place in the change log: dense, from 1, in commit order.
    pub sequence: i64,
    /// The type of the resource.
    pub resource_type: ResourceType,
    pub(crate) id: IdKey,
    /// meta.versionId.
    pub version: u64,
    /// meta.lastUpdated.
    pub last_updated: Instant,
    /// What was done.
    pub operation: Operation,
}

impl Change {
    /// The id of the resource.
    #[must_use]
    pub fn id(&self) -> String {
        self.id.to_string()
    }
}

/// An observer's end of the feed.
#[derive(Debug)]
pub struct ChangeFeed {
    receiver: Receiver<Arc<[Change]>>,
}

impl ChangeFeed {
    /// The changes of the next unit of work; `None` when `timeout` passed without one.
    ///
    /// # Errors
    /// [`Error::Argument`] when this observer fell more than [`UNITS_WAITING_MAX`] units behind, or the store was
    /// closed: read [`crate::Store::changes_after`] from the last sequence seen, and observe again.
    pub fn next(&self, timeout: Duration) -> Result<Option<Arc<[Change]>>> {
        match self.receiver.recv_timeout(timeout) {
            Ok(changes) => Ok(Some(changes)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                Err(Error::Argument("the feed ended: catch up from the change log"))
            }
        }
    }
}

/// The sending ends.
#[derive(Default)]
pub(crate) struct Observers {
    senders: Mutex<Vec<SyncSender<Arc<[Change]>>>>,
}

impl Observers {
    pub(crate) fn subscribe(&self) -> ChangeFeed {
        let (sender, receiver) = sync_channel(UNITS_WAITING_MAX);
        self.senders.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        ChangeFeed { receiver }
    }

    /// Never waits: an observer whose queue is full is let go.
    pub(crate) fn publish(&self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        let changes: Arc<[Change]> = changes.into();
        self.senders.lock().unwrap_or_else(PoisonError::into_inner).retain(|sender| {
            !matches!(
                sender.try_send(changes.clone()),
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_))
            )
        });
    }
}

/// The change log after a sequence, oldest first. A purged version is listed, its content is gone.
pub(crate) fn changes_after(connection: &Connection, sequence: i64, limit: usize) -> Result<Vec<Change>> {
    let limit = i64::try_from(limit.min(CHANGES_PAGE_MAX)).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(
        "-- changes_after
         SELECT c.sequence, c.type, r.id, c.version, c.operation,
                CASE WHEN r.version = c.version THEN r.last_updated ELSE coalesce(v.last_updated, r.last_updated) END
         FROM change_log c JOIN resource r ON r.key = c.resource
         LEFT JOIN resource_version v ON v.resource = c.resource AND v.version = c.version
         WHERE c.sequence > ?1 ORDER BY c.sequence LIMIT ?2",
    )?;
    let mut rows = statement.query(params![sequence, limit])?;
    let mut changes = Vec::new();
    while let Some(row) = rows.next()? {
        changes.push(Change {
            sequence: row.get(0)?,
            resource_type: resource_type(row.get(1)?)?,
            id: row.get(2)?,
            version: row.get::<_, i64>(3)?.unsigned_abs(),
            operation: Operation::from_code(row.get(4)?)?,
            last_updated: Instant::from_ms(row.get(5)?),
        });
    }
    Ok(changes)
}

/// The type that a stored code stands for.
pub(crate) fn resource_type(code: i64) -> Result<ResourceType> {
    u8::try_from(code).ok().and_then(ResourceType::from_code).ok_or(Error::Corrupt)
}
