//! What the tests with a real server share: the server, its tenant, and devices with real stores.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keepwell_client::{Cancel, Client, ClientOptions, Policy, Report, SyncExtension};
use keepwell_fhir::ResourceType;
use keepwell_protocol::Id;
use keepwell_store::vault::{Clock, FileKeychain};
use keepwell_store::{Actor, Precondition, Session, Store, StoreOptions};
use keepwell_tests::Clinic;
use keepwell_tls::{ClientSettings, HttpClient, HttpLimits, Invitation};

/// A server, and a FHIR client that reads from it.
pub struct World {
    pub clinic: Clinic,
    /// Of nobody: the way to the server for FHIR clients.
    invitation: Invitation,
}

/// A device with a store.
pub struct Device {
    pub store: Store,
    pub client: Client,
    sync: SyncExtension,
}

impl World {
    pub fn new() -> Self {
        let clinic = Clinic::start();
        Self { invitation: clinic.invitation("reader"), clinic }
    }

    /// Starts the server anew, with whatever key it has now.
    pub fn restart(&mut self) {
        self.clinic.restart();
        self.invitation = self.clinic.invitation("reader");
    }

    pub fn place(&self, name: &str) -> PathBuf {
        self.clinic.folder().join(name)
    }

    /// A device of a user who may write in the compartment of patient p1.
    pub fn device(&self, name: &str, user: &str) -> Device {
        let device = Device::create(&self.place(name));
        device.client.enrol(&self.clinic.invitation(user), name).unwrap();
        self.clinic.grant(user, "p1");
        device
    }

    /// The same on a network that costs money.
    pub fn metered(&self, name: &str, user: &str) -> Device {
        self.device(name, user).with(Policy { is_metered: true, ..Policy::default() })
    }

    /// A resource as a FHIR client reads it.
    pub fn seen(&self, name: &str) -> String {
        let (status, body) = self.get(&format!("/fhir/{name}"));
        assert_eq!(status, 200, "{name}");
        String::from_utf8(body).unwrap()
    }

    pub fn has(&self, name: &str) -> bool {
        self.get(&format!("/fhir/{name}")).0 == 200
    }

    pub fn get(&self, path: &str) -> (u16, Vec<u8>) {
        let (trust, pinning) = self.invitation.pinning().unwrap();
        let settings = ClientSettings::new(trust, pinning);
        let address = self.invitation.address.clone();
        let http = HttpClient::new(&settings, address, HttpLimits::default()).unwrap();
        let request =
            hyper::Request::get(path).header("authorization", format!("Bearer {}", self.clinic.token()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let answer = http.send(request.body(bytes::Bytes::new()).unwrap()).await.unwrap();
            (answer.status().as_u16(), answer.into_body().whole().await.unwrap())
        })
    }
}

impl Device {
    pub fn create(place: &Path) -> Self {
        std::fs::create_dir_all(place).unwrap();
        let sync = SyncExtension::new();
        let store = Store::create(&place.join("store"), options(place, &sync), None).unwrap();
        Self::of(store, sync, Policy::default())
    }

    /// The store of a device, which has not been unlocked.
    pub fn locked(place: &Path) -> Store {
        Store::open(&place.join("store"), options(place, &SyncExtension::new())).unwrap()
    }

    pub fn open(place: &Path) -> Self {
        let sync = SyncExtension::new();
        let store = Store::open(&place.join("store"), options(place, &sync)).unwrap();
        store.unlock(None).unwrap();
        Self::of(store, sync, Policy::default())
    }

    fn of(store: Store, sync: SyncExtension, policy: Policy) -> Self {
        let options = ClientOptions { policy, ..ClientOptions::new(actor()) };
        let client = Client::new(store.clone(), sync.clone(), options);
        Self { store, client, sync }
    }

    /// The same device by another clock.
    pub fn at(self, clock: Arc<dyn Clock>) -> Self {
        let options = ClientOptions { clock, ..ClientOptions::new(actor()) };
        let client = Client::new(self.store.clone(), self.sync.clone(), options);
        Self { client, ..self }
    }

    /// The same device with another policy.
    pub fn with(self, policy: Policy) -> Self {
        Self::of(self.store, self.sync, policy)
    }

    pub fn session(&self) -> Session {
        self.store.session(actor()).unwrap()
    }

    pub fn try_save(&self, name: &str, body: &str) -> keepwell_store::Result<()> {
        let (type_name, id) = name.split_once('/').unwrap();
        self.session().update(kind(type_name), id, body.as_bytes(), Precondition::None).map(|_| ())
    }

    pub fn save(&self, name: &str, body: &str) {
        self.try_save(name, body).unwrap();
    }

    pub fn has(&self, name: &str) -> bool {
        let (type_name, id) = name.split_once('/').unwrap();
        self.session().read(kind(type_name), id).is_ok()
    }

    pub fn seen(&self, name: &str) -> String {
        let (type_name, id) = name.split_once('/').unwrap();
        String::from_utf8(self.session().read(kind(type_name), id).unwrap().body).unwrap()
    }

    pub fn sync(&self) -> Report {
        let report = self.client.sync(&Cancel::default(), &mut |_| ()).unwrap();
        assert_eq!(report.last_problem, None);
        report
    }
}

fn options(place: &Path, sync: &SyncExtension) -> StoreOptions {
    let keychain = FileKeychain::new(place.join("keys"));
    let mut options = StoreOptions::new("tests", "tablet", Some(Arc::new(keychain)));
    options.memory_security = false;
    options.extensions = vec![Arc::new(sync.clone())];
    options
}

pub fn actor() -> Actor {
    Actor::new("dr.jones", "tests", "tablet").unwrap()
}

pub fn id(text: &str) -> Id {
    text.parse().unwrap()
}

pub fn kind(name: &str) -> ResourceType {
    ResourceType::parse(name).unwrap()
}

pub fn patient() -> &'static str {
    r#"{"resourceType":"Patient","id":"p1","birthDate":"1970-01-01"}"#
}

pub fn flag(name: &str, text: &str) -> String {
    format!(
        r#"{{"resourceType":"Flag","id":"{name}","status":"active","code":{{"text":"{text}"}},"subject":{{"reference":"Patient/p1"}}}}"#
    )
}
