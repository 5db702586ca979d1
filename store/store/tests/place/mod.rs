//! Stores in temporary directories, and the shared test data.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keepwell_store::fhir::{ResourceType, Walker, strip};
use keepwell_store::vault::{Keychain, MemoryKeychain, Policy, Stretching, Vault};
use keepwell_store::{Actor, Session, Store, StoreOptions};
use tempfile::TempDir;

/// A store in a directory that goes with it.
pub(crate) struct Place {
    pub(crate) directory: TempDir,
    pub(crate) keychain: Arc<dyn Keychain>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), keychain: Arc::new(MemoryKeychain::new()) }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    pub(crate) fn options(&self) -> StoreOptions {
        let mut options = StoreOptions::new("tests", "bench", Some(self.keychain.clone()));
        options.memory_security = false;
        options.policy = Policy { stretching: Stretching::FLOOR, ..Policy::default() };
        options
    }

    pub(crate) fn create(&self) -> Store {
        Store::create(&self.path(), self.options(), None).unwrap()
    }

    pub(crate) fn open(&self) -> Store {
        let store = Store::open(&self.path(), self.options()).unwrap();
        store.unlock(None).unwrap();
        store
    }

    /// The database of a closed store, under its key: what only a forger with that key could have.
    pub(crate) fn database(&self) -> rusqlite::Connection {
        let keys = self.keys();
        let options = keepwell_sqlcipher::Options { memory_security: false, ..Default::default() };
        keepwell_sqlcipher::open(&self.path().join("store.db"), keys.database.expose(), &options).unwrap()
    }

    fn keys(&self) -> keepwell_store::vault::Keys {
        let mut config = keepwell_store::vault::Config::new(self.keychain.clone());
        config.policy = self.options().policy;
        Vault::open(self.path(), config).unwrap().unlock(None).unwrap()
    }
}

pub(crate) fn session(store: &Store) -> Session {
    store.session(Actor::new("dr.who", "tests", "bench").unwrap()).unwrap()
}

pub(crate) fn resource_type(name: &str) -> ResourceType {
    ResourceType::parse(name).unwrap()
}

/// A file of the shared data; says so and gives nothing when there is none.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("KEEPWELL_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: ../shared is missing");
    None
}

/// The files of a shared directory with this ending, sorted.
pub(crate) fn shared_files(directory: &str, ending: &str) -> Vec<PathBuf> {
    let Some(directory) = shared(directory) else { return Vec::new() };
    let paths = directory.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths.filter(|path| path.to_str().unwrap().ends_with(ending)).collect();
    files.sort();
    files
}

/// What a file holds, decompressed.
pub(crate) fn content(path: &Path) -> Vec<u8> {
    let file = File::open(path).unwrap();
    let mut content = Vec::new();
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => flate2::read::MultiGzDecoder::new(file).read_to_end(&mut content).unwrap(),
        Some("zst") => zstd::Decoder::new(file).unwrap().read_to_end(&mut content).unwrap(),
        _ => { file }.read_to_end(&mut content).unwrap(),
    };
    content
}

/// The documents of NDJSON.
pub(crate) fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty())
}

/// Resources by type and id, each as its bytes without meta.versionId and meta.lastUpdated.
#[derive(Default)]
pub(crate) struct Bodies {
    walker: Walker,
    pub(crate) by_name: HashMap<(ResourceType, String), Vec<u8>>,
    pub(crate) nameless: Vec<Vec<u8>>,
}

impl Bodies {
    /// Adds a resource; a later one of the same name replaces it.
    pub(crate) fn add(&mut self, resource: &[u8]) {
        let walk = self.walker.walk(resource).unwrap();
        let mut body = Vec::new();
        strip(resource, &walk, None, &[], &mut body);
        match walk.id {
            Some(id) => _ = self.by_name.insert((walk.resource_type, id.text(resource).into_owned()), body),
            None => self.nameless.push(body),
        }
    }
}

/// `count` Observations of fifty patients.
pub(crate) fn observations(count: usize) -> String {
    let mut text = String::new();
    for number in 0..count {
        let patient = number % 50;
        text += &format!(
            "{{\"resourceType\":\"Observation\",\"id\":\"o{number}\",\"status\":\"final\",\"code\":{{\"text\":\"weight\"}},\
             \"subject\":{{\"reference\":\"Patient/p{patient}\"}},\"valueQuantity\":{{\"value\":{number}.10,\"unit\":\"kg\"}}}}\n"
        );
    }
    text
}
