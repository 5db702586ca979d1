//! What a host decides before a vault exists.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::backup::BackupGuard;
use crate::clock::{Clock, SystemClock};
use crate::error::Error;
use crate::keychain::Keychain;
use crate::passcode::Stretching;

/// Longest idle time that a policy may ask for.
pub const IDLE_MAX: Duration = Duration::from_secs(30 * 60);
/// Shortest recovery passphrase, in bytes.
pub const RECOVERY_PASSPHRASE_MIN_BYTES: usize = 12;

/// Where the secret lives, which clock counts, and which limits hold.
#[derive(Clone)]
pub struct Config {
    /// The keychain; `None` means that a passphrase is the only factor, which is a decision, not a fallback.
    pub keychain: Option<Arc<dyn Keychain>>,
    /// The source of time.
    pub clock: Arc<dyn Clock>,
    /// The limits.
    pub policy: Policy,
    /// A name for this place that outlives the path, if paths change (iOS gives a new one with each
    /// installation). Creating a store purges the keychain items of a store that used to be in the same
    /// place. By default the place is the path of the directory.
    pub place: Option<String>,
    /// Excludes the directory from backups where only the host can (iOS, Android, Windows).
    pub backup_guard: Option<Arc<dyn BackupGuard>>,
}

impl Config {
    /// The given keychain, the clocks of the system, the default policy.
    #[must_use]
    pub fn new(keychain: Arc<dyn Keychain>) -> Self {
        Self { keychain: Some(keychain), ..Self::passphrase_only() }
    }

    /// No keychain: everything rests on a passphrase, which must be given at every unlock.
    #[must_use]
    pub fn passphrase_only() -> Self {
        Self {
            keychain: None,
            clock: Arc::new(SystemClock::new()),
            policy: Policy::default(),
            place: None,
            backup_guard: None,
        }
    }

    /// The name of the place, as bytes.
    pub(crate) fn place(&self, directory: &Path) -> Vec<u8> {
        match &self.place {
            Some(name) => name.as_bytes().to_vec(),
            None => std::path::absolute(directory)
                .unwrap_or_else(|_| directory.to_owned())
                .into_os_string()
                .into_encoded_bytes(),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("keychain", &self.keychain.as_ref().map(|keychain| keychain.kind()))
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// Limits of one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Time without activity until the store locks; at most [`IDLE_MAX`]. Default 5 minutes.
    pub idle: Duration,
    /// Time in suspension until a full unlock is needed; at most [`IDLE_MAX`]. Default 60 seconds.
    pub suspended: Duration,
    /// Time from unlock until the store locks whatever happens. Default 2 hours.
    pub session: Duration,
    /// Wrong passcodes in a row until the store erases itself. Default: never.
    pub erase_after: Option<u32>,
    /// Cost of stretching new passcodes and passphrases. Default 64 MiB, three passes.
    pub stretching: Stretching,
    /// How long to wait for the keychain, prompts included. Default 30 seconds.
    pub keychain_timeout: Duration,
    /// Age of a key from which [`crate::KeyStatus`] asks for a rotation. Default two years (SP 800-57).
    pub key_age: Duration,
}

impl Policy {
    /// # Errors
    /// [`Error::Policy`] or [`Error::WeakStretching`] if a limit is outside of its range.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let limits = [self.idle, self.suspended, self.session, self.keychain_timeout];
        let in_range = limits.iter().all(|limit| !limit.is_zero())
            && self.idle <= IDLE_MAX
            && self.suspended <= IDLE_MAX
            && self.erase_after.is_none_or(|attempts| attempts > 0);
        match (in_range, self.stretching.is_accepted()) {
            (false, _) => Err(Error::Policy),
            (true, false) => Err(Error::WeakStretching),
            (true, true) => Ok(()),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(5 * 60),
            suspended: Duration::from_secs(60),
            session: Duration::from_secs(2 * 60 * 60),
            erase_after: None,
            stretching: Stretching::default(),
            keychain_timeout: Duration::from_secs(30),
            key_age: Duration::from_secs(2 * 365 * 24 * 60 * 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_outside_of_their_range_are_refused() {
        assert!(Policy::default().check().is_ok());
        let half_hour_and_a_bit = IDLE_MAX + Duration::from_secs(1);
        for policy in [
            Policy { idle: half_hour_and_a_bit, ..Policy::default() },
            Policy { idle: Duration::ZERO, ..Policy::default() },
            Policy { suspended: half_hour_and_a_bit, ..Policy::default() },
            Policy { session: Duration::ZERO, ..Policy::default() },
            Policy { erase_after: Some(0), ..Policy::default() },
        ] {
            assert!(matches!(policy.check(), Err(Error::Policy)), "{policy:?}");
        }
        let weak = Stretching { passes: 1, ..Stretching::FLOOR };
        assert!(matches!(
            Policy { stretching: weak, ..Policy::default() }.check(),
            Err(Error::WeakStretching)
        ));
    }
}
