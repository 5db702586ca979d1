//! Attachments, sealed in chunks.
//!
//! ```text
//! magic (8) | salt (32) | chunk 0 (64 KiB + tag) | chunk 1 | .. | last chunk (0 to 64 KiB + tag)
//! ```
//! Each blob has its own AES-256-GCM key, derived from the blob key, a random salt, the store and the blob's
//! name. The nonce of a chunk is its index; its associated data name the store, the blob, the index and whether
//! it is the last one. So a chunk that was changed, swapped, dropped, or moved from another blob or store does
//! not open, and neither does a blob that was cut short.
//!
//! Invariant: a reader hands out only bytes that have been authenticated. A truncation shows at the end: what
//! was read is provisional until the reader has returned 0.

use std::io::{self, Read, Seek, SeekFrom, Write};

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use zeroize::{Zeroize, Zeroizing};

use crate::crypto::{self, Label, NONCE_BYTES, TAG_BYTES};
use crate::error::{Error, Part};
use crate::key::Key;
use crate::store_id::StoreId;

/// Plain bytes of a chunk.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// What sealing adds to each chunk, in bytes.
pub const CHUNK_OVERHEAD_BYTES: usize = TAG_BYTES;
/// What sealing adds to the beginning, in bytes.
pub const HEADER_BYTES: usize = MAGIC.len() + SALT_BYTES;

const MAGIC: &[u8; 8] = b"kw-blob1";
const SALT_BYTES: usize = 32;
const SEALED_BYTES: usize = CHUNK_BYTES + TAG_BYTES;

/// Seals everything from `reader` into `writer` and returns the number of plain bytes.
///
/// # Errors
/// Whatever reader and writer fail with.
///
/// ```
/// use keepwell_vault::{Key, StoreId, blob};
/// let (key, store) = (Key::generate(), StoreId::generate());
/// let mut sealed = Vec::new();
/// blob::seal(&key, store, b"scan", &b"pixels"[..], &mut sealed)?;
/// let mut plain = Vec::new();
/// blob::open(&key, store, b"scan", &sealed[..], &mut plain)?;
/// assert_eq!(plain, b"pixels");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn seal(
    key: &Key,
    store: StoreId,
    name: &[u8],
    mut reader: impl Read,
    writer: impl Write,
) -> io::Result<u64> {
    let mut sealer = Sealer::new(key, store, name, writer)?;
    let length = io::copy(&mut reader, &mut sealer)?;
    sealer.finish()?.flush()?;
    Ok(length)
}

/// Opens a sealed blob into `writer` and returns the number of plain bytes.
///
/// # Errors
/// `InvalidData` with [`Error::Corrupt`] inside if the blob is damaged or not the one named; what was written
/// until then must be thrown away. Otherwise whatever reader and writer fail with.
pub fn open(
    key: &Key,
    store: StoreId,
    name: &[u8],
    reader: impl Read,
    mut writer: impl Write,
) -> io::Result<u64> {
    io::copy(&mut Opener::new(key, store, name, reader)?, &mut writer)
}

/// Opens a part of a sealed blob: the plain bytes from `offset` on, at most `length`, fewer at its end. Only the chunks
/// that hold them are read.
///
/// # Errors
/// As [`open`].
pub fn open_range(
    key: &Key,
    store: StoreId,
    name: &[u8],
    mut source: impl Read + Seek,
    offset: u64,
    length: usize,
) -> io::Result<Vec<u8>> {
    let sealed = source.seek(SeekFrom::End(0))?.checked_sub(HEADER_BYTES as u64 + 1).ok_or_else(damaged)?;
    let last = sealed / SEALED_BYTES as u64;
    source.seek(SeekFrom::Start(MAGIC.len() as u64))?;
    let mut salt = [0; SALT_BYTES];
    read_exact(&mut source, &mut salt)?;
    let mut chunks = Chunks::new(key, &salt, store, name);
    chunks.index = offset / CHUNK_BYTES as u64;
    let mut skip = usize::try_from(offset % CHUNK_BYTES as u64).expect("less than a chunk");
    let mut plain = Vec::with_capacity(length.saturating_add(CHUNK_BYTES).min(4 * 1024 * 1024));
    let mut chunk = Zeroizing::new(Vec::with_capacity(SEALED_BYTES));
    source.seek(SeekFrom::Start(HEADER_BYTES as u64 + chunks.index * SEALED_BYTES as u64))?;
    while chunks.index <= last && plain.len() < length {
        chunk.clear();
        (&mut source).take(SEALED_BYTES as u64).read_to_end(&mut chunk)?;
        // A blob that was cut short ends with a chunk that was not sealed as the last.
        let is_last = chunks.index == last;
        chunks.open(&mut chunk, is_last)?;
        let wanted = chunk.iter().skip(skip).take(length - plain.len());
        plain.extend(wanted);
        skip = 0;
    }
    Ok(plain)
}

/// Length of the sealed blob for `plain` bytes.
#[must_use]
pub const fn sealed_length(plain: u64) -> u64 {
    let chunks = if plain == 0 { 1 } else { plain.div_ceil(CHUNK_BYTES as u64) };
    HEADER_BYTES as u64 + plain + chunks * CHUNK_OVERHEAD_BYTES as u64
}

/// Cipher and place of one blob.
struct Chunks {
    cipher: Aes256Gcm,
    /// Everything of the associated data but index and final flag.
    context: Vec<u8>,
    index: u64,
}

