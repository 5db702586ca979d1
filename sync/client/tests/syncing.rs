//! Devices with real stores and one server: what is saved meets again, or a person is asked.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use common::{DAY_MS, World, actor, flag, id, kind, patient};
use keepwell_backend::{Access, Backend, DeviceState};
use keepwell_client::{Cancel, Client, ClientOptions, Error, Resolution, SyncExtension};
use keepwell_protocol::{Base64, Body, Decision, ParkKind, WipeOrder};
use keepwell_store::Store;
use keepwell_store::audit::Action;
use keepwell_store::vault::{MemoryKeychain, Passcode, State};

const BORN: &str = r#","birthDate":"1970-01-01""#;

#[test]
fn what_one_device_saves_the_other_sees() {
    let world = World::new();
    let (one, two) = (world.device("d1", "ann", &["p1"]), world.device("d2", "bob", &["p1"]));
    one.save(&patient("p1", BORN));
    one.save(&flag("f1", "p1", "dog"));
    assert_eq!(one.client.status().unwrap().pending, 2);
    let report = one.sync();
    assert_eq!((report.applied, one.client.status().unwrap().pending), (2, 0));
    two.sync();
    for name in ["Patient/p1", "Flag/f1"] {
        assert_eq!(two.read(name), one.read(name));
        assert_eq!(two.read(name), world.on_server(name));
    }
    one.delete("Flag/f1");
    one.sync();
    two.sync();
    assert_eq!((two.read("Flag/f1"), world.on_server("Flag/f1")), (None, None));
    let status = two.client.status().unwrap();
    assert_eq!((status.device, status.hydrating, status.conflicts), (Some(id("d2")), 0, 0));
}

#[test]
fn nothing_is_asked_twice_and_nothing_new_is_one_request() {
    let world = World::new();
    let device = world.device("d1", "ann", &["p1"]);
    device.save(&patient("p1", BORN));
    device.sync();
    let before = device.sync();
    let after = device.sync();
    assert_eq!((after.requests - before.requests, after.rows - before.rows), (1, 0));
    assert_eq!(after.frozen, 1);
}

#[test]
fn a_digest_that_is_wrong_here_is_counted_anew_and_nothing_is_fetched_for_it() {
    let world = World::new();
    let (one, two) = (world.device("d1", "ann", &["p1"]), world.device("d2", "bob", &["p1"]));
    one.save(&patient("p1", BORN));
    one.sync();
    two.sync();
    // As in a store from before digests were kept.
    let forgotten = two.session().transaction(Action::SyncAccess, None, |transaction| {
        let sql = "UPDATE sync_scope SET count = 0, sums = zeroblob(32) WHERE count = 1";
        Ok::<_, keepwell_store::Error>(transaction.connection().execute(sql, [])?)
    });
    assert_eq!(forgotten.unwrap(), 1);
    for text in ["dog", "cat"] {
        one.save(&flag(text, "p1", text));
        one.sync();
        let before = two.client.report().unwrap();
        let after = two.sync();
        assert_eq!((after.rows - before.rows, after.diverged), (1, 0));
    }
}

