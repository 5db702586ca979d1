//! A certificate together with the key that it is for.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::signer::HandshakeSigner;
use crate::{Error, Pin, PublicKey, Signer};

/// What a server or a device shows of itself: its certificate, those that lead to the authority, and its key.
#[derive(Debug, Clone)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    signer: Arc<dyn Signer>,
}

impl Identity {
    /// Joins a chain, leaf first, and the key of the leaf.
    ///
    /// A server appends the certificate of its authority, for devices that know only its fingerprint.
    ///
    /// # Errors
    /// [`Error::Key`] if the leaf is missing or is for another key.
    pub fn new(chain: Vec<CertificateDer<'static>>, signer: Arc<dyn Signer>) -> Result<Self, Error> {
        let leaf = chain.first().ok_or(Error::Key)?;
        if Pin::of_certificate(leaf)? != PublicKey::of(signer.as_ref()).pin() {
            return Err(Error::Key);
        }
        Ok(Self { chain, signer })
    }

    /// The certificates, leaf first.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    pub(crate) fn resolver(&self) -> Arc<SingleCertAndKey> {
        let key = Arc::new(HandshakeSigner(self.signer.clone()));
        Arc::new(SingleCertAndKey::from(CertifiedKey::new(self.chain.clone(), key)))
    }
}
