//! Resources of the simulated world: a type that is merged by element, and one that is not.
//!
//! Each save writes a value that is never written again, so that it can be followed.

use std::collections::BTreeMap;

use keepwell_protocol::{Blob, BlobToken, Body, ResourceKey};
use serde::Deserialize;

/// A text that is longer is one that makes its body worth a delta.
const SHORT_BYTES_MAX: usize = 100;

/// What a resource is about that is in no scope.
const NOWHERE: &str = "Location/l1";

/// What a resource says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Content {
    /// Whom it is about; nobody if it is in no scope.
    pub(crate) patient: String,
    pub(crate) fields: BTreeMap<String, String>,
    /// Makes the body large enough to be worth a delta.
    pub(crate) is_long: bool,
    /// Leaves out what its type requires.
    pub(crate) is_invalid: bool,
    /// What is attached.
    pub(crate) file: Option<Blob>,
}

/// The parts of a body that the world wrote; no text of it has an escape.
#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow, default)]
    extension: Vec<Field<'a>>,
    code: Code<'a>,
    #[serde(borrow)]
    subject: Subject<'a>,
}

#[derive(Deserialize)]
struct Field<'a> {
    url: &'a str,
    #[serde(rename = "valueString")]
    value: Option<&'a str>,
    #[serde(rename = "valueAttachment")]
    file: Option<File>,
}

#[derive(Deserialize)]
struct File {
    data: BlobToken,
}

#[derive(Deserialize)]
struct Code<'a> {
    text: &'a str,
}

#[derive(Deserialize)]
struct Subject<'a> {
    reference: &'a str,
}

impl Content {
    pub(crate) fn to_body(&self, key: &ResourceKey) -> Body {
        let fields = self
            .fields
            .iter()
            .map(|(name, value)| format!(r#"{{"url":"urn:{name}","valueString":"{value}"}}"#));
        let file = self.file.map(|blob| {
            let token = BlobToken { blob, text: false };
            format!(r#"{{"url":"urn:file","valueAttachment":{{"data":{token}}}}}"#)
        });
        let fields: Vec<String> = fields.chain(file).collect();
        let extension =
            if fields.is_empty() { String::new() } else { format!(r#""extension":[{}],"#, fields.join(",")) };
        let status = match (key.kind.name(), self.is_invalid) {
            ("Flag", false) => r#""status":"active","#,
            ("Flag", true) => "",
            (_, true) => r#""modified":"no","#,
            _ => "",
        };
        let text = if self.is_long { "a long text ".repeat(40) } else { "short".to_owned() };
        let (kind, id) = (key.kind, &key.id);
        let subject = match self.patient.as_str() {
            "" => NOWHERE.to_owned(),
            patient => format!("Patient/{patient}"),
        };
        let body = format!(
            r#"{{"resourceType":"{kind}","id":"{id}",{extension}{status}"code":{{"text":"{text}"}},"subject":{{"reference":"{subject}"}}}}"#
        );
        Body::new(body).expect("it is a JSON object")
    }

    pub(crate) fn of(body: &Body) -> Self {
        let parts = parts(body);
        let own = |text: &str, prefix| text.strip_prefix(prefix).unwrap_or(text).to_owned();
        Self {
            patient: parts.subject.reference.strip_prefix("Patient/").unwrap_or_default().to_owned(),
            fields: parts
                .extension
                .iter()
                .filter_map(|field| Some((own(field.url, "urn:"), field.value?.to_owned())))
                .collect(),
            file: file(body),
            is_long: parts.code.text.len() > SHORT_BYTES_MAX,
            is_invalid: false,
        }
    }
}

/// The values of a body's fields, each with its field.
pub(crate) fn values(body: &Body) -> impl Iterator<Item = (&str, &str)> {
    parts(body).extension.into_iter().filter_map(|field| Some((field.url, field.value?)))
}

/// What is attached to a body.
pub(crate) fn file(body: &Body) -> Option<Blob> {
    parts(body).extension.iter().find_map(|field| Some(field.file.as_ref()?.data.blob))
}

fn parts(body: &Body) -> Parts<'_> {
    serde_json::from_slice(body.as_bytes()).expect("every body of this world has these parts")
}
