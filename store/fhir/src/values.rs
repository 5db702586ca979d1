//! Primitive values, and the elements the walker does more with than checking them.

use crate::compartment::Compartment;
use crate::definitions::{self, ContextNumber, Element, ROLES};
use crate::outcome::IssueType;
use crate::pass::Pass;
use crate::path::{NO_INDEX, Step};
use crate::primitive::Primitive;
use crate::reference::Reference;
use crate::resource_type::ResourceType;
use crate::scanner::{Stop, Text};
use crate::span::Span;
use crate::visitor::Visitor;
use crate::walker::{ATTACHMENT_INLINE_BYTES, IdentifierSpan, ReferenceSpan};

/// The numbers of [`Element::role`], by their names in [`ROLES`].
pub(crate) struct Role;

impl Role {
    const TYPE: u8 = role("resourceType");
    const ID: u8 = role("id");
    const META: u8 = role("meta");
    pub(crate) const IDENTIFIER: u8 = role("identifier");
    const VERSION_ID: u8 = role("Meta.versionId");
    const LAST_UPDATED: u8 = role("Meta.lastUpdated");
    const REFERENCE: u8 = role("Reference.reference");
    const REFERENCE_TYPE: u8 = role("Reference.type");
    const IDENTIFIER_SYSTEM: u8 = role("Identifier.system");
    const IDENTIFIER_VALUE: u8 = role("Identifier.value");
    const CODING_SYSTEM: u8 = role("Coding.system");
    const CODING_CODE: u8 = role("Coding.code");
    const ATTACHMENT: u8 = role("attachment");
    pub(crate) const CONTAINED: u8 = role("contained");
}

/// The number of a role; evaluated at compile time.
const fn role(name: &str) -> u8 {
    let mut number = 1;
    while !equal(ROLES[number as usize].as_bytes(), name.as_bytes()) {
        number += 1;
    }
    number
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut place = 0;
    while place < a.len() {
        if a[place] != b[place] {
            return false;
        }
        place += 1;
    }
    true
}

/// A CodeableConcept whose codes a required binding limits: one coding must be from the value set.
#[derive(Clone, Copy)]
pub(crate) struct Concept {
    binding: u8,
    /// The length of the path at the concept.
    depth: usize,
    /// The place of the coding that the next two are about.
    coding: u32,
    system_fits: bool,
    code_fits: bool,
    is_met: bool,
}

impl<V: Visitor> Pass<'_, '_, V> {
    /// One primitive value.
    #[inline(always)]
    pub(crate) fn primitive(&mut self, kind: Primitive, element: &Element) -> Result<(), Stop> {
        match self.json.scanner.peek() {
            b'"' => {
                let text = self.json.scanner.decoded_string(&mut self.scratch.decoded)?;
                self.text(kind, element, text);
                Ok(())
            }
            b'-' | b'0'..=b'9' => {
                let number = self.json.scanner.number()?;
                if !kind.accepts_number(number) {
                    self.number_problem(kind);
                }
                Ok(())
            }
            b't' => self.boolean(kind, b"true"),
            b'f' => self.boolean(kind, b"false"),
            b'n' => self.stray_null(),
            b'{' | b'[' => {
                self.issue(IssueType::Structure, "the value must be a primitive value");
                self.json.value()
            }
            _ => Err(self.json.scanner.unexpected()),
        }
    }

    fn boolean(&mut self, kind: Primitive, word: &[u8]) -> Result<(), Stop> {
        if kind != Primitive::Boolean {
            self.issue(IssueType::Structure, "the value may not be a boolean");
        }
        self.json.scanner.literal(word)
    }

    #[cold]
    fn number_problem(&mut self, kind: Primitive) {
        match kind {
            Primitive::Integer => self.issue(IssueType::Value, "the value is not an integer of 32 bits"),
            Primitive::PositiveInt => {
                self.issue(IssueType::Value, "the value is not an integer from 1 to 2147483647")
            }
            Primitive::UnsignedInt => {
                self.issue(IssueType::Value, "the value is not an integer from 0 to 2147483647")
            }
            _ => self.issue(IssueType::Structure, "the value may not be a number"),
        }
    }

