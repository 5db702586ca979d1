//! FHIR R4 REST over the tenant's store (R4 http.html), for clients with a bearer token.
//!
//! What an interaction means is the store's to say; here HTTP is read and written: paths, headers, media types, links.

mod answer;
mod bundle;
mod capability;
mod failure;
mod headers;
mod interaction;
mod run;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::Response;
use keepwell_fhir::IssueType;

pub(crate) use self::capability::statement;

use self::answer::Answer;
use self::failure::Failure;
use self::headers::Headers;
use self::interaction::Interaction;
use crate::body::{BodyFault, whole};
use crate::config::seconds;
use crate::routes::tagged;
use crate::shared::Shared;
use crate::token::TokenUse;

/// Under which path the interface lies.
const BASE: &str = "/fhir";

/// A request, read.
struct Request4 {
    interaction: Interaction,
    headers: Headers,
    /// As it came, still encoded.
    query: String,
    body: Vec<u8>,
}

/// Answers any request under [`BASE`].
pub(crate) async fn answer(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().strip_prefix(BASE).unwrap_or_default();
    let read = Interaction::parse(&parts.method, path);
    let call = read.as_ref().map_or("fhir", Interaction::name);
    let done = async {
        let interaction = read?;
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let headers = Headers::read(&parts.headers, &query, &interaction)?;
        let user = user(&shared, &parts.headers, &interaction)?;
        let limits = &shared.config.limits;
        let body = whole(body, limits.body_bytes as usize, seconds(limits.body_s)).await?;
        let writes = !interaction.reads();
        let request = Request4 { interaction, headers, query, body };
        let answer = shared.work(move |shared| run::run(shared, &user, &request)).await??;
        if writes {
            shared.hub.look();
        }
        Ok::<_, Failure>(answer)
    };
    let response = match done.await {
        Ok(answer) => Answer::into_response(answer, &shared.config.fhir_base()),
        Err(failure) => failure.into_response(),
    };
    tagged(call, response)
}

/// Who asks. What the server offers, anybody may know.
fn user(shared: &Shared, headers: &HeaderMap, interaction: &Interaction) -> Result<String, Failure> {
    if *interaction == Interaction::Capabilities {
        return Ok(String::new());
    }
    match shared.bearer(headers) {
        Some(bearer) if bearer.purpose == TokenUse::Fhir => Ok(bearer.user),
        Some(bearer) if bearer.purpose == TokenUse::FhirRead && interaction.reads() => Ok(bearer.user),
        Some(bearer) if bearer.purpose == TokenUse::FhirRead => {
            Err(Failure::Http(StatusCode::FORBIDDEN, IssueType::Forbidden, "the token only reads"))
        }
        Some(_) => {
            Err(Failure::Http(StatusCode::FORBIDDEN, IssueType::Forbidden, "the token is for other calls"))
        }
        None => Err(Failure::Http(StatusCode::UNAUTHORIZED, IssueType::Login, "a bearer token is needed")),
    }
}

impl From<BodyFault> for Failure {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::TooLarge => Self::Http(
                StatusCode::PAYLOAD_TOO_LARGE,
                IssueType::TooLong,
                "the request is larger than the limit",
            ),
            BodyFault::Slow => Self::Http(
                StatusCode::REQUEST_TIMEOUT,
                IssueType::Timeout,
                "the request took longer than the limit",
            ),
            BodyFault::Cut => {
                Self::Http(StatusCode::BAD_REQUEST, IssueType::Incomplete, "the request was cut off")
            }
        }
    }
}
