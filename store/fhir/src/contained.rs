//! Contained resources, and the local references (`#id`) to them.
//!
//! A reference may stand in front of what it points at, so both are collected and compared at the end of the
//! resource that contains them (R4 references.html#contained).

use crate::definitions;
use crate::outcome::{IssueType, Severity};
use crate::pass::Pass;
use crate::path::{Step, expression};
use crate::resource_type::ResourceType;
use crate::span::{Span, to_u32};
use crate::visitor::Visitor;

struct Resource {
    id: Span,
    kind: ResourceType,
}

struct LocalReference {
    /// The id behind the `#`.
    id: Span,
    /// The set of types it may point at.
    targets: u8,
    /// Its path, as a range of the collected steps.
    steps: (u32, u32),
}

/// What the open containers hold so far: stacks, each container looks only above its own mark.
#[derive(Default)]
pub(crate) struct Containment {
    resources: Vec<Resource>,
    references: Vec<LocalReference>,
    steps: Vec<Step>,
}

/// The heights of the stacks where a container starts.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    resources: usize,
    references: usize,
    steps: usize,
}

impl Containment {
    pub(crate) fn clear(&mut self) {
        self.truncate(Mark { resources: 0, references: 0, steps: 0 });
    }

    pub(crate) const fn mark(&self) -> Mark {
        Mark { resources: self.resources.len(), references: self.references.len(), steps: self.steps.len() }
    }

    fn truncate(&mut self, mark: Mark) {
        self.resources.truncate(mark.resources);
        self.references.truncate(mark.references);
        self.steps.truncate(mark.steps);
    }

    pub(crate) fn push_resource(&mut self, id: Span, kind: ResourceType) {
        self.resources.push(Resource { id, kind });
    }

    pub(crate) fn push_reference(&mut self, id: Span, targets: u8, path: &[Step]) {
        let start = to_u32(self.steps.len());
        self.steps.extend_from_slice(path);
        self.references.push(LocalReference { id, targets, steps: (start, to_u32(self.steps.len())) });
    }
}

impl<V: Visitor> Pass<'_, '_, V> {
    /// Ends a container: ids are unique, local references find a resource of an allowed type.
    pub(crate) fn check_contained(&mut self, mark: Mark, container: ResourceType) {
        let mut containment = std::mem::take(&mut self.scratch.containment);
        let document = self.json.scanner.bytes;
        let resources = &mut containment.resources[mark.resources..];
        resources.sort_unstable_by(|a, b| a.id.bytes(document).cmp(b.id.bytes(document)));
        if resources.windows(2).any(|pair| pair[0].id.bytes(document) == pair[1].id.bytes(document)) {
            let text = "two contained resources have the same id";
            self.issue_at(Severity::Error, IssueType::Duplicate, text, Some("contained"));
        }
        for reference in &containment.references[mark.references..] {
            let id = reference.id.bytes(document);
            let found = resources.binary_search_by(|resource| resource.id.bytes(document).cmp(id));
            // `#` alone is the container.
            let kind =
                if id.is_empty() { Some(container) } else { found.ok().map(|place| resources[place].kind) };
            let (code, text) = match kind {
                Some(kind) if definitions::allows_target(reference.targets, kind) => continue,
                Some(_) => (IssueType::Structure, "the reference may not point at a resource of this type"),
                None => (IssueType::Invariant, "no contained resource has the id of the reference"),
            };
            let path = &containment.steps[reference.steps.0 as usize..reference.steps.1 as usize];
            let root = self.head.resource_type;
            self.scratch.issues.push(Severity::Error, code, text, || expression(root, path, None));
        }
        containment.truncate(mark);
        self.scratch.containment = containment;
    }
}
