//! How a device connects.
//!
//! Invariants of every configuration made here: TLS 1.3, and 1.2 only where a setting says so; no resumption, so that
//! each connection is judged by the pins of its own time; no 0-RTT; no key log, whatever the environment says.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use rustls::{ClientConfig, NoKeyLog};

use crate::provider::{NEW, NEW_AND_OLD, VERSIONS_FIT, provider};
use crate::verifier::PinVerifier;
use crate::{Error, FailureLog, Identity, Pinning, Trust};

/// What a client is made of.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// The authorities that may vouch for a server.
    pub trust: Trust,
    /// The pins that its key must match as well.
    pub pinning: Arc<Pinning>,
    /// Where refused servers are recorded.
    pub failures: Arc<FailureLog>,
    /// The certificate and key of this device; none before it is enrolled.
    pub device: Option<Identity>,
    /// Accepts TLS 1.2 (ECDHE with AEAD) from servers that have no 1.3.
    pub allow_tls12: bool,
    /// Protocols to be negotiated within TLS, best first, such as `h2`.
    pub alpn: Vec<Vec<u8>>,
    /// The clock by which certificates and pins are judged.
    pub clock: Arc<dyn TimeProvider>,
}

impl ClientSettings {
    /// The safe settings: TLS 1.3, the clock of the system, no device yet.
    #[must_use]
    pub fn new(trust: Trust, pinning: Arc<Pinning>) -> Self {
        Self {
            trust,
            pinning,
            failures: Arc::default(),
            device: None,
            allow_tls12: false,
            alpn: Vec::new(),
            clock: Arc::new(DefaultTimeProvider),
        }
    }

    /// The configuration for rustls and what is built on it. It follows changes of the pins by itself; connections
    /// that are open when pins change are closed by whoever holds them.
    ///
    /// # Errors
    /// - [`Error::FewPins`]: one pin is left in force.
    /// - [`Error::Refused`] with [`crate::Refusal::PinsExpired`]: none is, or the clock cannot be read.
    /// - [`Error::Key`]: an authority's certificate cannot be read, or there is none.
    pub fn build(&self) -> Result<Arc<ClientConfig>, Error> {
        let now = self.clock.current_time().ok_or(crate::Refusal::PinsExpired)?;
        self.pinning.check_ready(now)?;
        let provider = provider();
        let verifier = PinVerifier::new(
            &self.trust,
            self.pinning.clone(),
            self.failures.clone(),
            provider.signature_verification_algorithms,
        )?;
        let versions = if self.allow_tls12 { NEW_AND_OLD } else { NEW };
        let builder = ClientConfig::builder_with_details(provider, self.clock.clone())
            .with_protocol_versions(versions)
            .expect(VERSIONS_FIT)
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &self.device {
            Some(device) => builder.with_client_cert_resolver(device.resolver()),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.alpn);
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        config.key_log = Arc::new(NoKeyLog);
        config.require_ems = true;
        Ok(Arc::new(config))
    }
}
