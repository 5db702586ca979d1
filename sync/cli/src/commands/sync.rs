//! Sync: enrolment, rounds, and what a person has to decide.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use keepwell_client::{
    Client, ClientOptions, Conflict, DeviceSync, FhirClient, FhirServer, Report, Resolution, SearchError,
    SyncExtension, Writes,
};
use keepwell_protocol::{ParkKind, Secret};
use keepwell_store::Store;
use keepwell_tls::Invitation;
use serde_json::{Value, json};

use crate::args::{
    ConflictsCommand, ConflictsResolveArgs, ConflictsShowArgs, EnrolArgs, SyncArgs, WritesArg,
};
use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::output::{Table, grouped, size};

/// How often `sync --watch` looks whether its thread still lives.
const LOOK: Duration = Duration::from_millis(500);

pub(super) fn enrol(context: &Context, args: &EnrolArgs) -> Result<()> {
    if let Some(address) = &args.fhir {
        return attach(context, args, address);
    }
    if let Some(pins) = &args.pins {
        let document = String::from_utf8(super::read(pins)?);
        let document = document.map_err(|_| Failure::Usage("the file holds no pins"))?;
        return with_client(context, |client| Ok(client.install_pins(&document).map(|_| ())?));
    }
    let text = zeroize::Zeroizing::new(super::read(&args.invitation)?);
    // The line among others counts too, so that what `serve invite` printed can be used as it is.
    let lines = std::str::from_utf8(&text).unwrap_or_default().lines();
    let invitation = lines.into_iter().find_map(|line| line.parse::<Invitation>().ok());
    let invitation = invitation.ok_or(Failure::Usage("the file holds no invitation"))?;
    with_client(context, |client| {
        let enrolled = client.enrol(&invitation, args.name.as_deref().unwrap_or_else(|| context.device()))?;
        let (device, tenant) = (enrolled.device.to_string(), enrolled.tenant.to_string());
        context.out.show(
            || json!({ "device": device, "tenant": tenant }),
            |out| {
                writeln!(out, "This store is device {device} of {tenant}. `keepwell sync` sends and fetches.")
            },
        )
    })
}

/// Lets the store sync with a plain FHIR server.
fn attach(context: &Context, args: &EnrolArgs, address: &str) -> Result<()> {
    let searches = args.search.iter().map(|search| search.parse()).collect::<std::result::Result<_, _>>();
    let searches = searches.map_err(|_: SearchError| {
        Failure::Usage(
            "a search is like Patient?active=true, Patient/7/* or Patient/7/$everything, without _sort",
        )
    })?;
    let authority = args.authority.as_deref().ok_or(Failure::Usage("--authority is missing"))?;
    let mut server = FhirServer::new(address, super::read(authority)?, searches);
    if let Some(path) = &args.token {
        let token = zeroize::Zeroizing::new(super::read(path)?);
        let text = std::str::from_utf8(&token).map_err(|_| Failure::Usage("the file holds no token"))?;
        server.token = Some(Secret::new(text.trim().to_owned()));
    }
    server.allow_tls12 = args.tls12;
    server.writes = match args.writes {
        WritesArg::Never => Writes::Never,
        WritesArg::Guarded => Writes::Guarded,
        WritesArg::Consented => Writes::Consented,
    };
    with_store(context, false, |store, sync| {
        FhirClient::new(store, sync, ClientOptions::new(context.actor()?)).attach(&server)?;
        context.out.show(
            || json!({ "fhir": address }),
            |out| writeln!(out, "This store syncs with {address}. `keepwell sync` sends and fetches."),
        )
    })
}

pub(super) fn sync(context: &Context, args: &SyncArgs) -> Result<()> {
    with_store(context, args.watch, |store, extension| {
        let sync = DeviceSync::new(store.clone(), extension, ClientOptions::new(context.actor()?));
        if args.watch {
            sync.start()?;
            let mut told = None;
            while sync.is_running() {
                let problem = sync.problem();
                if let Some(code) = problem.filter(|_| problem != told) {
                    // It goes on; whoever watches sees why nothing comes.
                    Failure::Unmet(code).report(context.out.is_json());
                }
                told = problem;
                std::thread::sleep(LOOK);
                // The program holds the store open; who does not want that ends it. One that was locked has ended the
                // thread, which says why.
                let _ = store.vault().touch();
            }
            return Ok(sync.stop()?);
        }
        let bar = crate::progress::bar("syncing", None);
        let report = sync.round(&mut |progress, _| {
            bar.set_message(format!("{} rows, {}", grouped(progress.rows), size(progress.received_bytes)));
        });
        bar.finish_and_clear();
        show_report(context, &report?, sync.client().status()?.conflicts)
    })
}

