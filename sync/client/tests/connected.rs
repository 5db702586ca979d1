//! Devices and a real server over TLS on loopback, in processes that may be killed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a child tells its parent")]

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keepwell_backend::{Access, Backend, MemoryBackend};
use keepwell_client::{Cancel, Client, ClientOptions, Error, Resolution, SyncExtension};
use keepwell_fhir::ResourceType;
use keepwell_protocol::{Body, Epoch, Id, Refusal};
use keepwell_server::{Config, Server, prepare};
use keepwell_store::vault::FileKeychain;
use keepwell_store::{Actor, Precondition, Store, StoreOptions, VerifyOptions};
use keepwell_tls::Invitation;
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Names the folder of the device that a child process works for.
const CHILD: &str = "KEEPWELL_TEST_CHILD";

struct World {
    server: Server,
    backend: Arc<MemoryBackend>,
    folder: TempDir,
}

struct Device {
    store: Store,
    client: Client,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().display();
        let text = format!(
            "tenant = 'clinic'\ndata = '{place}/data'\nkeychain = 'file:{place}/keys'\nlisten = '127.0.0.1:0'\naddress = '127.0.0.1'\n"
        );
        let config = Config::parse(&text, []).unwrap();
        prepare(&config).unwrap().unwrap();
        let backend = Arc::new(MemoryBackend::new(id("clinic"), Epoch::new(7)));
        let server = Server::start_with(config, backend.clone()).unwrap();
        Self { server, backend, folder }
    }

    fn invite(&self, user: &str) -> Invitation {
        let mut invitation = self.server.operator().invite(&id(user), DAY).unwrap();
        invitation.address = format!("https://{}", self.server.address()).parse().unwrap();
        invitation
    }

    fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn device(&self, name: &str, user: &str) -> Device {
        let device = Device::create(&self.place(name));
        device.client.enrol(&self.invite(user), name).unwrap();
        let scope = "Patient/p1".parse().unwrap();
        self.backend.grant(&id(user), &scope, Access::Write).unwrap();
        device
    }

    fn on_server(&self, name: &str) -> Option<String> {
        let resources = self.backend.resources();
        let (_, _, versions) = resources.iter().find(|(key, ..)| key.to_string() == name)?;
        versions.last()?.as_ref().map(text)
    }
}

impl Device {
    fn create(place: &Path) -> Self {
        std::fs::create_dir_all(place).unwrap();
        let sync = SyncExtension::new();
        let store = Store::create(&place.join("store"), options(place, &sync), None).unwrap();
        Self::of(store, sync)
    }

    fn open(place: &Path) -> Self {
        let sync = SyncExtension::new();
        let store = Store::open(&place.join("store"), options(place, &sync)).unwrap();
        store.unlock(None).unwrap();
        Self::of(store, sync)
    }

    fn of(store: Store, sync: SyncExtension) -> Self {
        let client = Client::new(store.clone(), sync, ClientOptions::new(actor()));
        Self { store, client }
    }

    fn save(&self, name: &str, body: &str) {
        let kind = ResourceType::parse(name.split_once('/').unwrap().0).unwrap();
        let id = name.split_once('/').unwrap().1;
        self.store.session(actor()).unwrap().update(kind, id, body.as_bytes(), Precondition::None).unwrap();
    }

    fn has(&self, name: &str) -> bool {
        let (kind, id) = name.split_once('/').unwrap();
        self.store.session(actor()).unwrap().read(ResourceType::parse(kind).unwrap(), id).is_ok()
    }

