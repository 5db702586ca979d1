//! How far something has come, told to the app without waiting for it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

/// A callback of the app failed; it is not asked again for what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
pub enum ListenerFault {
    /// It threw something.
    #[error("the callback failed")]
    Failed,
}

impl From<uniffi::UnexpectedUniFFICallbackError> for ListenerFault {
    fn from(_: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Failed
    }
}

/// Follows an import or a round of sync. It is called on a thread of its own, with the newest state when it is slow,
/// for the last time before the call that it follows returns; it may call the library. One that throws hears no more.
#[uniffi::export(with_foreign)]
pub trait ProgressListener: Send + Sync {
    /// So many are done: resources of an import, of `total_bytes` so many were read where that is known; rows of a
    /// round of sync.
    ///
    /// # Errors
    /// [`ListenerFault`]: it hears no more.
    fn progress(&self, done: i64, bytes: i64, total_bytes: Option<i64>) -> Result<(), ListenerFault>;
}

#[derive(Clone, Copy)]
pub(crate) struct Come {
    pub(crate) done: i64,
    pub(crate) bytes: i64,
    pub(crate) total_bytes: Option<i64>,
}

/// Tells a listener. Dropped, it waits until the last was told.
pub(crate) struct Teller {
    sender: Option<Sender<Come>>,
    thread: Option<JoinHandle<()>>,
}

impl Teller {
    pub(crate) fn new(listener: Option<Arc<dyn ProgressListener>>) -> Self {
        let Some(listener) = listener else { return Self { sender: None, thread: None } };
        let (sender, receiver) = channel();
        let thread = Builder::new().name("keepwell-progress".to_owned());
        // Without a thread the app is told nothing; what it follows goes on.
        let thread = thread.spawn(move || follow(&receiver, &*listener)).ok();
        Self { sender: Some(sender), thread }
    }

    pub(crate) fn tell(&self, come: Come) {
        if let Some(sender) = &self.sender {
            let _ = sender.send(come);
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn follow(receiver: &Receiver<Come>, listener: &dyn ProgressListener) {
    while let Ok(mut come) = receiver.recv() {
        while let Ok(newer) = receiver.try_recv() {
            come = newer;
        }
        if listener.progress(come.done, come.bytes, come.total_bytes).is_err() {
            return;
        }
    }
}
