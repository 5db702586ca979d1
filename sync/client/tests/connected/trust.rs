//! What a connection rests on, over the years: the server's key, the device's certificate, and who stood between.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keepwell_client::{Cancel, Error};
use keepwell_protocol::Refusal;
use keepwell_server::{RotationFault, Server, pin_set, prepare_key, switch_key};
use keepwell_store::audit::{Action, AuditQuery};
use keepwell_store::vault::quarantine::Reason;
use keepwell_store::vault::{Clock, ManualClock, SystemClock, unsynced};
use keepwell_tests::Clinic;
use keepwell_tls::{Offer, PinSet, PinSigner, UnixTime};
use zeroize::Zeroizing;

use crate::tls::{Device, World, flag, patient};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The server's key is not pinned; its authority is not trusted; no pin counts any more.
const NOT_PINNED: Option<u16> = Some(464);
const UNTRUSTED: Option<u16> = Some(461);
const PINS_EXPIRED: Option<u16> = Some(465);
/// The connection failed.
const AWAY: Option<u16> = Some(468);

/// A file of what the operator keeps offline.
fn offline(world: &World, name: &str) -> PathBuf {
    world.clinic.folder().join("data/offline").join(name)
}

fn config(world: &World) -> keepwell_server::Config {
    Clinic::config(world.clinic.folder(), "127.0.0.1:0")
}

/// The number of the pin set that the operator knows a device to have.
fn pins_of(world: &World, device: &Device) -> u64 {
    let id = device.client.status().unwrap().device.unwrap();
    let devices = world.clinic.server().operator().devices().unwrap();
    devices.into_iter().find(|known| known.id == id).unwrap().pins
}

/// A number of the server's metrics; 0 if there is no such line.
fn counted(world: &World, name: &str) -> u64 {
    let text = String::from_utf8(world.get("/metrics").1).unwrap();
    let count = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    count.map_or(0, |count| count.parse().unwrap())
}

/// How often servers were refused in the place of this one, as it knows.
fn refused(world: &World) -> u64 {
    counted(world, "keepwell_servers_refused_total")
}

/// Signs pins with the root of a server.
fn sign(world: &World, pins: &PinSet) -> String {
    let seed = std::fs::read(offline(world, "pin-root.seed")).unwrap();
    let signer = PinSigner::from_seed(Zeroizing::new(seed.try_into().unwrap())).unwrap();
    signer.sign(pins).unwrap()
}

/// How often the device's own trail says that about sync.
fn recorded(device: &Device, what: &str) -> usize {
    let query = AuditQuery { action: Some(Action::SyncAccess), ..AuditQuery::default() };
    let records = device.session().audit_page(&query).unwrap().records;
    let detail = format!(r#"{{"sync":"{what}"}}"#);
    records.iter().filter(|record| record.detail.as_deref() == Some(detail.as_str())).count()
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(SystemClock::new().wall_ms()))
}

/// What is in the way of sync. A connection that was kept breaks once when the server is started anew; that is not it.
fn problem(device: &Device) -> Option<u16> {
    let begun = Instant::now();
    loop {
        let problem = device.client.sync(&Cancel::default(), &mut |_| ()).unwrap().last_problem;
        if problem != AWAY || begun.elapsed() > Duration::from_secs(30) {
            return problem;
        }
    }
}

/// Syncs with a server that was started anew.
fn meet(device: &Device) {
    assert_eq!(problem(device), None);
}

