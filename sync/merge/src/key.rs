//! Identity keys: by what two items of lists are the same item.

use keepwell_fhir::Reference;

use crate::json::{Json, Shape};

/// Values inside an item that together say which item it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Key {
    pub(crate) components: Vec<Component>,
}

/// The way to a value inside an item, and how it is compared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Component {
    /// None: the item itself.
    pub(crate) steps: Vec<Step>,
    /// How the item itself is compared.
    pub(crate) by: By,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// The member with one of these keys (several for a choice), and how it is compared at the end of the way.
    Members(Vec<(&'static str, By)>),
    /// An item of an array.
    Item(usize),
}

/// What of a value makes it the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum By {
    /// All of it.
    Exact,
    /// The systems and codes of its codings, or its text if it has none.
    Concept,
    /// System and code.
    Coding,
    /// What it points at, whatever the version.
    Target,
}

impl By {
    pub(crate) fn of(data_type: Option<&str>) -> Self {
        match data_type {
            Some("CodeableConcept") => Self::Concept,
            Some("Coding") => Self::Coding,
            Some("Reference") => Self::Target,
            _ => Self::Exact,
        }
    }
}

impl Key {
    /// The key of an item as bytes; none if nothing of it is there. `server` is the address of the own server.
    pub(crate) fn of(&self, item: &Json<'_>, server: Option<&str>) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let mut is_there = false;
        for component in &self.components {
            match component.find(item) {
                Some((value, by)) => {
                    is_there = true;
                    push_value(value, by, server, &mut out);
                }
                None => out.push(b'-'),
            }
        }
        is_there.then_some(out)
    }
}

impl Component {
    fn find<'j, 'a>(&self, item: &'j Json<'a>) -> Option<(&'j Json<'a>, By)> {
        let (mut value, mut by) = (item, self.by);
        for step in &self.steps {
            match step {
                Step::Members(keys) => {
                    (value, by) = keys.iter().find_map(|(key, by)| Some((value.get(key)?, *by)))?;
                }
                Step::Item(place) => value = value.items()?.get(*place)?,
            }
        }
        Some((value, by))
    }
}

fn push_value(value: &Json<'_>, by: By, server: Option<&str>, out: &mut Vec<u8>) {
    if by != By::Exact
        && let Some(items) = value.items()
    {
        // Several roles or relationships are a set.
        return push_sorted(items, |item, out| push_value(item, by, server, out), out);
    }
    let is_done = match by {
        By::Exact => false,
        By::Coding => push_pair(value.get("system"), value.get("code"), out),
        By::Concept => push_concept(value, out),
        By::Target => push_target(value, server, out),
    };
    if !is_done {
        push_exact(value, out);
    }
}

fn push_concept(concept: &Json<'_>, out: &mut Vec<u8>) -> bool {
    match concept.get("coding").and_then(Json::items) {
        Some(codings) if !codings.is_empty() => {
            let pair = |coding: &Json<'_>, out: &mut Vec<u8>| {
                push_pair(coding.get("system"), coding.get("code"), out);
            };
            push_sorted(codings, pair, out);
            true
        }
        _ => push_pair(concept.get("text"), None, out),
    }
}

fn push_target(reference: &Json<'_>, server: Option<&str>, out: &mut Vec<u8>) -> bool {
    if let Some(text) = reference.get("reference").and_then(Json::text) {
        push_bytes(b'r', target(text, server).as_bytes(), out);
        return true;
    }
    let identifier = reference.get("identifier");
    identifier.is_some_and(|identifier| push_pair(identifier.get("system"), identifier.get("value"), out))
}

/// What a reference points at: without a version, and without the address of the own server.
pub(crate) fn target(text: &str, server: Option<&str>) -> String {
    match Reference::parse(text) {
        Reference::Relative { resource_type, id, .. } => format!("{}/{id}", resource_type.name()),
        Reference::Absolute { base, resource_type, id, .. } if Some(base) == server => {
            format!("{}/{id}", resource_type.name())
        }
        Reference::Absolute { base, resource_type, id, .. } => {
            format!("{base}/{}/{id}", resource_type.name())
        }
        _ => text.to_owned(),
    }
}

