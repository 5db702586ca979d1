//! The states of a vault and the ways between them.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::{START_MS, World, bytes, code, copy, snapshot};
use keepwell_vault::quarantine::{self, Reason};
use keepwell_vault::{
    Anchor, BOOT_FILE, DATABASE_FILE, Error, FileKeychain, KEY_FILE, Keychain as _, MemoryKeychain, Part,
    Policy, State, Suspicion, Unsynced, Vault, unsynced,
};

#[test]
fn keys_are_the_same_after_a_restart() {
    let world = World::new();
    assert_eq!(Vault::state_of(world.place()).unwrap(), State::Uninitialised);
    let (vault, keys) = world.create(None);
    assert_eq!(vault.state(), State::Open);
    assert!(keys.pending_database.is_none());
    let before = bytes(&keys);
    assert_eq!(before.iter().collect::<std::collections::HashSet<_>>().len(), 5, "one key for each purpose");
    drop((vault, keys));

    assert_eq!(Vault::state_of(world.place()).unwrap(), State::Locked);
    let vault = world.open();
    assert_eq!(vault.state(), State::Locked);
    assert!(matches!(vault.check(), Err(Error::Locked)));
    assert_eq!(bytes(&vault.unlock(None).unwrap()), before);
    assert_eq!(vault.state(), State::Open);
    vault.check().unwrap();
    vault.lock();
    assert_eq!(vault.state(), State::Locked);
    assert_eq!(bytes(&vault.unlock(None).unwrap()), before);
}

#[test]
fn two_stores_have_different_keys_and_names() {
    let (one, other) = (World::new(), World::new());
    let ((one, one_keys), (other, other_keys)) = (one.create(None), other.create(None));
    assert_ne!(one.store_id(), other.store_id());
    assert!(bytes(&one_keys).iter().all(|key| !bytes(&other_keys).contains(key)));
}

#[test]
fn only_one_vault_at_a_time() {
    let world = World::new();
    let (vault, _keys) = world.create(None);
    assert!(matches!(Vault::open(world.place(), world.config()), Err(Error::AlreadyOpen)));
    assert!(matches!(keepwell_vault::erase(world.place(), &world.config()), Err(Error::AlreadyOpen)));
    assert!(matches!(quarantine::mark(world.place(), Reason::Decision, 0), Err(Error::AlreadyOpen)));
    drop(vault);
    world.open();
}

#[test]
fn a_key_is_never_made_where_a_store_is() {
    let world = World::new();
    drop(world.create(None));
    let before = snapshot(&world.place());
    let items = world.keychain.names();
    assert!(matches!(Vault::create(world.place(), world.config(), None), Err(Error::AlreadyExists)));
    assert_eq!(snapshot(&world.place()), before);

    fs::write(world.place().join(DATABASE_FILE), b"data").unwrap();
    fs::rename(world.place().join(KEY_FILE), world.home().join("kept")).unwrap();
    let before = snapshot(&world.place());
    let missing = |result: Result<_, Error>| matches!(result, Err(Error::Corrupt(Part::KeyFileMissing)));
    assert!(missing(Vault::create(world.place(), world.config(), None).map(drop)));
    assert!(missing(Vault::open(world.place(), world.config()).map(drop)));
    assert_eq!(snapshot(&world.place()), before);
    assert_eq!(world.keychain.names(), items);
}

#[test]
fn opening_nothing_makes_nothing() {
    let world = World::new();
    assert!(matches!(Vault::open(world.place(), world.config()), Err(Error::Uninitialised)));
    assert!(!world.place().exists());
    fs::create_dir(world.place()).unwrap();
    assert!(matches!(Vault::open(world.place(), world.config()), Err(Error::Uninitialised)));
    assert!(snapshot(&world.place()).is_empty());
}

#[test]
fn idle_time_locks_and_activity_does_not_revive() {
    let world = World::new();
    let (vault, _keys) = world.create(None);
    world.advance_s(299);
    vault.touch().unwrap();
    world.advance_s(299);
    vault.check().unwrap();
    world.advance_s(1);
    assert!(matches!(vault.check(), Err(Error::IdleTimeout)));
    assert!(matches!(vault.touch(), Err(Error::IdleTimeout)));
    vault.lock();
    assert!(matches!(vault.touch(), Err(Error::Locked)));
    vault.unlock(None).unwrap();
    vault.touch().unwrap();
}

