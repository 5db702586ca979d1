//! What only the host can do to keep a store out of backups.

use std::ffi::{c_char, c_void};
use std::io;
use std::path::Path;

use keepwell_store::vault::BackupGuard;

use crate::boundary::callback;
use crate::error::Bug;

/// Excludes a directory from backups where only the host can: `isExcludedFromBackup` on iOS, the registry on Windows.
/// Both functions are called at every open, from the calling thread, with the path as UTF-8; they must not call this
/// library.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KeepwellBackupGuard {
    /// Handed to each function. It outlives the store.
    pub context: *mut c_void,
    /// Sets the mark: 0 when it is set.
    pub apply:
        Option<unsafe extern "C" fn(context: *mut c_void, path: *const c_char, path_length: usize) -> i32>,
    /// Reads the mark back from the platform: 1 when it is set, 0 when it is not.
    pub is_applied:
        Option<unsafe extern "C" fn(context: *mut c_void, path: *const c_char, path_length: usize) -> i32>,
}

type Call = unsafe extern "C" fn(*mut c_void, *const c_char, usize) -> i32;

/// The host's guard as the vault asks it.
pub(crate) struct HostGuard {
    context: *mut c_void,
    apply: Call,
    is_applied: Call,
}

// SAFETY: the header demands a context that outlives the store and functions that any thread may call.
unsafe impl Send for HostGuard {}
// SAFETY: as above.
unsafe impl Sync for HostGuard {}

impl HostGuard {
    /// None where the host has none.
    pub(crate) fn new(callbacks: &KeepwellBackupGuard) -> Result<Option<Self>, Bug> {
        let KeepwellBackupGuard { context, apply, is_applied } = *callbacks;
        match (apply, is_applied) {
            (Some(apply), Some(is_applied)) => Ok(Some(Self { context, apply, is_applied })),
            (None, None) => Ok(None),
            _ => Err(Bug::Null),
        }
    }

    fn ask(&self, call: Call, directory: &Path) -> i32 {
        let path = directory.to_string_lossy();
        // SAFETY: the host's function gets a path that lives during the call.
        callback(|| unsafe { call(self.context, path.as_ptr().cast(), path.len()) })
    }
}

impl BackupGuard for HostGuard {
    fn apply(&self, directory: &Path) -> io::Result<()> {
        match self.ask(self.apply, directory) {
            0 => Ok(()),
            _ => Err(io::ErrorKind::Other.into()),
        }
    }

    fn is_applied(&self, directory: &Path) -> bool {
        self.ask(self.is_applied, directory) == 1
    }
}
