//! A part of a resource: what `_summary` and `_elements` ask for (R4 search.html#summary, #elements).
//!
//! What is kept is kept byte for byte. Elements that are mandatory at the top, and those that may change what others
//! mean, are always kept, so that a part is never mistaken for something else; the tag SUBSETTED says that it is one.
//!
//! ```
//! use keepwell_fhir::{Subset, subset};
//!
//! let patient = br#"{"resourceType":"Patient","id":"1","gender":"male","contact":[{"gender":"male"}]}"#;
//! let part = subset(patient, Subset::Elements(&["gender"]))?;
//! assert_eq!(
//!     String::from_utf8(part).as_deref(),
//!     Ok(concat!(
//!         r#"{"resourceType":"Patient","id":"1","meta":{"tag":[{"system":"#,
//!         r#""http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}]},"gender":"male"}"#
//!     ))
//! );
//! # Ok::<(), keepwell_fhir::SubsetError>(())
//! ```

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::definitions::{self, ContextNumber, FIRST_CONTEXT, MODIFIER, RESOURCE, SUMMARY};
use crate::resource_type::ResourceType;

/// Which part of a resource is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subset<'a> {
    /// `_summary=true`: the elements that the specification marks, at every depth.
    Summary,
    /// `_summary=text`: the narrative.
    Text,
    /// `_summary=data`: everything but the narrative.
    Data,
    /// `_elements`: these elements at the top.
    Elements(&'a [&'a str]),
}

/// The bytes are not one resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a FHIR resource")]
pub struct SubsetError;

const TAG: &str =
    r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}"#;

/// Members of an object in their order, each with its raw value.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// The part of a resource that is wanted, tagged as such.
///
/// # Errors
/// [`SubsetError`] when the bytes are not one resource.
pub fn subset(resource: &[u8], wanted: Subset<'_>) -> Result<Vec<u8>, SubsetError> {
    let Members(members) = serde_json::from_slice(resource).map_err(|_| SubsetError)?;
    let kind = members.iter().find(|(key, _)| key == "resourceType").ok_or(SubsetError)?.1;
    let kind: Cow<'_, str> = text(kind).ok_or(SubsetError)?;
    let context = definitions::resource_context(ResourceType::parse(&kind).ok_or(SubsetError)?);
    let mut out = Object::new(resource.len());
    let mut is_tagged = false;
    for (key, value) in &members {
        // Where there is no meta, it comes after what stands first in a resource.
        if !is_tagged && !matches!(&**key, "resourceType" | "id" | "meta") && !has_meta(&members) {
            out.raw("meta", &format!("{{\"tag\":[{TAG}]}}"));
            is_tagged = true;
        }
        match &**key {
            "meta" => {
                out.raw("meta", &tagged(value).ok_or(SubsetError)?);
                is_tagged = true;
            }
            _ if keeps(context, key, wanted) => match wanted {
                Subset::Summary => out.raw(key, &summary(context, key, value)),
                _ => out.raw(key, value.get()),
            },
            _ => {}
        }
    }
    if !is_tagged {
        out.raw("meta", &format!("{{\"tag\":[{TAG}]}}"));
    }
    Ok(out.finish())
}

