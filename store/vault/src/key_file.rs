//! `store.keys`: the wrapped keys of one store.
//!
//! A small JSON file, `{"header":{..},"sha256":"..","mac":".."}`. The digest tells an accident apart from a
//! wrong key before any key is touched; the MAC, under the key-encryption key, covers the same bytes and finds
//! alterations. The header has two slots: `current` with every key, and `pending` with the other database key
//! while a rotation is under way.
//!
//! Invariants: reading never writes; one header has exactly one spelling, so that each flipped bit is found;
//! the file is only ever replaced as a whole.

use std::path::Path;

use ring::digest;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use zeroize::{Zeroize, Zeroizing};

use crate::bytes::Bytes;
use crate::crypto::{self, Kek, Label, MAC_BYTES, Purpose, WrapMismatch, Wrapped};
use crate::disk;
use crate::error::{Error, Part};
use crate::key::{KEY_BYTES, Key, Keys};
use crate::passcode::{Passcode, Salted};
use crate::store_id::StoreId;

const FORMAT: &str = "keepwell store keys";
/// Version of the file that this code writes; older ones are read, newer ones refused.
const VERSION: u32 = 1;
/// Longest key file that is read, in bytes; a full one has about 4,000.
const MAX_BYTES: u64 = 64 * 1024;
/// A recovery key wraps across generations.
const RECOVERY_GENERATION: u64 = 0;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    format: String,
    version: u32,
    pub(crate) store: StoreId,
    pub(crate) created_ms: i64,
    /// Kind of the keychain that holds the secret; `None` if a passphrase is the only factor.
    pub(crate) keychain: Option<String>,
    pub(crate) current: Slot,
    /// The new database key, until the database is known to be under one key.
    pub(crate) pending: Option<Wrapped>,
    /// An older generation whose secret may still be in the keychain.
    pub(crate) retiring: Option<u64>,
    pub(crate) recovery: Option<Recovery>,
}

/// All keys under one key-encryption key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Slot {
    pub(crate) generation: u64,
    pub(crate) wrapped_ms: i64,
    /// Half of the key that dies with the directory.
    disk_secret: DiskSecret,
    pub(crate) passcode: Option<Salted>,
    /// Opens with keychain and disk secret alone: tells a wrong keychain item from a wrong passcode.
    device_canary: Wrapped,
    canary: Wrapped,
    pub(crate) database: Wrapped,
    blob: Wrapped,
    audit: Wrapped,
    anchor: Wrapped,
    sync: Wrapped,
}

/// The key-encryption key under a passphrase, and the passphrase's key under the key-encryption key, so that
/// rotations do not need the passphrase.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recovery {
    salted: Salted,
    kek: Wrapped,
    key: Wrapped,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
struct DiskSecret(Bytes<KEY_BYTES>);

impl Drop for DiskSecret {
    fn drop(&mut self) {
        self.0.0.zeroize();
    }
}

/// What opens a slot.
#[derive(Debug)]
pub(crate) struct Factors {
    /// From the keychain.
    pub(crate) secret: Option<Key>,
    pub(crate) passcode: Option<PasscodeFactor>,
}

/// A stretched passcode, with what is needed to stretch it again.
#[derive(Debug)]
pub(crate) struct PasscodeFactor {
    salted: Salted,
    key: Key,
}

impl PasscodeFactor {
    pub(crate) fn stretch(salted: Salted, passcode: &Passcode) -> Result<Self, Error> {
        Ok(Self { salted, key: salted.stretch(passcode)? })
    }

    /// A passcode that was stretched before, with the same salt.
    pub(crate) const fn stretched_before(salted: Salted, key: Key) -> Self {
        Self { salted, key }
    }

    /// The stretched passcode, for the keychain to keep.
    pub(crate) fn stretched(&self) -> Key {
        self.key.duplicate()
    }

    pub(crate) fn duplicate(&self) -> Self {
        Self { salted: self.salted, key: self.key.duplicate() }
    }
}

impl Factors {
    fn kek(&self, store: StoreId, generation: u64, disk: &DiskSecret) -> Kek {
        let secret = self.secret.as_ref();
        let passcode = self.passcode.as_ref().map(|factor| &factor.key);
        // Each combination has its own label, since the parts are joined without a length.
        let label = match (secret.is_some(), passcode.is_some()) {
            (true, true) => Label::KekFromBoth,
            (true, false) => Label::KekFromKeychain,
            (false, _) => Label::KekFromPasscode,
        };
        Kek::new(derive_from(label, store, secret, disk, passcode), store, generation)
    }
}

