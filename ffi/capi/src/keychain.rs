//! A keychain of the host: Android Keystore, a KMS, whatever the app trusts.

use std::ffi::{c_char, c_void};
use std::ptr;

use keepwell_store::vault::{Keychain, KeychainError, SECRET_MAX_BYTES, Secret};
use zeroize::Zeroizing;

use crate::boundary::callback;
use crate::error::Bug;
use crate::input::KeepwellText;

/// What a callback of a keychain answers.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepwellKeychainAnswer {
    /// Done.
    Done = 0,
    /// There surely is no such item.
    None = 1,
    /// The keychain is locked, or it cannot tell whether the item exists.
    Locked = 2,
    /// There is no keychain.
    Unavailable = 3,
    /// The platform destroyed the key for good.
    Invalidated = 4,
    /// Anything else.
    Failed = 5,
}

/// Where the secret half of a store's key lives. The functions are called from one thread at a time for each store,
/// but from any thread, also after the call that they were given to has returned; they may block, and must not call
/// this library. They answer with a `KeepwellKeychainAnswer`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KeepwellKeychain {
    /// Handed to each function. It outlives the store.
    pub context: *mut c_void,
    /// Copies the secret `name` to `secret`, which has room for 256 bytes, and its length to `length`.
    pub get: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            name: *const c_char,
            name_length: usize,
            secret: *mut u8,
            length: *mut usize,
        ) -> i32,
    >,
    /// Stores a secret durably, in place of the old one.
    pub set: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            name: *const c_char,
            name_length: usize,
            secret: *const u8,
            length: usize,
        ) -> i32,
    >,
    /// Deletes a secret; it is no failure if there is none.
    pub remove:
        Option<unsafe extern "C" fn(context: *mut c_void, name: *const c_char, name_length: usize) -> i32>,
    /// Calls `tell` with the name of each secret.
    pub list: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            tell: unsafe extern "C" fn(to: *mut c_void, name: *const c_char, name_length: usize),
            to: *mut c_void,
        ) -> i32,
    >,
}

/// The host's keychain as the vault asks it.
pub(crate) struct HostKeychain {
    context: *mut c_void,
    get: unsafe extern "C" fn(*mut c_void, *const c_char, usize, *mut u8, *mut usize) -> i32,
    set: unsafe extern "C" fn(*mut c_void, *const c_char, usize, *const u8, usize) -> i32,
    remove: unsafe extern "C" fn(*mut c_void, *const c_char, usize) -> i32,
    list: unsafe extern "C" fn(
        *mut c_void,
        unsafe extern "C" fn(*mut c_void, *const c_char, usize),
        *mut c_void,
    ) -> i32,
}

// SAFETY: the header demands functions that may be called from any thread, with a context that outlives the store.
unsafe impl Send for HostKeychain {}
// SAFETY: as above; the vault makes one call at a time.
unsafe impl Sync for HostKeychain {}

impl HostKeychain {
    pub(crate) fn new(callbacks: &KeepwellKeychain) -> Result<Self, Bug> {
        let KeepwellKeychain { context, get, set, remove, list } = *callbacks;
        match (get, set, remove, list) {
            (Some(get), Some(set), Some(remove), Some(list)) => Ok(Self { context, get, set, remove, list }),
            _ => Err(Bug::Null),
        }
    }
}

impl Keychain for HostKeychain {
    fn get(&self, item: &str) -> Result<Option<Secret>, KeychainError> {
        let mut secret = Zeroizing::new(vec![0_u8; SECRET_MAX_BYTES]);
        let mut length = 0_usize;
        // SAFETY: the host's function gets a name, and room for a secret, that live during the call.
        let answer = callback(|| unsafe {
            (self.get)(self.context, item.as_ptr().cast(), item.len(), secret.as_mut_ptr(), &raw mut length)
        });
        match answer {
            0 if length <= SECRET_MAX_BYTES => {
                secret.truncate(length);
                Ok(Some(secret))
            }
            1 => Ok(None),
            answer => Err(refusal(answer)),
        }
    }

    fn set(&self, item: &str, secret: &[u8]) -> Result<(), KeychainError> {
        // SAFETY: name and secret live during the call.
        done(callback(|| unsafe {
            (self.set)(self.context, item.as_ptr().cast(), item.len(), secret.as_ptr(), secret.len())
        }))
    }

    fn delete(&self, item: &str) -> Result<(), KeychainError> {
        // SAFETY: the name lives during the call.
        match callback(|| unsafe { (self.remove)(self.context, item.as_ptr().cast(), item.len()) }) {
            1 => Ok(()),
            answer => done(answer),
        }
    }

    fn items(&self) -> Result<Vec<String>, KeychainError> {
        let mut names: Vec<String> = Vec::new();
        // SAFETY: `take_name` is told of a vector that lives during the call, and by nobody else.
        let answer =
            callback(|| unsafe { (self.list)(self.context, take_name, ptr::from_mut(&mut names).cast()) });
        done(answer).map(|()| names)
    }

    fn kind(&self) -> &'static str {
        "host"
    }
}

/// # Safety
/// `to` is the vector that [`HostKeychain::items`] passed, `name` points to `length` bytes.
unsafe extern "C" fn take_name(to: *mut c_void, name: *const c_char, length: usize) {
    // SAFETY: by the contract above.
    let (names, name) = unsafe {
        (&mut *to.cast::<Vec<String>>(), KeepwellText { data: name, length }.text().unwrap_or_default())
    };
    names.push(name.to_owned());
}

fn done(answer: i32) -> Result<(), KeychainError> {
    if answer == 0 { Ok(()) } else { Err(refusal(answer)) }
}

fn refusal(answer: i32) -> KeychainError {
    match answer {
        2 => KeychainError::Locked,
        3 => KeychainError::Unavailable,
        4 => KeychainError::Invalidated,
        _ => KeychainError::Failed,
    }
}
