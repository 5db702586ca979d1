//! Interactions, done on the store.

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keepwell_fhir::{DateTime, Instant, IssueType, ResourceType, operation_outcome};
use keepwell_store::{Error, HistoryPage, HistoryQuery, Operation, Precondition, Resource, Session, Written};
use serde::Deserialize;

use super::Request4;
use super::answer::{About, Answer};
use super::bundle;
use super::failure::Failure;
use super::headers::{Content, Headers, Return};
use super::interaction::{Interaction, decode};
use crate::shared::Shared;

/// Does what a request asks for, as `user`.
pub(super) fn run(shared: &Shared, user: &str, request: &Request4) -> Result<Answer, Failure> {
    let base = shared.config.fhir_base();
    let Request4 { interaction, headers, query, body } = request;
    let with = |work: &dyn Fn(&Session) -> Result<Answer, Error>| Ok(shared.tenant.with(user, work)?);
    match interaction {
        Interaction::Capabilities => Ok(Answer::of(shared.capabilities().to_vec())),
        Interaction::Read(of, id) => with(&|session| read(session.read(*of, id)?, headers)),
        Interaction::Vread(of, id, version) => {
            with(&|session| read(session.vread(*of, id, *version)?, headers))
        }
        Interaction::History(of) => {
            let asked = history_query(query)?;
            with(&|session| history(session, &base, of.as_ref(), &asked, query))
        }
        Interaction::Search(path) => with(&|session| {
            let page = session.search_with(&format!("{path}?{query}"), headers.handling)?;
            Ok(Answer::of(bundle::searchset(&base, &page)))
        }),
        Interaction::PostedSearch(path) => {
            let posted = std::str::from_utf8(body).map_err(|_| malformed("the parameters are not text"))?;
            let both = [query.as_str(), posted.trim()].into_iter().filter(|part| !part.is_empty());
            let url = format!("{path}?{}", both.collect::<Vec<_>>().join("&"));
            with(&|session| {
                let page = session.search_with(&url, headers.handling)?;
                Ok(Answer::of(bundle::searchset(&base, &page)))
            })
        }
        Interaction::Bundle => with(&|session| Ok(Answer::of(session.bundle(body)?))),
        Interaction::Create(of) => with(&|session| {
            let written = match (&headers.content, &headers.if_none_exist) {
                (Content::Raw(media_type), _) => session.create_binary(media_type, &mut body.as_slice())?,
                (_, Some(condition)) => session.create_if_none_exist(*of, body, condition)?,
                (_, None) => session.create(*of, body)?,
            };
            show(session, written, headers.returns)
        }),
        Interaction::Update(of, id) => with(&|session| {
            let precondition = headers.precondition;
            let written = match id {
                Some(id) => session.update(*of, id, body, precondition)?,
                None => session.update_if(*of, query, body, precondition)?,
            };
            show(session, written, headers.returns)
        }),
        Interaction::Patch(of, id) => {
            let Content::Patch(format) = headers.content else { return Err(malformed("not a patch")) };
            with(&|session| {
                let precondition = headers.precondition;
                let written = match id {
                    Some(id) => session.patch(*of, id, format, body, precondition)?,
                    None => session.patch_if(*of, query, format, body, precondition)?,
                };
                show(session, written, headers.returns)
            })
        }
        Interaction::Delete(of, id) => with(&|session| {
            let written = match id {
                Some(id) => session.delete(*of, id, headers.precondition)?,
                None if headers.precondition == Precondition::None => session.delete_if(*of, query)?,
                None => return Err(Error::Unsupported("a conditional delete with If-Match")),
            };
            Ok(deleted(written, headers.returns))
        }),
    }
}

fn about(written: &Written) -> About {
    let Written { resource_type, ref id, version, last_updated, .. } = *written;
    About { resource_type, id: id.clone(), version, last_updated }
}

/// The answer to a write.
fn show(session: &Session, written: Written, returns: Return) -> Result<Answer, Error> {
    let is_new = written.operation == Some(Operation::Create);
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let body = match returns {
        Return::Minimal => Vec::new(),
        Return::Representation => session.vread(written.resource_type, &written.id, written.version)?.body,
        Return::Outcome => operation_outcome(&[]).into_bytes(),
    };
    Ok(Answer { status, about: Some(about(&written)), body, raw: None })
}

