//! How many merges a second one core does, checks included, over the resources of a file, each with two edits.
//!
//! `cargo run --release -p keepwell-merge --example merge_speed -- ../shared/data/synthea/fhir-candle-2024.ndjson.zst`

use std::ffi::OsStr;
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use keepwell_merge::{Merger, Outcome};

/// How often all resources are merged.
const ROUNDS: usize = 9;

/// How many merges are timed together. The best round of each group counts: others share the machine.
const GROUP: usize = 8;

/// A resource, as it was and with the edits of two sides.
struct Case([Vec<u8>; 3]);

fn main() -> ExitCode {
    let Some(file) = std::env::args_os().nth(1) else {
        return print("usage: merge_speed FILE", ExitCode::FAILURE);
    };
    let Some(cases) = cases(Path::new(&file)) else {
        return print("the file cannot be read", ExitCode::FAILURE);
    };
    let mut merger = Merger::new();
    let mut conflicts = 0;
    let mut best = vec![Duration::MAX; cases.len().div_ceil(GROUP)];
    for _ in 0..ROUNDS {
        conflicts = 0;
        for (group, best) in cases.chunks(GROUP).zip(&mut best) {
            let start = Instant::now();
            for Case([base, mine, theirs]) in group {
                let outcome = black_box(merger.merge(Some(base), Some(mine), Some(theirs)));
                conflicts += usize::from(matches!(outcome, Ok(Outcome::Conflicted(_)) | Err(_)));
            }
            *best = start.elapsed().min(*best);
        }
    }
    let best: Duration = best.iter().sum();
    let bytes: usize = cases.iter().map(|Case([base, ..])| base.len()).sum();
    let count = cases.len();
    #[expect(clippy::cast_precision_loss, reason = "a speed needs no more than six digits")]
    let speed = count as f64 / best.as_secs_f64();
    let mean = bytes / count.max(1);
    let text = format!(
        "{{\"merges_per_s\": {speed:.0}, \"resources\": {count}, \"mean_bytes\": {mean}, \"conflicts\": {conflicts}}}"
    );
    print(&text, ExitCode::SUCCESS)
}

/// Each resource, with a tag that one side added and an extension of the other: any type joins these or says at once
/// that it does not.
fn cases(file: &Path) -> Option<Vec<Case>> {
    let bytes = std::fs::read(file).ok()?;
    let is_packed = file.extension() == Some(OsStr::new("zst"));
    let bytes = if is_packed { zstd::stream::decode_all(&bytes[..]).ok()? } else { bytes };
    let mut cases = Vec::new();
    for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let value: serde_json::Value = serde_json::from_slice(line).ok()?;
        let entries = value["entry"].as_array();
        let resources = entries
            .map_or_else(|| vec![&value], |entries| entries.iter().map(|entry| &entry["resource"]).collect());
        for resource in resources.into_iter().filter(|resource| resource.is_object()) {
            let (mut mine, mut theirs) = (resource.clone(), resource.clone());
            mine["meta"]["tag"] = serde_json::json!([{ "system": "http://example.org", "code": "edited" }]);
            theirs["extension"] =
                serde_json::json!([{ "url": "http://example.org/note", "valueString": "edited" }]);
            let bytes =
                [resource, &mine, &theirs].map(|version| serde_json::to_vec(version).unwrap_or_default());
            cases.push(Case(bytes));
        }
    }
    Some(cases)
}

#[expect(clippy::print_stdout, reason = "this is a command line tool")]
fn print(text: &str, code: ExitCode) -> ExitCode {
    println!("{text}");
    code
}
