//! Which interaction a method and a path name.

use axum::http::{Method, StatusCode};
use keepwell_fhir::{IssueType, ResourceType, valid_id};

use super::failure::Failure;

/// An interaction of R4 http.html, without its query, headers and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Interaction {
    Capabilities,
    Read(ResourceType, String),
    Vread(ResourceType, String, u64),
    /// Of everything, of a type, of one resource.
    History(Option<(ResourceType, Option<String>)>),
    /// The path as the store's search takes it.
    Search(String),
    /// As [`Self::Search`], with more parameters in the body.
    PostedSearch(String),
    Bundle,
    Create(ResourceType),
    /// `None` for the conditional form, whose condition is the query.
    Update(ResourceType, Option<String>),
    Patch(ResourceType, Option<String>),
    Delete(ResourceType, Option<String>),
}

impl Interaction {
    /// Whether it changes nothing, whatever is in it. A Bundle may hold anything.
    pub(super) fn reads(&self) -> bool {
        match self {
            Self::Capabilities
            | Self::Read(..)
            | Self::Vread(..)
            | Self::History(_)
            | Self::Search(_)
            | Self::PostedSearch(_) => true,
            Self::Bundle | Self::Create(_) | Self::Update(..) | Self::Patch(..) | Self::Delete(..) => false,
        }
    }

    /// Reads a path relative to the base.
    pub(super) fn parse(method: &Method, path: &str) -> Result<Self, Failure> {
        let decoded = path.split('/').filter(|part| !part.is_empty()).map(decode).collect::<Option<Vec<_>>>();
        let parts = decoded.ok_or_else(unknown)?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let read = matches!(*method, Method::GET | Method::HEAD);
        match parts[..] {
            ["metadata"] if read => Ok(Self::Capabilities),
            [] if *method == Method::POST => Ok(Self::Bundle),
            [] if read => Ok(Self::Search(String::new())),
            ["_history"] if read => Ok(Self::History(None)),
            ["_search"] => Self::search(method, String::new()),
            ["metadata" | "_history"] | [] => Err(not_allowed()),
            [name, ref rest @ ..] => {
                let resource_type = ResourceType::parse(name).ok_or_else(unknown)?;
                Self::of_type(method, resource_type, rest)
            }
        }
    }

    fn of_type(method: &Method, resource_type: ResourceType, rest: &[&str]) -> Result<Self, Failure> {
        let read = matches!(*method, Method::GET | Method::HEAD);
        let id = |id: &str| if valid_id(id) { Ok(id.to_owned()) } else { Err(unknown()) };
        match *rest {
            [] => match *method {
                Method::GET | Method::HEAD => Ok(Self::Search(resource_type.to_string())),
                Method::POST => Ok(Self::Create(resource_type)),
                Method::PUT => Ok(Self::Update(resource_type, None)),
                Method::PATCH => Ok(Self::Patch(resource_type, None)),
                Method::DELETE => Ok(Self::Delete(resource_type, None)),
                _ => Err(not_allowed()),
            },
            ["_history"] if read => Ok(Self::History(Some((resource_type, None)))),
            ["_search"] => Self::search(method, resource_type.to_string()),
            [operation] if operation.starts_with('$') => {
                if read {
                    Ok(Self::Search(format!("{resource_type}/{operation}")))
                } else {
                    Err(not_allowed())
                }
            }
            [one] => match *method {
                Method::GET | Method::HEAD => Ok(Self::Read(resource_type, id(one)?)),
                Method::PUT => Ok(Self::Update(resource_type, Some(id(one)?))),
                Method::PATCH => Ok(Self::Patch(resource_type, Some(id(one)?))),
                Method::DELETE => Ok(Self::Delete(resource_type, Some(id(one)?))),
                _ => Err(not_allowed()),
            },
            [one, "_history"] if read => Ok(Self::History(Some((resource_type, Some(id(one)?))))),
            [one, "_history", version] if read => {
                let version = version.parse().map_err(|_| unknown())?;
                Ok(Self::Vread(resource_type, id(one)?, version))
            }
            // A compartment, or everything of it.
            [one, what] if read => Ok(Self::Search(format!("{resource_type}/{}/{what}", id(one)?))),
            [one, what, "_search"] => Self::search(method, format!("{resource_type}/{}/{what}", id(one)?)),
            [_, "_history"] | [_, "_history", _] | [_, _] => Err(not_allowed()),
            _ => Err(unknown()),
        }
    }

