//! The half of an import that needs no database: it runs beside the writer and hands it batches.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use keepwell_fhir::bundle::{Bundle, BundleType};
use ring::digest;
use serde::Deserialize;

use super::records::Records;
use super::{ImportOptions, OnError, Refusal};
use crate::apart::Incoming;
use crate::error::{Error, Result};
use crate::id_key::IdKey;
use crate::index::Known;
use crate::inner::overwrite_stack;
use crate::prepare::{Identity, Prepared, Preparer, Rewrite, as_written};
use crate::session::Session;

/// Resources of one batch at the most; the writer joins several to one commit.
const BATCH_RESOURCES_MAX: usize = 500;
/// Bytes of stored bodies after which a batch is full.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// Entries that are ready to be written, in the order of the source.
#[derive(Default)]
pub(super) struct Batch {
    /// Their `content` is empty: the writer needs it for updates only, and then decodes it.
    pub(super) prepared: Vec<Prepared>,
    /// Bytes of their stored bodies.
    pub(super) bytes: usize,
    /// Entries of the source that are dealt with once this is written.
    pub(super) entries: u64,
    pub(super) refusals: Vec<Refusal>,
    /// Links between entries of a Bundle that stay as they are.
    pub(super) links_kept: u64,
    /// Whether the source ends here.
    pub(super) is_last: bool,
}

/// Why preparing ended early: an error to report, or `None` when nobody takes batches any more.
type Halt = Option<Error>;

/// Reads, splits, validates, strips, compresses and hashes.
pub(super) struct Producer<'a> {
    pub(super) session: &'a Session,
    pub(super) options: &'a ImportOptions,
    pub(super) source: &'a str,
    /// Entries that an earlier run has committed.
    pub(super) resumed: u64,
    /// The search parameters that bodies are taken apart by.
    pub(super) known: Arc<Known>,
    pub(super) out: SyncSender<Result<Batch>>,
}

impl Producer<'_> {
    /// Works through `records`; returns how long that took, without the time spent waiting for the writer.
    pub(super) fn run(self, mut records: Records<'_>) -> Duration {
        let clock = self.session.store.inner.options.clock.clone();
        let started = clock.monotonic();
        let preparer = Preparer::accepting_invalid(&self.known, self.options.accept_invalid);
        let mut work = Work {
            producer: &self,
            preparer,
            batch: Batch::default(),
            links_kept: Rc::default(),
            waited: Duration::ZERO,
        };
        let done = work.documents(&mut records);
        work.batch.is_last = done.is_ok();
        // When nobody takes the rest any more, the writer knows why.
        let _ = work.hand_over();
        let busy = clock.monotonic().saturating_sub(started).saturating_sub(work.waited);
        if let Err(Some(error)) = done {
            let _ = self.out.send(Err(error));
        }
        // A later thread may get this stack; nobody else wipes it when the store is locked.
        overwrite_stack();
        busy
    }
}

struct Work<'p, 'a> {
    producer: &'p Producer<'a>,
    preparer: Preparer,
    batch: Batch,
    /// Those of the batch, counted as they are met.
    links_kept: Rc<Cell<u64>>,
    waited: Duration,
}

impl Work<'_, '_> {
    fn documents(&mut self, records: &mut Records<'_>) -> Result<(), Halt> {
        let mut document = Vec::new();
        while records.next(&mut document).map_err(|error| Some(Error::io("reading what to import")(error)))? {
            let document = document.trim_ascii();
            if self.producer.options.keep_bundles || !is_bundle(document) {
                self.entry(self.batch.entries + 1, document, &as_written)?;
                self.passed(1)?;
            } else {
                self.bundle(document)?;
            }
        }
        Ok(())
    }

    fn bundle(&mut self, document: &[u8]) -> Result<(), Halt> {
        let before = self.batch.entries;
        let bundle = match Bundle::parse(document) {
            Ok(bundle) => bundle,
            Err(error) => {
                self.refuse(before + 1, error.into())?;
                return self.passed(1);
            }
        };
        let (links, kept) = if self.producer.options.rewrite_references {
            (self.links(&bundle, before), HashSet::new())
        } else {
            let names = bundle.entries.iter().filter_map(|entry| entry.full_url.as_deref());
            (HashMap::new(), names.filter(|name| name.starts_with("urn:uuid:")).collect())
        };
        let links_kept = self.links_kept.clone();
        let rewrite = move |text: &str| {
            if kept.contains(text) {
                links_kept.set(links_kept.get() + 1);
            }
            links.get(text).cloned()
        };
        let mut order: Vec<usize> = (0..bundle.entries.len()).collect();
        if bundle.kind == BundleType::History {
            // Newest first in the Bundle; the newest is to be the current version.
            order.reverse();
        }
        for index in order {
            if let Some(resource) = bundle.entries[index].resource {
                self.entry(before + index as u64 + 1, resource, &rewrite)?;
            }
            self.passed(1)?;
        }
        Ok(())
    }

