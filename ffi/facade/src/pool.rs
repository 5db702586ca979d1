//! Threads for what waits: the disk, the keychain, a passcode that is stretched, a server.
//!
//! A thread is made when none is idle and goes when it had nothing to do for [`IDLE`]. Work that is given up by its
//! caller is done to its end. No runtime of futures is needed: the app's own polls them. The idle threads of the crate
//! `blocking` (1.7) do not end and wake twice a second, which a phone pays for.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

/// The most threads. Further work waits for one of them.
const THREADS_MAX: usize = 64;
/// How long a thread waits for work.
const IDLE: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce() + Send>;

static POOL: Pool =
    Pool { state: Mutex::new(State { queue: VecDeque::new(), idle: 0, threads: 0 }), came: Condvar::new() };

struct Pool {
    state: Mutex<State>,
    /// Work came.
    came: Condvar,
}

struct State {
    queue: VecDeque<Job>,
    idle: usize,
    threads: usize,
}

/// Where a result waits for the future, or the future for it.
struct Slot<T> {
    result: Option<T>,
    waker: Option<Waker>,
    is_over: bool,
}

/// The sending end: when it goes without a result, the future learns of it.
struct Answer<T>(Arc<Mutex<Slot<T>>>);

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        let waker = {
            let mut slot = lock(&self.0);
            slot.is_over = true;
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Does `work` on a thread of the pool; `None` when it panicked, or no thread could be had.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let slot = Arc::new(Mutex::new(Slot { result: None, waker: None, is_over: false }));
    let answer = Answer(slot.clone());
    POOL.give(Box::new(move || {
        let result = work();
        lock(&answer.0).result = Some(result);
    }));
    poll_fn(move |context| {
        let mut slot = lock(&slot);
        if slot.is_over {
            return Poll::Ready(slot.result.take());
        }
        slot.waker = Some(context.waker().clone());
        Poll::Pending
    })
    .await
}

impl Pool {
    fn give(&'static self, job: Job) {
        let mut state = lock(&self.state);
        state.queue.push_back(job);
        if state.idle >= state.queue.len() {
            self.came.notify_one();
        } else if state.threads < THREADS_MAX {
            state.threads += 1;
            let started = thread::Builder::new().name("keepwell".to_owned()).spawn(|| self.work());
            if started.is_err() {
                state.threads -= 1;
                if state.threads == 0 {
                    // Nobody will come for it. It is dropped without the lock: its caller may give more.
                    let abandoned = std::mem::take(&mut state.queue);
                    drop(state);
                    drop(abandoned);
                }
            }
        }
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            // The panic of a job is the answer that it did not give.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
        }
    }

    /// The next job; `None` when there was none for a while, and the thread is counted out.
    fn next(&self) -> Option<Job> {
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = state.queue.pop_front() {
                return Some(job);
            }
            state.idle += 1;
            let (woken, waited) = self.came.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if waited.timed_out() && state.queue.is_empty() {
                state.threads -= 1;
                return None;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
