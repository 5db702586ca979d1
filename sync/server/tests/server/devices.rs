//! Devices: enrolment, push, pull, events, blobs, and what a device is told that may not.

use std::io::Write;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Request;
use keepwell_backend::DeviceState;
use keepwell_protocol::{
    Base64, Body, Cursor, Dictionary, Encoding, EnrolReply, EnrolRequest, Frozen, Grant, Hash, Hello,
    Incarnation, LeaseRequest, Mutation, NewUpload, Operation, Outcome, Part, Payload, Position, PullEnd,
    PullHead, PullItem, PullReply, PullRequest, PushEnd, PushHead, PushReply, PushRequest, Reader, Refusal,
    RequestId, ScopeSet, Secret, Sequence, Upload, Version, WipeReceipt, Writer, from_bytes, to_bytes,
    to_encoded,
};
use keepwell_tls::{CertificateRequest, Error, Offer, PrivateKey, Signer, UnixTime};

use crate::raw::connect;
use crate::world::{Device, Reply, World, get, post};

const FLAG: &str = r#"{"resourceType":"Flag","id":"f1","status":"active","code":{"text":"fall"},"subject":{"reference":"Patient/p1"}}"#;
const BLOB: &[u8] = &[b'A'; 1 << 20];

fn sequence(number: u64) -> Sequence {
    Sequence::new(number).unwrap()
}

fn refusal(reply: &Reply) -> Refusal {
    Refusal::from_response(reply.status, None, &reply.body)
}

fn create(number: u64, body: &str) -> Frozen {
    let body = Body::new(body.as_bytes()).unwrap();
    let mutation = Mutation {
        sequence: sequence(number),
        operation: Operation::Create,
        key: body.key().unwrap(),
        base: Version::ZERO,
        at: None,
        why: None,
        group: None,
        payload: Payload::Body(body),
        merge: None,
    };
    Frozen::freeze(mutation).unwrap()
}

/// A push in an encoding, and what became of each mutation.
fn push(device: &Device<'_>, encoding: &Encoding, mutations: &[Frozen]) -> Result<Vec<Outcome>, Refusal> {
    let head = PushHead {
        v: 1,
        incarnation: Incarnation::new(1),
        epoch: Some(device.enrolled.epoch),
        ack: Sequence::ZERO,
    };
    let mut writer = Writer::<PushRequest>::new(encoding, &head);
    for mutation in mutations {
        writer.item(mutation);
    }
    let bytes = writer.finish(PushEnd { n: mutations.len() as u64 });
    let reply = device.ask(encoded(post("/sync/v1/push", bytes), encoding));
    if reply.status != 200 {
        return Err(refusal(&reply));
    }
    let mut outcomes = Vec::new();
    let mut reader = Reader::<PushReply>::new(&encoding_of(&reply));
    let mut input = reply.body.as_slice();
    while let Some(part) = reader.next(&mut input).unwrap() {
        if let Part::Item(settlement) = part {
            outcomes.push(settlement.outcome);
        }
    }
    reader.finish().unwrap();
    Ok(outcomes)
}

fn encoded(mut request: Request<Bytes>, encoding: &Encoding) -> Request<Bytes> {
    let headers = request.headers_mut();
    if let Some(name) = encoding.name() {
        headers.insert("content-encoding", name.parse().unwrap());
    }
    match encoding {
        Encoding::Dictionary(dictionary) => {
            headers.insert("keepwell-dictionary", dictionary.id().to_string().parse().unwrap());
        }
        Encoding::Identity => {
            headers.insert("accept-encoding", "identity".parse().unwrap());
        }
        Encoding::Zstd => {}
    }
    request
}

fn encoding_of(reply: &Reply) -> Encoding {
    let dictionary = Dictionary::built_in();
    let named = Some(reply.header("keepwell-dictionary")).filter(|name| !name.is_empty());
    let named = named.map(|name| (name == dictionary.id().to_string()).then_some(&dictionary).unwrap());
    Encoding::from_name(Some(reply.header("content-encoding")).filter(|name| !name.is_empty()), named)
        .unwrap()
}

