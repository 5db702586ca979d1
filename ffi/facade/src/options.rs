//! How a store is opened.

use std::sync::Arc;
use std::time::Duration;

use keepwell_client::SyncExtension;
use keepwell_store::vault::{self, FileKeychain, Keychain, MemoryKeychain, Passcode, SystemKeychain};

use crate::backup::{self, BackupGuard};
use crate::boundary::Result;
use crate::keychain::{HostKeychain, OfHost};

/// Where the secret half of the key lives.
#[derive(Clone, uniffi::Enum)]
pub enum KeychainChoice {
    /// The platform's own, where the library knows it: not on Android, where the app brings its Keystore.
    System,
    /// The app's.
    Host {
        /// What is asked.
        keychain: Arc<dyn HostKeychain>,
    },
    /// Files of a directory: for servers and tests.
    File {
        /// The directory.
        directory: String,
    },
    /// None: the passcode alone opens the store.
    PasscodeOnly,
    /// The memory of this process: for tests.
    Memory,
}

/// How a store is opened.
#[derive(Clone, uniffi::Record)]
pub struct StoreOptions {
    /// The directory of the store.
    pub directory: String,
    /// The app, as the audit trail names it.
    pub app: String,
    /// The device, as the audit trail names it.
    pub device: String,
    /// Where the secret half of the key lives.
    pub keychain: KeychainChoice,
    /// Milliseconds without activity until the store locks; 5 minutes if not given.
    #[uniffi(default = None)]
    pub idle_ms: Option<i64>,
    /// Milliseconds from unlock until it locks whatever happens; 2 hours if not given.
    #[uniffi(default = None)]
    pub session_ms: Option<i64>,
    /// Wrong passcodes in a row until the store erases itself; never if not given.
    #[uniffi(default = None)]
    pub erase_after: Option<i32>,
    /// Memory for decrypted pages of each connection, in KiB; 8 MiB if not given.
    #[uniffi(default = None)]
    pub cache_kib: Option<i32>,
    /// Wipe page contents when memory is freed: up to a third of the write speed.
    #[uniffi(default = true)]
    pub memory_security: bool,
    /// Write the audit record of a read before the read returns, instead of within a second.
    #[uniffi(default = false)]
    pub strict_audit: bool,
    /// A name for the place of the store that outlives its path: iOS gives an app another path with each installation.
    /// The path if not given.
    #[uniffi(default = None)]
    pub place: Option<String>,
    /// Excludes the directory from backups where only the app can; the library's own marks only if not given.
    #[uniffi(default = None)]
    pub backup_guard: Option<Arc<dyn BackupGuard>>,
}

impl StoreOptions {
    pub(crate) fn to_options(&self, sync: &SyncExtension) -> Result<keepwell_store::StoreOptions> {
        let mut options = keepwell_store::StoreOptions::new(&self.app, &self.device, self.keychain());
        let or_default = |ms: Option<i64>, default| -> Result<Duration> {
            ms.map_or(Ok(default), |ms| Ok(Duration::from_millis(range(ms)?)))
        };
        options.policy.idle = or_default(self.idle_ms, options.policy.idle)?;
        options.policy.session = or_default(self.session_ms, options.policy.session)?;
        options.policy.erase_after = self.erase_after.map(range).transpose()?;
        options.cache_kib = self.cache_kib.map_or(Ok(options.cache_kib), range)?;
        options.memory_security = self.memory_security;
        options.strict_audit = self.strict_audit;
        options.place = self.place.clone();
        options.backup_guard = self.backup_guard.clone().map(|guard| Arc::new(backup::OfHost(guard)) as _);
        options.extensions.push(Arc::new(sync.clone()));
        Ok(options)
    }

    fn keychain(&self) -> Option<Arc<dyn Keychain>> {
        match &self.keychain {
            KeychainChoice::System => Some(Arc::new(SystemKeychain::new(&self.app))),
            KeychainChoice::Host { keychain } => Some(Arc::new(OfHost(keychain.clone()))),
            KeychainChoice::File { directory } => Some(Arc::new(FileKeychain::new(directory))),
            KeychainChoice::PasscodeOnly => None,
            KeychainChoice::Memory => Some(Arc::new(MemoryKeychain::new())),
        }
    }
}

/// A number of the app as the library has it.
pub(crate) fn range<A, B: TryFrom<A>>(number: A) -> Result<B, keepwell_store::Error> {
    B::try_from(number).map_err(|_| keepwell_store::Error::Argument("a number is out of its range"))
}

/// A passcode that may have been left out.
pub(crate) fn passcode(text: Option<String>) -> Result<Option<Passcode>, vault::Error> {
    text.map(Passcode::new).transpose()
}

/// A passcode or passphrase that may not.
pub(crate) fn needed(text: String) -> Result<Passcode, vault::Error> {
    Passcode::new(text)
}
