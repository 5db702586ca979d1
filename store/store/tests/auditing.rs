//! Every call leaves its record in the audit trail (45 CFR 164.312(b), R-89).
//!
//! The table below is held against the sources: a call that is added without a row here fails the test.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use common::{Home, body, patient};
use keepwell_store::audit::{Action, AuditQuery, AuditRecord, Outcome};
use keepwell_store::fhir::ResourceType;
use keepwell_store::fhir::patch::PatchFormat;
use keepwell_store::query::Handling;
use keepwell_store::vault::{Passcode, Suspicion};
use keepwell_store::{
    Actor, Error, ExportOptions, HistoryQuery, ImportOptions, ImportSource, Precondition, Privileged,
    Session, Store, VerifyOptions, View,
};

/// The name of a call, the action that its record must name, and how it is made.
type Call = (&'static str, Action, fn(&Session));
type PrivilegedCall = (&'static str, Action, for<'s> fn(&Privileged<'s>));

/// The calls of a session. Each succeeds on a store with `Patient/p`, which has an attachment.
const SESSION: [Call; 31] = [
    ("create", Action::Create, |session| drop(session.create(patient(), &body("x", "B")).unwrap())),
    ("create_if_none_exist", Action::Create, |session| {
        session.create_if_none_exist(patient(), &body("x", "C"), "identifier=none").unwrap();
    }),
    ("update", Action::Update, |session| {
        session.update(patient(), "p", &body("p", "D"), Precondition::None).unwrap();
    }),
    ("update_if", Action::Update, |session| {
        session.update_if(patient(), "_id=p", &body("p", "E"), Precondition::None).unwrap();
    }),
    ("patch", Action::Patch, |session| {
        let patch = br#"{"active":true}"#;
        session.patch(patient(), "p", PatchFormat::MergePatch, patch, Precondition::None).unwrap();
    }),
    ("patch_if", Action::Patch, |session| {
        let patch = br#"{"active":false}"#;
        session.patch_if(patient(), "_id=p", PatchFormat::MergePatch, patch, Precondition::None).unwrap();
    }),
    ("read", Action::Read, |session| drop(session.read(patient(), "p").unwrap())),
    ("vread", Action::Vread, |session| drop(session.vread(patient(), "p", 1).unwrap())),
    ("history", Action::History, |session| {
        session.history(patient(), "p", &HistoryQuery::default()).unwrap();
    }),
    ("history_type", Action::History, |session| {
        session.history_type(patient(), &HistoryQuery::default()).unwrap();
    }),
    ("history_system", Action::History, |session| {
        session.history_system(&HistoryQuery::default()).unwrap();
    }),
    ("bundle", Action::Transaction, |session| {
        let transaction = br#"{"resourceType":"Bundle","type":"transaction","entry":[{"resource":
            {"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}}]}"#;
        session.bundle(transaction).unwrap();
    }),
    ("create_binary", Action::Create, |session| {
        session.create_binary("text/plain", &mut &b"a".repeat(40_000)[..]).unwrap();
    }),
    ("search", Action::Search, |session| drop(session.search("Patient?name=a").unwrap())),
    ("search_with", Action::Search, |session| {
        session.search_with("Patient?nothing=a", Handling::Lenient).unwrap();
    }),
    ("add_search_parameter", Action::Configured, |session| {
        let eyes = br#"{"resourceType":"SearchParameter","url":"urn:eyes","name":"eyes","status":"active",
            "description":"x","code":"eyes","base":["Patient"],"type":"token","expression":"Patient.extension('urn:e').value"}"#;
        session.add_search_parameter(eyes).unwrap();
    }),
    ("search_parameters", Action::Search, |session| drop(session.search_parameters().unwrap())),
    ("remove_search_parameter", Action::Configured, |session| {
        assert!(!session.remove_search_parameter("urn:none").unwrap());
    }),
    ("observe_search", Action::Search, |session| drop(session.observe_search("Patient").unwrap())),
    ("explain_search", Action::Search, |session| drop(session.explain_search("Patient?name=a").unwrap())),
    ("transaction", Action::SyncReceive, |session| {
        session
            .transaction(Action::SyncReceive, None, |transaction| {
                transaction.put(patient(), "t", &body("t", "T"), false)
            })
            .unwrap();
    }),
    ("transaction_if_changed", Action::SyncReceive, |session| {
        session
            .transaction_if_changed(Action::SyncReceive, None, |transaction| {
                transaction.put(patient(), "u", &body("u", "U"), false)
            })
            .unwrap();
    }),
    ("view_noting", Action::SyncSend, |session| {
        let shown = |view: &mut View<'_>| {
            Ok::<_, Error>((view.current(patient(), "p")?.is_some(), Some("{}".to_owned())))
        };
        assert!(session.view_noting(Action::SyncSend, shown).unwrap());
    }),
    ("view", Action::SyncSend, |session| {
        session.view(Action::SyncSend, None, |view| view.current(patient(), "p")).unwrap();
    }),
    ("read_attachment", Action::AttachmentRead, |session| {
        let binary = ResourceType::parse("Binary").unwrap();
        let written = session.create_binary("text/plain", &mut &b"b".repeat(40_000)[..]).unwrap();
        session.read_attachment(binary, &written.id, 0, &mut std::io::sink()).unwrap();
    }),
    ("import", Action::Import, |session| {
        let line = body("imported", "F");
        let source = ImportSource::reader("auditing", &*line);
        session.import(source, &ImportOptions::default(), &mut |_| {}).unwrap();
    }),
    ("verify", Action::Verify, |session| {
        assert!(session.verify(VerifyOptions::default(), &mut |_| {}).unwrap().is_sound());
    }),
    ("audit_page", Action::AuditRead, |session| drop(session.audit_page(&AuditQuery::default()).unwrap())),
    ("audit_verify", Action::AuditVerify, |session| assert!(session.audit_verify().unwrap().is_whole())),
    ("delete", Action::Delete, |session| drop(session.delete(patient(), "p", Precondition::None).unwrap())),
    ("delete_if", Action::Delete, |session| {
        session.delete_if(patient(), "_id=imported").unwrap();
    }),
];

/// Calls of a session that show no content, or whose record another call makes: with the reason.
const SESSION_WITHOUT: [(&str, &str); 13] = [
    ("actor", "says who acts"),
    ("store", "gives the store"),
    ("set_attended", "sets an option of the session"),
    ("set_check_references", "sets an option of the session"),
    ("elevate", "a refusal is recorded: see below"),
    ("close", "ends the session: see below"),
    ("is_over", "says whether the session has ended"),
    ("stats", "numbers only"),
    ("audit_checkpoint", "a signature and a public key"),
    ("reindex", "takes stored bodies apart; shows how far it is"),
    ("settle", "merges the index; shows nothing"),
    ("index_progress", "two numbers"),
    ("parameters", "definitions only"),
];

/// The calls that need the passcode again.
const PRIVILEGED: [PrivilegedCall; 11] = [
    ("export", Action::Export, |privileged| {
        privileged.export(&mut std::io::sink(), &ExportOptions::default(), &mut |_| {}).unwrap();
    }),
    ("archive", Action::Archive, |privileged| {
        privileged.archive(&passcode("a long enough passphrase"), &mut std::io::sink()).unwrap();
    }),
    ("audit_export", Action::AuditExport, |privileged| {
        privileged.audit_export(&AuditQuery::default(), &mut std::io::sink()).unwrap();
    }),
    ("audit_purge", Action::AuditPurged, |privileged| {
        privileged.audit_purge(Duration::ZERO).unwrap();
    }),
    ("rotate_kek", Action::KeyRotated, |privileged| privileged.rotate_kek().unwrap()),
    ("rotate_database_key", Action::DatabaseRekeyed, |privileged| privileged.rotate_database_key().unwrap()),
    ("set_passcode", Action::PasscodeChanged, |privileged| {
        privileged.set_passcode(&passcode("1234 horses")).unwrap();
    }),
    ("remove_passcode", Action::PasscodeRemoved, |privileged| privileged.remove_passcode().unwrap()),
    ("set_recovery", Action::RecoverySet, |privileged| {
        privileged.set_recovery(&passcode("a long enough passphrase")).unwrap();
    }),
    ("purge", Action::Purge, |privileged| privileged.purge(patient(), "p", "asked for").unwrap()),
    ("purge_patient", Action::Purge, |privileged| {
        privileged.purge_patient("q", "asked for").unwrap();
    }),
];

fn passcode(text: &str) -> Passcode {
    Passcode::new(text.to_owned()).unwrap()
}

/// A store with two patients, of which the records that their making left are past.
fn home() -> (Home, Session) {
    let home = Home::new();
    let session = home.session();
    for id in ["p", "q"] {
        session.update(patient(), id, &body(id, "A"), Precondition::None).unwrap();
    }
    (home, session)
}

/// The records of an action.
fn records(session: &Session, action: Action) -> Vec<AuditRecord> {
    session.audit_page(&AuditQuery { action: Some(action), ..AuditQuery::default() }).unwrap().records
}

#[test]
fn every_call_of_a_session_leaves_its_record() {
    for (name, action, call) in SESSION {
        let (_home, session) = home();
        if name == "delete_if" {
            session.update(patient(), "imported", &body("imported", "A"), Precondition::None).unwrap();
        }
        let before = records(&session, action).len();
        call(&session);
        let after = records(&session, action);
        assert!(after.len() > before, "{name} left no record");
        assert_eq!(after[0].outcome, Some(Outcome::Success), "{name}");
        assert_eq!(after[0].actor.user(), "dr.jones", "{name}");
        assert!(session.audit_verify().unwrap().is_whole());
    }
}

#[test]
fn every_privileged_call_leaves_its_record() {
    for (name, action, call) in PRIVILEGED {
        let (home, session) = home();
        if name == "audit_purge" {
            // What is purged is whole checkpointed segments: a lock makes one.
            home.store.lock().unwrap();
            home.store.unlock(None).unwrap();
        }
        let session = if name == "audit_purge" { home.session() } else { session };
        home.clock.advance(Duration::from_secs(1));
        let before = records(&session, action).len();
        call(&session.elevate(None).unwrap());
        let session = if name == "rotate_database_key" { home.session() } else { session };
        let after = records(&session, action);
        assert!(after.len() > before, "{name} left no record");
        assert_eq!(after[0].outcome, Some(Outcome::Success), "{name}");
    }
}

#[test]
fn refusals_are_on_record_too() {
    let (home, session) = home();
    assert!(session.read(patient(), "nobody").is_err());
    assert_eq!(records(&session, Action::Read)[0].outcome, Some(Outcome::MinorFailure));
    assert!(session.create(patient(), b"{").is_err());
    assert_eq!(records(&session, Action::Create)[0].outcome, Some(Outcome::MinorFailure));
    session.elevate(None).unwrap().set_passcode(&passcode("1234 horses")).unwrap();
    assert!(session.elevate(Some(&passcode("wrong"))).is_err());
    assert_eq!(records(&session, Action::AccessDenied)[0].outcome, Some(Outcome::MinorFailure));
    home.store.lock().unwrap();
    assert!(home.store.unlock(Some(&passcode("wrong"))).is_err());
    home.clock.advance(Duration::from_secs(3600));
    home.store.unlock(Some(&passcode("1234 horses"))).unwrap();
    assert_eq!(records(&home.session(), Action::UnlockFailed)[0].outcome, Some(Outcome::MinorFailure));
}

#[test]
fn the_life_of_a_store_is_on_record() {
    let (home, session) = home();
    session.close().unwrap();
    home.store.suspend().unwrap();
    home.store.resume(None).unwrap();
    home.store.lock().unwrap();
    home.store.unlock_with(None, Suspicion::Refuse).unwrap();
    let session = home.store.session(Actor::new("auditor", "tests", "bench 1").unwrap()).unwrap();
    for action in [
        Action::Initialised,
        Action::Login,
        Action::Logout,
        Action::Suspend,
        Action::Resume,
        Action::Lock,
        Action::Unlock,
    ] {
        assert!(!records(&session, action).is_empty(), "{action:?}");
    }
}

#[test]
fn no_public_call_is_missing_here() {
    let listed = |calls: BTreeSet<&str>, reasons: &[(&'static str, &str)]| -> BTreeSet<String> {
        calls.into_iter().chain(reasons.iter().map(|(name, _)| *name)).map(str::to_owned).collect()
    };
    let session = listed(SESSION.iter().map(|call| call.0).collect(), &SESSION_WITHOUT);
    assert_eq!(public_calls("impl Session {"), session);
    let privileged = listed(PRIVILEGED.iter().map(|call| call.0).collect(), &[]);
    assert_eq!(
        public_calls("impl Privileged<'_> {")
            .union(&public_calls("impl<'s> Privileged<'s> {"))
            .cloned()
            .collect::<BTreeSet<_>>(),
        privileged
    );
    // A store has no content to show before a session begins, but for the names of changes.
    let store = public_calls("impl Store {");
    let known = [
        "create",
        "open",
        "recover",
        "restore",
        "unlock",
        "unlock_with",
        "resume",
        "lock",
        "suspend",
        "erase",
        "state",
        "session",
        "observe",
        "changes_after",
        "vault",
        "directory",
    ];
    assert_eq!(store, known.map(str::to_owned).into());
    let _: fn(&Store) -> &Path = Store::directory;
}

/// The public functions in the blocks of this crate that begin so.
fn public_calls(block: &str) -> BTreeSet<String> {
    let mut calls = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let mut is_inside = false;
            for line in text.lines() {
                is_inside = if line == block { true } else { is_inside && line != "}" };
                if let Some(rest) = line.strip_prefix("    pub fn ").filter(|_| is_inside) {
                    calls.insert(rest.split(['(', '<']).next().unwrap().to_owned());
                }
            }
        }
    }
    calls
}

#[test]
fn a_read_is_on_record_before_its_result_in_strict_mode_and_soon_after_it_otherwise() {
    // What is counted is in the database: counting writes nothing down.
    let records = |session: &Session| session.stats().unwrap().audit_records;
    let strict = Home::with(|options| options.strict_audit = true);
    let session = strict.session();
    session.update(patient(), "p", &body("p", "A"), Precondition::None).unwrap();
    let before = records(&session);
    session.read(patient(), "p").unwrap();
    assert_eq!(records(&session), before + 1);

    let home = Home::new();
    let session = home.session();
    session.update(patient(), "p", &body("p", "A"), Precondition::None).unwrap();
    let before = records(&session);
    session.read(patient(), "p").unwrap();
    let waited = std::time::Instant::now();
    while records(&session) == before {
        assert!(waited.elapsed() < Duration::from_secs(60), "nobody wrote it down");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(records(&session), before + 1);
}
