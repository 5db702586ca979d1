//! Compiles the SearchParameters of FHIR R4 into `src/r4.rs`.
//!
//! `cargo run -p keepwell-search --example generate_parameters -- ../shared/fhir/r4`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod definitions;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return fail("usage: generate_parameters FOLDER");
    };
    let (source, left_out) = definitions::source(&folder);
    for (url, reason) in left_out {
        let _ = fail(&format!("left out: {url}: {reason}"));
    }
    match std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/r4.rs"), source) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => fail("the file src/r4.rs cannot be written"),
    }
}

#[expect(clippy::print_stderr, reason = "this is a command line tool")]
fn fail(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::FAILURE
}
