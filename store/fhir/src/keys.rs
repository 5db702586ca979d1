//! The keys of objects, of which none may occur twice.
//!
//! Costs n log n for n texts, whatever they are: nobody can choose keys that make this slow.

use crate::scanner::Text;
use crate::string::decode;

#[derive(Clone, Copy)]
struct Entry {
    /// Where the text stands in the document.
    offset: usize,
    start: usize,
    end: usize,
    /// Whether start and end count in the decoded texts instead of the document.
    is_decoded: bool,
}

/// A stack of texts: each object looks only at those above its own mark.
#[derive(Default)]
pub(crate) struct Keys {
    entries: Vec<Entry>,
    decoded: Vec<u8>,
}

impl Keys {
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.decoded.clear();
    }

    /// The mark above which the texts of a new object will be.
    pub(crate) fn mark(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn push(&mut self, text: Text, document: &[u8]) {
        let Text { start, end, has_escape } = text;
        let mut entry = Entry { offset: start, start, end, is_decoded: has_escape };
        if has_escape {
            entry.start = self.decoded.len();
            decode(&document[start..end], &mut self.decoded);
            entry.end = self.decoded.len();
        }
        self.entries.push(entry);
    }

    /// Takes the texts above the mark off the stack; where the first repetition stands, if there is one.
    pub(crate) fn pop_to(&mut self, mark: usize, document: &[u8]) -> Option<usize> {
        let decoded = &self.decoded;
        let text = |entry: &Entry| {
            let source = if entry.is_decoded { decoded } else { document };
            &source[entry.start..entry.end]
        };
        let entries = &mut self.entries[mark..];
        entries.sort_unstable_by(|a, b| text(a).cmp(text(b)).then(a.offset.cmp(&b.offset)));
        let repeated = entries.windows(2).filter(|pair| text(&pair[0]) == text(&pair[1]));
        let first = repeated.map(|pair| pair[1].offset).min();
        self.entries.truncate(mark);
        if mark == 0 {
            self.decoded.clear();
        }
        first
    }
}
