//! Importing Bundles and NDJSON, of any size, in constant memory.
//!
//! A thread reads, decompresses, splits and prepares; the caller's thread writes. Each entry is stored under its own
//! id, byte for byte: what comes out is what went in. A commit holds many entries and, in the same transaction, how
//! far the source has been read, so an import that is killed goes on where it was.
//!
//! Invariants: an entry is neither lost nor stored twice, whatever interrupts the import; a lock waits for one commit
//! at the most.

mod batch;
mod records;
mod source;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use self::batch::{Batch, Producer};
pub use self::source::ImportSource;
use self::source::Opened;
use crate::audit::Action;
use crate::change_feed::Operation;
use crate::error::{Error, Result};
use crate::prepare::Prepared;
use crate::session::Session;
use crate::unit::Unit;
use crate::writer::EventHeader;

/// Refused records that a report lists; further ones are only counted.
pub const REFUSALS_LISTED_MAX: usize = 1_000;

/// Bytes of stored bodies after which a commit is due, whatever [`ImportOptions::batch`] says.
pub const COMMIT_BYTES_MAX: usize = 8 << 20;

/// Resources of one commit, unless told otherwise: more are hardly faster, and each waits in memory.
pub const IMPORT_BATCH: usize = 2_500;

/// How long a transaction stays open for a source that is slower than the writer: others wait to write meanwhile.
const PATIENCE: Duration = Duration::from_millis(100);

/// Batches that may wait for the writer: what is prepared while it commits, merges the index and empties the log.
const BATCHES_WAITING_MAX: usize = 12;

/// What an import does with a record that cannot be stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// Ends with [`Error::Record`]; everything before the record is stored.
    #[default]
    Stop,
    /// Goes on, and reports the record.
    Skip,
}

/// How an import is done.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// Makes `urn:uuid:` links between the entries of a Bundle point to the stored resources (`Type/id`). Off, all
    /// bytes stay as they are.
    pub rewrite_references: bool,
    /// Stores Bundles as resources of type Bundle instead of their entries.
    pub keep_bundles: bool,
    /// Goes on where an interrupted import of the same source was. One that had come to its end begins anew, which
    /// changes nothing that is equal.
    pub resume: bool,
    /// What happens to a record that cannot be stored.
    pub on_error: OnError,
    /// Stores resources that break the rules of their type, as other systems hand them over. Off, they are refused.
    pub accept_invalid: bool,
    /// Resources of one commit: what waits for it is held in memory.
    pub batch: usize,
    /// Set to true by another thread, or by `progress`, it ends the import before its next commit.
    pub cancel: Option<Arc<AtomicBool>>,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            rewrite_references: false,
            keep_bundles: false,
            resume: true,
            on_error: OnError::Stop,
            accept_invalid: false,
            batch: IMPORT_BATCH,
            cancel: None,
        }
    }
}

/// How far an import has come: told after each commit.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ImportProgress {
    /// Entries of the source that are dealt with, those of an earlier run included.
    pub entries: u64,
    /// Resources stored or found equal by this run.
    pub resources: u64,
    /// Bytes of the source that were read, before decompression.
    pub bytes_read: u64,
    /// All bytes of the source, where it is a file.
    pub bytes_total: Option<u64>,
}

/// A record that was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The line or the entry, counted through the whole source from 1.
    pub record: u64,
    /// [`Error::code`] of the reason.
    pub code: u16,
}

/// What an import did.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ImportReport {
    /// Entries of the source, those of an earlier run included.
    pub entries: u64,
    /// Entries that an earlier run had stored.
    pub resumed: u64,
    /// Resources that are new.
    pub created: u64,
    /// Resources that got a further version.
    pub updated: u64,
    /// Resources whose content was the current content already.
    pub unchanged: u64,
    /// Records that were not stored.
    pub refused: u64,
    /// The first [`REFUSALS_LISTED_MAX`] of them.
    pub refusals: Vec<Refusal>,
    /// `urn:uuid:` links between entries of a Bundle that were stored as they are: [`ImportOptions::rewrite_references`]
    /// was off.
    pub links_kept: u64,
    /// Transactions that were committed.
    pub commits: u64,
    /// Bytes of the source, before decompression.
    pub bytes_read: u64,
    /// Time spent reading and preparing, beside the writing.
    pub preparing: Duration,
    /// Time spent writing and committing.
    pub writing: Duration,
    /// Time from beginning to end.
    pub elapsed: Duration,
}

