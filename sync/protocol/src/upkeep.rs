//! Upkeep of the trust between a device and its server: a new certificate before the old one ends, newer pins, and which
//! servers the device refused meanwhile.

use keepwell_fhir::Instant;
use serde::{Deserialize, Serialize};

use crate::base64::Base64;
use crate::document::Document;
use crate::error::{Error, Limit, Result};
use crate::limits::{ENROL_BYTES_MAX, NOTE_BYTES_MAX, REFUSED_SERVERS_MAX, WORD_BYTES_MAX};

/// `POST /sync/v1/upkeep`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UpkeepRequest {
    /// The version of the protocol.
    pub v: u32,
    /// The number of the pin set in force on the device; 0 is that of its invitation.
    pub pins: u64,
    /// A certificate signing request (PKCS #10, DER) by the key of the device, if it wants another certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csr: Option<Base64>,
    /// Servers that the device refused since it last said so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedServer>,
    /// Refusals that are not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub others: u64,
}

/// Refusals of one kind.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RefusedServer {
    /// The host that was asked for.
    pub host: String,
    /// Why: `untrusted`, `wrong-name`, `wrong-time`, `not-pinned`, `pins-expired` or a word of a later version.
    pub why: String,
    /// The pin of the key that was shown; absent if the certificate could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The number of the pin set in force then.
    pub pins: u64,
    /// How often.
    pub count: u64,
    /// The first time, by the device's clock.
    #[serde(with = "crate::instant")]
    pub first: Instant,
    /// The last time.
    #[serde(with = "crate::instant")]
    pub last: Instant,
}

/// The answer to it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct UpkeepReply {
    /// The new certificate and those that it is checked by (X.509, DER), its own first; empty if none was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Base64>,
    /// The signed pins of the server, if they are newer than those of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pins: Option<String>,
}

impl Document for UpkeepRequest {
    fn check(&self) -> Result<()> {
        let fits = self.refused.len() <= REFUSED_SERVERS_MAX && self.refused.iter().all(RefusedServer::fits);
        if fits { Ok(()) } else { Err(Error::TooLarge(Limit::Element)) }
    }
}

impl RefusedServer {
    fn fits(&self) -> bool {
        let is_short = |text: &String| text.len() <= WORD_BYTES_MAX;
        self.host.len() <= NOTE_BYTES_MAX && is_short(&self.why) && self.key.as_ref().is_none_or(is_short)
    }
}

impl Document for UpkeepReply {
    const BYTES_MAX: usize = ENROL_BYTES_MAX;
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}
