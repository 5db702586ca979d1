//! A store in one encrypted file, restored elsewhere with everything in it, or not at all.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at the first surprise, and says what it skips"
)]

mod place;

use std::path::Path;

use keepwell_store::vault::{self, Passcode};
use keepwell_store::{
    ArchiveError, Error, HistoryQuery, ImportOptions, ImportSource, Precondition, Session, Store,
};
use place::{Place, observations, resource_type, session};

fn passphrase(text: &str) -> Passcode {
    Passcode::new(text.to_owned()).unwrap()
}

/// Text as base64 that is too long to stay in its row.
fn scan() -> String {
    "QUJD".repeat(8_000)
}

/// History, a deletion, a large attachment.
fn fill(session: &Session) {
    let source = ImportSource::reader("text", observations(200).leak().as_bytes());
    session.import(source, &ImportOptions::default(), &mut |_| {}).unwrap();
    let basic = resource_type("Basic");
    for text in ["one", "two", "three"] {
        let body = format!("{{\"resourceType\":\"Basic\",\"id\":\"b\",\"code\":{{\"text\":\"{text}\"}}}}");
        session.update(basic, "b", body.as_bytes(), Precondition::None).unwrap();
    }
    session.delete(resource_type("Observation"), "o1", Precondition::None).unwrap();
    let binary = format!(
        "{{\"resourceType\":\"Binary\",\"id\":\"scan\",\"contentType\":\"image/png\",\"data\":\"{}\"}}",
        scan()
    );
    session.update(resource_type("Binary"), "scan", binary.as_bytes(), Precondition::None).unwrap();
}

fn archive(session: &Session) -> Vec<u8> {
    let mut archive = Vec::new();
    session.elevate(None).unwrap().archive(&passphrase("correct horse battery"), &mut archive).unwrap();
    archive
}

fn restore(archive: &[u8], words: &str, place: &Place) -> Result<Store, Error> {
    Store::restore(&mut { archive }, &passphrase(words), &place.path(), place.options(), None)
}

