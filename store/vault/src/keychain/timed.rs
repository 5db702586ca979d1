//! A keychain that cannot hold up its caller.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{Keychain, KeychainError, SECRET_MAX_BYTES, Secret, is_valid_name};

/// Runs each call on a helper thread and stops waiting after a while.
///
/// A call that came too late goes on in the background; until it returns, further calls fail at once, so that
/// at most one thread is ever stuck in a prompt.
pub(crate) struct TimedKeychain {
    keychain: Arc<dyn Keychain>,
    timeout: Duration,
    running: Arc<AtomicBool>,
}

impl TimedKeychain {
    pub(crate) fn new(keychain: Arc<dyn Keychain>, timeout: Duration) -> Self {
        Self { keychain, timeout, running: Arc::new(AtomicBool::new(false)) }
    }

    pub(crate) fn kind(&self) -> &'static str {
        self.keychain.kind()
    }

    pub(crate) fn is_available(&self) -> Result<bool, KeychainError> {
        self.call(|keychain| Ok(keychain.is_available()))
    }

    pub(crate) fn get(&self, item: String) -> Result<Option<Secret>, KeychainError> {
        self.call(move |keychain| keychain.get(&item))
    }

    pub(crate) fn set(&self, item: String, secret: &[u8]) -> Result<(), KeychainError> {
        if !is_valid_name(&item) || secret.len() > SECRET_MAX_BYTES {
            return Err(KeychainError::Refused);
        }
        let secret = Zeroizing::new(secret.to_vec());
        self.call(move |keychain| keychain.set(&item, &secret))
    }

    pub(crate) fn delete(&self, item: String) -> Result<(), KeychainError> {
        self.call(move |keychain| keychain.delete(&item))
    }

    pub(crate) fn items(&self) -> Result<Vec<String>, KeychainError> {
        self.call(|keychain| keychain.items())
    }

    fn call<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&dyn Keychain) -> Result<T, KeychainError> + Send + 'static,
    ) -> Result<T, KeychainError> {
        if self.running.swap(true, Ordering::AcqRel) {
            return Err(KeychainError::Timeout);
        }
        let (answer, wait) = mpsc::sync_channel(1);
        let done = Done(Arc::clone(&self.running));
        let keychain = Arc::clone(&self.keychain);
        let helper = thread::Builder::new().name("keepwell-keychain".to_owned()).spawn(move || {
            let result = ask(&*keychain);
            drop(done);
            // Nobody waits any more after a timeout; the answer is wiped with the channel.
            let _ = answer.send(result);
        });
        helper.map_err(|_| KeychainError::Failed)?;
        match wait.recv_timeout(self.timeout) {
            Ok(result) => result,
            Err(mpsc::RecvTimeoutError::Timeout) => Err(KeychainError::Timeout),
            // The helper panicked inside of the keychain.
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(KeychainError::Failed),
        }
    }
}

/// Marks the end of a call, also when the keychain panics.
struct Done(Arc<AtomicBool>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keychain::{Fault, MemoryKeychain};

    #[test]
    fn a_slow_keychain_does_not_hold_up_the_caller() {
        let memory = Arc::new(MemoryKeychain::new());
        let timed = TimedKeychain::new(Arc::<MemoryKeychain>::clone(&memory), Duration::from_millis(20));
        timed.set("a".to_owned(), b"1").unwrap();
        memory.fail(Some(Fault::Slow(Duration::from_millis(200))));
        assert_eq!(timed.get("a".to_owned()), Err(KeychainError::Timeout));
        assert_eq!(timed.get("a".to_owned()), Err(KeychainError::Timeout), "one stuck call is enough");
        memory.fail(None);
        thread::sleep(Duration::from_millis(300));
        assert!(timed.get("a".to_owned()).unwrap().is_some(), "usable again once the call has returned");
    }

    #[test]
    fn a_panicking_keychain_is_a_failure() {
        struct Panics;
        impl Keychain for Panics {
            fn get(&self, _: &str) -> Result<Option<Secret>, KeychainError> {
                panic!("a bug in the host")
            }
            fn set(&self, _: &str, _: &[u8]) -> Result<(), KeychainError> {
                Ok(())
            }
            fn delete(&self, _: &str) -> Result<(), KeychainError> {
                Ok(())
            }
            fn items(&self) -> Result<Vec<String>, KeychainError> {
                Ok(Vec::new())
            }
            fn kind(&self) -> &'static str {
                "panics"
            }
        }
        let timed = TimedKeychain::new(Arc::new(Panics), Duration::from_secs(5));
        assert_eq!(timed.get("a".to_owned()), Err(KeychainError::Failed));
        assert_eq!(timed.items(), Ok(Vec::new()));
    }

    #[test]
    fn long_secrets_and_odd_names_are_refused() {
        let timed = TimedKeychain::new(Arc::new(MemoryKeychain::new()), Duration::from_secs(5));
        assert_eq!(timed.set("a".to_owned(), &[0; SECRET_MAX_BYTES + 1]), Err(KeychainError::Refused));
        assert_eq!(timed.set("../a".to_owned(), b"x"), Err(KeychainError::Refused));
        assert_eq!(timed.set(String::new(), b"x"), Err(KeychainError::Refused));
    }
}
