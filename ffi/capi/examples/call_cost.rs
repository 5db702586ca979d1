//! What a call through the C ABI costs above the Rust call that it makes, from C and from Python: a read returns a
//! resource of 2 KB, a hand-over takes a text of 2 KB, a page is one of 100 such resources. Medians; C and Rust in turn
//! in one process.
//!
//! `cargo run --release -p keepwell-capi --example call_cost`

#![allow(clippy::print_stdout, reason = "it prints its figures")]
#![allow(unsafe_code, reason = "it calls a C ABI")]

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keepwell_c::{
    KeepwellBuffer, KeepwellSession, KeepwellStore, KeepwellText, keepwell_buffer_free, keepwell_read,
    keepwell_search, keepwell_session_begin, keepwell_store_create, keepwell_store_options, keepwell_update,
};
use keepwell_client::SyncExtension;
use keepwell_store::fhir::ResourceType;
use keepwell_store::vault::MemoryKeychain;
use keepwell_store::{Actor, Precondition, Store, StoreOptions};
use keepwell_tests::succeeds;

const CALLS: usize = 5_000;
const PAGES: usize = 500;
const PATIENTS: usize = 100;

fn text(words: &str) -> KeepwellText {
    KeepwellText { data: words.as_ptr().cast(), length: words.len() }
}

fn patient(id: usize) -> String {
    let note = "x".repeat(1_900);
    format!(r#"{{"resourceType":"Patient","id":"p{id}","name":[{{"family":"Example","text":"{note}"}}]}}"#)
}

fn timed(times: &mut Vec<Duration>, call: impl FnOnce()) {
    let begun = Instant::now();
    call();
    times.push(begun.elapsed());
}

/// The median in microseconds, of the second half.
fn median(times: &mut [Duration]) -> f64 {
    let half = times.len() / 2;
    let warm = &mut times[half..];
    warm.sort();
    warm[warm.len() / 2].as_secs_f64() * 1e6
}

/// Prints what `c` and `rust` take, in turn; gives the latter.
fn compare(
    name: &'static str,
    rounds: usize,
    c: impl Fn(usize),
    rust: impl Fn(usize),
) -> (&'static str, f64) {
    let (mut through_c, mut direct) = (Vec::new(), Vec::new());
    // Each is as often the one that finds the caches as the other has left them.
    for round in 0..rounds {
        timed(&mut through_c, || c(round));
        timed(&mut direct, || rust(round));
        timed(&mut direct, || rust(round));
        timed(&mut through_c, || c(round));
    }
    let (c, rust) = (median(&mut through_c), median(&mut direct));
    tell("C", name, c, rust);
    (name, rust)
}

fn tell(language: &str, name: &str, time: f64, rust: f64) {
    println!("{language}, {name}: {time:.2} us, {rust:.2} us in Rust, {:.2} us above", time - rust);
}

/// What a call gave, freed.
fn fetch(call: impl FnOnce(*mut KeepwellBuffer) -> i32) {
    let mut buffer = KeepwellBuffer { data: ptr::null(), length: 0 };
    // SAFETY: the buffer is a place for one.
    let code = call(&raw mut buffer) + unsafe { keepwell_buffer_free(&raw mut buffer) };
    assert_eq!(code, 0, "a call");
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("store").to_string_lossy().into_owned();
    let mut options = keepwell_store_options(text(&path), text("bench"), text("bench"));
    options.keychain = 4;
    let (mut store, mut session) = (KeepwellStore::default(), KeepwellSession::default());
    let bench = text("bench");
    // SAFETY: every text lives as long as its call, and every out-parameter is a place of its type.
    let begun = unsafe {
        keepwell_store_create(&raw const options, text(""), &raw mut store, ptr::null_mut())
            + keepwell_session_begin(store, bench, bench, bench, &raw mut session, ptr::null_mut())
    };
    assert_eq!(begun, 0, "a store and a session");
    // The same in Rust alone, with the tables of sync that every store of the C library has.
    let kind = ResourceType::parse("Patient").ok_or("a type of R4")?;
    let mut options = StoreOptions::new("bench", "bench", Some(Arc::new(MemoryKeychain::new())));
    options.extensions.push(Arc::new(SyncExtension::new()));
    let rust = Store::create(&directory.path().join("rust"), options, None)?
        .session(Actor::new("bench", "bench", "bench")?)?;
    for id in 0..PATIENTS {
        let (name, body) = (format!("p{id}"), patient(id));
        let (null, error) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: as above.
        let code =
            unsafe { keepwell_update(session, text("Patient"), text(&name), text(&body), 0, null, error) };
        assert_eq!(code, 0, "a patient");
        rust.update(kind, &name, body.as_bytes(), Precondition::None)?;
    }

    let id = |round: usize| format!("p{}", round % PATIENTS);
    let read = |round| {
        fetch(|buffer| {
            // SAFETY: as above.
            unsafe { keepwell_read(session, text("Patient"), text(&id(round)), 0, buffer, ptr::null_mut()) }
        });
    };
    let search = |url: &str| {
        // SAFETY: as above.
        fetch(|buffer| unsafe { keepwell_search(session, text(url), false, buffer, ptr::null_mut()) });
    };
    let search_in_rust = |url: &str| drop(rust.search(url).expect("a page").to_bundle());
    let long = format!("Patient?_id={}z", format!("{},", "y".repeat(64)).repeat(31));
    let page = "Patient?_count=100";
    let rust = [
        compare("read", CALLS, read, |round| drop(rust.read(kind, &id(round)).expect("it is there"))),
        compare("hand-over", CALLS, |_| search(&long), |_| search_in_rust(&long)),
        compare("page", PAGES, |_| search(page), |_| search_in_rust(page)),
    ];

    let library = std::env::current_exe()?.with_file_name("../deps/libkeepwell_c.so").canonicalize()?;
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bindings/python");
    let said = succeeds(
        Command::new("python3")
            .arg(python.join("tests/call_cost.py"))
            .arg(directory.path().join("python"))
            .env("PYTHONPATH", &python)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("KEEPWELL_LIBRARY", library),
    );
    for (line, (name, direct)) in said.lines().zip(rust) {
        tell("Python", name, line.strip_prefix(name).ok_or("another figure")?.trim().parse()?, direct);
    }
    Ok(())
}
