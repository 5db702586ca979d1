//! The tables `server_upload`, `server_blob`, `server_chunk` and `server_blob_reference`.
//!
//! An upload is chunks here until a resource refers to it: then it becomes an attachment of the store, in its files and
//! for all of its readers. What nothing ever refers to goes after a while.

use std::io::{self, Read};

use keepwell_backend::{Result, UploadRow};
use keepwell_protocol::{Blob, BlobToken, Body, Hash, Id, ResourceKey};
use keepwell_store::fhir::Instant;
use keepwell_store::{Attachment, Connection};
use rusqlite::{Row, params};

use crate::convert::{broken, collect, corrupt, failed, first, hash, id, instant, number, run, stored_key};
use crate::tenant::{Reach, SqlTenant};

impl SqlTenant<'_, '_, '_> {
    pub(crate) fn refer_to_blobs(&mut self, key: &ResourceKey, blobs: &[Blob]) -> Result<()> {
        let resource = self.resource(key)?.ok_or_else(corrupt)?;
        let sql = "-- refer_to_blobs\nDELETE FROM server_blob_reference WHERE resource = ?1";
        run(self.connection(), sql, [resource])?;
        for blob in blobs {
            run(
                self.connection(),
                "-- refer_to_blobs
                 INSERT OR IGNORE INTO server_blob_reference (hash, resource) VALUES (?1, ?2)",
                params![blob.sha256.as_bytes(), resource],
            )?;
        }
        Ok(())
    }

    pub(crate) fn blob_referrers(&mut self, blob: &Hash) -> Result<Vec<ResourceKey>> {
        collect(
            self.connection(),
            "-- blob_referrers
             SELECT type, id FROM resource
             JOIN server_blob_reference ON server_blob_reference.resource = resource.key WHERE hash = ?1",
            [blob.as_bytes()],
            |row| stored_key(row, 0),
        )
    }

    pub(crate) fn size_of_blob(&mut self, blob: &Hash) -> Result<Option<u64>> {
        Ok(self.attachment(blob)?.filter(|attachment| attachment.is_here).map(|attachment| attachment.size))
    }

    pub(crate) fn bytes_of_blob(&mut self, blob: &Hash, offset: u64, length: usize) -> Result<Vec<u8>> {
        self.view(|view| view.attachment_bytes(blob.as_bytes(), offset, length))
    }

    fn attachment(&mut self, blob: &Hash) -> Result<Option<Attachment>> {
        self.view(|view| view.attachment(blob.as_bytes()))
    }

    /// Gives the store what was uploaded of the attachments that a body refers to, before it is written.
    pub(crate) fn hand_over_blobs(&mut self, body: &Body) -> Result<()> {
        for (_, token) in BlobToken::all(body.as_bytes()).unwrap_or_default() {
            let hash = token.blob.sha256;
            if self.attachment(&hash)?.is_some_and(|attachment| attachment.is_here) {
                continue;
            }
            let sql = "-- hand_over_blobs
                 SELECT upload FROM server_blob WHERE hash = ?1 AND upload IS NOT NULL LIMIT 1";
            let upload: Option<i64> =
                first(self.connection(), sql, [hash.as_bytes()], |row| row.get(0).map_err(failed))?;
            if let Some(upload) = upload {
                self.hand_over(&hash, upload)?;
            }
        }
        Ok(())
    }

    fn hand_over(&mut self, blob: &Hash, upload: i64) -> Result<()> {
        let Reach::Writing(transaction) = &self.reach else { return Err(corrupt()) };
        let mut chunks = Chunks { connection: transaction.connection(), upload, start: 0, rest: Vec::new() };
        // Its hash was compared when it came.
        if !transaction.add_attachment(blob.as_bytes(), &mut chunks).map_err(broken)? {
            return Err(corrupt());
        }
        run(
            self.connection(),
            "-- hand_over
             DELETE FROM server_chunk WHERE upload IN (SELECT upload FROM server_blob WHERE hash = ?1)",
            [blob.as_bytes()],
        )?;
        let sql = "-- hand_over\nUPDATE server_blob SET upload = NULL WHERE hash = ?1";
        run(self.connection(), sql, [blob.as_bytes()]).map(|_| ())
    }

    /// Keeps what the archive refers to.
    pub(crate) fn keep_blobs_of(&mut self, body: Option<&Body>) -> Result<()> {
        let tokens = body.and_then(|body| BlobToken::all(body.as_bytes())).unwrap_or_default();
        for (_, token) in tokens {
            let sql = "-- keep_blobs_of\nUPDATE server_blob SET is_kept = 1 WHERE hash = ?1";
            run(self.connection(), sql, [token.blob.sha256.as_bytes()])?;
        }
        Ok(())
    }

    pub(crate) fn was_uploaded_by(&mut self, device: &Id, blob: &Blob) -> Result<bool> {
        let sql = "-- was_uploaded_by\nSELECT size FROM server_blob WHERE device = ?1 AND hash = ?2";
        let params = params![device.as_str(), blob.sha256.as_bytes()];
        let size: Option<i64> = first(self.connection(), sql, params, |row| row.get(0).map_err(failed))?;
        let waits = size == Some(number(blob.size));
        Ok(waits && (self.is_uploaded(&blob.sha256)? || self.size_of_blob(&blob.sha256)?.is_some()))
    }

    /// Whether chunks of all of it are here.
    fn is_uploaded(&self, blob: &Hash) -> Result<bool> {
        let sql = "-- is_uploaded\nSELECT 1 FROM server_blob WHERE hash = ?1 AND upload IS NOT NULL LIMIT 1";
        Ok(first(self.connection(), sql, [blob.as_bytes()], |_| Ok(()))?.is_some())
    }

    pub(crate) fn find_upload(&mut self, id: &Id) -> Result<Option<UploadRow>> {
        let sql = "-- find_upload
             SELECT id, device, hash, size, start, at FROM server_upload WHERE id = ?1";
        first(self.connection(), sql, [id.as_str()], upload)
    }

    pub(crate) fn uploads_by(&mut self, device: &Id) -> Result<Vec<UploadRow>> {
        let sql = "-- uploads_by
             SELECT id, device, hash, size, start, at FROM server_upload WHERE device = ?1 ORDER BY id";
        collect(self.connection(), sql, [device.as_str()], upload)
    }

    pub(crate) fn keep_upload(&mut self, row: &UploadRow, chunk: &[u8]) -> Result<()> {
        let key: Option<i64> = first(
            self.connection(),
            "-- keep_upload
             INSERT INTO server_upload (key, id, device, hash, size, start, at)
             VALUES ((SELECT 1 + max(coalesce((SELECT max(key) FROM server_upload), 0),
                                     coalesce((SELECT max(upload) FROM server_blob), 0))), ?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (id) DO UPDATE SET start = excluded.start, at = excluded.at
             RETURNING key",
            params![
                row.id.as_str(),
                row.device.as_str(),
                row.blob.sha256.as_bytes(),
                number(row.blob.size),
                number(row.offset),
                row.at.ms()
            ],
            |row| row.get(0).map_err(failed),
        )?;
        if chunk.is_empty() {
            return Ok(());
        }
        let start = row.offset.saturating_sub(chunk.len() as u64);
        run(
            self.connection(),
            "-- keep_upload\nINSERT INTO server_chunk (upload, start, data) VALUES (?1, ?2, ?3)",
            params![key, number(start), chunk],
        )
        .map(|_| ())
    }

    pub(crate) fn hash_of_upload(&mut self, id: &Id) -> Result<Hash> {
        let key = self.upload_key(id)?.ok_or_else(corrupt)?;
        let starts = collect(
            self.connection(),
            "-- hash_of_upload\nSELECT start FROM server_chunk WHERE upload = ?1 ORDER BY start",
            [key],
            |row| row.get::<_, i64>(0).map_err(failed),
        )?;
        Hash::of_pieces(starts.into_iter().map(|start| {
            let sql = "-- hash_of_upload\nSELECT data FROM server_chunk WHERE upload = ?1 AND start = ?2";
            first(self.connection(), sql, [key, start], |row| row.get(0).map_err(failed))?.ok_or_else(corrupt)
        }))
    }

    pub(crate) fn finish_upload(&mut self, id: &Id, keep: bool) -> Result<()> {
        let Some(key) = self.upload_key(id)? else { return Ok(()) };
        if keep {
            run(
                self.connection(),
                "-- finish_upload
                 DELETE FROM server_chunk WHERE upload IN (
                     SELECT server_blob.upload FROM server_blob JOIN server_upload USING (device, hash)
                     WHERE server_upload.key = ?1)",
                [key],
            )?;
            run(
                self.connection(),
                "-- finish_upload
                 INSERT INTO server_blob (device, hash, size, upload, at)
                 SELECT device, hash, size, key, at FROM server_upload WHERE key = ?1
                 ON CONFLICT (device, hash) DO UPDATE
                 SET size = excluded.size, upload = excluded.upload, at = excluded.at",
                [key],
            )?;
            let row = self.find_upload(id)?.ok_or_else(corrupt)?;
            // A resource refers to it already, or another upload was faster.
            if self.attachment(&row.blob.sha256)?.is_some() {
                self.hand_over(&row.blob.sha256, key)?;
            }
        } else {
            run(self.connection(), "-- finish_upload\nDELETE FROM server_chunk WHERE upload = ?1", [key])?;
        }
        run(self.connection(), "-- finish_upload\nDELETE FROM server_upload WHERE key = ?1", [key])
            .map(|_| ())
    }

    pub(crate) fn drop_uploads_before(&mut self, since: Instant) -> Result<()> {
        let sql = "-- drop_uploads_before\nSELECT id FROM server_upload WHERE at < ?1";
        let stale = collect(self.connection(), sql, [since.ms()], |row| {
            id(&row.get::<_, String>(0).map_err(failed)?)
        })?;
        stale.iter().try_for_each(|stale| self.finish_upload(stale, false))?;
        run(
            self.connection(),
            "-- drop_uploads_before
             DELETE FROM server_chunk WHERE upload IN (
                 SELECT upload FROM server_blob WHERE at < ?1 AND is_kept = 0)",
            [since.ms()],
        )?;
        let sql = "-- drop_uploads_before\nDELETE FROM server_blob WHERE at < ?1 AND is_kept = 0";
        run(self.connection(), sql, [since.ms()]).map(|_| ())
    }

    fn upload_key(&self, id: &Id) -> Result<Option<i64>> {
        let sql = "-- upload_key\nSELECT key FROM server_upload WHERE id = ?1";
        first(self.connection(), sql, [id.as_str()], |row| row.get(0).map_err(failed))
    }
}

