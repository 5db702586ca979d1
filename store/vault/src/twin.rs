//! A small record that is overwritten in place and always readable.
//!
//! The file has two slots, each in its own sector, written in turn. A torn write damages one slot; the other
//! still holds the record before.
//!
//! Invariant: [`read`] gives the newest record that was written whole, or an error if there were records and
//! all are damaged.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use ring::digest;

use crate::disk;

/// Distance of the slots in bytes: the sector of common disks.
const SLOT_BYTES: usize = 512;
const MAGIC_BYTES: usize = 8;
const COUNTER_BYTES: usize = 8;
const CHECK_BYTES: usize = 16;

/// Tells the kinds of records apart.
pub(crate) type Magic = [u8; MAGIC_BYTES];

/// The newest record of a file, if there is a file.
pub(crate) fn read<const N: usize>(path: &Path, magic: Magic) -> io::Result<Option<[u8; N]>> {
    match File::open(path) {
        Ok(mut file) => newest(&mut file, magic).map(|found| found.map(|(_, payload)| payload)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes records of `N` bytes.
#[derive(Debug)]
pub(crate) struct Twin<const N: usize> {
    file: File,
    magic: Magic,
    counter: u64,
}

impl<const N: usize> Twin<N> {
    /// Opens the file, or makes it.
    pub(crate) fn open(path: &Path, magic: Magic) -> io::Result<Self> {
        let mut file = disk::open_private(path)?;
        // Damaged records do not matter to somebody who is about to write a new one.
        let counter = newest::<N>(&mut file, magic).ok().flatten().map_or(0, |(counter, _)| counter);
        Ok(Self { file, magic, counter })
    }

    /// Writes a record; it survives a crash of the process, and a power cut only after [`Twin::sync`].
    pub(crate) fn write(&mut self, payload: &[u8; N]) -> io::Result<()> {
        let counter = self.counter + 1;
        let slot = encode(self.magic, counter, payload);
        self.file.seek(SeekFrom::Start((counter % 2) * SLOT_BYTES as u64))?;
        self.file.write_all(&slot)?;
        self.counter = counter;
        Ok(())
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn newest<const N: usize>(file: &mut File, magic: Magic) -> io::Result<Option<(u64, [u8; N])>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(2 * SLOT_BYTES as u64).read_to_end(&mut bytes)?;
    let found =
        bytes.chunks(SLOT_BYTES).filter_map(|slot| decode(magic, slot)).max_by_key(|(counter, _)| *counter);
    if found.is_none() && !bytes.is_empty() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(found)
}

fn encode<const N: usize>(magic: Magic, counter: u64, payload: &[u8; N]) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    let end = MAGIC_BYTES + COUNTER_BYTES + N;
    slot[..MAGIC_BYTES].copy_from_slice(&magic);
    slot[MAGIC_BYTES..MAGIC_BYTES + COUNTER_BYTES].copy_from_slice(&counter.to_be_bytes());
    slot[MAGIC_BYTES + COUNTER_BYTES..end].copy_from_slice(payload);
    let check = digest::digest(&digest::SHA256, &slot[..end]);
    slot[end..end + CHECK_BYTES].copy_from_slice(&check.as_ref()[..CHECK_BYTES]);
    slot
}

fn decode<const N: usize>(magic: Magic, slot: &[u8]) -> Option<(u64, [u8; N])> {
    let (found, rest) = slot.split_first_chunk::<MAGIC_BYTES>()?;
    let (counter, rest) = rest.split_first_chunk::<COUNTER_BYTES>()?;
    let (payload, _) = rest.split_first_chunk::<N>()?;
    let counter = u64::from_be_bytes(*counter);
    let whole =
        *found == magic && encode(magic, counter, payload).starts_with(slot) && slot.len() == SLOT_BYTES;
    whole.then_some((counter, *payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAGIC: Magic = *b"kw-test1";

    #[test]
    fn the_newest_record_is_read_and_counting_goes_on() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("twin");
        assert_eq!(read::<4>(&path, MAGIC).unwrap(), None);
        for round in 0..5_u8 {
            let mut twin = Twin::<4>::open(&path, MAGIC).unwrap();
            twin.write(&[round; 4]).unwrap();
            twin.write(&[round + 100; 4]).unwrap();
            twin.sync().unwrap();
            assert_eq!(read(&path, MAGIC).unwrap(), Some([round + 100; 4]));
        }
        assert!(read::<4>(&path, *b"kw-other").is_err());
    }

    #[test]
    fn a_torn_write_leaves_the_record_before() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("twin");
        let mut twin = Twin::<4>::open(&path, MAGIC).unwrap();
        twin.write(&[1; 4]).unwrap();
        twin.write(&[2; 4]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for bit in 0..SLOT_BYTES * 8 {
            // The second record went into the first slot.
            let mut torn = whole.clone();
            torn[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, torn).unwrap();
            assert_eq!(read(&path, MAGIC).unwrap(), Some([1; 4]), "bit {bit}");
        }
        for length in 1..SLOT_BYTES {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(read::<4>(&path, MAGIC).is_err(), "length {length}");
        }
    }
}
