//! Trees while they grow, and their way into tables.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use keepwell_fhir::{ElementNumber, ResourceType};

use super::{Action, Edge, Node, Tries};

/// A tree that can still grow.
#[derive(Clone, Default)]
pub(crate) struct Builder {
    children: BTreeMap<u16, Self>,
    actions: BTreeSet<Action>,
}

impl Builder {
    /// The tree of a type as it is in tables.
    pub(crate) fn of(tries: &Tries, resource_type: ResourceType) -> Self {
        Self::load(tries, tries.root(resource_type))
    }

    fn load(tries: &Tries, number: u16) -> Self {
        let node = &tries.nodes[usize::from(number)];
        let edges = &tries.edges[usize::from(node.edges)..][..usize::from(node.edge_count)];
        let children = edges.iter().map(|edge| (edge.element, Self::load(tries, edge.node))).collect();
        Self { children, actions: tries.actions(number).iter().copied().collect() }
    }

    /// Adds an action at the end of a way.
    pub(crate) fn add(&mut self, way: &[ElementNumber], action: Action) {
        let mut node = self;
        for element in way {
            node = node.children.entry(element.as_u16()).or_default();
        }
        node.actions.insert(action);
    }

    /// Puts the tree of a type into tables; the same subtrees are there once.
    ///
    /// # Errors
    /// If the tables would grow over what their numbers can hold.
    pub(crate) fn store(
        &self,
        tries: &mut Tries,
        known: &mut Known,
        resource_type: ResourceType,
    ) -> Result<(), TooMany> {
        let root = self.put(tries, known)?;
        tries.roots.to_mut()[usize::from(resource_type.code()) - 1] = root;
        Ok(())
    }

    fn put(&self, tries: &mut Tries, known: &mut Known) -> Result<u16, TooMany> {
        let mut edges = Vec::with_capacity(self.children.len());
        for (element, child) in &self.children {
            edges.push(Edge { element: *element, node: child.put(tries, known)? });
        }
        let actions: Vec<Action> = self.actions.iter().copied().collect();
        if let Some(number) = known.0.get(&(edges.clone(), actions.clone())) {
            return Ok(*number);
        }
        let number = u16::try_from(tries.nodes.len()).map_err(|_| TooMany)?;
        let node = Node {
            mask: edges.iter().fold(0, |mask, edge| mask | 1 << (edge.element & 63)),
            edges: u16::try_from(tries.edges.len()).map_err(|_| TooMany)?,
            edge_count: u8::try_from(edges.len()).map_err(|_| TooMany)?,
            actions: u16::try_from(tries.actions.len()).map_err(|_| TooMany)?,
            action_count: u8::try_from(actions.len()).map_err(|_| TooMany)?,
        };
        tries.nodes.to_mut().push(node);
        tries.edges.to_mut().extend_from_slice(&edges);
        tries.actions.to_mut().extend_from_slice(&actions);
        known.0.insert((edges, actions), number);
        Ok(number)
    }
}

/// There are more parameters than tables can hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TooMany;

/// The nodes that are there, by what they are.
pub(crate) struct Known(HashMap<(Vec<Edge>, Vec<Action>), u16>);

impl Known {
    pub(crate) fn of(tries: &Tries) -> Self {
        let describe = |(number, node): (u16, &Node)| {
            let edges = tries.edges[usize::from(node.edges)..][..usize::from(node.edge_count)].to_vec();
            ((edges, tries.actions(number).to_vec()), number)
        };
        Self((0..).zip(tries.nodes.iter()).map(describe).collect())
    }
}

impl Tries {
    /// Tables without any parameter.
    pub(crate) fn empty() -> Self {
        let nodes = Cow::Owned(vec![Node { mask: 0, edges: 0, edge_count: 0, action_count: 0, actions: 0 }]);
        let roots = Cow::Owned(vec![0; ResourceType::COUNT]);
        Self { nodes, edges: Cow::default(), actions: Cow::default(), programs: Cow::default(), roots }
    }
}
