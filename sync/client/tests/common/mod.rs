//! What the tests share: a server in memory, and devices with real stores.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::path::PathBuf;
use std::sync::Arc;

use keepwell_backend::{Access, Backend, LeasePolicy, MemoryBackend, Redeemed};
use keepwell_client::{Cancel, Client, ClientOptions, DirectTransport, Enrolled, Report, SyncExtension};
use keepwell_fhir::{Instant, ResourceType};
use keepwell_protocol::{Base64, Epoch, Hash, Id};
use keepwell_store::vault::{Clock, ManualClock, MemoryKeychain};
use keepwell_store::{Actor, Precondition, Session, Store, StoreOptions};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use tempfile::TempDir;

pub const DAY_MS: i64 = 24 * 60 * 60 * 1000;
pub const LEASE: LeasePolicy = LeasePolicy { renew_ms: DAY_MS, valid_ms: 14 * DAY_MS };

/// A server and the time.
pub struct World {
    pub backend: Arc<MemoryBackend>,
    pub clock: Arc<ManualClock>,
    pub wipe: Ed25519KeyPair,
}

/// A device with a store in a temporary directory.
pub struct Device {
    pub store: Store,
    pub sync: SyncExtension,
    pub client: Client,
    pub id: Id,
    pub keychain: Arc<MemoryKeychain>,
    pub directory: TempDir,
}

impl World {
    pub fn new() -> Self {
        let backend = Arc::new(MemoryBackend::new(id("clinic"), Epoch::new(7)));
        let clock = Arc::new(ManualClock::new(1_795_348_800_000));
        let wipe = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        Self { backend, clock, wipe }
    }

    pub fn now(&self) -> Instant {
        Instant::from_ms(self.clock.wall_ms())
    }

    pub fn options(&self, sync: &SyncExtension, keychain: &Arc<MemoryKeychain>) -> StoreOptions {
        let mut options = StoreOptions::new("tests", "tablet", Some(keychain.clone()));
        options.clock = self.clock.clone();
        options.memory_security = false;
        options.extensions = vec![Arc::new(sync.clone())];
        options
    }

    pub fn client(&self, store: &Store, sync: &SyncExtension) -> Client {
        let mut options = ClientOptions::new(actor());
        options.clock = self.clock.clone();
        Client::new(store.clone(), sync.clone(), options)
    }

    pub fn transport(&self, device: &Id, client_key: Vec<u8>) -> Box<DirectTransport> {
        let clock = self.clock.clone();
        let time = move || Instant::from_ms(clock.wall_ms());
        Box::new(DirectTransport::new(self.backend.clone(), device.clone(), client_key, LEASE, time))
    }

    /// A device that is not enrolled.
    pub fn stranger(&self, name: &str) -> Device {
        let directory = TempDir::new().unwrap();
        let (sync, keychain) = (SyncExtension::new(), Arc::new(MemoryKeychain::new()));
        let store =
            Store::create(&directory.path().join("store"), self.options(&sync, &keychain), None).unwrap();
        let client = self.client(&store, &sync);
        Device { store, sync, client, id: id(name), keychain, directory }
    }

    pub fn enrol(&self, device: &Device, user: &str) {
        let key = device.client.public_key().unwrap();
        let code = Hash::of(device.id.as_str().as_bytes());
        self.backend.keep_invitation(&code, b"open").unwrap();
        let redeemed = || Redeemed {
            record: b"used".to_vec(),
            device: device.id.clone(),
            user: id(user),
            name: "tablet".to_owned(),
            key: Hash::of(key.as_bytes()),
            serial: "01".to_owned(),
            lease_key: None,
        };
        let enrolled = self.backend.enrol(&code, &mut |_| Ok(redeemed()), self.now()).unwrap();
        let lease = self.backend.lease(&device.id, &LEASE, self.now()).unwrap();
        let wipe_keys = vec![Base64(self.wipe.public_key().as_ref().to_vec())];
        let enrolled = Enrolled::new(device.id.clone(), id("clinic"), enrolled.epoch, wipe_keys, Some(lease));
        device.client.enrol_with(&enrolled, self.transport(&device.id, key.as_bytes().to_vec())).unwrap();
    }

    /// A device of a user who may write in the compartments of these patients.
    pub fn device(&self, name: &str, user: &str, patients: &[&str]) -> Device {
        let device = self.stranger(name);
        self.enrol(&device, user);
        for patient in patients {
            self.grant(user, patient);
        }
        device
    }

    pub fn grant(&self, user: &str, patient: &str) {
        let scope = format!("Patient/{patient}").parse().unwrap();
        self.backend.grant(&id(user), &scope, Access::Write).unwrap();
    }

    pub fn revoke(&self, user: &str, patient: &str) {
        let scope = format!("Patient/{patient}").parse().unwrap();
        self.backend.revoke(&id(user), &scope).unwrap();
    }

    /// The content of a resource on the server.
    pub fn on_server(&self, name: &str) -> Option<String> {
        let resources = self.backend.resources();
        let (_, _, versions) = resources.iter().find(|(key, ..)| key.to_string() == name)?;
        versions.last()?.as_ref().map(|body| String::from_utf8(body.as_bytes().to_vec()).unwrap())
    }
}

impl Device {
    pub fn session(&self) -> Session {
        self.store.session(actor()).unwrap()
    }

    pub fn save(&self, body: &str) {
        let value: serde_json::Value = serde_json::from_str(body).unwrap();
        let kind = kind(value["resourceType"].as_str().unwrap());
        let id = value["id"].as_str().unwrap();
        self.session().update(kind, id, body.as_bytes(), Precondition::None).unwrap();
    }

    pub fn delete(&self, name: &str) {
        let (kind_name, id) = name.split_once('/').unwrap();
        self.session().delete(kind(kind_name), id, Precondition::None).unwrap();
    }

    /// The content of a resource here.
    pub fn read(&self, name: &str) -> Option<String> {
        let (kind_name, id) = name.split_once('/').unwrap();
        self.session()
            .view(keepwell_store::audit::Action::Read, None, |view| -> keepwell_store::Result<_> {
                let current = view.current(kind(kind_name), id)?;
                Ok(current
                    .and_then(|current| current.content)
                    .map(|content| String::from_utf8(content).unwrap()))
            })
            .unwrap()
    }

    /// A resource as a reader here sees it.
    pub fn seen(&self, name: &str) -> String {
        let (kind_name, id) = name.split_once('/').unwrap();
        String::from_utf8(self.session().read(kind(kind_name), id).unwrap().body).unwrap()
    }

    pub fn sync(&self) -> Report {
        let report = self.client.sync(&Cancel::default(), &mut |_| ()).unwrap();
        assert_eq!(report.last_problem, None);
        report
    }

    pub fn place(&self) -> PathBuf {
        self.directory.path().join("store")
    }
}

pub fn id(text: &str) -> Id {
    text.parse().unwrap()
}

pub fn kind(name: &str) -> ResourceType {
    ResourceType::parse(name).unwrap()
}

pub fn actor() -> Actor {
    Actor::new("dr.jones", "tests", "tablet").unwrap()
}

pub fn patient(id: &str, rest: &str) -> String {
    format!(r#"{{"resourceType":"Patient","id":"{id}"{rest}}}"#)
}

pub fn flag(id: &str, patient: &str, text: &str) -> String {
    format!(
        r#"{{"resourceType":"Flag","id":"{id}","status":"active","code":{{"text":"{text}"}},"subject":{{"reference":"Patient/{patient}"}}}}"#
    )
}
