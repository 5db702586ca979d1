//! Wraps, derivations and MACs: the only module that touches a cipher for keys.
//!
//! Invariants: each derivation has its own [`Label`]; each wrap carries a fresh random nonce and is bound to
//! product, format version, store, key id, purpose and generation (security requirements ). A
//! [`Kek`] can wrap and unwrap keys and nothing else.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use ring::{hkdf, hmac, rand};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::bytes::Bytes;
use crate::key::{KEY_BYTES, Key};
use crate::store_id::StoreId;

/// Length of an AES-GCM nonce in bytes.
pub(crate) const NONCE_BYTES: usize = 12;
/// Length of an AES-GCM tag in bytes.
pub(crate) const TAG_BYTES: usize = 16;
/// Length of an HMAC-SHA-256 tag in bytes.
pub(crate) const MAC_BYTES: usize = 32;
/// Length of a wrapped key in bytes.
pub(crate) const WRAPPED_BYTES: usize = KEY_BYTES + TAG_BYTES;
/// Version of the wrap format, part of its associated data.
const WRAP_VERSION: u8 = 1;

/// What a derived key is for. The texts are frozen: changing one makes every store unreadable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Label {
    KekFromKeychain,
    KekFromPasscode,
    KekFromBoth,
    Device,
    KeyFileMac,
    Recovery,
    Attempts,
    Anchor,
    Status,
    Blob,
    Remembered,
}

impl Label {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 11] = [
        Self::KekFromKeychain,
        Self::KekFromPasscode,
        Self::KekFromBoth,
        Self::Device,
        Self::KeyFileMac,
        Self::Recovery,
        Self::Attempts,
        Self::Anchor,
        Self::Status,
        Self::Blob,
        Self::Remembered,
    ];

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::KekFromKeychain => "keepwell/kek/keychain/v1",
            Self::KekFromPasscode => "keepwell/kek/passcode/v1",
            Self::KekFromBoth => "keepwell/kek/keychain+passcode/v1",
            Self::Device => "keepwell/device/v1",
            Self::KeyFileMac => "keepwell/key-file-mac/v1",
            Self::Recovery => "keepwell/recovery/v1",
            Self::Attempts => "keepwell/attempts/v1",
            Self::Anchor => "keepwell/anchor/v1",
            Self::Status => "keepwell/status/v1",
            Self::Blob => "keepwell/blob/v1",
            Self::Remembered => "keepwell/remembered/v1",
        }
    }
}

/// What a wrapped key is for, part of the associated data of its wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Canary,
    DeviceCanary,
    Database,
    PendingDatabase,
    Blob,
    Audit,
    Anchor,
    Sync,
    RecoveryKek,
    RecoveryKey,
}

impl Purpose {
    const fn text(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::DeviceCanary => "device canary",
            Self::Database => "database",
            Self::PendingDatabase => "pending database",
            Self::Blob => "blob",
            Self::Audit => "audit",
            Self::Anchor => "anchor",
            Self::Sync => "sync",
            Self::RecoveryKek => "recovery kek",
            Self::RecoveryKey => "recovery key",
        }
    }
}

/// Fills `bytes` from the random generator of the operating system.
pub(crate) fn fill_random(bytes: &mut [u8]) {
    rand::SecureRandom::fill(&rand::SystemRandom::new(), bytes)
        .expect("the operating system provides random bytes");
}

/// `N` random bytes.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill_random(&mut bytes);
    bytes
}

/// HKDF-SHA-256 of `secret` with `salt` and a label, followed by `context`.
pub(crate) fn derive(label: Label, salt: &[u8], secret: &[u8], context: &[u8]) -> Key {
    let info = [label.text().as_bytes(), context];
    Key::filled(|out| {
        hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
            .extract(secret)
            .expand(&info, hkdf::HKDF_SHA256)
            .and_then(|material| material.fill(out))
    })
    .expect("32 bytes are within the output limit of HKDF-SHA-256")
}

/// HMAC-SHA-256 of `message` under a key derived for `label`.
pub(crate) fn mac(label: Label, store: StoreId, key: &[u8], message: &[u8]) -> [u8; MAC_BYTES] {
    let key = derive(label, store.as_bytes(), key, b"");
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()), message);
    let mut bytes = [0; MAC_BYTES];
    bytes.copy_from_slice(tag.as_ref());
    bytes
}

