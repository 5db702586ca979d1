//! A P-256 key in memory, for platforms without a key store and for servers.

use std::fmt;

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use zeroize::Zeroizing;

use crate::signer::PUBLIC_KEY_BYTES;
use crate::{Error, Pin, PublicKey, Signer};

/// A P-256 key in memory. It cannot be cloned and prints nothing but its pin.
///
/// What is kept of it, as PKCS#8, is wiped when it is dropped; the copies that `ring` makes while it generates and
/// signs are not within reach. Keep the bytes sealed, by the vault or by the server's own store.
pub struct PrivateKey {
    pkcs8: Zeroizing<Vec<u8>>,
    pair: EcdsaKeyPair,
}

impl PrivateKey {
    /// A fresh key from the random generator of the operating system.
    ///
    /// # Errors
    /// [`Error::Key`] if the generator fails.
    pub fn generate() -> Result<Self, Error> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
            .map_err(|_| Error::Key)?;
        Self::from_pkcs8(Zeroizing::new(document.as_ref().to_vec()))
    }

    /// The key of bytes from [`PrivateKey::pkcs8`].
    ///
    /// # Errors
    /// [`Error::Key`] if they are not a P-256 key in PKCS#8 with its public half.
    pub fn from_pkcs8(pkcs8: Zeroizing<Vec<u8>>) -> Result<Self, Error> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pkcs8, &SystemRandom::new());
        Ok(Self { pair: pair.map_err(|_| Error::Key)?, pkcs8 })
    }

    /// The key as PKCS#8, to be sealed.
    #[must_use]
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The pin of the public half.
    #[must_use]
    pub fn pin(&self) -> Pin {
        PublicKey::of(self).pin()
    }
}

impl Signer for PrivateKey {
    fn public_key(&self) -> [u8; PUBLIC_KEY_BYTES] {
        let mut point = [0; PUBLIC_KEY_BYTES];
        point.copy_from_slice(self.pair.public_key().as_ref());
        point
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = self.pair.sign(&SystemRandom::new(), message).map_err(|_| Error::Signer)?;
        Ok(signature.as_ref().to_vec())
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PrivateKey({}, ..)", self.pin())
    }
}
