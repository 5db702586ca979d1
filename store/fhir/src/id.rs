//! Logical ids of resources.
//!
//! Promise: [`valid_id`] accepts what the regular expression of the R4 `id` type accepts and nothing else.

/// The longest id in bytes (R4 datatypes.html#id).
pub const MAX_ID_BYTES: usize = 64;

/// Whether the text is an R4 id: 1 to 64 of `A-Z a-z 0-9 - .`
///
/// ```
/// assert!(keepwell_fhir::valid_id("a1-B.2"));
/// assert!(!keepwell_fhir::valid_id("a_b"));
/// ```
#[must_use]
pub fn valid_id(text: &str) -> bool {
    is_id(text.as_bytes())
}

pub(crate) fn is_id(text: &[u8]) -> bool {
    (1..=MAX_ID_BYTES).contains(&text.len())
        && text.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_and_alphabet_are_those_of_the_specification() {
        for good in ["a", "A-1.b", "..", &"x".repeat(64)] {
            assert!(valid_id(good));
        }
        for bad in ["", "a b", "a/b", "a_b", "ä", "a\0", &"x".repeat(65)] {
            assert!(!valid_id(bad));
        }
    }
}
