//! Resources to index: those of Bundles, and copies of them under other ids.

use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use keepwell_fhir::ResourceType;
use keepwell_fhir::bundle::Bundle;
use keepwell_search::{Extractor, Parameters, Terms, terms};

/// Hexadecimal digits of a UUID that a copy changes.
const CHANGED_DIGITS: usize = 8;
const UUID_CHARS: usize = 36;

/// Resources with absolute references, and where their UUIDs stand.
pub(crate) struct Corpus {
    resources: Vec<(Vec<u8>, Vec<u32>)>,
    extractor: Extractor,
    terms: Terms,
    copy: Vec<u8>,
}

impl Corpus {
    /// Reads files with one Bundle or resource a line, compressed.
    pub(crate) fn read(files: &[PathBuf]) -> Result<Self, Box<dyn Error>> {
        let mut resources = Vec::new();
        for file in files {
            let text = zstd::stream::decode_all(BufReader::new(File::open(file)?))?;
            for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                match Bundle::parse(line) {
                    Ok(bundle) => add_bundle(&bundle, &mut resources)?,
                    Err(_) => resources.push(line.to_vec()),
                }
            }
        }
        let resources = resources.into_iter().map(|json| (uuids(&json), json)).map(|(at, json)| (json, at));
        let extractor = Extractor::new(Parameters::r4());
        let (terms, copy) = Default::default();
        Ok(Self { resources: resources.collect(), extractor, terms, copy })
    }

    /// How many resources there are before the first copy.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.resources.len()).expect("they lie in memory")
    }

    /// The terms of the nth resource of all, copies included.
    pub(crate) fn terms(&mut self, nth: u32) -> Result<&Terms, Box<dyn Error>> {
        let (json, uuids) = &self.resources[(nth % self.len()) as usize];
        let copy = nth / self.len();
        self.copy.clear();
        self.copy.extend_from_slice(json);
        for at in uuids.iter().filter(|_| copy > 0) {
            let digits = &mut self.copy[*at as usize..][..CHANGED_DIGITS];
            let number = u32::from_str_radix(std::str::from_utf8(digits)?, 16)?;
            // A bijection for each copy, so that what was the same stays the same.
            let number = (number ^ copy.wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b);
            digits.copy_from_slice(format!("{number:08x}").as_bytes());
        }
        let extracted = self.extractor.extract(&self.copy)?;
        let id = extracted.walk.id.ok_or("a resource has no id")?;
        let id = std::str::from_utf8(&self.copy[id.start as usize..id.end as usize])?;
        terms(extracted.walk.resource_type, id, extracted.values, &mut self.terms);
        Ok(&self.terms)
    }
}

/// Adds the resources of a Bundle, with `urn:uuid:` replaced by the type and id of the entry that is meant.
fn add_bundle(bundle: &Bundle<'_>, resources: &mut Vec<Vec<u8>>) -> Result<(), Box<dyn Error>> {
    let entries =
        bundle.entries.iter().filter_map(|entry| Some((entry.full_url.as_deref()?, entry.resource?)));
    let types: HashMap<&str, &str> = entries
        .filter_map(|(url, json)| {
            let json = std::str::from_utf8(json).ok()?;
            let (_, rest) = json.split_once("\"resourceType\"")?;
            Some((url.strip_prefix("urn:uuid:")?, rest.split('"').nth(1)?))
        })
        .collect();
    for json in bundle.entries.iter().filter_map(|entry| entry.resource) {
        let mut parts = std::str::from_utf8(json)?.split("urn:uuid:");
        let mut resolved = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            match part.get(..UUID_CHARS).and_then(|id| types.get(id)) {
                Some(name) => resolved.extend([name, "/"]),
                None => resolved.push_str("urn:uuid:"),
            }
            resolved.push_str(part);
        }
        resources.push(resolved.into_bytes());
    }
    Ok(())
}

/// Where UUIDs begin.
fn uuids(json: &[u8]) -> Vec<u32> {
    let is_uuid = |text: &[u8]| {
        text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    };
    let dashes = (8..json.len()).filter(|at| json[*at] == b'-');
    let starts = dashes.map(|at| at - 8).filter(|at| json.get(*at..at + UUID_CHARS).is_some_and(is_uuid));
    starts.map(|at| u32::try_from(at).expect("a resource is small")).collect()
}

/// The number of a parameter in the index.
pub(crate) fn number(resource_type: &str, code: &str) -> u16 {
    let resource_type = ResourceType::parse(resource_type).expect("a type of R4");
    Parameters::r4().get(resource_type, code).expect("a parameter of R4").number.0
}
