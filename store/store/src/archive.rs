//! A whole store in one encrypted file, for another installation to restore.
//!
//! ```text
//! magic line | {"store":..,"salt":..,"stretching":{..}} line | SHA-256 and check of that line | sealed content
//! content: database key (32) | audit key (32) | length (8), database | count (8), attachments
//! attachment: name (16) | length (8), content
//! ```
//! The passphrase is stretched by Argon2id. The content is sealed in chunks as attachments are
//! ([`keepwell_vault::blob`]). The database in it is a snapshot under a key of its own, so that an archive and its
//! passphrase do not open the store that goes on. Of that store's keys only the one of the audit trail is inside:
//! without it nobody could verify the history of records after a restore.
//!
//! Invariants: nothing of an archive is believed before it is authenticated to its last byte; a restore that fails
//! leaves nothing behind; a restored store has its own name and keys, and its trail says where it came from.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use keepwell_sqlcipher::Connection;
use keepwell_vault::blob::{Opener, Sealer};
use keepwell_vault::{
    BLOB_DIRECTORY, DATABASE_FILE, Key, Keys, Passcode, RECOVERY_PASSPHRASE_MIN_BYTES, StoreId, Stretching,
    Vault,
};
use ring::{digest, hkdf, hmac};
use serde::{Deserialize, Serialize};

use crate::audit::{Action, Outcome};
use crate::error::{Error, Result};
use crate::inner::{Inner, Open, plain_event};
use crate::privileged::Privileged;
use crate::schema;
use crate::store::{Store, StoreOptions};

const MAGIC: &[u8] = b"keepwell archive 1\n";
/// The longest header line that is read.
const HEADER_BYTES_MAX: u64 = 1024;
/// SHA-256 and HMAC-SHA-256 of the header, in hexadecimal, and a line feed.
const CHECK_BYTES: usize = 64 + 64 + 1;
const CONTENT_LABEL: &[u8] = b"keepwell/archive/content/v1";
const CHECK_LABEL: &[u8] = b"keepwell/archive/check/v1";
/// The name under which the content is sealed.
const CONTENT_NAME: &[u8] = b"archive";

/// The snapshot that an archive is made from, and the database that a restore has not finished.
const SNAPSHOT_FILE: &str = "store.db.archive";
const UNFINISHED_FILE: &str = "store.db.restore";

/// Why an archive cannot be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The file does not begin as an archive does.
    #[error("not an archive")]
    NotAnArchive,
    /// A newer version of this program made it.
    #[error("the archive was made by a newer version")]
    TooNew,
    /// The passphrase is not the one it was made with.
    #[error("wrong passphrase")]
    WrongPassphrase,
    /// It was changed or cut short.
    #[error("the archive is damaged or cut short")]
    Damaged,
}

/// What stands in clear before the content.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    store: StoreId,
    salt: String,
    stretching: Stretching,
}

/// What the stretched passphrase is used for.
struct ArchiveKeys {
    content: Key,
    check: hmac::Key,
}

impl Header {
    fn keys(&self, passphrase: &Passcode) -> Result<ArchiveKeys> {
        let salt = hex::decode(&self.salt).map_err(|_| ArchiveError::Damaged)?;
        let stretched = self.stretching.stretch(passphrase, &salt)?;
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, self.store.as_bytes()).extract(stretched.expose());
        let derive = |label| {
            let mut key = [0; 32];
            root.expand(&[label], hkdf::HKDF_SHA256)
                .and_then(|material| material.fill(&mut key))
                .expect("HKDF gives 32 bytes");
            Key::take(&mut key)
        };
        let check = hmac::Key::new(hmac::HMAC_SHA256, derive(CHECK_LABEL).expose());
        Ok(ArchiveKeys { content: derive(CONTENT_LABEL), check })
    }
}

