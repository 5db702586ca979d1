//! One element of FHIR in the JSON of its object: the member of its name and, for a primitive, the `_` twin
//! that holds its id and extensions (R4 json.html#primitive).
//!
//! A repeating primitive is two arrays that are read side by side; `null` fills the gaps. The functions
//! here keep the arrays aligned, and leave neither an array without content nor an empty object behind,
//! which R4 forbids.

use super::tree::{Member, Node};

/// One step into the JSON tree.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Hop {
    /// To the member of an object.
    Member(String),
    /// To the item of an array.
    Item(usize),
}

/// The two sides of one element.
#[derive(Debug, Default)]
pub(super) struct Sides<'a> {
    pub(super) value: Option<Node<'a>>,
    pub(super) twin: Option<Node<'a>>,
}

impl<'a> Sides<'a> {
    /// Levels of arrays and objects in the deeper side.
    pub(super) fn depth(&self) -> usize {
        self.value.iter().chain(&self.twin).map(Node::depth).max().unwrap_or(0)
    }

    /// Both sides, with the names of their members.
    fn named(self, name: &str) -> impl Iterator<Item = (String, Option<Node<'a>>)> {
        [(name.to_owned(), self.value), (twin_of(name), self.twin)].into_iter()
    }
}

/// The name of the member that holds the id and extensions of a primitive.
pub(super) fn twin_of(name: &str) -> String {
    format!("_{name}")
}

/// The node at a place of the tree.
pub(super) fn resolve<'n, 'a>(root: &'n Node<'a>, hops: &[Hop]) -> Option<&'n Node<'a>> {
    hops.iter().try_fold(root, |node, hop| match hop {
        Hop::Member(name) => node.get(name),
        Hop::Item(at) => node.as_array()?.get(*at),
    })
}

/// [`resolve`], to be changed.
pub(super) fn resolve_mut<'n, 'a>(root: &'n mut Node<'a>, hops: &[Hop]) -> Option<&'n mut Node<'a>> {
    hops.iter().try_fold(root, |node, hop| match hop {
        Hop::Member(name) => node.get_mut(name),
        Hop::Item(at) => node.as_array_mut()?.get_mut(*at),
    })
}

/// Splits the place of an element into that of its object, its name and its place in the list.
pub(super) fn split(hops: &[Hop]) -> Option<(&[Hop], &str, Option<usize>)> {
    match hops {
        [object @ .., Hop::Member(name)] => Some((object, name, None)),
        [object @ .., Hop::Member(name), Hop::Item(at)] => Some((object, name, Some(*at))),
        _ => None,
    }
}

/// How many items a list has: as many as the longer of its two sides. `None` when it is not a list.
pub(super) fn list_len(object: &Node<'_>, name: &str) -> Option<usize> {
    let side = |name: &str| Some(object.get(name)?.as_array()?.len());
    side(name).max(side(&twin_of(name)))
}

/// Whether an element is there, with a value or with a twin.
pub(super) fn has(object: &Node<'_>, name: &str) -> bool {
    object.get(name).is_some() || object.get(&twin_of(name)).is_some()
}

/// Inserts an item into a list, which is made if there is none.
pub(super) fn insert_item<'a>(object: &mut Node<'a>, name: &str, at: usize, item: Sides<'a>) {
    for (name, side) in item.named(name) {
        if side.is_some() || object.get(&name).is_some() {
            side_of_list(object, &name, at, |items| items.insert(at, side.unwrap_or(Node::NULL)));
        }
    }
}

/// Replaces an item of a list.
pub(super) fn set_item<'a>(object: &mut Node<'a>, name: &str, at: usize, item: Sides<'a>) {
    for (name, side) in item.named(name) {
        if side.is_some() || object.get(&name).is_some() {
            side_of_list(object, &name, at + 1, |items| items[at] = side.unwrap_or(Node::NULL));
        }
    }
    drop_gaps(object, name);
}