/// The bytes of an upload, one chunk in memory at a time.
struct Chunks<'c> {
    connection: &'c Connection,
    upload: i64,
    start: u64,
    rest: Vec<u8>,
}

impl Read for Chunks<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            let sql = "-- Chunks::read\nSELECT data FROM server_chunk WHERE upload = ?1 AND start = ?2";
            let next: Result<Option<Vec<u8>>> =
                first(self.connection, sql, [self.upload, number(self.start)], |row| {
                    row.get(0).map_err(failed)
                });
            self.rest = next.map_err(io::Error::other)?.unwrap_or_default();
            self.start += self.rest.len() as u64;
        }
        let given = self.rest.len().min(out.len());
        out[..given].copy_from_slice(&self.rest[..given]);
        self.rest.drain(..given);
        Ok(given)
    }
}

fn upload(row: &Row<'_>) -> Result<UploadRow> {
    let text = |at: usize| row.get::<_, String>(at).map_err(failed);
    let count = |at: usize| row.get::<_, i64>(at).map_err(failed).map(i64::cast_unsigned);
    Ok(UploadRow {
        id: id(&text(0)?)?,
        device: id(&text(1)?)?,
        blob: Blob { sha256: hash(row.get(2).map_err(failed)?), size: count(3)? },
        offset: count(4)?,
        at: instant(row.get(5).map_err(failed)?),
    })
}
