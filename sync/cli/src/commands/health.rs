//! How the store is: doctor, verify, stats.

use std::io::{self, Write};

use keepwell_fhir::Instant;
use keepwell_store::{Defect, DefectKind, Error, Session, Stats, VerifyOptions, VerifyReport};
use keepwell_vault::backup::{self, Outcome};
use keepwell_vault::quarantine;
use keepwell_vault::{Clock, KeyStatus, State, SystemClock, Unsynced, Vault, unsynced};
use serde_json::{Value, json};

use super::audit;
use crate::args::{DoctorArgs, VerifyArgs};
use crate::context::Context;
use crate::exit::Result;
use crate::output::{Table, grouped, size};
use crate::progress;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// What can be told of a store.
struct Health {
    state: State,
    keys: Option<KeyStatus>,
    backup: backup::Report,
    unsynced: Option<Unsynced>,
    /// `None` when only the outside was looked at.
    verified: Option<VerifyReport>,
}

pub(super) fn doctor(context: &Context, args: &DoctorArgs) -> Result<()> {
    let directory = context.directory()?;
    let state = Vault::state_of(directory)?;
    match state {
        State::Uninitialised => return Err(keepwell_vault::Error::Uninitialised.into()),
        State::Erased => return Err(keepwell_vault::Error::Erased.into()),
        _ => {}
    }
    // Before an open, which would mend what is missing.
    let backup = backup::check(directory, None)?;
    let mut health = Health { state, keys: None, backup, unsynced: unsynced(directory)?, verified: None };
    if state != State::Quarantined {
        let vault = Vault::open(directory, context.vault_config())?;
        health.keys = Some(vault.key_status());
        drop(vault);
        if !args.locked {
            health.verified = Some(context.with(|session| look(session, VerifyOptions::default()))?);
        }
    }
    let quarantine = quarantine::find(directory)?;
    context.out.show(
        || {
            json!({
                "directory": directory,
                "state": format!("{:?}", health.state),
                "sound": health.is_sound(),
                "quarantine": quarantine,
                "keychain": health.keys.as_ref().map(|keys| keys.keychain),
                "keys": health.keys.as_ref().map(keys_json),
                "backup_marks": marks_json(&health.backup),
                "unsynced": health.unsynced.map(|found| found.count),
                "integrity": health.verified.as_ref().map(report_json),
            })
        },
        |out| health.write(directory.display(), out),
    )?;
    if health.is_sound() { Ok(()) } else { Err(Error::Corrupt.into()) }
}

impl Health {
    fn is_sound(&self) -> bool {
        self.state != State::Quarantined && self.verified.as_ref().is_none_or(VerifyReport::is_sound)
    }

    fn write(&self, directory: impl std::fmt::Display, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&["", ""]);
        let mut line = |what: &str, text: String| table.row([what.to_owned(), text]);
        line("directory", directory.to_string());
        if self.state == State::Quarantined {
            line("state", "in quarantine; see `keepwell quarantine status`".to_owned());
        }
        if let Some(keys) = &self.keys {
            write_keys(keys, &mut line);
        }
        for (mark, outcome) in &self.backup.marks {
            let text = match outcome {
                Outcome::Verified | Outcome::Applied => "in place",
                Outcome::Missing => "missing; the next open sets it",
                Outcome::Unsupported => "not known to this platform or file system",
                _ => "could not be set",
            };
            line(&format!("backup mark {mark:?}"), text.to_owned());
        }
        let count = self.unsynced.map_or_else(|| "none counted".to_owned(), |found| grouped(found.count));
        line("unsynced changes", count);
        table.write(out)?;
        match &self.verified {
            Some(report) => write_verified(report, out),
            None => writeln!(out, "the database was not looked at"),
        }
    }
}

fn write_keys(keys: &KeyStatus, line: &mut impl FnMut(&str, String)) {
    let now_ms = SystemClock::new().wall_ms();
    let age = |since_ms: i64, is_old: bool| {
        let days = (now_ms - since_ms).max(0) / DAY_MS;
        format!("{days} days old{}", if is_old { "; rotate it" } else { "" })
    };
    line("store", keys.store.to_string());
    line("made", Instant::from_ms(keys.created_ms).to_string());
    line("keychain", keys.keychain.unwrap_or("none: the passphrase is all there is").to_owned());
    line("passcode", if keys.has_passcode { "set" } else { "not set" }.to_owned());
    line("recovery passphrase", if keys.has_recovery { "set" } else { "not set" }.to_owned());
    line("wrapping key", age(keys.kek_since_ms, keys.kek_is_old));
    line("database key", age(keys.database_key_since_ms, keys.database_key_is_old));
    if keys.rotation_pending {
        line("rotation", "was interrupted; the next unlock ends it".to_owned());
    }
}

fn keys_json(keys: &KeyStatus) -> Value {
    json!({
        "store": keys.store.to_string(),
        "generation": keys.generation,
        "created_ms": keys.created_ms,
        "kek_since_ms": keys.kek_since_ms,
        "kek_is_old": keys.kek_is_old,
        "database_key_since_ms": keys.database_key_since_ms,
        "database_key_is_old": keys.database_key_is_old,
        "has_passcode": keys.has_passcode,
        "has_recovery": keys.has_recovery,
        "rotation_pending": keys.rotation_pending,
    })
}