fn derive_from(
    label: Label,
    store: StoreId,
    secret: Option<&Key>,
    disk: &DiskSecret,
    passcode: Option<&Key>,
) -> Key {
    let mut material = Zeroizing::new(Vec::with_capacity(3 * KEY_BYTES));
    material.extend(secret.into_iter().flat_map(Key::expose));
    material.extend_from_slice(&disk.0.0);
    material.extend(passcode.into_iter().flat_map(Key::expose));
    crypto::derive(label, store.as_bytes(), &material, b"")
}

impl Slot {
    /// A slot with fresh keys, but for the audit key of a trail that goes on.
    fn fresh(store: StoreId, factors: &Factors, audit: Option<Key>, now_ms: i64) -> (Self, Kek) {
        let [database, blob, anchor, sync] = std::array::from_fn(|_| Key::generate());
        let audit = audit.unwrap_or_else(Key::generate);
        Self::build(store, 1, factors, now_ms, |kek, purpose| {
            let key = match purpose {
                Purpose::Database => &database,
                Purpose::Blob => &blob,
                Purpose::Audit => &audit,
                Purpose::Anchor => &anchor,
                _ => &sync,
            };
            Ok(kek.wrap(purpose, key, now_ms))
        })
        .expect("wrapping fresh keys cannot mismatch")
    }

    /// The same keys under the next generation, with a new disk secret.
    fn next(
        &self,
        store: StoreId,
        old: &Kek,
        factors: &Factors,
        now_ms: i64,
    ) -> Result<(Self, Kek), WrapMismatch> {
        Self::build(store, self.generation + 1, factors, now_ms, |kek, purpose| {
            let wrapped = match purpose {
                Purpose::Database => &self.database,
                Purpose::Blob => &self.blob,
                Purpose::Audit => &self.audit,
                Purpose::Anchor => &self.anchor,
                _ => &self.sync,
            };
            kek.rewrap(old, purpose, wrapped, purpose)
        })
    }

    fn build(
        store: StoreId,
        generation: u64,
        factors: &Factors,
        now_ms: i64,
        wrap: impl Fn(&Kek, Purpose) -> Result<Wrapped, WrapMismatch>,
    ) -> Result<(Self, Kek), WrapMismatch> {
        let disk_secret = DiskSecret(Bytes(crypto::random()));
        let kek = factors.kek(store, generation, &disk_secret);
        let device = device_kek(store, generation, factors.secret.as_ref(), &disk_secret);
        let slot = Self {
            generation,
            wrapped_ms: now_ms,
            passcode: factors.passcode.as_ref().map(|factor| factor.salted),
            device_canary: device.wrap(Purpose::DeviceCanary, &Key::generate(), now_ms),
            canary: kek.wrap(Purpose::Canary, &Key::generate(), now_ms),
            database: wrap(&kek, Purpose::Database)?,
            blob: wrap(&kek, Purpose::Blob)?,
            audit: wrap(&kek, Purpose::Audit)?,
            anchor: wrap(&kek, Purpose::Anchor)?,
            sync: wrap(&kek, Purpose::Sync)?,
            disk_secret,
        };
        Ok((slot, kek))
    }

    /// Whether this keychain secret belongs to the slot.
    pub(crate) fn knows_secret(&self, store: StoreId, secret: Option<&Key>) -> bool {
        let device = device_kek(store, self.generation, secret, &self.disk_secret);
        device.unwrap(Purpose::DeviceCanary, &self.device_canary).is_ok()
    }

    /// The key-encryption key, if the factors are right.
    pub(crate) fn open(&self, store: StoreId, factors: &Factors) -> Option<Kek> {
        let kek = factors.kek(store, self.generation, &self.disk_secret);
        self.accepts(&kek).then_some(kek)
    }

    fn accepts(&self, kek: &Kek) -> bool {
        kek.unwrap(Purpose::Canary, &self.canary).is_ok()
    }

    /// MAC key for what is kept in the keychain before anything is unlocked.
    pub(crate) fn attempts_key(&self) -> &[u8; KEY_BYTES] {
        &self.disk_secret.0.0
    }

