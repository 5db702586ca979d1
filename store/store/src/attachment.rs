//! Large attachments: encrypted files beside the database, streamed and never whole in memory.
//!
//! Base64 text above 16 KiB leaves the body and a token stands in its place: the byte 0x01, which no JSON text
//! holds, a letter, and the SHA-256 of the content in hexadecimal. Reading puts the text back. A body that came by sync
//! may name content that is not here yet: then there is a row and no file ([`crate::apart`]).
//!
//! Invariants: a file is complete and synced before a row says that it is here, so a crash leaves at most files that
//! nothing names, which the next [`Attachments::collect_garbage`] removes; equal content is kept once.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keepwell_vault::{Key, StoreId, blob};
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::apart::show_absent;
use crate::error::{Error, Result};

/// Marks a token; JSON does not allow this byte anywhere.
pub(crate) const TOKEN: u8 = 0x01;
/// The content is what the base64 text stands for.
const DECODED: u8 = b'B';
/// The content is the text itself, since decoding and encoding it again gives another text.
const VERBATIM: u8 = b'T';
/// Bytes of a token: mark, letter, 64 hexadecimal digits.
pub(crate) const TOKEN_BYTES: usize = 66;
/// Bytes that are read and encrypted at a time.
const BUFFER_BYTES: usize = 48 << 10;

/// An attachment whose file is written and synced, or that is to come.
#[derive(Clone, Copy)]
pub(crate) struct Staged {
    pub(crate) hash: [u8; 32],
    pub(crate) file: [u8; 16],
    pub(crate) size: u64,
    /// Nothing of it is here: `file` is a name for later.
    pub(crate) is_absent: bool,
}

/// What stands in a stored body for an attachment.
#[derive(Clone, Copy)]
pub(crate) struct Token {
    pub(crate) hash: [u8; 32],
    /// The content is the text itself, not what the base64 text stands for.
    pub(crate) is_text: bool,
}

impl Token {
    /// The token that these bytes begin with.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when they begin with none.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        let token = bytes.get(..TOKEN_BYTES).ok_or(Error::Corrupt)?;
        let mut hash = [0; 32];
        hex::decode_to_slice(&token[2..], &mut hash).map_err(|_| Error::Corrupt)?;
        match token[1] {
            DECODED => Ok(Self { hash, is_text: false }),
            VERBATIM => Ok(Self { hash, is_text: true }),
            _ => Err(Error::Corrupt),
        }
    }

    pub(crate) fn write(self) -> Vec<u8> {
        let mut token = vec![TOKEN, if self.is_text { VERBATIM } else { DECODED }];
        token.extend_from_slice(hex::encode(self.hash).as_bytes());
        token
    }
}

/// Keeps garbage collection away while it lives; outlives a lock of the store.
pub(crate) struct Stage(Arc<Mutex<usize>>);

impl Drop for Stage {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
    }
}

/// The attachments of one open store.
pub(crate) struct Attachments {
    directory: PathBuf,
    key: Key,
    store: StoreId,
    /// How many interactions may have files that no row names yet; garbage is collected when there is none.
    staging: Arc<Mutex<usize>>,
    /// Whether garbage was left because of them.
    has_garbage: AtomicBool,
    /// What is here already, so that equal content is not written again.
    known: Mutex<HashMap<[u8; 32], Staged>>,
}

impl Attachments {
    pub(crate) fn new(directory: PathBuf, key: Key, store: StoreId, connection: &Connection) -> Result<Self> {
        let known = Mutex::new(known(connection)?);
        let staging = Arc::new(Mutex::new(0));
        Ok(Self { directory, key, store, staging, has_garbage: AtomicBool::new(false), known })
    }

    /// Keeps garbage collection away from files that are about to be named by a row.
    pub(crate) fn stage(&self) -> Stage {
        *self.staging() += 1;
        Stage(self.staging.clone())
    }

    fn staging(&self) -> MutexGuard<'_, usize> {
        self.staging.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves base64 text into a file; returns what stands in its place.
    pub(crate) fn put_base64(&self, text: &[u8]) -> Result<(Staged, Vec<u8>)> {
        let decoded = decode_base64(text).filter(|content| STANDARD.encode(content).as_bytes() == text);
        let (is_text, staged) = match decoded {
            Some(content) => (false, self.put_bytes(&content)?),
            None => (true, self.put_bytes(text)?),
        };
        Ok((staged, Token { hash: staged.hash, is_text }.write()))
    }

    /// Moves a stream into a file; the token stands for it as base64.
    pub(crate) fn put_stream(&self, content: &mut dyn Read) -> Result<(Staged, Vec<u8>)> {
        let staged = self.put(content)?;
        Ok((staged, Token { hash: staged.hash, is_text: false }.write()))
    }

