//! From the JSON of an element to values.
//!
//! Which part of an element a kind of parameter looks at follows the tables of R4 search.html for each kind. What an
//! element does not have, or has in a wrong format, gives no value.

mod date;
mod quantity;
mod reference;
mod token;

use std::borrow::Cow;

use crate::data_type::DataType;
use crate::json::{items, member, members, text};
use crate::parameter::ParameterKind;
use crate::value::Value;
use crate::values::Values;

/// Appends the values that an element has for parameters of a kind. `json` is the element's value in a resource that
/// was walked, so its syntax is right; whether its structure is, is not known. Of an array every item is taken.
pub fn convert(kind: ParameterKind, data_type: DataType, json: &[u8], out: &mut Values) {
    for item in items(json) {
        match kind {
            ParameterKind::Token => token::convert(data_type, item, out),
            ParameterKind::String => convert_string(data_type, item, out),
            ParameterKind::Reference => reference::convert(data_type, item, out),
            ParameterKind::Date => date::convert(data_type, item, out),
            ParameterKind::Number => quantity::convert_number(data_type, item, out),
            ParameterKind::Quantity => quantity::convert(data_type, item, out),
            ParameterKind::Uri => convert_uri(item, out),
            ParameterKind::Special => convert_position(item, out),
            // Composite parameters have the values of their parts.
            ParameterKind::Composite => {}
        }
    }
}

/// A text as values have it: without NUL, which ends texts in index terms.
fn owned(text: Cow<'_, str>) -> Box<str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

/// The text of a string.
fn text_of(json: &[u8]) -> Option<Box<str>> {
    text(json).map(owned)
}

/// The text of a member.
fn text_at(json: &[u8], key: &str) -> Option<Box<str>> {
    member(json, key).and_then(text_of)
}

/// A name or an address is found by each of its parts (R4 search.html#string).
fn convert_string(data_type: DataType, json: &[u8], out: &mut Values) {
    let parts: &[&str] = match data_type {
        DataType::HumanName => &["text", "family", "given", "prefix", "suffix"],
        DataType::Address => &["text", "line", "city", "district", "state", "postalCode", "country"],
        _ => {
            out.extend(text_of(json).map(Value::String));
            return;
        }
    };
    for (key, value) in members(json) {
        if parts.iter().any(|part| part.as_bytes() == &*key) {
            out.extend(items(value).filter_map(text_of).map(Value::String));
        }
    }
}

/// A canonical URL may have a version behind a bar.
fn convert_uri(json: &[u8], out: &mut Values) {
    let Some(uri) = text_of(json) else { return };
    let (url, version) = match uri.split_once('|') {
        Some((url, version)) => (url.into(), Some(version.into())),
        None => (uri, None),
    };
    out.push(Value::Uri { url, version });
}

fn convert_position(json: &[u8], out: &mut Values) {
    // To the centimetre, as index terms have it.
    let degrees = |key| {
        let degrees = std::str::from_utf8(member(json, key)?).ok()?.parse::<f64>().ok()?;
        Some((degrees * 1e7).round() / 1e7)
    };
    if let Some((latitude, longitude)) = degrees("latitude").zip(degrees("longitude"))
        && latitude.abs() <= 90.0
        && longitude.abs() <= 180.0
    {
        out.push(Value::Position { latitude, longitude });
    }
}

#[cfg(test)]
mod tests;
