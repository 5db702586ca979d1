//! The operator's calls over HTTP: JSON under `/admin/v1`, with the operator's token.

use std::borrow::Cow;
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
/// The kinds of scopes that there are: a mistyped one would be granted in vain.
const SCOPES: [&str; 4] = ["Patient", "dir", "lib", "user"];

/// The routes of the operator.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/admin/v1/{*path}", any(answer))
}

async fn answer(State(shared): State<Arc<Shared>>, Path(path): Path<String>, request: Request) -> Response {
    let (status, value) = match done(&shared, path, request).await {
        Ok(value) => (StatusCode::OK, value),
        Err(Fault { status, code, message }) => (status, json!({ "error": code, "message": message })),
    };
    let body = Body::from(value.to_string());
    tagged("admin", (status, [(CONTENT_TYPE, "application/json")], body).into_response())
}

/// Why a call was not done: a status, the number of the error if it has one, and a text for the operator.
struct Fault {
    status: StatusCode,
    code: Option<u16>,
    message: Cow<'static, str>,
}

impl Fault {
    fn of(status: StatusCode, message: &'static str) -> Self {
        Self { status, code: None, message: message.into() }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::Backend(BackendError::Refused(Refusal::NotFound)) => StatusCode::NOT_FOUND,
            Error::Backend(BackendError::Refused(_)) | Error::Tls(_) => StatusCode::BAD_REQUEST,
            Error::Wiped => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, code: Some(error.code()), message: error.to_string().into() }
    }
}

impl From<Busy> for Fault {
    fn from(_: Busy) -> Self {
        Self::of(StatusCode::SERVICE_UNAVAILABLE, "the server is busy, or stops")
    }
}

impl From<BodyFault> for Fault {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::TooLarge => Self::of(StatusCode::PAYLOAD_TOO_LARGE, "the request is too large"),
            BodyFault::Slow => Self::of(StatusCode::REQUEST_TIMEOUT, "the request took too long"),
            BodyFault::Cut => Self::of(StatusCode::BAD_REQUEST, "the request was cut off"),
        }
    }
}

async fn done(shared: &Arc<Shared>, path: String, request: Request) -> Result<Value, Fault> {
    match shared.purpose(&request) {
        Some(TokenUse::Operator) => {}
        Some(TokenUse::Fhir | TokenUse::FhirRead) => {
            return Err(Fault::of(StatusCode::FORBIDDEN, "the token is for FHIR"));
        }
        None => return Err(Fault::of(StatusCode::UNAUTHORIZED, "the operator's token is needed")),
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
                _ => return Err(malformed("access is read or write")),
            };
            operator.grant(&read(user)?, &scope(kind, name)?, access)?;
            Ok(json!({}))
        }
        (&Method::DELETE, ["users", user, "grants", kind, name]) => {
            operator.revoke_grant(&read(user)?, &scope(kind, name)?)?;
            Ok(json!({}))
        }
        (&Method::GET, ["archive"]) => {
            let after = query
                .strip_prefix("after=")
                .map_or(Ok(0), str::parse)
                .map_err(|_| malformed("after is a number"))?;
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
    serde_json::from_slice(body).map_err(|_| malformed("the body is not what this call takes"))
}

fn read(id: &str) -> Result<Id, Fault> {
    id.parse().map_err(|_| malformed("not an id: 1 to 64 of A-Z a-z 0-9 - ."))
}

fn scope(kind: &str, name: &str) -> Result<Scope, Fault> {
    let scope = format!("{kind}/{name}").parse().ok().filter(|_| SCOPES.contains(&kind));
    scope.ok_or_else(|| malformed("a scope is Patient, dir, lib or user, a slash and an id"))
}

fn malformed(what: &'static str) -> Fault {
    Fault::of(StatusCode::BAD_REQUEST, what)
}

fn nothing() -> Fault {
    Fault::of(StatusCode::NOT_FOUND, "there is no such call")
}
