//! The rules: what the definitions of R4 and the reviewed file `rules.txt` say about each element.
//!
//! They are compiled at first use, into a table by the number of the element. A test compiles them too, so the file
//! that is built in always compiles.

mod compile;
mod source;

use std::sync::LazyLock;

use keepwell_fhir::ResourceType;
use keepwell_fhir::schema::Context;

use crate::key::Key;

/// The version of the rules, for the record of each merge: fleets are mixed, and a merge has to be explainable later.
pub const RULES_VERSION: &str = "m1";

pub(crate) struct Rules {
    /// By the number of the element.
    elements: Vec<ElementRule>,
    lists: Vec<ListRule>,
    /// Whether a group binds only if one of its heads was touched.
    groups: Vec<HasHeads>,
    /// By the code of the resource type.
    types: Vec<TypeRule>,
    /// The names of what a resource is about.
    pub(crate) anchors: Vec<&'static str>,
    /// The names of elements that may say entered-in-error.
    pub(crate) errors: Vec<&'static str>,
    /// The keys of signatures.
    pub(crate) signed: Vec<&'static str>,
}

pub(crate) type HasHeads = bool;
pub(crate) type GroupNumber = u8;
pub(crate) type ListNumber = u8;

#[derive(Clone, Copy, Debug)]
pub(crate) struct ElementRule {
    /// The name in FHIRPath; all types of a choice share it.
    pub(crate) name: &'static str,
    pub(crate) rule: Rule,
    pub(crate) group: Option<GroupNumber>,
    pub(crate) is_head: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rule {
    /// Replaced as a whole; changed by both means conflict.
    Whole,
    /// The same, but two spellings of one target are no conflict.
    Reference,
    /// If both changed it, theirs is taken.
    Theirs,
    /// If both changed it, the resource is in conflict: `implicitRules`, `language`.
    Frame,
    Narrative,
    Modifier,
    /// `meta`: joined by child, and no `meta` is an empty one.
    Meta(Context),
    /// Joined by child.
    Children(Context),
    /// Joined by item.
    List(ListNumber),
}

pub(crate) struct ListRule {
    /// Keys by which items are the same; no merged list has the first one twice.
    pub(crate) identities: Vec<Key>,
    /// Keys by which an item is an edit of an item of the base.
    pub(crate) edits: Vec<Key>,
    pub(crate) item: ItemRule,
    pub(crate) kind: ListKind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ItemRule {
    Whole,
    Children(Context),
    Resource,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ListKind {
    Plain,
    /// Security labels: one that only one side removed stays.
    Labels,
    /// Contained resources: one that is still referred to stays.
    Contained,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    Element,
    Final,
    Immutable,
    Never,
}

#[derive(Clone)]
pub(crate) struct TypeRule {
    pub(crate) class: Class,
    /// The codes of `status` under which the type is joined.
    open: Vec<&'static str>,
}

impl Rules {
    pub(crate) fn get() -> &'static Self {
        static RULES: LazyLock<Rules> = LazyLock::new(|| {
            compile::compile(include_str!("rules.txt")).expect("a test compiles the rules that are built in")
        });
        &RULES
    }

    /// The rule for a key without its `_`, if the context knows it.
    pub(crate) fn element(&self, context: Option<Context>, key: &str) -> Option<ElementRule> {
        let element = context?.find(key.as_bytes())?;
        self.elements.get(usize::from(element.number().as_u16())).copied()
    }

    pub(crate) fn list(&self, number: ListNumber) -> &ListRule {
        &self.lists[usize::from(number)]
    }

    pub(crate) fn has_heads(&self, group: GroupNumber) -> bool {
        self.groups[usize::from(group)]
    }

    pub(crate) fn of_type(&self, kind: ResourceType) -> &TypeRule {
        &self.types[usize::from(kind.code())]
    }
}

impl TypeRule {
    /// Whether the type is joined by element under this status.
    pub(crate) fn is_open(&self, status: Option<&str>) -> bool {
        match self.class {
            Class::Element if self.open.is_empty() => true,
            Class::Element | Class::Final => status.is_some_and(|status| self.open.contains(&status)),
            Class::Immutable | Class::Never => false,
        }
    }
}
