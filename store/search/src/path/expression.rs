//! A FHIRPath expression, as far as SearchParameters use them: a tree that lies in static tables or on the heap.

use std::borrow::Cow;

use keepwell_fhir::ResourceType;

/// A condition, or a path as the result of one.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Expression {
    /// The items at a path.
    Path(Path),
    /// A constant.
    Literal(Literal),
    /// Both hold.
    And(Pair),
    /// One of them holds.
    Or(Pair),
    /// Both are the same.
    Equal(Pair),
    /// They differ.
    Unequal(Pair),
    /// The first one does not hold.
    Not(Pair),
    /// There is something at the path.
    Exists(Path),
    /// The only item at the path is of a type.
    Is(Path, Cow<'static, str>),
    /// The reference at the path points at a resource of a type.
    Targets(Path, ResourceType),
}

/// The operands, in a list, so that static tables can hold them.
pub(crate) type Pair = Cow<'static, [Expression]>;

/// Steps from an item.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Path {
    /// Which of the collections that the walk found the path starts at; none for the item a condition is about.
    pub(crate) operand: Option<u8>,
    /// What follows.
    pub(crate) steps: Cow<'static, [Step]>,
}

/// One step of a path: from a collection to the next.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Step {
    /// The children of a name, whatever type a choice has.
    Child(Cow<'static, str>),
    /// The objects with the extensions of primitive children of a name.
    Twin(Cow<'static, str>),
    /// The items for which all conditions hold.
    Where(Cow<'static, [Expression]>),
    /// The items of a type.
    OfType(Cow<'static, str>),
    /// One item, counted from 0.
    Index(u32),
    /// The last item.
    Last,
}

/// A constant.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Literal {
    /// `'text'`
    Text(Cow<'static, str>),
    /// `true` or `false`
    Boolean(bool),
    /// A number as written.
    Number(Cow<'static, str>),
}
