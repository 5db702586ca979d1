//! One search parameter: its number, its kind, and which types it is about.
//!
//! Invariant: a number never changes its meaning, since indexes on disk hold it.

use std::borrow::Cow;

use keepwell_fhir::{Compartment, ResourceType};

/// The number under which an index keeps a parameter of a type.
///
/// Numbers of R4 are from the committed table. Parameters of all types have one number for all of them. From
/// [`Self::FIRST_CUSTOM`] on they are given by whoever registers a parameter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ParameterNumber(pub u16);

impl ParameterNumber {
    /// `_id`
    pub const ID: Self = Self(1);
    /// `_lastUpdated`: stores know it better than the body, which need not have it.
    pub const LAST_UPDATED: Self = Self(2);
    /// `_tag`
    pub const TAG: Self = Self(3);
    /// `_profile`
    pub const PROFILE: Self = Self(4);
    /// `_security`
    pub const SECURITY: Self = Self(5);
    /// `_source`
    pub const SOURCE: Self = Self(6);
    /// `_text`: the words of the narrative.
    pub const TEXT: Self = Self(7);
    /// `_content`: the words of the whole resource.
    pub const CONTENT: Self = Self(8);
    /// `_list`: has no values in the resource itself.
    pub const LIST: Self = Self(9);
    /// `_type`: which type the resource has.
    pub const TYPE: Self = Self(10);
    /// What contained resources can be found by.
    pub const CONTAINED: Self = Self(11);
    /// The compartments the resource is in: five numbers in the order of [`Compartment::ALL`].
    pub const COMPARTMENT_PATIENT: Self = Self(16);
    /// See [`Self::COMPARTMENT_PATIENT`].
    pub const COMPARTMENT_ENCOUNTER: Self = Self(17);
    /// See [`Self::COMPARTMENT_PATIENT`].
    pub const COMPARTMENT_RELATED_PERSON: Self = Self(18);
    /// See [`Self::COMPARTMENT_PATIENT`].
    pub const COMPARTMENT_PRACTITIONER: Self = Self(19);
    /// See [`Self::COMPARTMENT_PATIENT`].
    pub const COMPARTMENT_DEVICE: Self = Self(20);
    /// The first number of a parameter that belongs to one type.
    pub const FIRST_OF_TYPE: Self = Self(64);
    /// The first number of a parameter that is not from R4.
    pub const FIRST_CUSTOM: Self = Self(0x8000);

    /// The pseudo parameter of a compartment.
    #[must_use]
    pub const fn compartment(compartment: Compartment) -> Self {
        Self(Self::COMPARTMENT_PATIENT.0 + compartment as u16)
    }

    /// Whether it is a compartment.
    #[must_use]
    pub const fn is_compartment(self) -> bool {
        self.0 >= Self::COMPARTMENT_PATIENT.0 && self.0 <= Self::COMPARTMENT_DEVICE.0
    }

    /// Whether the parameter is not from R4.
    #[must_use]
    pub const fn is_custom(self) -> bool {
        self.0 >= Self::FIRST_CUSTOM.0
    }
}

/// What values a parameter has and how they are compared (R4 valueset-search-param-type).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ParameterKind {
    /// A number.
    Number,
    /// A date, date-time or period.
    Date,
    /// A text, compared without case and accents.
    String,
    /// A code, identifier or boolean.
    Token,
    /// A reference to another resource.
    Reference,
    /// Several values that belong together.
    Composite,
    /// An amount with a unit.
    Quantity,
    /// A URI, compared exactly.
    Uri,
    /// What has logic of its own: `near`.
    Special,
}

impl ParameterKind {
    /// Every kind with its FHIR code.
    pub const CODES: [(Self, &'static str); 9] = [
        (Self::Number, "number"),
        (Self::Date, "date"),
        (Self::String, "string"),
        (Self::Token, "token"),
        (Self::Reference, "reference"),
        (Self::Composite, "composite"),
        (Self::Quantity, "quantity"),
        (Self::Uri, "uri"),
        (Self::Special, "special"),
    ];

    /// The FHIR code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        Self::CODES[self as usize].1
    }

    /// The kind with this FHIR code.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        Self::CODES.iter().find(|(_, other)| *other == code).map(|(kind, _)| *kind)
    }
}

/// The types a parameter is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Base {
    /// Every type (`Resource` and `DomainResource` of the specification).
    All,
    /// One type; a SearchParameter with several bases is one [`Parameter`] for each of them.
    One(ResourceType),
}

/// One part of a composite parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Component {
    /// The parameter that defines the part.
    pub number: ParameterNumber,
    /// Its kind, which is that of the values in the tuples.
    pub kind: ParameterKind,
}

/// A search parameter of one type, or of all types.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Parameter {
    /// The number in indexes.
    pub number: ParameterNumber,
    /// The name in queries, such as `birthdate`.
    pub code: Cow<'static, str>,
    /// The canonical URL of the SearchParameter; empty for the pseudo parameters.
    pub url: Cow<'static, str>,
    /// What its values are.
    pub kind: ParameterKind,
    /// The types it is about.
    pub base: Base,
    /// The types its references may point at; none for any type.
    pub targets: Cow<'static, [ResourceType]>,
    /// The parts of a composite parameter, otherwise none.
    pub components: Cow<'static, [Component]>,
    /// Whether a resource may have the element several times.
    pub repeats: bool,
}
