//! What happens without being asked: records of reads are written within a second, the anchor outside the file
//! follows within a minute, and a store whose time is up is locked.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::inner::Inner;

/// How often the housekeeper looks: an audit record of a read waits a second at the most.
const INTERVAL: Duration = Duration::from_millis(500);

/// The thread; it ends when this is dropped.
pub(crate) struct Housekeeper {
    stop: Option<Sender<()>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    store: Arc<Inner>,
}

impl Housekeeper {
    pub(crate) fn start(store: &Arc<Inner>) -> Self {
        let (stop, stopped) = channel();
        let watched = Arc::downgrade(store);
        let thread = thread::Builder::new().name("keepwell-housekeeper".to_owned()).spawn(move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let Some(store) = watched.upgrade() else { return };
                // A failure here comes back to whoever uses the store next, where it can be told.
                let _ = store.tick();
            }
        });
        Self { stop: Some(stop), thread: Mutex::new(thread.ok()), store: store.clone() }
    }
}

impl Drop for Housekeeper {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
        // The last owner is gone: leave nothing behind that waits for a flush.
        let _ = self.store.lock(crate::audit::Action::Closed, None);
    }
}