fn show_report(context: &Context, report: &Report, conflicts: u64) -> Result<()> {
    context.out.show(
        || {
            let mut value = report_json(report);
            value["conflicts"] = conflicts.into();
            value
        },
        |out| tell(report, conflicts, out),
    )?;
    match report.last_problem {
        Some(code) => Err(Failure::Unmet(code)),
        None => Ok(()),
    }
}

pub(super) fn status(context: &Context) -> Result<()> {
    with_client(context, |client| {
        let status = client.status()?;
        let text = |value: Option<String>| value.unwrap_or_else(|| "never".to_owned());
        let device = status.device.as_ref().map(ToString::to_string);
        let met = status.met.map(|met| met.to_string());
        let until = status.lease.map(|lease| lease.until.to_string());
        context.out.show(
            || {
                json!({
                    "device": device, "tenant": status.tenant.as_ref().map(ToString::to_string),
                    "pending": status.pending, "conflicts": status.conflicts, "scopes": status.scopes,
                    "hydrating": status.hydrating, "absent": status.absent, "met": met, "lease_until": until,
                    "fhir": status.fhir_server, "unavailable": status.unavailable,
                })
            },
            |out| {
                match (&device, &status.fhir_server) {
                    (Some(device), _) => writeln!(out, "Device {device}")?,
                    (None, Some(server)) => writeln!(out, "Syncs with {server}")?,
                    (None, None) => return writeln!(out, "This store is not enrolled."),
                }
                writeln!(
                    out,
                    "{} edits wait, {} conflicts to look at",
                    grouped(status.pending),
                    status.conflicts
                )?;
                if status.fhir_server.is_some() {
                    writeln!(
                        out,
                        "{} resources disappeared there and are hidden",
                        grouped(status.unavailable)
                    )?;
                    return writeln!(out, "server last met: {}", text(met.clone()));
                }
                writeln!(out, "{} scopes, {} of them on their way", status.scopes, status.hydrating)?;
                if status.absent > 0 {
                    writeln!(out, "{} attachments have not come yet", status.absent)?;
                }
                writeln!(out, "server last met: {}", text(met.clone()))?;
                writeln!(out, "works without it until: {}", text(until.clone()))
            },
        )
    })
}

pub(super) fn conflicts(context: &Context, command: &ConflictsCommand) -> Result<()> {
    with_client(context, |client| match command {
        ConflictsCommand::List(_) => list(context, client),
        ConflictsCommand::Show(args) => show(context, client, args),
        ConflictsCommand::Resolve(args) => resolve(context, client, args),
    })
}

fn list(context: &Context, client: &Client) -> Result<()> {
    let conflicts = client.conflicts()?;
    context.out.show(
        || conflicts.iter().map(summary).collect(),
        |out| {
            let mut table = Table::new(&["id", "resource", "why", "elements", "archived"]);
            for conflict in &conflicts {
                let value = summary(conflict);
                let word = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
                let archived = if conflict.is_archived { "yes" } else { "no" };
                table.row([
                    word("id"),
                    word("resource"),
                    why(conflict, &value),
                    conflict.paths.join(" "),
                    archived.to_owned(),
                ]);
            }
            table.write(out)?;
            let advice = |conflict: &Conflict| (why(conflict, &summary(conflict)), conflict.advice());
            let advice: BTreeSet<_> = conflicts.iter().map(advice).collect();
            advice.iter().try_for_each(|(why, advice)| writeln!(out, "\n{why}: {advice}"))
        },
    )
}

fn show(context: &Context, client: &Client, args: &ConflictsShowArgs) -> Result<()> {
    let conflict = find(client, &args.id)?;
    let body = |body: &Option<keepwell_protocol::Body>| {
        body.as_ref().and_then(|body| serde_json::from_slice::<Value>(body.as_bytes()).ok())
    };
    let sides = [
        ("base", body(&conflict.base)),
        ("mine", body(&conflict.mine)),
        ("theirs", body(&conflict.theirs)),
        ("outcome", body(&conflict.outcome)),
    ];
    context.out.show(
        || {
            let mut value = summary(&conflict);
            for (name, side) in &sides {
                value[*name] = side.clone().unwrap_or_default();
            }
            value
        },
        |out| {
            writeln!(out, "{}\n{}", summary(&conflict), conflict.advice())?;
            for (name, side) in &sides {
                match side {
                    Some(side) => writeln!(out, "\n{name}\n{side:#}")?,
                    None if *name != "outcome" => writeln!(out, "\n{name}: nothing")?,
                    None => {}
                }
            }
            Ok(())
        },
    )
}

