//! The name of one store: 128 random bits, written as 32 hexadecimal digits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Length of a store id in bytes.
pub const STORE_ID_BYTES: usize = 16;

/// Names a store for its whole life. Not secret.
///
/// ```
/// use keepwell_vault::StoreId;
/// let id = StoreId::generate();
/// assert_eq!(id.to_string().parse(), Ok(id));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreId([u8; STORE_ID_BYTES]);

impl StoreId {
    /// A new name.
    #[must_use]
    pub fn generate() -> Self {
        Self(crate::crypto::random())
    }

    /// The name as bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; STORE_ID_BYTES] {
        &self.0
    }

    /// The name with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; STORE_ID_BYTES]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The text is not 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a store id")]
pub struct InvalidStoreId;

impl FromStr for StoreId {
    type Err = InvalidStoreId;

    fn from_str(text: &str) -> Result<Self, InvalidStoreId> {
        let mut bytes = [0; STORE_ID_BYTES];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidStoreId)?;
        let id = Self(bytes);
        if id.to_string() == text { Ok(id) } else { Err(InvalidStoreId) }
    }
}

impl Serialize for StoreId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StoreId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
