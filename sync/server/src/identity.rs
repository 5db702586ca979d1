//! Who the server is: its keys, the authorities that it vouches with, and what it signs pins and wipe orders with.
//!
//! Private keys are in the keychain; what is public is in one file of the data directory. Two keys leave the server
//! when it is made: the one that signs pin sets, and the backup of the server's own. Whoever has the server then has
//! not what would move its devices to another one.
//!
//! Invariants: the certificate of the server is made anew at each start, and in time before it ends; its key stays until
//! the operator changes it; that key is always one of the pins.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keepwell_fhir::Instant;
use keepwell_protocol::{Base64, Id, WipeOrder};
use keepwell_tls::{
    Admission, Authority, CertificateDer, CertificateRequest, DeviceId, Invitation, InvitationCode,
    IssuedDevice, Pin, PinEntry, PinRoot, PinSet, PinSigner, PrivateKey, PublicKey, Purpose, Role,
    ServerSettings, UnixTime, rustls,
};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::private_file;
use keepwell_store::vault::Keychain;

/// The public part, in the data directory.
const FILE: &str = "identity.json";
/// What belongs on another medium, in the data directory.
pub(crate) const OFFLINE: &str = "offline";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the authorities last.
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(20 * 365 * 24 * 60 * 60);
/// How long the first pins last; a new set takes their place before.
const PINS_LIFETIME: Duration = Duration::from_secs(5 * 365 * 24 * 60 * 60);
/// How long a certificate of the server lasts, and after which time it is made anew.
const SERVER_LIFETIME: Duration = Duration::from_secs(90 * 24 * 60 * 60);
pub(crate) const SERVER_RENEWAL: Duration = DAY;
/// How long a certificate of a device lasts.
const DEVICE_LIFETIME: Duration = keepwell_tls::LEAF_LIFETIME_MAX;

/// Characters of a line of PEM (RFC 7468, section 2).
const PEM_LINE: usize = 64;

/// The private keys that stay, by the end of their name in the keychain.
const SERVERS: &str = "servers-authority";
const DEVICES: &str = "devices-authority";
const WIPE: &str = "wipe";

/// The file.
#[derive(Serialize, Deserialize)]
pub(crate) struct Record {
    /// Under which its secrets are in the keychain.
    id: String,
    servers: String,
    devices: String,
    /// Which of its own keys the server uses: they are numbered from 0.
    #[serde(default)]
    pub(crate) key: u32,
    /// Which one it will use next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<u32>,
    pub(crate) backup: String,
    pin_root: String,
    pub(crate) pin_set: String,
}

impl Record {
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        let text = std::fs::read(directory.join(FILE)).map_err(Error::io("while reading the identity"))?;
        serde_json::from_slice(&text).map_err(|_| Error::Identity)
    }

    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).expect("texts and numbers only");
        let written = private_file::replace(&directory.join(FILE), &text);
        written.map_err(Error::io("while writing the identity"))
    }

    /// The name in the keychain of one of the server's own keys.
    pub(crate) fn key_item(&self, number: u32) -> String {
        match number {
            0 => self.item("server"),
            number => self.item(&format!("server-{number}")),
        }
    }

    pub(crate) fn root(&self) -> Result<PinRoot> {
        self.pin_root.parse().map_err(|_| Error::Identity)
    }

    /// The pins that devices are given.
    pub(crate) fn pins(&self) -> Result<PinSet> {
        PinSet::verify(&self.pin_set, &[self.root()?]).map_err(|_| Error::Identity)
    }

    fn item(&self, name: &str) -> String {
        format!("server:{}:{name}", self.id)
    }
}

/// A server's keys and certificates.
pub(crate) struct Identity {
    servers: Authority,
    devices: Authority,
    server_key: Arc<PrivateKey>,
    pin_root: PinRoot,
    /// The pins that devices are given.
    pub(crate) pins: PinSet,
    /// The same, signed.
    pub(crate) pin_set: String,
    wipe: Ed25519KeyPair,
}

impl Identity {
    /// Whether there is one in `directory`.
    pub(crate) fn exists(directory: &Path) -> bool {
        directory.join(FILE).exists()
    }

    /// Makes all keys.
    pub(crate) fn create(config: &Config, keychain: &dyn Keychain, now: UnixTime) -> Result<()> {
        let key = || PrivateKey::generate().map(Arc::new);
        let (servers_key, devices_key, server_key, backup) =
            (key()?, key()?, key()?, PrivateKey::generate()?);
        let servers = Authority::create(Purpose::Servers, servers_key.clone(), now, AUTHORITY_LIFETIME)?;
        let devices = Authority::create(Purpose::Devices, devices_key.clone(), now, AUTHORITY_LIFETIME)?;
        let root = PinSigner::generate()?;
        let wipe = PinSigner::generate()?;
        let keys = [(Role::Active, server_key.pin()), (Role::Backup, backup.pin())];
        let pins = pins(config.address.host().to_owned(), 1, &keys, now);
        let record = Record {
            id: DeviceId::random()?.to_string(),
            servers: STANDARD.encode(servers.certificate()),
            devices: STANDARD.encode(devices.certificate()),
            key: 0,
            next: None,
            backup: backup.pin().to_string(),
            pin_root: root.root().to_string(),
            pin_set: root.sign(&pins)?,
        };
        keychain.set(&record.item(SERVERS), servers_key.pkcs8())?;
        keychain.set(&record.item(DEVICES), devices_key.pkcs8())?;
        keychain.set(&record.key_item(record.key), server_key.pkcs8())?;
        keychain.set(&record.item(WIPE), wipe.seed())?;
        let offline = config.data.join(OFFLINE);
        let written = private_file::directory(&offline)
            .and_then(|()| private_file::replace(&offline.join("pin-root.seed"), root.seed()))
            .and_then(|()| private_file::replace(&offline.join("backup-key.p8"), backup.pkcs8()));
        written.map_err(Error::io("while writing what belongs offline"))?;
        record.write(&config.data)
    }

