//! How Keepwell's server listens.
//!
//! Invariants of every configuration made here: TLS 1.3 only; no tickets, no session memory, no early data, so that
//! each connection of a device shows its certificate and is judged anew.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, NoKeyLog, RootCertStore, ServerConfig,
    SignatureScheme,
};

use crate::provider::{NEW, VERSIONS_FIT, provider};
use crate::{Device, Error, Identity, Revocations, RevokedSerials};

/// Which clients may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Only devices with a certificate: what sync needs.
    Devices,
    /// Clients without a certificate as well: for enrolment, and for ordinary FHIR clients with a token. A
    /// certificate that is shown must still be good.
    Anyone,
}

/// What a server is made of.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Its certificate and key.
    pub identity: Identity,
    /// The certificate of the authority that issues the certificates of devices.
    pub device_authority: CertificateDer<'static>,
    /// Which clients may connect.
    pub admission: Admission,
    /// Certificates that no longer count.
    pub revocations: Arc<dyn Revocations>,
    /// Protocols to be negotiated within TLS, best first, such as `h2`.
    pub alpn: Vec<Vec<u8>>,
    /// The clock by which certificates are judged.
    pub clock: Arc<dyn TimeProvider>,
}

impl ServerSettings {
    /// The safe settings: devices only, nothing revoked, the clock of the system.
    #[must_use]
    pub fn new(identity: Identity, device_authority: CertificateDer<'static>) -> Self {
        Self {
            identity,
            device_authority,
            admission: Admission::Devices,
            revocations: Arc::new(RevokedSerials::default()),
            alpn: Vec::new(),
            clock: Arc::new(DefaultTimeProvider),
        }
    }

    /// The configuration for rustls and what is built on it.
    ///
    /// # Errors
    /// [`Error::Key`] if the authority's certificate cannot be read.
    pub fn build(&self) -> Result<Arc<ServerConfig>, Error> {
        let provider = provider();
        let mut roots = RootCertStore::empty();
        roots.add(self.device_authority.clone()).map_err(|_| Error::Key)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let verifier = match self.admission {
            Admission::Devices => verifier,
            Admission::Anyone => verifier.allow_unauthenticated(),
        };
        let chain = verifier.build().map_err(|_| Error::Key)?;
        let verifier = DeviceVerifier { chain, revocations: self.revocations.clone() };
        let mut config = ServerConfig::builder_with_details(provider, self.clock.clone())
            .with_protocol_versions(NEW)
            .expect(VERSIONS_FIT)
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(self.identity.resolver());
        config.alpn_protocols.clone_from(&self.alpn);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        config.key_log = Arc::new(NoKeyLog);
        Ok(Arc::new(config))
    }
}

/// Accepts a certificate that leads to the devices' authority, names a device and is not revoked.
#[derive(Debug)]
struct DeviceVerifier {
    chain: Arc<dyn ClientCertVerifier>,
    revocations: Arc<dyn Revocations>,
}

impl ClientCertVerifier for DeviceVerifier {
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        let device = Device::of_certificate(end_entity).map_err(|_| {
            rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)
        })?;
        if self.revocations.is_revoked(&device.serial) {
            return Err(rustls::Error::InvalidCertificate(CertificateError::Revoked));
        }
        Ok(verified)
    }

    fn offer_client_auth(&self) -> bool {
        self.chain.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.chain.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
