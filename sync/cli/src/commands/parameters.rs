//! What can be searched by, and what became of SearchParameters of one's own.

use keepwell_fhir::ResourceType;
use keepwell_store::query::Parameter;
use keepwell_store::{OwnParameter, Session};
use serde_json::{Value, json};

use crate::args::ParametersArgs;
use crate::context::Context;
use crate::exit::Result;
use crate::output::Table;

pub(super) fn parameters(context: &Context, args: &ParametersArgs) -> Result<()> {
    context.with(|session| match args.resource_type {
        Some(resource_type) => of_type(context, session, resource_type),
        None => own(context, session),
    })
}

fn of_type(context: &Context, session: &Session, resource_type: ResourceType) -> Result<()> {
    let parameters = session.parameters()?;
    // Compartments and the like have numbers, but no names that a search could use.
    let mut all: Vec<&Parameter> =
        parameters.of(resource_type).filter(|parameter| !parameter.url.is_empty()).collect();
    all.sort_by(|left, right| left.code.cmp(&right.code));
    let targets =
        |parameter: &Parameter| parameter.targets.iter().map(|target| target.name()).collect::<Vec<_>>();
    context.out.show(
        || {
            let json = |parameter: &&Parameter| {
                json!({ "code": parameter.code, "type": parameter.kind.code(), "target": targets(parameter),
                    "url": parameter.url })
            };
            all.iter().map(json).collect()
        },
        |out| {
            let mut table = Table::new(&["parameter", "type", "refers to"]);
            for parameter in &all {
                let targets = targets(parameter);
                let shown = match &targets[..] {
                    [first, second, third, _, ..] => {
                        format!("{first}, {second}, {third} and {} more", targets.len() - 3)
                    }
                    few => few.join(", "),
                };
                table.row([parameter.code.to_string(), parameter.kind.code().to_owned(), shown]);
            }
            table.write(out)
        },
    )
}

fn own(context: &Context, session: &Session) -> Result<()> {
    let all = session.search_parameters()?;
    context.out.show(
        || all.iter().map(json_of).collect(),
        |out| {
            if all.is_empty() {
                return writeln!(out, "no search parameters beside those of R4");
            }
            let mut table = Table::new(&["parameter", "types", "state", "url"]);
            for own in &all {
                table.row([own.code.clone(), types(own).join(", "), state(own), own.url.clone()]);
            }
            table.write(out)
        },
    )
}

fn types(own: &OwnParameter) -> Vec<&'static str> {
    own.types.iter().map(|resource_type| resource_type.name()).collect()
}

fn state(own: &OwnParameter) -> String {
    match own.issues.first() {
        Some(issue) => format!("not used: {}: {}", issue.expression, issue.diagnostics),
        None if own.types.is_empty() => "not used".to_owned(),
        None if own.progress.is_complete() => "ready".to_owned(),
        None => format!("{} of {} changes", own.progress.done, own.progress.total),
    }
}

fn json_of(own: &OwnParameter) -> Value {
    json!({
        "code": own.code,
        "url": own.url,
        "types": types(own),
        "ready": own.issues.is_empty() && !own.types.is_empty() && own.progress.is_complete(),
        "done": own.progress.done,
        "total": own.progress.total,
        "issues": own.issues.iter().map(|issue| json!({
            "expression": issue.expression,
            "diagnostics": issue.diagnostics,
        })).collect::<Vec<_>>(),
    })
}
