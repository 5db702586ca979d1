//! A device that begins with nothing but an invitation.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keepwell_tls::{
    Admission, CertificateDer, CertificateRequest, ClientSettings, DeviceId, Error, Identity, Invitation,
    InvitationCode, Invite, Refusal, ServerSettings, Trust, qr_code,
};

use crate::world::{DAY, HOST, World, ask, key, serve, serve_hello};

fn invite(world: &World, port: u16) -> (Invitation, Invite) {
    let code = InvitationCode::random().expect("a code");
    let record = Invite::new(&code, "Practitioner/1".to_owned(), world.clock.now(), DAY).expect("a record");
    let invitation = Invitation {
        address: format!("{HOST}:{port}").parse().expect("an address"),
        code,
        expires_at: world.clock.after(DAY),
        authority: world.authority.fingerprint(),
        pin_root: world.pin_signer.root(),
        pins: vec![world.server_key.pin(), world.backup_key.pin()],
    };
    (invitation, record)
}

/// A server that enrols: it is sent a code and a request, and answers with the certificate or the number of an error.
fn enrolling(world: Arc<World>, invites: Arc<Mutex<Vec<Invite>>>) -> u16 {
    let config = world.server().build().expect("a server");
    serve(config, move |_, line| {
        let enrol = || {
            let (code, request) = line.split_once(' ').ok_or(Error::Invitation)?;
            let code: InvitationCode = code.parse()?;
            let request = STANDARD.decode(request).map_err(|_| Error::CertificateRequest)?;
            let request = CertificateRequest::read(&request)?;
            let mut invites = invites.lock().expect("no panic under the lock");
            let record = invites.iter_mut().find(|record| record.digest == code.digest());
            let record = record.ok_or(Error::InvitationUnknown)?;
            let now = world.clock.now();
            let id = record.redeem(&code, &request.key(), DeviceId::random()?, now)?;
            world.device_authority.issue_device(&request, &id, now, 90 * DAY)
        };
        enrol().map_or_else(|error| error.code().to_string(), |issued| STANDARD.encode(issued.certificate))
    })
}

fn bare_client(world: &World, invitation: &Invitation) -> ClientSettings {
    let (trust, pinning) = invitation.pinning().expect("two pins");
    let mut settings = ClientSettings::new(trust, pinning);
    settings.clock = world.clock.clone();
    settings
}

#[test]
fn an_invitation_is_all_that_a_device_needs_and_counts_once() {
    let world = Arc::new(World::new());
    let invites = Arc::new(Mutex::new(Vec::new()));
    let port = enrolling(world.clone(), invites.clone());
    let (invitation, record) = invite(&world, port);
    invites.lock().expect("no panic under the lock").push(record);

    let text = invitation.text().expect("a sound invitation");
    assert!(qr_code(&text).expect("short enough").lines().count() <= 36);
    let invitation: Invitation = text.parse().expect("as written");
    let mut client = bare_client(&world, &invitation);
    let device_key = key();
    let enrol = |client: &ClientSettings, key: &keepwell_tls::PrivateKey| {
        let request = STANDARD.encode(CertificateRequest::create(key).expect("a request"));
        ask(client, port, &format!("{} {request}", invitation.code.text().as_str())).expect("an answer")
    };
    let certificate = enrol(&client, &device_key);
    let certificate = CertificateDer::from(STANDARD.decode(certificate).expect("a certificate"));
    client.device = Some(Identity::new(vec![certificate], device_key).expect("for this key"));

    let signed = world.sign(&world.pins(1));
    client.pinning.offer(&signed, world.clock.now()).expect("signed by the root of the invitation");
    client.trust = Trust::Authorities(vec![world.authority.certificate().clone()]);
    let devices = ServerSettings { admission: Admission::Devices, ..world.server() };
    assert!(ask(&client, serve_hello(&devices), "").expect("enrolled").starts_with("hello "));

    assert_eq!(enrol(&client, &key()), Error::InvitationUsed.code().to_string());
}

#[test]
fn a_device_sends_its_code_to_no_other_server() {
    let world = World::new();
    let impostor = World::new();
    let thief = key();
    let pinned_chain =
        vec![world.certificate(&world.server_key, &[HOST]), world.authority.certificate().clone()];
    let mixed: Vec<_> =
        [impostor.certificate(&thief, &[HOST])].into_iter().chain(pinned_chain.clone()).collect();
    for (server, expected) in [
        (impostor.server(), Refusal::Untrusted),
        (impostor.server_of(mixed, thief.clone()), Refusal::Untrusted),
        (
            world.server_of(vec![world.certificate(&thief, &[HOST]), pinned_chain[1].clone()], thief),
            Refusal::NotPinned,
        ),
        (world.server_of(pinned_chain[..1].to_vec(), world.server_key.clone()), Refusal::Untrusted),
    ] {
        let port = serve(server.build().expect("a server"), |_, code| panic!("it was sent {code}"));
        let (invitation, _) = invite(&world, port);
        let answer = ask(&bare_client(&world, &invitation), port, invitation.code.text().as_str());
        assert!(
            matches!(answer, Err(Error::Refused(refusal)) if refusal == expected),
            "{expected:?} {answer:?}"
        );
    }
}

#[test]
fn pins_of_an_invitation_expire_with_it() {
    let world = World::new();
    let port = serve_hello(&world.server());
    let (invitation, _) = invite(&world, port);
    let client = bare_client(&world, &invitation);
    ask(&client, port, "").expect("in time");
    world.clock.advance(DAY);
    assert!(matches!(ask(&client, port, ""), Err(Error::Refused(Refusal::PinsExpired))));
}
