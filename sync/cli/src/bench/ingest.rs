//! An import as it is done for real, measured.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keepwell_store::{Actor, ImportOptions, ImportSource, Session, Store, StoreOptions};
use keepwell_vault::{Keychain, MemoryKeychain};

use crate::context::APP;
use crate::exit::{Failure, Result};

/// The share of an import that is its head, and its tail.
const END: f64 = 0.1;

/// Options as the program has them, with a keychain of the bench's own: that is not what is measured.
pub(super) fn options(wipe: bool, keychain: Arc<dyn Keychain>) -> StoreOptions {
    let mut options = StoreOptions::new(APP, "bench", Some(keychain));
    options.memory_security = wipe;
    options
}

pub(super) fn session(store: &Store) -> Result<Session> {
    let actor =
        Actor::new("bench", APP, "bench").map_err(|_| Failure::NotHeld("the name of the bench is a name"))?;
    Ok(store.session(actor)?)
}

/// What an import did, and when.
pub(super) struct Ingest {
    pub(super) resources: u64,
    pub(super) elapsed: Duration,
    /// Seconds since the beginning, and resources stored by then.
    marks: Vec<(f64, f64)>,
}

impl Ingest {
    pub(super) fn per_second(&self) -> f64 {
        self.resources as f64 / self.elapsed.as_secs_f64()
    }

    /// Brings the index to rest, which counts as a part of the import.
    pub(super) fn settle(&mut self, store: &Store) -> Result<()> {
        let started = Instant::now();
        session(store)?.settle()?;
        self.elapsed += started.elapsed();
        Ok(())
    }

    /// The rate of the last tenth of the resources against that of the first. It compares the store with itself only
    /// where both tenths hold the same kinds of resources.
    pub(super) fn tail_vs_head(&self) -> f64 {
        let all = self.resources as f64;
        let head = self.time_of(END * all);
        let tail = self.time_of(all) - self.time_of((1.0 - END) * all);
        head / tail
    }

    /// When so many resources were stored, between the commits before and after in proportion.
    fn time_of(&self, resources: f64) -> f64 {
        let mut before = (0.0, 0.0);
        for &mark in &self.marks {
            if mark.1 >= resources && mark.1 > before.1 {
                return before.0 + (mark.0 - before.0) * (resources - before.1) / (mark.1 - before.1);
            }
            before = mark;
        }
        before.0
    }
}

/// Imports one source after the other.
pub(super) fn run<'s>(
    store: &Store,
    sources: impl IntoIterator<Item = ImportSource<'s>>,
    options: &ImportOptions,
) -> Result<Ingest> {
    let session = session(store)?;
    let started = Instant::now();
    let mut ingest = Ingest { resources: 0, elapsed: Duration::ZERO, marks: Vec::new() };
    for source in sources {
        let before = ingest.resources;
        let marks = &mut ingest.marks;
        let report = session.import(source, options, &mut |progress| {
            marks.push((started.elapsed().as_secs_f64(), (before + progress.resources) as f64));
        })?;
        ingest.resources += report.resources();
    }
    ingest.elapsed = started.elapsed();
    session.close()?;
    Ok(ingest)
}

/// Makes a store in `directory` and imports `files` into it.
pub(super) fn into_new_store(
    directory: &Path,
    keychain: &Arc<MemoryKeychain>,
    files: &[PathBuf],
    wipe: bool,
) -> Result<Ingest> {
    let store = Store::create(directory, options(wipe, keychain.clone()), None)?;
    let sources = files.iter().map(|file| ImportSource::file(file));
    let ingest = run(&store, sources, &ImportOptions::default())?;
    store.lock()?;
    Ok(ingest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_compared_with_the_head_between_commits() {
        let even = Ingest {
            resources: 100,
            elapsed: Duration::from_secs(10),
            marks: vec![(2.5, 25.0), (5.0, 50.0), (10.0, 100.0)],
        };
        assert!((even.tail_vs_head() - 1.0).abs() < 1e-9);
        let slowing = Ingest { marks: vec![(1.0, 50.0), (3.0, 100.0)], ..even };
        assert!((slowing.tail_vs_head() - 0.5).abs() < 1e-9);
    }
}
