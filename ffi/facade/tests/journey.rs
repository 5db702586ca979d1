//! The journey of bindings/journey.md through the objects that Swift and Kotlin get.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::wait;
use keepwell_facade::{
    BackupGuard, Change, ChangeListener, ConflictKind, HostKeychain, ImportOptions, KeepwellError,
    KeychainChoice, KeychainFault, ListenerFault, LiveKind, PatchFormat, ProgressListener, Session, Store,
    StoreOptions, StoreState, error_codes, rehearse_error,
};
use keepwell_tests::Clinic;
use tempfile::TempDir;

const PASSCODE: &str = "correct horse";

fn options(folder: &Path, keychain: KeychainChoice) -> StoreOptions {
    StoreOptions {
        directory: folder.join("store").to_string_lossy().into_owned(),
        app: "journey".to_owned(),
        device: "tablet 1".to_owned(),
        keychain,
        idle_ms: None,
        session_ms: None,
        erase_after: None,
        cache_kib: None,
        memory_security: false,
        strict_audit: false,
        place: None,
        backup_guard: None,
    }
}

fn made(passcode: Option<&str>) -> (TempDir, Arc<Store>) {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path(), KeychainChoice::Memory);
    let store = wait(Store::create(options, passcode.map(str::to_owned))).unwrap();
    (folder, store)
}

