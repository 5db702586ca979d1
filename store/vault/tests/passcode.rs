//! Wrong passcodes: counted, delayed, and in the end fatal if the policy says so.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use std::fs;
use std::time::Duration;

use common::{START_MS, World, bytes, code};
use keepwell_vault::{ATTEMPT_DELAYS_S, DATABASE_FILE, Error, Keychain as _, State, Stretching, Vault};

fn retry_after(result: Result<keepwell_vault::Keys, Error>) -> Duration {
    match result {
        Err(Error::WrongPasscode { retry_after, .. }) => retry_after,
        other => panic!("{other:?}"),
    }
}

fn assert_throttled(vault: &Vault, seconds: u64) {
    match vault.unlock(Some(&code("2580"))) {
        Err(Error::Throttled { retry_after }) => assert_eq!(retry_after, Duration::from_secs(seconds)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn delays_grow_and_the_right_passcode_ends_them() {
    let world = World::new();
    let (vault, keys) = world.create(Some(&code("2580")));
    vault.lock();
    for seconds in ATTEMPT_DELAYS_S {
        assert_eq!(retry_after(vault.unlock(Some(&code("0000")))), Duration::from_secs(seconds));
        if seconds > 0 {
            assert_throttled(&vault, seconds);
            world.advance_s(seconds - 1);
            assert_throttled(&vault, 1);
            world.advance_s(1);
        }
    }
    assert_eq!(vault.state(), State::Locked);
    assert_eq!(bytes(&vault.unlock(Some(&code("2580"))).unwrap()), bytes(&keys));
    vault.lock();
    assert_eq!(retry_after(vault.unlock(Some(&code("0000")))), Duration::ZERO);
}

#[test]
fn the_counter_outlives_the_process() {
    let world = World::new();
    drop(world.create(Some(&code("2580"))));
    for expected in [0, 0, 0, 30] {
        let vault = world.open();
        assert_eq!(retry_after(vault.unlock(Some(&code("0000")))), Duration::from_secs(expected));
    }
    assert_throttled(&world.open(), 30);
}

#[test]
fn an_attempt_counts_before_it_is_looked_at() {
    let world = World::new();
    drop(world.create(Some(&code("2580"))));
    world.open().unlock(Some(&code("0000"))).unwrap_err();
    let calls = world.keychain.calls();
    let last_set = calls.iter().rposition(|call| call.starts_with("set attempts:")).unwrap();
    assert!(
        calls[last_set..].iter().all(|call| !call.starts_with("get")),
        "written before the answer is known"
    );
}

#[test]
fn a_clock_set_back_does_not_shorten_a_delay() {
    let world = World::new();
    drop(world.create(Some(&code("2580"))));
    let vault = world.open();
    for _ in 0..4 {
        vault.unlock(Some(&code("0000"))).unwrap_err();
    }
    world.advance_s(10);
    world.clock.set_wall(START_MS - 3_600_000);
    assert_throttled(&vault, 30);
    drop(vault);
    let vault = world.open();
    assert_throttled(&vault, 30);
    world.advance_s(30);
    vault.unlock(Some(&code("2580"))).unwrap();
}

#[test]
fn a_clock_set_forward_does_not_help_within_the_process() {
    let world = World::new();
    drop(world.create(Some(&code("2580"))));
    let vault = world.open();
    for _ in 0..4 {
        vault.unlock(Some(&code("0000"))).unwrap_err();
    }
    world.clock.set_wall(START_MS + 1_000_000_000);
    assert_throttled(&vault, 30);
}

#[test]
fn a_deleted_or_forged_counter_buys_one_guess_only() {
    let world = World::new();
    drop(world.create(Some(&code("2580"))));
    let item = world.keychain.names().into_iter().find(|name| name.starts_with("attempts:")).unwrap();
    for spoil in [None, Some([0_u8; 44])] {
        match spoil {
            None => world.keychain.delete(&item).unwrap(),
            Some(record) => world.keychain.set(&item, &record).unwrap(),
        }
        let vault = world.open();
        assert_eq!(retry_after(vault.unlock(Some(&code("0000")))), Duration::from_secs(3600));
        assert_throttled(&vault, 3600);
        drop(vault);
        world.advance_s(3600);
        world.open().unlock(Some(&code("2580"))).unwrap();
    }
}

#[test]
fn the_store_erases_itself_after_the_attempts_of_the_policy() {
    let mut world = World::new();
    world.policy.erase_after = Some(3);
    let (vault, keys) = world.create(Some(&code("2580")));
    drop(keys);
    fs::write(world.place().join(DATABASE_FILE), b"data").unwrap();
    vault.lock();
    for left in [2, 1] {
        let wrong = vault.unlock(Some(&code("0000")));
        assert!(
            matches!(wrong, Err(Error::WrongPasscode { attempts_left: Some(found), .. }) if found == left)
        );
    }
    assert!(matches!(vault.unlock(Some(&code("0000"))), Err(Error::Erased)));
    assert_eq!(vault.state(), State::Erased);
    assert!(matches!(vault.unlock(Some(&code("2580"))), Err(Error::Erased)));
    assert!(!world.place().join(DATABASE_FILE).exists());
    assert!(world.keychain.names().is_empty());
}

#[test]
fn the_passcode_can_be_changed_and_removed() {
    let world = World::new();
    let (vault, keys) = world.create(None);
    let before = bytes(&keys);
    vault.set_passcode(&code("2580")).unwrap();
    vault.lock();
    assert!(matches!(vault.unlock(None), Err(Error::PasscodeNeeded)));
    vault.unlock(Some(&code("2580"))).unwrap();
    vault.set_passcode(&code("1470")).unwrap();
    assert!(vault.key_status().has_passcode);
    drop(vault);
    let vault = world.open();
    retry_after(vault.unlock(Some(&code("2580"))));
    assert_eq!(bytes(&vault.unlock(Some(&code("1470"))).unwrap()), before);
    vault.remove_passcode().unwrap();
    drop(vault);
    assert_eq!(bytes(&world.open().unlock(None).unwrap()), before);
}

#[test]
fn an_old_key_file_is_worth_nothing_after_a_new_passcode() {
    let world = World::new();
    let (vault, _keys) = world.create(None);
    let path = world.place().join(keepwell_vault::KEY_FILE);
    let old = fs::read(&path).unwrap();
    vault.set_passcode(&code("2580")).unwrap();
    vault.lock();
    fs::write(&path, old).unwrap();
    assert!(matches!(vault.unlock(None), Err(Error::RollbackSuspected)));
    assert_eq!(vault.state(), State::Quarantined);
}

#[test]
fn a_passcode_never_gets_cheaper() {
    let mut world = World::new();
    world.policy.stretching = Stretching { passes: 3, ..Stretching::FLOOR };
    drop(world.create(Some(&code("2580"))));
    world.policy.stretching = Stretching::FLOOR;
    let vault = world.open();
    vault.unlock(Some(&code("2580"))).unwrap();
    assert!(matches!(vault.set_passcode(&code("1470")), Err(Error::WeakStretching)));
    vault.rotate_kek().unwrap();
    vault.lock();
    vault.unlock(Some(&code("2580"))).unwrap();
}