impl Privileged<'_> {
    /// Writes the whole store to `out`: every version, every attachment and the audit trail, under `passphrase`.
    /// Writers wait while the database is copied inside the store's directory, which takes as much space once more.
    ///
    /// # Errors
    /// [`keepwell_vault::Error::ShortPassphrase`]; [`Error::Io`] when `out` fails or there is no space for the copy.
    pub fn archive(&self, passphrase: &Passcode, out: &mut dyn Write) -> Result<()> {
        if passphrase.expose().len() < RECOVERY_PASSPHRASE_MIN_BYTES {
            return Err(keepwell_vault::Error::ShortPassphrase.into());
        }
        let session = self.session;
        let inner = &session.store.inner;
        let open = session.enter()?;
        let done = write_archive(inner, &open, passphrase, out);
        let (outcome, detail) = match &done {
            Ok(bytes) => (Outcome::Success, serde_json::json!({ "bytes": bytes })),
            Err(error) => (Outcome::SeriousFailure, serde_json::json!({ "error": error.code() })),
        };
        let detail = detail.to_string();
        let event = plain_event(session.actor_key, Action::Archive, outcome, Some(&detail));
        open.writer().record(inner.now_ms(), [event])?;
        done.map(|_| ())
    }
}

fn write_archive(inner: &Inner, open: &Open, passphrase: &Passcode, out: &mut dyn Write) -> Result<u64> {
    let failed = Error::io("writing an archive");
    // Files of attachments stay until they are copied.
    let _stage = open.attachments.stage();
    let snapshot = Snapshot::take(inner, open)?;
    let header = Header {
        store: inner.vault().store_id(),
        salt: hex::encode(&Key::generate().expose()[..16]),
        stretching: inner.options.policy.stretching,
    };
    let keys = header.keys(passphrase)?;
    let line = serde_json::to_string(&header).expect("a header is plain data") + "\n";
    let check = format!(
        "{}{}\n",
        hex::encode(digest::digest(&digest::SHA256, line.as_bytes())),
        hex::encode(hmac::sign(&keys.check, line.as_bytes()))
    );
    let mut out = BufWriter::new(out);
    out.write_all(MAGIC).map_err(&failed)?;
    out.write_all(line.as_bytes()).map_err(&failed)?;
    out.write_all(check.as_bytes()).map_err(&failed)?;
    let mut content = Sealer::new(&keys.content, header.store, CONTENT_NAME, out).map_err(&failed)?;
    let written = snapshot.write(inner, open, &mut content)?;
    content.finish().and_then(|mut out| out.flush()).map_err(&failed)?;
    Ok(written)
}

/// A copy of the database as it was at one moment, under its own key, and what attachments it names.
struct Snapshot {
    path: PathBuf,
    key: Key,
    attachments: Vec<Attachment>,
}

struct Attachment {
    hash: [u8; 32],
    file: [u8; 16],
    size: u64,
}

impl Snapshot {
    fn take(inner: &Inner, open: &Open) -> Result<Self> {
        let path = inner.directory.join(SNAPSHOT_FILE);
        remove_database(&path);
        let writer = open.writer();
        // With an empty log and the writer held, the file is the whole database and stands still.
        open.checkpoint(&writer)?;
        let attachments = attachments(writer.connection())?;
        let snapshot = Self { path, key: Key::generate(), attachments };
        fs::copy(inner.database_path(), &snapshot.path).map_err(Error::io("copying the database"))?;
        drop(writer);
        let options = inner.options.connection(false);
        let connection = keepwell_sqlcipher::open(&snapshot.path, open.database().expose(), &options)?;
        inner.watch(&connection);
        keepwell_sqlcipher::rekey(connection, &snapshot.path, snapshot.key.expose(), &options)?;
        Ok(snapshot)
    }

    fn write(&self, inner: &Inner, open: &Open, content: &mut dyn Write) -> Result<u64> {
        let failed = Error::io("writing an archive");
        let mut database = File::open(&self.path).map_err(&failed)?;
        let length = database.metadata().map_err(&failed)?.len();
        content.write_all(self.key.expose()).map_err(&failed)?;
        content.write_all(open.audit.expose()).map_err(&failed)?;
        content.write_all(&length.to_be_bytes()).map_err(&failed)?;
        io::copy(&mut database, content).map_err(&failed)?;
        content.write_all(&(self.attachments.len() as u64).to_be_bytes()).map_err(&failed)?;
        let mut written = length;
        let reader = inner.reader(open)?;
        for Attachment { hash, file, size } in &self.attachments {
            content.write_all(file).map_err(&failed)?;
            content.write_all(&size.to_be_bytes()).map_err(&failed)?;
            if open.attachments.copy(&reader.connection, hash, content)? != *size {
                return Err(Error::Corrupt);
            }
            written += size;
        }
        Ok(written)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        remove_database(&self.path);
    }
}

