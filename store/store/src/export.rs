//! Exporting resources in clear, as NDJSON: one resource a line, as a client reads it.
//!
//! An export is one consistent view, whatever is written meanwhile, and streams in constant memory.
//!
//! Invariant: the export is in the audit trail before its first byte leaves the store.

use std::io::{BufWriter, Write};

use keepwell_fhir::{Instant, ResourceType, Slot};
use rusqlite::Row;

use crate::attachment::Attachments;
use crate::audit::{Action, Outcome};
use crate::change_feed::resource_type;
use crate::compression::{Compressed, Compression};
use crate::error::{Error, Result};
use crate::head::Head;
use crate::history::version_body;
use crate::inner::{Reader, plain_event};
use crate::privileged::Privileged;

/// Bytes that are gathered before they are compressed or written.
const BUFFER_BYTES: usize = 128 << 10;

/// Resources between two calls of `progress`.
const PROGRESS_RESOURCES: u64 = 1_000;

/// What is exported, and how.
#[derive(Clone, Debug, Default)]
pub struct ExportOptions {
    /// Only these types; all when empty.
    pub types: Vec<ResourceType>,
    /// Also superseded versions, each before the one that replaced it. Deletions have no body and are left out.
    pub history: bool,
    /// How the stream is compressed.
    pub compression: Compression,
}

/// How far an export has come.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ExportProgress {
    /// Lines written.
    pub lines: u64,
    /// Their bytes, before compression.
    pub bytes: u64,
}

impl Privileged<'_> {
    /// Writes current versions, or all, to `out` as NDJSON. Bodies are as they were written, but for line breaks
    /// between their tokens, which NDJSON cannot hold: those become spaces.
    ///
    /// Calls `progress` every thousand resources; returns how much was written.
    ///
    /// # Errors
    /// [`Error::Io`] when `out` fails, [`Error::Corrupt`] for a body that cannot be read. What was written by then
    /// is no whole export.
    pub fn export(
        &self,
        out: &mut dyn Write,
        options: &ExportOptions,
        progress: &mut dyn FnMut(&ExportProgress),
    ) -> Result<ExportProgress> {
        let session = self.session;
        let inner = &session.store.inner;
        let open = session.enter()?;
        let record = |outcome, detail: &serde_json::Value| {
            let detail = detail.to_string();
            open.writer().record(
                inner.now_ms(),
                [plain_event(session.actor_key, Action::Export, outcome, Some(&detail))],
            )
        };
        let types: Vec<_> = options.types.iter().map(|one| one.name()).collect();
        record(
            Outcome::Success,
            &serde_json::json!({ "begins": true, "types": types, "history": options.history }),
        )?;
        let mut reader = inner.reader(&open)?;
        let done = export(&mut reader, &open.attachments, out, options, progress);
        match &done {
            Ok(written) => record(Outcome::Success, &serde_json::json!({ "lines": written.lines }))?,
            Err(error) => record(Outcome::SeriousFailure, &serde_json::json!({ "error": error.code() }))?,
        }
        done
    }
}

const CURRENT: &str = "
    -- export
    SELECT type, key, version, last_updated, change, patient, slot, body FROM resource
    WHERE body IS NOT NULL OR :history ORDER BY key";
const SUPERSEDED: &str = "
    -- export history
    SELECT version FROM resource_version WHERE resource = :key AND body IS NOT NULL ORDER BY version";

fn export(
    reader: &mut Reader,
    attachments: &Attachments,
    out: &mut dyn Write,
    options: &ExportOptions,
    progress: &mut dyn FnMut(&ExportProgress),
) -> Result<ExportProgress> {
    let failed = Error::io("writing an export");
    let compressed = Compressed::new(options.compression, out).map_err(&failed)?;
    let mut lines =
        Lines { out: BufWriter::with_capacity(BUFFER_BYTES, compressed), written: ExportProgress::default() };
    // One read transaction, so that every statement sees the same state.
    let Reader { connection, decoder, .. } = reader;
    let snapshot = connection.unchecked_transaction()?;
    let mut superseded = snapshot.prepare(SUPERSEDED)?;
    let mut current = snapshot.prepare(CURRENT)?;
    let mut rows = current.query(rusqlite::named_params! { ":history": options.history })?;
    while let Some(row) = rows.next()? {
        let of_type = resource_type(row.get(0)?)?;
        if !options.types.is_empty() && !options.types.contains(&of_type) {
            continue;
        }
        let head = head(row)?;
        let mut versions = Vec::new();
        if options.history {
            let mut rows = superseded.query(rusqlite::named_params! { ":key": head.key })?;
            while let Some(row) = rows.next()? {
                versions.push(row.get::<_, i64>(0)?.unsigned_abs());
            }
        }
        if head.body.is_some() {
            versions.push(head.version);
        }
        for version in versions {
            if let Some((body, _)) = version_body(&snapshot, decoder, attachments, &head, version)? {
                lines.write(body).map_err(&failed)?;
                if lines.written.lines.is_multiple_of(PROGRESS_RESOURCES) {
                    progress(&lines.written);
                }
            }
        }
    }
    let written = lines.written;
    lines.finish().map_err(&failed)?;
    progress(&written);
    Ok(written)
}

fn head(row: &Row<'_>) -> rusqlite::Result<Head> {
    Ok(Head {
        key: row.get(1)?,
        version: row.get::<_, i64>(2)?.unsigned_abs(),
        last_updated: Instant::from_ms(row.get(3)?),
        change: row.get(4)?,
        patient: row.get(5)?,
        slot: Slot::from_u32(row.get(6)?),
        body: row.get(7)?,
    })
}

/// NDJSON on its way out.
struct Lines<'o> {
    out: BufWriter<Compressed<&'o mut dyn Write>>,
    written: ExportProgress,
}

impl Lines<'_> {
    fn write(&mut self, mut body: Vec<u8>) -> std::io::Result<()> {
        // A line break cannot stand inside a JSON string, so these are between tokens.
        for byte in body.iter_mut().filter(|byte| matches!(**byte, b'\n' | b'\r')) {
            *byte = b' ';
        }
        body.push(b'\n');
        self.written.lines += 1;
        self.written.bytes += body.len() as u64;
        self.out.write_all(&body)
    }

    fn finish(self) -> std::io::Result<()> {
        self.out.into_inner().map_err(std::io::IntoInnerError::into_error)?.finish()
    }
}