    /// What `urn:uuid` links between the entries of a Bundle become.
    fn links(&mut self, bundle: &Bundle<'_>, before: u64) -> HashMap<String, String> {
        let mut links = HashMap::new();
        for (index, entry) in bundle.entries.iter().enumerate() {
            let (Some(full_url), Some(resource)) = (&entry.full_url, entry.resource) else { continue };
            // A resource that cannot be walked is refused when its turn comes.
            let Ok(walk) = self.preparer.walker().walk(resource) else { continue };
            if full_url.starts_with("urn:") {
                let (resource_type, own) = (walk.resource_type, walk.id.map(|span| span.text(resource)));
                let id = own.map_or_else(
                    || self.given_id(before + index as u64 + 1, resource).to_string(),
                    |id| id.into_owned(),
                );
                links.insert(full_url.clone().into_owned(), format!("{resource_type}/{id}"));
            }
        }
        links
    }

    /// The id of a resource that came without one: the same each time this entry is met, so that nothing is stored
    /// twice when an import is repeated.
    fn given_id(&self, number: u64, resource: &[u8]) -> IdKey {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(self.producer.source.as_bytes());
        context.update(&number.to_be_bytes());
        context.update(resource);
        IdKey::from_digest(context.finish().as_ref())
    }

    /// Prepares one entry, unless an earlier run has stored it.
    fn entry(&mut self, number: u64, resource: &[u8], rewrite: &Rewrite<'_>) -> Result<(), Halt> {
        if self.batch.entries < self.producer.resumed {
            return Ok(());
        }
        match self.prepare(number, resource, rewrite) {
            Ok(prepared) => {
                self.batch.bytes += prepared.body.len();
                self.batch.prepared.push(prepared);
                Ok(())
            }
            Err(error) => self.refuse(number, error),
        }
    }

    fn prepare(&mut self, number: u64, resource: &[u8], rewrite: &Rewrite<'_>) -> Result<Prepared> {
        // Held for one resource only, so that a lock never waits for an import.
        let open = self.producer.session.enter()?;
        // No resource has an empty id, so one that comes out with it came without.
        let none = IdKey::new("");
        let resource = &Incoming::whole(resource)?;
        let links_kept = self.links_kept.get();
        let mut prepared =
            self.preparer.prepare(resource, None, Identity::OwnOr(&none), &open.attachments, rewrite)?;
        if prepared.id == none {
            let given = self.given_id(number, resource.bytes());
            // It is read once more.
            self.links_kept.set(links_kept);
            prepared = self.preparer.prepare(
                resource,
                None,
                Identity::Assigned(&given),
                &open.attachments,
                rewrite,
            )?;
        }
        prepared.content = Vec::new();
        Ok(prepared)
    }

    fn refuse(&mut self, number: u64, error: Error) -> Result<(), Halt> {
        let is_about_data = error.code() < 200;
        match self.producer.options.on_error {
            OnError::Skip if is_about_data => {
                self.batch.refusals.push(Refusal { record: number, code: error.code() });
                Ok(())
            }
            _ if is_about_data => Err(Some(Error::Record { record: number, source: Box::new(error) })),
            _ => Err(Some(error)),
        }
    }

    /// Counts entries that are dealt with, and hands over what is ready.
    fn passed(&mut self, entries: u64) -> Result<(), Halt> {
        self.batch.entries += entries;
        let limit = BATCH_RESOURCES_MAX.min(self.producer.options.batch);
        let is_full = self.batch.prepared.len() >= limit || self.batch.bytes >= BATCH_BYTES_MAX;
        if is_full { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> Result<(), Halt> {
        let next = Batch { entries: self.batch.entries, ..Batch::default() };
        let links_kept = self.links_kept.take();
        let batch = Batch { links_kept, ..std::mem::replace(&mut self.batch, next) };
        let clock = &self.producer.session.store.inner.options.clock;
        let started = clock.monotonic();
        let sent = self.producer.out.send(Ok(batch));
        self.waited += clock.monotonic().saturating_sub(started);
        sent.map_err(|_| None)
    }
}

/// Whether a document is a Bundle; resourceType mostly comes first.
fn is_bundle(document: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow, rename = "resourceType")]
        resource_type: Cow<'a, str>,
    }
    match document.strip_prefix(b"{\"resourceType\":\"") {
        Some(rest) => rest.starts_with(b"Bundle\""),
        None => serde_json::from_slice::<Kind<'_>>(document).is_ok_and(|kind| kind.resource_type == "Bundle"),
    }
}
