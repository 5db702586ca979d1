//! The keys and factors of a store.

use std::sync::Arc;

use keepwell_store::vault::Suspicion;
use keepwell_store::{Error, Privileged};

use crate::boundary::{Result, call, wait};
use crate::options::{needed, passcode};
use crate::session::Session;

/// The keys and factors of a store: what locks it, opens it and destroys it.
#[derive(uniffi::Object)]
pub struct Vault {
    store: keepwell_store::Store,
}

impl Vault {
    pub(crate) fn new(store: keepwell_store::Store) -> Self {
        Self { store }
    }

    async fn of_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(keepwell_store::Store) -> Result<T, Error> + Send + 'static,
    ) -> Result<T> {
        let store = self.store.clone();
        wait(move || work(store)).await
    }
}

/// Does what needs a fresh proof of who is there.
pub(crate) async fn elevated<T: Send + 'static>(
    session: &Session,
    old: Option<String>,
    work: impl FnOnce(&Privileged<'_>) -> Result<T, Error> + Send + 'static,
) -> Result<T> {
    let session = call(|| session.session())?;
    wait(move || {
        let given = passcode(old)?;
        work(&session.elevate(given.as_ref())?)
    })
    .await
}

#[uniffi::export]
impl Vault {
    /// Unlocks with the keychain, and with the passcode where one is set. `adopt`: go on with a store that is older
    /// than this device remembers, or a copy; otherwise that is refused (222, 223).
    ///
    /// # Errors
    /// 204 and 205 about the passcode, 206 with the time to wait, 211 to 217 about the keychain.
    #[uniffi::method(default(passcode = None, adopt = false))]
    pub async fn unlock(&self, passcode: Option<String>, adopt: bool) -> Result<()> {
        self.of_store(move |store| {
            let given = self::passcode(passcode)?;
            let suspicion = if adopt { Suspicion::Adopt } else { Suspicion::Refuse };
            store.unlock_with(given.as_ref(), suspicion)
        })
        .await
    }

    /// Ends every session, closes every connection and forgets the keys.
    ///
    /// # Errors
    /// Those of the last audit record; the store is locked all the same.
    pub async fn lock(&self) -> Result<()> {
        self.of_store(|store| store.lock()).await
    }

    /// As [`Self::lock`], for an app that goes to the background: when it returns no file is locked.
    ///
    /// # Errors
    /// As [`Self::lock`].
    pub async fn suspend(&self) -> Result<()> {
        self.of_store(|store| store.suspend()).await
    }

    /// Goes on after [`Self::suspend`].
    ///
    /// # Errors
    /// As [`Self::unlock`]; 202 when it took too long.
    #[uniffi::method(default(passcode = None))]
    pub async fn resume(&self, passcode: Option<String>) -> Result<()> {
        self.of_store(move |store| {
            let given = self::passcode(passcode)?;
            store.resume(given.as_ref())
        })
        .await
    }

    /// Destroys the keys, then the files: nothing that was copied before can be opened with anything left here.
    ///
    /// # Errors
    /// 5xx: call it again, it goes on where it was.
    pub async fn erase(&self) -> Result<()> {
        self.of_store(|store| store.erase().map(drop)).await
    }

    /// Marks the store's files again so that backups leave them out; whether every mark could be set and read back.
    ///
    /// # Errors
    /// 5xx
    pub async fn exclude_from_backups(&self) -> Result<bool> {
        self.of_store(|store| Ok(store.vault().apply_backup_marks()?.is_complete())).await
    }

    /// Sets or changes the passcode; `passcode` is the one that is set.
    ///
    /// # Errors
    /// 205, 207
    pub async fn set_passcode(
        &self,
        session: Arc<Session>,
        passcode: Option<String>,
        new: String,
    ) -> Result<()> {
        elevated(&session, passcode, |rights| rights.set_passcode(&needed(new)?)).await
    }

    /// Makes the keychain alone open the store again.
    ///
    /// # Errors
    /// 204 when there is no keychain, 205.
    pub async fn remove_passcode(&self, session: Arc<Session>, passcode: Option<String>) -> Result<()> {
        elevated(&session, passcode, |rights| rights.remove_passcode()).await
    }

    /// Sets the passphrase with which [`crate::Store::recover`] opens the store when the keychain is lost.
    ///
    /// # Errors
    /// 208, 205
    pub async fn set_recovery(
        &self,
        session: Arc<Session>,
        passcode: Option<String>,
        passphrase: String,
    ) -> Result<()> {
        elevated(&session, passcode, |rights| rights.set_recovery(&needed(passphrase)?)).await
    }

    /// Wraps the keys under a new secret in the keychain.
    ///
    /// # Errors
    /// Those of the keychain; the old secret stays valid then.
    pub async fn rotate_key(&self, session: Arc<Session>, passcode: Option<String>) -> Result<()> {
        elevated(&session, passcode, |rights| rights.rotate_kek()).await
    }

    /// Encrypts the database anew under a new key.
    ///
    /// # Errors
    /// 5xx; the old key stays valid then.
    pub async fn rotate_database_key(&self, session: Arc<Session>, passcode: Option<String>) -> Result<()> {
        elevated(&session, passcode, |rights| rights.rotate_database_key()).await
    }
}
