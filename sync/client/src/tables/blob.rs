//! Attachments on their way.

use std::io::{self, Read};

use keepwell_engine::BlobState;
use keepwell_protocol::{Blob, Hash};
use keepwell_store::{Connection, Error, Result};
use rusqlite::{OptionalExtension, Row, params};

use super::Tables;

const COLUMNS: &str = "SELECT hash, size, have, sent, upload, is_wanted FROM sync_blob";
/// Uploads that are looked through for one that is not to be passed over.
const UPLOADS_MAX: usize = 1_000;

impl<'c> Tables<'c> {
    /// The row of a blob.
    pub(crate) fn blob(&self, hash: &Hash) -> Result<Option<BlobState>> {
        Ok(self.find_blobs(&format!("{COLUMNS} WHERE hash = ?1"), [hash.as_bytes()])?.pop())
    }

    /// Blobs of which not all has been sent.
    pub(crate) fn blobs_to_send(&self) -> Result<Vec<BlobState>> {
        self.find_blobs(&format!("{COLUMNS} WHERE sent < size LIMIT {UPLOADS_MAX}"), [])
    }

    /// Writes a row.
    pub(crate) fn set_blob(&self, state: &BlobState) -> Result<()> {
        self.connection
            .prepare_cached(
                "-- Tables::set_blob
                 INSERT INTO sync_blob (hash, size, have, sent, upload, is_wanted) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (hash) DO UPDATE SET have = ?3, sent = ?4, upload = ?5, is_wanted = ?6",
            )?
            .execute(params![
                state.blob.sha256.as_bytes(),
                state.blob.size.cast_signed(),
                state.have.cast_signed(),
                state.sent.cast_signed(),
                state.upload.as_ref().map(keepwell_protocol::Id::as_str),
                state.is_wanted
            ])?;
        Ok(())
    }

    /// Removes a row and what came of its blob.
    pub(crate) fn forget_blob(&self, hash: &Hash) -> Result<()> {
        self.clear_blob_parts(hash)?;
        self.connection
            .prepare_cached("-- Tables::forget_blob\nDELETE FROM sync_blob WHERE hash = ?1")?
            .execute([hash.as_bytes()])?;
        Ok(())
    }

    /// Keeps bytes that begin at `start`.
    pub(crate) fn add_blob_part(&self, hash: &Hash, start: u64, bytes: &[u8]) -> Result<()> {
        self.connection
            .prepare_cached(
                "-- Tables::add_blob_part\nINSERT OR REPLACE INTO sync_blob_part (hash, start, bytes) VALUES (?1, ?2, ?3)",
            )?
            .execute((hash.as_bytes(), start.cast_signed(), bytes))?;
        Ok(())
    }

    /// All bytes that came, a part in memory at a time.
    pub(crate) fn blob_parts(&self, hash: &Hash) -> Parts<'c> {
        Parts { connection: self.connection, hash: *hash, start: 0, rest: Vec::new() }
    }

    /// Throws bytes away.
    pub(crate) fn clear_blob_parts(&self, hash: &Hash) -> Result<()> {
        self.connection
            .prepare_cached("-- Tables::clear_blob_parts\nDELETE FROM sync_blob_part WHERE hash = ?1")?
            .execute([hash.as_bytes()])?;
        Ok(())
    }

    fn find_blobs(&self, sql: &str, params: impl rusqlite::Params) -> Result<Vec<BlobState>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params, |row: &Row<'_>| {
            let numbers: [i64; 3] = [row.get(1)?, row.get(2)?, row.get(3)?];
            Ok((row.get(0)?, numbers.map(i64::unsigned_abs), row.get::<_, Option<String>>(4)?, row.get(5)?))
        })?;
        let states = rows.map(|row| {
            let (hash, [size, have, sent], upload, is_wanted) = row?;
            let upload = upload.map(|id| id.parse()).transpose().map_err(|_| Error::Corrupt)?;
            let blob = Blob { sha256: Hash::from_bytes(hash), size };
            Ok(BlobState { blob, have, sent, upload, is_wanted })
        });
        states.collect()
    }
}

/// What came of a blob.
pub(crate) struct Parts<'c> {
    connection: &'c Connection,
    hash: Hash,
    start: u64,
    rest: Vec<u8>,
}

impl Read for Parts<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            let sql = "-- Parts::read\nSELECT bytes FROM sync_blob_part WHERE hash = ?1 AND start = ?2";
            let mut statement = self.connection.prepare_cached(sql).map_err(io::Error::other)?;
            let next = statement
                .query_row(params![self.hash.as_bytes(), self.start.cast_signed()], |row| row.get(0));
            self.rest = next.optional().map_err(io::Error::other)?.unwrap_or_default();
            self.start += self.rest.len() as u64;
        }
        let given = self.rest.len().min(out.len());
        out[..given].copy_from_slice(&self.rest[..given]);
        self.rest.drain(..given);
        Ok(given)
    }
}
