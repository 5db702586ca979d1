//! What the headers of a FHIR request say (R4 http.html#mime-type, #concurrency, #return).

use axum::http::header::{
    ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use keepwell_fhir::patch::PatchFormat;
use keepwell_fhir::{IssueType, ResourceType};
use keepwell_search::Handling;
use keepwell_store::Precondition;

use super::failure::Failure;
use super::interaction::{Interaction, decode};

/// What resources are sent as.
pub(super) const FHIR_JSON: HeaderValue = HeaderValue::from_static("application/fhir+json; charset=utf-8");
const PREFER: HeaderName = HeaderName::from_static("prefer");
const IF_NONE_EXIST: HeaderName = HeaderName::from_static("if-none-exist");
/// Names of the one format of this server, in `_format`, `Accept` and `Content-Type`.
const JSON: [&str; 4] = ["application/fhir+json", "application/json", "text/json", "json"];
/// What the parameters of a search are posted as.
const FORM: &str = "application/x-www-form-urlencoded";

/// What a client wants to see of what it wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Return {
    /// Nothing but the headers.
    Minimal,
    /// The resource.
    #[default]
    Representation,
    /// An OperationOutcome.
    Outcome,
}

/// How the content of a request is to be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// A resource in JSON, or nothing.
    Resource,
    /// A patch.
    Patch(PatchFormat),
    /// The content of a Binary, of this type.
    Raw(String),
}

/// What the headers say.
#[derive(Debug, Clone)]
pub(super) struct Headers {
    pub(super) returns: Return,
    pub(super) handling: Handling,
    pub(super) precondition: Precondition,
    pub(super) if_none_exist: Option<String>,
    /// The version that the client has.
    pub(super) known_version: Option<u64>,
    /// When the client got it.
    pub(super) known_since: Option<Timestamp>,
    pub(super) content: Content,
    /// Whether a Binary is wanted as its content.
    pub(super) wants_raw: bool,
}

impl Headers {
    /// Reads and judges headers before anything of the body is read.
    pub(super) fn read(headers: &HeaderMap, query: &str, interaction: &Interaction) -> Result<Self, Failure> {
        if header(headers, &CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(unsupported("a request is sent without a content encoding"));
        }
        let is_binary = |resource_type: &ResourceType| resource_type.name() == "Binary";
        let accepted = accepted(headers, query);
        let reads_binary =
            matches!(interaction, Interaction::Read(of, _) | Interaction::Vread(of, ..) if is_binary(of));
        let wants_raw = reads_binary && accepted != Accepted::FhirJson;
        if accepted == Accepted::Nothing && !wants_raw {
            let text = "this server answers in application/fhir+json";
            return Err(Failure::Http(StatusCode::NOT_ACCEPTABLE, IssueType::NotSupported, text));
        }
        let preferences = preferences(headers);
        let prefers =
            |wanted: &str| preferences.iter().any(|preference| preference.eq_ignore_ascii_case(wanted));
        let returns = if prefers("return=minimal") {
            Return::Minimal
        } else if prefers("return=OperationOutcome") {
            Return::Outcome
        } else {
            Return::Representation
        };
        let handling = if prefers("handling=lenient") { Handling::Lenient } else { Handling::Strict };
        let if_none_match = header(headers, &IF_NONE_MATCH);
        let precondition = match (header(headers, &IF_MATCH), if_none_match) {
            (Some(etag), _) => Precondition::Match(version(etag).ok_or_else(not_an_etag)?),
            (None, Some("*")) => Precondition::Absent,
            (None, _) => Precondition::None,
        };
        let known_since = header(headers, &IF_MODIFIED_SINCE)
            .and_then(|date| DateTimeParser::new().parse_timestamp(date).ok());
        Ok(Self {
            returns,
            handling,
            precondition,
            if_none_exist: header(headers, &IF_NONE_EXIST).map(str::to_owned),
            known_version: if_none_match.and_then(version),
            known_since,
            content: content(headers, interaction)?,
            wants_raw,
        })
    }
}

/// What the client takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accepted {
    /// FHIR in JSON, and it says so.
    FhirJson,
    /// Anything.
    Anything,
    /// Nothing that this server has.
    Nothing,
}

/// `_format` goes before `Accept` (R4 http.html#parameters).
fn accepted(headers: &HeaderMap, query: &str) -> Accepted {
    let mut formats = query.split('&').filter_map(|pair| pair.strip_prefix("_format="));
    if let Some(format) = formats.next_back() {
        // A plus is a space in a query, but a client that means `fhir+json` may not know.
        let format = decode(format).unwrap_or_default().replace(' ', "+");
        return if is_json(&format) { Accepted::FhirJson } else { Accepted::Nothing };
    }
    let Some(accept) = header(headers, &ACCEPT) else { return Accepted::Anything };
    let mut found = Accepted::Nothing;
    for range in accept.split(',') {
        match essence(range) {
            name if is_json(name) => return Accepted::FhirJson,
            "*/*" | "application/*" => found = Accepted::Anything,
            _ => {}
        }
    }
    found
}

fn content(headers: &HeaderMap, interaction: &Interaction) -> Result<Content, Failure> {
    let media_type = header(headers, &CONTENT_TYPE).unwrap_or_default();
    match interaction {
        Interaction::Create(of) if of.name() == "Binary" && !is_json(essence(media_type)) => {
            Ok(Content::Raw(media_type.to_owned()))
        }
        Interaction::Bundle | Interaction::Create(_) | Interaction::Update(..) => {
            let text = "a resource is sent as application/fhir+json";
            if is_json(essence(media_type)) { Ok(Content::Resource) } else { Err(unsupported(text)) }
        }
        Interaction::Patch(..) => {
            PatchFormat::from_media_type(media_type).map(Content::Patch).ok_or_else(|| {
                unsupported("a patch is sent as application/json-patch+json, merge-patch+json or fhir+json")
            })
        }
        Interaction::PostedSearch(_) if !essence(media_type).eq_ignore_ascii_case(FORM) => {
            Err(unsupported("a search is posted as application/x-www-form-urlencoded"))
        }
        _ => Ok(Content::Resource),
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

/// A media type without its parameters.
fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

fn is_json(media_type: &str) -> bool {
    JSON.iter().any(|name| essence(media_type).eq_ignore_ascii_case(name))
}

/// The parts of `Prefer` (RFC 7240), of one header or of several.
fn preferences(headers: &HeaderMap) -> Vec<&str> {
    let values = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split([',', ';'])).map(str::trim).collect()
}

/// The version of an ETag such as `W/"7"`.
fn version(etag: &str) -> Option<u64> {
    etag.strip_prefix("W/").unwrap_or(etag).strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

fn unsupported(text: &'static str) -> Failure {
    Failure::Http(StatusCode::UNSUPPORTED_MEDIA_TYPE, IssueType::NotSupported, text)
}

fn not_an_etag() -> Failure {
    let text = "an ETag of this server is W/\"<version>\"";
    Failure::Http(StatusCode::BAD_REQUEST, IssueType::Invalid, text)
}
