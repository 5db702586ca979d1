#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod address;
mod authorities;
mod authority;
mod base32;
mod certificate_request;
mod client;
mod der;
mod device;
mod error;
mod failure_log;
#[cfg(feature = "http")]
mod http;
mod identity;
mod invitation;
mod invitation_code;
mod invite;
mod pin;
mod pin_root;
mod pin_set;
mod pinning;
mod private_key;
mod provider;
mod qr_code;
mod revocations;
mod server;
mod signer;
mod validity;
mod verifier;

pub use rustls;
pub use rustls::pki_types::{CertificateDer, UnixTime};
pub use rustls::time_provider::TimeProvider;

pub use address::Address;
pub use authorities::AuthoritySettings;
pub use authority::{AUTHORITY_LIFETIME_MAX, Authority, BACKDATED, IssuedDevice, LEAF_LIFETIME_MAX, Purpose};
pub use certificate_request::{CertificateRequest, REQUEST_MAX_BYTES};
pub use client::ClientSettings;
pub use device::{DEVICE_ID_MAX, Device, DeviceId, Serial, Thumbprint};
pub use error::{Error, Refusal};
pub use failure_log::{FAILURES_MAX, Failure, FailureLog, FailureReport};
#[cfg(feature = "http")]
pub use http::{HttpBody, HttpClient, HttpLimits};
pub use identity::Identity;
pub use invitation::{INVITATION_PINS_MAX, Invitation};
pub use invitation_code::{CodeDigest, InvitationCode};
pub use invite::{INVITATION_LIFETIME_MAX, Invite, InviteState};
pub use pin::Pin;
pub use pin_root::{PinRoot, PinSigner};
pub use pin_set::{PINS_MAX, PINS_MIN, PinEntry, PinSet, Role};
pub use pinning::{CLOCKS_APART_MAX, Offer, Pinning, Standing, WARNING};
pub use private_key::PrivateKey;
pub use qr_code::qr_code;
pub use revocations::{Revocations, RevokedSerials};
pub use server::{Admission, ServerSettings};
pub use signer::{PUBLIC_KEY_BYTES, PublicKey, Signer};
pub use validity::Validity;
pub use verifier::Trust;
