//! Wiping: an order that only the holder of an offline key can give, and the receipt for it.
//!
//! Orders are signed with Ed25519, receipts with the device's own P-256 key, both over a text that names its purpose, so
//! that none is taken for another.

use keepwell_fhir::Instant;
use ring::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm};
use serde::{Deserialize, Serialize};

use crate::base64::Base64;
use crate::document::Document;
use crate::error::{Error, Result};
use crate::id::Id;

/// "Destroy the keys of this device's store." Comes in the refusal of any request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WipeOrder {
    /// Names the order.
    pub id: Id,
    /// Of which tenant.
    pub tenant: Id,
    /// Which device.
    pub device: Id,
    /// When it was given.
    #[serde(with = "crate::instant")]
    pub at: Instant,
    /// The signature over [`WipeOrder::signed_bytes`].
    pub sig: Base64,
}

impl WipeOrder {
    /// The bytes that the signature is over.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        signed_bytes("wipe order", &self.id, &self.tenant, &self.device, self.at)
    }

    /// Whether the order is genuine and meant for this device.
    ///
    /// # Errors
    /// [`Error::Signature`]: do nothing, and report it.
    pub fn verify(&self, tenant: &Id, device: &Id, wipe_keys: &[Base64]) -> Result<()> {
        let meant = self.tenant == *tenant && self.device == *device;
        let bytes = self.signed_bytes();
        let signed = wipe_keys.iter().any(|key| verify(&ED25519, &key.0, &bytes, &self.sig));
        if meant && signed { Ok(()) } else { Err(Error::Signature) }
    }
}

/// `POST /sync/v1/wipe-ack`: "the keys are destroyed". Signed by the device's key before that one goes as well.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WipeReceipt {
    /// The order that was followed.
    pub id: Id,
    /// Of which tenant.
    pub tenant: Id,
    /// Which device followed it.
    pub device: Id,
    /// When, by the device's clock.
    #[serde(with = "crate::instant")]
    pub at: Instant,
    /// The signature over [`WipeReceipt::signed_bytes`].
    pub sig: Base64,
}

impl Document for WipeReceipt {}

impl WipeReceipt {
    /// The bytes that the signature is over.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        signed_bytes("wipe receipt", &self.id, &self.tenant, &self.device, self.at)
    }

    /// Whether the receipt is by the device with this P-256 key, an uncompressed point; the signature is ECDSA with
    /// SHA-256, in ASN.1.
    ///
    /// # Errors
    /// [`Error::Signature`].
    pub fn verify(&self, device_key: &[u8]) -> Result<()> {
        let signed = verify(&ECDSA_P256_SHA256_ASN1, device_key, &self.signed_bytes(), &self.sig);
        if signed { Ok(()) } else { Err(Error::Signature) }
    }
}

fn signed_bytes(purpose: &str, id: &Id, tenant: &Id, device: &Id, at: Instant) -> Vec<u8> {
    format!("keepwell {purpose} v1\n{id}\n{tenant}\n{device}\n{at}\n").into_bytes()
}

fn verify(
    algorithm: &'static dyn VerificationAlgorithm,
    key: &[u8],
    bytes: &[u8],
    signature: &Base64,
) -> bool {
    UnparsedPublicKey::new(algorithm, key).verify(bytes, &signature.0).is_ok()
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};

    use super::*;

    fn id(text: &str) -> Id {
        text.parse().unwrap()
    }

    fn key(seed: u8) -> (Ed25519KeyPair, Base64) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let public = Base64(pair.public_key().as_ref().to_vec());
        (pair, public)
    }

    #[test]
    fn only_an_order_to_this_device_by_a_known_key_is_followed() {
        let ((root, known), (_, other)) = (key(1), key(2));
        let at = Instant::from_ms(0);
        let mut order =
            WipeOrder { id: id("w1"), tenant: id("clinic"), device: id("d1"), at, sig: Base64::default() };
        order.sig = Base64(root.sign(&order.signed_bytes()).as_ref().to_vec());
        let (clinic, device) = (id("clinic"), id("d1"));
        assert_eq!(order.verify(&clinic, &device, &[other.clone(), known.clone()]), Ok(()));
        for (tenant, device, keys) in [
            (&clinic, &device, vec![other]),
            (&clinic, &device, vec![]),
            (&clinic, &id("d2"), vec![known.clone()]),
            (&id("ward"), &device, vec![known.clone()]),
        ] {
            assert_eq!(order.verify(tenant, device, &keys), Err(Error::Signature));
        }
        let later = WipeOrder { at: Instant::from_ms(1), ..order.clone() };
        assert_eq!(later.verify(&clinic, &device, std::slice::from_ref(&known)), Err(Error::Signature));
    }

    #[test]
    fn a_receipt_is_signed_by_its_device() {
        let random = SystemRandom::new();
        let device_key = || {
            let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random).unwrap()
        };
        let (own, other) = (device_key(), device_key());
        let at = Instant::from_ms(0);
        let mut receipt =
            WipeReceipt { id: id("w1"), tenant: id("clinic"), device: id("d1"), at, sig: Base64::default() };
        let sign = |bytes: &[u8]| Base64(own.sign(&random, bytes).unwrap().as_ref().to_vec());
        receipt.sig = sign(&receipt.signed_bytes());
        assert_eq!(receipt.verify(own.public_key().as_ref()), Ok(()));
        assert_eq!(receipt.verify(other.public_key().as_ref()), Err(Error::Signature));
        assert_eq!(receipt.verify(b""), Err(Error::Signature));
        // The signature of an order is none of a receipt.
        let WipeReceipt { id, tenant, device, at, sig } = receipt.clone();
        receipt.sig = sign(&WipeOrder { id, tenant, device, at, sig }.signed_bytes());
        assert_eq!(receipt.verify(own.public_key().as_ref()), Err(Error::Signature));
    }
}
