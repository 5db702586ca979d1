//! What can be typed: commands, their arguments, and an example for each.
//!
//! Invariant: no argument takes a secret; passcodes and passphrases are read as `secret.rs` says.

mod serve;
mod sync;
mod values;

use std::path::PathBuf;

use clap::builder::styling::Styles;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use keepwell_fhir::{Instant, ResourceType};
use keepwell_store::IMPORT_BATCH;
use keepwell_store::audit::{Action, Outcome};

pub(crate) use self::serve::{
    ServeArchiveArgs, ServeArgs, ServeCommand, ServeDeviceArgs, ServeGrantArgs, ServeGrantsArgs,
    ServeInviteArgs, ServeKeyCommand, ServePlace, ServeTokenArgs,
};
pub(crate) use self::sync::{
    BenchHoldArgs, BenchIdleArgs, BenchPullArgs, BenchSyncArgs, ConflictsCommand, ConflictsResolveArgs,
    ConflictsShowArgs, EnrolArgs, SyncArgs, SyncStatusArgs, WritesArg,
};
use self::values::{CompressChoice, FormatChoice, Scope, action, instant, outcome, resource_type};
pub(crate) use self::values::{Day, KeychainChoice, Place};

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   the data or the request was refused (errors 1xx), or a search (3xx)
  2   the command line is wrong
  3   key, passcode or lock (errors 2xx)
  4   the network or the server's configuration (errors 4xx)
  5   storage: disk, permissions, damage (errors 5xx)
  70  a bug (errors 9xx)

An error is printed as `error 103: ...`; docs/error-codes.md says what each number means and who can act.

Secrets are asked for on the terminal, or read from the file named by --passcode-file and its likes
(`-` is standard input, /dev/fd/N an open file). They are never taken from arguments or the environment.";

/// An encrypted FHIR R4 store in a directory.
#[derive(Parser)]
#[command(
    name = "keepwell",
    version,
    propagate_version = true,
    after_help = EXIT_CODES,
    styles = Styles::plain(),
    max_term_width = 100,
    disable_help_subcommand = true
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command understands.
#[derive(Args, Clone)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The directory of the store [default: keepwell/store in XDG_STATE_HOME or ~/.local/state]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,
    /// Where the secret half of the key lives: system, file:DIR, or none (a passphrase is then all there is)
    #[arg(long, global = true, value_name = "KIND", default_value = "system")]
    pub(crate) keychain: KeychainChoice,
    /// Who acts, for the audit trail [default: the user of the operating system]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Read the passcode from this file instead of the terminal
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) passcode_file: Option<PathBuf>,
    /// Print JSON instead of tables
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Sample(SampleArgs),
    Init(InitArgs),
    Import(ImportArgs),
    Export(ExportArgs),
    Archive(ArchiveArgs),
    Restore(RestoreArgs),
    Get(GetArgs),
    Put(PutArgs),
    Patch(PatchArgs),
    Delete(DeleteArgs),
    History(HistoryArgs),
    Search(SearchArgs),
    Parameters(ParametersArgs),
    Bundle(BundleArgs),
    #[command(subcommand)]
    Audit(AuditCommand),
    Lock(LockArgs),
    Unlock(UnlockArgs),
    #[command(subcommand)]
    Passcode(PasscodeCommand),
    Rotate(RotateArgs),
    #[command(subcommand)]
    Recover(RecoverCommand),
    Doctor(DoctorArgs),
    Verify(VerifyArgs),
    Stats(StatsArgs),
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    Purge(PurgeArgs),
    Erase(EraseArgs),
    Serve(ServeArgs),
    Enrol(EnrolArgs),
    Sync(SyncArgs),
    SyncStatus(SyncStatusArgs),
    #[command(subcommand)]
    Conflicts(ConflictsCommand),
    #[command(subcommand)]
    Bench(BenchCommand),
    Demo(DemoArgs),
    Completions(CompletionsArgs),
}

/// Write made-up patients: plausible, varied, linked, and the same for the same seed and day
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell sample --patients 500 --output patients.ndjson
  keepwell sample --seed 7 | keepwell import -")]
