//! What a resource must be like.

use keepwell_fhir::ResourceType;

use crate::date_range::DateRange;
use crate::number::Number;
use crate::parameter::Parameter;

/// What a resource must be like.
#[derive(Clone, PartialEq, Debug)]
pub enum Criterion {
    /// All of them hold; with none, every resource does.
    All(Vec<Self>),
    /// At least one holds; with none, no resource does.
    Any(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// The resource is of this type.
    Type(ResourceType),
    /// A parameter of the resource itself.
    Clause(Clause),
    /// A parameter of what the resource refers to.
    Chain(Chain),
    /// A parameter of what refers to the resource (`_has`).
    Has(Has),
}

/// What one parameter must be like.
#[derive(Clone, PartialEq, Debug)]
pub struct Clause {
    /// The parameter.
    pub parameter: Parameter,
    /// What is asked of it.
    pub matching: Matching,
}

/// What is asked of a parameter.
#[derive(Clone, PartialEq, Debug)]
pub enum Matching {
    /// Whether it has no value.
    Missing(bool),
    /// One of its values is one of these.
    AnyOf(Vec<SearchValue>),
}

/// References followed: one of these types satisfies its criterion.
#[derive(Clone, PartialEq, Debug)]
pub struct Chain {
    /// The reference parameter of the resource.
    pub parameter: Parameter,
    /// What the resource referred to must be like, by its type. Never empty.
    pub targets: Vec<(ResourceType, Criterion)>,
}

/// References to the resource: one of those who refer to it satisfies the criterion.
#[derive(Clone, PartialEq, Debug)]
pub struct Has {
    /// The type that refers to the resource.
    pub source: ResourceType,
    /// The reference parameter of that type.
    pub parameter: Parameter,
    /// What that resource must be like.
    pub criterion: Box<Criterion>,
}

/// How an ordered value is compared (R4 search.html#prefix).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Prefix {
    /// Equal, to the precision that was written.
    #[default]
    Eq,
    /// Not equal.
    Ne,
    /// Greater than.
    Gt,
    /// Less than.
    Lt,
    /// Greater or equal.
    Ge,
    /// Less or equal.
    Le,
    /// Starts after.
    Sa,
    /// Ends before.
    Eb,
    /// About.
    Ap,
}

/// One of the values that a search names. Its kind is that of the parameter.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum SearchValue {
    /// A number with its implicit range, or the range of `ap`.
    Number {
        /// How it is compared.
        prefix: Prefix,
        /// The number itself.
        value: Number,
        /// The range that it stands for: from the first number to the second, without the second.
        range: (Number, Number),
    },
    /// A quantity, otherwise as a number.
    Quantity {
        /// How it is compared.
        prefix: Prefix,
        /// The number itself.
        value: Number,
        /// The range that it stands for, as in [`Self::Number`].
        range: (Number, Number),
        /// Which units it is compared in.
        unit: UnitMatch,
    },
    /// A date; for `ap` it is already widened.
    Date {
        /// How it is compared.
        prefix: Prefix,
        /// What it stands for.
        range: DateRange,
    },
    /// A text.
    String {
        /// How it is compared.
        how: StringMatch,
        /// The text as written.
        text: Box<str>,
    },
    /// A code.
    Token {
        /// Where it may be from.
        system: SystemMatch,
        /// The code; none for any code of the system.
        code: Option<Box<str>>,
    },
    /// `:text`: the beginning of the text that goes with a code.
    Display(Box<str>),
    /// `:of-type`
    TypedIdentifier {
        /// The system of the identifier's type.
        system: Box<str>,
        /// The code of the identifier's type.
        code: Box<str>,
        /// The identifier.
        value: Box<str>,
    },
    /// `:in`: the code is in this value set.
    InValueSet(Box<str>),
    /// `:below`: the code is this one or below it in the hierarchy of its code system.
    Below {
        /// The code system.
        system: Box<str>,
        /// The code.
        code: Box<str>,
    },
    /// `:above`: the code is this one or above it in the hierarchy of its code system.
    Above {
        /// The code system.
        system: Box<str>,
        /// The code.
        code: Box<str>,
    },
    /// A resource of this store.
    Reference {
        /// Its type; none if it may be any that the parameter can refer to.
        resource_type: Option<ResourceType>,
        /// Its id.
        id: Box<str>,
        /// The version that is referred to; none for any.
        version: Option<Box<str>>,
    },
    /// Something else that is referred to: an absolute or canonical URL.
    Url {
        /// How it is compared.
        how: UriMatch,
        /// The URL without the version.
        url: Box<str>,
        /// The version, or with [`UriMatch::Below`] the beginning of it; none for any.
        version: Option<Box<str>>,
    },
    /// `:identifier`: the identifier of what is referred to.
    Logical {
        /// Where it may be from.
        system: SystemMatch,
        /// The identifier; none for any of the system.
        code: Option<Box<str>>,
    },
    /// A URI.
    Uri {
        /// How it is compared.
        how: UriMatch,
        /// The URI without the version.
        url: Box<str>,
        /// The version; none for any.
        version: Option<Box<str>>,
    },
    /// One value for each part of a composite parameter.
    Composite(Vec<Self>),
    /// `near`
    Near {
        /// Degrees north.
        latitude: f64,
        /// Degrees east.
        longitude: f64,
        /// How far it may be, in metres.
        distance_m: f64,
    },
    /// Words that must all be there, folded; the last character `*` of one means that it may go on.
    Words(Vec<Box<str>>),
}

/// How a text is compared (R4 search.html#string).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StringMatch {
    /// It begins with the text, whatever case and accents.
    StartsWith,
    /// It has the text within it, whatever case and accents.
    Contains,
    /// It is the text, case and accents included.
    Exact,
    /// It ends with the text, whatever case and accents (`ew` of `_filter`).
    EndsWith,
    /// It is the text, whatever case and accents (`eq` of `_filter`).
    Equals,
}

/// Where a code may be from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum SystemMatch {
    /// From anywhere.
    Any,
    /// The element names no system.
    None,
    /// From this system.
    Uri(Box<str>),
}

/// Which units a quantity is compared in.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum UnitMatch {
    /// In any unit, by the number alone.
    Any,
    /// In the units of a system.
    System(Box<str>),
    /// In the unit whose code or text is this.
    Code(Box<str>),
    /// In a unit of a system; those of UCUM are converted.
    Exact {
        /// The system.
        system: Box<str>,
        /// The code.
        code: Box<str>,
    },
}

/// How a URI is compared (R4 search.html#uri).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UriMatch {
    /// It is the same.
    Exact,
    /// It begins with the URI.
    Below,
    /// The URI begins with it.
    Above,
    /// It has the text within it (`co` of `_filter`).
    Contains,
}
