//! Pin sets that are old, forged, for someone else, or out of their time.

use std::time::Duration;

use keepwell_tls::{CLOCKS_APART_MAX, Error, Offer, PinSet, PinSigner, Pinning, Refusal, Standing};

use crate::world::{DAY, HOST, World, ask, key, serve_hello};

#[test]
fn pins_rotate_by_signed_documents() {
    let world = World::new();
    let client = world.client();
    let new_key = key();
    let server = world.server_of(vec![world.certificate(&new_key, &[HOST])], new_key.clone());
    let port = serve_hello(&server);
    assert!(matches!(ask(&client, port, ""), Err(Error::Refused(Refusal::NotPinned))));

    let document = world.sign(&world.pins_of(2, new_key.pin(), world.backup_key.pin()));
    assert_eq!(client.pinning.offer(&document, world.clock.now()).expect("signed"), Offer::Installed);
    assert_eq!(client.pinning.offer(&document, world.clock.now()).expect("signed"), Offer::Known);
    ask(&client, port, "").expect("the new key is pinned");
    assert!(ask(&client, serve_hello(&world.server()), "").is_err(), "the old one no longer is");
}

#[test]
fn an_older_pin_set_is_refused() {
    let world = World::new();
    let pinning = world.pinning(&world.pins(1));
    let (old, new) = (world.sign(&world.pins(2)), world.sign(&world.pins(3)));
    let now = world.clock.now();
    pinning.offer(&new, now).expect("newer");
    let refused = pinning.offer(&old, now);
    assert!(matches!(refused, Err(Error::PinSetVersion { offered: 2, current: 3 })), "{refused:?}");
    let twin = world.sign(&world.pins_of(3, key().pin(), key().pin()));
    let refused = pinning.offer(&twin, now);
    assert!(matches!(refused, Err(Error::PinSetVersion { offered: 3, current: 3 })), "{refused:?}");
    pinning.restore(&old).expect("what was kept is passed over");
    assert_eq!(pinning.current(), world.pins(3));
}

#[test]
fn a_pin_set_that_no_known_root_has_signed_is_refused() {
    let world = World::new();
    let pinning = world.pinning(&world.pins(1));
    let now = world.clock.now();
    let stranger = PinSigner::generate().expect("a root");
    let pins = world.pins_of(2, key().pin(), key().pin());
    let forged = stranger.sign(&pins).expect("a sound set");
    assert!(matches!(pinning.offer(&forged, now), Err(Error::PinSetSignature)));
    assert!(matches!(pinning.restore(&forged), Err(Error::PinSetSignature)));

    let own_root = forged.replace(&stranger.root().to_string(), &world.pin_signer.root().to_string());
    assert!(matches!(pinning.offer(&own_root, now), Err(Error::PinSetSignature)));
    let unsigned = forged.split("signature").next().expect("the text before");
    assert!(matches!(pinning.offer(unsigned, now), Err(Error::PinSetSignature)));
    assert!(matches!(Pinning::new(vec![world.pin_signer.root()], &forged), Err(Error::PinSetSignature)));

    let signed = world.sign(&pins);
    for at in 0..signed.len() {
        let mut altered = signed.clone().into_bytes();
        altered[at] ^= 1;
        let Ok(altered) = String::from_utf8(altered) else { continue };
        assert!(pinning.offer(&altered, now).is_err(), "byte {at}");
        assert!(pinning.offer(&signed[..at], now).is_err(), "cut at {at}");
    }
    assert_eq!(pinning.current().number, 1);
}

#[test]
fn a_document_may_carry_the_signatures_of_two_roots() {
    let world = World::new();
    let next = PinSigner::generate().expect("a root");
    let both = next.sign_also(&world.sign(&world.pins(2))).expect("a signed set");
    for root in [world.pin_signer.root(), next.root()] {
        let pinning = Pinning::new(vec![root], &both).expect("signed by either");
        assert_eq!(pinning.current(), world.pins(2));
    }
    let mut crowded = both;
    while let Ok(more) = next.sign_also(&crowded) {
        crowded = more;
    }
    assert_eq!(crowded.lines().filter(|line| line.starts_with("signature ")).count(), 4);
}

#[test]
fn a_pin_set_out_of_its_time_is_refused() {
    let world = World::new();
    let pinning = world.pinning(&world.pins(1));
    let document = world.sign(&world.pins(2));
    let expired = pinning.offer(&document, world.clock.after(365 * DAY));
    assert!(matches!(expired, Err(Error::PinSetExpired)), "{expired:?}");

    let issued_at = world.clock.after(CLOCKS_APART_MAX + Duration::from_secs(1));
    let future = world.sign(&PinSet { issued_at, ..world.pins(2) });
    let early = pinning.offer(&future, world.clock.now());
    assert!(matches!(early, Err(Error::PinSetFuture)), "{early:?}");
    assert!(matches!(pinning.offer(&document, world.clock.now()), Ok(Offer::Installed)));
    let mut future = PinSet { issued_at, ..world.pins(3) };
    future.pins[0].not_before = world.clock.after(DAY);
    let locked_out = pinning.offer(&world.sign(&future), world.clock.after(Duration::from_secs(1)));
    assert!(matches!(locked_out, Err(Error::FewPins)), "{locked_out:?}");
    future.pins[0].not_before = world.clock.now();
    let future = world.sign(&future);
    pinning.offer(&future, world.clock.after(Duration::from_secs(1))).expect("clocks may be apart");
}

#[test]
fn a_pin_set_of_another_host_is_refused() {
    let world = World::new();
    let pinning = world.pinning(&world.pins(1));
    let other = world.sign(&PinSet { host: "other.example.org".to_owned(), ..world.pins(2) });
    assert!(matches!(pinning.offer(&other, world.clock.now()), Err(Error::PinSetHost)));
    assert!(matches!(pinning.restore(&other), Err(Error::PinSetHost)));
}

#[test]
fn an_expired_set_is_not_replaced_by_the_older_one_that_is_built_in() {
    let world = World::new();
    let kept = PinSet { expires_at: world.clock.after(DAY), ..world.pins(5) };
    let client = world.client();
    client.pinning.restore(&world.sign(&kept)).expect("newer than what is built in");
    world.clock.advance(2 * DAY);
    assert_eq!(client.pinning.current(), kept);
    assert_eq!(client.pinning.standing(world.clock.now()), Standing::Expired);
    assert!(matches!(client.build(), Err(Error::Refused(Refusal::PinsExpired))));
}
