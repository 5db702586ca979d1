//! More data than there is: the same records again, under new ids.
//!
//! Every UUID of a copy differs from that of the original in the same way, so links between its resources hold. The
//! documents of all files are mixed, so that every part of a long import holds the same kinds of resources.

use std::path::PathBuf;

use keepwell_fhir::bundle::Bundle;

use super::bodies;
use crate::exit::Result;

/// Digits of a UUID that differ between copies.
const DIGITS: usize = 8;

/// Documents and how many resources each holds.
pub(super) struct Copies(Vec<(String, u64)>);

impl Copies {
    /// The documents of all files.
    pub(super) fn of(files: &[PathBuf]) -> Result<Self> {
        let resources = |document: &str| {
            Bundle::parse(document.as_bytes()).map_or(1, |bundle| bundle.entries.len() as u64)
        };
        let documents = bodies::mixed(files)?;
        Ok(Self(
            documents
                .into_iter()
                .map(|document| (resources(&document), document))
                .map(|(n, d)| (d, n))
                .collect(),
        ))
    }

    /// Documents with this many resources, or a few more: as many copies as that takes.
    pub(super) fn lines(&self, resources: u64) -> impl Iterator<Item = String> + Send + '_ {
        let mut left = resources;
        (0..)
            .flat_map(|copy| self.0.iter().map(move |(document, count)| (renamed(document, copy), *count)))
            .map_while(move |(document, count)| {
                let is_wanted = left > 0;
                left = left.saturating_sub(count);
                is_wanted.then_some(document)
            })
    }
}

/// The document with other UUIDs; copy 0 is the original.
fn renamed(document: &str, copy: u32) -> String {
    let mut bytes = document.as_bytes().to_vec();
    let change = copy.wrapping_mul(0x9e37_79b9);
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'-', &bytes[at..]) {
        let dash = at + found;
        at = dash + 1;
        let is_uuid = dash >= DIGITS && [5, 10, 15].iter().all(|&next| bytes.get(dash + next) == Some(&b'-'));
        let start = dash.saturating_sub(DIGITS);
        let digits = std::str::from_utf8(&bytes[start..dash])
            .ok()
            .and_then(|digits| u32::from_str_radix(digits, 16).ok());
        if let Some(digits) = digits.filter(|_| is_uuid) {
            bytes[start..dash].copy_from_slice(format!("{:08x}", digits ^ change).as_bytes());
            at = dash + 16;
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| document.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_differ_in_every_uuid_and_in_nothing_else() {
        let document = r#"{"id":"0190163d-8694-739b-aea5-966c26f8ad91","date":"2020-01-02","ref":"Patient/0190163d-8694-739b-aea5-966c26f8ad91"}"#;
        assert_eq!(renamed(document, 0), document);
        let other = renamed(document, 3);
        assert_eq!(other.len(), document.len());
        assert_eq!(other.matches("-8694-739b-aea5-966c26f8ad91").count(), 2);
        assert!(!other.contains("0190163d") && other.contains("2020-01-02"));
        assert_eq!(renamed(&other, 3), document);
    }

    #[test]
    fn as_many_copies_are_made_as_are_wanted() {
        let copies = Copies(vec![("a".to_owned(), 2), ("b".to_owned(), 1)]);
        assert_eq!(copies.lines(5).collect::<Vec<_>>(), ["a", "b", "a"]);
        assert_eq!(copies.lines(0).count(), 0);
    }
}
