//! JSON Merge Patch (RFC 7396): a document with the shape of the change.

use super::tree::Node;
use super::{PatchError, Patched};

/// Applies an RFC 7396 merge patch: members of the patch replace those of the resource, `null` removes,
/// objects merge, arrays are replaced as a whole.
///
/// # Errors
/// [`PatchError`]; nothing is applied then.
///
/// # Example
/// ```
/// let body = br#"{"resourceType":"Patient","id":"1","active":true,"gender":"female"}"#;
/// let patched = keepwell_fhir::patch::merge_patch(body, br#"{"active":null,"birthDate":"1970-01-01"}"#)?;
/// assert_eq!(patched, br#"{"resourceType":"Patient","id":"1","gender":"female","birthDate":"1970-01-01"}"#);
/// # Ok::<(), keepwell_fhir::patch::PatchError>(())
/// ```
pub fn merge_patch(body: &[u8], patch: &[u8]) -> Result<Vec<u8>, PatchError> {
    let mut patched = Patched::parse(body)?;
    let patch = super::parse_patch(patch)?;
    patched.step(0, |document| {
        merge(document, patch);
        Ok(())
    })?;
    Ok(patched.into_bytes())
}

/// RFC 7396 section 2.
fn merge<'a>(target: &mut Node<'a>, patch: Node<'a>) {
    let Node::Object(members) = patch else {
        *target = patch;
        return;
    };
    if target.as_object().is_none() {
        *target = Node::Object(Vec::new());
    }
    for mut member in members {
        let name = member.name().into_owned();
        if member.value.is_null() {
            target.remove(&name);
        } else if let Some(old) = target.get_mut(&name) {
            merge(old, member.value);
        } else {
            // Merging into nothing takes the nulls out of the new value.
            let value = std::mem::replace(&mut member.value, Node::NULL);
            merge(&mut member.value, value);
            target.push(member);
        }
    }
}
