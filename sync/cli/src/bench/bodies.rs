//! The resources of files as an import meets them: for the baseline and for the walker.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use keepwell_fhir::Walker;
use keepwell_fhir::bundle::Bundle;
use keepwell_store::Error;
use serde_json::value::RawValue;

use crate::exit::{Result, io as io_failure};

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// One resource of a file.
pub(super) struct Body {
    /// `Type/id`.
    pub(super) key: String,
    pub(super) json: Vec<u8>,
}

/// Every resource of a file; an entry without id counts under its place.
pub(super) fn of_file(path: &Path) -> Result<Vec<Body>> {
    let content = decompressed(path)?;
    let mut walker = Walker::new();
    let mut bodies = Vec::new();
    let failed = |_| Error::Argument("a file of --data is not JSON");
    for document in serde_json::Deserializer::from_slice(&content).into_iter::<&RawValue>() {
        let document = document.map_err(failed)?.get().as_bytes();
        match Bundle::parse(document) {
            Ok(bundle) => {
                for json in bundle.entries.iter().filter_map(|entry| entry.resource) {
                    let body = body(&mut walker, json, bodies.len())?;
                    bodies.push(body);
                }
            }
            Err(_) => {
                let body = body(&mut walker, document, bodies.len())?;
                bodies.push(body);
            }
        }
    }
    Ok(bodies)
}

/// The documents of all files, each file spread evenly over the whole, so that every part of it holds the same
/// mixture: what is slower at its end is slower for what was stored before, not for other data.
pub(super) fn mixed(files: &[PathBuf]) -> Result<Vec<String>> {
    let mut documents = Vec::new();
    for file in files {
        let content = decompressed(file)?;
        let of_file = serde_json::Deserializer::from_slice(&content)
            .into_iter::<&RawValue>()
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| Error::Argument("a file of --data is not JSON"))?;
        let count = of_file.len() as f64;
        // Between the tokens of JSON a line feed is a space.
        let lines = of_file.into_iter().map(|document| document.get().replace('\n', " "));
        documents.extend(lines.enumerate().map(|(place, line)| (place as f64 / count, line)));
    }
    documents.sort_by(|one, other| one.0.total_cmp(&other.0));
    Ok(documents.into_iter().map(|(_, line)| line).collect())
}

fn body(walker: &mut Walker, json: &[u8], place: usize) -> Result<Body> {
    let walk = walker.walk(json).map_err(Error::from)?;
    let id =
        walk.id.map_or_else(|| place.to_string(), |id| String::from_utf8_lossy(id.bytes(json)).into_owned());
    Ok(Body { key: format!("{}/{id}", walk.resource_type), json: json.to_vec() })
}

fn decompressed(path: &Path) -> Result<Vec<u8>> {
    let failed = io_failure("reading a file to measure with");
    let mut raw = Vec::new();
    File::open(path).and_then(|mut file| file.read_to_end(&mut raw)).map_err(&failed)?;
    let mut content = Vec::new();
    if raw.starts_with(GZIP_MAGIC) {
        MultiGzDecoder::new(&*raw).read_to_end(&mut content).map_err(&failed)?;
    } else if raw.starts_with(ZSTD_MAGIC) {
        content = zstd::decode_all(&*raw).map_err(&failed)?;
    } else {
        content = raw;
    }
    Ok(content)
}
