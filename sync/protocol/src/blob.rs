//! Blobs: attachments, apart from the resources that refer to them, in chunks that resume.
//!
//! In a body on the wire, the base64 text of a large attachment is replaced by a token: `{"_blob":{"sha256":…,
//! "size":…}}` stands where the string stood. The blob is the content that the text stands for. A device asks for a blob
//! by its hash and gets it if it may read a resource that refers to it; the hash alone opens nothing.
//!
//! Invariant: a token is written in one way only, so that a body with it has one hash.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::document::Document;
use crate::error::{Error, Limit, Result};
use crate::hash::Hash;
use crate::id::Id;
use crate::limits::{BLOB_BYTES_MAX, CHUNK_BYTES_MAX, CHUNK_BYTES_MIN};

/// Header of a chunk: how many bytes the server has before it.
pub const UPLOAD_OFFSET: &str = "Upload-Offset";

/// An attachment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Blob {
    /// The hash of its bytes.
    pub sha256: Hash,
    /// How many they are.
    pub size: u64,
}

/// What stands in a body in place of an attachment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct BlobToken {
    /// The attachment.
    #[serde(rename = "_blob")]
    pub blob: Blob,
    /// The bytes are the text itself: decoded and encoded again it would be another one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub text: bool,
}

/// How a token begins.
const BEGIN: &[u8] = br#"{"_blob":"#;

impl BlobToken {
    /// The tokens in a body, with where each begins and ends; none if one is not written as it should be. What stands
    /// in a text is none, as its quotes are escaped.
    ///
    /// ```
    /// use keepwell_protocol::{Blob, BlobToken, Hash};
    /// let token = BlobToken { blob: Blob { sha256: Hash::of(b"scan"), size: 4 }, text: false };
    /// let body = format!(r#"{{"resourceType":"Binary","id":"1","data":{token}}}"#);
    /// assert_eq!(BlobToken::all(body.as_bytes()), Some(vec![(41..body.len() - 1, token)]));
    /// assert_eq!(BlobToken::all(body.replace("size\":4", "size\": 4").as_bytes()), None);
    /// ```
    #[must_use]
    pub fn all(body: &[u8]) -> Option<Vec<(std::ops::Range<usize>, Self)>> {
        let mut found = Vec::new();
        for start in memchr::memmem::find_iter(body, BEGIN) {
            let mut values = serde_json::Deserializer::from_slice(&body[start..]).into_iter::<Self>();
            let token = values.next()?.ok()?;
            token.check().ok()?;
            let place = start..start + values.byte_offset();
            if token.to_string().as_bytes() != &body[place.clone()] {
                return None;
            }
            found.push((place, token));
        }
        Some(found)
    }

    /// The token for a text of base64, and the content that it names: what the text stands for, or the text itself
    /// where that would be spelled in another way.
    ///
    /// ```
    /// use keepwell_protocol::BlobToken;
    /// let (token, content) = BlobToken::of(b"c2Nhbg==");
    /// assert_eq!((&*content, token.text), (&b"scan"[..], false));
    /// assert_eq!(token.text_of(content.into_owned()), b"c2Nhbg==");
    /// let (token, content) = BlobToken::of(b"c2Nh bg==");
    /// assert_eq!((&*content, token.text), (&b"c2Nh bg=="[..], true));
    /// ```
    #[must_use]
    pub fn of(text: &[u8]) -> (Self, Cow<'_, [u8]>) {
        let content =
            STANDARD.decode(text).ok().filter(|content| STANDARD.encode(content).as_bytes() == text);
        let is_text = content.is_none();
        let content = content.map_or(Cow::Borrowed(text), Cow::Owned);
        let blob = Blob { sha256: Hash::of(&content), size: content.len() as u64 };
        (Self { blob, text: is_text }, content)
    }

    /// The text that stood where the token stands, from its content.
    #[must_use]
    pub fn text_of(&self, content: Vec<u8>) -> Vec<u8> {
        if self.text { content } else { STANDARD.encode(content).into_bytes() }
    }
}