impl ImportReport {
    /// Resources stored or found equal.
    #[must_use]
    pub fn resources(&self) -> u64 {
        self.created + self.updated + self.unchanged
    }
}

impl Session {
    /// Imports Bundles of any type and NDJSON: one document a line, or one in the whole source. A resource keeps its
    /// id, and one without gets one.
    ///
    /// Calls `progress` after each commit.
    ///
    /// # Errors
    /// [`Error::Record`] for a record that cannot be stored, unless [`OnError::Skip`] is asked for; [`Error::Io`] when
    /// the source cannot be read to its end; [`Error::Cancelled`]. What was committed before stays, and a further
    /// import goes on from it.
    pub fn import(
        &self,
        source: ImportSource<'_>,
        options: &ImportOptions,
        progress: &mut dyn FnMut(&ImportProgress),
    ) -> Result<ImportReport> {
        let clock = self.store.inner.options.clock.clone();
        let started = clock.monotonic();
        let Opened { id, total_bytes, bytes_read, records } =
            source.open(&[u8::from(options.keep_bundles)])?;
        let (_stage, resumed, known) = {
            let open = self.enter()?;
            let reader = self.store.inner.reader(&open)?;
            let resumed = if options.resume { committed(&reader.connection, &id)? } else { 0 };
            let known = open.index.state(&reader.connection)?.known.clone();
            (open.attachments.stage(), resumed, known)
        };
        let mut consumer = Consumer {
            session: self,
            source: &id,
            limit: options.batch.max(1),
            cancel: options.cancel.as_deref(),
            report: ImportReport { entries: resumed, resumed, ..ImportReport::default() },
        };
        let (out, batches) = sync_channel(BATCHES_WAITING_MAX);
        let producer = Producer { session: self, options, source: &id, resumed, known, out };
        let consumer = &mut consumer;
        let (done, preparing) = thread::scope(|scope| {
            let producer = scope.spawn(|| producer.run(records));
            let done = consumer.run(batches, &mut |report| {
                progress(&ImportProgress {
                    entries: report.entries,
                    resources: report.resources(),
                    bytes_read: bytes_read.load(Ordering::Relaxed),
                    bytes_total: total_bytes,
                });
            });
            let preparing = producer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (done, preparing)
        });
        done?;
        let mut report = std::mem::take(&mut consumer.report);
        report.preparing = preparing;
        report.bytes_read = bytes_read.load(Ordering::Relaxed);
        report.elapsed = clock.monotonic().saturating_sub(started);
        Ok(report)
    }
}

/// The half of an import that writes.
struct Consumer<'a> {
    session: &'a Session,
    source: &'a str,
    /// Resources of one commit.
    limit: usize,
    cancel: Option<&'a AtomicBool>,
    report: ImportReport,
}

