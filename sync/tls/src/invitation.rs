//! What a person is handed to enrol a device: where the server is, how to know it, and a code that counts once.
//!
//! It goes from the server to the device past the network, as a QR code or as a text to paste. With it a device needs
//! no trust in anything that it meets on the way: the authority's fingerprint, the pins and the root of later pin
//! sets are all in it. Who has it can enrol, so it is as secret as the code.
//!
//! The text is `KEEPWELL:` and base32, which a QR code holds in its dense alphanumeric mode. Of the bytes, the first
//! is the number of the format and the last four a checksum.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use zeroize::Zeroizing;

use crate::invitation_code::{CHECKSUM_BYTES, SECRET_BYTES, checksum};
use crate::pin::HASH_BYTES;
use crate::pin_root::ROOT_BYTES;
use crate::pin_set::{PINS_MIN, PinEntry, PinSet, Role};
use crate::{Address, Error, InvitationCode, Pin, PinRoot, Pinning, Trust, base32};

/// The most pins of an invitation, so that its QR code stays small.
pub const INVITATION_PINS_MAX: usize = 4;
/// The longest text of an invitation in characters.
const TEXT_MAX: usize = 1024;
/// Number of the format.
const FORMAT: u8 = 1;
/// Stands before the base32.
const SCHEME: &str = "KEEPWELL:";

/// What a device is handed to enrol.
pub struct Invitation {
    /// Where the server is.
    pub address: Address,
    /// The code, to be sent with the request for a certificate.
    pub code: InvitationCode,
    /// When the code expires; pins count no longer than that, since the enrolled device has got a signed set.
    pub expires_at: UnixTime,
    /// The SHA-256 of the certificate of the server's authority.
    pub authority: [u8; 32],
    /// The root that signs pin sets.
    pub pin_root: PinRoot,
    /// The pins of the server, the active one first, the others backups.
    pub pins: Vec<Pin>,
}

impl Invitation {
    /// The whole invitation as a text to paste or to show with [`crate::qr_code()`].
    ///
    /// # Errors
    /// [`Error::FewPins`] with fewer than two different pins, [`Error::Invitation`] with too many.
    pub fn text(&self) -> Result<Zeroizing<String>, Error> {
        self.pins()?;
        let mut bytes = Zeroizing::new(vec![FORMAT]);
        bytes.extend_from_slice(self.code.as_bytes());
        bytes.extend_from_slice(&self.expires_at.as_secs().to_be_bytes());
        bytes.extend_from_slice(&self.authority);
        bytes.extend_from_slice(self.pin_root.as_bytes());
        bytes.push(u8::try_from(self.pins.len()).map_err(|_| Error::Invitation)?);
        for pin in &self.pins {
            bytes.extend_from_slice(pin.as_bytes());
        }
        bytes.extend_from_slice(self.address.to_string().as_bytes());
        let check = checksum(&bytes);
        bytes.extend_from_slice(&check);
        Ok(Zeroizing::new(format!("{SCHEME}{}", base32::encode(&bytes).as_str())))
    }

    /// The trust and the pins to connect with for the enrolment. Signed pin sets from number 1 on take their place.
    ///
    /// # Errors
    /// As [`Invitation::text`].
    pub fn pinning(&self) -> Result<(Trust, Arc<Pinning>), Error> {
        let pinning = Pinning::begin(vec![self.pin_root], self.pins()?);
        Ok((Trust::Fingerprint(self.authority), Arc::new(pinning)))
    }

