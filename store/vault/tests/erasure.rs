//! Destruction: complete, recorded, repeatable, and finished after an interruption.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use std::fs;

use common::{START_MS, World, code, copy, snapshot};
use keepwell_vault::{
    BLOB_DIRECTORY, DATABASE_FILE, ERASED_FILE, Error, Fault, KEY_FILE, KeychainError, LOCK_FILE, State,
    Vault, erase, find_erasure,
};

/// A store with data in it, closed.
fn filled() -> (World, keepwell_vault::StoreId) {
    let world = World::new();
    let (vault, _keys) = world.create(Some(&code("2580")));
    vault.set_unsynced(3).unwrap();
    vault.rotate_kek().unwrap();
    fs::write(world.place().join(DATABASE_FILE), vec![1; 5000]).unwrap();
    fs::write(world.place().join("store.db-wal"), vec![2; 1000]).unwrap();
    fs::create_dir(world.place().join(BLOB_DIRECTORY).join("ab")).unwrap();
    fs::write(world.place().join(BLOB_DIRECTORY).join("ab").join("cdef"), vec![3; 100]).unwrap();
    (world, vault.store_id())
}

fn names(world: &World) -> Vec<String> {
    let mut names: Vec<_> = snapshot(&world.place())
        .into_keys()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn nothing_is_left_but_the_record() {
    let (world, store) = filled();
    let erasure = erase(world.place(), &world.config()).unwrap();
    assert_eq!(erasure.store, Some(store));
    assert_eq!((erasure.begun_ms, erasure.finished_ms), (START_MS, Some(START_MS)));
    assert!(erasure.keychain_reached && erasure.key_file_destroyed);
    assert_eq!(erasure.keychain_items, 3, "secret, boot nonce, attempts");
    assert_eq!(erasure.unsynced, Some(3));
    assert!(erasure.files >= 5 && erasure.bytes >= 6100);
    assert_eq!(names(&world), [".nobackup", "CACHEDIR.TAG", ERASED_FILE, LOCK_FILE]);
    assert!(world.keychain.names().is_empty());
    assert_eq!(Vault::state_of(world.place()).unwrap(), State::Erased);
    assert!(matches!(Vault::open(world.place(), world.config()), Err(Error::Erased)));
}

#[test]
fn erasing_again_changes_nothing() {
    let (world, _) = filled();
    let erasure = erase(world.place(), &world.config()).unwrap();
    world.advance_s(10);
    assert_eq!(erase(world.place(), &world.config()).unwrap(), erasure);
    assert_eq!(find_erasure(world.place()).unwrap(), Some(erasure));
    assert!(matches!(erase(world.home(), &world.config()), Err(Error::Uninitialised)));
}

#[test]
fn a_copy_cannot_be_opened_with_anything_that_is_left() {
    let (world, _) = filled();
    let kept = world.home().join("kept");
    copy(&world.place(), &kept);
    erase(world.place(), &world.config()).unwrap();
    let vault = Vault::open(&kept, world.config()).unwrap();
    assert!(matches!(vault.unlock(Some(&code("2580"))), Err(Error::KeyMissing)));
}

#[test]
fn an_open_vault_can_erase_its_store() {
    let world = World::new();
    let (vault, _keys) = world.create(None);
    let erasure = vault.erase().unwrap();
    assert_eq!(vault.state(), State::Erased);
    assert!(matches!(vault.check(), Err(Error::Erased)));
    assert!(matches!(vault.unlock(None), Err(Error::Erased)));
    assert!(matches!(vault.rotate_kek(), Err(Error::Locked)));
    vault.lock();
    assert_eq!(vault.state(), State::Erased);
    assert_eq!(vault.erase().unwrap(), erasure);
}

#[test]
fn a_new_store_can_follow() {
    let (world, store) = filled();
    erase(world.place(), &world.config()).unwrap();
    let (vault, _keys) = world.create(None);
    assert_ne!(vault.store_id(), store);
    assert_eq!(find_erasure(world.place()).unwrap(), None);
    drop(vault);
    world.open().unlock(None).unwrap();
}

#[test]
fn an_unreachable_keychain_does_not_stop_it() {
    let (world, _) = filled();
    world.keychain.fail(Some(Fault::Error(KeychainError::Unavailable)));
    let erasure = erase(world.place(), &world.config()).unwrap();
    assert!(!erasure.keychain_reached && erasure.key_file_destroyed);
    assert!(!world.place().join(DATABASE_FILE).exists());
}

#[test]
fn an_interrupted_erasure_cannot_be_opened_and_is_finished() {
    // Each state that a crash can leave, built by hand: the mark, then the key file gone, then data half gone.
    for step in 0..3 {
        let (world, _) = filled();
        let record = serde_json::json!({
            "store": null, "begun_ms": 1, "finished_ms": null, "keychain_reached": false, "keychain_items": 0,
            "key_file_destroyed": false, "files": 0, "bytes": 0, "unsynced": 3,
        });
        fs::write(world.place().join(ERASED_FILE), record.to_string()).unwrap();
        if step >= 1 {
            fs::remove_file(world.place().join(KEY_FILE)).unwrap();
        }
        if step >= 2 {
            fs::remove_file(world.place().join(DATABASE_FILE)).unwrap();
        }
        assert!(matches!(Vault::open(world.place(), world.config()), Err(Error::Erased)), "step {step}");
        assert!(
            matches!(Vault::create(world.place(), world.config(), None), Err(Error::Erased)),
            "step {step}"
        );
        let erasure = erase(world.place(), &world.config()).unwrap();
        assert_eq!((erasure.begun_ms, erasure.finished_ms), (1, Some(START_MS)));
        assert_eq!(erasure.unsynced, Some(3));
        assert_eq!(names(&world), [".nobackup", "CACHEDIR.TAG", ERASED_FILE, LOCK_FILE], "step {step}");
        assert!(world.keychain.names().is_empty(), "step {step}: found by its place");
    }
}

#[test]
fn a_store_without_a_key_file_can_be_erased() {
    let (world, store) = filled();
    fs::remove_file(world.place().join(KEY_FILE)).unwrap();
    let erasure = erase(world.place(), &world.config()).unwrap();
    assert_eq!(erasure.store, Some(store), "named by the sealed count");
    assert!(!erasure.key_file_destroyed);
    assert!(world.keychain.names().is_empty());
}