fn asks(cursor: Option<Cursor>, grants: &[Grant], wait_ms: u32) -> PullRequest {
    PullRequest {
        v: 1,
        incarnation: Incarnation::new(1),
        req: RequestId::new(7),
        cursor,
        scopes: ScopeSet::of(grants),
        hydrating: Vec::new(),
        rows: 5_000,
        bytes: 1 << 20,
        wait_ms,
        ack: Sequence::ZERO,
        whole: false,
    }
}

type Page = (PullHead, Vec<PullItem>, PullEnd);

fn page(reply: &Reply) -> Page {
    assert_eq!(reply.status, 200, "{reply:?}");
    let (mut head, mut items, mut end) = (None, Vec::new(), None);
    let mut reader = Reader::<PullReply>::new(&encoding_of(reply));
    let mut input = reply.body.as_slice();
    while let Some(part) = reader.next(&mut input).unwrap() {
        match part {
            Part::Head(first) => head = Some(first),
            Part::Item(item) => items.push(item),
            Part::End(last) => end = Some(last),
        }
    }
    reader.finish().unwrap();
    (head.unwrap(), items, end.unwrap())
}

fn pull(device: &Device<'_>, request: &PullRequest, encoding: &Encoding) -> Page {
    page(&device.ask(encoded(post("/sync/v1/pull", to_encoded(request, encoding)), encoding)))
}

/// The scopes that a device has, as its first pull tells it.
fn grants(device: &Device<'_>) -> Vec<Grant> {
    pull(device, &asks(None, &[], 0), &Encoding::Identity).0.grants.unwrap()
}

/// Where a device stands after it has read everything.
fn cursor(device: &Device<'_>, end: &PullEnd) -> Option<Cursor> {
    Some(format!("{}:{}", device.enrolled.epoch, end.upto.get()).parse().unwrap())
}

#[test]
fn an_invited_device_enrols_and_gets_the_signed_pins() {
    let world = World::new();
    let device = world.enrol("ada");
    assert_eq!(device.enrolled.tenant.as_str(), "clinic");
    let hello: Hello = from_bytes(&device.get("/sync/v1/hello").body).unwrap();
    assert_eq!((hello.epoch, hello.dicts), (device.enrolled.epoch, vec![Dictionary::built_in().id()]));
    let pins = device.get("/sync/v1/pins");
    let text = std::str::from_utf8(&pins.body).unwrap();
    assert_eq!(device.settings.pinning.offer(text, UnixTime::now()).unwrap(), Offer::Installed);
    // What was made under the new pins holds: the same server, known by the signed set.
    assert_eq!(device.get("/sync/v1/hello").status, 200);
    let dictionary = device.get(&format!("/sync/v1/dict/{}", hello_dictionary()));
    assert_eq!(Hash::of(&dictionary.body), hello_dictionary());
    let other = device.get(&format!("/sync/v1/dict/{}", Hash::of(b"another")));
    assert_eq!(refusal(&other), Refusal::NotFound);
}

fn hello_dictionary() -> Hash {
    Dictionary::built_in().id()
}

