//! Servers that are not what they say.

use std::sync::Arc;
use std::time::Duration;

use keepwell_tls::{
    Authority, ClientSettings, Error, FailureLog, Pin, PinSet, PrivateKey, PublicKey, Purpose, Refusal, Trust,
};
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _,
};
use rustls::pki_types::CertificateDer;

use crate::world::{DAY, HOST, World, ask, exchange_with, key, serve_hello};

fn refused(settings: &ClientSettings, port: u16) -> Refusal {
    match ask(settings, port, "a secret") {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn the_pinned_server_is_accepted_by_its_key_and_by_its_backup_key() {
    let world = World::new();
    assert_eq!(ask(&world.client(), serve_hello(&world.server()), "").expect("pinned"), "hello stranger");
    let moved =
        world.server_of(vec![world.certificate(&world.backup_key, &[HOST])], world.backup_key.clone());
    assert_eq!(ask(&world.client(), serve_hello(&moved), "").expect("pinned"), "hello stranger");
}

#[test]
fn a_renewed_certificate_keeps_its_pin() {
    let world = World::new();
    let client = world.client();
    world.clock.advance(100 * DAY);
    assert_eq!(ask(&client, serve_hello(&world.server()), "").expect("the same key"), "hello stranger");
}

#[test]
fn another_key_of_the_right_authority_is_refused() {
    let world = World::new();
    let thief = key();
    let server = world.server_of(vec![world.certificate(&thief, &[HOST])], thief);
    assert_eq!(refused(&world.client(), serve_hello(&server)), Refusal::NotPinned);
}

/// CVE-2016-2402: who compares pins with what the server presented accepts this.
#[test]
fn a_pinned_certificate_appended_to_another_chain_does_not_help() {
    let world = World::new();
    let other =
        Authority::create(Purpose::Servers, key(), world.clock.now(), 3650 * DAY).expect("an authority");
    let thief = key();
    let leaf = other.issue_server(&PublicKey::of(thief.as_ref()), &[HOST.to_owned()], world.clock.now(), DAY);
    let pinned = world.certificate(&world.server_key, &[HOST]);
    let chain = vec![leaf.expect("a certificate"), pinned, world.authority.certificate().clone()];
    let presented: Vec<Pin> =
        chain.iter().map(|part| Pin::of_certificate(part).expect("a certificate")).collect();
    assert!(presented.contains(&world.server_key.pin()));

    let mut client = world.client();
    client.trust =
        Trust::Authorities(vec![world.authority.certificate().clone(), other.certificate().clone()]);
    let port = serve_hello(&world.server_of(chain, thief));
    assert_eq!(refused(&client, port), Refusal::NotPinned);
    assert_eq!(refused(&world.client(), port), Refusal::Untrusted);
}

/// An authority with an intermediate, made by rcgen alone.
struct Chain {
    root: CertificateDer<'static>,
    intermediate: CertificateDer<'static>,
    intermediate_pin: Pin,
    below_intermediate: CertificateDer<'static>,
    below_root: CertificateDer<'static>,
    leaf_key: Arc<PrivateKey>,
}

fn chain() -> Chain {
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params
    };
    let (root_key, middle_key) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
    let (root_params, middle_params) = (authority("root"), authority("intermediate"));
    let root = root_params.self_signed(&root_key).expect("a certificate").der().clone();
    let intermediate_pin = Pin::of_key_info(&middle_key.subject_public_key_info());
    let root = (root, Issuer::new(root_params, root_key));
    let intermediate = middle_params.signed_by(&middle_key, &root.1).expect("a certificate").der().clone();
    let middle = Issuer::new(middle_params, middle_key);
    let leaf_key = key();
    let leaf = CertificateParams::new(vec![HOST.to_owned()]).expect("a name");
    let public = PublicKey::of(leaf_key.as_ref());
    Chain {
        below_intermediate: leaf.signed_by(&public, &middle).expect("a certificate").der().clone(),
        below_root: leaf.signed_by(&public, &root.1).expect("a certificate").der().clone(),
        root: root.0,
        intermediate,
        intermediate_pin,
        leaf_key,
    }
}

#[test]
fn a_pinned_intermediate_counts_only_where_it_led_to_the_authority() {
    let world = World::new();
    let chain = chain();
    let pins = world.pins_of(1, chain.intermediate_pin, world.backup_key.pin());
    let mut client = world.client_with(&pins);
    client.trust = Trust::Authorities(vec![chain.root.clone()]);

    let used = vec![chain.below_intermediate.clone(), chain.intermediate.clone()];
    let port = serve_hello(&world.server_of(used, chain.leaf_key.clone()));
    assert_eq!(ask(&client, port, "").expect("its chain goes through the pinned key"), "hello stranger");

    let unused = vec![chain.below_root.clone(), chain.intermediate.clone()];
    let port = serve_hello(&world.server_of(unused, chain.leaf_key.clone()));
    assert_eq!(refused(&client, port), Refusal::NotPinned);
}

#[test]
fn the_right_pin_under_a_wrong_name_is_refused() {
    let world = World::new();
    let certificate = world.certificate(&world.server_key, &["other.example.org"]);
    let server = world.server_of(vec![certificate], world.server_key.clone());
    assert_eq!(refused(&world.client(), serve_hello(&server)), Refusal::WrongName);
}

#[test]
fn pins_of_one_host_do_not_open_another() {
    let world = World::new();
    let certificate = world.certificate(&world.server_key, &[HOST, "other.example.org"]);
    let port = serve_hello(&world.server_of(vec![certificate], world.server_key.clone()));
    let config = world.client().build().expect("two pins");
    let other = exchange_with(&config, "other.example.org", port, "");
    assert!(matches!(other, Err(Error::Refused(Refusal::WrongName))), "{other:?}");
    exchange_with(&config, HOST, port, "").expect("the host of the pins");
}

#[test]
fn the_right_pin_in_a_certificate_out_of_its_time_is_refused() {
    let world = World::new();
    let port = serve_hello(&world.server());
    let client = world.client();
    world.clock.advance(91 * DAY);
    assert_eq!(refused(&client, port), Refusal::WrongTime);

    let ahead = World::new();
    ahead.clock.advance(Duration::from_secs(2 * 60 * 60));
    let certificate = ahead.certificate(&ahead.server_key, &[HOST]);
    let early = World { clock: World::new().clock, ..ahead };
    let port = serve_hello(&early.server_of(vec![certificate], early.server_key.clone()));
    assert_eq!(refused(&early.client(), port), Refusal::WrongTime);
}

#[test]
fn the_right_pin_in_a_certificate_that_nobody_vouches_for_is_refused() {
    let world = World::new();
    let own = Authority::create(Purpose::Servers, key(), world.clock.now(), DAY).expect("an authority");
    let names = [HOST.to_owned()];
    let leaf = own.issue_server(&PublicKey::of(world.server_key.as_ref()), &names, world.clock.now(), DAY);
    let server = world.server_of(vec![leaf.expect("a certificate")], world.server_key.clone());
    assert_eq!(refused(&world.client(), serve_hello(&server)), Refusal::Untrusted);
}

#[test]
fn a_certificate_of_a_device_makes_no_server() {
    let world = World::new();
    let device = world.device("phone");
    let pin = Pin::of_certificate(&device.chain()[0]).expect("a certificate");
    let mut client = world.client_with(&world.pins_of(1, pin, world.backup_key.pin()));
    client.trust = Trust::Authorities(vec![world.device_authority.certificate().clone()]);
    let mut server = world.server();
    server.identity = device;
    assert_eq!(refused(&client, serve_hello(&server)), Refusal::Untrusted);
}

#[test]
fn a_client_needs_two_pins_and_an_authority() {
    let world = World::new();
    let one = PinSet { pins: world.pins(1).pins[..1].to_vec(), ..world.pins(1) };
    assert!(matches!(world.pin_signer.sign(&one), Err(Error::FewPins)));

    let mut early = world.pins(1);
    early.pins[1].not_before = world.clock.after(DAY);
    assert!(matches!(world.client_with(&early).build(), Err(Error::FewPins)), "one pin is in force");

    let mut client = world.client();
    client.trust = Trust::Authorities(Vec::new());
    assert!(matches!(client.build(), Err(Error::Key)));
}

#[test]
fn refused_servers_are_told_to_the_next_good_one_and_never_let_through() {
    let world = World::new();
    let client = world.client();
    let thief = key();
    let bad = serve_hello(&world.server_of(vec![world.certificate(&thief, &[HOST])], thief.clone()));
    for _ in 0..20 {
        assert_eq!(refused(&client, bad), Refusal::NotPinned);
    }
    let kept = serde_json::to_string(&client.failures.report()).expect("a report is JSON");
    let mut client = client;
    client.failures = Arc::new(FailureLog::restore(serde_json::from_str(&kept).expect("as written")));

    let report = client.failures.report();
    let told = serde_json::to_string(&report).expect("a report is JSON");
    let good =
        crate::world::serve(world.server().build().expect("a server"), |_, line| format!("got {line}"));
    assert_eq!(ask(&client, good, &told).expect("the pinned server"), format!("got {told}"));
    client.failures.settle(&report);
    assert!(client.failures.report().is_empty());

    let [failure] = &report.failures[..] else { panic!("one kind of failure: {report:?}") };
    assert_eq!((failure.count, failure.refusal), (20, Refusal::NotPinned));
    assert_eq!((failure.key, failure.pin_set), (Some(thief.pin()), 1));
    assert_eq!(failure.host, HOST);
    assert_eq!(refused(&client, bad), Refusal::NotPinned);
}