#[test]
fn a_device_goes_through_a_change_of_the_servers_key_and_one_that_was_away_is_told() {
    let mut world = World::new();
    let clock = clock();
    let (here, away) = (world.device("here", "ann").at(clock.clone()), world.device("away", "bob"));
    here.save("Patient/p1", patient());
    here.sync();
    let (root, config) = (offline(&world, "pin-root.seed"), config(&world));

    let none = switch_key(&config, &root, None);
    assert!(matches!(none, Err(keepwell_server::Error::Rotation(RotationFault::NoNextKey))), "{none:?}");
    let foreign = prepare_key(&config, &offline(&world, "backup-key.p8"));
    assert!(
        matches!(foreign, Err(keepwell_server::Error::Rotation(RotationFault::OtherRoot))),
        "{foreign:?}"
    );

    let prepared = prepare_key(&config, &root).unwrap();
    assert_eq!((prepared.number, prepared.pins.len()), (2, 3));
    assert_eq!(prepare_key(&config, &root).unwrap(), prepared, "it is prepared already");
    world.restart();
    meet(&here);
    assert_eq!(pins_of(&world, &here), 1, "it asks once a day");
    clock.advance(DAY);
    here.sync();
    here.sync();
    assert_eq!((pins_of(&world, &here), pins_of(&world, &away)), (2, 0));

    let switched = switch_key(&config, &root, None).unwrap();
    assert_eq!((switched.number, switched.pins.len(), switched.pins[0].pin), (3, 2, prepared.pins[1].pin));
    world.restart();
    clock.advance(DAY);
    here.save("Flag/f1", &flag("f1", "after the change"));
    meet(&here);
    here.sync();
    assert_eq!(pins_of(&world, &here), 3);

    away.save("Flag/f2", &flag("f2", "of one that was away"));
    assert_eq!(problem(&away), NOT_PINNED);
    assert_eq!(away.client.status().unwrap().pending, 1);
    assert!(!world.has("Flag/f2"));

    let (_, document) = pin_set(&config).unwrap();
    let forged = document.replace("host 127.0.0.1", "host 127.0.0.2");
    assert_eq!(away.client.install_pins(&forged).unwrap_err().code(), 452);
    assert_eq!(problem(&away), NOT_PINNED);
    assert_eq!(away.client.install_pins(&document).unwrap(), Offer::Installed);
    away.sync();
    assert!(world.has("Flag/f1") && world.has("Flag/f2") && away.has("Flag/f1"));
    assert!(refused(&world) >= 2, "what it refused meanwhile is known here");

    // The pins are kept, not only held.
    drop(away);
    let away = Device::open(&world.place("away"));
    away.sync();
    assert_eq!(pins_of(&world, &away), 3);
}

#[test]
fn the_backup_key_takes_the_place_of_a_stolen_one_at_once() {
    let mut world = World::new();
    let clock = clock();
    let device = world.device("one", "ann").at(clock.clone());
    device.save("Patient/p1", patient());
    device.sync();
    let (root, backup, config) =
        (offline(&world, "pin-root.seed"), offline(&world, "backup-key.p8"), config(&world));
    let (before, old) = pin_set(&config).unwrap();
    let wrong = switch_key(&config, &root, Some(&root));
    assert!(matches!(wrong, Err(keepwell_server::Error::Rotation(RotationFault::OtherBackup))), "{wrong:?}");
    let after = switch_key(&config, &root, Some(&backup)).unwrap();
    assert_eq!(after.pins[0].pin, before.pins[1].pin);
    assert!(offline(&world, "backup-key-1.p8").exists(), "another backup is to be locked away");
    world.restart();
    clock.advance(DAY);
    meet(&device);
    device.sync();
    assert_eq!(pins_of(&world, &device), 2);
    // The pin of the stolen key is gone, and does not come back.
    let refused = device.client.install_pins(&old).unwrap_err();
    assert_eq!(refused.code(), 454, "{refused}");
    // A second time, with the backup that was made then.
    switch_key(&config, &root, Some(&offline(&world, "backup-key-1.p8"))).unwrap();
    world.restart();
    meet(&device);
}

