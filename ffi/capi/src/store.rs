//! Stores: made, opened, unlocked, locked, erased.

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keepwell_client::SyncExtension;
use keepwell_store::vault::{
    FileKeychain, Keychain, MemoryKeychain, Passcode, State, Suspicion, SystemKeychain,
};
use keepwell_store::{Session, Store, StoreOptions};

use crate::backup::{HostGuard, KeepwellBackupGuard};
use crate::boundary::boundary;
use crate::buffer;
use crate::error::{Bug, Failure};
use crate::handle::{KeepwellError, KeepwellSession, KeepwellStore};
use crate::input::KeepwellText;
use crate::keychain::{HostKeychain, KeepwellKeychain};
use crate::output;
use crate::registry;

/// Where the secret half of a store's key lives.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepwellKeychainKind {
    /// The keychain of the platform, under the name of the app.
    System = 0,
    /// The callbacks of `host`.
    Host = 1,
    /// The directory `keychain_path`, for a service whose operator protects it.
    File = 2,
    /// Nowhere: the passcode alone opens the store.
    PasscodeOnly = 3,
    /// The memory of this process, for tests: the store cannot be opened after it.
    Memory = 4,
}

/// Where a store is in its life.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepwellState {
    /// There is no store.
    Uninitialised = 0,
    /// There is a store, and its keys are not in this process.
    Locked = 1,
    /// The keys are in this process.
    Open = 2,
    /// Locked for a short while: `keepwell_store_resume` goes on.
    Suspended = 3,
    /// The key is lost or in doubt; nothing has been deleted.
    Quarantined = 4,
    /// The store is destroyed, or its destruction has begun.
    Erased = 5,
}

/// How a store is opened. Begin with `keepwell_store_options`, which fills in what a phone needs.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KeepwellStoreOptions {
    /// The directory. UTF-8.
    pub path: KeepwellText,
    /// The app, as audit events name it: 1 to 256 bytes without control characters.
    pub app: KeepwellText,
    /// The device, likewise.
    pub device: KeepwellText,
    /// A `KeepwellKeychainKind`.
    pub keychain: i32,
    /// For `KEEPWELL_KEYCHAIN_KIND_FILE`.
    pub keychain_path: KeepwellText,
    /// For `KEEPWELL_KEYCHAIN_KIND_HOST`.
    pub host: KeepwellKeychain,
    /// Milliseconds without activity until the store locks, at most 30 minutes. 0: five minutes.
    pub idle_ms: u64,
    /// Milliseconds from unlock until the store locks whatever happens. 0: two hours.
    pub session_ms: u64,
    /// Wrong passcodes in a row until the store erases itself. 0: never.
    pub erase_after: u32,
    /// Memory for decrypted pages of each reader, in KiB. 0: 8 MiB.
    pub cache_kib: u32,
    /// Whether page contents are wiped when memory is freed.
    pub memory_security: bool,
    /// Excludes the directory from backups where only the host can. Both functions null: the library's own marks only.
    pub backup_guard: KeepwellBackupGuard,
    /// A name for this place that outlives `path`, where paths change (iOS). Empty: the path.
    pub place: KeepwellText,
    /// Whether the audit record of a read is written before the read returns, instead of within a second.
    pub strict_audit: bool,
}

/// What is behind the handle of a store: every store has the tables of sync, so that it can be enrolled at any time.
pub(crate) struct HeldStore {
    pub(crate) store: Store,
    pub(crate) sync: SyncExtension,
}

impl Deref for HeldStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

/// Options for an app on a device, with the keychain of the platform.
#[unsafe(no_mangle)]
pub extern "C" fn keepwell_store_options(
    path: KeepwellText,
    app: KeepwellText,
    device: KeepwellText,
) -> KeepwellStoreOptions {
    KeepwellStoreOptions {
        path,
        app,
        device,
        keychain: KeepwellKeychainKind::System as i32,
        keychain_path: KeepwellText { data: std::ptr::null(), length: 0 },
        host: KeepwellKeychain {
            context: std::ptr::null_mut(),
            get: None,
            set: None,
            remove: None,
            list: None,
        },
        idle_ms: 0,
        session_ms: 0,
        erase_after: 0,
        cache_kib: 0,
        memory_security: true,
        backup_guard: KeepwellBackupGuard { context: std::ptr::null_mut(), apply: None, is_applied: None },
        place: KeepwellText { data: std::ptr::null(), length: 0 },
        strict_audit: false,
    }
}

