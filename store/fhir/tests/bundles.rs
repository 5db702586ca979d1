//! Bundles of the shared data, read and written.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;

use keepwell_fhir::bundle::{Bundle, BundleError, BundleType, HttpMethod};
use keepwell_fhir::bundle_writer::{BundleHead, BundleWriter, EntryParts};
use serde_json::Value;

/// The folder of the synthetic patients; `None`, with a note, where it is not at hand.
fn synthea() -> Option<PathBuf> {
    let shared = std::env::var_os("KEEPWELL_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let folder = shared.join("data/synthea");
    if !folder.is_dir() {
        let _ = writeln!(std::io::stderr(), "skipped: ../shared is missing");
        return None;
    }
    Some(folder)
}

fn unpack(folder: &std::path::Path, file: &str) -> impl BufRead {
    let file = std::fs::File::open(folder.join(file)).expect("the index names files that are there");
    BufReader::new(zstd::Decoder::new(file).expect("the file is zstd"))
}

/// Reads a Bundle, checks what every Bundle of the data has, writes it again and compares.
fn round_trip(bytes: &[u8]) -> (BundleType, usize) {
    let bundle = Bundle::parse(bytes).expect("a Bundle of the shared data");
    let mut order = bundle.processing_order();
    let requests = bundle.entries.iter().filter(|entry| entry.request.is_some()).count();
    assert_eq!(order.len(), requests);
    order.sort_unstable();
    order.dedup();
    assert_eq!(order.len(), requests, "every request is carried out once");
    assert_eq!(bundle.check_identities(), Ok(()));

    let mut writer = BundleWriter::new(&BundleHead::new(bundle.kind));
    for entry in &bundle.entries {
        writer.entry(&EntryParts {
            full_url: entry.full_url.as_deref(),
            resource: entry.resource,
            request: entry.request.as_ref().map(|request| (request.method, &*request.url)),
            ..EntryParts::default()
        });
    }
    let written = writer.finish();
    let again = Bundle::parse(&written).expect("a Bundle as written");
    assert_eq!(again.entries.len(), bundle.entries.len());
    for (one, other) in bundle.entries.iter().zip(&again.entries) {
        assert_eq!((&one.full_url, one.resource), (&other.full_url, other.resource));
        let parts = |entry: &keepwell_fhir::bundle::Entry<'_>| {
            entry.request.as_ref().map(|request| (request.method, request.url.to_string()))
        };
        assert_eq!(parts(one), parts(other));
    }
    (bundle.kind, bundle.entries.iter().filter(|entry| entry.resource.is_some()).count())
}

#[test]
fn every_synthea_bundle_is_read_and_written() {
    let Some(folder) = synthea() else { return };
    let index = std::fs::read(folder.join("index.json")).expect("the index");
    let index: Vec<Value> = serde_json::from_slice(&index).expect("the index is a list");
    let mut files: HashMap<String, Vec<&Value>> = HashMap::new();
    for bundle in index.iter().filter(|bundle| bundle["file"] != "big-transaction.json.zst") {
        let file = bundle["file"].as_str().expect("a file name");
        files.entry(file.to_owned()).or_default().push(bundle);
    }
    for (file, bundles) in files {
        let mut lines = 0;
        for (line, expected) in unpack(&folder, &file).split(b'\n').zip(&bundles) {
            let (kind, resources) = round_trip(&line.expect("a line"));
            assert_eq!(expected["type"], kind.code(), "{file}");
            assert_eq!(expected["resources"], resources, "{file}");
            lines += 1;
        }
        assert_eq!(lines, bundles.len(), "{file}");
    }
}

#[test]
fn big_transaction_is_read_and_written() {
    let Some(folder) = synthea() else { return };
    let mut bytes = Vec::new();
    unpack(&folder, "big-transaction.json.zst").read_to_end(&mut bytes).expect("the file unpacks");
    assert_eq!(round_trip(&bytes), (BundleType::Transaction, 25_000));
    let bundle = Bundle::parse(&bytes).expect("the transaction");
    assert!(bundle.entries.iter().all(|entry| {
        entry
            .request
            .as_ref()
            .is_some_and(|request| matches!(request.method, HttpMethod::Put | HttpMethod::Post))
    }));
}

#[test]
fn single_resources_are_no_bundles() {
    let Some(folder) = synthea() else { return };
    for line in unpack(&folder, "bulk-2025-partial.ndjson.zst").split(b'\n').take(100) {
        let refused = Bundle::parse(&line.expect("a line")).map(|bundle| bundle.kind);
        assert!(matches!(refused, Err(BundleError::NotABundle { .. })));
    }
}
