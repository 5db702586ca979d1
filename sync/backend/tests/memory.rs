//! The backend in memory keeps every rule.

use keepwell_backend::conformance::{conformance, same_answers};
use keepwell_backend::{Access, Backend, Device, DeviceState, MemoryBackend, Redeemed};
use keepwell_fhir::Instant;
use keepwell_protocol::{Base64, Body, Epoch, Hash, Id, WipeOrder, WipeReceipt};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

fn id(text: &str) -> Id {
    text.parse().expect("an id")
}

fn clinic() -> MemoryBackend {
    MemoryBackend::new(id("clinic"), Epoch::new(1))
}

fn enrol(clinic: &MemoryBackend) -> Device {
    let code = Hash::of(b"code");
    clinic.keep_invitation(&code, b"open").expect("kept");
    let mut redeem = |_: &[u8]| {
        Ok(Redeemed {
            record: b"used".to_vec(),
            device: id("d1"),
            user: id("u1"),
            name: String::new(),
            key: Hash::of(b"key"),
            serial: String::new(),
            lease_key: None,
        })
    };
    clinic.enrol(&code, &mut redeem, Instant::from_ms(0)).expect("enrolled").device
}

#[test]
fn the_memory_backend_keeps_every_rule() {
    conformance(clinic);
}

#[test]
fn a_restored_snapshot_gives_the_answers_of_then() {
    for seed in 0..20 {
        let (one, other) = (clinic(), clinic());
        let empty = other.snapshot();
        other
            .put(
                &Body::new(r#"{"resourceType":"Patient","id":"1"}"#).expect("an object"),
                Instant::from_ms(0),
            )
            .expect("written");
        other.grant(&id("u1"), &"Patient/1".parse().expect("a scope"), Access::Write).expect("granted");
        other.restore(empty);
        same_answers(&one, &other, seed, 100);
    }
}

#[test]
fn a_genuine_receipt_ends_a_wipe_and_may_come_twice() {
    let clinic = clinic();
    let device = enrol(&clinic).id;
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).expect("a key");
    let key =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random).expect("a key");
    let at = Instant::from_ms(0);
    let order =
        WipeOrder { id: id("w1"), tenant: id("clinic"), device: device.clone(), at, sig: Base64::default() };
    let mut receipt = WipeReceipt {
        id: id("w1"),
        tenant: id("clinic"),
        device: device.clone(),
        at,
        sig: Base64::default(),
    };
    receipt.sig = Base64(key.sign(&random, &receipt.signed_bytes()).expect("signed").as_ref().to_vec());
    let public = key.public_key().as_ref();
    assert!(clinic.wiped(&device, &receipt, public).is_err(), "there is no order");
    clinic.set_device_state(&device, &DeviceState::Wipe(order)).expect("ordered");
    clinic.wiped(&device, &receipt, public).expect("a genuine receipt");
    clinic.wiped(&device, &receipt, public).expect("the same receipt");
    let state = clinic.devices().expect("devices").remove(0).state;
    assert_eq!(state, DeviceState::Wiped(receipt));
    assert!(clinic.admit(&device).is_err());
}