    /// The string that was read last.
    #[inline(always)]
    fn text(&mut self, kind: Primitive, element: &Element, text: Text) {
        let bytes = self.json.scanner.bytes;
        let raw = &bytes[text.start..text.end];
        if !text.has_escape {
            return self.check_text(kind, element, text, raw);
        }
        let decoded = std::mem::take(&mut self.scratch.decoded);
        self.check_text(kind, element, text, &decoded);
        self.scratch.decoded = decoded;
    }

    #[inline(always)]
    fn check_text(&mut self, kind: Primitive, element: &Element, text: Text, value: &[u8]) {
        let problem = kind.problem(value, !text.has_escape, &mut self.scratch.narrative);
        if let Some(problem) = problem {
            let code = if kind.is_text() { IssueType::Value } else { IssueType::Structure };
            self.issue(code, problem);
        } else if element.binding != 0 && !definitions::allows_code(element.binding, value) {
            self.issue(IssueType::CodeInvalid, "the code is not in the required value set");
        }
        if kind.is_link() && is_urn(value) {
            self.scratch.links.push(Span::new(text.start, text.end));
        }
        // A wrong id or reference is still the one that is there; data that is no base64 is no attachment.
        if element.role != 0 && (problem.is_none() || element.role != Role::ATTACHMENT) {
            self.note_text(element, text, value);
        }
    }

    /// Notes texts that play a role.
    fn note_text(&mut self, element: &Element, text: Text, value: &[u8]) {
        let span = Span::new(text.start, text.end);
        match element.role {
            Role::REFERENCE => self.reference(text, value),
            Role::REFERENCE_TYPE => {
                if let Some(kind) = ResourceType::from_bytes(value) {
                    self.check_target(kind);
                }
            }
            Role::CODING_SYSTEM | Role::CODING_CODE => self.coding_part(element.role, value),
            Role::ID if self.scratch.path.len() == 1 => self.head.id = Some(span),
            Role::ID if self.is_in_contained() => self.scratch.containment.push_resource(span, self.kind),
            Role::IDENTIFIER_SYSTEM => {
                if let Some(identifier) = self.own_identifier() {
                    identifier.system = Some(span);
                }
            }
            Role::IDENTIFIER_VALUE => {
                if let Some(identifier) = self.own_identifier() {
                    identifier.value = Some(span);
                }
            }
            Role::ATTACHMENT if span.len() > ATTACHMENT_INLINE_BYTES && !text.has_escape => {
                self.scratch.attachments.push(span);
            }
            _ => {}
        }
    }

    /// Notes members of the resource that a server sets.
    pub(crate) fn note_member(&mut self, element: &Element, member: Span) {
        match (element.role, self.scratch.path.as_slice()) {
            (Role::TYPE, [_]) => self.head.type_member = member,
            (Role::META, [_]) => self.head.meta.meta = Some(member),
            (Role::VERSION_ID, [meta, _]) if is_role(meta, Role::META) => {
                self.head.meta.version_id = Some(member)
            }
            (Role::LAST_UPDATED, [meta, _]) if is_role(meta, Role::META) => {
                self.head.meta.last_updated = Some(member);
            }
            _ => {}
        }
    }

    fn is_in_contained(&self) -> bool {
        matches!(self.scratch.path.as_slice(), [.., parent, _] if is_role(parent, Role::CONTAINED))
    }

    /// One of the resource's own identifiers, from its `{`.
    pub(crate) fn identifier(&mut self, context: ContextNumber) -> Result<(), Stop> {
        if self.scratch.path.len() == 1 {
            self.scratch.identifiers.push(IdentifierSpan::default());
        }
        self.object(context)
    }

    /// The identifier of the resource whose direct member is being walked.
    fn own_identifier(&mut self) -> Option<&mut IdentifierSpan> {
        match self.scratch.path.as_slice() {
            [parent, _] if is_role(parent, Role::IDENTIFIER) => self.scratch.identifiers.last_mut(),
            _ => None,
        }
    }