impl Chunks {
    fn new(key: &Key, salt: &[u8; SALT_BYTES], store: StoreId, name: &[u8]) -> Self {
        let mut context = store.as_bytes().to_vec();
        context.extend_from_slice(name);
        let key = crypto::derive(Label::Blob, salt, key.expose(), &context);
        Self { cipher: Aes256Gcm::new(key.expose().into()), context, index: 0 }
    }

    /// Nonce and associated data of the next chunk.
    fn step(&mut self, is_last: bool) -> ([u8; NONCE_BYTES], Vec<u8>) {
        let index = self.index.to_be_bytes();
        self.index += 1;
        let mut nonce = [0; NONCE_BYTES];
        nonce[NONCE_BYTES - index.len()..].copy_from_slice(&index);
        let data = [&[u8::from(is_last)], index.as_slice(), &self.context].concat();
        (nonce, data)
    }

    fn seal(&mut self, chunk: &mut Vec<u8>, is_last: bool) {
        let (nonce, data) = self.step(is_last);
        self.cipher
            .encrypt_in_place(&Nonce::from(nonce), &data, chunk)
            .expect("a chunk is within the limits of AES-GCM");
    }

    fn open(&mut self, chunk: &mut Vec<u8>, is_last: bool) -> io::Result<()> {
        let (nonce, data) = self.step(is_last);
        self.cipher.decrypt_in_place(&Nonce::from(nonce), &data, chunk).map_err(|_| damaged())
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, Error::Corrupt(Part::Blob))
}

/// Seals what is written to it. The blob is complete only after [`Sealer::finish`].
pub struct Sealer<W: Write> {
    writer: W,
    chunks: Chunks,
    buffer: Zeroizing<Vec<u8>>,
}

impl<W: Write> Sealer<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// Whatever the writer fails with.
    pub fn new(key: &Key, store: StoreId, name: &[u8], mut writer: W) -> io::Result<Self> {
        let salt = crypto::random::<SALT_BYTES>();
        writer.write_all(MAGIC)?;
        writer.write_all(&salt)?;
        let buffer = Zeroizing::new(Vec::with_capacity(SEALED_BYTES));
        Ok(Self { writer, chunks: Chunks::new(key, &salt, store, name), buffer })
    }

    /// Seals the last chunk and gives the writer back.
    ///
    /// # Errors
    /// Whatever the writer fails with.
    pub fn finish(mut self) -> io::Result<W> {
        self.emit(true)?;
        Ok(self.writer)
    }

    fn emit(&mut self, is_last: bool) -> io::Result<()> {
        self.chunks.seal(&mut self.buffer, is_last);
        self.writer.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, plain: &[u8]) -> io::Result<usize> {
        // A full chunk waits until more comes, since it may be the last one.
        if self.buffer.len() == CHUNK_BYTES && !plain.is_empty() {
            self.emit(false)?;
        }
        let taken = plain.len().min(CHUNK_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&plain[..taken]);
        Ok(taken)
    }

    /// Passes on what is sealed; a chunk that is not full stays.
    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Reads the plain bytes of a sealed blob.
pub struct Opener<R: Read> {
    reader: R,
    chunks: Chunks,
    /// The chunk being handed out, opened.
    plain: Zeroizing<Vec<u8>>,
    taken: usize,
    /// First byte of the next chunk; `None` once the last chunk is open.
    ahead: Option<u8>,
}

impl<R: Read> Opener<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// `InvalidData` if there is no header; otherwise whatever the reader fails with.
    pub fn new(key: &Key, store: StoreId, name: &[u8], mut reader: R) -> io::Result<Self> {
        let mut header = [0; HEADER_BYTES];
        read_exact(&mut reader, &mut header)?;
        let (magic, salt) = header.split_at(MAGIC.len());
        let salt: &[u8; SALT_BYTES] = salt.try_into().map_err(|_| damaged())?;
        if magic != MAGIC {
            return Err(damaged());
        }
        let mut first = [0];
        read_exact(&mut reader, &mut first)?;
        Ok(Self {
            reader,
            chunks: Chunks::new(key, salt, store, name),
            // One byte more than a chunk, to see whether it is the last.
            plain: Zeroizing::new(Vec::with_capacity(SEALED_BYTES + 1)),
            taken: 0,
            ahead: Some(first[0]),
        })
    }

    /// Opens the next chunk; the byte after it, if any, tells that it is not the last.
    fn next_chunk(&mut self, first: u8) -> io::Result<()> {
        self.plain.zeroize();
        self.taken = 0;
        self.plain.push(first);
        // One byte more than a chunk.
        (&mut self.reader).take(SEALED_BYTES as u64).read_to_end(&mut self.plain)?;
        self.ahead = if self.plain.len() > SEALED_BYTES { self.plain.pop() } else { None };
        let opened = self.chunks.open(&mut self.plain, self.ahead.is_none());
        if opened.is_err() {
            // A second read must not hand out what did not open.
            self.plain.zeroize();
            self.ahead = None;
        }
        opened
    }
}

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.plain.len() {
            match self.ahead {
                Some(first) => self.next_chunk(first)?,
                None => return Ok(0),
            }
        }
        let given = out.len().min(self.plain.len() - self.taken);
        out[..given].copy_from_slice(&self.plain[self.taken..self.taken + given]);
        self.taken += given;
        Ok(given)
    }
}

/// A blob that ends here is damaged; other failures are the reader's.
fn read_exact(reader: &mut impl Read, out: &mut [u8]) -> io::Result<()> {
    reader.read_exact(out).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged(),
        _ => error,
    })
}

#[cfg(test)]
mod tests;
