//! Keys and factors: passcode, recovery, rotation.

use std::fs::File;
use std::path::Path;

use keepwell_store::{Error, Session, Store};

use crate::boundary::boundary;
use crate::handle::{KeepwellError, KeepwellSession, KeepwellStore};
use crate::input::KeepwellText;
use crate::registry;
use crate::store::{self, KeepwellStoreOptions, opened, passcode};

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
        let (now, phrase) = unsafe { (passcode(passcode_now)?, store::passphrase(passphrase)?) };
        Ok(session.elevate(now.as_ref())?.set_recovery(&phrase)?)
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
        // SAFETY: by the contract above.
        let (phrase, new) = unsafe { (store::passphrase(passphrase)?, passcode(new_passcode)?) };
        let recover = |path: &Path, options| Store::recover(path, options, &phrase, new.as_ref());
        // SAFETY: by the contract above.
        unsafe { opened(options, store, recover) }
    })
}

/// Makes a store in an empty directory from the archive in the file `archive`, under new keys, and leaves it unlocked: with
/// the keychain of `options`, and `new_passcode` unless that is empty.
///
/// # Safety
/// As `keepwell_store_create`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_store_restore(
    options: *const KeepwellStoreOptions,
    archive: KeepwellText,
    passphrase: KeepwellText,
    new_passcode: KeepwellText,
    store: *mut KeepwellStore,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        // SAFETY: by the contract above.
        let (archive, phrase, new) =
            unsafe { (archive.path()?, store::passphrase(passphrase)?, passcode(new_passcode)?) };
        let restore = |path: &Path, options| {
            let mut file = File::open(&archive)
                .map_err(|error| Error::Io { step: "opening the archive", kind: error.kind() })?;
            Store::restore(&mut file, &phrase, path, options, new.as_ref())
        };
        // SAFETY: by the contract above.
        unsafe { opened(options, store, restore) }
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
