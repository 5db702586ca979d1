//! Attachments between devices and a real server over TLS on loopback.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a child tells its parent")]

#[path = "common/tls.rs"]
mod tls;

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use keepwell_client::{Cancel, Policy};
use keepwell_store::{Error, VerifyOptions};

use tls::{Device, World, kind};

/// Names the folder of the device that a child process works for.
const CHILD: &str = "KEEPWELL_TEST_ATTACHING_CHILD";

fn document(id: &str, title: &str, data: &str) -> String {
    format!(
        r#"{{"resourceType":"DocumentReference","id":"{id}","status":"current","description":"{title}","subject":{{"reference":"Patient/p1"}},"content":[{{"attachment":{{"contentType":"image/png","data":"{data}"}}}}]}}"#
    )
}

/// Base64 text of so many bytes, which are different everywhere.
fn base64(bytes: usize, seed: u64) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = seed;
    let mut text = String::with_capacity(bytes / 3 * 4);
    for _ in 0..bytes / 3 * 4 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push(char::from(LETTERS[usize::try_from(state >> 58).unwrap()]));
    }
    text
}

#[test]
fn a_photo_taken_on_one_device_is_read_on_the_other_also_with_20_mb() {
    let world = World::new();
    let (one, two) = (world.device("one", "ann"), world.device("two", "bob"));
    one.save("Patient/p1", tls::patient());
    let data = base64(20_000_001, 7);
    one.save("DocumentReference/x1", &document("x1", "scan", &data));
    assert_eq!(one.sync().uploads, 1);
    // A FHIR client of the server reads it as one resource.
    assert!(world.seen("DocumentReference/x1").contains(&data));
    let report = two.sync();
    assert_eq!(report.downloads, 1);
    assert!(report.received_bytes > 20_000_000 && report.received_bytes < 21_000_000, "{report:?}");
    assert!(two.seen("DocumentReference/x1").contains(&data));
    assert_eq!(two.client.status().unwrap().absent, 0);
    // Another title is sent without the photo.
    two.save("DocumentReference/x1", &document("x1", "old scan", &data));
    let before = two.client.report().unwrap();
    let after = two.sync();
    assert!(after.sent_bytes - before.sent_bytes < 10_000);
    one.sync();
    assert!(one.seen("DocumentReference/x1").contains("old scan"));
    for device in [&one, &two] {
        let report = device.session().verify(VerifyOptions::default(), &mut |_| ()).unwrap();
        assert!(report.defects.is_empty(), "{:?}", report.defects);
    }
}

#[test]
fn on_a_metered_network_attachments_come_when_asked_for_and_edits_in_between_keep_them() {
    let world = World::new();
    let (one, two) = (world.device("one", "ann"), world.metered("two", "bob"));
    one.save("Patient/p1", tls::patient());
    let data = base64(60_000, 1);
    one.save("DocumentReference/x1", &document("x1", "scan", &data));
    one.sync();
    two.sync();
    assert_eq!(two.client.status().unwrap().absent, 1);
    let seen = two.seen("DocumentReference/x1");
    assert!(!seen.contains(&data) && seen.contains("urn:keepwell:attachment"), "{seen}");
    let failed = two.session().read_attachment(kind("DocumentReference"), "x1", 0, &mut Vec::new());
    assert!(matches!(failed, Err(Error::AttachmentAbsent)));

    // A person edits what is seen, and the photo is not lost.
    let edited = seen.replace("\"scan\"", "\"scan of the left hand\"");
    two.save("DocumentReference/x1", &edited);
    let elsewhere = edited.replace("\"x1\"", "\"x2\"");
    let refused = two.try_save("DocumentReference/x2", &elsewhere);
    assert!(matches!(refused, Err(Error::AttachmentAbsent)), "nothing else gets it by its name");
    two.sync();
    let (seen, edited) = (world.seen("DocumentReference/x1"), "scan of the left hand");
    assert!(seen.contains(&data) && seen.contains(edited));

    // A new one waits with its edit, and does not hold up others.
    two.save("DocumentReference/x3", &document("x3", "new", &base64(30_000, 2)));
    two.save("Flag/f1", &tls::flag("f1", "urgent"));
    two.sync();
    assert!(world.has("Flag/f1") && !world.has("DocumentReference/x3"));
    two.client.fetch_attachments(kind("DocumentReference"), "x1", &Cancel::default(), &mut |_| ()).unwrap();
    assert!(two.seen("DocumentReference/x1").contains(&data));
    let home = two.with(Policy::default());
    home.sync();
    assert!(world.has("DocumentReference/x3"));
}

