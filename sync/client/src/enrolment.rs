//! Enrolment: an invitation becomes a key and a certificate of this device.
//!
//! Both are kept in the store's encrypted database and nowhere else: who has the store's files without its keychain
//! has neither, and erasing the store destroys them. The key is made before the invitation is used and is kept first,
//! so that an enrolment whose answer was lost is asked for again with the same key.
//!
//! Invariant: a device that is enrolled changes neither its id nor the operator whom it trusts; another invitation, and
//! what upkeep brings, give it certificates and pins of the same.

use std::sync::Arc;

use keepwell_protocol::{Base64, Epoch, Id, Lease, Secret};
use keepwell_tls::{
    Address, CertificateDer, ClientSettings, Device, Identity, Invitation, PrivateKey, Validity,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::{Error, Result, corrupt};

/// What an enrolment gave.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Enrolled {
    /// The device's id from now on.
    pub device: Id,
    /// The tenant that it belongs to.
    pub tenant: Id,
    /// The tenant's history.
    pub epoch: Epoch,
    /// Ed25519 public keys; a wipe order signed by one of them is genuine.
    pub wipe_keys: Vec<Base64>,
    /// The first lease.
    pub lease: Option<Lease>,
}

impl Enrolled {
    /// An enrolment that was made by other means than an invitation: for a [`crate::Transport`] of one's own.
    #[must_use]
    pub fn new(device: Id, tenant: Id, epoch: Epoch, wipe_keys: Vec<Base64>, lease: Option<Lease>) -> Self {
        Self { device, tenant, epoch, wipe_keys, lease }
    }
}

/// What is kept of it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct DeviceRecord {
    pub(crate) device: Id,
    pub(crate) tenant: Id,
    pub(crate) wipe_keys: Vec<Base64>,
    /// How to reach the server; none with a transport of one's own.
    pub(crate) server: Option<ServerRecord>,
}

/// Where the server is, and how to know it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ServerRecord {
    /// The text of the invitation: the address, the authority, the first pins and the root of later ones.
    invitation: Secret,
    /// The certificates of this device, its own first.
    certificates: Vec<Base64>,
    /// The signed pins that the server gave last.
    pub(crate) pin_set: Option<String>,
}

impl DeviceRecord {
    pub(crate) fn new(enrolled: &Enrolled, server: Option<ServerRecord>) -> Self {
        Self {
            device: enrolled.device.clone(),
            tenant: enrolled.tenant.clone(),
            wipe_keys: enrolled.wipe_keys.clone(),
            server,
        }
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(corrupt)
    }

    pub(crate) fn write(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(serde_json::to_vec(self).expect("texts are JSON"))
    }

    /// How to connect, and where to.
    pub(crate) fn settings(&self, key: Arc<PrivateKey>) -> Result<(ClientSettings, Address)> {
        let server = self.server.as_ref().ok_or(Error::NotEnrolled)?;
        let invitation: Invitation = server.invitation.reveal().parse()?;
        let (trust, pinning) = invitation.pinning()?;
        if let Some(pin_set) = &server.pin_set {
            pinning.restore(pin_set)?;
        }
        let mut settings = ClientSettings::new(trust, pinning);
        settings.device = Some(Identity::new(server.chain(), key)?);
        Ok((settings, invitation.address))
    }

    /// Whether an invitation is by the operator that this device was enrolled with.
    pub(crate) fn is_of(&self, invitation: &Invitation) -> Result<bool> {
        let Some(server) = &self.server else { return Ok(false) };
        let known: Invitation = server.invitation.reveal().parse()?;
        Ok((known.authority, known.pin_root) == (invitation.authority, invitation.pin_root))
    }

    /// When the certificate of this device counts; none with a transport of one's own.
    pub(crate) fn validity(&self) -> Option<Validity> {
        Validity::of(self.server.as_ref()?.chain().first()?).ok()
    }

    /// Takes another certificate, if it is this device's and lasts no shorter than the one before.
    pub(crate) fn certify(&mut self, certificates: Vec<Base64>, key: &Arc<PrivateKey>) -> bool {
        let until = |record: &Self| record.validity().map(|validity| validity.until);
        let mut next = self.clone();
        let Some(server) = &mut next.server else { return false };
        server.certificates = certificates;
        let named = server.chain().first().and_then(|leaf| Device::of_certificate(leaf).ok());
        let is_own = named.is_some_and(|named| named.id.as_str() == self.device.as_str());
        let is_better = is_own && until(&next) >= until(self) && next.settings(key.clone()).is_ok();
        if is_better {
            *self = next;
        }
        is_better
    }
}

impl ServerRecord {
    pub(crate) fn new(
        invitation: &Invitation,
        certificates: Vec<Base64>,
        pin_set: Option<String>,
    ) -> Result<Self> {
        Ok(Self { invitation: Secret::new(invitation.text()?.to_string()), certificates, pin_set })
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.certificates.iter().map(|der| CertificateDer::from(der.0.clone())).collect()
    }
}
