//! Which request goes where, and what is counted and logged of each.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};

use crate::shared::{Busy, Call, Peer, Shared};
use crate::token::TokenUse;
use crate::{admin, fhir, sync};

/// The id by which a client and the log speak of the same request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// When a client that found no turn may come back, in seconds.
pub(crate) const RETRY_S: u32 = 5;

/// All routes of a server.
pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/fhir", any(fhir::answer))
        .route("/fhir/", any(fhir::answer))
        .route("/fhir/{*path}", any(fhir::answer))
        .merge(sync::routes())
        .merge(admin::routes())
        .fallback(nothing)
        .with_state(shared)
}

/// Answers one request, counts it and writes its line into the log: what kind it was, never of what.
pub(crate) async fn answer(shared: &Shared, router: Router, request: Request<Body>, peer: &Peer) -> Response {
    let begun = Instant::now();
    let number = keepwell_tls::DeviceId::random();
    let mut response = call(router, request).await;
    let Call(call) = response.extensions().get().copied().unwrap_or(Call("other"));
    let (status, took) = (response.status().as_u16(), begun.elapsed());
    shared.metrics.answered(call, status, took);
    let request = number.map(String::from).unwrap_or_default();
    if let Ok(value) = HeaderValue::try_from(request.as_str()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let from = peer.address.ip().to_string();
    let device = peer.device.as_ref().map(|device| device.id.as_str()).unwrap_or_default();
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(call, status = u64::from(status), ms, from, device, request, "request");
    response
}

async fn call(mut router: Router, request: Request<Body>) -> Response {
    use tower_service::Service as _;
    // A router is always ready and has no error of its own.
    match router.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// The process answers.
async fn healthz() -> Response {
    tagged("health", StatusCode::OK.into_response())
}

/// The store answers, and the server is not about to stop.
async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    let is_ready =
        !shared.is_stopping() && matches!(shared.work(|shared| shared.tenant.visit()).await, Ok(Ok(())));
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    tagged("ready", status.into_response())
}

/// What was counted: for the operator, and for whoever asks on the same machine.
async fn metrics(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    if !(shared.is_near(&request) || shared.purpose(&request) == Some(TokenUse::Operator)) {
        return tagged("metrics", StatusCode::UNAUTHORIZED.into_response());
    }
    let text = [(CONTENT_TYPE, "text/plain; version=0.0.4")];
    tagged("metrics", (text, shared.metrics.text()).into_response())
}

async fn nothing() -> Response {
    tagged("none", StatusCode::NOT_FOUND.into_response())
}

/// An answer with the kind of its call. No answer is kept by anything on its way.
pub(crate) fn tagged(call: &'static str, mut response: Response) -> Response {
    response.extensions_mut().insert(Call(call));
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

impl Busy {
    /// When to come back.
    pub(crate) fn header() -> (HeaderName, HeaderValue) {
        (RETRY_AFTER, HeaderValue::from(RETRY_S))
    }
}
