//! The wire format, as files that were written once.
//!
//! Another team's client is written from docs/sync-protocol.md and these files, so a change of them is a change of the
//! protocol. `UPDATE_EXPECT=1` writes them anew, which is right only before the first release or with a new version.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::PathBuf;
use std::{env, fs};

use common::*;
use keepwell_protocol::*;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The file's bytes, which are those that are written today.
fn golden(name: &str, written: &[u8]) -> Vec<u8> {
    if env::var_os("UPDATE_EXPECT").is_some() {
        fs::create_dir_all(path("")).unwrap();
        fs::write(path(name), written).unwrap();
    }
    let expected = fs::read(path(name)).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(text(written), text(&expected), "{name}");
    expected
}

fn check_message<M: Message>(name: &str, head: M::Head, items: Vec<M::Item>, end: M::End) {
    let written = message::<M>(&Encoding::Identity, &head, &items, end.clone());
    let bytes = golden(&format!("{name}.ndjson"), &written);
    let mut expected = vec![Part::Head(head)];
    expected.extend(items.into_iter().map(Part::Item));
    expected.push(Part::End(end));
    for chunk in [1, 7, 100, bytes.len()] {
        let (parts, end) = parts::<M>(&Encoding::Identity, &bytes, chunk);
        assert_eq!(end, Ok(()), "{name}");
        assert_eq!(parts, expected, "{name}");
    }
}

fn check_document<T: Document + PartialEq + std::fmt::Debug>(name: &str, documents: &[T]) {
    let written: Vec<u8> = documents.iter().flat_map(to_bytes).collect();
    let bytes = golden(&format!("{name}.ndjson"), &written);
    let read: Vec<T> =
        bytes.split_inclusive(|byte| *byte == b'\n').map(|line| from_bytes(line).unwrap()).collect();
    assert_eq!(read, documents, "{name}");
}

#[test]
fn messages_are_as_they_were() {
    let items = mutations();
    let end = PushEnd { n: items.len() as u64 };
    check_message::<PushRequest>("push-request", push_head(), items, end);
    let items = settlements();
    let end = PushEnd { n: items.len() as u64 };
    check_message::<PushReply>("push-reply", push_reply_head(), items, end);
    let items = pull_items();
    let end = pull_end(items.len());
    check_message::<PullReply>("pull-reply", pull_head(), items, end);
    let head = PullHead { grants: Some(grants()), ..pull_head() };
    let end = PullEnd { upto: position(184_467), more: true, ..pull_end(0) };
    check_message::<PullReply>("pull-reply-grants", head, vec![], end);
    check_message::<PullReply>("pull-reply-noop", pull_head(), vec![], pull_end(0));
    let items = park_records();
    let end = PushEnd { n: items.len() as u64 };
    check_message::<ParkRequest>("park-request", park_head(), items, end);
}

#[test]
fn documents_are_as_they_were() {
    check_document("hello", &[hello()]);
    check_document("enrol-request", &[enrol_request()]);
    check_document("enrol-reply", &[enrol_reply()]);
    check_document("pull-request", &[pull_request()]);
    check_document("pull-request-noop", &[noop_pull_request()]);
    check_document("pull-request-whole", &[PullRequest { whole: true, ..noop_pull_request() }]);
    check_document("pull-request-first", &[PullRequest { cursor: None, ..noop_pull_request() }]);
    check_document("park-reply", &[ParkReply { stored: vec![id("0190-c1"), id("0190-c2")] }]);
    check_document("digest-request", &[digest_request()]);
    check_document("digest-reply", &[digest_reply()]);
    check_document("hints", &hints());
    check_document("blob-token", &[false, true].map(|text| BlobToken { blob: blob(), text }));
    check_document("new-upload", &[NewUpload { v: 1, sha256: blob().sha256, size: blob().size }]);
    check_document("upload", &[upload()]);
    check_document("lease-request", &[LeaseRequest { v: 1, incarnation: INCARNATION }]);
    check_document("lease", &[lease()]);
    check_document("upkeep-request", &upkeep_requests());
    check_document("upkeep-reply", &[upkeep_reply()]);
    check_document("wipe-receipt", &[wipe_receipt()]);
}

