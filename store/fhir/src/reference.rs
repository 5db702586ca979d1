//! The text of `Reference.reference`, taken apart.
//!
//! R4 references.html#literal knows relative, absolute and `urn:` references and fragments; transaction
//! Bundles add conditional references (R4 http.html#trules), and canonical URLs use `|` for a version.

use crate::id::valid_id;
use crate::resource_type::ResourceType;

/// What the text of a reference points at.
///
/// ```
/// use keepwell_fhir::{Reference, ResourceType};
/// let patient = ResourceType::parse("Patient").expect("Patient is an R4 type");
/// assert_eq!(
///     Reference::parse("Patient/7/_history/2"),
///     Reference::Relative { resource_type: patient, id: "7", version: Some("2") },
/// );
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reference<'a> {
    /// `Patient/7`, `Patient/7/_history/2`
    Relative {
        /// The type that is named.
        resource_type: ResourceType,
        /// The logical id.
        id: &'a str,
        /// The version, for a versioned reference.
        version: Option<&'a str>,
    },
    /// `https://host/fhir/Patient/7`
    Absolute {
        /// The address of the server, without the slash at its end.
        base: &'a str,
        /// The type that is named.
        resource_type: ResourceType,
        /// The logical id.
        id: &'a str,
        /// The version, for a versioned reference.
        version: Option<&'a str>,
    },
    /// `urn:uuid:...`: the part after the prefix, as written.
    Uuid(&'a str),
    /// `#x`: the id of a contained resource; empty for the container itself.
    Contained(&'a str),
    /// `http://host/ValueSet/x|1.0`: a URL with a version after a bar.
    Canonical {
        /// The URL before the bar.
        url: &'a str,
        /// The version behind it.
        version: &'a str,
    },
    /// `Patient?identifier=a|b`: a search that must find exactly one resource.
    Conditional {
        /// The type to search.
        resource_type: ResourceType,
        /// The query behind the question mark.
        query: &'a str,
    },
    /// Anything else: another URI, or not a reference at all.
    Other,
}

impl<'a> Reference<'a> {
    /// Takes the decoded text of a reference apart; never fails, see [`Reference::Other`].
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        if let Some(id) = text.strip_prefix('#') {
            return Self::Contained(id);
        }
        if let Some(uuid) = text.strip_prefix("urn:uuid:") {
            return Self::Uuid(uuid);
        }
        let is_absolute = text.contains(':') && text.contains("://");
        let known = if is_absolute { Self::absolute(text) } else { Self::local(text) };
        known.or_else(|| Self::canonical(text)).unwrap_or(Self::Other)
    }

    /// The type that is named, if the text names one.
    #[must_use]
    pub const fn resource_type(&self) -> Option<ResourceType> {
        match *self {
            Self::Relative { resource_type, .. }
            | Self::Absolute { resource_type, .. }
            | Self::Conditional { resource_type, .. } => Some(resource_type),
            _ => None,
        }
    }

    fn local(text: &'a str) -> Option<Self> {
        if let Some((name, query)) = text.split_once('?') {
            return Some(Self::Conditional { resource_type: ResourceType::parse(name)?, query });
        }
        let (name, rest) = text.split_once('/')?;
        let resource_type = ResourceType::parse(name)?;
        let (id, version) = id_and_version(rest)?;
        Some(Self::Relative { resource_type, id, version })
    }

    fn absolute(text: &'a str) -> Option<Self> {
        let (head, version) = match text.split_once("/_history/") {
            Some((head, version)) => (head, Some(version)),
            None => (text, None),
        };
        let (head, id) = head.rsplit_once('/')?;
        let (base, name) = head.rsplit_once('/')?;
        let resource_type = ResourceType::parse(name)?;
        let valid = !base.ends_with(['/', ':']) && valid_id(id) && version.is_none_or(valid_id);
        valid.then_some(Self::Absolute { base, resource_type, id, version })
    }

    fn canonical(text: &'a str) -> Option<Self> {
        let (url, version) = text.split_once('|')?;
        let valid = !url.is_empty() && !version.is_empty();
        valid.then_some(Self::Canonical { url, version })
    }
}

fn id_and_version(text: &str) -> Option<(&str, Option<&str>)> {
    match text.split_once("/_history/") {
        Some((id, version)) => (valid_id(id) && valid_id(version)).then_some((id, Some(version))),
        None => valid_id(text).then_some((text, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patient() -> ResourceType {
        ResourceType::parse("Patient").expect("Patient is an R4 type")
    }

    fn check(text: &str, expected: Reference<'_>) {
        assert_eq!(Reference::parse(text), expected, "{text}");
    }

    #[test]
    fn each_kind_is_recognised() {
        let resource_type = patient();
        check("Patient/1", Reference::Relative { resource_type, id: "1", version: None });
        check("Patient/1/_history/2", Reference::Relative { resource_type, id: "1", version: Some("2") });
        let base = "https://example.org/fhir";
        check(
            "https://example.org/fhir/Patient/1",
            Reference::Absolute { base, resource_type, id: "1", version: None },
        );
        check(
            "https://example.org/fhir/Patient/1/_history/2",
            Reference::Absolute { base, resource_type, id: "1", version: Some("2") },
        );
        check("urn:uuid:0-1", Reference::Uuid("0-1"));
        check("#x", Reference::Contained("x"));
        check("#", Reference::Contained(""));
        check(
            "http://example.org/ValueSet/a|1",
            Reference::Canonical { url: "http://example.org/ValueSet/a", version: "1" },
        );
        check("Patient?identifier=s|v", Reference::Conditional { resource_type, query: "identifier=s|v" });
    }

    #[test]
    fn everything_else_is_other() {
        for text in [
            "",
            "Patient",
            "Patient/",
            "Patient/a b",
            "patient/1",
            "Patient/1/",
            "Patient/1/_history/",
            "HumanName/1",
            "urn:oid:1.2",
            "https://Patient/1",
            "/Patient/1",
            "Patient/1/name",
            "a|",
        ] {
            check(text, Reference::Other);
        }
    }
}
