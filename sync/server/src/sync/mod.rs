//! The sync protocol over HTTP (docs/sync-protocol.md): what a message means is the backend's to say; here bytes are
//! read within their limits, and answers written.

mod blob;
mod chunks;
mod device;
mod enrol;
mod events;
mod hub;
mod message;
mod pull;
mod upkeep;

pub(crate) use self::hub::Hub;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, patch, post};
use keepwell_backend::Error as BackendError;
use keepwell_fhir::Instant;
use keepwell_protocol::Refusal;

use crate::body::BodyFault;
use crate::routes::{RETRY_S, tagged};
use crate::shared::{Busy, Shared};

/// The routes of the protocol.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/sync/v1/hello", get(device::hello))
        .route("/sync/v1/pins", get(device::pins))
        .route("/sync/v1/dict/{hash}", get(device::dictionary))
        .route("/sync/v1/enrol", post(enrol::enrol))
        .route("/sync/v1/push", post(message::push))
        .route("/sync/v1/pull", post(pull::pull))
        .route("/sync/v1/park", post(message::park))
        .route("/sync/v1/digest", post(message::digest))
        .route("/sync/v1/events", get(events::events))
        .route("/sync/v1/blob/{hash}", get(blob::blob))
        .route("/sync/v1/uploads", post(blob::begin))
        .route("/sync/v1/uploads/{id}", patch(blob::append))
        .route("/sync/v1/lease", post(device::lease))
        .route("/sync/v1/upkeep", post(upkeep::upkeep))
        .route("/sync/v1/wipe-ack", post(device::wiped))
}

/// The server's time.
pub(crate) fn now() -> Instant {
    Instant::from_ms(jiff::Timestamp::now().as_millisecond())
}

/// An answer, or what the device is told instead.
type Answer = Result<Response, Refused>;

/// A refusal.
#[derive(Debug)]
struct Refused(Refusal);

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl From<keepwell_protocol::Error> for Refused {
    fn from(error: keepwell_protocol::Error) -> Self {
        Self(match Refusal::from(&error) {
            Refusal::Encoding { .. } => message::other_encoding(),
            refusal => refusal,
        })
    }
}

impl From<BackendError> for Refused {
    fn from(error: BackendError) -> Self {
        match error {
            BackendError::Refused(refusal) => Self(refusal),
            error => {
                tracing::error!(code = u64::from(error.code()), "the storage failed");
                Busy.into()
            }
        }
    }
}

impl From<Busy> for Refused {
    fn from(_: Busy) -> Self {
        Self(Refusal::Busy { retry_after_s: Some(RETRY_S) })
    }
}

impl From<BodyFault> for Refused {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::TooLarge => Self(Refusal::TooLarge),
            BodyFault::Slow => Self(Refusal::Other { status: StatusCode::REQUEST_TIMEOUT.as_u16() }),
            BodyFault::Cut => Self(Refusal::BadRequest),
        }
    }
}

/// Writes an answer of the kind `call`.
fn written(call: &'static str, answer: Answer) -> Response {
    let response = answer.unwrap_or_else(|Refused(refusal)| {
        let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, [(CONTENT_TYPE, "application/json")], refusal.to_bytes()).into_response();
        if let Refusal::Busy { retry_after_s: Some(seconds) } = refusal {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    });
    tagged(call, response)
}
