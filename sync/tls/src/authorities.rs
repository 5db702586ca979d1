//! How a device connects to a server of somebody else: one that has no pins and knows no devices.
//!
//! Invariants: chain, name and time are checked against authorities that were named, never against whatever the platform
//! trusts; TLS 1.3, and 1.2 only where a setting says so; no resumption, no 0-RTT, no key log.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use rustls::{ClientConfig, NoKeyLog, RootCertStore};

use crate::Error;
use crate::provider::{NEW, NEW_AND_OLD, VERSIONS_FIT, provider};

/// What a client of such a server is made of.
#[derive(Debug, Clone)]
pub struct AuthoritySettings {
    /// The certificates of the authorities that may vouch for the server.
    pub authorities: Vec<CertificateDer<'static>>,
    /// Accepts TLS 1.2 (ECDHE with AEAD) from servers that have no 1.3.
    pub allow_tls12: bool,
    /// The clock by which certificates are judged.
    pub clock: Arc<dyn TimeProvider>,
}

impl AuthoritySettings {
    /// The safe settings with the authorities in `pem`: that of the server alone, or the bundle of a platform.
    ///
    /// # Errors
    /// [`Error::Key`] if there is none, or what is there is no certificate.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Error> {
        let authorities: Vec<_> =
            CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| Error::Key)?;
        if authorities.is_empty() {
            return Err(Error::Key);
        }
        Ok(Self { authorities, allow_tls12: false, clock: Arc::new(DefaultTimeProvider) })
    }

    /// The configuration for rustls and what is built on it.
    ///
    /// # Errors
    /// [`Error::Key`]: no authority can be read.
    pub fn build(&self) -> Result<Arc<ClientConfig>, Error> {
        let mut roots = RootCertStore::empty();
        // A platform's bundle may hold one that this library cannot read.
        let (read, _) = roots.add_parsable_certificates(self.authorities.iter().cloned());
        if read == 0 {
            return Err(Error::Key);
        }
        let versions = if self.allow_tls12 { NEW_AND_OLD } else { NEW };
        let mut config = ClientConfig::builder_with_details(provider(), self.clock.clone())
            .with_protocol_versions(versions)
            .expect(VERSIONS_FIT)
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        config.key_log = Arc::new(NoKeyLog);
        config.require_ems = true;
        Ok(Arc::new(config))
    }
}