fn files(directory: &Path) -> Vec<String> {
    let entries = directory.read_dir().into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn archive_restores_elsewhere_with_history_attachments_and_audit() {
    let place = Place::new();
    let store = place.create();
    let session_here = session(&store);
    fill(&session_here);
    let archive = archive(&session_here);
    assert!(!files(&place.path()).iter().any(|name| name.contains("archive")), "the snapshot is gone");
    let stats = session_here.stats().unwrap();

    let elsewhere = Place::new();
    let restored = restore(&archive, "correct horse battery", &elsewhere).unwrap();
    assert_ne!(restored.vault().store_id(), store.vault().store_id());
    let session_there = session(&restored);
    let there = session_there.stats().unwrap();
    assert_eq!(
        (&there.types, there.deleted, there.superseded),
        (&stats.types, stats.deleted, stats.superseded)
    );
    let versions = |session: &Session| {
        let page = session.history(resource_type("Basic"), "b", &HistoryQuery::default()).unwrap();
        page.entries
            .into_iter()
            .map(|entry| (entry.version, entry.last_updated, entry.body))
            .collect::<Vec<_>>()
    };
    assert_eq!(versions(&session_there), versions(&session_here));
    let gone = session_there.read(resource_type("Observation"), "o1");
    assert!(matches!(gone, Err(Error::Gone { version: 2, .. })), "{gone:?}");
    let binary = session_there.read(resource_type("Binary"), "scan").unwrap();
    assert_eq!(binary.body, session_here.read(resource_type("Binary"), "scan").unwrap().body);
    let report = session_there.verify(Default::default(), &mut |_| {}).unwrap();
    assert!(report.is_sound(), "{report:?}");
    // The whole trail came along: more records than the archived store had, none of them purged or forged.
    assert!(report.audit.unwrap().records > stats.audit_records);

    // It opens again, and neither store is taken for a copy or an older state of the other.
    drop((session_there, restored));
    let reopened = elsewhere.open();
    session(&reopened)
        .update(
            resource_type("Basic"),
            "b",
            b"{\"resourceType\":\"Basic\",\"id\":\"b\",\"code\":{\"text\":\"four\"}}",
            Precondition::Match(3),
        )
        .unwrap();
    drop((session_here, store));
    assert_eq!(session(&place.open()).stats().unwrap().last_change, stats.last_change);
}

#[test]
fn archive_restores_beside_its_origin_in_the_same_keychain() {
    let place = Place::new();
    let store = place.create();
    let archive = {
        let session = session(&store);
        fill(&session);
        archive(&session)
    };
    let directory = tempfile::tempdir().unwrap();
    let beside = directory.path().join("beside");
    let mut bytes = archive.as_slice();
    let restored =
        Store::restore(&mut bytes, &passphrase("correct horse battery"), &beside, place.options(), None)
            .unwrap();
    drop((store, restored));
    assert!(session(&place.open()).verify(Default::default(), &mut |_| {}).unwrap().is_sound());
    let restored = Store::open(&beside, place.options()).unwrap();
    restored.unlock(None).unwrap();
    assert!(session(&restored).verify(Default::default(), &mut |_| {}).unwrap().is_sound());
}

#[test]
fn what_is_no_whole_archive_restores_nothing_and_leaves_nothing() {
    let place = Place::new();
    let store = place.create();
    let archive = {
        let session = session(&store);
        fill(&session);
        archive(&session)
    };
    let flipped = |at: usize| {
        let mut bytes = archive.clone();
        bytes[at] ^= 1;
        bytes
    };
    let length = archive.len();
    let mut cases = vec![
        (b"".to_vec(), "correct horse battery", ArchiveError::NotAnArchive),
        (b"PK\x03\x04 something else entirely".to_vec(), "correct horse battery", ArchiveError::NotAnArchive),
        (b"keepwell archive 2\n".to_vec(), "correct horse battery", ArchiveError::TooNew),
        (archive.clone(), "correct horse batterz", ArchiveError::WrongPassphrase),
        (flipped(40), "correct horse battery", ArchiveError::Damaged),
        ([archive.as_slice(), b"more"].concat(), "correct horse battery", ArchiveError::Damaged),
    ];
    for cut in [30, 200, 400, 70_000, length - 40_000, length - 1] {
        cases.push((archive[..cut].to_vec(), "correct horse battery", ArchiveError::Damaged));
    }
    for at in [350, 420, 1_000, 66_000, length / 2, length - 20] {
        cases.push((flipped(at), "correct horse battery", ArchiveError::Damaged));
    }
    for (number, (bytes, words, expected)) in cases.into_iter().enumerate() {
        let elsewhere = Place::new();
        match restore(&bytes, words, &elsewhere) {
            Err(Error::Archive(found)) => assert_eq!(found, expected, "case {number}"),
            Err(error) => panic!("case {number}: {error}"),
            Ok(_) => panic!("case {number} was restored"),
        }
        assert!(!elsewhere.path().exists(), "case {number} left {:?}", files(&elsewhere.path()));
        assert_eq!(elsewhere.keychain.items().unwrap(), Vec::<String>::new(), "case {number}");
    }
}

#[test]
fn restore_does_not_touch_a_directory_that_holds_something() {
    let place = Place::new();
    let store = place.create();
    let archive = archive(&session(&store));
    let elsewhere = Place::new();
    std::fs::create_dir(elsewhere.path()).unwrap();
    std::fs::write(elsewhere.path().join("letter.txt"), "dear").unwrap();
    let refused = restore(&archive, "correct horse battery", &elsewhere);
    assert!(matches!(refused, Err(Error::Vault(vault::Error::AlreadyExists))));
    assert_eq!(files(&elsewhere.path()), ["letter.txt"]);
    assert!(matches!(
        restore(&archive, "correct horse battery", &place),
        Err(Error::Vault(vault::Error::AlreadyExists))
    ));
}

#[test]
fn archive_needs_a_long_passphrase_and_shows_nothing_of_what_is_in_it() {
    let place = Place::new();
    let store = place.create();
    let session = session(&store);
    fill(&session);
    let mut out = Vec::new();
    let short = session.elevate(None).unwrap().archive(&passphrase("short"), &mut out);
    assert!(matches!(short, Err(Error::Vault(vault::Error::ShortPassphrase))));
    assert!(out.is_empty());
    let archive = archive(&session);
    for clear in [&b"SQLite format"[..], b"Observation", b"QUJDQUJD", b"ABCABCABC"] {
        assert!(!archive.windows(clear.len()).any(|window| window == clear));
    }
}