    fn put_bytes(&self, mut content: &[u8]) -> Result<Staged> {
        let hash = to_hash(digest::digest(&digest::SHA256, content));
        let known = self.known().get(&hash).copied();
        known.map_or_else(|| self.put(&mut content), Ok)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], Staged>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, content: &mut dyn Read) -> Result<Staged> {
        let failed = Error::io("writing an attachment");
        let file = new_file()?;
        fs::create_dir_all(&self.directory).map_err(&failed)?;
        let path = self.path(&file);
        let mut hashed = Hashed { inner: content, context: digest::Context::new(&digest::SHA256), size: 0 };
        let written = (|| {
            let mut out = BufWriter::new(File::create_new(&path)?);
            blob::seal(&self.key, self.store, &file, &mut hashed, &mut out)?;
            out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
            File::open(&self.directory)?.sync_all()
        })();
        if let Err(error) = written {
            let _ = fs::remove_file(&path);
            return Err(failed(error));
        }
        let hash = to_hash(hashed.context.finish());
        let staged = Staged { hash, file, size: hashed.size, is_absent: false };
        Ok(*self.known().entry(staged.hash).or_insert(staged))
    }

    /// Keeps content that is to have this hash, if it has.
    pub(crate) fn put_expected(&self, hash: &[u8; 32], content: &mut dyn Read) -> Result<Option<Staged>> {
        if let Some(known) = self.known().get(hash) {
            return Ok(Some(*known));
        }
        let staged = self.put(content)?;
        Ok((staged.hash == *hash).then_some(staged))
    }

    /// The attachment with this hash, here or to come.
    pub(crate) fn find(&self, connection: &Connection, hash: &[u8; 32], size: u64) -> Result<Staged> {
        if let Some(known) = self.known().get(hash) {
            return Ok(*known);
        }
        match row(connection, hash)? {
            Some(staged) => Ok(staged),
            None => Ok(Staged { hash: *hash, file: new_file()?, size, is_absent: true }),
        }
    }

    /// Copies the content of an attachment to `out`, chunk by chunk.
    ///
    /// # Errors
    /// [`Error::AttachmentAbsent`]; [`Error::Corrupt`] when the file is missing, damaged, or of another store; nothing
    /// unauthenticated is written.
    pub(crate) fn copy(&self, connection: &Connection, hash: &[u8; 32], out: &mut dyn Write) -> Result<u64> {
        let (file, source) = self.open(connection, hash)?;
        blob::open(&self.key, self.store, &file, BufReader::with_capacity(BUFFER_BYTES, source), out)
            .map_err(|_| Error::Corrupt)
    }

    /// Bytes of an attachment from `offset` on, at most `length`.
    ///
    /// # Errors
    /// As [`Self::copy`].
    pub(crate) fn range(
        &self,
        connection: &Connection,
        hash: &[u8; 32],
        offset: u64,
        length: usize,
    ) -> Result<Vec<u8>> {
        let (file, source) = self.open(connection, hash)?;
        blob::open_range(&self.key, self.store, &file, source, offset, length).map_err(|_| Error::Corrupt)
    }

    fn open(&self, connection: &Connection, hash: &[u8; 32]) -> Result<([u8; 16], File)> {
        let staged = row(connection, hash)?.ok_or(Error::Corrupt)?;
        if staged.is_absent {
            return Err(Error::AttachmentAbsent);
        }
        Ok((staged.file, File::open(self.path(&staged.file)).map_err(|_| Error::Corrupt)?))
    }

    /// A body with its attachments put back, and marks in the place of those that are not here.
    pub(crate) fn expand(&self, connection: &Connection, body: Vec<u8>) -> Result<Vec<u8>> {
        if !body.contains(&TOKEN) {
            return Ok(body);
        }
        let mut out = Vec::with_capacity(body.len() * 2);
        let mut rest = body.as_slice();
        while let Some(at) = rest.iter().position(|&byte| byte == TOKEN) {
            out.extend_from_slice(&rest[..at]);
            let token = Token::read(&rest[at..])?;
            rest = &rest[at + TOKEN_BYTES..];
            if row(connection, &token.hash)?.is_some_and(|row| row.is_absent) {
                show_absent(&body, token, &mut out)?;
                rest = rest.strip_prefix(b"\"").ok_or(Error::Corrupt)?;
            } else if token.is_text {
                self.copy(connection, &token.hash, &mut out)?;
            } else {
                let mut encoder = base64::write::EncoderWriter::new(&mut out, &STANDARD);
                self.copy(connection, &token.hash, &mut encoder)?;
                encoder.finish().map_err(Error::io("encoding an attachment"))?;
            }
        }
        out.extend_from_slice(rest);
        Ok(out)
    }

    /// Whether [`Self::collect_garbage`] has left something for later.
    pub(crate) fn has_garbage(&self) -> bool {
        self.has_garbage.load(Ordering::Relaxed)
    }

    /// Removes rows that no version refers to, and files that no row names; later, while something is staged.
    /// Returns how many files went.
    pub(crate) fn collect_garbage(&self, connection: &Connection) -> Result<usize> {
        let staging = self.staging();
        self.has_garbage.store(*staging > 0, Ordering::Relaxed);
        if *staging > 0 {
            return Ok(0);
        }
        connection.execute(
            "-- Attachments::collect_garbage
             DELETE FROM blob WHERE key NOT IN (SELECT blob FROM blob_reference)",
            [],
        )?;
        let kept = known(connection)?;
        let named: HashSet<String> = kept.values().map(|staged| hex::encode(staged.file)).collect();
        *self.known() = kept;
        let Ok(entries) = fs::read_dir(&self.directory) else { return Ok(0) };
        let mut removed = 0;
        for entry in entries.flatten() {
            let orphan = !entry.file_name().to_str().is_some_and(|name| named.contains(name));
            if orphan && fs::remove_file(entry.path()).is_ok() {
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Bytes that the files take.
    pub(crate) fn sizes(&self) -> Result<u64> {
        let Ok(entries) = fs::read_dir(&self.directory) else { return Ok(0) };
        let sizes = entries.map(|entry| Ok(entry?.metadata()?.len()));
        sizes.sum::<io::Result<u64>>().map_err(Error::io("measuring the attachments"))
    }

    fn path(&self, file: &[u8; 16]) -> PathBuf {
        self.directory.join(hex::encode(file))
    }
}

fn known(connection: &Connection) -> Result<HashMap<[u8; 32], Staged>> {
    let mut statement = connection
        .prepare("-- attachment::known\nSELECT hash, file, size, is_absent FROM blob WHERE is_absent = 0")?;
    let rows = statement.query_map([], staged)?;
    Ok(rows.map(|row| row.map(|staged| (staged.hash, staged))).collect::<rusqlite::Result<_>>()?)
}

/// What the database says of an attachment.
pub(crate) fn row(connection: &Connection, hash: &[u8; 32]) -> Result<Option<Staged>> {
    let sql = "-- attachment::row\nSELECT hash, file, size, is_absent FROM blob WHERE hash = ?1";
    Ok(connection.prepare_cached(sql)?.query_row([hash], staged).optional()?)
}

fn staged(row: &Row<'_>) -> rusqlite::Result<Staged> {
    let size = row.get::<_, i64>(2)?.unsigned_abs();
    Ok(Staged { hash: row.get(0)?, file: row.get(1)?, size, is_absent: row.get(3)? })
}

/// A name for a file.
fn new_file() -> Result<[u8; 16]> {
    let mut file = [0; 16];
    SystemRandom::new().fill(&mut file).map_err(|_| Error::Argument("the system gave no randomness"))?;
    Ok(file)
}

fn to_hash(digest: digest::Digest) -> [u8; 32] {
    digest.as_ref().try_into().expect("a SHA-256 has 32 bytes")
}

/// The attachments that a stored body refers to: each token's content hash, in order.
pub(crate) fn tokens(content: &[u8]) -> Result<Vec<[u8; 32]>> {
    let mut hashes = Vec::new();
    let mut rest = content;
    while let Some(at) = rest.iter().position(|&byte| byte == TOKEN) {
        hashes.push(Token::read(&rest[at..])?.hash);
        rest = &rest[at + TOKEN_BYTES..];
    }
    Ok(hashes)
}

/// A stored body in which each token is an empty string, so that it can be walked.
pub(crate) fn without_tokens(content: &[u8]) -> Cow<'_, [u8]> {
    if !content.contains(&TOKEN) {
        return Cow::Borrowed(content);
    }
    let mut clean = content.to_vec();
    while let Some(at) = clean.iter().position(|&byte| byte == TOKEN) {
        clean.drain(at..(at + TOKEN_BYTES).min(clean.len()));
    }
    Cow::Owned(clean)
}

/// Base64 as FHIR allows it: the standard alphabet, white space between characters.
pub(crate) fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok().or_else(|| {
        let compact: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        STANDARD.decode(compact).ok()
    })
}

/// A reader that hashes and counts what passes through it.
struct Hashed<'r> {
    inner: &'r mut dyn Read,
    context: digest::Context,
    size: u64,
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.context.update(&buffer[..read]);
        self.size += read as u64;
        Ok(read)
    }
}
