//! Enrolment: a device shows an invitation once and gets a certificate.

use serde::{Deserialize, Serialize};

use crate::base64::Base64;
use crate::document::Document;
use crate::error::{Error, Limit, Result};
use crate::hex64::{Epoch, Incarnation};
use crate::id::Id;
use crate::lease::Lease;
use crate::limits::{ENROL_BYTES_MAX, NOTE_BYTES_MAX};
use crate::secret::Secret;

/// `POST /sync/v1/enrol`. The only request without a device certificate.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EnrolRequest {
    /// The version of the protocol.
    pub v: u32,
    /// The invitation: at least 128 random bits, good for one use.
    pub code: Secret,
    /// A certificate signing request (PKCS #10, DER) by the device's own key.
    pub csr: Base64,
    /// What the device calls itself, for the list that people see.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The life of its database.
    #[serde(rename = "inc")]
    pub incarnation: Incarnation,
}

impl Document for EnrolRequest {
    fn check(&self) -> Result<()> {
        let fits = self.name.len() <= NOTE_BYTES_MAX && self.code.reveal().len() <= NOTE_BYTES_MAX;
        if fits { Ok(()) } else { Err(Error::TooLarge(Limit::Element)) }
    }
}

/// Answer to an enrolment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EnrolReply {
    /// The device's id from now on.
    pub device: Id,
    /// The tenant it belongs to.
    pub tenant: Id,
    /// The tenant's history.
    pub epoch: Epoch,
    /// The device's certificate and those that it is checked by (X.509, DER), the device's first.
    pub certificates: Vec<Base64>,
    /// Ed25519 public keys; a wipe order signed by one of them is genuine.
    pub wipe_keys: Vec<Base64>,
    /// The first lease.
    pub lease: Lease,
}

impl Document for EnrolReply {
    const BYTES_MAX: usize = ENROL_BYTES_MAX;

    fn check(&self) -> Result<()> {
        if self.certificates.is_empty() {
            return Err(Error::Contradiction);
        }
        self.lease.check()
    }
}
