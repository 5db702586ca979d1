//! Contents in the terms of this device and in those of the server.
//!
//! A device keeps the id that a resource was made with. Where the server chose another one, the id and the references
//! to it are rewritten on the way. A large attachment is in the resource there; here a token stands for it, as in all
//! contents of sync. Every other byte stays. `meta.versionId` and `meta.lastUpdated` are no content.
//!
//! Invariant: no token goes to the server, and none comes from it.

use std::borrow::Cow;
use std::ops::Range;

use keepwell_engine::Texts;
use keepwell_fhir::schema::Context;
use keepwell_fhir::{Reference, ResourceType, Span, Walker, strip};
use keepwell_protocol::{BlobToken, Body, Id, ResourceKey};
use serde_json::{Value, json};

use crate::replica::Replica;

/// The system of the identifier, or of the tag, by which a resource is found that was posted.
pub(crate) const MARK_SYSTEM: &str = "urn:keepwell:m";

/// Whose terms a content is to be in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Terms {
    Device,
    Server,
}

/// What is to go to the server.
pub(crate) enum Outgoing<T> {
    Ready(T),
    /// An attachment is not on this device.
    Absent,
    /// It is no resource that can be sent.
    Unfit,
}

/// What came from the server, in the terms of this device; none if it is no resource. Its attachments are kept.
pub(crate) fn to_local<R: Replica>(
    walker: &mut Walker,
    replica: &mut R,
    bytes: &[u8],
    id: &Id,
) -> Result<Option<Body>, R::Error> {
    // A token is this device's own word: whoever else says it would get an attachment by its hash.
    if !is_whole(bytes) {
        return Ok(None);
    }
    let rewritten = rewrite(walker, replica, bytes, id, Terms::Device)?;
    Ok(rewritten.and_then(|bytes| String::from_utf8(bytes).ok()).map(Body::stored))
}

/// What goes to the server, in its terms, with the attachments in it.
pub(crate) fn to_server<R: Replica>(
    walker: &mut Walker,
    replica: &mut R,
    body: &Body,
    id: &Id,
) -> Result<Outgoing<Vec<u8>>, R::Error> {
    let Some(tokens) = BlobToken::all(body.as_bytes()) else { return Ok(Outgoing::Unfit) };
    let Some(bytes) = put_together(replica, body.as_bytes(), tokens)? else { return Ok(Outgoing::Absent) };
    Ok(match rewrite(walker, replica, &bytes, id, Terms::Server)? {
        Some(bytes) if is_whole(&bytes) => Outgoing::Ready(bytes),
        _ => Outgoing::Unfit,
    })
}

/// Whether no token stands in it.
fn is_whole(bytes: &[u8]) -> bool {
    BlobToken::all(bytes).is_some_and(|tokens| tokens.is_empty())
}

/// A content with the texts of its attachments; none if one is not on this device.
fn put_together<'b, R: Replica>(
    replica: &mut R,
    bytes: &'b [u8],
    tokens: Vec<(Range<usize>, BlobToken)>,
) -> Result<Option<Cow<'b, [u8]>>, R::Error> {
    if tokens.is_empty() {
        return Ok(Some(Cow::Borrowed(bytes)));
    }
    let (mut out, mut copied) = (Vec::new(), 0);
    for (place, token) in tokens {
        let Some(content) = replica.attachment(&token.blob)? else { return Ok(None) };
        out.extend_from_slice(&bytes[copied..place.start]);
        out.push(b'"');
        out.extend_from_slice(&token.text_of(content));
        out.push(b'"');
        copied = place.end;
    }
    out.extend_from_slice(&bytes[copied..]);
    Ok(Some(Cow::Owned(out)))
}

