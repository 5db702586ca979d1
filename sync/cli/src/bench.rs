//! Speed, size and memory of the store on given data, with bare SQLCipher beside it in the same process.
//!
//! Wiping freed memory is one switch for the whole process and cannot be turned off again, so imports with it, and
//! the one whose memory is measured, run in processes of their own.

mod baseline;
mod bodies;
mod copies;
mod ingest;
mod search;
mod sync;

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use keepwell_fhir::{ResourceType, Walker};
use keepwell_sample::Sample;
use keepwell_sqlcipher::Options;
use keepwell_store::{CHANGES_PAGE_MAX, ImportOptions, ImportSource, Operation, Store, StoreOptions};
use keepwell_vault::{FileKeychain, Keychain, MemoryKeychain};
use serde_json::{Value, json};

pub(crate) use self::sync::{hold, idle_alone, pull_alone, sync};

use self::baseline::Baseline;
use self::copies::Copies;
use self::ingest::Ingest;
use crate::args::{BenchImportArgs, BenchSearchArgs, BenchStoreArgs};
use crate::exit::{Failure, Result, io as io_failure};
use crate::files;
use crate::lines::Lines;
use crate::output::{Output, Table};
use crate::progress;

/// Resources that are read, each once.
const READS: usize = 2_000;
/// Single creates, and plain writes with fsync between them.
const CREATES: usize = 51;
/// How often the store is opened.
const OPENS: usize = 9;
/// Bytes of a plain write: a page.
const PLAIN_BYTES: usize = 4 * 1024;
/// Bytes of resources that are walked, unless `--walk` names others.
const WALK_BYTES: usize = 64 << 20;
/// How often the walked resources are gone through.
const WALK_ROUNDS: usize = 5;

/// The figures, under the names in which they are printed.
struct Figures {
    resources: u64,
    json_bytes: u64,
    disk_bytes: u64,
    raw_insert_per_s: f64,
    ingest_per_s: f64,
    ingest_per_s_wiping: f64,
    tail_vs_head: f64,
    read_p50_us: f64,
    open_ms: f64,
    create_ms: f64,
    fsync_ms: f64,
    walk_mb_per_s: f64,
    peak_mib: Option<f64>,
}

/// `bench store`.
pub(crate) fn store(out: Output, args: &BenchStoreArgs) -> Result<()> {
    let failed = io_failure("making a folder to measure in");
    let parent = args.directory.clone().unwrap_or_else(std::env::temp_dir);
    let place = tempfile::Builder::new().prefix("keepwell-bench-").tempdir_in(parent).map_err(&failed)?;
    let figures = measure(args, place.path())?;
    out.show(
        || figures.json(),
        |out| {
            let mut table = Table::new(&["", ""]);
            for (name, value) in figures.json().as_object().into_iter().flatten() {
                table.row([name.clone(), value.to_string()]);
            }
            table.write(out)
        },
    )
}

