//! Arguments of the server.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Run a server for devices and FHIR clients; the first run makes its keys and invites a device
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  keepwell serve --config /etc/keepwell/server.toml --check
  keepwell serve --config /etc/keepwell/server.toml
  keepwell serve token dr.jones --config /etc/keepwell/server.toml
  keepwell serve key next --root /media/safe/pin-root.seed

docs/operators.md tells what is in the configuration."
)]
pub(crate) struct ServeArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ServeCommand>,
    #[command(flatten)]
    pub(crate) place: ServePlace,
    /// Say what is unsafe in the configuration, and start nothing
    #[arg(long)]
    pub(crate) check: bool,
    /// Whose device is invited when the server is made: the id of a Practitioner
    #[arg(long, value_name = "ID", default_value = "owner")]
    pub(crate) invite: String,
}

/// Which server.
#[derive(Args)]
pub(crate) struct ServePlace {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/keepwell/server.toml")]
    pub(crate) config: PathBuf,
    /// Where the data is, instead of what the configuration says
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// What to listen on, instead of what the configuration says
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<std::net::SocketAddr>,
}

#[derive(Subcommand)]
pub(crate) enum ServeCommand {
    Token(ServeTokenArgs),
    #[command(subcommand)]
    Key(ServeKeyCommand),
}

/// Change the server's own key in two steps, so that every device learns of the next one first
#[derive(Subcommand)]
#[command(after_help = "\
Examples:
  keepwell serve key next --root /media/safe/pin-root.seed
  keepwell serve key switch --root /media/safe/pin-root.seed
  keepwell serve key show > pins.txt

docs/operators.md tells when. Start the server anew after each step.")]
pub(crate) enum ServeKeyCommand {
    Show(ServeKeyShowArgs),
    Next(ServeKeyNextArgs),
    Switch(ServeKeySwitchArgs),
}

/// Print the signed pins, for a device that was away while they changed
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell serve key show > pins.txt")]
pub(crate) struct ServeKeyShowArgs {
    #[command(flatten)]
    pub(crate) place: ServePlace,
}

/// Make the next key, and sign pins with it beside the one in use
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell serve key next --root /media/safe/pin-root.seed")]
pub(crate) struct ServeKeyNextArgs {
    #[command(flatten)]
    pub(crate) place: ServePlace,
    /// The key that signs pins, from its medium
    #[arg(long, value_name = "FILE")]
    pub(crate) root: PathBuf,
}

/// Use the next key from now on, and sign pins without the one until now
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell serve key switch --root /media/safe/pin-root.seed
  keepwell serve key switch --root /media/safe/pin-root.seed --backup /media/safe/backup-key.p8")]
pub(crate) struct ServeKeySwitchArgs {
    #[command(flatten)]
    pub(crate) place: ServePlace,
    /// The key that signs pins, from its medium
    #[arg(long, value_name = "FILE")]
    pub(crate) root: PathBuf,
    /// Use the backup key instead, at once, since the key in use was stolen or lost
    #[arg(long, value_name = "FILE")]
    pub(crate) backup: Option<PathBuf>,
}

/// Make a token for a FHIR client, shown once; or take back all tokens of a user
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell serve token dr.jones
  keepwell serve token dashboard --read-only
  keepwell serve token dr.jones --revoke")]
pub(crate) struct ServeTokenArgs {
    /// Whom the audit trail names
    #[arg(value_name = "USER")]
    pub(crate) holder: String,
    #[command(flatten)]
    pub(crate) place: ServePlace,
    /// The token reads and searches, and changes nothing
    #[arg(long, conflicts_with = "revoke")]
    pub(crate) read_only: bool,
    /// Take back every token of the user
    #[arg(long)]
    pub(crate) revoke: bool,
}
