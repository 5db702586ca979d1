//! How a server is configured: one TOML file, then variables of the environment, then a check that refuses what is
//! unsafe.
//!
//! Invariants: a setting that is not known is an error, never ignored; a secret is never in the file; a configuration
//! that [`Config::check`] finds fault with starts no server.

use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use keepwell_protocol::Id;
use keepwell_tls::Address;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::private_file::others_may;

/// Stands before the names of settings in the environment: `KEEPWELL_SERVER_LISTEN` is `listen`.
pub const VARIABLES: &str = "KEEPWELL_SERVER_";
/// The shortest operator's token that is taken from the environment, in characters.
pub const OPERATOR_TOKEN_MIN: usize = 32;

/// Names of folders that programs copy to other machines. Lower case.
const SYNCED: &[&str] = &[
    "dropbox",
    "onedrive",
    "google drive",
    "googledrive",
    "icloud drive",
    "mobile documents",
    "nextcloud",
    "owncloud",
    "pclouddrive",
    "creative cloud files",
    "box sync",
    "megasync",
    "time machine backups",
    ".snapshots",
];
/// Files by which such a folder is known whatever its name is.
const SYNC_MARKS: &[&str] =
    &[".stfolder", ".dropbox", ".dropbox.cache", ".owncloudsync.log", ".sync", ".tresorit"];
/// Hosts that documents use as examples (RFC 2606).
const EXAMPLE_HOSTS: &[&str] = &["example.org", "example.com", "example.net"];
/// Rights of group and others, and those to write, as in `chmod`.
const ANY: u32 = 0o077;
const WRITE: u32 = 0o022;

/// Where the secrets of the server live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeychainChoice {
    /// The keychain of the operating system.
    System,
    /// Private files in a directory.
    File(PathBuf),
}

/// How much is written to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What needs somebody.
    Error,
    /// And what may.
    Warn,
    /// And a line for each request.
    Info,
    /// And a line for each connection.
    Debug,
}

/// What the server takes and how long it waits. Each has a range, which [`Config::check`] holds it to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections at the same time.
    pub connections: u32,
    /// Of them, from one address.
    pub connections_per_address: u32,
    /// For the TLS handshake, in seconds.
    pub handshake_s: u64,
    /// From the opening of a connection, or the end of an answer, to the end of the next head, in seconds.
    pub head_s: u64,
    /// The head of a request, in bytes.
    pub head_bytes: u32,
    /// For the whole body of a request, in seconds.
    pub body_s: u64,
    /// The body of a FHIR request, in bytes. Those of sync have the limits of the protocol.
    pub body_bytes: u32,
    /// For a client to take what is written to it, in seconds.
    pub write_s: u64,
    /// Requests that work on the store at the same time.
    pub working: u32,
    /// For a request to get its turn, in seconds; then the client is told to come back.
    pub turn_s: u64,
    /// For requests in flight when the server stops, in seconds.
    pub stop_s: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 12_000,
            connections_per_address: 12_000,
            handshake_s: 10,
            head_s: 30,
            head_bytes: 16 << 10,
            body_s: 120,
            body_bytes: 32 << 20,
            write_s: 60,
            working: 32,
            turn_s: 10,
            stop_s: 20,
        }
    }
}

/// How long a device may work without its server. [`Config::check`] holds these to their order.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeaseTimes {
    /// When a device asks for the next lease, in hours.
    pub renew_h: u32,
    /// When it locks, in hours.
    pub until_h: u32,
}

impl Default for LeaseTimes {
    fn default() -> Self {
        Self { renew_h: 24, until_h: 14 * 24 }
    }
}

/// A server's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The name of the organisation whose data this is.
    pub tenant: String,
    /// Where everything is kept that is no secret on its own.
    pub data: PathBuf,
    /// What to listen on.
    pub listen: SocketAddr,
    /// Where clients reach the server: host and port.
    pub address: Address,
    /// Further names of the server, for its certificate.
    pub names: Vec<String>,
    /// Where the secrets live.
    pub keychain: KeychainChoice,
    /// HTTP without TLS, on loopback only, for FHIR clients of the same machine; devices cannot come that way.
    pub plain_http: bool,
    /// How much is logged.
    pub log: LogLevel,
    /// Limits.
    pub limits: Limits,
    /// Leases.
    pub lease: LeaseTimes,
    /// A token of the operator's own choice; only from the environment.
    pub(crate) operator_token: Option<Zeroizing<String>>,
    /// The file that this came from.
    pub(crate) file: Option<PathBuf>,
}

