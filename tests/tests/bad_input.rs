//! Hostile JSON through the whole store: what is refused has a code and leaves nothing, what is accepted comes back
//! byte for byte except id and meta.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at the first surprise, and says what it saw"
)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::*;
use keepwell_fhir::{Severity, Walker};
use keepwell_store::{Error, ImportOptions, ImportSource, Session, Store};
use serde_json::Value;
use tempfile::TempDir;

/// [`Error::Syntax`] and [`Error::Invalid`].
const SYNTAX: u16 = 108;
const INVALID: u16 = 109;

/// A store that is shown one document after the other.
struct Gate {
    session: Session,
    store: Store,
    home: TempDir,
    accepted: u64,
    refused: u64,
}

impl Gate {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = create(home.path());
        Self { session: session(&store), store, home, accepted: 0, refused: 0 }
    }

    /// Creates and imports a document; both must judge alike. Returns the code of the refusal.
    fn show(&mut self, document: &[u8], name: &str) -> Option<u16> {
        let before = self.session.stats().unwrap();
        // The walker tells the type; where it cannot, a create fails whatever type it names.
        let type_of = Walker::new().walk(document).ok().map(|walk| walk.resource_type);
        let created = self.session.create(type_of.unwrap_or_else(|| resource_type("Patient")), document);
        let refusal = match created {
            Ok(written) => {
                let read = self.session.read(written.resource_type, &written.id).unwrap();
                let expected = stripped(document, Some(&written.id));
                assert!(stripped(&read.body, None) == expected, "{name} comes back as it came");
                self.accepted += 1;
                None
            }
            Err(error) => {
                assert_eq!(self.session.stats().unwrap().last_change, before.last_change, "{name}");
                assert!(!error.operation_outcome().is_empty());
                self.refused += 1;
                Some(error.code())
            }
        };
        if !document.trim_ascii().is_empty() {
            // White space is no document of an import.
            assert_eq!(self.import(document), refusal, "{name}: an import judges as a create does");
        }
        refusal
    }

    /// Imports a document as a file of its own.
    fn import(&self, document: &[u8]) -> Option<u16> {
        let before = self.session.stats().unwrap();
        let options = ImportOptions { keep_bundles: true, ..ImportOptions::default() };
        let done = self.session.import(ImportSource::reader("document", document), &options, &mut |_| {});
        match done {
            Ok(report) => {
                assert_eq!(report.refused, 0);
                None
            }
            Err(error) => {
                assert!(matches!(error, Error::Record { .. }), "{error:?}");
                assert_eq!(self.session.stats().unwrap().last_change, before.last_change);
                Some(error.code())
            }
        }
    }

    /// What was refused has left no file, what was accepted is whole.
    fn close(self, least: (u64, u64)) {
        assert_sound(&self.session, "after bad input");
        let stats = self.session.stats().unwrap();
        let blobs = files(&store_of(self.home.path()).join("blobs"));
        assert_eq!(blobs.len() as u64, stats.attachments, "no attachment of a refused document is left");
        println!("{} accepted, {} refused", self.accepted, self.refused);
        assert!(self.accepted >= least.0 && self.refused >= least.1, "{} {}", self.accepted, self.refused);
        drop((self.session, self.store));
    }
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn suite(folder: &str) -> Vec<PathBuf> {
    shared(folder).map(|folder| files(&folder)).unwrap_or_default()
}

