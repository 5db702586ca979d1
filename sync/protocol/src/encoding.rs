//! Content encodings: a body as it is, as zstd, or as zstd with a dictionary.

use std::io::Write as _;

use zstd::stream::write::Encoder;

use crate::dictionary::{Dictionary, LEVEL};
use crate::error::{Error, Result};

/// How a message body is encoded.
///
/// Both kinds of zstd are `zstd` in `Content-Encoding`: a frame says itself which dictionary it needs, if any. Whoever
/// has a dictionary reads both.
#[derive(Clone, Debug, Default)]
pub enum Encoding {
    /// As it is; no header.
    #[default]
    Identity,
    /// One frame (RFC 8878).
    Zstd,
    /// One frame that may need this dictionary.
    Dictionary(Dictionary),
}

/// Header in which a device names the dictionary that it can read, and a server the one that it has used.
pub const DICTIONARY: &str = "Keepwell-Dictionary";

impl Encoding {
    /// What `Content-Encoding` says; nothing for bytes as they are.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Zstd | Self::Dictionary(_) => Some("zstd"),
        }
    }

    /// The encoding of that name, for a receiver that has this dictionary.
    ///
    /// # Errors
    /// [`Error::UnknownEncoding`].
    pub fn from_name(name: Option<&str>, dictionary: Option<&Dictionary>) -> Result<Self> {
        match name {
            None | Some("identity") => Ok(Self::Identity),
            Some("zstd") => Ok(dictionary.cloned().map_or(Self::Zstd, Self::Dictionary)),
            Some(_) => Err(Error::UnknownEncoding),
        }
    }

    /// The bytes in this encoding.
    #[must_use]
    pub fn encode(&self, bytes: &[u8]) -> Vec<u8> {
        let mut out = self.start();
        out.write(bytes);
        out.finish()
    }

    /// Begins to write a body.
    pub(crate) fn start(&self) -> Deflate<'_> {
        let plain = "zstd only fails on its parameters, which are constants";
        let mut zstd = match self {
            Self::Identity => return Deflate::Identity(Vec::new()),
            Self::Zstd => Encoder::new(Vec::new(), LEVEL).expect(plain),
            Self::Dictionary(dictionary) => {
                Encoder::with_prepared_dictionary(Vec::new(), dictionary.encoder()).expect(plain)
            }
        };
        zstd.include_checksum(true).expect(plain);
        Deflate::Zstd(Box::new(zstd))
    }
}

/// A body that is being written.
pub(crate) enum Deflate<'d> {
    Identity(Vec<u8>),
    Zstd(Box<Encoder<'d, Vec<u8>>>),
}

impl Deflate<'_> {
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        match self {
            Self::Identity(out) => out.extend_from_slice(bytes),
            Self::Zstd(zstd) => zstd.write_all(bytes).expect(INTO_MEMORY),
        }
    }

    /// What can be sent already.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        match self {
            Self::Identity(out) => std::mem::take(out),
            Self::Zstd(zstd) => std::mem::take(zstd.get_mut()),
        }
    }

    /// The rest.
    pub(crate) fn finish(self) -> Vec<u8> {
        match self {
            Self::Identity(out) => out,
            Self::Zstd(zstd) => zstd.finish().expect(INTO_MEMORY),
        }
    }
}

const INTO_MEMORY: &str = "writing into memory does not fail";
