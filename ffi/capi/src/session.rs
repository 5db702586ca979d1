//! A person at work: the interactions of FHIR REST.

use std::ffi::c_char;
use std::io;

use keepwell_store::fhir::patch::PatchFormat;
use keepwell_store::{Actor, HistoryQuery, Precondition, Session};

use crate::boundary::boundary;
use crate::buffer::{self, KeepwellBuffer};
use crate::error::{Bug, Failure};
use crate::handle::{KeepwellError, KeepwellSession, KeepwellStore};
use crate::input::KeepwellText;
use crate::output::{self, KeepwellWritten};
use crate::registry;
use crate::store::{HeldStore, passcode};

/// No precondition for a write.
pub const KEEPWELL_ANY_VERSION: u64 = 0;

/// Precondition of a write: the resource does not exist (If-None-Match: *).
pub const KEEPWELL_ABSENT: u64 = u64::MAX;

/// How a patch is written.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepwellPatch {
    /// JSON Patch (RFC 6902).
    Json = 0,
    /// JSON Merge Patch (RFC 7396).
    Merge = 1,
    /// FHIRPath Patch: a Parameters resource.
    FhirPath = 2,
}

fn precondition(version: u64) -> Precondition {
    match version {
        KEEPWELL_ANY_VERSION => Precondition::None,
        KEEPWELL_ABSENT => Precondition::Absent,
        version => Precondition::Match(version),
    }
}

/// # Safety
/// As [`KeepwellText::bytes`].
pub(crate) unsafe fn actor(
    user: KeepwellText,
    app: KeepwellText,
    device: KeepwellText,
) -> Result<Actor, Failure> {
    // SAFETY: by the same contract.
    let (user, app, device) = unsafe { (user.text()?, app.text()?, device.text()?) };
    Ok(Actor::new(user, app, device).map_err(keepwell_store::Error::from)?)
}

/// Begins a session: from here on `user` answers for what is done, with `app` on `device`.
///
/// # Safety
/// The texts are as they say, `session` points to memory for one, `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_session_begin(
    store: KeepwellStore,
    user: KeepwellText,
    app: KeepwellText,
    device: KeepwellText,
    session: *mut KeepwellSession,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        if session.is_null() {
            return Err(Bug::Null.into());
        }
        // SAFETY: by the contract above.
        let actor = unsafe { actor(user, app, device) }?;
        let begun = registry::get::<HeldStore>(store.id)?.session(actor)?;
        // SAFETY: not null, and by the contract above it may be written.
        Ok(unsafe { output::give(KeepwellSession { id: registry::insert(begun) }, session) }?)
    })
}

/// Ends a session and frees its handle. Zero is no mistake.
#[unsafe(no_mangle)]
pub extern "C" fn keepwell_session_free(session: KeepwellSession) -> i32 {
    boundary(std::ptr::null_mut(), || match session.id {
        0 => Ok(()),
        id => {
            let session = registry::remove::<Session>(id)?;
            // The end goes on record; a lock in between has ended the session before.
            let _ = Session::clone(&session).close();
            Ok(())
        }
    })
}

/// create: the store chooses the id. `condition`, unless empty, is If-None-Exist: nothing is written where it finds
/// a resource.
///
/// # Safety
/// The texts are as they say, `written` and `error` are null or point to memory for theirs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_create(
    session: KeepwellSession,
    resource_type: KeepwellText,
    body: KeepwellText,
    condition: KeepwellText,
    written: *mut KeepwellWritten,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let session = registry::get::<Session>(session.id)?;
        // SAFETY: by the contract above.
        let (kind, body, condition) =
            unsafe { (resource_type.resource_type()?, body.bytes()?, condition.given()?) };
        let done = match condition {
            Some(condition) => session.create_if_none_exist(kind, body, condition)?,
            None => session.create(kind, body)?,
        };
        // SAFETY: by the contract above.
        unsafe { output::offer(KeepwellWritten::from(&done), written) };
        Ok(())
    })
}

