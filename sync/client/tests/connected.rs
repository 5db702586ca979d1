//! Devices and a real server over TLS on loopback, in processes that may be killed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a child tells its parent")]

#[path = "common/tls.rs"]
mod tls;

#[path = "connected/trust.rs"]
mod trust;

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use keepwell_backend::DeviceState;
use keepwell_client::{Cancel, Error, Resolution};
use keepwell_protocol::{Body, Refusal};
use keepwell_store::VerifyOptions;
use tls::{Device, World, flag, patient};

/// Names the folder of the device that a child process works for.
const CHILD: &str = "KEEPWELL_TEST_CHILD";

/// How long a fact may take to come about on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(60);

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < LIMIT, "{what}");
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
    assert!(world.seen("Flag/f1").contains("dog"));
    let (_, told) = world.get("/fhir/Provenance?target=Flag/f1/_history/3&agent=Practitioner/bob");
    let told = String::from_utf8(told).unwrap();
    let decided = [r#""conflict-decided""#.to_owned(), format!("/{}\"", conflict.id)];
    assert!(decided.iter().all(|part| told.contains(part)), "{told}");

    // An invitation counts once, and one that is mistyped not at all.
    let invitation = world.clinic.invitation("eve");
    Device::create(&world.place("three")).client.enrol(&invitation, "three").unwrap();
    let refused = Device::create(&world.place("four")).client.enrol(&invitation, "four");
    assert!(matches!(refused, Err(Error::Refused(Refusal::Invitation))));

    let device = two.client.status().unwrap().device.unwrap();
    let operator = world.clinic.server().operator();
    operator.wipe(&device).unwrap();
    assert!(matches!(two.client.sync(&Cancel::default(), &mut |_| ()), Err(Error::Wiped)));
    assert!(!world.place("two").join("store/store.db").exists());
    let devices = operator.devices().unwrap();
    let state = &devices.iter().find(|known| known.id == device).unwrap().state;
    assert!(matches!(state, DeviceState::Wiped(_)));
}

#[test]
fn fhir_clients_find_who_joined_what_with_what() {
    let mut world = World::new();
    let (one, two) = (world.device("one", "ann"), world.device("two", "bob"));
    one.save("Patient/p1", patient());
    one.sync();
    two.sync();
    one.save("Patient/p1", &patient().replace('}', r#","address":[{"use":"home","city":"Bonn"}]}"#));
    two.save("Patient/p1", &patient().replace('}', r#","language":"de"}"#));
    one.sync();
    assert_eq!(two.sync().merged, 1);
    world.restart();
    let (status, page) = world.get("/fhir/Provenance?target=Patient/p1");
    let page: serde_json::Value = serde_json::from_slice(&page).unwrap();
    assert_eq!((status, page["entry"].as_array().map(Vec::len)), (200, Some(1)), "{page}");
    let told = &page["entry"][0]["resource"];
    assert_eq!(told["target"][0]["reference"], "Patient/p1/_history/3");
    assert_eq!(told["activity"]["coding"][0]["code"], "merge");
    assert_eq!(told["agent"][0]["who"]["reference"], "Practitioner/bob");
    let device = two.client.status().unwrap().device.unwrap();
    let uri = &told["agent"][1]["who"]["identifier"]["value"];
    assert_eq!(uri.as_str().unwrap(), format!("urn:keepwell:device:{device}"));
    assert_eq!(told["entity"][0]["what"]["reference"], "Patient/p1/_history/2");
    assert_eq!(told["entity"][1]["what"]["reference"], "Patient/p1/_history/1");
    assert_eq!(told["policy"][0], "urn:keepwell:merge-rules:1");
    assert_eq!(told["extension"][0]["valueString"], "Patient.language");
    assert!(world.has(&format!("Provenance/{}", told["id"].as_str().unwrap())));
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
fn a_thread_that_was_stopped_in_the_middle_of_a_request_is_followed_by_one_that_works() {
    let world = World::new();
    let device = world.device("one", "ann");
    device.save("Patient/p1", patient());
    for number in 0..10 {
        let background = device.client.start().unwrap();
        device.save("Flag/f1", &flag("f1", &number.to_string()));
        background.stop().unwrap();
    }
    let background = device.client.start().unwrap();
    wait_for("all is sent", || device.client.status().unwrap().pending == 0);
    background.stop().unwrap();
}

#[test]
fn a_server_that_is_away_costs_nothing_but_time() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let device = Device::create(folder.path());
    device.client.enrol(&world.clinic.invitation("ann"), "one").unwrap();
    device.save("Patient/p1", patient());
    drop(world);
    let report = device.client.sync(&Cancel::default(), &mut |_| ()).unwrap();
    assert_eq!((report.last_problem, report.applied), (Some(468), 0));
    assert_eq!(device.client.status().unwrap().pending, 1);
}

#[test]
fn a_device_that_is_killed_at_any_moment_loses_nothing_it_has_saved() {
    let world = World::new();
    let device = world.device("one", "ann");
    let backend = world.clinic.server().backend();
    let at = keepwell_fhir::Instant::from_ms(1_795_348_800_000);
    backend.put(&Body::new(patient()).unwrap(), at).unwrap();
    for number in 0..600 {
        let body = Body::new(flag(&format!("s{number}"), "of the server")).unwrap();
        backend.put(&body, at).unwrap();
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
        while seen < wanted && begun.elapsed() < LIMIT {
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
        assert!(world.has(&format!("Flag/c{number}")), "save {number} of {saved}");
    }
    for number in 0..600 {
        assert!(device.has(&format!("Flag/s{number}")));
    }
    let report = device.session().verify(VerifyOptions::default(), &mut |_| ()).unwrap();
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