fn resolve(context: &Context, client: &Client, args: &ConflictsResolveArgs) -> Result<()> {
    let resolution = match &args.with {
        Some(path) => Resolution::Edited(super::read(path)?),
        None if args.take_mine => Resolution::TakeMine,
        None if args.delete => Resolution::Delete,
        None => Resolution::KeepTheirs,
    };
    let conflict = find(client, &args.id)?;
    client.resolve(&conflict, &resolution)?;
    context.out.show(
        || json!({ "resolved": conflict.id.as_str() }),
        |out| writeln!(out, "Decided. `keepwell sync` tells the server."),
    )
}

fn find(client: &Client, id: &str) -> Result<Conflict> {
    let mut found: Vec<_> =
        client.conflicts()?.into_iter().filter(|conflict| conflict.id.as_str().starts_with(id)).collect();
    match (found.pop(), found.is_empty()) {
        (Some(conflict), true) => Ok(conflict),
        (Some(_), false) => Err(Failure::Usage("more than one conflict begins like that")),
        (None, _) => Err(Failure::Usage("there is no such conflict; see `keepwell conflicts list`")),
    }
}

fn summary(conflict: &Conflict) -> Value {
    json!({
        "id": conflict.id.as_str(),
        "resource": format!("{}/{}", conflict.resource_type, conflict.resource_id),
        "kind": conflict.kind,
        "paths": conflict.paths,
        "reasons": conflict.reasons,
        "advice": conflict.advice(),
        "at": conflict.at.to_string(),
        "archived": conflict.is_archived,
    })
}

/// Why an edit lost, in a word or two.
fn why(conflict: &Conflict, summary: &Value) -> String {
    let kind = summary["kind"].as_str().unwrap_or_default();
    match conflict.kind {
        ParkKind::Parked if !conflict.reasons.is_empty() => format!("{kind}, {}", conflict.reasons.join(" ")),
        _ => kind.to_owned(),
    }
}

fn report_json(report: &Report) -> Value {
    json!({
        "rows": report.rows, "stored": report.stored, "purged": report.purged, "applied": report.applied,
        "merged": report.merged, "lost": report.lost, "rejected": report.rejected, "parked": report.parked,
        "kept": report.kept,
        "requests": report.requests, "sent_bytes": report.sent_bytes, "received_bytes": report.received_bytes,
        "problem": report.last_problem,
    })
}

fn tell(report: &Report, conflicts: u64, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(
        out,
        "{} edits went, {} resources came, {} went away; {} merged.",
        grouped(report.applied),
        grouped(report.stored),
        grouped(report.purged),
        grouped(report.merged)
    )?;
    if report.kept > 0 {
        let kept = grouped(report.kept);
        writeln!(
            out,
            "{kept} edits stay on this device: what they make is in no scope, such as that of a patient."
        )?;
    }
    if conflicts > 0 {
        writeln!(out, "{} conflicts to look at: `keepwell conflicts list`.", grouped(conflicts))?;
    }
    writeln!(
        out,
        "{} requests, {} up, {} down.",
        grouped(report.requests),
        size(report.sent_bytes),
        size(report.received_bytes)
    )
}

/// Runs `work` with a client of the store, then closes it.
fn with_client(context: &Context, work: impl FnOnce(&Client) -> Result<()>) -> Result<()> {
    with_store(context, false, |store, sync| work(&client(context, store, sync)?))
}

fn client(context: &Context, store: Store, sync: SyncExtension) -> Result<Client> {
    Ok(Client::new(store, sync, ClientOptions::new(context.actor()?)))
}

/// Runs `work` with the store, then closes it; `until_ended` as for [`Context::unlocked_to_sync`].
fn with_store(
    context: &Context,
    until_ended: bool,
    work: impl FnOnce(Store, SyncExtension) -> Result<()>,
) -> Result<()> {
    let sync = SyncExtension::new();
    let store: Store = context.unlocked_to_sync(&sync, until_ended)?;
    let done = work(store.clone(), sync);
    // After a wipe there is nothing to close; a lease that is over has closed it.
    let closed = store.lock();
    done?;
    Ok(closed?)
}
