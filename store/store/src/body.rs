//! Resource bodies as they are stored: compressed before SQLCipher encrypts them.
//!
//! A stored body is one codec byte, the content's length as a varint, and the content: raw, compressed with the
//! dictionary that is part of this program, or (for a superseded version) compressed against its successor.
//! Fewer pages beat faster pages: see docs/adr/0003-body-compression.md.
//!
//! Invariant: `decode(encode(content)) == content`, byte for byte.

use std::sync::LazyLock;

use zstd::bulk::Compressor;
use zstd::dict::{DecoderDictionary, EncoderDictionary};
use zstd::zstd_safe::{DCtx, compress_bound};

use crate::error::{Error, Result};

/// The largest resource that is stored, in bytes, attachments aside.
pub const RESOURCE_BYTES_MAX: usize = 64 << 20;

/// zstd's level: above it the bodies shrink by a few percent and cost twice the time (ADR 0003).
const LEVEL: i32 = 3;

/// Trained on generated patients (`cargo run -p keepwell-sample --example train_dictionary`).
///
/// Stored bodies name it by their codec, so it never changes: a better one becomes a new codec.
static DICTIONARY: &[u8] = include_bytes!("body.dict");
static ENCODER: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(DICTIONARY, LEVEL));
static DECODER: LazyLock<DecoderDictionary<'static>> = LazyLock::new(|| DecoderDictionary::copy(DICTIONARY));

/// zstd's frame magic, which every frame repeats: cut off before storing.
const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();

const RAW: u8 = 0;
const DICTIONARY_1: u8 = 1;
const AGAINST_SUCCESSOR: u8 = 2;

/// Encodes bodies; keeps its zstd context between calls. One a thread.
pub(crate) struct Encoder {
    zstd: Compressor<'static>,
}

impl Encoder {
    pub(crate) fn new() -> Self {
        let mut zstd =
            Compressor::with_prepared_dictionary(&ENCODER).expect("the built-in dictionary is valid");
        lean_frames(&mut zstd);
        Self { zstd }
    }

    /// The stored form of a current version.
    pub(crate) fn encode(&mut self, content: &[u8]) -> Vec<u8> {
        pack(DICTIONARY_1, content, &mut self.zstd)
    }

    /// The stored form of a version that `successor` replaced: mostly the few bytes in which they differ.
    pub(crate) fn encode_against(content: &[u8], successor: &[u8]) -> Vec<u8> {
        let mut zstd = Compressor::new(LEVEL).expect("the level is in range");
        // Referred to, not loaded: of what zstd copies, something may stay in memory.
        zstd.context_mut().ref_prefix(successor).expect("any bytes serve as prefix");
        lean_frames(&mut zstd);
        pack(AGAINST_SUCCESSOR, content, &mut zstd)
    }
}

/// What a frame need not say: our row is authenticated by SQLCipher, and its codec and length stand before it.
fn lean_frames(zstd: &mut Compressor<'_>) {
    zstd.include_checksum(false).expect("a plain flag");
    zstd.include_dictid(false).expect("a plain flag");
    zstd.include_contentsize(false).expect("a plain flag");
}

fn pack(codec: u8, content: &[u8], zstd: &mut Compressor<'_>) -> Vec<u8> {
    let mut stored = Vec::with_capacity(compress_bound(content.len()) + 12);
    stored.push(codec);
    write_varint(&mut stored, content.len());
    let head = stored.len();
    stored.resize(stored.capacity(), 0);
    let written =
        zstd.compress_to_buffer(content, &mut stored[head..]).expect("the buffer holds compress_bound bytes");
    debug_assert_eq!(stored[head..head + 4], MAGIC);
    if written < content.len() {
        stored.copy_within(head + MAGIC.len()..head + written, head);
        stored.truncate(head + written - MAGIC.len());
    } else {
        stored[0] = RAW;
        stored.truncate(head);
        stored.extend_from_slice(content);
    }
    stored.shrink_to_fit();
    stored
}

