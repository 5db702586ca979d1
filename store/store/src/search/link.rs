//! The link to the next page: what a search must remember, sealed.
//!
//! A link holds the search, the change as of which it was begun, and the place where the page ended. It is sealed with
//! a key that only this store has, so it tells nobody anything, cannot be altered, and works after a restart.
//!
//! Invariant: a link that opens was made by this store, for exactly this search.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keepwell_vault::{Key, StoreId};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::error::SearchError;
use crate::error::{Error, Result};

/// How long a link to the next page works. Superseded versions stay in the index at least as long.
pub const LINK_AGE_MAX_MS: i64 = 60 * 60 * 1000;

/// The longest link that is opened; none that this store makes comes near.
const LINK_BYTES_MAX: usize = 64 << 10;

const LABEL: &[u8] = b"keepwell/search/link/v1";

/// What the next page needs to know.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Link {
    /// The search as it was asked, relative to the base.
    pub(crate) url: String,
    /// Whether unknown parameters are ignored.
    pub(crate) lenient: bool,
    /// The change as of which the search answers.
    pub(crate) as_of: u32,
    /// When the first page was made, ms since 1970-01-01T00:00Z.
    pub(crate) made: i64,
    /// The last entry of the page before.
    pub(crate) after: Place,
    /// The total that was counted for the first page.
    pub(crate) total: Option<u64>,
}

/// Where a page ended: its last entry, in the order of the search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The sort key of the entry, one part for each key of `_sort`; empty in the order of changes.
    pub(crate) keys: Vec<Option<Vec<u8>>>,
    /// The entry itself.
    pub(crate) doc: u32,
    /// How many of its contained resources were on the page, if there are more; 0 otherwise.
    #[serde(default)]
    pub(crate) shown: u32,
}

/// Seals and opens the links of one store.
pub(crate) struct Links {
    key: LessSafeKey,
    store: StoreId,
}

impl Links {
    /// Links that `secret`, a key which stays the same for the life of the store, protects.
    pub(crate) fn new(secret: &Key, store: StoreId) -> Self {
        let mut key = [0; 32];
        hkdf::Salt::new(hkdf::HKDF_SHA256, store.as_bytes())
            .extract(secret.expose())
            .expand(&[LABEL], hkdf::HKDF_SHA256)
            .and_then(|material| material.fill(&mut key))
            .expect("HKDF gives 32 bytes");
        let key = Key::take(&mut key);
        let key = UnboundKey::new(&AES_256_GCM, key.expose()).expect("the key has 32 bytes");
        Self { key: LessSafeKey::new(key), store }
    }

    pub(crate) fn seal(&self, link: &Link) -> Result<String> {
        let mut sealed = vec![0; NONCE_LEN];
        SystemRandom::new()
            .fill(&mut sealed)
            .map_err(|_| Error::Argument("the system gave no randomness"))?;
        let nonce = Nonce::try_assume_unique_for_key(&sealed).expect("a nonce was just drawn");
        let mut content = serde_json::to_vec(link).expect("a link is plain data");
        self.key
            .seal_in_place_append_tag(nonce, self.aad(), &mut content)
            .map_err(|_| Error::Argument("the search is too long for a link"))?;
        sealed.append(&mut content);
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// What a link says.
    ///
    /// # Errors
    /// [`SearchError::LinkInvalid`] when this store did not make it, [`SearchError::LinkExpired`] when it is too old.
    pub(crate) fn open(&self, text: &str, now_ms: i64) -> Result<Link, SearchError> {
        let invalid = || SearchError::LinkInvalid;
        if text.len() > LINK_BYTES_MAX {
            return Err(invalid());
        }
        let mut sealed = URL_SAFE_NO_PAD.decode(text).map_err(|_| invalid())?;
        let (nonce, content) = sealed.split_at_mut_checked(NONCE_LEN).ok_or_else(invalid)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| invalid())?;
        let content = self.key.open_in_place(nonce, self.aad(), content).map_err(|_| invalid())?;
        let link: Link = serde_json::from_slice(content).map_err(|_| invalid())?;
        if now_ms.saturating_sub(link.made) > LINK_AGE_MAX_MS {
            return Err(SearchError::LinkExpired);
        }
        Ok(link)
    }

    fn aad(&self) -> Aad<[u8; 16]> {
        Aad::from(*self.store.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        Link {
            url: "Patient?name=x".to_owned(),
            lenient: false,
            as_of: 7,
            made: 1_000,
            after: Place { keys: vec![Some(vec![0, 255]), None], doc: 3, shown: 0 },
            total: Some(9),
        }
    }

    fn links(secret: u8) -> Links {
        Links::new(&Key::take(&mut [secret; 32]), StoreId::from_bytes([1; 16]))
    }

    #[test]
    fn a_link_comes_back_and_tells_nothing() {
        let text = links(1).seal(&link()).unwrap();
        assert_eq!(links(1).open(&text, 2_000), Ok(link()));
        let bytes = URL_SAFE_NO_PAD.decode(text).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"Patient"));
    }

    #[test]
    fn altered_foreign_and_old_links_are_refused() {
        let text = links(1).seal(&link()).unwrap();
        assert_eq!(links(2).open(&text, 0), Err(SearchError::LinkInvalid));
        let expired = links(1).open(&text, 1_001 + LINK_AGE_MAX_MS);
        assert_eq!(expired, Err(SearchError::LinkExpired));
        for place in 0..text.len() {
            let mut altered = text.clone().into_bytes();
            altered[place] ^= 4;
            let altered = String::from_utf8(altered).unwrap();
            assert_eq!(links(1).open(&altered, 0), Err(SearchError::LinkInvalid), "{place}");
        }
        for text in ["", "a", "====", "AAAA"] {
            assert_eq!(links(1).open(text, 0), Err(SearchError::LinkInvalid), "{text}");
        }
    }
}
