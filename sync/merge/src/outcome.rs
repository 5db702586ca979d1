//! What a merge comes to.

use std::borrow::Cow;

use crate::conflict::Conflict;
use crate::sides::Side;

/// The result of a merge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome<'a> {
    /// Both sides are joined.
    Merged(Merged<'a>),
    /// A person has to decide.
    Conflicted(Conflicted<'a>),
}

/// A resource that holds the changes of both sides.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Merged<'a> {
    /// The resource; none if it is deleted. If it says what one of the versions says, it is that version, borrowed and
    /// byte for byte.
    pub bytes: Option<Cow<'a, [u8]>>,
    /// What was taken from where, for Provenance.
    pub decisions: Vec<Decision>,
}

/// A resource that a person has to decide on.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Conflicted<'a> {
    /// What is to be decided, at least one.
    pub conflicts: Vec<Conflict<'a>>,
    /// What readers see until then: theirs, or the side that says that all was an error.
    pub shown: Side,
    /// All that can be joined, and each conflict as it proposes; none if the proposal is to delete the resource.
    pub proposal: Option<Cow<'a, [u8]>>,
    /// What was taken from where outside of the conflicts.
    pub decisions: Vec<Decision>,
}

/// One decision of the machine.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Decision {
    /// The FHIRPath of the element, with items counted as in [`Conflict::path`].
    pub path: String,
    /// What was done.
    pub action: Action,
}

/// What was done with an element that at least one side changed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Action {
    /// The change of this device was taken.
    TookMine,
    /// The change of the server was taken.
    TookTheirs,
    /// Both made the same change.
    Agreed,
    /// The narrative was dropped: it describes the data of one side only and can be generated again.
    DroppedNarrative,
    /// A security label was kept that one side removed while the other changed something.
    KeptLabel,
    /// A contained resource was kept that one side removed, since what the other side changed refers to it.
    KeptContained,
}