/// Whether `tag` is the MAC of `message`, compared in constant time.
pub(crate) fn mac_is_valid(label: Label, store: StoreId, key: &[u8], message: &[u8], tag: &[u8]) -> bool {
    let key = derive(label, store.as_bytes(), key, b"");
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()), message, tag).is_ok()
}

/// A key as it stands in the key file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wrapped {
    pub(crate) id: Bytes<8>,
    pub(crate) created_ms: i64,
    nonce: Bytes<NONCE_BYTES>,
    sealed: Bytes<WRAPPED_BYTES>,
}

/// The wrap did not open: wrong key, wrong place, or altered bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrapMismatch;

/// A key-encryption key.
#[derive(Debug)]
pub(crate) struct Kek {
    key: Key,
    store: StoreId,
    generation: u64,
}

impl Kek {
    pub(crate) const fn new(key: Key, store: StoreId, generation: u64) -> Self {
        Self { key, store, generation }
    }

    /// Wraps a new key.
    pub(crate) fn wrap(&self, purpose: Purpose, key: &Key, created_ms: i64) -> Wrapped {
        self.wrap_as(Bytes(random()), purpose, key, created_ms)
    }

    /// Takes over a key from another wrap: id and age stay.
    pub(crate) fn rewrap(
        &self,
        old: &Self,
        from: Purpose,
        wrapped: &Wrapped,
        to: Purpose,
    ) -> Result<Wrapped, WrapMismatch> {
        let key = old.unwrap(from, wrapped)?;
        Ok(self.wrap_as(wrapped.id, to, &key, wrapped.created_ms))
    }

    pub(crate) fn unwrap(&self, purpose: Purpose, wrapped: &Wrapped) -> Result<Key, WrapMismatch> {
        let mut buffer = Zeroizing::new(wrapped.sealed.0.to_vec());
        self.cipher()
            .decrypt_in_place(
                &Nonce::from(wrapped.nonce.0),
                &self.associated_data(wrapped.id, purpose),
                &mut *buffer,
            )
            .map_err(|_| WrapMismatch)?;
        Key::from_slice(&buffer).ok_or(WrapMismatch)
    }

    /// MAC over the key file.
    pub(crate) fn mac(&self, message: &[u8]) -> [u8; MAC_BYTES] {
        mac(Label::KeyFileMac, self.store, self.key.expose(), message)
    }

    pub(crate) fn mac_is_valid(&self, message: &[u8], tag: &[u8]) -> bool {
        mac_is_valid(Label::KeyFileMac, self.store, self.key.expose(), message, tag)
    }

    /// Wraps this key itself under a recovery key.
    pub(crate) fn wrap_under(&self, recovery: &Self, created_ms: i64) -> Wrapped {
        recovery.wrap(Purpose::RecoveryKek, &self.key, created_ms)
    }

    fn wrap_as(&self, id: Bytes<8>, purpose: Purpose, key: &Key, created_ms: i64) -> Wrapped {
        let nonce = random::<NONCE_BYTES>();
        let mut buffer = Zeroizing::new(Vec::with_capacity(WRAPPED_BYTES));
        buffer.extend_from_slice(key.expose());
        self.cipher()
            .encrypt_in_place(&Nonce::from(nonce), &self.associated_data(id, purpose), &mut *buffer)
            .expect("32 bytes are within the limits of AES-GCM");
        let mut sealed = [0; WRAPPED_BYTES];
        sealed.copy_from_slice(&buffer);
        Wrapped { id, created_ms, nonce: Bytes(nonce), sealed: Bytes(sealed) }
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(self.key.expose().into())
    }

