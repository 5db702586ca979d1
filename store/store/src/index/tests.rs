//! The index of a store, seen from inside.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use keepwell_fhir::ResourceType;
use keepwell_vault::{ManualClock, MemoryKeychain};
use tempfile::TempDir;

use crate::{Actor, Error, Precondition, SearchError, Session, Store, StoreOptions};

struct Home {
    directory: TempDir,
    clock: Arc<ManualClock>,
    keychain: Arc<MemoryKeychain>,
}

impl Home {
    fn new() -> (Self, Store) {
        let directory = TempDir::new().unwrap();
        let (clock, keychain) =
            (Arc::new(ManualClock::new(1_795_348_800_000)), Arc::new(MemoryKeychain::new()));
        let home = Self { directory, clock, keychain };
        let store = Store::create(&home.directory.path().join("store"), home.options(), None).unwrap();
        (home, store)
    }

    fn options(&self) -> StoreOptions {
        let mut options = StoreOptions::new("tests", "bench 1", Some(self.keychain.clone()));
        options.clock = self.clock.clone();
        options.memory_security = false;
        options
    }

    fn reopened(&self, store: Store) -> Store {
        drop(store);
        let store = Store::open(&self.directory.path().join("store"), self.options()).unwrap();
        store.unlock(None).unwrap();
        store
    }
}

fn session(store: &Store) -> Session {
    store.session(Actor::new("dr.jones", "tests", "bench 1").unwrap()).unwrap()
}

fn put(session: &Session, id: &str, family: &str) {
    let patient = ResourceType::parse("Patient").unwrap();
    let body = format!(r#"{{"resourceType":"Patient","id":"{id}","name":[{{"family":"{family}"}}]}}"#);
    session.update(patient, id, body.as_bytes(), Precondition::None).unwrap();
}

fn found(session: &Session, url: &str) -> String {
    let page = session.search(url).unwrap();
    page.matches().map(|entry| entry.id.as_str()).collect::<Vec<_>>().join(" ")
}

/// As a program of other rules would have left it.
fn forget_index(store: &Store) {
    let open = store.inner.enter(None).unwrap();
    let sql = "UPDATE search_state SET rules = 0, generation = generation + 1";
    open.writer().connection().execute(sql, []).unwrap();
}

#[test]
fn a_store_without_an_index_gets_one_while_it_is_used() {
    let (home, store) = Home::new();
    let first = session(&store);
    for number in 0..30 {
        put(&first, &format!("p{number}"), "Old");
    }
    put(&first, "p3", "New");
    drop(first);
    forget_index(&store);
    let store = home.reopened(store);
    let session = session(&store);
    // The housekeeper may have been there already; a step more does no harm.
    match session.search("Patient?family=new") {
        Err(Error::Search(SearchError::Building { done: 0, total: 31 })) => {}
        other => assert_eq!(other.unwrap().entries.len(), 1),
    }
    put(&session, "p4", "Newer");
    while !session.reindex().unwrap().is_complete() {}
    assert_eq!(found(&session, "Patient?family=new"), "p4 p3");
    assert_eq!(session.search("Patient?_summary=count").unwrap().total, Some(30));
    put(&session, "p5", "Newest");
    assert_eq!(found(&session, "Patient?family=new"), "p5 p4 p3");
    let changes = store.changes_after(0, 100).unwrap().len();
    assert_eq!(changes, 33, "an index makes no changes");
}

#[test]
fn a_thousand_commits_are_merged_and_found_after_a_restart() {
    let (home, store) = Home::new();
    let first = session(&store);
    for number in 0..2_600 {
        put(&first, &format!("p{}", number % 1_300), &format!("F{}", number % 7));
    }
    assert_eq!(found(&first, "Patient?family=f3&_count=2"), "p1293 p1286");
    drop(first);
    let store = home.reopened(store);
    let session = session(&store);
    let total = session.search("Patient?family=f3&_summary=count").unwrap().total;
    let expected = (0..2_600).skip(1_300).filter(|number| number % 7 == 3).count();
    assert_eq!(total, Some(expected as u64));
}

#[test]
fn nothing_of_a_purged_resource_is_left_in_any_block() {
    let (_home, store) = Home::new();
    let session = session(&store);
    for number in 0..1_100 {
        put(&session, &format!("p{number}"), "Kept");
    }
    put(&session, "gone", "Zanzibar");
    for number in 0..1_100 {
        put(&session, &format!("q{number}"), "Kept");
    }
    put(&session, "gone", "Zanzibarian");
    let patient = ResourceType::parse("Patient").unwrap();
    session.elevate(None).unwrap().purge(patient, "gone", "asked for").unwrap();
    let open = store.inner.enter(None).unwrap();
    let writer = open.writer();
    let mut looked_at = 0;
    for sql in [
        "SELECT data FROM search_block",
        "SELECT description FROM search_segment",
        "SELECT data FROM search_pending",
    ] {
        let mut statement = writer.connection().prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
        for row in rows {
            let row = row.unwrap();
            looked_at += 1;
            assert!(!row.windows(7).any(|bytes| bytes == b"anzibar"), "{sql}");
        }
    }
    assert!(looked_at > 10);
    drop(writer);
    assert_eq!(session.search("Patient?_summary=count").unwrap().total, Some(2_200));
}

#[test]
fn verify_names_a_version_that_the_index_lost() {
    let (home, store) = Home::new();
    let first = session(&store);
    for number in 0..20 {
        put(&first, &format!("p{number}"), "Kept");
    }
    let options = crate::VerifyOptions { index: true, ..Default::default() };
    assert!(first.verify(options, &mut |_| ()).unwrap().is_sound());
    drop(first);
    {
        let open = store.inner.enter(None).unwrap();
        let writer = open.writer();
        writer.connection().execute("DELETE FROM search_pending WHERE last = 7", []).unwrap();
    }
    let store = home.reopened(store);
    let report = session(&store).verify(options, &mut |_| ()).unwrap();
    let found: Vec<_> = report.defects.iter().map(|defect| (defect.kind, defect.id.as_deref())).collect();
    assert_eq!(found, [(crate::DefectKind::Index, Some("p6"))]);
}
