//! Devices that take a server of Keepwell for any FHIR server: over TLS on loopback, beside an ordinary client.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Request;
use keepwell_client::{
    Cancel, ClientOptions, Error, FhirClient, FhirServer, Policy, Problem, Report, Resolution, SyncExtension,
    TokenProvider, Writes,
};
use keepwell_fhir::ResourceType;
use keepwell_protocol::{Base64, ParkKind, Secret};
use keepwell_store::vault::FileKeychain;
use keepwell_store::{Actor, Precondition, Store, StoreOptions, VerifyOptions};
use keepwell_tests::Clinic;
use keepwell_tls::{AuthoritySettings, HttpClient, HttpLimits};
use serde_json::{Value, json};

const BORN: &str = r#","birthDate":"1970-01-01""#;

/// A server, and an ordinary client of it.
struct World {
    clinic: Clinic,
    http: HttpClient,
    runtime: tokio::runtime::Runtime,
}

struct Device {
    store: Store,
    client: FhirClient,
}

impl World {
    fn new() -> Self {
        let clinic = Clinic::start();
        let settings = AuthoritySettings::from_pem(clinic.authorities().as_bytes()).unwrap();
        let address = format!("https://{}", clinic.server().address()).parse().unwrap();
        let http = HttpClient::unpinned(&settings, address, HttpLimits::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { clinic, http, runtime }
    }

    fn fhir_server(&self) -> FhirServer {
        let searches = ["Patient", "Flag"].map(|search| search.parse().unwrap()).into();
        let mut server = FhirServer::new(self.clinic.fhir_address(), self.clinic.authorities(), searches);
        server.token = Some(Secret::new(self.clinic.token().to_owned()));
        server
    }

    fn device(&self, name: &str) -> Device {
        let device = Device::new(self.clinic.folder(), name);
        device.client.attach(&self.fhir_server()).unwrap();
        device
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("/fhir/{path}"))
            .header("authorization", format!("Bearer {}", self.clinic.token()))
            .header("content-type", "application/fhir+json");
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        self.runtime.block_on(async {
            let answer = self.http.send(request.body(body).unwrap()).await.unwrap();
            let status = answer.status().as_u16();
            let body = answer.into_body().whole().await.unwrap();
            (status, serde_json::from_slice(&body).unwrap_or_default())
        })
    }
}

impl Device {
    fn new(folder: &Path, name: &str) -> Self {
        Self::under(Policy::default(), folder, name)
    }

    /// A device that begins with this policy.
    fn under(policy: Policy, folder: &Path, name: &str) -> Self {
        let place = folder.join(name);
        std::fs::create_dir_all(&place).unwrap();
        let sync = SyncExtension::new();
        let keychain = FileKeychain::new(place.join("keys"));
        let mut options = StoreOptions::new("tests", "tablet", Some(Arc::new(keychain)));
        options.memory_security = false;
        options.extensions = vec![Arc::new(sync.clone())];
        let store = Store::create(&place.join("store"), options, None).unwrap();
        let client =
            FhirClient::new(store.clone(), sync, ClientOptions { policy, ..ClientOptions::new(actor()) });
        Self { store, client }
    }

    fn save(&self, body: &str) {
        let value: Value = serde_json::from_str(body).unwrap();
        let kind = ResourceType::parse(value["resourceType"].as_str().unwrap()).unwrap();
        let session = self.store.session(actor()).unwrap();
        session.update(kind, value["id"].as_str().unwrap(), body.as_bytes(), Precondition::None).unwrap();
    }

    fn delete(&self, kind: &str, id: &str) {
        let kind = ResourceType::parse(kind).unwrap();
        self.store.session(actor()).unwrap().delete(kind, id, Precondition::None).unwrap();
    }

    fn read(&self, kind: &str, id: &str) -> Option<Value> {
        let kind = ResourceType::parse(kind).unwrap();
        let found = self.store.session(actor()).unwrap().read(kind, id).ok()?;
        let mut value: Value = serde_json::from_slice(&found.body).unwrap();
        value.as_object_mut().unwrap().remove("meta");
        Some(value)
    }

    fn try_sync(&self) -> Report {
        self.client.sync(&Cancel::default(), &mut |_| ()).unwrap()
    }

