//! How many megabytes a second one core walks, validation included.
//!
//! `cargo run --release -p keepwell-fhir --example walk_speed -- ../shared/data/examples`

use std::hint::black_box;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use keepwell_fhir::Walker;

/// How often all files are walked.
const ROUNDS: usize = 9;

/// How many resources are timed together. The best round of each group counts: others share the machine, and a
/// group takes about a millisecond, less than they are given at a time.
const GROUP: usize = 64;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        return print("usage: walk_speed FOLDER", ExitCode::FAILURE);
    };
    let Ok(documents) = read(Path::new(&folder)) else {
        return print("the folder cannot be read", ExitCode::FAILURE);
    };
    let lines: Vec<&[u8]> = documents.split(|&b| b == b'\n').filter(|line| !line.is_empty()).collect();
    let mut walker = Walker::new();
    let mut walk = |line: &&[u8]| walker.walk(line).map_or(1, |walk| walk.issues.len());
    let issues: usize = lines.iter().map(&mut walk).sum();
    let mut best = vec![Duration::MAX; lines.len().div_ceil(GROUP)];
    for _ in 0..ROUNDS {
        for (group, best) in lines.chunks(GROUP).zip(&mut best) {
            let start = Instant::now();
            black_box(group.iter().map(&mut walk).sum::<usize>());
            *best = start.elapsed().min(*best);
        }
    }
    let best: Duration = best.iter().sum();
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
