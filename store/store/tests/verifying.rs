//! Damage is found and named, whatever it is; what is sound is called sound.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at the first surprise, and says what it skips"
)]

mod place;

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use keepwell_store::vault;
use keepwell_store::{
    Defect, DefectKind, Error, ImportOptions, ImportSource, Precondition, Session, VerifyOptions,
    VerifyReport,
};
use place::{Place, observations, resource_type, session};

const PAGE_BYTES: usize = 4096;

/// A store with history, a deletion and two large attachments, closed.
fn filled() -> Place {
    let place = Place::new();
    let store = place.create();
    let session = session(&store);
    import(&session, &observations(2_000));
    import(&session, &observations(30).replace("kg", "lb"));
    import(&session, &observations(20).replace("kg", "st"));
    session.delete(resource_type("Observation"), "o5", Precondition::None).unwrap();
    for (id, data) in [("scan-a", "QUJD"), ("scan-b", "REVG")] {
        let body = format!(
            "{{\"resourceType\":\"Binary\",\"id\":\"{id}\",\"contentType\":\"image/png\",\"data\":\"{}\"}}",
            data.repeat(9_000)
        );
        session.update(resource_type("Binary"), id, body.as_bytes(), Precondition::None).unwrap();
    }
    drop((session, store));
    place
}

fn import(session: &Session, text: &str) {
    session
        .import(ImportSource::reader("text", text.as_bytes()), &ImportOptions::default(), &mut |_| {})
        .unwrap();
}

fn verify(place: &Place) -> VerifyReport {
    session(&place.open()).verify(VerifyOptions::default(), &mut |_| {}).unwrap()
}

/// The resources that a report names, with what is wrong.
fn named(report: &VerifyReport) -> Vec<(String, Option<u64>, DefectKind)> {
    let name = |defect: &Defect| {
        let resource_type = defect.resource_type.map_or("?", |one| one.name());
        format!("{resource_type}/{}", defect.id.as_deref().unwrap_or("?"))
    };
    report.defects.iter().map(|defect| (name(defect), defect.version, defect.kind)).collect()
}

fn blobs(place: &Place) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        place.path().join("blobs").read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn flip(path: &Path, offset: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    byte[0] ^= 1;
    file.write_all_at(&byte, offset).unwrap();
}

#[test]
fn sound_store_is_called_sound() {
    let place = filled();
    let report = verify(&place);
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.resources, report.superseded, report.attachments), (2_002, 51, 2));
    assert_eq!(report.changes, 2_053);
}

#[test]
fn body_that_was_forged_under_the_key_is_named() {
    let place = filled();
    let database = place.database();
    database
        .execute(
            "UPDATE resource SET body = (SELECT body FROM resource WHERE id = 'o100'),
                                 slot = (SELECT slot FROM resource WHERE id = 'o100') WHERE id = 'o101'",
            [],
        )
        .unwrap();
    database.execute("UPDATE resource SET body = x'0155ff' WHERE id = 'o102'", []).unwrap();
    drop(database);
    let report = verify(&place);
    assert_eq!(
        named(&report),
        [
            ("Observation/o101".to_owned(), Some(1), DefectKind::Altered),
            ("Observation/o102".to_owned(), Some(1), DefectKind::Undecodable),
        ]
    );
    assert!(report.database.is_empty() && report.audit.unwrap().is_whole());
}

#[test]
fn history_that_was_forged_under_the_key_is_named() {
    let place = filled();
    let database = place.database();
    let key = "(SELECT key FROM resource WHERE id = 'o7')";
    database
        .execute(&format!("DELETE FROM resource_version WHERE resource = {key} AND version = 1"), [])
        .unwrap();
    let other = "(SELECT key FROM resource WHERE id = 'o25')";
    database
        .execute(&format!("UPDATE resource_version SET body = x'000141' WHERE resource = {other}"), [])
        .unwrap();
    drop(database);
    assert_eq!(
        named(&verify(&place)),
        [
            ("Observation/o7".to_owned(), Some(1), DefectKind::NotTheVersionLogged),
            ("Observation/o25".to_owned(), Some(1), DefectKind::Altered),
        ]
    );
}

#[test]
fn change_that_was_taken_out_of_the_log_is_named() {
    let place = filled();
    let database = place.database();
    database.pragma_update(None, "defer_foreign_keys", true).unwrap();
    database.execute("DELETE FROM change_log WHERE sequence = 500", []).unwrap();
    drop(database);
    let report = verify(&place);
    let names = named(&report);
    assert!(names.contains(&("?/?".to_owned(), None, DefectKind::ChangeLog(500))), "{names:?}");
    assert!(
        names.contains(&("Observation/o499".to_owned(), Some(1), DefectKind::NotTheVersionLogged)),
        "{names:?}"
    );
    assert!(!report.audit.unwrap().is_whole(), "the trail's digest of its changes does not fit either");
}

