//! The keychain of the platform.
//!
//! | platform | store | setting |
//! |---|---|---|
//! | Linux, BSD | Secret Service | text (base64url), which KDE Wallet needs |
//! | iOS, macOS | data protection keychain | after first unlock, this device only; never synchronised |
//! | Windows | Credential Manager | persistence `Local`, which does not roam |
//!
//! On Android a host implements [`Keychain`] over its own Keystore key, because only the host can ask for
//! StrongBox and for user authentication.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use keyring_core::{CredentialStore, Entry, Error as PlatformError};
use zeroize::Zeroizing;

use super::{Keychain, KeychainError, Secret};
use crate::bytes;

#[cfg(target_vendor = "apple")]
use apple_native_keyring_store::protected::Store;
#[cfg(windows)]
use windows_native_keyring_store::Store;
#[cfg(all(unix, not(target_vendor = "apple")))]
use zbus_secret_service_keyring_store::Store;

#[cfg(all(unix, not(target_vendor = "apple")))]
mod settings {
    pub(super) const KIND: &str = "secret-service";
    pub(super) const MODIFIERS: &[(&str, &str)] = &[];
    pub(super) const DELETE_BEFORE_SET: bool = false;

    pub(super) fn says_locked(_error: &(dyn std::error::Error + 'static)) -> bool {
        false
    }
}

#[cfg(target_vendor = "apple")]
mod settings {
    pub(super) const KIND: &str = "apple";
    pub(super) const MODIFIERS: &[(&str, &str)] = &[("access-policy", "after-first-unlock-this-device-only")];
    /// Setting an existing item changes only its value: an old, weaker class would stay.
    pub(super) const DELETE_BEFORE_SET: bool = true;
    /// `errSecInteractionNotAllowed`: the device is locked.
    const INTERACTION_NOT_ALLOWED: i32 = -25308;

    pub(super) fn says_locked(error: &(dyn std::error::Error + 'static)) -> bool {
        error
            .downcast_ref::<security_framework::base::Error>()
            .is_some_and(|error| error.code() == INTERACTION_NOT_ALLOWED)
    }
}

#[cfg(windows)]
mod settings {
    pub(super) const KIND: &str = "windows";
    pub(super) const MODIFIERS: &[(&str, &str)] = &[("persistence", "Local")];
    pub(super) const DELETE_BEFORE_SET: bool = false;

    pub(super) fn says_locked(_error: &(dyn std::error::Error + 'static)) -> bool {
        false
    }
}

/// Answers whether protected data can be read now, for example `isProtectedDataAvailable` on iOS.
type Availability = Box<dyn Fn() -> bool + Send + Sync>;

/// The keychain of this platform, for one service.
pub struct SystemKeychain {
    service: String,
    available: Option<Availability>,
    /// Connected with the first call: connecting may block, and a host may never need it.
    store: Mutex<Option<Arc<CredentialStore>>>,
}

impl SystemKeychain {
    /// Items are filed under `service`, the reverse domain name of the host program. Does not connect yet.
    #[must_use]
    pub fn new(service: impl Into<String>) -> Self {
        Self { service: service.into(), available: None, store: Mutex::new(None) }
    }

    /// The host says when protected data can be read (iOS before the first unlock).
    #[must_use]
    pub fn with_availability(mut self, available: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.available = Some(Box::new(available));
        self
    }

    fn store(&self) -> Result<Arc<CredentialStore>, KeychainError> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = &*store {
            return Ok(Arc::clone(store));
        }
        let connected: Arc<CredentialStore> = Store::new().map_err(|_| KeychainError::Unavailable)?;
        Ok(Arc::clone(store.insert(connected)))
    }

    fn entry(&self, item: &str) -> Result<Entry, KeychainError> {
        let modifiers: HashMap<_, _> = settings::MODIFIERS.iter().copied().collect();
        self.store()?.build(&self.service, item, Some(&modifiers)).map_err(|error| self.failure(&error))
    }

    /// Drops the connection after a failure of the platform, so that a restarted service is found again.
    fn failure(&self, error: &PlatformError) -> KeychainError {
        match error {
            PlatformError::PlatformFailure(error) if settings::says_locked(&**error) => KeychainError::Locked,
            PlatformError::PlatformFailure(_) => {
                *self.store.lock().unwrap_or_else(PoisonError::into_inner) = None;
                KeychainError::Failed
            }
            PlatformError::NoStorageAccess(_) => KeychainError::Locked,
            PlatformError::Ambiguous(_) => KeychainError::Duplicate,
            PlatformError::TooLong(..) | PlatformError::Invalid(..) => KeychainError::Refused,
            PlatformError::NoDefaultStore | PlatformError::NotSupportedByStore(_) => {
                KeychainError::Unavailable
            }
            _ => KeychainError::Failed,
        }
    }
}

impl Keychain for SystemKeychain {
    fn get(&self, item: &str) -> Result<Option<Secret>, KeychainError> {
        let text = match self.entry(item)?.get_secret() {
            Ok(text) => Zeroizing::new(text),
            Err(PlatformError::NoEntry) => return Ok(None),
            Err(error) => return Err(self.failure(&error)),
        };
        std::str::from_utf8(&text).ok().and_then(bytes::decode).map(Some).ok_or(KeychainError::Failed)
    }

    fn set(&self, item: &str, secret: &[u8]) -> Result<(), KeychainError> {
        if settings::DELETE_BEFORE_SET {
            self.delete(item)?;
        }
        let text = bytes::encode(secret);
        self.entry(item)?.set_secret(text.as_bytes()).map_err(|error| self.failure(&error))
    }

    fn delete(&self, item: &str) -> Result<(), KeychainError> {
        match self.entry(item)?.delete_credential() {
            Ok(()) | Err(PlatformError::NoEntry) => Ok(()),
            Err(error) => Err(self.failure(&error)),
        }
    }

    fn items(&self) -> Result<Vec<String>, KeychainError> {
        let found =
            self.store()?.search(&search_terms(&self.service)).map_err(|error| self.failure(&error))?;
        let mut names: Vec<_> = found
            .iter()
            .filter_map(Entry::get_specifiers)
            .filter(|(service, _)| *service == self.service)
            .map(|(_, item)| item)
            .collect();
        names.sort();
        Ok(names)
    }

    fn is_available(&self) -> bool {
        self.available.as_ref().is_none_or(|available| available())
    }

    fn kind(&self) -> &'static str {
        settings::KIND
    }
}

#[cfg(not(windows))]
fn search_terms(service: &str) -> HashMap<&str, &str> {
    HashMap::from([("service", service)])
}

/// Credential Manager searches target names by pattern; the service is compared afterwards.
#[cfg(windows)]
fn search_terms(_service: &str) -> HashMap<&str, &str> {
    HashMap::from([("pattern", ".*")])
}
