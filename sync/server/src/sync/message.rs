//! Messages: how they are read from a request, and the calls that are a message each way.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request};
use axum::response::Response;
use keepwell_protocol::{
    DICTIONARY, Dictionary, DigestRequest, Document, Encoding, Id, Message, ParkRequest, Part, PushEnd,
    PushReply, PushRequest, Reader, Refusal, Writer, check_version, from_encoded, to_encoded,
};

use super::{Answer, Refused, now, written};
use crate::body::whole;
use crate::config::seconds;
use crate::shared::{Peer, Shared};

const NDJSON: &str = "application/x-ndjson";
const JSON: &str = "application/json";
/// What compression may add to what does not shrink, in bytes: a receiver reads a little more than the limit.
const ENCODING_BYTES: usize = 64 << 10;

/// A request of a device, with its encodings.
pub(super) struct Call {
    pub(super) device: Id,
    pub(super) body: Vec<u8>,
    /// Of the request.
    pub(super) reads: Encoding,
    /// Of the answer.
    pub(super) writes: Encoding,
}

/// The device that sends a request; without a certificate it is nobody.
pub(super) fn device(extensions: &Extensions) -> Result<Id, Refused> {
    let peer = extensions.get::<Peer>();
    let device = peer.and_then(|peer| peer.device.as_ref()).ok_or(Refusal::UnknownDevice)?;
    Ok(device.id.as_str().parse()?)
}

/// Reads a request of at most `bytes_max` bytes, before and after compression.
pub(super) async fn read(shared: &Shared, request: Request<Body>, bytes_max: usize) -> Result<Call, Refused> {
    let device = device(request.extensions())?;
    let (reads, writes) = encodings(request.headers())?;
    let time = seconds(shared.config.limits.body_s);
    let body = whole(request.into_body(), bytes_max + ENCODING_BYTES, time).await?;
    Ok(Call { device, body, reads, writes })
}

/// What a request is in, and what its answer may be in.
pub(super) fn encodings(headers: &HeaderMap) -> Result<(Encoding, Encoding), Refused> {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let built_in = Dictionary::built_in();
    let named = text(HeaderName::from_bytes(DICTIONARY.as_bytes()).expect("the name of a header"));
    let known = named.filter(|hash| *hash == built_in.id().to_string()).map(|_| built_in);
    let encoding = text(CONTENT_ENCODING);
    // A dictionary that is not known here is harmless as long as nothing is compressed with it.
    if named.is_some() && known.is_none() && encoding == Some("zstd") {
        return Err(Refused(other_encoding()));
    }
    let reads = Encoding::from_name(encoding, known.as_ref())?;
    let plain = text(ACCEPT_ENCODING).is_some_and(|accepted| !accepted.contains("zstd"));
    let writes = match (plain, known) {
        (true, _) => Encoding::Identity,
        (false, Some(dictionary)) => Encoding::Dictionary(dictionary),
        (false, None) => Encoding::Zstd,
    };
    Ok((reads, writes))
}

/// The refusal of an encoding or a dictionary that is not known here.
pub(super) fn other_encoding() -> Refusal {
    Refusal::Encoding { dicts: vec![Dictionary::built_in().id()] }
}

/// Reads a message of one line.
pub(super) fn document<T: Document>(call: &Call) -> Result<T, Refused> {
    Ok(from_encoded(&call.body, &call.reads)?)
}

/// Reads a message of many lines: its head and its items. One that was cut off is refused as a whole: the device still
/// has it.
fn lines<M: Message>(call: &Call) -> Result<(M::Head, Vec<M::Item>), Refused> {
    let mut reader = Reader::<M>::new(&call.reads);
    let (mut head, mut items, mut input) = (None, Vec::new(), call.body.as_slice());
    while let Some(part) = reader.next(&mut input)? {
        match part {
            Part::Head(first) => head = Some(first),
            Part::Item(item) => items.push(item),
            Part::End(_) => {}
        }
    }
    reader.finish()?;
    Ok((head.ok_or(Refusal::BadRequest)?, items))
}

/// An answer of one line. It is too short to be worth compressing.
pub(super) fn answer<T: Document>(document: &T) -> Response {
    encoded(to_encoded(document, &Encoding::Identity), &Encoding::Identity, JSON)
}

fn encoded(bytes: Vec<u8>, encoding: &Encoding, media_type: &'static str) -> Response {
    let mut response = Response::new(Body::from(bytes));
    describe(&mut response, encoding, media_type);
    response
}

/// Says how the body of an answer is to be read.
pub(super) fn describe(response: &mut Response, encoding: &Encoding, media_type: &'static str) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    if let Some(name) = encoding.name() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    if let Encoding::Dictionary(dictionary) = encoding {
        let id = HeaderValue::try_from(dictionary.id().to_string()).expect("base64url is ASCII");
        headers.insert(HeaderName::from_bytes(DICTIONARY.as_bytes()).expect("the name of a header"), id);
    }
}

/// Says how a message of many lines is to be read.
pub(super) fn describe_lines(response: &mut Response, encoding: &Encoding) {
    describe(response, encoding, NDJSON);
}

pub(super) async fn push(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    written("sync.push", push_of(&shared, request).await)
}

async fn push_of(shared: &Arc<Shared>, request: Request<Body>) -> Answer {
    let call = read(shared, request, PushRequest::BYTES_MAX).await?;
    let done = shared.work(move |shared| {
        let (head, mutations) = lines::<PushRequest>(&call)?;
        check_version(head.v)?;
        let pushed = shared.backend.push(&call.device, &head, &mutations, now())?;
        let mut writer = Writer::<PushReply>::new(&call.writes, &pushed.head);
        for settlement in &pushed.settlements {
            writer.item(settlement);
        }
        let bytes = writer.finish(PushEnd { n: pushed.settlements.len() as u64 });
        Ok(encoded(bytes, &call.writes, NDJSON))
    });
    done.await?
}

pub(super) async fn park(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    written("sync.park", park_of(&shared, request).await)
}

async fn park_of(shared: &Arc<Shared>, request: Request<Body>) -> Answer {
    let call = read(shared, request, ParkRequest::BYTES_MAX).await?;
    let done = shared.work(move |shared| {
        let (head, records) = lines::<ParkRequest>(&call)?;
        check_version(head.v)?;
        Ok(answer(&shared.backend.park(&call.device, &head, &records, now())?))
    });
    done.await?
}

pub(super) async fn digest(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    written("sync.digest", digest_of(&shared, request).await)
}

async fn digest_of(shared: &Arc<Shared>, request: Request<Body>) -> Answer {
    let call = read(shared, request, DigestRequest::BYTES_MAX).await?;
    let done = shared.work(move |shared| {
        let request: DigestRequest = document(&call)?;
        check_version(request.v)?;
        let reply = shared.backend.digest(&call.device, &request)?;
        Ok(encoded(to_encoded(&reply, &call.writes), &call.writes, JSON))
    });
    done.await?
}
