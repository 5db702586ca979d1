//! One of each message, made up.

#![allow(dead_code, clippy::unwrap_used, reason = "each test uses a part; a test fails by panicking")]

use keepwell_fhir::Instant;
use keepwell_protocol::*;

/// 2026-11-21T19:33:05.123Z and so many milliseconds.
pub(crate) fn at(ms: i64) -> Instant {
    Instant::from_ms(1_795_289_585_123 + ms)
}

pub(crate) fn id(text: &str) -> Id {
    text.parse().unwrap()
}

pub(crate) fn version(number: u64) -> Version {
    Version::new(number).unwrap()
}

pub(crate) fn sequence(number: u64) -> Sequence {
    Sequence::new(number).unwrap()
}

pub(crate) fn position(number: u64) -> Position {
    Position::new(number).unwrap()
}

pub(crate) fn key(kind: &str, id: &str) -> ResourceKey {
    body(&format!(r#"{{"resourceType":"{kind}","id":"{id}"}}"#)).key().unwrap()
}

pub(crate) fn body(text: &str) -> Body {
    Body::new(text).unwrap()
}

pub(crate) const EPOCH: Epoch = Epoch::new(0xe7a1_5f00_3b2c_9d44);
pub(crate) const INCARNATION: Incarnation = Incarnation::new(0x9f3c_52d1_c0a8_4e77);

pub(crate) const PATIENT: &str = r#"{"resourceType":"Patient","id":"p1","active":true,"name":[{"family":"Example","given":["Ada"]}],"birthDate":"1970-01-01"}"#;
pub(crate) const ENCOUNTER: &str = r#"{"resourceType":"Encounter","id":"e1","status":"planned","class":{"code":"AMB"},"subject":{"reference":"Patient/p1"}}"#;
/// Its bytes hold line feeds, a number with an exponent and one with a trailing zero.
pub(crate) const OBSERVATION: &str = "{\n  \"resourceType\": \"Observation\",\n  \"id\": \"o1\",\n  \"valueQuantity\": {\"value\": 1.10, \"_x\": 2E0}\n}";

pub(crate) fn mutation(
    number: u64,
    operation: Operation,
    base: u64,
    key: ResourceKey,
    payload: Payload,
) -> Mutation {
    Mutation {
        sequence: sequence(number),
        operation,
        key,
        base: version(base),
        at: Some(at(0)),
        why: None,
        group: None,
        payload,
        merge: None,
    }
}

pub(crate) fn mutations() -> Vec<Frozen> {
    let edited = PATIENT.replace("true", "false");
    let delta = Delta {
        // The frame is not compressed here, since another zstd may compress it otherwise.
        base: HashStart::of(PATIENT.as_bytes()),
        frame: Base64(b"a zstd frame".to_vec()),
    };
    let merge = Merge {
        rule: 1,
        from: Some(version(3)),
        theirs: version(4),
        mine: Some(Hash::of(b"mine")),
        paths: vec!["CareTeam.participant[0]".to_owned()],
        cids: Vec::new(),
    };
    let decided = Merge {
        from: Some(version(1)),
        theirs: version(3),
        mine: None,
        paths: Vec::new(),
        cids: vec![id("x1")],
        ..merge
    };
    let care_team = body(r#"{"resourceType":"CareTeam","id":"c1","status":"active"}"#);
    [
        Mutation {
            why: Some("moved away".to_owned()),
            ..mutation(411, Operation::Update, 7, key("Patient", "p1"), Payload::Body(body(&edited)))
        },
        mutation(412, Operation::Update, 7, key("Patient", "p1"), Payload::Delta(delta)),
        Mutation {
            group: Some(5),
            ..mutation(413, Operation::Create, 0, key("Encounter", "e1"), Payload::Body(body(ENCOUNTER)))
        },
        Mutation {
            group: Some(5),
            ..mutation(414, Operation::Create, 0, key("Observation", "o1"), Payload::Body(body(OBSERVATION)))
        },
        mutation(415, Operation::Delete, 3, key("Flag", "f1"), Payload::Nothing),
        mutation(416, Operation::Recreate, 2, key("CareTeam", "c1"), Payload::Body(care_team.clone())),
        Mutation {
            at: None,
            merge: Some(merge),
            ..mutation(417, Operation::Update, 4, key("CareTeam", "c1"), Payload::Body(care_team))
        },
        Mutation {
            at: None,
            merge: Some(decided),
            ..mutation(418, Operation::Delete, 3, key("Flag", "f2"), Payload::Nothing)
        },
    ]
    .map(|mutation| Frozen::freeze(mutation).unwrap())
    .to_vec()
}

pub(crate) fn push_head() -> PushHead {
    PushHead { v: 1, incarnation: INCARNATION, epoch: Some(EPOCH), ack: sequence(410) }
}

pub(crate) fn row(number: u64, state: RowState, key: ResourceKey, of: u64) -> Row {
    let scope = "Patient/p1".parse().unwrap();
    Row { position: position(number), scope, key, version: version(of), at: Some(at(0)), state }
}

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row(184_468, RowState::In(body(OBSERVATION)), key("Observation", "o1"), 3),
        Row {
            scope: "Patient/p2".parse().unwrap(),
            ..row(184_468, RowState::Left, key("Observation", "o1"), 3)
        },
        row(184_470, RowState::Deleted, key("Flag", "f1"), 2),
        Row { at: None, ..row(184_901, RowState::Own(sequence(411)), key("Patient", "p1"), 8) },
        row(184_905, RowState::In(body(ENCOUNTER)), key("Encounter", "e1"), 1),
    ]
}

pub(crate) fn settlements() -> Vec<Settlement> {
    let current = Some(row(184_905, RowState::In(body(ENCOUNTER)), key("Encounter", "e1"), 2));
    let gone = Some(row(184_470, RowState::Deleted, key("Flag", "f1"), 4));
    let issues = body(
        r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"required","expression":["Encounter.status"]}]}"#,
    );
    [
        Outcome::Applied { version: version(8), position: position(184_901) },
        Outcome::Noop { version: version(7) },
        Outcome::Conflict { current },
        Outcome::Conflict { current: None },
        Outcome::Conflict { current: gone },
        Outcome::Parked { why: ParkReason::NoGrant, current: None },
        Outcome::Rejected { outcome: issues },
        Outcome::NeedFull,
        Outcome::NeedBlob,
    ]
    .into_iter()
    .zip(411..)
    .map(|(outcome, number)| Settlement { sequence: sequence(number), line: None, outcome })
    .collect()
}