/// The file.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    tenant: Option<String>,
    data: Option<PathBuf>,
    listen: Option<String>,
    address: Option<String>,
    names: Vec<String>,
    keychain: Option<String>,
    plain_http: bool,
    log: Option<String>,
    limits: Limits,
    lease: LeaseTimes,
}

/// A setting that no server starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsafe {
    /// Records would travel in clear.
    #[error("plain_http is for loopback addresses only")]
    PlainHttp,
    /// Group or others may read or change what is the server's alone.
    #[error("others may read or change the {0}")]
    OpenFile(&'static str),
    /// The operator's token of the environment can be guessed.
    #[error("the operator's token is too short or a common one")]
    WeakToken,
    /// Some program copies the data directory elsewhere, in the middle of writes.
    #[error("the data directory lies in a folder that is synced or backed up file by file")]
    SyncedFolder,
    /// Whoever gets the data gets the keys with it.
    #[error("the keychain lies in the data directory")]
    KeychainInside,
    /// The configuration is that of a document.
    #[error("the address is that of an example")]
    ExampleAddress,
    /// A limit is out of its range.
    #[error("the limit {0} is out of its range")]
    Limit(&'static str),
    /// Clients would be told to come to an address that is none, such as 0.0.0.0.
    #[error("the address is not one that clients can reach")]
    Unreachable,
    /// A setting is missing or cannot be read.
    #[error("the setting {0} is missing or cannot be read")]
    Setting(&'static str),
}

impl Unsafe {
    /// The stable number: docs/error-codes.md says what to do.
    #[must_use]
    pub const fn code(&self) -> u16 {
        match self {
            Self::PlainHttp => 485,
            Self::OpenFile(_) => 486,
            Self::WeakToken => 487,
            Self::SyncedFolder => 488,
            Self::KeychainInside => 489,
            Self::ExampleAddress => 490,
            Self::Limit(_) => 491,
            Self::Unreachable => 492,
            Self::Setting(_) => 493,
        }
    }
}

impl Config {
    /// Reads a configuration: the text of the file, then the variables of the environment that begin with
    /// [`VARIABLES`].
    ///
    /// # Errors
    /// [`Error::Config`], [`Unsafe::Setting`].
    pub fn parse(text: &str, environment: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        let mut file: File = toml::from_str(text).map_err(|error| {
            let before = error.span().map_or(0, |span| span.start.min(text.len()));
            Error::Config {
                line: text.as_bytes()[..before].iter().filter(|byte| **byte == b'\n').count() + 1,
            }
        })?;
        let mut operator_token = None;
        for (name, value) in environment {
            match name.strip_prefix(VARIABLES) {
                Some("TENANT") => file.tenant = Some(value),
                Some("DATA") => file.data = Some(value.into()),
                Some("LISTEN") => file.listen = Some(value),
                Some("ADDRESS") => file.address = Some(value),
                Some("KEYCHAIN") => file.keychain = Some(value),
                Some("LOG") => file.log = Some(value),
                Some("OPERATOR_TOKEN") => operator_token = Some(Zeroizing::new(value)),
                Some(_) => return Err(Unsafe::Setting("of a variable").into()),
                None => {}
            }
        }
        Self::of(file, operator_token)
    }

    /// Reads a configuration file, then the environment of the process.
    ///
    /// # Errors
    /// As [`Self::parse`]; [`Error::Io`].
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io("while reading the configuration"))?;
        let mut config = Self::parse(&text, std::env::vars())?;
        config.file = Some(path.to_owned());
        Ok(config)
    }

    fn of(file: File, operator_token: Option<Zeroizing<String>>) -> Result<Self> {
        let missing = |name| Error::from(Unsafe::Setting(name));
        let address = file.address.and_then(|text| text.parse().ok()).ok_or_else(|| missing("address"))?;
        let listen = file.listen.as_deref().unwrap_or("127.0.0.1:8443");
        let keychain = match file.keychain.as_deref() {
            None | Some("system") => KeychainChoice::System,
            Some(text) => match text.strip_prefix("file:").filter(|path| Path::new(path).is_absolute()) {
                Some(path) => KeychainChoice::File(path.into()),
                None => return Err(missing("keychain")),
            },
        };
        let log = match file.log.as_deref() {
            Some("error") => LogLevel::Error,
            Some("warn") => LogLevel::Warn,
            None | Some("info") => LogLevel::Info,
            Some("debug") => LogLevel::Debug,
            Some(_) => return Err(missing("log")),
        };
        let is_tenant = |text: &String| text.parse::<Id>().is_ok();
        Ok(Self {
            tenant: file.tenant.filter(is_tenant).ok_or_else(|| missing("tenant"))?,
            data: file.data.filter(|path| path.is_absolute()).ok_or_else(|| missing("data"))?,
            listen: listen.parse().map_err(|_| missing("listen"))?,
            address,
            names: file.names,
            keychain,
            plain_http: file.plain_http,
            log,
            limits: file.limits,
            lease: file.lease,
            operator_token,
            file: None,
        })
    }

    /// Everything that makes this configuration unsafe; a server starts only if that is nothing.
    #[must_use]
    pub fn check(&self) -> Vec<Unsafe> {
        let mut found = Vec::new();
        let mut refuse = |is_unsafe, what| {
            if is_unsafe {
                found.push(what);
            }
        };
        refuse(self.plain_http && !self.listen.ip().is_loopback(), Unsafe::PlainHttp);
        refuse(
            self.file.as_deref().is_some_and(|file| others_may(file, WRITE)),
            Unsafe::OpenFile("configuration"),
        );
        refuse(others_may(&self.data, ANY), Unsafe::OpenFile("data directory"));
        if let KeychainChoice::File(keys) = &self.keychain {
            refuse(others_may(keys, ANY), Unsafe::OpenFile("keychain"));
            refuse(is_inside(keys, &self.data), Unsafe::KeychainInside);
        }
        refuse(self.operator_token.as_deref().is_some_and(|token| is_weak(token)), Unsafe::WeakToken);
        refuse(is_synced(&self.data), Unsafe::SyncedFolder);
        let host = self.address.host();
        let is_example = |example: &str| host == example || host.ends_with(&format!(".{example}"));
        refuse(EXAMPLE_HOSTS.iter().any(|example| is_example(example)), Unsafe::ExampleAddress);
        let is_nowhere = host.parse().is_ok_and(|address: std::net::IpAddr| address.is_unspecified());
        refuse(is_nowhere, Unsafe::Unreachable);
        found.extend(self.limits.out_of_range());
        if self.lease.renew_h == 0 || self.lease.renew_h > self.lease.until_h {
            found.push(Unsafe::Limit("renew_h"));
        }
        found
    }

    pub(crate) fn tenant_id(&self) -> Id {
        self.tenant.parse().expect("checked when it was read")
    }

    /// Where the FHIR interface is, without a slash at the end.
    #[must_use]
    pub fn fhir_base(&self) -> String {
        format!("{}://{}/fhir", if self.plain_http { "http" } else { "https" }, self.address)
    }
}