/// Decodes bodies; keeps its zstd context and a frame buffer between calls. One a reader.
pub(crate) struct Decoder {
    zstd: DCtx<'static>,
    frame: Vec<u8>,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        let mut zstd = DCtx::create();
        zstd.ref_ddict(DECODER.as_ddict()).expect("the built-in dictionary is valid");
        Self { zstd, frame: Vec::new() }
    }

    /// The content of a stored body that does not need its successor.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the bytes are not what [`Encoder`] writes.
    pub(crate) fn decode(&mut self, stored: &[u8]) -> Result<Vec<u8>> {
        match split(stored)? {
            (RAW, length, content) if content.len() == length => Ok(content.to_vec()),
            (DICTIONARY_1, length, frame) => unpack(&mut self.zstd, &mut self.frame, frame, length),
            _ => Err(Error::Corrupt),
        }
    }

    /// As [`Self::decode`], for a version whose successor's content is at hand.
    pub(crate) fn decode_against(&mut self, stored: &[u8], successor: &[u8]) -> Result<Vec<u8>> {
        match split(stored)? {
            (AGAINST_SUCCESSOR, length, frame) => {
                let mut zstd = DCtx::create();
                zstd.ref_prefix(successor).map_err(|_| Error::Corrupt)?;
                unpack(&mut zstd, &mut self.frame, frame, length)
            }
            _ => self.decode(stored),
        }
    }
}

/// Whether [`Decoder::decode_against`] must be given the successor.
pub(crate) fn needs_successor(stored: &[u8]) -> bool {
    stored.first() == Some(&AGAINST_SUCCESSOR)
}

fn unpack(zstd: &mut DCtx<'_>, buffer: &mut Vec<u8>, frame: &[u8], length: usize) -> Result<Vec<u8>> {
    buffer.clear();
    buffer.extend_from_slice(&MAGIC);
    buffer.extend_from_slice(frame);
    let mut content = Vec::with_capacity(length);
    zstd.decompress(&mut content, buffer).map_err(|_| Error::Corrupt)?;
    if content.len() == length { Ok(content) } else { Err(Error::Corrupt) }
}

fn split(stored: &[u8]) -> Result<(u8, usize, &[u8])> {
    let (&codec, rest) = stored.split_first().ok_or(Error::Corrupt)?;
    let (length, rest) = read_varint(rest).ok_or(Error::Corrupt)?;
    if length > RESOURCE_BYTES_MAX { Err(Error::Corrupt) } else { Ok((codec, length, rest)) }
}

/// LEB128: seven bits a byte, lowest first.
#[expect(clippy::cast_possible_truncation, reason = "what is cast has seven bits")]
fn write_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn read_varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (place, &byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[place + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn decoded_content_is_what_was_encoded(content in prop::collection::vec(any::<u8>(), 0..3000)) {
            let stored = Encoder::new().encode(&content);
            prop_assert!(stored.len() <= content.len() + 3);
            prop_assert_eq!(Decoder::new().decode(&stored).unwrap(), content);
        }

        #[test]
        fn a_version_comes_back_from_its_successor(
            content in "[a-z ]{0,400}", successor in "[a-z ]{0,400}"
        ) {
            let stored = Encoder::encode_against(content.as_bytes(), successor.as_bytes());
            let back = Decoder::new().decode_against(&stored, successor.as_bytes()).unwrap();
            prop_assert_eq!(back, content.as_bytes());
        }

        #[test]
        fn hostile_stored_bytes_are_refused_or_decoded(stored in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Decoder::new().decode(&stored);
            let _ = Decoder::new().decode_against(&stored, b"successor");
        }
    }

    #[test]
    fn a_small_edit_is_stored_in_a_few_bytes() {
        let old = include_str!("body.rs");
        let new = old.replace("LEVEL", "DEPTH");
        let stored = Encoder::encode_against(old.as_bytes(), new.as_bytes());
        assert!(stored.len() < old.len() / 20, "{} of {}", stored.len(), old.len());
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_memory_is_taken() {
        let mut stored = vec![DICTIONARY_1];
        write_varint(&mut stored, RESOURCE_BYTES_MAX + 1);
        assert!(matches!(Decoder::new().decode(&stored), Err(Error::Corrupt)));
    }
}
