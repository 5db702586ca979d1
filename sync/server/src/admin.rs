//! The operator's calls over HTTP: JSON under `/admin/v1`, with the operator's token.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use keepwell_backend::{Access, Archived, Device, DeviceState, Error as BackendError, Held};
use keepwell_protocol::{Base64, Id, Refusal, Scope};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::body::{BodyFault, whole};
use crate::config::seconds;
use crate::error::Error;
use crate::operator::{INVITATION_LIFETIME, Operator};
use crate::routes::tagged;
use crate::shared::{Busy, Shared};
use crate::token::TokenUse;

/// The largest request, in bytes.
const BODY_BYTES_MAX: usize = 16 << 10;
const HOUR_S: u64 = 60 * 60;

/// The routes of the operator.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/admin/v1/{*path}", any(answer))
}

async fn answer(State(shared): State<Arc<Shared>>, Path(path): Path<String>, request: Request) -> Response {
    let (status, value) = match done(&shared, path, request).await {
        Ok(value) => (StatusCode::OK, value),
        Err(Fault(status, code)) => (status, json!({ "error": code })),
    };
    let body = Body::from(value.to_string());
    tagged("admin", (status, [(CONTENT_TYPE, "application/json")], body).into_response())
}

/// Why a call was not done: a status, and the number of the error if it has one.
struct Fault(StatusCode, Option<u16>);

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::Backend(BackendError::Refused(Refusal::NotFound)) => StatusCode::NOT_FOUND,
            Error::Backend(BackendError::Refused(_)) | Error::Tls(_) => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, Some(error.code()))
    }
}

impl From<Busy> for Fault {
    fn from(_: Busy) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, None)
    }
}

impl From<BodyFault> for Fault {
    fn from(fault: BodyFault) -> Self {
        let status = match fault {
            BodyFault::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            BodyFault::Slow => StatusCode::REQUEST_TIMEOUT,
            BodyFault::Cut => StatusCode::BAD_REQUEST,
        };
        Self(status, None)
    }
}

async fn done(shared: &Arc<Shared>, path: String, request: Request) -> Result<Value, Fault> {
    match shared.purpose(&request) {
        Some(TokenUse::Operator) => {}
        Some(TokenUse::Fhir | TokenUse::FhirRead) => return Err(Fault(StatusCode::FORBIDDEN, None)),
        None => return Err(Fault(StatusCode::UNAUTHORIZED, None)),
    }
    let (parts, body) = request.into_parts();
    let body = whole(body, BODY_BYTES_MAX, seconds(shared.config.limits.body_s)).await?;
    let query = parts.uri.query().unwrap_or_default().to_owned();
    shared.work(move |shared| act(&Operator(shared), &parts.method, &path, &query, &body)).await?
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Invite {
    user: String,
    hours: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Grant {
    access: String,
}

fn act(
    operator: &Operator<'_>,
    method: &Method,
    path: &str,
    query: &str,
    body: &[u8],
) -> Result<Value, Fault> {
    let parts: Vec<&str> = path.split('/').collect();
    match (method, parts.as_slice()) {
        (&Method::GET, ["devices"]) => Ok(operator.devices()?.iter().map(device).collect()),
        (&Method::POST, ["devices", id, action]) => {
            let id = read(id)?;
            match *action {
                "revoke" => operator.revoke(&id)?,
                "admit" => operator.admit(&id)?,
                "wipe" => operator.wipe(&id)?,
                _ => return Err(nothing()),
            }
            Ok(json!({}))
        }
        (&Method::GET, ["invitations"]) => Ok(json!(operator.invitations()?)),
        (&Method::POST, ["invitations"]) => invite(operator, parse(body)?),
        (&Method::DELETE, ["invitations", user]) => {
            Ok(json!({ "withdrawn": operator.withdraw(&read(user)?)? }))
        }
        (&Method::GET, ["users", user, "grants"]) => {
            Ok(operator.grants(&read(user)?)?.iter().map(held).collect())
        }
        (&Method::PUT, ["users", user, "grants", kind, name]) => {
            let access = match parse::<Grant>(body)?.access.as_str() {
                "read" => Access::Read,
                "write" => Access::Write,
                _ => return Err(malformed()),
            };
            operator.grant(&read(user)?, &scope(kind, name)?, access)?;
            Ok(json!({}))
        }
        (&Method::DELETE, ["users", user, "grants", kind, name]) => {
            operator.revoke_grant(&read(user)?, &scope(kind, name)?)?;
            Ok(json!({}))
        }
        (&Method::GET, ["archive"]) => {
            let after = query.strip_prefix("after=").map_or(Ok(0), str::parse).map_err(|_| malformed())?;
            Ok(operator.archived(after)?.iter().map(archived).collect())
        }
        _ => Err(nothing()),
    }
}

fn invite(operator: &Operator<'_>, asked: Invite) -> Result<Value, Fault> {
    let lifetime =
        asked.hours.map_or(INVITATION_LIFETIME, |hours| Duration::from_secs(u64::from(hours) * HOUR_S));
    let invitation = operator.invite(&read(&asked.user)?, lifetime)?;
    let text = invitation.text().map_err(Error::from)?;
    Ok(json!({
        "code": invitation.code.text().as_str(),
        "invitation": text.as_str(),
        "expires_at_s": invitation.expires_at.as_secs(),
    }))
}

fn device(device: &Device) -> Value {
    let state = match &device.state {
        DeviceState::Active => json!("active"),
        DeviceState::Revoked => json!("revoked"),
        DeviceState::Wipe(order) => json!({ "wipe": order }),
        DeviceState::Wiped(receipt) => json!({ "wiped": receipt }),
    };
    json!({
        "id": device.id,
        "user": device.user,
        "name": device.name,
        "certificate": device.serial,
        "pins": device.pins,
        "state": state,
        "enrolled": device.enrolled.to_string(),
        "seen": device.seen.to_string(),
        "position": device.position,
    })
}

fn held(held: &Held) -> Value {
    let access = match held.access {
        Access::Read => "read",
        Access::Write => "write",
    };
    json!({ "scope": held.scope, "generation": held.generation, "access": access })
}

fn archived(record: &Archived) -> Value {
    json!({
        "number": record.number,
        "device": record.device,
        "user": record.user,
        "cid": record.cid,
        "kind": record.kind,
        "resource": format!("{}/{}", record.key.kind, record.key.id),
        "base": record.base,
        "theirs": record.theirs,
        "at": record.at.map(|at| at.to_string()),
        "received": record.received.to_string(),
        "paths": record.paths,
        "mine": record.mine.as_ref().map(|body| Base64(body.as_bytes().to_vec())),
        "closed": record.closed.as_ref().map(|closed| json!({
            "decision": closed.decision,
            "by": closed.by,
            "at": closed.at.to_string(),
        })),
    })
}

fn parse<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|_| malformed())
}

fn read(id: &str) -> Result<Id, Fault> {
    id.parse().map_err(|_| malformed())
}

fn scope(kind: &str, name: &str) -> Result<Scope, Fault> {
    format!("{kind}/{name}").parse().map_err(|_| malformed())
}

fn malformed() -> Fault {
    Fault(StatusCode::BAD_REQUEST, None)
}

fn nothing() -> Fault {
    Fault(StatusCode::NOT_FOUND, None)
}
