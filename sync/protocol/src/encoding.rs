//! Content encodings: a body as it is, as zstd, or as zstd with a dictionary.
//!
//! What is small is compressed with tables that were prepared from the dictionary once. What is large (a page, for one)
//! repeats itself more than it repeats the dictionary, so it gets tables of its own, which the dictionary is read into.

use std::io::Write as _;

use zstd::stream::write::Encoder;
use zstd::zstd_safe::{CParameter, Strategy};

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
        Deflate { encoding: self, plain: Vec::new(), large: None }
    }

    /// Compresses a body that is no larger than [`SMALL_BYTES`].
    fn encode_small(&self, plain: Vec<u8>) -> Vec<u8> {
        let encoder = match self {
            Self::Identity => return plain,
            Self::Zstd => Encoder::new(Vec::new(), LEVEL),
            Self::Dictionary(dictionary) => {
                Encoder::with_prepared_dictionary(Vec::new(), dictionary.encoder())
            }
        };
        let mut encoder = encoder.expect(PARAMETERS);
        encoder.include_checksum(true).expect(PARAMETERS);
        encoder.write_all(&plain).expect(INTO_MEMORY);
        encoder.finish().expect(INTO_MEMORY)
    }

    /// A compressor for a large body; none if it stays as it is.
    fn large(&self) -> Option<Box<Encoder<'static, Vec<u8>>>> {
        let dictionary = match self {
            Self::Identity => return None,
            Self::Zstd => &[][..],
            Self::Dictionary(dictionary) => dictionary.bytes(),
        };
        let mut encoder = Encoder::with_dictionary(Vec::new(), LEVEL, dictionary).expect(PARAMETERS);
        for parameter in LARGE {
            encoder.set_parameter(*parameter).expect(PARAMETERS);
        }
        encoder.include_checksum(true).expect(PARAMETERS);
        Some(Box::new(encoder))
    }
}

/// Up to here a body is small, in bytes before compression.
const SMALL_BYTES: usize = 8 << 10;

/// How large bodies are compressed. Measured on pages of 5,000 resources of Synthea: a fifth smaller than zstd's level 3,
/// for 10 us a resource in place of 4. The window stays at 2 MiB, since the receiver has to hold it; matches of less than
/// six bytes are mostly digits of ids, which are cheaper as they are.
const LARGE: &[CParameter] = &[
    CParameter::WindowLog(21),
    CParameter::HashLog(18),
    CParameter::ChainLog(18),
    CParameter::SearchLog(4),
    CParameter::MinMatch(6),
    CParameter::Strategy(Strategy::ZSTD_lazy2),
];

/// A body that is being written.
pub(crate) struct Deflate<'d> {
    encoding: &'d Encoding,
    /// What has not been compressed: of a body that is small so far, or that stays as it is.
    plain: Vec<u8>,
    large: Option<Box<Encoder<'static, Vec<u8>>>>,
}

impl Deflate<'_> {
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        if let Some(large) = &mut self.large {
            return large.write_all(bytes).expect(INTO_MEMORY);
        }
        self.plain.extend_from_slice(bytes);
        if self.plain.len() > SMALL_BYTES
            && let Some(mut large) = self.encoding.large()
        {
            large.write_all(&self.plain).expect(INTO_MEMORY);
            self.plain = Vec::new();
            self.large = Some(large);
        }
    }

    /// What can be sent already.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        match (&mut self.large, self.encoding) {
            (Some(large), _) => std::mem::take(large.get_mut()),
            (None, Encoding::Identity) => std::mem::take(&mut self.plain),
            (None, _) => Vec::new(),
        }
    }

    /// The rest.
    pub(crate) fn finish(self) -> Vec<u8> {
        match self.large {
            Some(large) => large.finish().expect(INTO_MEMORY),
            None => self.encoding.encode_small(self.plain),
        }
    }
}

const PARAMETERS: &str = "zstd only fails on its parameters, which are constants";

const INTO_MEMORY: &str = "writing into memory does not fail";
