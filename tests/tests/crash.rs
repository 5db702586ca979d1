//! A process that is killed at any moment loses nothing that it acknowledged, and leaves a store that opens.
//!
//! Each test runs this program again as its victim, kills it (SIGKILL) at a random moment of its work, and looks at
//! what is left. How often for each test: `KEEPWELL_KILLS`, by default 60.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at the first surprise, and says what it saw"
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use common::*;
use keepwell_fhir::ResourceType;
use keepwell_sample::Sample;
use keepwell_store::{Error, ImportOptions, ImportSource, Precondition, Session};
use keepwell_store::{Store, vault};
use keepwell_vault::{ERASED_FILE, KEY_FILE, State, Vault};
use serde_json::Value;
use tempfile::TempDir;

/// Rounds that one store goes through before a new one takes its place, so that looking at it stays quick.
const ROUNDS_PER_STORE: u64 = 20;

/// What an update writes has a number above this, which makes a resource of the same type.
const SERIALS_OF_UPDATES: u64 = 5_000_000;

const IMPORTED: &str = "records.ndjson";

fn kills() -> u64 {
    std::env::var("KEEPWELL_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(60)
}

fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Runs the victim of `test` and kills it within `limit` of its first word; returns what it said.
fn kill(test: &str, home: &Path, random: &mut Random, limit: Duration) -> Vec<String> {
    let victim = Heard::start(child(test, home));
    victim.kill_after(Duration::from_micros(random.below(u64::try_from(limit.as_micros()).unwrap())))
}

// Single writes

/// Writes, and says each write after it was acknowledged: `Type id version serial`, with `-` for a deletion.
fn write_for_ever(home: &Path) {
    let store = open(home);
    let session = session(&store);
    let mut serial = session.stats().unwrap().last_change.unsigned_abs();
    say("begun");
    loop {
        let (resource_type, body) = numbered(serial);
        let written = session.create(resource_type, body.as_bytes()).unwrap();
        say(&format!("{resource_type} {} {} {serial}", written.id, written.version));
        if serial.is_multiple_of(3) {
            let (_, body) = numbered(serial + SERIALS_OF_UPDATES);
            let body = stripped(body.as_bytes(), Some(&written.id));
            let again = session.update(resource_type, &written.id, &body, Precondition::Match(1)).unwrap();
            say(&format!("{resource_type} {} {} {}", again.id, again.version, serial + SERIALS_OF_UPDATES));
        }
        if serial.is_multiple_of(7) {
            let gone = session.delete(resource_type, &written.id, Precondition::None).unwrap().unwrap();
            say(&format!("{resource_type} {} {} -", gone.id, gone.version));
        }
        serial += 1;
    }
}

/// A resource that is known to have been written: each version with its serial, `None` for a deletion.
type Acknowledged = BTreeMap<(ResourceType, String), BTreeMap<u64, Option<u64>>>;

fn acknowledge(known: &mut Acknowledged, said: &[String]) -> usize {
    let mut writes = 0;
    for line in said.iter().filter(|line| *line != "begun") {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, id, version, serial] = words[..] else { panic!("{line}") };
        let versions = known.entry((resource_type(name), id.to_owned())).or_default();
        versions.insert(version.parse().unwrap(), serial.parse().ok());
        writes += 1;
    }
    writes
}

fn without_id_and_meta(body: &[u8]) -> Value {
    let mut value: Value = serde_json::from_slice(body).unwrap();
    let fields = value.as_object_mut().unwrap();
    fields.remove("id");
    fields.remove("meta");
    value
}

fn assert_all_there(session: &Session, known: &Acknowledged) {
    for ((resource_type, id), versions) in known {
        for (&version, serial) in versions {
            match (session.vread(*resource_type, id, version), serial) {
                (Ok(read), Some(serial)) => {
                    let expected = without_id_and_meta(numbered(*serial).1.as_bytes());
                    assert_eq!(without_id_and_meta(&read.body), expected, "{resource_type}/{id} {version}");
                }
                (Err(Error::Gone { .. }), None) => {}
                (other, _) => panic!("{resource_type}/{id} version {version}: {other:?}"),
            }
        }
    }
}