impl std::fmt::Display for BlobToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&serde_json::to_string(self).expect("hashes and numbers are JSON"))
    }
}

impl Document for BlobToken {
    fn check(&self) -> Result<()> {
        self.blob.check()
    }
}

/// `POST /sync/v1/uploads`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct NewUpload {
    /// The version of the protocol.
    pub v: u32,
    /// The hash of the whole.
    pub sha256: Hash,
    /// The size of the whole.
    pub size: u64,
}

impl Document for NewUpload {
    fn check(&self) -> Result<()> {
        Blob { sha256: self.sha256, size: self.size }.check()
    }
}

impl Blob {
    fn check(&self) -> Result<()> {
        if self.size > BLOB_BYTES_MAX { Err(Error::TooLarge(Limit::Resource)) } else { Ok(()) }
    }
}

/// Answer to a new upload and to each chunk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Upload {
    /// Names the upload in `PATCH /sync/v1/uploads/{id}`.
    pub id: Id,
    /// How many bytes the server has. The next chunk begins there.
    pub offset: u64,
}

impl Document for Upload {}

/// Why a chunk is not one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// It begins elsewhere than the server's bytes end.
    #[error("the chunk does not begin where the upload ends")]
    Offset {
        /// Where it should begin.
        expected: u64,
    },
    /// It is empty, too small to be one in the middle, or too large.
    #[error("the size of the chunk is out of its range")]
    Size,
    /// It goes over the size of the whole.
    #[error("the chunk goes over the end of the blob")]
    Beyond,
}

impl Upload {
    /// Whether a chunk of `length` bytes at `offset` may be added to an upload of a blob of `size` bytes; gives the
    /// new offset.
    ///
    /// # Errors
    /// See [`ChunkError`].
    ///
    /// ```
    /// use keepwell_protocol::{ChunkError, Upload};
    /// let upload = Upload { id: "u1".parse()?, offset: 1 << 20 };
    /// assert_eq!(upload.accept(0, 300, 1 << 21), Err(ChunkError::Offset { expected: 1 << 20 }));
    /// assert_eq!(upload.accept(1 << 20, 1 << 20, 1 << 21), Ok(1 << 21));
    /// # Ok::<(), keepwell_protocol::Error>(())
    /// ```
    pub fn accept(&self, offset: u64, length: usize, size: u64) -> Result<u64, ChunkError> {
        if offset != self.offset {
            return Err(ChunkError::Offset { expected: self.offset });
        }
        let end = offset.checked_add(length as u64).filter(|end| *end <= size).ok_or(ChunkError::Beyond)?;
        let is_last = end == size;
        let fits = length <= CHUNK_BYTES_MAX && (length >= CHUNK_BYTES_MIN || (is_last && length > 0));
        if fits { Ok(end) } else { Err(ChunkError::Size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_follow_each_other_up_to_the_end() {
        let upload = Upload { id: "u1".parse().unwrap(), offset: 100 };
        let size = 100 + CHUNK_BYTES_MIN as u64;
        for (offset, length, expected) in [
            (100, CHUNK_BYTES_MIN, Ok(size)),
            (100, CHUNK_BYTES_MIN + 1, Err(ChunkError::Beyond)),
            (100, CHUNK_BYTES_MIN - 1, Err(ChunkError::Size)),
            (100, 0, Err(ChunkError::Size)),
            (100, usize::MAX, Err(ChunkError::Beyond)),
            (99, CHUNK_BYTES_MIN, Err(ChunkError::Offset { expected: 100 })),
            (101, CHUNK_BYTES_MIN, Err(ChunkError::Offset { expected: 100 })),
        ] {
            assert_eq!(upload.accept(offset, length, size), expected, "{offset} {length}");
        }
        assert_eq!(upload.accept(100, 7, 107), Ok(107));
        assert_eq!(upload.accept(100, CHUNK_BYTES_MAX + 1, u64::MAX), Err(ChunkError::Size));
    }
}
