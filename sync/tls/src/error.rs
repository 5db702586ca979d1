//! What can go wrong on the way to a server, grouped by who can act.
//!
//! Texts are static: nothing that a peer sent is printed. Numbers are listed in docs/error-codes.md.

use std::error::Error as StdError;
use std::io;

use rustls::{AlertDescription, CertificateError};

/// Why a client did not accept a server. Nothing is sent to a server that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Refusal {
    /// Its certificate does not lead to an authority that this client trusts.
    #[error("the server's certificate is not trusted")]
    Untrusted,
    /// Its certificate is for another host.
    #[error("the server's certificate is for another host")]
    WrongName,
    /// Its certificate is not valid at this time: it has expired, or a clock is wrong.
    #[error("the server's certificate is not valid at this time")]
    WrongTime,
    /// The certificate is valid but none of its verified path is pinned.
    #[error("the server's key is not pinned")]
    NotPinned,
    /// No pin is in force any more, so that no server can be accepted.
    #[error("the pins have expired")]
    PinsExpired,
}

impl Refusal {
    /// The refusal somewhere down the sources of `error`, whichever library wrapped it.
    #[must_use]
    pub fn of(error: &(dyn StdError + 'static)) -> Option<Self> {
        match tls_error(error)? {
            rustls::Error::InvalidCertificate(CertificateError::Other(other)) => {
                other.0.downcast_ref::<Self>().copied()
            }
            _ => None,
        }
    }
}

/// Why something of this crate was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // Whoever set up the client or the server can act.
    /// There are fewer than two pins in force, or none of them is a backup. Nothing connects with such pins: the
    /// loss of one key would lock every device out.
    #[error("at least two pins are needed, one of them a backup")]
    FewPins,
    /// A pin set does not follow its format, or contradicts itself.
    #[error("not a pin set")]
    PinSet,
    /// No root key that this client knows has signed the pin set.
    #[error("no known root key has signed the pin set")]
    PinSetSignature,
    /// The pin set is for another host.
    #[error("the pin set is for another host")]
    PinSetHost,
    /// The pin set is older than the one in force, or differs from it under the same number.
    #[error("pin set {offered} does not follow pin set {current}")]
    PinSetVersion {
        /// The number of the document that was refused.
        offered: u64,
        /// The number of the one that stays in force.
        current: u64,
    },
    /// The pin set is no longer valid.
    #[error("the pin set has expired")]
    PinSetExpired,
    /// The pin set is not valid yet: a clock is wrong.
    #[error("the pin set is not valid yet")]
    PinSetFuture,
    /// A private key, or the certificate that belongs to it, cannot be used.
    #[error("the key or its certificate cannot be used")]
    Key,
    /// A signer outside this process, such as a key store of the platform, failed.
    #[error("the key did not sign")]
    Signer,
    /// Not the name or address of a server.
    #[error("not the address of a server")]
    Address,
    /// The lifetime asked for lies outside of what is allowed.
    #[error("the lifetime is outside of its limits")]
    Lifetime,

    // The network, the server, or someone in between.
    /// The client did not accept the server.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The server offers no version of TLS that this client speaks.
    #[error("the server offers no accepted version of tls")]
    Protocol,
    /// The server did not accept the certificate of this device, or wants one.
    #[error("the server does not accept this device")]
    DeviceRefused,
    /// The connection failed in another way.
    #[error("the connection failed")]
    Connection,
    /// The server wants the client to go elsewhere, which it never does.
    #[error("the server redirects")]
    Redirected,
    /// The answer is larger than the client takes.
    #[error("the answer is too large")]
    TooLarge,
    /// The server took longer than the client waits.
    #[error("the server did not answer in time")]
    Timeout,
    /// The answer is not HTTP, or its head is larger than any should be.
    #[error("the answer is not http")]
    NotHttp,

