//! Devices and a server that does what real ones do, in virtual time: thousands of runs, each from a seed.
//!
//! A failing seed prints the command that plays it again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a simulation says what it played")]

mod content;
mod random;
mod server;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use keepwell_plain::Defect;
use world::World;

/// Runs that a test has time for.
const SEEDS: u64 = 2_000;

/// Seeds within which each rule that is left out is missed.
const DEFECT_SEEDS: u64 = 100;

/// One of so many runs is played twice.
const REPEATED: u64 = 50;

/// Plays this seed alone and tells it: `KEEPWELL_SEED=7 cargo test -p keepwell-plain --test nasty -- --nocapture`.
const SEED: &str = "KEEPWELL_SEED";

/// Faults that must have happened.
const FAULTS: [&str; 12] = [
    "late commit",
    "stale list",
    "expired link",
    "skipped row",
    "repeated row",
    "restricted",
    "lost request",
    "late request",
    "refused before",
    "lost reply",
    "failed after",
    "torn body",
];

fn play(seed: u64) -> Result<(u64, BTreeMap<&'static str, u64>), String> {
    let mut world = World::new(seed);
    let faults = world.play()?;
    Ok((world.trace, faults))
}

#[test]
fn nothing_is_lost_doubled_or_deleted_and_devices_converge() {
    if let Some(seed) = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok()) {
        let mut world = World::new(seed);
        world.is_told = true;
        world.play().unwrap();
        return;
    }
    let start = Instant::now();
    let (next, failures) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let faults: Mutex<BTreeMap<&str, u64>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= SEEDS || failures.lock().unwrap().len() >= 5 {
                        return;
                    }
                    match play(seed) {
                        Ok(played) => {
                            if seed % REPEATED == 0 {
                                assert_eq!(play(seed).as_ref(), Ok(&played), "seed {seed} is two runs");
                            }
                            let mut faults = faults.lock().unwrap();
                            for (name, count) in played.1 {
                                *faults.entry(name).or_default() += count;
                            }
                        }
                        Err(broken) => failures.lock().unwrap().push(format!(
                            "seed {seed}: {broken}\n  {SEED}={seed} cargo test -p keepwell-plain --test nasty"
                        )),
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let faults = faults.into_inner().unwrap();
    println!("{SEEDS} seeds in {} ms: {faults:?}", start.elapsed().as_millis());
    assert_eq!(faults.keys().copied().collect::<BTreeSet<_>>(), BTreeSet::from(FAULTS));
}

#[test]
fn each_rule_that_is_left_out_is_missed() {
    let (next, missed) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let place = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap();
                    let Some(&defect) = Defect::ALL.get(place) else { return };
                    Defect::set(Some(defect));
                    let broken = (0..DEFECT_SEEDS).find_map(|seed| Some((seed, play(seed).err()?)));
                    match broken {
                        Some((seed, broken)) => println!("{defect:?}: seed {seed}: {broken}"),
                        None => missed.lock().unwrap().push(defect),
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "in {DEFECT_SEEDS} seeds nobody notices {missed:?}");
}
