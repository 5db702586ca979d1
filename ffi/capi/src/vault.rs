//! Keys and factors: passcode, recovery, rotation.

use keepwell_store::{Session, Store};

use crate::boundary::boundary;
use crate::error::Bug;
use crate::handle::{KeepwellError, KeepwellSession, KeepwellStore};
use crate::input::KeepwellText;
use crate::output;
use crate::registry;
use crate::store::{HeldStore, KeepwellStoreOptions, passcode};

/// Sets or changes the passcode; an empty `new_passcode` makes the keychain alone open the store again. `passcode_now`
/// is needed where one is set.
///
/// # Safety
/// The texts are as they say, `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_set_passcode(
    session: KeepwellSession,
    passcode_now: KeepwellText,
    new_passcode: KeepwellText,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let session = registry::get::<Session>(session.id)?;
        // SAFETY: by the contract above.
        let (now, new) = unsafe { (passcode(passcode_now)?, passcode(new_passcode)?) };
        let privileged = session.elevate(now.as_ref())?;
        match new {
            Some(new) => privileged.set_passcode(&new)?,
            None => privileged.remove_passcode()?,
        }
        Ok(())
    })
}

/// Sets the passphrase with which `keepwell_store_recover` opens the store when the keychain is lost.
///
/// # Safety
/// As `keepwell_set_passcode`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_set_recovery(
    session: KeepwellSession,
    passcode_now: KeepwellText,
    passphrase: KeepwellText,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let session = registry::get::<Session>(session.id)?;
        // SAFETY: by the contract above.
        let (now, passphrase) = unsafe { (passcode(passcode_now)?, passcode(passphrase)?) };
        let passphrase = passphrase.ok_or(keepwell_store::Error::Argument("recovery needs a passphrase"))?;
        Ok(session.elevate(now.as_ref())?.set_recovery(&passphrase)?)
    })
}

/// Opens a store whose keychain item or passcode is lost with its recovery passphrase, and leaves it unlocked: under a
/// new secret in the keychain of `options`, and `new_passcode` unless that is empty.
///
/// # Safety
/// As `keepwell_store_create`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_store_recover(
    options: *const KeepwellStoreOptions,
    passphrase: KeepwellText,
    new_passcode: KeepwellText,
    store: *mut KeepwellStore,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        // SAFETY: by the contract above; null is looked for.
        let options = unsafe { *options.as_ref().ok_or(Bug::Null)? };
        if store.is_null() {
            return Err(Bug::Null.into());
        }
        // SAFETY: by the contract above.
        let (passphrase, new) = unsafe { (passcode(passphrase)?, passcode(new_passcode)?) };
        let passphrase = passphrase.ok_or(keepwell_store::Error::Argument("recovery needs a passphrase"))?;
        // SAFETY: by the contract above.
        let (path, (options, sync)) = unsafe { (options.path.path()?, options.to_options()?) };
        let opened = HeldStore { store: Store::recover(&path, options, &passphrase, new.as_ref())?, sync };
        // SAFETY: not null, and by the contract above it may be written.
        Ok(unsafe { output::give(KeepwellStore { id: registry::insert(opened) }, store) }?)
    })
}

/// Puts the keys under a new secret in the keychain; with `database`, encrypts the database anew under a new key as
/// well, which takes as long as copying it.
///
/// # Safety
/// As `keepwell_set_passcode`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_rotate_keys(
    session: KeepwellSession,
    passcode_now: KeepwellText,
    database: bool,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let session = registry::get::<Session>(session.id)?;
        // SAFETY: by the contract above.
        let now = unsafe { passcode(passcode_now) }?;
        let privileged = session.elevate(now.as_ref())?;
        privileged.rotate_kek()?;
        if database {
            privileged.rotate_database_key()?;
        }
        Ok(())
    })
}
