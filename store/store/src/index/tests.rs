//! The index of a store, seen from inside.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use keepwell_fhir::ResourceType;
use keepwell_vault::{ManualClock, MemoryKeychain};
use tempfile::TempDir;

use crate::{
    Actor, Error, ImportOptions, ImportSource, Precondition, SearchError, Session, Store, StoreOptions,
};

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
    put(&session, "p30", "Other");
    check_ids(&session, &["p4".to_owned(), "p30".to_owned()]);
    while !session.reindex().unwrap().is_complete() {}
    assert_eq!(found(&session, "Patient?family=new"), "p4 p3");
    assert_eq!(session.search("Patient?_summary=count").unwrap().total, Some(31));
    put(&session, "p5", "Newest");
    assert_eq!(found(&session, "Patient?family=new"), "p5 p4 p3");
    let changes = store.changes_after(0, 100).unwrap().len();
    assert_eq!(changes, 34, "an index makes no changes");
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

fn patients(ids: impl Iterator<Item = String>) -> String {
    ids.map(|id| format!("{{\"resourceType\":\"Patient\",\"id\":\"{id}\"}}\n")).collect()
}

fn import(session: &Session, text: &str) {
    let options = ImportOptions { batch: 1_100, ..ImportOptions::default() };
    session.import(ImportSource::reader("text", text.as_bytes()), &options, &mut |_| {}).unwrap();
}

/// Every resource is found under its id, and nothing is under another.
fn check_ids(session: &Session, ids: &[String]) {
    let patient = ResourceType::parse("Patient").unwrap();
    for id in ids {
        assert_eq!(session.read(patient, id).unwrap().id, *id);
        let other = ResourceType::parse("Person").unwrap();
        assert!(matches!(session.read(other, id), Err(Error::NotFound(_))));
        assert!(matches!(session.read(patient, &format!("{id}x")), Err(Error::NotFound(_))));
    }
}

#[test]
fn every_id_leads_to_one_row_within_a_transaction_between_merges_and_after_a_restart() {
    let (home, store) = Home::new();
    let first = session(&store);
    let uuid = |number: u32| format!("{:08x}-8694-439b-aea5-966c26f8ad91", number.wrapping_mul(0x9e37_79b9));
    let mut ids: Vec<String> =
        (0..5_000).map(|number| if number % 3 == 0 { format!("i{number}") } else { uuid(number) }).collect();
    let text = patients(ids.iter().cloned());
    // The second of each pair in one commit is the same resource again.
    import(&first, &patients(ids.iter().flat_map(|id| [id.clone(), id.clone()])));
    import(&first, &text);
    for number in 0..50 {
        ids.push(format!("p{number}"));
        put(&first, &format!("p{number}"), "Old");
    }
    check_ids(&first, &ids);
    assert_eq!(first.stats().unwrap().resources(), 5_050);
    drop(first);
    let store = home.reopened(store);
    let session = session(&store);
    check_ids(&session, &ids);
    import(&session, &text);
    put(&session, "p3", "New");
    let stats = session.stats().unwrap();
    assert_eq!((stats.resources(), stats.superseded), (5_050, 1));
    let patient = ResourceType::parse("Patient").unwrap();
    session.delete(patient, "p3", Precondition::None).unwrap();
    assert!(matches!(session.read(patient, "p3"), Err(Error::Gone { .. })));
    put(&session, "p3", "Back");
    assert_eq!(session.read(patient, "p3").unwrap().version, 4);
    let tables = "SELECT (SELECT count(*) FROM identity_segment), (SELECT count(*) FROM identity_pending)";
    let open = store.inner.enter(None).unwrap();
    let (segments, pending): (u32, u32) =
        open.writer().connection().query_row(tables, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert!(segments >= 1 && pending >= 1, "both ways of keeping them were asked: {segments}, {pending}");
    drop(open);
    session.settle().unwrap();
    let open = store.inner.enter(None).unwrap();
    let segments = |index: &str| -> u32 {
        let sql = format!("SELECT count(*) FROM {index}_segment");
        open.writer().connection().query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    assert!(segments("identity") <= 2 && segments("search") <= 2, "the index is at rest");
    check_ids(&session, &ids);
    assert_eq!(session.search("Patient?_summary=count").unwrap().total, Some(5_050));
    session.settle().unwrap();
    assert!(
        session
            .verify(crate::VerifyOptions { index: true, ..Default::default() }, &mut |_| ())
            .unwrap()
            .is_sound()
    );
}

#[test]
fn ids_of_a_transaction_that_is_rolled_back_lead_nowhere() {
    let (home, store) = Home::new();
    let first = session(&store);
    put(&first, "kept", "A");
    let patient = ResourceType::parse("Patient").unwrap();
    let failed: Result<(), Error> = first.transaction(crate::audit::Action::Update, None, |transaction| {
        transaction.put(patient, "lost", br#"{"resourceType":"Patient","id":"lost"}"#, false)?;
        assert!(transaction.view().current(patient, "lost")?.is_some());
        assert!(transaction.row_of(patient, "lost")?.is_some());
        Err(Error::Argument("it is given up"))
    });
    assert!(failed.is_err());
    assert!(matches!(first.read(patient, "lost"), Err(Error::NotFound(_))));
    put(&first, "next", "B");
    drop(first);
    let session = session(&home.reopened(store));
    check_ids(&session, &["kept".to_owned(), "next".to_owned()]);
    assert!(matches!(session.read(patient, "lost"), Err(Error::NotFound(_))));
}

#[test]
fn verify_names_a_resource_that_its_id_does_not_lead_to() {
    let (home, store) = Home::new();
    let first = session(&store);
    for number in 0..20 {
        put(&first, &format!("p{number}"), "Kept");
    }
    drop(first);
    {
        let open = store.inner.enter(None).unwrap();
        let writer = open.writer();
        writer.connection().execute("DELETE FROM identity_pending WHERE last = 7", []).unwrap();
        // The seventh id leads nowhere, and the ninth row has another id than the one that leads to it.
        writer.connection().execute("UPDATE resource SET id = 'q8' WHERE id = 'p8'", []).unwrap();
    }
    let store = home.reopened(store);
    let report = session(&store).verify(crate::VerifyOptions::default(), &mut |_| ()).unwrap();
    let found: Vec<_> = report.defects.iter().map(|defect| (defect.kind, defect.id.as_deref())).collect();
    let wrong = |id| (crate::DefectKind::Identity, Some(id));
    assert_eq!(found, [wrong("p6"), wrong("p8"), wrong("q8")]);
}
