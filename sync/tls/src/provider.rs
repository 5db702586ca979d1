//! The cryptography of every connection: that of `ring`, and no other library's.

use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::crypto::{CryptoProvider, ring};
use rustls::version::{TLS12, TLS13};

/// TLS 1.3 alone: the default.
pub(crate) const NEW: &[&SupportedProtocolVersion] = &[&TLS13];
/// TLS 1.2 as well, by an explicit setting. Nothing older exists in rustls, and of 1.2 it has ECDHE with AEAD only.
pub(crate) const NEW_AND_OLD: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// Why a list of versions above fits the provider.
pub(crate) const VERSIONS_FIT: &str = "ring has suites for both versions";

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
