//! Sync of a store with its server, and what a person has to decide.

use std::ffi::{c_char, c_void};

use keepwell_client::{ClientOptions, Conflict, DeviceSync, Error, Offer, Policy, Report, Resolution};
use keepwell_protocol::{Body, ParkKind};
use keepwell_store::fhir::ResourceType;
use keepwell_tls::Invitation;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::boundary::{boundary, callback};
use crate::buffer::{self, KeepwellBuffer};
use crate::error::{Bug, Failure};
use crate::handle::{KeepwellError, KeepwellStore, KeepwellSync};
use crate::input::KeepwellText;
use crate::output;
use crate::registry;
use crate::session::actor;
use crate::store::HeldStore;
use crate::transfer::KeepwellProgress;

/// Nothing is sent and nothing fetched.
pub const KEEPWELL_SYNC_PAUSED: u32 = 1;
/// The network costs money: attachments wait.
pub const KEEPWELL_SYNC_METERED: u32 = 2;
/// Nobody looks at the app: it tries less often.
pub const KEEPWELL_SYNC_BACKGROUND: u32 = 4;

/// What becomes of a conflict.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepwellResolution {
    /// It goes on waiting for a person. Answered by a `KeepwellResolver` only.
    Later = 0,
    /// What everybody sees stays; the losing edit is given up.
    KeepTheirs = 1,
    /// The losing edit takes its place: its content, or its deletion.
    TakeMine = 2,
    /// Other content takes its place: the resource with its type and id.
    Edited = 3,
    /// The resource is deleted, whoever edited it.
    Delete = 4,
}

/// Decides about a conflict, an element of what `keepwell_sync_conflicts` gives, as a `KeepwellResolution`. For
/// `KEEPWELL_RESOLUTION_EDITED` it has called `give` with the content. It must not call this library.
pub type KeepwellResolver = Option<
    unsafe extern "C" fn(
        context: *mut c_void,
        conflict: *const c_char,
        length: usize,
        give: unsafe extern "C" fn(to: *mut c_void, content: *const c_char, length: usize),
        to: *mut c_void,
    ) -> i32,
>;

/// Takes hold of the sync of a store. What it does is recorded under this user, app and device. One handle for a store
/// is enough, for any number of threads.
///
/// # Safety
/// The texts are as they say, `sync` points to memory for one, `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_sync_open(
    store: KeepwellStore,
    user: KeepwellText,
    app: KeepwellText,
    device: KeepwellText,
    sync: *mut KeepwellSync,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        if sync.is_null() {
            return Err(Bug::Null.into());
        }
        // SAFETY: by the contract above.
        let options = ClientOptions::new(unsafe { actor(user, app, device) }?);
        let held = registry::get::<HeldStore>(store.id)?;
        let opened = DeviceSync::new(held.store.clone(), held.sync.clone(), options);
        // SAFETY: not null, and by the contract above it may be written.
        Ok(unsafe { output::give(KeepwellSync { id: registry::insert(opened) }, sync) }?)
    })
}

/// Uses an invitation of the server's operator, the text that begins with "KEEPWELL:": from now on what is saved is
/// sent, and so is what is in the store already. `name` is what the device is called in the operator's list. After a
/// failure of the network, try again with the same invitation.
///
/// # Safety
/// The texts are as they say, `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_sync_enrol(
    sync: KeepwellSync,
    invitation: KeepwellText,
    name: KeepwellText,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let sync = registry::get::<DeviceSync>(sync.id)?;
        // SAFETY: by the contract above.
        let (invitation, name) = unsafe { (invitation.text()?.trim(), name.text()?) };
        let invitation: Invitation = invitation.parse().map_err(Error::from)?;
        sync.client().enrol(&invitation, name)?;
        Ok(())
    })
}

/// Takes newer pins of the server from a document that its operator has signed, when they cannot come from the server
/// (464, 465): its key was changed while this device was away, or its pins have expired. `is_new`, unless null, gets
/// whether they were not known before. Codes 451 to 456 say what is wrong with the document: the pins stay as they were.
///
/// # Safety
/// `document` is as it says, `is_new` and `error` are null or point to memory for theirs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_sync_install_pins(
    sync: KeepwellSync,
    document: KeepwellText,
    is_new: *mut bool,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let sync = registry::get::<DeviceSync>(sync.id)?;
        // SAFETY: by the contract above.
        let offer = sync.client().install_pins(unsafe { document.text() }?)?;
        // SAFETY: by the contract above.
        unsafe { output::offer(offer == Offer::Installed, is_new) };
        Ok(())
    })
}

