//! The grammar of JSON (RFC 8259), over bytes that are known to be UTF-8.
//!
//! A [`Scanner`] moves forward over tokens and never allocates. It is stricter than the grammar in one point:
//! an escaped surrogate without its partner is refused, since it stands for no text at all.

use crate::string::{decode_escape, hex4, is_high_surrogate, is_low_surrogate};
use crate::syntax::{SyntaxError, SyntaxErrorKind as Kind};
use crate::word::{below, equal_to, find};

/// The longest number in bytes. FHIR sets no limit; measurements need some twenty digits.
pub const MAX_NUMBER_BYTES: usize = 8 * 1024;

/// A string token, without its quotes.
#[derive(Clone, Copy)]
pub(crate) struct Text {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) has_escape: bool,
}

pub(crate) struct Scanner<'a> {
    pub(crate) bytes: &'a [u8],
    /// The next byte to read.
    pub(crate) at: usize,
    /// Why the scanner stopped, once it has.
    failure: Option<SyntaxError>,
}

/// The document ends here; the scanner knows why.
///
/// The reason does not travel in results, since results of more than a register made the walk a fifth slower.
pub(crate) struct Stop;

impl<'a> Scanner<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, failure: None }
    }

    /// The next byte that is not white space, not yet consumed; 0 at the end.
    #[inline(always)]
    pub(crate) fn peek(&mut self) -> u8 {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                Some(&byte) => return byte,
                None => return 0,
            }
        }
    }

    /// Consumes one expected byte after white space.
    #[inline(always)]
    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), Stop> {
        if self.peek() != byte {
            return Err(self.unexpected());
        }
        self.at += 1;
        Ok(())
    }

    /// A second scanner that looks ahead from here.
    pub(crate) const fn ahead(&self) -> Self {
        Self { bytes: self.bytes, at: self.at, failure: None }
    }

    /// The reason of a stop.
    pub(crate) fn failure(&self, _: Stop) -> SyntaxError {
        self.failure.unwrap_or(SyntaxError { offset: self.at, kind: Kind::UnexpectedByte })
    }

    /// Stops at a byte that cannot stand at the current position.
    #[cold]
    pub(crate) fn unexpected(&mut self) -> Stop {
        let kind = if self.at >= self.bytes.len() { Kind::UnexpectedEnd } else { Kind::UnexpectedByte };
        self.stop(self.at, kind)
    }

    #[cold]
    pub(crate) fn stop(&mut self, offset: usize, kind: Kind) -> Stop {
        self.failure = Some(SyntaxError { offset, kind });
        Stop
    }

    /// Consumes a string; the current byte is its opening quote.
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Result<Text, Stop> {
        self.at += 1;
        let start = self.at;
        self.skip_plain();
        let has_escape = self.bytes.get(self.at) != Some(&b'"');
        if has_escape {
            self.rest_of_string()?;
        }
        self.at += 1;
        Ok(Text { start, end: self.at - 1, has_escape })
    }

    /// As [`Self::string`]; if it has escapes, its text without them is in `decoded` then. One search does for both.
    #[inline(always)]
    pub(crate) fn decoded_string(&mut self, decoded: &mut Vec<u8>) -> Result<Text, Stop> {
        self.at += 1;
        let start = self.at;
        self.skip_plain();
        let has_escape = self.bytes.get(self.at) != Some(&b'"');
        if has_escape {
            self.decode_rest_of_string(start, decoded)?;
        }
        self.at += 1;
        Ok(Text { start, end: self.at - 1, has_escape })
    }

    /// As [`Self::rest_of_string`], of a string that begins at `start`.
    fn decode_rest_of_string(&mut self, start: usize, decoded: &mut Vec<u8>) -> Result<(), Stop> {
        decoded.clear();
        let mut plain = start;
        loop {
            decoded.extend_from_slice(&self.bytes[plain..self.at]);
            let end = self.at;
            match self.bytes.get(end) {
                Some(b'"') => return Ok(()),
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.stop(end, Kind::ControlCharacter)),
                None => return Err(self.unexpected()),
            }
            decode_escape(&self.bytes[end + 1..self.at], decoded);
            plain = self.at;
            self.skip_plain();
        }
    }

    /// Moves to the closing quote from the first escape, or stops at what is no part of a string.
    fn rest_of_string(&mut self) -> Result<(), Stop> {
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => return Ok(()),
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.stop(self.at, Kind::ControlCharacter)),
                None => return Err(self.unexpected()),
            }
            self.skip_plain();
        }
    }

    /// Moves to the next quote, backslash or control character.
    #[inline(always)]
    fn skip_plain(&mut self) {
        let special = |word| below(word, b' ') | equal_to(word, b'"') | equal_to(word, b'\\');
        self.at = find(self.bytes, self.at, special);
    }

    /// Consumes one escape; the current byte is its backslash.
    fn escape(&mut self) -> Result<(), Stop> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => self.unicode_escape(),
            Some(_) => Err(self.stop(self.at, Kind::BadEscape)),
            None => Err(self.stop(self.at, Kind::UnexpectedEnd)),
        }
    }

    fn unicode_escape(&mut self) -> Result<(), Stop> {
        let unit = hex4(&self.bytes[self.at + 2..]).ok_or_else(|| self.stop(self.at, Kind::BadEscape))?;
        if is_low_surrogate(unit) {
            return Err(self.stop(self.at, Kind::LoneSurrogate));
        }
        if is_high_surrogate(unit) {
            let partner = self.bytes[self.at + 6..].strip_prefix(b"\\u").and_then(hex4);
            if !partner.is_some_and(is_low_surrogate) {
                return Err(self.stop(self.at, Kind::LoneSurrogate));
            }
            self.at += 6;
        }
        self.at += 6;
        Ok(())
    }

    /// Consumes a number; the current byte is a digit or a minus. Returns its text.
    pub(crate) fn number(&mut self) -> Result<&'a [u8], Stop> {
        let start = self.at;
        if self.bytes[self.at] == b'-' {
            self.at += 1;
        }
        match self.bytes.get(self.at) {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        if self.at - start > MAX_NUMBER_BYTES {
            return Err(self.stop(start, Kind::NumberTooLong));
        }
        Ok(&self.bytes[start..self.at])
    }

    /// At least one digit.
    fn digits(&mut self) -> Result<(), Stop> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(self.stop(self.at, Kind::BadNumber)) }
    }

    /// Consumes `true`, `false` or `null`.
    pub(crate) fn literal(&mut self, word: &[u8]) -> Result<(), Stop> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.unexpected());
        }
        self.at += word.len();
        Ok(())
    }

    /// Makes sure that only white space is left.
    pub(crate) fn finish(&mut self) -> Result<(), Stop> {
        self.peek();
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.stop(self.at, Kind::TrailingData)) }
    }
}
