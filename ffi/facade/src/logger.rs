//! What goes wrong, told to the app's log.

use std::sync::{Arc, Mutex, PoisonError};

use crate::boundary::callback;
use crate::error::KeepwellError;
use crate::progress::ListenerFault;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum LogLevel {
    /// The caller's data or the person's passcode: expected in daily work.
    Info,
    /// The network, the server or the device.
    Warning,
    /// A bug.
    Error,
}

/// Takes the lines of the library: one for each call that failed, with its code and without patient data. It is called
/// on the thread of the call, must be quick, and must not call the library.
#[uniffi::export(with_foreign)]
pub trait Logger: Send + Sync {
    /// Takes a line.
    ///
    /// # Errors
    /// Whatever fails is left at that.
    fn log(&self, level: LogLevel, code: i32, line: String) -> Result<(), ListenerFault>;
}

static LOGGER: Mutex<Option<Arc<dyn Logger>>> = Mutex::new(None);

/// Tells failures to `logger` from now on, or to nobody.
#[uniffi::export]
pub fn set_logger(logger: Option<Arc<dyn Logger>>) {
    *LOGGER.lock().unwrap_or_else(PoisonError::into_inner) = logger;
}

pub(crate) fn tell(error: &KeepwellError) {
    let Some(logger) = LOGGER.lock().unwrap_or_else(PoisonError::into_inner).clone() else { return };
    let level = match error {
        KeepwellError::Caller { .. } | KeepwellError::Person { .. } => LogLevel::Info,
        KeepwellError::Operator { .. } => LogLevel::Warning,
        KeepwellError::Keepwell { .. } => LogLevel::Error,
    };
    let _ = callback(|| logger.log(level, error.number(), error.to_string()));
}