pub(crate) struct SampleArgs {
    /// How many patients
    #[arg(long, short = 'n', default_value_t = 100)]
    pub(crate) patients: u64,
    /// Which patients: another seed gives others
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// The day on which the records stand, YYYY-MM-DD; nothing in them is later [default: today]
    #[arg(long, value_name = "DAY")]
    pub(crate) date: Option<Day>,
    /// Write NDJSON to this file instead of standard output
    #[arg(long, short, value_name = "FILE", conflicts_with = "bundles")]
    pub(crate) output: Option<PathBuf>,
    /// Write a transaction Bundle for each patient into this folder instead
    #[arg(long, value_name = "DIR")]
    pub(crate) bundles: Option<PathBuf>,
}

/// Make a new, empty store
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell init
  keepwell init --with-passcode
  keepwell --keychain file:/etc/keepwell/keys --store /srv/keepwell init
  keepwell --keychain none --passcode-file /run/secrets/passphrase init")]
pub(crate) struct InitArgs {
    /// Set a passcode, asked for on the terminal; implied by --passcode-file and --keychain none
    #[arg(long)]
    pub(crate) with_passcode: bool,
}

/// Import Bundles and NDJSON, plain, gzip or zstd; goes on where an interrupted import was
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell import patients.ndjson.zst
  keepwell import --skip-errors synthea/output/fhir
  zcat export.ndjson.gz | keepwell import -")]
pub(crate) struct ImportArgs {
    /// Files, or folders of them; - is standard input
    #[arg(required = true, value_name = "FILES")]
    pub(crate) files: Vec<PathBuf>,
    /// Make urn:uuid links between the entries of a Bundle point to the stored resources
    #[arg(long)]
    pub(crate) rewrite_references: bool,
    /// Store Bundles as resources instead of their entries
    #[arg(long)]
    pub(crate) keep_bundles: bool,
    /// Store resources that break the rules of their type too; what is not JSON stays out
    #[arg(long)]
    pub(crate) accept_invalid: bool,
    /// Go on after a record that cannot be stored, and list it
    #[arg(long)]
    pub(crate) skip_errors: bool,
    /// Begin anew even if an earlier import of the same file was cut short
    #[arg(long)]
    pub(crate) from_start: bool,
    /// Resources of one commit
    #[arg(long, value_name = "N", default_value_t = IMPORT_BATCH)]
    pub(crate) batch: usize,
}

/// Write resources in clear, as NDJSON; asks for the passcode again
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell export --output all.ndjson
  keepwell export --type Patient --type Observation --compress zstd --output some.ndjson.zst")]
pub(crate) struct ExportArgs {
    /// Write to this file, which must not exist, instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Only this type; may be given several times
    #[arg(long = "type", value_name = "TYPE", value_parser = resource_type)]
    pub(crate) types: Vec<ResourceType>,
    /// Superseded versions too
    #[arg(long)]
    pub(crate) history: bool,
    /// How to compress
    #[arg(long, value_enum, default_value_t)]
    pub(crate) compress: CompressChoice,
}

/// Write the whole store, history and audit trail included, to one file under a passphrase
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell archive clinic.keepwell
  keepwell archive clinic.keepwell --passphrase-file /run/secrets/archive")]
