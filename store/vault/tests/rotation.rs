//! New keys, recovery, and crashes in the middle of either.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use std::fs;
use std::sync::Arc;

use common::{World, bytes, code, copy, snapshot};
use keepwell_vault::quarantine::{self, Reason};
use keepwell_vault::{
    Error, Fault, FileKeychain, KEY_FILE, Keychain as _, KeychainError, Part, RECOVERY_PASSPHRASE_MIN_BYTES,
    State, Vault,
};

const PHRASE: &str = "correct horse battery";

fn secrets(world: &World) -> Vec<String> {
    world.keychain.names().into_iter().filter(|name| name.starts_with("kek:")).collect()
}

#[test]
fn rotating_the_kek_changes_wraps_and_nothing_else() {
    let world = World::new();
    let (vault, keys) = world.create(Some(&code("2580")));
    let before = (snapshot(&world.place()), secrets(&world));
    vault.rotate_kek().unwrap();
    let after = (snapshot(&world.place()), secrets(&world));
    assert_eq!(after.1.len(), 1, "the old secret is gone");
    assert_ne!(before.1, after.1);
    for (path, content) in before.0 {
        assert_eq!(after.0[&path] == content, !path.ends_with(KEY_FILE), "{}", path.display());
    }
    drop(vault);
    assert_eq!(bytes(&world.open().unlock(Some(&code("2580"))).unwrap()), bytes(&keys));
}

#[test]
fn an_open_vault_goes_on_after_a_rotation() {
    let world = World::new();
    let (vault, _keys) = world.create(None);
    for generation in 2..6 {
        vault.rotate_kek().unwrap();
        assert_eq!(vault.key_status().generation, generation);
        vault.set_unsynced(generation).unwrap();
        vault.unlock(None).unwrap();
    }
    assert_eq!(vault.unsynced().unwrap().unwrap().count, 5);
}

#[test]
fn a_rotation_that_stops_at_any_call_leaves_a_store_that_opens() {
    let world = World::new();
    let (vault, keys) = world.create(Some(&code("2580")));
    drop(vault);
    for calls in 0.. {
        let vault = world.open();
        vault.unlock(Some(&code("2580"))).unwrap();
        world.keychain.fail_after(calls, Some(Fault::Error(KeychainError::Failed)));
        let rotated = vault.rotate_kek();
        let stopped = world.keychain.calls();
        // The process ends here, with whatever is done.
        drop(vault);
        world.keychain.fail(None);
        let vault = world.open();
        assert_eq!(bytes(&vault.unlock(Some(&code("2580"))).unwrap()), bytes(&keys), "after {calls} calls");
        assert!(rotated.is_err() || secrets(&world).len() == 1, "unlock makes up for the deletion");
        if stopped.last().is_some_and(|call| call.starts_with("delete kek:")) && calls > 3 {
            break;
        }
    }
}

#[test]
fn a_failed_rotation_leaves_the_vault_open() {
    let world = World::new();
    let (vault, keys) = world.create(None);
    world.keychain.fail(Some(Fault::Error(KeychainError::Failed)));
    assert!(vault.rotate_kek().is_err());
    world.keychain.fail(None);
    assert_eq!(vault.state(), State::Open);
    vault.set_passcode(&code("2580")).unwrap();
    vault.lock();
    assert_eq!(bytes(&vault.unlock(Some(&code("2580"))).unwrap()), bytes(&keys));
}

#[test]
fn half_a_key_file_beside_the_whole_one_is_ignored() {
    let world = World::new();
    let (vault, keys) = world.create(None);
    drop(vault);
    fs::write(world.place().join("store.keys.new"), b"{\"header\":{\"format\":\"keep").unwrap();
    let vault = world.open();
    assert_eq!(bytes(&vault.unlock(None).unwrap()), bytes(&keys));
    vault.rotate_kek().unwrap();
    assert!(!world.place().join("store.keys.new").exists());
}

#[test]
fn a_power_cut_between_secret_and_key_file_is_harmless_either_way() {
    // Before the rename: the old file, and both secrets. After it: the new file, and both secrets.
    for keep_old in [true, false] {
        let world = World::new();
        let (vault, keys) = world.create(None);
        let old_secret = secrets(&world).remove(0);
        let secret = world.keychain.get(&old_secret).unwrap().unwrap();
        let path = world.place().join(KEY_FILE);
        let old = fs::read(&path).unwrap();
        vault.rotate_kek().unwrap();
        drop(vault);
        world.keychain.set(&old_secret, &secret).unwrap();
        if keep_old {
            fs::write(&path, old).unwrap();
        }
        let vault = world.open();
        assert_eq!(bytes(&vault.unlock(None).unwrap()), bytes(&keys));
        vault.rotate_kek().unwrap();
        vault.lock();
        vault.unlock(None).unwrap();
        assert_eq!(secrets(&world).len(), 1);
    }
}

#[test]
fn a_database_rotation_survives_crashes_and_ends_either_way() {
    for promote in [true, false] {
        let world = World::new();
        let (vault, keys) = world.create(Some(&code("2580")));
        assert!(matches!(vault.finish_database_rotation(true), Err(Error::WrongState)));
        let new = *vault.begin_database_rotation().unwrap().expose();
        assert_ne!(&new, keys.database.expose());
        assert!(vault.key_status().rotation_pending);
        drop(vault);

        let vault = world.open();
        let found = vault.unlock(Some(&code("2580"))).unwrap();
        assert_eq!(found.database.expose(), keys.database.expose());
        assert_eq!(found.pending_database.unwrap().expose(), &new);
        assert_eq!(vault.begin_database_rotation().unwrap().expose(), &new, "the same rotation goes on");
        // The key-encryption key may change in between.
        vault.rotate_kek().unwrap();
        vault.finish_database_rotation(promote).unwrap();
        drop(vault);

        let vault = world.open();
        let found = vault.unlock(Some(&code("2580"))).unwrap();
        assert!(found.pending_database.is_none());
        let expected = if promote { &new } else { keys.database.expose() };
        assert_eq!(found.database.expose(), expected);
        assert_eq!(found.blob.expose(), keys.blob.expose());
    }
}