pub(crate) fn push_reply_head() -> PushReplyHead {
    PushReplyHead { epoch: EPOCH, last_seq: sequence(417) }
}

pub(crate) fn grants() -> Vec<Grant> {
    let grant = |scope: &str, generation| Grant(scope.parse().unwrap(), Generation::new(generation).unwrap());
    vec![grant("Patient/p1", 4), grant("dir/main", 1), grant("user/u1", 1)]
}

pub(crate) fn pull_request() -> PullRequest {
    let hydration = Hydration("Patient/p1".parse().unwrap(), Generation::new(4).unwrap(), Position::ZERO);
    PullRequest {
        v: 1,
        incarnation: INCARNATION,
        req: RequestId::new(0xb81f_0000_0000_0001),
        cursor: Some(Cursor::new(EPOCH, position(184_467))),
        scopes: ScopeSet::of(&grants()[1..]),
        hydrating: vec![hydration],
        rows: 500,
        bytes: 1 << 20,
        wait_ms: 25_000,
        ack: sequence(413),
        whole: false,
    }
}

/// What a device asks that has everything and finds nothing new.
pub(crate) fn noop_pull_request() -> PullRequest {
    PullRequest {
        hydrating: vec![],
        rows: limits::PULL_ROWS,
        bytes: limits::PULL_BYTES,
        wait_ms: 0,
        cursor: Some(Cursor::new(EPOCH, position(184_905))),
        scopes: ScopeSet::of(&grants()),
        ..pull_request()
    }
}

pub(crate) fn pull_head() -> PullHead {
    PullHead {
        req: pull_request().req,
        epoch: EPOCH,
        clock: position(184_905),
        last_seq: sequence(417),
        grants: None,
    }
}