    pub(crate) fn anchor_key(&self, kek: &Kek) -> Result<Key, Error> {
        kek.unwrap(Purpose::Anchor, &self.anchor).map_err(|_| DAMAGED)
    }
}

fn device_kek(store: StoreId, generation: u64, secret: Option<&Key>, disk: &DiskSecret) -> Kek {
    Kek::new(derive_from(Label::Device, store, secret, disk, None), store, generation)
}

const DAMAGED: Error = Error::Corrupt(Part::KeyFile);

impl Header {
    /// The header of a new store.
    pub(crate) fn fresh(
        store: StoreId,
        keychain: Option<&str>,
        factors: &Factors,
        audit: Option<Key>,
        now_ms: i64,
    ) -> (Self, Kek) {
        let (current, kek) = Slot::fresh(store, factors, audit, now_ms);
        let header = Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            store,
            created_ms: now_ms,
            keychain: keychain.map(str::to_owned),
            current,
            pending: None,
            retiring: None,
            recovery: None,
        };
        (header, kek)
    }

    /// The same keys under new factors.
    pub(crate) fn rewrapped(
        &self,
        old: &Kek,
        keychain: Option<&str>,
        factors: &Factors,
        now_ms: i64,
    ) -> Result<(Self, Kek), Error> {
        let (current, kek) = self.current.next(self.store, old, factors, now_ms).map_err(|_| DAMAGED)?;
        let pending = self
            .pending
            .as_ref()
            .map(|pending| kek.rewrap(old, Purpose::PendingDatabase, pending, Purpose::PendingDatabase));
        let recovery =
            self.recovery.as_ref().map(|recovery| recovery.rewrapped(self.store, old, &kek, now_ms));
        let header = Self {
            keychain: keychain.map(str::to_owned),
            retiring: self.keychain.as_ref().map(|_| self.current.generation),
            current,
            pending: pending.transpose().map_err(|_| DAMAGED)?,
            recovery: recovery.transpose().map_err(|_| DAMAGED)?,
            ..self.clone()
        };
        Ok((header, kek))
    }

    /// Every key, for the owner of the vault.
    pub(crate) fn keys(&self, kek: &Kek) -> Result<Keys, Error> {
        let open = |purpose, wrapped| kek.unwrap(purpose, wrapped).map_err(|_| DAMAGED);
        let pending = self.pending.as_ref().map(|wrapped| open(Purpose::PendingDatabase, wrapped));
        Ok(Keys {
            database: open(Purpose::Database, &self.current.database)?,
            pending_database: pending.transpose()?,
            blob: open(Purpose::Blob, &self.current.blob)?,
            audit: open(Purpose::Audit, &self.current.audit)?,
            anchor: open(Purpose::Anchor, &self.current.anchor)?,
            sync: open(Purpose::Sync, &self.current.sync)?,
        })
    }

    /// The pending database key, made if there is none.
    pub(crate) fn begin_rotation(&mut self, kek: &Kek, now_ms: i64) -> Result<Key, Error> {
        if let Some(pending) = &self.pending {
            return kek.unwrap(Purpose::PendingDatabase, pending).map_err(|_| DAMAGED);
        }
        let key = Key::generate();
        self.pending = Some(kek.wrap(Purpose::PendingDatabase, &key, now_ms));
        Ok(key)
    }

    /// Ends a rotation with the new key or with the old one.
    pub(crate) fn finish_rotation(&mut self, kek: &Kek, promote: bool) -> Result<(), Error> {
        let pending = self.pending.take().ok_or(Error::WrongState)?;
        if promote {
            self.current.database = kek
                .rewrap(kek, Purpose::PendingDatabase, &pending, Purpose::Database)
                .map_err(|_| DAMAGED)?;
        }
        Ok(())
    }

    pub(crate) fn set_recovery(
        &mut self,
        kek: &Kek,
        salted: Salted,
        phrase: &Passcode,
        now_ms: i64,
    ) -> Result<(), Error> {
        let key = recovery_key(self.store, &salted, phrase)?;
        self.recovery = Some(Recovery {
            salted,
            kek: kek.wrap_under(&recovery_kek(self.store, &key), now_ms),
            key: kek.wrap(Purpose::RecoveryKey, &key, now_ms),
        });
        Ok(())
    }

    /// The key-encryption key, from the recovery passphrase.
    pub(crate) fn recover(&self, phrase: &Passcode) -> Result<Kek, Error> {
        let recovery = self.recovery.as_ref().ok_or(Error::NoRecovery)?;
        let key = recovery_key(self.store, &recovery.salted, phrase)?;
        let kek = recovery_kek(self.store, &key)
            .unwrap(Purpose::RecoveryKek, &recovery.kek)
            .map_err(|_| Error::WrongPassphrase)?;
        let kek = Kek::new(kek, self.store, self.current.generation);
        if self.current.accepts(&kek) { Ok(kek) } else { Err(DAMAGED) }
    }
}