#[test]
fn recovery_brings_a_store_back_on_another_keychain() {
    let world = World::new();
    let (vault, keys) = world.create(Some(&code("2580")));
    vault.set_recovery(&code(PHRASE)).unwrap();
    assert!(vault.key_status().has_recovery);
    // Rotations do not need the passphrase and do not lose it.
    let database = *vault.begin_database_rotation().unwrap().expose();
    vault.finish_database_rotation(true).unwrap();
    vault.rotate_kek().unwrap();
    vault.set_passcode(&code("1470")).unwrap();
    drop(vault);

    let elsewhere = World::new();
    copy(&world.place(), &elsewhere.place());
    assert!(matches!(elsewhere.open().unlock(Some(&code("1470"))), Err(Error::KeyMissing)));
    let wrong = Vault::recover(elsewhere.place(), elsewhere.config(), &code("incorrect horse"), None);
    assert!(matches!(wrong, Err(Error::WrongPassphrase)));
    assert!(elsewhere.keychain.names().is_empty());

    let next = code("3690");
    let (vault, found) =
        Vault::recover(elsewhere.place(), elsewhere.config(), &code(PHRASE), Some(&next)).unwrap();
    assert_eq!(vault.state(), State::Open);
    assert_eq!(found.database.expose(), &database);
    assert_eq!(found.audit.expose(), keys.audit.expose());
    vault.rotate_kek().unwrap();
    drop(vault);
    let vault = elsewhere.open();
    assert_eq!(vault.unlock(Some(&next)).unwrap().database.expose(), &database);
    drop(vault);
    // The passphrase goes on working.
    Vault::recover(elsewhere.place(), elsewhere.config(), &code(PHRASE), None).unwrap();
    elsewhere.open().unlock(None).unwrap();
}

#[test]
fn recovery_moves_a_store_to_another_kind_of_keychain_and_lifts_a_quarantine() {
    let world = World::new();
    let (vault, keys) = world.create(None);
    vault.set_recovery(&code(PHRASE)).unwrap();
    vault.quarantine(Reason::KeyLost).unwrap();
    drop(vault);
    let files = || world.config_with(Some(Arc::new(FileKeychain::new(world.home().join("keys")))));
    let (vault, found) = Vault::recover(world.place(), files(), &code(PHRASE), None).unwrap();
    assert_eq!(bytes(&found), bytes(&keys));
    assert_eq!(vault.key_status().keychain, Some("file"));
    drop(vault);
    assert_eq!(quarantine::find(world.place()).unwrap(), None);
    let vault = Vault::open(world.place(), files()).unwrap();
    assert_eq!(bytes(&vault.unlock(None).unwrap()), bytes(&keys));
    assert!(matches!(
        Vault::recover(world.place(), world.config_with(None), &code(PHRASE), None),
        Err(Error::PasscodeNeeded)
    ));
}

#[test]
fn without_a_recovery_passphrase_there_is_no_recovery() {
    let world = World::new();
    let (vault, _keys) = world.create(None);
    assert!(matches!(vault.set_recovery(&code("too short")), Err(Error::ShortPassphrase)));
    assert!("too short".len() < RECOVERY_PASSPHRASE_MIN_BYTES);
    drop(vault);
    let recover = || Vault::recover(world.place(), world.config(), &code(PHRASE), None);
    assert!(matches!(recover(), Err(Error::NoRecovery)));
    let vault = world.open();
    vault.unlock(None).unwrap();
    vault.set_recovery(&code(PHRASE)).unwrap();
    vault.remove_recovery().unwrap();
    drop(vault);
    assert!(matches!(recover(), Err(Error::NoRecovery)));
}

#[test]
fn a_damaged_key_file_is_damage_and_stays_as_it_is() {
    let world = World::new();
    drop(world.create(Some(&code("2580"))));
    let path = world.place().join(KEY_FILE);
    let whole = fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(97) {
        let mut damaged = whole.clone();
        damaged[at] ^= 4;
        fs::write(&path, &damaged).unwrap();
        let opened = Vault::open(world.place(), world.config());
        // Under a flipped bit in the MAC alone the file is readable, and found out by its key.
        let error = opened.and_then(|vault| vault.unlock(Some(&code("2580")))).unwrap_err();
        assert!(matches!(error, Error::Corrupt(Part::KeyFile)), "byte {at}: {error:?}");
        assert_eq!(fs::read(&path).unwrap(), damaged, "byte {at}");
    }
    for length in [0, 1, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        assert!(matches!(Vault::open(world.place(), world.config()), Err(Error::Corrupt(Part::KeyFile))));
    }
    fs::write(&path, vec![b' '; 10 << 20]).unwrap();
    assert!(matches!(Vault::open(world.place(), world.config()), Err(Error::Corrupt(Part::KeyFile))));
    fs::write(&path, &whole).unwrap();
    world.open().unlock(Some(&code("2580"))).unwrap();
}
