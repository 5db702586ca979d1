//! What needs a fresh authentication: acts that destroy data, carry it away, or change its keys.

use keepwell_fhir::ResourceType;
use keepwell_vault::{Passcode, Vault};
use rusqlite::params;

use crate::audit::{Action, Outcome};
use crate::change_feed::resource_type;
use crate::error::{Error, Result};
use crate::id_key::IdKey;
use crate::interaction::valid_id;
use crate::session::Session;
use crate::unit::Unit;
use crate::writer::EventHeader;

/// A session that has just proved again who is there: [`Session::elevate`].
pub struct Privileged<'s> {
    pub(crate) session: &'s Session,
}

impl<'s> Privileged<'s> {
    pub(crate) fn new(session: &'s Session) -> Self {
        Self { session }
    }

    /// Removes a resource, its history and its attachments for good; the audit trail keeps `reason`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Argument`] when no reason is given.
    pub fn purge(&self, resource_type: ResourceType, id: &str, reason: &str) -> Result<()> {
        let key = valid_id(id)?;
        self.purge_all(reason, |unit| {
            let head = unit.find(resource_type, &key)?.ok_or(Error::NotFound(resource_type))?;
            unit.purge(resource_type, &key, &head)?;
            Ok(1)
        })
        .map(|_| ())
    }

    /// Removes a Patient and everything in its compartment for good; returns how many resources that were.
    ///
    /// # Errors
    /// [`Error::NotFound`] when nothing of this patient is here, [`Error::Argument`] when no reason is given.
    pub fn purge_patient(&self, id: &str, reason: &str) -> Result<u64> {
        let patient = valid_id(id)?;
        self.purge_all(reason, |unit| {
            let members = compartment(unit, &patient)?;
            if members.is_empty() {
                return Err(Error::NotFound(
                    ResourceType::parse("Patient").expect("Patient is a type of R4"),
                ));
            }
            for (resource_type, key) in &members {
                let head = unit.find(*resource_type, key)?.ok_or(Error::Corrupt)?;
                unit.purge(*resource_type, key, &head)?;
            }
            Ok(members.len() as u64)
        })
    }

    fn purge_all(&self, reason: &str, work: impl FnOnce(&mut Unit<'_>) -> Result<u64>) -> Result<u64> {
        if reason.trim().is_empty() {
            return Err(Error::Argument("a purge needs a reason"));
        }
        let session = self.session;
        let open = session.enter()?;
        let detail = serde_json::json!({ "reason": reason }).to_string();
        let header = EventHeader {
            actor: session.actor_key,
            action: Action::Purge,
            detail: Some(&detail),
            is_always: true,
        };
        let purged = session.store.inner.write(&open, &header, work)?;
        session.store.inner.forget_purged(&open)?;
        Ok(purged)
    }

    /// Wraps the keys under a new secret in the keychain; touches nothing else.
    ///
    /// # Errors
    /// Those of the keychain; the old secret stays valid then.
    pub fn rotate_kek(&self) -> Result<()> {
        self.key_act(Action::KeyRotated, |vault| vault.rotate_kek())
    }

    /// Encrypts the database anew under a new key. A crash in between leaves it readable with one of the two.
    ///
    /// # Errors
    /// Those of the database and the key file; the old key stays valid then.
    pub fn rotate_database_key(&self) -> Result<()> {
        let inner = &self.session.store.inner;
        let done = inner.rotate_database_key(self.session.generation);
        let outcome = if done.is_ok() { Outcome::Success } else { Outcome::SeriousFailure };
        let open = self.session.enter()?;
        inner.record(&open, self.session.actor_key, Action::DatabaseRekeyed, outcome, None)?;
        done
    }

    /// Sets or changes the passcode.
    ///
    /// # Errors
    /// [`keepwell_vault::Error::EmptyPasscode`] and those of the key file.
    pub fn set_passcode(&self, passcode: &Passcode) -> Result<()> {
        self.key_act(Action::PasscodeChanged, |vault| vault.set_passcode(passcode))
    }

    /// Makes the keychain alone open the store again.
    ///
    /// # Errors
    /// [`keepwell_vault::Error::PasscodeNeeded`] when there is no keychain, and those of the key file.
    pub fn remove_passcode(&self) -> Result<()> {
        self.key_act(Action::PasscodeRemoved, |vault| vault.remove_passcode())
    }

    /// Sets the passphrase with which [`crate::Store::recover`] opens the store when the keychain is lost.
    ///
    /// # Errors
    /// [`keepwell_vault::Error::ShortPassphrase`] and those of the key file.
    pub fn set_recovery(&self, passphrase: &Passcode) -> Result<()> {
        self.key_act(Action::RecoverySet, |vault| vault.set_recovery(passphrase))
    }

    fn key_act(
        &self,
        action: Action,
        act: impl FnOnce(&Vault) -> Result<(), keepwell_vault::Error>,
    ) -> Result<()> {
        let open = self.session.enter()?;
        let inner = &self.session.store.inner;
        let done = act(inner.vault());
        let outcome = if done.is_ok() { Outcome::Success } else { Outcome::MinorFailure };
        inner.record(&open, self.session.actor_key, action, outcome, None)?;
        Ok(done?)
    }
}

/// Every resource that is not purged yet and belongs to a patient's compartment.
fn compartment(unit: &Unit<'_>, patient: &IdKey) -> Result<Vec<(ResourceType, IdKey)>> {
    let mut statement = unit.connection.prepare(
        "-- privileged::compartment
         SELECT r.type, r.id FROM patient p JOIN resource r ON r.patient = p.key
         JOIN change_log c ON c.sequence = r.change
         WHERE p.id = ?1 AND c.operation <> 4 ORDER BY r.key",
    )?;
    let mut rows = statement.query(params![patient])?;
    let mut members = Vec::new();
    while let Some(row) = rows.next()? {
        members.push((resource_type(row.get(0)?)?, row.get(1)?));
    }
    Ok(members)
}
