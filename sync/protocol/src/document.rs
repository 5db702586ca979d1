//! Messages of one line.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::encoding::Encoding;
use crate::error::{Error, Limit, Result};
use crate::inflate::Inflate;
use crate::limits::DOCUMENT_BYTES_MAX;
use crate::message::{read, write};

/// A message that is one JSON object.
pub trait Document: Serialize + DeserializeOwned {
    /// Its size, in bytes before compression.
    const BYTES_MAX: usize = DOCUMENT_BYTES_MAX;

    /// Whether its members agree with each other and with the limits.
    ///
    /// # Errors
    /// [`Error::Contradiction`], [`Error::TooLarge`].
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// A document as bytes, ended by a line feed.
#[must_use]
pub fn to_bytes<T: Document>(document: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(document, &mut bytes);
    bytes.push(b'\n');
    bytes
}

/// A document in an encoding.
#[must_use]
pub fn to_encoded<T: Document>(document: &T, encoding: &Encoding) -> Vec<u8> {
    encoding.encode(&to_bytes(document))
}

/// Reads a document.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::Malformed`], [`Error::Contradiction`].
pub fn from_bytes<T: Document>(bytes: &[u8]) -> Result<T> {
    if bytes.len() > T::BYTES_MAX {
        return Err(Error::TooLarge(Limit::Message));
    }
    let document: T = read(bytes)?;
    document.check()?;
    Ok(document)
}

/// Reads a document in an encoding.
///
/// # Errors
/// As [`from_bytes`], and those of [`Inflate`].
pub fn from_encoded<T: Document>(mut bytes: &[u8], encoding: &Encoding) -> Result<T> {
    const BUFFER_BYTES: usize = 4 << 10;
    let mut inflate = Inflate::new(encoding, T::BYTES_MAX);
    let (mut text, mut buffer) = (Vec::new(), [0; BUFFER_BYTES]);
    loop {
        let length = inflate.read(&mut bytes, &mut buffer)?;
        text.extend_from_slice(&buffer[..length]);
        if length == 0 && bytes.is_empty() {
            inflate.finish()?;
            return from_bytes(&text);
        }
    }
}
