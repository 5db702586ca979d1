//! Speed of searches: a fixed mix of queries, with values that the data itself has.

use std::hint::black_box;
use std::time::Instant;

use keepwell_fhir::Walker;
use keepwell_search::{Extractor, Parameters, Terms, terms};
use keepwell_store::{SearchPage, Session};
use serde_json::Value;

use super::bodies::Body;
use super::{median, rounded};
use crate::exit::Result;

/// Resources that give the values of the queries.
const SAMPLES: usize = 20;
/// How often each query is asked; the first answers warm the caches and count as well.
const ROUNDS: usize = 5;

/// What a query took.
pub(super) struct Timing {
    pub(super) name: &'static str,
    p50_ms: f64,
    /// The same resources, read one by one under their ids.
    baseline_ms: Option<f64>,
    /// Resources on the first page, included ones too, as a mean over the values.
    entries: f64,
}

impl Timing {
    pub(super) fn cells(&self) -> [String; 4] {
        let ratio = self.baseline_ms.map(|baseline| format!("{:.2}", self.p50_ms / baseline));
        [
            self.name.to_owned(),
            format!("{:.3}", self.p50_ms),
            ratio.unwrap_or_default(),
            format!("{:.1}", self.entries),
        ]
    }

    pub(super) fn json(&self) -> Value {
        serde_json::json!({
            "p50_ms": rounded(self.p50_ms),
            "vs_baseline": self.baseline_ms.map(|baseline| rounded(self.p50_ms / baseline)),
            "entries": rounded(self.entries),
        })
    }
}

/// What it takes to find out by what a resource can be found, in µs a resource.
pub(super) struct Extraction {
    /// The walk with all checks.
    pub(super) walk_us: f64,
    /// The same walk, the values of all parameters, and the terms of the index.
    pub(super) whole_us: f64,
}

/// Times walks with and without extraction by turns, so that both meet the same machine.
pub(super) fn extraction(bodies: &[Body]) -> Extraction {
    let (mut walker, mut extractor) = (Walker::new(), Extractor::new(Parameters::r4()));
    let mut out = Terms::new();
    let mut walks = |json: &[u8]| walker.walk(json).map_or(0, |walk| walk.issues.len());
    let mut takes_apart = |json: &[u8]| {
        let Ok(extracted) = extractor.extract(json) else { return 0 };
        let id = extracted.walk.id.map(|id| id.text(json)).unwrap_or_default();
        terms(extracted.walk.resource_type, &id, extracted.values, &mut out);
        out.len()
    };
    let rounds = (0..ROUNDS).map(|_| (pass(bodies, &mut walks), pass(bodies, &mut takes_apart)));
    let (walk, whole) = rounds.unzip();
    Extraction { walk_us: median(walk), whole_us: median(whole) }
}

fn pass(bodies: &[Body], mut work: impl FnMut(&[u8]) -> usize) -> f64 {
    let started = Instant::now();
    for body in bodies {
        black_box(work(&body.json));
    }
    started.elapsed().as_secs_f64() * 1e6 / bodies.len().max(1) as f64
}

/// Measures every query of the mix.
pub(super) fn run(session: &Session) -> Result<Vec<Timing>> {
    mix(session)?.into_iter().map(|(name, queries)| measure(session, name, &queries)).collect()
}

