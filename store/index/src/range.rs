//! Ranges of terms, in the order of their bytes.

/// The terms from one on, up to but not including another.
///
/// ```
/// use keepwell_index::TermRange;
///
/// let names = TermRange::prefix(b"name=am");
/// assert!(names.contains(b"name=amani") && !names.contains(b"name=an"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermRange {
    from: Vec<u8>,
    to: Option<Vec<u8>>,
}

impl TermRange {
    /// All terms.
    pub const fn all() -> Self {
        Self { from: Vec::new(), to: None }
    }

    /// The terms `from <= term < to`; without `to`, all from there on.
    pub fn new(from: impl Into<Vec<u8>>, to: Option<Vec<u8>>) -> Self {
        Self { from: from.into(), to }
    }

    /// The terms that begin with these bytes.
    pub fn prefix(prefix: &[u8]) -> Self {
        Self { from: prefix.to_vec(), to: successor(prefix) }
    }

    /// The terms of this range that come after `term`: where a page of a rising scan goes on.
    #[must_use]
    pub fn after(mut self, term: &[u8]) -> Self {
        let next = [term, &[0]].concat();
        if next > self.from {
            self.from = next;
        }
        self
    }

    /// The terms of this range that come before `term`: where a page of a falling scan goes on.
    #[must_use]
    pub fn before(mut self, term: &[u8]) -> Self {
        if self.to.as_deref().is_none_or(|to| term < to) {
            self.to = Some(term.to_vec());
        }
        self
    }

    /// The least term that can be in it.
    pub fn from(&self) -> &[u8] {
        &self.from
    }

    /// The least term that is too great, if there is one.
    pub fn to(&self) -> Option<&[u8]> {
        self.to.as_deref()
    }

    /// Whether the term is in it.
    pub fn contains(&self, term: &[u8]) -> bool {
        term >= &self.from[..] && self.to().is_none_or(|to| term < to)
    }
}

/// The least byte string that is greater than all that begin with these bytes.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut successor = prefix[..=kept].to_vec();
    successor[kept] += 1;
    Some(successor)
}

/// Which way a scan goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the least term to the greatest.
    Rising,
    /// From the greatest term to the least.
    Falling,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_its_last_byte_rises() {
        assert_eq!(TermRange::prefix(b"ab").to(), Some(&b"ac"[..]));
        assert_eq!(TermRange::prefix(b"a\xff").to(), Some(&b"b"[..]));
        assert_eq!(TermRange::prefix(b"\xff\xff").to(), None);
        assert_eq!(TermRange::prefix(b""), TermRange::all());
    }

    #[test]
    fn a_page_goes_on_behind_its_last_term() {
        let range = TermRange::prefix(b"a");
        assert!(!range.clone().after(b"ab").contains(b"ab"));
        assert!(range.clone().after(b"ab").contains(b"ab\0"));
        assert!(!range.clone().before(b"ab").contains(b"ab"));
        assert_eq!(range.clone().before(b"c"), range);
    }
}
