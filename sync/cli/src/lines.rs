//! Texts that are made while they are read, one a line.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// An iterator of texts as a stream of lines, with a count of its bytes.
pub(crate) struct Lines<I> {
    texts: I,
    line: Vec<u8>,
    read: usize,
    bytes: Arc<AtomicU64>,
}

impl<I: Iterator<Item = String>> Lines<I> {
    /// `bytes` counts what has been read, line feeds aside.
    pub(crate) fn new(texts: I, bytes: Arc<AtomicU64>) -> Self {
        Self { texts, line: Vec::new(), read: 0, bytes }
    }
}

impl<I: Iterator<Item = String>> Read for Lines<I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.line.len() {
            let Some(text) = self.texts.next() else { return Ok(0) };
            self.bytes.fetch_add(text.len() as u64, Ordering::Relaxed);
            self.line = text.into_bytes();
            self.line.push(b'\n');
            self.read = 0;
        }
        let rest = &self.line[self.read..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.read += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_lines_whatever_the_size_of_the_buffer() {
        let bytes = Arc::new(AtomicU64::new(0));
        let texts = ["one", "", "three"].map(str::to_owned);
        let mut lines = Lines::new(texts.into_iter(), bytes.clone());
        let mut out = Vec::new();
        let mut buffer = [0; 2];
        loop {
            match lines.read(&mut buffer).unwrap() {
                0 => break,
                length => out.extend_from_slice(&buffer[..length]),
            }
        }
        assert_eq!(out, b"one\n\nthree\n");
        assert_eq!(bytes.load(Ordering::Relaxed), 8);
    }
}
