//! What only the app can do to keep a store out of backups.

use std::io;
use std::path::Path;
use std::sync::Arc;

use keepwell_store::vault;

use crate::boundary::callback;
use crate::progress::ListenerFault;

/// Excludes the directory of a store from backups where only the app can: `isExcludedFromBackup` on iOS. It is asked at
/// every open, on a thread of the library, and must not call the library.
#[uniffi::export(with_foreign)]
pub trait BackupGuard: Send + Sync {
    /// Sets the mark.
    ///
    /// # Errors
    /// [`ListenerFault`]: the mark counts as not set.
    fn exclude(&self, directory: String) -> Result<(), ListenerFault>;

    /// Reads the mark back from the platform.
    ///
    /// # Errors
    /// [`ListenerFault`]: the mark counts as not set.
    fn is_excluded(&self, directory: String) -> Result<bool, ListenerFault>;
}

/// The app's guard as the vault asks it.
pub(crate) struct OfHost(pub(crate) Arc<dyn BackupGuard>);

impl vault::BackupGuard for OfHost {
    fn apply(&self, directory: &Path) -> io::Result<()> {
        let path = directory.to_string_lossy().into_owned();
        callback(|| self.0.exclude(path)).map_err(io::Error::other)
    }

    fn is_applied(&self, directory: &Path) -> bool {
        let path = directory.to_string_lossy().into_owned();
        callback(|| self.0.is_excluded(path)).unwrap_or(false)
    }
}
