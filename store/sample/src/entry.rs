//! A finished resource with its type and id.

use serde_json::{Map, Value, json};

/// A finished resource.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    resource_type: &'static str,
    id: String,
    resource: Value,
}

impl Entry {
    /// A resource that declares a profile: of US Core where the name says so, else of FHIR's own vital signs.
    pub(crate) fn profiled(resource_type: &'static str, id: &str, profile: &str, elements: Value) -> Self {
        let of_us_core = profile.starts_with("us-core") || profile.starts_with("pediatric");
        let guide = if of_us_core { "us/core/" } else { "" };
        let profile = format!("http://hl7.org/fhir/{guide}StructureDefinition/{profile}");
        Self::of(resource_type, id, Some(json!({"profile": [profile]})), elements)
    }

    /// A resource without `meta`.
    pub(crate) fn plain(resource_type: &'static str, id: &str, elements: Value) -> Self {
        Self::of(resource_type, id, None, elements)
    }

    fn of(resource_type: &'static str, id: &str, meta: Option<Value>, elements: Value) -> Self {
        let mut resource = Map::new();
        resource.insert("resourceType".to_owned(), resource_type.into());
        resource.insert("id".to_owned(), id.into());
        resource.extend(meta.map(|meta| ("meta".to_owned(), meta)));
        let Value::Object(elements) = elements else { unreachable!("elements are an object") };
        resource.extend(elements);
        Self { resource_type, id: id.to_owned(), resource: Value::Object(resource) }
    }

    /// `Type/id`.
    pub(crate) fn reference(&self) -> String {
        format!("{}/{}", self.resource_type, self.id)
    }

    /// As a Bundle entry that puts the resource at its id.
    pub(crate) fn into_bundle_entry(self) -> Value {
        json!({
            "fullUrl": format!("urn:uuid:{}", self.id),
            "resource": self.resource,
            "request": {"method": "PUT", "url": self.reference()},
        })
    }

    /// The resource alone, as compact JSON.
    pub(crate) fn into_json(self) -> String {
        self.resource.to_string()
    }
}

/// A transaction Bundle of `entries`, as compact JSON.
pub(crate) fn transaction(entries: Vec<Entry>) -> String {
    let entries: Vec<_> = entries.into_iter().map(Entry::into_bundle_entry).collect();
    json!({"resourceType": "Bundle", "type": "transaction", "entry": entries}).to_string()
}
