//! How a store is: audit, doctor, verify; and how the program is: help, exit codes, bench, demo.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use std::collections::BTreeSet;
use std::io::{Read, Seek, SeekFrom, Write};

use common::{Desk, ndjson};
use serde_json::Value;

#[test]
fn the_audit_trail_says_who_did_what_and_is_whole() {
    let desk = Desk::filled(1);
    let patient = format!("Patient/{}", desk.patient());
    desk.ok(["get", &patient]);
    desk.run(["get", "Patient/nobody"]);
    let list = desk.json(["audit", "list", "--patient", &desk.patient(), "--action", "read"]);
    let events = list["events"].as_array().unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["resourceType"], "AuditEvent");
    assert!(events[0]["agent"].to_string().contains("dr.test"));
    let refused = desk.json(["audit", "list", "--action", "read", "--outcome", "4"]);
    assert_eq!(refused["events"].as_array().unwrap().len(), 1);
    assert!(desk.ok(["audit", "list", "--by", "dr.test", "--count", "3"]).contains("more with --after"));
    assert!(desk.json(["audit", "list", "--by", "nobody"])["events"].as_array().unwrap().is_empty());

    let report = desk.json(["audit", "verify"]);
    assert_eq!((&report["whole"], report["findings"].as_array().unwrap().len()), (&true.into(), 0));
    let file = desk.path("audit.ndjson");
    let events = desk.json(["audit", "export", "--output", &file])["events"].as_u64().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count() as u64, events);
    assert!(
        text.lines().all(|line| serde_json::from_str::<Value>(line).unwrap()["resourceType"] == "AuditEvent")
    );
    assert!(desk.json(["audit", "purge"])["last"].is_null(), "nothing is six years old");
    for action in ["audit-read", "audit-verify", "audit-export"] {
        let list = desk.json(["audit", "list", "--action", action]);
        assert!(!list["events"].as_array().unwrap().is_empty(), "{action}");
    }
}

#[test]
fn a_doctor_tells_the_keychain_the_ages_and_the_marks() {
    let desk = Desk::filled(1);
    let found = desk.json(["doctor"]);
    assert_eq!(
        (&found["sound"], &found["keychain"], &found["state"]),
        (&true.into(), &"file".into(), &"Locked".into())
    );
    assert_eq!(found["keys"]["has_passcode"], false);
    assert!(found["keys"]["database_key_since_ms"].as_i64().unwrap() > 0);
    assert_eq!(found["integrity"]["sound"], true);
    let marks = found["backup_marks"].as_array().unwrap();
    assert!(marks.iter().any(|mark| mark["mark"] == "CacheTag" && mark["outcome"] == "Verified"));
    std::fs::remove_file(desk.store().join("CACHEDIR.TAG")).unwrap();
    let found = desk.json(["doctor", "--locked"]);
    let marks = found["backup_marks"].as_array().unwrap();
    assert!(marks.iter().any(|mark| mark["mark"] == "CacheTag" && mark["outcome"] == "Missing"));
    assert!(found["integrity"].is_null());
    assert!(desk.ok(["doctor"]).contains("the store is sound"));
}

#[test]
fn damage_is_named_and_ends_with_the_exit_code_of_storage() {
    let desk = Desk::filled(3);
    let path = desk.store().join("store.db");
    let length = path.metadata().unwrap().len();
    let mut file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let place = SeekFrom::Start(length / 4096 * 3 / 4 * 4096 + 100);
    let mut byte = [0];
    file.seek(place).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(place).unwrap();
    file.write_all(&[byte[0] ^ 1]).unwrap();
    drop(file);
    let output = desk.run(["verify", "--json"]);
    assert_eq!(output.status.code(), Some(5), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["sound"], false);
    assert!(report["database"][0].as_str().unwrap().starts_with("Page"), "{report}");
}

#[test]
fn exit_codes_tell_who_can_act() {
    let desk = Desk::new();
    desk.fails(3, 219, ["stats"]);
    desk.fails(3, 219, ["doctor"]);
    desk.ok(["init"]);
    desk.fails(3, 220, ["init"]);
    desk.fails(1, 101, ["get", "Patient/x"]);
    desk.fails(5, 521, ["put", "there-is-no-such-file"]);
    for wrong in [&["get", "Patient"][..], &["get", "Nothing/x"], &["nothing"], &[], &["rotate"]] {
        assert_eq!(desk.run(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn help_of_every_command_works_and_has_examples() {
    fn check(desk: &Desk, path: &mut Vec<String>, seen: &mut BTreeSet<String>) {
        let help = desk.ok(path.iter().map(String::as_str).chain(["--help"]));
        assert!(help.contains("Usage: keepwell"), "{path:?}");
        let commands: Vec<String> = help
            .split("\nCommands:\n")
            .nth(1)
            .map(|rest| rest.split("\n\n").next().unwrap_or_default())
            .into_iter()
            .flat_map(str::lines)
            .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
            .filter_map(|line| line.split_whitespace().next())
            .map(str::to_owned)
            .collect();
        assert!(help.contains("Examples:") || path.is_empty(), "{path:?} has no examples");
        for command in commands {
            path.push(command);
            seen.insert(path.join(" "));
            check(desk, path, seen);
            path.pop();
        }
    }
    let mut seen = BTreeSet::new();
    check(&Desk::new(), &mut Vec::new(), &mut seen);
    for command in ["sample", "audit verify", "passcode set", "recover use", "quarantine lift", "bench store"]
    {
        assert!(seen.contains(command), "{command} is not listed: {seen:?}");
    }
    assert!(Desk::new().ok(["--help"]).contains("Exit codes"));
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(Desk::new().ok(["completions", shell]).contains("keepwell"), "{shell}");
    }
}

#[test]
fn a_bench_prints_every_figure() {
    let desk = Desk::new();
    let data = desk.write("sample.ndjson", &ndjson(5));
    let figures = desk.json(["bench", "store", "--rounds", "1", "--data", data]);
    for name in [
        "ingest_per_s",
        "raw_insert_per_s",
        "ingest_vs_raw",
        "tail_vs_head",
        "disk_vs_json",
        "read_p50_us",
        "open_ms",
        "create_ms",
        "fsync_ms",
        "walk_mb_per_s",
        "ingest_per_s_wiping",
    ] {
        assert!(figures[name].as_f64().is_some_and(|value| value > 0.0), "{name}: {figures}");
    }
    #[cfg(target_os = "linux")]
    assert!(figures["peak_mib"].as_f64().is_some_and(|value| value > 1.0), "{figures}");
    assert_eq!(figures["resources"], ndjson(5).lines().count());
}

#[test]
fn a_demo_holds_on_made_up_patients_and_on_a_folder_and_leaves_nothing() {
    let desk = Desk::new();
    let folder = desk.path("bundles");
    desk.ok(["sample", "-n", "2", "--bundles", &folder]);
    let scratch = desk.path("scratch");
    std::fs::create_dir(&scratch).unwrap();
    for arguments in [&["demo", "--patients", "3"][..], &["demo", &folder]] {
        let output = desk.command(arguments).env("TMPDIR", &scratch).output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}\n{errors}");
        assert!(told.contains("every step held"), "{told}");
        assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0);
    }
}
