//! What follows a store or a search as it changes.

use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder, ThreadId};
use std::time::Duration;

use keepwell_store::{ChangeFeed, Error, LiveKind, LiveSearch, Operation, Session};
use serde_json::{Value, json};

use crate::boundary::boundary;
use crate::buffer::{self, KeepwellBuffer};
use crate::error::{Bug, Failure};
use crate::handle::{KeepwellError, KeepwellFeed, KeepwellSession, KeepwellStore};
use crate::input::KeepwellText;
use crate::output;
use crate::registry;
use crate::store::HeldStore;

/// How often the thread of a listener looks whether its feed was freed.
const LOOK: Duration = Duration::from_secs(1);

/// Takes what a feed tells: a JSON array as `keepwell_feed_next` gives it, with code 0; or the code of what ended the feed,
/// and no events, for the last time. 0 to go on, anything else to hear no more. It is called on a thread of the library, once
/// at a time; it may take its time, and may call this library, also `keepwell_feed_free` of its own feed.
pub type KeepwellListener = Option<
    unsafe extern "C" fn(context: *mut c_void, code: i32, events: *const c_char, length: usize) -> i32,
>;

struct Listener {
    call: unsafe extern "C" fn(*mut c_void, i32, *const c_char, usize) -> i32,
    context: *mut c_void,
}

// SAFETY: the header says that another thread calls the function with its context, and one thread alone has this.
unsafe impl Send for Listener {}

impl Listener {
    /// Whether it wants to hear more.
    fn tell(&self, told: &Result<Vec<Value>, Failure>) -> bool {
        let (code, text) = match told {
            Ok(events) => (0, Value::from(events.clone()).to_string()),
            Err(failure) => (i32::from(failure.code), String::new()),
        };
        let events = if code == 0 { text.as_ptr().cast() } else { ptr::null() };
        // SAFETY: the text lives during the call; `Feed::end` keeps the context that the host promised.
        let answer = unsafe { (self.call)(self.context, code, events, text.len()) };
        code == 0 && answer == 0
    }
}

/// What a feed follows.
enum Source {
    Changes(Mutex<ChangeFeed>),
    Search(Mutex<LiveSearch>),
}

/// A feed, and the thread that tells it to a listener, if it has one.
struct Feed {
    source: Source,
    is_over: AtomicBool,
    thread: Mutex<Option<ThreadId>>,
    /// Held while the listener is told something.
    telling: Mutex<()>,
}

impl Feed {
    fn insert(source: Source) -> KeepwellFeed {
        let (is_over, thread, telling) = (AtomicBool::new(false), Mutex::default(), Mutex::default());
        KeepwellFeed { id: registry::insert(Self { source, is_over, thread, telling }) }
    }

    /// Tells what comes to a listener, on a thread.
    fn tell(self: Arc<Self>, listener: Listener) -> Result<(), Failure> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_some() {
            return Err(Bug::Value.into());
        }
        let feed = self.clone();
        let started = Builder::new().name("keepwell-feed".to_owned()).spawn(move || {
            while !feed.is_over.load(Ordering::Acquire) {
                let next = catch_unwind(AssertUnwindSafe(|| feed.source.next(LOOK)));
                let told = next.unwrap_or_else(|_| Err(Bug::Panic.into()));
                if told.as_ref().is_ok_and(Vec::is_empty) {
                    continue;
                }
                let _telling = feed.telling.lock().unwrap_or_else(PoisonError::into_inner);
                if feed.is_over.load(Ordering::Acquire) || !listener.tell(&told) {
                    return;
                }
            }
        });
        let failed = |error: std::io::Error| Error::Io { step: "starting a thread", kind: error.kind() };
        *thread = Some(started.map_err(failed)?.thread().id());
        Ok(())
    }

    /// From now on the listener is not called; one that is being told something is waited for, but by itself.
    fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        let thread = *self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_some_and(|thread| thread != thread::current().id()) {
            drop(self.telling.lock());
        }
    }
}

impl Source {
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
        let made = Feed::insert(Source::Changes(Mutex::new(changes)));
        // SAFETY: not null, and by the contract above it may be written.
        Ok(unsafe { output::give(made, feed) }?)
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
        let made = Feed::insert(Source::Search(Mutex::new(search)));
        // SAFETY: not null, and by the contract above it may be written.
        Ok(unsafe { output::give(made, feed) }?)
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
        let found = registry::get::<Feed>(feed.id)?.source.next(Duration::from_millis(timeout_ms))?;
        // SAFETY: by the contract above.
        Ok(unsafe { buffer::give(Value::from(found).to_string().into_bytes(), events) }?)
    })
}

/// Tells what comes to `listener` from now on, instead of `keepwell_feed_next`. A feed has one at the most: code 919 for a
/// further one.
///
/// # Safety
/// `listener` may be called with `context` from a thread of the library until `keepwell_feed_free` has returned, or, where
/// the listener itself frees the feed, until it has; `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_feed_listen(
    feed: KeepwellFeed,
    listener: KeepwellListener,
    context: *mut c_void,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let call = listener.ok_or(Bug::Null)?;
        registry::get::<Feed>(feed.id)?.tell(Listener { call, context })
    })
}

/// Frees a feed. Its listener is not called any more when this has returned; within a second what it followed is let go.
/// Zero is no mistake.
#[unsafe(no_mangle)]
pub extern "C" fn keepwell_feed_free(feed: KeepwellFeed) -> i32 {
    boundary(ptr::null_mut(), || match feed.id {
        0 => Ok(()),
        id => Ok(registry::remove::<Feed>(id).map(|feed| feed.end())?),
    })
}
