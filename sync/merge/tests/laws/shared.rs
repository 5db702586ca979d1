//! The public resources that lie beside the workspace.

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::Value;

/// Documents above this size are left out: editing them takes longer than it teaches.
const MAX_BYTES: usize = 30_000;

/// Examples of all types and a part of the Synthea records, or `None` with a note: tests that need them pass without.
#[expect(clippy::print_stdout, reason = "a skipped test has to say so")]
pub(crate) fn resources() -> Option<Vec<Value>> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("KEEPWELL_SHARED").map_or_else(default, PathBuf::from);
    if !root.join("data").exists() {
        println!("skipped: ../shared is missing");
        return None;
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir(root.join("data/examples"))
        .expect("the folder can be read")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "gz"))
        .collect();
    files.sort();
    files.push(root.join("data/synthea/fhir-candle-2024.ndjson.zst"));
    let mut resources = Vec::new();
    for file in files {
        let bytes = read(&file);
        let lines =
            bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty() && line.len() < MAX_BYTES);
        resources.extend(lines.take(400).map(|line| serde_json::from_slice::<Value>(line).expect("JSON")));
    }
    Some(resources)
}

fn read(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).expect("the file can be read");
    let mut unpacked = Vec::new();
    if path.extension().is_some_and(|extension| extension == "gz") {
        GzDecoder::new(&bytes[..]).read_to_end(&mut unpacked).map(drop).expect("gzip");
    } else {
        zstd::stream::copy_decode(&bytes[..], &mut unpacked).expect("zstd");
    }
    unpacked
}
