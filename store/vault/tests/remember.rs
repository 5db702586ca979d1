//! A passcode that the keychain remembers between processes.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use std::time::Duration;

use common::{World, bytes, code};
use keepwell_vault::{Error, IDLE_MAX, Keychain as _, Vault};

const MINUTES: Duration = Duration::from_secs(5 * 60);

/// A store with a passcode, remembered and closed.
fn remembered() -> (World, Vec<[u8; 32]>) {
    let world = World::new();
    let (vault, keys) = world.create(Some(&code("2580")));
    vault.remember(MINUTES).unwrap();
    (world, bytes(&keys).to_vec())
}

#[test]
fn the_next_process_needs_no_passcode_until_it_is_forgotten() {
    let (world, keys) = remembered();
    assert_eq!(bytes(&world.open().unlock(None).unwrap()).to_vec(), keys);
    world.open().forget().unwrap();
    assert!(matches!(world.open().unlock(None), Err(Error::PasscodeNeeded)));
    assert!(world.keychain.items().unwrap().iter().all(|item| !item.starts_with("remembered:")));
}

#[test]
fn use_keeps_it_alive_idleness_and_the_session_limit_end_it() {
    let (world, _) = remembered();
    for _ in 0..3 {
        world.advance_s(299);
        world.open().unlock(None).unwrap();
    }
    world.advance_s(300);
    assert!(matches!(world.open().unlock(None), Err(Error::PasscodeNeeded)));

    let (world, _) = remembered();
    for _ in 0..24 {
        world.advance_s(299);
        world.open().unlock(None).unwrap();
    }
    world.advance_s(24);
    assert!(matches!(world.open().unlock(None), Err(Error::PasscodeNeeded)), "two hours are over");
    world.open().unlock(Some(&code("2580"))).unwrap();
}

#[test]
fn a_fresh_authentication_asks_all_the_same() {
    let (world, _) = remembered();
    let vault = world.open();
    vault.unlock(None).unwrap();
    assert!(matches!(vault.unlock(None), Err(Error::PasscodeNeeded)));
    vault.unlock(Some(&code("2580"))).unwrap();
}

#[test]
fn a_rotation_a_new_passcode_and_an_erasure_end_it() {
    for act in [
        |vault: &Vault| vault.rotate_kek().unwrap(),
        |vault: &Vault| vault.set_passcode(&code("1379")).unwrap(),
    ] {
        let (world, _) = remembered();
        let vault = world.open();
        vault.unlock(None).unwrap();
        act(&vault);
        drop(vault);
        assert!(matches!(world.open().unlock(None), Err(Error::PasscodeNeeded)));
    }
    let (world, _) = remembered();
    world.open().erase().unwrap();
    assert!(world.keychain.items().unwrap().is_empty());
}

#[test]
fn without_keychain_or_passcode_there_is_nothing_to_remember() {
    let world = World::new();
    let (vault, _) = Vault::create(world.place(), world.config_with(None), Some(&code("2580"))).unwrap();
    assert!(matches!(vault.remember(MINUTES), Err(Error::NoKeychain)));

    let world = World::new();
    let (vault, _) = world.create(None);
    vault.remember(MINUTES).unwrap();
    assert!(world.keychain.items().unwrap().iter().all(|item| !item.starts_with("remembered:")));
    assert!(matches!(vault.remember(IDLE_MAX + Duration::from_secs(1)), Err(Error::Policy)));
    vault.lock();
    assert!(matches!(vault.remember(MINUTES), Err(Error::Locked)));
}
