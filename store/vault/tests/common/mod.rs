//! A store directory, a keychain with faults and a clock that the test turns.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keepwell_vault::{
    Clock, Config, Keychain, Keys, ManualClock, MemoryKeychain, Passcode, Policy, Stretching, Vault,
};
use tempfile::TempDir;

pub(crate) const START_MS: i64 = 1_800_000_000_000;

pub(crate) struct World {
    home: TempDir,
    pub(crate) keychain: Arc<MemoryKeychain>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) policy: Policy,
}

impl World {
    pub(crate) fn new() -> Self {
        let policy = Policy {
            stretching: Stretching::FLOOR,
            keychain_timeout: Duration::from_secs(5),
            ..Policy::default()
        };
        Self {
            home: tempfile::tempdir().unwrap(),
            keychain: Arc::new(MemoryKeychain::new()),
            clock: Arc::new(ManualClock::new(START_MS)),
            policy,
        }
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn place(&self) -> PathBuf {
        self.home.path().join("store")
    }

    pub(crate) fn config(&self) -> Config {
        self.config_with(Some(Arc::<MemoryKeychain>::clone(&self.keychain)))
    }

    pub(crate) fn config_with(&self, keychain: Option<Arc<dyn Keychain>>) -> Config {
        let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&self.clock);
        Config { keychain, clock, policy: self.policy.clone(), ..Config::passphrase_only() }
    }

    pub(crate) fn create(&self, passcode: Option<&Passcode>) -> (Vault, Keys) {
        Vault::create(self.place(), self.config(), passcode).unwrap()
    }

    pub(crate) fn open(&self) -> Vault {
        Vault::open(self.place(), self.config()).unwrap()
    }

    pub(crate) fn advance_s(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

pub(crate) fn code(text: &str) -> Passcode {
    Passcode::new(text.to_owned()).unwrap()
}

/// All keys, to compare them.
pub(crate) fn bytes(keys: &Keys) -> [[u8; 32]; 5] {
    [&keys.database, &keys.blob, &keys.audit, &keys.anchor, &keys.sync].map(|key| *key.expose())
}

/// Every file below a directory with its content.
pub(crate) fn snapshot(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let content = std::fs::read(&path).unwrap();
                files.insert(path, content);
            }
        }
    }
    files
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, target).unwrap();
        }
    }
}
