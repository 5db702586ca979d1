//! A tenant in a store keeps every rule, and ordinary interactions reach the feed.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use keepwell_backend::conformance::{conformance, same_answers};
use keepwell_backend::{Access, Backend, MemoryBackend, Redeemed};
use keepwell_backend_sqlcipher::store::audit::AuditQuery;
use keepwell_backend_sqlcipher::store::fhir::{Instant, ResourceType};
use keepwell_backend_sqlcipher::store::vault::{MemoryKeychain, Passcode};
use keepwell_backend_sqlcipher::store::{
    Actor, ImportOptions, ImportSource, Precondition, Store, StoreOptions,
};
use keepwell_backend_sqlcipher::{ServerExtension, SqlcipherBackend};
use keepwell_protocol::{
    Blob, BlobToken, Body, Digest, Epoch, Frozen, Grant, Hash, Id, Incarnation, Member, Merge, Mutation,
    Operation, Outcome, Part, Payload, Position, PullItem, PullRequest, PushHead, RequestId, Row, RowState,
    ScopeSet, Sequence, Version,
};
use tempfile::TempDir;

fn id(text: &str) -> Id {
    text.parse().expect("an id")
}

fn options(keychain: &Arc<MemoryKeychain>) -> StoreOptions {
    let mut options = StoreOptions::new("server", "clinic", Some(keychain.clone()));
    options.memory_security = false;
    options
}

fn clinic(directory: &Path) -> SqlcipherBackend {
    let options = options(&Arc::new(MemoryKeychain::new()));
    SqlcipherBackend::create(directory, id("clinic"), Epoch::new(1), options, None).expect("a store")
}

#[test]
fn the_sqlcipher_backend_keeps_every_rule() {
    let home = TempDir::new().expect("a directory");
    let count = AtomicUsize::new(0);
    conformance(|| clinic(&home.path().join(count.fetch_add(1, Ordering::Relaxed).to_string())));
}

#[test]
fn memory_and_sqlcipher_give_the_same_answers() {
    let home = TempDir::new().expect("a directory");
    for seed in 0..4 {
        let stored = clinic(&home.path().join(seed.to_string()));
        same_answers(&MemoryBackend::new(id("clinic"), Epoch::new(1)), &stored, seed, 150);
    }
}

/// All rows of a patient's scope, to a device that is enrolled for it.
fn rows(clinic: &SqlcipherBackend) -> (Vec<Row>, Vec<Digest>) {
    let (device, user, code) = (id("d1"), id("u1"), Hash::of(b"code"));
    let now = Instant::from_ms(0);
    if clinic.devices().expect("devices").is_empty() {
        clinic.keep_invitation(&code, b"open").expect("kept");
        let mut redeem = |_: &[u8]| {
            Ok(Redeemed {
                record: Vec::new(),
                device: id("d1"),
                user: id("u1"),
                name: String::new(),
                key: Hash::of(b"key"),
                serial: String::new(),
                lease_key: None,
            })
        };
        clinic.enrol(&code, &mut redeem, now).expect("enrolled");
        clinic.grant(&user, &"Patient/1".parse().expect("a scope"), Access::Write).expect("granted");
    }
    let grants: Vec<Grant> = clinic
        .grants(&user)
        .expect("grants")
        .into_iter()
        .map(|held| Grant(held.scope, held.generation))
        .collect();
    let request = PullRequest {
        v: 1,
        incarnation: Incarnation::new(1),
        req: RequestId::new(1),
        cursor: None,
        scopes: ScopeSet::of(&grants),
        hydrating: Vec::new(),
        rows: 5_000,
        bytes: 1 << 20,
        wait_ms: 0,
        ack: Sequence::ZERO,
        whole: false,
    };
    let (mut rows, mut digests) = (Vec::new(), Vec::new());
    clinic
        .pull(&device, &request, now, &mut |part| match part {
            Part::Item(PullItem::Row(row)) => rows.push(row),
            Part::End(end) => digests.extend(end.digests.iter().map(|digest| digest.digest())),
            _ => {}
        })
        .expect("a page");
    (rows, digests)
}

fn kind(name: &str) -> ResourceType {
    ResourceType::parse(name).expect("a type of R4")
}

fn flag(text: &str) -> Vec<u8> {
    format!(
        r#"{{"resourceType":"Flag","id":"f","status":"active","code":{{"text":"{text}"}},"subject":{{"reference":"Patient/1"}}}}"#
    )
    .into_bytes()
}

