//! Bytes of the index's formats: varints (LEB128, little end first) and checked reading.

use crate::error::Corrupt;

/// Appends a varint: seven bits a byte, the high bit says that more follow.
pub(crate) fn put_varint(out: &mut Vec<u8>, value: impl Into<u64>) {
    let mut value = value.into();
    while value >= 0x80 {
        out.push(low_byte(value) | 0x80);
        value >>= 7;
    }
    out.push(low_byte(value));
}

const fn low_byte(value: u64) -> u8 {
    (value & 0x7f) as u8
}

/// Appends a length and the bytes.
pub(crate) fn put_slice(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, len64(bytes));
    out.extend_from_slice(bytes);
}

/// The length of a slice as the formats write it.
pub(crate) const fn len64<T>(slice: &[T]) -> u64 {
    slice.len() as u64
}

/// The length of a slice that a named limit keeps below 2^32.
pub(crate) fn len32<T>(slice: &[T]) -> u32 {
    u32::try_from(slice.len()).expect("limits keep it below 2^32")
}

/// How many bytes two terms share at their beginning.
pub(crate) fn shared_prefix(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}

/// What is left to read of a slice. Every read is checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    rest: &'a [u8],
}

const SHORT: Corrupt = Corrupt("bytes end early");

impl<'a> Input<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes are left.
    pub(crate) const fn len(&self) -> usize {
        self.rest.len()
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Corrupt> {
        match *self.rest {
            [byte, ref rest @ ..] if byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Corrupt> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first().ok_or(SHORT)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Corrupt("a number has too many bytes"))
    }

    /// A varint below 2^32.
    #[inline]
    pub(crate) fn number(&mut self) -> Result<u32, Corrupt> {
        u32::try_from(self.varint()?).map_err(|_| Corrupt("a number is too large"))
    }

    /// A varint that counts something of which each takes at least a byte of what is left.
    pub(crate) fn count(&mut self) -> Result<usize, Corrupt> {
        let count = usize::try_from(self.varint()?).map_err(|_| SHORT)?;
        if count > self.rest.len() { Err(SHORT) } else { Ok(count) }
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Corrupt> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    /// What [`put_slice`] wrote.
    pub(crate) fn slice(&mut self) -> Result<&'a [u8], Corrupt> {
        let len = self.count()?;
        self.take(len)
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<(), Corrupt> {
        if self.rest.is_empty() { Ok(()) } else { Err(Corrupt("bytes follow the end")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            let mut input = Input::new(&out);
            assert_eq!(input.varint(), Ok(value));
            assert_eq!(input.end(), Ok(()));
        }
    }

    #[test]
    fn a_number_that_ends_early_or_never_is_damage() {
        for bytes in [&[][..], &[0x80], &[0xff; 11]] {
            assert!(Input::new(bytes).varint().is_err());
        }
    }
}
