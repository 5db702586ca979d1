//! The byte walker: everything a store must know of a resource, in one pass over its bytes.
//!
//! [`Walker::walk`] checks the JSON grammar, the structure against the definitions of R4, and notes where ids,
//! `meta`, references, identifiers and large attachments stand. Nothing is parsed into values and no byte is
//! changed. A walker keeps its memory, so a warm one allocates nothing for a valid resource (but for keys that are
//! spelt with escapes).
//!
//! Invariants: every span lies within the walked bytes; no issue carries a byte of them.

use crate::compartment::Compartment;
use crate::contained::Containment;
use crate::grammar::Grammar;
use crate::issues::Issues;
use crate::keys::Keys;
use crate::narrative::Narrative;
use crate::outcome::Issue;
use crate::pass::{Pass, Twin};
use crate::path::Step;
use crate::resource_type::ResourceType;
use crate::scanner::Scanner;
use crate::span::Span;
use crate::syntax::{SyntaxError, SyntaxErrorKind};
use crate::visitor::{Nobody, Visitor};

/// The largest document in bytes: a transaction Bundle of hundreds of thousands of entries.
pub const MAX_BYTES: usize = 256 * 1024 * 1024;

/// How deep arrays and objects may lie inside each other. Each nested extension takes two levels.
pub const MAX_DEPTH: usize = 512;

/// How deep resources may lie inside each other, through `contained`, Bundles and Parameters.
pub const MAX_RESOURCE_DEPTH: usize = 16;

/// Base64 texts longer than this are listed as attachments, so that a store can keep them apart.
pub const ATTACHMENT_INLINE_BYTES: usize = 16 * 1024;

/// Walks over documents, one after the other, and keeps its memory between them.
///
/// ```
/// let mut walker = keepwell_fhir::Walker::new();
/// let json = br#"{"resourceType":"Patient","id":"7","birthdate":"1970-01-01"}"#;
/// let walk = walker.walk(json)?;
/// assert_eq!(walk.id.map(|id| id.bytes(json)), Some(&b"7"[..]));
/// assert_eq!(walk.issues[0].expression, "Patient");
/// # Ok::<(), keepwell_fhir::SyntaxError>(())
/// ```
#[derive(Default)]
pub struct Walker {
    keys: Keys,
    scratch: Scratch,
}

/// What a walk found, in order of appearance.
#[derive(Debug)]
#[non_exhaustive]
pub struct Walk<'w> {
    /// The type of the resource.
    pub resource_type: ResourceType,
    /// The text of the `id`, if it is a string.
    pub id: Option<Span>,
    /// Where `meta` and its two members that a server sets stand.
    pub meta: MetaSpans,
    /// Every `Reference.reference` that is a string, also inside contained and bundled resources.
    pub references: &'w [ReferenceSpan],
    /// The texts of uri, url, oid and uuid elements that begin with `urn:uuid:` or `urn:oid:`: what may name an entry
    /// of the same Bundle (R4 http.html#trules).
    pub links: &'w [Span],
    /// The elements of the resource's own `identifier`.
    pub identifiers: &'w [IdentifierSpan],
    /// The texts of `Attachment.data` and `Binary.data` over [`ATTACHMENT_INLINE_BYTES`] without escapes.
    pub attachments: &'w [Span],
    /// The id of the patient in whose compartment the resource is: of a Patient its own, otherwise that of the
    /// first reference `Patient/x` or `urn:uuid:x` which the compartment definition names.
    pub patient: Option<Span>,
    /// What is wrong with the structure, at most [`crate::MAX_ISSUES`]; empty if the resource is valid.
    pub issues: &'w [Issue],
    /// The member `resourceType`.
    pub(crate) type_member: Span,
}

/// Members of the resource that a server sets, each from the quote of its key to the end of its value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct MetaSpans {
    /// The member `meta`.
    pub meta: Option<Span>,
    /// The member `meta.versionId`.
    pub version_id: Option<Span>,
    /// The member `meta.lastUpdated`.
    pub last_updated: Option<Span>,
}

/// The text of a reference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ReferenceSpan {
    /// The text between the quotes.
    pub span: Span,
    /// Whether escapes have to be undone to read it.
    pub has_escape: bool,
    /// The compartments that it can put the resource into, one bit each.
    pub(crate) compartments: u8,
}