#[test]
fn edits_of_different_elements_made_offline_are_merged() {
    let world = World::new();
    let (one, two) = (world.device("d1", "ann", &["p1"]), world.device("d2", "bob", &["p1"]));
    one.save(&patient("p1", BORN));
    one.sync();
    two.sync();
    one.save(&patient("p1", r#","birthDate":"1970-01-01","address":[{"use":"home","city":"Bonn"}]"#));
    two.save(&patient("p1", r#","birthDate":"1970-01-01","language":"de""#));
    one.sync();
    let report = two.sync();
    one.sync();
    assert_eq!((report.merged, report.lost), (1, 0));
    let merged = two.read("Patient/p1").unwrap();
    assert!(merged.contains("Bonn") && merged.contains(r#""language":"de""#));
    assert_eq!(
        (one.read("Patient/p1").as_ref(), world.on_server("Patient/p1").as_ref()),
        (Some(&merged), Some(&merged))
    );
}

/// Two devices that have the flag f1.
fn with_a_flag() -> (World, common::Device, common::Device) {
    let world = World::new();
    let (one, two) = (world.device("d1", "ann", &["p1"]), world.device("d2", "bob", &["p1"]));
    one.save(&patient("p1", BORN));
    one.save(&flag("f1", "p1", "old"));
    one.sync();
    two.sync();
    (world, one, two)
}

/// Two devices that edited one flag apart from each other: the second one's edit lost.
fn in_conflict() -> (World, common::Device, common::Device) {
    let (world, one, two) = with_a_flag();
    one.save(&flag("f1", "p1", "cat"));
    two.save(&flag("f1", "p1", "dog"));
    one.sync();
    two.sync();
    (world, one, two)
}

#[test]
fn a_conflict_is_kept_with_all_three_sides_until_a_person_decides() {
    for resolution in [
        Resolution::KeepTheirs,
        Resolution::TakeMine,
        Resolution::Edited(flag("f1", "p1", "both").into()),
        Resolution::Delete,
    ] {
        let (world, one, two) = in_conflict();
        assert_eq!(two.read("Flag/f1").unwrap(), flag("f1", "p1", "cat"));
        let conflicts = two.client.conflicts().unwrap();
        let [conflict] = &conflicts[..] else { panic!("{} conflicts", conflicts.len()) };
        let text =
            |body: &Option<Body>| String::from_utf8(body.as_ref().unwrap().as_bytes().to_vec()).unwrap();
        assert_eq!(conflict.kind, ParkKind::Conflict);
        assert_eq!(text(&conflict.base), flag("f1", "p1", "old"));
        assert_eq!(text(&conflict.mine), flag("f1", "p1", "dog"));
        assert_eq!(text(&conflict.theirs), flag("f1", "p1", "cat"));
        assert!(conflict.is_archived, "the server has it too");
        assert_eq!(world.backend.archived(0).unwrap().len(), 1);

        two.client.resolve(conflict, &resolution).unwrap();
        assert!(matches!(two.client.resolve(conflict, &resolution), Err(Error::NoConflict)));
        two.sync();
        one.sync();
        let expected = match resolution {
            Resolution::KeepTheirs => Some("cat"),
            Resolution::TakeMine => Some("dog"),
            Resolution::Edited(_) => Some("both"),
            Resolution::Delete => None,
        };
        let expected = expected.map(|text| flag("f1", "p1", text));
        for seen in [one.read("Flag/f1"), two.read("Flag/f1"), world.on_server("Flag/f1")] {
            assert_eq!(seen, expected);
        }
        assert_eq!(two.client.status().unwrap().conflicts, 0);
        // The server knows who decided, and what; the edit that lost stays in its archive.
        let archived = world.backend.archived(0).unwrap().remove(0);
        let closed = archived.closed.unwrap();
        let decision = match resolution {
            Resolution::KeepTheirs => Decision::Theirs,
            Resolution::TakeMine => Decision::Mine,
            Resolution::Edited(_) => Decision::Edited,
            Resolution::Delete => Decision::Deleted,
        };
        assert_eq!((closed.decision, closed.by, closed.at), (decision, id("bob"), world.now()));
        assert_eq!(
            (archived.mine.as_ref(), archived.cid.as_str()),
            (conflict.mine.as_ref(), conflict.id.as_str())
        );
        // Whoever made a version by deciding is written down with it.
        let resources = world.backend.resources();
        let told: Vec<_> = resources.iter().filter(|(key, ..)| key.kind == kind("Provenance")).collect();
        assert_eq!(told.len(), usize::from(!matches!(resolution, Resolution::KeepTheirs)));
        for (_, _, versions) in told {
            let told = std::str::from_utf8(versions[0].as_ref().unwrap().as_bytes()).unwrap();
            let conflict = format!("\"d2/{}\"", conflict.id);
            for part in ["\"Flag/f1/_history/3\"", "\"Practitioner/bob\"", "\"conflict-decided\"", &conflict]
            {
                assert!(told.contains(part), "{part} is not in {told}");
            }
        }
    }
}

#[test]
fn a_conflict_whose_edit_is_in_a_later_version_asks_nobody() {
    let (world, one, two) = with_a_flag();
    let three = world.device("d3", "eve", &["p1"]);
    three.sync();
    one.save(&flag("f1", "p1", "cat"));
    for (device, text) in [(&two, "dog"), (&three, "dog")] {
        device.save(&flag("f1", "p1", text));
    }
    for device in [&one, &two, &three] {
        device.sync();
    }
    // Both lost with the same edit, and one of the two persons takes it back.
    let conflict = two.client.conflicts().unwrap().remove(0);
    assert_eq!(three.client.status().unwrap().conflicts, 1);
    two.client.resolve(&conflict, &Resolution::TakeMine).unwrap();
    two.sync();
    three.sync();
    assert_eq!(three.client.status().unwrap().conflicts, 0, "nothing is left to decide");
    three.sync();
    let closed =
        |record: keepwell_backend::Archived| record.closed.map(|closed| (closed.decision, closed.by));
    let closed: Vec<_> = world.backend.archived(0).unwrap().into_iter().map(closed).collect();
    assert_eq!(closed, [Some((Decision::Mine, id("bob"))), Some((Decision::Included, id("eve")))]);
}

#[test]
fn a_conflict_in_which_the_other_edit_lost_waits_for_a_person_whatever_follows() {
    let (_world, one, two) = with_a_flag();
    let mistaken = flag("f1", "p1", "old").replace("active", "entered-in-error");
    one.save(&flag("f1", "p1", "cat"));
    two.save(&mistaken);
    one.sync();
    two.sync();
    one.sync();
    assert_eq!(one.read("Flag/f1").as_ref(), Some(&mistaken), "an error is shown as one");
    let tagged = mistaken.replacen('{', r#"{"meta":{"tag":[{"system":"urn:t","code":"seen"}]},"#, 1);
    one.save(&tagged);
    one.sync();
    two.sync();
    assert_eq!(two.read("Flag/f1").as_ref(), Some(&tagged));
    assert_eq!(two.client.status().unwrap().conflicts, 1);
}

#[test]
fn an_edit_that_the_server_parked_is_closed_where_the_server_has_put_it() {
    let (world, _, two) = with_a_flag();
    two.save(&flag("f1", "p1", "dog"));
    world.revoke("bob", "p1");
    two.sync();
    let conflict = two.client.conflicts().unwrap().remove(0);
    assert_eq!((conflict.kind, world.backend.archived(0).unwrap().len()), (ParkKind::Parked, 1));
    two.client.resolve(&conflict, &Resolution::KeepTheirs).unwrap();
    two.sync();
    let archived = world.backend.archived(0).unwrap();
    let closed = archived[0].closed.as_ref().map(|closed| closed.decision);
    assert_eq!((archived.len(), closed), (1, Some(Decision::Theirs)));
    assert!(archived[0].mine.is_some(), "the edit stays");
}

#[test]
fn a_parked_edit_says_why_and_what_to_do() {
    // Nothing of what access was lost to stays here, so there is nothing to take: not even when access is given again.
    let (world, one, two) = with_a_flag();
    two.save(&flag("f1", "p1", "dog"));
    world.revoke("bob", "p1");
    two.sync();
    let conflict = two.client.conflicts().unwrap().remove(0);
    assert_eq!((&conflict.reasons[..], conflict.is_blank()), (&["no-grant".to_owned()][..], true));
    assert!(conflict.advice().contains("archive"), "{}", conflict.advice());
    world.grant("bob", "p1");
    two.sync();
    let conflict = two.client.conflicts().unwrap().remove(0);
    assert!(matches!(two.client.resolve(&conflict, &Resolution::TakeMine), Err(Error::EditNotHere)));
    assert_eq!(two.read("Flag/f1").unwrap(), flag("f1", "p1", "old"), "it was no delete");

    // What may be read stays, and is taken as soon as it may be written.
    one.save(&flag("f1", "p1", "older"));
    let scope = "Patient/p1".parse().unwrap();
    world.backend.grant(&id("ann"), &scope, Access::Read).unwrap();
    one.sync();
    let conflict = one.client.conflicts().unwrap().remove(0);
    assert_eq!((&conflict.reasons[..], conflict.is_blank()), (&["read-only".to_owned()][..], false));
    assert!(conflict.advice().contains("right to write"), "{}", conflict.advice());
    world.grant("ann", "p1");
    one.client.resolve(&conflict, &Resolution::TakeMine).unwrap();
    one.sync();
    assert_eq!(world.on_server("Flag/f1").unwrap(), flag("f1", "p1", "older"));
}

#[test]
fn a_conflict_is_not_decided_on_what_has_moved_on() {
    let (world, one, two) = in_conflict();
    let seen = two.client.conflicts().unwrap().remove(0);
    one.save(&flag("f1", "p1", "horse"));
    one.sync();
    two.sync();
    assert!(matches!(two.client.resolve(&seen, &Resolution::TakeMine), Err(Error::ConflictMoved)));
    let seen = two.client.conflicts().unwrap().remove(0);
    two.client.resolve(&seen, &Resolution::TakeMine).unwrap();
    two.sync();
    assert_eq!(world.on_server("Flag/f1").unwrap(), flag("f1", "p1", "dog"));
}

#[test]
fn a_transaction_is_applied_as_a_whole() {
    let (world, one, two) = with_a_flag();
    one.save(&flag("f1", "p1", "cat"));
    one.sync();
    // A transaction of which one part meets another edit: neither part reaches the server.
    let entry = |name: &str, body: &str| {
        format!(r#"{{"resource":{body},"request":{{"method":"PUT","url":"Flag/{name}"}}}}"#)
    };
    let bundle = format!(
        r#"{{"resourceType":"Bundle","type":"transaction","entry":[{},{}]}}"#,
        entry("f1", &flag("f1", "p1", "dog")),
        entry("f2", &flag("f2", "p1", "new"))
    );
    two.session().bundle(bundle.as_bytes()).unwrap();
    let report = two.sync();
    assert_eq!(report.conflicted, 2, "all or none");
    assert_eq!(two.client.conflicts().unwrap().len(), 1);
    // The part that met nothing goes on its own then.
    assert_eq!(world.on_server("Flag/f2").unwrap(), flag("f2", "p1", "new"));
    assert_eq!(world.on_server("Flag/f1").unwrap(), flag("f1", "p1", "cat"));
}

#[test]
fn many_edits_go_in_several_pushes() {
    let world = World::new();
    let (one, two) = (world.device("d1", "ann", &["p1"]), world.device("d2", "bob", &["p1"]));
    one.save(&patient("p1", BORN));
    let lines: Vec<String> = (0..450).map(|number| flag(&format!("f{number}"), "p1", "x")).collect();
    let lines = lines.join("\n");
    let source = keepwell_store::ImportSource::reader("lines", lines.as_bytes());
    one.session().import(source, &Default::default(), &mut |_| ()).unwrap();
    assert_eq!(one.sync().applied, 451);
    assert_eq!(two.sync().stored, 451);
    assert_eq!(two.read("Flag/f449").unwrap(), flag("f449", "p1", "x"));
}

#[test]
fn what_was_there_before_the_enrolment_is_sent_and_local_types_are_not() {
    let world = World::new();
    let device = world.stranger("d1");
    device.save(&patient("p1", BORN));
    device.save(&flag("f1", "p1", "before"));
    device.save(&flag("f2", "p1", "gone"));
    device.delete("Flag/f2");
    device.client.set_local_types(&[kind("Basic")]).unwrap();
    world.grant("ann", "p1");
    world.enrol(&device, "ann");
    device.save(
        r#"{"resourceType":"Basic","id":"b1","code":{"text":"mine"},"subject":{"reference":"Patient/p1"}}"#,
    );
    device.sync();
    assert!(world.on_server("Patient/p1").is_some() && world.on_server("Flag/f1").is_some());
    assert_eq!((world.on_server("Flag/f2"), world.on_server("Basic/b1")), (None, None));
    assert!(device.read("Basic/b1").is_some());
    assert_eq!(device.client.status().unwrap().local_types, [kind("Basic")]);
    assert!(matches!(device.client.public_key(), Err(Error::AlreadyEnrolled)));
}

#[test]
fn what_is_in_no_scope_stays_on_the_device_until_an_edit_gives_it_one() {
    let world = World::new();
    let (one, two) = (world.device("d1", "ann", &["p1"]), world.device("d2", "bob", &["p1"]));
    let list = |subject: &str, title: &str| {
        format!(
            r#"{{"resourceType":"List","id":"l1","status":"current","mode":"working","title":"{title}"{subject}}}"#
        )
    };
    one.save(&patient("p1", BORN));
    one.save(&list("", "mine"));
    let report = one.sync();
    assert_eq!((report.applied, report.kept, report.parked, report.purged), (1, 1, 0, 0));
    assert_eq!(one.read("List/l1").unwrap(), list("", "mine"));
    assert_eq!((one.client.conflicts().unwrap().len(), one.client.status().unwrap().pending), (0, 0));
    assert_eq!(world.on_server("List/l1"), None);
    // It is not asked about again, and an edit that changes nothing about it stays here, too.
    assert_eq!(one.sync().kept, 1);
    one.save(&list("", "again"));
    assert_eq!(one.sync().kept, 2);
    assert_eq!(one.read("List/l1").unwrap(), list("", "again"));
    // The edit that gives it a patient makes it on the server.
    let subject = r#","subject":{"reference":"Patient/p1"}"#;
    one.save(&list(subject, "shared"));
    assert_eq!(one.sync().applied, 2);
    two.sync();
    assert_eq!(two.read("List/l1").unwrap(), list(subject, "shared"));
}

#[test]
fn what_was_kept_gives_way_to_another_resource_of_its_id_and_is_not_lost() {
    let world = World::new();
    let (one, two) = (world.device("d1", "ann", &["p1"]), world.device("d2", "bob", &["p1"]));
    let list = r#"{"resourceType":"List","id":"same","status":"current","mode":"working","title":"mine"}"#;
    let theirs = r#"{"resourceType":"List","id":"same","status":"current","mode":"working","subject":{"reference":"Patient/p1"}}"#;
    one.save(list);
    assert_eq!(one.sync().kept, 1);
    two.save(&patient("p1", BORN));
    two.save(theirs);
    two.sync();
    one.sync();
    assert_eq!(one.read("List/same").unwrap(), theirs);
    let conflicts = one.client.conflicts().unwrap();
    assert_eq!(conflicts.len(), 1);
    assert_eq!(conflicts[0].mine.as_ref().unwrap().as_bytes(), list.as_bytes());
    one.client.resolve(&conflicts[0], &Resolution::TakeMine).unwrap();
    let report = one.sync();
    assert_eq!((report.parked, report.kept), (1, 1), "an edit of what the server has needs a scope");
}

#[test]
fn a_lost_scope_leaves_no_word_on_the_device() {
    let world = World::new();
    let (one, two) = (world.device("d1", "ann", &["p1"]), world.device("d2", "bob", &["p1"]));
    one.save(&patient("p1", r#","name":[{"family":"Plantedname"}]"#));
    one.save(&flag("f1", "p1", "plantedword"));
    one.sync();
    two.sync();
    two.save(&flag("f1", "p1", "plantedword unsent"));
    world.revoke("bob", "p1");
    two.sync();
    // What had not been sent is in the server's archive.
    assert_eq!(world.backend.archived(0).unwrap().len(), 1);
    two.sync();
    for name in ["Patient/p1", "Flag/f1"] {
        assert_eq!(two.read(name), None);
    }
    let session = two.session();
    assert_eq!(session.search("Patient?name=Plantedname").unwrap().entries.len(), 0);
    assert!(session.vread(kind("Flag"), "f1", 1).is_err());
    assert_eq!(words_in_tables(&two, "lanted"), Vec::<String>::new());
    assert!(
        words_in_tables(&one, "d1").contains(&"sync_setting".to_owned()),
        "the search finds what is there"
    );
}

/// Tables with a text or blob that has this word, uncompressed.
fn words_in_tables(device: &common::Device, word: &str) -> Vec<String> {
    device
        .session()
        .view(Action::Search, None, |view| -> keepwell_store::Result<_> {
            let connection = view.connection();
            let mut names = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
            let names: Vec<String> = names.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            let mut found = Vec::new();
            for name in names {
                let mut statement = connection.prepare(&format!("SELECT * FROM {name}"))?;
                let columns = statement.column_count();
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    let has_word = (0..columns).any(|place| {
                        let bytes = row.get_ref(place).unwrap().as_bytes().unwrap_or_default();
                        bytes.windows(word.len()).any(|part| part == word.as_bytes())
                    });
                    if has_word {
                        found.push(name.clone());
                        break;
                    }
                }
            }
            Ok(found)
        })
        .unwrap()
}

#[test]
fn a_genuine_order_wipes_and_a_forged_one_does_not() {
    let world = World::new();
    let device = world.device("d1", "ann", &["p1"]);
    device.save(&patient("p1", BORN));
    device.sync();
    let mut order = WipeOrder {
        id: id("w1"),
        tenant: id("clinic"),
        device: id("d1"),
        at: world.now(),
        sig: Base64(vec![0; 64]),
    };
    world.backend.set_device_state(&id("d1"), &DeviceState::Wipe(order.clone())).unwrap();
    let forged = device.client.sync(&Cancel::default(), &mut |_| ());
    assert!(matches!(forged, Err(Error::Message(keepwell_protocol::Error::Signature))));
    assert!(device.read("Patient/p1").is_some());

    order.sig = Base64(world.wipe.sign(&order.signed_bytes()).as_ref().to_vec());
    world.backend.set_device_state(&id("d1"), &DeviceState::Wipe(order)).unwrap();
    let wiped = device.client.sync(&Cancel::default(), &mut |_| ());
    assert!(matches!(wiped, Err(Error::Wiped)));
    assert!(!device.place().join("store.db").exists() && !device.place().join("store.keys").exists());
    assert!(matches!(world.backend.devices().unwrap()[0].state, DeviceState::Wiped(_)), "the receipt came");
}

#[test]
fn a_device_that_was_locked_out_locks() {
    let world = World::new();
    let device = world.device("d1", "ann", &["p1"]);
    device.sync();
    world.backend.set_device_state(&id("d1"), &DeviceState::Revoked).unwrap();
    let refused = device.client.sync(&Cancel::default(), &mut |_| ());
    assert!(matches!(refused, Err(Error::LeaseOver)));
    assert_eq!(device.store.state(), State::Locked);
}

#[test]
fn a_lease_that_is_over_locks_until_the_server_was_met() {
    let world = World::new();
    let device = world.device("d1", "ann", &["p1"]);
    device.save(&patient("p1", BORN));
    device.sync();
    let lease = device.client.status().unwrap().lease.unwrap();
    assert_eq!(lease.until.ms() - lease.issued.ms(), 14 * DAY_MS);
    for _ in 0..15 {
        world.clock.sleep(std::time::Duration::from_millis(DAY_MS.unsigned_abs()));
    }
    // The idle time of the store is over too.
    device.store.lock().unwrap();
    device.store.unlock(None).unwrap();
    let client = world.client(&device.store, &device.sync);
    client.set_transport(Box::new(Unreachable));
    assert!(matches!(client.sync(&Cancel::default(), &mut |_| ()), Err(Error::LeaseOver)));
    assert_eq!(device.store.state(), State::Locked);

    device.store.unlock(None).unwrap();
    let client = world.client(&device.store, &device.sync);
    client.set_transport(world.transport(&device.id, Vec::new()));
    assert_eq!(client.sync(&Cancel::default(), &mut |_| ()).unwrap().last_problem, None);
    assert!(client.status().unwrap().lease.unwrap().until > lease.until);
}

/// A network that is down.
struct Unreachable;

impl keepwell_client::Transport for Unreachable {
    fn exchange(&mut self, _: &keepwell_engine::Request, _: &[u8], _: &Cancel) -> keepwell_client::Exchange {
        keepwell_client::Exchange::failed(468)
    }

    fn wait(
        &mut self,
        _: Option<std::time::Duration>,
        _: &keepwell_client::Signal,
    ) -> Option<keepwell_protocol::Hint> {
        None
    }

    fn send_receipt(&mut self, _: &keepwell_protocol::WipeReceipt) -> keepwell_client::Result<()> {
        Err(Error::NotEnrolled)
    }
}

#[test]
fn a_restored_archive_begins_another_life_and_loses_nothing() {
    let world = World::new();
    let (one, two) = (world.device("d1", "ann", &["p1"]), world.device("d2", "bob", &["p1"]));
    one.save(&patient("p1", BORN));
    one.sync();
    one.save(&flag("f1", "p1", "archived"));
    let passphrase = Passcode::new("correct horse battery".to_owned()).unwrap();
    let mut archive = Vec::new();
    one.session().elevate(None).unwrap().archive(&passphrase, &mut archive).unwrap();
    one.save(&flag("f1", "p1", "later"));
    one.save(&flag("f2", "p1", "later"));
    one.sync();

    let directory = tempfile::TempDir::new().unwrap();
    let (sync, keychain) = (SyncExtension::new(), Arc::new(MemoryKeychain::new()));
    let options = world.options(&sync, &keychain);
    let store =
        Store::restore(&mut &archive[..], &passphrase, &directory.path().join("store"), options, None)
            .unwrap();
    let mut options = ClientOptions::new(actor());
    options.clock = world.clock.clone();
    let client = Client::new(store, sync, options);
    client.set_transport(world.transport(&one.id, Vec::new()));
    let report = client.sync(&Cancel::default(), &mut |_| ()).unwrap();
    assert_eq!((report.incarnations, report.last_problem), (1, None));
    // The edit that the archive held met its own later self: a person is asked, and nothing is lost.
    assert_eq!(world.on_server("Flag/f1").unwrap(), flag("f1", "p1", "later"));
    let conflicts = client.conflicts().unwrap();
    assert_eq!(conflicts.len(), 1);
    two.sync();
    assert_eq!(two.read("Flag/f2").unwrap(), flag("f2", "p1", "later"));
    assert_eq!(client.sync(&Cancel::default(), &mut |_| ()).unwrap().incarnations, 1);
}

#[test]
fn large_attachments_travel_with_their_resources() {
    let world = World::new();
    let (one, two) = (world.device("d1", "ann", &["p1"]), world.device("d2", "bob", &["p1"]));
    one.save(&patient("p1", BORN));
    let document = |data: &str| {
        format!(
            r#"{{"resourceType":"DocumentReference","id":"x1","status":"current","subject":{{"reference":"Patient/p1"}},"content":[{{"attachment":{{"contentType":"text/plain","data":"{data}"}}}}]}}"#
        )
    };
    one.save(&document(&"QUJD".repeat(20_000)));
    assert_eq!(one.sync().uploads, 1);
    assert_eq!(two.sync().downloads, 1);
    assert_eq!(two.seen("DocumentReference/x1"), one.seen("DocumentReference/x1"));
    assert!(two.seen("DocumentReference/x1").contains(&"QUJD".repeat(20_000)));
    two.save(&document(&"REVG".repeat(20_000)));
    two.sync();
    one.sync();
    assert!(one.seen("DocumentReference/x1").contains(&"REVG".repeat(20_000)));
}

#[test]
fn a_cancelled_round_goes_on_where_it_was() {
    let world = World::new();
    let device = world.device("d1", "ann", &["p1"]);
    device.save(&patient("p1", BORN));
    let cancel = Cancel::default();
    cancel.cancel();
    assert!(matches!(device.client.sync(&cancel, &mut |_| ()), Err(Error::Cancelled)));
    assert_eq!((device.client.status().unwrap().pending, world.on_server("Patient/p1")), (1, None));
    assert_eq!(device.sync().applied, 1);
    assert_eq!(world.on_server("Patient/p1"), device.read("Patient/p1"));
}

#[test]
fn sync_in_the_background_does_not_put_off_the_idle_lock() {
    let world = World::new();
    let device = world.device("d1", "ann", &["p1"]);
    let background = device.client.start().unwrap();
    for minute in 1..=4 {
        world.clock.sleep(std::time::Duration::from_secs(60));
        let body = flag("f1", "p1", &minute.to_string());
        world.backend.put(&Body::new(body).unwrap(), world.now()).unwrap();
        background.sync_now();
        wait_for(|| background.report().stored == minute);
    }
    world.clock.sleep(std::time::Duration::from_secs(61));
    background.sync_now();
    wait_for(|| background.is_over());
    assert_eq!(device.store.state(), State::Locked);
    assert!(matches!(background.stop(), Err(Error::Store(_))));
}

#[test]
fn the_background_sends_what_is_saved_and_pauses_when_told() {
    let world = World::new();
    let device = world.device("d1", "ann", &["p1"]);
    let background = device.client.start().unwrap();
    device.save(&patient("p1", BORN));
    wait_for(|| background.report().applied == 1);
    assert!(world.on_server("Patient/p1").is_some());
    background.set_policy(keepwell_client::Policy { is_paused: true, ..Default::default() });
    std::thread::sleep(std::time::Duration::from_millis(50));
    device.save(&flag("f1", "p1", "paused"));
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(world.on_server("Flag/f1"), None);
    background.set_policy(keepwell_client::Policy::default());
    wait_for(|| background.report().applied == 2);
    assert!(world.on_server("Flag/f1").is_some());
    background.stop().unwrap();
}

fn wait_for(mut condition: impl FnMut() -> bool) {
    for _ in 0..500 {
        if condition() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("it did not happen within five seconds");
}
