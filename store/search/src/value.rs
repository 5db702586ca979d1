//! One value that a resource can be found by.
//!
//! Invariant: no text has a NUL character; where a resource has one, U+FFFD stands in its place.

use keepwell_fhir::ResourceType;

use crate::date_range::DateRange;
use crate::number::Number;

/// A value, taken from an element. Texts are as written; folding is left to whoever compares them.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Value {
    /// A code with the system that gives it its meaning.
    Token {
        /// Where the code is from.
        system: System,
        /// The code; empty if only the system is known.
        code: Box<str>,
    },
    /// A text that goes with a code: `Coding.display`, `CodeableConcept.text`, `Identifier.type.text`.
    Display(Box<str>),
    /// An identifier together with one code of its type, for the modifier `of-type`.
    TypedIdentifier {
        /// `Identifier.type.coding.system`
        system: Box<str>,
        /// `Identifier.type.coding.code`
        code: Box<str>,
        /// `Identifier.value`
        value: Box<str>,
    },
    /// A text: also each part of a name or an address.
    String(Box<str>),
    /// A reference to a resource of the same store.
    Reference {
        /// The type, if it is known: a bare id is no valid reference, but is found in data.
        resource_type: Option<ResourceType>,
        /// The logical id.
        id: Box<str>,
        /// The version, for a versioned reference.
        version: Option<Box<str>>,
    },
    /// A reference to something else: an absolute URL, a URN, or a canonical URL.
    Url {
        /// The URL without the version.
        url: Box<str>,
        /// What follows the bar of a canonical URL.
        version: Option<Box<str>>,
    },
    /// The identifier of what a reference points at.
    Logical {
        /// `Reference.identifier.system`
        system: System,
        /// `Reference.identifier.value`
        code: Box<str>,
    },
    /// A stretch of time.
    Date(DateRange),
    /// A number, or the least and the largest one of a range. A missing end is far away.
    Number {
        /// The least number.
        low: Number,
        /// The largest number; the same one unless it is a range.
        high: Number,
    },
    /// A measured value or a range of them.
    Quantity {
        /// The least value.
        low: Number,
        /// The largest value; the same one unless it is a range.
        high: Number,
        /// Its unit.
        unit: Unit,
    },
    /// A URI.
    Uri {
        /// The URI without the version.
        url: Box<str>,
        /// What follows the bar of a canonical URL.
        version: Option<Box<str>>,
    },
    /// A place on earth.
    Position {
        /// Degrees north.
        latitude: f64,
        /// Degrees east.
        longitude: f64,
    },
    /// A reference to a contained resource: its id. Chains follow it, nothing else finds it.
    Contained(Box<str>),
}

/// What gives a code its meaning.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum System {
    /// The element could name a system and does not.
    None,
    /// The element has no place for a system: its type or its binding says what the code means. A search with any
    /// system, or for what has none, finds it.
    Implicit,
    /// The URI of a code system or of a namespace of identifiers.
    Uri(Box<str>),
}

/// The unit of a quantity.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Unit {
    /// `Quantity.system`; for money the currencies of ISO 4217.
    pub system: Option<Box<str>>,
    /// `Quantity.code`
    pub code: Option<Box<str>>,
    /// `Quantity.unit`, the text for people, where it differs from the code.
    pub text: Option<Box<str>>,
}

/// The system of the units of UCUM.
pub(crate) const UCUM: &str = "http://unitsofmeasure.org";

/// The system of currencies.
pub(crate) const CURRENCIES: &str = "urn:iso:std:iso:4217";