impl ReferenceSpan {
    /// Whether the resource is in this compartment of whatever the reference points at, if that is of its type.
    /// ```
    /// use keepwell_fhir::{Compartment, Walker};
    /// let json = br#"{"resourceType":"Flag","subject":{"reference":"Patient/1"},"encounter":{"reference":"Encounter/2"}}"#;
    /// let mut walker = Walker::new();
    /// let walk = walker.walk(json)?;
    /// let placing = walk.references.iter().filter(|reference| reference.places_in(Compartment::Patient));
    /// assert_eq!(placing.map(|reference| reference.span.text(json)).collect::<Vec<_>>(), ["Patient/1"]);
    /// # Ok::<(), keepwell_fhir::SyntaxError>(())
    /// ```
    #[must_use]
    pub const fn places_in(&self, compartment: Compartment) -> bool {
        self.compartments & compartment.bit() != 0
    }
}

/// One identifier of a resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct IdentifierSpan {
    /// The text of `system`.
    pub system: Option<Span>,
    /// The text of `value`.
    pub value: Option<Span>,
}

/// The memory of a walker.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) references: Vec<ReferenceSpan>,
    pub(crate) links: Vec<Span>,
    pub(crate) identifiers: Vec<IdentifierSpan>,
    pub(crate) attachments: Vec<Span>,
    pub(crate) issues: Issues,
    /// The elements from the root to the current one.
    pub(crate) path: Vec<Step>,
    pub(crate) containment: Containment,
    /// Arrays of primitive values and of their extensions, of all open objects.
    pub(crate) twins: Vec<Twin>,
    /// The places of null in those arrays.
    pub(crate) nulls: Vec<u32>,
    /// The last text that had escapes, without them.
    pub(crate) decoded: Vec<u8>,
    pub(crate) narrative: Narrative,
}

impl Scratch {
    fn clear(&mut self) {
        self.references.clear();
        self.links.clear();
        self.identifiers.clear();
        self.attachments.clear();
        self.issues.clear();
        self.path.clear();
        self.containment.clear();
        self.twins.clear();
        self.nulls.clear();
    }
}

impl Walker {
    /// A walker without any memory yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Walks over one resource.
    ///
    /// # Errors
    /// If the bytes are not one JSON object in UTF-8 within the limits, with unique keys and the name of an R4
    /// resource type. Everything else that is wrong becomes an issue of the result.
    pub fn walk(&mut self, bytes: &[u8]) -> Result<Walk<'_>, SyntaxError> {
        self.walk_with(bytes, &mut Nobody)
    }

    /// Walks over one resource and tells a visitor of its elements.
    ///
    /// # Errors
    /// As [`Self::walk`]. What the visitor was told before is then of no use.
    pub fn walk_with<V: Visitor>(&mut self, bytes: &[u8], visitor: &mut V) -> Result<Walk<'_>, SyntaxError> {
        let json = Grammar::new(start(bytes)?, &mut self.keys);
        self.scratch.clear();
        let head = Pass::document(json, &mut self.scratch, visitor)?;
        Ok(Walk {
            resource_type: head.resource_type,
            id: head.id,
            meta: head.meta,
            references: &self.scratch.references,
            links: &self.scratch.links,
            identifiers: &self.scratch.identifiers,
            attachments: &self.scratch.attachments,
            patient: head.patient,
            issues: self.scratch.issues.list(),
            type_member: head.type_member,
        })
    }

    /// Checks only that the bytes are one JSON value of any kind, under the same limits.
    ///
    /// # Errors
    /// If they are not, or if an object has a key twice.
    pub fn check_syntax(&mut self, bytes: &[u8]) -> Result<(), SyntaxError> {
        Grammar::new(start(bytes)?, &mut self.keys).document()
    }
}

/// A scanner over bytes that are not too many and UTF-8.
fn start(bytes: &[u8]) -> Result<Scanner<'_>, SyntaxError> {
    if bytes.len() > MAX_BYTES {
        return Err(SyntaxError { offset: MAX_BYTES, kind: SyntaxErrorKind::TooLarge });
    }
    match simdutf8::compat::from_utf8(bytes) {
        Ok(_) => Ok(Scanner::new(bytes)),
        Err(error) => Err(SyntaxError { offset: error.valid_up_to(), kind: SyntaxErrorKind::NotUtf8 }),
    }
}
