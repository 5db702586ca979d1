//! The client's judgement of a server.
//!
//! Chain, time and name are checked as everywhere; only then are the pins. They are compared with the verified path
//! (the leaf and the intermediates that lead to the authority), never with the list that the server presented: who
//! appends a pinned certificate to another chain gains nothing (CVE-2016-2402).

use std::cell::Cell;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};

use crate::pin::sha256;
use crate::{Error, FailureLog, Pin, PinSet, Pinning, Refusal};

/// The authorities that a client trusts: those of one operator, not those of the platform.
#[derive(Debug, Clone)]
pub enum Trust {
    /// The certificates of the authorities.
    Authorities(Vec<CertificateDer<'static>>),
    /// The SHA-256 of one authority's certificate, as an invitation carries it; the server presents the certificate.
    Fingerprint([u8; 32]),
}

#[derive(Debug)]
enum Anchors {
    Known(Vec<TrustAnchor<'static>>),
    Presented([u8; 32]),
}

/// Accepts a server whose chain, name and pins all hold, and records the others.
#[derive(Debug)]
pub(crate) struct PinVerifier {
    anchors: Anchors,
    pinning: Arc<Pinning>,
    failures: Arc<FailureLog>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl PinVerifier {
    pub(crate) fn new(
        trust: &Trust,
        pinning: Arc<Pinning>,
        failures: Arc<FailureLog>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Result<Self, Error> {
        let anchors = match trust {
            Trust::Authorities(certificates) if certificates.is_empty() => return Err(Error::Key),
            Trust::Authorities(certificates) => {
                Anchors::Known(certificates.iter().map(anchor).collect::<Result<_, _>>()?)
            }
            Trust::Fingerprint(hash) => Anchors::Presented(*hash),
        };
        Ok(Self { anchors, pinning, failures, algorithms })
    }

    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        presented: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        pins: &PinSet,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let certificate = EndEntityCert::try_from(leaf).map_err(|_| Refusal::Untrusted)?;
        let picked;
        let anchors = match &self.anchors {
            Anchors::Known(anchors) => anchors.as_slice(),
            Anchors::Presented(hash) => {
                let authority = presented.iter().find(|presented| sha256(presented) == *hash);
                picked = [authority.and_then(|found| anchor(found).ok()).ok_or(Refusal::Untrusted)?];
                &picked
            }
        };
        let chain_holds = Cell::new(false);
        let name_holds =
            name.to_str() == pins.host && certificate.verify_is_valid_for_subject_name(name).is_ok();
        // Called for each path that leads to an authority; an error makes webpki look for another one.
        let check = |path: &VerifiedPath<'_>| {
            chain_holds.set(true);
            if name_holds && is_pinned(path, pins, now) { Ok(()) } else { Err(webpki::Error::UnknownIssuer) }
        };
        let verified = certificate.verify_for_usage(
            self.algorithms.all,
            anchors,
            presented,
            now,
            KeyUsage::server_auth(),
            None,
            Some(&check),
        );
        match verified {
            Ok(_) => Ok(()),
            Err(error) if !chain_holds.get() => Err(of_chain(&error)),
            Err(_) if !name_holds => Err(Refusal::WrongName),
            Err(_) if pins.in_force(now) == 0 => Err(Refusal::PinsExpired),
            Err(_) => Err(Refusal::NotPinned),
        }
    }
}

fn is_pinned(path: &VerifiedPath<'_>, pins: &PinSet, now: UnixTime) -> bool {
    let leaf = Pin::of_key_info(&path.end_entity().subject_public_key_info());
    let mut intermediates = path.intermediate_certificates();
    pins.holds(&leaf, now)
        || intermediates
            .any(|certificate| pins.holds(&Pin::of_key_info(&certificate.subject_public_key_info()), now))
}

fn anchor(certificate: &CertificateDer<'_>) -> Result<TrustAnchor<'static>, Error> {
    webpki::anchor_from_trusted_cert(certificate).map(|anchor| anchor.to_owned()).map_err(|_| Error::Key)
}

fn of_chain(error: &webpki::Error) -> Refusal {
    match error {
        webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. } => Refusal::WrongTime,
        _ => Refusal::Untrusted,
    }
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let pins = self.pinning.current();
        match self.judge(end_entity, intermediates, server_name, &pins, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(refusal) => {
                let key = Pin::of_certificate(end_entity).ok();
                self.failures.record(server_name.to_str().into_owned(), refusal, key, pins.number, now);
                Err(refusal.into())
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
