#![doc = include_str!("../../README.md")]
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "it is a program for people")]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use keepwell_simulator::{Fault, Plan, StoreDefect};

/// How often it says how far it is.
const SAY: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut plan = Plan::new(0);
    let (mut first, mut seeds) = (0, 1_u64);
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { return usage() };
        let is_good = match name.as_str() {
            "--seed" => value.parse().map(|seed| (first, seeds) = (seed, 1)).is_ok(),
            "--from" => value.parse().map(|seed| first = seed).is_ok(),
            "--seeds" => value.parse().map(|count| seeds = count).is_ok(),
            "--steps" => value.parse().map(|steps| plan.steps = steps).is_ok(),
            "--on" => match value.as_str() {
                "stores" => {
                    plan.stores = true;
                    plan.without.extend(Fault::ALL.iter().filter(|fault| fault.needs_memory()));
                    true
                }
                value => value == "memory",
            },
            "--without" => Fault::parse(value).map(|fault| plan.without.insert(fault)).is_some(),
            "--device-defect" => {
                let named = |defect: &&keepwell_engine::Defect| format!("{defect:?}") == *value;
                plan.device_defect = keepwell_engine::Defect::ALL.iter().find(named).copied();
                plan.device_defect.is_some()
            }
            "--server-defect" => {
                let named = |defect: &&keepwell_backend::Defect| format!("{defect:?}") == *value;
                plan.server_defect = keepwell_backend::Defect::ALL.iter().find(named).copied();
                plan.server_defect.is_some()
            }
            "--store-defect" => {
                let named = |defect: &&StoreDefect| format!("{defect:?}") == *value;
                plan.store_defect = StoreDefect::ALL.iter().find(named).copied();
                plan.store_defect.is_some()
            }
            _ => false,
        };
        if !is_good {
            return usage();
        }
    }
    let (start, mut said) = (Instant::now(), Instant::now());
    let mut faults: BTreeMap<Fault, u64> = BTreeMap::new();
    let mut failed = 0;
    for seed in first..first + seeds {
        let plan = Plan { seed, ..plan.clone() };
        match plan.play() {
            Ok(played) => {
                for (fault, count) in played.faults {
                    *faults.entry(fault).or_default() += count;
                }
            }
            Err(violation) => {
                failed += 1;
                println!("seed {seed}: {violation}\n  {}", plan.shrink().command());
                if failed >= 10 {
                    return ExitCode::FAILURE;
                }
            }
        }
        if said.elapsed() >= SAY {
            said = Instant::now();
            println!("{} seeds in {} s, {failed} failed", seed - first + 1, start.elapsed().as_secs());
        }
    }
    println!("{seeds} seeds of {} steps in {} ms, {failed} failed", plan.steps, start.elapsed().as_millis());
    println!("{faults:?}");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage() -> ExitCode {
    println!(
        "simulate [--seed N | --from N --seeds N] [--steps N] [--on memory|stores] [--without FAULT].. \
         [--device-defect NAME] [--server-defect NAME] [--store-defect NAME]"
    );
    ExitCode::FAILURE
}
