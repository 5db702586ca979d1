//! Devices, blobs, the archive, and what is new.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use keepwell_protocol::limits::CHUNK_BYTES_MIN;
use keepwell_protocol::{
    Base64, Decision, Hash, NewUpload, ParkHead, ParkKind, ParkRecord, Refusal, WipeOrder, WipeReceipt,
};

use super::cases;
use super::kit::*;
use crate::access::Access;
use crate::archive::Closed;
use crate::backend::Backend;
use crate::device::{DeviceState, LeasePolicy};

cases![
    an_invitation_enrols_a_device_and_welcomes_its_user,
    a_repeated_enrolment_is_the_same_device,
    a_refused_invitation_changes_nothing,
    a_device_that_was_locked_out_is_refused_everything,
    a_device_that_is_to_be_wiped_is_told_so_until_it_says_so,
    a_lease_is_counted_from_now,
    records_of_a_park_are_kept_once,
    news_names_the_scopes_of_what_happened,
    news_names_the_users_whose_grants_changed,
    observers_hear_of_commits,
    a_blob_comes_in_chunks_and_goes_to_readers,
    an_upload_goes_on_where_it_ended,
    a_blob_with_another_hash_is_dropped,
    a_blob_is_not_betrayed_by_its_hash,
    what_is_not_written_needs_no_blob,
    a_large_attachment_travels_apart_or_not_at_all,
    what_the_archive_refers_to_stays,
    forgotten_uploads_go,
];

fn an_invitation_enrols_a_device_and_welcomes_its_user(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &[]);
    let held: Vec<String> = backend
        .grants(&tablet.user)
        .expect("grants")
        .into_iter()
        .map(|held| format!("{} {:?}", held.scope, held.access))
        .collect();
    assert_eq!(held, ["dir/main Read", "lib/main Read", "user/u1 Write"]);
    let known = backend.admit(&tablet.device).expect("admitted");
    assert_eq!((known.user, known.state, known.enrolled), (id("u1"), DeviceState::Active, NOON));
    assert_eq!(backend.devices().expect("devices").len(), 1);
    assert_eq!(backend.invitations().expect("invitations"), [(Hash::of(b"d1"), b"used".to_vec())]);
    backend.revoke(&tablet.user, &scope("dir/main")).expect("revoked");
    super::kit::tablet(backend, "d2", "u1", &[]);
    assert_eq!(backend.grants(&tablet.user).expect("grants").len(), 2);
}

fn a_repeated_enrolment_is_the_same_device(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &[]);
    let code = Hash::of(b"d1");
    let again = backend.enrol(
        &code,
        &mut |record| {
            assert_eq!(record, b"used");
            Ok(crate::Redeemed { serial: "02".to_owned(), ..redeemed("d1", "u1", "d1") })
        },
        later(5),
    );
    let again = again.expect("enrolled").device;
    assert_eq!((again.id, again.enrolled, again.serial), (tablet.device, NOON, "02".to_owned()));
    for other in [redeemed("d1", "u1", "another key"), redeemed("d1", "u2", "d1")] {
        assert_eq!(refusal(backend.enrol(&code, &mut |_| Ok(other.clone()), NOON)), Refusal::Invitation);
    }
}

fn a_refused_invitation_changes_nothing(backend: &dyn Backend) {
    let code = Hash::of(b"code");
    let unknown = backend.enrol(&code, &mut |_| panic!("there is no record"), NOON);
    assert_eq!(refusal(unknown), Refusal::Invitation);
    backend.keep_invitation(&code, b"open").expect("kept");
    let expired = backend.enrol(&code, &mut |_| Err(Refusal::Invitation.into()), NOON);
    assert_eq!(refusal(expired), Refusal::Invitation);
    assert_eq!(backend.devices().expect("devices"), []);
    assert_eq!(backend.invitations().expect("invitations"), [(code, b"open".to_vec())]);
}

