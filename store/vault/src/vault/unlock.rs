//! From locked to open.

use std::time::Duration;

use crate::attempts::{Attempts, Throttle};
use crate::boot;
use crate::crypto::Kek;
use crate::erase;
use crate::error::{Error, Part};
use crate::key::{Key, Keys};
use crate::key_file::{Factors, KeyFile, PasscodeFactor};
use crate::layout::KEY_FILE;
use crate::passcode::{Passcode, Salted};
use crate::session::Session;
use crate::vault::{Opened, State, Suspicion, Vault, Work, read_key_file};

const DAMAGED: Error = Error::Corrupt(Part::KeyFile);

impl Vault {
    /// Opens the keys. Also possible while the store is open, to authenticate somebody afresh. Without a passcode,
    /// one that is remembered ([`Vault::remember`]) serves, but not to authenticate afresh.
    ///
    /// # Errors
    /// What the person can mend: [`Error::PasscodeNeeded`], [`Error::WrongPasscode`], [`Error::Throttled`],
    /// [`Error::Locked`]. What puts the vault in [`State::Quarantined`], though nothing is changed on disk and
    /// `unlock` may be tried again: [`Error::KeyMissing`], [`Error::KeyInvalidated`], [`Error::WrongKey`],
    /// [`Error::RollbackSuspected`], [`Error::CloneSuspected`], [`Error::Corrupt`]. [`Error::Erased`] if this
    /// was one wrong passcode too many. [`Error::AlreadyOpen`] after [`Vault::release_lock`], if another process has the
    /// store meanwhile.
    pub fn unlock(&self, passcode: Option<&Passcode>) -> Result<Keys, Error> {
        self.unlock_with(passcode, Suspicion::Refuse)
    }

    /// As [`Vault::unlock`], with a decision about copies.
    ///
    /// # Errors
    /// As [`Vault::unlock`].
    pub fn unlock_with(&self, passcode: Option<&Passcode>, suspicion: Suspicion) -> Result<Keys, Error> {
        self.admit(passcode, suspicion, None)
    }

    /// Goes on with a suspended session. Its absolute limit has been running all the time.
    ///
    /// # Errors
    /// [`Error::IdleTimeout`] or [`Error::SessionExpired`] if it took too long: the store is then locked and
    /// needs [`Vault::unlock`]. [`Error::WrongState`] if nothing is suspended; otherwise as [`Vault::unlock`].
    pub fn resume(&self, passcode: Option<&Passcode>) -> Result<Keys, Error> {
        let session = {
            let mut front = self.front();
            let (State::Suspended, Some(session)) = (front.state, front.session) else {
                return Err(Error::WrongState);
            };
            if let Err(expired) = session.check_suspended(&self.policy, self.now()) {
                front.state = State::Locked;
                front.session = None;
                return Err(expired);
            }
            session
        };
        self.admit(passcode, Suspicion::Refuse, Some(session))
    }

    fn admit(
        &self,
        passcode: Option<&Passcode>,
        suspicion: Suspicion,
        session: Option<Session>,
    ) -> Result<Keys, Error> {
        let mut work = self.work();
        match Self::state_of(&self.directory)? {
            State::Quarantined => return Err(Error::Quarantined),
            State::Erased => return Err(Error::Erased),
            _ => {}
        }
        let is_new = work.hold(&self.directory)?;
        let admitted = self.authenticate(&mut work, passcode).and_then(|opened| {
            self.pass_boot(&work, suspicion)?;
            let keys = work.file.header.keys(&opened.kek)?;
            self.retire(&mut work, &opened.kek)?;
            self.enter(&mut work, opened, session)?;
            Ok(keys)
        });
        if let Err(error) = &admitted
            && puts_in_doubt(error)
        {
            self.leave(&mut work, State::Quarantined);
        }
        if admitted.is_err() && is_new {
            work.release();
        }
        admitted
    }

    /// Reads the key file anew and checks every factor.
    fn authenticate(&self, work: &mut Work, passcode: Option<&Passcode>) -> Result<Opened, Error> {
        work.file = read_key_file(&self.directory)?;
        let header = &work.file.header;
        let (store, slot) = (header.store, &header.current);
        let secret = self.chain.secret(store, slot.generation)?;
        if !slot.knows_secret(store, secret.as_ref()) {
            return Err(Error::WrongKey);
        }
        let (kek, passcode) = match (slot.passcode, passcode) {
            (None, _) => (slot.open(store, &Factors { secret, passcode: None }).ok_or(DAMAGED)?, None),
            (Some(salted), None) => {
                let (kek, factor) = self.recall(work, secret, salted)?;
                (kek, Some(factor))
            }
            (Some(salted), Some(passcode)) => {
                let (kek, factor) = self.attempt(work, secret, salted, passcode)?;
                (kek, Some(factor))
            }
        };
        if !work.file.is_authentic(&kek) {
            return Err(DAMAGED);
        }
        Opened::new(&work.file.header, kek, passcode)
    }