#[test]
fn flipped_page_is_found_and_what_was_on_it_is_named() {
    let place = filled();
    let path = place.path().join("store.db");
    // The page that holds the row, by its place in the tree of the table.
    let page: u64 = {
        let database = place.database();
        let pages: i64 = database.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        pages.unsigned_abs() / 2
    };
    flip(&path, (page - 1) * PAGE_BYTES as u64 + 2_000);
    let report = verify(&place);
    assert!(!report.is_sound());
    let has_page = report.database.iter().any(
        |damage| matches!(damage, keepwell_sqlcipher::Damage::Page { number } if u64::from(*number) == page),
    );
    assert!(has_page, "{:?}", report.database);
    assert!(report.resources >= 2_002, "the verification went on");
}

#[test]
fn old_page_put_back_is_found_and_named() {
    let place = filled();
    let path = place.path().join("store.db");
    let before = fs::read(&path).unwrap();
    {
        let store = place.open();
        import(&session(&store), &observations(1_501).lines().last().unwrap().replace("kg", "lb"));
    }
    let after = fs::read(&path).unwrap();
    let page = PAGE_BYTES;
    let changed =
        (1..before.len() / page).filter(|at| before[at * page..][..page] != after[at * page..][..page]);
    // One old page, which authenticates: the one that holds the row.
    let replayed = changed
        .map(|at| {
            let mut replayed = after.clone();
            replayed[at * page..][..page].copy_from_slice(&before[at * page..][..page]);
            replayed
        })
        .find(|replayed| {
            fs::write(&path, replayed).unwrap();
            let version = "SELECT version FROM resource NOT INDEXED WHERE id = 'o1500'";
            place
                .database()
                .query_row(version, [], |row| row.get::<_, i64>(0))
                .is_ok_and(|version| version == 1)
        })
        .unwrap();
    fs::write(&path, replayed).unwrap();
    let report = verify(&place);
    assert!(report.database.is_empty(), "{report:?}");
    assert_eq!(
        named(&report),
        [
            ("Observation/o1500".to_owned(), Some(2), DefectKind::NotTheVersionLogged),
            // It was stored as what differs from the version that is lost.
            ("Observation/o1500".to_owned(), Some(1), DefectKind::Undecodable),
        ]
    );
}

#[test]
fn lost_log_is_a_rollback() {
    let place = filled();
    let path = place.path();
    let (database, log) = (path.join("store.db"), path.join("store.db-wal"));
    let store = place.open();
    let session = session(&store);
    import(&session, &observations(10).replace("\"id\":\"o", "\"id\":\"w"));
    assert!(fs::metadata(&log).unwrap().len() > 0);
    // As after a crash that took the log away: the database without its last transactions.
    let without_log = fs::read(&database).unwrap();
    drop((session, store));
    fs::write(&database, without_log).unwrap();
    let store = keepwell_store::Store::open(&path, place.options()).unwrap();
    let refused = store.unlock(None);
    assert!(matches!(refused, Err(Error::Vault(vault::Error::RollbackSuspected))), "{refused:?}");
}

#[test]
fn lost_damaged_and_exchanged_attachments_are_named() {
    let attachment = |id: &str| (format!("Binary/{id}"), Some(1), DefectKind::Attachment);

    let place = filled();
    let files = blobs(&place);
    let (first, second) = (fs::read(&files[0]).unwrap(), fs::read(&files[1]).unwrap());
    fs::write(&files[0], &second).unwrap();
    fs::write(&files[1], &first).unwrap();
    assert_eq!(named(&verify(&place)), [attachment("scan-a"), attachment("scan-b")]);

    fs::write(&files[0], &first).unwrap();
    fs::write(&files[1], &second).unwrap();
    assert!(verify(&place).is_sound());

    flip(&files[0], 100);
    assert_eq!(named(&verify(&place)).len(), 1);
    fs::remove_file(&files[0]).unwrap();
    assert_eq!(named(&verify(&place)).len(), 1);
}

#[test]
fn references_that_lead_nowhere_are_named_on_request() {
    let place = Place::new();
    let store = place.create();
    let session = session(&store);
    import(&session, &observations(3));
    import(&session, "{\"resourceType\":\"Patient\",\"id\":\"p1\"}");
    assert!(session.verify(VerifyOptions::default(), &mut |_| {}).unwrap().is_sound());
    let report =
        session.verify(VerifyOptions { references: true, ..VerifyOptions::default() }, &mut |_| {}).unwrap();
    let dangling = DefectKind::DanglingReference(resource_type("Patient"));
    assert_eq!(
        named(&report),
        [("Observation/o0".to_owned(), Some(1), dangling), ("Observation/o2".to_owned(), Some(1), dangling)]
    );
}