impl Figures {
    fn json(&self) -> Value {
        json!({
            "ingest_per_s": self.ingest_per_s.round(),
            "raw_insert_per_s": self.raw_insert_per_s.round(),
            "ingest_vs_raw": rounded(self.ingest_per_s / self.raw_insert_per_s),
            "ingest_per_s_wiping": self.ingest_per_s_wiping.round(),
            "tail_vs_head": rounded(self.tail_vs_head),
            "disk_vs_json": rounded(self.disk_bytes as f64 / self.json_bytes as f64),
            "read_p50_us": rounded(self.read_p50_us),
            "open_ms": rounded(self.open_ms),
            "create_ms": rounded(self.create_ms),
            "fsync_ms": rounded(self.fsync_ms),
            "walk_mb_per_s": self.walk_mb_per_s.round(),
            "peak_mib": self.peak_mib.map(rounded),
            "resources": self.resources,
            "json_bytes": self.json_bytes,
            "disk_bytes": self.disk_bytes,
        })
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

fn measure(args: &BenchStoreArgs, place: &Path) -> Result<Figures> {
    let rounds = args.rounds.max(1);
    let data = &files::listed(&args.data)?;
    let bar = progress::bar("measuring", Some(3 * rounds as u64 + 4));
    let step = |name: &'static str| {
        bar.set_message(name);
        bar.inc(1);
    };
    let keychain = Arc::new(MemoryKeychain::new());
    let directory = place.join("store");
    let options = ingest::options(false, keychain.clone());
    let plain = Options { cache_kib: options.cache_kib, memory_security: false, ..Options::default() };
    let batch = ImportOptions::default().batch;
    let (mut raw, mut ingests, mut tails) = (Vec::new(), Vec::new(), Vec::new());
    let mut counted = None;
    step("mixing");
    let mixed = place.join("mixed.ndjson");
    fs::write(&mixed, bodies::mixed(data)?.join("\n"))
        .map_err(io_failure("writing a file to measure with"))?;
    // By turns, so that a busy minute of the machine does not fall on one of the two alone.
    for _ in 0..rounds {
        step("bare SQLCipher");
        let baseline = baseline::run(data, place, batch, &plain)?;
        raw.push(baseline.resources as f64 / baseline.inserting.as_secs_f64());
        counted = Some(baseline);
        step("import of the mixture");
        clear(&directory)?;
        let mixture = ingest::into_new_store(&directory, &keychain, std::slice::from_ref(&mixed), false)?;
        tails.push(mixture.tail_vs_head());
        step("import");
        clear(&directory)?;
        ingests.push(ingest::into_new_store(&directory, &keychain, data, false)?);
    }
    let counted = counted.ok_or(Failure::NotHeld("there was a round"))?;
    let disk_bytes = size_of(&directory).map_err(io_failure("measuring a store"))?;
    step("open, read, create");
    let open_ms = median((0..OPENS).map(|_| open(&directory, &keychain)).collect::<Result<_>>()?);
    let store = Store::open(&directory, ingest::options(false, keychain.clone()))?;
    store.unlock(None)?;
    let read_p50_us = median(reads(&store)?);
    let (create_ms, fsync_ms) = creates(&store, place)?;
    store.lock()?;
    drop(store);
    step("imports in processes of their own");
    let alone = import_elsewhere(data, place, false)?;
    let wiping = import_elsewhere(data, place, true)?;
    step("walk");
    let walk_mb_per_s = walk(if args.walk.is_empty() { data } else { &args.walk }, args.walk.is_empty())?;
    bar.finish_and_clear();
    Ok(Figures {
        resources: counted.resources,
        json_bytes: counted.json_bytes,
        disk_bytes,
        raw_insert_per_s: median(raw),
        ingest_per_s: median(ingests.iter().map(Ingest::per_second).collect()),
        ingest_per_s_wiping: wiping["per_second"].as_f64().unwrap_or(f64::NAN),
        tail_vs_head: median(tails),
        read_p50_us,
        open_ms,
        create_ms,
        fsync_ms,
        walk_mb_per_s,
        peak_mib: alone["peak_kib"].as_f64().map(|kib| kib / 1024.0),
    })
}

fn clear(directory: &Path) -> Result<()> {
    let removed = if directory.exists() { fs::remove_dir_all(directory) } else { Ok(()) };
    removed.map_err(io_failure("removing a measured store"))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Bytes of every file below a directory.
fn size_of(directory: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let found = entry.metadata()?;
        bytes += if found.is_dir() { size_of(&entry.path())? } else { found.len() };
    }
    Ok(bytes)
}

/// `bench search`.
pub(crate) fn search(out: Output, args: &BenchSearchArgs) -> Result<()> {
    let failed = io_failure("making a folder to measure in");
    let parent = args.directory.clone().unwrap_or_else(std::env::temp_dir);
    let place = tempfile::Builder::new().prefix("keepwell-bench-").tempdir_in(parent).map_err(&failed)?;
    let kept = args.store.as_deref().unwrap_or_else(|| place.path());
    let directory = kept.join("store");
    let keychain: Arc<dyn Keychain> = Arc::new(FileKeychain::new(kept.join("keys")));
    let bar = progress::bar("measuring", Some(4));
    let step = |name: &'static str| {
        bar.set_message(name);
        bar.inc(1);
    };
    let data = &files::listed(&args.data)?;
    let mut figures = serde_json::Map::new();
    if !directory.exists() {
        fs::create_dir_all(kept).map_err(&failed)?;
        step("bare SQLCipher");
        let options = ingest::options(false, keychain.clone());
        let plain = Options { cache_kib: options.cache_kib, memory_security: false, ..Options::default() };
        let baseline = baseline::run(data, place.path(), ImportOptions::default().batch, &plain)?;
        step("import");
        let wanted = args.resources.unwrap_or(baseline.resources);
        let ingest = import_copies(&directory, options, data, wanted)?;
        let disk_bytes = size_of(&directory).map_err(io_failure("measuring a store"))?;
        figures.extend(ingest_figures(&baseline, &ingest, disk_bytes));
    }
    step("searches");
    let store = Store::open(&directory, ingest::options(false, keychain))?;
    store.unlock(None)?;
    let session = ingest::session(&store)?;
    let timings = search::run(&session)?;
    session.close()?;
    store.lock()?;
    step("extraction");
    let mut bodies = Vec::new();
    for file in files::listed(if args.extract.is_empty() { data } else { &args.extract })? {
        bodies.extend(bodies::of_file(&file)?);
    }
    let extraction = search::extraction(&bodies);
    figures.insert("walk_us".to_owned(), json!(rounded(extraction.walk_us)));
    figures.insert("extract_us".to_owned(), json!(rounded(extraction.whole_us - extraction.walk_us)));
    bar.finish_and_clear();
    let queries = timings.iter().map(|timing| (timing.name.to_owned(), timing.json()));
    figures.insert("queries".to_owned(), queries.collect::<serde_json::Map<_, _>>().into());
    out.show(
        || figures.clone().into(),
        |out| {
            let mut table = Table::new(&["", ""]);
            for (name, value) in figures.iter().filter(|(name, _)| *name != "queries") {
                table.row([name.clone(), value.to_string()]);
            }
            table.write(out)?;
            writeln!(out)?;
            let mut table = Table::new(&["query", "p50 ms", "against reads by id", "entries"]);
            for timing in &timings {
                table.row(timing.cells());
            }
            table.write(out)
        },
    )
}

