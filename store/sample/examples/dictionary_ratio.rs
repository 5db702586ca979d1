//! How small and how fast a body dictionary makes single resources.
//!
//! ```text
//! cargo run --release -p keepwell-sample --example dictionary_ratio -- DICTIONARY [LEVEL..] -- FILE..
//! ```
//!
//! Each FILE is NDJSON, plain or zstd, of Bundles or of resources; every resource is compressed alone, with
//! reused contexts and prepared dictionaries, as a store does.
#![allow(clippy::print_stdout, reason = "an example talks to its user")]

use std::error::Error;
use std::hint::black_box;
use std::io::Read;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

type Bodies = Vec<Box<[u8]>>;
type Outcome<T> = Result<T, Box<dyn Error>>;

#[derive(serde::Deserialize)]
struct Bundle<'a> {
    #[serde(borrow, default)]
    entry: Vec<Entry<'a>>,
}

#[derive(serde::Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    resource: &'a RawValue,
}

fn main() -> Outcome<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let mut parts = arguments.splitn(2, |argument| argument == "--");
    let (options, files) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let (path, levels) = options.split_first().ok_or("a dictionary is missing")?;
    let dictionary = std::fs::read(path)?;
    let bodies = bodies(files)?;
    let total: usize = bodies.iter().map(|body| body.len()).sum();
    println!(
        "{} resources, {:.0} bytes each, dictionary {} bytes",
        bodies.len(),
        mean(total, &bodies),
        dictionary.len()
    );
    println!("level  dictionary  bytes/resource  ratio  compress us  decompress us");
    for level in levels {
        let level: i32 = level.parse()?;
        let plain = (Compressor::new(level)?, Decompressor::new()?);
        report(level, "none", &bodies, plain)?;
        let encoder = EncoderDictionary::copy(&dictionary, level);
        let decoder = DecoderDictionary::copy(&dictionary);
        let prepared = (
            Compressor::with_prepared_dictionary(&encoder)?,
            Decompressor::with_prepared_dictionary(&decoder)?,
        );
        report(level, "trained", &bodies, prepared)?;
    }
    Ok(())
}

fn bodies(files: &[String]) -> Outcome<Bodies> {
    let mut bodies = Bodies::new();
    for file in files {
        let mut text = String::new();
        let raw = std::fs::File::open(file)?;
        if file.ends_with(".zst") {
            zstd::Decoder::new(raw)?.read_to_string(&mut text)?;
        } else {
            std::io::BufReader::new(raw).read_to_string(&mut text)?;
        }
        for line in text.lines() {
            let bundle: Bundle<'_> = serde_json::from_str(line)?;
            bodies.extend(bundle.entry.iter().map(|entry| entry.resource.get().as_bytes().into()));
            if bundle.entry.is_empty() {
                bodies.push(line.as_bytes().into());
            }
        }
    }
    Ok(bodies)
}

fn report(
    level: i32,
    name: &str,
    bodies: &Bodies,
    (mut compressor, mut decompressor): (Compressor<'_>, Decompressor<'_>),
) -> Outcome<()> {
    // The size and the checksum stand elsewhere in a store.
    compressor.include_contentsize(false)?;
    compressor.include_checksum(false)?;
    compressor.include_dictid(false)?;
    let longest = bodies.iter().map(|body| body.len()).max().unwrap_or(0);
    let mut out = vec![0; zstd::zstd_safe::compress_bound(longest)];
    let mut back = vec![0; longest];
    let (mut small, mut compressing, mut decompressing) = (0, Duration::ZERO, Duration::ZERO);
    for body in bodies {
        let start = Instant::now();
        let length = compressor.compress_to_buffer(body, &mut out)?;
        let middle = Instant::now();
        let restored = decompressor.decompress_to_buffer(&out[..length], &mut back)?;
        decompressing += middle.elapsed();
        compressing += middle - start;
        if back[..restored] != body[..] {
            return Err("a body changed".into());
        }
        small += black_box(length);
    }
    let each = |time: Duration| time.as_secs_f64() * 1e6 / bodies.len() as f64;
    let bytes = mean(small, bodies);
    let ratio = mean(bodies.iter().map(|body| body.len()).sum(), bodies) / bytes;
    let (pack, unpack) = (each(compressing), each(decompressing));
    println!("{level:>5}  {name:>10}  {bytes:>14.1}  {ratio:>5.2}  {pack:>11.2}  {unpack:>13.2}");
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn mean(sum: usize, bodies: &Bodies) -> f64 {
    sum as f64 / bodies.len().max(1) as f64
}
