//! The one way in: nothing of Rust unwinds into a caller, and what goes wrong becomes a code and an error.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use crate::error::{Bug, Failure};
use crate::handle::KeepwellError;
use crate::registry;

/// The process that the library works in. Connections and locks do not survive a fork.
static PROCESS: OnceLock<u32> = OnceLock::new();

thread_local! {
    /// Whether a callback of the caller runs on this thread.
    static CALLING_BACK: Cell<bool> = const { Cell::new(false) };
}

/// Runs a call; returns 0, or the code of what went wrong, with the error itself in `error` where that is not null.
///
/// `error` is null or points to memory for a `KeepwellError`, as the header asks of every caller.
pub(crate) fn boundary(error: *mut KeepwellError, work: impl FnOnce() -> Result<(), Failure>) -> i32 {
    let done = if *PROCESS.get_or_init(std::process::id) != std::process::id() {
        Err(Bug::Forked.into())
    } else if CALLING_BACK.get() {
        Err(Bug::Reentered.into())
    } else {
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(Bug::Panic.into()))
    };
    let (code, id) = match done {
        Ok(()) => (0, 0),
        Err(failure) if error.is_null() => (i32::from(failure.code), 0),
        Err(failure) => (i32::from(failure.code), registry::insert(failure)),
    };
    if !error.is_null() {
        // SAFETY: not null, and the header says that it then points to a `KeepwellError` that may be written.
        unsafe { error.write(KeepwellError { id }) };
    }
    code
}

/// Runs a callback of the caller: while it runs, calls of this library on the same thread are refused.
pub(crate) fn callback<T>(call: impl FnOnce() -> T) -> T {
    let before = CALLING_BACK.replace(true);
    let done = call();
    CALLING_BACK.set(before);
    done
}