pub(crate) struct ArchiveArgs {
    /// The file to write, which must not exist
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Read the passphrase of the archive from this file
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// Make a new store from an archive
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell --store restored restore clinic.keepwell")]
pub(crate) struct RestoreArgs {
    /// The archive
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Read the passphrase of the archive from this file
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Set a passcode for the new store; implied by --passcode-file and --keychain none
    #[arg(long)]
    pub(crate) with_passcode: bool,
}

/// Read a resource, one of its versions, or a large attachment
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell get Patient/42
  keepwell get Patient/42 --version-id 3
  keepwell get DocumentReference/7 --attachment 0 --output scan.pdf")]
pub(crate) struct GetArgs {
    /// Type and id
    #[arg(value_name = "TYPE/ID")]
    pub(crate) place: Place,
    /// This version instead of the current one
    #[arg(long, value_name = "N")]
    pub(crate) version_id: Option<u64>,
    /// The content of the N-th large attachment instead of the resource, counted from 0
    #[arg(long, value_name = "N", conflicts_with = "version_id")]
    pub(crate) attachment: Option<usize>,
    /// Write to this file, which must not exist, instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Store a resource: under its own id if it has one (update, or create under that id), else under a new id
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell put patient.json
  keepwell put patient.json --if-match 2
  keepwell put patient.json --if-none-exist 'identifier=http://hospital.example/mrn|123'
  keepwell get Patient/42 | jq '.active = false' | keepwell put -")]
pub(crate) struct PutArgs {
    /// The resource; - is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Only if the current version is this one
    #[arg(long, value_name = "N")]
    pub(crate) if_match: Option<u64>,
    /// Only if there is no such resource yet
    #[arg(long, conflicts_with = "if_match")]
    pub(crate) if_absent: bool,
    /// Create under a new id, unless a resource fulfils this condition
    #[arg(long, value_name = "QUERY", conflicts_with_all = ["if_match", "if_absent", "condition"])]
    pub(crate) if_none_exist: Option<String>,
    /// Update the one resource that fulfils this condition
    #[arg(long = "where", value_name = "QUERY")]
    pub(crate) condition: Option<String>,
    /// Refuse references that lead nowhere in this store
    #[arg(long)]
    pub(crate) check_references: bool,
}

/// Change a resource by a JSON Patch, a JSON Merge Patch or a FHIRPath Patch
#[derive(Args)]
#[command(after_help = "\
Examples:
  echo '{\"active\":false}' | keepwell patch Patient/42 -
  keepwell patch Patient/42 changes.json --format json --if-match 2")]
pub(crate) struct PatchArgs {
    /// Type and id
    #[arg(value_name = "TYPE/ID")]
    pub(crate) place: Place,
    /// The patch; - is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The kind of patch [default: what it looks like]
    #[arg(long, value_enum)]
    pub(crate) format: Option<FormatChoice>,
    /// Only if the current version is this one
    #[arg(long, value_name = "N")]
    pub(crate) if_match: Option<u64>,
}

/// Delete a resource; its history stays
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell delete Patient/42
  keepwell delete Patient/42 --if-match 3
  keepwell delete Patient --where 'identifier=http://hospital.example/mrn|123'")]
pub(crate) struct DeleteArgs {
    /// Type and id; with --where the type alone
    #[arg(value_name = "TYPE[/ID]")]
    pub(crate) scope: Scope,
    /// Only if the current version is this one
    #[arg(long, value_name = "N")]
    pub(crate) if_match: Option<u64>,
    /// Delete the one resource that fulfils this condition
    #[arg(long = "where", value_name = "QUERY", conflicts_with = "if_match")]
    pub(crate) condition: Option<String>,
}

/// List versions, the newest first: of a resource, a type, or everything
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell history Patient/42
  keepwell history Observation --since 2026-11-01T00:00:00Z --count 20
  keepwell history Patient/42 --bundle")]
pub(crate) struct HistoryArgs {
    /// Whose history [default: everything]
    #[arg(value_name = "TYPE[/ID]")]
    pub(crate) scope: Option<Scope>,
    /// At most so many versions
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) count: usize,
    /// Only versions made at this instant or later
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub(crate) since: Option<Instant>,
    /// Only versions that were current at this instant
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub(crate) at: Option<Instant>,
    /// Go on where the last page ended
    #[arg(long, value_name = "CURSOR")]
    pub(crate) before: Option<i64>,
    /// Print a FHIR Bundle of type history, with the resources
    #[arg(long)]
    pub(crate) bundle: bool,
}

/// Search as on a FHIR server: the same string, the same answer, from what is here
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell search 'Patient?family=lee&birthdate=lt1980'
  keepwell search 'Observation?code=http://loinc.org|8480-6&_sort=-date&_count=5' --columns subject,value,effective
  keepwell search 'Observation?patient.gender=female&date=ge2020' --all --format csv
  keepwell search 'Patient/42/$everything' --all --format ndjson
  keepwell search 'Patient?_has:Observation:patient:code=8480-6' --explain")]
pub(crate) struct SearchArgs {
    /// What would stand after the base URL of a server, or the link to the next page
    #[arg(value_name = "TYPE?QUERY")]
    pub(crate) query: String,
    /// How to print what is found; --json is the same as --format json
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: SearchFormat,
    /// Elements to show in tables and CSV, such as subject,value,code.coding.code [default: the most telling ones]
    #[arg(long, value_name = "ELEMENTS", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,
    /// Follow the links to the end instead of printing one page
    #[arg(long)]
    pub(crate) all: bool,
    /// Ignore parameters that are not known, and say which
    #[arg(long)]
    pub(crate) lenient: bool,
    /// Say how the search would be done, instead of doing it
    #[arg(long, conflicts_with_all = ["all", "columns", "lenient"])]
    pub(crate) explain: bool,
}

/// What can be searched by: the parameters of a type, or those that this store has beside R4
#[derive(Args)]
#[command(after_help = "\
A SearchParameter that is stored and active becomes a parameter by itself; without TYPE this tells what became of each.

Examples:
  keepwell parameters Observation
  keepwell put eye-colour.json && keepwell parameters")]
pub(crate) struct ParametersArgs {
    /// The type of resource
    #[arg(value_name = "TYPE")]
    pub(crate) resource_type: Option<ResourceType>,
}

/// How found resources are printed.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum SearchFormat {
    /// A row for each
    #[default]
    Table,
    /// The searchset Bundle of each page
    Json,
    /// A resource a line
    Ndjson,
    /// A row for each, for spreadsheets (RFC 4180)
    Csv,
}

