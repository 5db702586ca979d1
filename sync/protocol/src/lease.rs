//! Leases: how long a device may work without its server.

use keepwell_fhir::Instant;
use serde::{Deserialize, Serialize};

use crate::document::Document;
use crate::error::{Error, Result};
use crate::hex64::Incarnation;
use crate::secret::Secret;

/// `POST /sync/v1/lease`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LeaseRequest {
    /// The version of the protocol.
    pub v: u32,
    /// The life of the device's database.
    #[serde(rename = "inc")]
    pub incarnation: Incarnation,
}

impl Document for LeaseRequest {}

/// The right to work offline for a while. When it has run out, the device locks until it has met its server.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Lease {
    /// The server's time when it was given. A device measures from here with a clock that nobody sets.
    #[serde(with = "crate::instant")]
    pub issued: Instant,
    /// When to ask for the next one.
    #[serde(with = "crate::instant")]
    pub renew: Instant,
    /// When it runs out.
    #[serde(with = "crate::instant")]
    pub until: Instant,
    /// The server's share of the key that the device wraps its database key with, if the tenant wants that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Secret>,
}

impl Lease {
    pub(crate) fn check(&self) -> Result<()> {
        if self.issued <= self.renew && self.renew <= self.until { Ok(()) } else { Err(Error::Contradiction) }
    }
}

impl Document for Lease {
    fn check(&self) -> Result<()> {
        Self::check(self)
    }
}
