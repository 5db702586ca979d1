//! What goes in comes out, and an import that is interrupted neither loses nor doubles anything.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at the first surprise, and says what it skips"
)]

mod place;

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keepwell_store::fhir::bundle::Bundle;
use keepwell_store::vault::FileKeychain;
use keepwell_store::{
    Error, ExportOptions, ImportOptions, ImportReport, ImportSource, OnError, Refusal, Session, Store,
    StoreOptions,
};
use place::{Bodies, Place, content, lines, observations, resource_type, session, shared, shared_files};

fn import_with(session: &Session, text: &str, options: &ImportOptions) -> Result<ImportReport, Error> {
    session.import(ImportSource::reader("text", text.as_bytes()), options, &mut |_| {})
}

fn import(session: &Session, text: &str) -> ImportReport {
    import_with(session, text, &ImportOptions::default()).unwrap()
}

fn exported(session: &Session) -> Vec<u8> {
    let mut out = Vec::new();
    session.elevate(None).unwrap().export(&mut out, &ExportOptions::default(), &mut |_| {}).unwrap();
    out
}

/// Everything in the store is there byte for byte, and nothing else is.
fn assert_holds(session: &Session, mut expected: Bodies) {
    let out = exported(session);
    let mut found = Bodies::default();
    for line in lines(&out) {
        found.add(line);
    }
    assert!(found.nameless.is_empty());
    for nameless in &expected.nameless {
        // The id that it got stands where ids are put; without it the bytes are those that went in.
        let given = found.by_name.iter().find_map(|(name, body)| {
            let text = String::from_utf8(body.clone()).unwrap();
            let without = text.replacen(&format!("\"id\":\"{}\",", name.1), "", 1);
            (without.as_bytes() == nameless).then(|| name.clone())
        });
        let given = given.expect("a resource without an id is stored under a new one");
        let body = found.by_name.remove(&given).unwrap();
        expected.by_name.remove(&given);
        drop(body);
    }
    assert_eq!(found.by_name.len(), expected.by_name.len());
    for (name, body) in &expected.by_name {
        let there = found.by_name.get(name).unwrap_or_else(|| panic!("{}/{} is missing", name.0, name.1));
        assert!(there == body, "{}/{} came out with other bytes", name.0, name.1);
    }
}

#[test]
fn all_examples_come_out_as_they_went_in() {
    let files = shared_files("data/examples", ".ndjson.gz");
    let place = Place::new();
    let store = place.create();
    let session = session(&store);
    // 16 of the official examples break the rules of R4.
    let options = ImportOptions { keep_bundles: true, accept_invalid: true, ..ImportOptions::default() };
    let (mut expected, mut records) = (Bodies::default(), 0);
    for file in &files {
        let report = session.import(ImportSource::file(file), &options, &mut |_| {}).unwrap();
        records += report.resources();
        assert_eq!(report.refused, 0, "{}", file.display());
        for line in lines(&content(file)) {
            expected.add(line);
        }
    }
    assert_eq!(records, if files.is_empty() { 0 } else { 5_299 });
    assert_holds(&session, expected);
    assert!(session.verify(Default::default(), &mut |_| {}).unwrap().is_sound());
}

#[test]
fn all_synthea_bundles_come_out_as_they_went_in() {
    let files = shared_files("data/synthea", ".ndjson.zst");
    let place = Place::new();
    let store = place.create();
    let session = session(&store);
    let (mut expected, mut entries, mut imported) = (Bodies::default(), 0, 0);
    for file in &files {
        let report =
            session.import(ImportSource::file(file), &ImportOptions::default(), &mut |_| {}).unwrap();
        assert_eq!(report.refused, 0);
        imported += report.resources();
        for line in lines(&content(file)) {
            match Bundle::parse(line) {
                Ok(bundle) => {
                    for resource in bundle.entries.iter().filter_map(|entry| entry.resource) {
                        expected.add(resource);
                        entries += 1;
                    }
                }
                Err(_) => {
                    expected.add(line);
                    entries += 1;
                }
            }
        }
    }
    assert_eq!(imported, entries);
    assert_holds(&session, expected);
    assert!(session.verify(Default::default(), &mut |_| {}).unwrap().is_sound());
}

