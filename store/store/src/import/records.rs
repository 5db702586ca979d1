//! The JSON documents of a source: one a line, or one in the whole source.
//!
//! A source whose first line is not a whole document is one document, as a pretty-printed Bundle is.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};

use keepwell_fhir::bundle::MAX_BUNDLE_BYTES;

/// Bytes that are decompressed at a time.
const BUFFER_BYTES: usize = 256 << 10;

/// Bytes of a document that is read in one go, into a buffer that is kept for the next one.
const USUAL_BYTES: usize = 16 << 20;

/// Bytes of a piece of what follows in a larger document.
const PIECE_BYTES: usize = 1 << 20;

/// Reads documents one after the other.
pub(super) struct Records<'a> {
    input: BufReader<Box<dyn Read + Send + 'a>>,
    is_first: bool,
}

impl<'a> Records<'a> {
    pub(super) fn new(input: Box<dyn Read + Send + 'a>) -> Self {
        Self { input: BufReader::with_capacity(BUFFER_BYTES, input), is_first: true }
    }

    /// Reads the next document into `document`, white space around it included; `false` at the end.
    ///
    /// # Errors
    /// Those of the source, [`io::ErrorKind::FileTooLarge`] for a document beyond [`MAX_BUNDLE_BYTES`].
    pub(super) fn next(&mut self, document: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            document.clear();
            if self.input.by_ref().take(USUAL_BYTES as u64).read_until(b'\n', document)? == 0 {
                return Ok(false);
            }
            if !document.ends_with(b"\n") {
                self.rest(document, End::Line)?;
            }
            if !document.trim_ascii().is_empty() {
                break;
            }
        }
        if std::mem::take(&mut self.is_first) && !is_balanced(document) {
            self.rest(document, End::Source)?;
        }
        if document.len() > MAX_BUNDLE_BYTES { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(true) }
    }

    /// What follows `document`, to the end of the line or of the source. It is gathered in pieces that go as they are
    /// copied: a vector that grows holds up to three times as much.
    fn rest(&mut self, document: &mut Vec<u8>, end: End) -> io::Result<()> {
        let mut pieces = VecDeque::new();
        let mut length = document.len();
        while length <= MAX_BUNDLE_BYTES {
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            let read = match end {
                End::Line => self.piece().read_until(b'\n', &mut piece)?,
                End::Source => self.piece().read_to_end(&mut piece)?,
            };
            let is_last = read == 0 || end == End::Line && piece.ends_with(b"\n");
            length += read;
            pieces.push_back(piece);
            if is_last {
                break;
            }
        }
        document.reserve_exact(length - document.len());
        while let Some(piece) = pieces.pop_front() {
            document.extend_from_slice(&piece);
        }
        Ok(())
    }

    /// The next [`PIECE_BYTES`] of the input.
    fn piece(&mut self) -> io::Take<&mut BufReader<Box<dyn Read + Send + 'a>>> {
        self.input.by_ref().take(PIECE_BYTES as u64)
    }
}

/// Where a document ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Line,
    Source,
}

/// Whether every bracket that is opened is closed. Anything but an object or array counts as a document.
fn is_balanced(line: &[u8]) -> bool {
    let mut depth = 0_i64;
    let mut bytes = line.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'\\' => _ = bytes.next(),
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    depth <= 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &'static str) -> Vec<String> {
        let mut records = Records::new(Box::new(text.as_bytes()));
        let mut document = Vec::new();
        let mut all = Vec::new();
        while records.next(&mut document).unwrap() {
            all.push(String::from_utf8(document.trim_ascii().to_vec()).unwrap());
        }
        all
    }

    #[test]
    fn lines_are_documents_and_a_first_line_that_is_cut_is_one_document() {
        for (text, expected) in [
            ("", vec![]),
            ("\n \n", vec![]),
            ("{}", vec!["{}"]),
            ("{\"a\":1}\r\n\n{\"b\":\"}\"}\n", vec!["{\"a\":1}", "{\"b\":\"}\"}"]),
            ("{\n\"a\": [\n1]\n}\n", vec!["{\n\"a\": [\n1]\n}"]),
            ("{\"a\":\"{\\\"\"}\n{", vec!["{\"a\":\"{\\\"\"}", "{"]),
            ("nonsense\n{}", vec!["nonsense", "{}"]),
        ] {
            assert_eq!(records(text), expected, "{text:?}");
        }
    }
}
