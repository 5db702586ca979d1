//! The elements that a path leads to.

use super::element::{Hop, has, list_len, resolve, twin_of};
use super::path::{Condition, Literal, Path, Step};
use super::shape::{Child, Shape};
use super::tree::Node;

/// An element, or the resource itself.
#[derive(Debug, Clone)]
pub(super) struct Place<'p> {
    /// Where it stands; none for the resource itself.
    pub(super) hops: Vec<Hop>,
    /// What it is.
    pub(super) shape: Shape,
    /// What it is called where: the shape of its parent and its R4 name, without the type of a choice.
    pub(super) slot: Option<(Shape, &'p str)>,
}

impl Place<'_> {
    /// Where the object is that holds the children.
    pub(super) fn object_hops(&self) -> Vec<Hop> {
        let mut hops = self.hops.clone();
        if self.shape.is_primitive()
            && let Some(Hop::Member(name)) = hops.iter_mut().rfind(|hop| matches!(hop, Hop::Member(_)))
        {
            *name = twin_of(name);
        }
        hops
    }
}

/// The elements that a path leads to.
///
/// # Errors
/// When the path names an element that its place cannot have.
pub(super) fn locate<'p>(document: &Node<'_>, path: &'p Path<'p>) -> Result<Vec<Place<'p>>, &'static str> {
    let name = document.get("resourceType").and_then(Node::as_str);
    let shape = name.as_deref().and_then(Shape::of_resource).ok_or("the resource has no type of R4")?;
    let is_root = |root: &str| name.as_deref() == Some(root) || matches!(root, "Resource" | "DomainResource");
    if !path.root.is_none_or(is_root) {
        return Err("its path begins with the type of another resource");
    }
    walk(document, vec![Place { hops: Vec::new(), shape, slot: None }], &path.steps)
}

fn walk<'p>(
    document: &Node<'_>,
    mut places: Vec<Place<'p>>,
    steps: &'p [Step<'p>],
) -> Result<Vec<Place<'p>>, &'static str> {
    for step in steps {
        places = match step {
            Step::Child(name) => children(document, &places, name)?,
            Step::Index(at) => places.into_iter().skip(*at).take(1).collect(),
            Step::Last => places.pop().into_iter().collect(),
            Step::OfType(name) => {
                let kind = Shape::of_type(name).ok_or("its path names a type that R4 does not have")?;
                places.retain(|place| place.shape.is(kind));
                places
            }
            Step::Extension(url) => {
                places = children(document, &places, "extension")?;
                places.retain(|place| {
                    let extension = resolve(document, &place.hops);
                    extension.and_then(|e| e.get("url")?.as_str()).is_some_and(|found| found == *url)
                });
                places
            }
            Step::Where(conditions) => {
                let mut kept = Vec::new();
                for place in places {
                    if fulfils(document, &place, conditions)? {
                        kept.push(place);
                    }
                }
                kept
            }
        };
    }
    Ok(places)
}

/// The children of that name of all places, in their order.
fn children<'p>(
    document: &Node<'_>,
    places: &[Place<'p>],
    name: &'p str,
) -> Result<Vec<Place<'p>>, &'static str> {
    let mut found = Vec::new();
    for place in places {
        let slot = Some((place.shape, name));
        let object_hops = place.object_hops();
        let alternatives = place.shape.children(name);
        if alternatives.is_empty() {
            return Err("its path names an element that R4 does not have there");
        }
        let Some(object) = resolve(document, &object_hops) else { continue };
        for Child { name, shape, .. } in alternatives {
            let mut hops = object_hops.clone();
            hops.push(Hop::Member(name.to_owned()));
            if let Some(len) = list_len(object, name) {
                for at in 0..len {
                    let mut hops = hops.clone();
                    hops.push(Hop::Item(at));
                    found.push(Place { shape: actual(document, &hops, shape), hops, slot });
                }
            } else if has(object, name) {
                found.push(Place { shape: actual(document, &hops, shape), hops, slot });
            }
        }
    }
    Ok(found)
}

/// The shape of an element, where the definition only says that it is a resource.
fn actual(document: &Node<'_>, hops: &[Hop], shape: Shape) -> Shape {
    if !shape.is_any_resource() {
        return shape;
    }
    let name = resolve(document, hops).and_then(|resource| resource.get("resourceType")?.as_str());
    name.as_deref().and_then(Shape::of_resource).unwrap_or(shape)
}

/// Whether a place fulfils all conditions. A path to no element or to several equals no literal.
fn fulfils<'p>(
    document: &Node<'_>,
    place: &Place<'p>,
    conditions: &'p [Condition<'p>],
) -> Result<bool, &'static str> {
    for Condition { steps, literal } in conditions {
        let found = walk(document, vec![place.clone()], steps)?;
        let [only] = found.as_slice() else { return Ok(false) };
        let Some(value) = resolve(document, &only.hops) else { return Ok(false) };
        let equal = match literal {
            Literal::Text(text) => value.as_str().is_some_and(|value| value == *text),
            Literal::Token(token) => value.same(&Node::Scalar(token)),
        };
        if !equal {
            return Ok(false);
        }
    }
    Ok(true)
}
