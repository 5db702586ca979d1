//! What the operator does while the server runs: invitations, devices, grants, the archive.

use std::time::Duration;

use keepwell_backend::{Access, Archived, Device, DeviceState, Error as BackendError, Held};
use keepwell_protocol::{Hash, Id, Refusal, Scope};
use keepwell_tls::{DeviceId, Invitation, InvitationCode, Invite, InviteState, UnixTime};

use crate::error::{Error, Result};
use crate::identity::later;
use crate::shared::Shared;
use crate::sync::now;

/// How long an invitation counts unless somebody says otherwise.
pub const INVITATION_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The operator's calls, on a running server.
pub struct Operator<'s>(pub(crate) &'s Shared);

impl Operator<'_> {
    /// Invites a device of `user`, whose id in FHIR is that of a Practitioner. What is given is shown once.
    ///
    /// # Errors
    /// [`Error::Tls`] for a lifetime beyond what invitations have; those of the backend.
    pub fn invite(&self, user: &Id, lifetime: Duration) -> Result<Invitation> {
        let (code, now) = (InvitationCode::random()?, UnixTime::now());
        let invite = Invite::new(&code, user.to_string(), now, lifetime)?;
        let record = serde_json::to_vec(&invite).expect("texts and numbers only");
        self.0.backend.keep_invitation(&Hash::from_bytes(*code.digest().as_bytes()), &record)?;
        tracing::info!("a device was invited");
        Ok(self.0.identity.invitation(&self.0.config, code, later(now, lifetime)))
    }

    /// All invitations.
    ///
    /// # Errors
    /// Those of the backend.
    pub fn invitations(&self) -> Result<Vec<Invite>> {
        let records = self.0.backend.invitations()?;
        Ok(records.iter().filter_map(|(_, record)| serde_json::from_slice(record).ok()).collect())
    }

    /// Takes back the invitations of `user` that nobody has used, and says how many that were. A device that has come
    /// by one stays: [`Self::revoke`] locks it out.
    ///
    /// # Errors
    /// Those of the backend.
    pub fn withdraw(&self, user: &Id) -> Result<usize> {
        let withdrawn = self.0.backend.update_invitations(&mut |record| {
            let mut invite: Invite = serde_json::from_slice(record).ok()?;
            let is_meant = invite.subject == user.as_str() && invite.state == InviteState::Open;
            is_meant.then(|| {
                invite.withdraw();
                serde_json::to_vec(&invite).expect("texts and numbers only")
            })
        })?;
        tracing::info!(withdrawn = withdrawn as u64, "invitations were taken back");
        Ok(withdrawn)
    }

    /// All devices.
    ///
    /// # Errors
    /// Those of the backend.
    pub fn devices(&self) -> Result<Vec<Device>> {
        Ok(self.0.backend.devices()?)
    }

    /// Locks a device out, until [`Self::admit`].
    ///
    /// # Errors
    /// Those of the backend; [`Error::Backend`] with `NotFound` for a device that there is none of; [`Error::Wiped`]
    /// for one that is gone.
    pub fn revoke(&self, device: &Id) -> Result<()> {
        self.set(device, &DeviceState::Revoked)
    }

    /// Lets a device in again that was locked out, or that has not followed its order to wipe yet.
    ///
    /// # Errors
    /// As [`Self::revoke`].
    pub fn admit(&self, device: &Id) -> Result<()> {
        self.set(device, &DeviceState::Active)
    }

    /// Orders a device to destroy its store. It does so when it is here next; [`Self::devices`] says when it did.
    ///
    /// # Errors
    /// As [`Self::revoke`].
    pub fn wipe(&self, device: &Id) -> Result<()> {
        let id = String::from(DeviceId::random()?).parse().map_err(|_| Error::Identity)?;
        let tenant = self.0.backend.tenant().clone();
        self.set(device, &DeviceState::Wipe(self.0.identity.wipe_order(id, tenant, device.clone(), now())))
    }

    fn set(&self, device: &Id, state: &DeviceState) -> Result<()> {
        let devices = self.devices()?;
        let known = devices.iter().find(|known| known.id == *device);
        match known.ok_or_else(|| BackendError::from(Refusal::NotFound))?.state {
            DeviceState::Wiped(_) => return Err(Error::Wiped),
            DeviceState::Active | DeviceState::Revoked | DeviceState::Wipe(_) => {}
        }
        self.0.backend.set_device_state(device, state)?;
        self.0.hub.lock(device.clone());
        let state = match state {
            DeviceState::Active => "active",
            DeviceState::Revoked => "revoked",
            _ => "wipe",
        };
        tracing::warn!(device = device.as_str(), state, "a device was given another state");
        Ok(())
    }

    /// The scopes that a user holds.
    ///
    /// # Errors
    /// Those of the backend.
    pub fn grants(&self, user: &Id) -> Result<Vec<Held>> {
        Ok(self.0.backend.grants(user)?)
    }

    /// Gives a user a scope.
    ///
    /// # Errors
    /// Those of the backend.
    pub fn grant(&self, user: &Id, scope: &Scope, access: Access) -> Result<()> {
        Ok(self.0.backend.grant(user, scope, access)?)
    }

    /// Takes back what was given by hand.
    ///
    /// # Errors
    /// Those of the backend.
    pub fn revoke_grant(&self, user: &Id, scope: &Scope) -> Result<()> {
        Ok(self.0.backend.revoke(user, scope)?)
    }

    /// Edits that lost, behind number `after`, a page at a time.
    ///
    /// # Errors
    /// Those of the backend.
    pub fn archived(&self, after: u64) -> Result<Vec<Archived>> {
        Ok(self.0.backend.archived(after)?)
    }
}
