//! What goes in and out as a whole: sample, init, import, export, archive, restore.

use std::fs;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use indicatif::ProgressBar;
use keepwell_fhir::Instant;
use keepwell_sample::Sample;
use keepwell_store::{
    Compression, ExportOptions, ImportOptions, ImportReport, ImportSource, OnError, Session, Store,
};
use keepwell_vault::{Clock, SystemClock};
use serde_json::json;

use crate::args::{ArchiveArgs, Day, ExportArgs, ImportArgs, InitArgs, RestoreArgs, SampleArgs};
use crate::context::Context;
use crate::exit::{Result, io as io_failure};
use crate::files;
use crate::output::{Table, grouped, refuse_terminal, size, write_to};
use crate::progress;
use crate::secret;

const ARCHIVE_PASSPHRASE: &str = "Passphrase of the archive: ";

pub(super) fn sample(args: &SampleArgs) -> Result<()> {
    let day = args.date.unwrap_or_else(today);
    let sample = Sample::new(args.seed, (day.year, day.month, day.day));
    let bar = progress::bar("writing patients", Some(args.patients));
    match &args.bundles {
        Some(folder) => write_bundles(&sample, args.patients, folder, &bar),
        None => write_to(args.output.as_deref(), |out| write_lines(&sample, args.patients, out, &bar)),
    }
}

fn write_lines(sample: &Sample, patients: u64, out: &mut dyn Write, bar: &ProgressBar) -> Result<()> {
    let mut out = BufWriter::new(out);
    for line in sample.resources(patients) {
        if line.starts_with(r#"{"resourceType":"Patient","#) {
            bar.inc(1);
        }
        writeln!(out, "{line}").map_err(io_failure("writing patients"))?;
    }
    out.flush().map_err(io_failure("writing patients"))
}

fn write_bundles(sample: &Sample, patients: u64, folder: &Path, bar: &ProgressBar) -> Result<()> {
    let failed = io_failure("writing patients");
    fs::create_dir_all(folder).map_err(&failed)?;
    fs::write(folder.join("providers.json"), sample.providers()).map_err(&failed)?;
    for (index, bundle) in sample.patients(patients).enumerate() {
        fs::write(folder.join(format!("patient-{:05}.json", index + 1)), bundle).map_err(&failed)?;
        bar.inc(1);
    }
    Ok(())
}

/// The day in UTC, so that it is the same for everybody at one moment.
fn today() -> Day {
    let now = Instant::from_ms(SystemClock::new().wall_ms()).to_string();
    now[..10].parse().expect("an instant begins with its day")
}

pub(super) fn init(context: &Context, args: &InitArgs) -> Result<()> {
    let passcode = context.first_passcode(args.with_passcode)?;
    let store = Store::create(context.directory()?, context.options(), passcode.as_ref())?;
    show_new(context, &store)?;
    Ok(store.lock()?)
}

fn show_new(context: &Context, store: &Store) -> Result<()> {
    let status = store.vault().key_status();
    context.out.show(
        || {
            json!({
                "directory": store.directory(),
                "store": status.store.to_string(),
                "keychain": status.keychain,
                "passcode": status.has_passcode,
            })
        },
        |out| {
            writeln!(out, "made a store in {}", store.directory().display())?;
            match (status.keychain, status.has_passcode) {
                (None, _) => writeln!(out, "its passphrase is the only way in; nobody can bring it back"),
                (Some(keychain), true) => {
                    writeln!(out, "it takes the passcode and the key in the keychain ({keychain})")
                }
                (Some(keychain), false) => {
                    writeln!(out, "its key is in the keychain ({keychain}); no passcode is set")
                }
            }
        },
    )
}

pub(super) fn import(context: &Context, args: &ImportArgs) -> Result<()> {
    let options = ImportOptions {
        rewrite_references: args.rewrite_references,
        keep_bundles: args.keep_bundles,
        accept_invalid: args.accept_invalid,
        resume: !args.from_start,
        on_error: if args.skip_errors { OnError::Skip } else { OnError::Stop },
        batch: args.batch,
        ..ImportOptions::default()
    };
    let files = files::listed(&args.files)?;
    let reports = context.with(|session| {
        let mut reports = Vec::with_capacity(files.len());
        for file in &files {
            let report = import_file(session, file, &options).map_err(|failure| failure.about(file))?;
            reports.push((file.display().to_string(), report));
        }
        session.settle()?;
        Ok(reports)
    })?;
    context.out.show(
        || reports.iter().map(|(file, report)| import_json(file, report)).collect(),
        |out| import_table(&reports, out),
    )
}