    fn sync(&self) -> keepwell_client::Report {
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

fn actor() -> Actor {
    Actor::new("dr.jones", "tests", "tablet").unwrap()
}

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

fn text(body: &Body) -> String {
    String::from_utf8(body.as_bytes().to_vec()).unwrap()
}

fn patient() -> &'static str {
    r#"{"resourceType":"Patient","id":"p1","birthDate":"1970-01-01"}"#
}

fn flag(name: &str, text: &str) -> String {
    format!(
        r#"{{"resourceType":"Flag","id":"{name}","status":"active","code":{{"text":"{text}"}},"subject":{{"reference":"Patient/p1"}}}}"#
    )
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn two_devices_meet_over_tls_and_an_order_ends_one() {
    let world = World::new();
    let (one, two) = (world.device("one", "ann"), world.device("two", "bob"));
    one.save("Patient/p1", patient());
    one.save("Flag/f1", &flag("f1", "old"));
    one.sync();
    let report = two.sync();
    assert_eq!(report.stored, 2);
    assert!(report.sent_bytes > 0 && report.received_bytes > 0);
    one.save("Flag/f1", &flag("f1", "cat"));
    two.save("Flag/f1", &flag("f1", "dog"));
    one.sync();
    two.sync();
    let conflict = two.client.conflicts().unwrap().remove(0);
    two.client.resolve(&conflict, &Resolution::TakeMine).unwrap();
    two.sync();
    assert_eq!(world.on_server("Flag/f1").unwrap(), flag("f1", "dog"));

    // An invitation counts once, and one that is mistyped not at all.
    let invitation = world.invite("eve");
    Device::create(&world.place("three")).client.enrol(&invitation, "three").unwrap();
    let refused = Device::create(&world.place("four")).client.enrol(&invitation, "four");
    assert!(matches!(refused, Err(Error::Refused(Refusal::Invitation))));

    let device = two.client.status().unwrap().device.unwrap();
    world.server.operator().wipe(&device).unwrap();
    assert!(matches!(two.client.sync(&Cancel::default(), &mut |_| ()), Err(Error::Wiped)));
    assert!(!world.place("two").join("store/store.db").exists());
    let devices = world.backend.devices().unwrap();
    let state = &devices.iter().find(|known| known.id == device).unwrap().state;
    assert!(matches!(state, keepwell_backend::DeviceState::Wiped(_)));
}

#[test]
fn a_save_reaches_the_other_device_by_itself() {
    let world = World::new();
    let (one, two) = (world.device("one", "ann"), world.device("two", "bob"));
    let (sends, receives) = (one.client.start().unwrap(), two.client.start().unwrap());
    one.save("Patient/p1", patient());
    wait_for("the patient comes", || two.has("Patient/p1"));
    two.save("Flag/f1", &flag("f1", "back"));
    wait_for("the flag comes back", || one.has("Flag/f1"));
    sends.stop().unwrap();
    receives.stop().unwrap();
}

#[test]
fn a_server_that_is_away_costs_nothing_but_time() {
    let world = World::new();
    let device = world.device("one", "ann");
    device.save("Patient/p1", patient());
    let World { server, backend, folder } = world;
    drop(server);
    let report = device.client.sync(&Cancel::default(), &mut |_| ()).unwrap();
    assert_eq!((report.last_problem, report.applied), (Some(468), 0));
    assert_eq!(device.client.status().unwrap().pending, 1);
    drop((backend, folder));
}

#[test]
fn a_device_that_is_killed_at_any_moment_loses_nothing_it_has_saved() {
    let world = World::new();
    let device = world.device("one", "ann");
    let at = keepwell_fhir::Instant::from_ms(1_795_348_800_000);
    world.backend.put(&Body::new(patient()).unwrap(), at).unwrap();
    for number in 0..600 {
        let body = Body::new(flag(&format!("s{number}"), "of the server")).unwrap();
        world.backend.put(&body, at).unwrap();
    }
    drop(device);
    let place = world.place("one");
    let mut saved = 0;
    for life in 0..6_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_saves_and_syncs", "--nocapture"])
            .env(CHILD, &place)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // It lives a little longer each time, so that it dies in other places.
        let begun = Instant::now();
        let wanted = 1 + life * 3;
        let mut seen = 0;
        while seen < wanted && begun.elapsed() < Duration::from_secs(20) {
            let line = lines.next().unwrap().unwrap();
            if let Some(number) = line.strip_prefix("saved ") {
                saved = saved.max(number.parse::<u64>().unwrap());
                seen += 1;
            }
        }
        std::thread::sleep(Duration::from_millis(life * 7));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(saved >= 6);
    let device = Device::open(&place);
    device.sync();
    assert_eq!(device.client.status().unwrap().pending, 0);
    for number in 1..=saved {
        assert!(world.on_server(&format!("Flag/c{number}")).is_some(), "save {number} of {saved}");
    }
    for number in 0..600 {
        assert!(device.has(&format!("Flag/s{number}")));
    }
    let report =
        device.store.session(actor()).unwrap().verify(VerifyOptions::default(), &mut |_| ()).unwrap();
    assert!(report.defects.is_empty());
}

/// Not a test of its own: what the test above starts and kills.
#[test]
fn child_that_saves_and_syncs() {
    let Some(place) = std::env::var_os(CHILD) else { return };
    let device = Device::open(Path::new(&place));
    let first = (1..).find(|number| !device.has(&format!("Flag/c{number}"))).unwrap();
    for number in first.. {
        device.save(&format!("Flag/c{number}"), &flag(&format!("c{number}"), "of the device"));
        println!("saved {number}");
        std::io::stdout().flush().unwrap();
        // A server that has not heard of the last life's end may be busy.
        let _ = device.client.sync(&Cancel::default(), &mut |_| ());
    }
}
