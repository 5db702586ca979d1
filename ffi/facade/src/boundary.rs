//! The one way in: a panic becomes an error with a code, and what goes wrong is told to the logger.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{KeepwellError, Misuse};
use crate::{logger, pool};

/// Shorthand for this crate.
pub(crate) type Result<T, E = KeepwellError> = std::result::Result<T, E>;

thread_local! {
    /// Whether a callback of the app that this library waits for runs on this thread.
    static CALLING_BACK: Cell<bool> = const { Cell::new(false) };
}

/// Runs a call that is over in the time of a disk access.
///
/// # Errors
/// What `work` returns; 910 for a panic; 917 in a callback that must not call the library.
pub(crate) fn call<T, E: Into<KeepwellError>>(work: impl FnOnce() -> Result<T, E>) -> Result<T> {
    let done = if CALLING_BACK.get() {
        Err(Misuse::Reentered.into())
    } else {
        catch_unwind(AssertUnwindSafe(work))
            .map_or_else(|_| Err(Misuse::Panic.into()), |done| done.map_err(Into::into))
    };
    done.inspect_err(logger::tell)
}

/// Runs a call that may take longer on a thread of the pool: the caller's thread is free meanwhile.
///
/// # Errors
/// As [`call`].
pub(crate) async fn wait<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T>
where
    T: Send + 'static,
    E: Into<KeepwellError>,
{
    if CALLING_BACK.get() {
        return call(|| Err::<T, KeepwellError>(Misuse::Reentered.into()));
    }
    pool::run(move || call(work)).await.unwrap_or_else(|| Err(Misuse::Panic.into()))
}

/// Runs a callback of the app that this library waits for: calls that come from it are refused.
pub(crate) fn callback<T>(ask: impl FnOnce() -> T) -> T {
    let before = CALLING_BACK.replace(true);
    let answer = ask();
    CALLING_BACK.set(before);
    answer
}