#[test]
fn transaction_of_25_000_entries_is_stored_whole() {
    let Some(file) = shared("data/synthea/big-transaction.json.zst") else { return };
    let place = Place::new();
    let store = place.create();
    let session = session(&store);
    let answer = session.bundle(&content(&file)).unwrap();
    assert_eq!(Bundle::parse(&answer).unwrap().entries.len(), 25_000);
    assert_eq!(session.stats().unwrap().resources(), 25_000);
}

#[test]
fn compression_is_told_apart_by_first_bytes() {
    let text = observations(300);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    io::copy(&mut text.as_bytes(), &mut gzip).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(text.as_bytes(), 1).unwrap();
    let pretty = "{\n  \"resourceType\": \"Bundle\",\n  \"type\": \"collection\",\n  \"entry\": [\n    {\"resource\": \
                  {\"resourceType\": \"Basic\", \"id\": \"b\",\n \"code\": {\"text\": \"x\"}}}\n  ]\n}\n";
    for (bytes, resources) in [
        (text.as_bytes(), 300),
        (&gzip, 300),
        (&zstd, 300),
        (&[gzip.clone(), gzip.clone()].concat(), 600),
        (pretty.as_bytes(), 1),
        (b"", 0),
    ] {
        let place = Place::new();
        let store = place.create();
        let source = ImportSource::reader("bytes", bytes);
        let report = session(&store).import(source, &ImportOptions::default(), &mut |_| {}).unwrap();
        assert_eq!(report.resources(), resources);
    }
}

#[test]
fn equal_content_makes_no_new_version() {
    let place = Place::new();
    let store = place.create();
    let session = session(&store);
    let text = observations(500) + "{\"resourceType\":\"Basic\",\"code\":{\"text\":\"no id\"}}\n";
    assert_eq!(import(&session, &text).created, 501);
    let again = import(&session, &text);
    assert_eq!((again.created, again.updated, again.unchanged, again.resumed), (0, 0, 501, 0));
    let changed = import(&session, &text.replace("kg", "lb"));
    // The one without an id comes from another source now, so it is another one.
    assert_eq!((changed.created, changed.updated, changed.unchanged), (1, 500, 0));
    assert_eq!(session.read(resource_type("Observation"), "o7").unwrap().version, 2);
}

#[test]
fn bundle_of_history_ends_with_its_newest_version() {
    let place = Place::new();
    let store = place.create();
    let session = session(&store);
    let version = |text: &str| {
        format!(
            "{{\"resource\":{{\"resourceType\":\"Basic\",\"id\":\"b\",\"code\":{{\"text\":\"{text}\"}}}},\
                 \"request\":{{\"method\":\"PUT\",\"url\":\"Basic/b\"}}}}"
        )
    };
    let bundle = format!(
        "{{\"resourceType\":\"Bundle\",\"type\":\"history\",\"entry\":[{},{},{}]}}",
        version("newest"),
        version("newer"),
        version("oldest")
    );
    assert_eq!(import(&session, &bundle).resources(), 3);
    let current = session.read(resource_type("Basic"), "b").unwrap();
    assert_eq!(current.version, 3);
    assert!(String::from_utf8(current.body).unwrap().contains("newest"));
}

