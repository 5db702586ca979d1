//! Records from the command line: in, out, changed, undone, gone.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use std::collections::BTreeSet;

use common::{Desk, ndjson};
use serde_json::Value;

#[test]
fn what_was_imported_is_counted_read_and_exported() {
    let desk = Desk::initialised();
    let file = desk.write("sample.ndjson", &ndjson(3));
    let lines = ndjson(3).lines().count();
    let report = desk.json(["import", file]);
    assert_eq!(report[0]["created"], lines);
    assert_eq!(desk.json(["import", file])[0]["unchanged"], lines, "a second import changes nothing");

    let stats = desk.json(["stats"]);
    assert_eq!(stats["resources"], lines);
    assert_eq!(stats["types"]["Patient"], 3);
    assert!(desk.ok(["stats"]).contains("Patient"));

    let exported = desk.path("out.ndjson");
    desk.ok(["export", "--output", &exported]);
    let ids = |text: &str| -> BTreeSet<String> {
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .map(|resource| format!("{}/{}", resource["resourceType"], resource["id"]))
            .collect()
    };
    let text = std::fs::read_to_string(&exported).unwrap();
    assert_eq!(ids(&text), ids(&ndjson(3)));
    desk.fails(5, 521, ["export", "--output", &exported]);
    assert_eq!(std::fs::read_to_string(&exported).unwrap(), text, "an existing file stays");

    let patients = desk.ok(["export", "--type", "Patient"]);
    assert_eq!(patients.lines().count(), 3);
}

#[test]
fn a_stream_is_imported_from_standard_input() {
    let desk = Desk::initialised();
    let output = desk.feed(&ndjson(1), ["import", "-", "--json"]);
    assert!(output.status.success());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report[0]["created"], ndjson(1).lines().count());
}

#[test]
fn a_resource_is_changed_undone_deleted_and_its_history_kept() {
    let desk = Desk::filled(1);
    let patient = format!("Patient/{}", desk.patient());
    let first = desk.ok(["get", &patient]);

    let patch = desk.write("patch.json", r#"{"active":false,"language":"de"}"#);
    let patched = desk.json(["patch", &patient, patch, "--if-match", "1"]);
    assert_eq!((&patched["version"], &patched["operation"]), (&2.into(), &"updated".into()));
    desk.fails(1, 103, ["patch", &patient, patch, "--if-match", "1"]);

    let undo = desk.write("undo.json", &first);
    assert_eq!(desk.json(["put", undo, "--if-match", "2"])["version"], 3);
    assert_eq!(desk.ok(["get", &patient, "--version-id", "1"]), first);
    assert_eq!(desk.json(["put", undo])["operation"], "unchanged");

    assert_eq!(desk.json(["delete", &patient])["operation"], "deleted");
    desk.fails(1, 102, ["get", &patient]);
    desk.fails(1, 101, ["get", "Patient/nobody"]);

    let history = desk.json(["history", &patient]);
    let versions: Vec<_> = history["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["version"].as_u64().unwrap())
        .collect();
    assert_eq!(versions, [4, 3, 2, 1]);
    let bundle: Value = serde_json::from_str(&desk.ok(["history", &patient, "--bundle"])).unwrap();
    assert_eq!(bundle["type"], "history");
    let page = desk.json(["history", "--count", "2"]);
    let next = page["next"].to_string();
    assert_ne!(desk.json(["history", "--count", "2", "--before", &next])["entries"], page["entries"]);
}

#[test]
fn conditions_decide_what_is_written() {
    let desk = Desk::initialised();
    let body = r#"{"resourceType":"Patient","identifier":[{"system":"urn:x","value":"1"}]}"#;
    let file = desk.write("patient.json", body);
    let made = desk.json(["put", file, "--if-none-exist", "identifier=urn:x|1"]);
    assert_eq!(made["operation"], "created");
    let found = desk.json(["put", file, "--if-none-exist", "identifier=urn:x|1"]);
    assert_eq!((&found["operation"], &found["resource"]), (&"unchanged".into(), &made["resource"]));
    assert_eq!(desk.json(["delete", "Patient", "--where", "identifier=urn:x|1"])["operation"], "deleted");
    assert_eq!(desk.json(["delete", "Patient", "--where", "identifier=urn:x|2"])["operation"], "unchanged");

    let own = desk.write("own.json", r#"{"resourceType":"Patient","id":"own"}"#);
    assert_eq!(desk.json(["put", own, "--if-absent"])["operation"], "created");
    desk.fails(1, 104, ["put", own, "--if-absent"]);
}

#[test]
fn a_transaction_bundle_is_carried_out() {
    let desk = Desk::initialised();
    let file = desk.write(
        "bundle.json",
        r#"{"resourceType":"Bundle","type":"transaction","entry":[
            {"fullUrl":"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0","resource":{"resourceType":"Patient"},
             "request":{"method":"POST","url":"Patient"}},
            {"resource":{"resourceType":"Patient","id":"b","link":[{"type":"seealso",
             "other":{"reference":"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"}}]},
             "request":{"method":"PUT","url":"Patient/b"}}]}"#,
    );
    let response: Value = serde_json::from_str(&desk.ok(["bundle", file])).unwrap();
    assert_eq!(response["type"], "transaction-response");
    assert_eq!(response["entry"].as_array().unwrap().len(), 2);
    assert!(!desk.ok(["get", "Patient/b"]).contains("urn:uuid"));
}

#[test]
fn a_refused_resource_is_explained_by_places_never_by_content() {
    let desk = Desk::initialised();
    let file = desk.write(
        "wrong.json",
        r#"{"resourceType":"Patient","id":"x","gender":"CANARY-71","birthDate":"CANARY-72","CANARY-73":1}"#,
    );
    let said = desk.fails(1, 109, ["put", file]);
    assert!(said.contains("Patient.gender") && said.contains("Patient.birthDate"), "{said}");
    assert!(!said.contains("CANARY"), "{said}");
    let output = desk.run(["put", file, "--json"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("CANARY"), "{said}");
    let told: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&told["error"], &told["outcome"]["resourceType"]), (&109.into(), &"OperationOutcome".into()));

    let broken = desk.write("broken.json", r#"{"resourceType":"Patient","name":CANARY-74}"#);
    assert!(!desk.fails(1, 108, ["put", broken]).contains("CANARY"));
    let said = desk.fails(1, 109, ["import", file]);
    assert!(said.contains("in ") && said.contains("wrong.json") && said.contains("Patient.gender"), "{said}");
    let lines = desk.write("lines.ndjson", &format!("{}{{\"resourceType\":\"CANARY-75\"}}\n", ndjson(1)));
    let said = desk.fails(1, 108, ["import", lines]);
    assert!(said.contains(&format!("record {}", ndjson(1).lines().count() + 1)), "{said}");
    assert!(!said.contains("CANARY"), "{said}");
    let report = desk.json(["import", lines, "--skip-errors", "--from-start"]);
    assert_eq!((&report[0]["refused"], &report[0]["refusals"][0]["error"]), (&1.into(), &108.into()));
}

#[test]
fn a_search_finds_and_one_that_is_refused_is_a_request_that_was_refused() {
    let desk = Desk::filled(1);
    let found = desk.json(["search", "Patient"]);
    assert_eq!((&found["total"], &found["entry"][0]["resource"]["id"]), (&1.into(), &desk.patient().into()));
    assert_eq!(desk.json(["search", "Patient?_id=nobody"])["total"], 0);
    assert!(desk.fails(1, 301, ["search", "Patient?nosuch=1"]).contains("nosuch"));
    desk.fails(1, 304, ["search", "Patient?birthdate=soon"]);
    desk.fails(1, 320, ["search", "Nothing"]);
}

#[test]
fn links_that_stay_as_they_are_are_counted_with_the_option_that_would_change_them() {
    let bundle = r#"{"resourceType":"Bundle","type":"collection","entry":[
        {"fullUrl":"urn:uuid:9fa1e332-a3eb-52e2-d79a-62042a485967","resource":{"resourceType":"Patient","id":"p"}},
        {"resource":{"resourceType":"Basic","id":"b","code":{"text":"x"},"subject":{"reference":"urn:uuid:9fa1e332-a3eb-52e2-d79a-62042a485967"}}}]}"#;
    let desk = Desk::initialised();
    let file = desk.write("bundle.json", bundle);
    let said = desk.ok(["import", file]);
    assert!(said.contains("\n1 urn:uuid link") && said.contains("--rewrite-references"), "{said}");
    assert!(!said.contains("9fa1e332"), "{said}");
    assert!(!desk.ok(["import", file, "--rewrite-references"]).contains("urn:uuid"));
    assert_eq!(desk.json(["import", file])[0]["links_kept"], 1);
}

