//! A power cut at any moment: what was acknowledged is on the disk, whatever the disk did with the rest.
//!
//! SQLite's writes and syncs are recorded ([`keepwell_sqlcipher::power_loss`]); the files beside the database are
//! those of the last moment at which the keychain was told something.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at the first surprise, and says what it saw"
)]

mod common;

use std::fs;
use std::path::Path;

use common::*;
use keepwell_sqlcipher::power_loss::{cut, install, moment};
use keepwell_vault::DATABASE_FILE;
use tempfile::TempDir;

const CUTS: u64 = 150;
const WRITES: u64 = 90;
/// Writes between two times that the store is locked, which moves the write-ahead log into the database.
const WRITES_PER_UNLOCK: u64 = 30;

/// The keychain and the directory as they are, without the database.
fn beside_the_database(home: &Path) -> TempDir {
    let kept = tempfile::tempdir().unwrap();
    copy(&keychain_of(home), &keychain_of(kept.path()));
    copy(&store_of(home), &store_of(kept.path()));
    for name in ["", "-wal", "-shm"] {
        fs::remove_file(store_of(kept.path()).join(format!("{DATABASE_FILE}{name}"))).unwrap();
    }
    kept
}

#[test]
fn acknowledged_writes_survive_a_power_cut() {
    install();
    let home = tempfile::tempdir().unwrap();
    let home = home.path().canonicalize().unwrap();
    let store = create(&home);
    let mut kept = vec![(moment(&store_of(&home)), beside_the_database(&home))];
    let mut acknowledged = Vec::new();
    let mut writer = session(&store);
    for serial in 0..WRITES {
        if serial > 0 && serial % WRITES_PER_UNLOCK == 0 {
            store.lock().unwrap();
            store.unlock(None).unwrap();
            writer = session(&store);
            kept.push((moment(&store_of(&home)), beside_the_database(&home)));
        }
        let (resource_type, body) = numbered(serial);
        let written = writer.create(resource_type, body.as_bytes()).unwrap();
        acknowledged.push((moment(&store_of(&home)), resource_type, written.id));
    }
    let (from, to) = (kept[0].0, moment(&store_of(&home)));
    for seed in 0..CUTS {
        let at = from + (to - from) * usize::try_from(seed).unwrap() / usize::try_from(CUTS).unwrap();
        let (_, beside) = kept.iter().rfind(|(moment, _)| *moment <= at).unwrap();
        let outcome = tempfile::tempdir().unwrap();
        copy(beside.path(), outcome.path());
        // Attachments are synced before a row names them; later ones are files that nothing names.
        copy(&store_of(&home).join("blobs"), &store_of(outcome.path()).join("blobs"));
        cut(&store_of(&home), &store_of(outcome.path()), at, seed).unwrap();

        let store = open(outcome.path());
        let session = session(&store);
        let there = contents(&session);
        for (moment, resource_type, id) in &acknowledged {
            let is_there = there.contains_key(&format!("{resource_type}/{id}"));
            assert!(is_there || *moment > at, "cut {seed}: {resource_type}/{id} is lost");
        }
        assert_sound(&session, &format!("cut {seed}"));
    }
}
