//! Pins that are removed, that expire, and that come back.

use std::sync::Arc;
use std::time::Duration;

use keepwell_tls::{Error, Offer, Refusal, Standing};
use rustls::client::Resumption;
use rustls::{ClientConfig, HandshakeKind, ServerConfig};

use crate::versions::{old_server, resuming_server};
use crate::world::{DAY, World, ask, exchange, key, serve, serve_hello};

/// Connects twice, takes the server's pin away, and connects again with the same configuration.
fn after_removal(
    world: &World,
    server: ServerConfig,
    allow_tls12: bool,
    change: impl FnOnce(&mut ClientConfig),
) -> [Result<HandshakeKind, Error>; 3] {
    let port = serve(Arc::new(server), |_, _| "hello".to_owned());
    let mut client = world.client();
    client.allow_tls12 = allow_tls12;
    let mut config = client.build().expect("two pins");
    change(Arc::make_mut(&mut config));
    let kind = || exchange(&config, port, "").map(|(_, kind)| kind);
    let before = [kind(), kind()];
    let without = world.sign(&world.pins_of(2, key().pin(), key().pin()));
    assert_eq!(client.pinning.offer(&without, world.clock.now()).expect("a signed set"), Offer::Installed);
    let [first, second] = before;
    [first, second, kind()]
}

#[test]
fn no_session_outlives_the_removal_of_its_pin() {
    let world = World::new();
    for (server, allow_tls12) in [(resuming_server(&world), false), (old_server(&world), true)] {
        let kinds = after_removal(&world, server, allow_tls12, |_| {});
        assert!(
            matches!(
                kinds,
                [
                    Ok(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest),
                    Ok(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest),
                    Err(Error::Refused(Refusal::NotPinned))
                ]
            ),
            "{kinds:?}"
        );
    }
}

/// That the test above can fail: this is what rustls does when it is left to its defaults.
#[test]
fn a_client_that_resumes_would_pass_by_the_pins() {
    let world = World::new();
    let kinds = after_removal(&world, resuming_server(&world), false, |config| {
        config.resumption = Resumption::default();
    });
    assert!(matches!(kinds, [Ok(_), Ok(HandshakeKind::Resumed), Ok(HandshakeKind::Resumed)]), "{kinds:?}");
}

#[test]
fn expired_pins_warn_and_then_close() {
    let world = World::new();
    let mut pins = world.pins(1);
    pins.expires_at = world.clock.after(80 * DAY);
    let client = world.client_with(&pins);
    let config = client.build().expect("two pins");
    let port = serve_hello(&world.server());
    let standing = || client.pinning.standing(world.clock.now());

    assert_eq!(standing(), Standing::Good);
    world.clock.advance(20 * DAY);
    assert_eq!(standing(), Standing::Expiring { at: pins.expires_at });
    exchange(&config, port, "").expect("the warning period");

    world.clock.advance(60 * DAY);
    assert_eq!(standing(), Standing::Expired);
    for _ in 0..3 {
        let answer = exchange(&config, port, "a secret");
        assert!(matches!(answer, Err(Error::Refused(Refusal::PinsExpired))), "{answer:?}");
    }
    assert!(matches!(client.build(), Err(Error::Refused(Refusal::PinsExpired))));
    assert_eq!(client.failures.report().failures[0].count, 3);

    let next = world.sign(&world.pins(2));
    client.pinning.offer(&next, world.clock.now()).expect("brought by file");
    exchange(&config, port, "").expect("new pins");
}

#[test]
fn a_pin_counts_only_within_its_own_window() {
    let world = World::new();
    let mut pins = world.pins(1);
    pins.pins[0].not_after = world.clock.after(10 * DAY);
    let client = world.client_with(&pins);
    let config = client.build().expect("two pins");
    let port = serve_hello(&world.server());
    assert_eq!(client.pinning.standing(world.clock.now()), Standing::Expiring { at: pins.pins[0].not_after });
    world.clock.advance(10 * DAY - Duration::from_secs(1));
    exchange(&config, port, "").expect("the last second");
    world.clock.advance(Duration::from_secs(1));
    let answer = ask(&client, port, "");
    assert!(matches!(answer, Err(Error::FewPins)), "{answer:?}");
    let answer = exchange(&config, port, "");
    assert!(matches!(answer, Err(Error::Refused(Refusal::NotPinned))), "{answer:?}");
}