/// Sends what waits and fetches what is new; blocks until there is nothing more, or the server cannot be reached: then
/// "problem" of the report is the code. `progress` is told the edits and resources dealt with, and may end the round;
/// so may `keepwell_sync_cancel`. Gives the report, a JSON object of what was done since the handle was opened: "applied"
/// (edits that became versions on the server), "stored" (resources that came), "rows" (what the server told in all),
/// "merged", "lost" and of these "rejected" and "parked", "kept" (edits that would have made a resource of no scope: it is
/// on this device only), "purged" (resources in no scope of this device any more), "requests", "sentBytes",
/// "receivedBytes" and "problem" (a code or null).
///
/// Code 423: the server ordered the store to be wiped, and it is gone. 424: it must meet its server before it can be
/// unlocked again.
///
/// # Safety
/// `progress` may be called with `context` during this call; `report` is null or points to memory for a buffer, `error`
/// is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_sync_run(
    sync: KeepwellSync,
    progress: KeepwellProgress,
    context: *mut c_void,
    report: *mut KeepwellBuffer,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let sync = registry::get::<DeviceSync>(sync.id)?;
        let done = sync.round(&mut |come, cancel| {
            if let Some(progress) = progress {
                // SAFETY: the caller waits for its own call, during which this may be called.
                if callback(|| unsafe { progress(context, come.rows + come.applied) }) != 0 {
                    cancel.cancel();
                }
            }
        })?;
        if !report.is_null() {
            // SAFETY: by the contract above.
            unsafe { buffer::give(report_json(&done).to_string().into_bytes(), report) }?;
        }
        Ok(())
    })
}

/// Ends the round that `keepwell_sync_run` is in on another thread: it returns 419. What was done stays done.
#[unsafe(no_mangle)]
pub extern "C" fn keepwell_sync_cancel(sync: KeepwellSync) -> i32 {
    boundary(std::ptr::null_mut(), || {
        registry::get::<DeviceSync>(sync.id)?.cancel();
        Ok(())
    })
}

/// Syncs on a thread of its own from now on: when something is saved, when the server says that there is something, and
/// from time to time. It is no mistake if it does already.
///
/// # Safety
/// `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_sync_start(sync: KeepwellSync, error: *mut KeepwellError) -> i32 {
    boundary(error, || Ok(registry::get::<DeviceSync>(sync.id)?.start()?))
}

/// Ends what `keepwell_sync_start` began; what had ended it before is the error. None is no mistake.
///
/// # Safety
/// `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_sync_stop(sync: KeepwellSync, error: *mut KeepwellError) -> i32 {
    boundary(error, || Ok(registry::get::<DeviceSync>(sync.id)?.stop()?))
}

/// Tells the thread of `keepwell_sync_start` that the network is back, or that somebody wants to see what is new.
///
/// # Safety
/// `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_sync_wake(sync: KeepwellSync, error: *mut KeepwellError) -> i32 {
    boundary(error, || {
        registry::get::<DeviceSync>(sync.id)?.nudge();
        Ok(())
    })
}

/// What the thread of `keepwell_sync_start` may use from now on: `KEEPWELL_SYNC_...`, or 0 for everything.
///
/// # Safety
/// `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_sync_set_policy(
    sync: KeepwellSync,
    flags: u32,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        if flags & !(KEEPWELL_SYNC_PAUSED | KEEPWELL_SYNC_METERED | KEEPWELL_SYNC_BACKGROUND) != 0 {
            return Err(Bug::Value.into());
        }
        registry::get::<DeviceSync>(sync.id)?.set_policy(Policy {
            is_paused: flags & KEEPWELL_SYNC_PAUSED != 0,
            is_metered: flags & KEEPWELL_SYNC_METERED != 0,
            is_background: flags & KEEPWELL_SYNC_BACKGROUND != 0,
            ..Policy::default()
        });
        Ok(())
    })
}

