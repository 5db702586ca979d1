//! The keychain of the platform.
//!
//! | platform | store | setting |
//! |---|---|---|
//! | Linux, BSD | Secret Service, with the feature `secret-service` | text (base64url), which KDE Wallet needs |
//! | iOS, macOS | data protection keychain | after first unlock, this device only; never synchronised |
//! | Windows | Credential Manager | persistence `Local`, which does not roam |
//!
//! On Android a host implements [`Keychain`] over its own Keystore key, because only the host can ask for
//! StrongBox and for user authentication: the keychain of the platform is unavailable there, as it is on Linux without
//! the feature.

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
#[cfg(all(unix, not(target_vendor = "apple"), not(target_os = "android"), feature = "secret-service"))]
use zbus_secret_service_keyring_store::Store;

/// Stands in where there is none.
#[cfg(all(unix, not(target_vendor = "apple"), any(target_os = "android", not(feature = "secret-service"))))]
struct Store;

#[cfg(all(unix, not(target_vendor = "apple"), any(target_os = "android", not(feature = "secret-service"))))]
impl Store {
    #[expect(clippy::new_ret_no_self, reason = "it is called as those of the platforms are")]
    fn new() -> Result<Arc<CredentialStore>, PlatformError> {
        Err(PlatformError::NoDefaultStore)
    }
}

/// How the store of a platform is used. All of them are compiled in tests, on every platform.
#[derive(Clone, Copy)]
struct Settings {
    kind: &'static str,
    modifiers: &'static [(&'static str, &'static str)],
    delete_before_set: bool,
}

#[cfg(any(test, all(unix, not(target_vendor = "apple"))))]
const SECRET_SERVICE: Settings =
    Settings { kind: "secret-service", modifiers: &[], delete_before_set: false };

#[cfg(any(test, target_vendor = "apple"))]
const APPLE: Settings = Settings {
    kind: "apple",
    modifiers: &[("access-policy", "after-first-unlock-this-device-only")],
    // Setting an existing item changes only its value: an old, weaker class would stay.
    delete_before_set: true,
};

#[cfg(any(test, windows))]
const WINDOWS: Settings =
    Settings { kind: "windows", modifiers: &[("persistence", "Local")], delete_before_set: false };

#[cfg(all(unix, not(target_vendor = "apple")))]
const PLATFORM: Settings = SECRET_SERVICE;
#[cfg(target_vendor = "apple")]
const PLATFORM: Settings = APPLE;
#[cfg(windows)]
const PLATFORM: Settings = WINDOWS;

/// Whether a failure of the platform means that the device is locked.
#[cfg(target_vendor = "apple")]
fn says_locked(error: &(dyn std::error::Error + 'static)) -> bool {
    /// `errSecInteractionNotAllowed`
    const INTERACTION_NOT_ALLOWED: i32 = -25308;
    error
        .downcast_ref::<security_framework::base::Error>()
        .is_some_and(|error| error.code() == INTERACTION_NOT_ALLOWED)
}

/// The other stores have an error of their own for it.
#[cfg(not(target_vendor = "apple"))]
fn says_locked(_error: &(dyn std::error::Error + 'static)) -> bool {
    false
}

/// Answers whether protected data can be read now, for example `isProtectedDataAvailable` on iOS.
type Availability = Box<dyn Fn() -> bool + Send + Sync>;

/// The keychain of this platform, for one service.
pub struct SystemKeychain {
    service: String,
    settings: Settings,
    available: Option<Availability>,
    /// Connected with the first call: connecting may block, and a host may never need it.
    store: Mutex<Option<Arc<CredentialStore>>>,
}

impl SystemKeychain {
    /// Items are filed under `service`, the reverse domain name of the host program. Does not connect yet.
    #[must_use]
    pub fn new(service: impl Into<String>) -> Self {
        Self { service: service.into(), settings: PLATFORM, available: None, store: Mutex::new(None) }
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
        let modifiers: HashMap<_, _> = self.settings.modifiers.iter().copied().collect();
        self.store()?.build(&self.service, item, Some(&modifiers)).map_err(|error| self.failure(&error))
    }

    /// Drops the connection after a failure of the platform, so that a restarted service is found again.
    fn failure(&self, error: &PlatformError) -> KeychainError {
        match error {
            PlatformError::PlatformFailure(error) if says_locked(&**error) => KeychainError::Locked,
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
        if self.settings.delete_before_set {
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
        self.settings.kind
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

#[cfg(test)]
mod tests;
