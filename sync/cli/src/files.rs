//! The files that paths on a command line stand for.

use std::fs;
use std::path::{Path, PathBuf};

use crate::exit::{Failure, Result, io as io_failure};

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
        if path.is_file() && is_fhir(&path.to_string_lossy()) {
            files.push(path);
        }
    }
    files.sort();
    let none = Failure::Usage("there are no .json or .ndjson files in the folder");
    if files.is_empty() { Err(none) } else { Ok(files) }
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
            fs::write(place.path().join(name), b"").unwrap();
        }
        let single = PathBuf::from("somewhere/else.txt");
        let found = listed(&[single.clone(), place.path().to_owned()]).unwrap();
        assert_eq!(found, [single, place.path().join("a.json"), place.path().join("b.ndjson.zst")]);
        fs::create_dir(place.path().join("empty")).unwrap();
        assert!(matches!(listed(&[place.path().join("empty")]), Err(Failure::Usage(_))));
    }
}
