//! Trains the dictionary that the store compresses bodies with, from generated records alone.
//!
//! ```text
//! cargo run --release -p keepwell-sample --example train_dictionary -- store/store/src/body.dict 112 300 200
//! ```
//!
//! The arguments are the file to write, its size in KiB, the number of patients to learn from and how many
//! samples are taken of the same thing. That limit matters: common records teach nothing more after some
//! dozens, and without it they would crowd out the names of rare ones.
#![allow(clippy::print_stdout, reason = "an example talks to its user")]

use std::collections::HashMap;
use std::error::Error;

use keepwell_sample::Sample;

/// Any seed will do; the committed dictionary was trained with this one.
const SEED: u64 = 20_261_122;
/// The records end in this year or one of those that follow.
const FIRST_YEAR: u16 = 2012;
const YEARS: u64 = 15;
const ALIKE_OF_ONE_PATIENT: usize = 2;
/// How much more of the notes is taken than of anything else: each is another text.
const NOTE_CLASSES: usize = 8;

/// Longer bodies are mostly lists of ids and images, which no dictionary helps.
const LONGEST_BYTES: usize = 16 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [path, kib, patients, alike] = &arguments[..] else { return Err("FILE KIB PATIENTS ALIKE".into()) };
    let samples = samples(patients.parse()?, alike.parse()?);
    let dictionary = zstd::dict::from_samples(&samples, kib.parse::<usize>()? * 1024)?;
    std::fs::write(path, &dictionary)?;
    println!("{} bytes from {} samples", dictionary.len(), samples.len());
    Ok(())
}

/// At most `alike` records of the same subject, two of one patient, in the forms that they have on their way.
///
/// Each patient has other providers and another year, so that no id, name or date is learned by heart.
fn samples(patients: u64, alike: usize) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut samples = Vec::new();
    for patient in 0..patients {
        let year = FIRST_YEAR + u16::try_from(patient % YEARS).unwrap_or_default();
        let mut own: HashMap<String, usize> = HashMap::new();
        for text in Sample::new(SEED + patient, (year, 11, 22)).resources(1) {
            let subject = subject_matter(&text);
            let mine = own.entry(subject.clone()).or_default();
            let all = seen.entry(subject).or_default();
            if text.len() <= LONGEST_BYTES && *all < alike && *mine < ALIKE_OF_ONE_PATIENT {
                samples.push(form(&text, *all));
                *all += 1;
                *mine += 1;
            }
        }
    }
    samples
}

/// The type of a record with its longest name; notes, which have none, fall into some classes by length.
fn subject_matter(text: &str) -> String {
    let kind = text.split('"').nth(3).unwrap_or_default();
    let names = text.split("\"text\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    let longest = names.max_by_key(|name| name.len());
    longest.map_or_else(|| format!("{kind} {}", text.len() % NOTE_CLASSES), |name| format!("{kind} {name}"))
}

/// A record as a server keeps it, as it travels inside a Bundle, or as a test server tags it, in turns.
fn form(text: &str, number: usize) -> String {
    match number % 4 {
        0 => text.to_owned(),
        1 | 2 => tagged(&with_references(text, urn)),
        _ => with_references(text, |target| conditional(target).unwrap_or_else(|| urn(target))),
    }
}

/// Changes each literal reference `Type/id`.
fn with_references(text: &str, change: impl Fn(&str) -> String) -> String {
    const MARK: &str = "\"reference\":\"";
    let mut parts = text.split(MARK);
    let mut changed = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (target, rest) = part.split_once('"').unwrap_or((part, ""));
        changed += MARK;
        changed += &if target.contains('/') { change(target) } else { target.to_owned() };
        changed.push('"');
        changed += rest;
    }
    changed
}

fn urn(target: &str) -> String {
    format!("urn:uuid:{}", target.rsplit('/').next().unwrap_or_default())
}

/// Providers are often referred to by a search for their number.
fn conditional(target: &str) -> Option<String> {
    let (kind, id) = target.split_once('/')?;
    let digits: String = id.bytes().map(|byte| char::from(b'0' + byte % 10)).take(10).collect();
    match kind {
        "Practitioner" => Some(format!("Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|{digits}")),
        "Organization" | "Location" => {
            Some(format!("{kind}?identifier=https://keepwell.example/identifier|{id}"))
        }
        _ => None,
    }
}

/// The tag that the SMART sandbox and servers like it append to what they hold.
fn tagged(text: &str) -> String {
    let open = text.strip_suffix('}').unwrap_or(text);
    if text.contains("\"meta\":") {
        return text.to_owned();
    }
    format!(
        "{open},\"meta\":{{\"tag\":[{{\"system\":\"https://smarthealthit.org/tags\",\"code\":\"test\"}}]}}}}"
    )
}
