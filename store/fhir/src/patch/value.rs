//! The value of a FHIRPath Patch operation: a part of a Parameters resource, made into an element.
//!
//! A part carries a data type in `value[x]`, a resource in `resource`, or, for elements whose type has no
//! name, one part for each child (R4 fhirpatch.html#anonymous).

use std::borrow::Cow;

use super::element::{self, Sides};
use super::shape::{Child, Shape};
use super::tree::{Member, Node};

/// An element that fits its place.
#[derive(Debug)]
pub(super) struct Element<'a> {
    /// The name of its member, with the type of a choice.
    pub(super) name: &'static str,
    /// Whether it belongs into a list.
    pub(super) repeats: bool,
    pub(super) sides: Sides<'a>,
}

/// The name of a parameter or part.
pub(super) fn name<'n>(part: &'n Node<'_>) -> Option<Cow<'n, str>> {
    part.get("name")?.as_str()
}

/// The value of a part that has a primitive one.
pub(super) fn scalar<'n, 'a>(part: &'n Node<'a>) -> Option<&'n Node<'a>> {
    let mut values = part.as_object()?.iter().filter(|member| member.name().starts_with("value"));
    let value = &values.next()?.value;
    (values.next().is_none() && value.as_token().is_some()).then_some(value)
}

impl<'a> Element<'a> {
    /// Makes the element of this name from a part.
    ///
    /// # Errors
    /// When the part is malformed, or its type is not one that the element can have.
    pub(super) fn build(part: &Node<'a>, parent: Shape, name: &str) -> Result<Self, &'static str> {
        let children = parent.children(name);
        if children.is_empty() {
            return Err("R4 has no element of that name there");
        }
        if let Some(resource) = part.get("resource") {
            let child = children.iter().find(|child| child.shape.is_any_resource());
            let child = child.ok_or("a resource cannot stand there")?;
            return Ok(Self::new(child, Some(resource.clone()), None));
        }
        if let Some(parts) = part.get("part") {
            let [child] = children.as_slice() else { return Err("parts cannot say which type is meant") };
            if child.shape.is_primitive() || child.shape.is_any_resource() {
                return Err("the element has no children that parts could make");
            }
            let parts = parts.as_array().ok_or("its part is not an array")?;
            return Ok(Self::new(child, Some(object(parts, child.shape)?), None));
        }
        Self::typed(part, name, &children)
    }

    /// Takes `value[x]`, and for a primitive also `_value[x]`.
    fn typed(part: &Node<'a>, name: &str, children: &[Child]) -> Result<Self, &'static str> {
        let members = part.as_object().ok_or("a part is not an object")?;
        let type_of = |member: &Member<'_>| {
            let member = member.name();
            member.strip_prefix('_').unwrap_or(&member).strip_prefix("value").map(str::to_owned)
        };
        let mut types: Vec<String> = members.iter().filter_map(type_of).collect();
        types.sort_unstable();
        types.dedup();
        let [type_name] = types.as_slice() else { return Err("a part has no value or several") };
        let member = format!("value{type_name}");
        let shape = Shape::of_value(&member).ok_or("its value has a type that R4 does not have")?;
        let value = part.get(&member).cloned();
        let twin = part.get(&element::twin_of(&member)).cloned();
        let fits = |child: &&Child| match children {
            [only] => only.shape.accepts(shape),
            _ => child.name.strip_prefix(name) == Some(type_name),
        };
        let child = children.iter().find(fits).ok_or("its value is of another type than the element")?;
        Ok(Self::new(child, value, twin))
    }

    fn new(child: &Child, value: Option<Node<'a>>, twin: Option<Node<'a>>) -> Self {
        Self { name: child.name, repeats: child.repeats, sides: Sides { value, twin } }
    }

    /// Adds the element to its object, which is of the shape and under the name that it was built for: to the
    /// end of its list, or as what is not there yet.
    ///
    /// # Errors
    /// When it does not repeat and is there already, in whichever type.
    pub(super) fn add_to(self, object: &mut Node<'a>, parent: Shape, name: &str) -> Result<(), &'static str> {
        if self.repeats {
            let end = element::list_len(object, self.name).unwrap_or(0);
            element::insert_item(object, self.name, end, self.sides);
        } else if parent.children(name).iter().any(|child| element::has(object, child.name)) {
            return Err("the element is there already and does not repeat");
        } else {
            element::set(object, self.name, self.name, self.sides);
        }
        Ok(())
    }
}

/// Makes an object with one child for each part; parts of one name make a list.
fn object<'a>(parts: &[Node<'a>], shape: Shape) -> Result<Node<'a>, &'static str> {
    let mut object = Node::Object(Vec::new());
    for part in parts {
        let name = name(part).ok_or("a part has no name")?;
        Element::build(part, shape, &name)?.add_to(&mut object, shape, &name)?;
    }
    Ok(object)
}
