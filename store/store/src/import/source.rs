//! Where an import reads from: a file or a stream, as it is or compressed with gzip or zstd.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use ring::digest;

use super::records::Records;
use crate::error::{Error, Result};

/// Bytes at the start of a source that identify it.
const HEAD_BYTES: u64 = 1 << 20;
/// Bytes that are read at a time.
const BUFFER_BYTES: usize = 256 << 10;
/// The largest zstd window that is accepted, as a power of two: 32 MiB, more than any level but `--ultra` uses.
const ZSTD_WINDOW_LOG_MAX: u32 = 25;

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// What an import reads: JSON, gzip or zstd, told apart by its first bytes.
pub struct ImportSource<'a>(Kind<'a>);

enum Kind<'a> {
    File(PathBuf),
    Reader { name: String, reader: Box<dyn Read + Send + 'a> },
}

impl<'a> ImportSource<'a> {
    /// A file.
    #[must_use]
    pub fn file(path: &Path) -> Self {
        Self(Kind::File(path.to_owned()))
    }

    /// A stream. An interrupted import of it goes on when a stream of the same `name` begins with the same bytes.
    #[must_use]
    pub fn reader(name: &str, reader: impl Read + Send + 'a) -> Self {
        Self(Kind::Reader { name: name.to_owned(), reader: Box::new(reader) })
    }

    /// Opens the source and recognises it; `salt` holds what else decides how its entries are counted.
    pub(super) fn open(self, salt: &[u8]) -> Result<Opened<'a>> {
        let failed = Error::io("opening what to import");
        let (mut raw, total_bytes, name): (Box<dyn Read + Send + 'a>, _, _) = match self.0 {
            Kind::File(path) => {
                let file = File::open(path).map_err(&failed)?;
                let length = file.metadata().map_err(&failed)?.len();
                (Box::new(file), Some(length), length.to_string())
            }
            Kind::Reader { name, reader } => (reader, None, name),
        };
        let mut head = Vec::new();
        raw.by_ref().take(HEAD_BYTES).read_to_end(&mut head).map_err(&failed)?;
        let id = identity(&[salt, name.as_bytes(), &head]);
        let is_gzip = head.starts_with(GZIP_MAGIC);
        let is_zstd = head.starts_with(ZSTD_MAGIC);
        let bytes_read = Arc::new(AtomicU64::new(0));
        let counted = Counted { inner: Cursor::new(head).chain(raw), count: bytes_read.clone() };
        let buffered = BufReader::with_capacity(BUFFER_BYTES, counted);
        let plain: Box<dyn Read + Send + 'a> = if is_gzip {
            Box::new(MultiGzDecoder::new(buffered))
        } else if is_zstd {
            let mut decoder = zstd::Decoder::with_buffer(buffered).map_err(&failed)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(&failed)?;
            Box::new(decoder)
        } else {
            Box::new(buffered)
        };
        Ok(Opened { id, total_bytes, bytes_read, records: Records::new(plain) })
    }
}

/// A source that is being read.
pub(super) struct Opened<'a> {
    /// The key of table `import`.
    pub(super) id: String,
    /// Its length before decompression, of a file.
    pub(super) total_bytes: Option<u64>,
    /// How much of that has been read.
    pub(super) bytes_read: Arc<AtomicU64>,
    pub(super) records: Records<'a>,
}

fn identity(parts: &[&[u8]]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    hex::encode(context.finish())
}

struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