    fn reference(&mut self, text: Text, value: &[u8]) {
        let span = Span::new(text.start, text.end);
        let own = self.holder().filter(|_| self.level == 0);
        let compartments = own.map_or(0, |holder| holder.compartments);
        self.scratch.references.push(ReferenceSpan { span, has_escape: text.has_escape, compartments });
        let reference = Reference::parse(std::str::from_utf8(value).unwrap_or_default());
        if let Some(kind) = reference.resource_type() {
            self.check_target(kind);
        }
        if let Reference::Contained(_) = reference
            && !text.has_escape
        {
            let id = Span::new(text.start + 1, text.end);
            let targets = self.holder().map_or(0, |holder| holder.targets);
            self.scratch.containment.push_reference(id, targets, &self.scratch.path);
        }
        if self.head.patient.is_none() && compartments & Compartment::Patient.bit() != 0 {
            self.head.patient = patient_id(&reference).and_then(|id| self.find_id(span, id));
        }
    }

    /// The element that holds the Reference whose direct member is being walked.
    fn holder(&self) -> Option<&'static Element> {
        let [.., holder, _] = self.scratch.path.as_slice() else { return None };
        Some(definitions::element(holder.element))
    }

    fn check_target(&mut self, kind: ResourceType) {
        if self.holder().is_some_and(|holder| !definitions::allows_target(holder.targets, kind)) {
            self.issue(IssueType::Structure, "the reference may not point at a resource of this type");
        }
    }

    /// Where the id stands in the text of a relative reference or a UUID.
    fn find_id(&self, span: Span, id: &str) -> Option<Span> {
        let raw = span.bytes(self.json.scanner.bytes);
        let separator =
            raw.iter().position(|&b| b == b'/').or_else(|| raw.iter().rposition(|&b| b == b':'))?;
        let start = span.start as usize + separator + 1;
        raw[separator + 1..].starts_with(id.as_bytes()).then(|| Span::new(start, start + id.len()))
    }

    /// A CodeableConcept with a required binding, from its `{`.
    pub(crate) fn bound_concept(&mut self, element: &Element, context: ContextNumber) -> Result<(), Stop> {
        let depth = self.scratch.path.len();
        let concept = Concept {
            binding: element.binding,
            depth,
            coding: NO_INDEX,
            system_fits: false,
            code_fits: false,
            is_met: false,
        };
        let outer = self.concept.replace(concept);
        self.object(context)?;
        let is_met = self.concept.is_none_or(|concept| concept.is_met);
        self.concept = outer;
        if !is_met {
            self.issue(IssueType::CodeInvalid, "no coding is from the required value set");
        }
        Ok(())
    }

    /// The system or code of a coding in a bound concept; both must fit in the same coding.
    fn coding_part(&mut self, role: u8, value: &[u8]) {
        let [.., step, _] = self.scratch.path.as_slice() else { return };
        let depth = self.scratch.path.len();
        let Some(concept) = self.concept.as_mut().filter(|concept| depth == concept.depth + 2) else {
            return;
        };
        if concept.coding != step.index {
            *concept = Concept { coding: step.index, system_fits: false, code_fits: false, ..*concept };
        }
        if role == Role::CODING_SYSTEM {
            concept.system_fits = definitions::allows_system(concept.binding, value);
        } else {
            concept.code_fits = definitions::allows_code(concept.binding, value);
        }
        concept.is_met |= concept.system_fits && concept.code_fits;
    }
}

fn is_urn(value: &[u8]) -> bool {
    value.starts_with(b"urn:uuid:") || value.starts_with(b"urn:oid:")
}

fn patient_id<'a>(reference: &Reference<'a>) -> Option<&'a str> {
    match *reference {
        Reference::Relative { resource_type, id, .. }
            if resource_type.name() == Compartment::Patient.code() =>
        {
            Some(id)
        }
        Reference::Uuid(uuid) => Some(uuid),
        _ => None,
    }
}

fn is_role(step: &Step, role: u8) -> bool {
    definitions::element(step.element).role == role
}