impl KeepwellStoreOptions {
    /// # Safety
    /// Its texts are as [`KeepwellText::bytes`] demands.
    pub(crate) unsafe fn to_options(self) -> Result<(StoreOptions, SyncExtension), Failure> {
        // SAFETY: by the same contract.
        let (app, device) = unsafe { (self.app.text()?, self.device.text()?) };
        // SAFETY: by the same contract.
        let mut options = StoreOptions::new(app, device, unsafe { self.keychain(app) }?);
        let or_default = |ms: u64, default| if ms == 0 { default } else { Duration::from_millis(ms) };
        options.policy.idle = or_default(self.idle_ms, options.policy.idle);
        options.policy.session = or_default(self.session_ms, options.policy.session);
        options.policy.erase_after = Some(self.erase_after).filter(|&attempts| attempts > 0);
        if self.cache_kib > 0 {
            options.cache_kib = self.cache_kib;
        }
        options.memory_security = self.memory_security;
        options.strict_audit = self.strict_audit;
        options.backup_guard = HostGuard::new(&self.backup_guard)?.map(|guard| Arc::new(guard) as _);
        // SAFETY: by the same contract.
        options.place = unsafe { self.place.given() }?.map(str::to_owned);
        let sync = SyncExtension::new();
        options.extensions.push(Arc::new(sync.clone()));
        Ok((options, sync))
    }

    /// # Safety
    /// As [`Self::to_options`].
    unsafe fn keychain(self, app: &str) -> Result<Option<Arc<dyn Keychain>>, Failure> {
        Ok(match self.keychain {
            0 => Some(Arc::new(SystemKeychain::new(app))),
            1 => Some(Arc::new(HostKeychain::new(&self.host)?)),
            // SAFETY: by the same contract.
            2 => Some(Arc::new(FileKeychain::new(unsafe { self.keychain_path.path() }?))),
            3 => None,
            4 => Some(Arc::new(MemoryKeychain::new())),
            _ => return Err(Bug::Value.into()),
        })
    }
}

/// # Safety
/// As [`KeepwellText::bytes`].
pub(crate) unsafe fn passcode(text: KeepwellText) -> Result<Option<Passcode>, Failure> {
    // SAFETY: by the same contract.
    let given = unsafe { text.given() }?;
    Ok(given.map(|text| Passcode::new(text.to_owned())).transpose()?)
}

/// A passphrase that may not be left out.
///
/// # Safety
/// As [`KeepwellText::bytes`].
pub(crate) unsafe fn passphrase(text: KeepwellText) -> Result<Passcode, Failure> {
    // SAFETY: by the same contract.
    let given = unsafe { passcode(text) }?;
    Ok(given.ok_or(keepwell_store::Error::Argument("a passphrase is needed"))?)
}

/// Hands out the handle of what `open` opens with the caller's options.
///
/// # Safety
/// As `keepwell_store_create`.
pub(crate) unsafe fn opened(
    options: *const KeepwellStoreOptions,
    store: *mut KeepwellStore,
    open: impl FnOnce(&Path, StoreOptions) -> Result<Store, keepwell_store::Error>,
) -> Result<(), Failure> {
    if store.is_null() {
        return Err(Bug::Null.into());
    }
    // SAFETY: by the contract above; null is looked for.
    let options = unsafe { *options.as_ref().ok_or(Bug::Null)? };
    // SAFETY: by the contract above.
    let (path, (options, sync)) = unsafe { (options.path.path()?, options.to_options()?) };
    let held = HeldStore { store: open(&path, options)?, sync };
    // SAFETY: not null, and by the contract above it may be written.
    Ok(unsafe { output::give(KeepwellStore { id: registry::insert(held) }, store) }?)
}

/// Makes a new store in a directory that holds none, and leaves it unlocked. An empty passcode is none.
///
/// # Safety
/// `options` points to options whose texts are as they say, `store` and `error` (unless null) to memory for theirs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_store_create(
    options: *const KeepwellStoreOptions,
    passcode_text: KeepwellText,
    store: *mut KeepwellStore,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        // SAFETY: by the contract above.
        let given = unsafe { passcode(passcode_text) }?;
        // SAFETY: by the contract above.
        unsafe { opened(options, store, |path, options| Store::create(path, options, given.as_ref())) }
    })
}

/// Takes hold of the store in a directory; it stays locked until `keepwell_store_unlock`.
///
/// # Safety
/// As `keepwell_store_create`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_store_open(
    options: *const KeepwellStoreOptions,
    store: *mut KeepwellStore,
    error: *mut KeepwellError,
) -> i32 {
    // SAFETY: by the contract above.
    boundary(error, || unsafe { opened(options, store, Store::open) })
}

