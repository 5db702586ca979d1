//! How the caller follows a round of sync, and ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Ends a round from another thread. What was done until then stays done; the next round goes on from there.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    is_cancelled: AtomicBool,
    notify: Notify,
}

impl Cancel {
    /// Ends the round, also one that waits for the network.
    pub fn cancel(&self) {
        self.0.is_cancelled.store(true, Ordering::Release);
        self.0.notify.notify_waiters();
        self.0.notify.notify_one();
    }

    /// Whether it was ended.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::Acquire)
    }

    pub(crate) async fn cancelled(&self) {
        while !self.is_cancelled() {
            self.0.notify.notified().await;
        }
    }
}

/// How far a round is; told after each answer of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Rows received.
    pub rows: u64,
    /// Edits that became versions on the server.
    pub applied: u64,
    /// Requests sent.
    pub requests: u64,
    /// Bytes up, heads included.
    pub sent_bytes: u64,
    /// Bytes down, heads included.
    pub received_bytes: u64,
}
