//! New keys for old ones.
//!
//! Changing the passcode and rotating the key-encryption key are the same act: a new secret, a new disk secret,
//! all keys wrapped anew. So an old copy of the key file opens nothing, whatever its passcode was.

use crate::attempts::Attempts;
use crate::error::Error;
use crate::key::Key;
use crate::key_file::{Factors, Header, KeyFile, PasscodeFactor};
use crate::layout::KEY_FILE;
use crate::passcode::{Passcode, Salted, Stretching};
use crate::policy::RECOVERY_PASSPHRASE_MIN_BYTES;
use crate::vault::{Opened, Vault, Work};

/// The passcode after a rotation.
pub(super) enum Next<'a> {
    Keep,
    Set(&'a Passcode),
    Remove,
}

impl Vault {
    /// Changes the key-encryption key: wraps every key anew and touches nothing else.
    ///
    /// # Errors
    /// [`Error::Locked`], or a failure of keychain or file system; the old key then still works.
    pub fn rotate_kek(&self) -> Result<(), Error> {
        self.rewrap(&Next::Keep)
    }

    /// Sets or changes the passcode; the key-encryption key is rotated with it.
    ///
    /// # Errors
    /// [`Error::WeakStretching`] if the policy asks for less than the store already uses; otherwise as
    /// [`Vault::rotate_kek`].
    pub fn set_passcode(&self, passcode: &Passcode) -> Result<(), Error> {
        self.rewrap(&Next::Set(passcode))
    }

    /// Removes the passcode; the keychain is then the only factor.
    ///
    /// # Errors
    /// [`Error::PasscodeNeeded`] if there is no keychain; otherwise as [`Vault::rotate_kek`].
    pub fn remove_passcode(&self) -> Result<(), Error> {
        if self.chain.kind().is_none() {
            return Err(Error::PasscodeNeeded);
        }
        self.rewrap(&Next::Remove)
    }

    fn rewrap(&self, next: &Next<'_>) -> Result<(), Error> {
        let mut work = self.work();
        let old = work.opened.take().ok_or(Error::Locked)?;
        let (kept, result) = match self.install(&mut work, &old, next) {
            Ok(new) => (new, Ok(())),
            // Whatever failed, the old keys still open what is on disk.
            Err(error) => (old, Err(error)),
        };
        work.opened = Some(kept);
        result
    }

    /// Secret first, key file second, deletion of the old secret last: a crash leaves a store that opens.
    pub(super) fn install(&self, work: &mut Work, old: &Opened, next: &Next<'_>) -> Result<Opened, Error> {
        let header = &work.file.header;
        let (store, now_ms) = (header.store, self.clock.wall_ms());
        let passcode = match next {
            Next::Keep => old.passcode.as_ref().map(PasscodeFactor::duplicate),
            Next::Remove => None,
            Next::Set(passcode) => {
                let cost = self.cost_for(header.current.passcode)?;
                Some(PasscodeFactor::stretch(Salted::new(cost), passcode)?)
            }
        };
        let secret = self.chain.make_secret(store, header.current.generation + 1)?;
        let factors = Factors { secret, passcode };
        let (header, kek) = header.rewrapped(&old.kek, self.chain.kind(), &factors, now_ms)?;
        let opened = Opened::new(&header, kek, factors.passcode)?;
        work.file = KeyFile::write(&self.directory.join(KEY_FILE), header, &opened.kek)?;
        self.settle(work, now_ms);
        Ok(opened)
    }

    /// What is left to do once the new key file is in place; `unlock` makes up for what fails here.
    fn settle(&self, work: &mut Work, now_ms: i64) {
        let header = &work.file.header;
        let store = header.store;
        if header.current.passcode.is_some() {
            let none = Attempts::none(now_ms).encode(store, header.current.attempts_key());
            let _ = self.chain.set_attempts(store, &none);
        }
        // What was remembered opens nothing any more.
        let _ = self.chain.forget(store);
        if let Some(generation) = header.retiring {
            // The key file goes on naming the old generation until an unlock has seen it gone.
            let _ = self.chain.delete_secret(store, generation);
        }
    }

    /// The cost of a new passcode: never less than that of the old one.
    fn cost_for(&self, old: Option<Salted>) -> Result<Stretching, Error> {
        let cost = self.policy.stretching;
        if old.is_some_and(|old| !cost.is_at_least(&old.cost)) {
            Err(Error::WeakStretching)
        } else {
            Ok(cost)
        }
    }

    /// Makes a new database key and writes it beside the old one; the caller then rekeys the database. If a
    /// rotation is under way already, its key is given again.
    ///
    /// After a crash the database is under one of the two; [`crate::Keys`] holds both until
    /// [`Vault::finish_database_rotation`].
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Io`].
    pub fn begin_database_rotation(&self) -> Result<Key, Error> {
        let now_ms = self.clock.wall_ms();
        self.edit(|header, opened| header.begin_rotation(&opened.kek, now_ms))
    }

    /// Ends a rotation: with the new key if `promote`, with the old one otherwise. The caller has made sure
    /// which of the two opens the database.
    ///
    /// # Errors
    /// [`Error::WrongState`] if no rotation is under way, [`Error::Locked`], [`Error::Io`].
    pub fn finish_database_rotation(&self, promote: bool) -> Result<(), Error> {
        self.edit(|header, opened| header.finish_rotation(&opened.kek, promote))
    }

    /// Sets or replaces the recovery passphrase, which opens the store without keychain and passcode.
    ///
    /// # Errors
    /// [`Error::ShortPassphrase`], [`Error::Locked`], [`Error::Io`].
    pub fn set_recovery(&self, phrase: &Passcode) -> Result<(), Error> {
        if phrase.expose().len() < RECOVERY_PASSPHRASE_MIN_BYTES {
            return Err(Error::ShortPassphrase);
        }
        let (salted, now_ms) = (Salted::new(self.policy.stretching), self.clock.wall_ms());
        self.edit(|header, opened| header.set_recovery(&opened.kek, salted, phrase, now_ms))
    }

    /// Removes the recovery passphrase.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Io`].
    pub fn remove_recovery(&self) -> Result<(), Error> {
        self.edit(|header, _| {
            header.recovery = None;
            Ok(())
        })
    }

    /// Changes a copy of the header and replaces the key file by it.
    fn edit<T>(&self, change: impl FnOnce(&mut Header, &Opened) -> Result<T, Error>) -> Result<T, Error> {
        let mut work = self.work();
        let opened = work.opened.as_ref().ok_or(Error::Locked)?;
        let mut header = work.file.header.clone();
        let result = change(&mut header, opened)?;
        let file = KeyFile::write(&self.directory.join(KEY_FILE), header, &opened.kek)?;
        work.file = file;
        Ok(result)
    }
}
