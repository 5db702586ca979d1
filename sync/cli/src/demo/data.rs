//! What the demo works with: made-up patients, or a folder of somebody's.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use keepwell_sample::Sample;
use keepwell_store::{ImportOptions, ImportSource, OnError, Session};

use crate::exit::Result;
use crate::files;
use crate::lines::Lines;
use crate::output::grouped;
use crate::progress;

/// The same patients in every demo.
const SEED: u64 = 1;
const DAY: (u16, u8, u8) = (2026, 11, 22);

/// What an import brought.
pub(super) struct Loaded {
    pub(super) resources: u64,
    pub(super) refused: u64,
    pub(super) json_bytes: u64,
    pub(super) elapsed: Duration,
}

/// Makes patients up and imports them while they are made.
pub(super) fn import_sample(session: &Session, patients: u64) -> Result<Loaded> {
    let sample = Sample::new(SEED, DAY);
    let bytes = Arc::new(AtomicU64::new(0));
    let source = ImportSource::reader("sample", Lines::new(sample.resources(patients), Arc::clone(&bytes)));
    let bar = progress::bar("importing", None);
    let mut loaded = import(session, source, &bar)?;
    bar.finish_and_clear();
    loaded.json_bytes = bytes.load(Ordering::Relaxed);
    Ok(loaded)
}

/// Imports every Bundle and NDJSON file of a folder.
pub(super) fn import_folder(session: &Session, folder: &Path) -> Result<Loaded> {
    let files = files::listed(&[folder.to_owned()])?;
    let bar = progress::bar("importing", Some(files.len() as u64));
    let mut all = Loaded { resources: 0, refused: 0, json_bytes: 0, elapsed: Duration::ZERO };
    for file in &files {
        let loaded = import(session, ImportSource::file(file), &bar)?;
        all.resources += loaded.resources;
        all.refused += loaded.refused;
        all.elapsed += loaded.elapsed;
        bar.inc(1);
    }
    bar.finish_and_clear();
    all.json_bytes = json_bytes(session)?;
    Ok(all)
}

fn import(session: &Session, source: ImportSource<'_>, bar: &ProgressBar) -> Result<Loaded> {
    let options = ImportOptions { on_error: OnError::Skip, ..ImportOptions::default() };
    let started = Instant::now();
    let report = session.import(source, &options, &mut |progress| {
        bar.set_message(format!("{} resources", grouped(progress.resources)));
    })?;
    Ok(Loaded {
        resources: report.resources(),
        refused: report.refused,
        json_bytes: 0,
        elapsed: started.elapsed(),
    })
}

/// Bytes of all resources, as an export would write them.
fn json_bytes(session: &Session) -> Result<u64> {
    let options = keepwell_store::ExportOptions::default();
    let written = session.elevate(None)?.export(&mut std::io::sink(), &options, &mut |_| {})?;
    Ok(written.bytes)
}
