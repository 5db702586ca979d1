//! A certificate authority of Keepwell's own: one for servers, another for devices.
//!
//! The two are apart so that neither can vouch for the other's side: a device's certificate makes no server. Each
//! issues leaves only (path length 0), and each leaf has one use.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyUsagePurpose, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, UnixTime};

use crate::device::{DeviceId, Serial};
use crate::pin::sha256;
use crate::pin_set::is_host;
use crate::signer::CertificateSigner;
use crate::{CertificateRequest, Error, Pin, PublicKey, Signer};

/// How long before its making a certificate is valid, for clocks that are behind: one hour.
pub const BACKDATED: Duration = Duration::from_secs(60 * 60);
/// The longest lifetime of a leaf: 398 days.
pub const LEAF_LIFETIME_MAX: Duration = Duration::from_secs(398 * 24 * 60 * 60);
/// The longest lifetime of an authority: 20 years.
pub const AUTHORITY_LIFETIME_MAX: Duration = Duration::from_secs(20 * 366 * 24 * 60 * 60);
/// The last second that a certificate can name in the usual form: the end of 2049 UTC.
const LAST: u64 = 2_524_607_999;

/// Whom an authority vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Servers, towards devices.
    Servers,
    /// Devices, towards the server.
    Devices,
}

impl Purpose {
    /// The subject. Frozen: issued certificates name their authority by it.
    fn name(self) -> &'static str {
        match self {
            Self::Servers => "Keepwell servers",
            Self::Devices => "Keepwell devices",
        }
    }

    fn usage(self) -> ExtendedKeyUsagePurpose {
        match self {
            Self::Servers => ExtendedKeyUsagePurpose::ServerAuth,
            Self::Devices => ExtendedKeyUsagePurpose::ClientAuth,
        }
    }
}

/// A certificate authority.
#[derive(Debug)]
pub struct Authority {
    purpose: Purpose,
    certificate: CertificateDer<'static>,
    signer: Arc<dyn Signer>,
}

/// A certificate for a device.
#[derive(Debug, Clone)]
pub struct IssuedDevice {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// Its serial number, by which it is revoked.
    pub serial: Serial,
    /// The last second in which it is valid.
    pub expires_at: UnixTime,
}

impl Authority {
    /// A new authority with a key of its own.
    ///
    /// # Errors
    /// [`Error::Lifetime`], [`Error::Signer`].
    pub fn create(
        purpose: Purpose,
        signer: Arc<dyn Signer>,
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<Self, Error> {
        let mut params = subject(purpose);
        period(&mut params, now, lifetime, AUTHORITY_LIFETIME_MAX)?;
        params.serial_number = Some(SerialNumber::from_slice(Serial::random()?.as_bytes()));
        params.extended_key_usages = vec![purpose.usage()];
        let certificate =
            params.self_signed(&CertificateSigner::new(signer.as_ref())).map_err(|_| Error::Signer)?;
        Ok(Self { purpose, certificate: certificate.der().clone(), signer })
    }

    /// An authority from its certificate and its key.
    ///
    /// # Errors
    /// [`Error::Key`] if the certificate is for another key.
    pub fn restore(
        purpose: Purpose,
        certificate: CertificateDer<'static>,
        signer: Arc<dyn Signer>,
    ) -> Result<Self, Error> {
        if Pin::of_certificate(&certificate)? != PublicKey::of(signer.as_ref()).pin() {
            return Err(Error::Key);
        }
        Ok(Self { purpose, certificate, signer })
    }

    /// The certificate, for whom the authority is to be trusted by.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The SHA-256 of the certificate, as invitations carry it.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        sha256(&self.certificate)
    }

    /// A certificate for a server of these names: host names or IP addresses.
    ///
    /// # Errors
    /// [`Error::Address`] without a name or with one that is none; [`Error::Key`] if this authority is for devices;
    /// [`Error::Lifetime`], [`Error::Signer`].
    pub fn issue_server(
        &self,
        key: &PublicKey,
        names: &[String],
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<CertificateDer<'static>, Error> {
        if names.is_empty() || !names.iter().all(|name| is_host(name)) {
            return Err(Error::Address);
        }
        let mut params = CertificateParams::new(names).map_err(|_| Error::Address)?;
        self.issue(Purpose::Servers, &mut params, key, now, lifetime).map(|(certificate, _)| certificate)
    }

    /// A certificate for the device that has sent `request`.
    ///
    /// # Errors
    /// [`Error::Key`] if this authority is for servers; [`Error::Lifetime`], [`Error::Signer`].
    pub fn issue_device(
        &self,
        request: &CertificateRequest,
        id: &DeviceId,
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<IssuedDevice, Error> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(id.uri().try_into().map_err(|_| Error::DeviceId)?)];
        let (certificate, serial) =
            self.issue(Purpose::Devices, &mut params, &request.key(), now, lifetime)?;
        let expires_at = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + lifetime);
        Ok(IssuedDevice { certificate, serial, expires_at })
    }

    fn issue(
        &self,
        purpose: Purpose,
        params: &mut CertificateParams,
        key: &PublicKey,
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<(CertificateDer<'static>, Serial), Error> {
        if purpose != self.purpose {
            return Err(Error::Key);
        }
        let serial = Serial::random()?;
        period(params, now, lifetime, LEAF_LIFETIME_MAX)?;
        params.serial_number = Some(SerialNumber::from_slice(serial.as_bytes()));
        params.distinguished_name = DistinguishedName::new();
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose.usage()];
        params.use_authority_key_identifier_extension = true;
        let own = subject(self.purpose);
        let issuer = Issuer::from_params(&own, CertificateSigner::new(self.signer.as_ref()));
        let certificate = params.signed_by(key, &issuer).map_err(|_| Error::Signer)?;
        Ok((certificate.der().clone(), serial))
    }
}

/// What the certificates of an authority and those that it issues must agree on.
fn subject(purpose: Purpose) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, purpose.name());
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn period(
    params: &mut CertificateParams,
    now: UnixTime,
    lifetime: Duration,
    lifetime_max: Duration,
) -> Result<(), Error> {
    let now = Duration::from_secs(now.as_secs());
    let end = now.checked_add(lifetime).filter(|end| end.as_secs() <= LAST).ok_or(Error::Lifetime)?;
    if lifetime.is_zero() || lifetime > lifetime_max {
        return Err(Error::Lifetime);
    }
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(BACKDATED);
    params.not_after = epoch + end;
    Ok(())
}