fn import_file(session: &Session, file: &Path, options: &ImportOptions) -> Result<ImportReport> {
    let is_stream = file.as_os_str() == "-";
    let total = if is_stream { None } else { fs::metadata(file).ok().map(|found| found.len()) };
    let bar = progress::bar("importing", total);
    // A handle, not the lock: another thread reads it.
    let source = if is_stream { ImportSource::reader("-", io::stdin()) } else { ImportSource::file(file) };
    let report = session.import(source, options, &mut |progress| {
        bar.set_position(progress.bytes_read);
        let rate = rate(progress.resources, bar.elapsed());
        bar.set_message(format!("{} resources, {rate}/s", grouped(progress.resources)));
    })?;
    bar.finish_and_clear();
    Ok(report)
}

fn rate(count: u64, time: Duration) -> String {
    format!("{:.0}", count as f64 / time.as_secs_f64().max(0.001))
}

fn import_json(file: &str, report: &ImportReport) -> serde_json::Value {
    let refusals: Vec<_> = report
        .refusals
        .iter()
        .map(|refusal| json!({ "record": refusal.record, "error": refusal.code }))
        .collect();
    json!({
        "file": file,
        "entries": report.entries,
        "resumed": report.resumed,
        "created": report.created,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "refused": report.refused,
        "refusals": refusals,
        "links_kept": report.links_kept,
        "commits": report.commits,
        "bytes_read": report.bytes_read,
        "seconds": report.elapsed.as_secs_f64(),
    })
}

fn import_table(reports: &[(String, ImportReport)], out: &mut dyn Write) -> io::Result<()> {
    let mut table =
        Table::new(&["file", "created", "updated", "unchanged", "refused", "seconds", "per second"]);
    for (file, report) in reports {
        let counts = [report.created, report.updated, report.unchanged, report.refused].map(grouped);
        let seconds = format!("{:.1}", report.elapsed.as_secs_f64());
        let rate = rate(report.resources(), report.elapsed);
        table.row([file.clone()].into_iter().chain(counts).chain([seconds, rate]));
    }
    table.write(out)?;
    for (file, report) in reports {
        for refusal in &report.refusals {
            writeln!(out, "{file}: record {} was refused with error {}", refusal.record, refusal.code)?;
        }
    }
    match reports.iter().map(|(_, report)| report.links_kept).sum::<u64>() {
        0 => Ok(()),
        kept => writeln!(
            out,
            "{} urn:uuid link{} between entries stayed as written: --rewrite-references makes them point to what was stored",
            grouped(kept),
            if kept == 1 { "" } else { "s" }
        ),
    }
}

pub(super) fn export(context: &Context, args: ExportArgs) -> Result<()> {
    let options =
        ExportOptions { types: args.types, history: args.history, compression: args.compress.into() };
    let output = args.output.as_deref();
    if options.compression != Compression::Plain {
        refuse_terminal(output)?;
    }
    let written = context.elevated(|privileged| {
        let bar = progress::bar("exporting", None);
        let written = write_to(output, |mut out| {
            Ok(privileged.export(&mut out, &options, &mut |progress| {
                bar.set_message(format!("{} resources", grouped(progress.lines)));
            })?)
        })?;
        bar.finish_and_clear();
        Ok(written)
    })?;
    // On standard output is the export itself.
    if output.is_none() {
        return Ok(());
    }
    context.out.show(
        || json!({ "resources": written.lines, "bytes": written.bytes }),
        |out| writeln!(out, "wrote {} resources, {}", grouped(written.lines), size(written.bytes)),
    )
}

pub(super) fn archive(context: &Context, args: &ArchiveArgs) -> Result<()> {
    let passphrase = secret::new(args.passphrase_file.as_deref(), ARCHIVE_PASSPHRASE)?;
    context.elevated(|privileged| {
        let bar = progress::bar("archiving", None);
        write_to(Some(&args.file), |mut out| Ok(privileged.archive(&passphrase, &mut out)?))?;
        bar.finish_and_clear();
        Ok(())
    })?;
    let bytes = fs::metadata(&args.file).map_err(io_failure("reading the archive"))?.len();
    context.out.show(
        || json!({ "file": args.file, "bytes": bytes }),
        |out| {
            writeln!(
                out,
                "wrote {}, {}; it opens with its passphrase alone",
                args.file.display(),
                size(bytes)
            )
        },
    )
}

pub(super) fn restore(context: &Context, args: &RestoreArgs) -> Result<()> {
    let opened = File::open(&args.file).map_err(io_failure("opening the archive"));
    let file = opened.map_err(|failure| failure.about(&args.file))?;
    let passphrase = secret::existing(args.passphrase_file.as_deref(), ARCHIVE_PASSPHRASE)?;
    let passcode = context.first_passcode(args.with_passcode)?;
    let bar = progress::bar("restoring", None);
    let store = Store::restore(
        &mut BufReader::new(file),
        &passphrase,
        context.directory()?,
        context.options(),
        passcode.as_ref(),
    )?;
    bar.finish_and_clear();
    show_new(context, &store)?;
    Ok(store.lock()?)
}
