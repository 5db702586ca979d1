//! How fast searches are: `cargo run --release -p keepwell-store --example search_speed -- COPIES FILE...`
//!
//! Imports each file COPIES times under new ids, then runs a fixed mix of queries and prints the median of each.

#![allow(clippy::unwrap_used, reason = "a measurement fails by panicking")]
#![allow(clippy::print_stdout, reason = "it prints what it measured")]

use std::io::Read;
use std::sync::Arc;
use std::time::Instant;

use keepwell_store::vault::MemoryKeychain;
use keepwell_store::{Actor, ImportOptions, ImportSource, Store, StoreOptions};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let copies: usize = arguments.next().and_then(|copies| copies.parse().ok()).unwrap_or(1);
    let files: Vec<String> = arguments.collect();
    let directory = tempfile::tempdir().unwrap();
    let mut options = StoreOptions::new("speed", "here", Some(Arc::new(MemoryKeychain::new())));
    options.cache_kib = 64 * 1024;
    let store = Store::create(&directory.path().join("store"), options, None).unwrap();
    let session = store.session(Actor::new("speed", "speed", "here").unwrap()).unwrap();
    let (mut resources, mut json) = (0, 0);
    let started = Instant::now();
    for copy in 0..copies {
        for file in &files {
            let mut text = Vec::new();
            zstd::Decoder::new(std::fs::File::open(file).unwrap()).unwrap().read_to_end(&mut text).unwrap();
            // Other ids: the first digits of every UUID are another number.
            if copy > 0 {
                renumber(&mut text, copy);
            }
            json += text.len();
            let options = ImportOptions { rewrite_references: true, ..ImportOptions::default() };
            let source = ImportSource::reader(&format!("{file}-{copy}"), &*text);
            resources += session.import(source, &options, &mut |_| ()).unwrap().resources();
        }
        let stats = session.stats().unwrap();
        println!(
            "{resources} resources, {:.0}/s, disk {:.3} of {} MB",
            resources as f64 / started.elapsed().as_secs_f64(),
            stats.bytes() as f64 / json as f64,
            json >> 20
        );
    }
    let patient = session.search("Patient?_count=1&_sort=_id").unwrap().entries[0].id.clone();
    let mrn = "identifier=http://hl7.org/fhir/sid/us-ssn|999-82-5655".to_owned();
    let queries = [
        ("id", format!("Patient?_id={patient}")),
        ("identifier", format!("Patient?{mrn}")),
        ("token", "Observation?code=http://loinc.org|8310-5&_count=20".to_owned()),
        ("string", "Patient?family=bal&_count=20".to_owned()),
        ("reference", format!("Observation?subject=Patient/{patient}&_count=20")),
        ("date_sorted", "Observation?date=ge2015&_sort=date&_count=20".to_owned()),
        ("date_sorted_desc", "Observation?date=ge2015&date=lt2019&_sort=-date&_count=20".to_owned()),
        ("chain", "Observation?subject:Patient.family=Balistreri607&_count=20".to_owned()),
        ("chain_wide", "Observation?patient.gender=male&_count=20".to_owned()),
        ("has", "Patient?_has:Observation:patient:code=8310-5&_count=20".to_owned()),
        (
            "and_include",
            format!(
                "Observation?subject=Patient/{patient}&category=laboratory&status=final&_include=Observation:subject&_count=20"
            ),
        ),
        ("count", "Observation?category=laboratory&_summary=count".to_owned()),
        ("quantity", "Observation?value-quantity=gt100||cm&_count=20".to_owned()),
        ("content", "Patient?_content=balistreri607&_count=20".to_owned()),
        ("everything", format!("Patient/{patient}/$everything?_count=50")),
    ];
    for (name, url) in queries {
        let mut times = Vec::new();
        let mut entries = 0;
        for _ in 0..30 {
            let started = Instant::now();
            match session.search(&url) {
                Ok(page) => entries = page.entries.len(),
                Err(error) => println!("{name}: {error}"),
            }
            times.push(started.elapsed());
        }
        times.sort_unstable();
        println!("{name:18} {:8.3} ms  ({entries} entries)", times[15].as_secs_f64() * 1e3);
    }
}

/// Gives every UUID another beginning.
fn renumber(text: &mut [u8], copy: usize) {
    let digits = format!("{copy:04x}");
    let is_hex = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_hexdigit);
    let mut at = 0;
    while at + 36 <= text.len() {
        let window = &text[at..at + 36];
        if window[8] == b'-'
            && window[13] == b'-'
            && window[18] == b'-'
            && window[23] == b'-'
            && is_hex(&window[..8])
        {
            text[at..at + 4].copy_from_slice(digits.as_bytes());
            at += 36;
        } else {
            at += 1;
        }
    }
}
