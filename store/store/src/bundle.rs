//! Transaction and batch Bundles (R4 http.html#transaction).
//!
//! A transaction is one unit of work: its interactions run in the order DELETE, POST, PUT and PATCH, GET whatever
//! the order of its entries, links between its entries become links between stored resources, and when one entry
//! fails nothing of it happened. A batch is many units, each with its own outcome.

use std::collections::{HashMap, HashSet};

use keepwell_fhir::bundle::{Bundle, BundleType, Entry, HttpMethod, Request};
use keepwell_fhir::bundle_writer::{BundleHead, BundleWriter, EntryParts, Response};
use keepwell_fhir::patch::PatchFormat;
use keepwell_fhir::{Instant, Reference, ResourceType};
use serde::Deserialize;

use crate::attachment::{Attachments, decode_base64};
use crate::change_feed::Operation;
use crate::error::{Error, Result};
use crate::id_key::IdKey;
use crate::interaction::{Interactions, Precondition, Written, new_id, valid_id};
use crate::prepare::as_written;
use crate::unit::Unit;

/// What an entry asks for, once its conditions are resolved.
enum Act {
    Create(ResourceType, IdKey),
    /// If-None-Exist found it: nothing to do.
    Found(ResourceType, IdKey),
    Update(ResourceType, String),
    /// A conditional update: of what was found, or as a new resource with this id.
    UpdateAs(ResourceType, IdKey),
    Patch(ResourceType, String),
    Delete(ResourceType, String),
    DeleteNothing,
    Read(ResourceType, String),
}

/// The outcome of one entry, as the response Bundle tells it.
pub(crate) struct Answer {
    status: &'static str,
    written: Option<Written>,
    body: Option<Vec<u8>>,
    outcome: Option<String>,
}

impl Answer {
    fn written(written: Written) -> Self {
        let status = match written.operation {
            Some(Operation::Create) => "201 Created",
            _ => "200 OK",
        };
        Self { status, written: Some(written), body: None, outcome: None }
    }

    fn deleted(written: Option<Written>) -> Self {
        Self { status: "204 No Content", written, body: None, outcome: None }
    }

    fn body(body: Vec<u8>) -> Self {
        Self { status: "200 OK", written: None, body: Some(body), outcome: None }
    }

    /// A batch goes on after an entry that failed.
    pub(crate) fn failed(error: &Error) -> Self {
        let status = match error.http_status() {
            400 => "400 Bad Request",
            403 => "403 Forbidden",
            404 => "404 Not Found",
            410 => "410 Gone",
            412 => "412 Precondition Failed",
            422 => "422 Unprocessable Entity",
            _ => "500 Internal Server Error",
        };
        Self { status, written: None, body: None, outcome: Some(error.operation_outcome()) }
    }
}

/// The response Bundle of a transaction or batch.
pub(crate) fn response(kind: BundleType, timestamp: Instant, answers: &[Answer]) -> Vec<u8> {
    let mut bundle = BundleWriter::new(&BundleHead { timestamp: Some(timestamp), ..BundleHead::new(kind) });
    for answer in answers {
        let (location, etag) = match &answer.written {
            Some(Written { resource_type, id, version, .. }) => {
                (Some(format!("{resource_type}/{id}/_history/{version}")), Some(format!("W/\"{version}\"")))
            }
            None => (None, None),
        };
        bundle.entry(&EntryParts {
            resource: answer.body.as_deref(),
            response: Some(Response {
                status: answer.status,
                location: location.as_deref(),
                etag: etag.as_deref(),
                last_modified: answer.written.as_ref().map(|written| written.last_updated),
                outcome: answer.outcome.as_deref().map(str::as_bytes),
            }),
            ..EntryParts::default()
        });
    }
    bundle.finish()
}

/// Runs the entries of a transaction inside one unit.
///
/// # Errors
/// [`Error::Entry`] with the place of the first entry that failed; the caller rolls back.
pub(crate) fn transaction(
    unit: &mut Unit<'_>,
    attachments: &Attachments,
    bundle: &Bundle<'_>,
) -> Result<Vec<Answer>> {
    bundle.check_identities()?;
    let mut links = Links::default();
    let mut acts = Vec::with_capacity(bundle.entries.len());
    let mut targets = HashSet::new();
    for (number, entry) in bundle.entries.iter().enumerate() {
        let act = resolve(unit, attachments, entry).map_err(at(number))?;
        if let Some((resource_type, id)) = act.target() {
            if !matches!(act, Act::Found(..)) && !targets.insert((resource_type, id.clone())) {
                return Err(at(number)(Error::MultipleMatches(resource_type)));
            }
            links.add(entry, resource_type, &id);
        }
        acts.push(Some(act));
    }
    let mut answers: Vec<Option<Answer>> = Vec::new();
    answers.resize_with(acts.len(), || None);
    for number in bundle.processing_order() {
        let entry = &bundle.entries[number];
        let act = acts[number].take().expect("the order names each entry once");
        links.resolve_conditional(unit, attachments, entry).map_err(at(number))?;
        let answer = perform(unit, attachments, entry, act, &|text| links.rewrite(entry, text));
        answers[number] = Some(answer.map_err(at(number))?);
    }
    Ok(answers.into_iter().flatten().collect())
}

