//! Compiles the official FHIR R4 definitions into `src/definitions/r4.rs`.
//!
//! `cargo run -p keepwell-fhir --example generate_definitions -- ../shared/fhir/r4`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod compile;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return fail("usage: generate_definitions FOLDER");
    };
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/definitions/r4.rs");
    match std::fs::write(target, compile::definitions(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => fail("the file src/definitions/r4.rs cannot be written"),
    }
}

#[expect(clippy::print_stderr, reason = "this is a command line tool")]
fn fail(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::FAILURE
}
