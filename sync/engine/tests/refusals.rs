//! What a server does not take: it comes out of the way of everything else, and is not lost.

mod common;

use std::collections::BTreeSet;

use common::*;
use keepwell_engine::{Answer, Event, Replica as _};
use keepwell_protocol::{Blob, BlobToken, Body, Hash, Outcome, ParkKind, ParkReason, Refusal, Row, RowState};

impl Device {
    fn refuse(&mut self, refusal: Refusal) {
        let (ticket, _) = self.push.take().expect("a push is under way");
        self.answer(ticket, Answer::Refused(refusal));
    }

    fn in_flight(&self) -> Vec<String> {
        self.replica.frozen().map(|frozen| frozen.mutation().key.id.to_string()).collect()
    }
}

#[test]
fn a_group_that_the_server_finds_too_large_goes_in_parts_and_only_what_is_too_large_waits_for_a_person() {
    let mut device = Device::with_scope(Vec::new());
    device.save_as_one(&["a", "b"], 1);
    device.save("c", 1);
    device.tell(Event::Edited);
    assert_eq!(device.in_flight(), ["a", "b", "c"]);
    device.refuse(Refusal::TooLarge);
    assert_eq!(device.in_flight(), ["a", "b", "c"], "fewer at once: the group alone");
    device.refuse(Refusal::TooLarge);
    device.refuse(Refusal::TooLarge);
    let records: Vec<_> =
        device.replica.conflicts().iter().map(|record| (record.kind, &record.mine)).collect();
    assert_eq!(records, [(ParkKind::Rejected, &Some(body("a", 1)))], "it cannot be sent even alone");
    assert_eq!(device.in_flight(), ["b"]);
    device.outcome(1, Outcome::Applied { version: version(1), position: position(4) });
    device.outcome(2, Outcome::Applied { version: version(1), position: position(5) });
    assert_eq!(device.content("b"), Some(body("b", 1)));
    assert_eq!(device.content("c"), Some(body("c", 1)), "nothing waits behind it");
}

#[test]
fn what_was_sent_from_here_and_given_up_is_no_member_when_a_late_page_tells_of_it() {
    let mut device = Device::with_scope(Vec::new());
    device.save("a", 1);
    device.tell(Event::SyncNow);
    device.outcome(1, Outcome::Applied { version: version(1), position: position(4) });
    device.save("a", 2);
    device.tell(Event::Edited);
    device.outcome(2, Outcome::Parked { why: ParkReason::NoGrant, current: None });
    device.page(None, vec![row(4, "a", 1, RowState::Own(sequence(1)))], 4, 1, false, Vec::new());
    let Ok(memberships) = device.replica.memberships(&key("a"));
    assert!(memberships.is_empty(), "nothing of it is here");
    let (_, request) = device.pull.expect("it asks at once");
    assert_eq!(request.hydrating.len(), 1, "for the whole scope");
}

#[test]
fn an_edit_whose_attachment_neither_side_has_waits_for_a_person_and_holds_nothing_up() {
    let scan = |status: &str| {
        let token = BlobToken { blob: Blob { sha256: Hash::of(b"scan"), size: 4 }, text: false };
        let text = format!(r#"{{"resourceType":"Binary","id":"a","contentType":"{status}","data":{token}}}"#);
        Body::new(text).expect("a resource")
    };
    let binary = scan("one").key().expect("it has a key");
    let told = Row { key: binary.clone(), ..row(2, "a", 1, RowState::In(scan("one"))) };
    let mut device = Device::with_scope(vec![told]);
    device.save_body(scan("two"), None);
    device.save("b", 1);
    device.tell(Event::SyncNow);
    device.outcome(1, Outcome::NeedBlob);
    let records: Vec<_> =
        device.replica.conflicts().iter().map(|record| (record.kind, &record.mine)).collect();
    assert_eq!(records, [(ParkKind::Rejected, &Some(scan("two")))]);
    let Ok(content) = device.replica.content(&binary);
    assert_eq!(content, Some(scan("one")));
    assert_eq!(device.in_flight(), ["b"]);
    let Ok(to_send) = device.replica.blob_to_send(&BTreeSet::new());
    assert_eq!(to_send, None, "there is nothing that could be sent");
}