/// What each call of a device is answered with.
fn answers(tablet: &mut Tablet<'_>) -> Vec<Refusal> {
    let (backend, device) = (tablet.backend, tablet.device.clone());
    let create = tablet.create(&flag("a", "1", "one"));
    let park = ParkHead { v: 1, incarnation: tablet.incarnation };
    let upload = NewUpload { v: 1, sha256: Hash::of(b"x"), size: 1 };
    vec![
        refusal(backend.admit(&device)),
        refusal(tablet.try_push(0, &[create])),
        refusal(tablet.try_pull(&tablet.request(0))),
        refusal(backend.park(&device, &park, &[], NOON)),
        refusal(backend.blob_size(&device, &Hash::of(b"x"))),
        refusal(backend.blob(&device, &Hash::of(b"x"), 0, 1)),
        refusal(backend.begin_upload(&device, &upload, NOON)),
        refusal(backend.append(&device, &id("up"), 0, b"x", NOON)),
        refusal(backend.lease(&device, &LeasePolicy { renew_ms: 1, valid_ms: 2 }, NOON)),
    ]
}

fn a_device_that_was_locked_out_is_refused_everything(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    backend.set_device_state(&tablet.device, &DeviceState::Revoked).expect("revoked");
    assert!(answers(&mut tablet).iter().all(|answer| *answer == Refusal::Revoked));
    backend.set_device_state(&tablet.device, &DeviceState::Active).expect("let in again");
    tablet.next = 1;
    let create = tablet.create(&flag("a", "1", "one"));
    assert_eq!(brief(&tablet.push_one(create)), "applied 1");
    tablet.device = id("nobody");
    assert!(answers(&mut tablet).iter().all(|answer| *answer == Refusal::UnknownDevice));
    assert_eq!(refusal(backend.set_device_state(&tablet.device, &DeviceState::Revoked)), Refusal::NotFound);
}

fn a_device_that_is_to_be_wiped_is_told_so_until_it_says_so(backend: &dyn Backend) {
    let mut tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let order = |device: &str, tenant: &str| WipeOrder {
        id: id("w1"),
        tenant: id(tenant),
        device: id(device),
        at: NOON,
        sig: Base64(vec![1]),
    };
    for other in [order("d2", "clinic"), order("d1", "ward")] {
        let misdirected = backend.set_device_state(&tablet.device, &DeviceState::Wipe(other));
        assert_eq!(refusal(misdirected), Refusal::BadRequest);
    }
    let order = order("d1", "clinic");
    backend.set_device_state(&tablet.device, &DeviceState::Wipe(order.clone())).expect("ordered");
    assert!(answers(&mut tablet).iter().all(|answer| *answer == Refusal::Wipe(order.clone())));
    let WipeOrder { id, tenant, device, at, sig } = order;
    let forged = WipeReceipt { id, tenant, device, at, sig };
    assert_eq!(refusal(backend.wiped(&tablet.device, &forged, b"no key")), Refusal::Forbidden);
    assert!(matches!(refusal(backend.admit(&tablet.device)), Refusal::Wipe(_)));
}

fn a_lease_is_counted_from_now(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &[]);
    let policy = LeasePolicy { renew_ms: 10, valid_ms: 100 };
    let lease = backend.lease(&tablet.device, &policy, NOON).expect("a lease");
    assert_eq!((lease.issued, lease.renew, lease.until, lease.key), (NOON, later(10), later(100), None));
    let odd = LeasePolicy { renew_ms: 100, valid_ms: -1 };
    let lease = backend.lease(&tablet.device, &odd, NOON).expect("a lease");
    assert_eq!((lease.renew, lease.until), (NOON, NOON));
}

