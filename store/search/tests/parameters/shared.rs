//! The public test data that lies beside the workspace.

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

/// The folder of shared data, or `None` with a note: tests that need it pass without it.
#[expect(clippy::print_stdout, reason = "a skipped test has to say so")]
pub(crate) fn folder(part: &str) -> Option<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("KEEPWELL_SHARED").map_or_else(default, PathBuf::from);
    let folder = root.join(part);
    if !folder.exists() {
        println!("skipped: ../shared is missing");
        return None;
    }
    Some(folder)
}

/// The files of a folder, by name.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder can be read");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

/// The content of a file, unpacked if its name ends in `.gz`.
pub(crate) fn read(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).expect("the file can be read");
    let mut unpacked = Vec::new();
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => GzDecoder::new(&bytes[..]).read_to_end(&mut unpacked).map(drop).expect("gzip"),
        _ => return bytes,
    }
    unpacked
}

/// The lines of a text that are not empty.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&b| b == b'\n').filter(|line| !line.is_empty())
}