/// update: replaces the resource, or creates it under the caller's id. `version` is the one that must be current,
/// `KEEPWELL_ANY_VERSION` or `KEEPWELL_ABSENT`.
///
/// # Safety
/// As `keepwell_create`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_update(
    session: KeepwellSession,
    resource_type: KeepwellText,
    id: KeepwellText,
    body: KeepwellText,
    version: u64,
    written: *mut KeepwellWritten,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let session = registry::get::<Session>(session.id)?;
        // SAFETY: by the contract above.
        let (kind, id, body) = unsafe { (resource_type.resource_type()?, id.text()?, body.bytes()?) };
        let done = session.update(kind, id, body, precondition(version))?;
        // SAFETY: by the contract above.
        unsafe { output::offer(KeepwellWritten::from(&done), written) };
        Ok(())
    })
}

/// patch, in a format that `format` names as a `KeepwellPatch`.
///
/// # Safety
/// As `keepwell_create`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_patch(
    session: KeepwellSession,
    resource_type: KeepwellText,
    id: KeepwellText,
    format: i32,
    patch: KeepwellText,
    version: u64,
    written: *mut KeepwellWritten,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let session = registry::get::<Session>(session.id)?;
        let format = match format {
            0 => PatchFormat::JsonPatch,
            1 => PatchFormat::MergePatch,
            2 => PatchFormat::FhirPath,
            _ => return Err(Bug::Value.into()),
        };
        // SAFETY: by the contract above.
        let (kind, id, patch) = unsafe { (resource_type.resource_type()?, id.text()?, patch.bytes()?) };
        let done = session.patch(kind, id, format, patch, precondition(version))?;
        // SAFETY: by the contract above.
        unsafe { output::offer(KeepwellWritten::from(&done), written) };
        Ok(())
    })
}

/// delete: the next version is a deletion, history stays. `written.version` is 0 where there never was such a
/// resource.
///
/// # Safety
/// As `keepwell_create`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_delete(
    session: KeepwellSession,
    resource_type: KeepwellText,
    id: KeepwellText,
    version: u64,
    written: *mut KeepwellWritten,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let session = registry::get::<Session>(session.id)?;
        // SAFETY: by the contract above.
        let (kind, id) = unsafe { (resource_type.resource_type()?, id.text()?) };
        let done = session.delete(kind, id, precondition(version))?;
        let done = done.as_ref().map_or_else(KeepwellWritten::nothing, KeepwellWritten::from);
        // SAFETY: by the contract above.
        unsafe { output::offer(done, written) };
        Ok(())
    })
}

/// A transaction or batch Bundle; gives the response Bundle.
///
/// # Safety
/// `body` is as it says, `response` points to memory for a buffer, `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_bundle(
    session: KeepwellSession,
    body: KeepwellText,
    response: *mut KeepwellBuffer,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        if response.is_null() {
            return Err(Bug::Null.into());
        }
        // SAFETY: by the contract above.
        let done = registry::get::<Session>(session.id)?.bundle(unsafe { body.bytes() }?)?;
        // SAFETY: by the contract above.
        Ok(unsafe { buffer::give(done, response) }?)
    })
}

/// read, or vread of one `version` unless that is 0. `found`, unless null, gets id, version and time.
///
/// # Safety
/// The texts are as they say, `body` points to memory for a buffer, `found` and `error` are null or point to memory
/// for theirs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_read(
    session: KeepwellSession,
    resource_type: KeepwellText,
    id: KeepwellText,
    version: u64,
    body: *mut KeepwellBuffer,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let session = registry::get::<Session>(session.id)?;
        // SAFETY: by the contract above.
        let (kind, id) = unsafe { (resource_type.resource_type()?, id.text()?) };
        let read = match version {
            0 => session.read(kind, id)?,
            version => session.vread(kind, id, version)?,
        };
        // SAFETY: by the contract above.
        Ok(unsafe { buffer::give(read.body, body) }?)
    })
}

/// history as a Bundle: of a resource, of a type where `id` is empty, of the store where both are. At most `count`
/// versions, the newest first; `before`, unless 0, is what the call for the page before gave in `next`, which is 0
/// after the last page.
///
/// # Safety
/// The texts are as they say, `bundle` points to memory for a buffer, `next` and `error` are null or point to memory
/// for theirs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_history(
    session: KeepwellSession,
    resource_type: KeepwellText,
    id: KeepwellText,
    count: u32,
    before: i64,
    bundle: *mut KeepwellBuffer,
    next: *mut i64,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let session = registry::get::<Session>(session.id)?;
        let query = HistoryQuery {
            count: Some(count as usize),
            before: Some(before).filter(|&before| before > 0),
            ..HistoryQuery::default()
        };
        // SAFETY: by the contract above.
        let (kind, id) = unsafe { (resource_type.given()?.is_some(), id.given()?) };
        let page = if kind {
            // SAFETY: by the contract above.
            let kind = unsafe { resource_type.resource_type() }?;
            match id {
                Some(id) => session.history(kind, id, &query)?,
                None => session.history_type(kind, &query)?,
            }
        } else {
            session.history_system(&query)?
        };
        // SAFETY: by the contract above.
        unsafe {
            buffer::give(page.to_bundle(), bundle)?;
            output::offer(page.next.unwrap_or(0), next);
        }
        Ok(())
    })
}