impl Limits {
    fn out_of_range(&self) -> impl Iterator<Item = Unsafe> {
        let in_range = [
            ("connections", (1..=1_000_000).contains(&self.connections)),
            ("connections_per_address", (1..=1_000_000).contains(&self.connections_per_address)),
            ("handshake_s", (1..=60).contains(&self.handshake_s)),
            ("head_s", (1..=600).contains(&self.head_s)),
            ("head_bytes", (8 << 10..=256 << 10).contains(&self.head_bytes)),
            ("body_s", (1..=3_600).contains(&self.body_s)),
            ("body_bytes", (64 << 10..=256 << 20).contains(&self.body_bytes)),
            ("write_s", (1..=600).contains(&self.write_s)),
            ("working", (1..=1_024).contains(&self.working)),
            ("turn_s", (1..=300).contains(&self.turn_s)),
            ("stop_s", (1..=600).contains(&self.stop_s)),
        ];
        in_range.into_iter().filter(|(_, holds)| !holds).map(|(name, _)| Unsafe::Limit(name))
    }
}

/// Seconds of a setting.
pub(crate) const fn seconds(value: u64) -> Duration {
    Duration::from_secs(value)
}

fn is_weak(token: &str) -> bool {
    let mut letters: Vec<u8> = token.bytes().collect();
    letters.sort_unstable();
    letters.dedup();
    // What is long enough but repeats itself was typed, not drawn.
    token.len() < OPERATOR_TOKEN_MIN || letters.len() < OPERATOR_TOKEN_MIN / 4
}

/// Whether a path lies in another one, as written and as the file system resolves what exists of it.
fn is_inside(path: &Path, outer: &Path) -> bool {
    let resolved = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    path.starts_with(outer) || resolved(path).starts_with(resolved(outer))
}

fn is_synced(path: &Path) -> bool {
    let by_name = path.components().any(|part| match part {
        Component::Normal(name) => {
            let name = name.to_string_lossy().to_lowercase();
            SYNCED.iter().any(|known| name == *known || name.starts_with(&format!("{known} ")))
        }
        _ => false,
    });
    by_name || path.ancestors().any(|folder| SYNC_MARKS.iter().any(|mark| folder.join(mark).exists()))
}

#[cfg(test)]
mod tests;
