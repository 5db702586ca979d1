//! JSON documents by the grammar alone: unique keys, bounded depth, any content.
//!
//! The walker uses this for everything that no definition knows.

use crate::keys::Keys;
use crate::scanner::{Scanner, Stop, Text};
use crate::syntax::{SyntaxError, SyntaxErrorKind as Kind};
use crate::walker::MAX_DEPTH;

pub(crate) struct Grammar<'a, 's> {
    pub(crate) scanner: Scanner<'a>,
    /// Keys that no definition knows, of all open objects.
    pub(crate) keys: &'s mut Keys,
    /// How many arrays and objects are open.
    depth: usize,
}

impl<'a, 's> Grammar<'a, 's> {
    pub(crate) fn new(scanner: Scanner<'a>, keys: &'s mut Keys) -> Self {
        keys.clear();
        Self { scanner, keys, depth: 0 }
    }

    /// One value and nothing behind it.
    pub(crate) fn document(&mut self) -> Result<(), SyntaxError> {
        let found = self.value().and_then(|()| self.scanner.finish());
        found.map_err(|stop| self.scanner.failure(stop))
    }

    /// A value of any kind.
    pub(crate) fn value(&mut self) -> Result<(), Stop> {
        match self.scanner.peek() {
            b'"' => self.scanner.string().map(drop),
            b'{' => self.object(),
            b'[' => self.array(),
            b'-' | b'0'..=b'9' => self.scanner.number().map(drop),
            b't' => self.scanner.literal(b"true"),
            b'f' => self.scanner.literal(b"false"),
            b'n' => self.scanner.literal(b"null"),
            _ => Err(self.scanner.unexpected()),
        }
    }

    fn object(&mut self) -> Result<(), Stop> {
        let keys = self.keys.mark();
        let mut is_last = self.enter(b'}')?;
        while !is_last {
            let key = self.key()?;
            self.keys.push(key, self.scanner.bytes);
            self.value()?;
            is_last = self.is_last(b'}')?;
        }
        self.leave();
        self.unique_keys(keys)
    }

    fn array(&mut self) -> Result<(), Stop> {
        let mut is_last = self.enter(b']')?;
        while !is_last {
            self.value()?;
            is_last = self.is_last(b']')?;
        }
        self.leave();
        Ok(())
    }

    /// Consumes `{` or `[`; whether the object or array is empty and ends at once.
    #[inline(always)]
    pub(crate) fn enter(&mut self, close: u8) -> Result<bool, Stop> {
        if self.depth == MAX_DEPTH {
            return Err(self.scanner.stop(self.scanner.at, Kind::TooDeep));
        }
        self.depth += 1;
        self.scanner.at += 1;
        let is_empty = self.scanner.peek() == close;
        self.scanner.at += usize::from(is_empty);
        Ok(is_empty)
    }

    pub(crate) const fn leave(&mut self) {
        self.depth -= 1;
    }

    /// A key and its colon.
    #[inline(always)]
    pub(crate) fn key(&mut self) -> Result<Text, Stop> {
        if self.scanner.peek() != b'"' {
            return Err(self.scanner.unexpected());
        }
        let key = self.scanner.string()?;
        self.scanner.expect(b':')?;
        Ok(key)
    }

    /// Whether the array or object ends here instead of going on behind a comma.
    #[inline(always)]
    pub(crate) fn is_last(&mut self, close: u8) -> Result<bool, Stop> {
        let byte = self.scanner.peek();
        if byte != b',' && byte != close {
            return Err(self.scanner.unexpected());
        }
        self.scanner.at += 1;
        Ok(byte == close)
    }

    /// Ends an object: the keys above the mark may not repeat.
    #[inline(always)]
    pub(crate) fn unique_keys(&mut self, mark: usize) -> Result<(), Stop> {
        if self.keys.mark() == mark {
            return Ok(());
        }
        match self.keys.pop_to(mark, self.scanner.bytes) {
            Some(offset) => Err(self.scanner.stop(offset, Kind::DuplicateKey)),
            None => Ok(()),
        }
    }
}