pub(crate) fn pull_items() -> Vec<PullItem> {
    let line = Some(HashStart::of(PATIENT.as_bytes()));
    let settlements =
        settlements().into_iter().map(|settlement| PullItem::Outcome(Settlement { line, ..settlement }));
    let delta = DeltaRow {
        position: position(184_905),
        scope: "Patient/p1".parse().unwrap(),
        key: key("Patient", "p1"),
        version: version(9),
        at: Some(at(0)),
        delta: Delta { base: HashStart::of(PATIENT.as_bytes()), frame: Base64(b"a zstd frame".to_vec()) },
    };
    let rows = rows().into_iter().map(PullItem::Row);
    settlements.chain(rows).chain([PullItem::Delta(delta)]).collect()
}

pub(crate) fn pull_end(n: usize) -> PullEnd {
    let members = [Member { key: key("Patient", "p1"), version: version(8), hash: Hash::of(b"body") }];
    let digest = ScopeDigest::new("Patient/p1".parse().unwrap(), Digest::of(&members));
    let digests = if n == 0 { vec![] } else { vec![digest] };
    PullEnd { n: n as u64, upto: position(184_905), more: false, digests, next_ms: 30_000 }
}

pub(crate) fn park_head() -> ParkHead {
    ParkHead { v: 1, incarnation: INCARNATION }
}

pub(crate) fn park_records() -> Vec<ParkRecord> {
    let record = ParkRecord {
        cid: id("0190-c1"),
        kind: ParkKind::Conflict,
        key: key("Patient", "p1"),
        base: version(7),
        theirs: Some(version(8)),
        at: Some(at(0)),
        paths: vec!["Patient.active".to_owned()],
        mine: Some(body(PATIENT)),
        done: None,
    };
    let deletion = ParkRecord {
        cid: id("0190-c2"),
        kind: ParkKind::ScopeLost,
        theirs: None,
        at: None,
        paths: vec![],
        mine: None,
        ..record.clone()
    };
    let decided = ParkRecord {
        cid: archive_id(INCARNATION, sequence(417)),
        done: Some(Decision::Theirs),
        ..deletion.clone()
    };
    vec![record, deletion, decided]
}

pub(crate) fn hello() -> Hello {
    Hello {
        min: 1,
        max: 1,
        tenant: id("clinic"),
        epoch: EPOCH,
        clock: position(184_905),
        dicts: vec![Hash::of(b"a dictionary")],
        limits: ServerLimits::default(),
        time: at(0),
    }
}

pub(crate) fn lease() -> Lease {
    let day = 86_400_000;
    Lease {
        issued: at(0),
        renew: at(day),
        until: at(14 * day),
        key: Some(Secret::new("AAECAwQFBgcICQoLDA0ODw==".to_owned())),
    }
}

pub(crate) fn enrol_request() -> EnrolRequest {
    EnrolRequest {
        v: 1,
        code: Secret::new("K7Q2-M4XD-9ZTP-H3WV-6RBN-C8FJ-YS".to_owned()),
        csr: Base64(b"a signing request in DER".to_vec()),
        name: "tablet of ward 3".to_owned(),
        incarnation: INCARNATION,
    }
}

pub(crate) fn enrol_reply() -> EnrolReply {
    EnrolReply {
        device: id("d1"),
        tenant: id("clinic"),
        epoch: EPOCH,
        certificates: vec![Base64(b"of the device".to_vec()), Base64(b"of the server".to_vec())],
        wipe_keys: vec![Base64(vec![7; 32])],
        lease: lease(),
    }
}

pub(crate) fn digest_request() -> DigestRequest {
    let claim = |range: &str, count| RangeClaim(range.parse().unwrap(), count, Sums::default());
    DigestRequest {
        v: 1,
        scope: "lib/terminology".parse().unwrap(),
        generation: Generation::new(1).unwrap(),
        ranges: vec![claim("", 0), claim("a3", 7)],
    }
}

pub(crate) fn digest_reply() -> DigestReply {
    let member = Member { key: key("ValueSet", "v1"), version: version(2), hash: Hash::of(b"body") };
    let digest = Digest::of([&member]);
    let answer = |range: &str, verdict| RangeAnswer { range: range.parse().unwrap(), verdict };
    DigestReply {
        epoch: EPOCH,
        clock: position(184_905),
        ranges: vec![
            answer("a", Verdict::Same),
            answer("a3", Verdict::Members(vec![member])),
            answer("b", Verdict::Parts(Box::new([digest; 16]))),
        ],
    }
}

