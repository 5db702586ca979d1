//! The one way in: nothing of Rust unwinds into a caller, and what goes wrong becomes a code and an error.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use crate::error::{Bug, FORKED, Failure};
use crate::handle::KeepwellError;
use crate::{logger, registry};

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
    let (code, id) = if is_forked() {
        (i32::from(Bug::Forked.code()), FORKED)
    } else {
        match guarded(work) {
            Ok(()) => (0, 0),
            Err(failure) if error.is_null() => (i32::from(failure.code), 0),
            Err(failure) => (i32::from(failure.code), registry::insert(failure)),
        }
    };
    if !error.is_null() {
        // SAFETY: not null, and the header says that it then points to a `KeepwellError` that may be written.
        unsafe { error.write(KeepwellError { id }) };
    }
    code
}

/// Whether this is a child of the process that the library works in.
pub(crate) fn is_forked() -> bool {
    *PROCESS.get_or_init(std::process::id) != std::process::id()
}

fn guarded(work: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    if CALLING_BACK.get() {
        return Err(Bug::Reentered.into());
    }
    let done = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(Bug::Panic.into()));
    done.inspect_err(logger::tell)
}

/// Runs a callback of the caller: while it runs, calls of this library on the same thread are refused.
pub(crate) fn callback<T>(call: impl FnOnce() -> T) -> T {
    let before = CALLING_BACK.replace(true);
    let done = call();
    CALLING_BACK.set(before);
    done
}
