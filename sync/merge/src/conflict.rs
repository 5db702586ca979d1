//! What waits for a person, and what that person may choose.

use crate::sides::{Side, Sides};

/// Elements that both sides changed in a way that no machine may join. They are decided together.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Conflict<'a> {
    /// The FHIRPath of the element, or of the object or resource that holds the elements. Items of a list count as in
    /// `theirs`, those that are not there as in the base, else as in `mine`.
    pub path: String,
    /// Why a person has to decide.
    pub reason: Reason,
    /// The versions of what is to be decided.
    pub parts: Vec<Part<'a>>,
    /// What the proposal of the whole merge holds here.
    pub proposal: Side,
    /// What may be chosen.
    pub offer: Offer,
}

/// One member of an object, or one value, in its three versions.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Part<'a> {
    /// The key of the member; none if the part is a value: an item of a list, an object or a resource.
    pub member: Option<String>,
    /// The JSON of each version as it was written; none where it is not there.
    pub raw: Sides<Option<&'a str>>,
}

/// What a person may choose for a conflict.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Offer {
    /// Only to keep theirs: the resource may not change.
    Theirs,
    /// Theirs, mine, or a value by hand.
    Any,
    /// Any of these, or both items side by side.
    Both,
}

/// What a person chose for a conflict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice<'c> {
    /// What the server has.
    Theirs,
    /// What this device has.
    Mine,
    /// Both items of a list, theirs first.
    Both,
    /// A value by hand, in JSON: the value itself if the parts name no member, else an object with the members that
    /// replace those of the parts.
    Value(&'c [u8]),
}

/// The choice for one conflict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resolution<'c> {
    /// The path of the conflict.
    pub path: &'c str,
    /// What to do.
    pub choice: Choice<'c>,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident $code:literal;)*) => {
        /// Why a person has to decide.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[non_exhaustive]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The reason as a word, for tables and messages.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }
        }
    };
}

reasons! {
    /// Both sides changed the element, to different values.
    BothChanged "both-changed";
    /// Both sides changed elements that depend on each other.
    Group "co-dependent";
    /// One side removed an item of a list that the other changed.
    RemovedAndChanged "removed-and-changed";
    /// Both sides added an item with the same key and different content.
    AddedTwice "added-twice";
    /// Both sides changed a list whose items cannot be told apart.
    Ambiguous "ambiguous-items";
    /// With the changes of both sides, two items of a list have the same key.
    DuplicateKey "duplicate-key";
    /// A modifier extension changed, which may give everything beside it another meaning.
    Modifier "modifier-extension";
    /// The narrative was written by hand, and the data beside it changed.
    Narrative "narrative";
    /// The implicit rules or the language changed on both sides.
    Frame "implicit-rules-or-language";
    /// What the resource is about changed.
    Subject "subject";
    /// One side marked the resource as entered in error.
    EnteredInError "entered-in-error";
    /// Resources of this type are never joined.
    NeverJoined "type-is-never-joined";
    /// The content is final.
    Final "final";
    /// The content is signed or attested.
    Signed "signed";
    /// Resources of this type never change.
    Immutable "immutable";
    /// One side deleted the resource, the other changed it.
    DeletedAndChanged "deleted-and-changed";
    /// Both sides created the resource, with different content.
    CreatedTwice "created-twice";
    /// A contained resource lost its last reference: each side removed another one.
    Unreferenced "contained-unreferenced";
    /// The changes of both sides together break the rules of the type.
    Invalid "invalid-together";
}