    fn sync(&self) -> Report {
        let report = self.try_sync();
        assert_eq!(report.last_problem, None);
        report
    }
}

fn actor() -> Actor {
    Actor::new("dr.jones", "tests", "tablet").unwrap()
}

fn patient(more: &str) -> String {
    format!(r#"{{"resourceType":"Patient","id":"p1"{more}}}"#)
}

fn flag(text: &str) -> String {
    format!(
        r#"{{"resourceType":"Flag","id":"f1","status":"active","code":{{"text":"{text}"}},"subject":{{"reference":"Patient/p1"}}}}"#
    )
}

#[test]
fn two_devices_and_a_client_meet_on_a_server_that_knows_only_fhir() {
    let world = World::new();
    let (one, two) = (world.device("one"), world.device("two"));
    one.save(&patient(BORN));
    one.save(&flag("old"));
    assert_eq!(one.sync().applied, 2);
    two.sync();
    assert_eq!(two.read("Patient", "p1"), one.read("Patient", "p1"));
    // The resource that the server was tried with is gone.
    let (_, found) = world.ask("GET", "Basic?_summary=count", &Value::Null);
    assert_eq!(found["total"], 0);

    // A round without news writes nothing.
    assert_eq!(one.sync().applied, 2);
    let stored = two.sync().stored;
    assert_eq!(two.sync().stored, stored);

    // Another client edits, and so do both devices while they are away: all of it is joined.
    let (_, mut edited) = world.ask("GET", "Patient/p1", &Value::Null);
    edited["active"] = true.into();
    assert_eq!(world.ask("PUT", "Patient/p1", &edited).0, 200);
    one.save(&patient(r#","birthDate":"1970-01-01","address":[{"use":"home","city":"Bonn"}]"#));
    two.save(&patient(r#","birthDate":"1970-01-01","language":"de""#));
    assert_eq!(one.sync().merged, 1);
    assert_eq!(two.sync().merged, 1);
    one.sync();
    let merged = one.read("Patient", "p1").unwrap();
    assert_eq!(merged["address"][0]["city"], "Bonn");
    assert_eq!((&merged["active"], &merged["language"]), (&json!(true), &json!("de")));
    assert_eq!(two.read("Patient", "p1").unwrap(), merged);
    let (_, mut there) = world.ask("GET", "Patient/p1", &Value::Null);
    there.as_object_mut().unwrap().remove("meta");
    assert_eq!(there, merged);

    // What no machine may join waits for a person, with all three sides.
    one.save(&flag("cat"));
    two.save(&flag("dog"));
    one.sync();
    two.sync();
    let conflict = two.client.conflicts().unwrap().remove(0);
    assert_eq!((conflict.kind, conflict.is_archived), (ParkKind::Conflict, false));
    assert!(conflict.base.is_some() && conflict.mine.is_some() && conflict.theirs.is_some());
    assert_eq!(two.read("Flag", "f1").unwrap()["code"]["text"], "cat");
    two.client.resolve(&conflict, &Resolution::TakeMine).unwrap();
    two.sync();
    one.sync();
    assert_eq!(one.read("Flag", "f1").unwrap()["code"]["text"], "dog");

    // A deletion on a device is one there; one there is found by the other device when it compares ids.
    one.delete("Flag", "f1");
    one.sync();
    assert_eq!(world.ask("GET", "Flag/f1", &Value::Null).0, 410);
    let status = one.client.status().unwrap();
    assert_eq!((status.pending, status.conflicts, status.unavailable), (0, 0, 0));
    assert!(status.fhir_server.is_some());
}

#[test]
fn an_attachment_goes_there_inside_its_resource_and_comes_back_on_another_device() {
    let world = World::new();
    let (one, two) = (world.device("one"), world.device("two"));
    let photo = |seed: u8| {
        let content: Vec<u8> = (0..=u8::MAX).cycle().take(30_000).map(|byte| byte ^ seed).collect();
        Base64(content).to_string()
    };
    let with = |photo: &str, more: &str| {
        patient(&format!(r#"{BORN},"photo":[{{"contentType":"image/png","data":"{photo}"}}]{more}"#))
    };
    one.save(&with(&photo(1), ""));
    assert_eq!(one.sync().applied, 1);
    let (_, there) = world.ask("GET", "Patient/p1", &Value::Null);
    assert_eq!(there["photo"][0]["data"], photo(1));
    assert!(!there.to_string().contains("_blob"));

    // The other device has the bytes, and both know that they have what the server has.
    two.sync();
    assert_eq!(two.read("Patient", "p1"), one.read("Patient", "p1"));
    assert_eq!(two.client.status().unwrap().absent, 0);
    for device in [&one, &two] {
        let stored = device.sync().stored;
        assert_eq!(device.sync().stored, stored, "nothing new came");
        assert_eq!(device.client.status().unwrap().pending, 0);
    }

    // An edit of something else is joined with another photo of another client.
    let mut edited = there.clone();
    edited["photo"][0]["data"] = photo(2).into();
    assert_eq!(world.ask("PUT", "Patient/p1", &edited).0, 200);
    two.save(&with(&photo(1), r#","language":"de""#));
    let report = two.sync();
    assert_eq!((report.merged, report.lost), (1, 0));
    one.sync();
    let (_, there) = world.ask("GET", "Patient/p1", &Value::Null);
    for seen in [there, one.read("Patient", "p1").unwrap(), two.read("Patient", "p1").unwrap()] {
        assert_eq!((&seen["photo"][0]["data"], &seen["language"]), (&json!(photo(2)), &json!("de")));
    }
    let verified = two.store.session(actor()).unwrap().verify(VerifyOptions::default(), &mut |_| ()).unwrap();
    assert!(verified.defects.is_empty(), "{:?}", verified.defects);
}

#[test]
fn what_the_server_does_not_take_is_set_aside_and_the_others_go_on() {
    let world = World::new();
    let device = world.device("one");
    device.save(&patient(BORN));
    device.sync();
    // Somebody else made it, and it is not the same.
    let other = json!({ "resourceType": "Flag", "id": "f1", "status": "inactive", "code": { "text": "other" },
        "subject": { "reference": "Patient/p1" } });
    assert_eq!(world.ask("PUT", "Flag/f1", &other).0, 201);
    device.save(&flag("mine"));
    device.save(&patient(r#","birthDate":"1970-01-01","language":"de""#));
    device.sync();
    let conflicts = device.client.conflicts().unwrap();
    assert_eq!(conflicts.len(), 1);
    assert_eq!(device.read("Flag", "f1").unwrap()["code"]["text"], "other");
    let (_, there) = world.ask("GET", "Patient/p1", &Value::Null);
    assert_eq!(there["language"], "de");
}

#[test]
fn a_server_that_is_not_trusted_or_does_not_know_the_token_costs_no_edit() {
    let world = World::new();
    let device = Device::new(world.clinic.folder(), "one");
    let server = world.fhir_server();
    let mut plain = server.clone();
    plain.address = plain.address.replace("https", "http");
    assert!(matches!(device.client.attach(&plain), Err(Error::Connection(_))));
    assert!(matches!(device.client.sync(&Cancel::default(), &mut |_| ()), Err(Error::NotEnrolled)));

    let mut wrong = server.clone();
    wrong.token = Some(Secret::new("keepwell_wrong".to_owned()));
    device.client.attach(&wrong).unwrap();
    device.save(&patient(BORN));
    assert_eq!(device.try_sync().last_problem, Some(Problem::Token.code()));
    assert_eq!(device.client.status().unwrap().pending, 1);

    let mut untrusted = server.clone();
    untrusted.authorities = World::new().clinic.authorities().into_bytes();
    device.client.attach(&untrusted).unwrap();
    assert_eq!(device.try_sync().last_problem, Some(keepwell_tls::Refusal::Untrusted.code()));

    // A device that may only read sends nothing, and says nothing is wrong with that.
    let mut read_only = server.clone();
    read_only.writes = Writes::Never;
    device.client.attach(&read_only).unwrap();
    device.sync();
    assert_eq!(world.ask("GET", "Patient/p1", &Value::Null).0, 404);

    device.client.attach(&server).unwrap();
    device.sync();
    assert_eq!(world.ask("GET", "Patient/p1", &Value::Null).0, 200);
    let mut elsewhere = server;
    elsewhere.address = "https://other.example.org/fhir".to_owned();
    assert!(matches!(device.client.attach(&elsewhere), Err(Error::AlreadyEnrolled)));
}

/// Gives the tokens that it has, one after the other, and then none.
struct Stack(Mutex<(Vec<&'static str>, Vec<bool>)>);

impl Stack {
    fn of(tokens: &[&'static str]) -> Arc<Self> {
        Arc::new(Self(Mutex::new((tokens.iter().rev().copied().collect(), Vec::new()))))
    }

    /// What it was asked so far: whether a token had been refused.
    fn asked(&self) -> Vec<bool> {
        self.0.lock().unwrap().1.clone()
    }
}

impl TokenProvider for Stack {
    fn token(&self, is_refused: bool) -> Option<Secret> {
        let mut place = self.0.lock().unwrap();
        place.1.push(is_refused);
        place.0.pop().map(|token| Secret::new(token.to_owned()))
    }
}

#[test]
fn an_app_is_asked_for_a_token_when_there_is_none_and_when_one_is_refused() {
    let world = World::new();
    let device = Device::new(world.clinic.folder(), "one");
    let good: &'static str = world.clinic.token().to_owned().leak();
    let mut server = world.fhir_server();
    server.token = None;
    device.client.attach(&server).unwrap();
    device.save(&patient(BORN));
    assert_eq!(device.try_sync().last_problem, Some(Problem::Token.code()));

    let stack = Stack::of(&["keepwell_old", good]);
    device.client.set_token_provider(Some(stack.clone()));
    device.sync();
    assert_eq!(world.ask("GET", "Patient/p1", &Value::Null).0, 200);
    device.sync();
    assert_eq!(stack.asked(), [false, true]);

    // None, what is none, and two that are refused: edits wait, and the next round asks again.
    device.save(&patient(r#","gender":"female""#));
    for (tokens, asked, problem) in [
        (&[][..], &[false][..], Problem::NoToken),
        (&["two\nlines"], &[false], Problem::NoToken),
        (&["keepwell_old", "keepwell_older"], &[false, true], Problem::Token),
        (&["keepwell_old"], &[false, true], Problem::NoToken),
    ] {
        let stack = Stack::of(tokens);
        device.client.set_token_provider(Some(stack.clone()));
        assert_eq!(device.try_sync().last_problem, Some(problem.code()), "{tokens:?}");
        assert_eq!(stack.asked(), asked, "{tokens:?}");
    }
    assert_eq!(device.client.status().unwrap().pending, 1);
    device.client.set_token_provider(Some(Stack::of(&[good])));
    device.sync();
    assert_eq!(world.ask("GET", "Patient/p1", &Value::Null).1["gender"], "female");
}

#[test]
fn a_device_syncs_with_a_plain_server_by_itself() {
    let world = World::new();
    let paused = Policy { is_paused: true, ..Policy::default() };
    let one = Device::under(paused, world.clinic.folder(), "one");
    one.client.attach(&world.fhir_server()).unwrap();
    let background = one.client.start().unwrap();
    let arrives = |id: &str| {
        let limit = Instant::now() + Duration::from_secs(60);
        while world.ask("GET", &format!("Patient/{id}"), &Value::Null).0 != 200 {
            assert!(Instant::now() < limit && !background.is_over(), "{id} did not come");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let save = |id: &str| one.save(&format!(r#"{{"resourceType":"Patient","id":"{id}"}}"#));
    // Nothing goes while it is paused, whoever asks; what waits goes afterwards.
    save("paused");
    background.sync_now();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(one.client.status().unwrap().pending, 1);
    background.set_policy(Policy { is_background: true, ..Policy::default() });
    arrives("paused");
    save("by-itself");
    arrives("by-itself");
    assert!(matches!(one.client.sync(&Cancel::default(), &mut |_| ()), Err(Error::InUse)));

    // A token that is refused stops it until somebody asks.
    one.client.set_token_provider(Some(Stack::of(&[
        "keepwell_old",
        "keepwell_old",
        world.clinic.token().to_owned().leak(),
    ])));
    save("refused");
    let limit = Instant::now() + Duration::from_secs(60);
    while background.problem() != Some(Problem::Token.code()) {
        assert!(Instant::now() < limit, "it was not refused");
        std::thread::sleep(Duration::from_millis(20));
    }
    background.sync_now();
    arrives("refused");
    background.stop().unwrap();
    one.sync();
}