#[test]
fn an_invitation_counts_for_one_key() {
    let world = World::new();
    let invitation = world.invite("ada");
    let http = world.http(&world.stranger());
    let enrol = |key: &PrivateKey, code: &str| {
        let request = EnrolRequest {
            v: 1,
            code: Secret::new(code.to_owned()),
            csr: Base64(CertificateRequest::create(key).unwrap()),
            name: String::new(),
            incarnation: Incarnation::new(1),
        };
        world.ask(&http, post("/sync/v1/enrol", to_bytes(&request)))
    };
    let (first, second) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
    let code = invitation.code.text();
    let id = |reply: &Reply| from_bytes::<EnrolReply>(&reply.body).unwrap().device;
    let enrolled = enrol(&first, &code);
    assert_eq!(id(&enrol(&first, &code)), id(&enrolled), "the answer was lost");
    for (key, code) in
        [(&second, code.as_str()), (&first, "K7Q2"), (&first, world.invite("bea").code.text().as_str())]
    {
        let reply = enrol(key, code);
        let is_open = reply.status == 200;
        // An invitation of somebody else is good for a new device.
        assert!(is_open || refusal(&reply) == Refusal::Invitation, "{reply:?}");
        assert_eq!(is_open, !std::ptr::eq(key, &second) && code != "K7Q2");
    }
    let forged = EnrolRequest {
        v: 1,
        code: Secret::new(world.invite("cem").code.text().to_string()),
        csr: Base64(vec![0x30; 64]),
        name: String::new(),
        incarnation: Incarnation::new(1),
    };
    assert_eq!(refusal(&world.ask(&http, post("/sync/v1/enrol", to_bytes(&forged)))), Refusal::BadRequest);
}

#[test]
fn without_a_certificate_no_call_is_answered_and_a_strangers_is_refused() {
    let world = World::new();
    let http = world.http(&world.stranger());
    for (method, path) in [
        ("GET", "hello"),
        ("GET", "pins"),
        ("GET", "dict/x"),
        ("POST", "push"),
        ("POST", "pull"),
        ("POST", "park"),
        ("POST", "digest"),
        ("GET", "events"),
        ("GET", "blob/x"),
        ("POST", "uploads"),
        ("POST", "lease"),
        ("POST", "upkeep"),
        ("POST", "wipe-ack"),
    ] {
        let request =
            Request::builder().method(method).uri(format!("/sync/v1/{path}")).body(Bytes::new()).unwrap();
        assert_eq!(refusal(&world.ask(&http, request)), Refusal::UnknownDevice, "{path}");
    }
    // The device of another tenant: its authority is not known here, and TLS says so.
    let elsewhere = World::new();
    let foreign = elsewhere.enrol("eve");
    let mut settings = world.stranger();
    settings.device.clone_from(&foreign.settings.device);
    let refused = world.run(world.http(&settings).send(get("/sync/v1/hello")));
    assert!(
        matches!(refused, Err(Error::DeviceRefused | Error::Connection)),
        "{:?}",
        refused.map(|answer| answer.status())
    );
}

#[test]
fn what_one_device_pushes_another_pulls_in_every_encoding() {
    let world = World::new();
    let (first, second) = (world.enrol("ada"), world.enrol("bea"));
    for device in [&first, &second] {
        device.grant("Patient/p1");
    }
    let dictionary = Encoding::Dictionary(Dictionary::built_in());
    for (number, encoding) in [Encoding::Identity, Encoding::Zstd, dictionary].iter().enumerate() {
        let number = number as u64 + 1;
        let body = FLAG.replace("f1", &format!("f{number}"));
        let outcomes = push(&first, encoding, &[create(number, &body)]).unwrap();
        assert!(matches!(outcomes[..], [Outcome::Applied { .. }]), "{outcomes:?}");
        let (head, items, end) = pull(&second, &asks(None, &grants(&second), 0), encoding);
        assert_eq!(head.req, RequestId::new(7));
        let bodies: Vec<_> = items
            .iter()
            .filter_map(|item| match item {
                PullItem::Row(row) => Some(String::from_utf8(row.to_bytes()).unwrap()),
                PullItem::Outcome(_) | PullItem::Delta(_) => None,
            })
            .collect();
        assert!(bodies.iter().any(|row| row.contains(&body)), "{bodies:?}");
        assert_eq!((items.len() as u64, end.more), (number, false));
    }
}

