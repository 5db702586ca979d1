//! The ways of all parameters of a type, folded into one tree over the numbers of elements.
//!
//! A walk follows the tree with one test for each element; where a way ends, it finds the [`Action`]s of all
//! parameters that end there.
//!
//! Invariant: a node comes after the nodes below it, so a tree has no cycles.

mod builder;

use std::borrow::Cow;

use keepwell_fhir::{ElementNumber, ResourceType};

use crate::data_type::DataType;
use crate::parameter::ParameterKind;
use crate::parameter::ParameterNumber;
use crate::path::expression::Expression;

pub(crate) use builder::{Builder, Known, TooMany};

/// The trees of all types, and the programs that they feed.
#[derive(Clone, Debug)]
pub(crate) struct Tries {
    pub(crate) nodes: Cow<'static, [Node]>,
    pub(crate) edges: Cow<'static, [Edge]>,
    pub(crate) actions: Cow<'static, [Action]>,
    pub(crate) programs: Cow<'static, [Program]>,
    /// The node of each type, by its code from 1.
    pub(crate) roots: Cow<'static, [u16]>,
}

/// An element on the way of some parameter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Node {
    /// A bit for the number of each child, modulo 64: most elements are no child, and told by it.
    pub(crate) mask: u64,
    pub(crate) edges: u16,
    pub(crate) edge_count: u8,
    pub(crate) action_count: u8,
    pub(crate) actions: u16,
}

/// From a node to one of its children; sorted by element.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Edge {
    pub(crate) element: u16,
    pub(crate) node: u16,
}

/// What a parameter does with an element.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Action {
    pub(crate) number: ParameterNumber,
    pub(crate) what: What,
}

/// What is done. The order counts: the parts of an element come before its tuples.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum What {
    /// The element has values of the parameter.
    Value { kind: ParameterKind, data_type: DataType },
    /// The same for a reference, if it points at a type.
    Target { kind: ParameterKind, data_type: DataType, target: ResourceType },
    /// The element is one that a program starts from.
    Operand { program: u16, operand: u8, element: u16 },
    /// A program runs over what it starts from; at the root of a tree.
    Run { program: u16 },
    /// The element has a part of the tuples of a composite parameter.
    Part { group: u8, part: u8, kind: ParameterKind, data_type: DataType },
    /// Such tuples come from the element.
    Group { group: u8, parts: u8 },
}

/// A part that is looked for in the whole resource.
pub(crate) const ANY_GROUP: u8 = u8::MAX;

/// What a parameter does with the elements that were found by themselves.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Program {
    pub(crate) number: ParameterNumber,
    pub(crate) kind: ParameterKind,
    pub(crate) operands: u8,
    pub(crate) expression: Expression,
}

impl Tries {
    /// The tree of a type.
    pub(crate) fn root(&self, resource_type: ResourceType) -> u16 {
        self.roots[usize::from(resource_type.code()) - 1]
    }

    /// The child of a node at an element.
    #[inline(always)]
    pub(crate) fn child(&self, node: u16, element: ElementNumber) -> Option<u16> {
        let node = &self.nodes[usize::from(node)];
        let element = element.as_u16();
        if node.mask >> (element & 63) & 1 == 0 {
            return None;
        }
        let edges = &self.edges[usize::from(node.edges)..][..usize::from(node.edge_count)];
        edges.iter().find(|edge| edge.element == element).map(|edge| edge.node)
    }

    /// Whether a way ends at a node.
    #[inline(always)]
    pub(crate) fn has_actions(&self, node: u16) -> bool {
        self.nodes[usize::from(node)].action_count > 0
    }

    /// What the parameters that end at a node do.
    #[inline(always)]
    pub(crate) fn actions(&self, node: u16) -> &[Action] {
        let node = &self.nodes[usize::from(node)];
        &self.actions[usize::from(node.actions)..][..usize::from(node.action_count)]
    }
}

/// For the committed table.
pub(crate) const fn node(mask: u64, edges: u16, edge_count: u8, actions: u16, action_count: u8) -> Node {
    Node { mask, edges, edge_count, action_count, actions }
}

/// For the committed table.
pub(crate) const fn edge(element: u16, node: u16) -> Edge {
    Edge { element, node }
}
