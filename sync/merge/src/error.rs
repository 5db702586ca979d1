//! What a merge or a resolution cannot do.

use keepwell_fhir::{Issue, SyntaxError};

use crate::sides::Side;

/// Versions that cannot be merged at all. Nothing of a record is in its text.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// A version is no FHIR resource in JSON.
    #[error("a version is no fhir resource")]
    Syntax {
        /// Which one.
        side: Side,
        /// What is wrong with it.
        #[source]
        source: SyntaxError,
    },
    /// The versions have different types or ids.
    #[error("the versions are not of the same resource")]
    OtherResource,
}

/// Decisions of a person that cannot be applied. Nothing of a record is in its text.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The versions cannot be merged at all.
    #[error("the versions cannot be merged")]
    Merge(#[from] MergeError),
    /// The resolutions are not for the conflicts of these versions, one each and in their order.
    #[error("the resolutions are for other conflicts")]
    OtherConflicts,
    /// The conflict does not offer this choice.
    #[error("conflict {position} does not offer this choice")]
    NotOffered {
        /// The place of the resolution.
        position: usize,
    },
    /// The value of a choice is no JSON, or names elements that the conflict is not about.
    #[error("the value for conflict {position} does not fit")]
    BadValue {
        /// The place of the resolution.
        position: usize,
    },
    /// With these choices, the resource breaks the rules of its type.
    #[error("the resolved resource is not valid")]
    Invalid {
        /// What is wrong with it.
        issues: Vec<Issue>,
    },
}
