//! Answers of the server, read: resources and pages of searches.
//!
//! Invariant: a page is read as a whole or not at all; what breaks off gives nothing.

use keepwell_fhir::{Instant, ResourceType};
use keepwell_protocol::{Id, ResourceKey};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::Problem;

/// A code that says that elements were left out.
const SUBSETTED: &str = "SUBSETTED";

/// A resource as the server gave it.
#[derive(Clone, Debug)]
pub(crate) struct Row<'a> {
    /// Its type and its id there.
    pub(crate) key: ResourceKey,
    pub(crate) version: Option<String>,
    pub(crate) at: Option<Instant>,
    /// Elements were left out.
    pub(crate) is_subset: bool,
    /// It came with what was searched for.
    pub(crate) is_included: bool,
    pub(crate) bytes: &'a [u8],
}

/// A page of a search.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    pub(crate) rows: Vec<Row<'a>>,
    /// Where the next page is, behind the server's address.
    pub(crate) next: Option<String>,
    /// How many resources match, if the server says so.
    pub(crate) total: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle<'a> {
    resource_type: &'a str,
    total: Option<u64>,
    #[serde(default)]
    link: Vec<Link>,
    #[serde(default, borrow)]
    entry: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
struct Link {
    relation: String,
    url: String,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
    search: Option<Search>,
}

#[derive(Deserialize)]
struct Search {
    mode: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    resource_type: String,
    id: String,
    #[serde(default)]
    meta: Meta,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    version_id: Option<String>,
    last_updated: Option<String>,
    tag: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    code: Option<String>,
}

impl<'a> Row<'a> {
    /// Reads a resource; none if it is none of R4.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let Head { resource_type, id, meta } = serde_json::from_slice(bytes).ok()?;
        let key = ResourceKey { kind: ResourceType::parse(&resource_type)?, id: id.parse().ok()? };
        Some(Self {
            key,
            version: meta.version_id,
            at: meta.last_updated.as_deref().and_then(Instant::parse),
            is_subset: meta.tag.iter().any(|tag| tag.code.as_deref() == Some(SUBSETTED)),
            is_included: false,
            bytes,
        })
    }
}

impl<'a> Page<'a> {
    /// Reads a Bundle of a search at this server.
    pub(crate) fn read(bytes: &'a [u8], address: &str) -> Result<Self, Problem> {
        let bundle: Bundle<'_> = serde_json::from_slice(bytes).map_err(|_| Problem::NotFhir)?;
        if bundle.resource_type != "Bundle" {
            return Err(Problem::NotFhir);
        }
        let next = bundle.link.into_iter().find(|link| link.relation == "next");
        let next = next.map(|link| behind(address, &link.url).ok_or(Problem::Elsewhere)).transpose()?;
        let mut rows = Vec::with_capacity(bundle.entry.len());
        for entry in bundle.entry {
            let mode = entry.search.and_then(|search| search.mode);
            let Some(resource) = entry.resource.filter(|_| mode.as_deref() != Some("outcome")) else {
                continue;
            };
            // What is no resource of R4 is passed over: everything else must not stand still for it.
            if let Some(row) = Row::read(resource.get().as_bytes()) {
                rows.push(Row { is_included: mode.as_deref() == Some("include"), ..row });
            }
        }
        Ok(Self { rows, next, total: bundle.total })
    }
}

/// What a link says behind the address of the server. A server behind another one may not know its own name, but its
/// path has to be the same.
fn behind(address: &str, link: &str) -> Option<String> {
    let path_of = |url: &'_ str| -> Option<usize> {
        let host = url.find("://")? + "://".len();
        Some(url[host..].find(['/', '?']).map_or(url.len(), |path| host + path))
    };
    let base = &address[path_of(address)?..];
    let rest = match path_of(link) {
        Some(path) => &link[path..],
        None if link.starts_with('/') => link,
        None => return None,
    };
    let rest = rest.strip_prefix(base)?;
    match rest.as_bytes().first() {
        None => Some(String::new()),
        Some(b'?') => Some(rest.to_owned()),
        Some(b'/') => Some(rest[1..].to_owned()),
        Some(_) => None,
    }
}

/// The id in a `Location`: `https://host/fhir/Patient/7/_history/1`.
pub(crate) fn id_of(location: &str, kind: ResourceType) -> Option<Id> {
    let mut parts = location.split('/').skip_while(|part| *part != kind.name());
    parts.nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_behind_the_address() {
        for (address, link, expected) in [
            ("https://host/fhir", "https://host/fhir?_getpages=1", Some("?_getpages=1")),
            ("https://host/fhir", "https://host/fhir/Patient?page=2", Some("Patient?page=2")),
            ("https://host/fhir", "http://inner:8080/fhir/Patient?page=2", Some("Patient?page=2")),
            ("https://host/fhir", "/fhir/Patient?page=2", Some("Patient?page=2")),
            ("https://host", "https://host/Patient?page=2", Some("Patient?page=2")),
            ("https://host/fhir", "https://host/fhirier/Patient", None),
            ("https://host/fhir", "https://host/other/Patient", None),
            ("https://host/fhir", "Patient?page=2", None),
        ] {
            assert_eq!(behind(address, link).as_deref(), expected, "{link}");
        }
    }

    #[test]
    fn an_id_is_found_in_a_location() {
        let patient = ResourceType::parse("Patient").unwrap();
        for location in ["https://host/fhir/Patient/7/_history/1", "Patient/7", "/fhir/Patient/7"] {
            assert_eq!(id_of(location, patient).unwrap().as_str(), "7");
        }
        assert_eq!(id_of("https://host/fhir/Basic/7", patient), None);
    }

    #[test]
    fn a_page_that_breaks_off_gives_nothing() {
        let page = br#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient","id":"1"}}],
            "link":[{"relation":"next","url":"https://h/f?p=2"}]}"#;
        let read = Page::read(page, "https://h/f").unwrap();
        assert_eq!((read.rows.len(), read.next.as_deref()), (1, Some("?p=2")));
        for end in 0..page.len() {
            assert!(Page::read(&page[..end], "https://h/f").is_err());
        }
    }
}