fn recovery_key(store: StoreId, salted: &Salted, phrase: &Passcode) -> Result<Key, Error> {
    let stretched = salted.stretch(phrase)?;
    Ok(crypto::derive(Label::Recovery, store.as_bytes(), stretched.expose(), b""))
}

fn recovery_kek(store: StoreId, key: &Key) -> Kek {
    Kek::new(key.duplicate(), store, RECOVERY_GENERATION)
}

impl Recovery {
    fn rewrapped(&self, store: StoreId, old: &Kek, new: &Kek, now_ms: i64) -> Result<Self, WrapMismatch> {
        let key = old.unwrap(Purpose::RecoveryKey, &self.key)?;
        Ok(Self {
            salted: self.salted,
            kek: new.wrap_under(&recovery_kek(store, &key), now_ms),
            key: new.rewrap(old, Purpose::RecoveryKey, &self.key, Purpose::RecoveryKey)?,
        })
    }
}

/// A key file that was read but not yet authenticated.
#[derive(Debug)]
pub(crate) struct KeyFile {
    pub(crate) header: Header,
    text: String,
    mac: Bytes<MAC_BYTES>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outer<'a> {
    #[serde(borrow)]
    header: &'a RawValue,
    sha256: Bytes<32>,
    mac: Bytes<MAC_BYTES>,
}

/// The part of a header that every version has.
#[derive(Deserialize)]
struct Preamble<'a> {
    format: &'a str,
    version: u32,
}

impl KeyFile {
    /// Reads the file, or nothing if there is none.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, Error> {
        let bytes = disk::read(path, MAX_BYTES).map_err(Error::io("reading the key file"))?;
        bytes.map(|bytes| Self::parse(&Zeroizing::new(bytes))).transpose()
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let outer: Outer<'_> = serde_json::from_slice(bytes).map_err(|_| DAMAGED)?;
        let text = outer.header.get();
        if outer.sha256.0 != sha256(text.as_bytes()) {
            return Err(DAMAGED);
        }
        let preamble: Preamble<'_> = serde_json::from_str(text).map_err(|_| DAMAGED)?;
        if preamble.format == FORMAT && preamble.version > VERSION {
            return Err(Error::TooNew);
        }
        let header: Header = serde_json::from_str(text).map_err(|_| DAMAGED)?;
        let file = Self { header, text: text.to_owned(), mac: outer.mac };
        let one_spelling = file.header.text() == text && outer_text(text, file.mac) == bytes;
        let known = file.header.format == FORMAT && file.header.version == VERSION;
        if one_spelling && known { Ok(file) } else { Err(DAMAGED) }
    }

    /// Whether whoever wrote the file had the key-encryption key.
    pub(crate) fn is_authentic(&self, kek: &Kek) -> bool {
        kek.mac_is_valid(self.text.as_bytes(), &self.mac.0)
    }

    /// Seals a header and replaces the file by it.
    pub(crate) fn write(path: &Path, header: Header, kek: &Kek) -> Result<Self, Error> {
        let text = header.text();
        let mac = Bytes(kek.mac(text.as_bytes()));
        let bytes = Zeroizing::new(outer_text(&text, mac));
        disk::replace(path, &bytes).map_err(Error::io("replacing the key file"))?;
        Ok(Self { header, text, mac })
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

impl Header {
    fn text(&self) -> String {
        serde_json::to_string(self).expect("a header has only string keys and finite numbers")
    }
}

fn outer_text(header: &str, mac: Bytes<MAC_BYTES>) -> Vec<u8> {
    let header: &RawValue = serde_json::from_str(header).expect("a header is JSON");
    let outer = Outer { header, sha256: Bytes(sha256(header.get().as_bytes())), mac };
    serde_json::to_vec(&outer).expect("plain strings serialise")
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

#[cfg(test)]
mod tests;