/// The value in an array of one, put where a resource may have a value of its kind.
fn in_a_resource(array: &[u8]) -> Option<Vec<u8>> {
    let value = array.trim_ascii().strip_prefix(b"[")?.strip_suffix(b"]")?.trim_ascii();
    // One value: several would only be a fault of the place they are put in.
    if value.contains(&b',') {
        return None;
    }
    let (before, after): (&[u8], &[u8]) = match value.first()? {
        b'"' => (br#"{"resourceType":"Basic","code":{"text":"#, b"}}"),
        b'-' | b'0'..=b'9' => (
            br#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":"#,
            b"}}",
        ),
        _ => return None,
    };
    Some([before, value, after].concat())
}

#[test]
fn documents_of_json_test_suite_are_no_resources_and_leave_nothing() {
    let mut gate = Gate::new();
    let documents =
        [suite("data/json/JSONTestSuite/test_parsing"), suite("data/json/JSONTestSuite/test_transform")];
    for path in documents.concat() {
        let document = fs::read(&path).unwrap();
        let created = gate.session.create(resource_type("Patient"), &document);
        assert_eq!(created.map_err(|error| error.code()).err(), Some(SYNTAX), "{}", name(&path));
        // An import takes lines; a document of white space is none.
        let refusal = gate.import(&document);
        assert!(
            refusal == Some(SYNTAX) || (refusal.is_none() && document.trim_ascii().is_empty()),
            "{}",
            name(&path)
        );
        gate.refused += 1;
    }
    assert_eq!(gate.session.stats().unwrap().resources(), 0);
    let is_there = gate.refused > 0;
    gate.close((0, if is_there { 250 } else { 0 }));
}

#[test]
fn values_of_json_test_suite_are_kept_or_refused_inside_a_resource() {
    let mut gate = Gate::new();
    let paths = suite("data/json/JSONTestSuite/test_parsing");
    for path in &paths {
        let Some(document) = in_a_resource(&fs::read(path).unwrap()) else { continue };
        let refusal = gate.show(&document, name(path));
        match name(path).split('_').next() {
            Some("n") => assert_eq!(refusal, Some(SYNTAX), "{}", name(path)),
            // Empty strings and control characters are JSON, but no FHIR string.
            Some("y") => assert!(matches!(refusal, None | Some(INVALID)), "{} {refusal:?}", name(path)),
            _ => {
                let expected = Walker::new().walk(&document).map(|walk| walk.issues.is_empty());
                assert_eq!(refusal.is_none(), expected == Ok(true), "{}", name(path));
            }
        }
    }
    gate.close(if paths.is_empty() { (0, 0) } else { (40, 60) });
}

#[test]
fn nasty_resources_get_the_verdict_of_their_manifest() {
    let Some(folder) = shared("data/json/fhir-nasty") else { return };
    let manifest: Value = serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let cases = manifest["files"].as_array().unwrap();
    let mut gate = Gate::new();
    for case in cases {
        let (file, verdict) = (case["file"].as_str().unwrap(), case["fhir"].as_str().unwrap());
        let document = fs::read(folder.join(file)).unwrap();
        let errors = Walker::new()
            .walk(&document)
            .map(|walk| walk.issues.iter().filter(|issue| issue.severity <= Severity::Error).count());
        let refusal = gate.show(&document, file);
        // What the manifest leaves to the parser is judged as the walker does.
        let expected = match errors {
            Err(_) => Some(SYNTAX),
            Ok(0) => None,
            Ok(_) => Some(INVALID),
        };
        assert_eq!(refusal, expected, "{file}");
        if !case["json"].is_null() {
            let is_valid = verdict.starts_with("valid");
            assert!(
                is_valid == refusal.is_none() || verdict == "questionable",
                "{file}: {verdict}, {refusal:?}"
            );
        }
        if case["json"] == Value::Bool(false) {
            assert_eq!(refusal, Some(SYNTAX), "{file}");
        }
    }
    gate.close((50, 100));
}

#[test]
fn naughty_strings_come_back_as_they_came() {
    let Some(path) = shared("data/json/blns.json") else { return };
    let strings: Vec<String> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let mut gate = Gate::new();
    for text in &strings {
        let document = serde_json::json!({
            "resourceType": "Patient",
            "identifier": [{ "system": "urn:naughty", "value": text }],
            "name": [{ "family": text, "given": [text] }],
        });
        let is_blank = text.bytes().all(|byte| byte <= b' ');
        let has_control = text.bytes().any(|byte| byte < b' ' && !b"\t\n\r".contains(&byte));
        let refusal = gate.show(document.to_string().as_bytes(), text);
        assert_eq!(refusal, (is_blank || has_control).then_some(INVALID), "{text:?}");
    }
    gate.close((450, 1));
}
