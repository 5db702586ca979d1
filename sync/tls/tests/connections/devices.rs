//! Devices that are not, or no longer, what they say.

use std::sync::Arc;
use std::time::Duration;

use keepwell_tls::{
    Admission, Authority, CertificateRequest, ClientSettings, Device, Error, Identity, Purpose,
    RevokedSerials, ServerSettings, Signer,
};

use rustls::HandshakeKind;
use rustls::client::Resumption;

use crate::world::{DAY, World, ask, exchange, key, serve, serve_hello};

fn devices_only(world: &World) -> ServerSettings {
    ServerSettings { admission: Admission::Devices, ..world.server() }
}

fn client_of(world: &World, device: Identity) -> ClientSettings {
    ClientSettings { device: Some(device), ..world.client() }
}

#[track_caller]
fn refused(settings: &ClientSettings, port: u16) {
    let answer = ask(settings, port, "a secret");
    assert!(matches!(answer, Err(Error::DeviceRefused)), "{answer:?}");
}

#[test]
fn a_server_knows_the_device_of_a_connection() {
    let world = World::new();
    let client = client_of(&world, world.device("phone-7"));
    assert_eq!(ask(&client, serve_hello(&devices_only(&world)), "").expect("enrolled"), "hello phone-7");
    assert_eq!(ask(&client, serve_hello(&world.server()), "").expect("enrolled"), "hello phone-7");
}

#[test]
fn without_a_good_certificate_no_device_gets_in() {
    let world = World::new();
    let port = serve_hello(&devices_only(&world));
    refused(&world.client(), port);

    let stranger = World::new();
    refused(&client_of(&world, stranger.device("phone")), port);
    let anyone = serve_hello(&world.server());
    refused(&client_of(&world, stranger.device("phone")), anyone);

    refused(&client_of(&world, world.server().identity), port);

    let (device, client) = (world.device("phone"), world.client());
    world.clock.advance(91 * DAY);
    let port = serve_hello(&devices_only(&world));
    refused(&ClientSettings { device: Some(device), ..client }, port);
}

#[test]
fn a_certificate_without_its_key_is_worth_nothing() {
    #[derive(Debug)]
    struct Thief {
        public: [u8; 65],
        own: Arc<keepwell_tls::PrivateKey>,
    }
    impl Signer for Thief {
        fn public_key(&self) -> [u8; 65] {
            self.public
        }
        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
            self.own.sign(message)
        }
    }
    let world = World::new();
    let device_key = key();
    let request = CertificateRequest::create(device_key.as_ref()).expect("a request");
    let request = CertificateRequest::read(&request).expect("a sound request");
    let id = "phone".parse().expect("an id");
    let issued = world.device_authority.issue_device(&request, &id, world.clock.now(), DAY).expect("issued");
    let chain = vec![issued.certificate];
    let thief = Arc::new(Thief { public: device_key.public_key(), own: key() });
    let stolen = Identity::new(chain.clone(), thief).expect("it claims the key");
    let port = serve_hello(&devices_only(&world));
    refused(&client_of(&world, stolen), port);
    let own = Identity::new(chain, device_key).expect("the key");
    assert_eq!(ask(&client_of(&world, own), port, "").expect("the device"), "hello phone");
}

#[test]
fn a_revoked_device_is_out_at_its_next_connection() {
    let world = World::new();
    let revocations = Arc::new(RevokedSerials::default());
    let port = serve_hello(&ServerSettings { revocations: revocations.clone(), ..devices_only(&world) });
    let (lost, kept) = (client_of(&world, world.device("lost")), client_of(&world, world.device("kept")));
    assert_eq!(ask(&lost, port, "").expect("not yet revoked"), "hello lost");
    let certificate = &lost.device.as_ref().expect("a device").chain()[0];
    revocations.revoke(Device::of_certificate(certificate).expect("a device").serial);
    refused(&lost, port);
    assert_eq!(ask(&kept, port, "").expect("another device"), "hello kept");
}

#[test]
fn no_session_of_a_device_is_resumed_by_the_server() {
    let world = World::new();
    let config = client_of(&world, world.device("phone")).build().expect("two pins");
    let mut resuming = (*config).clone();
    resuming.resumption = Resumption::default();
    let resuming = Arc::new(resuming);
    let port = serve_hello(&devices_only(&world));
    for _ in 0..3 {
        let (_, kind) = exchange(&resuming, port, "").expect("enrolled");
        assert_ne!(kind, HandshakeKind::Resumed);
    }
}

/// The server's rule: the token must be bound to the certificate of the connection (RFC 8705).
#[test]
fn a_stolen_token_is_worth_nothing_without_the_key() {
    let world = World::new();
    let (owner, thief) = (world.device("owner"), world.device("thief"));
    let bound = Device::of_certificate(&owner.chain()[0]).expect("a device").thumbprint.to_string();
    let port = serve(world.server().build().expect("a server"), |device, confirmation| {
        let confirmation = Some(confirmation).filter(|text| !text.is_empty());
        let judged = device.ok_or(Error::NoDevice).and_then(|device| device.confirm_token(confirmation));
        judged.map_or_else(|error| error.code().to_string(), |()| "welcome".to_owned())
    });
    let answer = |client: &ClientSettings, token: &str| ask(client, port, token).expect("an answer");
    let (owner, thief) = (client_of(&world, owner), client_of(&world, thief));
    assert_eq!(answer(&owner, &bound), "welcome");
    assert_eq!(answer(&thief, &bound), Error::TokenOfAnother.code().to_string());
    assert_eq!(answer(&world.client(), &bound), Error::NoDevice.code().to_string());
    assert_eq!(answer(&owner, ""), Error::TokenUnbound.code().to_string());
    assert_eq!(answer(&owner, "not a thumbprint"), Error::TokenUnbound.code().to_string());
}

#[test]
fn authorities_keep_to_their_purpose_and_their_limits() {
    let world = World::new();
    let now = world.clock.now();
    let request = CertificateRequest::create(key().as_ref()).expect("a request");
    let request = CertificateRequest::read(&request).expect("a sound request");
    let id = "phone".parse().expect("an id");
    assert!(matches!(world.authority.issue_device(&request, &id, now, DAY), Err(Error::Key)));
    let names = ["host".to_owned()];
    assert!(matches!(world.device_authority.issue_server(&request.key(), &names, now, DAY), Err(Error::Key)));
    assert!(matches!(world.authority.issue_server(&request.key(), &[], now, DAY), Err(Error::Address)));
    for lifetime in [Duration::ZERO, 399 * DAY] {
        let issued = world.device_authority.issue_device(&request, &id, now, lifetime);
        assert!(matches!(issued, Err(Error::Lifetime)));
    }
    let foreign = Authority::restore(Purpose::Servers, world.authority.certificate().clone(), key());
    assert!(matches!(foreign, Err(Error::Key)));
}