fn patient(id: &str, active: bool) -> String {
    format!(r#"{{"resourceType":"Patient","id":"{id}","active":{active}}}"#)
}

#[test]
fn the_store_holds_the_journey() {
    let (folder, store) = made(Some(PASSCODE));
    let vault = store.vault();
    let session = store.session("dr.jones".to_owned()).unwrap();
    wait(vault.lock()).unwrap();
    assert_eq!(store.state(), StoreState::Locked);
    assert!(matches!(
        session.read("Patient".to_owned(), "p".to_owned()),
        Err(KeepwellError::Person { code: 201, .. })
    ));
    let wrong = wait(vault.unlock(Some("wrong".to_owned()), false));
    assert!(
        matches!(wrong, Err(KeepwellError::Person { code: 205, retry_after_ms: Some(0), .. })),
        "{wrong:?}"
    );
    wait(vault.unlock(Some(PASSCODE.to_owned()), false)).unwrap();

    let session = store.session("dr.jones".to_owned()).unwrap();
    let text = str::to_owned;
    let live = session.live(text("Patient?active=true")).unwrap();
    assert_eq!(wait(live.next(0)).unwrap(), []);
    session.update(text("Patient"), text("p"), patient("p", true), None, true).unwrap();
    let told = wait(live.next(5_000)).unwrap();
    assert_eq!((told.len(), told[0].kind), (1, LiveKind::Added));
    let patch =
        session.patch(text("Patient"), text("p"), PatchFormat::Merge, text(r#"{"active":false}"#), Some(1));
    assert_eq!(patch.unwrap().version, 2);
    let moved = session.delete(text("Patient"), text("p"), Some(1));
    assert!(matches!(moved, Err(KeepwellError::Caller { code: 103, .. })));
    let invalid =
        session.create(text("Patient"), text(r#"{"resourceType":"Patient","birthDate":"soon"}"#), None);
    let Err(KeepwellError::Caller { code: 109, outcome, .. }) = invalid else { panic!("{invalid:?}") };
    assert!(outcome.contains("Patient.birthDate") && !outcome.contains("soon"));

    let page = session.search(text("Patient?_sort=-_lastUpdated"), false).unwrap();
    assert_eq!((page.entries.len(), page.entries[0].version), (1, 2));
    let photo = session.attachments().unwrap().add(text("image/png"), vec![7; 100_000]).unwrap();
    let read = wait(session.attachments().unwrap().read(photo.resource_type, photo.id, 0)).unwrap();
    assert_eq!(read, [7; 100_000]);
    let report = wait(session.audit().unwrap().verify()).unwrap();
    assert!(report.is_sound && report.is_audit_whole);
    session.end();
    assert!(matches!(session.stats(), Err(KeepwellError::Keepwell { code: 912, .. })));

    wait(vault.erase()).unwrap();
    assert_eq!(store.state(), StoreState::Erased);
    assert!(!folder.path().join("store/store.db").exists());
}

#[test]
fn two_stores_meet_at_a_server_and_an_order_ends_one() {
    let clinic = Clinic::start();
    let ((_one, one), (_two, two)) = (made(None), made(None));
    let (sync_one, sync_two) = (one.sync("ann".to_owned()).unwrap(), two.sync("bob".to_owned()).unwrap());
    assert!(matches!(wait(sync_one.round(None)), Err(KeepwellError::Operator { code: 417, .. })));
    wait(sync_one.enrol(clinic.invite("ann", "p1"), "one".to_owned())).unwrap();
    wait(sync_two.enrol(clinic.invite("bob", "p1"), "two".to_owned())).unwrap();
    let (ann, bob) = (one.session("ann".to_owned()).unwrap(), two.session("bob".to_owned()).unwrap());
    let text = str::to_owned;
    ann.update(text("Patient"), text("p1"), patient("p1", true), None, false).unwrap();
    assert_eq!(wait(sync_one.round(None)).unwrap().sent, 1);
    assert_eq!(wait(sync_two.round(None)).unwrap().received, 1);
    let flag = |word: &str| {
        format!(
            r#"{{"resourceType":"Flag","id":"f","status":"active","code":{{"text":"{word}"}},"subject":{{"reference":"Patient/p1"}}}}"#
        )
    };
    ann.update(text("Flag"), text("f"), flag("cat"), None, false).unwrap();
    bob.update(text("Flag"), text("f"), flag("dog"), None, false).unwrap();
    wait(sync_one.round(None)).unwrap();
    wait(sync_two.round(None)).unwrap();
    let conflict = sync_two.conflicts().unwrap().remove(0);
    assert_eq!(conflict.details().kind, ConflictKind::Conflict);
    wait(conflict.take_mine()).unwrap();
    assert_eq!(sync_two.status().unwrap().pending, 1);

    // From here on by themselves.
    let (sender, receiver) = channel();
    let subscription = one.listen(Arc::new(Listener(Mutex::new(sender)))).unwrap();
    sync_one.start().unwrap();
    sync_two.start().unwrap();
    let change = receiver.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!((change.resource_type.as_str(), change.id.as_str()), ("Flag", "f"));
    assert!(ann.read(text("Flag"), text("f")).unwrap().contains("dog"));
    subscription.end();
    wait(sync_one.stop()).unwrap();
    wait(sync_two.stop()).unwrap();

    clinic.wipe_devices();
    assert!(matches!(wait(sync_two.round(None)), Err(KeepwellError::Operator { code: 423, .. })));
    assert_eq!(two.state(), StoreState::Erased);
}

struct Listener(Mutex<Sender<Change>>);

impl ChangeListener for Listener {
    fn changed(&self, changes: Vec<Change>) -> Result<(), ListenerFault> {
        let sender = self.0.lock().unwrap();
        changes.into_iter().try_for_each(|change| sender.send(change)).map_err(|_| ListenerFault::Failed)
    }

    fn ended(&self) -> Result<(), ListenerFault> {
        Ok(())
    }
}

/// Calls the library in the middle of an import, which does not wait for it.
struct Caller(Arc<Store>);

impl ProgressListener for Caller {
    fn progress(&self, done: i64, _: i64, _: Option<i64>) -> Result<(), ListenerFault> {
        let session = self.0.session("eve".to_owned()).map_err(|_| ListenerFault::Failed)?;
        let body = patient(&format!("told-{done}"), true);
        let _ = session.update("Patient".to_owned(), format!("told-{done}"), body, None, false);
        Ok(())
    }
}

#[test]
fn a_progress_listener_may_write_while_an_import_goes_on() {
    let (_folder, store) = made(None);
    let session = store.session("ann".to_owned()).unwrap();
    let lines: String = (0..500).map(|number| patient(&format!("p{number}"), true) + "\n").collect();
    let listener = Arc::new(Caller(store.clone()));
    let report =
        wait(session.import_text("lines".to_owned(), lines, ImportOptions::default(), Some(listener)));
    assert_eq!(report.unwrap().created, 500);
    assert_eq!(session.stats().unwrap().resources, 501);
}

/// Cancels the import that it follows.
struct Canceller(Arc<Session>);

impl ProgressListener for Canceller {
    fn progress(&self, _: i64, _: i64, _: Option<i64>) -> Result<(), ListenerFault> {
        self.0.cancel_imports();
        Ok(())
    }
}

#[test]
fn an_import_ends_when_it_is_cancelled() {
    let (folder, store) = made(None);
    let session = store.session("ann".to_owned()).unwrap();
    let file = folder.path().join("patients.ndjson");
    // So many that the listener is heard long before the end, on any machine.
    let lines: String = (0..100_000).map(|number| patient(&format!("p{number}"), true) + "\n").collect();
    std::fs::write(&file, lines).unwrap();
    let path = file.to_string_lossy().into_owned();
    let canceller = Arc::new(Canceller(session.clone()));
    let ended = wait(session.import_file(path, ImportOptions::default(), Some(canceller)));
    assert!(matches!(ended, Err(KeepwellError::Caller { code: 119, .. })), "{ended:?}");
    assert!(session.stats().unwrap().resources < 100_000);
}

/// Remembers what it was asked, and is believed.
#[derive(Default)]
struct Guard(Mutex<Vec<String>>);

impl BackupGuard for Guard {
    fn exclude(&self, directory: String) -> Result<(), ListenerFault> {
        self.0.lock().unwrap().push(directory);
        Ok(())
    }

    fn is_excluded(&self, directory: String) -> Result<bool, ListenerFault> {
        Ok(self.0.lock().unwrap().contains(&directory))
    }
}

#[test]
fn the_app_keeps_a_store_out_of_backups() {
    let folder = tempfile::tempdir().unwrap();
    let guard = Arc::new(Guard::default());
    let asked =
        StoreOptions { backup_guard: Some(guard.clone()), ..options(folder.path(), KeychainChoice::Memory) };
    let store = wait(Store::create(asked, None)).unwrap();
    assert!(wait(store.vault().exclude_from_backups()).unwrap());
    assert!(guard.0.lock().unwrap().iter().all(|directory| directory.ends_with("store")));
}

/// A keychain that calls the library, and one that is locked.
struct Meddler(Arc<Store>, Mutex<Vec<i32>>);

impl HostKeychain for Meddler {
    fn get(&self, _: String) -> Result<Option<Vec<u8>>, KeychainFault> {
        let refused = self.0.session("eve".to_owned()).err().map_or(0, |error| error.number());
        self.1.lock().unwrap().push(refused);
        Err(KeychainFault::Locked)
    }

    fn set(&self, _: String, _: Vec<u8>) -> Result<(), KeychainFault> {
        Err(KeychainFault::Locked)
    }

    fn remove(&self, _: String) -> Result<(), KeychainFault> {
        Ok(())
    }

    fn names(&self) -> Result<Vec<String>, KeychainFault> {
        Ok(Vec::new())
    }
}

#[test]
fn a_keychain_that_calls_the_library_is_refused_and_its_answer_is_told() {
    let (_other, store) = made(None);
    let folder = tempfile::tempdir().unwrap();
    let meddler = Arc::new(Meddler(store, Mutex::default()));
    let choice = KeychainChoice::Host { keychain: meddler.clone() };
    let refused = wait(Store::create(options(folder.path(), choice), None)).err().unwrap();
    assert!(matches!(refused, KeepwellError::Person { code: 201, .. }), "{refused:?}");
    assert!(meddler.1.lock().unwrap().iter().all(|&code| code == 917));
}

#[test]
fn every_code_of_the_document_is_thrown_as_who_must_act() {
    let codes = error_codes();
    assert!(codes.len() > 150);
    for row in codes {
        assert!(!row.name.is_empty() && !row.meaning.is_empty(), "{}", row.code);
        let error = rehearse_error(row.code).unwrap_err();
        assert_eq!(error.number(), row.code);
        let is_right = match error {
            KeepwellError::Caller { .. } => row.code / 100 == 1 || row.code / 100 == 3,
            KeepwellError::Person { .. } => row.code / 100 == 2,
            KeepwellError::Operator { .. } => row.code / 100 == 4 || row.code / 100 == 5,
            KeepwellError::Keepwell { .. } => row.code / 100 == 9,
        };
        assert!(is_right, "{}", row.code);
    }
    assert_eq!(rehearse_error(1).unwrap_err().number(), 117);
}
