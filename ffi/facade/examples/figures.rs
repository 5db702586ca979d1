//! The figures of the bindings: what a call costs above the Rust call that it makes, how large the library is, and how
//! long it takes to load and to open a store.
//!
//! `cargo run --release -p keepwell-facade --example figures`, after `.ci/toolchains`. Medians. A read returns a
//! resource of 2 KB, a hand-over takes a text of 2 KB, a page is one of 100 such resources: as a Bundle, and as records.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![allow(clippy::print_stdout, reason = "it prints its figures")]

#[path = "../tests/common/languages.rs"]
mod languages;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use keepwell_client::SyncExtension;
use keepwell_store::fhir::ResourceType;
use keepwell_store::vault::FileKeychain;
use keepwell_store::{Actor, Precondition, Store, StoreOptions};
use keepwell_tests::succeeds;
use languages::{Kotlin, Swift};

const CALLS: usize = 5_000;
const PAGES: usize = 500;
const STARTS: usize = 25;
const RUNS: usize = 5;
const NAMES: [&str; 4] = ["read", "hand-over", "page", "records"];

fn median(rounds: usize, mut call: impl FnMut(usize)) -> f64 {
    (0..rounds).for_each(&mut call);
    let mut times: Vec<_> = (0..rounds)
        .map(|round| {
            let begun = Instant::now();
            call(round);
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[rounds / 2].as_secs_f64() * 1e6
}

fn options(folder: &Path) -> StoreOptions {
    let mut options =
        StoreOptions::new("bench", "bench", Some(Arc::new(FileKeychain::new(folder.join("keys")))));
    // As every store of the library has them.
    options.extensions.push(Arc::new(SyncExtension::new()));
    options
}

/// The same calls in Rust, as a program that prints lines "NAME MICROSECONDS" as those in other languages do.
fn rust(folder: &Path) {
    let store = Store::create(&folder.join("store"), options(folder), None).unwrap();
    let session = store.session(Actor::new("bench", "bench", "bench").unwrap()).unwrap();
    let kind = ResourceType::parse("Patient").unwrap();
    for id in 0..100 {
        let note = "x".repeat(1_900);
        let body = format!(
            r#"{{"resourceType":"Patient","id":"p{id}","name":[{{"family":"Example","text":"{note}"}}]}}"#
        );
        session.update(kind, &format!("p{id}"), body.as_bytes(), Precondition::None).unwrap();
    }
    let bundle = |url: &str| drop(session.search(url).unwrap().to_bundle());
    let long = format!("Patient?_id={}z", format!("{},", "y".repeat(64)).repeat(31));
    let read = |round| drop(session.read(kind, &format!("p{}", round % 100)).unwrap());
    println!("read {}", median(CALLS, read));
    println!("hand-over {}", median(CALLS, |_| bundle(&long)));
    println!("page {}", median(PAGES, |_| bundle("Patient?_count=100")));
    println!("records {}", median(PAGES, |_| drop(session.search("Patient?_count=100").unwrap())));
}

/// How long it takes until a store can be used, in milliseconds; that it closes again is not counted.
fn open(folder: &Path) -> f64 {
    let mut times: Vec<_> = (0..STARTS)
        .map(|_| {
            let begun = Instant::now();
            let store = Store::open(&folder.join("store"), options(folder)).unwrap();
            store.unlock(None).unwrap();
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[STARTS / 2].as_secs_f64() * 1e3
}

/// What a program says in several runs.
#[derive(Default)]
struct Said(Vec<Vec<f64>>);

impl Said {
    fn run(&mut self, program: &mut Command) {
        let said = succeeds(program);
        let times = said
            .lines()
            .zip(NAMES)
            .map(|(line, name)| line.strip_prefix(name).unwrap().trim().parse().unwrap());
        self.0.push(times.collect());
    }

    /// The median of its runs.
    fn time(&self, figure: usize) -> f64 {
        let mut times: Vec<f64> = self.0.iter().map(|run| run[figure]).collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }
}

/// Runs a program in turn with that in Rust: from run to run the machine is another.
fn compare(language: &str, program: &mut Command) {
    let (mut theirs, mut ours) = (Said::default(), Said::default());
    for _ in 0..RUNS {
        theirs.run(program);
        let scratch = tempfile::tempdir().unwrap();
        ours.run(Command::new(std::env::current_exe().unwrap()).arg(scratch.path()));
    }
    for (figure, name) in NAMES.into_iter().enumerate() {
        let (time, direct) = (theirs.time(figure), ours.time(figure));
        println!("{language}, {name}: {time:.1} us, {direct:.1} us in Rust, {:.1} us above", time - direct);
    }
}

fn main() {
    if let Some(folder) = std::env::args().nth(1) {
        return rust(Path::new(&folder));
    }
    let library = std::env::current_exe().unwrap().parent().unwrap().join("../deps/libkeepwell_facade.so");
    let library = library.canonicalize().unwrap();
    let scratch = tempfile::tempdir().unwrap();

    let stripped = scratch.path().join("stripped.so");
    succeeds(Command::new("strip").arg(&library).arg("-o").arg(&stripped));
    let mib = |path: &Path| fs::metadata(path).unwrap().len() as f64 / 1024.0 / 1024.0;
    println!("library, stripped: {:.2} MiB, and libcrypto beside it", mib(&stripped));

    let preloaded = median(STARTS, |_| drop(succeeds(Command::new("true").env("LD_PRELOAD", &stripped))));
    let alone = median(STARTS, |_| drop(succeeds(&mut Command::new("true"))));
    println!("loading it: {:.1} ms", (preloaded - alone) / 1000.0);
    drop(Store::create(&scratch.path().join("store"), options(scratch.path()), None).unwrap());
    println!("open and unlock: {:.1} ms", open(scratch.path()));

    if let Some(swift) = Swift::of(&library, "release") {
        compare("Swift", &mut swift.program("Tests/CallCost.swift"));
    }
    if let Some(kotlin) = Kotlin::of(&library) {
        compare("Kotlin", &mut kotlin.program("CallCost"));
    }
}
