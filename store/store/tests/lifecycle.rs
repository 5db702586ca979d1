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
fn a_search_that_goes_on_does_not_put_off_the_idle_lock() {
    let home = Home::new();
    let session = home.session();
    let mut live = session.observe_search("Patient").unwrap();
    for _ in 0..4 {
        home.clock.advance(Duration::from_secs(60));
        assert_eq!(live.next(Duration::ZERO).unwrap(), []);
    }
    home.clock.advance(Duration::from_secs(61));
    assert!(matches!(live.next(Duration::ZERO), Err(Error::Vault(vault::Error::IdleTimeout))));
    assert_eq!(home.store.state(), State::Locked);
}

/// What the system says of locks on the files of the store, as `/proc/locks` has them.
#[cfg(target_os = "linux")]
fn locks(home: &Home) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let files = home.directory().read_dir().unwrap();
    let inodes: Vec<_> = files.map(|file| format!(":{} ", file.unwrap().metadata().unwrap().ino())).collect();
    let all = std::fs::read_to_string("/proc/locks").unwrap();
    let ours = |line: &&str| inodes.iter().any(|inode| line.contains(inode));
    all.lines().filter(ours).map(str::to_owned).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn a_locked_store_that_is_suspended_gives_its_lock_back_until_it_is_unlocked() {
    let home = Home::new();
    home.store.lock().unwrap();
    assert!(!locks(&home).is_empty());
    home.store.suspend().unwrap();
    assert_eq!((home.store.state(), locks(&home)), (State::Locked, vec![]));
    home.store.unlock(None).unwrap();
    assert!(!locks(&home).is_empty());
    home.store.suspend().unwrap();
    home.keychain.fail(Some(vault::Fault::Error(vault::KeychainError::Locked)));
    assert!(home.store.resume(None).is_err());
    assert_eq!(locks(&home), Vec::<String>::new(), "one that could not be opened is let go again");
}

/// iOS ends an app that holds a lock on a file while it is suspended (0xdead10cc).
#[cfg(target_os = "linux")]
#[test]
fn a_store_that_is_suspended_at_work_is_soon_done_and_leaves_no_file_locked() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let home = Home::new();
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for worker in 0..3 {
            let (session, done) = (home.session(), &done);
            scope.spawn(move || {
                for round in 0.. {
                    let id = format!("p{worker}-{round}");
                    let written = session.update(patient(), &id, &body(&id, "A"), Precondition::None);
                    if written.is_err() || session.search("Patient?_count=50").is_err() {
                        return;
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        while done.load(Ordering::Relaxed) < 50 {
            std::thread::yield_now();
        }
        assert!(!locks(&home).is_empty(), "at work it has locks");
        let begun = std::time::Instant::now();
        home.store.suspend().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!(locks(&home), Vec::<String>::new());
    });
    let other = Store::open(&home.directory(), options(&home.keychain, &home.clock)).unwrap();
    assert!(matches!(home.store.resume(None), Err(Error::Vault(vault::Error::AlreadyOpen))));
    drop(other);
    home.store.resume(None).unwrap();
    assert!(!locks(&home).is_empty());
    assert!(home.session().verify(keepwell_store::VerifyOptions::default(), &mut |_| ()).unwrap().is_sound());
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
