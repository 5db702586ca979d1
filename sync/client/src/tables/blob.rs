//! Attachments on their way.

use keepwell_engine::BlobState;
use keepwell_protocol::{Blob, Hash};
use keepwell_store::{Error, Result};
use rusqlite::{OptionalExtension, Row, params};

use super::Tables;

const COLUMNS: &str = "SELECT hash, size, have, sent, upload FROM sync_blob";

impl Tables<'_> {
    /// The row of a blob.
    pub(crate) fn blob(&self, hash: &Hash) -> Result<Option<BlobState>> {
        self.find_blob(&format!("{COLUMNS} WHERE hash = ?1"), [hash.as_bytes()])
    }

    /// A blob that is here and not all on the server.
    pub(crate) fn blob_to_send(&self) -> Result<Option<BlobState>> {
        self.find_blob(&format!("{COLUMNS} WHERE have = size AND sent < size LIMIT 1"), [])
    }

    /// A blob that is on the server and not all here.
    pub(crate) fn blob_to_fetch(&self) -> Result<Option<BlobState>> {
        self.find_blob(&format!("{COLUMNS} WHERE have < size AND sent = size LIMIT 1"), [])
    }

    /// Writes a row.
    pub(crate) fn set_blob(&self, state: &BlobState) -> Result<()> {
        self.connection
            .prepare_cached(
                "-- Tables::set_blob
                 INSERT INTO sync_blob (hash, size, have, sent, upload) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (hash) DO UPDATE SET have = ?3, sent = ?4, upload = ?5",
            )?
            .execute(params![
                state.blob.sha256.as_bytes(),
                state.blob.size.cast_signed(),
                state.have.cast_signed(),
                state.sent.cast_signed(),
                state.upload.as_ref().map(keepwell_protocol::Id::as_str)
            ])?;
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

    /// All bytes that are here.
    pub(crate) fn blob_parts(&self, hash: &Hash) -> Result<Vec<u8>> {
        let mut statement = self.connection.prepare_cached(
            "-- Tables::blob_parts\nSELECT bytes FROM sync_blob_part WHERE hash = ?1 ORDER BY start",
        )?;
        let mut rows = statement.query([hash.as_bytes()])?;
        let mut whole = Vec::new();
        while let Some(row) = rows.next()? {
            whole.extend_from_slice(row.get_ref(0)?.as_blob().map_err(|_| Error::Corrupt)?);
        }
        Ok(whole)
    }

    /// Throws bytes away.
    pub(crate) fn clear_blob_parts(&self, hash: &Hash) -> Result<()> {
        self.connection
            .prepare_cached("-- Tables::clear_blob_parts\nDELETE FROM sync_blob_part WHERE hash = ?1")?
            .execute([hash.as_bytes()])?;
        Ok(())
    }

    fn find_blob(&self, sql: &str, params: impl rusqlite::Params) -> Result<Option<BlobState>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let read = |row: &Row<'_>| {
            let hash: [u8; 32] = row.get(0)?;
            let numbers: [i64; 3] = [row.get(1)?, row.get(2)?, row.get(3)?];
            Ok((hash, numbers.map(i64::unsigned_abs), row.get::<_, Option<String>>(4)?))
        };
        let found = statement.query_row(params, read).optional()?;
        let Some((hash, [size, have, sent], upload)) = found else { return Ok(None) };
        let upload = upload.map(|id| id.parse()).transpose().map_err(|_| Error::Corrupt)?;
        Ok(Some(BlobState { blob: Blob { sha256: Hash::from_bytes(hash), size }, have, sent, upload }))
    }
}
