//! One walk over one document: objects, arrays and values against the definitions.
//!
//! The grammar and the definitions are followed by the same recursion, whose depth [`crate::MAX_DEPTH`] bounds. What no
//! definition knows is walked by the grammar alone, so that syntax errors are found everywhere.
//!
//! Invariant: at the end of each object, the stacks in the scratch memory are as they were at its start.

use std::borrow::Cow;

use crate::compartment::Compartment;
use crate::definitions::{self, ContextNumber, Element, FIRST_CONTEXT, PLAIN, REPEATS, RESOURCE};
use crate::grammar::Grammar;
use crate::outcome::{IssueType, Severity};
use crate::path::{NO_INDEX, Step, expression};
use crate::primitive::Primitive;
use crate::resource_type::ResourceType;
use crate::scanner::{Scanner, Stop, Text};
use crate::schema::ElementNumber;
use crate::seen::Seen;
use crate::span::{Span, to_u32};
use crate::string::decode;
use crate::syntax::{SyntaxError, SyntaxErrorKind as Kind};
use crate::values::{Concept, Role};
use crate::visitor::Visitor;
use crate::walker::{MAX_RESOURCE_DEPTH, MetaSpans, Scratch};

/// An array of primitive values (`given`) or of their extensions (`_given`), to be compared with its twin.
#[derive(Clone, Copy)]
pub(crate) struct Twin {
    /// The element's place in its context.
    position: u16,
    is_extension: bool,
    length: u32,
    /// Where the places of its nulls are in the list of nulls.
    nulls: (u32, u32),
}

/// What a walk learns about the resource as a whole.
pub(crate) struct Head {
    pub(crate) resource_type: ResourceType,
    pub(crate) id: Option<Span>,
    pub(crate) meta: MetaSpans,
    pub(crate) patient: Option<Span>,
    pub(crate) type_member: Span,
}

pub(crate) struct Pass<'a, 's, V> {
    pub(crate) json: Grammar<'a, 's>,
    pub(crate) scratch: &'s mut Scratch,
    visitor: &'s mut V,
    pub(crate) head: Head,
    /// The type of the current resource.
    pub(crate) kind: ResourceType,
    /// How many resources are around the current one.
    pub(crate) level: usize,
    /// Whether the current resource is contained in another one.
    is_contained: bool,
    /// The CodeableConcept with a required binding that is being walked.
    pub(crate) concept: Option<Concept>,
}

impl<'a, 's, V: Visitor> Pass<'a, 's, V> {
    /// Walks over the whole document as a resource.
    pub(crate) fn document(
        mut json: Grammar<'a, 's>,
        scratch: &'s mut Scratch,
        visitor: &'s mut V,
    ) -> Result<Head, SyntaxError> {
        let is_object = json.scanner.peek() == b'{';
        let start = json.scanner.at;
        let found = if is_object { resource_type(&json.scanner) } else { Err(Kind::NotAnObject) };
        match found {
            Ok(kind) => Pass::new(json, scratch, visitor, kind).resource(),
            Err(kind) => {
                // A mistake in the grammar is the better message, if there is one.
                json.document()?;
                Err(SyntaxError { offset: start, kind })
            }
        }
    }

    fn new(
        json: Grammar<'a, 's>,
        scratch: &'s mut Scratch,
        visitor: &'s mut V,
        resource_type: ResourceType,
    ) -> Self {
        let (meta, type_member) = (MetaSpans::default(), Span::default());
        let head = Head { resource_type, id: None, meta, patient: None, type_member };
        Self {
            json,
            scratch,
            visitor,
            head,
            kind: resource_type,
            level: 0,
            is_contained: false,
            concept: None,
        }
    }

    fn resource(mut self) -> Result<Head, SyntaxError> {
        let kind = self.head.resource_type;
        self.visitor.begin(kind);
        let found = self.object_with_contained(kind).and_then(|()| self.json.scanner.finish());
        found.map_err(|stop| self.json.scanner.failure(stop))?;
        if kind.name() == Compartment::Patient.code() {
            self.head.patient = self.head.id;
        }
        Ok(self.head)
    }