#[test]
fn another_invitation_brings_a_device_back_as_the_device_that_it_was() {
    let mut world = World::new();
    let device = world.device("one", "ann");
    device.save("Patient/p1", patient());
    device.sync();
    let before = device.client.status().unwrap().device;
    let (root, config) = (offline(&world, "pin-root.seed"), config(&world));
    for _ in 0..2 {
        prepare_key(&config, &root).unwrap();
        switch_key(&config, &root, None).unwrap();
    }
    world.restart();
    device.save("Flag/f1", &flag("f1", "waits"));
    assert_eq!(problem(&device), NOT_PINNED);

    let stranger = Clinic::start().invitation("ann");
    assert!(matches!(device.client.enrol(&stranger, "one"), Err(Error::AlreadyEnrolled)));
    let of_another = device.client.enrol(&world.clinic.invitation("bob"), "one");
    assert!(matches!(of_another, Err(Error::AlreadyEnrolled)), "{of_another:?}");
    let enrolled = device.client.enrol(&world.clinic.invitation("ann"), "one").unwrap();
    assert_eq!(Some(enrolled.device), before);
    device.sync();
    assert!(world.has("Flag/f1"));

    // It is no way around being locked out.
    world.clinic.server().operator().revoke(&before.unwrap()).unwrap();
    let refused = device.client.enrol(&world.clinic.invitation("ann"), "one");
    assert!(matches!(refused, Err(Error::Refused(Refusal::Revoked))), "{refused:?}");
}

#[test]
fn a_certificate_is_renewed_in_its_last_third_and_the_one_before_works_until_then() {
    let world = World::new();
    let clock = clock();
    let device = world.device("one", "ann").at(clock.clone());
    let serial = || world.clinic.server().operator().devices().unwrap()[0].serial.clone();
    let first = serial();
    device.sync();
    clock.advance(200 * DAY);
    device.sync();
    assert_eq!(serial(), first, "half of its time is over");
    clock.advance(71 * DAY);
    device.sync();
    let second = serial();
    assert_ne!(second, first);
    device.save("Patient/p1", patient());
    device.sync();
    assert!(world.has("Patient/p1"));
    drop(device);
    let device = Device::open(&world.place("one"));
    device.sync();
    assert_eq!(serial(), second, "it was kept");
    // The first pins came with the enrolment.
    assert_eq!(recorded(&device, "certificate or pins renewed"), 1);
}