/// Runs one entry of a batch inside its own unit.
pub(crate) fn batch_entry(
    unit: &mut Unit<'_>,
    attachments: &Attachments,
    entry: &Entry<'_>,
) -> Result<Answer> {
    let act = resolve(unit, attachments, entry)?;
    perform(unit, attachments, entry, act, &as_written)
}

/// For `map_err`: names the entry that failed.
fn at(entry: usize) -> impl Fn(Error) -> Error {
    move |error| Error::Entry { entry, source: Box::new(error) }
}

impl Act {
    /// The resource that the entry stands for in links.
    fn target(&self) -> Option<(ResourceType, String)> {
        match self {
            Self::Create(resource_type, id)
            | Self::Found(resource_type, id)
            | Self::UpdateAs(resource_type, id) => Some((*resource_type, id.to_string())),
            Self::Update(resource_type, id) | Self::Patch(resource_type, id) => {
                Some((*resource_type, id.clone()))
            }
            Self::Delete(..) | Self::DeleteNothing | Self::Read(..) => None,
        }
    }
}

/// Decides what an entry asks for; conditions are looked up in the store as it is before the transaction.
fn resolve(unit: &mut Unit<'_>, attachments: &Attachments, entry: &Entry<'_>) -> Result<Act> {
    let request = entry.request.as_ref().ok_or(Error::Unsupported("an entry without a request"))?;
    let url = Url::parse(&request.url)?;
    let mut interactions = Interactions { unit, attachments, rewrite: &as_written };
    let now = interactions.unit.now();
    Ok(match (request.method, url) {
        (HttpMethod::Post, Url::Type(resource_type)) => match &request.if_none_exist {
            Some(condition) => match interactions.find(resource_type, condition)? {
                Some(found) => Act::Found(resource_type, found),
                None => Act::Create(resource_type, new_id(now)?),
            },
            None => Act::Create(resource_type, new_id(now)?),
        },
        (HttpMethod::Put, Url::Instance(resource_type, id)) => Act::Update(resource_type, id.to_owned()),
        (HttpMethod::Put, Url::Condition(resource_type, condition)) => {
            match interactions.find(resource_type, condition)? {
                Some(found) => Act::UpdateAs(resource_type, found),
                None => {
                    Act::UpdateAs(resource_type, interactions.own_id(entry.resource.unwrap_or_default())?)
                }
            }
        }
        (HttpMethod::Patch, Url::Instance(resource_type, id)) => Act::Patch(resource_type, id.to_owned()),
        (HttpMethod::Patch, Url::Condition(resource_type, condition)) => {
            let found = interactions.find(resource_type, condition)?.ok_or(Error::NoMatch(resource_type))?;
            Act::Patch(resource_type, found.to_string())
        }
        (HttpMethod::Delete, Url::Instance(resource_type, id)) => Act::Delete(resource_type, id.to_owned()),
        (HttpMethod::Delete, Url::Condition(resource_type, condition)) => {
            match interactions.find(resource_type, condition)? {
                Some(found) => Act::Delete(resource_type, found.to_string()),
                None => Act::DeleteNothing,
            }
        }
        (HttpMethod::Get | HttpMethod::Head, Url::Instance(resource_type, id)) => {
            Act::Read(resource_type, id.to_owned())
        }
        _ => return Err(Error::Unsupported("this request in a Bundle")),
    })
}

fn perform(
    unit: &mut Unit<'_>,
    attachments: &Attachments,
    entry: &Entry<'_>,
    act: Act,
    rewrite: &dyn Fn(&str) -> Option<String>,
) -> Result<Answer> {
    let request = entry.request.as_ref().ok_or(Error::Unsupported("an entry without a request"))?;
    let precondition = precondition(request)?;
    let body = entry.resource.unwrap_or_default();
    let mut interactions = Interactions { unit, attachments, rewrite };
    Ok(match act {
        Act::Create(resource_type, id) => Answer::written(interactions.create(resource_type, &id, body)?),
        Act::Found(resource_type, id) => Answer::written(interactions.existing(resource_type, &id)?),
        Act::Update(resource_type, id) => {
            Answer::written(interactions.update(resource_type, &id, body, precondition)?)
        }
        Act::UpdateAs(resource_type, id) => {
            Answer::written(interactions.update_as(resource_type, &id, body, precondition)?)
        }
        Act::Patch(resource_type, id) => {
            let (format, patch) = patch_of(body)?;
            Answer::written(interactions.patch(resource_type, &id, format, &patch, precondition)?)
        }
        Act::Delete(resource_type, id) => {
            Answer::deleted(interactions.delete(resource_type, &id, precondition)?)
        }
        Act::DeleteNothing => Answer::deleted(None),
        Act::Read(resource_type, id) => {
            let head = interactions.unit.find(resource_type, &valid_id(&id)?)?;
            let head = head.ok_or(Error::NotFound(resource_type))?;
            Answer::body(interactions.read(resource_type, &head)?)
        }
    })
}

