//! What wakes the driver: an edit, a person, a hint. From any thread.
//!
//! Invariant: what was raised before a wait ends that wait; nothing raised is lost.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

/// Something was saved on this device.
pub(crate) const EDITED: u8 = 1;
/// Somebody wants a round now.
pub(crate) const SYNC: u8 = 2;
/// The policy has changed.
pub(crate) const POLICY: u8 = 4;
/// The thread is to end.
pub(crate) const STOP: u8 = 8;
/// The network is back.
pub(crate) const ONLINE: u8 = 16;
/// The server may have something.
pub(crate) const NEWS: u8 = 32;

/// Wakes whoever waits in a [`crate::Transport`].
#[derive(Debug, Default)]
pub struct Signal {
    raised: AtomicU8,
    notify: Notify,
}

impl Signal {
    pub(crate) fn raise(&self, what: u8) {
        self.raised.fetch_or(what, Ordering::AcqRel);
        self.notify.notify_one();
    }

    /// What was raised since it was taken last.
    pub(crate) fn take(&self) -> u8 {
        self.raised.swap(0, Ordering::AcqRel)
    }

    /// Says that the server may have something: for a transport whose server tells by a call.
    pub fn news(&self) {
        self.raise(NEWS);
    }

    /// Returns when something was raised.
    pub async fn raised(&self) {
        while self.raised.load(Ordering::Acquire) == 0 {
            self.notify.notified().await;
        }
    }
}