    /// A resource inside a resource, from its `{`.
    fn nested_resource(&mut self, element: &Element) -> Result<(), Stop> {
        let Ok(kind) = resource_type(&self.json.scanner) else {
            self.issue(IssueType::Structure, "the resource has no resourceType of fhir r4");
            return self.json.value();
        };
        let is_contained = element.role == Role::CONTAINED;
        if is_contained && self.is_contained {
            self.issue(IssueType::Invariant, "a contained resource may not contain another one");
        }
        if self.level == MAX_RESOURCE_DEPTH {
            return Err(self.json.scanner.stop(self.json.scanner.at, Kind::TooDeep));
        }
        let outer = (self.level, self.is_contained);
        (self.level, self.is_contained) = (self.level + 1, is_contained);
        let start = self.json.scanner.at;
        self.object_with_contained(kind)?;
        (self.level, self.is_contained) = outer;
        self.visitor.nested(kind, is_contained, Span::new(start, self.json.scanner.at));
        Ok(())
    }

    /// An object of a known kind, from its `{`.
    pub(crate) fn object(&mut self, context: ContextNumber) -> Result<(), Stop> {
        let (keys, twins) = (self.json.keys.mark(), self.scratch.twins.len());
        let mut seen = Seen::default();
        let mut is_last = self.json.enter(b'}')?;
        if is_last {
            self.issue(IssueType::Structure, "an object may not be empty");
        }
        while !is_last {
            let key = self.json.key()?;
            self.member(context, key, &mut seen)?;
            is_last = self.json.is_last(b'}')?;
        }
        self.json.leave();
        self.check_rules(context, &seen);
        if self.scratch.twins.len() > twins {
            self.check_twins(context, twins);
        }
        self.json.unique_keys(keys)
    }

    /// The value behind a key.
    #[inline(always)]
    fn member(&mut self, context: ContextNumber, key: Text, seen: &mut Seen) -> Result<(), Stop> {
        let bytes = self.json.scanner.bytes;
        let found = find_key(context, &plain_text(bytes, key));
        let Some((position, is_extension)) = found else {
            self.json.keys.push(key, bytes);
            self.issue(IssueType::Structure, "the element is not known here");
            return self.json.value();
        };
        if !seen.insert(position, is_extension) {
            return Err(self.json.scanner.stop(key.start, Kind::DuplicateKey));
        }
        let number = definitions::first_element(context) + position;
        let element = definitions::element(number);
        self.scratch.path.push(Step { context, element: number, index: NO_INDEX });
        if is_extension {
            self.element_value(element, FIRST_CONTEXT + definitions::ELEMENT, position, true)?;
        } else {
            self.element_value(element, element.kind, position, false)?;
            if element.role != 0 {
                self.note_member(element, Span::new(key.start - 1, self.json.scanner.at));
            }
        }
        self.scratch.path.pop();
        Ok(())
    }

    /// The value or array of values of an element, or of its extensions.
    #[inline(always)]
    fn element_value(
        &mut self,
        element: &Element,
        kind: u16,
        position: u16,
        is_extension: bool,
    ) -> Result<(), Stop> {
        let repeats = element.flags & REPEATS != 0;
        if self.json.scanner.peek() == b'[' {
            if !repeats {
                self.issue(IssueType::Structure, "the element does not repeat, so it may not be an array");
            }
            return self.array(element, kind, position, is_extension);
        }
        if repeats {
            self.issue(IssueType::Structure, "the element repeats, so it must be an array");
        }
        self.visit(element, kind, is_extension)
    }

    /// One value, of which the visitor is told.
    #[inline(always)]
    fn visit(&mut self, element: &Element, kind: u16, is_extension: bool) -> Result<(), Stop> {
        let number = self.scratch.path.last().map_or(0, |step| step.element);
        self.visitor.enter(ElementNumber::new(number, is_extension));
        self.json.scanner.peek();
        let start = self.json.scanner.at;
        self.value(element, kind)?;
        self.visitor.leave(Span::new(start, self.json.scanner.at));
        Ok(())
    }