#[test]
fn a_sleeping_machine_counts_as_idle_and_a_clock_set_back_does_not_help() {
    let world = World::new();
    let (vault, _keys) = world.create(None);
    world.clock.sleep(Duration::from_secs(301));
    assert!(matches!(vault.check(), Err(Error::IdleTimeout)));
    vault.lock();
    vault.unlock(None).unwrap();
    world.advance_s(200);
    world.clock.set_wall(START_MS - 1_000_000);
    vault.check().unwrap();
    world.advance_s(100);
    assert!(matches!(vault.check(), Err(Error::IdleTimeout)));
}

#[test]
fn a_session_ends_however_busy_it_is() {
    let world = World::new();
    let (vault, _keys) = world.create(None);
    for _ in 0..119 {
        world.advance_s(60);
        vault.touch().unwrap();
    }
    world.advance_s(60);
    assert!(matches!(vault.touch(), Err(Error::SessionExpired)));
}

#[test]
fn a_suspended_session_goes_on_within_its_minute() {
    let world = World::new();
    let passcode = code("2580");
    let (vault, keys) = world.create(Some(&passcode));
    let before = bytes(&keys);
    assert!(matches!(vault.resume(Some(&passcode)), Err(Error::WrongState)));
    vault.suspend().unwrap();
    assert_eq!(vault.state(), State::Suspended);
    assert!(matches!(vault.check(), Err(Error::Locked)));
    assert!(matches!(vault.anchor(), Err(Error::Locked)), "the keys are gone");
    assert!(matches!(vault.suspend(), Err(Error::Locked)));
    world.advance_s(59);
    assert!(matches!(vault.resume(None), Err(Error::PasscodeNeeded)));
    assert_eq!(vault.state(), State::Suspended);
    assert_eq!(bytes(&vault.resume(Some(&passcode)).unwrap()), before);
    assert_eq!(vault.state(), State::Open);

    vault.suspend().unwrap();
    world.advance_s(60);
    assert!(matches!(vault.resume(Some(&passcode)), Err(Error::IdleTimeout)));
    assert_eq!(vault.state(), State::Locked);
    vault.unlock(Some(&passcode)).unwrap();
}

#[test]
fn resuming_does_not_start_the_session_anew() {
    let mut world = World::new();
    world.policy.session = Duration::from_secs(100);
    let (vault, _keys) = world.create(None);
    for _ in 0..3 {
        world.advance_s(30);
        vault.suspend().unwrap();
        vault.resume(None).unwrap();
    }
    world.advance_s(5);
    vault.suspend().unwrap();
    world.advance_s(5);
    assert!(matches!(vault.resume(None), Err(Error::SessionExpired)));
    assert_eq!(vault.state(), State::Locked);
}

#[test]
fn quarantine_keeps_everything_and_counts_what_is_unsynced() {
    let world = World::new();
    let (vault, _keys) = world.create(None);
    fs::write(world.place().join(DATABASE_FILE), b"data").unwrap();
    vault.set_unsynced(17).unwrap();
    let expected = Unsynced { store: vault.store_id(), count: 17, as_of_ms: START_MS };
    assert_eq!(unsynced(world.place()).unwrap(), Some(expected));
    assert_eq!(vault.unsynced().unwrap(), Some(expected));
    let before = snapshot(&world.place());
    let items = world.keychain.names();

    let quarantine = vault.quarantine(Reason::KeyLost).unwrap();
    assert_eq!((quarantine.reason, quarantine.unsynced), (Reason::KeyLost, Some(17)));
    assert_eq!(vault.state(), State::Quarantined);
    assert!(matches!(vault.unlock(None), Err(Error::Quarantined)));
    assert!(matches!(vault.check(), Err(Error::Quarantined)));
    drop(vault);
    assert_eq!(Vault::state_of(world.place()).unwrap(), State::Quarantined);
    assert!(matches!(Vault::open(world.place(), world.config()), Err(Error::Quarantined)));
    assert_eq!(quarantine::find(world.place()).unwrap(), Some(quarantine));
    assert_eq!(world.keychain.names(), items);
    let after = snapshot(&world.place());
    assert!(before.iter().all(|(path, content)| after.get(path) == Some(content)));

    quarantine::lift(world.place()).unwrap();
    world.open().unlock(None).unwrap();
}

