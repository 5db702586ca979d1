//! Trains the dictionary that the store compresses bodies with, from generated records alone.
//!
//! ```text
//! cargo run --release -p keepwell-sample --example train_dictionary -- store/store/src/body.dict 112 400
//! ```
//!
//! The arguments are the file to write, its size in KiB and the number of patients to learn from.
#![allow(clippy::print_stdout, reason = "an example talks to its user")]

use std::error::Error;

use keepwell_sample::Sample;

/// Any seed will do; the committed dictionary was trained with this one.
const SEED: u64 = 20_261_122;
const TODAY: (u16, u8, u8) = (2026, 11, 22);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [path, kib, patients] = &arguments[..] else { return Err("FILE KIB PATIENTS".into()) };
    let samples = samples(patients.parse()?);
    let dictionary = zstd::dict::from_samples(&samples, kib.parse::<usize>()? * 1024)?;
    std::fs::write(path, &dictionary)?;
    println!("{} bytes from {} samples", dictionary.len(), samples.len());
    Ok(())
}

/// Records as a server keeps them and, in equal parts, as they travel inside Bundles: with `urn:uuid:`
/// references.
fn samples(patients: u64) -> Vec<String> {
    let sample = Sample::new(SEED, TODAY);
    sample
        .resources(patients)
        .enumerate()
        .map(|(number, text)| if number % 2 == 0 { text } else { as_in_bundle(&text) })
        .collect()
}

fn as_in_bundle(text: &str) -> String {
    let mut parts = text.split("\"reference\":\"");
    let head = parts.next().unwrap_or_default().to_owned();
    parts.fold(head, |mut all, part| {
        let target =
            part.split_once('/').filter(|(kind, _)| kind.bytes().all(|byte| byte.is_ascii_alphabetic()));
        all += "\"reference\":\"";
        match target {
            Some((_, id)) => {
                all += "urn:uuid:";
                all += id;
            }
            None => all += part,
        }
        all
    })
}
