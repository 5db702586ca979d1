//! Hello: what a server is, before anything else is said.

use keepwell_fhir::Instant;
use serde::{Deserialize, Serialize};

use crate::document::Document;
use crate::hash::Hash;
use crate::hex64::Epoch;
use crate::id::Id;
use crate::limits::{LINE_BYTES_MAX, MUTATIONS_MAX, PUSH_BYTES};
use crate::number::Position;

/// `GET /sync/v1/hello`. Names no patient.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// The oldest version that the server speaks.
    pub min: u32,
    /// The newest.
    pub max: u32,
    /// The tenant that this device belongs to.
    pub tenant: Id,
    /// Its history.
    pub epoch: Epoch,
    /// Its newest position.
    pub clock: Position,
    /// Dictionaries that it can read and write, the preferred one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dicts: Vec<Hash>,
    /// What it takes.
    #[serde(default)]
    pub limits: ServerLimits,
    /// Its time.
    #[serde(with = "crate::instant")]
    pub time: Instant,
}

impl Document for Hello {}

/// What a server takes. A device keeps within these and its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerLimits {
    /// Mutations in a push.
    #[serde(rename = "mut")]
    pub mutations: u32,
    /// Bytes of the mutations of a push.
    pub bytes: u32,
    /// Bytes of a line.
    pub line: u32,
}

#[expect(clippy::cast_possible_truncation, reason = "the limits are small constants")]
impl Default for ServerLimits {
    fn default() -> Self {
        Self { mutations: MUTATIONS_MAX as u32, bytes: PUSH_BYTES as u32, line: LINE_BYTES_MAX as u32 }
    }
}
