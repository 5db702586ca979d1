//! In and out: NDJSON and Bundles, exports in clear, encrypted archives.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keepwell_store::{ExportOptions, ImportOptions, ImportReport, ImportSource, OnError, Session};

use crate::boundary::{boundary, callback};
use crate::buffer::{self, KeepwellBuffer};
use crate::error::{Bug, Failure};
use crate::handle::{KeepwellError, KeepwellSession};
use crate::input::KeepwellText;
use crate::registry;
use crate::session::{KeepwellWrite, Sink};
use crate::store::{self, passcode};

/// Told how far a transfer has come: resources that are dealt with. 0 to go on, anything else to end it. It must not
/// call this library.
pub type KeepwellProgress = Option<unsafe extern "C" fn(context: *mut c_void, resources: u64) -> i32>;

/// Skip records that cannot be stored and report them, instead of stopping at the first.
pub const KEEPWELL_IMPORT_SKIP: u32 = 1;
/// Store resources that break the rules of their type.
pub const KEEPWELL_IMPORT_ACCEPT_INVALID: u32 = 2;
/// Make `urn:uuid:` links between the entries of a Bundle point to the stored resources.
pub const KEEPWELL_IMPORT_REWRITE_REFERENCES: u32 = 4;
/// Store Bundles as they are instead of their entries.
pub const KEEPWELL_IMPORT_KEEP_BUNDLES: u32 = 8;

fn options(flags: u32) -> Result<ImportOptions, Bug> {
    let known = KEEPWELL_IMPORT_SKIP
        | KEEPWELL_IMPORT_ACCEPT_INVALID
        | KEEPWELL_IMPORT_REWRITE_REFERENCES
        | KEEPWELL_IMPORT_KEEP_BUNDLES;
    if flags & !known != 0 {
        return Err(Bug::Value);
    }
    Ok(ImportOptions {
        on_error: if flags & KEEPWELL_IMPORT_SKIP == 0 { OnError::Stop } else { OnError::Skip },
        accept_invalid: flags & KEEPWELL_IMPORT_ACCEPT_INVALID != 0,
        rewrite_references: flags & KEEPWELL_IMPORT_REWRITE_REFERENCES != 0,
        keep_bundles: flags & KEEPWELL_IMPORT_KEEP_BUNDLES != 0,
        ..ImportOptions::default()
    })
}

fn report(done: &ImportReport) -> Vec<u8> {
    let refusals: Vec<_> = done
        .refusals
        .iter()
        .map(|refusal| serde_json::json!({ "record": refusal.record, "code": refusal.code }))
        .collect();
    serde_json::json!({
        "created": done.created,
        "updated": done.updated,
        "unchanged": done.unchanged,
        "refused": done.refused,
        "resumed": done.resumed,
        "refusals": refusals,
        "linksKept": done.links_kept,
    })
    .to_string()
    .into_bytes()
}

/// Imports a file of Bundles or NDJSON, as it is or compressed with gzip or zstd. An import that was interrupted, by a
/// lock or by `progress` for two, goes on where it was when it is called again. `flags`: `KEEPWELL_IMPORT_...`. Gives a
/// JSON object: "created", "updated", "unchanged", "refused", "resumed" (stored by an earlier run), "refusals" (the first
/// thousand, with "record" and "code") and "linksKept" (`urn:uuid:` links between entries that stayed as they were, for
/// want of `KEEPWELL_IMPORT_REWRITE_REFERENCES`).
///
/// # Safety
/// `path` is as it says; `progress` may be called with `context` during this call; `done` is null or points to memory
/// for a buffer, `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_import_file(
    session: KeepwellSession,
    path: KeepwellText,
    flags: u32,
    progress: KeepwellProgress,
    context: *mut c_void,
    done: *mut KeepwellBuffer,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        // SAFETY: by the contract above.
        let path = unsafe { path.path() }?;
        // SAFETY: by the contract above.
        unsafe { import(session, ImportSource::file(&path), flags, progress, context, done) }
    })
}

/// As `keepwell_import_file`, of what is in memory. `name` is that of the source, for going on after an interruption.
///
/// # Safety
/// As `keepwell_import_file`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_import(
    session: KeepwellSession,
    name: KeepwellText,
    data: KeepwellText,
    flags: u32,
    progress: KeepwellProgress,
    context: *mut c_void,
    done: *mut KeepwellBuffer,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        // SAFETY: by the contract above.
        let (name, data) = unsafe { (name.text()?, data.bytes()?) };
        // SAFETY: by the contract above.
        unsafe { import(session, ImportSource::reader(name, data), flags, progress, context, done) }
    })
}

/// # Safety
/// As [`keepwell_import_file`].
unsafe fn import(
    session: KeepwellSession,
    source: ImportSource<'_>,
    flags: u32,
    progress: KeepwellProgress,
    context: *mut c_void,
    done: *mut KeepwellBuffer,
) -> Result<(), Failure> {
    let session = registry::get::<Session>(session.id)?;
    let cancel = Arc::new(AtomicBool::new(false));
    let options = ImportOptions { cancel: Some(cancel.clone()), ..options(flags)? };
    let imported = session.import(source, &options, &mut |come| {
        if let Some(progress) = progress {
            // SAFETY: the caller waits for its own call, during which this may be called.
            let answer = callback(|| unsafe { progress(context, come.resources) });
            cancel.store(answer != 0, Ordering::Relaxed);
        }
    })?;
    if !done.is_null() {
        // SAFETY: by the contract above.
        unsafe { buffer::give(report(&imported), done) }?;
    }
    Ok(())
}

/// Hands all current versions to `write`, piece by piece, as NDJSON in clear. Needs the passcode again where one is
/// set.
///
/// # Safety
/// `write` may be called with `context` during this call; `passcode_text` is as it says; `error` is null or points to
/// memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_export(
    session: KeepwellSession,
    passcode_text: KeepwellText,
    write: KeepwellWrite,
    context: *mut c_void,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let session = registry::get::<Session>(session.id)?;
        // SAFETY: by the contract above.
        let passcode = unsafe { passcode(passcode_text) }?;
        let mut out = Sink { write: write.ok_or(Bug::Null)?, context };
        let privileged = session.elevate(passcode.as_ref())?;
        privileged.export(&mut out, &ExportOptions::default(), &mut |_| ())?;
        Ok(())
    })
}

/// Hands the whole store to `write` as an archive that `passphrase` opens on any device.
///
/// # Safety
/// As `keepwell_export`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_archive(
    session: KeepwellSession,
    passcode_text: KeepwellText,
    passphrase: KeepwellText,
    write: KeepwellWrite,
    context: *mut c_void,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let session = registry::get::<Session>(session.id)?;
        // SAFETY: by the contract above.
        let (old, phrase) = unsafe { (passcode(passcode_text)?, store::passphrase(passphrase)?) };
        let mut out = Sink { write: write.ok_or(Bug::Null)?, context };
        session.elevate(old.as_ref())?.archive(&phrase, &mut out)?;
        Ok(())
    })
}
