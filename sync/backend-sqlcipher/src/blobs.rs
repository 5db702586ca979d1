//! The tables `server_upload`, `server_blob`, `server_chunk` and `server_blob_reference`.

use keepwell_backend::{Result, UploadRow};
use keepwell_protocol::{Blob, Hash, Id, ResourceKey};
use keepwell_store::fhir::Instant;
use rusqlite::{Row, params};

use crate::convert::{collect, corrupt, failed, first, hash, id, instant, number, run, stored_key};
use crate::tenant::SqlTenant;

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
        let sql = "-- size_of_blob\nSELECT size FROM server_blob WHERE hash = ?1";
        first(self.connection(), sql, [blob.as_bytes()], |row| {
            Ok(row.get::<_, i64>(0).map_err(failed)?.cast_unsigned())
        })
    }

    pub(crate) fn bytes_of_blob(&mut self, blob: &Hash, offset: u64, length: usize) -> Result<Vec<u8>> {
        let end = offset.saturating_add(length as u64);
        let pieces = collect(
            self.connection(),
            "-- bytes_of_blob
             SELECT start, data FROM server_chunk JOIN server_blob ON server_blob.upload = server_chunk.upload
             WHERE hash = ?1 AND start < ?3 AND start + length(data) > ?2 ORDER BY start",
            params![blob.as_bytes(), number(offset), number(end)],
            |row| {
                let start: i64 = row.get(0).map_err(failed)?;
                Ok((start.cast_unsigned(), row.get::<_, Vec<u8>>(1).map_err(failed)?))
            },
        )?;
        let mut bytes = Vec::with_capacity(length);
        for (start, data) in pieces {
            let within =
                |at: u64| usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX).min(data.len());
            bytes.extend_from_slice(&data[within(offset)..within(end)]);
        }
        Ok(bytes)
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
        let kept = if keep {
            run(
                self.connection(),
                "-- finish_upload
                 INSERT OR IGNORE INTO server_blob (hash, size, upload)
                 SELECT hash, size, key FROM server_upload WHERE key = ?1",
                [key],
            )?
        } else {
            0
        };
        if kept == 0 {
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
        stale.iter().try_for_each(|stale| self.finish_upload(stale, false))
    }

    fn upload_key(&self, id: &Id) -> Result<Option<i64>> {
        let sql = "-- upload_key\nSELECT key FROM server_upload WHERE id = ?1";
        first(self.connection(), sql, [id.as_str()], |row| row.get(0).map_err(failed))
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