/// How it stands, as a JSON object: "device" and "tenant" (null before the store is enrolled), "pending" (resources with
/// an edit that the server does not have), "conflicts", "scopes", "hydrating" (scopes still being fetched), "met" and
/// "leaseUntil" (times or null), "localTypes"; of a plain FHIR server "fhirServer" (its address or null) and
/// "unavailable" (resources that it shows no more); and of the thread of `keepwell_sync_start` "running" and "problem" (a
/// code or null).
///
/// # Safety
/// `status` points to memory for a buffer, `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_sync_status(
    sync: KeepwellSync,
    status: *mut KeepwellBuffer,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let sync = registry::get::<DeviceSync>(sync.id)?;
        let now = sync.client().status()?;
        let json = json!({
            "device": now.device.map(|id| id.to_string()),
            "tenant": now.tenant.map(|id| id.to_string()),
            "pending": now.pending,
            "conflicts": now.conflicts,
            "scopes": now.scopes,
            "hydrating": now.hydrating,
            "met": now.met.map(|met| met.to_string()),
            "leaseUntil": now.lease.map(|lease| lease.until.to_string()),
            "localTypes": now.local_types.iter().map(|kind| kind.name()).collect::<Vec<_>>(),
            "fhirServer": now.fhir_server,
            "unavailable": now.unavailable,
            "running": sync.is_running(),
            "problem": sync.problem(),
        });
        // SAFETY: by the contract above.
        Ok(unsafe { buffer::give(json.to_string().into_bytes(), status) }?)
    })
}

/// The edits that lost and that a person has to look at, oldest first, as a JSON array of objects: "id", "kind",
/// "resourceType", "resourceId", "version" (of the resource as it is now, or null), "at", "paths" and "reasons" (why;
/// of a parked edit "no-grant", "read-only", "group" or "other"), "advice" (what a person can do, an English sentence),
/// "archived", and the resources "base", "mine", "theirs" and "outcome", or null. Where "base" and "mine" are null the edit
/// may no longer be here, and taking it gives code 449.
///
/// # Safety
/// `conflicts` points to memory for a buffer, `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_sync_conflicts(
    sync: KeepwellSync,
    conflicts: *mut KeepwellBuffer,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let found = registry::get::<DeviceSync>(sync.id)?.client().conflicts()?;
        let shown: Vec<_> = found.iter().map(Shown::of).collect();
        // SAFETY: by the contract above.
        Ok(unsafe { buffer::give(json_of(&shown), conflicts) }?)
    })
}

/// Does what a person decided about a conflict, a `KeepwellResolution` other than later. `version` is that of the
/// conflict as it was shown, 0 for null: code 422 if the resource has changed since. `content` is for
/// `KEEPWELL_RESOLUTION_EDITED`.
///
/// # Safety
/// The texts are as they say, `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_sync_resolve(
    sync: KeepwellSync,
    conflict: KeepwellText,
    version: u64,
    resolution: i32,
    content: KeepwellText,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let sync = registry::get::<DeviceSync>(sync.id)?;
        // SAFETY: by the contract above.
        let (id, content) = unsafe { (conflict.text()?, content.bytes()?) };
        let resolution = decided(resolution, content)?.ok_or(Bug::Value)?;
        let found = sync.client().conflicts()?.into_iter().find(|conflict| conflict.id.as_str() == id);
        let mut seen = found.ok_or(Error::NoConflict)?;
        seen.version = Some(version).filter(|&version| version > 0);
        Ok(sync.client().resolve(&seen, &resolution)?)
    })
}

/// Asks `resolver` about each conflict, oldest first. `resolved`, unless null, gets how many were decided.
///
/// # Safety
/// `resolver` may be called with `context` during this call; `resolved` and `error` are null or point to memory for
/// theirs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_sync_resolve_each(
    sync: KeepwellSync,
    resolver: KeepwellResolver,
    context: *mut c_void,
    resolved: *mut u64,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let sync = registry::get::<DeviceSync>(sync.id)?;
        let resolver = resolver.ok_or(Bug::Null)?;
        let mut count = 0;
        for seen in sync.client().conflicts()? {
            let shown = json_of(&Shown::of(&seen));
            let mut content: Vec<u8> = Vec::new();
            let to = std::ptr::from_mut(&mut content).cast();
            // SAFETY: text and vector live during the call, and nobody else writes to the vector.
            let answer = callback(|| unsafe {
                resolver(context, shown.as_ptr().cast(), shown.len(), take_content, to)
            });
            if let Some(resolution) = decided(answer, &content)? {
                sync.client().resolve(&seen, &resolution)?;
                count += 1;
            }
        }
        // SAFETY: by the contract above.
        unsafe { output::offer(count, resolved) };
        Ok(())
    })
}

