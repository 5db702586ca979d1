//! The keychain items of one store, by purpose.
//!
//! | item | holds |
//! |---|---|
//! | `kek:<store>:<generation>` | the secret half of the key-encryption key |
//! | `boot:<store>` | nonce of the last unlock, digest of the place |
//! | `attempts:<store>` | wrong passcodes |
//! | `anchor:<store>` | rollback anchor |
//! | `remembered:<store>` | a stretched passcode, for a while |

use std::path::Path;
use std::sync::Arc;

use ring::digest;

use crate::boot::{BOOT_NONCE_BYTES, BootNonce};
use crate::error::Error;
use crate::key::Key;
use crate::keychain::{FileKeychain, Keychain, KeychainError, Secret, TimedKeychain};
use crate::layout::ITEM_DIRECTORY;
use crate::policy::Config;
use crate::store_id::StoreId;

pub(crate) struct Chain {
    keychain: TimedKeychain,
    /// False if a passphrase is the only factor; the other items then lie in the directory.
    holds_secret: bool,
    place: [u8; digest::SHA256_OUTPUT_LEN],
}

impl Chain {
    pub(crate) fn new(directory: &Path, config: &Config) -> Self {
        let keychain: Arc<dyn Keychain> = match &config.keychain {
            Some(keychain) => Arc::clone(keychain),
            None => Arc::new(FileKeychain::new(directory.join(ITEM_DIRECTORY))),
        };
        let mut place = [0; digest::SHA256_OUTPUT_LEN];
        place.copy_from_slice(digest::digest(&digest::SHA256, &config.place(directory)).as_ref());
        Self {
            keychain: TimedKeychain::new(keychain, config.policy.keychain_timeout),
            holds_secret: config.keychain.is_some(),
            place,
        }
    }

    /// What the key file records; `None` if a passphrase is the only factor.
    pub(crate) fn kind(&self) -> Option<&'static str> {
        self.holds_secret.then(|| self.keychain.kind())
    }

    pub(crate) fn is_available(&self) -> Result<bool, Error> {
        Ok(self.keychain.is_available()?)
    }

    pub(crate) fn names(&self) -> Result<Vec<String>, Error> {
        Ok(self.keychain.items()?)
    }

    /// A new secret in the keychain, read back; `None` if a passphrase is the only factor.
    pub(crate) fn make_secret(&self, store: StoreId, generation: u64) -> Result<Option<Key>, Error> {
        if !self.holds_secret {
            return Ok(None);
        }
        let key = Key::generate();
        self.keychain.set(secret_name(store, generation), key.expose())?;
        let back = self.keychain.get(secret_name(store, generation))?;
        if back.is_some_and(|back| back.as_slice() == key.expose()) {
            Ok(Some(key))
        } else {
            Err(KeychainError::Failed.into())
        }
    }

    /// The secret of the store, with the meaning of its absence told apart.
    pub(crate) fn secret(&self, store: StoreId, generation: u64) -> Result<Option<Key>, Error> {
        if !self.holds_secret {
            return Ok(None);
        }
        if !self.keychain.is_available()? {
            return Err(Error::Locked);
        }
        match self.keychain.get(secret_name(store, generation))? {
            Some(secret) => Key::from_slice(&secret).map(Some).ok_or(Error::WrongKey),
            // The device may have been locked in between.
            None if !self.keychain.is_available()? => Err(Error::Locked),
            None if self.has_newer_secret(store, generation)? => Err(Error::RollbackSuspected),
            None => Err(Error::KeyMissing),
        }
    }

    fn has_newer_secret(&self, store: StoreId, generation: u64) -> Result<bool, Error> {
        let prefix = secret_prefix(store);
        Ok(self
            .names()?
            .iter()
            .filter_map(|name| name.strip_prefix(&prefix)?.parse::<u64>().ok())
            .any(|found| found > generation))
    }

    pub(crate) fn delete_secret(&self, store: StoreId, generation: u64) -> Result<(), Error> {
        Ok(self.keychain.delete(secret_name(store, generation))?)
    }

    /// The nonce of the last unlock.
    pub(crate) fn boot(&self, store: StoreId) -> Result<Option<Secret>, Error> {
        let record = self.keychain.get(format!("boot:{store}"))?;
        Ok(record.map(|mut record| {
            record.truncate(BOOT_NONCE_BYTES);
            record
        }))
    }

    pub(crate) fn set_boot(&self, store: StoreId, nonce: &BootNonce) -> Result<(), Error> {
        let mut record = nonce.to_vec();
        record.extend_from_slice(&self.place);
        Ok(self.keychain.set(format!("boot:{store}"), &record)?)
    }

    pub(crate) fn attempts(&self, store: StoreId) -> Result<Option<Secret>, Error> {
        Ok(self.keychain.get(format!("attempts:{store}"))?)
    }

    pub(crate) fn set_attempts(&self, store: StoreId, record: &[u8]) -> Result<(), Error> {
        Ok(self.keychain.set(format!("attempts:{store}"), record)?)
    }

    pub(crate) fn anchor(&self, store: StoreId) -> Result<Option<Secret>, Error> {
        Ok(self.keychain.get(format!("anchor:{store}"))?)
    }

    pub(crate) fn set_anchor(&self, store: StoreId, record: &[u8]) -> Result<(), Error> {
        Ok(self.keychain.set(format!("anchor:{store}"), record)?)
    }

    pub(crate) fn remembered(&self, store: StoreId) -> Result<Option<Secret>, Error> {
        Ok(self.keychain.get(format!("remembered:{store}"))?)
    }

    pub(crate) fn remember(&self, store: StoreId, record: &[u8]) -> Result<(), Error> {
        Ok(self.keychain.set(format!("remembered:{store}"), record)?)
    }

    pub(crate) fn forget(&self, store: StoreId) -> Result<(), Error> {
        Ok(self.keychain.delete(format!("remembered:{store}"))?)
    }

    /// The stores that were made in this place, whether or not anything is left of them on disk.
    pub(crate) fn stores_of_place(&self) -> Result<Vec<StoreId>, Error> {
        let mut stores = Vec::new();
        for name in self.names()? {
            let Some(store) = name.strip_prefix("boot:").and_then(|id| id.parse().ok()) else { continue };
            let record = self.keychain.get(name)?;
            if record.is_some_and(|record| record.get(BOOT_NONCE_BYTES..) == Some(&self.place)) {
                stores.push(store);
            }
        }
        Ok(stores)
    }

    /// Deletes every item of a store, the secret first, and says how many there were.
    pub(crate) fn purge(&self, store: StoreId) -> Result<u64, Error> {
        let mut names: Vec<_> = self.names()?.into_iter().filter(|name| belongs_to(name, store)).collect();
        // The boot item names the place: it goes last, so that an interrupted purge finds the rest again.
        names.sort_by_key(|name| (name.starts_with("boot:"), !name.starts_with("kek:")));
        let count = names.len() as u64;
        for name in names {
            self.keychain.delete(name)?;
        }
        Ok(count)
    }
}

fn secret_prefix(store: StoreId) -> String {
    format!("kek:{store}:")
}

fn secret_name(store: StoreId, generation: u64) -> String {
    format!("{}{generation}", secret_prefix(store))
}

fn belongs_to(name: &str, store: StoreId) -> bool {
    name.split(':').nth(1).and_then(|id| id.parse().ok()) == Some(store)
}