    /// An array, from its `[`.
    fn array(&mut self, element: &Element, kind: u16, position: u16, is_extension: bool) -> Result<(), Stop> {
        let has_twin = element.kind < RESOURCE;
        let nulls = self.scratch.nulls.len();
        let mut length = 0;
        let mut is_last = self.json.enter(b']')?;
        if is_last {
            self.issue(IssueType::Structure, "an array may not be empty");
        }
        while !is_last {
            self.set_index(length);
            if has_twin && self.json.scanner.peek() == b'n' {
                self.json.scanner.literal(b"null")?;
                self.scratch.nulls.push(length);
            } else {
                self.visit(element, kind, is_extension)?;
            }
            length += 1;
            is_last = self.json.is_last(b']')?;
        }
        self.set_index(NO_INDEX);
        self.json.leave();
        if has_twin {
            let nulls = (to_u32(nulls), to_u32(self.scratch.nulls.len()));
            self.scratch.twins.push(Twin { position, is_extension, length, nulls });
        }
        Ok(())
    }

    fn set_index(&mut self, index: u32) {
        if let Some(step) = self.scratch.path.last_mut() {
            step.index = index;
        }
    }

    /// One value of a known kind.
    #[inline(always)]
    fn value(&mut self, element: &Element, kind: u16) -> Result<(), Stop> {
        if let Some(primitive) = Primitive::from_kind(kind) {
            return self.primitive(primitive, element);
        }
        match self.json.scanner.peek() {
            b'{' if kind == RESOURCE => self.nested_resource(element),
            b'{' if element.role == Role::IDENTIFIER => self.identifier(kind - FIRST_CONTEXT),
            b'{' if element.binding != 0 && kind == element.kind => {
                self.bound_concept(element, kind - FIRST_CONTEXT)
            }
            b'{' => self.object(kind - FIRST_CONTEXT),
            b'n' => self.stray_null(),
            _ => {
                self.issue(IssueType::Structure, "the value must be an object");
                self.json.value()
            }
        }
    }

    pub(crate) fn stray_null(&mut self) -> Result<(), Stop> {
        self.issue(IssueType::Structure, "null is only allowed in arrays, beside an extension");
        self.json.scanner.literal(b"null")
    }

    /// A resource and what it contains.
    fn object_with_contained(&mut self, kind: ResourceType) -> Result<(), Stop> {
        let mark = self.scratch.containment.mark();
        let outer = std::mem::replace(&mut self.kind, kind);
        self.object(definitions::resource_context(kind))?;
        self.kind = outer;
        // What a contained resource refers to lies beside it, so its container checks that.
        if !self.is_contained {
            self.check_contained(mark, kind);
        }
        Ok(())
    }

    /// What is required and what excludes each other.
    #[inline(always)]
    fn check_rules(&mut self, context: ContextNumber, seen: &Seen) {
        for rule in definitions::rules(context) {
            let count = seen.count(rule.first, rule.last);
            if count == 0 && rule.required {
                let name = definitions::name(rule.name);
                self.issue_at(
                    Severity::Error,
                    IssueType::Required,
                    "the required element is missing",
                    Some(name),
                );
            } else if count > 1 {
                let name = definitions::name(rule.name);
                self.issue_at(
                    Severity::Error,
                    IssueType::Structure,
                    "only one type of value is allowed",
                    Some(name),
                );
            }
        }
    }

    /// Each place of a primitive array must have a value or an extension.
    fn check_twins(&mut self, context: ContextNumber, mark: usize) {
        while self.scratch.twins.len() > mark {
            let Some(one) = self.scratch.twins.pop() else { break };
            let rest = &mut self.scratch.twins[mark..];
            let other = rest.iter().position(|twin| twin.position == one.position);
            let other = other.map(|index| self.scratch.twins.swap_remove(mark + index));
            let element = definitions::first_element(context) + one.position;
            self.scratch.path.push(Step { context, element, index: NO_INDEX });
            self.check_twin(one, other);
            self.scratch.path.pop();
        }
        if mark == 0 {
            self.scratch.nulls.clear();
        }
    }

