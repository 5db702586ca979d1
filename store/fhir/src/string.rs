//! The inside of JSON strings: escapes, undone.

use crate::word::{equal_to, find};

/// Appends the text of a JSON string, given without its quotes and already known to be well formed.
pub(crate) fn decode(raw: &[u8], out: &mut Vec<u8>) {
    out.reserve(raw.len());
    let mut at = 0;
    loop {
        let escape = find(raw, at, |word| equal_to(word, b'\\'));
        out.extend_from_slice(&raw[at..escape]);
        if escape == raw.len() {
            return;
        }
        let rest = decode_escape(&raw[escape + 1..], out);
        at = raw.len() - rest.len();
    }
}

/// Appends what one escape stands for; `rest` starts behind the backslash. Returns what follows the escape.
pub(crate) fn decode_escape<'a>(rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let plain = match rest[0] {
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => return decode_unicode(&rest[1..], out),
        other => other,
    };
    out.push(plain);
    &rest[1..]
}

fn decode_unicode<'a>(rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let mut unit = hex4(rest).unwrap_or_default();
    let mut rest = &rest[4..];
    if is_high_surrogate(unit) {
        let low = hex4(&rest[2..]).unwrap_or_default();
        unit = 0x1_0000 + ((unit - 0xd800) << 10) + (low.wrapping_sub(0xdc00) & 0x3ff);
        rest = &rest[6..];
    }
    let character = char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    rest
}

/// The value of the first four bytes as hexadecimal digits.
pub(crate) fn hex4(text: &[u8]) -> Option<u32> {
    text.get(..4)?.iter().try_fold(0, |value, &b| Some(value << 4 | char::from(b).to_digit(16)?))
}

pub(crate) const fn is_high_surrogate(unit: u32) -> bool {
    matches!(unit, 0xd800..=0xdbff)
}

pub(crate) const fn is_low_surrogate(unit: u32) -> bool {
    matches!(unit, 0xdc00..=0xdfff)
}
