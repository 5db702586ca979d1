//! From created to erased: locks, limits, keys, rollback.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::{Home, actor, body, options, patient};
use keepwell_store::vault::{self, Passcode, State, Suspicion};
use keepwell_store::{Error, Precondition, Store};

fn passcode(text: &str) -> Passcode {
    Passcode::new(text.to_owned()).unwrap()
}

#[test]
fn a_lock_ends_every_session_and_an_unlock_begins_new_ones() {
    let home = Home::new();
    let before = home.session();
    before.update(patient(), "p", &body("p", "A"), Precondition::None).unwrap();
    home.store.lock().unwrap();
    assert_eq!(home.store.state(), State::Locked);
    assert!(matches!(before.read(patient(), "p"), Err(Error::Vault(vault::Error::Locked))));
    home.store.unlock(None).unwrap();
    assert!(matches!(before.read(patient(), "p"), Err(Error::Vault(vault::Error::Locked))));
    assert_eq!(home.session().read(patient(), "p").unwrap().version, 1);
}

#[test]
fn idleness_locks_the_store() {
    let home = Home::new();
    let session = home.session();
    home.clock.advance(Duration::from_secs(4 * 60));
    session.update(patient(), "p", &body("p", "A"), Precondition::None).unwrap();
    home.clock.advance(Duration::from_secs(4 * 60));
    session.read(patient(), "p").unwrap();
    home.clock.advance(Duration::from_secs(5 * 60 + 1));
    assert!(matches!(session.read(patient(), "p"), Err(Error::Vault(_))));
    assert_eq!(home.store.state(), State::Locked);
}

#[test]
fn a_session_ends_after_two_hours_of_work() {
    let home = Home::new();
    let session = home.session();
    for _ in 0..29 {
        home.clock.advance(Duration::from_secs(4 * 60));
        session.history_system(&Default::default()).unwrap();
    }
    home.clock.advance(Duration::from_secs(4 * 60 + 1));
    assert!(session.history_system(&Default::default()).is_err());
    assert_eq!(home.store.state(), State::Locked);
}

#[test]
fn a_suspended_store_goes_on_where_it_was() {
    let home = Home::new();
    home.session().update(patient(), "p", &body("p", "A"), Precondition::None).unwrap();
    home.store.suspend().unwrap();
    assert_eq!(home.store.state(), State::Suspended);
    home.store.resume(None).unwrap();
    assert_eq!(home.session().read(patient(), "p").unwrap().version, 1);
}

#[test]
fn a_second_holder_is_refused() {
    let home = Home::new();
    let second = Store::open(&home.directory(), options(&home.keychain, &home.clock));
    assert!(matches!(second, Err(Error::Vault(vault::Error::AlreadyOpen))));
}

#[test]
fn passcode_rotation_and_recovery_keep_the_data() {
    let home = Home::new();
    let session = home.session();
    session.update(patient(), "p", &body("p", "A"), Precondition::None).unwrap();
    let privileged = session.elevate(None).unwrap();
    privileged.set_passcode(&passcode("1234 horses")).unwrap();
    assert!(session.elevate(None).is_err());
    let privileged = session.elevate(Some(&passcode("1234 horses"))).unwrap();
    privileged.rotate_kek().unwrap();
    privileged.rotate_database_key().unwrap();
    session.update(patient(), "p", &body("p", "B"), Precondition::Match(1)).unwrap();
    privileged.set_recovery(&passcode("a long recovery phrase")).unwrap();
    drop(session);
    home.store.lock().unwrap();
    let wrong = home.store.unlock(Some(&passcode("4321")));
    assert!(matches!(wrong, Err(Error::Vault(vault::Error::WrongPasscode { .. }))));
    home.store.unlock(Some(&passcode("1234 horses"))).unwrap();
    let session = home.session();
    assert_eq!(session.read(patient(), "p").unwrap().version, 2);
    session.elevate(Some(&passcode("1234 horses"))).unwrap().remove_passcode().unwrap();
    drop(session);
    let home = home.reopened();
    assert_eq!(home.session().read(patient(), "p").unwrap().version, 2);
}

#[test]
fn an_older_copy_of_the_file_is_noticed_and_adopted_only_on_purpose() {
    let home = Home::new();
    home.session().update(patient(), "p", &body("p", "A"), Precondition::None).unwrap();
    home.store.lock().unwrap();
    let database = home.directory().join(vault::DATABASE_FILE);
    let older = std::fs::read(&database).unwrap();
    home.store.unlock(None).unwrap();
    home.session().update(patient(), "p", &body("p", "B"), Precondition::None).unwrap();
    home.store.lock().unwrap();
    std::fs::write(&database, &older).unwrap();
    let refused = home.store.unlock(None);
    assert!(matches!(refused, Err(Error::Vault(vault::Error::RollbackSuspected))));
    assert_eq!(std::fs::read(&database).unwrap(), older, "nothing is changed");
    home.store.unlock_with(None, Suspicion::Adopt).unwrap();
    assert_eq!(home.session().read(patient(), "p").unwrap().version, 1);
    home.store.lock().unwrap();
    home.store.unlock(None).unwrap();
}

#[test]
fn a_reopened_store_has_everything() {
    let home = Home::new();
    home.session().update(patient(), "p", &body("p", "A"), Precondition::None).unwrap();
    let home = home.reopened();
    let session = home.store.session(actor()).unwrap();
    assert_eq!(session.read(patient(), "p").unwrap().version, 1);
    assert_eq!(session.update(patient(), "p", &body("p", "B"), Precondition::Match(1)).unwrap().version, 2);
}

#[test]
fn an_erased_store_is_gone() {
    let home = Home::new();
    home.session().update(patient(), "p", &body("p", "A"), Precondition::None).unwrap();
    home.store.lock().unwrap();
    home.store.vault().erase().unwrap();
    assert!(!home.directory().join(vault::DATABASE_FILE).exists());
    assert!(home.store.unlock(None).is_err());
    assert!(home.keychain.names().is_empty());
}

#[test]
fn the_log_is_moved_into_the_database_while_nothing_is_written() {
    const PATIENCE: Duration = Duration::from_secs(60);
    let home = Home::new();
    let session = home.session();
    let file = home.directory().join("store.db");
    let length = || std::fs::metadata(&file).unwrap().len();
    let before = length();
    for number in 0..300 {
        let id = format!("p{number}");
        session.update(patient(), &id, &body(&id, "A"), Precondition::None).unwrap();
    }
    let started = std::time::Instant::now();
    while length() == before {
        assert!(started.elapsed() < PATIENCE, "nobody has moved it");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(session.read(patient(), "p299").unwrap().version, 1);
}