fn attachments(connection: &Connection) -> Result<Vec<Attachment>> {
    let mut statement = connection.prepare(
        "-- archive::attachments\nSELECT hash, file, size FROM blob WHERE is_absent = 0 ORDER BY key",
    )?;
    let attachments = statement.query_map([], |row| {
        Ok(Attachment { hash: row.get(0)?, file: row.get(1)?, size: row.get::<_, i64>(2)?.unsigned_abs() })
    })?;
    Ok(attachments.collect::<rusqlite::Result<_>>()?)
}

/// Removes a database that is no store's, with its log; what cannot be removed is met by whoever writes there next.
fn remove_database(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let _ = fs::remove_file(PathBuf::from(name));
    }
}

impl Store {
    /// Makes a store in `directory`, which must be empty or not exist, from an archive: with all history,
    /// attachments and the audit trail, under a new name and new keys. It is left unlocked.
    ///
    /// # Errors
    /// [`Error::Archive`] says what is wrong with the archive or its passphrase; otherwise as [`Self::create`].
    /// Nothing is left in `directory` then.
    pub fn restore(
        archive: &mut dyn Read,
        passphrase: &Passcode,
        directory: &Path,
        options: StoreOptions,
        passcode: Option<&Passcode>,
    ) -> Result<Self> {
        let mut archive = BufReader::new(archive);
        let (header, keys) = read_header(&mut archive, passphrase)?;
        let mut content =
            Opener::new(&keys.content, header.store, CONTENT_NAME, archive).map_err(read_error)?;
        let (database, audit) = (read_key(&mut content)?, read_key(&mut content)?);
        let existed = directory.exists();
        if existed && directory.read_dir().map_err(Error::io("looking at the directory"))?.next().is_some() {
            return Err(keepwell_vault::Error::AlreadyExists.into());
        }
        let made = Vault::create_with_audit_key(directory, options.vault_config(), passcode, audit);
        let restored = made.map_err(Error::from).and_then(|(vault, new)| {
            let filled = fill(directory, &vault, &options, &new, &database, &mut content);
            match filled {
                Ok(()) => Self::restored(directory, vault, options, new),
                Err(error) => {
                    // Takes the items out of the keychain; the files go below.
                    let _ = vault.erase();
                    Err(error)
                }
            }
        });
        match &restored {
            // Somebody else was faster: what is there is theirs.
            Err(Error::Vault(keepwell_vault::Error::AlreadyExists | keepwell_vault::Error::AlreadyOpen))
            | Ok(_) => {}
            Err(_) => clear(directory, existed),
        }
        restored
    }

    fn restored(directory: &Path, vault: Vault, options: StoreOptions, mut keys: Keys) -> Result<Self> {
        let inner = Inner::new(directory, vault, options);
        let started = inner
            .open_database(&mut keys)
            .and_then(|connection| inner.start(connection, keys, Action::Restore, false));
        if let Err(error) = started {
            let _ = inner.vault().erase();
            return Err(error);
        }
        Ok(Self::with_housekeeper(inner))
    }
}

