//! How long it takes to find out by what a resource can be found: the walk with all checks, the values of all
//! parameters, the index terms.
//!
//! `cargo run --release -p keepwell-search --example extract_speed -- ../shared/data/examples`

use std::hint::black_box;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use keepwell_fhir::Walker;
use keepwell_search::{Extractor, Parameters, Terms, terms};

/// How often all files are gone through.
const ROUNDS: usize = 9;

/// How many resources are timed together. The best round of each group counts: others share the machine.
const GROUP: usize = 64;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        return print("usage: extract_speed FOLDER", ExitCode::FAILURE);
    };
    let Ok(documents) = read(Path::new(&folder)) else {
        return print("the folder cannot be read", ExitCode::FAILURE);
    };
    let lines: Vec<&[u8]> = documents.split(|&b| b == b'\n').filter(|line| !line.is_empty()).collect();
    let (mut walker, mut extractor, mut out) =
        (Walker::new(), Extractor::new(Parameters::r4()), Terms::new());
    let other: Vec<&[u8]> = lines.iter().filter(|line| !is_definition(line)).copied().collect();
    for (what, lines) in [("all", &lines), ("without definitions", &other)] {
        let bytes: usize = lines.iter().map(|line| line.len()).sum();
        let count = lines.len();
        let walk = best(lines, |line| walker.walk(line).map_or(0, |walk| walk.issues.len()));
        let values = best(lines, |line| {
            extractor.extract(line).map_or(0, |extracted| extracted.values.entries().count())
        });
        let mut counts = (0, 0);
        let all = best(lines, |line| {
            let Ok(extracted) = extractor.extract(line) else { return 0 };
            let id = extracted.walk.id.map(|id| id.text(line)).unwrap_or_default();
            terms(extracted.walk.resource_type, &id, extracted.values, &mut out);
            counts.0 += extracted.values.entries().count();
            counts.1 += out.len();
            out.len()
        });
        let us = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
        let _ = print(
            &format!(
                "{what}: {count} resources of {} bytes on average: walk {:.2} us, with values {:.2} us, \
                 with terms {:.2} us; {:.1} entries and {:.1} terms each (best of {ROUNDS})",
                bytes / count,
                us(walk),
                us(values),
                us(all),
                counts.0 as f64 / (ROUNDS * count) as f64,
                counts.1 as f64 / (ROUNDS * count) as f64,
            ),
            ExitCode::SUCCESS,
        );
    }
    ExitCode::SUCCESS
}

/// The best time over all resources, group by group.
fn best(lines: &[&[u8]], mut work: impl FnMut(&[u8]) -> usize) -> Duration {
    let mut best = vec![Duration::MAX; lines.len().div_ceil(GROUP)];
    for _ in 0..ROUNDS {
        for (group, best) in lines.chunks(GROUP).zip(&mut best) {
            let start = Instant::now();
            black_box(group.iter().map(|line| work(line)).sum::<usize>());
            *best = start.elapsed().min(*best);
        }
    }
    best.iter().sum()
}

/// Whether a resource is one of the definitions of FHIR itself, which are most of the official examples.
fn is_definition(line: &[u8]) -> bool {
    const TYPES: [&str; 8] = [
        "CodeSystem",
        "ConceptMap",
        "OperationDefinition",
        "SearchParameter",
        "StructureDefinition",
        "ValueSet",
        "CapabilityStatement",
        "CompartmentDefinition",
    ];
    TYPES.iter().any(|name| line.starts_with(format!("{{\"resourceType\":\"{name}\"").as_bytes()))
}

fn read(folder: &Path) -> std::io::Result<Vec<u8>> {
    let mut paths: Vec<_> =
        std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "gz"));
    paths.sort();
    let mut documents = Vec::new();
    for path in paths {
        GzDecoder::new(std::fs::File::open(path)?).read_to_end(&mut documents)?;
        documents.push(b'\n');
    }
    Ok(documents)
}

#[expect(clippy::print_stdout, reason = "this is a command line tool")]
fn print(text: &str, code: ExitCode) -> ExitCode {
    println!("{text}");
    code
}
