//! The files that paths on a command line stand for.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::exit::{Failure, Result, io as io_failure};

/// How much of a JSON file is looked at for its resourceType.
const HEAD_BYTES: u64 = 1 << 20;

/// The files named, and for each folder named the FHIR files in it, by name.
///
/// # Errors
/// [`Failure::Usage`] for a folder without any.
pub(crate) fn listed(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        if path.is_dir() { files.extend(in_folder(path)?) } else { files.push(path.clone()) }
    }
    Ok(files)
}

fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = io_failure("reading a folder");
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(&failed)? {
        let path = entry.map_err(&failed)?.path();
        if path.is_file() && is_fhir(&path.to_string_lossy()) && !is_other_json(&path).map_err(&failed)? {
            files.push(path);
        }
    }
    files.sort();
    let none = Failure::Usage("there are no .json or .ndjson files in the folder");
    if files.is_empty() { Err(none) } else { Ok(files) }
}

/// Whether this is a JSON file that holds no resource: an index or a manifest beside the data.
fn is_other_json(path: &Path) -> std::io::Result<bool> {
    if path.extension().is_none_or(|extension| extension != "json") {
        return Ok(false);
    }
    let mut head = Vec::new();
    File::open(path)?.take(HEAD_BYTES).read_to_end(&mut head)?;
    let key = b"\"resourceType\"";
    Ok(!head.windows(key.len()).any(|window| window == key))
}

/// By its name: the content is judged by whoever reads it.
fn is_fhir(name: &str) -> bool {
    let plain = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name);
    plain.ends_with(".json") || plain.ends_with(".ndjson")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_stand_for_the_fhir_files_in_them() {
        let place = tempfile::tempdir().unwrap();
        for name in ["b.ndjson.zst", "a.json", "c.txt", "d.gz"] {
            fs::write(place.path().join(name), br#"{"resourceType":"Patient"}"#).unwrap();
        }
        fs::write(place.path().join("index.json"), br#"{"files":[]}"#).unwrap();
        let single = PathBuf::from("somewhere/else.txt");
        let found = listed(&[single.clone(), place.path().to_owned()]).unwrap();
        assert_eq!(found, [single, place.path().join("a.json"), place.path().join("b.ndjson.zst")]);
        fs::create_dir(place.path().join("empty")).unwrap();
        assert!(matches!(listed(&[place.path().join("empty")]), Err(Failure::Usage(_))));
    }
}