fn deleted(written: Option<Written>, returns: Return) -> Answer {
    let (status, body) = match returns {
        Return::Outcome => (StatusCode::OK, operation_outcome(&[]).into_bytes()),
        Return::Minimal | Return::Representation => (StatusCode::NO_CONTENT, Vec::new()),
    };
    Answer { status, about: written.as_ref().map(about), body, raw: None }
}

/// The answer to a read: nothing if the client has this version already.
fn read(resource: Resource, headers: &Headers) -> Result<Answer, Error> {
    let Resource { resource_type, id, version, last_updated, body, .. } = resource;
    let about = About { resource_type, id, version, last_updated };
    let is_known = match (headers.known_version, headers.known_since) {
        (Some(known), _) => known == version,
        // HTTP knows whole seconds only.
        (None, Some(since)) => last_updated.ms().div_euclid(1_000) <= since.as_second(),
        (None, None) => false,
    };
    if is_known {
        return Ok(Answer {
            status: StatusCode::NOT_MODIFIED,
            about: Some(about),
            body: Vec::new(),
            raw: None,
        });
    }
    let (body, raw) = match headers.wants_raw {
        true => content_of(&body)?,
        false => (body, None),
    };
    Ok(Answer { status: StatusCode::OK, about: Some(about), body, raw })
}

/// The content of a Binary and its type.
fn content_of(binary: &[u8]) -> Result<(Vec<u8>, Option<String>), Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Binary {
        content_type: Option<String>,
        data: Option<String>,
    }
    let Binary { content_type, data } = serde_json::from_slice(binary).map_err(|_| Error::Corrupt)?;
    // R4 allows white space in base64.
    let data: String = data.unwrap_or_default().split_ascii_whitespace().collect();
    let content =
        STANDARD.decode(data).map_err(|_| Error::Unsupported("a Binary whose data is not base64"))?;
    Ok((content, Some(content_type.unwrap_or_else(|| "application/octet-stream".to_owned()))))
}

fn history(
    session: &Session,
    base: &str,
    of: Option<&(ResourceType, Option<String>)>,
    asked: &HistoryQuery,
    query: &str,
) -> Result<Answer, Error> {
    let (page, place): (HistoryPage, String) = match of {
        None => (session.history_system(asked)?, "_history".to_owned()),
        Some((of, None)) => (session.history_type(*of, asked)?, format!("{of}/_history")),
        Some((of, Some(id))) => (session.history(*of, id, asked)?, format!("{of}/{id}/_history")),
    };
    let own = if query.is_empty() { place.clone() } else { format!("{place}?{query}") };
    let next = page.next.map(|next| {
        let kept = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with(BEFORE));
        let pairs: Vec<String> = kept.map(str::to_owned).chain([format!("{BEFORE}{next}")]).collect();
        format!("{place}?{}", pairs.join("&"))
    });
    Ok(Answer::of(bundle::history(base, &page, &own, next.as_deref())))
}

/// Where a further page of a history begins.
const BEFORE: &str = "_before=";

/// The parameters of a history (R4 http.html#history). Others mean nothing to it.
fn history_query(query: &str) -> Result<HistoryQuery, Failure> {
    let mut asked = HistoryQuery::default();
    for pair in query.split('&') {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let value = decode(value).unwrap_or_default();
        match name {
            "_count" => asked.count = Some(value.parse().map_err(|_| malformed("_count is a number"))?),
            "_since" => asked.since = Some(instant(&value).ok_or_else(|| malformed("_since is an instant"))?),
            "_at" => {
                let range = DateTime::parse(&value).map(|time| time.range(0));
                asked.at = Some(range.ok_or_else(|| malformed("_at is a date and time"))?);
            }
            "_before" => {
                asked.before = Some(value.parse().map_err(|_| malformed("not a link of this server"))?)
            }
            _ => {}
        }
    }
    Ok(asked)
}

/// A plus in a query is a space, which an instant has nowhere.
fn instant(text: &str) -> Option<Instant> {
    Instant::parse(&text.replace(' ', "+"))
}

fn malformed(text: &'static str) -> Failure {
    Failure::Http(StatusCode::BAD_REQUEST, IssueType::Invalid, text)
}
