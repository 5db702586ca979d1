//! The interactions of FHIR REST: get, put, patch, delete, history, bundle.

use std::path::Path;

use keepwell_fhir::patch::PatchFormat;
use keepwell_fhir::{ResourceType, Walker};
use keepwell_store::{
    Error, HistoryEntry, HistoryPage, HistoryQuery, Operation, Precondition, Session, Written,
};
use serde_json::{Value, json};

use super::read;
use crate::args::{BundleArgs, DeleteArgs, GetArgs, HistoryArgs, PatchArgs, Place, PutArgs};
use crate::context::Context;
use crate::exit::{Failure, Result, io as io_failure};
use crate::output::{Table, refuse_terminal, write_to};

pub(super) fn get(context: &Context, args: &GetArgs) -> Result<()> {
    let Place { resource_type, id } = &args.place;
    let output = args.output.as_deref();
    if let Some(index) = args.attachment {
        refuse_terminal(output)?;
        return context.with(|session| {
            write_to(output, |mut out| {
                session.read_attachment(*resource_type, id, index, &mut out)?;
                Ok(())
            })
        });
    }
    let resource = context.with(|session| {
        Ok(match args.version_id {
            Some(version) => session.vread(*resource_type, id, version)?,
            None => session.read(*resource_type, id)?,
        })
    })?;
    match output {
        Some(path) => write_file(path, &resource.body),
        None => context.out.raw(&resource.body),
    }
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    write_to(Some(path), |out| out.write_all(bytes).map_err(io_failure("writing the output file")))
}

pub(super) fn put(context: &Context, args: &PutArgs) -> Result<()> {
    let body = read(&args.file)?;
    let (resource_type, id) = identity(&body)?;
    let precondition = match (args.if_match, args.if_absent) {
        (Some(version), _) => Precondition::Match(version),
        (None, true) => Precondition::Absent,
        (None, false) => Precondition::None,
    };
    let write = |session: &Session| -> Result<Written> {
        Ok(match (&args.if_none_exist, &args.condition, &id) {
            (Some(query), _, _) => session.create_if_none_exist(resource_type, &body, query)?,
            (None, Some(query), _) => session.update_if(resource_type, query, &body, precondition)?,
            (None, None, Some(id)) => session.update(resource_type, id, &body, precondition)?,
            (None, None, None) if precondition == Precondition::None => {
                session.create(resource_type, &body)?
            }
            (None, None, None) => {
                return Err(Failure::Usage("a resource without id has no version to compare"));
            }
        })
    };
    let written = context.with_checked(args.check_references, write)?;
    show(context, Some(&written))
}

/// Type and id as the resource has them.
fn identity(body: &[u8]) -> Result<(ResourceType, Option<String>)> {
    let mut walker = Walker::new();
    let walk = walker.walk(body).map_err(Error::from)?;
    let id = walk.id.map(|id| String::from_utf8_lossy(id.bytes(body)).into_owned());
    Ok((walk.resource_type, id))
}

pub(super) fn patch(context: &Context, args: &PatchArgs) -> Result<()> {
    let patch = read(&args.file)?;
    let format = args
        .format
        .map(PatchFormat::from)
        .or_else(|| PatchFormat::from_shape(&patch))
        .ok_or(Failure::Usage("this does not look like a patch; name its kind with --format"))?;
    let precondition = args.if_match.map_or(Precondition::None, Precondition::Match);
    let Place { resource_type, id } = &args.place;
    let written =
        context.with(|session| Ok(session.patch(*resource_type, id, format, &patch, precondition)?))?;
    show(context, Some(&written))
}

pub(super) fn delete(context: &Context, args: &DeleteArgs) -> Result<()> {
    let resource_type = args.scope.resource_type;
    let precondition = args.if_match.map_or(Precondition::None, Precondition::Match);
    let deleted = match (&args.scope.id, &args.condition) {
        (Some(id), None) => context.with(|session| Ok(session.delete(resource_type, id, precondition)?))?,
        (None, Some(query)) => context.with(|session| Ok(session.delete_if(resource_type, query)?))?,
        _ => return Err(Failure::Usage("name a resource (TYPE/ID), or a type with --where")),
    };
    show(context, deleted.as_ref())
}

/// What was written; `None` when there was nothing to do.
fn show(context: &Context, written: Option<&Written>) -> Result<()> {
    let operation = written.and_then(|written| written.operation).map_or("unchanged", operation);
    context.out.show(
        || match written {
            Some(written) => json!({
                "resource": place(written.resource_type, &written.id),
                "version": written.version,
                "last_updated": written.last_updated.to_string(),
                "operation": operation,
            }),
            None => json!({ "operation": operation }),
        },
        |out| match written {
            Some(written) => {
                writeln!(
                    out,
                    "{}/{} version {} {operation}",
                    written.resource_type, written.id, written.version
                )
            }
            None => writeln!(out, "nothing to delete"),
        },
    )
}

fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "created",
        Operation::Update => "updated",
        Operation::Delete => "deleted",
        Operation::Purge => "purged",
        _ => "changed",
    }
}

fn place(resource_type: ResourceType, id: &str) -> String {
    format!("{resource_type}/{id}")
}

pub(super) fn history(context: &Context, args: &HistoryArgs) -> Result<()> {
    let query = HistoryQuery {
        count: Some(args.count),
        since: args.since,
        at: args.at.map(|at| (at, keepwell_fhir::Instant::from_ms(at.ms() + 1))),
        before: args.before,
    };
    let page = context.with(|session| {
        Ok(match &args.scope {
            None => session.history_system(&query)?,
            Some(scope) => match &scope.id {
                None => session.history_type(scope.resource_type, &query)?,
                Some(id) => session.history(scope.resource_type, id, &query)?,
            },
        })
    })?;
    if args.bundle {
        return context.out.raw(&page.to_bundle());
    }
    context.out.show(
        || history_json(&page),
        |out| {
            let mut table = Table::new(&["resource", "version", "last updated", "operation", "bytes"]);
            for entry in &page.entries {
                let HistoryEntry { resource_type, id, version, last_updated, body, .. } = entry;
                table.row([
                    place(*resource_type, id),
                    version.to_string(),
                    last_updated.to_string(),
                    operation(entry.operation).to_owned(),
                    body.as_ref().map_or_else(String::new, |body| body.len().to_string()),
                ]);
            }
            table.write(out)?;
            page.next.map_or(Ok(()), |next| writeln!(out, "more with --before {next}"))
        },
    )
}

fn history_json(page: &HistoryPage) -> Value {
    let entry = |entry: &HistoryEntry| {
        json!({
            "resource": place(entry.resource_type, &entry.id),
            "version": entry.version,
            "last_updated": entry.last_updated.to_string(),
            "operation": operation(entry.operation),
            "bytes": entry.body.as_ref().map(Vec::len),
        })
    };
    json!({ "entries": page.entries.iter().map(entry).collect::<Vec<_>>(), "next": page.next })
}

pub(super) fn bundle(context: &Context, args: &BundleArgs) -> Result<()> {
    let body = read(&args.file)?;
    let response = context.with_checked(args.check_references, |session| Ok(session.bundle(&body)?))?;
    context.out.raw(&response)
}