#[test]
fn acknowledged_writes_survive_kills() {
    if let Some(home) = home_of_child() {
        return write_for_ever(&home);
    }
    let (mut random, mut writes) = (Random(1), 0);
    let mut place = home();
    let mut known = Acknowledged::new();
    for round in 0..kills() {
        if round % ROUNDS_PER_STORE == 0 {
            place = home();
            drop(create(place.path()));
            known.clear();
        }
        let said =
            kill("acknowledged_writes_survive_kills", place.path(), &mut random, Duration::from_millis(60));
        writes += acknowledge(&mut known, &said);
        let store = open(place.path());
        let session = session(&store);
        assert_all_there(&session, &known);
        assert_sound(&session, &format!("round {round}"));
    }
    println!("{writes} acknowledged writes, {} kills", kills());
    assert!(writes > 0, "the victims did write");
}

// Imports

fn import(session: &Session, home: &Path, progress: &mut dyn FnMut(u64)) {
    let options = ImportOptions { batch: 25, ..ImportOptions::default() };
    let source = ImportSource::file(&home.join(IMPORTED));
    session.import(source, &options, &mut |told| progress(told.entries)).unwrap();
}

fn import_once(home: &Path) {
    let store = open(home);
    let session = session(&store);
    say("0");
    import(&session, home, &mut |entries| say(&entries.to_string()));
    say("done");
}

/// Patients with all that belongs to them, and documents with large attachments; each has an id.
fn records() -> String {
    let mut text = String::new();
    for resource in Sample::new(7, (2026, 11, 22)).resources(4) {
        text += &resource;
        text.push('\n');
    }
    for serial in (4..150).step_by(5) {
        let body = stripped(numbered(serial).1.as_bytes(), Some(&format!("document-{serial}")));
        text += std::str::from_utf8(&body).unwrap();
        text.push('\n');
    }
    text
}

#[test]
fn killed_imports_go_on_to_the_same_end() {
    if let Some(home) = home_of_child() {
        return import_once(&home);
    }
    let records = records();
    let undisturbed = home();
    fs::write(undisturbed.path().join(IMPORTED), &records).unwrap();
    let store = create(undisturbed.path());
    let first = session(&store);
    import(&first, undisturbed.path(), &mut |_| {});
    let (expected, changes) = (contents(&first), first.stats().unwrap().last_change);
    assert_eq!(expected.len(), records.lines().count());

    let (mut random, mut killed, mut stores) = (Random(2), 0, 0);
    while killed < kills() {
        let place = home();
        fs::write(place.path().join(IMPORTED), &records).unwrap();
        drop(create(place.path()));
        let mut is_done = false;
        while !is_done {
            let limit = Duration::from_millis(120);
            let said = kill("killed_imports_go_on_to_the_same_end", place.path(), &mut random, limit);
            is_done = said.last().is_some_and(|word| word == "done");
            killed += u64::from(!is_done);
            let store = open(place.path());
            let session = session(&store);
            assert_sound(&session, &format!("kill {killed}"));
            let acknowledged = said.iter().filter_map(|word| word.parse().ok()).max().unwrap_or(0);
            let there = session.stats().unwrap().resources();
            assert!(there >= acknowledged, "kill {killed}: {there} of {acknowledged}");
            if killed >= kills() {
                import(&session, place.path(), &mut |_| {});
                is_done = true;
            }
        }
        let store = open(place.path());
        let session = session(&store);
        assert_eq!(session.stats().unwrap().last_change, changes, "nothing is written twice");
        assert!(contents(&session) == expected, "the same content as without kills");
        stores += 1;
    }
    println!("{killed} kills of imports into {stores} stores");
}

// Rotations

fn rotate_for_ever(home: &Path, rotate: impl Fn(&Session) -> Result<(), Error>) {
    let store = open(home);
    let session = session(&store);
    say("begun");
    loop {
        rotate(&session).unwrap();
        say("rotated");
    }
}

/// Kills rotations of a store that holds something, and finds all of it each time.
fn assert_rotations_survive(test: &str, seed: u64, limit: Duration) {
    let place = home();
    fs::write(place.path().join(IMPORTED), records()).unwrap();
    let store = create(place.path());
    import(&session(&store), place.path(), &mut |_| {});
    let expected = contents(&session(&store));
    drop(store);
    let (mut random, mut rotations) = (Random(seed), 0);
    for round in 0..kills() {
        let said = kill(test, place.path(), &mut random, limit);
        rotations += said.iter().filter(|word| *word == "rotated").count();
        let store = open(place.path());
        assert!(!store.vault().key_status().rotation_pending, "round {round}");
        let session = session(&store);
        assert_sound(&session, &format!("round {round}"));
        assert!(contents(&session) == expected, "round {round}: all of it is there");
    }
    println!("{} kills among {rotations} finished rotations", kills());
    assert!(rotations > 0, "the victims did rotate");
}