#[test]
fn a_store_moved_aside_makes_room_and_can_be_moved_back() {
    let world = World::new();
    let (vault, keys) = world.create(None);
    let before = bytes(&keys);
    drop((vault, keys));
    let aside = quarantine::move_aside(world.place(), START_MS).unwrap();
    assert!(!world.place().exists());
    assert_eq!(quarantine::find(&aside).unwrap().map(|found| found.reason), Some(Reason::Decision));
    fs::rename(&aside, world.place()).unwrap();
    quarantine::lift(world.place()).unwrap();
    assert_eq!(bytes(&world.open().unlock(None).unwrap()), before);
}

#[test]
fn a_copy_is_suspected_until_it_is_adopted() {
    let world = World::new();
    drop(world.create(None));
    let copied = world.home().join("copy");
    copy(&world.place(), &copied);
    let original = world.open();
    original.unlock(None).unwrap();

    let clone = Vault::open(&copied, world.config()).unwrap();
    assert!(matches!(clone.unlock(None), Err(Error::CloneSuspected)));
    assert_eq!(clone.state(), State::Quarantined);
    let boot = fs::read(copied.join(BOOT_FILE)).unwrap();
    clone.unlock_with(None, Suspicion::Inspect).unwrap();
    assert_eq!(fs::read(copied.join(BOOT_FILE)).unwrap(), boot, "looking leaves no trace");
    clone.lock();
    assert!(matches!(clone.unlock(None), Err(Error::CloneSuspected)));
    clone.unlock_with(None, Suspicion::Adopt).unwrap();
    clone.lock();
    clone.unlock(None).unwrap();
    original.lock();
    assert!(matches!(original.unlock(None), Err(Error::CloneSuspected)));
}

#[test]
fn a_copy_on_another_device_has_no_key() {
    let world = World::new();
    drop(world.create(None));
    let elsewhere = World::new();
    copy(&world.place(), &elsewhere.place());
    let before = snapshot(&elsewhere.place());
    let vault = elsewhere.open();
    assert!(matches!(vault.unlock(None), Err(Error::KeyMissing)));
    assert_eq!(vault.state(), State::Quarantined);
    assert!(elsewhere.keychain.names().is_empty(), "no key was made");
    for (path, content) in before {
        assert_eq!(fs::read(path).unwrap(), content);
    }
}

#[test]
fn the_anchor_only_moves_forward() {
    let world = World::new();
    let (vault, _keys) = world.create(None);
    assert_eq!(vault.anchor().unwrap(), None);
    let anchor = Anchor { epoch: 1, sequence: 5, head: [1; 32] };
    vault.set_anchor(&anchor).unwrap();
    vault.lock();
    assert!(matches!(vault.set_anchor(&anchor), Err(Error::Locked)));
    vault.unlock(None).unwrap();
    assert_eq!(vault.anchor().unwrap(), Some(anchor));
    let older = Anchor { sequence: 4, ..anchor };
    assert!(matches!(vault.set_anchor(&older), Err(Error::RollbackSuspected)));
    assert_eq!(vault.anchor().unwrap(), Some(anchor));

    let item = world.keychain.names().into_iter().find(|name| name.starts_with("anchor:")).unwrap();
    world.keychain.set(&item, &[0; 80]).unwrap();
    assert!(matches!(vault.anchor(), Err(Error::Corrupt(Part::Anchor))));
}

#[test]
fn a_passphrase_alone_is_enough_if_it_is_chosen() {
    let world = World::new();
    let phrase = code("a long enough passphrase");
    let none = || world.config_with(None);
    assert!(matches!(Vault::create(world.place(), none(), None), Err(Error::PasscodeNeeded)));
    assert!(!world.place().exists());
    let (vault, keys) = Vault::create(world.place(), none(), Some(&phrase)).unwrap();
    let before = bytes(&keys);
    assert!(matches!(vault.remove_passcode(), Err(Error::PasscodeNeeded)));
    vault.rotate_kek().unwrap();
    drop((vault, keys));
    assert!(matches!(Vault::open(world.place(), world.config()), Err(Error::OtherKeychain)));
    let vault = Vault::open(world.place(), none()).unwrap();
    assert!(matches!(vault.unlock(Some(&code("wrong"))), Err(Error::WrongPasscode { .. })));
    assert_eq!(bytes(&vault.unlock(Some(&phrase)).unwrap()), before);
    assert!(world.keychain.names().is_empty());
}