/// Makes sure that a primitive has a twin for its id and extensions; it may be empty.
pub(super) fn make_twin(root: &mut Node<'_>, primitive: &[Hop]) {
    let Some((object, name, at)) = split(primitive) else { return };
    let Some(object) = resolve_mut(root, object) else { return };
    let (twin, empty) = (twin_of(name), Node::Object(Vec::new()));
    match at {
        Some(at) => side_of_list(object, &twin, at + 1, |items| {
            if items[at].is_null() {
                items[at] = empty;
            }
        }),
        None if object.get(&twin).is_none() => object.set(&twin, empty),
        None => (),
    }
}

/// Changes one side of a list, which is made if need be and filled up to a length.
fn side_of_list<'a>(object: &mut Node<'a>, side: &str, len: usize, change: impl FnOnce(&mut Vec<Node<'a>>)) {
    if object.get(side).is_none() {
        object.set(side, Node::Array(Vec::new()));
    }
    if let Some(items) = object.get_mut(side).and_then(Node::as_array_mut) {
        items.resize(items.len().max(len), Node::NULL);
        change(items);
    }
}

/// Moves an item of a list; both places are inside the list.
pub(super) fn move_item(object: &mut Node<'_>, name: &str, source: usize, destination: usize) {
    let len = list_len(object, name).unwrap_or(0);
    for name in [name.to_owned(), twin_of(name)] {
        if let Some(items) = object.get_mut(&name).and_then(Node::as_array_mut) {
            items.resize(len, Node::NULL);
            let item = items.remove(source);
            items.insert(destination, item);
        }
    }
}

/// Replaces an element that is no list by one that may have another name: `valueString` by
/// `valueQuantity`. It keeps its place among the members.
pub(super) fn set<'a>(object: &mut Node<'a>, old: &str, new: &str, element: Sides<'a>) {
    let Some(members) = object.as_object_mut() else { return };
    let is_old = |member: &Member<'_>| member.name() == old || member.name().strip_prefix('_') == Some(old);
    let at = members.iter().position(is_old).unwrap_or(members.len());
    members.retain(|member| !is_old(member));
    let sides = element.named(new).filter_map(|(name, side)| Some(Member::new(&name, side?)));
    members.splice(at..at, sides);
}

/// Takes an element away, and whatever it leaves empty.
pub(super) fn remove(root: &mut Node<'_>, hops: &[Hop]) {
    let Some((object_hops, name, at)) = split(hops) else { return };
    let Some(object) = resolve_mut(root, object_hops) else { return };
    // A twin that has become empty is not the element: its value may still be there.
    let (name, whole) = match name.strip_prefix('_') {
        Some(name) => (name, false),
        None => (name, true),
    };
    match at {
        Some(at) => remove_item(object, name, at, whole),
        None => {
            object.remove(&twin_of(name));
            if whole {
                object.remove(name);
            }
        }
    }
    if object.as_object().is_some_and(<[_]>::is_empty) {
        remove(root, object_hops);
    }
}

/// Takes an item out of a list, or only its twin: then the item goes if it has no value either.
fn remove_item(object: &mut Node<'_>, name: &str, at: usize, whole: bool) {
    let value = object.get(name).and_then(|list| list.as_array()?.get(at));
    let whole = whole || value.is_none_or(Node::is_null);
    for side in [name.to_owned(), twin_of(name)] {
        let Some(items) = object.get_mut(&side).and_then(Node::as_array_mut) else { continue };
        if at >= items.len() {
            continue;
        }
        if whole {
            items.remove(at);
        } else if side != name {
            items[at] = Node::NULL;
        }
    }
    drop_gaps(object, name);
}

/// Removes the sides of a list that hold nothing.
fn drop_gaps(object: &mut Node<'_>, name: &str) {
    for side in [name.to_owned(), twin_of(name)] {
        let gaps = |list: &Node<'_>| list.as_array().is_some_and(|items| items.iter().all(Node::is_null));
        if object.get(&side).is_some_and(gaps) {
            object.remove(&side);
        }
    }
}
