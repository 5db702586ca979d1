//! Runs over real stores: devices and server are killed, and lose their power, in the middle of transactions.

mod common;

use common::{all_break, all_hold};
use keepwell_simulator::{Fault, Plan, StoreDefect};

/// What a test has time for (`just simulate` plays more).
const SEEDS: u64 = 120;

/// One of so many runs is played twice.
const REPEATED: u64 = 12;

/// Runs without cuts that are compared with the same in memory.
const COMPARED: u64 = 10;

/// Seeds within which each mistake is found.
const SEEDS_OF_DEFECT: u64 = 25;

#[test]
fn all_invariants_hold_over_stores_that_lose_their_power() {
    let faults = all_hold(SEEDS, REPEATED, Plan::with_stores);
    let full = [Fault::DiskFull, Fault::ServerDiskFull];
    for fault in Fault::ALL.iter().filter(|fault| fault.needs_stores()).chain(&full) {
        assert!(faults.contains_key(fault), "{} never happened", fault.word());
    }
}

#[test]
fn a_run_over_stores_is_the_run_in_memory() {
    for seed in 1_000..1_000 + COMPARED {
        let mut stored = Plan::with_stores(seed);
        stored.without.extend(Fault::ALL.iter().filter(|fault| fault.needs_stores()));
        // How much room is left is another thing in a store.
        stored.without.extend([Fault::DiskFull, Fault::ServerDiskFull]);
        let in_memory = Plan { stores: false, ..stored.clone() };
        assert_eq!(stored.play(), in_memory.play(), "seed {seed}");
    }
}

#[test]
fn each_mistake_that_only_a_store_shows_breaks_an_invariant() {
    let plan = |defect: &StoreDefect| {
        let mut plan = Plan { store_defect: Some(*defect), ..Plan::with_stores(0) };
        // As it was when these were sought.
        plan.without.extend(Fault::later_than(2));
        plan
    };
    all_break(&StoreDefect::ALL.iter().map(plan).collect::<Vec<_>>(), SEEDS_OF_DEFECT);
}