/// Creates a Binary from bytes, which need not be base64.
///
/// # Safety
/// As `keepwell_create`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_add_attachment(
    session: KeepwellSession,
    content_type: KeepwellText,
    content: KeepwellText,
    written: *mut KeepwellWritten,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let session = registry::get::<Session>(session.id)?;
        // SAFETY: by the contract above.
        let (content_type, mut content) = unsafe { (content_type.text()?, content.bytes()?) };
        let done = session.create_binary(content_type, &mut content)?;
        // SAFETY: by the contract above.
        unsafe { output::offer(KeepwellWritten::from(&done), written) };
        Ok(())
    })
}

/// Takes content in pieces: 0 to go on, anything else to stop.
pub type KeepwellWrite =
    Option<unsafe extern "C" fn(context: *mut std::ffi::c_void, data: *const c_char, length: usize) -> i32>;

/// Hands the decoded content of the `index`-th large attachment of a resource to `write`, piece by piece.
///
/// # Safety
/// The texts are as they say; `write` may be called with `context` during this call; `error` is null or points to
/// memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_read_attachment(
    session: KeepwellSession,
    resource_type: KeepwellText,
    id: KeepwellText,
    index: u32,
    write: KeepwellWrite,
    context: *mut std::ffi::c_void,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let session = registry::get::<Session>(session.id)?;
        // SAFETY: by the contract above.
        let (kind, id) = unsafe { (resource_type.resource_type()?, id.text()?) };
        let mut out = Sink { write: write.ok_or(Bug::Null)?, context };
        session.read_attachment(kind, id, index as usize, &mut out)?;
        Ok(())
    })
}

/// The caller's end of a stream.
pub(crate) struct Sink {
    pub(crate) write: unsafe extern "C" fn(*mut std::ffi::c_void, *const c_char, usize) -> i32,
    pub(crate) context: *mut std::ffi::c_void,
}

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // SAFETY: the bytes live during the call, which happens while the caller waits for its own.
        let answer = crate::boundary::callback(|| unsafe {
            (self.write)(self.context, bytes.as_ptr().cast(), bytes.len())
        });
        if answer == 0 { Ok(bytes.len()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Removes a resource, its history and its attachments for good; the audit trail keeps `reason`. Needs the passcode
/// again where one is set.
///
/// # Safety
/// The texts are as they say, `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_purge(
    session: KeepwellSession,
    resource_type: KeepwellText,
    id: KeepwellText,
    reason: KeepwellText,
    passcode_text: KeepwellText,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let session = registry::get::<Session>(session.id)?;
        // SAFETY: by the contract above.
        let (kind, id, reason, passcode) =
            unsafe { (resource_type.resource_type()?, id.text()?, reason.text()?, passcode(passcode_text)?) };
        session.elevate(passcode.as_ref())?.purge(kind, id, reason)?;
        Ok::<(), Failure>(())
    })
}

/// Removes a patient and everything in its compartment for good, as `keepwell_purge`. `resources`, unless null, gets how
/// many that were.
///
/// # Safety
/// The texts are as they say, `resources` and `error` are null or point to memory for theirs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_purge_patient(
    session: KeepwellSession,
    id: KeepwellText,
    reason: KeepwellText,
    passcode_text: KeepwellText,
    resources: *mut u64,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let session = registry::get::<Session>(session.id)?;
        // SAFETY: by the contract above.
        let (id, reason, passcode) = unsafe { (id.text()?, reason.text()?, passcode(passcode_text)?) };
        let purged = session.elevate(passcode.as_ref())?.purge_patient(id, reason)?;
        // SAFETY: by the contract above.
        unsafe { output::offer(purged, resources) };
        Ok(())
    })
}
