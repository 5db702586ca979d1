//! What a store keeps of a resource, and what a client reads.
//!
//! [`strip`] takes out what the server sets anew with every version: `meta.versionId` and `meta.lastUpdated`.
//! Only these members and one comma each vanish (with them `meta`, if nothing else is in it); every other byte
//! stays as it was. [`dress`] puts the values of a version back at the same place.
//!
//! Invariants: stripping a dressed body gives the body again, byte for byte, so equal content has equal bodies;
//! dressing gives valid JSON.

use std::borrow::Cow;
use std::io::Write as _;

use crate::instant::Instant;
use crate::span::{Span, to_u32};
use crate::walker::{MetaSpans, Walk};

/// Where and how [`dress`] puts `versionId` and `lastUpdated` back; stored beside the body.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Slot(u32);

const COMMA_AFTER: u32 = 1;
const WHOLE_META: u32 = 2;
const FLAG_BITS: u32 = 2;

impl Slot {
    const fn new(offset: u32, has_comma_after: bool, is_whole_meta: bool) -> Self {
        let after = if has_comma_after { COMMA_AFTER } else { 0 };
        let whole = if is_whole_meta { WHOLE_META } else { 0 };
        Self(offset << FLAG_BITS | after | whole)
    }

    /// The number to store.
    #[must_use]
    pub const fn as_u32(self) -> u32 {
        self.0
    }

    /// The slot that was stored as this number.
    #[must_use]
    pub const fn from_u32(number: u32) -> Self {
        Self(number)
    }

    const fn offset(self) -> usize {
        (self.0 >> FLAG_BITS) as usize
    }
}

