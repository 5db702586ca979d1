//! Certificates of devices that no longer count.

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::{PoisonError, RwLock};

use crate::Serial;

/// Tells whether a certificate has been revoked. Asked at each handshake, and by the server at each request.
pub trait Revocations: Debug + Send + Sync {
    /// Whether the certificate with this serial number no longer counts.
    fn is_revoked(&self, serial: &Serial) -> bool;
}

/// Revoked serial numbers in memory; the server fills it from its store at start.
#[derive(Debug, Default)]
pub struct RevokedSerials(RwLock<HashSet<Serial>>);

impl RevokedSerials {
    /// Revokes a certificate from now on.
    pub fn revoke(&self, serial: Serial) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(serial);
    }
}

impl FromIterator<Serial> for RevokedSerials {
    fn from_iter<I: IntoIterator<Item = Serial>>(serials: I) -> Self {
        Self(RwLock::new(serials.into_iter().collect()))
    }
}

impl Revocations for RevokedSerials {
    fn is_revoked(&self, serial: &Serial) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(serial)
    }
}
