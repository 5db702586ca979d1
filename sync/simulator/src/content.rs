//! Resources of the simulated world: a type that is merged by element, and one that is not.
//!
//! Each save writes a value that is never written again, so that it can be followed.

use std::collections::BTreeMap;

use keepwell_protocol::{Body, ResourceKey};
use serde_json::Value;

/// What a resource says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Content {
    pub(crate) patient: String,
    pub(crate) fields: BTreeMap<String, String>,
    /// Makes the body large enough to be worth a delta.
    pub(crate) is_long: bool,
    /// Leaves out what its type requires.
    pub(crate) is_invalid: bool,
}

impl Content {
    pub(crate) fn to_body(&self, key: &ResourceKey) -> Body {
        let fields: Vec<String> = self
            .fields
            .iter()
            .map(|(name, value)| format!(r#"{{"url":"urn:{name}","valueString":"{value}"}}"#))
            .collect();
        let extension =
            if fields.is_empty() { String::new() } else { format!(r#""extension":[{}],"#, fields.join(",")) };
        let status = match (key.kind.name(), self.is_invalid) {
            ("Flag", false) => r#""status":"active","#,
            ("Flag", true) => "",
            (_, true) => r#""modified":"no","#,
            _ => "",
        };
        let text = if self.is_long { "a long text ".repeat(40) } else { "short".to_owned() };
        let (kind, id, patient) = (key.kind, &key.id, &self.patient);
        let body = format!(
            r#"{{"resourceType":"{kind}","id":"{id}",{extension}{status}"code":{{"text":"{text}"}},"subject":{{"reference":"Patient/{patient}"}}}}"#
        );
        Body::new(body).expect("it is a JSON object")
    }

    pub(crate) fn of(body: &Body) -> Self {
        let value: Value = serde_json::from_slice(body.as_bytes()).expect("a body is JSON");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let fields = value["extension"].as_array().into_iter().flatten();
        let field = |field: &Value| (text(&field["url"]).replace("urn:", ""), text(&field["valueString"]));
        Self {
            patient: text(&value["subject"]["reference"]).replace("Patient/", ""),
            fields: fields.map(field).collect(),
            is_long: text(&value["code"]["text"]).len() > 100,
            is_invalid: false,
        }
    }
}
