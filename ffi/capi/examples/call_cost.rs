//! What a call through the C ABI costs above the Rust call that it makes: a 2 KB resource handed over and returned,
//! and a page of 100 resources. Medians, both sides in turn in one process.
//!
//! `cargo run --release -p keepwell-capi --example call_cost`

#![allow(clippy::print_stdout, reason = "it prints its figures")]
#![allow(unsafe_code, reason = "it calls a C ABI")]

use std::error::Error;
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keepwell_c::{
    KeepwellBuffer, KeepwellSession, KeepwellStore, KeepwellText, keepwell_buffer_free, keepwell_read,
    keepwell_search, keepwell_session_begin, keepwell_store_create, keepwell_store_options, keepwell_update,
};
use keepwell_store::fhir::ResourceType;
use keepwell_store::vault::MemoryKeychain;
use keepwell_store::{Actor, Precondition, Store, StoreOptions};

const ROUNDS: usize = 2_000;
const PAGES: usize = 200;
const PATIENTS: usize = 100;

fn text(words: &str) -> KeepwellText {
    KeepwellText { data: words.as_ptr().cast(), length: words.len() }
}

fn patient(id: usize) -> String {
    let note = "x".repeat(1_900);
    format!(r#"{{"resourceType":"Patient","id":"p{id}","name":[{{"family":"Example","text":"{note}"}}]}}"#)
}

/// The median of what `call` takes.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e6
}

fn timed(call: impl FnOnce()) -> Duration {
    let started = Instant::now();
    call();
    started.elapsed()
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("store").to_string_lossy().into_owned();
    let mut options = keepwell_store_options(text(&path), text("bench"), text("bench"));
    options.keychain = 4;
    let (mut store, mut session) = (KeepwellStore::default(), KeepwellSession::default());
    // SAFETY: every text lives as long as its call, and every out-parameter is a place of its type.
    let begun = unsafe {
        keepwell_store_create(&raw const options, text(""), &raw mut store, ptr::null_mut())
            + keepwell_session_begin(
                store,
                text("bench"),
                text("bench"),
                text("bench"),
                &raw mut session,
                ptr::null_mut(),
            )
    };
    assert_eq!(begun, 0, "a store and a session");
    for id in 0..PATIENTS {
        let body = patient(id);
        // SAFETY: as above.
        let code = unsafe {
            keepwell_update(
                session,
                text("Patient"),
                text(&format!("p{id}")),
                text(&body),
                0,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        assert_eq!(code, 0, "a patient");
    }
    // The same in Rust alone: a store is open once in a process.
    let kind = ResourceType::parse("Patient").ok_or("a type of R4")?;
    let options = StoreOptions::new("bench", "bench", Some(Arc::new(MemoryKeychain::new())));
    let rust = Store::create(&directory.path().join("rust"), options, None)?
        .session(Actor::new("bench", "bench", "bench")?)?;
    for id in 0..PATIENTS {
        rust.update(kind, &format!("p{id}"), patient(id).as_bytes(), Precondition::None)?;
    }

    let (mut through_c, mut direct) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let id = format!("p{}", round % PATIENTS);
        through_c.push(timed(|| {
            let mut buffer = KeepwellBuffer { data: ptr::null(), length: 0 };
            // SAFETY: as above.
            let code = unsafe {
                keepwell_read(session, text("Patient"), text(&id), 0, &raw mut buffer, ptr::null_mut())
                    + keepwell_buffer_free(&raw mut buffer)
            };
            assert_eq!(code, 0, "a read");
        }));
        direct.push(timed(|| drop(rust.read(kind, &id).expect("it is there"))));
    }
    let (c, r) = (median(through_c), median(direct));
    println!("read, 2 KB: {c:.2} us through C, {r:.2} us in Rust, {:.2} us above", c - r);

    let (mut through_c, mut direct) = (Vec::new(), Vec::new());
    for _ in 0..PAGES {
        let url = "Patient?_count=100";
        through_c.push(timed(|| {
            let mut buffer = KeepwellBuffer { data: ptr::null(), length: 0 };
            // SAFETY: as above.
            let code = unsafe {
                keepwell_search(session, text(url), false, &raw mut buffer, ptr::null_mut())
                    + keepwell_buffer_free(&raw mut buffer)
            };
            assert_eq!(code, 0, "a search");
        }));
        direct.push(timed(|| drop(rust.search(url).expect("a page").to_bundle())));
    }
    let (c, r) = (median(through_c), median(direct));
    println!("page of 100: {c:.1} us through C, {r:.1} us in Rust, {:.1} us above", c - r);
    Ok(())
}
