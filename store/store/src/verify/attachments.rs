//! The attachments: each file that should be here is there, authenticates, and holds what its row says.

use std::io::{self, Write};

use ring::digest;

use super::{Defect, DefectKind, Verification};
use crate::change_feed::resource_type;
use crate::error::{Error, Result};
use crate::id_key::IdKey;
use crate::inner::Reader;

const BLOBS: &str = "
    -- verify::attachments
    SELECT key, hash, size FROM blob WHERE is_absent = 0 ORDER BY key";
const REFERRERS: &str = "
    -- verify::attachments
    SELECT r.type, r.id, b.version FROM blob_reference b JOIN resource r ON r.key = b.resource WHERE b.blob = ?1";

struct Blob {
    key: i64,
    hash: [u8; 32],
    size: i64,
}

impl Verification<'_> {
    pub(super) fn attachments(&mut self) -> Result<()> {
        // Where the table cannot be read, the database's own check has said so.
        let blobs = self.readable(blobs)?.unwrap_or_default();
        let total = blobs.len() as u64;
        for blob in blobs {
            let open = self.open;
            let is_whole = self.readable(|reader| {
                let mut content = Hasher { context: digest::Context::new(&digest::SHA256), size: 0 };
                let copied = open.attachments.copy(&reader.connection, &blob.hash, &mut content);
                match copied {
                    Ok(_) => Ok(content.is(&blob)),
                    Err(Error::Corrupt) => Ok(false),
                    Err(error) => Err(error),
                }
            })?;
            if is_whole != Some(true) {
                self.name_referrers(&blob)?;
            }
            self.report.attachments += 1;
            self.tell("attachments", self.report.attachments, total);
        }
        Ok(())
    }

    fn name_referrers(&mut self, blob: &Blob) -> Result<()> {
        let defects = self.readable(|reader| {
            let mut statement = reader.connection.prepare_cached(REFERRERS)?;
            let mut rows = statement.query([blob.key])?;
            let mut defects = Vec::new();
            while let Some(row) = rows.next()? {
                defects.push(Defect {
                    resource_type: resource_type(row.get(0)?).ok(),
                    id: Some(row.get::<_, IdKey>(1)?.to_string()),
                    version: Some(row.get::<_, i64>(2)?.unsigned_abs()),
                    kind: DefectKind::Attachment,
                });
            }
            Ok(defects)
        })?;
        let nobody = Defect { resource_type: None, id: None, version: None, kind: DefectKind::Attachment };
        for defect in defects.unwrap_or_else(|| vec![nobody]) {
            self.report.add(defect);
        }
        Ok(())
    }
}

fn blobs(reader: &mut Reader) -> Result<Vec<Blob>> {
    let mut statement = reader.connection.prepare(BLOBS)?;
    let blobs =
        statement.query_map([], |row| Ok(Blob { key: row.get(0)?, hash: row.get(1)?, size: row.get(2)? }))?;
    Ok(blobs.collect::<rusqlite::Result<_>>()?)
}

/// Takes content and keeps its hash.
struct Hasher {
    context: digest::Context,
    size: u64,
}

impl Hasher {
    fn is(self, blob: &Blob) -> bool {
        self.size == blob.size.unsigned_abs() && self.context.finish().as_ref() == blob.hash
    }
}

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.context.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
