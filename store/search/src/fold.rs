//! Texts without case and accents.
//!
//! R4 search.html#string compares strings without case and, where possible, without accents. A text is decomposed
//! (Unicode NFKD), its marks are dropped, what is left is put into lower case, `ß` becomes `ss`, and each stretch of
//! white space becomes one space; none stays at the ends. Letters that Unicode does not decompose, such as `ø`, stay
//! as they are.
//!
//! Invariant: folding what is folded changes nothing.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Appends the folded text.
///
/// ```
/// let mut folded = String::new();
/// keepwell_search::fold("  Müller-\tGrün ", &mut folded);
/// assert_eq!(folded, "muller- grun");
/// ```
pub fn fold(text: &str, out: &mut String) {
    let start = out.len();
    if text.is_ascii() {
        out.reserve(text.len());
        for b in text.bytes() {
            match b {
                b'\t'..=b'\r' | b' ' => push(' ', start, out),
                _ => out.push(char::from(b.to_ascii_lowercase())),
            }
        }
    } else {
        for c in text.nfkd().filter(|&c| !is_combining_mark(c)) {
            fold_char(c, start, out);
        }
    }
    if out.len() > start && out.ends_with(' ') {
        out.pop();
    }
}

/// The folded text.
#[must_use]
pub fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    fold(text, &mut out);
    out
}

/// The code as it is compared: without case (R4 search.html#token says so for codes whose system is not known to
/// tell cases apart), but with everything else.
pub(crate) fn fold_code(code: &str, out: &mut Vec<u8>) {
    if code.is_ascii() {
        out.extend(code.bytes().map(|b| b.to_ascii_lowercase()));
    } else {
        out.extend_from_slice(code.to_lowercase().as_bytes());
    }
}

fn fold_char(c: char, start: usize, out: &mut String) {
    if c == 'ß' || c == 'ẞ' {
        push('s', start, out);
        push('s', start, out);
        return;
    }
    // Some lower case letters are marks with a base, such as that of U+0130: the marks are dropped again.
    for lower in c.to_lowercase().nfkd().filter(|&c| !is_combining_mark(c)) {
        // The final sigma is the same letter.
        push(if lower == 'ς' { 'σ' } else { lower }, start, out);
    }
}

fn push(c: char, start: usize, out: &mut String) {
    if !c.is_whitespace() {
        out.push(c);
    } else if out.len() > start && !out.ends_with(' ') {
        out.push(' ');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn case_accents_and_space_do_not_count() {
        for (text, expected) in [
            ("SMITH", "smith"),
            ("Müller", "muller"),
            ("Mu\u{308}ller", "muller"),
            ("Straße", "strasse"),
            ("ΟΔΥΣΣΕΥΣ", "οδυσσευσ"),
            ("İstanbul", "istanbul"),
            ("\u{fb01}n", "fin"),
            (" a \n\t b\u{a0}", "a b"),
            ("O'Brien, J.", "o'brien, j."),
            ("日本", "日本"),
            ("", ""),
            (" ", ""),
        ] {
            assert_eq!(folded(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in "\\PC{0,40}") {
            let once = folded(&text);
            prop_assert_eq!(folded(&once), once);
        }
    }
}