fn records_of_a_park_are_kept_once(backend: &dyn Backend) {
    let (one, two) = (tablet(backend, "d1", "u1", &[]), tablet(backend, "d2", "u1", &[]));
    let record = ParkRecord {
        cid: id("c1"),
        kind: ParkKind::ScopeLost,
        key: key("Flag/a"),
        base: version(3),
        theirs: Some(version(4)),
        at: Some(NOON),
        paths: vec!["Flag.code".to_owned()],
        mine: Some(flag("a", "1", "mine")),
        done: None,
    };
    let bare =
        ParkRecord { cid: id("c2"), theirs: None, at: None, mine: None, paths: vec![], ..record.clone() };
    let head = ParkHead { v: 1, incarnation: one.incarnation };
    for _ in 0..2 {
        let reply = backend.park(&one.device, &head, &[record.clone(), bare.clone()], NOON).expect("parked");
        assert_eq!(reply.stored, [id("c1"), id("c2")]);
    }
    backend.park(&two.device, &head, std::slice::from_ref(&record), NOON).expect("parked");
    let archived = backend.archived(0).expect("the archive");
    assert_eq!(archived.len(), 3);
    assert_eq!(archived[0].mine, record.mine);
    assert_eq!(
        (archived[0].theirs, &archived[0].paths, archived[0].at),
        (Some(version(4)), &record.paths, Some(NOON))
    );
    assert_eq!((archived[1].mine.clone(), archived[1].theirs, archived[1].at), (None, None, None));
    assert!(archived.is_sorted_by_key(|record| record.number));
    assert!(archived.iter().all(|record| record.closed.is_none()));

    // The decision comes with the record again, counts for that device's alone, and is made once.
    for (decision, at) in [(Decision::Mine, later(1)), (Decision::Theirs, later(2))] {
        let done = ParkRecord { done: Some(decision), mine: None, ..record.clone() };
        backend.park(&one.device, &head, &[done], at).expect("parked");
    }
    let archived = backend.archived(0).expect("the archive");
    assert_eq!((archived.len(), &archived[0].mine), (3, &record.mine));
    let closed = Closed { decision: Decision::Mine, by: id("u1"), at: later(1) };
    assert_eq!(archived[0].closed, Some(closed));
    assert!(archived[1..].iter().all(|record| record.closed.is_none()));
    // Of one that was decided before the server heard of it, too.
    let done = ParkRecord { cid: id("c3"), done: Some(Decision::Included), ..record.clone() };
    backend.park(&two.device, &head, &[done], NOON).expect("parked");
    let archived = backend.archived(3).expect("the archive");
    assert_eq!(archived[0].closed.as_ref().map(|closed| closed.decision), Some(Decision::Included));
}

fn news_names_the_scopes_of_what_happened(backend: &dyn Backend) {
    let nothing = backend.news(position(0), 0).expect("news");
    assert_eq!((nothing.clock, nothing.scopes), (position(0), Some(vec![])));
    backend.put(&flag("a", "1", "one"), NOON).expect("written");
    backend.put(&flag("b", "2", "one"), NOON).expect("written");
    let all = backend.news(position(0), 0).expect("news");
    assert_eq!((all.clock, all.scopes), (position(2), Some(vec![scope("Patient/1"), scope("Patient/2")])));
    assert_eq!(backend.news(position(1), 0).expect("news").scopes, Some(vec![scope("Patient/2")]));
    assert_eq!(backend.news(position(9), 0).expect("news").scopes, Some(vec![]));
}

fn news_names_the_users_whose_grants_changed(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let before = backend.news(position(0), 0).expect("news");
    assert_eq!(before.users, std::slice::from_ref(&tablet.user));
    backend.put(&flag("a", "1", "one"), NOON).expect("written");
    assert_eq!(backend.news(position(0), before.grants).expect("news").users, []);
    backend.grant(&id("u3"), &scope("Patient/1"), Access::Read).expect("granted");
    backend.grant(&id("u2"), &scope("Patient/1"), Access::Read).expect("granted");
    backend.revoke(&tablet.user, &scope("Patient/1")).expect("revoked");
    let after = backend.news(position(1), before.grants).expect("news");
    assert_eq!((after.clock, after.scopes), (position(1), Some(vec![])), "a grant moves no clock");
    assert_eq!(after.users, [tablet.user, id("u2"), id("u3")]);
    assert_eq!(backend.news(position(1), after.grants - 1).expect("news").users.len(), 1);
    assert_eq!(backend.news(position(1), u64::MAX).expect("news").grants, after.grants);
}

fn observers_hear_of_commits(backend: &dyn Backend) {
    let heard = Arc::new(AtomicU32::new(0));
    let counter = heard.clone();
    backend.observe(Arc::new(move || {
        counter.fetch_add(1, Ordering::Relaxed);
    }));
    backend.put(&flag("a", "1", "one"), NOON).expect("written");
    let after = heard.load(Ordering::Relaxed);
    assert!(after > 0);
    backend.grant(&id("u1"), &scope("Patient/1"), Access::Read).expect("granted");
    assert!(heard.load(Ordering::Relaxed) > after);
}

/// A patient with a photo that is a blob.
fn with_photo(name: &str, text: &[u8]) -> keepwell_protocol::Body {
    let (hash, size) = (Hash::of(text), text.len());
    body(&format!(
        r#"{{"resourceType":"Patient","id":"{name}","photo":[{{"contentType":"image/png","data":{{"_blob":{{"sha256":"{hash}","size":{size}}}}}}}]}}"#
    ))
}

