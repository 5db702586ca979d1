//! The commands, a file for each group.

mod audit;
mod destroy;
mod health;
mod keys;
mod operate;
mod parameters;
mod resources;
mod search;
mod serve;
mod sync;
mod transfer;

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use clap::CommandFactory;

use crate::args::{Arguments, AuditCommand, BenchCommand, Command, Global, PasscodeCommand, RecoverCommand};
use crate::context::Context;
use crate::exit::{Result, io as io_failure};
use crate::{bench, demo};

/// Does what the command line says.
pub(crate) fn run(global: Global, command: Command) -> Result<()> {
    let context = &Context::new(global);
    match command {
        Command::Sample(args) => transfer::sample(&args),
        Command::Init(args) => transfer::init(context, &args),
        Command::Import(args) => transfer::import(context, &args),
        Command::Export(args) => transfer::export(context, args),
        Command::Archive(args) => transfer::archive(context, &args),
        Command::Restore(args) => transfer::restore(context, &args),
        Command::Get(args) => resources::get(context, &args),
        Command::Put(args) => resources::put(context, &args),
        Command::Patch(args) => resources::patch(context, &args),
        Command::Delete(args) => resources::delete(context, &args),
        Command::History(args) => resources::history(context, &args),
        Command::Search(args) => search::search(context, &args),
        Command::Parameters(args) => parameters::parameters(context, &args),
        Command::Bundle(args) => resources::bundle(context, &args),
        Command::Audit(AuditCommand::List(args)) => audit::list(context, args),
        Command::Audit(AuditCommand::Verify(_)) => audit::verify(context),
        Command::Audit(AuditCommand::Export(args)) => audit::export(context, args),
        Command::Audit(AuditCommand::Purge(args)) => audit::purge(context, &args),
        Command::Lock(_) => keys::lock(context),
        Command::Unlock(args) => keys::unlock(context, &args),
        Command::Passcode(PasscodeCommand::Set(args)) => keys::set_passcode(context, &args),
        Command::Passcode(PasscodeCommand::Remove(_)) => keys::remove_passcode(context),
        Command::Rotate(args) => keys::rotate(context, &args),
        Command::Recover(RecoverCommand::Set(args)) => keys::set_recovery(context, &args),
        Command::Recover(RecoverCommand::Use(args)) => keys::recover(context, &args),
        Command::Doctor(args) => health::doctor(context, &args),
        Command::Verify(args) => health::verify(context, &args),
        Command::Stats(_) => health::stats(context),
        Command::Quarantine(command) => destroy::quarantine(context, &command),
        Command::Purge(args) => destroy::purge(context, &args),
        Command::Erase(args) => destroy::erase(context, &args),
        Command::Serve(args) => serve::serve(context, args),
        Command::Enrol(args) => sync::enrol(context, &args),
        Command::Sync(args) => sync::sync(context, &args),
        Command::SyncStatus(_) => sync::status(context),
        Command::Conflicts(command) => sync::conflicts(context, &command),
        Command::Bench(BenchCommand::Store(args)) => bench::store(context.out, &args),
        Command::Bench(BenchCommand::Search(args)) => bench::search(context.out, &args),
        Command::Bench(BenchCommand::Sync(args)) => bench::sync(context.out, &args),
        Command::Bench(BenchCommand::Pull(args)) => bench::pull_alone(&args),
        Command::Bench(BenchCommand::Idle(args)) => bench::idle_alone(&args),
        Command::Bench(BenchCommand::Hold(args)) => bench::hold(&args),
        Command::Bench(BenchCommand::Import(args)) => bench::import_alone(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Completions(args) => {
            let mut command = Arguments::command();
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut command, "keepwell", &mut script);
            context.out.raw(&script)
        }
    }
}

/// The whole of a file, or of standard input for `-`.
fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = io_failure("reading the input");
    if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map_err(failed)?;
        Ok(bytes)
    } else {
        fs::read(path).map_err(|error| failed(error).about(path))
    }
}
