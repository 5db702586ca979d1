use proptest::prelude::*;

use super::*;
use crate::passcode::Stretching;

const STORE: StoreId = StoreId::from_bytes([0x5a; 16]);

fn secret() -> Option<Key> {
    Some(Key::take(&mut [7; KEY_BYTES]))
}

fn phrase(text: &str) -> Passcode {
    Passcode::new(text.to_owned()).unwrap()
}

/// A key file with everything in it, as bytes, and its key-encryption key.
fn full() -> (Vec<u8>, Kek) {
    let passcode = PasscodeFactor::stretch(Salted::new(Stretching::FLOOR), &phrase("2580")).unwrap();
    let factors = Factors { secret: secret(), passcode: Some(passcode) };
    let (mut header, kek) = Header::fresh(STORE, Some("memory"), &factors, None, 1_000);
    header.begin_rotation(&kek, 2_000).unwrap();
    header.set_recovery(&kek, Salted::new(Stretching::FLOOR), &phrase("correct horse"), 3_000).unwrap();
    header.retiring = Some(9);
    (bytes_of(header, &kek), kek)
}

fn bytes_of(header: Header, kek: &Kek) -> Vec<u8> {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("store.keys");
    KeyFile::write(&path, header, kek).unwrap();
    std::fs::read(path).unwrap()
}

/// Written once by this code, with the keychain secret and the words above; all later code must read it.
#[test]
fn a_file_written_by_version_1_still_opens() {
    let bytes = include_bytes!("version-1.keys");
    let file = KeyFile::parse(bytes).unwrap();
    assert_eq!(file.header.store, STORE);
    let slot = &file.header.current;
    assert!(slot.knows_secret(STORE, secret().as_ref()));
    let passcode = PasscodeFactor::stretch(slot.passcode.unwrap(), &phrase("2580")).unwrap();
    let kek = slot.open(STORE, &Factors { secret: secret(), passcode: Some(passcode) }).unwrap();
    assert!(file.is_authentic(&kek));
    let keys = file.header.keys(&kek).unwrap();
    let digest = |key: &Key| hex::encode(&sha256(key.expose())[..8]);
    let found = [
        digest(&keys.database),
        digest(&keys.pending_database.unwrap()),
        digest(&keys.blob),
        digest(&keys.audit),
        digest(&keys.anchor),
        digest(&keys.sync),
    ];
    let expected = include_str!("version-1.digests");
    assert_eq!(found.join("\n"), expected.trim_end());
    let recovered = file.header.recover(&phrase("correct horse")).unwrap();
    assert!(file.is_authentic(&recovered));
    assert_eq!(Header::text(&file.header).as_bytes(), file.text.as_bytes());
}

#[test]
fn every_flipped_bit_is_found() {
    let (bytes, kek) = full();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        match KeyFile::parse(&flipped) {
            Err(Error::Corrupt(Part::KeyFile)) => {}
            Err(other) => panic!("bit {bit}: {other:?}"),
            // Only the MAC itself is not under the digest.
            Ok(file) => assert!(!file.is_authentic(&kek), "bit {bit}"),
        }
    }
}

#[test]
fn a_newer_version_is_named_and_not_called_damage() {
    let (bytes, _) = full();
    let text = String::from_utf8(bytes).unwrap();
    let file = KeyFile::parse(text.as_bytes()).unwrap();
    let header = file.text.replacen("\"version\":1", "\"version\":2,\"unheard\":[]", 1);
    assert!(matches!(KeyFile::parse(&outer_text(&header, file.mac)), Err(Error::TooNew)));
    let foreign = file.text.replacen(FORMAT, "something else", 1);
    assert!(matches!(KeyFile::parse(&outer_text(&foreign, file.mac)), Err(Error::Corrupt(Part::KeyFile))));
}

#[test]
fn an_altered_header_with_a_fitting_digest_is_not_authentic() {
    let (bytes, kek) = full();
    let file = KeyFile::parse(&bytes).unwrap();
    let mut header = file.header.clone();
    header.pending = None;
    let forged = KeyFile::parse(&outer_text(&header.text(), file.mac)).unwrap();
    assert!(file.is_authentic(&kek));
    assert!(!forged.is_authentic(&kek));
}

#[test]
fn weak_parameters_in_a_header_are_refused() {
    let (bytes, _) = full();
    let file = KeyFile::parse(&bytes).unwrap();
    let mut salted = file.header.current.passcode.unwrap();
    salted.cost.passes = 1;
    assert!(matches!(PasscodeFactor::stretch(salted, &phrase("2580")), Err(Error::WeakStretching)));
}

#[test]
fn factors_cannot_stand_in_for_each_other() {
    let key = || Key::take(&mut [3; KEY_BYTES]);
    let salted = Salted::new(Stretching::FLOOR);
    let combinations = [
        Factors { secret: Some(key()), passcode: None },
        Factors { secret: None, passcode: Some(PasscodeFactor { salted, key: key() }) },
        Factors { secret: Some(key()), passcode: Some(PasscodeFactor { salted, key: key() }) },
    ];
    for (made, factors) in combinations.iter().enumerate() {
        let (header, _) = Header::fresh(STORE, None, factors, None, 0);
        for (tried, factors) in combinations.iter().enumerate() {
            assert_eq!(header.current.open(STORE, factors).is_some(), made == tried, "{made} {tried}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        prop_assert!(KeyFile::parse(&bytes).is_err());
    }

    #[test]
    fn cut_and_stretched_files_are_damage(place: prop::sample::Index, tail in prop::collection::vec(any::<u8>(), 1..50)) {
        let bytes = include_bytes!("version-1.keys");
        prop_assert!(KeyFile::parse(&bytes[..place.index(bytes.len())]).is_err());
        prop_assert!(KeyFile::parse(&[&bytes[..], &tail].concat()).is_err());
    }

    #[test]
    fn rearranged_files_are_damage(from: prop::sample::Index, to: prop::sample::Index, length in 1..200_usize) {
        let bytes = include_bytes!("version-1.keys");
        let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
        let length = length.min(bytes.len() - from.max(to));
        let mut moved = bytes.to_vec();
        moved.copy_within(from..from + length, to);
        prop_assume!(moved != bytes);
        prop_assert!(matches!(KeyFile::parse(&moved), Err(Error::Corrupt(Part::KeyFile))) || moved_is_mac(bytes, &moved));
    }
}

/// Whether only the MAC differs, which no digest covers.
fn moved_is_mac(bytes: &[u8], moved: &[u8]) -> bool {
    let mac_at = bytes.windows(6).rposition(|window| window == b"\"mac\":").unwrap();
    bytes[..mac_at] == moved[..mac_at]
}