/// What an import took and left on the disk, against bare SQLCipher.
fn ingest_figures(baseline: &Baseline, ingest: &Ingest, disk_bytes: u64) -> serde_json::Map<String, Value> {
    // Copies are as long as the originals.
    let json_bytes = baseline.json_bytes as f64 * ingest.resources as f64 / baseline.resources as f64;
    let raw_insert_per_s = baseline.resources as f64 / baseline.inserting.as_secs_f64();
    let figures = json!({
        "resources": ingest.resources,
        "ingest_per_s": ingest.per_second().round(),
        "raw_insert_per_s": raw_insert_per_s.round(),
        "ingest_vs_raw": rounded(ingest.per_second() / raw_insert_per_s),
        "tail_vs_head": rounded(ingest.tail_vs_head()),
        "disk_vs_json": rounded(disk_bytes as f64 / json_bytes),
        "json_bytes": json_bytes.round(),
        "disk_bytes": disk_bytes,
    });
    if let Value::Object(figures) = figures { figures } else { serde_json::Map::new() }
}

/// Makes a store of so many resources.
fn import_copies(
    directory: &Path,
    options: StoreOptions,
    files: &[PathBuf],
    resources: u64,
) -> Result<Ingest> {
    let copies = Copies::of(files)?;
    let store = Store::create(directory, options, None)?;
    let lines = Lines::new(copies.lines(resources), Arc::default());
    // Links between the entries of a Bundle lead to resources, as they would after a transaction: chains follow them.
    let import = ImportOptions { rewrite_references: true, ..ImportOptions::default() };
    let mut ingest = ingest::run(&store, [ImportSource::reader("copies", lines)], &import)?;
    ingest.settle(&store)?;
    store.lock()?;
    Ok(ingest)
}

/// From a closed store to one that answers, in ms.
fn open(directory: &Path, keychain: &Arc<MemoryKeychain>) -> Result<f64> {
    let started = Instant::now();
    let store = Store::open(directory, ingest::options(false, keychain.clone()))?;
    store.unlock(None)?;
    let elapsed = started.elapsed();
    store.lock()?;
    Ok(elapsed.as_secs_f64() * 1e3)
}