#[test]
fn another_kind_of_keychain_is_no_fallback() {
    let world = World::new();
    drop(world.create(None));
    let files = Arc::new(FileKeychain::new(world.home().join("keys")));
    let other = Vault::open(world.place(), world.config_with(Some(files)));
    assert!(matches!(other, Err(Error::OtherKeychain)));
    assert!(matches!(Vault::open(world.place(), world.config_with(None)), Err(Error::OtherKeychain)));
    assert!(!world.home().join("keys").exists());
}

#[test]
fn items_of_a_store_that_is_gone_are_purged_and_others_stay() {
    let world = World::new();
    let (vault, keys) = world.create(Some(&code("2580")));
    let gone = vault.store_id();
    drop((vault, keys));
    let (neighbour, _keys) = Vault::create(world.home().join("neighbour"), world.config(), None).unwrap();
    fs::remove_dir_all(world.place()).unwrap();
    let (vault, _keys) = world.create(None);
    assert_ne!(vault.store_id(), gone);
    let names = world.keychain.names();
    assert!(names.iter().all(|name| !name.contains(&gone.to_string())), "{names:?}");
    assert!(names.iter().any(|name| name.contains(&neighbour.store_id().to_string())));
    assert_eq!(names.iter().filter(|name| name.starts_with("kek:")).count(), 2);
}

#[test]
fn a_named_place_outlives_its_path() {
    let world = World::new();
    let named = || keepwell_vault::Config { place: Some("clinic".to_owned()), ..world.config() };
    let (first, _keys) = Vault::create(world.home().join("container-1"), named(), None).unwrap();
    let (second, _keys) = Vault::create(world.home().join("container-2"), named(), None).unwrap();
    let names = world.keychain.names();
    assert!(names.iter().all(|name| !name.contains(&first.store_id().to_string())));
    assert!(names.iter().any(|name| name.contains(&second.store_id().to_string())));
}

#[test]
fn key_ages_are_reported_after_two_years() {
    let world = World::new();
    let (vault, _keys) = world.create(None);
    let status = vault.key_status();
    assert_eq!((status.generation, status.keychain), (1, Some("memory")));
    assert!(
        !status.kek_is_old && !status.database_key_is_old && !status.has_passcode && !status.has_recovery
    );
    world.advance_s(2 * 365 * 24 * 60 * 60);
    let status = vault.key_status();
    assert!(status.kek_is_old && status.database_key_is_old);
    vault.rotate_kek().unwrap();
    let status = vault.key_status();
    assert!(!status.kek_is_old && status.database_key_is_old);
    assert_eq!(status.generation, 2);
}

#[test]
fn a_policy_out_of_range_makes_nothing() {
    let mut world = World::new();
    world.policy = Policy { idle: Duration::from_secs(1801), ..Policy::default() };
    assert!(matches!(Vault::create(world.place(), world.config(), None), Err(Error::Policy)));
    assert!(!world.place().exists());
}

#[test]
fn nothing_secret_is_printed() {
    let world = World::new();
    let (vault, keys) = world.create(None);
    assert_eq!(format!("{vault:?}"), "Vault { state: Open, .. }");
    let printed = format!("{keys:?} {:?}", world.config());
    for key in bytes(&keys) {
        assert!(!printed.contains(&hex::encode(key)));
    }
    assert!(printed.contains("Key(..)"));
}

#[test]
fn no_key_is_in_any_file_or_item() {
    let world = World::new();
    let (vault, keys) = world.create(Some(&code("2580")));
    vault.set_recovery(&code("correct horse battery")).unwrap();
    vault.rotate_kek().unwrap();
    let keychain: &MemoryKeychain = &world.keychain;
    let mut places: Vec<Vec<u8>> = snapshot(&world.place()).into_values().collect();
    places.extend(keychain.names().iter().map(|name| keychain.get(name).unwrap().unwrap().to_vec()));
    for key in bytes(&keys) {
        let spellings =
            [key.to_vec(), hex::encode(key).into_bytes(), URL_SAFE_NO_PAD.encode(key).into_bytes()];
        for spelling in &spellings {
            assert!(
                places.iter().all(|place| !place.windows(spelling.len()).any(|window| window == spelling))
            );
        }
    }
}
