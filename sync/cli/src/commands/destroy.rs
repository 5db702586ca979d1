//! What takes data away, or sets it aside: quarantine, purge, erase.

use std::io::{self, BufRead, IsTerminal, Write};

use keepwell_fhir::Instant;
use keepwell_vault::quarantine::{self, Quarantine, Reason};
use keepwell_vault::{Clock, SystemClock};
use serde_json::json;

use crate::args::{EraseArgs, PurgeArgs, QuarantineCommand};
use crate::context::Context;
use crate::exit::{Failure, Result, io as io_failure};
use crate::output::{grouped, size};

/// What has to be typed before a store is erased.
const CONFIRMATION: &str = "erase";

pub(super) fn quarantine(context: &Context, command: &QuarantineCommand) -> Result<()> {
    let directory = context.directory()?;
    let now_ms = SystemClock::new().wall_ms();
    match command {
        QuarantineCommand::Status => show(context, quarantine::find(directory)?.as_ref()),
        QuarantineCommand::Mark => {
            show(context, Some(&quarantine::mark(directory, Reason::Decision, now_ms)?))
        }
        QuarantineCommand::Lift => {
            quarantine::lift(directory)?;
            show(context, None)
        }
        QuarantineCommand::MoveAside => {
            let target = quarantine::move_aside(directory, now_ms)?;
            context.out.show(
                || json!({ "directory": target }),
                |out| writeln!(out, "the store is now in {}", target.display()),
            )
        }
    }
}

fn show(context: &Context, found: Option<&Quarantine>) -> Result<()> {
    context.out.show(
        || json!({ "quarantine": found }),
        |out| match found {
            None => writeln!(out, "the store is not in quarantine"),
            Some(Quarantine { reason, since_ms, unsynced }) => {
                writeln!(out, "in quarantine since {} ({reason:?})", Instant::from_ms(*since_ms))?;
                match unsynced {
                    Some(count) => writeln!(out, "changes inside that no server has: {}", grouped(*count)),
                    None => writeln!(out, "changes inside that no server has: not known"),
                }
            }
        },
    )
}

pub(super) fn purge(context: &Context, args: &PurgeArgs) -> Result<()> {
    let place = &args.place;
    if args.with_compartment && place.resource_type.name() != "Patient" {
        return Err(Failure::Usage("--with-compartment is for a Patient"));
    }
    let purged = context.elevated(|privileged| {
        if args.with_compartment {
            return Ok(privileged.purge_patient(&place.id, &args.reason)?);
        }
        privileged.purge(place.resource_type, &place.id, &args.reason)?;
        Ok(1)
    })?;
    context.out.show(
        || json!({ "purged": purged }),
        |out| writeln!(out, "removed for good: {} resources with their history", grouped(purged)),
    )
}

pub(super) fn erase(context: &Context, args: &EraseArgs) -> Result<()> {
    if !args.yes {
        confirm(context)?;
    }
    let erasure = keepwell_vault::erase(context.directory()?, &context.vault_config())?;
    context.out.show(
        || json!(erasure),
        |out| {
            writeln!(out, "erased: {} files, {}", erasure.files, size(erasure.bytes))?;
            if !erasure.keychain_reached {
                writeln!(
                    out,
                    "the keychain was not reached; the destroyed key file alone makes the data unreadable"
                )?;
            }
            match erasure.unsynced {
                Some(count) if count > 0 => {
                    writeln!(out, "changes lost that no server has: {}", grouped(count))
                }
                _ => Ok(()),
            }
        },
    )
}

fn confirm(context: &Context) -> Result<()> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::Usage("confirm with --yes"));
    }
    let failed = io_failure("asking for confirmation");
    let mut terminal = io::stderr().lock();
    write!(
        terminal,
        "This destroys the store in {} for good. Type `{CONFIRMATION}` to go on: ",
        context.directory()?.display()
    )
    .and_then(|()| terminal.flush())
    .map_err(&failed)?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).map_err(&failed)?;
    if answer.trim() == CONFIRMATION { Ok(()) } else { Err(Failure::Usage("nothing was erased")) }
}
