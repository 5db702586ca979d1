//! Codes, identifiers and what else is compared as a whole (R4 search.html#token).

use super::{text_at, text_of};
use crate::data_type::DataType;
use crate::json::{items, member, members};
use crate::value::{System, Value};
use crate::values::Values;

pub(super) fn convert(data_type: DataType, json: &[u8], out: &mut Values) {
    match data_type {
        DataType::Coding => convert_coding(json, out),
        DataType::CodeableConcept => convert_concept(json, out),
        DataType::Identifier => convert_identifier(json, out),
        DataType::ContactPoint => convert_contact(json, out),
        // The words true and false, and numbers, are no strings.
        _ => out.extend(word_or_text(json).map(|code| Value::Token { system: System::Implicit, code })),
    }
}

fn word_or_text(json: &[u8]) -> Option<Box<str>> {
    match json {
        b"null" | [b'{', ..] => None,
        [b'"', ..] => text_of(json),
        word => std::str::from_utf8(word).ok().map(Box::from),
    }
}

fn convert_concept(json: &[u8], out: &mut Values) {
    for (key, value) in members(json) {
        match &*key {
            b"coding" => items(value).for_each(|coding| convert_coding(coding, out)),
            b"text" => out.extend(text_of(value).map(Value::Display)),
            _ => {}
        }
    }
}

fn convert_coding(json: &[u8], out: &mut Values) {
    let (mut system, mut code) = (None, None);
    for (key, value) in members(json) {
        match &*key {
            b"system" => system = text_of(value),
            b"code" => code = text_of(value),
            b"display" => out.extend(text_of(value).map(Value::Display)),
            _ => {}
        }
    }
    out.extend(token(system, code));
}

fn convert_identifier(json: &[u8], out: &mut Values) {
    let value = text_at(json, "value");
    for concept in member(json, "type").into_iter() {
        for coding in member(concept, "coding").into_iter().flat_map(items) {
            let parts = text_at(coding, "system").zip(text_at(coding, "code")).zip(value.clone());
            out.extend(parts.map(|((system, code), value)| Value::TypedIdentifier { system, code, value }));
        }
        out.extend(text_at(concept, "text").map(Value::Display));
    }
    out.extend(token(text_at(json, "system"), value));
}

/// Of a contact point the value is compared; a system is whatever the search thinks it is.
fn convert_contact(json: &[u8], out: &mut Values) {
    out.extend(text_at(json, "value").map(|code| Value::Token { system: System::Implicit, code }));
}

pub(super) fn token(system: Option<Box<str>>, code: Option<Box<str>>) -> Option<Value> {
    let system = match system {
        Some(uri) => System::Uri(uri),
        None => {
            let code = code.filter(|code| !code.is_empty())?;
            return Some(Value::Token { system: System::None, code });
        }
    };
    Some(Value::Token { system, code: code.unwrap_or_default() })
}