#[test]
fn a_pull_that_waits_is_answered_when_there_is_something() {
    let world = World::new();
    let (first, second) = (world.enrol("ada"), world.enrol("bea"));
    for device in [&first, &second] {
        device.grant("Patient/p1");
    }
    let held = grants(&second);
    let (_, _, end) = pull(&second, &asks(None, &held, 0), &Encoding::Identity);
    let began = Instant::now();
    let (_, items, _) = pull(&second, &asks(cursor(&second, &end), &held, 400), &Encoding::Identity);
    assert_eq!(items, []);
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());

    // The other device pushes while this one waits: on the same thread, since both are futures.
    let request = encoded(
        post("/sync/v1/pull", to_bytes(&asks(cursor(&second, &end), &held, 20_000))),
        &Encoding::Identity,
    );
    let mutation = create(1, FLAG);
    let behind = std::thread::scope(|scope| {
        let pushed = scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            let head = PushHead { v: 1, incarnation: Incarnation::new(1), epoch: None, ack: Sequence::ZERO };
            let at = keepwell_fhir::Instant::from_ms(1_800_000_000_000);
            world.server.backend().push(&first.id, &head, &[mutation], at).unwrap();
            Instant::now()
        });
        let (_, items, _) = page(&second.ask(request));
        assert_eq!(items.len(), 1);
        let seen = Instant::now();
        seen.saturating_duration_since(pushed.join().unwrap())
    });
    println!("a push was seen by a waiting pull {:.1} ms after its commit", behind.as_secs_f64() * 1000.0);
    assert!(behind < Duration::from_secs(5), "{behind:?}");
}

