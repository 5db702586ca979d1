//! Dictionaries: what every message has in common, known to both sides before the first.
//!
//! A dictionary is static, holds no patient's data, and is named by the hash of its bytes, so it never changes. It is
//! one of zstd's own (RFC 8878, section 5), with a number that each frame repeats.

use std::fmt;
use std::sync::{Arc, LazyLock};

use zstd::dict::EncoderDictionary;
use zstd::zstd_safe::DCtx;

use crate::error::{Error, Limit, Result};
use crate::hash::Hash;
use crate::limits::DICTIONARY_BYTES_MAX;

/// zstd's level where there is no dictionary to prepare.
pub(crate) const LEVEL: i32 = 3;

/// zstd's level for what is small, with the dictionary: its tables are made once, so that it costs a quarter of a
/// millisecond for a page of one resource, which is a tenth smaller than with level 3.
const PREPARED_LEVEL: i32 = 15;

/// What a dictionary begins with.
const MAGIC: [u8; 4] = 0xEC30_A437_u32.to_le_bytes();

/// Numbers below are reserved (RFC 8878, section 5).
const NUMBER_MIN: u32 = 32_768;

/// Made from generated patients alone: `cargo run --release -p keepwell-protocol --example make_dictionary`.
static BUILT_IN: LazyLock<Dictionary> = LazyLock::new(|| {
    Dictionary::new(include_bytes!("wire.dict").to_vec()).expect("the built-in dictionary is a dictionary")
});

/// Bytes that compressor and decompressor both start from. Cheap to clone.
#[derive(Clone)]
pub struct Dictionary(Arc<Prepared>);

struct Prepared {
    id: Hash,
    bytes: Vec<u8>,
    encoder: EncoderDictionary<'static>,
}

impl Dictionary {
    /// The dictionary of this version, which `hello` offers and `dict` serves.
    #[must_use]
    pub fn built_in() -> Self {
        BUILT_IN.clone()
    }

    /// A dictionary that a server gave.
    ///
    /// # Errors
    /// [`Error::TooLarge`] above [`DICTIONARY_BYTES_MAX`]; [`Error::Compression`] when it is none of zstd's.
    pub fn new(bytes: Vec<u8>) -> Result<Self> {
        if bytes.len() > DICTIONARY_BYTES_MAX {
            return Err(Error::TooLarge(Limit::Message));
        }
        let number = bytes.get(4..8).and_then(|number| number.try_into().ok()).map(u32::from_le_bytes);
        if !bytes.starts_with(&MAGIC) || number.is_none_or(|number| number < NUMBER_MIN) {
            return Err(Error::Compression);
        }
        // Its tables are read here, so that a damaged one is refused now and not with the first message.
        DCtx::create().load_dictionary(&bytes).map_err(|_| Error::Compression)?;
        let encoder = EncoderDictionary::copy(&bytes, PREPARED_LEVEL);
        Ok(Self(Arc::new(Prepared { id: Hash::of(&bytes), bytes, encoder })))
    }

    /// Its name: the hash of its bytes.
    #[must_use]
    pub fn id(&self) -> Hash {
        self.0.id
    }

    /// Its bytes, for those who do not have them yet.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    pub(crate) fn encoder(&self) -> &EncoderDictionary<'static> {
        &self.0.encoder
    }
}

impl fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dictionary({})", self.0.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_dictionary_never_changes() {
        assert_eq!(Dictionary::built_in().id().to_string(), "LA6XlUErIyCuehRAQuRpyl_gGeuDd0McUweR3fyu9_0");
        assert_eq!(Dictionary::built_in().id(), Hash::of(Dictionary::built_in().bytes()));
    }

    #[test]
    fn what_is_no_dictionary_is_refused() {
        let ours = Dictionary::built_in().bytes().to_vec();
        for bytes in [&b""[..], b"text", &MAGIC, &ours[..8], &ours[..100], &ours[4..]] {
            assert_eq!(Dictionary::new(bytes.to_vec()).unwrap_err(), Error::Compression);
        }
        let mut reserved = ours;
        reserved[4..8].copy_from_slice(&1_u32.to_le_bytes());
        assert_eq!(Dictionary::new(reserved).unwrap_err(), Error::Compression);
        let large = vec![1; DICTIONARY_BYTES_MAX + 1];
        assert_eq!(Dictionary::new(large).unwrap_err(), Error::TooLarge(Limit::Message));
    }
}
