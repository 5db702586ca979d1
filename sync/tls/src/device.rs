//! A device, as its certificate names it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use webpki::EndEntityCert;

use crate::pin::sha256;
use crate::{Error, PublicKey};

/// The longest id of a device in characters.
pub const DEVICE_ID_MAX: usize = 64;
/// Length of a serial number in bytes.
const SERIAL_BYTES: usize = 16;
/// Stands before the id in the certificate's alternative name.
const URI_PREFIX: &str = "urn:keepwell:device:";

/// The id of a device: 1 to 64 letters, digits, `-` and `.`, as ids in FHIR.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct DeviceId(String);

impl DeviceId {
    /// A random id of 128 bits.
    ///
    /// # Errors
    /// [`Error::Key`] if the generator of the operating system fails.
    pub fn random() -> Result<Self, Error> {
        random::<16>().map(|bytes| Self(hexadecimal(&bytes)))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn uri(&self) -> String {
        format!("{URI_PREFIX}{}", self.0)
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for DeviceId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let sound = (1..=DEVICE_ID_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
        if sound { Ok(Self(text.to_owned())) } else { Err(Error::DeviceId) }
    }
}

impl From<DeviceId> for String {
    fn from(id: DeviceId) -> Self {
        id.0
    }
}

impl TryFrom<String> for DeviceId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

/// The serial number of a device's certificate, by which it is revoked. Written in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Serial([u8; SERIAL_BYTES]);

impl Serial {
    /// Random but for two bits, which keep it a positive number of this length.
    pub(crate) fn random() -> Result<Self, Error> {
        let mut bytes = random::<SERIAL_BYTES>()?;
        bytes[0] = bytes[0] & 0x3f | 0x40;
        Ok(Self(bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hexadecimal(&self.0))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl From<Serial> for String {
    fn from(serial: Serial) -> Self {
        serial.to_string()
    }
}

impl TryFrom<String> for Serial {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl FromStr for Serial {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let pairs = text.as_bytes().chunks(2).map(|pair| {
            let pair = std::str::from_utf8(pair)
                .ok()
                .filter(|pair| pair.bytes().all(|byte| byte.is_ascii_hexdigit()));
            pair.filter(|pair| pair.len() == 2).and_then(|pair| u8::from_str_radix(pair, 16).ok())
        });
        let bytes: Option<Vec<u8>> = pairs.collect();
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(Error::DeviceId)
    }
}

/// The SHA-256 of a certificate: `x5t#S256` of RFC 8705, by which a token is bound. Written in base64url.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Thumbprint([u8; 32]);

impl Thumbprint {
    /// The thumbprint of a certificate.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(sha256(certificate))
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl FromStr for Thumbprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let hash = URL_SAFE_NO_PAD.decode(text).ok().and_then(|hash| hash.try_into().ok());
        hash.map(Self).ok_or(Error::TokenUnbound)
    }
}

/// The device at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// The serial number of its certificate: ask the revocations again at each request, since a connection can
    /// outlive a revocation.
    pub serial: Serial,
    /// The thumbprint of its certificate.
    pub thumbprint: Thumbprint,
    /// Its key, by which what it signs is checked.
    pub key: PublicKey,
}

impl Device {
    /// The device that the handshake has authenticated, from `peer_certificates` of a connection of
    /// [`crate::ServerSettings`]. `None` if the client showed no certificate.
    ///
    /// # Errors
    /// [`Error::NoDevice`] if the certificate is not that of a device.
    pub fn of_peer(certificates: Option<&[CertificateDer<'_>]>) -> Result<Option<Self>, Error> {
        match certificates.and_then(<[_]>::first) {
            Some(leaf) => Self::of_certificate(leaf).map(Some),
            None => Ok(None),
        }
    }

    /// What a certificate says. That its authority is trusted is for the handshake to check.
    ///
    /// # Errors
    /// [`Error::NoDevice`] if it is not the certificate of a device.
    pub fn of_certificate(certificate: &CertificateDer<'_>) -> Result<Self, Error> {
        let parsed = EndEntityCert::try_from(certificate).map_err(|_| Error::NoDevice)?;
        let mut names = parsed.valid_uri_names();
        let (Some(name), None) = (names.next(), names.next()) else { return Err(Error::NoDevice) };
        let id = name.strip_prefix(URI_PREFIX).and_then(|id| id.parse().ok()).ok_or(Error::NoDevice)?;
        let serial = parsed.serial().try_into().map(Serial).map_err(|_| Error::NoDevice)?;
        let key = PublicKey::from_key_info(&parsed.subject_public_key_info()).ok_or(Error::NoDevice)?;
        Ok(Self { id, serial, thumbprint: Thumbprint::of(certificate), key })
    }

    /// Refuses a token that is not bound to this device: `confirmation` is `x5t#S256` in its `cnf` claim.
    ///
    /// # Errors
    /// [`Error::TokenUnbound`] if there is none, [`Error::TokenOfAnother`] if it is that of another certificate.
    pub fn confirm_token(&self, confirmation: Option<&str>) -> Result<(), Error> {
        let bound: Thumbprint = confirmation.ok_or(Error::TokenUnbound)?.parse()?;
        if bound == self.thumbprint { Ok(()) } else { Err(Error::TokenOfAnother) }
    }
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::Key)?;
    Ok(bytes)
}

fn hexadecimal(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes any text");
        text
    })
}