    fn search(method: &Method, path: String) -> Result<Self, Failure> {
        match *method {
            Method::POST => Ok(Self::PostedSearch(path)),
            Method::GET | Method::HEAD => Ok(Self::Search(path)),
            _ => Err(not_allowed()),
        }
    }

    /// What the log and the metrics call it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Capabilities => "fhir.capabilities",
            Self::Read(..) => "fhir.read",
            Self::Vread(..) => "fhir.vread",
            Self::History(_) => "fhir.history",
            Self::Search(_) | Self::PostedSearch(_) => "fhir.search",
            Self::Bundle => "fhir.bundle",
            Self::Create(_) => "fhir.create",
            Self::Update(..) => "fhir.update",
            Self::Patch(..) => "fhir.patch",
            Self::Delete(..) => "fhir.delete",
        }
    }
}

fn unknown() -> Failure {
    Failure::Http(StatusCode::NOT_FOUND, IssueType::NotFound, "there is nothing at this path")
}

fn not_allowed() -> Failure {
    Failure::Http(
        StatusCode::METHOD_NOT_ALLOWED,
        IssueType::NotSupported,
        "the method is not one for this path",
    )
}

/// A part of a path, or a value of a query, without its percent signs; `None` if it is not text.
pub(super) fn decode(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push(digit(rest.next()?)? << 4 | digit(rest.next()?)?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: Method, path: &str) -> Result<Interaction, StatusCode> {
        Interaction::parse(&method, path).map_err(|failure| failure.status())
    }

    #[test]
    fn paths_and_methods_name_interactions() {
        use Interaction as I;
        let patient = ResourceType::parse("Patient").expect("a type");
        let id = || "1".to_owned();
        for (method, path, expected) in [
            (Method::GET, "/metadata", I::Capabilities),
            (Method::GET, "", I::Search(String::new())),
            (Method::POST, "/", I::Bundle),
            (Method::POST, "/_search", I::PostedSearch(String::new())),
            (Method::GET, "/_history", I::History(None)),
            (Method::GET, "/Patient", I::Search("Patient".to_owned())),
            (Method::POST, "/Patient", I::Create(patient)),
            (Method::PUT, "/Patient", I::Update(patient, None)),
            (Method::DELETE, "/Patient", I::Delete(patient, None)),
            (Method::POST, "/Patient/_search", I::PostedSearch("Patient".to_owned())),
            (Method::GET, "/Patient/_history", I::History(Some((patient, None)))),
            (Method::HEAD, "/Patient/1", I::Read(patient, id())),
            (Method::PATCH, "/Patient/1", I::Patch(patient, Some(id()))),
            (Method::GET, "/Patient/1/_history", I::History(Some((patient, Some(id()))))),
            (Method::GET, "/Patient/1/_history/3", I::Vread(patient, id(), 3)),
            (Method::GET, "/Patient/1/%24everything", I::Search("Patient/1/$everything".to_owned())),
            (Method::GET, "/Patient/1/Observation", I::Search("Patient/1/Observation".to_owned())),
            (Method::POST, "/Patient/1/*/_search", I::PostedSearch("Patient/1/*".to_owned())),
        ] {
            assert_eq!(parse(method, path), Ok(expected), "{path}");
        }
    }

    #[test]
    fn what_is_no_interaction_is_told_apart() {
        for (method, path, status) in [
            (Method::GET, "/Nobody", 404),
            (Method::GET, "/Patient/a_b", 404),
            (Method::GET, "/Patient/1/_history/x", 404),
            (Method::GET, "/Patient/%FF", 404),
            (Method::GET, "/Patient/1/2/3/4", 404),
            (Method::POST, "/metadata", 405),
            (Method::DELETE, "/", 405),
            (Method::POST, "/Patient/1", 405),
            (Method::PUT, "/Patient/_search", 405),
            (Method::POST, "/Patient/1/$everything", 405),
            (Method::TRACE, "/Patient", 405),
        ] {
            assert_eq!(parse(method, path).map_err(|status| status.as_u16()), Err(status), "{path}");
        }
    }
}
