//! Decompression in bounded memory.
//!
//! Promise: whatever the bytes are, an [`Inflate`] holds a window of at most
//! [`WINDOW_BYTES_MAX`], and gives no more than its limit.

use std::fmt;

use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use crate::encoding::Encoding;
use crate::error::{Error, Limit, Result};
use crate::limits::WINDOW_BYTES_MAX;

const WINDOW_LOG_MAX: u32 = WINDOW_BYTES_MAX.ilog2();

/// What zstd answers to a frame that would need a larger window (`ZSTD_error_frameParameter_windowTooLarge`).
const WINDOW_TOO_LARGE: usize = 16;

/// What zstd answers to a frame of another dictionary (`ZSTD_error_dictionary_wrong`).
const OTHER_DICTIONARY: usize = 32;

/// A body that is being decoded, from pieces of any size.
pub struct Inflate {
    /// None: the bytes are as they are.
    zstd: Option<DCtx<'static>>,
    left: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Inside,
    Ended,
}

impl fmt::Debug for Inflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inflate({} bytes left)", self.left)
    }
}

impl Inflate {
    /// Begins a body of at most `bytes_max` bytes after decompression.
    #[must_use]
    pub fn new(encoding: &Encoding, bytes_max: usize) -> Self {
        let dictionary = match encoding {
            Encoding::Identity => {
                return Self { zstd: None, left: bytes_max, state: State::Inside };
            }
            Encoding::Zstd => None,
            Encoding::Dictionary(dictionary) => Some(dictionary),
        };
        let mut zstd = DCtx::create();
        zstd.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).expect("the window is in range");
        if let Some(dictionary) = dictionary {
            zstd.load_dictionary(dictionary.bytes()).expect("it was read when it was made");
        }
        Self { zstd: Some(zstd), left: bytes_max, state: State::Inside }
    }

    /// Moves bytes from `input` to `out` and says how many were written; `input` is left with what was not used.
    ///
    /// Zero with an empty `input` means that more is needed.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Compression`], [`Error::UnknownDictionary`]. The body is lost then; what was
    /// given before is right, but for damage that only the checksum at the end tells.
    pub fn read(&mut self, input: &mut &[u8], out: &mut [u8]) -> Result<usize> {
        let Some(zstd) = &mut self.zstd else {
            let length = input.len().min(out.len());
            out[..length].copy_from_slice(&input[..length]);
            *input = &input[length..];
            return self.count(length);
        };
        if self.state == State::Ended {
            // One message, one frame: a second one would be decoded without its dictionary.
            return if input.is_empty() { Ok(0) } else { Err(Error::Compression) };
        }
        let (mut from, mut to) = (InBuffer::around(input), OutBuffer::around(out));
        let hint = zstd.decompress_stream(&mut to, &mut from).map_err(refusal)?;
        let (read, written) = (from.pos(), to.pos());
        *input = &input[read..];
        if hint == 0 {
            self.state = State::Ended;
        }
        self.count(written)
    }

    /// To be called when no more input will come.
    ///
    /// # Errors
    /// [`Error::Truncated`] inside a frame.
    pub fn finish(&self) -> Result<()> {
        if self.zstd.is_none() || self.state == State::Ended { Ok(()) } else { Err(Error::Truncated) }
    }

    fn count(&mut self, written: usize) -> Result<usize> {
        self.left = self.left.checked_sub(written).ok_or(Error::TooLarge(Limit::Message))?;
        Ok(written)
    }
}

/// zstd's error codes are negative numbers in an unsigned type.
fn refusal(code: usize) -> Error {
    match code.wrapping_neg() {
        WINDOW_TOO_LARGE => Error::TooLarge(Limit::Window),
        OTHER_DICTIONARY => Error::UnknownDictionary,
        _ => Error::Compression,
    }
}

#[cfg(test)]
mod tests;
