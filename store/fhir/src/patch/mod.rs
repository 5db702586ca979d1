//! Changes to a resource, as a client sends them: JSON Patch, JSON Merge Patch, FHIRPath Patch.
//!
//! Each function takes the bytes of a resource and of a patch and gives the bytes of the changed resource.
//! What the patch does not name stays as it was spelled: numbers, escapes, the order of members, elements
//! that R4 does not know. White space between tokens is dropped.
//!
//! Invariants: a patch is applied whole or not at all; `resourceType` and `id` never change; input of any
//! kind gives a result or a [`PatchError`], never a panic. The result is JSON, not yet a valid resource:
//! the caller walks it.

mod element;
mod error;
mod fhirpath_patch;
mod json_patch;
mod locate;
mod merge_patch;
mod path;
mod shape;
mod tree;
mod value;

pub use self::error::PatchError;
pub use self::fhirpath_patch::fhirpath_patch;
pub use self::json_patch::json_patch;
pub use self::merge_patch::merge_patch;

use self::error::Failure;
use self::tree::Node;

/// Bytes of a patch document.
pub const MAX_PATCH_BYTES: usize = 32 << 20;

/// Operations in one patch.
pub const MAX_PATCH_OPERATIONS: usize = 1_000;

/// Bytes that the `copy` operations of one patch may add together, so that a short patch cannot double a
/// value until memory is full.
pub const MAX_COPIED_BYTES: usize = 32 << 20;

/// The three kinds of patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PatchFormat {
    /// RFC 6902.
    JsonPatch,
    /// RFC 7396.
    MergePatch,
    /// A Parameters resource (R4 fhirpatch.html).
    FhirPath,
}

impl PatchFormat {
    /// The format that a `Content-Type` names; parameters such as `charset` are ignored.
    pub fn from_media_type(media_type: &str) -> Option<Self> {
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        [
            ("application/json-patch+json", Self::JsonPatch),
            ("application/merge-patch+json", Self::MergePatch),
            ("application/fhir+json", Self::FhirPath),
        ]
        .into_iter()
        .find_map(|(name, format)| essence.eq_ignore_ascii_case(name).then_some(format))
    }

    /// The format that a document looks like: an array is a JSON Patch, a Parameters resource a FHIRPath
    /// Patch, any other object a merge patch. `None` for what is none of these.
    ///
    /// A merge patch of a Parameters resource that repeats its `resourceType` is taken for a FHIRPath
    /// Patch: where the media type is known, use that.
    pub fn from_shape(patch: &[u8]) -> Option<Self> {
        match parse_patch(patch).ok()? {
            Node::Array(_) => Some(Self::JsonPatch),
            Node::Scalar(_) => None,
            object => match object.get("resourceType").and_then(Node::as_str).as_deref() {
                Some("Parameters") => Some(Self::FhirPath),
                _ => Some(Self::MergePatch),
            },
        }
    }

    /// Applies a patch of this format.
    ///
    /// # Errors
    /// As [`json_patch()`], [`merge_patch()`] and [`fhirpath_patch()`].
    pub fn apply(self, body: &[u8], patch: &[u8]) -> Result<Vec<u8>, PatchError> {
        match self {
            Self::JsonPatch => json_patch(body, patch),
            Self::MergePatch => merge_patch(body, patch),
            Self::FhirPath => fhirpath_patch(body, patch),
        }
    }
}

/// Reads a patch document.
fn parse_patch(patch: &[u8]) -> Result<Node<'_>, PatchError> {
    if patch.len() > MAX_PATCH_BYTES {
        return Err(PatchError::TooLarge);
    }
    Node::parse(patch).map_err(PatchError::Syntax)
}

/// Refuses a patch with too many operations.
fn check_count(operations: usize) -> Result<(), PatchError> {
    if operations > MAX_PATCH_OPERATIONS {
        return Err(PatchError::Limit {
            operation: MAX_PATCH_OPERATIONS,
            reason: "the patch has more operations than the limit",
        });
    }
    Ok(())
}

/// A resource while it is patched. A copy is changed, so that failure leaves nothing half done.
struct Patched<'a> {
    document: Node<'a>,
    identity: [Option<Node<'a>>; 2],
}

impl<'a> Patched<'a> {
    fn parse(body: &'a [u8]) -> Result<Self, PatchError> {
        let document = Node::parse(body).map_err(PatchError::Body)?;
        let identity = ["resourceType", "id"].map(|name| document.get(name).cloned());
        Ok(Self { document, identity })
    }

    /// Applies one operation and checks that the resource is still the same one.
    fn step(
        &mut self,
        operation: usize,
        apply: impl FnOnce(&mut Node<'a>) -> Result<(), Failure>,
    ) -> Result<(), PatchError> {
        apply(&mut self.document).map_err(|failure| failure.at(operation))?;
        let kept = ["resourceType", "id"].iter().zip(&self.identity).all(|(name, before)| {
            match (before, self.document.get(name)) {
                (Some(before), Some(after)) => before.same(after),
                (before, after) => before.is_none() && after.is_none(),
            }
        });
        if kept { Ok(()) } else { Err(PatchError::Identity { operation }) }
    }

    fn into_bytes(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.document.len_bytes());
        self.document.write(&mut out);
        out
    }
}

#[cfg(test)]
mod tests;