fn marks_json(report: &backup::Report) -> Value {
    report
        .marks
        .iter()
        .map(|(mark, outcome)| json!({ "mark": format!("{mark:?}"), "outcome": format!("{outcome:?}") }))
        .collect()
}

pub(super) fn verify(context: &Context, args: &VerifyArgs) -> Result<()> {
    let options = VerifyOptions { references: args.references, ..VerifyOptions::default() };
    let report = context.with(|session| look(session, options))?;
    context.out.show(|| report_json(&report), |out| write_verified(&report, out))?;
    if report.is_sound() { Ok(()) } else { Err(Error::Corrupt.into()) }
}

fn look(session: &Session, options: VerifyOptions) -> Result<VerifyReport> {
    let bar = progress::bar("verifying", None);
    let report = session.verify(options, &mut |progress| {
        let of = if progress.total > 0 { format!(" of {}", grouped(progress.total)) } else { String::new() };
        bar.set_message(format!("{} {}{of}", progress.step, grouped(progress.done)));
    })?;
    bar.finish_and_clear();
    Ok(report)
}

fn report_json(report: &VerifyReport) -> Value {
    let defects: Vec<_> = report
        .defects
        .iter()
        .map(|defect| {
            json!({
                "resource": defect.resource_type.map(|found| found.name()),
                "id": defect.id,
                "version": defect.version,
                "defect": format!("{:?}", defect.kind),
            })
        })
        .collect();
    json!({
        "sound": report.is_sound(),
        "database": report.database.iter().map(|damage| format!("{damage:?}")).collect::<Vec<_>>(),
        "audit": report.audit.as_ref().map(audit::report_json),
        "defects": defects,
        "further_defects": report.further_defects,
        "resources": report.resources,
        "superseded": report.superseded,
        "changes": report.changes,
        "attachments": report.attachments,
    })
}

fn write_verified(report: &VerifyReport, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "looked at {} resources, {} superseded versions, {} changes, {} attachments",
        grouped(report.resources),
        grouped(report.superseded),
        grouped(report.changes),
        grouped(report.attachments)
    )?;
    for damage in &report.database {
        writeln!(out, "  database: {damage:?}")?;
    }
    report.defects.iter().try_for_each(|defect| write_defect(defect, out))?;
    if report.further_defects > 0 {
        writeln!(out, "  and {} more", grouped(report.further_defects))?;
    }
    match &report.audit {
        Some(trail) => audit::write_report(trail, out)?,
        None => writeln!(out, "the audit trail cannot be read")?,
    }
    writeln!(out, "{}", if report.is_sound() { "the store is sound" } else { "the store is damaged" })
}

fn write_defect(defect: &Defect, out: &mut dyn Write) -> io::Result<()> {
    let Defect { resource_type, id, version, kind, .. } = defect;
    let resource_type = resource_type.map_or("a resource", |found| found.name());
    let id = id.as_deref().map_or_else(String::new, |id| format!("/{id}"));
    let version = version.map_or_else(String::new, |version| format!(" version {version}"));
    match kind {
        DefectKind::DanglingReference(target) => {
            writeln!(out, "  {resource_type}{id}{version}: a reference to {target} leads nowhere")
        }
        DefectKind::ChangeLog(sequence) => writeln!(out, "  change log: broken at {sequence}"),
        kind => writeln!(out, "  {resource_type}{id}{version}: {kind:?}"),
    }
}

pub(super) fn stats(context: &Context) -> Result<()> {
    let stats = context.with(|session| Ok(session.stats()?))?;
    context.out.show(|| stats_json(&stats), |out| write_stats(&stats, out))
}

fn stats_json(stats: &Stats) -> Value {
    let types: serde_json::Map<_, _> =
        stats.types.iter().map(|(found, count)| (found.name().to_owned(), json!(count))).collect();
    json!({
        "resources": stats.resources(),
        "types": types,
        "deleted": stats.deleted,
        "superseded": stats.superseded,
        "patients": stats.patients,
        "attachments": stats.attachments,
        "audit_records": stats.audit_records,
        "last_change": stats.last_change,
        "bytes": stats.bytes(),
        "database_bytes": stats.database_bytes,
        "wal_bytes": stats.wal_bytes,
        "attachment_bytes": stats.attachment_bytes,
    })
}

fn write_stats(stats: &Stats, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(&["type", "resources"]);
    for (resource_type, count) in &stats.types {
        table.row([resource_type.name().to_owned(), grouped(*count)]);
    }
    table.write(out)?;
    writeln!(out)?;
    let mut table = Table::new(&["", ""]);
    for (what, count) in [
        ("resources", stats.resources()),
        ("deleted", stats.deleted),
        ("superseded versions", stats.superseded),
        ("patients", stats.patients),
        ("attachments", stats.attachments),
        ("audit records", stats.audit_records),
        ("changes", stats.last_change.unsigned_abs()),
    ] {
        table.row([what.to_owned(), grouped(count)]);
    }
    table.write(out)?;
    writeln!(
        out,
        "{} on disk: database {}, log {}, attachments {}",
        size(stats.bytes()),
        size(stats.database_bytes),
        size(stats.wal_bytes),
        size(stats.attachment_bytes)
    )
}
