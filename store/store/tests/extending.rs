//! Tables of another crate in the database of a store: they change with the resources, or not at all.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use common::{Home, actor, body, options, patient};
use keepwell_store::audit::{Action, AuditQuery};
use keepwell_store::{
    Changed, Connection, Error, Extension, ImportOptions, ImportSource, Migration, Precondition, Result,
    Session, Store, Transaction,
};

/// Writes down every version, and refuses a family name.
struct Diary;

const MIGRATIONS: [Migration; 1] = [Migration {
    number: 1,
    name: "diary",
    sql: "CREATE TABLE diary_entry (sequence INTEGER PRIMARY KEY, first INTEGER NOT NULL, text TEXT NOT NULL) STRICT;",
}];

impl Extension for Diary {
    fn name(&self) -> &'static str {
        "diary"
    }

    fn migrations(&self) -> &'static [Migration] {
        &MIGRATIONS
    }

    fn changed(&self, connection: &Connection, changed: &Changed<'_>) -> Result<()> {
        let (before, after) = (changed.stored_before(), changed.content(connection)?);
        if after.as_ref().is_some_and(|content| String::from_utf8_lossy(content).contains("Refused")) {
            return Err(Error::Argument("the diary refuses this name"));
        }
        let length = |content: Option<&[u8]>| content.map_or(-1, |content| content.len() as i64);
        let text = format!(
            "{}/{} {} {:?} {} {} {}",
            changed.resource_type,
            changed.id(),
            changed.version,
            changed.operation,
            length(before),
            length(after.as_deref()),
            if changed.is_foreign { "foreign" } else { "own" }
        );
        connection.execute(
            "INSERT INTO diary_entry (sequence, first, text) VALUES (?1, ?2, ?3)",
            (changed.sequence, changed.first_sequence, text),
        )?;
        Ok(())
    }

    fn unsynced(&self, connection: &Connection) -> Result<Option<u64>> {
        let entries: i64 = connection.query_row("SELECT count(*) FROM diary_entry", [], |row| row.get(0))?;
        Ok(Some(entries.unsigned_abs()))
    }
}

fn home() -> (Home, Session) {
    let home = Home::with(|options| options.extensions = vec![Arc::new(Diary)]);
    let session = home.session();
    (home, session)
}

