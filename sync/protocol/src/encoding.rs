//! Content encodings: a body as it is, as zstd, or as zstd with a dictionary.
//!
//! What is small is compressed with tables that were prepared from the dictionary once. What is large (a page, for one)
//! repeats itself more than it repeats the dictionary, so it gets tables of its own, which the dictionary is read into.
//!
//! A frame says how long its content is if that is known when it begins: then neither side gets itself more room than
//! the content needs. That room is megabytes otherwise, of which each is wiped twice where memory is wiped.

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
        Deflate { encoding: self, plain: Vec::new(), stream: None }
    }

    /// A compressor for a body, of this length if it is known; none if the body stays as it is.
    fn encoder(&self, length: Option<usize>) -> Option<Encoder<'_, Vec<u8>>> {
        let is_small = length.is_some_and(|length| length <= SMALL_BYTES);
        let encoder = match self {
            Self::Identity => return None,
            Self::Zstd => Encoder::new(Vec::new(), LEVEL),
            Self::Dictionary(dictionary) if is_small => {
                Encoder::with_prepared_dictionary(Vec::new(), dictionary.encoder())
            }
            Self::Dictionary(dictionary) => Encoder::with_dictionary(Vec::new(), LEVEL, dictionary.bytes()),
        };
        let mut encoder = encoder.expect(PARAMETERS);
        for parameter in LARGE.iter().filter(|_| !is_small) {
            encoder.set_parameter(*parameter).expect(PARAMETERS);
        }
        encoder.include_checksum(true).expect(PARAMETERS);
        encoder.set_pledged_src_size(length.map(|length| length as u64)).expect(PARAMETERS);
        Some(encoder)
    }
}

/// Up to here a body is small, in bytes before compression.
const SMALL_BYTES: usize = 8 << 10;

/// Up to here a body is compressed as a whole: as much as a push holds, and the first chunk of a page.
const WHOLE_BYTES: usize = 256 << 10;

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
    /// What has not been compressed: of a body that may yet be whole, or that stays as it is.
    plain: Vec<u8>,
    stream: Option<Box<Encoder<'d, Vec<u8>>>>,
}

impl Deflate<'_> {
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        if let Some(stream) = &mut self.stream {
            return stream.write_all(bytes).expect(INTO_MEMORY);
        }
        self.plain.extend_from_slice(bytes);
        if self.plain.len() > WHOLE_BYTES
            && let Some(mut stream) = self.encoding.encoder(None)
        {
            stream.write_all(&self.plain).expect(INTO_MEMORY);
            self.plain = Vec::new();
            self.stream = Some(Box::new(stream));
        }
    }

    /// What can be sent already.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        match (&mut self.stream, self.encoding) {
            (Some(stream), _) => std::mem::take(stream.get_mut()),
            (None, Encoding::Identity) => std::mem::take(&mut self.plain),
            (None, _) => Vec::new(),
        }
    }

    /// The rest.
    pub(crate) fn finish(self) -> Vec<u8> {
        if let Some(stream) = self.stream {
            return stream.finish().expect(INTO_MEMORY);
        }
        let Some(mut encoder) = self.encoding.encoder(Some(self.plain.len())) else { return self.plain };
        encoder.write_all(&self.plain).expect(INTO_MEMORY);
        encoder.finish().expect(INTO_MEMORY)
    }
}

const PARAMETERS: &str = "zstd only fails on its parameters, which are constants";

const INTO_MEMORY: &str = "writing into memory does not fail";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_says_how_long_its_content_is_unless_it_is_sent_before_that_is_known() {
        for encoding in [Encoding::Zstd, Encoding::Dictionary(Dictionary::built_in())] {
            for length in [0, 1, SMALL_BYTES, SMALL_BYTES + 1, WHOLE_BYTES, WHOLE_BYTES + 1] {
                let frame = encoding.encode(&vec![b'x'; length]);
                let said = zstd::zstd_safe::get_frame_content_size(&frame).unwrap();
                assert_eq!(said, (length <= WHOLE_BYTES).then_some(length as u64), "{length}");
            }
        }
    }
}
