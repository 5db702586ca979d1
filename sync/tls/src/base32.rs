//! Crockford's base32: what people can read out, type and photograph.
//!
//! Capitals and digits without I, L, O and U; read without regard to case, `O` as 0, `I` and `L` as 1. The last
//! character is filled up with zero bits, and nothing else is accepted there, so each value has one meaning.

use zeroize::Zeroizing;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

pub(crate) fn encode(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(bytes.len().div_ceil(5) * 8));
    let (mut held, mut bits) = (0_u32, 0);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(character(held >> bits));
        }
    }
    if bits > 0 {
        text.push(character(held << (5 - bits)));
    }
    text
}

/// Spaces and hyphens are passed over; `None` for anything else that is not in the alphabet.
pub(crate) fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let (mut held, mut bits) = (0_u32, 0);
    for character in text.chars().filter(|character| !matches!(character, ' ' | '-')) {
        held = held << 5 | value(character)?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits & 0xff).ok()?);
        }
    }
    let filling = held & ((1 << bits) - 1);
    (bits < 5 && filling == 0).then_some(bytes)
}

fn character(value: u32) -> char {
    char::from(ALPHABET[(value & 31) as usize])
}

fn value(character: char) -> Option<u32> {
    let upper = match character.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    ALPHABET.iter().zip(0..).find(|(known, _)| char::from(**known) == upper).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn look_alikes_are_read_as_digits() {
        assert_eq!(decode("o1-Il 0O").as_deref(), decode("011100").as_deref());
        assert_eq!(decode("U"), None);
        assert_eq!(decode("00"), Some(Zeroizing::new(vec![0])));
        assert_eq!(decode("01"), None);
    }

    proptest! {
        #[test]
        fn bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let text = encode(&bytes);
            let bytes = Some(Zeroizing::new(bytes));
            prop_assert_eq!(decode(&text), bytes.clone());
            prop_assert_eq!(decode(&text.to_lowercase()), bytes);
        }

        #[test]
        fn hostile_text_never_panics(text in ".{0,100}") {
            let _ = decode(&text);
        }
    }
}