    /// Reads what [`Self::create`] has made.
    pub(crate) fn open(directory: &Path, keychain: &dyn Keychain) -> Result<Self> {
        let record = Record::read(directory)?;
        let secret = |item: String| keychain.get(&item)?.ok_or(Error::Identity);
        let key = |item| Ok::<_, Error>(Arc::new(PrivateKey::from_pkcs8(secret(item)?)?));
        let authority = |purpose, certificate: &str, name| {
            let der = STANDARD.decode(certificate).map_err(|_| Error::Identity)?;
            let key = key(record.item(name))?;
            Authority::restore(purpose, CertificateDer::from(der), key).map_err(|_| Error::Identity)
        };
        let wipe = secret(record.item(WIPE))?;
        Ok(Self {
            servers: authority(Purpose::Servers, &record.servers, SERVERS)?,
            devices: authority(Purpose::Devices, &record.devices, DEVICES)?,
            server_key: key(record.key_item(record.key))?,
            pin_root: record.root()?,
            pins: record.pins()?,
            pin_set: record.pin_set,
            wipe: Ed25519KeyPair::from_seed_unchecked(&wipe).map_err(|_| Error::Identity)?,
        })
    }

    /// How the server listens, with a fresh certificate.
    pub(crate) fn listener(&self, config: &Config, now: UnixTime) -> Result<Arc<rustls::ServerConfig>> {
        let mut names = vec![config.address.host().to_owned()];
        names.extend(config.names.iter().filter(|name| *name != config.address.host()).cloned());
        let key = PublicKey::of(self.server_key.as_ref());
        let certificate = self.servers.issue_server(&key, &names, now, SERVER_LIFETIME)?;
        let chain = vec![certificate, self.servers.certificate().clone()];
        let identity = keepwell_tls::Identity::new(chain, self.server_key.clone())?;
        let mut settings = ServerSettings::new(identity, self.devices.certificate().clone());
        // FHIR clients and devices that enrol have no certificate; each call of sync asks for one itself, so that a
        // device that was locked out can be told so, and be told to wipe.
        settings.admission = Admission::Anyone;
        settings.alpn = vec![b"http/1.1".to_vec()];
        Ok(settings.build()?)
    }

    /// A certificate for a device, and those that lead to its authority.
    pub(crate) fn issue(
        &self,
        request: &CertificateRequest,
        id: &DeviceId,
        now: UnixTime,
    ) -> Result<IssuedDevice> {
        Ok(self.devices.issue_device(request, id, now, DEVICE_LIFETIME)?)
    }

    /// The certificate by which devices check the server's own.
    pub(crate) fn server_authority(&self) -> &CertificateDer<'static> {
        self.servers.certificate()
    }

    /// What a person is handed to enrol a device.
    pub(crate) fn invitation(
        &self,
        config: &Config,
        code: InvitationCode,
        expires_at: UnixTime,
    ) -> Invitation {
        Invitation {
            address: config.address.clone(),
            code,
            expires_at,
            authority: self.servers.fingerprint(),
            pin_root: self.pin_root,
            pins: self.pins.pins.iter().map(|entry| entry.pin).collect(),
        }
    }

    /// The keys that orders to wipe are checked by.
    pub(crate) fn wipe_keys(&self) -> Vec<Base64> {
        vec![Base64(self.wipe.public_key().as_ref().to_vec())]
    }

    /// An order to wipe, signed.
    pub(crate) fn wipe_order(&self, id: Id, tenant: Id, device: Id, at: Instant) -> WipeOrder {
        let mut order = WipeOrder { id, tenant, device, at, sig: Base64::default() };
        order.sig = Base64(self.wipe.sign(&order.signed_bytes()).as_ref().to_vec());
        order
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Identity").field("pins", &self.pins).finish_non_exhaustive()
    }
}

/// A set of these keys, the one in use first, from now on.
pub(crate) fn pins(host: String, number: u64, keys: &[(Role, Pin)], now: UnixTime) -> PinSet {
    let expires_at = later(now, PINS_LIFETIME);
    let entry = |(role, pin): &(Role, Pin)| PinEntry {
        pin: *pin,
        role: *role,
        not_before: now,
        not_after: expires_at,
    };
    PinSet { host, number, issued_at: now, expires_at, pins: keys.iter().map(entry).collect() }
}

/// The authority of the server whose data is in `directory`, as PEM: what a FHIR client is told to trust.
///
/// # Errors
/// [`Error::Io`] if there is no server; [`Error::Identity`].
pub fn authority_pem(directory: &Path) -> Result<String> {
    let base64 = Record::read(directory)?.servers;
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in base64.as_bytes().chunks(PEM_LINE) {
        pem.push_str(std::str::from_utf8(line).map_err(|_| Error::Identity)?);
        pem.push('\n');
    }
    Ok(pem + "-----END CERTIFICATE-----\n")
}

pub(crate) fn later(now: UnixTime, by: Duration) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + by)
}