#[test]
fn links_between_entries_are_rewritten_on_request_only() {
    let bundle = "{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"entry\":[\
        {\"fullUrl\":\"urn:uuid:9fa1e332-a3eb-52e2-d79a-62042a485967\",\"resource\":{\"resourceType\":\"Patient\",\"id\":\"p\"}},\
        {\"resource\":{\"resourceType\":\"Basic\",\"id\":\"b\",\"code\":{\"text\":\"x\"},\
         \"subject\":{\"reference\":\"urn:uuid:9fa1e332-a3eb-52e2-d79a-62042a485967\"}}}]}";
    // An entry without an id is read twice, and its links count once.
    let without = bundle.replace("\"id\":\"b\",", "");
    for (bundle, rewrite_references, reference) in [
        (bundle, false, "urn:uuid:9fa1e332-a3eb-52e2-d79a-62042a485967"),
        (bundle, true, "Patient/p"),
        (&without, false, "urn:uuid:9fa1e332-a3eb-52e2-d79a-62042a485967"),
    ] {
        let place = Place::new();
        let store = place.create();
        let session = session(&store);
        let options = ImportOptions { rewrite_references, ..ImportOptions::default() };
        let report = import_with(&session, bundle, &options).unwrap();
        assert_eq!(report.links_kept, u64::from(!rewrite_references));
        let found = session.search("Basic").unwrap().entries.remove(0);
        let body = String::from_utf8(found.body).unwrap();
        assert!(body.contains(&format!("\"reference\":\"{reference}\"")), "{body}");
    }
}

#[test]
fn record_that_cannot_be_stored_stops_or_is_reported() {
    let good = observations(40);
    let text = good.clone()
        + "{\"resourceType\":\"Patient\",\"id\":\"p\",\"gender\":7}\n{\"resourceType\":\n"
        + "{\"resourceType\":\"Basic\",\"id\":\"last\",\"code\":{\"text\":\"x\"}}\n";
    let place = Place::new();
    let store = place.create();
    let session = session(&store);
    let stopped = import_with(&session, &text, &ImportOptions::default()).unwrap_err();
    assert!(matches!(stopped, Error::Record { record: 41, .. }), "{stopped}");
    assert_eq!(session.stats().unwrap().resources(), 40);
    let skip = ImportOptions { on_error: OnError::Skip, ..ImportOptions::default() };
    let report = import_with(&session, &text, &skip).unwrap();
    assert_eq!((report.resumed, report.created, report.refused, report.entries), (40, 1, 2, 43));
    let codes: Vec<_> = report.refusals.iter().map(|Refusal { record, code, .. }| (*record, *code)).collect();
    assert_eq!(codes, [(41, 109), (42, 108)]);
}

#[test]
fn source_that_breaks_off_keeps_what_came_before() {
    struct Broken<'a>(&'a [u8]);
    impl Read for Broken<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() { Err(io::ErrorKind::ConnectionReset.into()) } else { self.0.read(buffer) }
        }
    }
    // Longer than what is read to recognise the source.
    let text = observations(12_000);
    let place = Place::new();
    let store = place.create();
    let session = session(&store);
    let broken = ImportSource::reader("text", Broken(&text.as_bytes()[..1_500_000]));
    let error = session.import(broken, &ImportOptions::default(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::Io { kind: io::ErrorKind::ConnectionReset, .. }), "{error}");
    let before = session.stats().unwrap().resources();
    let report = import(&session, &text);
    assert_eq!((report.resumed, report.created), (before, 12_000 - before));
}

#[test]
fn import_that_panics_midway_goes_on_where_it_was() {
    let text = observations(9_000);
    let place = Place::new();
    let store = place.create();
    let session = session(&store);
    let options = ImportOptions { batch: 1_000, ..ImportOptions::default() };
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        session.import(ImportSource::reader("text", text.as_bytes()), &options, &mut |progress| {
            assert!(progress.entries < 4_000, "enough");
        })
    }));
    assert!(panicked.is_err());
    let report = import_with(&session, &text, &options).unwrap();
    assert_eq!((report.resumed, report.created, report.entries), (4_000, 5_000, 9_000));
    assert_eq!(session.stats().unwrap().last_change, 9_000);
}