/// The time of each of [`READS`] reads of random resources, in µs. The store is opened just before and no resource
/// is read twice.
fn reads(store: &Store) -> Result<Vec<f64>> {
    let mut ids = Vec::new();
    let mut after = 0;
    loop {
        let page = store.changes_after(after, CHANGES_PAGE_MAX)?;
        let Some(last) = page.last() else { break };
        after = last.sequence;
        let created = page.iter().filter(|change| change.operation == Operation::Create);
        ids.extend(created.map(|change| (change.resource_type, change.id())));
    }
    // Listing has warmed the caches of the connections: these are new ones.
    store.lock()?;
    store.unlock(None)?;
    let session = ingest::session(store)?;
    let mut times = Vec::with_capacity(READS);
    let mut state = 1;
    for _ in 0..READS.min(ids.len()) {
        let index = usize::try_from(next_random(&mut state)).unwrap_or_default() % ids.len();
        let (resource_type, id) = ids.swap_remove(index);
        let started = Instant::now();
        black_box(session.read(resource_type, &id)?);
        times.push(started.elapsed().as_secs_f64() * 1e6);
    }
    session.close()?;
    Ok(times)
}

/// Knuth's linear congruential generator: the same ids in each run on the same data.
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// The median time of a single create, and of a plain write with fsync in the same place, in ms, taken by turns.
fn creates(store: &Store, place: &Path) -> Result<(f64, f64)> {
    let patient = ResourceType::parse("Patient").ok_or(Failure::NotHeld("Patient is a type of R4"))?;
    let body = Sample::new(1, (2026, 1, 1))
        .resources(1)
        .find(|json| json.starts_with(r#"{"resourceType":"Patient""#))
        .ok_or(Failure::NotHeld("a sample has a patient"))?;
    let failed = io_failure("writing a plain file");
    let mut plain = File::create(place.join("plain")).map_err(&failed)?;
    let session = ingest::session(store)?;
    let (mut creating, mut syncing) = (Vec::new(), Vec::new());
    for _ in 0..CREATES {
        let started = Instant::now();
        session.create(patient, body.as_bytes())?;
        creating.push(started.elapsed().as_secs_f64() * 1e3);
        let started = Instant::now();
        plain.write_all(&[7; PLAIN_BYTES]).and_then(|()| plain.sync_all()).map_err(&failed)?;
        syncing.push(started.elapsed().as_secs_f64() * 1e3);
    }
    session.close()?;
    Ok((median(creating), median(syncing)))
}

/// MB a second that one core walks, validation included.
fn walk(paths: &[PathBuf], some_suffice: bool) -> Result<f64> {
    let (mut bodies, mut bytes) = (Vec::new(), 0);
    for file in files::listed(paths)? {
        if some_suffice && bytes >= WALK_BYTES {
            break;
        }
        let more = bodies::of_file(&file)?;
        bytes += more.iter().map(|body| body.json.len()).sum::<usize>();
        bodies.extend(more);
    }
    let mut walker = Walker::new();
    let mut pass = || -> f64 {
        let started = Instant::now();
        let issues: usize =
            bodies.iter().map(|body| walker.walk(&body.json).map_or(1, |walk| walk.issues.len())).sum();
        black_box(issues);
        bytes as f64 / 1e6 / started.elapsed().as_secs_f64()
    };
    // The first pass warms the walker.
    pass();
    Ok(median((0..WALK_ROUNDS).map(|_| pass()).collect()))
}

/// Runs `bench import` with this program and reads what it printed.
fn import_elsewhere(data: &[PathBuf], place: &Path, wipe: bool) -> Result<Value> {
    let failed = io_failure("running an import in another process");
    let mut command = Command::new(std::env::current_exe().map_err(&failed)?);
    let directory = place.join(if wipe { "wiping" } else { "alone" });
    command.args(["bench", "import", "--directory"]).arg(&directory).arg("--data").args(data);
    if wipe {
        command.arg("--wipe");
    }
    let done = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(&failed)?;
    let told = serde_json::from_slice(&done.stdout).ok().filter(|_| done.status.success());
    told.ok_or(Failure::NotHeld("an import in another process succeeds"))
}

/// `bench import`: one import in this process, and its peak of memory.
pub(crate) fn import_alone(args: &BenchImportArgs) -> Result<()> {
    let keychain = Arc::new(MemoryKeychain::new());
    let ingest = ingest::into_new_store(&args.directory, &keychain, &args.data, args.wipe)?;
    let told = json!({ "per_second": ingest.per_second(), "peak_kib": peak_kib() });
    Output::new(true).show(|| told, |_| Ok(()))
}

/// The most memory that this process ever had, where the system tells.
fn peak_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}
