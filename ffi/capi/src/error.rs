//! What a failed call says: a stable code, a text without patient data, who can act, and a FHIR OperationOutcome.

use std::borrow::Cow;
use std::ffi::{CString, c_char};
use std::ptr;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use keepwell_store::vault;

use crate::boundary::{boundary, is_forked};
use crate::handle::KeepwellError;
use crate::registry;

/// Who can do something about an error.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepwellActor {
    /// Nobody needs to: there is no error.
    Nobody = 0,
    /// The caller: the data, the request or the search (1xx, 3xx).
    Caller = 1,
    /// The person at the device: keys, factors, locks (2xx).
    Person = 2,
    /// Whoever keeps the network or the server (4xx).
    Server = 3,
    /// Whoever keeps the device: disk, permissions, damage (5xx).
    Device = 4,
    /// The developers of the app or of Keepwell: a bug (9xx).
    Developer = 5,
}

/// An error as this library keeps it.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) code: u16,
    reason: Cow<'static, str>,
    issues: Option<String>,
    /// How long further passcodes are refused, and how many wrong ones are left.
    limits: (Option<Duration>, Option<u32>),
    texts: OnceLock<(CString, Option<CString>)>,
}

/// A mistake at the edge itself: of the caller's program, or of this library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A panic was stopped at the edge.
    Panic,
    /// A pointer that is needed is null.
    Null,
    /// A handle that was freed, or never given out.
    Handle,
    /// A handle of another kind.
    Kind,
    /// Text that is not UTF-8.
    Text,
    /// A length that no memory has.
    Length,
    /// The process is a child of the one that the library works in.
    Forked,
    /// A callback called the library.
    Reentered,
    /// A buffer that was freed, or is not from here.
    Buffer,
    /// A number that names nothing.
    Value,
}

impl Bug {
    pub(crate) fn code(&self) -> u16 {
        match self {
            Self::Panic => 910,
            Self::Null => 911,
            Self::Handle => 912,
            Self::Kind => 913,
            Self::Text => 914,
            Self::Length => 915,
            Self::Forked => 916,
            Self::Reentered => 917,
            Self::Buffer => 918,
            Self::Value => 919,
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Panic => "the library failed in a way that it does not know",
            Self::Null => "a pointer that is needed is null",
            Self::Handle => "no such handle: never given out, or freed",
            Self::Kind => "a handle of another kind",
            Self::Text => "text that is not UTF-8",
            Self::Length => "a length beyond what memory can hold",
            Self::Forked => "the process was forked: begin anew in the child",
            Self::Reentered => "a callback called the library",
            Self::Buffer => "no buffer of this library, or freed",
            Self::Value => "a number that names nothing",
        }
    }
}

impl From<Bug> for Failure {
    fn from(bug: Bug) -> Self {
        Self::new(bug.code(), bug.reason(), None)
    }
}

/// The handle of the error of a forked child. It is not in the registry: another thread of the parent may have had that
/// locked at the moment of the fork, and nobody would open it.
pub(crate) const FORKED: u64 = u64::MAX;

/// The error behind a handle.
fn failure(error: KeepwellError) -> Option<Arc<Failure>> {
    static OF_A_CHILD: LazyLock<Arc<Failure>> = LazyLock::new(|| Arc::new(Bug::Forked.into()));
    if error.id == FORKED { Some(OF_A_CHILD.clone()) } else { registry::get(error.id).ok() }
}

impl Failure {
    fn new(code: u16, reason: impl Into<Cow<'static, str>>, issues: Option<String>) -> Self {
        Self { code, reason: reason.into(), issues, limits: (None, None), texts: OnceLock::new() }
    }

    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    fn texts(&self) -> &(CString, Option<CString>) {
        self.texts.get_or_init(|| {
            let text = |text: &str| CString::new(text.replace('\0', " ")).expect("its zeros were replaced");
            (text(&self.reason), self.issues.as_deref().map(text))
        })
    }
}

