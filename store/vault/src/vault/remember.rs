//! Unlocked across processes: the keychain remembers the stretched passcode for a while.

use std::time::Duration;

use crate::crypto::Kek;
use crate::error::Error;
use crate::key::Key;
use crate::key_file::{Factors, PasscodeFactor};
use crate::passcode::Salted;
use crate::policy::IDLE_MAX;
use crate::remembered::Remembered;
use crate::vault::{State, Vault, Work};

impl Vault {
    /// Lets `unlock(None)` open this store without its passcode, also in other processes, until nothing has unlocked
    /// it for `idle` (at most [`IDLE_MAX`]) or [`crate::Policy::session`] has passed. The keychain keeps the stretched
    /// passcode meanwhile. A fresh authentication, while the store is open, still asks for the passcode.
    ///
    /// Does nothing where no passcode is set.
    ///
    /// # Errors
    /// [`Error::Locked`]; [`Error::NoKeychain`] where a passphrase is the only factor, since its stretched form would
    /// lie beside the data; [`Error::Policy`] for an idle time out of its range; a failure of the keychain.
    pub fn remember(&self, idle: Duration) -> Result<(), Error> {
        if self.chain.kind().is_none() {
            return Err(Error::NoKeychain);
        }
        if idle.is_zero() || idle > IDLE_MAX {
            return Err(Error::Policy);
        }
        let work = self.work();
        let opened = work.opened.as_ref().ok_or(Error::Locked)?;
        let Some(factor) = &opened.passcode else { return Ok(()) };
        self.keep(&work, &Remembered::new(factor.stretched(), idle, self.clock.wall_ms()))
    }

    /// Ends what [`Vault::remember`] began: the passcode is asked for again. Needs no key; the vault may be locked.
    ///
    /// # Errors
    /// A failure of the keychain.
    pub fn forget(&self) -> Result<(), Error> {
        self.chain.forget(self.work().file.header.store)
    }

    /// The factors with the passcode that is remembered, and what they open.
    pub(super) fn recall(
        &self,
        work: &Work,
        secret: Option<Key>,
        salted: Salted,
    ) -> Result<(Kek, PasscodeFactor), Error> {
        // Who is here already and is asked again must know the passcode.
        if self.chain.kind().is_none() || self.state() == State::Open {
            return Err(Error::PasscodeNeeded);
        }
        let (store, slot) = (work.file.header.store, &work.file.header.current);
        let Some(record) = self.chain.remembered(store)? else { return Err(Error::PasscodeNeeded) };
        let now_ms = self.clock.wall_ms();
        let found = Remembered::decode(&record, store, slot.attempts_key())
            .filter(|remembered| remembered.holds(self.policy.session, now_ms));
        if let Some(mut remembered) = found {
            let factor = PasscodeFactor::stretched_before(salted, remembered.stretched.duplicate());
            let factors = Factors { secret, passcode: Some(factor) };
            if let (Some(kek), Some(factor)) = (slot.open(store, &factors), factors.passcode) {
                remembered.touch(now_ms);
                self.keep(work, &remembered)?;
                return Ok((kek, factor));
            }
        }
        self.chain.forget(store)?;
        Err(Error::PasscodeNeeded)
    }

    fn keep(&self, work: &Work, remembered: &Remembered) -> Result<(), Error> {
        let header = &work.file.header;
        self.chain.remember(header.store, &remembered.encode(header.store, header.current.attempts_key()))
    }
}
