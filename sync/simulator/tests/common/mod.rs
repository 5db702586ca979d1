//! What the tests share: many runs at once.

#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::print_stdout, reason = "a test says what it saw")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use keepwell_simulator::{Fault, Plan, Violation};

/// Failures after which no more runs are begun.
const FAILURES_MAX: usize = 3;

/// Plays the seeds below `seeds`, one of `repeated` twice: all must hold. What went wrong in them.
pub(crate) fn all_hold(seeds: u64, repeated: u64, plan: impl Fn(u64) -> Plan + Sync) -> BTreeMap<Fault, u64> {
    let start = Instant::now();
    let failures = Mutex::new(Vec::new());
    let faults: Mutex<BTreeMap<Fault, u64>> = Mutex::default();
    on_all_cores(seeds, |seed| {
        if lock(&failures).len() >= FAILURES_MAX {
            return;
        }
        let plan = plan(seed);
        match plan.play() {
            Ok(played) => {
                if seed % repeated == 0 {
                    assert_eq!(plan.play().as_ref(), Ok(&played), "seed {seed} is two runs");
                }
                for (fault, count) in played.faults {
                    *lock(&faults).entry(fault).or_default() += count;
                }
            }
            Err(violation) => {
                let report = format!("seed {seed}: {violation}\n  {}", plan.shrink().command());
                lock(&failures).push(report);
            }
        }
    });
    let failures = lock(&failures);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let faults = faults.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{seeds} seeds in {} ms: {faults:?}", start.elapsed().as_millis());
    faults
}

/// Each of these plans must break an invariant within so many seeds from its own.
pub(crate) fn all_break(plans: &[Plan], seeds: u64) {
    let missed = Mutex::new(Vec::new());
    on_all_cores(plans.len() as u64, |number| {
        let plan = &plans[usize::try_from(number).expect("there are that many plans")];
        let name = (plan.device_defect, plan.server_defect, plan.store_defect);
        match first_broken(plan, seeds) {
            Some((seed, violation)) => println!("{name:?}: seed {seed}: {violation}"),
            None => lock(&missed).push(name),
        }
    });
    let missed = lock(&missed);
    assert!(missed.is_empty(), "in {seeds} seeds no invariant notices {missed:?}");
}

fn first_broken(plan: &Plan, seeds: u64) -> Option<(u64, Violation)> {
    (plan.seed..plan.seed + seeds).find_map(|seed| Some((seed, Plan { seed, ..plan.clone() }.play().err()?)))
}

/// Calls `work` with each number below `end`.
fn on_all_cores(end: u64, work: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= end {
                        return;
                    }
                    work(number);
                }
            });
        }
    });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
