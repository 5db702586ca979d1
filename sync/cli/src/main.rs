#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod args;
mod bench;
mod cells;
mod commands;
mod context;
mod demo;
mod exit;
mod files;
mod lines;
mod local_server;
mod output;
mod progress;
mod secret;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;

use self::args::Arguments;

/// Records pass through many buffers; what is freed is wiped.
#[global_allocator]
static ALLOCATOR: keepwell_store::WipingAllocator = keepwell_store::WipingAllocator;

fn main() -> ExitCode {
    keep_memory_to_ourselves();
    say_only_where_it_panicked();
    let Arguments { global, command } = Arguments::parse();
    let json = global.json;
    // The hook has said where it was; all that is left is the exit code.
    match catch_unwind(AssertUnwindSafe(|| commands::run(global, command))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => failure.report(json),
        Err(_) => ExitCode::from(exit::BUG),
    }
}

/// A core dump would hold keys and records (docs/threat-model.md): none is written. Best effort, since the limit may
/// already be out of our hands.
fn keep_memory_to_ourselves() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// The message of a panic may quote what was being worked on; its place does not.
fn say_only_where_it_panicked() {
    std::panic::set_hook(Box::new(|panic| {
        let mut out = std::io::stderr().lock();
        // Nothing can be done for a reader who has closed standard error.
        let _ = match panic.location() {
            Some(place) => {
                writeln!(out, "error 900: a bug at {}:{}; please report it", place.file(), place.line())
            }
            None => writeln!(out, "error 900: a bug; please report it"),
        };
    }));
}
