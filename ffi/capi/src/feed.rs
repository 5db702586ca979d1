//! What follows a store or a search as it changes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use keepwell_store::{ChangeFeed, LiveKind, LiveSearch, Operation, Session};
use serde_json::{Value, json};

use crate::boundary::boundary;
use crate::buffer::{self, KeepwellBuffer};
use crate::error::{Bug, Failure};
use crate::handle::{KeepwellError, KeepwellFeed, KeepwellSession, KeepwellStore};
use crate::input::KeepwellText;
use crate::output;
use crate::registry;
use crate::store::HeldStore;

/// What a feed follows.
enum Feed {
    Changes(Mutex<ChangeFeed>),
    Search(Mutex<LiveSearch>),
}

impl Feed {
    fn next(&self, timeout: Duration) -> Result<Vec<Value>, Failure> {
        match self {
            Self::Changes(feed) => {
                let unit = feed.lock().unwrap_or_else(PoisonError::into_inner).next(timeout)?;
                Ok(unit.iter().flat_map(|changes| changes.iter()).map(change).collect())
            }
            Self::Search(search) => {
                let changes = search.lock().unwrap_or_else(PoisonError::into_inner).next(timeout)?;
                Ok(changes.iter().map(live_change).collect())
            }
        }
    }
}

fn change(change: &keepwell_store::Change) -> Value {
    let operation = match change.operation {
        Operation::Create => "create",
        Operation::Update => "update",
        Operation::Delete => "delete",
        _ => "purge",
    };
    json!({
        "sequence": change.sequence,
        "resourceType": change.resource_type.name(),
        "id": change.id(),
        "versionId": change.version,
        "lastUpdated": change.last_updated.to_string(),
        "operation": operation,
    })
}

fn live_change(change: &keepwell_store::LiveChange) -> Value {
    let kind = match change.kind {
        LiveKind::Added => "added",
        LiveKind::Changed => "changed",
        _ => "removed",
    };
    json!({ "kind": kind, "resourceType": change.resource_type.name(), "id": change.id })
}

/// Follows everything that commits in a store from now on. An element of what `keepwell_feed_next` gives has
/// "sequence", "resourceType", "id", "versionId", "lastUpdated" and "operation" (create, update, delete, purge).
///
/// # Safety
/// `feed` points to memory for one, `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_observe(
    store: KeepwellStore,
    feed: *mut KeepwellFeed,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        if feed.is_null() {
            return Err(Bug::Null.into());
        }
        let changes = registry::get::<HeldStore>(store.id)?.observe();
        let id = registry::insert(Feed::Changes(Mutex::new(changes)));
        // SAFETY: not null, and by the contract above it may be written.
        Ok(unsafe { output::give(KeepwellFeed { id }, feed) }?)
    })
}

/// The change log after a sequence, oldest first, at most `limit` changes: a JSON array with elements as those of
/// `keepwell_observe`. For a program that goes on where it stopped.
///
/// # Safety
/// `changes` points to memory for a buffer, `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_changes_after(
    store: KeepwellStore,
    sequence: i64,
    limit: u32,
    changes: *mut KeepwellBuffer,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let found = registry::get::<HeldStore>(store.id)?.changes_after(sequence, limit as usize)?;
        let found: Value = found.iter().map(change).collect();
        // SAFETY: by the contract above.
        Ok(unsafe { buffer::give(found.to_string().into_bytes(), changes) }?)
    })
}

/// Follows what a search finds; what it finds now is told first, as added. An element of what `keepwell_feed_next`
/// gives has "kind" (added, changed, removed), "resourceType" and "id".
///
/// # Safety
/// `url` is as it says, `feed` points to memory for one, `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_observe_search(
    session: KeepwellSession,
    url: KeepwellText,
    feed: *mut KeepwellFeed,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        if feed.is_null() {
            return Err(Bug::Null.into());
        }
        let session = registry::get::<Session>(session.id)?;
        // SAFETY: by the contract above.
        let search = session.observe_search(unsafe { url.text() }?)?;
        let id = registry::insert(Feed::Search(Mutex::new(search)));
        // SAFETY: not null, and by the contract above it may be written.
        Ok(unsafe { output::give(KeepwellFeed { id }, feed) }?)
    })
}

/// Waits for what is next, at most `timeout_ms`: a JSON array, empty when the time passed. One thread at a time waits
/// on a feed, others wait for it; another thread may free the feed meanwhile.
///
/// # Safety
/// `events` points to memory for a buffer, `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_feed_next(
    feed: KeepwellFeed,
    timeout_ms: u64,
    events: *mut KeepwellBuffer,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let found = registry::get::<Feed>(feed.id)?.next(Duration::from_millis(timeout_ms))?;
        // SAFETY: by the contract above.
        Ok(unsafe { buffer::give(Value::from(found).to_string().into_bytes(), events) }?)
    })
}

/// Frees a feed. Zero is no mistake.
#[unsafe(no_mangle)]
pub extern "C" fn keepwell_feed_free(feed: KeepwellFeed) -> i32 {
    boundary(std::ptr::null_mut(), || match feed.id {
        0 => Ok(()),
        id => Ok(registry::remove::<Feed>(id).map(drop)?),
    })
}