impl Consumer<'_> {
    /// Writes what arrives; `batches` ends here, so that the producer ends when writing has failed.
    fn run(
        &mut self,
        batches: Receiver<Result<Batch>>,
        progress: &mut dyn FnMut(&ImportReport),
    ) -> Result<()> {
        while let Ok(batch) = batches.recv() {
            if self.cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed)) {
                return Err(Error::Cancelled);
            }
            let failure = self.commit(batch?, &batches)?;
            progress(&self.report);
            if let Some(error) = failure {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Writes `first` and what arrives meanwhile as one transaction, together with how far the source is dealt with
    /// then. Returns what made the producer end, if that arrived: everything before it is stored.
    fn commit(&mut self, first: Batch, batches: &Receiver<Result<Batch>>) -> Result<Option<Error>> {
        let session = self.session;
        let clock = &session.store.inner.options.clock;
        let started = clock.monotonic();
        let mut waited = Duration::ZERO;
        let detail = serde_json::json!({ "source": self.source }).to_string();
        let header = EventHeader {
            actor: session.actor_key,
            action: Action::Import,
            detail: Some(&detail),
            is_always: true,
        };
        let open = session.enter()?;
        let (written, failure) = session.store.inner.write(&open, &header, |unit| {
            let mut written = Written::default();
            let mut next = Ok(first);
            let failure = loop {
                match next {
                    Ok(batch) => written.add(unit, batch)?,
                    Err(error) => break Some(error),
                }
                if written.resources >= self.limit || written.bytes >= COMMIT_BYTES_MAX || written.is_last {
                    break None;
                }
                let waits = clock.monotonic();
                let arrived = batches.recv_timeout(PATIENCE);
                waited += clock.monotonic().saturating_sub(waits);
                match arrived {
                    Ok(batch) => next = batch,
                    Err(_) => break None,
                }
            };
            remember(unit.connection, self.source, written.entries, written.is_last)?;
            Ok((written, failure))
        })?;
        self.report.add(written);
        self.report.writing += clock.monotonic().saturating_sub(started).saturating_sub(waited);
        Ok(failure)
    }
}

/// What one transaction holds.
#[derive(Default)]
struct Written {
    /// By what became of them: created, updated, equal.
    counts: [u64; 3],
    resources: usize,
    bytes: usize,
    entries: u64,
    refusals: Vec<Refusal>,
    links_kept: u64,
    is_last: bool,
}

impl Written {
    fn add(&mut self, unit: &mut Unit<'_>, mut batch: Batch) -> Result<()> {
        for prepared in &mut batch.prepared {
            self.counts[put(unit, prepared)?] += 1;
        }
        self.resources += batch.prepared.len();
        self.bytes += batch.bytes;
        self.entries = batch.entries;
        self.refusals.append(&mut batch.refusals);
        self.links_kept += batch.links_kept;
        self.is_last = batch.is_last;
        Ok(())
    }
}

impl ImportReport {
    fn add(&mut self, written: Written) {
        let [created, updated, unchanged] = written.counts;
        self.created += created;
        self.updated += updated;
        self.unchanged += unchanged;
        self.entries = written.entries;
        self.commits += 1;
        self.links_kept += written.links_kept;
        self.refused += written.refusals.len() as u64;
        let room = REFUSALS_LISTED_MAX - self.refusals.len();
        self.refusals.extend(written.refusals.into_iter().take(room));
    }
}

/// Stores one resource; says whether it was created (0), updated (1) or equal (2).
fn put(unit: &mut Unit<'_>, prepared: &mut Prepared) -> Result<usize> {
    let head = unit.find(prepared.resource_type, &prepared.id)?;
    if head.is_some() {
        prepared.content = unit.decoder.decode(&prepared.body)?;
    }
    Ok(match unit.put(head.as_ref(), prepared)?.operation {
        Some(Operation::Create) => 0,
        Some(_) => 1,
        None => 2,
    })
}

/// How many entries of a source an import that did not come to its end has committed.
fn committed(connection: &Connection, source: &str) -> Result<u64> {
    let found: Option<i64> = connection
        .query_row(
            "-- import::committed\nSELECT entries FROM import WHERE source = ?1 AND NOT done",
            [source],
            |row| row.get(0),
        )
        .optional()?;
    Ok(found.unwrap_or(0).unsigned_abs())
}

fn remember(connection: &Connection, source: &str, entries: u64, done: bool) -> Result<()> {
    connection
        .prepare_cached(
            "-- import::remember
             INSERT INTO import (source, entries, done) VALUES (?1, ?2, ?3)
             ON CONFLICT (source) DO UPDATE SET entries = excluded.entries, done = excluded.done",
        )?
        .execute(params![source, entries.cast_signed(), done])?;
    Ok(())
}