#[test]
fn merging_keeps_the_attachments_of_both() {
    let world = World::new();
    let (one, two) = (world.device("one", "ann"), world.device("two", "bob"));
    let photo = base64(30_000, 3);
    let with = |rest: &str| format!(r#"{{"resourceType":"Patient","id":"p1"{rest}}}"#);
    one.save("Patient/p1", &with(r#","birthDate":"1970-01-01""#));
    one.sync();
    two.sync();
    one.save("Patient/p1", &with(r#","birthDate":"1970-01-01","language":"de""#));
    two.save("Patient/p1", &with(&format!(r#","birthDate":"1970-01-01","photo":[{{"data":"{photo}"}}]"#)));
    one.sync();
    let report = two.sync();
    assert_eq!((report.merged, report.lost), (1, 0));
    one.sync();
    for seen in [one.seen("Patient/p1"), two.seen("Patient/p1"), world.seen("Patient/p1")] {
        assert!(seen.contains(&photo) && seen.contains(r#""language":"de""#));
    }
}

#[test]
fn what_a_lost_scope_had_attached_goes_with_it() {
    let world = World::new();
    let (one, two) = (world.device("one", "ann"), world.device("two", "bob"));
    one.save("Patient/p1", tls::patient());
    one.save("DocumentReference/x1", &document("x1", "scan", &base64(60_000, 4)));
    one.sync();
    two.sync();
    let files = || std::fs::read_dir(world.place("two").join("store/blobs")).unwrap().count();
    assert_eq!(files(), 1);
    world.clinic.server().operator().revoke_grant(&tls::id("bob"), &"Patient/p1".parse().unwrap()).unwrap();
    two.sync();
    assert!(!two.has("DocumentReference/x1"));
    assert_eq!(files(), 0);
}

#[test]
fn a_device_that_is_killed_while_an_attachment_travels_goes_on_where_it_was() {
    let world = World::new();
    let (one, two) = (world.device("one", "ann"), world.device("two", "bob"));
    one.save("Patient/p1", tls::patient());
    one.sync();
    let data = base64(6_000_000, 5);
    one.save("DocumentReference/x1", &document("x1", "scan", &data));
    drop((one, two));
    for name in ["one", "two"] {
        let place = world.place(name);
        for _ in 0..2 {
            kill_after_a_chunk(&place);
        }
        let device = Device::open(&place);
        let report = device.sync();
        let bytes = report.sent_bytes.max(report.received_bytes);
        assert!(bytes < 5_500_000, "{name}: {report:?}");
        assert!(device.seen("DocumentReference/x1").contains(&data));
    }
    assert!(world.seen("DocumentReference/x1").contains(&data));
}

fn kill_after_a_chunk(place: &Path) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_moves_attachments", "--nocapture"])
        .env(CHILD, place)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while lines.next().unwrap().unwrap() != "moved" {}
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Not a test of its own: what the test above starts and kills.
#[test]
fn child_that_moves_attachments() {
    let Some(place) = std::env::var_os(CHILD) else { return };
    let device = Device::open(Path::new(&place));
    let moved = |progress: &keepwell_client::Progress| {
        if progress.sent_bytes.max(progress.received_bytes) > 1_000_000 {
            println!("moved");
            std::io::stdout().flush().unwrap();
            // Its parent ends it here.
            std::thread::sleep(Duration::from_secs(20));
        }
    };
    let _ = device.client.sync(&Cancel::default(), &mut { moved });
}