#[test]
fn events_name_the_scopes_of_a_devices_user_and_no_others() {
    let world = World::new();
    let device = world.enrol("ada");
    device.grant("Patient/p1");
    let mut stream = connect(&world, &device.settings);
    write!(stream, "GET /sync/v1/events HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    stream.flush().unwrap();
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    let mut until = |seen: &mut String, wanted: &str| {
        while !seen.contains(wanted) {
            let length = std::io::Read::read(&mut stream, &mut buffer).unwrap();
            assert_ne!(length, 0, "{seen}");
            seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
    };
    until(&mut seen, "data: {\"epoch\":");
    let put = |id: &str, patient: &str| {
        let body = FLAG.replace("f1", id).replace("p1", patient);
        let body = Body::new(body.into_bytes()).unwrap();
        world.server.backend().put(&body, keepwell_fhir::Instant::from_ms(1_800_000_000_000)).unwrap();
    };
    put("a", "p2");
    put("b", "p1");
    until(&mut seen, "\"scopes\":[\"Patient/p1\"]");
    assert!(seen.contains("text/event-stream") && !seen.contains("p2"), "{seen}");
    // A FHIR client's writes are heard of as well.
    seen.clear();
    let request = Request::put("/fhir/Flag/c")
        .header("authorization", format!("Bearer {}", world.token("dr.jones")))
        .header("content-type", "application/fhir+json")
        .body(Bytes::from(FLAG.replace("f1", "c")));
    assert_eq!(world.ask(&world.http(&world.stranger()), request.unwrap()).status, 201);
    until(&mut seen, "\"scopes\":[\"Patient/p1\"]");
    // So are scopes that come and go, which move no clock.
    for change in 0..2 {
        seen.clear();
        match change {
            0 => device.grant("Patient/p3"),
            _ => world
                .server
                .operator()
                .revoke_grant(&"ada".parse().unwrap(), &"Patient/p3".parse().unwrap())
                .unwrap(),
        }
        until(&mut seen, "\"grants\":true");
    }
    // Locked out, its stream ends.
    world.server.operator().revoke(&device.id).unwrap();
    until(&mut seen, "\r\n0\r\n\r\n");
}

#[test]
fn a_stream_of_events_is_opened_however_its_request_comes() {
    let world = World::new();
    let device = world.enrol("ada");
    let asked = |pieces: &[&str], wanted: &str| {
        let mut stream = connect(&world, &device.settings);
        for piece in pieces {
            stream.write_all(piece.as_bytes()).unwrap();
            stream.flush().unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
        let (mut seen, mut buffer) = (String::new(), [0; 4096]);
        while !seen.contains(wanted) {
            let length = std::io::Read::read(&mut stream, &mut buffer).unwrap();
            assert_ne!(length, 0, "{seen}");
            seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
    };
    asked(&["GET /sync/v1/ev", "ents HTTP/1.1\r\nHost: a\r\n", "\r\n"], "data: {\"epoch\":");
    // Behind another request, with one behind it, and with a query: hyper's business.
    let (hello, events) =
        ("GET /sync/v1/hello HTTP/1.1\r\nHost: a\r\n\r\n", "GET /sync/v1/events HTTP/1.1\r\nHost: a\r\n\r\n");
    asked(&[hello, events], "data: {\"epoch\":");
    asked(&[&[events, hello].concat()], "data: {\"epoch\":");
    asked(&["GET /sync/v1/events?a=b HTTP/1.1\r\nHost: a\r\n\r\n"], "data: {\"epoch\":");
    asked(&["GET /sync/v1/eventsx HTTP/1.1\r\nHost: a\r\n\r\n"], "HTTP/1.1 404");
}

#[test]
fn a_device_that_was_locked_out_is_told_so_and_nothing_else() {
    let world = World::new();
    let device = world.enrol("ada");
    device.grant("Patient/p1");
    world.server.operator().revoke(&device.id).unwrap();
    let lease = LeaseRequest { v: 1, incarnation: Incarnation::new(1) };
    assert_eq!(refusal(&device.get("/sync/v1/hello")), Refusal::Revoked);
    assert_eq!(refusal(&device.post("/sync/v1/lease", &lease)), Refusal::Revoked);
    assert_eq!(push(&device, &Encoding::Zstd, &[create(1, FLAG)]), Err(Refusal::Revoked));
    assert_eq!(refusal(&device.post("/sync/v1/pull", &asks(None, &[], 1_000))), Refusal::Revoked);
    assert_eq!(refusal(&device.get("/sync/v1/events")), Refusal::Revoked);
    world.server.operator().admit(&device.id).unwrap();
    assert_eq!(device.post("/sync/v1/lease", &lease).status, 200);
}

#[test]
fn an_order_to_wipe_is_signed_and_its_receipt_kept() {
    let world = World::new();
    let (device, other) = (world.enrol("ada"), world.enrol("bea"));
    world.server.operator().wipe(&device.id).unwrap();
    let Refusal::Wipe(order) = refusal(&device.get("/sync/v1/hello")) else { panic!("no order") };
    order.verify(&device.enrolled.tenant, &device.id, &device.enrolled.wipe_keys).unwrap();
    assert!(order.verify(&device.enrolled.tenant, &other.id, &other.enrolled.wipe_keys).is_err());
    let mut receipt = WipeReceipt {
        id: order.id,
        tenant: order.tenant,
        device: order.device,
        at: keepwell_fhir::Instant::from_ms(1_800_000_000_000),
        sig: Base64::default(),
    };
    receipt.sig = Base64(other.key.sign(&receipt.signed_bytes()).unwrap());
    assert_ne!(device.post("/sync/v1/wipe-ack", &receipt).status, 204, "signed by another device");
    receipt.sig = Base64(device.key.sign(&receipt.signed_bytes()).unwrap());
    assert_eq!(device.post("/sync/v1/wipe-ack", &receipt).status, 204);
    let devices = world.server.operator().devices().unwrap();
    let wiped = devices.iter().find(|known| known.id == device.id).unwrap();
    assert!(matches!(wiped.state, DeviceState::Wiped(_)), "{:?}", wiped.state);
    assert_eq!(other.get("/sync/v1/hello").status, 200);
}

#[test]
fn a_cursor_that_is_forged_or_of_another_history_is_void() {
    let world = World::new();
    let device = world.enrol("ada");
    let held = grants(&device);
    let epoch = device.enrolled.epoch;
    let other = format!("{:016x}:0", epoch.bits() ^ 1);
    for (cursor, reason) in [(format!("{epoch}:999999"), "ahead"), (other, "epoch")] {
        let reply = device.post("/sync/v1/pull", &asks(Some(cursor.parse().unwrap()), &held, 0));
        assert_eq!((reply.status, &reply.json()["resync"]), (410, &reason.into()), "{cursor}");
    }
    let sound = asks(Some(format!("{epoch}:0").parse().unwrap()), &held, 0);
    let forged =
        String::from_utf8(to_bytes(&sound)).unwrap().replace(&format!("{epoch}:0"), &format!("{epoch}:-1"));
    assert_eq!(refusal(&device.ask(post("/sync/v1/pull", forged.into_bytes()))), Refusal::BadRequest);
    let mut newer = asks(None, &held, 0);
    newer.v = 9;
    assert_eq!(refusal(&device.post("/sync/v1/pull", &newer)), Refusal::Upgrade { min: 1, max: 1 });
}

#[test]
fn a_blob_goes_up_in_chunks_and_comes_down_in_ranges() {
    let world = World::new();
    let (device, other) = (world.enrol("ada"), world.enrol("bea"));
    device.grant("Patient/p1");
    let hash = Hash::of(BLOB);
    let new = NewUpload { v: 1, sha256: hash, size: BLOB.len() as u64 };
    let upload: Upload = from_bytes(&device.post("/sync/v1/uploads", &new).body).unwrap();
    let chunk = |from: usize, length: usize| {
        let request = Request::patch(format!("/sync/v1/uploads/{}", upload.id)).header("upload-offset", from);
        device.ask(request.body(Bytes::copy_from_slice(&BLOB[from..from + length])).unwrap())
    };
    let half = BLOB.len() / 2;
    assert_eq!(from_bytes::<Upload>(&chunk(0, half).body).unwrap().offset, half as u64);
    assert_eq!(refusal(&chunk(0, half)), Refusal::UploadOffset { expected: half as u64 });
    assert_eq!(chunk(half, half).status, 200);

    // Nobody may read what no resource of theirs refers to.
    let path = format!("/sync/v1/blob/{hash}");
    assert_eq!(refusal(&device.get(&path)), Refusal::NotFound);
    let document = format!(
        r#"{{"resourceType":"DocumentReference","id":"d1","status":"current","subject":{{"reference":"Patient/p1"}},"content":[{{"attachment":{{"contentType":"text/plain","data":{{"_blob":{{"sha256":"{hash}","size":{}}}}}}}}}]}}"#,
        BLOB.len()
    );
    let outcomes = push(&device, &Encoding::Zstd, &[create(1, &document)]).unwrap();
    assert!(matches!(outcomes[..], [Outcome::Applied { .. }]), "{outcomes:?}");
    let whole = device.get(&path);
    assert_eq!((whole.status, whole.body == BLOB), (200, true));
    assert_eq!(whole.header("etag"), format!("\"{hash}\""));
    let head = device.ask(Request::head(&path).body(Bytes::new()).unwrap());
    assert_eq!((head.status, head.header("content-length")), (200, "1048576"));
    let part = |range: &str, known: &str| {
        let request = Request::get(&path).header("range", range).header("if-range", known);
        device.ask(request.body(Bytes::new()).unwrap())
    };
    let known = format!("\"{hash}\"");
    let rest = part("bytes=1048000-", &known);
    assert_eq!(
        (rest.status, rest.body.len(), rest.header("content-range")),
        (206, 576, "bytes 1048000-1048575/1048576")
    );
    assert_eq!(part("bytes=0-9", &known).body.len(), 10);
    assert_eq!(part("bytes=0-9", "\"another\"").body.len(), BLOB.len());
    assert_eq!(part("bytes=1048576-", &known).status, 416);
    assert_eq!(refusal(&other.get(&path)), Refusal::NotFound);
}

#[test]
fn a_pull_with_nothing_new_costs_little() {
    const ROUNDS: u32 = 200;
    let world = World::new();
    let device = world.enrol("ada");
    device.grant("Patient/p1");
    let held = grants(&device);
    let (_, _, end) = pull(&device, &asks(None, &held, 0), &Encoding::Identity);
    let request = to_bytes(&asks(cursor(&device, &end), &held, 0));
    let began = Instant::now();
    let mut bytes = 0;
    for _ in 0..ROUNDS {
        bytes = device.ask(encoded(post("/sync/v1/pull", request.clone()), &Encoding::Identity)).body.len();
    }
    let each = began.elapsed() / ROUNDS;
    println!(
        "a pull with nothing new: {} + {bytes} bytes of bodies, {:.2} ms",
        request.len(),
        each.as_secs_f64() * 1000.0
    );
    assert!(request.len() + bytes < 600, "{} + {bytes}", request.len());
}

#[test]
fn rows_of_scopes_that_a_user_does_not_hold_stay_here() {
    let world = World::new();
    let device = world.enrol("ada");
    let body = Body::new(FLAG.as_bytes()).unwrap();
    world.server.backend().put(&body, keepwell_fhir::Instant::from_ms(1_800_000_000_000)).unwrap();
    let (_, items, end) = pull(&device, &asks(None, &grants(&device), 0), &Encoding::Zstd);
    assert_eq!((items.len(), end.upto > Position::ZERO), (0, true));
}

#[test]
fn an_edit_of_a_fhir_client_reaches_a_device_and_the_other_way_round() {
    let world = World::new();
    let device = world.enrol("ada");
    device.grant("Patient/p1");
    let bearer = format!("Bearer {}", world.token("dr.jones"));
    let http = world.http(&world.stranger());
    let fhir = |method: &str, path: &str, body: &str| {
        let request = Request::builder().method(method).uri(format!("/fhir/{path}"));
        let request =
            request.header("authorization", &bearer).header("content-type", "application/fhir+json");
        world.ask(&http, request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap())
    };
    let held = grants(&device);
    let (_, _, end) = pull(&device, &asks(None, &held, 0), &Encoding::Zstd);
    assert_eq!(fhir("PUT", "Flag/f1", FLAG).status, 201);
    let (_, items, end) = pull(&device, &asks(cursor(&device, &end), &held, 0), &Encoding::Zstd);
    let [PullItem::Row(row)] = &items[..] else { panic!("{items:?}") };
    assert!(String::from_utf8(row.to_bytes()).unwrap().contains(FLAG));

    let outcomes = push(&device, &Encoding::Zstd, &[create(1, &FLAG.replace("f1", "f2"))]).unwrap();
    assert!(matches!(outcomes[..], [Outcome::Applied { .. }]), "{outcomes:?}");
    let read = fhir("GET", "Flag/f2", "");
    assert_eq!((read.status, read.header("etag")), (200, "W/\"1\""));
    assert_eq!(fhir("GET", "Flag?patient=Patient/p1&_summary=count", "").json()["total"], 2);
    assert_eq!(fhir("DELETE", "Flag/f1", "").status, 204);
    let (_, items, _) = pull(&device, &asks(cursor(&device, &end), &held, 0), &Encoding::Zstd);
    let text: String = items
        .iter()
        .map(|item| match item {
            PullItem::Row(row) => String::from_utf8(row.to_bytes()).unwrap(),
            PullItem::Outcome(_) | PullItem::Delta(_) => String::new(),
        })
        .collect();
    assert!(text.contains("\"st\":\"del\"") && text.contains("f2"), "{text}");
}
