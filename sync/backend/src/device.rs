//! Devices and the invitations that they come by.

use keepwell_fhir::Instant;
use keepwell_protocol::{Epoch, Hash, Id, Position, Secret, WipeOrder, WipeReceipt};

/// Whether a device may sync.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DeviceState {
    /// It may.
    Active,
    /// It is locked out.
    Revoked,
    /// It is to destroy its store: each of its requests is answered with this order.
    Wipe(WipeOrder),
    /// It said that it has done so.
    Wiped(WipeReceipt),
}

/// An enrolled device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Device {
    /// Its id, as its certificate names it.
    pub id: Id,
    /// Whose it is; also the id of the Practitioner that the user is.
    pub user: Id,
    /// What it calls itself.
    pub name: String,
    /// The SHA-256 of its public key (SubjectPublicKeyInfo, DER).
    pub key: Hash,
    /// The serial number of its newest certificate.
    pub serial: String,
    /// The number of the newest pin set that it is known to have; 0 is that of its invitation.
    pub pins: u64,
    /// The server's share of the key of its database, if the tenant wants that; 32 bytes as base64 text.
    pub lease_key: Option<Secret>,
    /// Whether it may sync.
    pub state: DeviceState,
    /// When it was enrolled.
    pub enrolled: Instant,
    /// When it was last here, give or take [`SEEN_MS`].
    pub seen: Instant,
    /// Up to which position it had read by then.
    pub position: Position,
}

/// How old [`Device::seen`] may get before a pull writes it anew, in milliseconds.
pub const SEEN_MS: i64 = 10 * 60 * 1000;

/// What using an invitation comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Redeemed {
    /// The invitation as it is to be kept from now on.
    pub record: Vec<u8>,
    /// The device's id: that of the first request, if this one repeats it.
    pub device: Id,
    /// Whose device it is.
    pub user: Id,
    /// What it calls itself.
    pub name: String,
    /// The SHA-256 of its public key.
    pub key: Hash,
    /// The serial number of its certificate.
    pub serial: String,
    /// The server's share of the key of its database.
    pub lease_key: Option<Secret>,
}

/// The result of an enrolment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Enrolled {
    /// The device, as it was enrolled; of a repeated request, as it was the first time.
    pub device: Device,
    /// The tenant's history.
    pub epoch: Epoch,
}

/// How long devices may work offline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeasePolicy {
    /// When to ask for the next lease, in milliseconds after this one.
    pub renew_ms: i64,
    /// When it runs out, in milliseconds.
    pub valid_ms: i64,
}
