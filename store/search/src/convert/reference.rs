//! References of all sorts (R4 search.html#reference).

use keepwell_fhir::{Reference, valid_id};

use super::token::token;
use super::{text_at, text_of};
use crate::data_type::DataType;
use crate::json::{member, members};
use crate::value::Value;
use crate::values::Values;

pub(super) fn convert(data_type: DataType, json: &[u8], out: &mut Values) {
    match data_type {
        DataType::Reference => convert_reference(json, out),
        DataType::Attachment => out.extend(text_at(json, "url").map(|url| Value::Url { url, version: None })),
        _ => out.extend(text_of(json).map(|url| canonical(&url))),
    }
}

fn convert_reference(json: &[u8], out: &mut Values) {
    for (key, value) in members(json) {
        match &*key {
            b"reference" => out.extend(text_of(value).map(|text| literal(&text))),
            b"identifier" => out.extend(logical(value)),
            _ => {}
        }
    }
}

fn literal(text: &str) -> Value {
    match Reference::parse(text) {
        Reference::Relative { resource_type, id, version } => Value::Reference {
            resource_type: Some(resource_type),
            id: id.into(),
            version: version.map(Box::from),
        },
        Reference::Contained(id) => Value::Contained(id.into()),
        // A version of an absolute reference is a version of the same resource.
        Reference::Absolute { version: Some(version), .. } => {
            let url = text.strip_suffix(version).and_then(|url| url.strip_suffix("/_history/"));
            Value::Url { url: url.unwrap_or(text).into(), version: Some(version.into()) }
        }
        Reference::Other if valid_id(text) => {
            Value::Reference { resource_type: None, id: text.into(), version: None }
        }
        Reference::Canonical { url, version } => {
            Value::Url { url: url.into(), version: Some(version.into()) }
        }
        _ => Value::Url { url: text.into(), version: None },
    }
}

fn canonical(text: &str) -> Value {
    if let Some(id) = text.strip_prefix('#') {
        return Value::Contained(id.into());
    }
    match text.split_once('|') {
        Some((url, version)) => Value::Url { url: url.into(), version: Some(version.into()) },
        None => Value::Url { url: text.into(), version: None },
    }
}

fn logical(identifier: &[u8]) -> Option<Value> {
    member(identifier, "value")?;
    match token(text_at(identifier, "system"), text_at(identifier, "value"))? {
        Value::Token { system, code } => Some(Value::Logical { system, code }),
        other => Some(other),
    }
}