/// # Safety
/// `to` is the vector that [`keepwell_sync_resolve_each`] passed, `content` points to `length` bytes.
pub(crate) unsafe extern "C" fn take_content(to: *mut c_void, content: *const c_char, length: usize) {
    // SAFETY: by the contract above.
    let (to, content) =
        unsafe { (&mut *to.cast::<Vec<u8>>(), KeepwellText { data: content, length }.bytes()) };
    *to = content.unwrap_or_default().to_vec();
}

/// Sets the types that never leave the device, separated by commas; it holds for edits from now on. Code 420 while sync
/// goes on, also by itself.
///
/// # Safety
/// `types` is as it says, `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_sync_set_local_types(
    sync: KeepwellSync,
    types: KeepwellText,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        // SAFETY: by the contract above.
        let names = unsafe { types.text() }?.split(',').map(str::trim).filter(|name| !name.is_empty());
        let kinds = names.map(ResourceType::parse).collect::<Option<Vec<_>>>();
        let kinds = kinds.ok_or(keepwell_store::Error::Argument("not a resource type of R4"))?;
        Ok(registry::get::<DeviceSync>(sync.id)?.set_local_types(&kinds)?)
    })
}

/// Frees a handle, and ends its thread if it has one. Zero is no mistake.
#[unsafe(no_mangle)]
pub extern "C" fn keepwell_sync_free(sync: KeepwellSync) -> i32 {
    boundary(std::ptr::null_mut(), || match sync.id {
        0 => Ok(()),
        id => Ok(registry::remove::<DeviceSync>(id).map(drop)?),
    })
}

/// None: later.
fn decided(answer: i32, content: &[u8]) -> Result<Option<Resolution>, Failure> {
    Ok(match answer {
        0 => None,
        1 => Some(Resolution::KeepTheirs),
        2 => Some(Resolution::TakeMine),
        3 => Some(Resolution::Edited(content.to_vec())),
        4 => Some(Resolution::Delete),
        _ => return Err(Bug::Value.into()),
    })
}

fn report_json(report: &Report) -> Value {
    json!({
        "rows": report.rows,
        "stored": report.stored,
        "purged": report.purged,
        "applied": report.applied,
        "merged": report.merged,
        "lost": report.lost,
        "rejected": report.rejected,
        "parked": report.parked,
        "kept": report.kept,
        "requests": report.requests,
        "sentBytes": report.sent_bytes,
        "receivedBytes": report.received_bytes,
        "problem": report.last_problem,
    })
}

/// A conflict for the caller, with its resources byte for byte.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    id: &'a str,
    kind: ParkKind,
    resource_type: &'a str,
    resource_id: &'a str,
    version: Option<u64>,
    at: String,
    paths: &'a [String],
    reasons: &'a [String],
    advice: &'a str,
    archived: bool,
    base: Option<&'a RawValue>,
    mine: Option<&'a RawValue>,
    theirs: Option<&'a RawValue>,
    outcome: Option<&'a RawValue>,
}

impl<'a> Shown<'a> {
    fn of(conflict: &'a Conflict) -> Self {
        Self {
            id: conflict.id.as_str(),
            kind: conflict.kind,
            resource_type: conflict.resource_type.name(),
            resource_id: conflict.resource_id.as_str(),
            version: conflict.version,
            at: conflict.at.to_string(),
            paths: &conflict.paths,
            reasons: &conflict.reasons,
            advice: conflict.advice(),
            archived: conflict.is_archived,
            base: raw(conflict.base.as_ref()),
            mine: raw(conflict.mine.as_ref()),
            theirs: raw(conflict.theirs.as_ref()),
            outcome: raw(conflict.outcome.as_ref()),
        }
    }
}

/// A resource as JSON within JSON, with its own white space.
fn raw(body: Option<&Body>) -> Option<&RawValue> {
    body.map(|body| serde_json::from_slice(body.as_bytes()).expect("a body is JSON"))
}

fn json_of(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("texts and numbers are JSON")
}
