//! How many megabytes a second one core walks, validation included.
//!
//! `cargo run --release -p keepwell-fhir --example walk_speed -- ../shared/data/examples`

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use keepwell_fhir::Walker;

/// How often all files are walked; the best round counts, since others share the machine.
const ROUNDS: usize = 9;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        return print("usage: walk_speed FOLDER", ExitCode::FAILURE);
    };
    let Ok(documents) = read(Path::new(&folder)) else {
        return print("the folder cannot be read", ExitCode::FAILURE);
    };
    let lines: Vec<&[u8]> = documents.split(|&b| b == b'\n').filter(|line| !line.is_empty()).collect();
    let mut walker = Walker::new();
    let mut best = Duration::MAX;
    let mut issues = 0;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        issues = 0;
        for line in &lines {
            issues += walker.walk(line).map_or(1, |walk| walk.issues.len());
        }
        best = best.min(start.elapsed());
    }
    let bytes: usize = lines.iter().map(|line| line.len()).sum();
    #[expect(clippy::cast_precision_loss, reason = "a speed needs no more than six digits")]
    let speed = bytes as f64 / 1e6 / best.as_secs_f64();
    let count = lines.len();
    let text =
        format!("{count} resources, {bytes} bytes, {issues} issues: {speed:.0} MB/s (best of {ROUNDS})");
    print(&text, ExitCode::SUCCESS)
}

fn read(folder: &Path) -> std::io::Result<Vec<u8>> {
    let mut paths: Vec<_> =
        std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "gz"));
    paths.sort();
    let mut documents = Vec::new();
    for path in paths {
        GzDecoder::new(std::fs::File::open(path)?).read_to_end(&mut documents)?;
        documents.push(b'\n');
    }
    Ok(documents)
}

#[expect(clippy::print_stdout, reason = "this is a command line tool")]
fn print(text: &str, code: ExitCode) -> ExitCode {
    println!("{text}");
    code
}
