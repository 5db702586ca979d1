//! Where the walker is, as FHIRPath.

use std::fmt::Write as _;

use crate::definitions::{self, ContextNumber, ElementNumber};
use crate::primitive::Primitive;
use crate::resource_type::ResourceType;

/// One element on the way from the root.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    /// The context the element belongs to.
    pub(crate) context: ContextNumber,
    pub(crate) element: ElementNumber,
    /// The place in the array, or [`NO_INDEX`].
    pub(crate) index: u32,
}

/// The element is no array, or the array itself is meant.
pub(crate) const NO_INDEX: u32 = u32::MAX;

/// The FHIRPath of a path: `Patient.name[0].given[1]`, `Observation.value.ofType(Quantity).unit`.
pub(crate) fn expression(root: ResourceType, path: &[Step], child: Option<&str>) -> String {
    let mut out = String::from(root.name());
    for step in path {
        push_step(&mut out, step);
    }
    if let Some(child) = child {
        out.push('.');
        out.push_str(child);
    }
    out
}

fn push_step(out: &mut String, step: &Step) {
    let element = definitions::element(step.element);
    let name = definitions::name(element.name);
    let position = step.element - definitions::first_element(step.context);
    let mut rules = definitions::rules(step.context).iter();
    let choice = rules.find(|rule| rule.is_choice() && rule.covers(position));
    out.push('.');
    match choice.map(|rule| definitions::name(rule.name)) {
        Some(base) => {
            let suffix = name.strip_prefix(base).unwrap_or(name);
            let kind = Primitive::from_kind(element.kind).map_or(suffix, Primitive::name);
            let _ = write!(out, "{base}.ofType({kind})");
        }
        None => out.push_str(name),
    }
    if step.index != NO_INDEX {
        let _ = write!(out, "[{}]", step.index);
    }
}
