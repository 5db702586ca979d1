//! Large attachments: encrypted files beside the database, streamed and never whole in memory.
//!
//! Base64 text above 16 KiB leaves the body and a token stands in its place: the byte 0x01, which no JSON text
//! holds, a letter, and the SHA-256 of the content in hexadecimal. Reading puts the text back.
//!
//! Invariants: a file is complete and synced before a row names it, so a crash leaves at most files that nothing
//! names, which the next [`Attachments::collect_garbage`] removes; equal content is kept once.

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
use rusqlite::{Connection, OptionalExtension};

use crate::error::{Error, Result};

/// Marks a token; JSON does not allow this byte anywhere.
const TOKEN: u8 = 0x01;
/// The content is what the base64 text stands for.
const DECODED: u8 = b'B';
/// The content is the text itself, since decoding and encoding it again gives another text.
const VERBATIM: u8 = b'T';
/// Bytes of a token: mark, letter, 64 hexadecimal digits.
const TOKEN_BYTES: usize = 66;
/// Bytes that are read and encrypted at a time.
const BUFFER_BYTES: usize = 48 << 10;

/// An attachment whose file is written and synced.
#[derive(Clone, Copy)]
pub(crate) struct Staged {
    pub(crate) hash: [u8; 32],
    pub(crate) file: [u8; 16],
    pub(crate) size: u64,
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
        let (letter, staged) = match decoded {
            Some(content) => (DECODED, self.put_bytes(&content)?),
            None => (VERBATIM, self.put_bytes(text)?),
        };
        Ok((staged, token(letter, &staged.hash)))
    }

    /// Moves a stream into a file; the token stands for it as base64.
    pub(crate) fn put_stream(&self, content: &mut dyn Read) -> Result<(Staged, Vec<u8>)> {
        let staged = self.put(content)?;
        Ok((staged, token(DECODED, &staged.hash)))
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
        let mut file = [0; 16];
        SystemRandom::new().fill(&mut file).map_err(|_| Error::Argument("the system gave no randomness"))?;
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
        let staged = Staged { hash: to_hash(hashed.context.finish()), file, size: hashed.size };
        Ok(*self.known().entry(staged.hash).or_insert(staged))
    }

    /// Copies the content of an attachment to `out`, chunk by chunk.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the file is missing, damaged, or of another store; nothing unauthenticated is written.
    pub(crate) fn copy(&self, connection: &Connection, hash: &[u8; 32], out: &mut dyn Write) -> Result<u64> {
        let file: Option<[u8; 16]> = connection
            .prepare_cached("-- Attachments::copy\nSELECT file FROM blob WHERE hash = ?1")?
            .query_row([hash], |row| row.get(0))
            .optional()?;
        let file = file.ok_or(Error::Corrupt)?;
        let source = File::open(self.path(&file)).map_err(|_| Error::Corrupt)?;
        blob::open(&self.key, self.store, &file, BufReader::with_capacity(BUFFER_BYTES, source), out)
            .map_err(|_| Error::Corrupt)
    }

    /// A body with its attachments put back.
    pub(crate) fn expand(&self, connection: &Connection, body: Vec<u8>) -> Result<Vec<u8>> {
        if !body.contains(&TOKEN) {
            return Ok(body);
        }
        let mut out = Vec::with_capacity(body.len() * 2);
        let mut rest = body.as_slice();
        while let Some(at) = rest.iter().position(|&byte| byte == TOKEN) {
            out.extend_from_slice(&rest[..at]);
            let (letter, hash) = parse_token(&rest[at..])?;
            if letter == DECODED {
                let mut encoder = base64::write::EncoderWriter::new(&mut out, &STANDARD);
                self.copy(connection, &hash, &mut encoder)?;
                encoder.finish().map_err(Error::io("encoding an attachment"))?;
            } else {
                self.copy(connection, &hash, &mut out)?;
            }
            rest = &rest[at + TOKEN_BYTES..];
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
    let mut statement = connection.prepare("-- attachment::known\nSELECT hash, file, size FROM blob")?;
    let rows = statement.query_map([], |row| {
        Ok(Staged { hash: row.get(0)?, file: row.get(1)?, size: row.get::<_, i64>(2)?.unsigned_abs() })
    })?;
    Ok(rows.map(|row| row.map(|staged| (staged.hash, staged))).collect::<rusqlite::Result<_>>()?)
}

fn to_hash(digest: digest::Digest) -> [u8; 32] {
    digest.as_ref().try_into().expect("a SHA-256 has 32 bytes")
}

/// The attachments that a stored body refers to: each token's content hash, in order.
pub(crate) fn tokens(content: &[u8]) -> Result<Vec<[u8; 32]>> {
    let mut hashes = Vec::new();
    let mut rest = content;
    while let Some(at) = rest.iter().position(|&byte| byte == TOKEN) {
        hashes.push(parse_token(&rest[at..])?.1);
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

fn token(letter: u8, hash: &[u8; 32]) -> Vec<u8> {
    let mut token = vec![TOKEN, letter];
    token.extend_from_slice(hex::encode(hash).as_bytes());
    token
}

fn parse_token(bytes: &[u8]) -> Result<(u8, [u8; 32])> {
    let token = bytes.get(..TOKEN_BYTES).ok_or(Error::Corrupt)?;
    let mut hash = [0; 32];
    hex::decode_to_slice(&token[2..], &mut hash).map_err(|_| Error::Corrupt)?;
    match token[1] {
        letter @ (DECODED | VERBATIM) => Ok((letter, hash)),
        _ => Err(Error::Corrupt),
    }
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