#[test]
fn samples_are_the_same_for_a_seed_and_a_day_and_go_in_as_bundles_too() {
    let desk = Desk::initialised();
    let sample = |seed: &str| desk.ok(["sample", "-n", "2", "--seed", seed, "--date", "2026-11-22"]);
    assert_eq!(sample("7"), ndjson(2));
    assert_ne!(sample("8"), ndjson(2));

    let folder = desk.path("bundles");
    desk.ok(["sample", "-n", "2", "--seed", "7", "--date", "2026-11-22", "--bundles", &folder]);
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 3);
    desk.ok(["import".into()].into_iter().chain(files.into_iter().map(|file| file.into_os_string())));
    assert_eq!(desk.json(["stats"])["resources"], ndjson(2).lines().count());
}

#[test]
fn a_purge_leaves_nothing_but_its_reason_and_an_erasure_nothing_at_all() {
    let desk = Desk::filled(2);
    let id = desk.patient();
    let patient = format!("Patient/{id}");
    desk.fails(1, 117, ["purge", &patient, "--reason", " "]);
    let purged = desk.json(["purge", &patient, "--with-compartment", "--reason", "REASON-1"]);
    assert!(purged["purged"].as_u64().unwrap() > 1);
    let output = desk.run(["get", &patient]);
    assert_eq!(output.status.code(), Some(1));
    assert!(desk.ok(["audit", "list", "--action", "purge", "--json"]).contains("REASON-1"));
    assert_eq!(desk.json(["verify"])["sound"], true);

    assert_eq!(desk.run(["erase"]).status.code(), Some(2), "an erasure wants to be confirmed");
    assert_eq!(desk.json(["erase", "--yes"])["key_file_destroyed"], true);
    desk.fails(3, 225, ["stats"]);
    assert!(!desk.store().join("store.db").exists());
    assert_eq!(std::fs::read_dir(desk.path("keys")).unwrap().count(), 0);
}