fn read_header(archive: &mut dyn BufRead, passphrase: &Passcode) -> Result<(Header, ArchiveKeys)> {
    let mut magic = [0; MAGIC.len()];
    read_exact(archive, &mut magic).map_err(|_| ArchiveError::NotAnArchive)?;
    if magic != MAGIC {
        let is_ours = magic.starts_with(&MAGIC[..MAGIC.len() - 2]);
        return Err(if is_ours { ArchiveError::TooNew } else { ArchiveError::NotAnArchive }.into());
    }
    let mut line = Vec::new();
    archive.take(HEADER_BYTES_MAX).read_until(b'\n', &mut line).map_err(Error::io("reading an archive"))?;
    let mut check = [0; CHECK_BYTES];
    read_exact(archive, &mut check)?;
    let damaged = Error::from(ArchiveError::Damaged);
    let (hash, tag) = (&check[..64], hex::decode(&check[64..128]).map_err(|_| ArchiveError::Damaged)?);
    if hex::encode(digest::digest(&digest::SHA256, &line)).as_bytes() != hash
        || check[CHECK_BYTES - 1] != b'\n'
    {
        return Err(damaged);
    }
    let header: Header = serde_json::from_slice(&line).map_err(|_| ArchiveError::Damaged)?;
    let keys = header.keys(passphrase)?;
    hmac::verify(&keys.check, &line, &tag).map_err(|_| ArchiveError::WrongPassphrase)?;
    Ok((header, keys))
}

/// Puts the database and the attachments of an archive into the directory of a new store.
fn fill(
    directory: &Path,
    vault: &Vault,
    options: &StoreOptions,
    keys: &Keys,
    database_key: &Key,
    content: &mut dyn Read,
) -> Result<()> {
    let failed = Error::io("restoring an archive");
    let unfinished = directory.join(UNFINISHED_FILE);
    let length = read_u64(content)?;
    copy_exactly(content, length, &mut create_private(&unfinished).map_err(&failed)?)?;
    let blobs = directory.join(BLOB_DIRECTORY);
    for _ in 0..read_u64(content)? {
        let mut name = [0; 16];
        read_exact(content, &mut name)?;
        let length = read_u64(content)?;
        let mut out = create_private(&blobs.join(hex::encode(name))).map_err(&failed)?;
        let mut sealer =
            Sealer::new(&keys.blob, vault.store_id(), &name, BufWriter::new(&mut out)).map_err(&failed)?;
        copy_exactly(content, length, &mut sealer)?;
        sealer.finish().and_then(|mut buffered| buffered.flush()).map_err(&failed)?;
        out.sync_all().map_err(&failed)?;
    }
    // Only the end proves that nothing was cut off.
    if content.read(&mut [0]).map_err(read_error)? != 0 {
        return Err(ArchiveError::Damaged.into());
    }
    let connection_options = options.connection(false);
    let connection = keepwell_sqlcipher::open(&unfinished, database_key.expose(), &connection_options)?;
    schema::adopt(&connection, &vault.store_id())?;
    drop(keepwell_sqlcipher::rekey(connection, &unfinished, keys.database.expose(), &connection_options)?);
    fs::rename(&unfinished, directory.join(DATABASE_FILE)).map_err(&failed)?;
    vault.apply_backup_marks()?;
    Ok(())
}

/// Empties a directory in which a restore has failed, and removes it if it was not there before.
fn clear(directory: &Path, existed: bool) {
    let _ = fs::remove_dir_all(directory);
    if existed {
        let _ = fs::create_dir(directory);
    }
}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn copy_exactly(content: &mut dyn Read, length: u64, out: &mut dyn Write) -> Result<()> {
    let copied = io::copy(&mut content.take(length), out).map_err(read_error)?;
    if copied == length { Ok(()) } else { Err(ArchiveError::Damaged.into()) }
}

fn read_key(content: &mut dyn Read) -> Result<Key> {
    let mut key = [0; 32];
    read_exact(content, &mut key)?;
    Ok(Key::take(&mut key))
}

fn read_u64(content: &mut dyn Read) -> Result<u64> {
    let mut number = [0; 8];
    read_exact(content, &mut number)?;
    Ok(u64::from_be_bytes(number))
}

fn read_exact(content: &mut dyn Read, out: &mut [u8]) -> Result<()> {
    content.read_exact(out).map_err(read_error)
}

/// What does not authenticate, or ends too early, is damage; anything else is the file system's.
fn read_error(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => ArchiveError::Damaged.into(),
        kind => Error::Io { step: "reading an archive", kind },
    }
}