#[test]
fn refusals_are_as_they_were() {
    let written: Vec<u8> = refusals().iter().flat_map(Refusal::to_bytes).collect();
    let bytes = golden("refusals.ndjson", &written);
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    for (line, refusal) in lines.zip(refusals()) {
        assert_eq!(Refusal::from_response(refusal.status(), None, line), refusal);
    }
}

/// A compressor may choose other bytes in its next version, but what it once wrote has to be read for ever.
#[test]
fn compressed_messages_are_read() {
    let items = mutations();
    let end = PushEnd { n: items.len() as u64 };
    for (name, encoding) in [
        ("push-request.zst", Encoding::Zstd),
        ("push-request.dictionary.zst", Encoding::Dictionary(Dictionary::built_in())),
    ] {
        if env::var_os("UPDATE_EXPECT").is_some() {
            let written = message::<PushRequest>(&encoding, &push_head(), &items, end.clone());
            fs::write(path(name), written).unwrap();
        }
        let (parts, result) = parts::<PushRequest>(&encoding, &fs::read(path(name)).unwrap(), 11);
        assert_eq!(result, Ok(()), "{name}");
        let read: Vec<_> = parts
            .into_iter()
            .filter_map(|part| if let Part::Item(item) = part { Some(item) } else { None })
            .collect();
        assert_eq!(read, items, "{name}");
    }
}

/// Status, name and code of each refusal stand in one row of the document, and each endpoint somewhere.
#[test]
fn the_document_lists_what_there_is() {
    let document = document();
    for refusal in refusals() {
        let line = String::from_utf8(refusal.to_bytes()).unwrap();
        let name = line.split('"').nth(3).unwrap();
        let row = format!("`{name}` | {} |", refusal.code());
        let row = document.lines().find(|line| line.contains(&row));
        let row = row.unwrap_or_else(|| panic!("{name} is not listed"));
        assert!(row.split('|').nth(1).unwrap().contains(&refusal.status().to_string()), "{row}");
    }
    let hash = Hash::of(b"");
    for endpoint in [
        Endpoint::Hello,
        Endpoint::Dictionary(hash),
        Endpoint::Enrol,
        Endpoint::Push,
        Endpoint::Pull,
        Endpoint::Park,
        Endpoint::Digest,
        Endpoint::Events,
        Endpoint::BlobSize(hash),
        Endpoint::Uploads,
        Endpoint::Chunk(id("x")),
        Endpoint::Lease,
        Endpoint::Upkeep,
        Endpoint::WipeReceipt,
    ] {
        let path = endpoint.to_string().replace(&hash.to_string(), "{hash}").replace("/x", "/{id}");
        let method = format!("{:?}", endpoint.method()).to_uppercase();
        assert!(document.contains(&format!("`{method} {path}`")), "{method} {path} is not listed");
    }
}

fn document() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/sync-protocol.md");
    fs::read_to_string(path).unwrap()
}

/// Every JSON line that the document shows is a line of a golden file.
#[test]
fn the_document_shows_what_is_written() {
    let document = document();
    let mut known = String::new();
    for entry in fs::read_dir(path("")).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.extension().is_some_and(|ending| ending == "ndjson") {
            known += &fs::read_to_string(entry).unwrap();
        }
    }
    let (mut shown, mut inside) = (0, false);
    for line in document.lines() {
        if line.starts_with("```") {
            inside = line == "```json";
        } else if inside {
            assert!(known.lines().any(|known| known == line), "no golden file has the line {line}");
            shown += 1;
        }
    }
    assert!(shown > 30, "only {shown} lines are shown");
}