fn upload(tablet: &Tablet<'_>, text: &[u8]) {
    let new = NewUpload { v: 1, sha256: Hash::of(text), size: text.len() as u64 };
    let mut upload = tablet.backend.begin_upload(&tablet.device, &new, NOON).expect("begun");
    let chunks = text[usize::try_from(upload.offset).expect("it fits")..].chunks(CHUNK_BYTES_MIN);
    for chunk in chunks {
        let offset = upload.offset;
        upload = tablet.backend.append(&tablet.device, &upload.id, offset, chunk, NOON).expect("added");
    }
    assert_eq!(upload.offset, text.len() as u64);
}

/// Base64 text of two chunks and a bit.
fn text() -> Vec<u8> {
    b"QUJD".repeat(CHUNK_BYTES_MIN / 2 + 100)
}

fn a_blob_comes_in_chunks_and_goes_to_readers(backend: &dyn Backend) {
    let mut writer = tablet(backend, "d1", "u1", &["Patient/1"]);
    let reader = tablet(backend, "d2", "u2", &[]);
    let (text, hash) = (text(), Hash::of(&text()));
    // The blob comes first.
    let create = writer.create(&with_photo("1", &text));
    assert_eq!(brief(&writer.push_one(create.clone())), "need_blob");
    upload(&writer, &text);
    assert_eq!(refusal(backend.blob_size(&writer.device, &hash)), Refusal::NotFound);
    assert_eq!(brief(&writer.push_one(create)), "applied 1");
    assert_eq!(backend.blob_size(&writer.device, &hash).expect("a size"), text.len() as u64);
    let mut read = Vec::new();
    while read.len() < text.len() {
        read.extend(backend.blob(&writer.device, &hash, read.len() as u64, 200_000).expect("bytes"));
    }
    assert_eq!(read, text);
    assert_eq!(backend.blob(&writer.device, &hash, text.len() as u64, 10).expect("none"), b"");
    assert_eq!(refusal(backend.blob(&reader.device, &hash, 0, 10)), Refusal::NotFound);
    backend.grant(&reader.user, &scope("Patient/1"), Access::Read).expect("granted");
    assert_eq!(backend.blob(&reader.device, &hash, 1, 2).expect("bytes"), text[1..3]);
    backend.put(&patient("1"), NOON).expect("written");
    assert_eq!(refusal(backend.blob_size(&reader.device, &hash)), Refusal::NotFound);
}

fn an_upload_goes_on_where_it_ended(backend: &dyn Backend) {
    let (one, two) = (tablet(backend, "d1", "u1", &["Patient/1"]), tablet(backend, "d2", "u1", &[]));
    let text = text();
    let new = NewUpload { v: 1, sha256: Hash::of(&text), size: text.len() as u64 };
    let begun = backend.begin_upload(&one.device, &new, NOON).expect("begun");
    assert_eq!(begun.offset, 0);
    let chunk = &text[..CHUNK_BYTES_MIN];
    let first = backend.append(&one.device, &begun.id, 0, chunk, NOON).expect("added");
    let expected = Refusal::UploadOffset { expected: CHUNK_BYTES_MIN as u64 };
    assert_eq!(refusal(backend.append(&one.device, &begun.id, 0, chunk, NOON)), expected);
    assert_eq!(backend.begin_upload(&one.device, &new, NOON).expect("found"), first);
    assert_eq!(refusal(backend.append(&one.device, &begun.id, first.offset, b"x", NOON)), Refusal::TooLarge);
    assert_eq!(refusal(backend.append(&two.device, &begun.id, first.offset, chunk, NOON)), Refusal::NotFound);
    assert_eq!(backend.begin_upload(&two.device, &new, NOON).expect("begun").offset, 0);
    upload(&one, &text);
    upload(&two, &text);
}

fn a_blob_with_another_hash_is_dropped(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &["Patient/1"]);
    let new = NewUpload { v: 1, sha256: Hash::of(b"true"), size: 4 };
    let begun = backend.begin_upload(&tablet.device, &new, NOON).expect("begun");
    assert_eq!(refusal(backend.append(&tablet.device, &begun.id, 0, b"lies", NOON)), Refusal::HashMismatch);
    assert_eq!(refusal(backend.append(&tablet.device, &begun.id, 0, b"true", NOON)), Refusal::NotFound);
    upload(&tablet, b"true");
}

