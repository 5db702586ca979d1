//! The elements and values of all official examples, compared with an independent FHIRPath engine, fhirpathpy, and an
//! independent reading of what R4 says about values.
//!
//! `compare.py` says what is compared and how; `KEEPWELL_FHIRPATHPY` may name a Python that has the engine.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use keepwell_search::{self as search, Extractor, Number, Parameters, System};
use serde_json::{Value, json, value::RawValue};

#[path = "../parameters/shared.rs"]
mod shared;

/// The release that the committed differences were looked through for.
const ENGINE: &str = "fhirpathpy==2.2.4";

#[test]
fn elements_and_values_of_the_examples_are_those_of_an_independent_reading() {
    let Some(folder) = shared::folder("data/examples") else { return };
    let Some(definitions) = shared::folder("fhir/r4") else { return };
    let Some(python) = python() else {
        println!("skipped: neither a Python with {ENGINE} nor a package index can be reached");
        return;
    };
    let found = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("elements.ndjson");
    write_elements(&folder, &found);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fhirpath/compare.py");
    let output = Command::new(python)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(script)
        .args([&definitions, &folder, &found])
        .output();
    let output = output.expect("python runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    println!("{text}");
    let counts: Value = text.lines().last().and_then(|line| serde_json::from_str(line).ok()).expect("counts");
    assert_eq!(counts["resources"], 5299, "{text}");
    assert_eq!(counts["unexplained"], 0, "{text}");
    assert_eq!(counts["explained"], 12, "{text}");
    assert!(counts["compared"].as_u64() > Some(100_000), "{text}");
    assert!(counts["elements"].as_u64() > Some(100_000), "{text}");
    assert!(counts["values"].as_u64() > Some(100_000), "{text}");
}

/// One line for each resource, in the order of files and lines: the elements by the code of the parameter.
fn write_elements(folder: &Path, target: &Path) {
    let parameters = Parameters::r4();
    let mut extractor = Extractor::new(parameters.clone());
    let mut out = std::io::BufWriter::new(fs::File::create(target).expect("the folder can be written"));
    for path in shared::files(folder) {
        for line in shared::lines(&shared::read(&path)) {
            let mut values = BTreeMap::<String, Vec<Value>>::new();
            let extracted = extractor.extract(line).expect("the examples are JSON");
            for entry in extracted.values.entries() {
                let Some(parameter) = parameters.number(entry.number) else { continue };
                let list = values.entry(parameter.code.to_string()).or_default();
                list.extend(extracted.values.of(entry).iter().map(plain));
            }
            let mut found = BTreeMap::<String, Vec<Vec<Box<RawValue>>>>::new();
            for (number, parts) in extractor.elements(line).expect("the examples are JSON") {
                let Some(parameter) = parameters.number(number) else { continue };
                let parts: Vec<Box<RawValue>> = parts
                    .into_iter()
                    .map(|json| RawValue::from_string(json).expect("an element is JSON"))
                    .collect();
                found.entry(parameter.code.to_string()).or_default().push(parts);
            }
            serde_json::to_writer(&mut out, &(found, values)).expect("the file can be written");
            out.write_all(b"\n").expect("the file can be written");
        }
    }
    out.flush().expect("the file can be written");
}

/// A value as `convert.py` has it.
fn plain(value: &search::Value) -> Value {
    let system = |system: &System| match system {
        System::Uri(uri) => uri.to_string(),
        System::None | System::Implicit => String::new(),
    };
    match value {
        search::Value::Token { system: own, code } => json!(["token", system(own), code]),
        search::Value::Display(text) => json!(["text", text]),
        search::Value::TypedIdentifier { system, code, value } => json!(["typed", system, code, value]),
        search::Value::String(text) => json!(["string", text]),
        search::Value::Reference { resource_type, id, version } => {
            let name = resource_type.map_or("", |kind| kind.name());
            json!(["reference", format!("{name}/{id}"), version.as_deref().unwrap_or_default()])
        }
        search::Value::Url { url, version } => json!(["url", url, version.as_deref().unwrap_or_default()]),
        search::Value::Uri { url, version } => json!(["uri", url, version.as_deref().unwrap_or_default()]),
        search::Value::Logical { system: own, code } => json!(["logical", system(own), code]),
        search::Value::Date(range) => json!(["date", range.low, range.high]),
        search::Value::Number { low, high } => json!(["number", number(*low), number(*high)]),
        search::Value::Quantity { low, high, unit } => {
            let part = |part: &Option<Box<str>>| part.as_deref().unwrap_or_default().to_owned();
            json!([
                "quantity",
                number(*low),
                number(*high),
                part(&unit.system),
                part(&unit.code),
                part(&unit.text)
            ])
        }
        search::Value::Position { latitude, longitude } => json!(["position", latitude, longitude]),
        search::Value::Contained(_) => json!(["opaque"]),
        other => panic!("a new sort of value: {other:?}"),
    }
}

/// A number as a double, which is as near as JSON of Python has it.
fn number(number: Number) -> Value {
    match number.to_f64() {
        value if value > 1e300 => json!("far"),
        value if value < -1e300 => json!("-far"),
        value => json!(value),
    }
}

/// A Python that has the engine: a given one, or one in a virtual environment that is made here.
fn python() -> Option<PathBuf> {
    let has_engine = |python: &Path| {
        let check = Command::new(python).args(["-c", "import fhirpathpy"]).output();
        check.is_ok_and(|output| output.status.success())
    };
    if let Some(given) = std::env::var_os("KEEPWELL_FHIRPATHPY").map(PathBuf::from) {
        return Some(given);
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("fhirpathpy");
    let python = folder.join("bin/python");
    if !has_engine(&python) {
        Command::new("python3").args(["-m", "venv"]).arg(&folder).output().ok()?;
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ENGINE];
        Command::new(&python).args(install).output().ok()?;
    }
    has_engine(&python).then_some(python)
}
