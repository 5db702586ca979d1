use super::*;

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

fn entry_of(key: &[u8], role: Role) -> PinEntry {
    PinEntry { pin: Pin::of_key_info(key), role, not_before: at(1000), not_after: at(3000) }
}

fn set() -> PinSet {
    PinSet {
        host: "sync.example.org".to_owned(),
        number: 3,
        issued_at: at(1000),
        expires_at: at(4000),
        pins: vec![entry_of(b"active", Role::Active), entry_of(b"backup", Role::Backup)],
    }
}

#[test]
fn the_text_of_a_set_is_frozen() {
    let text = "keepwell pin set 1\nhost sync.example.org\nnumber 3\nissued 1970-01-01T00:16:40Z\n\
                expires 1970-01-01T01:06:40Z\n\
                active 1970-01-01T00:16:40Z 1970-01-01T00:50:00Z sha256/loeWEWUPgKgTkqUuDbmwI3ZpCHxFGOHBMOVBpQXg7u8=\n\
                backup 1970-01-01T00:16:40Z 1970-01-01T00:50:00Z sha256/VNANhndYzvgWvEaF9Y4ye5SXErB+vRfDSF8//J6fUTM=\n";
    assert_eq!(set().encode().expect("a sound set"), text);
    assert_eq!(PinSet::from_str(text).expect("as written"), set());
}

#[test]
fn a_set_with_one_pin_or_without_a_backup_is_refused() {
    for pins in [
        vec![],
        vec![entry_of(b"active", Role::Active)],
        vec![entry_of(b"same", Role::Active), entry_of(b"same", Role::Backup)],
        vec![entry_of(b"a", Role::Active), entry_of(b"b", Role::Active)],
        vec![entry_of(b"a", Role::Backup), entry_of(b"b", Role::Next)],
    ] {
        assert!(matches!(PinSet { pins, ..set() }.check(), Err(Error::FewPins)));
    }
}

#[test]
fn a_set_that_contradicts_itself_is_refused() {
    let backwards = PinEntry { not_after: at(1000), ..entry_of(b"next", Role::Next) };
    let twice = entry_of(b"active", Role::Next);
    let many = (0..PINS_MAX).map(|number| entry_of(&number.to_be_bytes(), Role::Next));
    for wrong in [
        PinSet { expires_at: at(1000), ..set() },
        PinSet { host: "Sync.example.org".to_owned(), ..set() },
        PinSet { host: "a host".to_owned(), ..set() },
        PinSet { pins: set().pins.into_iter().chain([backwards]).collect(), ..set() },
        PinSet { pins: set().pins.into_iter().chain([twice]).collect(), ..set() },
        PinSet { pins: set().pins.into_iter().chain(many).collect(), ..set() },
    ] {
        assert!(matches!(wrong.check(), Err(Error::PinSet)), "{wrong:?}");
    }
}

#[test]
fn a_set_has_one_spelling() {
    let text = set().encode().expect("a sound set");
    for (from, to) in [
        ("number 3", "number 03"),
        ("number 3", "number +3"),
        ("T00:16:40Z", "T00:16:40.0Z"),
        ("T00:16:40Z", "T00:16:40+00:00"),
        ("\nhost ", "\r\nhost "),
        ("active ", "active  "),
        ("pin set 1", "pin set 1 "),
        ("pin set 1", "pin set 2"),
        ("issued 19", "issued -000019"),
    ] {
        let other = text.replacen(from, to, 1);
        assert_ne!(other, text);
        assert!(PinSet::from_str(&other).is_err(), "{other}");
    }
    assert!(PinSet::from_str(text.trim_end()).is_err());
    assert!(PinSet::from_str(&format!("{text}\n")).is_err());
}

#[test]
fn a_pin_counts_within_its_window_and_that_of_the_set() {
    let set = PinSet { expires_at: at(2000), ..set() };
    let pin = set.pins[0].pin;
    for (time, expected) in [(999, false), (1000, true), (1999, true), (2000, false), (2500, false)] {
        assert_eq!(set.holds(&pin, at(time)), expected, "{time}");
        assert_eq!(set.in_force(at(time)), if expected { 2 } else { 0 }, "{time}");
    }
}

#[test]
fn hostile_sets_never_panic() {
    let text = set().encode().expect("a sound set");
    for at in 0..text.len() {
        let _ = PinSet::from_str(&text[..at]);
        let _ = PinSet::from_str(&format!("{}\u{fffd}{}", &text[..at], &text[at + 1..]));
    }
    assert!(PinSet::from_str(&"pin ".repeat(TEXT_MAX_BYTES)).is_err());
}
