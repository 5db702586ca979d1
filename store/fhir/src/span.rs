//! Places in the bytes of a document.

use std::borrow::Cow;
use std::ops::Range;

use crate::string::decode;

/// A range of bytes of the walked document.
///
/// Spans of text exclude the quotes, so [`Span::text`] still has to undo escapes, which is rarely needed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Span {
    /// A span from positions within the size limit of the walker.
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start: to_u32(start), end: to_u32(end) }
    }

    /// The span as a range, for slicing.
    #[must_use]
    pub const fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The length in bytes.
    #[must_use]
    pub const fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether the span covers nothing.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The raw bytes of the span.
    #[must_use]
    pub fn bytes(self, document: &[u8]) -> &[u8] {
        &document[self.range()]
    }

    /// The text of a span that lies within the quotes of a JSON string, with escapes undone.
    #[must_use]
    pub fn text(self, document: &[u8]) -> Cow<'_, str> {
        let raw = self.bytes(document);
        if memchr::memchr(b'\\', raw).is_none() {
            // Walked documents are UTF-8, and the strict check is the faster one.
            return std::str::from_utf8(raw).map_or_else(|_| String::from_utf8_lossy(raw), Cow::Borrowed);
        }
        let mut decoded = Vec::with_capacity(raw.len());
        decode(raw, &mut decoded);
        Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
    }
}

impl From<Span> for Range<usize> {
    fn from(span: Span) -> Self {
        span.range()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the walker refuses documents over MAX_BYTES, far below 4 GiB"
)]
pub(crate) const fn to_u32(offset: usize) -> u32 {
    offset as u32
}
