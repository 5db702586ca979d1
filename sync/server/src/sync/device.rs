//! Calls about the device itself: who the server is, leases, receipts.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use keepwell_backend::LeasePolicy;
use keepwell_protocol::{
    Dictionary, Document, Hash, Hello, Id, LeaseRequest, Refusal, ServerLimits, VERSION_MAX, VERSION_MIN,
    WipeReceipt, check_version,
};

use super::message::{answer, device, document, read};
use super::{Answer, Refused, now, written};
use crate::shared::{Peer, Shared};

const HOUR_MS: i64 = 60 * 60 * 1000;

pub(super) async fn hello(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    written("sync.hello", hello_of(&shared, device(request.extensions())).await)
}

async fn hello_of(shared: &Arc<Shared>, device: Result<Id, Refused>) -> Answer {
    let device = device?;
    let done = shared.work(move |shared| {
        shared.backend.admit(&device)?;
        let horizon = shared.backend.horizon()?;
        Ok(answer(&Hello {
            min: VERSION_MIN,
            max: VERSION_MAX,
            tenant: shared.backend.tenant().clone(),
            epoch: horizon.epoch,
            clock: horizon.clock,
            dicts: vec![Dictionary::built_in().id()],
            limits: ServerLimits::default(),
            time: now(),
        }))
    });
    done.await?
}

/// The pins of the server, signed: what a device knows from its invitation ends with that.
pub(super) async fn pins(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let answer = device(request.extensions()).map(|_| {
        ([(CONTENT_TYPE, "text/plain; charset=utf-8")], shared.identity.pin_set.clone()).into_response()
    });
    written("sync.pins", answer)
}

pub(super) async fn dictionary(Path(hash): Path<String>, request: Request<Body>) -> Response {
    written("sync.dict", dictionary_of(&hash, &request))
}

fn dictionary_of(hash: &str, request: &Request<Body>) -> Answer {
    device(request.extensions())?;
    let built_in = Dictionary::built_in();
    if hash.parse::<Hash>() != Ok(built_in.id()) {
        return Err(Refusal::NotFound.into());
    }
    let headers =
        [(CONTENT_TYPE, "application/octet-stream"), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
    Ok((headers, built_in.bytes().to_vec()).into_response())
}

pub(super) async fn lease(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    written("sync.lease", lease_of(&shared, request).await)
}

async fn lease_of(shared: &Arc<Shared>, request: Request<Body>) -> Answer {
    let call = read(shared, request, LeaseRequest::BYTES_MAX).await?;
    let request: LeaseRequest = document(&call)?;
    check_version(request.v)?;
    let done = shared.work(move |shared| {
        let lease = shared.backend.lease(&call.device, &policy(shared), now())?;
        Ok(answer(&lease))
    });
    done.await?
}

/// How long leases are here.
pub(super) fn policy(shared: &Shared) -> LeasePolicy {
    let times = &shared.config.lease;
    LeasePolicy { renew_ms: i64::from(times.renew_h) * HOUR_MS, valid_ms: i64::from(times.until_h) * HOUR_MS }
}

pub(super) async fn wiped(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    written("sync.wipe-ack", wiped_of(&shared, request).await)
}

async fn wiped_of(shared: &Arc<Shared>, request: Request<Body>) -> Answer {
    let peer = request.extensions().get::<Peer>().and_then(|peer| peer.device.clone());
    let peer = peer.ok_or(Refusal::UnknownDevice)?;
    let call = read(shared, request, WipeReceipt::BYTES_MAX).await?;
    let receipt: WipeReceipt = document(&call)?;
    let done = shared.work(move |shared| {
        shared.backend.wiped(&call.device, &receipt, peer.key.as_bytes())?;
        tracing::warn!(device = call.device.as_str(), "a device says that it has wiped itself");
        Ok(StatusCode::NO_CONTENT.into_response())
    });
    done.await?
}
