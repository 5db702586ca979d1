//! Secrets that end with the process, and faults on demand.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{Keychain, KeychainError, Secret};

/// What a [`MemoryKeychain`] does wrong on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Fail with this error.
    Error(KeychainError),
    /// Answer "not found" and admit, when asked, that protected data cannot be read: a launch before the first
    /// unlock on iOS.
    NotFoundWhileLocked,
    /// Answer "not found" although protected data can be read: the item is gone.
    NotFound,
    /// Answer correctly, but only after this time.
    Slow(Duration),
}

/// A keychain in memory: for demos, and for tests of everything that keychains do wrong.
///
/// ```
/// use keepwell_vault::{Keychain, MemoryKeychain};
/// let keychain = MemoryKeychain::new();
/// keychain.set("kek:1", b"secret")?;
/// assert_eq!(keychain.get("kek:1")?.as_deref().map(Vec::as_slice), Some(b"secret".as_slice()));
/// # Ok::<(), keepwell_vault::KeychainError>(())
/// ```
#[derive(Default)]
pub struct MemoryKeychain {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    items: BTreeMap<String, Secret>,
    lasting: Option<Fault>,
    /// Calls that still succeed before `lasting` begins.
    grace: usize,
    log: VecDeque<String>,
}

/// How many calls are remembered.
const LOG_LIMIT: usize = 256;

impl MemoryKeychain {
    /// An empty keychain.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on every call meets this fault; `None` ends it.
    pub fn fail(&self, fault: Option<Fault>) {
        self.fail_after(0, fault);
    }

    /// As [`MemoryKeychain::fail`], after `calls` more calls that succeed.
    pub fn fail_after(&self, calls: usize, fault: Option<Fault>) {
        let mut inner = self.inner();
        inner.lasting = fault;
        inner.grace = calls;
    }

    /// The last calls, oldest first, as `get kek:..`, `set ..`, `delete ..`, `items`.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.inner().log.iter().cloned().collect()
    }

    /// The names of all items, without a fault and without a trace in [`MemoryKeychain::calls`].
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.inner().items.keys().cloned().collect()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the call, meets the fault; `Ok(false)` means "answer not found".
    fn enter(&self, call: String) -> Result<bool, KeychainError> {
        let fault = {
            let mut inner = self.inner();
            if inner.log.len() == LOG_LIMIT {
                inner.log.pop_front();
            }
            inner.log.push_back(call);
            if inner.lasting.is_some() && inner.grace > 0 {
                inner.grace -= 1;
                None
            } else {
                inner.lasting
            }
        };
        match fault {
            None => Ok(true),
            Some(Fault::Error(error)) => Err(error),
            Some(Fault::NotFoundWhileLocked | Fault::NotFound) => Ok(false),
            Some(Fault::Slow(time)) => {
                thread::sleep(time);
                Ok(true)
            }
        }
    }
}

impl Keychain for MemoryKeychain {
    fn get(&self, item: &str) -> Result<Option<Secret>, KeychainError> {
        let found = self.enter(format!("get {item}"))?;
        Ok(self.inner().items.get(item).filter(|_| found).cloned())
    }

    fn set(&self, item: &str, secret: &[u8]) -> Result<(), KeychainError> {
        self.enter(format!("set {item}"))?;
        self.inner().items.insert(item.to_owned(), Zeroizing::new(secret.to_vec()));
        Ok(())
    }

    fn delete(&self, item: &str) -> Result<(), KeychainError> {
        self.enter(format!("delete {item}"))?;
        self.inner().items.remove(item);
        Ok(())
    }

    fn items(&self) -> Result<Vec<String>, KeychainError> {
        let found = self.enter("items".to_owned())?;
        Ok(if found { self.names() } else { Vec::new() })
    }

    fn is_available(&self) -> bool {
        self.inner().lasting != Some(Fault::NotFoundWhileLocked)
    }

    fn kind(&self) -> &'static str {
        "memory"
    }
}
