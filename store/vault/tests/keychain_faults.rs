//! Everything a keychain does wrong: each has its own error, none changes a file, and the key is back when the
//! keychain is.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::{World, bytes, code, snapshot};
use keepwell_vault::{DATABASE_FILE, Error, Fault, KEY_FILE, Keychain as _, KeychainError, State, Vault};

/// A locked store with a database, whose keychain then fails.
fn unlock_under(fault: Fault) -> (World, Vault, [[u8; 32]; 5], Error) {
    let mut world = World::new();
    world.policy.keychain_timeout = Duration::from_millis(100);
    let (vault, keys) = world.create(None);
    fs::write(world.place().join(DATABASE_FILE), b"data").unwrap();
    drop(vault);
    let vault = world.open();
    let (files, items) = (snapshot(&world.place()), world.keychain.names());
    world.keychain.fail(Some(fault));
    let error = vault.unlock(None).unwrap_err();
    assert_eq!(snapshot(&world.place()), files, "no file changed");
    world.keychain.fail(None);
    assert_eq!(world.keychain.names(), items, "no key was made");
    let before = bytes(&keys);
    (world, vault, before, error)
}

#[test]
fn each_failure_has_its_own_error_and_passes() {
    type Expected = (Fault, fn(&Error) -> bool, State);
    let table: [Expected; 9] = [
        (Fault::Error(KeychainError::Unavailable), |e| matches!(e, Error::NoKeychain), State::Locked),
        (Fault::Error(KeychainError::Locked), |e| matches!(e, Error::Locked), State::Locked),
        (
            Fault::Error(KeychainError::Invalidated),
            |e| matches!(e, Error::KeyInvalidated),
            State::Quarantined,
        ),
        (
            Fault::Error(KeychainError::Duplicate),
            |e| matches!(e, Error::Keychain(KeychainError::Duplicate)),
            State::Locked,
        ),
        (
            Fault::Error(KeychainError::Refused),
            |e| matches!(e, Error::Keychain(KeychainError::Refused)),
            State::Locked,
        ),
        (
            Fault::Error(KeychainError::Failed),
            |e| matches!(e, Error::Keychain(KeychainError::Failed)),
            State::Locked,
        ),
        (Fault::NotFound, |e| matches!(e, Error::KeyMissing), State::Quarantined),
        (Fault::NotFoundWhileLocked, |e| matches!(e, Error::Locked), State::Locked),
        (Fault::Slow(Duration::from_millis(300)), |e| matches!(e, Error::KeychainTimeout), State::Locked),
    ];
    for (fault, expected, state) in table {
        let begun = Instant::now();
        let (_world, vault, before, error) = unlock_under(fault);
        assert!(expected(&error), "{fault:?}: {error:?}");
        assert_eq!(vault.state(), state, "{fault:?}");
        if let Fault::Slow(time) = fault {
            assert!(begun.elapsed() < Duration::from_secs(5));
            std::thread::sleep(time);
        }
        assert_eq!(bytes(&vault.unlock(None).unwrap()), before, "{fault:?}: the key is back");
        assert_eq!(vault.state(), State::Open);
    }
}

#[test]
fn another_key_under_the_same_name_is_not_a_wrong_passcode() {
    let world = World::new();
    drop(world.create(Some(&code("2580"))));
    let item = world.keychain.names().into_iter().find(|name| name.starts_with("kek:")).unwrap();
    for foreign in [vec![9; 32], vec![9; 31], Vec::new()] {
        world.keychain.set(&item, &foreign).unwrap();
        let vault = world.open();
        assert!(matches!(vault.unlock(Some(&code("2580"))), Err(Error::WrongKey)));
        assert_eq!(vault.state(), State::Quarantined);
    }
}

#[test]
fn creating_under_a_failing_keychain_makes_no_store() {
    let faults = [
        (Fault::Error(KeychainError::Unavailable), "no keychain can be reached"),
        (Fault::Error(KeychainError::Locked), "the store is locked"),
        (Fault::NotFoundWhileLocked, "the store is locked"),
    ];
    for (fault, text) in faults {
        let world = World::new();
        world.keychain.fail(Some(fault));
        let error = Vault::create(world.place(), world.config(), None).unwrap_err();
        assert_eq!(error.to_string(), text, "{fault:?}");
        assert!(!world.place().exists(), "{fault:?}");
    }
}

#[test]
fn a_keychain_that_fails_at_any_call_of_create_leaves_no_store_and_the_next_create_works() {
    for calls in 0.. {
        let world = World::new();
        world.keychain.fail_after(calls, Some(Fault::Error(KeychainError::Failed)));
        let created = Vault::create(world.place(), world.config(), Some(&code("2580")));
        world.keychain.fail(None);
        if created.is_ok() {
            assert!(calls >= 6, "each call was a place to fail");
            break;
        }
        assert!(!world.place().join(KEY_FILE).exists(), "after {calls} calls");
        drop(created);
        drop(world.create(None));
        assert_eq!(world.keychain.names().iter().filter(|name| name.starts_with("kek:")).count(), 1);
    }
}

#[test]
fn a_secret_that_is_not_kept_is_noticed_before_anything_rests_on_it() {
    let world = World::new();
    world.keychain.fail(Some(Fault::NotFound));
    assert!(matches!(
        Vault::create(world.place(), world.config(), None),
        Err(Error::Keychain(KeychainError::Failed))
    ));
    assert!(!world.place().join(KEY_FILE).exists());
}

#[test]
fn a_keychain_that_fails_at_any_call_of_unlock_leaves_the_store_as_it_was() {
    let world = World::new();
    let (vault, keys) = world.create(Some(&code("2580")));
    drop(vault);
    for calls in 0.. {
        let vault = world.open();
        world.keychain.fail_after(calls, Some(Fault::Error(KeychainError::Failed)));
        let unlocked = vault.unlock(Some(&code("2580")));
        world.keychain.fail(None);
        if unlocked.is_ok() {
            assert!(calls >= 6, "each call was a place to fail");
            break;
        }
        drop(vault);
        // A failed call after the count was written looks like a wrong passcode: wait it out.
        world.advance_s(3600);
        assert_eq!(bytes(&world.open().unlock(Some(&code("2580"))).unwrap()), bytes(&keys), "{calls} calls");
    }
}