fn has_meta(members: &[(Cow<'_, str>, &RawValue)]) -> bool {
    members.iter().any(|(key, _)| key == "meta")
}

/// `meta` with one more tag.
fn tagged(meta: &RawValue) -> Option<String> {
    let Members(members) = serde_json::from_str(meta.get()).ok()?;
    let mut out = Object::new(meta.get().len() + TAG.len());
    for (key, value) in members.iter().filter(|(key, _)| key != "tag") {
        out.raw(key, value.get());
    }
    let tags = members.iter().find(|(key, _)| key == "tag").map(|(_, tags)| tags.get());
    let tags = tags.and_then(|tags| tags.trim().strip_prefix('[')?.strip_suffix(']')).map_or("", str::trim);
    let separator = if tags.is_empty() { "" } else { "," };
    out.raw("tag", &format!("[{tags}{separator}{TAG}]"));
    String::from_utf8(out.finish()).ok()
}

/// Whether a member at the top of a resource is kept.
fn keeps(context: ContextNumber, key: &str, wanted: Subset<'_>) -> bool {
    let name = key.strip_prefix('_').unwrap_or(key);
    if matches!(name, "resourceType" | "id") {
        return true;
    }
    let Some(position) = definitions::find_element(context, name.as_bytes()) else {
        return wanted == Subset::Data;
    };
    let flags = definitions::element(definitions::first_element(context) + position).flags;
    let rule = definitions::rules(context).iter().find(|rule| rule.covers(position));
    if flags & MODIFIER != 0 || rule.is_some_and(|rule| rule.required) {
        return true;
    }
    match wanted {
        Subset::Summary => flags & SUMMARY != 0,
        Subset::Text => name == "text",
        Subset::Data => name != "text",
        Subset::Elements(elements) => {
            let choice = rule.filter(|rule| rule.is_choice()).map(|rule| definitions::name(rule.name));
            elements.iter().any(|element| *element == name || Some(*element) == choice)
        }
    }
}

/// The value of a member, with what belongs to a summary.
fn summary(context: ContextNumber, key: &str, value: &RawValue) -> String {
    let element = definitions::find_element(context, key.as_bytes())
        .map(|position| definitions::element(definitions::first_element(context) + position));
    let inner =
        element.filter(|element| element.kind >= FIRST_CONTEXT).map(|element| element.kind - FIRST_CONTEXT);
    // Primitive values, their extensions and contained resources have nothing to leave out.
    let (Some(inner), true) = (inner, element.is_none_or(|element| element.kind != RESOURCE)) else {
        return value.get().to_owned();
    };
    let json = value.get();
    if json.starts_with('[') {
        let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(json) else { return json.to_owned() };
        let items: Vec<String> = items.into_iter().map(|item| summary_object(inner, item.get())).collect();
        return format!("[{}]", items.join(","));
    }
    summary_object(inner, json)
}

fn summary_object(context: ContextNumber, json: &str) -> String {
    let Ok(Members(members)) = serde_json::from_str(json) else { return json.to_owned() };
    let mut out = Object::new(json.len());
    for (key, value) in &members {
        let name = key.strip_prefix('_').unwrap_or(key);
        let flags = definitions::find_element(context, name.as_bytes())
            .map_or(0, |position| definitions::element(definitions::first_element(context) + position).flags);
        if flags & (SUMMARY | MODIFIER) != 0 {
            out.raw(key, &summary(context, key, value));
        }
    }
    // An object may not be empty: one that has nothing for a summary stays as it is.
    if out.is_empty() {
        json.to_owned()
    } else {
        String::from_utf8(out.finish()).unwrap_or_else(|_| json.to_owned())
    }
}

fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'_>>(value.get()).ok().map(|Text(text)| text)
}

/// A JSON object that grows member by member.
struct Object(Vec<u8>);

impl Object {
    fn new(capacity: usize) -> Self {
        let mut out = Vec::with_capacity(capacity + TAG.len() + 24);
        out.push(b'{');
        Self(out)
    }

    fn is_empty(&self) -> bool {
        self.0.len() == 1
    }

    fn raw(&mut self, key: &str, value: &str) {
        if !self.is_empty() {
            self.0.push(b',');
        }
        serde_json::to_writer(&mut self.0, key).expect("a string always serialises into memory");
        self.0.push(b':');
        self.0.extend_from_slice(value.as_bytes());
    }

    fn finish(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(Key(key)) = map.next_key()? {
                    members.push((key, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A key, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(json: &str, wanted: Subset<'_>) -> String {
        let part = subset(json.as_bytes(), wanted).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&part).unwrap();
        let tags = value["meta"]["tag"].as_array().unwrap();
        assert_eq!(tags.last().unwrap()["code"], "SUBSETTED");
        value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
    }

    const OBSERVATION: &str = r#"{"resourceType":"Observation","id":"1","meta":{"versionId":"2","tag":[{"code":"a"}]},
        "text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"},
        "status":"final","code":{"text":"a"},"note":[{"text":"n"}],"valueString":"v","unknown":1,
        "component":[{"id":"c","code":{"text":"b"},"interpretation":[{"text":"i"}]}]}"#;

    #[test]
    fn each_part_has_what_is_mandatory_and_what_it_asks_for() {
        for (wanted, expected) in [
            (Subset::Summary, "resourceType id meta status code valueString component"),
            (Subset::Text, "resourceType id meta text status code"),
            (Subset::Data, "resourceType id meta status code note valueString unknown component"),
            (Subset::Elements(&["note", "value"]), "resourceType id meta status code note valueString"),
            (Subset::Elements(&["nothing"]), "resourceType id meta status code"),
        ] {
            assert_eq!(keys(OBSERVATION, wanted), expected, "{wanted:?}");
        }
        assert_eq!(keys(r#"{"resourceType":"Patient"}"#, Subset::Summary), "resourceType meta");
    }

    #[test]
    fn a_summary_leaves_out_inner_elements_that_are_not_part_of_it() {
        let part = subset(OBSERVATION.as_bytes(), Subset::Summary).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&part).unwrap();
        assert_eq!(value["component"].to_string(), r#"[{"code":{"text":"b"}}]"#);
        assert_eq!(value["meta"]["versionId"], "2");
        assert_eq!(value["meta"]["tag"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_resource_is_refused() {
        for json in [
            "",
            "[]",
            "{}",
            r#"{"resourceType":"Nothing"}"#,
            r#"{"resourceType":1}"#,
            r#"{"resourceType":"Patient"} x"#,
        ] {
            assert_eq!(subset(json.as_bytes(), Subset::Summary), Err(SubsetError), "{json}");
        }
    }
}
