//! Where a search is asked: the path before the `?`, as in a URL of a FHIR server, relative to its base.

use keepwell_fhir::{Compartment, ResourceType, valid_id};

use super::error::SearchError;

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `?...`: every type.
    System,
    /// `Type?...`.
    Type(ResourceType),
    /// `Patient/1/Type?...` and `Patient/1/*?...`.
    Compartment { compartment: Compartment, id: String, resource_type: Option<ResourceType> },
    /// `Patient/1/$everything?...`, and `Patient/$everything?...` of all patients.
    Everything { compartment: Compartment, id: Option<String> },
    /// `Observation/$lastn?...`.
    LastN,
}

/// A path and the parameters after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address<'a> {
    pub(crate) place: Place,
    pub(crate) query: &'a str,
}

impl<'a> Address<'a> {
    /// Reads `path?query`. A leading `/` and a trailing `/_search` do not count.
    ///
    /// # Errors
    /// [`SearchError::Address`] when the path names nothing that can be searched.
    pub(crate) fn parse(url: &'a str) -> Result<Self, SearchError> {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let path = path.trim_matches('/');
        let path = path.strip_suffix("_search").map_or(path, |path| path.trim_end_matches('/'));
        let parts: Vec<&str> = path.split('/').collect();
        let place = match parts[..] {
            [""] => Some(Place::System),
            ["Observation", "$lastn"] => Some(Place::LastN),
            ["Patient", "$everything"] => {
                Some(Place::Everything { compartment: Compartment::Patient, id: None })
            }
            [name] => ResourceType::parse(name).map(Place::Type),
            [owner, id, what] if valid_id(id) => in_compartment(owner, id, what),
            _ => None,
        };
        Ok(Self { place: place.ok_or(SearchError::Address)?, query })
    }
}

fn in_compartment(owner: &str, id: &str, what: &str) -> Option<Place> {
    let compartment = compartment(owner)?;
    let id = id.to_owned();
    match what {
        "$everything" => Some(Place::Everything { compartment, id: Some(id) }),
        "*" => Some(Place::Compartment { compartment, id, resource_type: None }),
        name => {
            let resource_type = Some(ResourceType::parse(name)?);
            Some(Place::Compartment { compartment, id, resource_type })
        }
    }
}

fn compartment(name: &str) -> Option<Compartment> {
    Compartment::ALL.into_iter().find(|compartment| compartment.code() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_what_is_searched() {
        let kind = |name| ResourceType::parse(name).unwrap();
        let compartment = Compartment::Patient;
        let id = "1".to_owned();
        for (url, place, query) in [
            ("?_type=Patient", Place::System, "_type=Patient"),
            ("/Patient/_search?name=a?b", Place::Type(kind("Patient")), "name=a?b"),
            ("Patient", Place::Type(kind("Patient")), ""),
            (
                "Patient/1/Observation?code=x",
                Place::Compartment { compartment, id: id.clone(), resource_type: Some(kind("Observation")) },
                "code=x",
            ),
            ("Patient/1/*", Place::Compartment { compartment, id: id.clone(), resource_type: None }, ""),
            ("Patient/1/$everything", Place::Everything { compartment, id: Some(id) }, ""),
            ("Patient/$everything?_count=5", Place::Everything { compartment, id: None }, "_count=5"),
            ("Observation/$lastn?max=2", Place::LastN, "max=2"),
        ] {
            assert_eq!(Address::parse(url), Ok(Address { place, query }), "{url}");
        }
        for url in [
            "Nothing",
            "Patient/1",
            "Patient/1/Nothing",
            "Organization/1/Patient",
            "Patient/a b/*",
            "a/b/c/d",
        ] {
            assert_eq!(Address::parse(url), Err(SearchError::Address), "{url}");
        }
    }
}