#[test]
fn whoever_stands_in_the_servers_place_is_refused_and_the_server_hears_of_it() {
    let mut world = World::new();
    let device = world.device("one", "ann");
    device.save("Patient/p1", patient());
    device.sync();
    assert_eq!(refused(&world), 0);
    device.save("Flag/f1", &flag("f1", "not for strangers"));
    let address = world.clinic.stop().to_string();
    {
        let folder = tempfile::tempdir().unwrap();
        let config = Clinic::config(folder.path(), &address);
        keepwell_server::prepare(&config).unwrap();
        let _stranger = Server::start(config).unwrap();
        assert_eq!(problem(&device), UNTRUSTED);
        assert_eq!(device.client.status().unwrap().pending, 1);
    }
    // What was seen outlives the program.
    drop(device);
    world.clinic.start_at(&address);
    let device = Device::open(&world.place("one"));
    device.sync();
    let count = refused(&world);
    assert!(count > 0);
    device.sync();
    assert_eq!(refused(&world), count, "it is told once");
    assert_eq!(recorded(&device, "refused servers"), 2, "noted, and told");

    let asked = || counted(&world, r#"keepwell_requests_total{call="sync.upkeep",status="200"}"#);
    let before = asked();
    drop(device);
    Device::open(&world.place("one")).sync();
    assert!(before > 0 && asked() == before, "a start is no reason to ask again");
}

#[test]
fn pins_that_have_expired_end_sync_and_not_the_use_of_the_store() {
    let world = World::new();
    let device = world.device("one", "ann");
    device.save("Patient/p1", patient());
    device.sync();
    let (pins, _) = pin_set(&config(&world)).unwrap();
    let end = Duration::from_secs(UnixTime::now().as_secs() + 6);
    let ends = PinSet { number: 2, expires_at: UnixTime::since_unix_epoch(end), ..pins.clone() };
    assert_eq!(device.client.install_pins(&sign(&world, &ends)).unwrap(), Offer::Installed);
    while UnixTime::now() < ends.expires_at {
        std::thread::sleep(Duration::from_millis(20));
    }
    device.save("Flag/f1", &flag("f1", "offline"));
    assert_eq!(problem(&device), PINS_EXPIRED);
    assert!(device.has("Flag/f1") && device.client.status().unwrap().pending == 1);
    drop(device);
    let clock = clock();
    let device = Device::open(&world.place("one")).at(clock.clone());
    assert_eq!(problem(&device), PINS_EXPIRED, "a start makes no difference");
    // It is no way to work without a lease.
    clock.advance(15 * DAY);
    let over = device.client.sync(&Cancel::default(), &mut |_| ());
    assert!(matches!(over, Err(Error::LeaseOver)), "{over:?}");
    assert!(device.client.status().is_err(), "it is locked");
    device.store.unlock(None).unwrap();
    let next = PinSet { number: 3, ..pins };
    assert_eq!(device.client.install_pins(&sign(&world, &next)).unwrap(), Offer::Installed);
    device.sync();
    assert!(world.has("Flag/f1"));
}

#[test]
fn a_device_whose_key_is_lost_says_what_is_lost_and_fetches_the_rest_again() {
    let world = World::new();
    let device = world.device("one", "ann");
    device.save("Patient/p1", patient());
    device.sync();
    device.save("Flag/f1", &flag("f1", "nobody else has it"));
    drop(device);
    let place = world.place("one");
    std::fs::remove_dir_all(place.join("keys")).unwrap();
    let store = Device::locked(&place);
    assert_eq!(store.unlock(None).unwrap_err().code(), 211);
    store.vault().quarantine(Reason::KeyLost).unwrap();
    drop(store);
    assert_eq!(unsynced(place.join("store")).unwrap().map(|unsynced| unsynced.count), Some(1));

    let device = world.device("one-again", "ann");
    device.sync();
    assert!(device.has("Patient/p1") && !device.has("Flag/f1"));
    assert!(place.join("store/store.db").exists(), "what is lost is kept");
}

#[test]
fn a_lease_that_ends_while_the_server_is_away_locks_the_store_until_it_is_back() {
    let mut world = World::new();
    let clock = clock();
    let device = world.device("one", "ann").at(clock.clone());
    device.save("Patient/p1", patient());
    device.sync();
    let address = world.clinic.stop().to_string();
    clock.advance(13 * DAY);
    let report = device.client.sync(&Cancel::default(), &mut |_| ()).unwrap();
    assert!(report.last_problem == AWAY && device.has("Patient/p1"), "a day is left");
    clock.advance(2 * DAY);
    let over = device.client.sync(&Cancel::default(), &mut |_| ());
    assert!(matches!(over, Err(Error::LeaseOver)), "{over:?}");
    assert!(device.client.status().is_err(), "it is locked");
    // An unlock and a start do not lengthen it.
    drop(device);
    let device = Device::open(&world.place("one")).at(clock);
    let over = device.client.sync(&Cancel::default(), &mut |_| ());
    assert!(matches!(over, Err(Error::LeaseOver)), "{over:?}");
    world.clinic.start_at(&address);
    device.store.unlock(None).unwrap();
    meet(&device);
    assert!(device.has("Patient/p1"));
    assert_eq!(recorded(&device, "locked until the server is met"), 2);
    assert!(recorded(&device, "lease") >= 2, "the first one, and the one after");
}

/// What a certificate's time is compared with is the system's clock, and `keepwell-tls` tests that.
#[test]
fn a_clock_that_is_years_off_costs_neither_an_edit_nor_the_lease() {
    const YEARS_MS: i64 = 5 * 365 * 24 * 60 * 60 * 1000;
    let world = World::new();
    let mut device = world.device("one", "ann");
    device.save("Patient/p1", patient());
    device.sync();
    let until = |device: &Device| device.client.status().unwrap().lease.unwrap().until;
    let before = until(&device);
    for (number, off_ms) in [-YEARS_MS, YEARS_MS, 0].into_iter().enumerate() {
        device = device.at(Arc::new(ManualClock::new(SystemClock::new().wall_ms() + off_ms)));
        let name = format!("Flag/f{number}");
        device.save(&name, &flag(&format!("f{number}"), "off"));
        assert_eq!(problem(&device), None, "{off_ms}");
        assert!(world.has(&name), "{off_ms}");
        assert_eq!(device.client.status().unwrap().pending, 0, "{off_ms}");
        assert!(until(&device) >= before, "{off_ms}");
    }
}