    fn pins(&self) -> Result<PinSet, Error> {
        let entries = self.pins.iter().enumerate().map(|(place, pin)| PinEntry {
            pin: *pin,
            role: if place == 0 { Role::Active } else { Role::Backup },
            not_before: UnixTime::since_unix_epoch(Duration::ZERO),
            not_after: self.expires_at,
        });
        let set = PinSet {
            host: self.address.host().to_owned(),
            number: 0,
            issued_at: UnixTime::since_unix_epoch(Duration::ZERO),
            expires_at: self.expires_at,
            pins: entries.collect(),
        };
        set.check()?;
        if self.pins.len() <= INVITATION_PINS_MAX { Ok(set) } else { Err(Error::Invitation) }
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (mut rest, check) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM_BYTES)?)?;
        (check == checksum(rest)).then_some(())?;
        let rest = &mut rest;
        (take::<1>(rest)? == [FORMAT]).then_some(())?;
        let code = InvitationCode::from_bytes(Zeroizing::new(take::<SECRET_BYTES>(rest)?).as_slice())?;
        let expires_at = UnixTime::since_unix_epoch(Duration::from_secs(u64::from_be_bytes(take(rest)?)));
        let authority = take(rest)?;
        let pin_root = PinRoot::from_bytes(take::<ROOT_BYTES>(rest)?);
        let [count] = take::<1>(rest)?;
        (PINS_MIN..=INVITATION_PINS_MAX).contains(&usize::from(count)).then_some(())?;
        let pins =
            (0..count).map(|_| take::<HASH_BYTES>(rest).map(Pin::from_bytes)).collect::<Option<_>>()?;
        let text = std::str::from_utf8(rest).ok()?;
        let address: Address = text.parse().ok()?;
        let invitation = Self { address, code, expires_at, authority, pin_root, pins };
        (invitation.address.to_string() == text && invitation.pins().is_ok()).then_some(invitation)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*taken)
}

impl FromStr for Invitation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = Some(text.trim()).filter(|text| text.len() <= TEXT_MAX);
        let (scheme, body) =
            text.and_then(|text| text.split_at_checked(SCHEME.len())).ok_or(Error::Invitation)?;
        let bytes = base32::decode(body).filter(|_| scheme.eq_ignore_ascii_case(SCHEME));
        bytes.and_then(|bytes| Self::read(&bytes)).ok_or(Error::Invitation)
    }
}

impl fmt::Debug for Invitation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Invitation");
        shown.field("address", &self.address).field("expires_at", &self.expires_at).field("pins", &self.pins);
        shown.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn invitation() -> Invitation {
        Invitation {
            address: "sync.example.org:8443".parse().expect("an address"),
            code: InvitationCode::from_bytes(b"sixteen bytes !!").expect("16 bytes"),
            expires_at: UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000)),
            authority: [1; 32],
            pin_root: PinRoot::from_bytes([2; 32]),
            pins: vec![Pin::of_key_info(b"active"), Pin::of_key_info(b"backup")],
        }
    }

    #[test]
    fn an_invitation_comes_back_from_its_text() {
        let text = invitation().text().expect("a sound invitation");
        let read: Invitation = text.to_lowercase().parse().expect("as written");
        assert_eq!(read.text().expect("as read"), text);
        assert_eq!(read.address, invitation().address);
        assert_eq!(read.pins, invitation().pins);
        assert!(text.len() < 320, "{} characters make a large QR code", text.len());
    }

    #[test]
    fn an_invitation_with_one_pin_is_refused() {
        for pins in [vec![], vec![Pin::of_key_info(b"a")], vec![Pin::of_key_info(b"a"); 2]] {
            assert!(matches!(Invitation { pins, ..invitation() }.text(), Err(Error::FewPins)));
        }
        let many = (0..=INVITATION_PINS_MAX).map(|number| Pin::of_key_info(&number.to_be_bytes())).collect();
        assert!(Invitation { pins: many, ..invitation() }.text().is_err());
    }

    #[test]
    fn an_invitation_does_not_print_its_code() {
        let shown = format!("{:?}", invitation());
        assert!(shown.contains("sync.example.org") && !shown.contains("code"), "{shown}");
    }

    #[test]
    fn an_altered_invitation_is_refused() {
        let text = invitation().text().expect("a sound invitation");
        for at in SCHEME.len()..text.len() {
            let other = if &text[at..=at] == "7" { "8" } else { "7" };
            let wrong = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert!(wrong.parse::<Invitation>().is_err(), "{at}");
        }
    }

    proptest! {
        #[test]
        fn hostile_invitations_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let sealed = [bytes.as_slice(), &checksum(&bytes)].concat();
            let _ = format!("{SCHEME}{}", base32::encode(&sealed).as_str()).parse::<Invitation>();
        }
    }
}
