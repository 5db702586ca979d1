#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod anchor;
mod attempts;
pub mod backup;
pub mod blob;
mod boot;
mod bytes;
mod chain;
mod clock;
mod crypto;
mod disk;
mod erase;
mod error;
mod key;
mod key_file;
mod keychain;
mod layout;
mod lock;
mod passcode;
mod policy;
pub mod quarantine;
mod remembered;
mod session;
mod status;
mod store_id;
mod twin;
mod vault;

pub use anchor::Anchor;
pub use attempts::ATTEMPT_DELAYS_S;
pub use backup::BackupGuard;
pub use clock::{Clock, ManualClock, SystemClock};
pub use erase::{Erasure, erase, find as find_erasure};
pub use error::{Error, Part};
pub use key::{KEY_BYTES, Key, Keys};
pub use keychain::{
    Fault, FileKeychain, Keychain, KeychainError, MemoryKeychain, SECRET_MAX_BYTES, Secret, SystemKeychain,
};
pub use layout::{
    BLOB_DIRECTORY, BOOT_FILE, DATABASE_FILE, ERASED_FILE, ITEM_DIRECTORY, KEY_FILE, LOCK_FILE,
    QUARANTINE_FILE, STATUS_FILE,
};
pub use passcode::{Passcode, SALT_BYTES, Stretching};
pub use policy::{Config, IDLE_MAX, Policy, RECOVERY_PASSPHRASE_MIN_BYTES};
pub use status::{Unsynced, unsynced};
pub use store_id::{InvalidStoreId, STORE_ID_BYTES, StoreId};
pub use vault::{KeyStatus, State, Suspicion, Vault};
