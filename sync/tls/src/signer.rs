//! Who signs with a P-256 key: a key in memory, or the key store of the platform.
//!
//! P-256 is what Secure Enclave, StrongBox and TPM have in common, so that a device's key need not be exportable:
//! its host implements [`Signer`] over the platform's key. [`crate::PrivateKey`] is the one in memory.

use std::fmt::Debug;
use std::sync::Arc;

use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::{SignatureAlgorithm, SignatureScheme};

use crate::{Error, Pin};

/// Length of an uncompressed point of P-256 in bytes: a 4, then both coordinates.
pub const PUBLIC_KEY_BYTES: usize = 65;
/// A SubjectPublicKeyInfo of P-256 in DER, up to the point.
const KEY_INFO_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// Length of a SubjectPublicKeyInfo of P-256 in bytes.
pub(crate) const KEY_INFO_BYTES: usize = KEY_INFO_PREFIX.len() + PUBLIC_KEY_BYTES;

/// A P-256 key that signs without showing itself.
pub trait Signer: Debug + Send + Sync {
    /// The public key as an uncompressed point.
    fn public_key(&self) -> [u8; PUBLIC_KEY_BYTES];

    /// Signs with ECDSA and SHA-256; the signature is in DER.
    ///
    /// # Errors
    /// [`Error::Signer`] if the key store refuses.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error>;
}

/// The public half of a P-256 key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; PUBLIC_KEY_BYTES]);

impl PublicKey {
    /// The public half of `signer`.
    #[must_use]
    pub fn of(signer: &dyn Signer) -> Self {
        Self(signer.public_key())
    }

    /// Reads a SubjectPublicKeyInfo in DER; `None` if it is not one of P-256.
    pub(crate) fn from_key_info(key_info: &[u8]) -> Option<Self> {
        let point = key_info.strip_prefix(KEY_INFO_PREFIX.as_slice())?;
        point.first().filter(|form| **form == 4)?;
        point.try_into().ok().map(Self)
    }

    pub(crate) fn key_info(&self) -> Vec<u8> {
        [KEY_INFO_PREFIX.as_slice(), &self.0].concat()
    }

    /// The key as an uncompressed point.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; PUBLIC_KEY_BYTES] {
        &self.0
    }

    /// The pin of this key.
    #[must_use]
    pub fn pin(&self) -> Pin {
        Pin::of_key_info(&self.key_info())
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, self.0).verify(message, signature).is_ok()
    }
}

impl rcgen::PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

/// A [`Signer`] as rcgen knows it.
pub(crate) struct CertificateSigner<'a> {
    signer: &'a dyn Signer,
    key: PublicKey,
}

impl<'a> CertificateSigner<'a> {
    pub(crate) fn new(signer: &'a dyn Signer) -> Self {
        Self { signer, key: PublicKey::of(signer) }
    }
}

impl rcgen::PublicKeyData for CertificateSigner<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.key.der_bytes()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.key.algorithm()
    }
}

impl rcgen::SigningKey for CertificateSigner<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.signer.sign(message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

/// A [`Signer`] as rustls knows it.
#[derive(Debug, Clone)]
pub(crate) struct HandshakeSigner(pub(crate) Arc<dyn Signer>);

impl rustls::sign::SigningKey for HandshakeSigner {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn rustls::sign::Signer>> {
        offered
            .contains(&SignatureScheme::ECDSA_NISTP256_SHA256)
            .then(|| Box::new(self.clone()) as Box<dyn rustls::sign::Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(PublicKey::of(self.0.as_ref()).key_info().into())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl rustls::sign::Signer for HandshakeSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        self.0.sign(message).map_err(|_| rustls::Error::General("the key did not sign".to_owned()))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}