#[test]
fn killed_rotations_of_the_database_key_leave_a_store_that_opens() {
    if let Some(home) = home_of_child() {
        return rotate_for_ever(&home, |session| session.elevate(None)?.rotate_database_key());
    }
    let test = "killed_rotations_of_the_database_key_leave_a_store_that_opens";
    assert_rotations_survive(test, 3, Duration::from_millis(150));
}

#[test]
fn killed_rotations_of_the_key_encryption_key_leave_a_store_that_opens() {
    if let Some(home) = home_of_child() {
        return rotate_for_ever(&home, |session| session.elevate(None)?.rotate_kek());
    }
    let test = "killed_rotations_of_the_key_encryption_key_leave_a_store_that_opens";
    assert_rotations_survive(test, 4, Duration::from_millis(40));
}

// The end and the beginning of a store

fn erase(home: &Path) -> vault::Erasure {
    let config = vault::Config::new(options(home).keychain.unwrap());
    vault::erase(store_of(home), &config).unwrap()
}

#[test]
fn killed_erasures_are_never_undone_and_can_be_finished() {
    if let Some(home) = home_of_child() {
        say("begun");
        erase(&home);
        return;
    }
    let (mut random, mut cut) = (Random(5), 0);
    for round in 0..kills() {
        let place = home();
        let store = create(place.path());
        let first = session(&store);
        for serial in 0..10 {
            let (resource_type, body) = numbered(serial);
            first.create(resource_type, body.as_bytes()).unwrap();
        }
        let expected = contents(&first);
        drop((first, store));
        let kept = home();
        copy(&store_of(place.path()), &store_of(kept.path()));
        let test = "killed_erasures_are_never_undone_and_can_be_finished";
        kill(test, place.path(), &mut random, Duration::from_millis(8));

        let directory = store_of(place.path());
        if directory.join(ERASED_FILE).exists() {
            cut += u64::from(directory.join(KEY_FILE).exists());
            let opened = Store::open(&directory, options(place.path()));
            assert!(matches!(opened, Err(Error::Vault(vault::Error::Erased))), "round {round}");
        } else {
            // Killed before it began.
            let store = open(place.path());
            assert!(contents(&session(&store)) == expected, "round {round}");
        }
        assert!(erase(place.path()).finished_ms.is_some());
        assert_eq!(Vault::state_of(&directory).unwrap(), State::Erased);
        let left: Vec<_> =
            files(&directory).iter().map(|path| path.file_name().unwrap().to_owned()).collect();
        assert!(
            left.iter().all(|name| !name.to_str().unwrap().starts_with("store.db")),
            "round {round}: {left:?}"
        );
        // Not even a copy from before, with its key file, opens with what the keychain has left.
        let returned = Store::open(&store_of(kept.path()), options(place.path())).unwrap().unlock(None);
        assert!(
            matches!(returned, Err(Error::Vault(vault::Error::KeyMissing))),
            "round {round}: {returned:?}"
        );
    }
    println!("{cut} of {} erasures were cut before the key file was gone", kills());
}

#[test]
fn killed_creations_leave_a_store_or_what_can_be_erased() {
    if let Some(home) = home_of_child() {
        say("begun");
        drop(create(&home));
        say("created");
        return;
    }
    let (mut random, mut acknowledged, mut unfinished) = (Random(6), 0, 0);
    for round in 0..kills() {
        let place = home();
        let test = "killed_creations_leave_a_store_or_what_can_be_erased";
        let said = kill(test, place.path(), &mut random, Duration::from_millis(120));
        let is_created = said.iter().any(|word| word == "created");
        let opened = Store::open(&store_of(place.path()), options(place.path()))
            .and_then(|store| store.unlock(None).map(|()| store));
        match opened {
            Ok(store) => assert_sound(&session(&store), &format!("round {round}")),
            Err(error) => {
                assert!(!is_created, "round {round}: {error:?}");
                unfinished += 1;
                if !matches!(error, Error::Vault(vault::Error::Uninitialised)) {
                    erase(place.path());
                }
                drop(create(place.path()));
            }
        }
        acknowledged += u64::from(is_created);
    }
    println!("{acknowledged} creations finished, {unfinished} of {} left nothing that opens", kills());
}
