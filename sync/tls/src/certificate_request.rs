//! The request of a device for its certificate: PKCS #10 (RFC 2986) with a P-256 key.
//!
//! Only the key counts, and that the request is signed by it. Name, time and use of the certificate are the
//! authority's to decide, so nothing else of the request is read.

use rcgen::{CertificateParams, DistinguishedName};

use crate::der::{BIT_STRING, INTEGER, SEQUENCE, element};
use crate::signer::{CertificateSigner, KEY_INFO_BYTES};
use crate::{Error, PublicKey, Signer};

/// The longest request in bytes; one made here has about 200.
pub const REQUEST_MAX_BYTES: usize = 4096;
/// The algorithm `ecdsa-with-SHA256`, without its outer tag.
const ECDSA_WITH_SHA256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

/// A request whose signature has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateRequest {
    key: PublicKey,
}

impl CertificateRequest {
    /// Makes the request of a device, in DER.
    ///
    /// # Errors
    /// [`Error::Signer`] if the key does not sign.
    pub fn create(signer: &dyn Signer) -> Result<Vec<u8>, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&CertificateSigner::new(signer)).map_err(|_| Error::Signer)?;
        Ok(request.der().to_vec())
    }

    /// Reads a request and checks that the key that it names has signed it.
    ///
    /// # Errors
    /// [`Error::CertificateRequest`] otherwise.
    pub fn read(der: &[u8]) -> Result<Self, Error> {
        read(der).map(|key| Self { key }).ok_or(Error::CertificateRequest)
    }

    /// The key to be certified.
    #[must_use]
    pub fn key(&self) -> PublicKey {
        self.key
    }
}

fn read(der: &[u8]) -> Option<PublicKey> {
    let mut rest = Some(der).filter(|der| der.len() <= REQUEST_MAX_BYTES)?;
    let mut request = element(&mut rest, SEQUENCE)?;
    rest.is_empty().then_some(())?;

    let from_info = request;
    let mut info = element(&mut request, SEQUENCE)?;
    let signed = &from_info[..from_info.len() - request.len()];
    let algorithm = element(&mut request, SEQUENCE)?;
    let signature = element(&mut request, BIT_STRING)?.strip_prefix(&[0])?;
    (request.is_empty() && algorithm == ECDSA_WITH_SHA256).then_some(())?;

    let version = element(&mut info, INTEGER)?;
    let _name = element(&mut info, SEQUENCE)?;
    let key = PublicKey::from_key_info(info.get(..KEY_INFO_BYTES)?)?;
    (version == [0] && key.verify(signed, signature)).then_some(key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::PrivateKey;

    #[test]
    fn a_request_proves_that_its_sender_has_the_key() {
        let key = PrivateKey::generate().expect("a key");
        let request = CertificateRequest::create(&key).expect("a request");
        assert_eq!(CertificateRequest::read(&request).expect("a sound request").key(), PublicKey::of(&key));

        let other = PublicKey::of(&PrivateKey::generate().expect("a key")).key_info();
        let own = PublicKey::of(&key).key_info();
        let at = request.windows(own.len()).position(|part| part == own).expect("the key is in it");
        let mut exchanged = request;
        exchanged[at..at + other.len()].copy_from_slice(&other);
        assert!(matches!(CertificateRequest::read(&exchanged), Err(Error::CertificateRequest)));
    }

    #[test]
    fn no_altered_byte_passes() {
        let request = CertificateRequest::create(&PrivateKey::generate().expect("a key")).expect("a request");
        for at in 0..request.len() {
            let mut altered = request.clone();
            altered[at] ^= 1;
            assert!(CertificateRequest::read(&altered).is_err(), "byte {at}");
            assert!(CertificateRequest::read(&request[..at]).is_err(), "cut at {at}");
        }
    }

    proptest! {
        #[test]
        fn hostile_requests_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(CertificateRequest::read(&bytes).is_err());
        }
    }
}
