//! The journey of bindings/journey.md in Kotlin and in Swift, and that neither leaves anything out.
//!
//! `.ci/toolchains` gets what is needed. What could not be had is said, and why.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(target_os = "linux")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use common::languages::{Kotlin, Swift, bindings, sources};
use common::library;
use keepwell_bindgen::{Callable, callables};
use keepwell_tests::{Clinic, succeeds};

/// A program that is ended with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a journey against a server, and follows its wish for an order to wipe.
fn journey(command: &mut Command, language: &str) {
    let clinic = Clinic::start();
    let child = command
        .args([clinic.invite("ann", "p1"), clinic.invite("bob", "p1")])
        .args([clinic.fhir_address(), clinic.authorities(), clinic.token().to_owned(), clinic.pins()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut program = Program(child);
    let mut said = Vec::new();
    for line in BufReader::new(program.0.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if line == "wipe" {
            clinic.wipe_devices();
            writeln!(program.0.stdin.as_mut().unwrap(), "ordered").unwrap();
        }
        said.push(line);
    }
    assert!(program.0.wait().unwrap().success(), "{said:?}");
    let last = said.last().unwrap();
    assert!(last.starts_with(&format!("the journey held in {language}")), "{said:?}");
    assert!(said.iter().any(|line| line.ends_with("codes were thrown as exceptions")), "{said:?}");
}

#[test]
fn the_journey_holds_in_kotlin() {
    let Some(kotlin) = Kotlin::of(&library()) else { return };
    journey(&mut kotlin.program("JourneyKt"), "Kotlin");
    for (example, says) in [
        ("QuickStart", "\"family\":\"Example\""),
        ("WardList", "2 pulses of Brown are kept"),
        ("Android", "the sources for Android do what they say"),
    ] {
        let said = succeeds(&mut kotlin.program(example));
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn the_journey_holds_in_swift() {
    let Some(swift) = Swift::of(&library(), "debug") else { return };
    journey(&mut swift.program("Tests/Journey.swift"), "Swift");
    let examples = [("QuickStart", "\"family\":\"Example\""), ("PatientTimeline", "-- 3 moments")];
    for (example, says) in examples {
        let said = succeeds(&mut swift.program(&format!("Examples/{example}.swift")));
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn the_journeys_call_everything_that_there_is() {
    let callables = callables(&library()).unwrap();
    assert!(callables.len() > 60, "{callables:?}");
    let mut missing = Vec::new();
    for (language, ending) in [("kotlin", "kt"), ("swift", "swift")] {
        let folder = bindings(language);
        let journey: String = sources(&folder, ending)
            .into_iter()
            .filter(|path| path.to_string_lossy().to_lowercase().contains("tests"))
            .map(|path| fs::read_to_string(path).unwrap())
            .collect();
        for callable in &callables {
            let name = camel(&callable.name);
            // A constructor or a function by itself, a method of something; a callback is written out.
            let calls = [format!("{name}("), format!("{name} {{")];
            let is_called = calls.iter().any(|call| {
                journey.match_indices(call.as_str()).any(|(at, _)| {
                    !journey[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
                })
            });
            if !is_called {
                missing.push(format!("{language}: {:?} {}", callable.owner, callable.name));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// What the C library, and with it Python, has under another name; without a name: where it is instead.
const IN_C: [(&str, &str, &str); 35] = [
    ("", "error_codes", "docs/error-codes.md"),
    ("Attachments", "add", "keepwell_add_attachment"),
    ("Attachments", "add_file", "keepwell_add_attachment"),
    ("Attachments", "read", "keepwell_read_attachment"),
    ("Attachments", "save", "keepwell_read_attachment"),
    ("ChangeFeed", "next", "keepwell_feed_next"),
    ("Conflict", "details", "keepwell_sync_conflicts"),
    ("Conflict", "delete_resource", "keepwell_sync_resolve"),
    ("Conflict", "keep_theirs", "keepwell_sync_resolve"),
    ("Conflict", "take_edited", "keepwell_sync_resolve"),
    ("Conflict", "take_mine", "keepwell_sync_resolve"),
    ("LiveQuery", "next", "keepwell_feed_next"),
    ("Session", "archive_file", "keepwell_archive"),
    ("Session", "attachments", "calls of a session"),
    ("Session", "audit", "calls of a session"),
    ("Session", "cancel_imports", "the progress callback of an import"),
    ("Session", "end", "keepwell_session_free"),
    ("Session", "export_file", "keepwell_export"),
    ("Session", "import_text", "keepwell_import"),
    ("Session", "live", "keepwell_observe_search"),
    ("Session", "search_bundle", "keepwell_search"),
    ("Session", "vread", "keepwell_read"),
    ("Store", "changes", "keepwell_observe"),
    ("Store", "directory", "the options that it was opened with"),
    ("Store", "listen", "keepwell_feed_listen"),
    ("Store", "session", "keepwell_session_begin"),
    ("Store", "sync", "keepwell_sync_open"),
    ("Store", "vault", "calls of a store"),
    ("Subscription", "end", "keepwell_feed_free"),
    ("Sync", "nudge", "keepwell_sync_wake"),
    ("Sync", "round", "keepwell_sync_run"),
    ("Vault", "exclude_from_backups", "keepwell_store_backup_report"),
    ("Vault", "remove_passcode", "keepwell_set_passcode"),
    ("Vault", "rotate_database_key", "keepwell_rotate_keys"),
    ("Vault", "rotate_key", "keepwell_rotate_keys"),
];

/// What an app brings, and what the C library takes for it.
const BROUGHT_IN_C: [(&str, &str); 6] = [
    ("BackupGuard", "KeepwellBackupGuard;"),
    ("ChangeListener", "KeepwellListener listener"),
    ("HostKeychain", "KeepwellKeychain;"),
    ("Logger", "(*KeepwellLogger)("),
    ("ProgressListener", "(*KeepwellProgress)("),
    ("TokenProvider", "(*KeepwellTokenProvider)("),
];

#[test]
fn the_c_library_has_everything_that_there_is() {
    let header = fs::read_to_string(bindings("c").join("include/keepwell.h")).unwrap();
    let mut renamed: BTreeSet<_> = IN_C.into_iter().collect();
    for Callable { owner, name } in callables(&library()).unwrap() {
        let owner = owner.unwrap_or_default();
        if let Some((_, taken)) = BROUGHT_IN_C.into_iter().find(|(brought, _)| *brought == owner) {
            assert!(header.contains(taken), "the C library takes no {owner}");
            continue;
        }
        let known = IN_C.into_iter().find(|known| (known.0, known.1) == (owner.as_str(), name.as_str()));
        let place = owner.to_lowercase().replace("vault", "store");
        let names = match known {
            Some(known) => {
                renamed.remove(&known);
                vec![known.2.to_owned()]
            }
            None => vec![format!("keepwell_{name}"), format!("keepwell_{place}_{name}")],
        };
        let is_there = |name: &String| !name.starts_with("keepwell_") || header.contains(&format!("{name}("));
        assert!(names.iter().any(is_there), "the C library has no {owner} {name}");
    }
    assert!(renamed.is_empty(), "gone: {renamed:?}");
}

/// `set_recovery` as both languages have it.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |all, word| {
        let (head, rest) = word.split_at(1);
        all + &head.to_uppercase() + rest
    })
}