/// The mix: a name, and the query with one value after the other.
fn mix(session: &Session) -> Result<Vec<(&'static str, Vec<String>)>> {
    let patients = resources(session, &format!("Patient?identifier:missing=false&_count={SAMPLES}"))?;
    let observations = resources(session, &format!("Observation?_sort=date&_count={}", 10 * SAMPLES))?;
    let identifiers = texts(&patients, |patient| {
        let identifier = &patient["identifier"][0];
        Some(format!("{}|{}", identifier["system"].as_str()?, identifier["value"].as_str()?))
    });
    let families = texts(&patients, |patient| patient["name"][0]["family"].as_str().map(str::to_owned));
    let prefixes = texts(&patients, |patient| {
        patient["name"][0]["family"].as_str().map(|family| family.chars().take(3).collect())
    });
    let ids = texts(&patients, |patient| patient["id"].as_str().map(str::to_owned));
    let codes = texts(&observations, |observation| {
        let coding = &observation["code"]["coding"][0];
        Some(format!("{}|{}", coding["system"].as_str()?, coding["code"].as_str()?))
    });
    let with = |values: &[String], query: &str| -> Vec<String> {
        values.iter().map(|value| query.replace("{}", value)).collect()
    };
    let years: Vec<String> = (2010..2020).map(|year| year.to_string()).collect();
    let of_patient: Vec<String> = ids
        .iter()
        .zip(codes.iter().cycle())
        .map(|(id, code)| {
            format!(
                "Observation?patient=Patient/{id}&code={code}&date=ge2000&_include=Observation:encounter&_count=20"
            )
        })
        .collect();
    Ok(vec![
        ("token_identifier", with(&identifiers, "Patient?identifier={}")),
        ("token_code", with(&codes, "Observation?code={}&_count=20")),
        ("string_prefix", with(&prefixes, "Patient?family={}&_count=20")),
        ("date_sorted", with(&years, "Observation?date=ge{}&_sort=-date&_count=20")),
        ("chain", with(&families, "Observation?subject:Patient.family={}&_count=20")),
        ("chain_of_half", vec!["Observation?patient.gender=female&_count=20".to_owned()]),
        ("has", with(&codes, "Patient?_has:Observation:patient:code={}&_count=20")),
        ("and_of_three_include", of_patient),
        (
            "quantity",
            with(
                &["50", "100", "150"].map(str::to_owned),
                "Observation?value-quantity=gt{}||mg/dL&_count=20",
            ),
        ),
        ("count_of_a_tenth", vec![count_of_a_tenth(session)?]),
        ("everything", with(&ids, "Patient/{}/$everything?_count=50")),
        (
            "full_text",
            with(&["diabetes", "asthma", "fracture"].map(str::to_owned), "Condition?_content={}&_count=20"),
        ),
    ])
}

/// The count whose result is nearest to a tenth of the store.
fn count_of_a_tenth(session: &Session) -> Result<String> {
    let total = |query: &str| -> Result<u64> { Ok(search(session, query)?.total.unwrap_or(0)) };
    let tenth = total("?_summary=count")? / 10;
    let candidates = [
        "Encounter?status=finished",
        "Claim?status=active",
        "Procedure?status=completed",
        "DiagnosticReport?status=final",
        "Observation?category=vital-signs",
        "Observation?category=laboratory",
    ];
    let mut best = (u64::MAX, String::new());
    for candidate in candidates {
        let query = format!("{candidate}&_summary=count");
        let distance = total(&query)?.abs_diff(tenth);
        if distance < best.0 {
            best = (distance, query);
        }
    }
    Ok(best.1)
}

fn search(session: &Session, query: &str) -> Result<SearchPage> {
    Ok(session.search(query)?)
}

fn resources(session: &Session, query: &str) -> Result<Vec<Value>> {
    let page = search(session, query)?;
    Ok(page.entries.iter().filter_map(|entry| serde_json::from_slice(&entry.body).ok()).collect())
}

/// A few different texts.
fn texts(resources: &[Value], text: impl Fn(&Value) -> Option<String>) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for found in resources.iter().filter_map(text) {
        if !texts.contains(&found) && texts.len() < SAMPLES {
            texts.push(found);
        }
    }
    texts
}

fn measure(session: &Session, name: &'static str, queries: &[String]) -> Result<Timing> {
    let (mut times, mut baselines, mut entries) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        for query in queries {
            let started = Instant::now();
            let page = black_box(search(session, query)?);
            times.push(started.elapsed().as_secs_f64() * 1e3);
            entries += page.entries.len();
            if !page.entries.is_empty() {
                let started = Instant::now();
                for entry in &page.entries {
                    black_box(session.read(entry.resource_type, &entry.id)?);
                }
                baselines.push(started.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    let asked = times.len().max(1) as f64;
    let baseline_ms = (!baselines.is_empty()).then(|| median(baselines));
    Ok(Timing { name, p50_ms: median(times), baseline_ms, entries: entries as f64 / asked })
}