impl From<keepwell_store::Error> for Failure {
    fn from(error: keepwell_store::Error) -> Self {
        let made = Self::new(error.code(), error.to_string(), Some(error.operation_outcome()));
        let limits = match &error {
            keepwell_store::Error::Vault(vault::Error::WrongPasscode { retry_after, attempts_left }) => {
                (Some(*retry_after), *attempts_left)
            }
            keepwell_store::Error::Vault(vault::Error::Throttled { retry_after }) => {
                (Some(*retry_after), None)
            }
            _ => (None, None),
        };
        Self { limits, ..made }
    }
}

impl From<vault::Error> for Failure {
    fn from(error: vault::Error) -> Self {
        keepwell_store::Error::from(error).into()
    }
}

impl From<keepwell_client::Error> for Failure {
    fn from(error: keepwell_client::Error) -> Self {
        match error {
            keepwell_client::Error::Store(error) => error.into(),
            error => Self::new(error.code(), error.to_string(), None),
        }
    }
}

/// Fails with the code, from 100 to 999: a program tries what it shows with it. 919 for another number.
///
/// # Safety
/// `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_rehearse_error(code: u32, error: *mut KeepwellError) -> i32 {
    boundary(error, || {
        let code = u16::try_from(code).ok().filter(|code| (100..1_000).contains(code)).ok_or(Bug::Value)?;
        Err(Failure::new(code, "a rehearsal", None))
    })
}

/// The code of an error: docs/error-codes.md lists them. 0 where there is no error.
#[unsafe(no_mangle)]
pub extern "C" fn keepwell_error_code(error: KeepwellError) -> i32 {
    failure(error).map_or(0, |failure| i32::from(failure.code))
}

/// Who can act on an error.
#[unsafe(no_mangle)]
pub extern "C" fn keepwell_error_actor(error: KeepwellError) -> KeepwellActor {
    actor(keepwell_error_code(error))
}

pub(crate) fn actor(code: i32) -> KeepwellActor {
    match code / 100 {
        0 => KeepwellActor::Nobody,
        1 | 3 => KeepwellActor::Caller,
        2 => KeepwellActor::Person,
        4 => KeepwellActor::Server,
        5 => KeepwellActor::Device,
        _ => KeepwellActor::Developer,
    }
}

/// What went wrong, as one line of English without patient data: UTF-8 that ends with a zero byte and lives until
/// `keepwell_error_free`. Null where there is no error.
#[unsafe(no_mangle)]
pub extern "C" fn keepwell_error_reason(error: KeepwellError) -> *const c_char {
    // The error stays in the registry, so its texts stay where they are.
    failure(error).map_or(ptr::null(), |failure| failure.texts().0.as_ptr())
}

/// The error as a FHIR OperationOutcome in JSON, as `keepwell_error_reason`; null where the error is no matter of
/// FHIR.
#[unsafe(no_mangle)]
pub extern "C" fn keepwell_error_operation_outcome(error: KeepwellError) -> *const c_char {
    let Some(failure) = failure(error) else { return ptr::null() };
    failure.texts().1.as_ref().map_or(ptr::null(), |text| text.as_ptr())
}

/// How long further passcodes are refused, in milliseconds: 205 and 206 say it. -1 where an error says nothing of it.
#[unsafe(no_mangle)]
pub extern "C" fn keepwell_error_retry_after_ms(error: KeepwellError) -> i64 {
    let refused = failure(error).and_then(|failure| failure.limits.0);
    refused.map_or(-1, |time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

/// Wrong passcodes that are left until the store erases itself: 205 says it, if the store does that. -1 where an error says
/// nothing of it.
#[unsafe(no_mangle)]
pub extern "C" fn keepwell_error_attempts_left(error: KeepwellError) -> i64 {
    failure(error).and_then(|failure| failure.limits.1).map_or(-1, i64::from)
}

/// Frees an error and sets it to none. Null, none and an error that was freed are no mistake.
///
/// # Safety
/// `error` is null or points to a `KeepwellError`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_error_free(error: *mut KeepwellError) {
    if error.is_null() {
        return;
    }
    // SAFETY: not null, and by the contract above it points to a `KeepwellError`.
    let id = unsafe { error.replace(KeepwellError { id: 0 }) }.id;
    if id != FORKED && !is_forked() {
        let _ = registry::remove::<Failure>(id);
    }
}
