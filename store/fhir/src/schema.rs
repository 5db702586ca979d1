//! The definitions of R4 to look things up in: which elements a type has, and of which types they are.
//!
//! What a [`Visitor`](crate::Visitor) is told of by number is found here by name.
//!
//! ```
//! use keepwell_fhir::{ResourceType, schema::{Context, Kind}};
//! let observation = ResourceType::parse("Observation").expect("Observation is an R4 type");
//! let value: Vec<_> = Context::of(observation).elements("value").map(|element| element.kind().type_name()).collect();
//! assert!(value.contains(&Some("Quantity")) && value.contains(&Some("dateTime")));
//! assert_eq!(Context::of(observation).elements("valueQuantity").count(), 0);
//! ```

use crate::definitions::{self, ELEMENT, FIRST_CONTEXT, PLAIN, PRIMITIVES, REPEATS, RESOURCE};
use crate::resource_type::ResourceType;

/// The number of an element of the definitions, or of the extensions of a primitive one (`_birthDate`).
///
/// Numbers follow from the definitions of this build: they are for tables that are compiled with it, not for disks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ElementNumber(u16);

/// Set for the extensions of a primitive element; there are fewer than 32,768 elements.
const TWIN: u16 = 0x8000;

impl ElementNumber {
    #[inline(always)]
    pub(crate) const fn new(number: u16, is_twin: bool) -> Self {
        Self(if is_twin { number | TWIN } else { number })
    }

    /// The number, for tables.
    #[must_use]
    #[inline(always)]
    pub const fn as_u16(self) -> u16 {
        self.0
    }

    /// The element with a number from such a table.
    #[must_use]
    pub const fn from_u16(number: u16) -> Self {
        Self(number)
    }

    /// The key in JSON, without the `_` of extensions.
    #[must_use]
    pub fn name(self) -> &'static str {
        definitions::name(definitions::element(self.0 & !TWIN).name)
    }

    /// What its value is.
    #[must_use]
    pub fn kind(self) -> Kind {
        if self.0 & TWIN != 0 {
            return Kind::Object(Context(ELEMENT));
        }
        match definitions::element(self.0).kind {
            RESOURCE => Kind::Resource,
            kind if kind >= FIRST_CONTEXT => Kind::Object(Context(kind - FIRST_CONTEXT)),
            kind => Kind::Primitive(PRIMITIVES[usize::from(kind)]),
        }
    }
}

impl Kind {
    /// The name of the type; none for resources and backbone elements.
    #[must_use]
    pub fn type_name(self) -> Option<&'static str> {
        match self {
            Self::Primitive(name) => Some(name),
            Self::Object(context) => context.data_type(),
            Self::Resource => None,
        }
    }
}

/// The elements that an object may have: a resource, a data type, or a backbone element.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Context(u16);

/// What the value of an element is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A primitive type, by name.
    Primitive(&'static str),
    /// Any resource.
    Resource,
    /// An object with these elements.
    Object(Context),
}

/// An element of a context; a choice has one for each of its types.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Element {
    context: Context,
    number: u16,
}

impl Context {
    /// The elements of a resource type.
    #[must_use]
    pub fn of(resource_type: ResourceType) -> Self {
        Self(definitions::resource_context(resource_type))
    }

    /// The elements of a data type, by its name.
    #[must_use]
    pub fn of_data_type(name: &str) -> Option<Self> {
        definitions::DATA_TYPES.iter().find(|(_, other)| *other == name).map(|(number, _)| Self(*number))
    }

    /// The name of the data type; none for backbone elements and resources.
    #[must_use]
    pub fn data_type(self) -> Option<&'static str> {
        let place = definitions::DATA_TYPES.binary_search_by_key(&self.0, |(number, _)| *number);
        place.ok().map(|place| definitions::DATA_TYPES[place].1)
    }

    /// All its elements. `keepwell-merge` compiles its rules from them.
    pub fn all(self) -> impl Iterator<Item = Element> {
        definitions::elements(self.0).map(move |number| Element { context: self, number })
    }

    /// The elements with this name as FHIRPath knows it: one for each type of a choice, at most one otherwise.
    pub fn elements(self, name: &str) -> impl Iterator<Item = Element> {
        let first = definitions::first_element(self.0);
        let choice = definitions::rules(self.0)
            .iter()
            .find(|rule| rule.is_choice() && definitions::name(rule.name) == name)
            .map(|rule| u16::from(rule.first)..u16::from(rule.last) + 1);
        let positions = choice.unwrap_or_else(|| match definitions::find_element(self.0, name.as_bytes()) {
            Some(position) if self.choice_at(position).is_none() => position..position + 1,
            _ => 0..0,
        });
        positions.map(move |position| Element { context: self, number: first + position })
    }

    /// The element with this key in JSON.
    #[must_use]
    pub fn find(self, key: &[u8]) -> Option<Element> {
        let position = definitions::find_element(self.0, key)?;
        Some(Element { context: self, number: definitions::first_element(self.0) + position })
    }

    /// The choice to which the element at a position belongs.
    fn choice_at(self, position: u16) -> Option<&'static str> {
        let rule =
            definitions::rules(self.0).iter().find(|rule| rule.is_choice() && rule.covers(position))?;
        Some(definitions::name(rule.name))
    }
}

impl Element {
    /// The number that visitors are told.
    #[must_use]
    pub const fn number(self) -> ElementNumber {
        ElementNumber(self.number)
    }

    /// The number of the object beside a primitive value that holds its extensions, if there can be one.
    #[must_use]
    pub fn extensions(self) -> Option<(ElementNumber, Context)> {
        let element = definitions::element(self.number);
        let has_twin = element.kind < RESOURCE && element.flags & PLAIN == 0;
        has_twin.then_some((ElementNumber(self.number | TWIN), Context(ELEMENT)))
    }

    /// The key in JSON.
    #[must_use]
    pub fn key(self) -> &'static str {
        self.number().name()
    }

    /// The name in FHIRPath: that of the choice, if it is one of its types.
    #[must_use]
    pub fn name(self) -> &'static str {
        let position = self.number - definitions::first_element(self.context.0);
        self.context.choice_at(position).unwrap_or_else(|| self.key())
    }

    /// Whether the element is an array.
    #[must_use]
    pub fn repeats(self) -> bool {
        definitions::element(self.number).flags & REPEATS != 0
    }

    /// What its value is.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.number().kind()
    }
}