/// Appends the body of a resource to `out`; the slot counts from where it starts there.
///
/// `id` is set or replaces the one that is there. `edits` replace other spans, such as references that a
/// transaction resolves; they are in ascending order and do not overlap. `walk` has to be the walk over the
/// same bytes, without errors.
///
/// ```
/// use keepwell_fhir::{Instant, Walker, dress, strip};
/// let json = br#"{"resourceType":"Patient","meta":{"versionId":"3"},"active":true}"#;
/// let (mut walker, mut body, mut read) = (Walker::new(), Vec::new(), Vec::new());
/// let slot = strip(json, &walker.walk(json)?, Some("7"), &[], &mut body);
/// assert_eq!(body, br#"{"resourceType":"Patient","id":"7","active":true}"#);
/// dress(&body, slot, 4, Instant::from_ms(0), &mut read);
/// let expected = concat!(
///     r#"{"resourceType":"Patient","id":"7","meta":{"versionId":"4","#,
///     r#""lastUpdated":"1970-01-01T00:00:00.000Z"},"active":true}"#,
/// );
/// assert_eq!(read, expected.as_bytes());
/// # Ok::<(), keepwell_fhir::SyntaxError>(())
/// ```
pub fn strip(
    bytes: &[u8],
    walk: &Walk<'_>,
    id: Option<&str>,
    edits: &[(Span, Cow<'_, [u8]>)],
    out: &mut Vec<u8>,
) -> Slot {
    let id_edit = id.map(|id| id_edit(walk, id));
    let mut changes = Vec::with_capacity(edits.len() + 5);
    changes.extend(id_edit.iter().map(|(span, text)| (*span, text.as_bytes())));
    changes.extend(edits.iter().map(|(span, text)| (*span, text.as_ref())));
    let place = cut_meta(bytes, walk, &mut changes);
    changes.sort_by_key(|(span, _)| span.start);

    let start = out.len();
    let (mut copied, mut slot_offset) = (0, None);
    // The end of the document is one more change, so that the slot is reached in any case.
    let end = Span { start: to_u32(bytes.len()), end: to_u32(bytes.len()) };
    for (span, text) in changes.into_iter().chain([(end, &[][..])]) {
        if slot_offset.is_none() && (place.offset < span.start || span == end) {
            // A cut member may have been passed already.
            let offset = place.offset.max(copied);
            out.extend_from_slice(&bytes[copied as usize..offset as usize]);
            (copied, slot_offset) = (offset, Some(out.len() - start));
        }
        out.extend_from_slice(&bytes[copied as usize..span.start as usize]);
        out.extend_from_slice(text);
        copied = span.end;
    }
    let slot_offset = slot_offset.unwrap_or_default();
    Slot::new(to_u32(slot_offset), place.has_comma_after, place.is_whole_meta)
}

/// Appends the resource as a client reads it.
pub fn dress(body: &[u8], slot: Slot, version: u64, last_updated: Instant, out: &mut Vec<u8>) {
    let (before, after) = body.split_at(slot.offset().min(body.len()));
    let has_comma_after = slot.0 & COMMA_AFTER != 0;
    let (open, close) = if slot.0 & WHOLE_META != 0 { ("\"meta\":{", "}") } else { ("", "") };
    out.extend_from_slice(before);
    let (left, right) = if has_comma_after { ("", ",") } else { (",", "") };
    // Writing to a vector cannot fail.
    let _ =
        write!(out, r#"{left}{open}"versionId":"{version}","lastUpdated":"{last_updated}"{close}{right}"#);
    out.extend_from_slice(after);
}

/// A slot in terms of the original bytes.
struct Place {
    offset: u32,
    has_comma_after: bool,
    is_whole_meta: bool,
}

fn id_edit(walk: &Walk<'_>, id: &str) -> (Span, String) {
    match walk.id {
        Some(span) => (span, id.to_owned()),
        None => {
            let end = walk.type_member.end;
            (Span { start: end, end }, format!(r#","id":"{id}""#))
        }
    }
}

/// Cuts the members that the server sets; says where they will be put back.
fn cut_meta(bytes: &[u8], walk: &Walk<'_>, changes: &mut Vec<(Span, &[u8])>) -> Place {
    let MetaSpans { meta, version_id, last_updated, .. } = walk.meta;
    let Some(meta) = meta else { return place_for_meta(bytes, walk) };
    let open = memchr::memchr(b'{', meta.bytes(bytes));
    let open = open.map(|open| meta.start + to_u32(open));
    let mut members = [version_id, last_updated];
    members.sort_by_key(|member| member.map(|member| member.start));
    match (open, members) {
        (Some(open), _) if !is_empty_without(bytes, Span { start: open, end: meta.end }, members) => {
            let [first, second] = members;
            let after = second.map(|second| cut(bytes, second, None, changes));
            let after_first = first.map(|first| cut(bytes, first, second, changes));
            let offset = first.or(second).map_or(open + 1, |member| member.start);
            let has_comma_after = after_first.or(after).unwrap_or(true);
            Place { offset, has_comma_after, is_whole_meta: false }
        }
        _ => {
            let has_comma_after = cut(bytes, meta, None, changes);
            Place { offset: meta.start, has_comma_after, is_whole_meta: true }
        }
    }
}

/// Where `meta` goes in a resource that has none: behind the id or, without one, behind the type.
fn place_for_meta(bytes: &[u8], walk: &Walk<'_>) -> Place {
    let end = walk.id.map_or(walk.type_member.end, |id| id.end + 1);
    let comma = comma_after(bytes, end);
    let offset = comma.map_or(end, |comma| comma + 1);
    Place { offset, has_comma_after: comma.is_some(), is_whole_meta: true }
}

/// Cuts a member and the comma behind it or, at the end of the object, the one in front of it. `next` is
/// another member that is cut: if that one is the last, this one is at the end as well.
fn cut(bytes: &[u8], member: Span, next: Option<Span>, changes: &mut Vec<(Span, &[u8])>) -> bool {
    let next_is_last = next.filter(|next| comma_after(bytes, next.end).is_none());
    let shared = next_is_last.and_then(|next| comma_before(bytes, next.start));
    let after = comma_after(bytes, member.end).filter(|comma| Some(*comma) != shared);
    changes.push((member, &[]));
    if let Some(comma) = after.or_else(|| comma_before(bytes, member.start)) {
        changes.push((Span { start: comma, end: comma + 1 }, &[]));
    }
    after.is_some()
}

fn comma_after(bytes: &[u8], end: u32) -> Option<u32> {
    let space = bytes[end as usize..].iter().take_while(|b| b.is_ascii_whitespace()).count();
    let place = end as usize + space;
    (bytes.get(place) == Some(&b',')).then(|| to_u32(place))
}

fn comma_before(bytes: &[u8], start: u32) -> Option<u32> {
    let place = bytes[..start as usize].iter().rposition(|b| !b.is_ascii_whitespace())?;
    (bytes[place] == b',').then(|| to_u32(place))
}

/// Whether an object has no other members than these.
fn is_empty_without(bytes: &[u8], object: Span, members: [Option<Span>; 2]) -> bool {
    let structure = |b: &u8| matches!(b, b'{' | b'}' | b',') || b.is_ascii_whitespace();
    let mut start = object.start;
    let mut is_empty = true;
    for member in members.into_iter().flatten() {
        is_empty &= Span { start, end: member.start }.bytes(bytes).iter().all(structure);
        start = member.end;
    }
    is_empty && Span { start, end: object.end }.bytes(bytes).iter().all(structure)
}
