//! What an element is by the definitions of R4, as far as a patch has to know: its children, which of them
//! repeat, and how a choice of types is spelled.

use crate::ResourceType;
use crate::definitions::{self, ELEMENT, FIRST_CONTEXT, PRIMITIVES, REPEATS, RESOURCE, Rule};

/// A type: primitive, data type, backbone element or resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape(u16);

/// A child of an object: an element, or one of the types of a choice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Child {
    /// The name of its member.
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) repeats: bool,
}

impl Shape {
    pub(super) fn of_resource(name: &str) -> Option<Self> {
        ResourceType::parse(name).map(|kind| Self(FIRST_CONTEXT + definitions::resource_context(kind)))
    }

    /// The type that `value[x]` has under this name: every extension may have a value of every type.
    pub(super) fn of_value(member: &str) -> Option<Self> {
        let extension = child(ELEMENT, Self(FIRST_CONTEXT + ELEMENT).position("extension")?);
        extension.shape.children("value").iter().find(|child| child.name == member).map(|child| child.shape)
    }

    /// The type of this name, as `ofType` takes it.
    pub(super) fn of_type(name: &str) -> Option<Self> {
        let mut chars = name.chars();
        let member = format!("value{}{}", chars.next()?.to_ascii_uppercase(), chars.as_str());
        Self::of_value(&member).or_else(|| Self::of_resource(name))
    }

    pub(super) fn is_primitive(self) -> bool {
        usize::from(self.0) < PRIMITIVES.len()
    }

    /// Whether only the data says which resource it is.
    pub(super) fn is_any_resource(self) -> bool {
        self.0 == RESOURCE
    }

    /// Whether an element of this type may be given as a value of that one. A primitive may come as a close
    /// relative, such as a string for a code, and a SimpleQuantity as a Quantity: what counts is how JSON
    /// writes it, since the result is validated.
    pub(super) fn accepts(self, value: Self) -> bool {
        let form = |shape: Self| {
            PRIMITIVES.get(usize::from(shape.0)).map(|name| match *name {
                "boolean" => "boolean",
                "integer" | "positiveInt" | "unsignedInt" | "decimal" => "number",
                _ => "string",
            })
        };
        match (form(self), form(value)) {
            (None, None) => self == value || (self.is_quantity() && value.is_quantity()),
            (this, other) => this == other,
        }
    }

    /// Whether `ofType` selects it: it is that type, or a variation of it.
    pub(super) fn is(self, kind: Self) -> bool {
        self == kind || (self.is_quantity() && Self::of_value("valueQuantity") == Some(kind))
    }

    /// Whether it is Quantity or one of its variations, which have the same children (R4
    /// datatypes.html#QuantityVariations).
    fn is_quantity(self) -> bool {
        ["value", "unit", "system", "code"].iter().all(|name| self.position(name).is_some())
    }

    /// The children of an R4 name: one, the types of a choice, or none when there is no such element.
    pub(super) fn children(self, name: &str) -> Vec<Child> {
        let choice = self.choices().find(|choice| definitions::name(choice.name) == name);
        if let (Some(choice), Some(context)) = (choice, self.context()) {
            return (choice.first..=choice.last).map(|at| child(context, at.into())).collect();
        }
        // A type of a choice has no name of its own in FHIRPath, and the type of a resource is no element.
        let at = self.position(name).filter(|_| name != "resourceType");
        let plain = at.filter(|at| {
            !self.choices().any(|choice| (choice.first.into()..=choice.last.into()).contains(at))
        });
        plain.and_then(|at| Some(child(self.context()?, at))).into_iter().collect()
    }

    fn position(self, name: &str) -> Option<u16> {
        definitions::find_element(self.context()?, name.as_bytes())
    }

    /// The rules that bind the types of one choice together.
    fn choices(self) -> impl Iterator<Item = &'static Rule> {
        let context = self.context();
        let rules = context.map_or(&[][..], definitions::rules);
        rules.iter().filter(move |rule| {
            context
                .is_some_and(|context| child(context, rule.first.into()).name != definitions::name(rule.name))
        })
    }

    /// What its object may hold; a primitive's twin is an Element.
    fn context(self) -> Option<u16> {
        if self.is_primitive() { Some(ELEMENT) } else { self.0.checked_sub(FIRST_CONTEXT) }
    }
}

fn child(context: u16, at: u16) -> Child {
    let element = definitions::element(definitions::first_element(context) + at);
    Child {
        name: definitions::name(element.name),
        shape: Shape(element.kind),
        repeats: element.flags & REPEATS != 0,
    }
}