    fn check_twin(&mut self, one: Twin, other: Option<Twin>) {
        if let Some(other) = other
            && other.length != one.length
        {
            let text = "the arrays of values and of their extensions differ in length";
            self.issue_at(Severity::Warning, IssueType::Structure, text, None);
        }
        let (mut values, mut extensions) = (Some(one), other);
        if one.is_extension {
            (values, extensions) = (extensions, values);
        }
        let length = one.length.max(other.map_or(0, |other| other.length));
        let has_nulls =
            |twin: Option<Twin>| twin.is_none_or(|twin| twin.nulls.0 < twin.nulls.1 || twin.length < length);
        if has_nulls(values) && has_nulls(extensions) {
            let missing =
                |pass: &Self, twin: Option<Twin>, place| twin.is_none_or(|twin| pass.is_null(twin, place));
            for place in 0..length {
                if missing(self, values, place) && missing(self, extensions, place) {
                    self.set_index(place);
                    self.issue(IssueType::Structure, "null needs an extension at the same place");
                }
            }
        }
    }

    fn is_null(&self, twin: Twin, place: u32) -> bool {
        let nulls = &self.scratch.nulls[twin.nulls.0 as usize..twin.nulls.1 as usize];
        place >= twin.length || nulls.binary_search(&place).is_ok()
    }

    /// Notes an error at the current element.
    #[cold]
    pub(crate) fn issue(&mut self, code: IssueType, diagnostics: &'static str) {
        self.issue_at(Severity::Error, code, diagnostics, None);
    }

    /// Notes a problem at the current element or at a child of it.
    #[cold]
    pub(crate) fn issue_at(
        &mut self,
        severity: Severity,
        code: IssueType,
        diagnostics: &'static str,
        child: Option<&str>,
    ) {
        let Scratch { issues, path, .. } = &mut *self.scratch;
        let root = self.head.resource_type;
        issues.push(severity, code, diagnostics, || expression(root, path, child));
    }
}

/// Looks ahead for the type of the resource that starts here. The first key has it, as a rule; where it has
/// not, the resource is read twice, which [`MAX_RESOURCE_DEPTH`] keeps harmless.
fn resource_type(scanner: &Scanner<'_>) -> Result<ResourceType, Kind> {
    let mut ahead = scanner.ahead();
    let text = ahead.resource_type().ok_or(Kind::NoResourceType)?;
    ResourceType::from_bytes(&plain_text(scanner.bytes, text)).ok_or(Kind::UnknownResourceType)
}

impl Scanner<'_> {
    /// The text of `resourceType` in the object that starts here, without checking anything else.
    fn resource_type(&mut self) -> Option<Text> {
        self.at += 1;
        loop {
            if self.peek() != b'"' {
                return None;
            }
            let key = self.string().ok()?;
            self.expect(b':').ok()?;
            if *plain_text(self.bytes, key) == *b"resourceType" {
                return if self.peek() == b'"' { self.string().ok() } else { None };
            }
            self.skip_value()?;
            if self.peek() != b',' {
                return None;
            }
            self.at += 1;
        }
    }

    /// Moves behind a value by counting brackets.
    fn skip_value(&mut self) -> Option<()> {
        let mut open = 0_u32;
        loop {
            match self.peek() {
                0 => return None,
                b'"' => drop(self.string().ok()?),
                b'{' | b'[' => {
                    open += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    open = open.checked_sub(1)?;
                    self.at += 1;
                }
                _ => self.at += 1,
            }
            if open == 0 && matches!(self.peek(), b',' | b'}' | b']') {
                return Some(());
            }
        }
    }
}

/// The place of a key in its context, and whether it is the `_` twin that holds extensions.
#[inline(always)]
fn find_key(context: ContextNumber, key: &[u8]) -> Option<(u16, bool)> {
    if key.first() != Some(&b'_') {
        return definitions::find_element(context, key).map(|position| (position, false));
    }
    let position = definitions::find_element(context, &key[1..])?;
    let element = definitions::element(definitions::first_element(context) + position);
    (element.kind < RESOURCE && element.flags & PLAIN == 0).then_some((position, true))
}

/// The text of a token with escapes undone.
#[inline(always)]
fn plain_text(bytes: &[u8], text: Text) -> Cow<'_, [u8]> {
    let raw = &bytes[text.start..text.end];
    if !text.has_escape {
        return Cow::Borrowed(raw);
    }
    let mut decoded = Vec::new();
    decode(raw, &mut decoded);
    Cow::Owned(decoded)
}