    /// Counts an attempt, then looks at it.
    fn attempt(
        &self,
        work: &mut Work,
        secret: Option<Key>,
        salted: Salted,
        passcode: &Passcode,
    ) -> Result<(Kek, PasscodeFactor), Error> {
        let failed = self.count_attempt(work)?;
        let (store, slot) = (work.file.header.store, &work.file.header.current);
        let factors = Factors { secret, passcode: Some(PasscodeFactor::stretch(salted, passcode)?) };
        if let (Some(kek), Some(factor)) = (slot.open(store, &factors), factors.passcode) {
            work.throttle = None;
            let none = Attempts::none(self.clock.wall_ms()).encode(store, slot.attempts_key());
            self.chain.set_attempts(store, &none)?;
            return Ok((kek, factor));
        }
        let attempts_left = self.policy.erase_after.map(|limit| limit.saturating_sub(failed.failures));
        if attempts_left == Some(0) {
            self.leave(work, State::Erased);
            erase::run(&self.directory, &self.chain, &*self.clock)?;
            return Err(Error::Erased);
        }
        Err(Error::WrongPasscode { retry_after: failed.delay(), attempts_left })
    }

    /// Wrong passcodes since the last right one, as counted in the keychain. Needs no key; 0 without a passcode.
    ///
    /// # Errors
    /// A failure of the keychain.
    pub fn failed_attempts(&self) -> Result<u32, Error> {
        let work = self.work();
        let header = &work.file.header;
        if header.current.passcode.is_none() {
            return Ok(0);
        }
        let record = self.chain.attempts(header.store)?;
        let key = header.current.attempts_key();
        Ok(Attempts::decode(record.as_deref().map(Vec::as_slice), header.store, key).failures)
    }

    /// Refuses while a delay runs; otherwise writes the attempt down as a failure, until it proves right.
    fn count_attempt(&self, work: &mut Work) -> Result<Attempts, Error> {
        let (store, key) = (work.file.header.store, work.file.header.current.attempts_key());
        let now = self.now();
        let record = self.chain.attempts(store)?;
        let mut attempts = Attempts::decode(record.as_deref().map(Vec::as_slice), store, key);
        if let Some(again) = attempts.noted_again(now.wall_ms) {
            attempts = again;
            self.chain.set_attempts(store, &attempts.encode(store, key))?;
        }
        let in_process = work.throttle.map_or(Duration::ZERO, |throttle| throttle.remaining(now));
        let retry_after = attempts.remaining(now.wall_ms).max(in_process);
        if !retry_after.is_zero() {
            return Err(Error::Throttled { retry_after });
        }
        let failed = attempts.failed(now.wall_ms);
        self.chain.set_attempts(store, &failed.encode(store, key))?;
        work.throttle = Some(Throttle::new(now, failed.delay()));
        Ok(failed)
    }

    /// Tells copies apart, and leaves a new nonce.
    fn pass_boot(&self, work: &Work, suspicion: Suspicion) -> Result<(), Error> {
        let store = work.file.header.store;
        let seen = self.chain.boot(store)?;
        let seen = seen.as_deref().map(Vec::as_slice);
        let step = "reading the boot nonce";
        let is_known = boot::is_known(&self.directory, seen).map_err(Error::io(step))?;
        match (is_known, suspicion) {
            (false, Suspicion::Refuse) => return Err(Error::CloneSuspected),
            (false, Suspicion::Inspect) => return Ok(()),
            (true, _) | (false, Suspicion::Adopt) => {}
        }
        let nonce = boot::advance(&self.directory, seen).map_err(Error::io("writing the boot nonce"))?;
        self.chain.set_boot(store, &nonce)
    }

    /// Deletes the secret of an older generation, if a crash has left it.
    fn retire(&self, work: &mut Work, kek: &Kek) -> Result<(), Error> {
        let Some(generation) = work.file.header.retiring else { return Ok(()) };
        let mut header = work.file.header.clone();
        self.chain.delete_secret(header.store, generation)?;
        header.retiring = None;
        work.file = KeyFile::write(&self.directory.join(KEY_FILE), header, kek)?;
        Ok(())
    }
}

/// Whether an error says that the key or the store is not what it was.
const fn puts_in_doubt(error: &Error) -> bool {
    matches!(
        error,
        Error::KeyMissing
            | Error::KeyInvalidated
            | Error::WrongKey
            | Error::RollbackSuspected
            | Error::CloneSuspected
            | Error::Corrupt(_)
    )
}
