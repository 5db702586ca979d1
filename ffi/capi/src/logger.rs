//! What goes wrong, told to the host's log.

use std::ffi::{c_char, c_void};
use std::sync::{PoisonError, RwLock};

use crate::boundary::{boundary, callback};
use crate::error::{Failure, actor};
use crate::handle::KeepwellError;

/// Takes a line for each call that failed: its code, who can act as a `KeepwellActor`, and one line of English without
/// patient data, as UTF-8 without a zero byte at its end. It is called on the thread of the call, before that returns, and
/// by many threads at once; it must be quick, and must not call this library: what it calls fails with 917 and is not
/// told.
pub type KeepwellLogger = Option<
    unsafe extern "C" fn(context: *mut c_void, code: i32, actor: i32, line: *const c_char, length: usize),
>;

struct Logger {
    call: unsafe extern "C" fn(*mut c_void, i32, i32, *const c_char, usize),
    context: *mut c_void,
}

// SAFETY: the header demands a function that any thread may call with its context.
unsafe impl Send for Logger {}
// SAFETY: as above, by many at once.
unsafe impl Sync for Logger {}

static LOGGER: RwLock<Option<Logger>> = RwLock::new(None);

/// Tells every call that fails to `logger` from now on; null: to nobody. When it returns, the logger before is done with
/// its last line and its context may go. `context` lives until then.
///
/// # Safety
/// `logger` may be called with `context` from any thread until another is set; `error` is null or points to memory for
/// one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_set_logger(
    logger: KeepwellLogger,
    context: *mut c_void,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        *LOGGER.write().unwrap_or_else(PoisonError::into_inner) = logger.map(|call| Logger { call, context });
        Ok(())
    })
}

pub(crate) fn tell(failure: &Failure) {
    if let Some(logger) = &*LOGGER.read().unwrap_or_else(PoisonError::into_inner) {
        let (code, line) = (i32::from(failure.code), failure.reason());
        let actor = actor(code) as i32;
        // SAFETY: the line lives during the call; the lock keeps the context that the host promised.
        callback(|| unsafe { (logger.call)(logger.context, code, actor, line.as_ptr().cast(), line.len()) });
    }
}
