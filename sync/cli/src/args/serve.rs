//! Arguments of the server.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use keepwell_protocol::{Id, Scope};

use super::values::{granted, id};

/// Run a server for devices and FHIR clients; the first run makes its keys and invites a device
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  keepwell serve --config /etc/keepwell/server.toml --check
  keepwell serve --config /etc/keepwell/server.toml
  keepwell serve token dr.jones
  keepwell serve invite dr.jones
  keepwell serve devices
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
    Invite(ServeInviteArgs),
    Devices(ServeDevicesArgs),
    /// Lock a device out, at once
    #[command(after_help = "\
Examples:
  keepwell serve revoke 019a3c5e77d24b0f

`keepwell serve devices` lists the ids. The server must run.")]
    Revoke(ServeDeviceArgs),
    /// Let a device in again that was locked out or was to be wiped
    #[command(after_help = "\
Examples:
  keepwell serve admit 019a3c5e77d24b0f

`keepwell serve devices` lists the ids. The server must run.")]
    Admit(ServeDeviceArgs),
    /// Order a device to destroy its store; it does so when it is here next
    #[command(after_help = "\
Examples:
  keepwell serve wipe 019a3c5e77d24b0f

`keepwell serve devices` lists the ids. The server must run.")]
    Wipe(ServeDeviceArgs),
    Grants(ServeGrantsArgs),
    Grant(ServeGrantArgs),
    Archive(ServeArchiveArgs),
    Authority(ServeAuthorityArgs),
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

/// Invite a device of a user: prints a code that counts once, as text and as a QR code
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell serve invite dr.jones
  keepwell serve invite dr.jones --hours 2
  keepwell serve invite dr.jones --withdraw

The server must run. The user is the id of a Practitioner.")]
pub(crate) struct ServeInviteArgs {
    /// Whose device
    #[arg(value_name = "USER", value_parser = id)]
    pub(crate) holder: Id,
    #[command(flatten)]
    pub(crate) place: ServePlace,
    /// How long it counts, a week at the most
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=168))]
    pub(crate) hours: u32,
    /// Take back the invitations of the user that nobody has used
    #[arg(long, conflicts_with = "hours")]
    pub(crate) withdraw: bool,
}

/// List the devices: whose they are, what state they are in, when they were last here
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell serve devices
  keepwell serve devices --json | jq '.[] | select(.user == \"dr.jones\")'

The server must run.")]
pub(crate) struct ServeDevicesArgs {
    #[command(flatten)]
    pub(crate) place: ServePlace,
}

#[derive(Args)]
pub(crate) struct ServeDeviceArgs {
    /// The id of the device
    #[arg(value_name = "DEVICE", value_parser = id)]
    pub(crate) device: Id,
    #[command(flatten)]
    pub(crate) place: ServePlace,
}

/// List the scopes that a user may read or write
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell serve grants dr.jones

The server must run.")]
pub(crate) struct ServeGrantsArgs {
    /// The user
    #[arg(value_name = "USER", value_parser = id)]
    pub(crate) holder: Id,
    #[command(flatten)]
    pub(crate) place: ServePlace,
}

/// Give a user a scope to read, or take it back
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell serve grant dr.jones Patient/42 --write
  keepwell serve grant dr.jones dir/main
  keepwell serve grant dr.jones Patient/42 --revoke

The server must run. What a CareTeam or a Group gives is not taken back here: change those.")]
pub(crate) struct ServeGrantArgs {
    /// The user
    #[arg(value_name = "USER", value_parser = id)]
    pub(crate) holder: Id,
    /// A patient's records (Patient/ID), the directory (dir/main) or the library (lib/main)
    #[arg(value_name = "SCOPE", value_parser = granted)]
    pub(crate) scope: Scope,
    #[command(flatten)]
    pub(crate) place: ServePlace,
    /// To write as well
    #[arg(long, conflicts_with = "revoke")]
    pub(crate) write: bool,
    /// Take it back
    #[arg(long)]
    pub(crate) revoke: bool,
}

/// List edits that lost and are kept, of conflicts and of devices that might not make them, with who decided what
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell serve archive
  keepwell serve archive --json | jq -r '.[0].mine | @base64d'
  keepwell serve archive --json | jq '.[] | select(.closed == null)'

The server must run.")]
pub(crate) struct ServeArchiveArgs {
    #[command(flatten)]
    pub(crate) place: ServePlace,
    /// Only those behind this number
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) after: u64,
}

/// Print the certificate of the server's authority as PEM: what FHIR clients are told to trust
#[derive(Args)]
#[command(after_help = "\
Examples:
  keepwell serve authority > authority.pem
  curl --cacert authority.pem https://sync.hospital.test:8443/fhir/metadata")]
pub(crate) struct ServeAuthorityArgs {
    #[command(flatten)]
    pub(crate) place: ServePlace,
}
