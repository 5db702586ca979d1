use std::io::Write as _;

use proptest::prelude::*;
use zstd::zstd_safe::CParameter;

use super::*;
use crate::dictionary::Dictionary;

fn encodings() -> [Encoding; 3] {
    [Encoding::Identity, Encoding::Zstd, Encoding::Dictionary(Dictionary::built_in())]
}

/// Decodes what comes in chunks of this size.
fn decode(encoding: &Encoding, bytes: &[u8], chunk: usize, bytes_max: usize) -> Result<Vec<u8>> {
    let mut inflate = Inflate::new(encoding, bytes_max);
    let (mut out, mut buffer) = (Vec::new(), [0; 57]);
    for mut piece in bytes.chunks(chunk) {
        loop {
            let length = inflate.read(&mut piece, &mut buffer)?;
            out.extend_from_slice(&buffer[..length]);
            if length == 0 && piece.is_empty() {
                break;
            }
        }
    }
    inflate.finish().map(|()| out)
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let bomb = Encoding::Zstd.encode(&vec![b' '; 100 << 20]);
    assert!(bomb.len() < 20_000);
    assert_eq!(decode(&Encoding::Zstd, &bomb, 4096, 1 << 20), Err(Error::TooLarge(Limit::Message)));
    assert_eq!(decode(&Encoding::Identity, &bomb, 4096, 100), Err(Error::TooLarge(Limit::Message)));
}

#[test]
fn a_window_over_the_limit_is_refused() {
    let mut zstd = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    zstd.set_parameter(CParameter::WindowLog(WINDOW_LOG_MAX + 1)).unwrap();
    zstd.write_all(&vec![0; 1 << 20]).unwrap();
    let frame = zstd.finish().unwrap();
    assert_eq!(decode(&Encoding::Zstd, &frame, 512, 1 << 30), Err(Error::TooLarge(Limit::Window)));
}

#[test]
fn a_message_is_one_frame() {
    let frame = Encoding::Zstd.encode(b"{}\n");
    let two = [&frame[..], &frame].concat();
    assert_eq!(decode(&Encoding::Zstd, &two, 5, 100), Err(Error::Compression));
    assert_eq!(decode(&Encoding::Zstd, &two, 500, 100), Err(Error::Compression));
    assert_eq!(decode(&Encoding::Zstd, &[], 1, 100), Err(Error::Truncated));
}

#[test]
fn another_dictionary_is_named_as_such() {
    let mut bytes = Dictionary::built_in().bytes().to_vec();
    bytes[4] ^= 1;
    let other = Encoding::Dictionary(Dictionary::new(bytes).unwrap());
    let ours = Encoding::Dictionary(Dictionary::built_in());
    let encoded = other.encode(b"{}\n");
    assert_eq!(decode(&ours, &encoded, 3, 100), Err(Error::UnknownDictionary));
    assert_eq!(decode(&Encoding::Zstd, &encoded, 3, 100), Err(Error::UnknownDictionary));
    assert_eq!(decode(&ours, &encoded[..3], 3, 100), Err(Error::Truncated));
}

#[test]
fn whoever_has_a_dictionary_reads_frames_without() {
    let ours = Encoding::Dictionary(Dictionary::built_in());
    assert_eq!(decode(&ours, &Encoding::Zstd.encode(b"{}\n"), 3, 100).unwrap(), b"{}\n");
}

proptest! {
    #[test]
    fn any_chunking_gives_the_bytes(text in "[a-f{}\"\n]{0,400}", chunk in 1_usize..50) {
        for encoding in encodings() {
            let encoded = encoding.encode(text.as_bytes());
            prop_assert_eq!(decode(&encoding, &encoded, chunk, text.len()).unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn cut_and_flipped_bytes_are_errors(
        text in "[a-f{}\"\n]{1,400}", cut in any::<prop::sample::Index>(), bit in 0_u8..8,
    ) {
        for encoding in &encodings()[1..] {
            let mut encoded = encoding.encode(text.as_bytes());
            let at = cut.index(encoded.len());
            prop_assert_eq!(decode(encoding, &encoded[..at], 7, 1 << 20), Err(Error::Truncated));
            encoded[at] ^= 1 << bit;
            // A flag of the frame's head may change and mean the same; the bytes are never other ones.
            if let Ok(bytes) = decode(encoding, &encoded, 7, 1 << 20) {
                prop_assert_eq!(bytes, text.as_bytes());
            }
        }
    }

    #[test]
    fn hostile_bytes_are_errors(bytes in prop::collection::vec(any::<u8>(), 0..200), chunk in 1_usize..50) {
        let framed = [&0xFD2F_B528_u32.to_le_bytes()[..], &bytes].concat();
        let _ = decode(&Encoding::Zstd, &framed, chunk, 1 << 20);
        let _ = decode(&Encoding::Dictionary(Dictionary::built_in()), &framed, chunk, 1 << 20);
        prop_assert!(decode(&Encoding::Zstd, &bytes, chunk, 1 << 20).is_err());
    }
}