fn a_blob_is_not_betrayed_by_its_hash(backend: &dyn Backend) {
    let owner = tablet(backend, "d1", "u1", &["Patient/1"]);
    let mut curious = tablet(backend, "d2", "u2", &["Patient/2"]);
    upload(&owner, b"secret");
    backend.put(&with_photo("1", b"secret"), NOON).expect("written");
    let new = NewUpload { v: 1, sha256: Hash::of(b"secret"), size: 6 };
    assert_eq!(backend.begin_upload(&owner.device, &new, NOON).expect("there").offset, 6);
    assert_eq!(backend.begin_upload(&curious.device, &new, NOON).expect("as if not").offset, 0);
    assert_eq!(refusal(backend.blob_size(&curious.device, &new.sha256)), Refusal::NotFound);
    // Nor does naming it open it: whoever does has shown that they have it.
    let create = curious.create(&with_photo("2", b"secret"));
    assert_eq!(brief(&curious.push_one(create.clone())), "need_blob");
    assert_eq!(refusal(backend.blob(&curious.device, &new.sha256, 0, 6)), Refusal::NotFound);
    upload(&curious, b"secret");
    assert_eq!(brief(&curious.push_one(create)), "applied 1");
    assert_eq!(backend.blob(&curious.device, &new.sha256, 0, 6).expect("bytes"), b"secret");
}

fn what_is_not_written_needs_no_blob(backend: &dyn Backend) {
    let mut writer = tablet(backend, "d1", "u1", &["Patient/1", "Patient/2"]);
    backend.put(&with_photo("1", b"seen"), NOON).expect("written");
    backend.put(&patient("2"), NOON).expect("written");
    backend.put(&with_photo("2", b"theirs"), NOON).expect("written");
    let old = writer.update(1, &with_photo("2", b"mine"));
    assert_eq!(brief(&writer.push_one(old)), "conflict 2 in");
    // The device may not have what it could read.
    backend.revoke(&writer.user, &scope("Patient/1")).expect("revoked");
    let lost = writer.update(1, &with_photo("1", b"seen"));
    assert_eq!(brief(&writer.push_one(lost)), "parked NoGrant -");
}

fn a_large_attachment_travels_apart_or_not_at_all(backend: &dyn Backend) {
    let mut writer = tablet(backend, "d1", "u1", &["Patient/1"]);
    let text = String::from_utf8(text()).expect("ASCII");
    let inside = format!(r#"{{"resourceType":"Patient","id":"1","photo":[{{"data":"{text}"}}]}}"#);
    let create = writer.create(&body(&inside));
    assert_eq!(brief(&writer.push_one(create)), "rejected");
}

fn what_the_archive_refers_to_stays(backend: &dyn Backend) {
    let mut writer = tablet(backend, "d1", "u1", &["Patient/1"]);
    upload(&writer, b"lost");
    upload(&writer, b"unused");
    // No access: the edit goes to the archive, with what it refers to.
    let create = writer.create(&with_photo("2", b"lost"));
    backend.put(&patient("2"), NOON).expect("written");
    assert_eq!(brief(&writer.push_one(create)), "parked NoGrant -");
    let retention = crate::Retention { made_before: NOON, seen_since: NOON };
    backend.collect(&retention, later(crate::UPLOAD_AGE_MS + 1)).expect("collected");
    let found = writer.create(&with_photo("1", b"lost"));
    assert_eq!(brief(&writer.push_one(found)), "applied 1");
    let gone = writer.update(1, &with_photo("1", b"unused"));
    assert_eq!(brief(&writer.push_one(gone)), "need_blob");
}

fn forgotten_uploads_go(backend: &dyn Backend) {
    let tablet = tablet(backend, "d1", "u1", &[]);
    let new = NewUpload { v: 1, sha256: Hash::of(b"x"), size: 1 };
    let begun = backend.begin_upload(&tablet.device, &new, NOON).expect("begun");
    let retention = crate::Retention { made_before: NOON, seen_since: NOON };
    backend.collect(&retention, later(crate::UPLOAD_AGE_MS + 1)).expect("collected");
    assert_eq!(refusal(backend.append(&tablet.device, &begun.id, 0, b"x", NOON)), Refusal::NotFound);
}