#[test]
fn what_fhir_clients_and_imports_write_reaches_the_feed() {
    let home = TempDir::new().expect("a directory");
    let clinic = clinic(&home.path().join("store"));
    let session =
        clinic.store().session(Actor::new("ada", "portal", "browser").expect("an actor")).expect("a session");
    session.update(kind("Flag"), "f", &flag("one"), Precondition::None).expect("written");
    session.update(kind("Flag"), "f", &flag("two"), Precondition::Match(1)).expect("written");
    let photo = "QUJD".repeat(8_000);
    let large = format!(r#"{{"resourceType":"Patient","id":"1","photo":[{{"data":"{photo}"}}]}}"#);
    session
        .import(ImportSource::reader("lines", large.as_bytes()), &ImportOptions::default(), &mut |_| ())
        .expect("imported");
    let (found, digests) = rows(&clinic);
    let bodies: Vec<&[u8]> = found
        .iter()
        .map(|row| if let RowState::In(body) = &row.state { body.as_bytes() } else { b"" })
        .collect();
    // The photo travels apart.
    let content = b"ABC".repeat(8_000);
    let blob = Blob { sha256: Hash::of(&content), size: content.len() as u64 };
    let apart = large.replace(&format!("\"{photo}\""), &BlobToken { blob, text: false }.to_string());
    assert!(bodies == [&flag("two")[..], apart.as_bytes()]);
    let bytes = clinic.blob(&id("d1"), &blob.sha256, 10, 50_000).expect("the photo");
    assert!(bytes == content[10..]);
    let members: Vec<Member> = found
        .iter()
        .map(|row| {
            let RowState::In(body) = &row.state else { panic!("not in the scope") };
            Member { key: row.key.clone(), version: row.version, hash: body.hash() }
        })
        .collect();
    assert_eq!(digests, [Digest::of(&members)]);
    session.delete(kind("Flag"), "f", Precondition::None).expect("deleted");
    session.elevate(None).expect("elevated").purge(kind("Patient"), "1", "asked for").expect("purged");
    let (found, digests) = rows(&clinic);
    assert!(found.iter().all(|row| row.state == RowState::Deleted) && found.len() == 2);
    assert_eq!(digests, [Digest::default()]);
}

#[test]
fn what_a_device_writes_is_found_by_fhir_clients() {
    let home = TempDir::new().expect("a directory");
    let clinic = clinic(&home.path().join("store"));
    clinic.put(&Body::new(flag("found")).expect("an object"), Instant::from_ms(0)).expect("written");
    let session =
        clinic.store().session(Actor::new("ada", "portal", "browser").expect("an actor")).expect("a session");
    assert_eq!(session.read(kind("Flag"), "f").expect("it is there").version, 1);
    let page = session.search("Flag?patient=Patient/1").expect("a page");
    assert_eq!(page.entries.len(), 1);
}

#[test]
fn how_edits_were_joined_is_found_by_fhir_clients_and_in_the_audit_trail_for_good() {
    let home = TempDir::new().expect("a directory");
    let directory = home.path().join("store");
    let keychain = Arc::new(MemoryKeychain::new());
    let clinic = SqlcipherBackend::create(&directory, id("clinic"), Epoch::new(1), options(&keychain), None);
    let clinic = clinic.expect("a store");
    rows(&clinic);
    clinic.put(&Body::new(flag("one")).expect("an object"), Instant::from_ms(0)).expect("written");
    let body = Body::new(flag("two")).expect("an object");
    let joined = Mutation {
        sequence: Sequence::new(1).expect("a small number"),
        operation: Operation::Update,
        key: body.key().expect("a key"),
        base: Version::new(1).expect("a small number"),
        at: None,
        why: None,
        group: None,
        payload: Payload::Body(body),
        merge: Some(Merge {
            rule: 1,
            from: None,
            theirs: Version::new(1).expect("a small number"),
            mine: Some(Hash::of(b"mine")),
            paths: vec!["Flag.code".to_owned()],
            cids: Vec::new(),
        }),
    };
    let epoch = Some(clinic.horizon().expect("a horizon").epoch);
    let head = PushHead { v: 1, incarnation: Incarnation::new(1), epoch, ack: Sequence::ZERO };
    let joined = Frozen::freeze(joined).expect("a sound mutation");
    let pushed = clinic.push(&id("d1"), &head, &[joined], Instant::from_ms(0)).expect("decided");
    assert!(matches!(pushed.settlements[0].outcome, Outcome::Applied { .. }));
    drop(clinic);

    let clinic =
        SqlcipherBackend::open(&directory, id("clinic"), options(&keychain), None).expect("the store");
    let session =
        clinic.store().session(Actor::new("ada", "portal", "browser").expect("an actor")).expect("a session");
    let queries =
        ["target=Flag/f", "target=Flag/f/_history/2", "agent=Practitioner/u1", "entity=Flag/f/_history/1"];
    for query in queries {
        let page = session.search(&format!("Provenance?{query}")).expect("a page");
        assert_eq!(page.entries.len(), 1, "{query}");
    }
    assert!(session.search("Provenance?target=Flag/f/_history/1").expect("a page").entries.is_empty());
    let page = session.search("Flag?_id=f&_revinclude=Provenance:target").expect("a page");
    let found =
        page.entries.iter().find(|entry| entry.resource_type == kind("Provenance")).expect("it comes along");
    let name = format!("Provenance/{}", found.id);
    let mut trail = Vec::new();
    let elevated = session.elevate(None).expect("no passcode");
    elevated.audit_export(&AuditQuery::default(), &mut trail).expect("exported");
    let trail = String::from_utf8(trail).expect("text");
    let writes = |line: &&str| line.contains(&name) && line.contains("\"C\"");
    let written = trail.lines().find(writes).expect("it is on record");
    assert!(written.contains("\"u1\"") && written.contains("\"d1\""), "{written}");
}

#[test]
fn a_tenant_is_what_it_was_after_a_restart() {
    let home = TempDir::new().expect("a directory");
    let directory = home.path().join("store");
    let keychain = Arc::new(MemoryKeychain::new());
    let clinic = SqlcipherBackend::create(&directory, id("clinic"), Epoch::new(1), options(&keychain), None);
    let clinic = clinic.expect("a store");
    clinic.put(&Body::new(flag("one")).expect("an object"), Instant::from_ms(0)).expect("written");
    let before = (rows(&clinic), clinic.horizon().expect("a horizon"), clinic.devices().expect("devices"));
    drop(clinic);
    let without = Store::open(&directory, options(&keychain)).expect("the directory");
    assert_eq!(without.unlock(None).map_err(|error| error.code()), Err(519));
    drop(without);
    let clinic =
        SqlcipherBackend::open(&directory, id("clinic"), options(&keychain), None).expect("the store");
    let after = (rows(&clinic), clinic.horizon().expect("a horizon"), clinic.devices().expect("devices"));
    assert_eq!(after, before);
    // A store that was locked meanwhile is opened with its keychain.
    clinic.store().lock().expect("locked");
    assert_eq!(clinic.news(Position::ZERO, 0).expect("news").clock.get(), 1);
}

#[test]
fn a_tenant_that_was_restored_or_went_back_is_in_another_epoch() {
    let home = TempDir::new().expect("a directory");
    let keychain = Arc::new(MemoryKeychain::new());
    let options = || options(&keychain);
    let first = home.path().join("first");
    let epoch = |clinic: &SqlcipherBackend| clinic.horizon().expect("it answers").epoch;
    let made =
        SqlcipherBackend::create(&first, id("clinic"), Epoch::new(1), options(), None).expect("a store");
    assert_eq!(epoch(&made), Epoch::new(1));
    let phrase = Passcode::new("the passphrase of the archive".to_owned()).expect("long enough");
    let mut archive = Vec::new();
    let actor = Actor::new("operator", "test", "server").expect("names");
    let session = made.store().session(actor).expect("it is open");
    session.elevate(None).expect("no passcode").archive(&phrase, &mut archive).expect("archived");
    drop(session);
    made.store().lock().expect("closed");
    drop(made);
    let open = |place: &Path| SqlcipherBackend::open(place, id("clinic"), options(), None).expect("it opens");
    assert_eq!(epoch(&open(&first)), Epoch::new(1), "opened again it is the same");

    let second = home.path().join("second");
    let mut known = options();
    known.known_extensions = vec![Arc::new(ServerExtension)];
    let restored = Store::restore(&mut archive.as_slice(), &phrase, &second, known, None).expect("restored");
    restored.lock().expect("closed");
    drop(restored);
    let found = epoch(&open(&second));
    assert_ne!(found, Epoch::new(1));
    assert_eq!(epoch(&open(&second)), found, "and stays in it");
}