/// Carry out a transaction or batch Bundle, and print the response Bundle
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell bundle transaction.json
  keepwell bundle - < batch.json")]
pub(crate) struct BundleArgs {
    /// The Bundle; - is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Refuse references that lead nowhere in this store
    #[arg(long)]
    pub(crate) check_references: bool,
}

/// The audit trail: who did what to which record, when, and how it ended
#[derive(Subcommand)]
#[command(after_help = "\
Examples:
  keepwell audit list --patient 42
  keepwell audit verify")]
pub(crate) enum AuditCommand {
    List(AuditListArgs),
    Verify(AuditVerifyArgs),
    Export(AuditExportArgs),
    Purge(AuditPurgeArgs),
}

/// Which records of the trail.
#[derive(Args)]
pub(crate) struct AuditFilter {
    /// Who acted
    #[arg(long = "by", value_name = "USER")]
    pub(crate) who: Option<String>,
    /// Through which app
    #[arg(long)]
    pub(crate) app: Option<String>,
    /// On which device
    #[arg(long)]
    pub(crate) device: Option<String>,
    /// About which resource
    #[arg(long, value_name = "TYPE/ID")]
    pub(crate) resource: Option<Place>,
    /// About which patient, by the id of the Patient
    #[arg(long, value_name = "ID")]
    pub(crate) patient: Option<String>,
    /// Recorded at this instant or later
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub(crate) from: Option<Instant>,
    /// Recorded before this instant
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub(crate) to: Option<Instant>,
    /// What was done: create, read, update, import, login, ...
    #[arg(long, value_parser = action)]
    pub(crate) action: Option<Action>,
    /// How it ended: 0 done, 4 refused, 8 and 12 failed
    #[arg(long, value_name = "CODE", value_parser = outcome)]
    pub(crate) outcome: Option<Outcome>,
}

/// List records, the newest first
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell audit list
  keepwell audit list --patient 42 --from 2026-11-01T00:00:00Z
  keepwell audit list --action login-failed --json")]
pub(crate) struct AuditListArgs {
    #[command(flatten)]
    pub(crate) filter: AuditFilter,
    /// At most so many records
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) count: usize,
    /// Go on where the last page ended
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<i64>,
}

/// Check that no record was edited, deleted, reordered or cut off, and name the place if one was
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell audit verify")]
pub(crate) struct AuditVerifyArgs {}

/// Write records as NDJSON of FHIR AuditEvents; asks for the passcode again
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell audit export --output audit.ndjson
  keepwell audit export --by dr.jones --from 2026-01-01T00:00:00Z --output jones.ndjson")]
pub(crate) struct AuditExportArgs {
    #[command(flatten)]
    pub(crate) filter: AuditFilter,
    /// Write to this file, which must not exist, instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Remove records past their retention, in whole segments, and keep the proof; asks for the passcode again
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell audit purge
  keepwell audit purge --keep-days 3653")]
pub(crate) struct AuditPurgeArgs {
    /// The retention; six years is what the law asks for in many places
    #[arg(long, value_name = "DAYS", default_value_t = 2_192)]
    pub(crate) keep_days: u64,
}

/// Ask for the passcode again from now on
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell lock")]
pub(crate) struct LockArgs {}

/// Check the passcode and remember it for a while, so that the next commands do not ask
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell unlock
  keepwell unlock --minutes 15
  keepwell unlock --adopt")]
pub(crate) struct UnlockArgs {
    /// Until no command has run for so long, 30 at the most; two hours after the unlock in any case
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) minutes: u64,
    /// Go on with a store that seems to be a copy or an older state; recorded in the audit trail
    #[arg(long)]
    pub(crate) adopt: bool,
}

