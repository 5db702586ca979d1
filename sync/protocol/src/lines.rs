//! Lines out of bytes that come in any pieces.
//!
//! Promise: a [`Lines`] holds no more than one unfinished line, and that within
//! [`LINE_BYTES_MAX`].

use crate::error::{Error, Limit, Result};
use crate::limits::LINE_BYTES_MAX;

/// Cuts a stream of bytes into lines, each ended by one line feed.
#[derive(Default, Debug)]
pub(crate) struct Lines {
    unfinished: Vec<u8>,
    /// The line in `unfinished` was given out and is to be forgotten.
    given: bool,
}

impl Lines {
    /// The next line, without its line feed; none when `input` is used up. `input` is left with what comes behind.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub(crate) fn next<'a>(&'a mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>> {
        if std::mem::take(&mut self.given) {
            self.unfinished.clear();
        }
        let end = memchr::memchr(b'\n', input);
        let piece = &input[..end.unwrap_or(input.len())];
        if self.unfinished.len() + piece.len() > LINE_BYTES_MAX {
            return Err(Error::TooLarge(Limit::Line));
        }
        *input = &input[end.map_or(input.len(), |end| end + 1)..];
        if end.is_some() && self.unfinished.is_empty() {
            return Ok(Some(piece));
        }
        self.unfinished.extend_from_slice(piece);
        self.given = end.is_some();
        Ok(self.given.then_some(&self.unfinished))
    }

    /// Whether a line has begun and not ended.
    pub(crate) fn is_inside(&self) -> bool {
        !self.given && !self.unfinished.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_without_end_is_not_kept() {
        let mut lines = Lines::default();
        let piece = vec![b'a'; 64 << 10];
        let pieces = (0..).map(|_| lines.next(&mut &piece[..]).map(|_| ()));
        let refused = pieces.into_iter().position(|result| result == Err(Error::TooLarge(Limit::Line)));
        assert_eq!(refused, Some(LINE_BYTES_MAX / piece.len()));
        assert!(lines.unfinished.len() <= LINE_BYTES_MAX);
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_the_pieces(text in "[a-c\n]{0,60}", chunk in 1_usize..20) {
            let mut lines = Lines::default();
            let mut found = String::new();
            for piece in text.as_bytes().chunks(chunk) {
                let mut used = 0;
                while used < piece.len() {
                    let mut rest = &piece[used..];
                    let line = lines.next(&mut rest).unwrap().map(|line| [line, b"\n"].concat());
                    used = piece.len() - rest.len();
                    found += std::str::from_utf8(&line.unwrap_or_default()).unwrap();
                }
            }
            let whole = text.rfind('\n').map_or(0, |end| end + 1);
            prop_assert_eq!(&found, &text[..whole]);
            prop_assert_eq!(lines.is_inside(), whole < text.len());
        }
    }
}
