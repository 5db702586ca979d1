//! Events: hints that there is something to pull.
//!
//! `GET /sync/v1/events` is a stream of server-sent events, one `data:` line each. A hint carries no data. Losing one is
//! harmless: the next one, or the heartbeat, has a higher clock.

use serde::{Deserialize, Serialize};

use crate::document::Document;
use crate::error::{Error, Limit, Result};
use crate::hex64::Epoch;
use crate::limits::HINT_SCOPES_MAX;
use crate::number::Position;
use crate::scope::Scope;

/// What a server says to a connected device, at least every 30 seconds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hint {
    /// The server's history.
    pub epoch: Epoch,
    /// Its newest position. If it is ahead of the device's, there may be something.
    pub clock: Position,
    /// Scopes of this device with news; none in a heartbeat or when there are too many to name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<Scope>,
    /// What the user may reach has changed, which moves no clock: the device pulls to learn it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub grants: bool,
}

impl Document for Hint {
    fn check(&self) -> Result<()> {
        if self.scopes.len() > HINT_SCOPES_MAX { Err(Error::TooLarge(Limit::Element)) } else { Ok(()) }
    }
}