/// Two values, one of which has to be there.
fn push_pair(one: Option<&Json<'_>>, two: Option<&Json<'_>>, out: &mut Vec<u8>) -> bool {
    for value in [one, two] {
        match value {
            Some(value) => push_exact(value, out),
            None => out.push(b'-'),
        }
    }
    let is_there = one.is_some() || two.is_some();
    if !is_there {
        out.truncate(out.len() - 2);
    }
    is_there
}

fn push_sorted(items: &[Json<'_>], push: impl Fn(&Json<'_>, &mut Vec<u8>), out: &mut Vec<u8>) {
    let mut keys: Vec<Vec<u8>> = Vec::with_capacity(items.len());
    for item in items {
        let mut key = Vec::new();
        push(item, &mut key);
        keys.push(key);
    }
    keys.sort_unstable();
    keys.iter().for_each(|key| push_bytes(b'k', key, out));
    out.push(b']');
}

/// All of a value, in one spelling.
fn push_exact(value: &Json<'_>, out: &mut Vec<u8>) {
    match &value.shape {
        Shape::Text(text) => push_bytes(b't', text.as_bytes(), out),
        Shape::Word => push_bytes(b'w', value.raw.as_bytes(), out),
        Shape::Array(items) => {
            out.push(b'[');
            items.iter().for_each(|item| push_exact(item, out));
            out.push(b']');
        }
        Shape::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by(|one, two| one.key.cmp(&two.key));
            out.push(b'{');
            for member in members {
                push_bytes(b'm', member.key.as_bytes(), out);
                push_exact(&member.value, out);
            }
            out.push(b'}');
        }
    }
}

/// Bytes with their length, so that no two keys run into each other.
fn push_bytes(kind: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(by: By, one: &str, two: &str) -> bool {
        let key = Key { components: vec![Component { steps: Vec::new(), by }] };
        let of = |text| key.of(&Json::read(text).unwrap(), Some("https://own/fhir"));
        of(one) == of(two)
    }

    #[test]
    fn references_are_the_same_without_version_and_own_address() {
        let check = |one: &str, two: &str| {
            same(By::Target, &format!(r#"{{"reference":"{one}"}}"#), &format!(r#"{{"reference":"{two}"}}"#))
        };
        assert!(
            check("Patient/1", "Patient/1/_history/3") && check("Patient/1", "https://own/fhir/Patient/1")
        );
        assert!(!check("Patient/1", "https://other/fhir/Patient/1") && !check("Patient/1", "Group/1"));
        assert!(same(
            By::Target,
            r#"{"display":"a","identifier":{"value":"1"}}"#,
            r#"{"identifier":{"value":"1"}}"#
        ));
        assert!(!same(By::Target, r#"{"display":"a"}"#, r#"{"display":"b"}"#));
    }

    #[test]
    fn concepts_are_the_same_by_their_codes_or_by_text_alone() {
        let one =
            r#"{"coding":[{"system":"s","code":"1"},{"system":"t","code":"2","display":"x"}],"text":"a"}"#;
        let two = r#"{"coding":[{"system":"t","code":"2"},{"system":"s","code":"1"}],"text":"b"}"#;
        assert!(same(By::Concept, one, two));
        assert!(!same(By::Concept, r#"{"text":"a"}"#, r#"{"text":"b"}"#));
        assert!(!same(
            By::Concept,
            r#"{"coding":[{"code":"a"}]}"#,
            r#"{"coding":[{"code":"a"},{"code":"b"}]}"#
        ));
    }

    #[test]
    fn keys_do_not_run_into_each_other() {
        assert!(!same(By::Coding, r#"{"system":"ab","code":"c"}"#, r#"{"system":"a","code":"bc"}"#));
        assert!(!same(By::Coding, r#"{"system":"a"}"#, r#"{"code":"a"}"#));
    }
}