/// A request URL, relative to the base.
enum Url<'a> {
    Type(ResourceType),
    Instance(ResourceType, &'a str),
    Condition(ResourceType, &'a str),
}

impl<'a> Url<'a> {
    fn parse(url: &'a str) -> Result<Self> {
        let url = url.trim_matches('/');
        let parse_type = |name| ResourceType::parse(name).ok_or(Error::Unsupported("this URL in a Bundle"));
        if let Some((name, query)) = url.split_once('?') {
            return Ok(Self::Condition(parse_type(name)?, query));
        }
        match url.split_once('/') {
            None => Ok(Self::Type(parse_type(url)?)),
            Some((name, id)) if keepwell_fhir::valid_id(id) => Ok(Self::Instance(parse_type(name)?, id)),
            Some(_) => Err(Error::Unsupported("this URL in a Bundle")),
        }
    }
}

fn precondition(request: &Request<'_>) -> Result<Precondition> {
    if let Some(etag) = &request.if_match {
        return Ok(Precondition::Match(parse_etag(etag)?));
    }
    match request.if_none_match.as_deref() {
        Some("*") if request.method == HttpMethod::Put => Ok(Precondition::Absent),
        _ => Ok(Precondition::None),
    }
}

/// The version in an ETag such as `W/"7"` (R4 http.html#versioning).
pub(crate) fn parse_etag(etag: &str) -> Result<u64> {
    etag.trim_start_matches("W/")
        .trim_matches('"')
        .parse()
        .map_err(|_| Error::Argument("an ETag of this store is W/\"<version>\""))
}

/// A patch inside a Bundle: a FHIRPath Patch is Parameters, the others travel in a Binary.
fn patch_of(body: &[u8]) -> Result<(PatchFormat, Vec<u8>)> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Carrier<'a> {
        resource_type: &'a str,
        content_type: Option<&'a str>,
        data: Option<&'a str>,
    }
    let unsupported = || Error::Unsupported("this kind of patch");
    let carrier: Carrier<'_> = serde_json::from_slice(body).map_err(|_| unsupported())?;
    match (carrier.resource_type, carrier.content_type, carrier.data) {
        ("Parameters", ..) => Ok((PatchFormat::FhirPath, body.to_vec())),
        ("Binary", Some(media_type), Some(data)) => {
            let format = PatchFormat::from_media_type(media_type).ok_or_else(unsupported)?;
            Ok((format, decode_base64(data.as_bytes()).ok_or_else(unsupported)?))
        }
        _ => Err(unsupported()),
    }
}

/// What references between entries become.
#[derive(Default)]
struct Links {
    /// fullUrl -> `Type/id`.
    entries: HashMap<String, String>,
    /// `Type?query` -> `Type/id`.
    conditional: HashMap<String, String>,
}

impl Links {
    fn add(&mut self, entry: &Entry<'_>, resource_type: ResourceType, id: &str) {
        if let Some(full_url) = &entry.full_url {
            self.entries.insert(full_url.clone().into_owned(), format!("{resource_type}/{id}"));
        }
    }

    /// Looks up the conditional references of an entry; each must find exactly one resource.
    fn resolve_conditional(
        &mut self,
        unit: &mut Unit<'_>,
        attachments: &Attachments,
        entry: &Entry<'_>,
    ) -> Result<()> {
        let Some(body) = entry.resource else { return Ok(()) };
        for text in unit.preparer.conditional_references(body)? {
            let Reference::Conditional { resource_type, query } = Reference::parse(&text) else { continue };
            if self.conditional.contains_key(&text) {
                continue;
            }
            let mut interactions = Interactions { unit: &mut *unit, attachments, rewrite: &as_written };
            let found = interactions.find(resource_type, query)?.ok_or(Error::NoMatch(resource_type))?;
            self.conditional.insert(text.clone(), format!("{resource_type}/{found}"));
        }
        Ok(())
    }

    /// A link by fullUrl, by condition, or relative to the base of the entry's own fullUrl (R4 bundle.html#references).
    fn rewrite(&self, entry: &Entry<'_>, text: &str) -> Option<String> {
        if let Some(local) = self.entries.get(text).or_else(|| self.conditional.get(text)) {
            return Some(local.clone());
        }
        if !matches!(Reference::parse(text), Reference::Relative { .. }) {
            return None;
        }
        let Reference::Absolute { base, .. } = Reference::parse(entry.full_url.as_deref()?) else {
            return None;
        };
        self.entries.get(&format!("{base}/{text}")).cloned()
    }
}
