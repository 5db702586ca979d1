//! Arguments of the commands that sync.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

/// Enrol this store with a server, with the invitation of its operator, or let it sync with any FHIR R4 server; what
/// is in the store will be sent
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell enrol --invitation invitation.txt --name 'tablet of ward 3'
  keepwell enrol < invitation.txt
  keepwell enrol --pins pins.txt
  keepwell enrol --fhir https://host/fhir --token token.txt --authority ca.pem --search 'Patient/7/$everything'")]
pub(crate) struct EnrolArgs {
    /// The file with the invitation; `-` is standard input
    #[arg(long, value_name = "FILE", default_value = "-", conflicts_with = "fhir")]
    pub(crate) invitation: PathBuf,
    /// Take newer pins of the server from this file, if its key was changed while this device was away; `-` is standard
    /// input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["invitation", "name", "fhir"])]
    pub(crate) pins: Option<PathBuf>,
    /// What the device is called in the operator's list [default: the name of this machine]
    #[arg(long, value_name = "NAME", conflicts_with = "fhir")]
    pub(crate) name: Option<String>,
    /// The address of a FHIR server that is none of Keepwell's; again, to change what follows
    #[arg(long, value_name = "URL", requires = "authority", requires = "search")]
    pub(crate) fhir: Option<String>,
    /// The file with the bearer token for it; `-` is standard input
    #[arg(long, value_name = "FILE", requires = "fhir")]
    pub(crate) token: Option<PathBuf>,
    /// The file with the certificates, in PEM, that may vouch for it
    #[arg(long, value_name = "FILE", requires = "fhir")]
    pub(crate) authority: Option<PathBuf>,
    /// What is held of it: `Patient?active=true`, `Patient/7/*`, `Patient/7/$everything`; several times
    #[arg(long, value_name = "SEARCH", requires = "fhir")]
    pub(crate) search: Vec<String>,
    /// What is written to it
    #[arg(long, value_enum, default_value_t, requires = "fhir")]
    pub(crate) writes: WritesArg,
    /// Accept TLS 1.2 from it
    #[arg(long, requires = "fhir")]
    pub(crate) tls12: bool,
}

/// What is written to a FHIR server.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum WritesArg {
    /// Nothing
    Never,
    /// Edits, if the server refuses writes on versions that were overtaken
    #[default]
    Guarded,
    /// Edits, whatever the server does: I know that another one's write may be overwritten
    Consented,
}

/// Send what was saved here and fetch what is new
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell sync
  keepwell sync --watch")]
pub(crate) struct SyncArgs {
    /// Go on until interrupted, whenever the server has something; meanwhile the store is open to no other command, and not
    /// locked by time alone
    #[arg(long)]
    pub(crate) watch: bool,
}

/// How it stands with sync: what waits, when the server was last met, until when this device may work without it
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell sync-status
  keepwell sync-status --json")]
pub(crate) struct SyncStatusArgs {}

/// Edits of this device that lost against another, or that the server refused
#[derive(Subcommand)]
#[command(after_help = "\
Examples:
  keepwell conflicts list
  keepwell conflicts show 3f62
  keepwell conflicts resolve 3f62 --take-mine")]
pub(crate) enum ConflictsCommand {
    List(ConflictsListArgs),
    Show(ConflictsShowArgs),
    Resolve(ConflictsResolveArgs),
}

/// List what a person has to look at, oldest first
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell conflicts list
  keepwell conflicts list --json")]
pub(crate) struct ConflictsListArgs {}

/// Show one with what was edited, what lost and what won
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell conflicts show 3f62")]
pub(crate) struct ConflictsShowArgs {
    /// The conflict, or how its id begins
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

/// Decide one; the decision is an edit like any other
#[derive(Args)]
#[command(
    group = ArgGroup::new("decision").required(true),
    after_help = "\
Examples:
  keepwell conflicts resolve 3f62 --keep-theirs
  keepwell conflicts resolve 3f62 --with edited.json"
)]
pub(crate) struct ConflictsResolveArgs {
    /// The conflict, or how its id begins
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// What everybody sees stays
    #[arg(long, group = "decision")]
    pub(crate) keep_theirs: bool,
    /// The edit that lost takes its place
    #[arg(long, group = "decision")]
    pub(crate) take_mine: bool,
    /// The resource is deleted, whoever edited it
    #[arg(long, group = "decision")]
    pub(crate) delete: bool,
    /// This resource takes its place; `-` is standard input
    #[arg(long, group = "decision", value_name = "FILE")]
    pub(crate) with: Option<PathBuf>,
}

/// Speed of sync between two devices and a server in this process, over TLS on loopback
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell bench sync --json
  keepwell bench sync --data patients.ndjson --resources 20000")]
pub(crate) struct BenchSyncArgs {
    /// Resources to sync: NDJSON, perhaps zstd or gzip; without it, made-up patients
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) data: Vec<PathBuf>,
    /// How many resources at the most
    #[arg(long, default_value_t = 20_000)]
    pub(crate) resources: usize,
    /// How many connections to hold open at once
    #[arg(long, default_value_t = 10_000)]
    pub(crate) connections: u32,
    /// Where to work [default: the folder for temporary files]
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}

/// A server with idle connections, for `bench sync`
#[derive(Args)]
pub(crate) struct BenchIdleArgs {
    /// Where the server and its device keep what they need
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// How many connections
    #[arg(long)]
    pub(crate) connections: u32,
}

/// The other end of them
#[derive(Args)]
pub(crate) struct BenchHoldArgs {
    /// Where the device keeps what it needs
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// How many connections
    #[arg(long)]
    pub(crate) connections: u32,
}

/// The first fetch of a device in this process, for `bench sync`
#[derive(Args)]
pub(crate) struct BenchPullArgs {
    /// Where the device's store is made
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// The file with the invitation
    #[arg(long, value_name = "FILE")]
    pub(crate) invitation: PathBuf,
}
