//! The settings of every platform, against a store that writes down what it is asked.

use std::any::Any;
use std::collections::BTreeMap;

use keyring_core::api::{Credential, CredentialApi, CredentialStoreApi};

use super::*;

type Shared = Arc<Mutex<Recorded>>;

#[derive(Default, Debug)]
struct Recorded {
    items: BTreeMap<String, Vec<u8>>,
    calls: Vec<String>,
}

#[derive(Debug)]
struct Recorder(Shared);

#[derive(Debug)]
struct Item(Shared, String, String);

impl CredentialStoreApi for Recorder {
    fn vendor(&self) -> String {
        "recorder".to_owned()
    }

    fn id(&self) -> String {
        "recorder".to_owned()
    }

    fn build(
        &self,
        service: &str,
        user: &str,
        modifiers: Option<&HashMap<&str, &str>>,
    ) -> keyring_core::Result<Entry> {
        let modifiers = format!("{:?}", modifiers.into_iter().flatten().collect::<Vec<_>>());
        let item = Item(Arc::clone(&self.0), format!("{service}/{user}"), modifiers);
        Ok(Entry::new_with_credential(Arc::new(item)))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl CredentialApi for Item {
    fn set_secret(&self, secret: &[u8]) -> keyring_core::Result<()> {
        let mut recorded = self.0.lock().unwrap();
        recorded.calls.push(format!("set {} {}", self.1, self.2));
        recorded.items.insert(self.1.clone(), secret.to_vec());
        Ok(())
    }

    fn get_secret(&self) -> keyring_core::Result<Vec<u8>> {
        self.0.lock().unwrap().items.get(&self.1).cloned().ok_or(PlatformError::NoEntry)
    }

    fn delete_credential(&self) -> keyring_core::Result<()> {
        let mut recorded = self.0.lock().unwrap();
        recorded.calls.push(format!("delete {}", self.1));
        recorded.items.remove(&self.1).map(drop).ok_or(PlatformError::NoEntry)
    }

    fn get_credential(&self) -> keyring_core::Result<Option<Arc<Credential>>> {
        Ok(None)
    }

    fn get_specifiers(&self) -> Option<(String, String)> {
        self.1.split_once('/').map(|(service, user)| (service.to_owned(), user.to_owned()))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn keychain(settings: Settings) -> (SystemKeychain, Shared) {
    let recorded = Shared::default();
    let store: Arc<CredentialStore> = Arc::new(Recorder(Arc::clone(&recorded)));
    let keychain =
        SystemKeychain { settings, store: Mutex::new(Some(store)), ..SystemKeychain::new("service") };
    (keychain, recorded)
}

#[test]
fn apple_items_stay_on_the_device_and_never_keep_an_old_class() {
    let (keychain, recorded) = keychain(APPLE);
    keychain.set("kek:1", b"one").unwrap();
    keychain.set("kek:1", b"two").unwrap();
    let class = r#"set service/kek:1 [("access-policy", "after-first-unlock-this-device-only")]"#;
    let expected = ["delete service/kek:1", class, "delete service/kek:1", class];
    assert_eq!(recorded.lock().unwrap().calls, expected);
    assert_eq!(keychain.get("kek:1").unwrap().unwrap().as_slice(), b"two");
}

#[test]
fn windows_items_do_not_roam() {
    let (keychain, recorded) = keychain(WINDOWS);
    keychain.set("kek:1", b"one").unwrap();
    assert_eq!(recorded.lock().unwrap().calls, [r#"set service/kek:1 [("persistence", "Local")]"#]);
}

#[test]
fn secrets_are_stored_as_text_and_come_back_as_bytes() {
    for settings in [SECRET_SERVICE, APPLE, WINDOWS] {
        let (keychain, recorded) = keychain(settings);
        keychain.set("kek:1", &[0, 0xff, 0x80]).unwrap();
        assert_eq!(recorded.lock().unwrap().items["service/kek:1"], b"AP-A");
        assert_eq!(keychain.get("kek:1").unwrap().unwrap().as_slice(), [0, 0xff, 0x80]);
        recorded.lock().unwrap().items.insert("service/kek:1".to_owned(), b"not base64!".to_vec());
        assert_eq!(keychain.get("kek:1"), Err(KeychainError::Failed));
        keychain.delete("kek:1").unwrap();
        keychain.delete("kek:1").unwrap();
        assert_eq!(keychain.get("kek:1"), Ok(None));
    }
}

#[test]
fn failures_of_the_platform_keep_their_meaning_and_lose_their_text() {
    let boxed = || -> Box<dyn std::error::Error + Send + Sync> { "secret words".into() };
    let table = [
        (PlatformError::NoStorageAccess(boxed()), KeychainError::Locked),
        (PlatformError::PlatformFailure(boxed()), KeychainError::Failed),
        (PlatformError::Ambiguous(Vec::new()), KeychainError::Duplicate),
        (PlatformError::TooLong("secret words".to_owned(), 1), KeychainError::Refused),
        (PlatformError::NoDefaultStore, KeychainError::Unavailable),
        (PlatformError::BadEncoding(b"secret words".to_vec()), KeychainError::Failed),
    ];
    for (error, expected) in table {
        let (keychain, _) = keychain(SECRET_SERVICE);
        let found = keychain.failure(&error);
        assert_eq!(found, expected);
        let printed =
            format!("{found} {found:?} {} {:?}", crate::Error::from(found), crate::Error::from(found));
        assert!(!printed.contains("secret words"));
        let reconnects = matches!(error, PlatformError::PlatformFailure(_));
        assert_eq!(keychain.store.lock().unwrap().is_none(), reconnects);
    }
}