/// Set, change or remove the passcode
#[derive(Subcommand)]
#[command(after_help = "\
Examples:
  keepwell passcode set
  keepwell passcode remove")]
pub(crate) enum PasscodeCommand {
    Set(PasscodeSetArgs),
    Remove(PasscodeRemoveArgs),
}

/// Set or change the passcode
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell passcode set
  keepwell --passcode-file old passcode set --new-passcode-file new")]
pub(crate) struct PasscodeSetArgs {
    /// Read the new passcode from this file
    #[arg(long, value_name = "FILE")]
    pub(crate) new_passcode_file: Option<PathBuf>,
}

/// Let the keychain alone open the store
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell passcode remove")]
pub(crate) struct PasscodeRemoveArgs {}

/// Replace a key by a new one; asks for the passcode again
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell rotate --key kek
  keepwell rotate --key database")]
pub(crate) struct RotateArgs {
    /// Which key
    #[arg(long, value_enum)]
    pub(crate) key: KeyChoice,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum KeyChoice {
    /// the key that wraps the others: milliseconds
    Kek,
    /// the key of the database: encrypts every page anew
    Database,
}

/// The recovery passphrase, for the day on which the keychain or the passcode is lost
#[derive(Subcommand)]
#[command(after_help = "\
Examples:
  keepwell recover set
  keepwell recover use")]
pub(crate) enum RecoverCommand {
    Set(RecoverSetArgs),
    Use(RecoverUseArgs),
}

/// Set or replace the recovery passphrase
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell recover set
  keepwell recover set --generate > for-the-safe.txt")]
pub(crate) struct RecoverSetArgs {
    /// Read the passphrase from this file
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Make one of 160 random bits and print it, this once, on standard output
    #[arg(long, conflicts_with = "passphrase_file")]
    pub(crate) generate: bool,
}

/// Open a store with its recovery passphrase, under a new secret in the keychain named by --keychain
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell recover use
  keepwell --keychain file:/etc/keepwell/keys recover use --passphrase-file /run/secrets/recovery")]
pub(crate) struct RecoverUseArgs {
    /// Read the passphrase from this file
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Set a new passcode; implied by --passcode-file and --keychain none. Without one, none is set afterwards
    #[arg(long)]
    pub(crate) with_passcode: bool,
}

/// Look at the health of the store: keychain, key ages, backup exclusion, locks, unsynced changes
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell doctor
  keepwell doctor --json")]
pub(crate) struct DoctorArgs {
    /// Look from outside only: do not unlock the store, do not check its database
    #[arg(long)]
    pub(crate) locked: bool,
}

/// Check every page, version, attachment and audit record, and name what is damaged
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell verify
  keepwell verify --references")]
pub(crate) struct VerifyArgs {
    /// Also look for references that lead nowhere
    #[arg(long)]
    pub(crate) references: bool,
}

/// Count what is in the store
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell stats")]
pub(crate) struct StatsArgs {}

/// Stores whose key is lost or in doubt: set aside, never deleted
#[derive(Subcommand)]
#[command(after_help = "\
Examples:
  keepwell quarantine status
  keepwell quarantine move-aside")]
pub(crate) enum QuarantineCommand {
    /// Say whether the store is in quarantine, why, and how many unsynced changes are inside
    #[command(after_help = "Examples:\n  keepwell quarantine status")]
    Status,
    /// Put the store in quarantine
    #[command(after_help = "Examples:\n  keepwell quarantine mark")]
    Mark,
    /// End the quarantine
    #[command(after_help = "Examples:\n  keepwell quarantine lift")]
    Lift,
    /// Move the directory aside, to make room for a new store
    #[command(after_help = "Examples:\n  keepwell quarantine move-aside")]
    MoveAside,
}

/// Remove a resource, its history and its attachments for good; asks for the passcode again
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell purge Observation/7 --reason 'entered for the wrong person'
  keepwell purge Patient/42 --with-compartment --reason 'request of 2026-11-20'")]
pub(crate) struct PurgeArgs {
    /// Type and id
    #[arg(value_name = "TYPE/ID")]
    pub(crate) place: Place,
    /// Everything in the compartment of this Patient too
    #[arg(long)]
    pub(crate) with_compartment: bool,
    /// Why; kept in the audit trail
    #[arg(long)]
    pub(crate) reason: String,
}

/// Destroy the keys of the store, and so its data, for good
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell erase
  keepwell --store old erase --yes")]
pub(crate) struct EraseArgs {
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Measurements
#[derive(Subcommand)]
#[command(after_help = "\
Examples:
  keepwell bench store --data patients.ndjson")]
pub(crate) enum BenchCommand {
    Store(BenchStoreArgs),
    Search(BenchSearchArgs),
    Sync(BenchSyncArgs),
    #[command(hide = true)]
    Pull(BenchPullArgs),
    #[command(hide = true)]
    Idle(BenchIdleArgs),
    #[command(hide = true)]
    Hold(BenchHoldArgs),
    #[command(hide = true)]
    Import(BenchImportArgs),
}

/// Speed, size and memory of the store, against bare SQLCipher in the same process
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell bench store --data synthea/*.ndjson.zst --json
  keepwell bench store --data patients.ndjson --walk examples --rounds 1")]
pub(crate) struct BenchStoreArgs {
    /// Bundles and NDJSON to import: files, or folders of them
    #[arg(long, required = true, num_args = 1.., value_name = "FILES")]
    pub(crate) data: Vec<PathBuf>,
    /// Walk the resources in these files and folders instead of the imported ones
    #[arg(long, num_args = 1.., value_name = "PATHS")]
    pub(crate) walk: Vec<PathBuf>,
    /// How often imports are repeated; the median counts
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Where the stores are made; an encrypted or slow disk tells [default: the temporary folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}

/// Speed of searches, and of an import with all indexes, against bare SQLCipher and reads by id
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell bench search --data synthea/*.ndjson.zst --json
  keepwell bench search --data synthea/*.ndjson.zst --resources 3000000 --store large --json")]
pub(crate) struct BenchSearchArgs {
    /// Bundles and NDJSON to import: files, or folders of them
    #[arg(long, required = true, num_args = 1.., value_name = "FILES")]
    pub(crate) data: Vec<PathBuf>,
    /// How many resources to store: more than there are means copies under new ids [default: each once]
    #[arg(long, value_name = "N")]
    pub(crate) resources: Option<u64>,
    /// Take the resources in these files and folders apart for walk_us and extract_us, instead of the imported ones
    #[arg(long, num_args = 1.., value_name = "PATHS")]
    pub(crate) extract: Vec<PathBuf>,
    /// Where the stores are made [default: the temporary folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// Make the measured store here and leave it, with its keys; where one was left, only ask it
    #[arg(long, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,
}

/// One import, measured in a process of its own for `bench store`.
#[derive(Args)]
pub(crate) struct BenchImportArgs {
    #[arg(long, required = true, num_args = 1..)]
    pub(crate) data: Vec<PathBuf>,
    #[arg(long)]
    pub(crate) wipe: bool,
    #[arg(long)]
    pub(crate) directory: PathBuf,
}

/// Show the store at work, step by step, on made-up patients or on a folder of Bundles; leaves nothing behind
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell demo
  keepwell demo ~/synthea/output/fhir")]
pub(crate) struct DemoArgs {
    /// A folder of FHIR Bundles or NDJSON, such as Synthea writes
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
    /// How many patients to make up
    #[arg(long, default_value_t = 500, conflicts_with = "folder")]
    pub(crate) patients: u64,
}

/// Print a completion script for a shell
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell completions bash > /etc/bash_completion.d/keepwell
  keepwell completions zsh > ~/.zfunc/_keepwell")]
pub(crate) struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        fn check(command: &clap::Command) {
            for child in command.get_subcommands().filter(|child| !child.is_hide_set()) {
                assert!(child.get_after_help().is_some(), "{} has no example", child.get_name());
                check(child);
            }
        }
        check(&Arguments::command());
    }
}