fn rewrite<R: Replica>(
    walker: &mut Walker,
    replica: &mut R,
    bytes: &[u8],
    id: &Id,
    terms: Terms,
) -> Result<Option<Vec<u8>>, R::Error> {
    let Ok(walk) = walker.walk(bytes) else { return Ok(None) };
    let mut edits: Vec<(Span, Cow<'_, [u8]>)> = Vec::new();
    let has_ids = replica.has_server_ids()?;
    for reference in walk.references.iter().filter(|reference| has_ids && !reference.has_escape) {
        let text = reference.span.text(bytes);
        if let Reference::Relative { resource_type, id, version } = Reference::parse(&text)
            && let Ok(id) = id.parse()
            && let Some(new) = renamed(replica, ResourceKey { kind: resource_type, id }, terms)?
        {
            let history = version.map(|version| format!("/_history/{version}")).unwrap_or_default();
            let new = format!("{resource_type}/{new}{history}");
            edits.push((reference.span, Cow::Owned(new.into_bytes())));
        }
    }
    if terms == Terms::Device {
        for span in walk.attachments {
            let (token, content) = BlobToken::of(&bytes[span.range()]);
            replica.keep_attachment(&token.blob, &content)?;
            // The quotes go too.
            let place = Span { start: span.start - 1, end: span.end + 1 };
            edits.push((place, Cow::Owned(token.to_string().into_bytes())));
        }
    }
    let own = walk.id.map(|span| span.text(bytes));
    let new_id = (own.as_deref() != Some(id.as_str())).then_some(id.as_str());
    let mut out = Vec::with_capacity(bytes.len() + 64);
    strip(bytes, &walk, new_id, &edits, &mut out);
    Ok(Some(out))
}

/// The id of what is referred to, if it is another one in those terms.
fn renamed<R: Replica>(replica: &mut R, key: ResourceKey, terms: Terms) -> Result<Option<Id>, R::Error> {
    match terms {
        Terms::Device => replica.local_id(key.kind, &key.id),
        Terms::Server => Ok(replica.remote(&key)?.and_then(|remote| remote.server_id)),
    }
}

/// The resources that a content refers to by type and id.
pub(crate) fn referred(walker: &mut Walker, body: &Body) -> Vec<ResourceKey> {
    let bytes = Texts::default().put(body);
    let Ok(walk) = walker.walk(&bytes) else { return Vec::new() };
    let keys = walk.references.iter().filter_map(|reference| {
        let text = reference.span.text(&bytes);
        match Reference::parse(&text) {
            Reference::Relative { resource_type, id, .. } => {
                Some(ResourceKey { kind: resource_type, id: id.parse().ok()? })
            }
            _ => None,
        }
    });
    keys.collect()
}

/// Whether two contents say the same, whatever the server does to `meta` and to the id of what is posted.
pub(crate) fn says_the_same(one: &[u8], other: &[u8]) -> bool {
    let read = |bytes| {
        let mut value: Value = serde_json::from_slice(bytes).ok()?;
        let object = value.as_object_mut()?;
        object.remove("meta");
        object.remove("id");
        Some(value)
    };
    match (read(one), read(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// The query that finds what was posted with a mark.
pub(crate) fn mark_query(kind: ResourceType, mark: &Id) -> String {
    let parameter = if has_identifiers(kind) { "identifier" } else { "_tag" };
    format!("{parameter}={MARK_SYSTEM}|{mark}")
}

/// A content with a mark: as an identifier, or as a tag where a type has no list of those.
pub(crate) fn with_mark(kind: ResourceType, bytes: &[u8], mark: &Id) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(bytes).ok()?;
    let object = value.as_object_mut()?;
    let (list, item) = if has_identifiers(kind) {
        let list = object.entry("identifier").or_insert_with(|| json!([]));
        (list, json!({ "system": MARK_SYSTEM, "value": mark.as_str() }))
    } else {
        let meta = object.entry("meta").or_insert_with(|| json!({})).as_object_mut()?;
        let list = meta.entry("tag").or_insert_with(|| json!([]));
        (list, json!({ "system": MARK_SYSTEM, "code": mark.as_str() }))
    };
    list.as_array_mut()?.push(item);
    serde_json::to_vec(&value).ok()
}

fn has_identifiers(kind: ResourceType) -> bool {
    Context::of(kind).find(b"identifier").is_some_and(|element| element.repeats())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_an_identifier_where_a_type_has_a_list_of_them_and_a_tag_elsewhere() {
        let mark: Id = "0a".parse().unwrap();
        let marked = |kind: &str| {
            let bytes = format!(r#"{{"resourceType":"{kind}"}}"#);
            let kind = ResourceType::parse(kind).unwrap();
            let text = String::from_utf8(with_mark(kind, bytes.as_bytes(), &mark).unwrap()).unwrap();
            (mark_query(kind, &mark), text)
        };
        let (query, text) = marked("Patient");
        assert_eq!(query, "identifier=urn:keepwell:m|0a");
        assert!(text.ends_with(r#""identifier":[{"system":"urn:keepwell:m","value":"0a"}]}"#));
        let (query, text) = marked("Provenance");
        assert_eq!(query, "_tag=urn:keepwell:m|0a");
        assert!(text.ends_with(r#""meta":{"tag":[{"system":"urn:keepwell:m","code":"0a"}]}}"#));
    }

    #[test]
    fn contents_are_compared_without_what_a_server_sets() {
        let one = br#"{"resourceType":"Patient","id":"1","active":true,"gender":"male"}"#;
        let two =
            br#"{"meta":{"versionId":"3"},"gender":"male","resourceType":"Patient","active":true,"id":"9"}"#;
        let three = br#"{"resourceType":"Patient","id":"1","active":true}"#;
        assert!(says_the_same(one, two));
        assert!(!says_the_same(one, three));
        assert!(!says_the_same(b"{", b"{"));
    }
}
