//! What follows a store or a search as it changes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use keepwell_store::{Error, LiveSearch};

use crate::boundary::{Result, wait};
use crate::options::range;
use crate::progress::ListenerFault;
use crate::records::{Operation, count};

/// How often a thread that follows a store looks whether it still has to.
const LOOK: Duration = Duration::from_secs(1);

/// A version that was committed.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Change {
    /// Its place in the change log.
    pub sequence: i64,
    /// The type of the resource.
    pub resource_type: String,
    /// Its id.
    pub id: String,
    /// meta.versionId.
    pub version: i64,
    /// meta.lastUpdated, in milliseconds since 1970-01-01T00:00Z.
    pub last_updated_ms: i64,
    /// What was done.
    pub operation: Operation,
}

impl From<&keepwell_store::Change> for Change {
    fn from(change: &keepwell_store::Change) -> Self {
        Self {
            sequence: change.sequence,
            resource_type: change.resource_type.name().to_owned(),
            id: change.id(),
            version: count(change.version),
            last_updated_ms: change.last_updated.ms(),
            operation: Some(change.operation).into(),
        }
    }
}

/// What happened to what a search finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum LiveKind {
    /// It is found now.
    Added,
    /// It is found as before, with other content.
    Changed,
    /// It is found no longer.
    Removed,
}

/// A difference in what a search finds.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct LiveChange {
    /// What happened.
    pub kind: LiveKind,
    /// The type of the resource.
    pub resource_type: String,
    /// Its id.
    pub id: String,
}

impl From<&keepwell_store::LiveChange> for LiveChange {
    fn from(change: &keepwell_store::LiveChange) -> Self {
        Self {
            kind: match change.kind {
                keepwell_store::LiveKind::Added => LiveKind::Added,
                keepwell_store::LiveKind::Changed => LiveKind::Changed,
                _ => LiveKind::Removed,
            },
            resource_type: change.resource_type.name().to_owned(),
            id: change.id.clone(),
        }
    }
}

/// Everything that commits in a store, in commit order.
#[derive(uniffi::Object)]
pub struct ChangeFeed(Arc<Mutex<keepwell_store::ChangeFeed>>);

impl ChangeFeed {
    pub(crate) fn new(feed: keepwell_store::ChangeFeed) -> Self {
        Self(Arc::new(Mutex::new(feed)))
    }
}

#[uniffi::export]
impl ChangeFeed {
    /// The changes of the next unit of work; none when the time passed.
    ///
    /// # Errors
    /// 117 for a follower that fell too far behind: read the change log, and follow anew.
    pub async fn next(&self, timeout_ms: i64) -> Result<Vec<Change>> {
        let feed = self.0.clone();
        wait(move || {
            let unit = feed.lock().unwrap_or_else(PoisonError::into_inner).next(time(timeout_ms)?)?;
            Ok::<_, Error>(unit.iter().flat_map(|changes| changes.iter()).map(Change::from).collect())
        })
        .await
    }
}

/// A search that goes on.
#[derive(uniffi::Object)]
pub struct LiveQuery(Arc<Mutex<LiveSearch>>);

impl LiveQuery {
    pub(crate) fn new(search: LiveSearch) -> Self {
        Self(Arc::new(Mutex::new(search)))
    }
}

#[uniffi::export]
impl LiveQuery {
    /// The next differences: at once where there are some, otherwise after the next commits; none when the time passed.
    ///
    /// # Errors
    /// As [`crate::Session::search`].
    pub async fn next(&self, timeout_ms: i64) -> Result<Vec<LiveChange>> {
        let search = self.0.clone();
        wait(move || {
            let found = search.lock().unwrap_or_else(PoisonError::into_inner).next(time(timeout_ms)?)?;
            Ok::<_, Error>(found.iter().map(LiveChange::from).collect())
        })
        .await
    }
}

fn time(timeout_ms: i64) -> Result<Duration, Error> {
    Ok(Duration::from_millis(range(timeout_ms)?))
}

/// Hears of what commits. It is called on a thread of its own, and may call the library.
#[uniffi::export(with_foreign)]
pub trait ChangeListener: Send + Sync {
    /// The changes of one unit of work, in commit order.
    ///
    /// # Errors
    /// [`ListenerFault`]: it hears no more.
    fn changed(&self, changes: Vec<Change>) -> Result<(), ListenerFault>;

    /// It hears no more: it failed, or was so slow that it fell behind. The change log has what it missed.
    ///
    /// # Errors
    /// Whatever fails is left at that.
    fn ended(&self) -> Result<(), ListenerFault>;
}

/// A listener that is told. Gone, it ends.
#[derive(uniffi::Object)]
pub struct Subscription {
    is_over: Arc<AtomicBool>,
}

impl Subscription {
    pub(crate) fn start(
        feed: keepwell_store::ChangeFeed,
        listener: Arc<dyn ChangeListener>,
    ) -> Result<Self, Error> {
        let is_over = Arc::new(AtomicBool::new(false));
        let asked = is_over.clone();
        let thread = Builder::new().name("keepwell-changes".to_owned()).spawn(move || {
            while !asked.load(Ordering::Acquire) {
                match feed.next(LOOK) {
                    Ok(None) => {}
                    Ok(Some(_)) if asked.load(Ordering::Acquire) => return,
                    Ok(Some(unit)) if listener.changed(unit.iter().map(Change::from).collect()).is_ok() => {}
                    _ => {
                        let _ = listener.ended();
                        return;
                    }
                }
            }
        });
        thread.map_err(|error| Error::Io { step: "starting a thread", kind: error.kind() })?;
        Ok(Self { is_over })
    }
}

#[uniffi::export]
impl Subscription {
    /// Ends it: what commits from now on is not told.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.end();
    }
}
