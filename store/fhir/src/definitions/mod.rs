//! The definitions of FHIR R4, compiled: which keys an object has and what each of them may hold.
//!
//! The tables in `r4.rs` are written by `examples/generate_definitions`; a test compares them with the
//! official files. Nothing is computed at start-up.

mod layout;
#[rustfmt::skip]
mod r4;

pub(crate) use layout::{COMPARTMENTS, ROLES};
pub(crate) use layout::{
    Element, FIRST_CONTEXT, MANY_SYSTEMS, MODIFIER, PLAIN, PRIMITIVES, REPEATS, RESOURCE, Rule, SUMMARY,
};
pub(crate) use r4::{COMPARTMENT_PARAMETERS, DATA_TYPES, ELEMENT};

use layout::{Context, FREE, Hash, Key};

use crate::resource_type::ResourceType;

/// The number of an element in the table of all elements.
pub(crate) type ElementNumber = u16;
/// The number of a context in the table of all contexts.
pub(crate) type ContextNumber = u16;

pub(crate) fn element(number: ElementNumber) -> &'static Element {
    &r4::ELEMENTS[usize::from(number)]
}

pub(crate) fn name(number: u16) -> &'static str {
    r4::NAMES[usize::from(number)].text
}

/// The context of a resource type: the first ones, in the order of their codes.
pub(crate) const fn resource_context(kind: ResourceType) -> ContextNumber {
    kind.code() as u16 - 1
}

/// The first element of a context; positions count from it.
pub(crate) fn first_element(context: ContextNumber) -> ElementNumber {
    r4::CONTEXTS[usize::from(context)].elements
}

/// The elements of a context: contexts and their elements stand in the same order.
pub(crate) fn elements(context: ContextNumber) -> std::ops::Range<ElementNumber> {
    let next = r4::CONTEXTS.get(usize::from(context) + 1).map(|next| usize::from(next.elements));
    let end = next.unwrap_or(r4::ELEMENTS.len());
    first_element(context)..ElementNumber::try_from(end).expect("elements have numbers of 16 bits")
}

/// The rules of a context: what is required and what excludes each other.
pub(crate) fn rules(context: ContextNumber) -> &'static [Rule] {
    let Context { rules, rule_count, .. } = r4::CONTEXTS[usize::from(context)];
    &r4::RULES[usize::from(rules)..][..usize::from(rule_count)]
}

/// The position of the element with this key in its context.
#[inline(always)]
pub(crate) fn find_element(context: ContextNumber, key: &[u8]) -> Option<u16> {
    let context = &r4::CONTEXTS[usize::from(context)];
    find(&context.hash, key, |position| r4::ELEMENTS[usize::from(context.elements + position)].name)
}

/// The code of the resource type with this name.
pub(crate) fn find_resource_type(text: &[u8]) -> Option<u8> {
    let position = find(&r4::TYPE_HASH, text, |position| position)?;
    u8::try_from(position + 1).ok()
}

/// Whether a required binding (by its number in [`Element::binding`]) allows this code.
pub(crate) fn allows_code(binding: u8, code: &[u8]) -> bool {
    let value_set = &r4::VALUE_SETS[usize::from(binding) - 1];
    find(&value_set.hash, code, |position| r4::CODES[usize::from(value_set.codes + position)]).is_some()
}

/// Whether a required binding allows codes of this system.
pub(crate) fn allows_system(binding: u8, system: &[u8]) -> bool {
    let value_set = &r4::VALUE_SETS[usize::from(binding) - 1];
    value_set.system == MANY_SYSTEMS || name(value_set.system).as_bytes() == system
}

/// Whether a set of reference targets holds the type.
pub(crate) fn allows_target(targets: u8, kind: ResourceType) -> bool {
    let code = usize::from(kind.code());
    targets == 0 || r4::TARGETS[usize::from(targets)][code / 64] >> (code % 64) & 1 == 1
}

#[inline(always)]
fn find(hash: &Hash, text: &[u8], name_at: impl Fn(u16) -> u16) -> Option<u16> {
    let key = Key::of(text);
    let size = 1 << hash.bits;
    let table = &r4::SLOTS[hash.slots as usize..][..size];
    let mut slot = key.slot(hash);
    loop {
        let position = table[slot & (size - 1)];
        if position == FREE {
            return None;
        }
        let name = &r4::NAMES[usize::from(name_at(position))];
        if name.key == key && (text.len() <= 16 || name.text.as_bytes() == text) {
            return Some(position);
        }
        slot += 1;
    }
}
