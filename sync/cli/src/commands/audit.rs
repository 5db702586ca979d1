//! The audit trail: list, verify, export, purge.

use std::io::{self, Write};
use std::time::Duration;

use keepwell_store::Error;
use keepwell_store::audit::{AuditPage, AuditQuery, AuditRecord, AuditReport, Finding, FindingKind};
use serde_json::{Value, json};

use crate::args::{AuditExportArgs, AuditFilter, AuditListArgs, AuditPurgeArgs};
use crate::context::Context;
use crate::exit::Result;
use crate::output::{Table, grouped, write_to};
use crate::progress;

const DAY_S: u64 = 24 * 60 * 60;

impl From<AuditFilter> for AuditQuery {
    fn from(filter: AuditFilter) -> Self {
        Self {
            user: filter.who,
            app: filter.app,
            device: filter.device,
            resource: filter.resource.map(|place| (place.resource_type, place.id)),
            patient: filter.patient,
            from: filter.from,
            to: filter.to,
            action: filter.action,
            outcome: filter.outcome,
            ..Self::default()
        }
    }
}

pub(super) fn list(context: &Context, args: AuditListArgs) -> Result<()> {
    let query = AuditQuery { after: args.after, limit: Some(args.count), ..args.filter.into() };
    let page = context.with(|session| Ok(session.audit_page(&query)?))?;
    context.out.show(
        || json!({ "events": page.records.iter().map(AuditRecord::to_fhir).collect::<Vec<_>>(), "next": page.next }),
        |out| write_page(&page, out),
    )
}

fn write_page(page: &AuditPage, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(&["number", "recorded", "who", "what", "outcome", "resource", "patient"]);
    for record in &page.records {
        let resource = record.resource.as_ref().map(|found| {
            let version = found.version.map_or_else(String::new, |version| format!(" version {version}"));
            format!("{}/{}{version}", found.resource_type, found.id)
        });
        let changes = record
            .changes
            .map(|(first, last)| format!("{} changes", grouped((last - first + 1).unsigned_abs())));
        table.row([
            record.sequence.to_string(),
            record.recorded.to_string(),
            record.actor.user().to_owned(),
            record.action.map_or("unknown", |action| action.name()).to_owned(),
            record.outcome.map_or_else(|| "unknown".to_owned(), |outcome| outcome.code().to_string()),
            resource.or(changes).unwrap_or_default(),
            record.patient.clone().unwrap_or_default(),
        ]);
    }
    table.write(out)?;
    page.next.map_or(Ok(()), |next| writeln!(out, "more with --after {next}"))
}

pub(super) fn verify(context: &Context) -> Result<()> {
    let report = context.with(|session| Ok(session.audit_verify()?))?;
    context.out.show(|| report_json(&report), |out| write_report(&report, out))?;
    if report.is_whole() { Ok(()) } else { Err(Error::Corrupt.into()) }
}

/// The report for programs.
pub(super) fn report_json(report: &AuditReport) -> Value {
    let findings: Vec<_> = report
        .findings
        .iter()
        .map(|finding| json!({ "sequence": finding.sequence, "finding": name(finding.kind) }))
        .collect();
    json!({
        "whole": report.is_whole(),
        "records": report.records,
        "checkpoints": report.checkpoints,
        "purged_to": report.purged,
        "findings": findings,
        "further_findings": report.further_findings,
    })
}

/// The report for people.
pub(super) fn write_report(report: &AuditReport, out: &mut dyn Write) -> io::Result<()> {
    let (records, checkpoints) = (grouped(report.records), grouped(report.checkpoints));
    if report.is_whole() {
        return writeln!(out, "the audit trail is whole: {records} records, {checkpoints} checkpoints");
    }
    writeln!(out, "the audit trail was tampered with or damaged ({records} records):")?;
    for Finding { sequence, kind, .. } in &report.findings {
        writeln!(out, "  record {sequence}: {}", name(*kind))?;
    }
    if report.further_findings > 0 {
        writeln!(out, "  and {} more", grouped(report.further_findings))?;
    }
    Ok(())
}

/// The name of the variant is the finding; its fields are numbers.
fn name(kind: FindingKind) -> String {
    format!("{kind:?}")
}

pub(super) fn export(context: &Context, args: AuditExportArgs) -> Result<()> {
    let query = AuditQuery { oldest_first: true, ..args.filter.into() };
    let output = args.output.as_deref();
    let events = context.elevated(|privileged| {
        let bar = progress::bar("exporting", None);
        let events = write_to(output, |mut out| Ok(privileged.audit_export(&query, &mut out)?))?;
        bar.finish_and_clear();
        Ok(events)
    })?;
    // On standard output are the events themselves.
    if output.is_none() {
        return Ok(());
    }
    context.out.show(|| json!({ "events": events }), |out| writeln!(out, "wrote {} events", grouped(events)))
}

pub(super) fn purge(context: &Context, args: &AuditPurgeArgs) -> Result<()> {
    let retention = Duration::from_secs(args.keep_days.saturating_mul(DAY_S));
    let purged = context.elevated(|privileged| Ok(privileged.audit_purge(retention)?))?;
    context.out.show(
        || json!({ "first": purged.map(|(first, _)| first), "last": purged.map(|(_, last)| last) }),
        |out| match purged {
            Some((first, last)) => writeln!(out, "removed the records {first} to {last}; their proof stays"),
            None => writeln!(out, "no whole segment of the trail is that old"),
        },
    )
}
