use proptest::prelude::*;

use super::*;

const STORE: StoreId = StoreId::from_bytes([1; 16]);

fn key() -> Key {
    Key::take(&mut [9; 32])
}

fn sealed(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    assert_eq!(seal(&key(), STORE, b"name", plain, &mut out).unwrap(), plain.len() as u64);
    out
}

fn opened(sealed: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    open(&key(), STORE, b"name", sealed, &mut out).map(|_| out)
}

fn assert_damaged(sealed: &[u8]) {
    let error = opened(sealed).expect_err("a damaged blob must not open");
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    assert!(matches!(inner, Some(Error::Corrupt(Part::Blob))));
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at % 251).unwrap_or(0)).collect()
}

#[test]
fn any_part_is_read_without_the_rest_and_a_cut_is_seen() {
    let plain = pattern(3 * CHUNK_BYTES + 5);
    let sealed = sealed(&plain);
    let part = |sealed: &[u8], offset: usize, length: usize| {
        open_range(&key(), STORE, b"name", io::Cursor::new(sealed), offset as u64, length)
    };
    for (offset, length) in [
        (0, 1),
        (0, plain.len()),
        (CHUNK_BYTES - 1, 2),
        (CHUNK_BYTES, CHUNK_BYTES),
        (3 * CHUNK_BYTES, 100),
        (7, 0),
    ] {
        let end = (offset + length).min(plain.len());
        assert_eq!(part(&sealed, offset, length).unwrap(), plain[offset..end], "{offset} {length}");
    }
    assert_eq!(part(&sealed, plain.len() + 1, 10).unwrap(), b"");
    // The chunk that is the last now was not sealed as one.
    let cut = &sealed[..HEADER_BYTES + 2 * (CHUNK_BYTES + CHUNK_OVERHEAD_BYTES)];
    assert_eq!(part(cut, 0, 10).unwrap(), plain[..10]);
    assert!(part(cut, CHUNK_BYTES, 10).is_err());
    let mut altered = sealed.clone();
    altered[HEADER_BYTES + 3] ^= 1;
    assert!(part(&altered, 0, 10).is_err());
    assert_eq!(part(&altered, CHUNK_BYTES, 10).unwrap(), plain[CHUNK_BYTES..CHUNK_BYTES + 10]);
}

#[test]
fn every_length_around_a_chunk_comes_back() {
    for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 3 * CHUNK_BYTES + 5]
    {
        let plain = pattern(length);
        let sealed = sealed(&plain);
        assert_eq!(sealed.len() as u64, sealed_length(length as u64), "length {length}");
        assert_eq!(opened(&sealed).unwrap(), plain, "length {length}");
    }
}

#[test]
fn chunks_cannot_be_swapped_dropped_repeated_or_cut() {
    let sealed = sealed(&pattern(3 * CHUNK_BYTES));
    let chunk = |index: usize| HEADER_BYTES + index * SEALED_BYTES..HEADER_BYTES + (index + 1) * SEALED_BYTES;
    let assemble = |order: &[usize]| {
        let mut blob = sealed[..HEADER_BYTES].to_vec();
        order.iter().for_each(|&index| blob.extend_from_slice(&sealed[chunk(index)]));
        blob
    };
    assert_eq!(assemble(&[0, 1, 2]), sealed);
    for order in [&[1, 0, 2][..], &[0, 2], &[0, 1], &[0, 1, 1, 2], &[0, 1, 2, 2], &[2], &[]] {
        assert_damaged(&assemble(order));
    }
    for cut in
        [0, 1, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + 1, HEADER_BYTES + TAG_BYTES, sealed.len() - 1]
    {
        assert_damaged(&sealed[..cut]);
    }
    assert_damaged(&[&sealed[..], b"x"].concat());
}

#[test]
fn a_blob_opens_only_under_its_own_key_store_and_name() {
    let sealed = sealed(b"plain");
    let mut out = Vec::new();
    assert!(open(&Key::generate(), STORE, b"name", &sealed[..], &mut out).is_err());
    assert!(open(&key(), StoreId::from_bytes([2; 16]), b"name", &sealed[..], &mut out).is_err());
    assert!(open(&key(), STORE, b"other", &sealed[..], &mut out).is_err());
    assert!(out.is_empty());
}

#[test]
fn sealing_twice_gives_different_bytes() {
    assert_ne!(sealed(b"plain")[HEADER_BYTES..], sealed(b"plain")[HEADER_BYTES..]);
}

#[test]
fn nothing_comes_out_after_a_failure() {
    let mut sealed = sealed(&pattern(2 * CHUNK_BYTES));
    sealed[HEADER_BYTES + SEALED_BYTES + 10] ^= 1;
    let mut opener = Opener::new(&key(), STORE, b"name", &sealed[..]).unwrap();
    let mut out = vec![0; CHUNK_BYTES];
    opener.read_exact(&mut out).unwrap();
    assert!(opener.read(&mut out).is_err());
    assert_eq!(opener.read(&mut out).unwrap(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_flipped_bit_is_found(length in 0..2 * CHUNK_BYTES, place: prop::sample::Index, bit in 0..8_u32) {
        let mut sealed = sealed(&pattern(length));
        let at = place.index(sealed.len());
        sealed[at] ^= 1_u8 << bit;
        assert_damaged(&sealed);
    }

    #[test]
    fn writing_in_pieces_changes_nothing(pieces in prop::collection::vec(0..90_000_usize, 0..4)) {
        let plain = pattern(pieces.iter().sum());
        let mut sealer = Sealer::new(&key(), STORE, b"name", Vec::new()).unwrap();
        let mut rest = plain.as_slice();
        for piece in pieces {
            let (now, later) = rest.split_at(piece);
            sealer.write_all(now).unwrap();
            rest = later;
        }
        prop_assert_eq!(opened(&sealer.finish().unwrap()).unwrap(), plain);
    }
}
