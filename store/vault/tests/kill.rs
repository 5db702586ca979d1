//! A process that is killed at any moment of a rotation or an erasure.
//!
//! The program runs itself again as the victim, kills it after a short while, and looks at what is left. How
//! often: `KEEPWELL_KILLS` (default 40 for each test).

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use common::bytes;
use keepwell_vault::{
    BLOB_DIRECTORY, Config, DATABASE_FILE, ERASED_FILE, Error, FileKeychain, KEY_FILE, State, Vault, erase,
};

const VICTIM: &str = "KEEPWELL_TEST_VICTIM";

fn config(home: &Path) -> Config {
    Config::new(Arc::new(FileKeychain::new(home.join("keys"))))
}

fn kills() -> u64 {
    env::var("KEEPWELL_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(40)
}

fn victim(test: &str, home: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", test])
        .env(VICTIM, home)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until the victim has begun, then for `delay`, then kills it.
fn kill(mut child: Child, begun: &Path, delay: Duration) {
    let limit = Instant::now() + Duration::from_secs(30);
    while !begun.exists() && child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < limit, "the victim never began");
        thread::sleep(Duration::from_micros(200));
    }
    thread::sleep(delay);
    let _ = child.kill();
    child.wait().unwrap();
    let _ = fs::remove_file(begun);
}

/// Spread over the time that the act takes, without two alike.
fn delay(round: u64) -> Duration {
    Duration::from_micros(round * 7919 % 60_000)
}

#[test]
fn a_killed_rotation_leaves_a_store_that_opens() {
    if let Some(home) = env::var_os(VICTIM) {
        return rotate_for_ever(&PathBuf::from(home));
    }
    let home = tempfile::tempdir().unwrap();
    let place = home.path().join("store");
    let (vault, keys) = Vault::create(&place, config(home.path()), None).unwrap();
    let mut database = *keys.database.expose();
    drop(vault);
    for round in 0..kills() {
        let child = victim("a_killed_rotation_leaves_a_store_that_opens", home.path());
        kill(child, &home.path().join("begun"), delay(round));
        let vault = Vault::open(&place, config(home.path())).unwrap();
        let found = vault.unlock(None).unwrap();
        assert_eq!(found.blob.expose(), keys.blob.expose(), "round {round}");
        assert_eq!(found.audit.expose(), keys.audit.expose(), "round {round}");
        // The victim may have promoted any number of new database keys; one of two slots must hold the last.
        if let Some(pending) = &found.pending_database {
            assert_ne!(pending.expose(), found.database.expose());
        }
        database = *found.database.expose();
        let secrets = fs::read_dir(home.path().join("keys")).unwrap();
        let secrets = secrets.filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with("kek.") && !name.to_string_lossy().ends_with(".new")
        });
        assert!(secrets.count() <= 2, "round {round}: old secrets do not pile up");
    }
    assert_ne!(&database, keys.database.expose(), "the victims did rotate");
}

fn rotate_for_ever(home: &Path) {
    let vault = Vault::open(home.join("store"), config(home)).unwrap();
    vault.unlock(None).unwrap();
    fs::write(home.join("begun"), b"").unwrap();
    loop {
        vault.begin_database_rotation().unwrap();
        vault.finish_database_rotation(true).unwrap();
        vault.rotate_kek().unwrap();
    }
}

#[test]
fn a_killed_erasure_never_opens_and_can_be_finished() {
    if let Some(home) = env::var_os(VICTIM) {
        let home = PathBuf::from(home);
        fs::write(home.join("begun"), b"").unwrap();
        erase(home.join("store"), &config(&home)).unwrap();
        return;
    }
    let mut interrupted = 0;
    for round in 0..kills() {
        let home = tempfile::tempdir().unwrap();
        let place = home.path().join("store");
        let (vault, keys) = Vault::create(&place, config(home.path()), None).unwrap();
        let before = bytes(&keys);
        drop((vault, keys));
        fs::write(place.join(DATABASE_FILE), vec![1; 100_000]).unwrap();
        for blob in 0..200 {
            fs::write(place.join(BLOB_DIRECTORY).join(blob.to_string()), b"blob").unwrap();
        }
        let child = victim("a_killed_erasure_never_opens_and_can_be_finished", home.path());
        kill(child, &home.path().join("begun"), delay(round));
        if place.join(ERASED_FILE).exists() {
            interrupted += u32::from(place.join(KEY_FILE).exists() || place.join(DATABASE_FILE).exists());
            assert!(matches!(Vault::open(&place, config(home.path())), Err(Error::Erased)), "round {round}");
        } else {
            // Killed before it began: the store is whole.
            let vault = Vault::open(&place, config(home.path())).unwrap();
            assert_eq!(bytes(&vault.unlock(None).unwrap()), before, "round {round}");
        }
        let erasure = erase(&place, &config(home.path())).unwrap();
        assert!(erasure.finished_ms.is_some());
        assert_eq!(Vault::state_of(&place).unwrap(), State::Erased);
        assert!(!place.join(KEY_FILE).exists() && !place.join(BLOB_DIRECTORY).exists());
        assert!(fs::read_dir(home.path().join("keys")).unwrap().next().is_none(), "round {round}");
    }
    println!("{interrupted} of {} erasures were cut in the middle", kills());
}
