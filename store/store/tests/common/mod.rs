//! What the integration tests share: a store in a temporary directory, a clock that the test moves.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a skip is said aloud")]
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keepwell_store::fhir::ResourceType;
use keepwell_store::vault::{ManualClock, MemoryKeychain};
use keepwell_store::{Actor, Session, Store, StoreOptions};
use tempfile::TempDir;

/// A store in a temporary directory.
pub struct Home {
    pub store: Store,
    pub clock: Arc<ManualClock>,
    pub keychain: Arc<MemoryKeychain>,
    directory: TempDir,
}

impl Home {
    pub fn new() -> Self {
        Self::with(|_| ())
    }

    pub fn with(configure: impl FnOnce(&mut StoreOptions)) -> Self {
        let directory = TempDir::new().unwrap();
        let clock = Arc::new(ManualClock::new(1_795_348_800_000));
        let keychain = Arc::new(MemoryKeychain::new());
        let mut options = options(&keychain, &clock);
        configure(&mut options);
        let store = Store::create(&directory.path().join("store"), options, None).unwrap();
        Self { store, clock, keychain, directory }
    }

    pub fn directory(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    pub fn session(&self) -> Session {
        self.store.session(actor()).unwrap()
    }

    /// Closes the store; its directory stays while what is returned lives.
    pub fn closed(self) -> TempDir {
        self.directory
    }

    /// The same store, opened anew as after a restart.
    pub fn reopened(self) -> Self {
        let Self { store, clock, keychain, directory } = self;
        drop(store);
        let store = Store::open(&directory.path().join("store"), options(&keychain, &clock)).unwrap();
        store.unlock(None).unwrap();
        Self { store, clock, keychain, directory }
    }
}

pub fn options(keychain: &Arc<MemoryKeychain>, clock: &Arc<ManualClock>) -> StoreOptions {
    let mut options = StoreOptions::new("tests", "bench 1", Some(keychain.clone()));
    options.clock = clock.clone();
    options.memory_security = false;
    options
}

pub fn actor() -> Actor {
    Actor::new("dr.jones", "tests", "bench 1").unwrap()
}

pub fn patient() -> ResourceType {
    ResourceType::parse("Patient").unwrap()
}

pub fn body(id: &str, family: &str) -> Vec<u8> {
    format!(r#"{{"resourceType":"Patient","id":"{id}","name":[{{"family":"{family}"}}]}}"#).into_bytes()
}

pub fn id_of(body: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap();
    value["id"].as_str().unwrap().to_owned()
}

/// The folder of shared test data, `None` (and a line that says so) where it is missing.
pub fn shared() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("KEEPWELL_SHARED").map_or(default, PathBuf::from);
    if !shared.is_dir() {
        println!("skipped: ../shared is missing");
        return None;
    }
    Some(shared)
}