#[test]
fn lock_ends_an_import_and_an_unlock_lets_it_go_on() {
    let text = observations(9_000);
    let place = Place::new();
    let store = place.create();
    let options = ImportOptions { batch: 1_000, ..ImportOptions::default() };
    let locked =
        session(&store).import(ImportSource::reader("text", text.as_bytes()), &options, &mut |progress| {
            if progress.entries == 3_000 {
                store.lock().unwrap();
            }
        });
    assert!(matches!(locked, Err(Error::Vault(keepwell_store::vault::Error::Locked))), "{locked:?}");
    store.unlock(None).unwrap();
    let session = session(&store);
    let report = import_with(&session, &text, &options).unwrap();
    assert_eq!((report.resumed, report.created), (3_000, 6_000));
}

#[test]
fn an_import_that_is_cancelled_goes_on_where_it_was() {
    let text = observations(9_000);
    let place = Place::new();
    let store = place.create();
    let cancel = Arc::new(AtomicBool::new(false));
    let options = ImportOptions { batch: 1_000, cancel: Some(cancel.clone()), ..ImportOptions::default() };
    let source = ImportSource::reader("text", text.as_bytes());
    let cancelled = session(&store).import(source, &options, &mut |progress| {
        cancel.store(progress.entries == 2_000, Ordering::Relaxed);
    });
    assert!(matches!(cancelled, Err(Error::Cancelled)), "{cancelled:?}");
    cancel.store(false, Ordering::Relaxed);
    let report = import_with(&session(&store), &text, &options).unwrap();
    assert_eq!((report.resumed, report.created), (2_000, 7_000));
}

/// The store of the child below: its keychain outlives it.
fn killable(directory: &Path) -> StoreOptions {
    let keychain = FileKeychain::new(directory.join("keychain"));
    let mut options = StoreOptions::new("tests", "bench", Some(Arc::new(keychain)));
    options.memory_security = false;
    options
}

/// Not a test of its own: what `import_that_is_killed_goes_on_where_it_was` runs in another process.
#[test]
fn import_in_a_child() {
    let Some(directory) = std::env::var_os("KEEPWELL_TEST_IMPORT") else { return };
    let directory = Path::new(&directory);
    let store = Store::open(&directory.join("store"), killable(directory)).unwrap();
    store.unlock(None).unwrap();
    let options = ImportOptions { batch: 500, ..ImportOptions::default() };
    let source = ImportSource::file(&directory.join("observations.ndjson"));
    session(&store)
        .import(source, &options, &mut |progress| println!("committed {}", progress.entries))
        .unwrap();
}

#[test]
fn import_that_is_killed_goes_on_where_it_was() {
    const OBSERVATIONS: usize = 30_000;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::write(path.join("observations.ndjson"), observations(OBSERVATIONS)).unwrap();
    drop(Store::create(&path.join("store"), killable(path), None).unwrap());
    let mut acknowledged = 0;
    for kill_after in [1_u64, 3, 8, 2] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "import_in_a_child", "--nocapture"])
            .env("KEEPWELL_TEST_IMPORT", path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut seen = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let Some((_, entries)) = line.split_once("committed ") else { continue };
            acknowledged = entries.parse().unwrap();
            seen += 1;
            if seen == kill_after {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
    }
    let store = Store::open(&path.join("store"), killable(path)).unwrap();
    store.unlock(None).unwrap();
    let session = session(&store);
    let kept = session.stats().unwrap().resources();
    assert!(
        acknowledged > 0 && kept >= acknowledged && kept < OBSERVATIONS as u64,
        "{kept} of {acknowledged}"
    );
    let source = ImportSource::file(&path.join("observations.ndjson"));
    let report = session.import(source, &ImportOptions::default(), &mut |_| {}).unwrap();
    assert_eq!((report.resumed, report.created), (kept, OBSERVATIONS as u64 - kept));
    assert_eq!(session.stats().unwrap().last_change, OBSERVATIONS as i64);
    assert!(session.verify(Default::default(), &mut |_| {}).unwrap().is_sound());
}
