//! Resources of the simulated world: one type that is joined by element, one that never is, and that refers to it.
//!
//! Each save writes a value that is never written again, so that it can be followed, and each resource has an origin
//! that stays, so that a duplicate is known.

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub(crate) const KINDS: [&str; 2] = ["Patient", "Flag"];

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Content {
    pub(crate) kind: String,
    pub(crate) subject: Option<String>,
    pub(crate) fields: BTreeMap<String, String>,
    /// Whoever writes keeps what it does not know.
    pub(crate) identifier: Option<Value>,
}

impl Content {
    pub(crate) fn to_json(&self, id: &str) -> Value {
        let extensions: Vec<Value> = self
            .fields
            .iter()
            .map(|(name, value)| json!({ "url": format!("urn:{name}"), "valueString": value }))
            .collect();
        let mut value = json!({ "resourceType": self.kind, "id": id, "extension": extensions });
        if let Some(identifier) = &self.identifier {
            value["identifier"] = identifier.clone();
        }
        if self.kind == "Flag" {
            value["status"] = "active".into();
            value["code"] = json!({ "text": "flag" });
            let subject = self.subject.as_deref().unwrap_or("Patient/none");
            value["subject"] = json!({ "reference": subject });
        }
        value
    }

    pub(crate) fn of(value: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let fields = value["extension"].as_array().into_iter().flatten();
        Self {
            kind: text(&value["resourceType"]),
            subject: value["subject"]["reference"].as_str().map(str::to_owned),
            fields: fields
                .map(|field| (text(&field["url"]).replace("urn:", ""), text(&field["valueString"])))
                .collect(),
            identifier: value.get("identifier").cloned(),
        }
    }
}