/// What the diary says, with the first sequence of each transaction.
fn diary(session: &Session) -> Vec<(i64, String)> {
    session
        .view(Action::SyncSend, None, |view| -> Result<_> {
            let mut statement =
                view.connection().prepare("SELECT first, text FROM diary_entry ORDER BY sequence")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .unwrap()
}

#[test]
fn every_way_to_write_is_heard_of_with_what_was_and_what_is() {
    let (home, session) = home();
    let (one, two) = (body("a", "One"), body("a", "Three"));
    session.update(patient(), "a", &one, Precondition::None).unwrap();
    session.update(patient(), "a", &two, Precondition::None).unwrap();
    session.update(patient(), "a", &two, Precondition::None).unwrap();
    session.delete(patient(), "a", Precondition::None).unwrap();
    let lines = [body("b", "Four"), body("c", "Five")].join(&b'\n');
    session.import(ImportSource::reader("lines", &*lines), &ImportOptions::default(), &mut |_| ()).unwrap();
    session.elevate(None).unwrap().purge(patient(), "b", "asked for").unwrap();
    session
        .transaction(Action::SyncReceive, None, |transaction| {
            transaction.put(patient(), "d", &body("d", "One"), false)
        })
        .unwrap();
    let (a, b) = (one.len(), two.len());
    let expected = [
        (1, format!("Patient/a 1 Create -1 {a} own")),
        (2, format!("Patient/a 2 Update {a} {b} own")),
        (3, format!("Patient/a 3 Delete {b} -1 own")),
        (4, format!("Patient/b 1 Create -1 {} own", a + 1)),
        (4, format!("Patient/c 1 Create -1 {} own", a + 1)),
        (6, "Patient/b 2 Purge -1 -1 own".to_owned()),
        (7, format!("Patient/d 1 Create -1 {a} foreign")),
    ];
    assert_eq!(diary(&session), expected);
    assert_eq!(home.store.vault().unsynced().unwrap().unwrap().count, 7);
}

#[test]
fn a_refusal_of_the_extension_undoes_the_write() {
    let (_home, session) = home();
    let refused = session.update(patient(), "a", &body("a", "Refused"), Precondition::None);
    assert!(matches!(refused, Err(Error::Argument(_))));
    assert!(session.read(patient(), "a").is_err());
    assert!(diary(&session).is_empty());
}

#[test]
fn a_transaction_holds_resources_and_rows_together_or_neither() {
    let (_home, session) = home();
    let written = session
        .transaction(Action::SyncReceive, Some("{\"rows\":2}"), |transaction| -> Result<_> {
            let version = transaction.put(patient(), "a", &body("a", "One"), false)?;
            let refused = transaction.put(
                patient(),
                "b",
                b"{\"resourceType\":\"Patient\",\"id\":\"b\",\"x\":1}",
                false,
            );
            assert!(matches!(refused, Err(Error::Invalid(_))), "and the transaction goes on");
            transaction.put(patient(), "b", b"{\"resourceType\":\"Patient\",\"id\":\"b\",\"x\":1}", true)?;
            let current = transaction.view().current(patient(), "a")?.unwrap();
            assert_eq!((current.version, current.content), (1, Some(body("a", "One"))));
            Ok(version)
        })
        .unwrap();
    assert_eq!(written, 1);
    let given_up = session.transaction(Action::SyncReceive, None, |transaction| -> Result<()> {
        transaction.delete(patient(), "a")?;
        transaction.put(patient(), "c", &body("c", "Two"), false)?;
        Err(Error::Corrupt)
    });
    assert!(matches!(given_up, Err(Error::Corrupt)));
    assert_eq!(session.read(patient(), "a").unwrap().version, 1);
    assert!(session.read(patient(), "c").is_err());
    assert_eq!(diary(&session).len(), 2);
}

#[test]
fn a_transaction_that_changed_nothing_leaves_no_event_if_asked_for() {
    let (_home, session) = home();
    let events = |session: &Session| {
        let query = AuditQuery { action: Some(Action::SyncReceive), ..AuditQuery::default() };
        session.audit_page(&query).unwrap().records.len()
    };
    let insert = "INSERT INTO diary_entry (sequence, first, text) VALUES (1000, 1000, 'by hand')";
    for (sql, after) in [("", 0), (insert, 1)] {
        session
            .transaction_if_changed(Action::SyncReceive, None, |transaction| -> Result<_> {
                Ok(transaction.connection().execute_batch(sql)?)
            })
            .unwrap();
        assert_eq!(events(&session), after, "{sql}");
    }
    let look = |_: &mut Transaction<'_, '_>| Ok::<_, Error>(());
    session.transaction(Action::SyncReceive, None, look).unwrap();
    assert_eq!(events(&session), 2);
    assert_eq!(diary(&session).len(), 1);
    assert!(session.audit_verify().unwrap().is_whole());
}

#[test]
fn a_purge_of_a_transaction_leaves_nothing_to_read_and_counts_on() {
    let (_home, session) = home();
    session.update(patient(), "a", &body("a", "One"), Precondition::None).unwrap();
    session
        .transaction(Action::SyncReceive, None, |transaction| -> Result<()> {
            transaction.purge(patient(), "a")?;
            transaction.purge(patient(), "a")?;
            transaction.purge(patient(), "never")
        })
        .unwrap();
    session
        .view(Action::SyncSend, None, |view| -> Result<()> {
            let current = view.current(patient(), "a")?.unwrap();
            assert_eq!((current.version, &current.content), (2, &None));
            assert_eq!(view.version(patient(), "a", 1)?, None);
            assert_eq!(view.row(current.key)?.1, "a");
            assert_eq!(view.last_sequence()?, 2);
            Ok(())
        })
        .unwrap();
    assert_eq!(session.search("Patient?name=One").unwrap().entries.len(), 0);
    session
        .transaction(Action::SyncReceive, None, |transaction| {
            transaction.put(patient(), "a", &body("a", "Two"), false)
        })
        .unwrap();
    let read = session.read(patient(), "a").unwrap();
    assert_eq!((read.version, diary(&session).last().unwrap().1.contains("Create")), (3, true));
}

#[test]
fn a_store_is_not_opened_without_the_extension_that_it_was_made_with() {
    let (home, session) = home();
    session.update(patient(), "a", &body("a", "One"), Precondition::None).unwrap();
    drop(session);
    let Home { store, .. } = &home;
    store.lock().unwrap();
    let directory = home.directory();
    let (keychain, clock) = (home.keychain.clone(), home.clock.clone());
    let _kept = home.closed();
    let without = Store::open(&directory, options(&keychain, &clock)).unwrap();
    let refused = without.unlock(None).unwrap_err();
    assert_eq!((refused.code(), refused.http_status()), (519, 500));
    drop(without);
    let mut with = options(&keychain, &clock);
    with.extensions = vec![Arc::new(Diary)];
    let store = Store::open(&directory, with).unwrap();
    store.unlock(None).unwrap();
    let session = store.session(actor()).unwrap();
    assert_eq!(diary(&session).len(), 1);
    drop((session, store));

    // Known is enough, and it hears of what is saved.
    let mut knowing = options(&keychain, &clock);
    knowing.known_extensions = vec![Arc::new(Diary)];
    let store = Store::open(&directory, knowing).unwrap();
    store.unlock(None).unwrap();
    let session = store.session(actor()).unwrap();
    session.update(patient(), "a", &body("a", "Two"), Precondition::None).unwrap();
    assert_eq!(diary(&session).len(), 2);
}

#[test]
fn an_extension_that_is_only_known_takes_no_part_in_a_store_made_without_it() {
    let home = Home::with(|options| options.known_extensions = vec![Arc::new(Diary)]);
    let session = home.session();
    session.update(patient(), "a", &body("a", "Refused"), Precondition::None).unwrap();
    let tables = session.view(Action::SyncSend, None, |view| -> Result<i64> {
        let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'diary_entry'";
        Ok(view.connection().query_row(sql, [], |row| row.get(0))?)
    });
    assert_eq!(tables.unwrap(), 0);
}