    // The person who enrols a device.
    /// Not an invitation, or mistyped.
    #[error("not an invitation")]
    Invitation,
    /// The invitation is unknown.
    #[error("the invitation is unknown")]
    InvitationUnknown,
    /// The invitation has expired.
    #[error("the invitation has expired")]
    InvitationExpired,
    /// Another device has used the invitation.
    #[error("the invitation has been used")]
    InvitationUsed,
    /// The invitation was withdrawn.
    #[error("the invitation was withdrawn")]
    InvitationWithdrawn,

    // The device, as the server sees it.
    /// Not a request for a certificate, or not signed by the key that it names.
    #[error("not a request for a device certificate")]
    CertificateRequest,
    /// Not the name of a device.
    #[error("not a device id")]
    DeviceId,
    /// The connection has no certificate of a device.
    #[error("the connection is not that of a device")]
    NoDevice,
    /// The token is not bound to the key of any device.
    #[error("the token is not bound to a device")]
    TokenUnbound,
    /// The token is bound to the key of another device.
    #[error("the token belongs to another device")]
    TokenOfAnother,
}

impl Error {
    /// The stable number of this error.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::FewPins => 450,
            Self::PinSet => 451,
            Self::PinSetSignature => 452,
            Self::PinSetHost => 453,
            Self::PinSetVersion { .. } => 454,
            Self::PinSetExpired => 455,
            Self::PinSetFuture => 456,
            Self::Key => 457,
            Self::Signer => 458,
            Self::Address => 459,
            Self::Lifetime => 460,
            Self::Refused(refusal) => refusal.code(),
            Self::Protocol => 466,
            Self::DeviceRefused => 467,
            Self::Connection => 468,
            Self::Redirected => 480,
            Self::TooLarge => 481,
            Self::Timeout => 482,
            Self::NotHttp => 483,
            Self::Invitation => 470,
            Self::InvitationUnknown => 471,
            Self::InvitationExpired => 472,
            Self::InvitationUsed => 473,
            Self::InvitationWithdrawn => 474,
            Self::CertificateRequest => 475,
            Self::DeviceId => 476,
            Self::NoDevice => 477,
            Self::TokenUnbound => 478,
            Self::TokenOfAnother => 479,
        }
    }

    /// What a failed connection means, from the error of whichever library made it.
    ///
    /// In TLS 1.3 a server looks at the client's certificate after the client believes the handshake done, so that
    /// [`Error::DeviceRefused`] comes with the first read. A server that closes in a hurry may lose the alert on the
    /// way; then this is [`Error::Connection`].
    #[must_use]
    pub fn of_connection(error: &(dyn StdError + 'static)) -> Self {
        if let Some(refusal) = Refusal::of(error) {
            return Self::Refused(refusal);
        }
        match tls_error(error) {
            Some(rustls::Error::PeerIncompatible(_)) => Self::Protocol,
            Some(rustls::Error::AlertReceived(alert)) => Self::of_alert(*alert),
            Some(rustls::Error::InvalidCertificate(error)) => Self::Refused(Refusal::of_certificate(error)),
            _ => Self::Connection,
        }
    }

    fn of_alert(alert: AlertDescription) -> Self {
        use AlertDescription as Alert;
        match alert {
            Alert::ProtocolVersion | Alert::HandshakeFailure => Self::Protocol,
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::DecryptError
            | Alert::AccessDenied => Self::DeviceRefused,
            _ => Self::Connection,
        }
    }
}

impl Refusal {
    /// What a judgement by authorities alone means.
    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Self::WrongTime,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::WrongName
            }
            _ => Self::Untrusted,
        }
    }

    /// The stable number of this refusal.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::Untrusted => 461,
            Self::WrongName => 462,
            Self::WrongTime => 463,
            Self::NotPinned => 464,
            Self::PinsExpired => 465,
        }
    }
}

impl From<Refusal> for rustls::Error {
    fn from(refusal: Refusal) -> Self {
        Self::InvalidCertificate(CertificateError::Other(rustls::OtherError(std::sync::Arc::new(refusal))))
    }
}

/// The error of rustls among the sources of `error`. An [`io::Error`] does not give what it wraps as its source.
fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut next: Option<&'a (dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}
