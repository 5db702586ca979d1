//! A keychain of the app: Android Keystore, the Apple keychain, whatever it trusts.

use std::sync::Arc;

use keepwell_store::vault::{Keychain, KeychainError, Secret};
use zeroize::Zeroizing;

use crate::boundary::callback;

/// Why a keychain of the app refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
pub enum KeychainFault {
    /// The keychain is locked, or it cannot tell whether the item exists.
    #[error("the keychain is locked")]
    Locked,
    /// There is no keychain.
    #[error("there is no keychain")]
    Unavailable,
    /// The platform destroyed the key for good.
    #[error("the key was invalidated")]
    Invalidated,
    /// Anything else.
    #[error("the keychain failed")]
    Failed,
}

impl From<uniffi::UnexpectedUniFFICallbackError> for KeychainFault {
    fn from(_: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Failed
    }
}

impl From<KeychainFault> for KeychainError {
    fn from(fault: KeychainFault) -> Self {
        match fault {
            KeychainFault::Locked => Self::Locked,
            KeychainFault::Unavailable => Self::Unavailable,
            KeychainFault::Invalidated => Self::Invalidated,
            KeychainFault::Failed => Self::Failed,
        }
    }
}

/// Where the secret half of a store's key lives. Called from one thread at a time for each store, but from any thread;
/// may block, for a prompt say, and must not call this library. Names are at most 80 of `a-z 0-9 : -`, secrets at most
/// 256 bytes.
#[uniffi::export(with_foreign)]
pub trait HostKeychain: Send + Sync {
    /// The secret with this name; nothing if there surely is none.
    ///
    /// # Errors
    /// [`KeychainFault`]
    fn get(&self, name: String) -> Result<Option<Vec<u8>>, KeychainFault>;

    /// Stores a secret, durably and for this device only, in place of the old one.
    ///
    /// # Errors
    /// [`KeychainFault`]
    fn set(&self, name: String, secret: Vec<u8>) -> Result<(), KeychainFault>;

    /// Deletes a secret; it is no failure if there is none.
    ///
    /// # Errors
    /// [`KeychainFault`]
    fn remove(&self, name: String) -> Result<(), KeychainFault>;

    /// The names of all secrets that were set here.
    ///
    /// # Errors
    /// [`KeychainFault`]
    fn names(&self) -> Result<Vec<String>, KeychainFault>;
}

/// The app's keychain as the vault asks it.
pub(crate) struct OfHost(pub(crate) Arc<dyn HostKeychain>);

impl Keychain for OfHost {
    fn get(&self, item: &str) -> Result<Option<Secret>, KeychainError> {
        Ok(callback(|| self.0.get(item.to_owned()))?.map(Zeroizing::new))
    }

    fn set(&self, item: &str, secret: &[u8]) -> Result<(), KeychainError> {
        Ok(callback(|| self.0.set(item.to_owned(), secret.to_vec()))?)
    }

    fn delete(&self, item: &str) -> Result<(), KeychainError> {
        Ok(callback(|| self.0.remove(item.to_owned()))?)
    }

    fn items(&self) -> Result<Vec<String>, KeychainError> {
        Ok(callback(|| self.0.names())?)
    }

    fn kind(&self) -> &'static str {
        "host"
    }
}
