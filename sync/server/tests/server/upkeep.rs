//! Certificates that are renewed, and reports of servers that were refused.

use keepwell_protocol::{Base64, Refusal, RefusedServer, UpkeepReply, UpkeepRequest, from_bytes};
use keepwell_tls::{CertificateRequest, Device as Certified, Identity, PrivateKey};

use crate::world::{Device, World, get};

fn asks(csr: Option<Vec<u8>>) -> UpkeepRequest {
    UpkeepRequest { v: 1, pins: 1, csr: csr.map(Base64), refused: vec![], others: 0 }
}

fn refusal(device: &Device<'_>, request: &UpkeepRequest) -> Refusal {
    let reply = device.post("/sync/v1/upkeep", request);
    Refusal::from_response(reply.status, None, &reply.body)
}

#[test]
fn a_device_gets_another_certificate_for_its_own_key_and_for_no_other() {
    let world = World::new();
    let mut device = world.enrol("ada");
    let csr = || Some(CertificateRequest::create(device.key.as_ref()).unwrap());
    let strange = PrivateKey::generate().unwrap();
    let foreign = Some(CertificateRequest::create(&strange).unwrap());
    assert_eq!(refusal(&device, &asks(foreign)), Refusal::BadRequest);
    assert_eq!(refusal(&device, &asks(Some(vec![0x30; 64]))), Refusal::BadRequest);

    let operator = world.server.operator();
    let first = operator.devices().unwrap()[0].serial.clone();
    let reply: UpkeepReply = from_bytes(&device.post("/sync/v1/upkeep", &asks(csr())).body).unwrap();
    assert_eq!(reply.pins, None, "it has the newest");
    let leaf = reply.certificates[0].0.clone().into();
    let certified = Certified::of_certificate(&leaf).unwrap();
    assert_eq!(
        (certified.id.as_str(), certified.key),
        (device.id.as_str(), keepwell_tls::PublicKey::of(device.key.as_ref()))
    );
    let second = operator.devices().unwrap()[0].serial.clone();
    assert!(second != first && second == certified.serial.to_string());
    // The one before counts until it ends: the answer may have been lost.
    assert_eq!(device.get("/sync/v1/hello").status, 200);
    device.settings.device = Some(Identity::new(vec![leaf], device.key.clone()).unwrap());
    device.http = world.http(&device.settings);
    assert_eq!(device.get("/sync/v1/hello").status, 200);

    let csr = CertificateRequest::create(device.key.as_ref()).unwrap();
    operator.revoke(&device.id).unwrap();
    assert_eq!(refusal(&device, &asks(Some(csr.clone()))), Refusal::Revoked);
    operator.wipe(&device.id).unwrap();
    assert!(matches!(refusal(&device, &asks(Some(csr))), Refusal::Wipe(_)));
    assert_eq!(operator.devices().unwrap()[0].serial, second, "nothing was given");
}

#[test]
fn older_pins_are_answered_with_the_newest_and_the_operator_sees_who_has_which() {
    let world = World::new();
    let device = world.enrol("ada");
    let with = |pins| {
        from_bytes::<UpkeepReply>(&device.post("/sync/v1/upkeep", &UpkeepRequest { pins, ..asks(None) }).body)
    };
    let pins = with(0).unwrap().pins.unwrap();
    assert_eq!(pins.as_bytes(), device.get("/sync/v1/pins").body);
    assert_eq!(world.server.operator().devices().unwrap()[0].pins, 0);
    assert_eq!(with(1).unwrap(), UpkeepReply::default());
    assert_eq!(world.server.operator().devices().unwrap()[0].pins, 1);
}

#[test]
fn refused_servers_are_counted_whatever_a_device_writes_of_them() {
    let world = World::new();
    let device = world.enrol("ada");
    let refused = |why: &str, count| RefusedServer {
        host: "sync.hospital.test".to_owned(),
        why: why.to_owned(),
        key: Some("no pin".to_owned()),
        pins: 1,
        count,
        first: keepwell_fhir::Instant::from_ms(0),
        last: keepwell_fhir::Instant::from_ms(60_000),
    };
    let tells = |refused, others| UpkeepRequest { refused, others, ..asks(None) };
    let sent = tells(vec![refused("not-pinned", 3), refused("a later word", 2)], 4);
    assert_eq!(device.post("/sync/v1/upkeep", &sent).status, 200);
    let total = || {
        let text = String::from_utf8(world.ask(&device.http, get("/metrics")).body).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("keepwell_servers_refused_total "));
        line.unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(total(), 9);
    let many = tells(vec![refused("not-pinned", u64::MAX / 2), refused("untrusted", u64::MAX / 2)], 1 << 60);
    assert_eq!(device.post("/sync/v1/upkeep", &many).status, 200);
    assert_eq!(total(), 1_000_009, "no device overflows it");
    let too_many = tells(vec![refused("not-pinned", 1); 33], 0);
    assert_ne!(device.post("/sync/v1/upkeep", &too_many).status, 200);
}
