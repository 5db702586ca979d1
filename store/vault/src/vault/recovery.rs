//! Back in with the recovery passphrase.

use std::path::Path;

use crate::boot;
use crate::chain::Chain;
use crate::error::{Error, Part};
use crate::key::Keys;
use crate::lock;
use crate::passcode::Passcode;
use crate::policy::Config;
use crate::quarantine;
use crate::vault::rotation::Next;
use crate::vault::{Opened, State, Vault, read_key_file};

impl Vault {
    /// Opens a store whose keychain item or passcode is lost, and installs a new secret in the configured
    /// keychain. The passcode is replaced by `passcode`, or removed. Lifts a quarantine. Also the way to move a
    /// store to another kind of keychain on purpose.
    ///
    /// # Errors
    /// [`Error::NoRecovery`], [`Error::WrongPassphrase`], [`Error::PasscodeNeeded`] if there is neither
    /// keychain nor passcode; otherwise as [`Vault::open`] and [`Vault::create`].
    pub fn recover(
        directory: impl AsRef<Path>,
        config: Config,
        phrase: &Passcode,
        passcode: Option<&Passcode>,
    ) -> Result<(Self, Keys), Error> {
        let directory = directory.as_ref();
        config.policy.check()?;
        if config.keychain.is_none() && passcode.is_none() {
            return Err(Error::PasscodeNeeded);
        }
        match Self::state_of(directory)? {
            State::Uninitialised => return Err(Error::Uninitialised),
            State::Erased => return Err(Error::Erased),
            _ => {}
        }
        let lock = lock::take(directory)?;
        let file = read_key_file(directory)?;
        let kek = file.header.recover(phrase)?;
        if !file.is_authentic(&kek) {
            return Err(Error::Corrupt(Part::KeyFile));
        }
        let chain = Chain::new(directory, &config);
        let vault = Self::assemble(directory, config, chain, file, lock)?;
        let keys = vault.take_over(kek, passcode)?;
        Ok((vault, keys))
    }

    fn take_over(&self, kek: crate::crypto::Kek, passcode: Option<&Passcode>) -> Result<Keys, Error> {
        let mut work = self.work();
        let old = Opened::new(&work.file.header, kek, None)?;
        let next = passcode.map_or(Next::Remove, Next::Set);
        let opened = self.install(&mut work, &old, &next)?;
        let store = work.file.header.store;
        let nonce = boot::advance(&self.directory, None).map_err(Error::io("writing the boot nonce"))?;
        self.chain.set_boot(store, &nonce)?;
        quarantine::remove_mark(&self.directory)?;
        let keys = work.file.header.keys(&opened.kek)?;
        self.enter(&mut work, opened, None)?;
        Ok(keys)
    }
}
