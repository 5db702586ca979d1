//! How many changes the server has not seen, readable without the key.
//!
//! When a key is lost, this count says what is lost with it. It is updated with every commit by one write in
//! place without fsync, so after a power cut it may be a commit behind. It is sealed: an alteration shows once
//! the store is open again.

use std::io;
use std::path::Path;

use ring::hmac;

use crate::crypto::{self, Label, MAC_BYTES};
use crate::error::{Error, Part};
use crate::key::Key;
use crate::layout::STATUS_FILE;
use crate::store_id::{STORE_ID_BYTES, StoreId};
use crate::twin::{self, Magic, Twin};

/// count, time.
const BODY_BYTES: usize = STORE_ID_BYTES + 8 + 8;
const RECORD_BYTES: usize = BODY_BYTES + MAC_BYTES;
const MAGIC: Magic = *b"kw-stat1";

/// Changes in the store that the server has not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsynced {
    /// The store that was counted.
    pub store: StoreId,
    /// Number of changes.
    pub count: u64,
    /// When they were counted, in milliseconds since 1970 UTC.
    pub as_of_ms: i64,
}

/// Reads the count without any key; `None` if nothing was ever counted.
///
/// # Errors
/// [`Error::Corrupt`] if the file is damaged, [`Error::Io`] if it cannot be read.
pub fn unsynced(directory: impl AsRef<Path>) -> Result<Option<Unsynced>, Error> {
    read(directory.as_ref()).map(|record| record.map(|record| decode(&record)))
}

fn read(directory: &Path) -> Result<Option<[u8; RECORD_BYTES]>, Error> {
    twin::read(&directory.join(STATUS_FILE), MAGIC).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Error::Corrupt(Part::Status),
        _ => Error::io("reading the status file")(error),
    })
}

/// Writes the count while the store is open.
#[derive(Debug)]
pub(crate) struct StatusWriter {
    store: StoreId,
    key: hmac::Key,
    file: Twin<RECORD_BYTES>,
}

impl StatusWriter {
    pub(crate) fn open(directory: &Path, store: StoreId, anchor_key: &Key) -> Result<Self, Error> {
        let key = crypto::derive(Label::Status, store.as_bytes(), anchor_key.expose(), b"");
        let file =
            Twin::open(&directory.join(STATUS_FILE), MAGIC).map_err(Error::io("opening the status file"))?;
        Ok(Self { store, key: hmac::Key::new(hmac::HMAC_SHA256, key.expose()), file })
    }

    pub(crate) fn write(&mut self, count: u64, now_ms: i64) -> Result<(), Error> {
        let mut record = [0; RECORD_BYTES];
        record[..STORE_ID_BYTES].copy_from_slice(self.store.as_bytes());
        record[STORE_ID_BYTES..STORE_ID_BYTES + 8].copy_from_slice(&count.to_be_bytes());
        record[STORE_ID_BYTES + 8..BODY_BYTES].copy_from_slice(&now_ms.to_be_bytes());
        let tag = hmac::sign(&self.key, &record[..BODY_BYTES]);
        record[BODY_BYTES..].copy_from_slice(tag.as_ref());
        self.file.write(&record).map_err(Error::io("writing the status file"))
    }

    /// The count as it stands in the directory, if this store wrote it.
    pub(crate) fn verified(&self, directory: &Path) -> Result<Option<Unsynced>, Error> {
        let Some(record) = read(directory)? else { return Ok(None) };
        let (body, tag) = record.split_at(BODY_BYTES);
        hmac::verify(&self.key, body, tag).map_err(|_| Error::Corrupt(Part::Status))?;
        Ok(Some(decode(&record)))
    }
}

fn decode(record: &[u8; RECORD_BYTES]) -> Unsynced {
    let word = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&record[at..at + 8]);
        u64::from_be_bytes(bytes)
    };
    let mut store = [0; STORE_ID_BYTES];
    store.copy_from_slice(&record[..STORE_ID_BYTES]);
    Unsynced {
        store: StoreId::from_bytes(store),
        count: word(STORE_ID_BYTES),
        as_of_ms: word(STORE_ID_BYTES + 8).cast_signed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_without_a_key_and_forgery_is_seen_with_it() {
        let place = tempfile::tempdir().unwrap();
        let store = StoreId::generate();
        assert_eq!(unsynced(place.path()).unwrap(), None);
        let mut writer = StatusWriter::open(place.path(), store, &Key::generate()).unwrap();
        writer.write(3, 10).unwrap();
        writer.write(4, 20).unwrap();
        assert_eq!(unsynced(place.path()).unwrap(), Some(Unsynced { store, count: 4, as_of_ms: 20 }));
        assert_eq!(writer.verified(place.path()).unwrap().map(|found| found.count), Some(4));

        let mut forger = StatusWriter::open(place.path(), store, &Key::generate()).unwrap();
        forger.write(0, 30).unwrap();
        assert!(matches!(writer.verified(place.path()), Err(Error::Corrupt(Part::Status))));
    }
}