    /// All fields but the last have a fixed length, so no two contexts share an encoding.
    fn associated_data(&self, id: Bytes<8>, purpose: Purpose) -> Vec<u8> {
        let mut data = Vec::with_capacity(64);
        data.extend_from_slice(b"keepwell");
        data.push(WRAP_VERSION);
        data.extend_from_slice(self.store.as_bytes());
        data.extend_from_slice(&id.0);
        data.extend_from_slice(&self.generation.to_be_bytes());
        data.extend_from_slice(purpose.text().as_bytes());
        data
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn kek(byte: u8, generation: u64) -> Kek {
        Kek::new(Key::take(&mut [byte; 32]), StoreId::from_bytes([1; 16]), generation)
    }

    #[test]
    fn labels_are_unique() {
        let texts: HashSet<_> = Label::ALL.iter().map(|label| label.text()).collect();
        assert_eq!(texts.len(), Label::ALL.len());
        assert!(Label::ALL.iter().all(|label| {
            !Label::ALL.iter().any(|other| other != label && other.text().starts_with(label.text()))
        }));
    }

    /// Computed by another implementation (Python's `hmac`, RFC 5869 by hand).
    #[test]
    fn derivations_are_frozen() {
        let vectors = [
            (Label::KekFromKeychain, "b21e0759f6c0829bfbf9638cf4dc3021a7255eda42febd1975e94b42462e295f"),
            (Label::KekFromPasscode, "58b5d6a6c8dfa861f1d49f93df21758b9a9401f3d4f91011437c9f40ab5afbeb"),
            (Label::KekFromBoth, "1c844e01849b5d7978108c1836d6fc6ea7859ae3824aa3d8e25042163abe9a14"),
            (Label::Device, "fedbcbfc4357cae63f2a77e08f0cc55fa6bb55009bd98118bdab1d6be5662a08"),
            (Label::KeyFileMac, "6e944745fa2a1a95adffe6db6cb33c0af03d70ddd912c3965e588a1c49ebfc7a"),
            (Label::Recovery, "53f318024f30350f0e0aa82861268e9a76bef3634b90363213728634919d28d2"),
            (Label::Attempts, "4daad472e3da416c94636785a180151e7038d292a037b12b6d669d41f818c661"),
            (Label::Anchor, "055d4991a4638660fb7fcfdc9f4a9a19c6f06694edccee6a3c51c3ae77dd1531"),
            (Label::Status, "2de59cf6e3cac0a29d5904f6bb54122c1baab44a0bf425afa82ba228947eab2d"),
            (Label::Remembered, "4b67d4b32f1d9d9402f8211839e661bffe505f2dc922a5bb9e74a83f89e42b04"),
            (Label::Blob, "4410f39fa473fbf9cd0ba4c022faa82fbdce7e91a71c81b4f734155cf8284bbd"),
        ];
        assert_eq!(vectors.len(), Label::ALL.len());
        for (label, expected) in vectors {
            let key = derive(label, &[1; 16], &[2; 32], b"ctx");
            assert_eq!(hex::encode(key.expose()), expected, "{}", label.text());
        }
        let tag = mac(Label::Anchor, StoreId::from_bytes([1; 16]), &[2; 32], b"message");
        assert_eq!(hex::encode(tag), "27aa14eee5ce9a295f7ef54f5881e933aa2301dd439abd044a2b3def12bd4d4d");
    }

    #[test]
    fn a_wrap_opens_only_in_its_own_place() {
        let key = Key::generate();
        let wrapped = kek(1, 1).wrap(Purpose::Database, &key, 5);
        assert_eq!(kek(1, 1).unwrap(Purpose::Database, &wrapped).unwrap().expose(), key.expose());
        assert!(kek(1, 1).unwrap(Purpose::Blob, &wrapped).is_err(), "another purpose");
        assert!(kek(1, 2).unwrap(Purpose::Database, &wrapped).is_err(), "another generation");
        assert!(kek(2, 1).unwrap(Purpose::Database, &wrapped).is_err(), "another key");
        let moved = Kek::new(Key::take(&mut [1; 32]), StoreId::from_bytes([2; 16]), 1);
        assert!(moved.unwrap(Purpose::Database, &wrapped).is_err(), "another store");
        let renamed = Wrapped { id: Bytes([0; 8]), ..wrapped };
        assert!(kek(1, 1).unwrap(Purpose::Database, &renamed).is_err(), "another key id");
    }

    #[test]
    fn two_wraps_of_one_key_differ() {
        let key = Key::generate();
        let wraps: HashSet<_> = (0..100).map(|_| kek(1, 1).wrap(Purpose::Sync, &key, 0).sealed.0).collect();
        assert_eq!(wraps.len(), 100);
    }
}
