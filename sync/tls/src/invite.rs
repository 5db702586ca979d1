//! The server's record of an invitation.
//!
//! It is plain data: the server keeps it under [`Invite::digest`] and calls [`Invite::redeem`] within the transaction
//! that also keeps the result, so that of two devices with one code only one gets in. The code itself is not kept.
//!
//! Invariants: a code admits one key; the answer to a repeated request of that key is the same, for a device that did
//! not get the first one; no code outlives its time.

use std::time::Duration;

use rustls::pki_types::UnixTime;
use serde::{Deserialize, Serialize};

use crate::{CodeDigest, DeviceId, Error, InvitationCode, Pin, PublicKey};

/// The longest lifetime of an invitation: 7 days.
pub const INVITATION_LIFETIME_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Whether an invitation still counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InviteState {
    /// Nobody has used it.
    Open,
    /// A device has used it.
    Used {
        /// The device.
        device: DeviceId,
        /// The key of the device.
        key: Pin,
        /// When, in seconds since 1970 UTC.
        at_s: u64,
    },
    /// Somebody took it back.
    Withdrawn,
}

/// The server's record of an invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// The digest of its code.
    pub digest: CodeDigest,
    /// For whom it is: what the server knows the user by.
    pub subject: String,
    /// The first second in which it no longer counts, in seconds since 1970 UTC.
    pub expires_at_s: u64,
    /// Whether it still counts.
    pub state: InviteState,
}

impl Invite {
    /// Records an invitation for `subject`.
    ///
    /// # Errors
    /// [`Error::Lifetime`] if `lifetime` is nothing or above [`INVITATION_LIFETIME_MAX`].
    pub fn new(
        code: &InvitationCode,
        subject: String,
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<Self, Error> {
        if lifetime.is_zero() || lifetime > INVITATION_LIFETIME_MAX {
            return Err(Error::Lifetime);
        }
        let expires_at_s = now.as_secs().saturating_add(lifetime.as_secs());
        Ok(Self { digest: code.digest(), subject, expires_at_s, state: InviteState::Open })
    }

    /// Uses the invitation for the device `id` with `key`, and gives the id that the device has from now on: that of
    /// the first request, if this one repeats it.
    ///
    /// # Errors
    /// [`Error::InvitationUnknown`] if the code is another one's, [`Error::InvitationWithdrawn`],
    /// [`Error::InvitationUsed`], [`Error::InvitationExpired`].
    pub fn redeem(
        &mut self,
        code: &InvitationCode,
        key: &PublicKey,
        id: DeviceId,
        now: UnixTime,
    ) -> Result<DeviceId, Error> {
        if code.digest() != self.digest {
            return Err(Error::InvitationUnknown);
        }
        let expired = now.as_secs() >= self.expires_at_s;
        match &self.state {
            InviteState::Withdrawn => Err(Error::InvitationWithdrawn),
            InviteState::Used { key: used_by, .. } if *used_by != key.pin() => Err(Error::InvitationUsed),
            _ if expired => Err(Error::InvitationExpired),
            InviteState::Used { device, .. } => Ok(device.clone()),
            InviteState::Open => {
                self.state = InviteState::Used { device: id.clone(), key: key.pin(), at_s: now.as_secs() };
                Ok(id)
            }
        }
    }

    /// Takes the invitation back. A device that has used it stays enrolled: revoke its certificate.
    pub fn withdraw(&mut self) {
        self.state = InviteState::Withdrawn;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PrivateKey;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    fn key() -> PublicKey {
        PublicKey::of(&PrivateKey::generate().expect("a key"))
    }

    fn id(text: &str) -> DeviceId {
        text.parse().expect("a device id")
    }

    fn invite() -> (InvitationCode, Invite) {
        let code = InvitationCode::random().expect("a code");
        let invite = Invite::new(&code, "Practitioner/1".to_owned(), at(1000), DAY).expect("an invite");
        (code, invite)
    }

    #[test]
    fn an_invitation_counts_once() {
        let (code, mut invite) = invite();
        let first = key();
        let given = invite.redeem(&code, &first, id("a"), at(1001)).expect("the first use");
        let kept = serde_json::to_string(&invite).expect("a record is JSON");
        let mut invite: Invite = serde_json::from_str(&kept).expect("as written");
        assert!(matches!(invite.redeem(&code, &key(), id("b"), at(1002)), Err(Error::InvitationUsed)));
        let again = invite.redeem(&code, &first, id("c"), at(1003)).expect("the answer was lost");
        assert_eq!(again, given);
        assert!(!kept.contains(code.text().as_str()));
    }

    #[test]
    fn an_expired_withdrawn_or_foreign_invitation_is_refused() {
        let (code, mut invite) = invite();
        let end = at(1000 + DAY.as_secs());
        assert!(matches!(invite.redeem(&code, &key(), id("a"), end), Err(Error::InvitationExpired)));
        let other = InvitationCode::random().expect("a code");
        assert!(matches!(invite.redeem(&other, &key(), id("a"), at(1001)), Err(Error::InvitationUnknown)));
        invite.withdraw();
        assert!(matches!(invite.redeem(&code, &key(), id("a"), at(1001)), Err(Error::InvitationWithdrawn)));
        for lifetime in [Duration::ZERO, INVITATION_LIFETIME_MAX + Duration::from_secs(1)] {
            assert!(matches!(Invite::new(&code, String::new(), at(0), lifetime), Err(Error::Lifetime)));
        }
    }
}
