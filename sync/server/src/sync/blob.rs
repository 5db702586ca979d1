//! Blobs: attachments, up in chunks and down in ranges.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, RANGE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use axum::response::Response;
use keepwell_protocol::limits::CHUNK_BYTES_MAX;
use keepwell_protocol::{Document, Hash, Id, NewUpload, Refusal, UPLOAD_OFFSET, check_version};

use super::chunks::{Broken, Chunk, Chunks};
use super::message::{answer, device, document, read};
use super::{Answer, now, written};
use crate::shared::Shared;

/// What is read from the store at once, in bytes.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces that wait for a device.
const PIECES_MAX: usize = 2;

pub(super) async fn blob(
    State(shared): State<Arc<Shared>>,
    Path(hash): Path<String>,
    request: Request<Body>,
) -> Response {
    written("sync.blob", blob_of(&shared, &hash, request.into_parts().0).await)
}

async fn blob_of(shared: &Arc<Shared>, hash: &str, request: Parts) -> Answer {
    let device = device(&request.extensions)?;
    let hash: Hash = hash.parse().map_err(|_| Refusal::NotFound)?;
    let asked = device.clone();
    let size = shared.work(move |shared| shared.backend.blob_size(&asked, &hash)).await??;
    let (from, until) = match range(&request.headers, &hash, size) {
        Some(Ok((from, until))) => (from, until),
        Some(Err(())) => return Ok(unsatisfiable(size)),
        None => (0, size),
    };
    let mut response = Response::new(Body::empty());
    let is_part = request.headers.contains_key(RANGE) && (from, until) != (0, size);
    if is_part {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        put(&mut response, CONTENT_RANGE, format!("bytes {from}-{}/{size}", until - 1));
    }
    put(&mut response, CONTENT_TYPE, "application/octet-stream".to_owned());
    put(&mut response, CONTENT_LENGTH, (until - from).to_string());
    put(&mut response, ACCEPT_RANGES, "bytes".to_owned());
    put(&mut response, ETAG, format!("\"{hash}\""));
    if request.method != Method::HEAD {
        let (sender, chunks) = Chunks::new(PIECES_MAX);
        tokio::spawn(send(shared.clone(), device, hash, from, until, sender));
        *response.body_mut() = Body::new(chunks);
    }
    Ok(response)
}

/// Sends a part of a blob, piece by piece; between pieces nothing of the store is held.
async fn send(
    shared: Arc<Shared>,
    device: Id,
    hash: Hash,
    mut from: u64,
    until: u64,
    sender: tokio::sync::mpsc::Sender<Chunk>,
) {
    while from < until {
        let length = usize::try_from(until - from).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
        let device = device.clone();
        let piece = shared.work(move |shared| shared.backend.blob(&device, &hash, from, length)).await;
        // Access may end in the middle, and so does the answer then.
        let piece = piece.ok().and_then(Result::ok).filter(|piece| !piece.is_empty());
        from += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        let is_broken = piece.is_none();
        if sender.send(piece.map(Into::into).ok_or(Broken)).await.is_err() || is_broken {
            return;
        }
    }
}

/// The range that is asked for, as from and until; `None` for the whole, an error for what the blob does not have.
fn range(headers: &HeaderMap, hash: &Hash, size: u64) -> Option<Result<(u64, u64), ()>> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if text(IF_RANGE).is_some_and(|known| known != format!("\"{hash}\"")) {
        return None;
    }
    // Several ranges, and ranges from the end, are not asked for by this protocol: then it is the whole.
    let (from, until) = text(RANGE)?.strip_prefix("bytes=")?.split_once('-')?;
    let from: u64 = from.parse().ok()?;
    let until: u64 = match until {
        "" => size,
        last => last.parse::<u64>().ok()?.saturating_add(1).min(size),
    };
    Some(if from < until { Ok((from, until)) } else { Err(()) })
}

fn unsatisfiable(size: u64) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
    put(&mut response, CONTENT_RANGE, format!("bytes */{size}"));
    response
}

fn put(response: &mut Response, name: HeaderName, value: String) {
    response.headers_mut().insert(name, HeaderValue::try_from(value).expect("numbers and hashes are ASCII"));
}

pub(super) async fn begin(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    written("sync.upload", begin_of(&shared, request).await)
}

async fn begin_of(shared: &Arc<Shared>, request: Request<Body>) -> Answer {
    let call = read(shared, request, NewUpload::BYTES_MAX).await?;
    let upload: NewUpload = document(&call)?;
    check_version(upload.v)?;
    let done =
        shared.work(move |shared| Ok(answer(&shared.backend.begin_upload(&call.device, &upload, now())?)));
    done.await?
}

pub(super) async fn append(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Response {
    written("sync.chunk", append_of(&shared, &id, request).await)
}

async fn append_of(shared: &Arc<Shared>, id: &str, request: Request<Body>) -> Answer {
    let id: Id = id.parse().map_err(|_| Refusal::NotFound)?;
    let offset = request.headers().get(UPLOAD_OFFSET).and_then(|offset| offset.to_str().ok()?.parse().ok());
    let offset: u64 = offset.ok_or(Refusal::BadRequest)?;
    let call = read(shared, request, CHUNK_BYTES_MAX).await?;
    // Chunks are sent as they are.
    if call.reads.name().is_some() {
        return Err(super::message::other_encoding().into());
    }
    let done = shared.work(move |shared| {
        Ok(answer(&shared.backend.append(&call.device, &id, offset, &call.body, now())?))
    });
    done.await?
}