pub(crate) fn hints() -> Vec<Hint> {
    let hint = Hint {
        epoch: EPOCH,
        clock: position(184_906),
        scopes: vec!["Patient/p1".parse().unwrap()],
        grants: false,
    };
    let heartbeat = Hint { scopes: vec![], ..hint.clone() };
    vec![hint, heartbeat.clone(), Hint { grants: true, ..heartbeat }]
}

pub(crate) fn blob() -> Blob {
    Blob { sha256: Hash::of(b"an attachment"), size: 1_300_000 }
}

pub(crate) fn upload() -> Upload {
    Upload { id: id("u1"), offset: 1 << 20 }
}

pub(crate) fn upkeep_requests() -> [UpkeepRequest; 2] {
    let refused = RefusedServer {
        host: "sync.hospital.test".to_owned(),
        why: "not-pinned".to_owned(),
        key: Some("sha256/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned()),
        pins: 1,
        count: 3,
        first: at(0),
        last: at(60_000),
    };
    let csr = Some(Base64(b"a signing request in DER".to_vec()));
    [
        UpkeepRequest { v: 1, pins: 2, csr: None, refused: vec![], others: 0 },
        UpkeepRequest { v: 1, pins: 2, csr, refused: vec![refused], others: 4 },
    ]
}

pub(crate) fn upkeep_reply() -> UpkeepReply {
    let certificates = [b"of the device", b"of the server"].map(|der| Base64(der.to_vec())).to_vec();
    UpkeepReply { certificates, pins: Some("keepwell pin set 1\nhost sync.hospital.test\n...".to_owned()) }
}

pub(crate) fn wipe_order() -> WipeOrder {
    let sig = Base64(vec![9; 64]);
    WipeOrder { id: id("w1"), tenant: id("clinic"), device: id("d1"), at: at(0), sig }
}

pub(crate) fn wipe_receipt() -> WipeReceipt {
    let WipeOrder { id, tenant, device, sig, .. } = wipe_order();
    WipeReceipt { id, tenant, device, at: at(60_000), sig }
}

pub(crate) fn refusals() -> Vec<Refusal> {
    vec![
        Refusal::BadRequest,
        Refusal::UnknownDevice,
        Refusal::Revoked,
        Refusal::Wipe(wipe_order()),
        Refusal::Invitation,
        Refusal::Forbidden,
        Refusal::NotFound,
        Refusal::SequenceGap { expected: sequence(409) },
        Refusal::SequenceReused,
        Refusal::UploadOffset { expected: 1 << 20 },
        Refusal::Resync(ResyncReason::Floor),
        Refusal::Resync(ResyncReason::Epoch),
        Refusal::Resync(ResyncReason::Ahead),
        Refusal::TooLarge,
        Refusal::Encoding { dicts: vec![Hash::of(b"a dictionary")] },
        Refusal::HashMismatch,
        Refusal::Upgrade { min: 2, max: 3 },
        Refusal::Busy { retry_after_s: Some(30) },
    ]
}

/// A whole message.
pub(crate) fn message<M: Message>(
    encoding: &Encoding,
    head: &M::Head,
    items: &[M::Item],
    end: M::End,
) -> Vec<u8> {
    let mut writer = Writer::<M>::new(encoding, head);
    let mut bytes = Vec::new();
    for item in items {
        writer.item(item);
        bytes.extend(writer.take());
    }
    bytes.extend(writer.finish(end));
    bytes
}

/// Every part up to the error, from pieces of this size.
pub(crate) fn parts<M: Message>(
    encoding: &Encoding,
    bytes: &[u8],
    chunk: usize,
) -> (Vec<Part<M>>, Result<()>) {
    let mut reader = Reader::<M>::new(encoding);
    let mut parts = Vec::new();
    for mut piece in bytes.chunks(chunk.max(1)) {
        loop {
            match reader.next(&mut piece) {
                Ok(Some(part)) => parts.push(part),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(reader.finish(), Err(error.clone()), "a spent reader repeats its error");
                    return (parts, Err(error));
                }
            }
        }
    }
    let end = reader.finish();
    (parts, end)
}