/// Unlocks with the keychain, and with the passcode where one is set. `adopt`: go on with a store that is older than
/// this device remembers, or a copy; otherwise that is refused.
///
/// # Safety
/// `passcode_text` is as it says, `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_store_unlock(
    store: KeepwellStore,
    passcode_text: KeepwellText,
    adopt: bool,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        // SAFETY: by the contract above.
        let passcode = unsafe { passcode(passcode_text) }?;
        let suspicion = if adopt { Suspicion::Adopt } else { Suspicion::Refuse };
        Ok(registry::get::<HeldStore>(store.id)?.unlock_with(passcode.as_ref(), suspicion)?)
    })
}

/// Ends every session, closes every connection and forgets the keys.
///
/// # Safety
/// `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_store_lock(store: KeepwellStore, error: *mut KeepwellError) -> i32 {
    boundary(error, || Ok(registry::get::<HeldStore>(store.id)?.lock()?))
}

/// As `keepwell_store_lock`, for an app that goes to the background: no file stays locked.
///
/// # Safety
/// As `keepwell_store_lock`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_store_suspend(store: KeepwellStore, error: *mut KeepwellError) -> i32 {
    boundary(error, || Ok(registry::get::<HeldStore>(store.id)?.suspend()?))
}

/// Goes on after `keepwell_store_suspend`.
///
/// # Safety
/// As `keepwell_store_unlock`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_store_resume(
    store: KeepwellStore,
    passcode_text: KeepwellText,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        // SAFETY: by the contract above.
        let passcode = unsafe { passcode(passcode_text) }?;
        Ok(registry::get::<HeldStore>(store.id)?.resume(passcode.as_ref())?)
    })
}

/// What the store is ready for, as a `KeepwellState`.
///
/// # Safety
/// `state` points to an `int32_t`, `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_store_state(
    store: KeepwellStore,
    state: *mut i32,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let found = match registry::get::<HeldStore>(store.id)?.state() {
            State::Uninitialised => KeepwellState::Uninitialised,
            State::Locked => KeepwellState::Locked,
            State::Open => KeepwellState::Open,
            State::Suspended => KeepwellState::Suspended,
            State::Quarantined => KeepwellState::Quarantined,
            State::Erased => KeepwellState::Erased,
        };
        // SAFETY: by the contract above.
        Ok(unsafe { output::give(found as i32, state) }?)
    })
}

/// What the store holds, as a JSON object: "resources", "superseded" (versions that were replaced), "attachments",
/// "auditRecords" and "bytes" on disk.
///
/// # Safety
/// `stats` points to memory for a buffer, `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_stats(
    session: KeepwellSession,
    stats: *mut buffer::KeepwellBuffer,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let found = registry::get::<Session>(session.id)?.stats()?;
        let json = serde_json::json!({
            "resources": found.resources(),
            "superseded": found.superseded,
            "attachments": found.attachments,
            "auditRecords": found.audit_records,
            "bytes": found.bytes(),
        });
        // SAFETY: by the contract above.
        Ok(unsafe { buffer::give(json.to_string().into_bytes(), stats) }?)
    })
}

/// Whether each file of the store is marked so that backups leave it out, as a JSON object.
///
/// # Safety
/// `report` points to memory for a buffer, `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_store_backup_report(
    store: KeepwellStore,
    report: *mut buffer::KeepwellBuffer,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let marks = registry::get::<HeldStore>(store.id)?.vault().apply_backup_marks()?;
        let json = serde_json::json!({ "excluded": marks.is_complete() });
        // SAFETY: by the contract above.
        Ok(unsafe { buffer::give(json.to_string().into_bytes(), report) }?)
    })
}

/// Destroys the keys, then the files, and frees the handle: nothing that was copied before can be opened with
/// anything left here. When it fails, open the store and erase it again: it goes on where it was.
///
/// # Safety
/// `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_store_erase(store: KeepwellStore, error: *mut KeepwellError) -> i32 {
    boundary(error, || {
        let store = registry::remove::<HeldStore>(store.id)?;
        // Others that use it at this moment have a clone; it is locked under them.
        store.store.clone().erase()?;
        Ok(())
    })
}

/// Frees a handle. The store closes when its sessions and feeds are freed too. Zero is no mistake.
#[unsafe(no_mangle)]
pub extern "C" fn keepwell_store_free(store: KeepwellStore) -> i32 {
    boundary(std::ptr::null_mut(), || match store.id {
        0 => Ok(()),
        id => Ok(registry::remove::<HeldStore>(id).map(drop)?),
    })
}
